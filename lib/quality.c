#include "quality.h"

#include <math.h>

enum { SIDE = 112, HALF = SIDE / 2 };
/* The face inside the template: brows to chin, cheek to cheek. In blocks of 2 x 2; even numbers keep the two alike. */
enum { LEFT = 10, RIGHT = 46, TOP = 14, BOTTOM = 54 };

static void luma_blocks(const uint8_t *crop, float luma[SIDE * SIDE], float block[HALF * HALF])
{
    for (int i = 0; i < SIDE * SIDE; i++)
        luma[i] = 0.299f * crop[3 * i] + 0.587f * crop[3 * i + 1] + 0.114f * crop[3 * i + 2];
    for (int y = 0; y < HALF; y++)
        for (int x = 0; x < HALF; x++) {
            const float *p = luma + 2 * y * SIDE + 2 * x;
            block[y * HALF + x] = (p[0] + p[1] + p[SIDE] + p[SIDE + 1]) / 4;
        }
}

static void mean_and_std(const float *luma, float *mean, float *std)
{
    double sum = 0, squares = 0;
    const int n = 4 * (RIGHT - LEFT) * (BOTTOM - TOP);
    for (int y = 2 * TOP; y < 2 * BOTTOM; y++)
        for (int x = 2 * LEFT; x < 2 * RIGHT; x++) {
            const double v = luma[y * SIDE + x];
            sum += v;
            squares += v * v;
        }
    const double m = sum / n;
    *mean = (float)m;
    *std = (float)sqrt(fmax(0, squares / n - m * m));
}

static double laplacian_variance(const float *block)
{
    double sum = 0, squares = 0;
    const int n = (RIGHT - LEFT) * (BOTTOM - TOP);
    for (int y = TOP; y < BOTTOM; y++)
        for (int x = LEFT; x < RIGHT; x++) {
            const float *p = block + y * HALF + x;
            const double v = (double)p[-HALF] + p[-1] + p[1] + p[HALF] - 4.0 * p[0];
            sum += v;
            squares += v * v;
        }
    return fmax(0, squares / n - sum / n * (sum / n));
}

fw_quality fw_quality_measure(const uint8_t *crop, const float landmarks[10], float det_score)
{
    float luma[SIDE * SIDE], block[HALF * HALF];
    fw_quality q = {.det_score = det_score};
    luma_blocks(crop, luma, block);
    mean_and_std(luma, &q.brightness, &q.contrast);
    /* under one grey level there is nothing but rounding to be sharp */
    if (q.contrast >= 1) q.sharpness = (float)(laplacian_variance(block) / q.contrast);
    q.eyes = hypotf(landmarks[2] - landmarks[0], landmarks[3] - landmarks[1]);
    q.pose = fw_pose_from_landmarks(landmarks);
    return q;
}

static double rise(double x, double half)
{
    return x > 0 ? x * x / (x * x + half * half) : 0;
}

static double fall(double x, double half)
{
    return half * half / (x * x + half * half);
}

float fw_quality_score(const fw_quality *q)
{
    const double picture = rise(q->sharpness, 7.5) * rise(q->eyes, 12) * rise(q->contrast, 8) *
                           rise(q->brightness, 25) * rise(255 - q->brightness, 20);
    const double pose = fall(q->pose.yaw, 50) * fall(q->pose.pitch, 40) * fall(q->pose.roll, 90);
    const double score = picture * pose * rise(q->det_score, 0.5) * 1.25;
    return score >= 0 && score <= 1 ? (float)score : score > 1 ? 1.0f : 0.0f; /* NaN: 0 */
}
