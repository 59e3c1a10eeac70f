#include "signature.h"
#include "warp.h"

#include <math.h>
#include <string.h>

enum { HASH_SIDE = 32 }; /* pHash's usual input size */

/* Width of `wide` in units of the 112-pixel face template: about what a head-and-shoulders crop shows, so that
 * background takes part. Copies on LFW have 20-95 % of it inside the photo. */
static const float SPAN = 2.2f * 112;

/* A grey picture with margins marked: pixel (x,y) is outside when it lies in one of the four runs of margin colour that
 * start at the picture's edges. Four arrays of run lengths describe corners, bars and frames without a mask. */
typedef struct grey {
    int w, h;
    uint8_t *px;
    int *left, *right, *top, *bottom;
} grey;

/* BT.601 luma in 8 bits, rounded. */
static uint8_t luma(const uint8_t *p)
{
    return (uint8_t)((77 * p[0] + 150 * p[1] + 29 * p[2] + 128) >> 8);
}

/* JPEG rings around a hard edge: pure black arrives as up to about 12. White margins as down to 250. */
static bool margin_colour(uint8_t v)
{
    return v <= 12 || v >= 250;
}

static int run_length(const uint8_t *p, int count, ptrdiff_t step)
{
    int n = 0;
    while (n < count && margin_colour(p[n * step])) n++;
    return n ? n + 1 : 0; /* one more: the pixel where margin and photo mix */
}

static void find_margins(grey *g)
{
    for (int y = 0; y < g->h; y++) {
        const uint8_t *row = g->px + (size_t)y * g->w;
        g->left[y] = run_length(row, g->w, 1);
        g->right[y] = run_length(row + g->w - 1, g->w, -1);
    }
    for (int x = 0; x < g->w; x++) {
        g->top[x] = run_length(g->px + x, g->h, g->w);
        g->bottom[x] = run_length(g->px + (size_t)(g->h - 1) * g->w + x, g->h, -g->w);
    }
}

static bool inside(const grey *g, int x, int y)
{
    if (x < 0 || y < 0 || x >= g->w || y >= g->h) return false;
    return x >= g->left[y] && x < g->w - g->right[y] && y >= g->top[x] && y < g->h - g->bottom[x];
}

static grey grey_new(const uint8_t *rgb, int w, int h)
{
    grey g = {w,
              h,
              fw_alloc((size_t)w * (size_t)h, 1),
              FW_ARRAY(int, h),
              FW_ARRAY(int, h),
              FW_ARRAY(int, w),
              FW_ARRAY(int, w)};
    for (size_t i = 0, n = (size_t)w * (size_t)h; i < n; i++) g.px[i] = luma(rgb + 3 * i);
    find_margins(&g);
    return g;
}

static void grey_free(grey *g)
{
    fw_free(g->px);
    fw_free(g->left);
    fw_free(g->right);
    fw_free(g->top);
    fw_free(g->bottom);
}

/* Shrunk to w x h (area-averaged) as grey. */
static grey grey_resized(const fw_image *img, int w, int h)
{
    if (w == img->width && h == img->height) return grey_new(img->rgb, w, h);
    uint8_t *small = fw_alloc((size_t)w * (size_t)h, 3);
    fw_image_resize(img->rgb, img->width, img->height, small, w, h);
    grey g = grey_new(small, w, h);
    fw_free(small);
    return g;
}

/* Stored values keep 0 for "outside". */
static uint8_t stored(float v)
{
    int i = (int)lrintf(v);
    return (uint8_t)(i < 1 ? 1 : i > 255 ? 255 : i);
}

