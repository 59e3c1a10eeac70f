/* embed: one vector per image that says whose face it is. */
#include "../index/vectors.h"
#include "../lib/embedder.h"
#include "align.h"
#include "stage.h"

#include <math.h>

enum { IN_STATUS, IN_MATRIX };
enum { VALID, VEC };

static const char *const inputs[] = {"align.status", "align.matrix", NULL};
static const fw_output outputs[] = {
    [VALID] = {"embed.valid", FW_U8, 1, FW_ONE, "1: there is an embedding"},
    [VEC] = {"embed.vec", FW_F16, 0, FW_ONE, "L2-normalised embedding, half floats; zeros when there is none"},
    {0}};

typedef struct state {
    fw_runtime *runtime;
    fw_embedder *embedder;
    fw_embedder_worker **worker;
    float **vec; /* by worker */
    int w, h;
    bool photos; /* some set has images; the others bring their embeddings */
} state;

static void close_embed(fw_task *t)
{
    state *s = t->state;
    if (!s) return;
    for (int i = 0; s->worker && i < t->workers; i++) {
        fw_embedder_worker_close(s->worker[i]);
        fw_free(s->vec[i]);
    }
    fw_free(s->worker);
    fw_free(s->vec);
    fw_embedder_close(s->embedder);
    fw_runtime_close(s->runtime);
    fw_free(s);
}

static int load_model(fw_task *t, state *s, fw_err *e)
{
    fw_modeldesc *desc = NULL;
    fw_embedder_opts opts = {.flip = t->conf->embed_flip};
    s->worker = FW_ARRAY(fw_embedder_worker *, (size_t)t->workers);
    s->vec = FW_ARRAY(float *, (size_t)t->workers);
    int rc = fw_task_modeldesc(t, "embed.model", &desc, e);
    if (!rc) rc = fw_runtime_open(&s->runtime, e);
    if (!rc) rc = fw_embedder_open(s->runtime, desc, &opts, &s->embedder, e);
    fw_modeldesc_free(desc);
    FW_TRY(rc);
    t->width = fw_embedder_dim(s->embedder);
    s->w = fw_embedder_width(s->embedder);
    s->h = fw_embedder_height(s->embedder);
    for (int i = 0; i < t->workers; i++) {
        s->vec[i] = FW_ARRAY(float, (size_t)t->width);
        FW_TRY(fw_embedder_worker_open(s->embedder, &s->worker[i], e));
    }
    return FW_OK;
}

static int open_embed(fw_task *t, fw_err *e)
{
    state *s = t->state = FW_NEW(state);
    int dim;
    FW_TRY(fw_task_vector_sources(t, &dim, &s->photos, e));
    t->width = dim;
    if (!s->photos) return FW_OK;
    FW_TRY(load_model(t, s, e));
    if (dim && dim != t->width)
        return fw_fail(e, FW_EUSAGE, "embeddings of %d dimensions beside photos, for which the model makes %d", dim,
                       t->width);
    return FW_OK;
}

/* Made elsewhere: rounded to half floats like ours, and otherwise as it came. */
static int take_vector(fw_task *t, fw_item *it, const float *vec, fw_err *e)
{
    if (fw_item_vector(it, NULL) != t->width)
        return fw_fail(e, FW_EUSAGE, "an embedding of %d dimensions among those of %d", fw_item_vector(it, NULL),
                       t->width);
    *(uint8_t *)fw_out(t, it, VALID, 1) = 1;
    fw_float_to_half(vec, fw_out(t, it, VEC, 1), (size_t)t->width);
    return FW_OK;
}

static int image_embed(fw_task *t, fw_item *it, fw_err *e)
{
    state *s = t->state;
    float given[FW_VECTOR_MAX];
    if (fw_item_vector(it, given)) return take_vector(t, it, given, e);
    const uint8_t *status = fw_in(t, it, IN_STATUS, NULL);
    const uint8_t *crop = *status == FW_ALIGN_NONE ? NULL : fw_item_crop(it, fw_in(t, it, IN_MATRIX, NULL), s->w, s->h);
    if (!crop) return FW_OK;
    uint8_t *valid = fw_out(t, it, VALID, 1);
    float *vec = s->vec[it->worker];
    FW_TRY(fw_embed(s->worker[it->worker], crop, 1, vec, valid, e));
    fw_float_to_half(vec, fw_out(t, it, VEC, 1), (size_t)t->width);
    return FW_OK;
}

const fw_stage fw_stage_embed = {
    .name = "embed",
    .summary = "turn every aligned face into an embedding",
    .version = 1,
    .scope = FW_SCOPE_SHARD,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"embed.", "image.", NULL},
    .models = (const char *const[]){"embed.model", NULL},
    .open = open_embed,
    .image = image_embed,
    .close = close_embed,
};
