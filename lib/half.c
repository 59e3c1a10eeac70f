#include "half.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

static float half_to_float_one(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 31u, man = h & 0x3FFu;
    float f;
    if (exp == 0) {
        f = ldexpf((float)man, -24);
        return sign ? -f : f;
    }
    uint32_t bits = sign | (exp == 31 ? 0x7F800000u : (exp + 112) << 23) | man << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint16_t float_to_half_one(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    float a = fabsf(f);
    if (isnan(f)) return sign | 0x7E00u;
    if (a >= 65520.0f) return sign | 0x7C00u;
    if (a < 0x1p-14f) return sign | (uint16_t)lrintf(a * 0x1p24f);
    memcpy(&bits, &a, sizeof bits);
    uint32_t rounded = bits + 0xFFFu + (bits >> 13 & 1u);
    return sign | (uint16_t)((rounded >> 13) - (112u << 10));
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) static size_t widen_f16c(const uint16_t *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(in + i))));
    return i;
}
#elif defined(__aarch64__)
static size_t widen_neon(const uint16_t *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(in + i))));
    return i;
}
#endif

void fw_half_to_float(const uint16_t *in, float *out, size_t n)
{
    size_t i = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c")) i = widen_f16c(in, out, n);
#elif defined(__aarch64__)
    i = widen_neon(in, out, n);
#endif
    for (; i < n; i++) out[i] = half_to_float_one(in[i]);
}

void fw_float_to_half(const float *in, uint16_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = float_to_half_one(in[i]);
}