/* Bilinear sample; false when one of the four pixels is outside. */
static bool sample(const grey *g, float x, float y, float *v)
{
    int x0 = (int)floorf(x), y0 = (int)floorf(y);
    if (!inside(g, x0, y0) || !inside(g, x0 + 1, y0) || !inside(g, x0, y0 + 1) || !inside(g, x0 + 1, y0 + 1))
        return false;
    const uint8_t *p = g->px + (size_t)y0 * g->w + x0;
    float fx = x - x0, fy = y - y0;
    float a = p[0] + fx * (p[1] - p[0]), b = p[g->w] + fx * (p[g->w + 1] - p[g->w]);
    *v = a + fy * (b - a);
    return true;
}

/* Mean of k x k samples spread over the patch pixel whose corner is (u,v), or 0 when any of them is outside. */
static uint8_t patch_pixel(const grey *g, const fw_affine *map, float u, float v, float pitch, int k)
{
    float sum = 0;
    for (int j = 0; j < k; j++)
        for (int i = 0; i < k; i++) {
            double x, y;
            float s;
            fw_affine_apply(map, u + pitch * (i + 0.5f) / k, v + pitch * (j + 0.5f) / k, &x, &y);
            if (!sample(g, (float)x, (float)y, &s)) return 0;
            sum += s;
        }
    return stored(sum / (float)(k * k));
}

/* `map` takes template coordinates to pixels of `g`. */
static void cut_wide(const grey *g, const fw_affine *map, uint8_t *wide)
{
    float pitch = SPAN / FW_SIG_WIDE, first = 55.5f - SPAN / 2;
    int k = (int)ceilf(pitch * hypot(map->m[0], map->m[3]));
    if (k < 1) k = 1;
    for (int y = 0; y < FW_SIG_WIDE; y++)
        for (int x = 0; x < FW_SIG_WIDE; x++)
            wide[y * FW_SIG_WIDE + x] = patch_pixel(g, map, first + x * pitch, first + y * pitch, pitch, k);
}

/* Large faces in large photos: first shrink so that one patch pixel covers at most this many pixels; keeps the work per
 * image constant and is enough for an alias-free mean. */
static const float MAX_STEP = 2.5f;

static bool face_patch(const fw_image *img, const float landmark[10], uint8_t *wide)
{
    const fw_template *face = fw_template_find("arcface112");
    float lm[10];
    fw_affine fit;
    float sx = (float)img->width / img->full_width, sy = (float)img->height / img->full_height;
    for (int i = 0; i < 5; i++) {
        lm[2 * i] = landmark[2 * i] * sx;
        lm[2 * i + 1] = landmark[2 * i + 1] * sy;
    }
    if (fw_similarity(face->point, lm, &fit) == FW_FIT_DEGENERATE) return false;
    const double *m = fit.m;
    double step = hypot(m[0], m[3]) * SPAN / FW_SIG_WIDE;
    int w = img->width, h = img->height;
    if (step > MAX_STEP) {
        w = (int)fmax(1, round(w * MAX_STEP / step));
        h = (int)fmax(1, round(h * MAX_STEP / step));
    }
    double rx = (double)w / img->width, ry = (double)h / img->height;
    /* pixel centres: x' = (x + 0.5) * r - 0.5 */
    fw_affine map = {{m[0] * rx, m[1] * rx, (m[2] + 0.5) * rx - 0.5, m[3] * ry, m[4] * ry, (m[5] + 0.5) * ry - 0.5}};
    grey g = grey_resized(img, w, h);
    cut_wide(&g, &map, wide);
    grey_free(&g);
    return true;
}

/* Type-II DCT basis for the 8 lowest frequencies of 32 samples. */
static void low_dct(const float in[HASH_SIDE][HASH_SIDE], float out[8][8])
{
    float basis[8][HASH_SIDE], half[8][HASH_SIDE];
    for (int f = 0; f < 8; f++)
        for (int x = 0; x < HASH_SIDE; x++) basis[f][x] = cosf((float)M_PI / HASH_SIDE * (x + 0.5f) * f);
    for (int f = 0; f < 8; f++)
        for (int x = 0; x < HASH_SIDE; x++) {
            half[f][x] = 0;
            for (int y = 0; y < HASH_SIDE; y++) half[f][x] += basis[f][y] * in[y][x];
        }
    for (int f = 0; f < 8; f++)
        for (int u = 0; u < 8; u++) {
            out[f][u] = 0;
            for (int x = 0; x < HASH_SIDE; x++) out[f][u] += basis[u][x] * half[f][x];
        }
}

