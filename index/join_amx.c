/* AMX kernels (lib/amx.h): 32 x 32 pairs as four tiles of sums, fed by two tiles of rows and two of columns. The
 * multiplications take a ninth of the time that AVX-512 needs, so more than half of a strip's is spent on what follows:
 * scores and thresholds. */
#include "join.h"

#include "../lib/amx.h"

#include <math.h>

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

/* What a half (16) of a panel's columns has in common for all rows. */
typedef struct columns {
    __m512 scale, loss, min;
} columns;

TARGET static inline columns columns_of(const fw_strip *s, size_t h)
{
    return (columns){_mm512_loadu_ps(s->col_scale + 16 * h), _mm512_loadu_ps(s->col_loss + 16 * h),
                     _mm512_loadu_ps(s->col_min + 16 * h)};
}

/* Scores of a row and 16 columns; writes those that are hits behind the first n. */
TARGET static inline size_t finish(const fw_strip *s, size_t row, size_t h, __m512 sum, const columns *c, size_t n)
{
    __m512 score = _mm512_fmadd_ps(_mm512_mul_ps(sum, c->scale), _mm512_set1_ps(s->row_scale[row]),
                                   _mm512_add_ps(c->loss, _mm512_set1_ps(s->row_loss[row])));
    __mmask16 hit = _mm512_cmp_ps_mask(score, _mm512_min_ps(_mm512_set1_ps(s->row_min[row]), c->min), _CMP_GE_OQ);
    if (!hit) return n;
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32((int)(row << 16 | 16 * h)));
    _mm512_storeu_si512(s->where + n, _mm512_maskz_compress_epi32(hit, at));
    _mm512_storeu_ps(s->score + n, _mm512_maskz_compress_ps(hit, score));
    return n + (size_t)__builtin_popcount(hit);
}

/* Scores of a row of int8 sums. */
TARGET static inline size_t finish_int8(const fw_strip *s, size_t row, const float *sums, const columns *c, size_t n)
{
    const __m512i bias = _mm512_set1_epi32(s->bias[row]);
    for (size_t h = 0; h < 2; h++) {
        __m512i sum = _mm512_add_epi32(_mm512_load_si512((const void *)(sums + 16 * h)), bias);
        n = finish(s, row, h, _mm512_cvtepi32_ps(sum), &c[h], n);
    }
    return n;
}

/* What bounds the scores of a panel's columns when only rows have thresholds: their largest loss, their largest scale (for
 * thresholds that only positive sums reach) and their smallest (for the others). */
typedef struct bounds {
    float loss, large, small;
    bool use;
} bounds;

TARGET static inline bounds bounds_of(const fw_strip *s)
{
    bounds b = {.loss = 0, .large = 0, .small = INFINITY, .use = true};
    for (size_t i = 0; i < SIDE; i++) {
        b.use = b.use && s->col_min[i] == INFINITY;
        if (!(s->col_scale[i] > 0)) continue; /* fills up the last panel */
        b.loss = s->col_loss[i] > b.loss ? s->col_loss[i] : b.loss;
        b.large = s->col_scale[i] > b.large ? s->col_scale[i] : b.large;
        b.small = s->col_scale[i] < b.small ? s->col_scale[i] : b.small;
    }
    b.use = b.use && b.large > 0;
    return b;
}

/* For 16 rows: below these sums (as tiles hold them, without the bias) no column makes a hit. The estimate of 1 / scale is right to 2^-14, twice that and 2 are allowed for it and for rounding. */
TARGET static inline __m512i least_of(const fw_strip *s, size_t row, const bounds *b)
{
    const __m512 zero = _mm512_setzero_ps(), far = _mm512_set1_ps(1e9f), min = _mm512_loadu_ps(s->row_min + row);
    const __mmask16 fill = _mm512_cmp_ps_mask(min, _mm512_set1_ps(INFINITY), _CMP_EQ_OQ); /* losses are NaN */
    __m512 left = _mm512_sub_ps(min, _mm512_loadu_ps(s->row_loss + row));
    left = _mm512_mask_mov_ps(_mm512_sub_ps(left, _mm512_set1_ps(b->loss)), fill, min);
    const __mmask16 positive = _mm512_cmp_ps_mask(left, zero, _CMP_GE_OQ);
    const __m512 scale = _mm512_mask_blend_ps(positive, _mm512_set1_ps(b->small), _mm512_set1_ps(b->large));
    __m512 t = _mm512_mul_ps(left, _mm512_rcp14_ps(_mm512_mul_ps(scale, _mm512_loadu_ps(s->row_scale + row))));
    t = _mm512_min_ps(_mm512_max_ps(t, _mm512_sub_ps(zero, far)), far);
    t = _mm512_sub_ps(t, _mm512_fmadd_ps(_mm512_abs_ps(t), _mm512_set1_ps(1.25e-4f), _mm512_set1_ps(2)));
    return _mm512_sub_epi32(_mm512_cvtps_epi32(t), _mm512_loadu_si512(s->bias + row));
}

/* Rows row .. row + SIDE - 1, whose sums lie in s->scratch: most have no hit, and a comparison of whole numbers says so. */
TARGET static inline size_t finish_few(const fw_strip *s, size_t row, const bounds *b, const columns *c, size_t n)
{
    int32_t least[SIDE];
    _mm512_storeu_si512(least, least_of(s, row, b));
    _mm512_storeu_si512(least + 16, least_of(s, row + 16, b));
    for (size_t r = 0; r < SIDE; r++) {
        const float *at = s->scratch + r * SIDE;
        const __m512i t = _mm512_set1_epi32(least[r]);
        const __mmask16 low = _mm512_cmpge_epi32_mask(_mm512_load_si512((const void *)at), t);
        const __mmask16 high = _mm512_cmpge_epi32_mask(_mm512_load_si512((const void *)(at + 16)), t);
        if (low | high) n = finish_int8(s, row + r, at, c, n);
    }
    return n;
}

TARGET static size_t strip_int8(const fw_strip *s)
{
    const columns c[2] = {columns_of(s, 0), columns_of(s, 1)};
    const bounds b = bounds_of(s);
    size_t hits = 0;
    _tile_loadconfig(&fw_tiles_full);
    for (size_t row = 0; row < s->panels * SIDE; row += SIDE) {
        sums_int8(s->a + row * s->words, s->b, s->words, s->scratch);
        if (b.use)
            hits = finish_few(s, row, &b, c, hits);
        else
            for (size_t r = 0; r < SIDE; r++) hits = finish_int8(s, row + r, s->scratch + r * SIDE, c, hits);
    }
    _tile_release();
    return hits;
}

TARGET static size_t strip_bf16(const fw_strip *s)
{
    const columns c[2] = {columns_of(s, 0), columns_of(s, 1)};
    size_t hits = 0;
    _tile_loadconfig(&fw_tiles_full);
    for (size_t row = 0; row < s->panels * SIDE; row += SIDE) {
        sums_bf16(s->a + row * s->words, s->b, s->words, s->scratch);
        for (size_t r = 0; r < SIDE; r++)
            for (size_t h = 0; h < 2; h++)
                hits = finish(s, row + r, h, _mm512_load_ps(s->scratch + r * SIDE + 16 * h), &c[h], hits);
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
