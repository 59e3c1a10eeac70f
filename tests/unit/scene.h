/* scene: photos that do not exist, for tests of signatures and duplicates. A scene is a sum of random blobs, defined at
 * every point of the plane, so it can be "photographed" with any scale, rotation, crop, mirroring and light. */
#ifndef FW_TEST_SCENE_H
#define FW_TEST_SCENE_H

#include "../../lib/image.h"

#include <math.h>
#include <string.h>

enum { BLOBS = 60 };

typedef struct scene {
    double x[BLOBS], y[BLOBS], r[BLOBS], v[BLOBS];
} scene;

/* Blobs `from`..`to` come from `seed`: two scenes that share a part are two shots before one background. */
static inline void scene_part(scene *s, int from, int to, uint64_t seed)
{
    fw_rng r = {seed * 7919 + 13};
    for (int i = from; i < to; i++) {
        s->x[i] = 200 * fw_rng_unit(&r);
        s->y[i] = 200 * fw_rng_unit(&r);
        s->r[i] = 5 + 25 * fw_rng_unit(&r);
        s->v[i] = 70 * (fw_rng_unit(&r) - 0.5);
    }
}

static inline scene scene_new(uint64_t seed)
{
    scene s;
    scene_part(&s, 0, BLOBS, seed);
    return s;
}

static inline double scene_at(const scene *s, double x, double y)
{
    double v = 120;
    for (int i = 0; i < BLOBS; i++) {
        double dx = (x - s->x[i]) / s->r[i], dy = (y - s->y[i]) / s->r[i], d = dx * dx + dy * dy;
        if (d < 9) v += s->v[i] * exp(-d / 2) * 2;
    }
    return v;
}

/* How a photo of the 200 x 200 scene is taken. */
typedef struct shot {
    double zoom, angle, dx, dy; /* pixels per scene unit; degrees about the centre; scene shift */
    double gain, offset, noise;
    bool mirror;
    int border; /* black frame of that many pixels around the picture */
} shot;

#define SHOT ((shot){.zoom = 1, .gain = 1})

/* Where the five template points stand in the scene: a face 70 units wide in its middle. */
static const float scene_face[10] = {85, 88, 115, 88, 100, 105, 88, 122, 112, 122};

/* Photo of `side` = 200 * zoom pixels plus border; landmarks into lm unless NULL. Free with fw_image_free. */
static inline fw_image scene_shoot(const scene *s, shot k, uint64_t seed, float lm[10])
{
    int side = (int)(200 * k.zoom), all = side + 2 * k.border;
    fw_image im = {.width = all, .height = all, .full_width = all, .full_height = all};
    fw_rng r = {seed + 99};
    double c = cos(k.angle * M_PI / 180), d = sin(k.angle * M_PI / 180);
    im.cap = (size_t)all * (size_t)all * 3;
    im.rgb = fw_alloc(im.cap, 1);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            double px = (k.mirror ? side - 1 - x : x) / k.zoom - 100, py = y / k.zoom - 100;
            double v = scene_at(s, c * px + d * py + 100 + k.dx, -d * px + c * py + 100 + k.dy);
            v = k.gain * v + k.offset + k.noise * fw_rng_normal(&r);
            uint8_t *p = im.rgb + 3 * ((size_t)(y + k.border) * (size_t)all + (size_t)(x + k.border));
            memset(p, v < 20 ? 20 : v > 240 ? 240 : (int)v, 3);
        }
    for (int i = 0; lm && i < 5; i++) {
        double x = scene_face[2 * i] - 100 - k.dx, y = scene_face[2 * i + 1] - 100 - k.dy;
        double px = (c * x - d * y + 100) * k.zoom, py = (d * x + c * y + 100) * k.zoom;
        int to = k.mirror ? (const int[]){1, 0, 2, 4, 3}[i] : i;
        lm[2 * to] = (float)((k.mirror ? side - 1 - px : px) + k.border);
        lm[2 * to + 1] = (float)(py + k.border);
    }
    return im;
}

#endif
