/* embed: one vector per image that says whose face it is.
 *
 * With several models the vector is theirs side by side, each of unit length times the square root of its weight (the
 * weights add up to 1): its cosine is the weighted mean of the models' own cosines, so everything behind works on the
 * joint evidence and knows nothing of it. A face that one of them cannot embed has no embedding. */
#include "../index/vectors.h"
#include "../lib/embedder.h"
#include "../lib/frame.h"
#include "../lib/scorer.h"
#include "align.h"
#include "stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IN_STATUS, IN_MATRIX, IN_SIZE, IN_BOX, IN_LANDMARK, IN_TARGET };
enum { VALID, VEC, QUALITY };

static const char *const inputs[] = {"align.status",    "align.matrix",  "detect.size", "detect.box",
                                     "detect.landmark", "detect.target", NULL};
static const fw_output outputs[] = {
    [VALID] = {"embed.valid", FW_U8, 1, FW_ONE, "1: there is an embedding"},
    [VEC] = {"embed.vec", FW_F16, 0, FW_ONE, "L2-normalised embedding, half floats; zeros when there is none"},
    [QUALITY] = {"embed.quality", FW_F32, 1, FW_ONE,
                 "0..1 from the embedding's length, of the first model whose description has norm_range; -1: none has"},
    {0}};

typedef struct network {
    fw_embedder *embedder;
    fw_embedder_worker **worker; /* by worker */
    fw_frame frame;
    bool reference; /* its frame is the one that align found */
    float part;     /* square root of its weight */
    float norm_range[2];
} network;

typedef struct state {
    fw_runtime *runtime;
    network *net;
    size_t nets;
    float **vec; /* by worker */
    bool photos; /* some set has images; the others bring their embeddings */
} state;

static void close_embed(fw_task *t)
{
    state *s = t->state;
    if (!s) return;
    for (size_t k = 0; k < s->nets; k++) {
        for (int i = 0; s->net[k].worker && i < t->workers; i++) fw_embedder_worker_close(s->net[k].worker[i]);
        fw_free(s->net[k].worker);
        fw_embedder_close(s->net[k].embedder);
    }
    for (int i = 0; s->vec && i < t->workers; i++) fw_free(s->vec[i]);
    fw_free(s->vec);
    fw_free(s->net);
    fw_runtime_close(s->runtime);
    fw_free(s);
}

static int open_network(fw_task *t, state *s, const fw_modeldesc *d, fw_err *e)
{
    s->net = fw_realloc(s->net, s->nets + 1, sizeof *s->net);
    network *n = &s->net[s->nets++];
    *n = (network){.part = 1};
    memcpy(n->norm_range, d->norm_range, sizeof n->norm_range);
    FW_TRY(fw_frame_of(d, &n->frame, e));
    const fw_template *ref = fw_template_find(FW_ALIGN_FRAME);
    n->reference = !n->frame.box && n->frame.width == ref->width && n->frame.height == ref->height &&
                   !memcmp(n->frame.point, ref->point, sizeof ref->point);
    fw_embedder_opts opts = {.flip = t->conf->embed_flip,
                             .provider = t->conf->run_provider,
                             .bf16 = !strcmp(t->conf->embed_precision, "bf16")};
    FW_TRY(fw_embedder_open(s->runtime, d, &opts, &n->embedder, e));
    n->worker = FW_ARRAY(fw_embedder_worker *, (size_t)t->workers);
    for (int i = 0; i < t->workers; i++) FW_TRY(fw_embedder_worker_open(n->embedder, &n->worker[i], e));
    t->width += fw_embedder_dim(n->embedder);
    return FW_OK;
}

/* embed.weights: one positive number per model, or nothing. */
static int weigh(const fw_task *t, state *s, fw_err *e)
{
    double sum = 0;
    size_t given = 0;
    for (char *text; (text = fw_conf_item(t->conf, "embed.weights", given)); given++) {
        char *end;
        const double w = strtod(text, &end);
        const bool good = end != text && !*end && isfinite(w) && w > 0;
        if (good && given < s->nets) s->net[given].part = (float)w;
        fw_free(text);
        if (!good)
            return fw_fail(e, FW_EUSAGE, "embed.weights = '%s': must be numbers above 0", t->conf->embed_weights);
    }
    if (given && given != s->nets)
        return fw_fail(e, FW_EUSAGE, "embed.weights = '%s': %zu weights for %zu models", t->conf->embed_weights, given,
                       s->nets);
    for (size_t k = 0; k < s->nets; k++) sum += s->net[k].part;
    for (size_t k = 0; k < s->nets; k++) s->net[k].part = (float)sqrt(s->net[k].part / sum);
    return FW_OK;
}

