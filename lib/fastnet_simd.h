/* fastnet_simd: what the kernels of fastnet share; only for their files, and only on x86-64.
 *
 * Every function is inlined with `half` (bf16) known, so that one text serves both types. Instructions that must keep
 * accumulators in registers are written in assembly, because gcc 12 spills them with the intrinsics; those of
 * AVX512_BF16, because functions for CPUs without it contain them too, unused.
 */
#ifndef FW_FASTNET_SIMD_H
#define FW_FASTNET_SIMD_H

#include "fastnet_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define FW_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define FW_INLINE FW_AVX512 static inline __attribute__((always_inline))

FW_INLINE __m512 fw_load(const void *p, size_t at, const bool half)
{
    if (!half) return _mm512_loadu_ps((const float *)p + at);
    const __m256i h = _mm256_loadu_si256((const __m256i *)((const uint16_t *)p + at));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

FW_INLINE void fw_store_some(void *p, size_t at, __m512 x, __mmask16 some, const bool half)
{
    if (!half) {
        _mm512_mask_storeu_ps((float *)p + at, some, x);
    } else {
        __m256i h;
        __asm__("vcvtneps2bf16 %1, %0" : "=v"(h) : "v"(x));
        _mm256_mask_storeu_epi16((uint16_t *)p + at, some, h);
    }
}

FW_INLINE void fw_store(void *p, size_t at, __m512 x, const bool half)
{
    fw_store_some(p, at, x, 0xFFFF, half);
}

/* PReLU with c = bend: see fastnet_kernels.h. */
FW_INLINE __m512 fw_bent(__m512 x, __m512 bend)
{
    return _mm512_add_ps(x, _mm512_max_ps(_mm512_mul_ps(x, bend), _mm512_setzero_ps()));
}

/* Where pixel (x, y) of f->add and of f->to begins, in elements. */
FW_INLINE size_t fw_finish_from(const fw_finish *f, size_t y, size_t x)
{
    return (y >> f->add_up) * f->add.line + (x >> f->add_up) * f->add.pixel;
}

FW_INLINE size_t fw_finish_to(const fw_finish *f, size_t y, size_t x)
{
    return y * f->to.line + x * f->to.pixel;
}

/* All of fw_finish for 16 channels from c on, whose bias is in the sum already. */
FW_INLINE void fw_finish_at(const fw_finish *f, size_t y, size_t x, size_t c, __m512 sum, const bool half)
{
    if (f->relu) sum = _mm512_max_ps(sum, _mm512_setzero_ps());
    if (f->bend) sum = fw_bent(sum, _mm512_loadu_ps(f->bend + c));
    if (f->add.at) sum = _mm512_add_ps(sum, fw_load(f->add.at, fw_finish_from(f, y, x) + c, half));
    fw_store(f->to.at, fw_finish_to(f, y, x) + c, sum, half && !f->wide);
}

FW_INLINE __m512 fw_bias(const fw_finish *f, size_t c)
{
    return f->bias ? _mm512_loadu_ps(f->bias + c) : _mm512_setzero_ps();
}

#endif
#endif
