/* See fastnet_winograd.h. Tiles are numbered line by line and done in blocks, so that what lies between the three steps
 * stays in the second-level cache. */
#include "fastnet_winograd.h"

#include <string.h>

enum { RESULTS = 4, TILE = RESULTS + 2, ELEMENTS = TILE * TILE, BLOCK = 3 * FW_TILE_ROWS };

size_t fw_winograd_scratch(size_t channels)
{
    return ELEMENTS * BLOCK * (channels + FW_TILE_COLS);
}

/* Columns of the panel that begins with column `col`. */
static size_t panel(size_t cols, size_t col)
{
    return cols - col < FW_TILE_COLS ? cols - col : FW_TILE_COLS;
}

/* G g along one axis: 3 values `step` apart to 6 that are `to_step` apart. */
static void filter_axis(const double *g, size_t step, double *to, size_t to_step)
{
    const double a = g[0], b = g[step], c = g[2 * step];
    const double t[TILE] = {
        a / 4, -(a + b + c) / 6, -(a - b + c) / 6, (a + 2 * b + 4 * c) / 24, (a - 2 * b + 4 * c) / 24, c};
    for (size_t i = 0; i < TILE; i++) to[i * to_step] = t[i];
}

uint32_t *fw_winograd_pack(const float *w, size_t out, size_t in, size_t room, size_t cols)
{
    float *element = FW_ARRAY(float, ELEMENTS *out *in); /* of every filter, as 16 sets of 1 x 1 filters */
    for (size_t f = 0; f < out * in; f++) {
        double g[9], half[3 * TILE], u[ELEMENTS];
        for (size_t i = 0; i < 9; i++) g[i] = (double)w[9 * f + i];
        for (size_t i = 0; i < 3; i++) filter_axis(g + i, 3, half + i, 3);
        for (size_t i = 0; i < TILE; i++) filter_axis(half + 3 * i, 1, u + TILE * i, 1);
        for (size_t k = 0; k < ELEMENTS; k++) element[k * out * in + f] = (float)u[k];
    }
    uint32_t *packed = fw_alloc_aligned(ELEMENTS * room * cols, sizeof *packed), *to = packed;
    for (size_t col = 0; col < cols; col += FW_TILE_COLS)
        for (size_t k = 0; k < ELEMENTS; k++) {
            const size_t width = panel(cols, col), there = col < out ? out - col : 0;
            const float *from = element + (k * out + col) * in;
            uint32_t *one = fw_dense_pack(from, there < width ? there : width, in, 1, room, width, false);
            memcpy(to, one, room * width * sizeof *one);
            to += room * width;
            fw_free(one);
        }
    fw_free(element);
    return packed;
}

#if defined(__x86_64__)
#include "fastnet_simd.h"

/* B' d along one axis, in place. */
FW_INLINE void input_axis(__m512 *d, const int step)
{
    const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4), five = _mm512_set1_ps(5);
    const __m512 a = d[0], b = d[step], c = d[2 * step], e = d[3 * step], f = d[4 * step], g = d[5 * step];
    const __m512 p = _mm512_fnmadd_ps(four, c, f), q = _mm512_fnmadd_ps(four, b, e);
    const __m512 r = _mm512_sub_ps(f, c), s = _mm512_sub_ps(e, b);
    d[0] = _mm512_fmadd_ps(four, a, _mm512_fnmadd_ps(five, c, f));
    d[step] = _mm512_add_ps(p, q);
    d[2 * step] = _mm512_sub_ps(p, q);
    d[3 * step] = _mm512_fmadd_ps(two, s, r);
    d[4 * step] = _mm512_fnmadd_ps(two, s, r);
    d[5 * step] = _mm512_fmadd_ps(four, b, _mm512_fnmadd_ps(five, e, g));
}

/* A' m along one axis: 4 values, `out_step` apart, from 6. */
FW_INLINE void output_axis(const __m512 *m, const int step, __m512 *out, const int out_step)
{
    const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4), eight = _mm512_set1_ps(8);
    const __m512 a = _mm512_add_ps(m[step], m[2 * step]), b = _mm512_sub_ps(m[step], m[2 * step]);
    const __m512 c = _mm512_add_ps(m[3 * step], m[4 * step]), d = _mm512_sub_ps(m[3 * step], m[4 * step]);
    out[0] = _mm512_add_ps(_mm512_add_ps(m[0], a), c);
    out[out_step] = _mm512_fmadd_ps(two, d, b);
    out[2 * out_step] = _mm512_fmadd_ps(four, c, a);
    out[3 * out_step] = _mm512_add_ps(_mm512_fmadd_ps(eight, d, b), m[5 * step]);
}

