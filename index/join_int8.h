/* From int8 kernels' sums to hits, 32 columns at a time. A score takes seven instructions; but where only rows have
 * thresholds a comparison of whole numbers tells that a row has no hit among a panel's columns, and mostly it has none.
 * (With thresholds of columns too, the least of 32 lets so much through that the symmetric join took 7 to 11 % longer.) */
#ifndef FW_JOIN_INT8_H
#define FW_JOIN_INT8_H

#include "join.h"

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define FW_INT8_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))

/* Of a panel's 32 columns: the largest loss, the least threshold (INFINITY: only rows have any), the largest scale (for
 * scores that only positive sums reach) and the smallest (for the others). */
typedef struct fw_int8_panel {
    float loss, min, large, small;
} fw_int8_panel;

FW_INT8_TARGET static inline fw_int8_panel fw_int8_panel_of(const fw_strip *s)
{
    const __m512 a = _mm512_loadu_ps(s->col_scale), b = _mm512_loadu_ps(s->col_scale + 16), zero = _mm512_setzero_ps();
    const __mmask16 in_a = _mm512_cmp_ps_mask(a, zero, _CMP_GT_OQ), in_b = _mm512_cmp_ps_mask(b, zero, _CMP_GT_OQ);
    const __m512 far = _mm512_set1_ps(INFINITY); /* what fills up the last panel has scale 0 and no loss */
    return (fw_int8_panel){
        .loss = _mm512_reduce_max_ps(
            _mm512_max_ps(_mm512_maskz_loadu_ps(in_a, s->col_loss), _mm512_maskz_loadu_ps(in_b, s->col_loss + 16))),
        .min = _mm512_reduce_min_ps(_mm512_min_ps(_mm512_loadu_ps(s->col_min), _mm512_loadu_ps(s->col_min + 16))),
        .large = _mm512_reduce_max_ps(_mm512_max_ps(a, b)),
        .small =
            _mm512_reduce_min_ps(_mm512_min_ps(_mm512_mask_mov_ps(far, in_a, a), _mm512_mask_mov_ps(far, in_b, b)))};
}

/* For 16 rows: sums below which no column makes a hit. The estimate of 1 / scale is right to 2^-14; twice that and 2 are
 * allowed for it and for rounding. Rows outside of `in` are not there. */
FW_INT8_TARGET static inline __m512i fw_int8_least(const fw_strip *s, size_t row, __mmask16 in, const fw_int8_panel *p)
{
    const __m512 zero = _mm512_setzero_ps(), far = _mm512_set1_ps(1e9f);
    const __m512 loss = _mm512_maskz_loadu_ps(in, s->row_loss + row);
    const __mmask16 real = _mm512_cmp_ps_mask(loss, loss, _CMP_ORD_Q); /* what fills up the last panel of rows is not */
    __m512 left = _mm512_sub_ps(_mm512_maskz_loadu_ps(in, s->row_min + row), loss);
    left = _mm512_sub_ps(left, _mm512_set1_ps(p->loss));
    const __mmask16 positive = _mm512_cmp_ps_mask(left, zero, _CMP_GE_OQ);
    __m512 scale = _mm512_mask_blend_ps(positive, _mm512_set1_ps(p->small), _mm512_set1_ps(p->large));
    scale = _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(in, s->row_scale + row));
    __m512 t = _mm512_mask_mul_ps(far, real, left, _mm512_rcp14_ps(scale));
    t = _mm512_min_ps(_mm512_max_ps(t, _mm512_sub_ps(zero, far)), far);
    t = _mm512_sub_ps(t, _mm512_fmadd_ps(_mm512_abs_ps(t), _mm512_set1_ps(1.25e-4f), _mm512_set1_ps(2)));
    return _mm512_sub_epi32(_mm512_cvtps_epi32(t), _mm512_maskz_loadu_epi32(in, s->bias + row));
}

/* What half a panel's columns (16) have in common for all rows: held in registers, as stores of hits might change them
 * for all that the compiler knows. */
typedef struct fw_half_panel {
    __m512 scale, loss, min;
} fw_half_panel;

FW_INT8_TARGET static inline fw_half_panel fw_half_panel_of(const fw_strip *s, size_t h)
{
    return (fw_half_panel){_mm512_loadu_ps(s->col_scale + 16 * h), _mm512_loadu_ps(s->col_loss + 16 * h),
                           _mm512_loadu_ps(s->col_min + 16 * h)};
}

/* Scores of a row and half h of the columns, of their sums; writes those that are hits behind the first n. */
FW_INT8_TARGET static inline size_t fw_hits_of(const fw_strip *s, size_t row, size_t h, __m512 sum,
                                               const fw_half_panel *c, size_t n)
{
    const __m512 min = _mm512_min_ps(_mm512_set1_ps(s->row_min[row]), c->min);
    const __m512 score = _mm512_fmadd_ps(_mm512_mul_ps(sum, c->scale), _mm512_set1_ps(s->row_scale[row]),
                                         _mm512_add_ps(c->loss, _mm512_set1_ps(s->row_loss[row])));
    const __mmask16 hit = _mm512_cmp_ps_mask(score, min, _CMP_GE_OQ);
    if (!hit) return n;
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32((int)(row << 16 | 16 * h)));
    _mm512_storeu_si512(s->where + n, _mm512_maskz_compress_epi32(hit, at));
    _mm512_storeu_ps(s->score + n, _mm512_maskz_compress_ps(hit, score));
    return n + (size_t)__builtin_popcount(hit);
}

/* A row's scores, of its sums without the bias. */
FW_INT8_TARGET static inline size_t fw_int8_row(const fw_strip *s, size_t row, const int32_t *sums,
                                                const fw_half_panel c[2], size_t n)
{
    const __m512i bias = _mm512_set1_epi32(s->bias[row]);
    n = fw_hits_of(s, row, 0, _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_load_si512(sums), bias)), &c[0], n);
    return fw_hits_of(s, row, 1, _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_load_si512(sums + 16), bias)), &c[1], n);
}

/* Rows row .. row + rows - 1, which alone have thresholds; their sums without the bias lie at `sums`, 32 a row. */
FW_INT8_TARGET static inline size_t fw_int8_hits(const fw_strip *s, size_t row, size_t rows, const int32_t *sums,
                                                 const fw_int8_panel *p, const fw_half_panel c[2], size_t n)
{
    int32_t least[32];
    for (size_t r = 0; r < rows; r += 16) {
        const __mmask16 in = rows - r < 16 ? (__mmask16)((1u << (rows - r)) - 1) : 0xFFFF;
        _mm512_storeu_si512(least + r, fw_int8_least(s, row + r, in, p));
    }
    for (size_t r = 0; r < rows; r++, sums += 32) {
        const __m512i t = _mm512_set1_epi32(least[r]);
        if (_mm512_cmpge_epi32_mask(_mm512_load_si512(sums), t) |
            _mm512_cmpge_epi32_mask(_mm512_load_si512(sums + 16), t))
            n = fw_int8_row(s, row + r, sums, c, n);
    }
    return n;
}
#endif

#endif
