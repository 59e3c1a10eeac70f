/* See fastnet_winograd.h. Tiles are numbered line by line and done in blocks, so that what lies between the three steps
 * stays in the second-level cache. */
#include "fastnet_winograd.h"

#include <string.h>

enum { TILE = 4, ELEMENTS = TILE * TILE, BLOCK = 3 * FW_TILE_ROWS };

size_t fw_winograd_scratch(size_t channels, size_t cols)
{
    return ELEMENTS * BLOCK * (channels + cols);
}

/* G g along one axis: 3 values `step` apart to 4 that are `to_step` apart. */
static void filter_axis(const double *g, size_t step, double *to, size_t to_step)
{
    to[0] = g[0];
    to[to_step] = (g[0] + g[step] + g[2 * step]) / 2;
    to[2 * to_step] = (g[0] - g[step] + g[2 * step]) / 2;
    to[3 * to_step] = g[2 * step];
}

uint32_t *fw_winograd_pack(const float *w, size_t out, size_t in, size_t room, size_t cols)
{
    float *element = FW_ARRAY(float, ELEMENTS *out *in); /* of every filter, as 16 sets of 1 x 1 filters */
    for (size_t f = 0; f < out * in; f++) {
        double g[9], half[TILE * 3], u[ELEMENTS];
        for (size_t i = 0; i < 9; i++) g[i] = (double)w[9 * f + i];
        for (size_t i = 0; i < 3; i++) filter_axis(g + i, 3, half + i, 3);
        for (size_t i = 0; i < TILE; i++) filter_axis(half + 3 * i, 1, u + TILE * i, 1);
        for (size_t k = 0; k < ELEMENTS; k++) element[k * out * in + f] = (float)u[k];
    }
    uint32_t *packed = fw_alloc_aligned(ELEMENTS * room * cols, sizeof *packed);
    for (size_t k = 0; k < ELEMENTS; k++) {
        uint32_t *one = fw_dense_pack(element + k * out * in, out, in, 1, room, cols, false);
        memcpy(packed + k * room * cols, one, room * cols * sizeof *one);
        fw_free(one);
    }
    fw_free(element);
    return packed;
}

#if defined(__x86_64__)
#include "fastnet_simd.h"

/* B' d along one axis. */
FW_INLINE void input_axis(__m512 *d, const int step)
{
    const __m512 a = d[0], b = d[step], c = d[2 * step], e = d[3 * step];
    d[0] = _mm512_sub_ps(a, c);
    d[step] = _mm512_add_ps(b, c);
    d[2 * step] = _mm512_sub_ps(c, b);
    d[3 * step] = _mm512_sub_ps(b, e);
}

/* A' m along one axis: two values from four. */
FW_INLINE void output_axis(const __m512 *m, const int step, __m512 *first, __m512 *second)
{
    const __m512 sum = _mm512_add_ps(m[step], m[2 * step]), difference = _mm512_sub_ps(m[step], m[2 * step]);
    *first = _mm512_add_ps(m[0], sum);
    *second = _mm512_sub_ps(difference, m[3 * step]);
}

/* The 16 elements of the tile at (x, y), all channels; elements lie `apart` values from each other. */
FW_AVX512 static void input_tile(const fw_winograd *w, size_t y, size_t x, float *to, size_t apart)
{
    const float *from = (const float *)w->src.at + y * w->src.line + x * w->src.pixel;
    for (size_t c = 0; c < w->channels; c += FW_LANES) {
        __m512 d[ELEMENTS];
        _Pragma("GCC unroll 16") for (size_t i = 0; i < ELEMENTS; i++) d[i] =
            _mm512_loadu_ps(from + i / TILE * w->src.line + i % TILE * w->src.pixel + c);
        _Pragma("GCC unroll 4") for (int i = 0; i < TILE; i++) input_axis(d + i, TILE);
        _Pragma("GCC unroll 4") for (int i = 0; i < TILE; i++) input_axis(d + TILE * i, 1);
        _Pragma("GCC unroll 16") for (size_t i = 0; i < ELEMENTS; i++) _mm512_storeu_ps(to + i * apart + c, d[i]);
    }
}

/* The 2 x 2 results of a tile, as far as they lie in the picture. */
FW_AVX512 static void output_tile(const fw_winograd *w, size_t y, size_t x, const float *from, size_t apart)
{
    const fw_finish f = w->finish;
    const bool right = x + 1 < (size_t)w->width, below = y + 1 < (size_t)w->height;
    for (size_t c = 0; c < w->cols; c += FW_LANES) {
        __m512 m[ELEMENTS], half[2 * TILE], out[4];
        const __m512 bias = fw_bias(&f, c);
        _Pragma("GCC unroll 16") for (size_t i = 0; i < ELEMENTS; i++) m[i] = _mm512_loadu_ps(from + i * apart + c);
        _Pragma("GCC unroll 4") for (int i = 0; i < TILE; i++) output_axis(m + i, TILE, &half[i], &half[TILE + i]);
        _Pragma("GCC unroll 2") for (int i = 0; i < 2; i++)
            output_axis(half + TILE * i, 1, &out[2 * i], &out[2 * i + 1]);
        _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) out[i] = _mm512_add_ps(out[i], bias);
        fw_finish_at(&f, y, x, c, out[0], false);
        if (right) fw_finish_at(&f, y, x + 1, c, out[1], false);
        if (below) fw_finish_at(&f, y + 1, x, c, out[2], false);
        if (right && below) fw_finish_at(&f, y + 1, x + 1, c, out[3], false);
    }
}

static void multiply(const fw_winograd *w, const float *in, float *out, size_t tiles)
{
    for (size_t k = 0; k < ELEMENTS; k++) {
        const fw_dense d = {.src = in + k * BLOCK * w->channels,
                            .rows = tiles,
                            .step = w->channels,
                            .segments = 1,
                            .words = w->channels,
                            .weight = w->weight + k * w->channels * w->cols,
                            .cols = w->cols,
                            .line = tiles,
                            .width = tiles,
                            .finish.to = {out + k * BLOCK * w->cols, 0, w->cols}};
        fw_dense_run(&d);
    }
}

void fw_winograd_run(const fw_winograd *w)
{
    const size_t across = (size_t)(w->width + 1) / 2, tiles = across * ((size_t)(w->height + 1) / 2);
    float *in = w->scratch, *out = in + ELEMENTS * BLOCK * w->channels;
    for (size_t t = 0; t < tiles; t += BLOCK) {
        const size_t n = tiles - t < BLOCK ? tiles - t : BLOCK;
        for (size_t i = 0; i < n; i++)
            input_tile(w, (t + i) / across * 2, (t + i) % across * 2, in + i * w->channels, BLOCK * w->channels);
        multiply(w, in, out, n);
        for (size_t i = 0; i < n; i++)
            output_tile(w, (t + i) / across * 2, (t + i) % across * 2, out + i * w->cols, BLOCK * w->cols);
    }
}

#else /* other CPUs: never called */
void fw_winograd_run(const fw_winograd *w)
{
    FW_UNUSED(w);
}
#endif
