/* bf16 convolutions on AMX tiles; see fastnet_kernels.h. MobileFaceNet on a Xeon, whose vdpbf16ps is half as fast as its fp32:
 * 4.9 ms a face before, 1.4 by tiles (fp32: 2.9). */
#include "fastnet_amx.h"

#include "amx.h"

#if defined(__x86_64__)
#include "fastnet_simd.h"

#define FW_TILED __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,amx-tile,amx-bf16")))

enum { SIDE = 16, DEPTH = 16 }; /* rows or columns of a tile; 32-bit words of its rows */

/* Sums of 16 rows (32 if `tall`) x 16 columns (32 if `pair`) into `sum`, whose lines are 32 long. Tiles 0-3: sums; 4, 5:
 * rows; 6, 7: columns. */
FW_TILED static inline __attribute__((always_inline)) void make_sums(const fw_dense *d, size_t row, size_t col,
                                                                     const bool tall, const bool pair, float *sum)
{
    const size_t cols = pair ? 2 * SIDE : SIDE, apart = d->step * sizeof(uint32_t);
    const uint32_t *a = (const uint32_t *)d->src + row * d->step, *b = d->weight + col * d->segments * d->words;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t s = 0; s < d->segments; s++, a += d->segment_step)
        for (size_t w = 0; w < d->words; w += DEPTH, b += DEPTH * cols) {
            _tile_loadd(6, b, cols * sizeof *b);
            if (pair) _tile_loadd(7, b + SIDE, cols * sizeof *b);
            _tile_loadd(4, a + w, apart);
            _tile_dpbf16ps(0, 4, 6);
            if (pair) _tile_dpbf16ps(1, 4, 7);
            if (!tall) continue;
            _tile_loadd(5, a + SIDE * d->step + w, apart);
            _tile_dpbf16ps(2, 5, 6);
            if (pair) _tile_dpbf16ps(3, 5, 7);
        }
    _tile_stored(0, sum, 2 * SIDE * sizeof *sum);
    if (pair) _tile_stored(1, sum + SIDE, 2 * SIDE * sizeof *sum);
    if (tall) _tile_stored(2, sum + SIDE * 2 * SIDE, 2 * SIDE * sizeof *sum);
    if (tall && pair) _tile_stored(3, sum + SIDE * 2 * SIDE + SIDE, 2 * SIDE * sizeof *sum);
}

/* Bias, activation, sum, and into place. */
FW_AVX512 static void finish_rows(const fw_dense *d, size_t row, size_t rows, size_t col, bool pair, const float *sum)
{
    const fw_finish f = d->finish;
    const __m512 bias0 = fw_bias(&f, col), bias1 = pair ? fw_bias(&f, col + FW_LANES) : bias0;
    size_t y = (uint32_t)row / (uint32_t)d->line, x = (uint32_t)row % (uint32_t)d->line;
    for (size_t r = 0; r < rows; r++, sum += 2 * SIDE) {
        if (x < d->width) {
            fw_finish_at(&f, y, x, col, _mm512_add_ps(_mm512_load_ps(sum), bias0), true);
            if (pair) fw_finish_at(&f, y, x, col + FW_LANES, _mm512_add_ps(_mm512_load_ps(sum + SIDE), bias1), true);
        }
        if (++x == d->line) x = 0, y++;
    }
}

/* Rows in blocks whose inputs stay in the first-level cache while all columns pass. The last tile of all overlaps the
 * one before. */
FW_TILED static void make_all(const fw_dense *d)
{
    enum { BLOCK = 128 };
    _Alignas(64) float sum[4 * SIDE * SIDE];
    const bool tall = d->rows >= 2 * SIDE;
    const size_t rows = tall ? 2 * SIDE : SIDE, last = d->rows - rows;
    _tile_loadconfig(&fw_tiles_full);
    for (size_t begin = 0; begin < d->rows; begin += BLOCK)
        for (size_t col = 0; col < d->cols; col += 2 * SIDE)
            for (size_t row = begin; row < d->rows && row < begin + BLOCK; row += rows) {
                const size_t at = row < last ? row : last;
                const bool pair = d->cols - col >= 2 * SIDE;
                if (tall && pair)
                    make_sums(d, at, col, true, true, sum);
                else
                    make_sums(d, at, col, tall, pair, sum);
                finish_rows(d, at, rows, col, pair, sum);
            }
    _tile_release();
}

bool fw_dense_run_amx(const fw_dense *d)
{
    if (!d->half || d->rows < SIDE || d->words % DEPTH || !fw_amx_usable()) return false;
    make_all(d);
    return true;
}
#else
bool fw_dense_run_amx(const fw_dense *d)
{
    (void)d;
    return false;
}
#endif