/* Signs of the coefficients but the mean. A mirror image flips the sign of every odd horizontal frequency. */
static void perceptual_hash(const float px[HASH_SIDE][HASH_SIDE], uint64_t out[2])
{
    float c[8][8];
    low_dct(px, c);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) {
            if (x + y == 0) continue;
            uint64_t bit = 1ull << (8 * y + x);
            if (c[y][x] > 0) out[0] |= bit;
            if ((x & 1 ? -c[y][x] : c[y][x]) > 0) out[1] |= bit;
        }
}

static void difference_hash(const uint8_t px[8 * 9], uint64_t out[2])
{
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) {
            uint64_t bit = 1ull << (8 * y + x);
            if (px[9 * y + x] > px[9 * y + x + 1]) out[0] |= bit;
            if (px[9 * y + 8 - x] > px[9 * y + 7 - x]) out[1] |= bit;
        }
}

/* Blank pictures (a placeholder, a black frame) all hash alike; 3 grey levels of contrast are less than a JPEG's own.
 */
static bool is_flat(const float px[HASH_SIDE][HASH_SIDE])
{
    double sum = 0, sq = 0, n = HASH_SIDE * HASH_SIDE;
    for (int i = 0; i < HASH_SIDE * HASH_SIDE; i++) {
        double v = px[i / HASH_SIDE][i % HASH_SIDE];
        sum += v;
        sq += v * v;
    }
    return sq / n - sum / n * (sum / n) < 9;
}

static void hashes(const fw_image *img, fw_signature *s)
{
    float px[HASH_SIDE][HASH_SIDE];
    grey g = grey_resized(img, HASH_SIDE, HASH_SIDE);
    for (int i = 0; i < HASH_SIDE * HASH_SIDE; i++) px[i / HASH_SIDE][i % HASH_SIDE] = g.px[i];
    grey_free(&g);
    perceptual_hash((const float(*)[HASH_SIDE])px, s->phash);
    if (is_flat((const float(*)[HASH_SIDE])px)) s->flags |= FW_SIG_FLAT;
    g = grey_resized(img, 9, 8);
    difference_hash(g.px, s->dhash);
    grey_free(&g);
}

/* The whole image; margins are found at four times the thumb's resolution, where thin frames still are visible. */
static void thumbnail(const fw_image *img, uint8_t *thumb)
{
    enum { K = 4, SIDE = K * FW_SIG_THUMB };
    grey g = grey_resized(img, SIDE, SIDE);
    for (int y = 0; y < FW_SIG_THUMB; y++)
        for (int x = 0; x < FW_SIG_THUMB; x++) {
            int sum = 0, out = 0;
            for (int i = 0; i < K * K; i++) {
                int gx = K * x + i % K, gy = K * y + i / K;
                out += !inside(&g, gx, gy);
                sum += g.px[gy * SIDE + gx];
            }
            thumb[y * FW_SIG_THUMB + x] = out ? 0 : stored((float)sum / (K * K));
        }
    grey_free(&g);
}

void fw_signature_compute(const fw_image *img, const float landmark[10], uint8_t *out)
{
    fw_signature *s = (fw_signature *)(void *)out;
    memset(s, 0, sizeof *s);
    if (img->width < 1 || img->height < 1) return;
    s->flags = FW_SIG_HAS_IMAGE;
    hashes(img, s);
    thumbnail(img, s->thumb);
    if (landmark && face_patch(img, landmark, s->wide)) s->flags |= FW_SIG_HAS_FACE;
}