/* The elements of the tile at (x, y), all channels. */
FW_AVX512 static void input_tile(const fw_winograd *w, size_t y, size_t x, float *to)
{
    const float *from = (const float *)w->src.at + y * w->src.line + x * w->src.pixel;
    const size_t line = w->src.line, pixel = w->src.pixel, channels = w->channels;
    for (size_t c = 0; c < channels; c += FW_LANES) {
        __m512 d[ELEMENTS];
        _Pragma("GCC unroll 6") for (size_t i = 0; i < TILE; i++)
        {
            _Pragma("GCC unroll 6") for (size_t j = 0; j < TILE; j++) d[TILE * i + j] =
                _mm512_loadu_ps(from + i * line + j * pixel + c);
            input_axis(d + TILE * i, 1);
        }
        _Pragma("GCC unroll 6") for (size_t j = 0; j < TILE; j++)
        {
            input_axis(d + j, TILE);
            _Pragma("GCC unroll 6") for (size_t i = 0; i < TILE; i++)
                _mm512_storeu_ps(to + (TILE * i + j) * BLOCK * channels + c, d[TILE * i + j]);
        }
    }
}

/* The results of a tile, as far as they lie in the picture, `cols` channels from `col` on. */
FW_AVX512 static void output_tile(const fw_winograd *w, size_t y, size_t x, size_t col, size_t cols, const float *from)
{
    const fw_finish f = w->finish;
    const size_t right = (size_t)w->width - x, below = (size_t)w->height - y;
    for (size_t c = 0; c < cols; c += FW_LANES) {
        __m512 m[TILE], half[RESULTS * TILE], out[RESULTS];
        const __m512 bias = fw_bias(&f, col + c);
        _Pragma("GCC unroll 6") for (int j = 0; j < TILE; j++)
        {
            _Pragma("GCC unroll 6") for (int i = 0; i < TILE; i++) m[i] =
                _mm512_loadu_ps(from + (size_t)(TILE * i + j) * BLOCK * cols + c);
            output_axis(m, 1, half + j, TILE);
        }
        for (size_t i = 0; i < RESULTS && i < below; i++) {
            output_axis(half + TILE * i, 1, out, 1);
            for (size_t j = 0; j < RESULTS && j < right; j++)
                fw_finish_at(&f, y + i, x + j, col + c, _mm512_add_ps(out[j], bias), false);
        }
    }
}

/* Element by element, `cols` results from column `col` on, one panel of the weights. */
static void multiply(const fw_winograd *w, const float *in, size_t tiles, size_t col, size_t cols, float *out)
{
    for (size_t k = 0; k < ELEMENTS; k++) {
        const fw_dense d = {.src = in + k * BLOCK * w->channels,
                            .rows = tiles,
                            .step = w->channels,
                            .segments = 1,
                            .words = w->channels,
                            .weight = w->weight + (ELEMENTS * col + k * cols) * w->channels,
                            .cols = cols,
                            .line = tiles,
                            .width = tiles,
                            .finish.to = {out + k * BLOCK * cols, 0, cols}};
        fw_dense_run(&d);
    }
}

void fw_winograd_run(const fw_winograd *w)
{
    const size_t across = ((size_t)w->width + RESULTS - 1) / RESULTS;
    const size_t tiles = across * (((size_t)w->height + RESULTS - 1) / RESULTS);
    float *in = w->scratch, *out = in + ELEMENTS * BLOCK * w->channels;
    for (size_t t = 0; t < tiles; t += BLOCK) {
        const size_t n = tiles - t < BLOCK ? tiles - t : BLOCK;
        for (size_t i = 0; i < n; i++)
            input_tile(w, (t + i) / across * RESULTS, (t + i) % across * RESULTS, in + i * w->channels);
        for (size_t col = 0; col < w->cols; col += FW_TILE_COLS) {
            const size_t cols = panel(w->cols, col);
            multiply(w, in, n, col, cols, out);
            for (size_t i = 0; i < n; i++)
                output_tile(w, (t + i) / across * RESULTS, (t + i) % across * RESULTS, col, cols, out + i * cols);
        }
    }
}

#else /* other CPUs: never called */
void fw_winograd_run(const fw_winograd *w)
{
    FW_UNUSED(w);
}
#endif
