/* AMX kernels (lib/amx.h): 32 x 32 pairs as four tiles of sums, fed by two tiles of rows and two of columns. The
 * multiplications take a ninth of the time that AVX-512 needs, so more than half of a strip's is spent on what follows:
 * scores and thresholds. */
#include "join_int8.h"

#include "../lib/amx.h"

#define SIDE 32 /* rows and columns of a block of pairs */
#define STEP 16 /* words that a tile's row holds */

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,amx-tile,amx-int8,amx-bf16")))

/* Sums of SIDE rows x SIDE columns into `sum`. Tiles 0-3: sums; 4, 5: rows; 6, 7: columns. */
#define SUMS(NAME, MULTIPLY)                                                                                           \
    TARGET static inline void NAME(const uint32_t *a, const uint32_t *b, size_t words, void *sum)                      \
    {                                                                                                                  \
        _tile_zero(0);                                                                                                 \
        _tile_zero(1);                                                                                                 \
        _tile_zero(2);                                                                                                 \
        _tile_zero(3);                                                                                                 \
        for (size_t w = 0; w < words; w += STEP, b += STEP * SIDE) {                                                   \
            _tile_loadd(6, b, SIDE * sizeof *b);                                                                       \
            _tile_loadd(7, b + SIDE / 2, SIDE * sizeof *b);                                                            \
            _tile_loadd(4, a + w, words * sizeof *a);                                                                  \
            _tile_loadd(5, a + SIDE / 2 * words + w, words * sizeof *a);                                               \
            MULTIPLY(0, 4, 6);                                                                                         \
            MULTIPLY(1, 4, 7);                                                                                         \
            MULTIPLY(2, 5, 6);                                                                                         \
            MULTIPLY(3, 5, 7);                                                                                         \
        }                                                                                                              \
        _tile_stored(0, sum, SIDE * sizeof(float));                                                                    \
        _tile_stored(1, (float *)sum + SIDE / 2, SIDE * sizeof(float));                                                \
        _tile_stored(2, (float *)sum + SIDE / 2 * SIDE, SIDE * sizeof(float));                                         \
        _tile_stored(3, (float *)sum + SIDE / 2 * SIDE + SIDE / 2, SIDE * sizeof(float));                              \
    }

SUMS(sums_int8, _tile_dpbsud) /* rows are signed, columns have 128 added */
SUMS(sums_bf16, _tile_dpbf16ps)

/* The panel that lies behind this one, in equal shares of the blocks: it is probably the next. */
TARGET static inline void ask_ahead(const fw_strip *s, size_t block)
{
    const size_t lines = s->words * SIDE / 16, share = (lines + s->panels - 1) / s->panels;
    const char *next = (const char *)(s->b + s->words * SIDE) + block * share * 64;
    for (size_t i = 0; i < share; i++) __builtin_prefetch(next + 64 * i);
}

TARGET static size_t strip_int8(const fw_strip *s)
{
    const fw_int8_panel p = fw_int8_panel_of(s);
    const fw_half_panel c[2] = {fw_half_panel_of(s, 0), fw_half_panel_of(s, 1)};
    size_t hits = 0;
    _tile_loadconfig(&fw_tiles_full);
    for (size_t row = 0; row < s->panels * SIDE; row += SIDE) {
        const int32_t *sums = (const int32_t *)(const void *)s->scratch;
        ask_ahead(s, row / SIDE);
        sums_int8(s->a + row * s->words, s->b, s->words, s->scratch);
        if (p.min == INFINITY)
            hits = fw_int8_hits(s, row, SIDE, sums, &p, c, hits);
        else
            for (size_t r = 0; r < SIDE; r++) hits = fw_int8_row(s, row + r, sums + r * SIDE, c, hits);
    }
    _tile_release();
    return hits;
}

TARGET static size_t strip_bf16(const fw_strip *s)
{
    const fw_half_panel c[2] = {fw_half_panel_of(s, 0), fw_half_panel_of(s, 1)};
    size_t hits = 0;
    _tile_loadconfig(&fw_tiles_full);
    for (size_t row = 0; row < s->panels * SIDE; row += SIDE) {
        sums_bf16(s->a + row * s->words, s->b, s->words, s->scratch);
        for (size_t r = 0; r < SIDE; r++)
            for (size_t h = 0; h < 2; h++)
                hits = fw_hits_of(s, row + r, h, _mm512_load_ps(s->scratch + r * SIDE + 16 * h), &c[h], hits);
    }
    _tile_release();
    return hits;
}

#else /* other CPUs: named, never usable */
#define strip_int8 NULL
#define strip_bf16 NULL
#endif

extern const fw_kernel fw_kernel_amx_int8, fw_kernel_amx_bf16;
const fw_kernel fw_kernel_amx_int8 = {"amx-int8", FW_WORD_INT8, SIDE, SIDE, STEP, strip_int8, fw_amx_usable};
const fw_kernel fw_kernel_amx_bf16 = {"amx-bf16", FW_WORD_BF16, SIDE, SIDE, STEP, strip_bf16, fw_amx_usable};
