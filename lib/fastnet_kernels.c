/* See fastnet_kernels.h. Tiles of 14 rows x 32 columns: 14 broadcasts and 2 loads feed 28 multiply-adds. Instructions
 * that must keep accumulators in registers are written in assembly, because gcc 12 spills them with the intrinsics. */
#include "fastnet_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define F32    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define BF16   __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define INLINE static inline __attribute__((always_inline))

F32 INLINE __m512 load_f32(const void *p, size_t at)
{
    return _mm512_loadu_ps((const float *)p + at);
}
F32 INLINE void store_f32(void *p, size_t at, __m512 x)
{
    _mm512_storeu_ps((float *)p + at, x);
}
BF16 INLINE __m512 load_bf16(const void *p, size_t at)
{
    const __m256i h = _mm256_loadu_si256((const __m256i *)((const uint16_t *)p + at));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
BF16 INLINE void store_bf16(void *p, size_t at, __m512 x)
{
    _mm256_storeu_si256((__m256i *)((uint16_t *)p + at), (__m256i)_mm512_cvtneps_pbh(x));
}
F32 INLINE __m512 prelu(__m512 x, const float *bend)
{
    return _mm512_add_ps(x, _mm512_max_ps(_mm512_mul_ps(x, _mm512_loadu_ps(bend)), _mm512_setzero_ps()));
}

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#define START(r)    __m512 l##r = bias0, h##r = bias1;
#define STEP(r)                                                                                                        \
    {                                                                                                                  \
        __m512i x = _mm512_set1_epi32((int)a[r * words + w]);                                                          \
        __asm__(MAC " %2, %1, %0" : "+v"(l##r) : "v"(b0), "v"(x));                                                     \
        __asm__(MAC " %2, %1, %0" : "+v"(h##r) : "v"(b1), "v"(x));                                                     \
    }
#define FINISH(r) tile[r][0] = l##r, tile[r][1] = h##r;

/* The tile's results, stored where they belong. */
#define STORE(NAME, TARGET, TYPE)                                                                                      \
    TARGET INLINE void NAME(const fw_dense *d, size_t row, size_t col, __m512 tile[FW_TILE_ROWS][2])                   \
    {                                                                                                                  \
        for (size_t r = 0; r < FW_TILE_ROWS; r++)                                                                      \
            for (size_t h = 0; h < 2; h++) {                                                                           \
                const size_t at = col + 16 * h, to = (size_t)d->to[row + r] + at;                                      \
                __m512 x = tile[r][h];                                                                                 \
                if (d->bend) x = prelu(x, d->bend + at);                                                               \
                if (d->add) x = _mm512_add_ps(x, load_##TYPE(d->add, (row + r) * d->cols + at));                       \
                if (d->wide)                                                                                           \
                    store_f32(d->dst, to, x);                                                                          \
                else                                                                                                   \
                    store_##TYPE(d->dst, to, x);                                                                       \
            }                                                                                                          \
    }

/* `words` is a constant wherever it is one of the usual widths: then the 14 rows need one address register. */
#define DENSE(NAME, TARGET, STORE)                                                                                     \
    TARGET INLINE void NAME##_words(const fw_dense *d, const size_t words)                                             \
    {                                                                                                                  \
        const size_t last = d->rows > FW_TILE_ROWS ? d->rows - FW_TILE_ROWS : 0;                                       \
        for (size_t col = 0; col < d->cols; col += FW_TILE_COLS) {                                                     \
            const __m512 bias0 = _mm512_loadu_ps(d->bias + col), bias1 = _mm512_loadu_ps(d->bias + col + 16);          \
            for (size_t row = 0;; row = row + FW_TILE_ROWS < last ? row + FW_TILE_ROWS : last) {                       \
                const uint32_t *a = (const uint32_t *)d->src + row * words, *b = d->weight + col * words;              \
                EACH_ROW(START)                                                                                        \
                for (size_t w = 0; w < words; w++, b += FW_TILE_COLS) {                                                \
                    const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 16);                         \
                    EACH_ROW(STEP)                                                                                     \
                }                                                                                                      \
                __m512 tile[FW_TILE_ROWS][2];                                                                          \
                EACH_ROW(FINISH)                                                                                       \
                STORE(d, row, col, tile);                                                                              \
                if (row == last) break;                                                                                \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    TARGET void NAME(const fw_dense *d)                                                                                \
    {                                                                                                                  \
        switch (d->words) {                                                                                            \
        case 16:                                                                                                       \
            NAME##_words(d, 16);                                                                                       \
            break;                                                                                                     \
        case 32:                                                                                                       \
            NAME##_words(d, 32);                                                                                       \
            break;                                                                                                     \
        case 64:                                                                                                       \
            NAME##_words(d, 64);                                                                                       \
            break;                                                                                                     \
        case 128:                                                                                                      \
            NAME##_words(d, 128);                                                                                      \
            break;                                                                                                     \
        case 256:                                                                                                      \
            NAME##_words(d, 256);                                                                                      \
            break;                                                                                                     \
        case 512:                                                                                                      \
            NAME##_words(d, 512);                                                                                      \
            break;                                                                                                     \
        default:                                                                                                       \
            NAME##_words(d, d->words);                                                                                 \
        }                                                                                                              \
    }

STORE(store_tile_f32, F32, f32)
STORE(store_tile_bf16, BF16, bf16)
#define MAC "vfmadd231ps"
DENSE(fw_dense_f32, F32, store_tile_f32)
#undef MAC
#define MAC "vdpbf16ps"
DENSE(fw_dense_bf16, BF16, store_tile_bf16)
#undef MAC

/* Pixel by pixel, all its channels, as they lie in memory (channel by channel over the picture misses the cache: 64
 * bytes of every 512). A 3 x 3 filter makes 4 neighbouring results at once: 18 or 27 activations and 9 weights are read
 * for 36 multiply-adds. */
#define GROUP 4
#define DEPTHWISE(NAME, TARGET, TYPE)                                                                                  \
    TARGET INLINE void NAME##_put(const fw_depthwise *d, int y, int x, size_t c, __m512 sum)                           \
    {                                                                                                                  \
        if (d->bend) sum = prelu(sum, d->bend + c);                                                                    \
        store_##TYPE(d->dst, ((size_t)y * (size_t)d->width + (size_t)x) * d->channels + c, sum);                       \
    }                                                                                                                  \
    TARGET static void NAME##_any(const fw_depthwise *d, int y, int x)                                                 \
    {                                                                                                                  \
        const size_t from = ((size_t)y * d->pitch + (size_t)x) * (size_t)d->stride;                                    \
        for (size_t c = 0; c < d->channels; c += 16) {                                                                 \
            __m512 sum = _mm512_loadu_ps(d->bias + c);                                                                 \
            for (size_t i = 0; i < (size_t)d->kernel; i++)                                                             \
                for (size_t j = 0; j < (size_t)d->kernel; j++)                                                         \
                    sum = _mm512_fmadd_ps(_mm512_loadu_ps(d->weight + (i * (size_t)d->kernel + j) * d->channels + c),  \
                                          load_##TYPE(d->src, (from + i * d->pitch + j) * d->channels + c), sum);      \
            NAME##_put(d, y, x, c, sum);                                                                               \
        }                                                                                                              \
    }                                                                                                                  \
    TARGET INLINE void NAME##_group(const fw_depthwise *d, int y, int x, const int stride)                             \
    {                                                                                                                  \
        const size_t from = ((size_t)y * d->pitch + (size_t)x) * (size_t)stride;                                       \
        for (size_t c = 0; c < d->channels; c += 16) {                                                                 \
            const __m512 bias = _mm512_loadu_ps(d->bias + c);                                                          \
            __m512 sum[GROUP] = {bias, bias, bias, bias};                                                              \
            _Pragma("GCC unroll 3") for (int i = 0; i < 3; i++)                                                        \
            {                                                                                                          \
                __m512 w[3];                                                                                           \
                _Pragma("GCC unroll 3") for (int j = 0; j < 3; j++) w[j] =                                             \
                    _mm512_loadu_ps(d->weight + (size_t)(3 * i + j) * d->channels + c);                                \
                _Pragma("GCC unroll 9") for (int j = 0; j < 3 + (GROUP - 1) * stride; j++)                             \
                {                                                                                                      \
                    const __m512 v = load_##TYPE(d->src, (from + (size_t)i * d->pitch + (size_t)j) * d->channels + c); \
                    _Pragma("GCC unroll 4") for (int t = 0; t < GROUP; t++) if (j >= t * stride && j < t * stride + 3) \
                        sum[t] = _mm512_fmadd_ps(w[j - t * stride], v, sum[t]);                                        \
                }                                                                                                      \
            }                                                                                                          \
            for (int t = 0; t < GROUP; t++) NAME##_put(d, y, x + t, c, sum[t]);                                        \
        }                                                                                                              \
    }                                                                                                                  \
    TARGET void NAME(const fw_depthwise *d)                                                                            \
    {                                                                                                                  \
        const bool grouped = d->kernel == 3 && d->stride <= 2 && d->width >= GROUP;                                    \
        for (int y = 0; y < d->height; y++)                                                                            \
            for (int x = 0; x < d->width; x += grouped ? GROUP : 1) {                                                  \
                const int at = grouped && x > d->width - GROUP ? d->width - GROUP : x; /* the last may overlap */      \
                if (!grouped)                                                                                          \
                    NAME##_any(d, y, at);                                                                              \
                else if (d->stride == 1)                                                                               \
                    NAME##_group(d, y, at, 1);                                                                         \
                else                                                                                                   \
                    NAME##_group(d, y, at, 2);                                                                         \
            }                                                                                                          \
    }

DEPTHWISE(fw_depthwise_f32, F32, f32)
DEPTHWISE(fw_depthwise_bf16, BF16, bf16)

bool fw_fastnet_usable(bool bf16)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           (!bf16 || __builtin_cpu_supports("avx512bf16"));
}

#else /* other CPUs: never called */
bool fw_fastnet_usable(bool bf16)
{
    FW_UNUSED(bf16);
    return false;
}
void fw_dense_f32(const fw_dense *d)
{
    FW_UNUSED(d);
}
void fw_dense_bf16(const fw_dense *d)
{
    FW_UNUSED(d);
}
void fw_depthwise_f32(const fw_depthwise *d)
{
    FW_UNUSED(d);
}
void fw_depthwise_bf16(const fw_depthwise *d)
{
    FW_UNUSED(d);
}
#endif
