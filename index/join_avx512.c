/* AVX-512 kernels: tiles of 12 rows x 32 columns, 24 accumulators in registers; two loads of B and 12 broadcasts of A
 * feed 24 multiply-adds per word, so the arithmetic units, not the loads, set the pace. The instructions are written in
 * assembly because gcc 12 spills accumulators with the intrinsics. */
#include "join_int8.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define ROWS   12
#define COLS   32

/* Write the hits of a finished tile (scores in t) after the first n; returns their new number. */
TARGET static size_t emit(const fw_strip *s, size_t first_row, const __m512 t[ROWS][2], size_t n)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (size_t r = 0; r < ROWS; r++) {
        __m512 low = _mm512_set1_ps(s->row_min[first_row + r]);
        for (size_t h = 0; h < 2; h++) {
            __m512 limit = _mm512_min_ps(low, _mm512_loadu_ps(s->col_min + 16 * h));
            __mmask16 m = _mm512_cmp_ps_mask(t[r][h], limit, _CMP_GE_OQ);
            if (!m) continue;
            __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32((int)((first_row + r) << 16 | 16 * h)));
            _mm512_storeu_si512(s->where + n, _mm512_maskz_compress_epi32(m, at));
            _mm512_storeu_ps(s->score + n, _mm512_maskz_compress_ps(m, t[r][h]));
            n += (size_t)__builtin_popcount(m);
        }
    }
    return n;
}

#define EACH_ROW(X)   X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define DECLARE(r)    __m512i l##r, h##r;
#define START_ZERO(r) l##r = h##r = _mm512_setzero_si512();
#define START_BIAS(r) l##r = h##r = _mm512_set1_epi32(s->bias[row + r]);
#define STEP(r)                                                                                                        \
    {                                                                                                                  \
        __m512i x = _mm512_set1_epi32((int)a[r]);                                                                      \
        __asm__(MAC " %2, %1, %0" : "+v"(l##r) : "v"(b0), "v"(x));                                                     \
        __asm__(MAC " %2, %1, %0" : "+v"(h##r) : "v"(b1), "v"(x));                                                     \
    }
#define BOUND(x, r, h)                                                                                                 \
    _mm512_fmadd_ps(_mm512_mul_ps(x, _mm512_loadu_ps(s->col_scale + 16 * h)), _mm512_set1_ps(s->row_scale[row + r]),   \
                    _mm512_add_ps(_mm512_loadu_ps(s->col_loss + 16 * h), _mm512_set1_ps(s->row_loss[row + r])))
#define AS_FLOAT(r) t[r][0] = BOUND(_mm512_castsi512_ps(l##r), r, 0), t[r][1] = BOUND(_mm512_castsi512_ps(h##r), r, 1);
#define TO_FLOAT(r) t[r][0] = BOUND(_mm512_cvtepi32_ps(l##r), r, 0), t[r][1] = BOUND(_mm512_cvtepi32_ps(h##r), r, 1);
#define KEEP(r)     _mm512_store_si512(&t[r][0], l##r), _mm512_store_si512(&t[r][1], h##r);
#define COMPARE(r)                                                                                                     \
    {                                                                                                                  \
        __m512 low = _mm512_set1_ps(s->row_min[row + r]);                                                              \
        any |= _mm512_cmp_ps_mask(t[r][0], _mm512_min_ps(low, c0), _CMP_GE_OQ);                                        \
        any |= _mm512_cmp_ps_mask(t[r][1], _mm512_min_ps(low, c1), _CMP_GE_OQ);                                        \
    }

/* The sums of a tile. */
#define SUMS(START)                                                                                                    \
    EACH_ROW(DECLARE)                                                                                                  \
    EACH_ROW(START)                                                                                                    \
    for (const uint32_t *a = s->a + row * s->words, *b = s->b, *end = b + COLS * s->words; b < end;                    \
         b += COLS, a += ROWS) {                                                                                       \
        __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 16);                                           \
        EACH_ROW(STEP)                                                                                                 \
    }

#define STRIP(NAME, START, FINISH)                                                                                     \
    TARGET static size_t NAME(const fw_strip *s)                                                                       \
    {                                                                                                                  \
        size_t hits = 0;                                                                                               \
        const __m512 c0 = _mm512_loadu_ps(s->col_min), c1 = _mm512_loadu_ps(s->col_min + 16);                          \
        for (size_t row = 0; row < s->panels * ROWS; row += ROWS) {                                                    \
            SUMS(START)                                                                                                \
            __m512 t[ROWS][2];                                                                                         \
            unsigned any = 0;                                                                                          \
            EACH_ROW(FINISH)                                                                                           \
            EACH_ROW(COMPARE)                                                                                          \
            if (any) hits = emit(s, row, t, hits);                                                                     \
        }                                                                                                              \
        return hits;                                                                                                   \
    }

#define MAC "vpdpbusd"
STRIP(strip_int8_pairs, START_BIAS, TO_FLOAT)

TARGET static size_t strip_int8(const fw_strip *s)
{
    const fw_int8_panel p = fw_int8_panel_of(s);
    const fw_half_panel c[2] = {fw_half_panel_of(s, 0), fw_half_panel_of(s, 1)};
    size_t hits = 0;
    if (p.min < INFINITY) return strip_int8_pairs(s);
    for (size_t row = 0; row < s->panels * ROWS; row += ROWS) {
        __m512i t[ROWS][2];
        SUMS(START_ZERO)
        EACH_ROW(KEEP)
        hits = fw_int8_hits(s, row, ROWS, (const int32_t *)(const void *)t, &p, c, hits);
    }
    return hits;
}
#undef MAC
#define MAC "vdpbf16ps"
STRIP(strip_bf16, START_ZERO, AS_FLOAT)
#undef MAC
#define MAC "vfmadd231ps"
STRIP(strip_f32, START_ZERO, AS_FLOAT)
#undef MAC

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

static bool has_vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool has_bf16(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512bf16");
}

#else /* other CPUs: named, never usable */
#define ROWS       12
#define COLS       32
#define strip_int8 NULL
#define strip_bf16 NULL
#define strip_f32  NULL
static bool has_vnni(void)
{
    return false;
}
static bool has_bf16(void)
{
    return false;
}
static bool has_avx512(void)
{
    return false;
}
#endif

extern const fw_kernel fw_kernel_avx512_int8, fw_kernel_avx512_bf16, fw_kernel_avx512_f32;
const fw_kernel fw_kernel_avx512_int8 = {"avx512-int8", FW_WORD_INT8, ROWS, COLS, 0, strip_int8, has_vnni};
const fw_kernel fw_kernel_avx512_bf16 = {"avx512-bf16", FW_WORD_BF16, ROWS, COLS, 0, strip_bf16, has_bf16};
const fw_kernel fw_kernel_avx512_f32 = {"avx512-f32", FW_WORD_F32, ROWS, COLS, 0, strip_f32, has_avx512};
