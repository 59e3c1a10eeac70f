/* quality: measure the target face's crop (lib/quality.h) in the reference frame, which the measures are made for. The
 * score is theirs, unless there is something trained for it: a quality model, or an embedder whose length says it. */
#include "../lib/quality.h"
#include "../lib/scorer.h"
#include "align.h"
#include "stage.h"

#include <string.h>

enum { IN_STATUS, IN_MATRIX, IN_LANDMARK, IN_SCORE, IN_TARGET, IN_NORM, IN_SIZE, IN_BOX };
enum { MEASURES, SCORE };

static const char *const inputs[] = {"align.status", "align.matrix",  "detect.landmark",
                                     "detect.score", "detect.target", "embed.quality",
                                     "detect.size",  "detect.box",    NULL};
static const fw_output outputs[] = {
    [MEASURES] =
        {"quality.measures", FW_F32, 8, FW_ONE,
         "sharpness, brightness, contrast, eye distance (photo pixels), detector score, yaw, pitch, roll (degrees)"},
    [SCORE] = {"quality.score", FW_F32, 1, FW_ONE,
               "one number, 0..1: of quality.model, else embed.quality, else all measures together"},
    {0}};

/* Where a photo was taken as it is (no detection), or the landmarks were not to be believed, the landmarks are those
 * that an aligned crop has, by definition. */
static void photo_landmarks(const float matrix[6], const fw_template *f, float out[10])
{
    fw_affine a = {{matrix[0], matrix[1], matrix[2], matrix[3], matrix[4], matrix[5]}}, back;
    if (!fw_affine_invert(&a, &back)) memset(&back, 0, sizeof back);
    for (int i = 0; i < 5; i++) {
        double x, y;
        fw_affine_apply(&back, f->point[2 * i], f->point[2 * i + 1], &x, &y);
        out[2 * i] = (float)x;
        out[2 * i + 1] = (float)y;
    }
}

typedef struct state {
    fw_runtime *runtime;
    fw_scorer *scorer;
    fw_scorer_worker **worker; /* by worker */
    fw_frame frame;
} state;

static void close_quality(fw_task *t)
{
    state *s = t->state;
    if (!s) return;
    for (int i = 0; s->worker && i < t->workers; i++) fw_scorer_worker_close(s->worker[i]);
    fw_free(s->worker);
    fw_scorer_close(s->scorer);
    fw_runtime_close(s->runtime);
    fw_free(s);
}

static int open_scorer(fw_task *t, state *s, const fw_modeldesc *d, fw_err *e)
{
    FW_TRY(fw_frame_of(d, &s->frame, e));
    FW_TRY(fw_runtime_open(&s->runtime, e));
    FW_TRY(fw_scorer_open(s->runtime, d, t->conf->run_provider, &s->scorer, e));
    s->worker = FW_ARRAY(fw_scorer_worker *, (size_t)t->workers);
    for (int i = 0; i < t->workers; i++) FW_TRY(fw_scorer_worker_open(s->scorer, &s->worker[i], e));
    return FW_OK;
}

static int open_quality(fw_task *t, fw_err *e)
{
    state *s = t->state = FW_NEW(state);
    fw_modeldesc *d = NULL;
    if (!*t->conf->quality_model) return FW_OK;
    FW_TRY(fw_task_modeldesc(t, "quality.model", 0, &d, e));
    int rc = open_scorer(t, s, d, e);
    fw_modeldesc_free(d);
    return rc;
}

/* A model's or the embedder's word, where there is one. */
static int trained_score(fw_task *t, fw_item *it, const float *landmark, float *score, fw_err *e)
{
    const state *s = t->state;
    const float norm = *(const float *)fw_in(t, it, IN_NORM, NULL), *box = fw_in(t, it, IN_BOX, NULL);
    const int32_t *target = fw_in(t, it, IN_TARGET, NULL);
    float m[6];
    if (!s->scorer) {
        if (norm >= 0) *score = norm;
        return FW_OK;
    }
    const uint8_t *crop = NULL;
    if (fw_align_matrix(&s->frame, *(const uint8_t *)fw_in(t, it, IN_STATUS, NULL), fw_in(t, it, IN_SIZE, NULL),
                        box && *target >= 0 ? box + 4 * *target : NULL, landmark, m))
        crop = fw_item_crop(it, m, s->frame.width, s->frame.height);
    *score = 0;
    return crop ? fw_score(s->worker[it->worker], crop, score, e) : FW_OK;
}

static int image_quality(fw_task *t, fw_item *it, fw_err *e)
{
    const fw_template *f = fw_template_find(FW_ALIGN_FRAME);
    const uint8_t *status = fw_in(t, it, IN_STATUS, NULL);
    const float *matrix = fw_in(t, it, IN_MATRIX, NULL);
    const int32_t *target = fw_in(t, it, IN_TARGET, NULL);
    size_t faces;
    const float *landmark = fw_in(t, it, IN_LANDMARK, &faces), *score = fw_in(t, it, IN_SCORE, NULL);
    const uint8_t *crop = *status == FW_ALIGN_NONE ? NULL : fw_item_crop(it, matrix, f->width, f->height);
    if (fw_item_vector(it, NULL)) *(float *)fw_out(t, it, SCORE, 1) = 1.0f; /* no photo: nothing to hold against it */
    if (!crop) return FW_OK;
    float points[10], det = 1.0f;
    bool detected =
        *target >= 0 && (size_t)*target < faces && (*status == FW_ALIGN_LANDMARKS || *status == FW_ALIGN_BOX);
    if (detected) det = score[*target];
    if (detected && *status == FW_ALIGN_LANDMARKS)
        memcpy(points, landmark + 10 * *target, sizeof points);
    else
        photo_landmarks(matrix, f, points);
    fw_quality q = fw_quality_measure(crop, points, det);
    const float all[8] = {q.sharpness, q.brightness, q.contrast,   q.eyes,
                          q.det_score, q.pose.yaw,   q.pose.pitch, q.pose.roll};
    memcpy(fw_out(t, it, MEASURES, 1), all, sizeof all);
    float *out = fw_out(t, it, SCORE, 1);
    *out = fw_quality_score(&q);
    return trained_score(t, it, points, out, e);
}

const fw_stage fw_stage_quality = {
    .name = "quality",
    .summary = "measure sharpness, light, size and pose of the target face",
    .version = 2,
    .scope = FW_SCOPE_SHARD,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"image.", "quality.", NULL},
    .models = (const char *const[]){"quality.model", NULL},
    .open = open_quality,
    .image = image_quality,
    .close = close_quality,
};
