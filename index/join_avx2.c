/* AVX2 kernel: fp32 tiles of 6 rows x 16 columns (12 accumulators of 16 registers). */
#include "join.h"

#define ROWS 6
#define COLS 16

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))

TARGET static size_t emit(const fw_strip *s, size_t first_row, const __m256 t[ROWS][2], size_t n)
{
    for (size_t r = 0; r < ROWS; r++) {
        __m256 low = _mm256_set1_ps(s->row_min[first_row + r]);
        for (size_t h = 0; h < 2; h++) {
            __m256 loss =
                _mm256_add_ps(_mm256_set1_ps(s->row_loss[first_row + r]), _mm256_loadu_ps(s->col_loss + 8 * h));
            __m256 scale =
                _mm256_mul_ps(_mm256_set1_ps(s->row_scale[first_row + r]), _mm256_loadu_ps(s->col_scale + 8 * h));
            __m256 bound = _mm256_fmadd_ps(t[r][h], scale, loss);
            __m256 limit = _mm256_min_ps(low, _mm256_loadu_ps(s->col_min + 8 * h));
            unsigned m = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(bound, limit, _CMP_GE_OQ));
            float x[8];
            if (m) _mm256_storeu_ps(x, bound);
            for (; m; m &= m - 1) {
                unsigned j = (unsigned)__builtin_ctz(m);
                s->where[n] = (uint32_t)((first_row + r) << 16 | (8 * h + j));
                s->score[n++] = x[j];
            }
        }
    }
    return n;
}

TARGET static size_t strip_f32(const fw_strip *s)
{
    size_t hits = 0;
    for (size_t row = 0; row < s->panels * ROWS; row += ROWS) {
        const float *a = (const float *)s->a + row * s->words, *b = (const float *)s->b, *end = b + COLS * s->words;
        __m256 sum[ROWS][2], t[ROWS][2]; /* sum stays in registers, t is what emit reads */
#pragma GCC unroll 6
        for (size_t r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm256_setzero_ps();
        for (; b < end; b += COLS, a += ROWS) {
            __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
            for (size_t r = 0; r < ROWS; r++) {
                __m256 x = _mm256_broadcast_ss(a + r);
                sum[r][0] = _mm256_fmadd_ps(x, b0, sum[r][0]);
                sum[r][1] = _mm256_fmadd_ps(x, b1, sum[r][1]);
            }
        }
#pragma GCC unroll 6
        for (size_t r = 0; r < ROWS; r++) t[r][0] = sum[r][0], t[r][1] = sum[r][1];
        hits = emit(s, row, t, hits);
    }
    return hits;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
#define strip_f32 NULL
static bool has_avx2(void)
{
    return false;
}
#endif

extern const fw_kernel fw_kernel_avx2_f32;
const fw_kernel fw_kernel_avx2_f32 = {"avx2-f32", FW_WORD_F32, ROWS, COLS, 0, strip_f32, has_avx2};
