/* quality: measure the target face's crop (lib/quality.h) in the reference frame, which the measures are made for. */
#include "../lib/quality.h"
#include "align.h"
#include "stage.h"

#include <string.h>

enum { IN_STATUS, IN_MATRIX, IN_LANDMARK, IN_SCORE, IN_TARGET };
enum { MEASURES, SCORE };

static const char *const inputs[] = {"align.status", "align.matrix",  "detect.landmark",
                                     "detect.score", "detect.target", NULL};
static const fw_output outputs[] = {
    [MEASURES] =
        {"quality.measures", FW_F32, 8, FW_ONE,
         "sharpness, brightness, contrast, eye distance (photo pixels), detector score, yaw, pitch, roll (degrees)"},
    [SCORE] = {"quality.score", FW_F32, 1, FW_ONE, "all of them as one number, 0..1"},
    {0}};

/* Where a photo was taken as it is (no detection), or the landmarks were not to be believed, the landmarks are those that an aligned crop has, by definition. */
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

static int image_quality(fw_task *t, fw_item *it, fw_err *e)
{
    FW_UNUSED(e);
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
    *(float *)fw_out(t, it, SCORE, 1) = fw_quality_score(&q);
    return FW_OK;
}

const fw_stage fw_stage_quality = {
    .name = "quality",
    .summary = "measure sharpness, light, size and pose of the target face",
    .version = 1,
    .scope = FW_SCOPE_SHARD,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"image.", NULL},
    .image = image_quality,
};
