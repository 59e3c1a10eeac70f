/* NEON kernel (64-bit ARM): fp32 tiles of 8 rows x 12 columns (24 accumulators of 32 registers). */
#include "join.h"

#define ROWS 8
#define COLS 12

#if defined(__aarch64__)
#include <arm_neon.h>

static size_t emit(const fw_strip *s, size_t first_row, const float32x4_t t[ROWS][3], size_t n)
{
    for (size_t r = 0; r < ROWS; r++)
        for (size_t h = 0; h < 3; h++) {
            float32x4_t limit = vminq_f32(vdupq_n_f32(s->row_min[first_row + r]), vld1q_f32(s->col_min + 4 * h));
            float32x4_t loss = vaddq_f32(vdupq_n_f32(s->row_loss[first_row + r]), vld1q_f32(s->col_loss + 4 * h));
            float32x4_t scale = vmulq_n_f32(vld1q_f32(s->col_scale + 4 * h), s->row_scale[first_row + r]);
            float32x4_t bound = vfmaq_f32(loss, t[r][h], scale);
            if (!vmaxvq_u32(vcgeq_f32(bound, limit))) continue;
            float x[4], low[4];
            vst1q_f32(x, bound);
            vst1q_f32(low, limit);
            for (size_t j = 0; j < 4; j++)
                if (x[j] >= low[j]) {
                    s->where[n] = (uint32_t)((first_row + r) << 16 | (4 * h + j));
                    s->score[n++] = x[j];
                }
        }
    return n;
}

static size_t strip_f32(const fw_strip *s)
{
    size_t hits = 0;
    for (size_t row = 0; row < s->panels * ROWS; row += ROWS) {
        const float *a = (const float *)s->a + row * s->words, *b = (const float *)s->b, *end = b + COLS * s->words;
        float32x4_t sum[ROWS][3], t[ROWS][3]; /* sum stays in registers, t is what emit reads */
#pragma GCC unroll 8
        for (size_t r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = sum[r][2] = vdupq_n_f32(0);
        for (; b < end; b += COLS, a += ROWS) {
            const float32x4_t b0 = vld1q_f32(b), b1 = vld1q_f32(b + 4), b2 = vld1q_f32(b + 8);
            const float32x4_t x[2] = {vld1q_f32(a), vld1q_f32(a + 4)}; /* single floats would take 8 registers */
#pragma GCC unroll 8
            for (size_t r = 0; r < ROWS; r++) {
                sum[r][0] = vfmaq_n_f32(sum[r][0], b0, x[r / 4][r % 4]);
                sum[r][1] = vfmaq_n_f32(sum[r][1], b1, x[r / 4][r % 4]);
                sum[r][2] = vfmaq_n_f32(sum[r][2], b2, x[r / 4][r % 4]);
            }
        }
#pragma GCC unroll 8
        for (size_t r = 0; r < ROWS; r++) t[r][0] = sum[r][0], t[r][1] = sum[r][1], t[r][2] = sum[r][2];
        hits = emit(s, row, t, hits);
    }
    return hits;
}

static bool has_neon(void)
{
    return true;
}
#else
#define strip_f32 NULL
static bool has_neon(void)
{
    return false;
}
#endif

extern const fw_kernel fw_kernel_neon_f32;
const fw_kernel fw_kernel_neon_f32 = {"neon-f32", FW_WORD_F32, ROWS, COLS, 0, strip_f32, has_neon};
