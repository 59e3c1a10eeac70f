#include "landmarks.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* Mean of (landmark - corner) / side over the 13,233 target faces of LFW, made symmetric; boxes and landmarks of the
 * shipped RetinaFace, whose boxes are those of WIDER FACE, as SCRFD's, YuNet's and MTCNN's are. Standard deviations:
 * eyes .08 and .02, nose .14 and .04, mouth .08 and .01 of the box's width and height. */
static const float MEAN[10] = {0.278f, 0.379f, 0.722f, 0.379f, 0.5f, 0.572f, 0.308f, 0.727f, 0.692f, 0.727f};

void fw_landmarks_of_box(const float box[4], float out[10])
{
    for (int i = 0; i < 10; i++) out[i] = box[i % 2] + MEAN[i] * (box[2 + i % 2] - box[i % 2]);
}

enum fw_landmark_fault fw_landmarks_check(const float box[4], const float p[10])
{
    const float w = box[2] - box[0], h = box[3] - box[1], side = w > h ? w : h;
    for (int i = 0; i < 10; i++) /* a box clipped at the photo's edge may have its points a side away, not more */
        if (!isfinite(p[i]) || p[i] < box[i % 2] - side || p[i] > box[2 + i % 2] + side) return FW_LANDMARKS_ODD;
    const float ex = p[2] - p[0], ey = p[3] - p[1], eyes = hypotf(ex, ey);
    const float mx = (p[6] + p[8] - p[0] - p[2]) / 2, my = (p[7] + p[9] - p[1] - p[3]) / 2, drop = hypotf(mx, my);
    /* Profiles have their eyes close together: of LFW's 13,233 faces the least is .148 of the way from eyes to mouth.
     */
    if (!(eyes > 0.1f * drop) || eyes < 1) return FW_LANDMARKS_EYES;
    return ex * my - ey * mx > 0 ? FW_LANDMARKS_SANE : FW_LANDMARKS_UPSIDE;
}

/* "36-41" or "30" at *text, up to the ';' or the end, which is consumed. */
static bool parse_group(const char **text, int points, int *first, int *last)
{
    char *end;
    if (!isdigit((unsigned char)**text)) return false;
    const long a = strtol(*text, &end, 10);
    long b = a;
    if (*end == '-') {
        if (!isdigit((unsigned char)end[1])) return false;
        b = strtol(end + 1, &end, 10);
    }
    if (a > b || b >= points || (*end && *end != ';')) return false;
    *first = (int)a;
    *last = (int)b;
    *text = *end ? end + 1 : end;
    return true;
}

bool fw_five_parse(const char *text, int points, fw_five *out)
{
    for (int i = 0; i < 5; i++)
        if (!parse_group(&text, points, &out->first[i], &out->last[i])) return false;
    return !*text;
}

void fw_five_take(const fw_five *five, const float *point, float out[10])
{
    for (int i = 0; i < 10; i++) {
        double sum = 0;
        for (int k = five->first[i / 2]; k <= five->last[i / 2]; k++) sum += point[2 * k + i % 2];
        out[i] = (float)(sum / (five->last[i / 2] - five->first[i / 2] + 1));
    }
}
