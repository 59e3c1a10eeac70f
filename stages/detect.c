/* detect: find all faces of a photo and say which one its label is about. */
#include "../lib/landmarker.h"
#include "stage.h"

#include <stdlib.h>
#include <string.h>

enum { STATUS, SIZE, BOX, SCORE, LANDMARK, TARGET, POINTS, WHY };

static const fw_output outputs[] = {
    [STATUS] = {"detect.status", FW_U8, 1, FW_ONE, "enum fw_img_status: 0 ok, 1 no face, 2 unreadable, 3 unsupported"},
    [SIZE] = {"detect.size", FW_I32, 2, FW_ONE, "width and height of the upright photo in pixels, 0 0 if unreadable"},
    [BOX] = {"detect.box", FW_F32, 4, FW_MANY, "x0 y0 x1 y1 of each face in photo pixels, best score first"},
    [SCORE] = {"detect.score", FW_F32, 1, FW_MANY, "detector score of each face, 0..1"},
    [LANDMARK] = {"detect.landmark", FW_F32, 10, FW_MANY,
                  "x y of eyes, nose, mouth corners of each face, photo pixels"},
    [TARGET] = {"detect.target", FW_I32, 1, FW_ONE,
                "which face the label is about (the most central large one), -1: none"},
    [POINTS] = {"detect.points", FW_U8, 1, FW_MANY,
                "enum fw_points: where the landmarks come from; 0 the detector, 1 the box alone, 2 detect.landmarks"},
    [WHY] = {"detect.why", FW_U8, 1, FW_MANY, "text: why a photo is unreadable or unsupported"},
    {0}};

enum { DETECTORS = 4 }; /* of which the next is tried where one finds no face */

typedef struct state {
    fw_runtime *runtime;
    fw_detector *detector[DETECTORS];
    fw_detector_worker **worker[DETECTORS];
    int detectors;
    fw_landmarker *landmarker; /* NULL: none */
    fw_landmarker_worker **points;
    fw_face **faces; /* by worker */
    int max;
    bool skip; /* photos are aligned already, or their middle is taken */
} state;

static void close_detect(fw_task *t)
{
    state *s = t->state;
    if (!s) return;
    for (int k = 0; k < s->detectors; k++) {
        for (int i = 0; s->worker[k] && i < t->workers; i++) fw_detector_worker_close(s->worker[k][i]);
        fw_free(s->worker[k]);
        fw_detector_close(s->detector[k]);
    }
    for (int i = 0; s->points && i < t->workers; i++) fw_landmarker_worker_close(s->points[i]);
    fw_free(s->points);
    fw_landmarker_close(s->landmarker);
    for (int i = 0; s->faces && i < t->workers; i++) fw_free(s->faces[i]);
    fw_free(s->faces);
    fw_runtime_close(s->runtime);
    fw_free(s);
}

static int load_detector(fw_task *t, state *s, const fw_modeldesc *desc, fw_err *e)
{
    const fw_conf *c = t->conf;
    fw_detector_opts opts = {.size = (int)c->detect_size,
                             .second_size = c->detect_second_size ? (int)c->detect_second_size : -1,
                             .threshold = (float)c->detect_threshold,
                             .nms_iou = (float)c->detect_nms_iou,
                             .tile = (int)c->detect_tile,
                             .max_faces = s->max,
                             .provider = c->run_provider};
    if (s->detectors == DETECTORS)
        return fw_fail(e, FW_EUSAGE, "detect.model = %s: at most %d detectors", c->detect_model, DETECTORS);
    const int k = s->detectors++;
    FW_TRY(fw_detector_open(s->runtime, desc, &opts, &s->detector[k], e));
    s->worker[k] = FW_ARRAY(fw_detector_worker *, (size_t)t->workers);
    for (int i = 0; i < t->workers; i++) FW_TRY(fw_detector_worker_open(s->detector[k], &s->worker[k][i], e));
    return FW_OK;
}