static int load_models(fw_task *t, state *s, fw_err *e)
{
    FW_TRY(fw_runtime_open(&s->runtime, e));
    t->width = 0;
    for (size_t at = 0;; at++) {
        fw_modeldesc *desc = NULL;
        FW_TRY(fw_task_modeldesc(t, "embed.model", at, &desc, e));
        if (!desc) break;
        int rc = open_network(t, s, desc, e);
        fw_modeldesc_free(desc);
        FW_TRY(rc);
    }
    if (t->width > FW_VECTOR_MAX)
        return fw_fail(e, FW_EUSAGE, "embed.model = %s: together %d dimensions, at most %d", t->conf->embed_model,
                       t->width, FW_VECTOR_MAX);
    s->vec = FW_ARRAY(float *, (size_t)t->workers);
    for (int i = 0; i < t->workers; i++) s->vec[i] = FW_ARRAY(float, (size_t)t->width);
    return weigh(t, s, e);
}

static int open_embed(fw_task *t, fw_err *e)
{
    state *s = t->state = FW_NEW(state);
    int dim;
    FW_TRY(fw_task_vector_sources(t, &dim, &s->photos, e));
    t->width = dim;
    if (!s->photos) return FW_OK;
    FW_TRY(load_models(t, s, e));
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

/* The transform to a network's own frame, as align found the face; false: its box or landmarks say nothing there. */
static bool own_matrix(fw_task *t, fw_item *it, const network *n, enum fw_align_status status, float m[6])
{
    const int32_t *size = fw_in(t, it, IN_SIZE, NULL), *target = fw_in(t, it, IN_TARGET, NULL);
    if (n->reference) {
        memcpy(m, fw_in(t, it, IN_MATRIX, NULL), 6 * sizeof *m);
        return true;
    }
    size_t faces;
    const float *box = fw_in(t, it, IN_BOX, &faces), *landmark = fw_in(t, it, IN_LANDMARK, NULL);
    const bool face = *target >= 0 && (size_t)*target < faces;
    return fw_align_matrix(&n->frame, status, size, face ? box + 4 * *target : NULL,
                           face ? landmark + 10 * *target : NULL, m);
}

static int image_embed(fw_task *t, fw_item *it, fw_err *e)
{
    state *s = t->state;
    float given[FW_VECTOR_MAX], *quality = fw_out(t, it, QUALITY, 1), norm;
    *quality = -1;
    if (fw_item_vector(it, given)) return take_vector(t, it, given, e);
    const uint8_t *status = fw_in(t, it, IN_STATUS, NULL);
    if (*status == FW_ALIGN_NONE) return FW_OK;
    float *vec = s->vec[it->worker], m[6];
    int at = 0;
    for (size_t k = 0; k < s->nets; k++) {
        const network *n = &s->net[k];
        const uint8_t *crop =
            own_matrix(t, it, n, *status, m) ? fw_item_crop(it, m, n->frame.width, n->frame.height) : NULL;
        uint8_t ok = 0;
        if (crop) FW_TRY(fw_embed_norm(n->worker[it->worker], crop, 1, vec + at, &ok, &norm, e));
        if (!ok) return FW_OK; /* no evidence from one: none at all */
        if (*quality < 0 && n->norm_range[0] != n->norm_range[1]) *quality = fw_range_share(n->norm_range, norm);
        for (int i = 0; i < fw_embedder_dim(n->embedder); i++) vec[at + i] *= n->part;
        at += fw_embedder_dim(n->embedder);
    }
    *(uint8_t *)fw_out(t, it, VALID, 1) = 1;
    fw_float_to_half(vec, fw_out(t, it, VEC, 1), (size_t)t->width);
    return FW_OK;
}

const fw_stage fw_stage_embed = {
    .name = "embed",
    .summary = "turn every aligned face into an embedding",
    .version = 3,
    .scope = FW_SCOPE_SHARD,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"embed.", "image.", NULL},
    .models = (const char *const[]){"embed.model", NULL},
    .open = open_embed,
    .image = image_embed,
    .close = close_embed,
};