static int load_landmarker(fw_task *t, state *s, fw_err *e)
{
    fw_modeldesc *desc = NULL;
    FW_TRY(fw_task_modeldesc(t, "detect.landmarks", 0, &desc, e));
    int rc = fw_landmarker_open(s->runtime, desc, t->conf->run_provider, &s->landmarker, e);
    fw_modeldesc_free(desc);
    FW_TRY(rc);
    s->points = FW_ARRAY(fw_landmarker_worker *, (size_t)t->workers);
    for (int i = 0; i < t->workers; i++) FW_TRY(fw_landmarker_worker_open(s->landmarker, &s->points[i], e));
    return FW_OK;
}

static int load_detectors(fw_task *t, state *s, fw_err *e)
{
    FW_TRY(fw_runtime_open(&s->runtime, e));
    for (size_t at = 0;; at++) {
        fw_modeldesc *desc = NULL;
        FW_TRY(fw_task_modeldesc(t, "detect.model", at, &desc, e));
        if (!desc) break;
        int rc = load_detector(t, s, desc, e);
        fw_modeldesc_free(desc);
        FW_TRY(rc);
    }
    if (*t->conf->detect_landmarks) FW_TRY(load_landmarker(t, s, e));
    s->faces = FW_ARRAY(fw_face *, (size_t)t->workers);
    for (int i = 0; i < t->workers; i++) s->faces[i] = FW_ARRAY(fw_face, (size_t)s->max);
    return FW_OK;
}

static int open_detect(fw_task *t, fw_err *e)
{
    state *s = t->state = FW_NEW(state);
    s->max = (int)t->conf->detect_max_faces;
    int dim;
    bool photos;
    FW_TRY(fw_task_vector_sources(t, &dim, &photos, e));
    s->skip = strcmp(t->conf->align_mode, "landmarks") || !photos;
    return s->skip ? FW_OK : load_detectors(t, s, e);
}

static void put_faces(fw_task *t, fw_item *it, const fw_face *face, int n)
{
    float *box = fw_out(t, it, BOX, (size_t)n), *score = fw_out(t, it, SCORE, (size_t)n);
    float *landmark = fw_out(t, it, LANDMARK, (size_t)n);
    uint8_t *points = fw_out(t, it, POINTS, (size_t)n);
    for (int i = 0; i < n; i++) {
        memcpy(box + 4 * i, face[i].box, sizeof face[i].box);
        memcpy(landmark + 10 * i, face[i].landmark, sizeof face[i].landmark);
        score[i] = face[i].score;
        points[i] = (uint8_t)face[i].points;
    }
}

static int image_detect(fw_task *t, fw_item *it, fw_err *e)
{
    state *s = t->state;
    enum fw_img_status status;
    const char *why;
    const fw_image *im = fw_item_image(it, &status, &why);
    uint8_t *out_status = fw_out(t, it, STATUS, 1);
    int32_t *size = fw_out(t, it, SIZE, 1), *target = fw_out(t, it, TARGET, 1);
    *out_status = (uint8_t)status;
    *target = -1;
    if (!im) {
        memcpy(fw_out(t, it, WHY, strlen(why)), why, strlen(why));
        return FW_OK;
    }
    size[0] = im->full_width;
    size[1] = im->full_height;
    if (s->skip) return FW_OK;
    int n = 0;
    fw_face *face = s->faces[it->worker];
    for (int k = 0; k < s->detectors && !n; k++)
        FW_TRY(fw_detect(s->worker[k][it->worker], im, face, s->max, &n, NULL, e));
    for (int i = 0; s->points && i < n; i++)
        if (face[i].points == FW_POINTS_NONE) FW_TRY(fw_landmarker_find(s->points[it->worker], im, &face[i], e));
    put_faces(t, it, face, n);
    *target = fw_target_face(face, n, im->full_width, im->full_height);
    if (!n) *out_status = FW_IMG_NO_FACE;
    return FW_OK;
}

const fw_stage fw_stage_detect = {
    .name = "detect",
    .summary = "find faces, landmarks and the target face of every photo",
    .version = 2,
    .scope = FW_SCOPE_SHARD,
    .outputs = outputs,
    .settings = (const char *const[]){"detect.", "image.", "align.mode", NULL},
    .models = (const char *const[]){"detect.model", "detect.landmarks", NULL},
    .open = open_detect,
    .image = image_detect,
    .close = close_detect,
};
