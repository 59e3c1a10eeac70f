/* What a kernel's multiply-add instruction does per second when nothing else happens: on registers, 24 sums (4 tiles of
 * them) that do not wait for each other. */
#include "bench.h"

#include "lib/amx.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,amx-tile,amx-int8,amx-bf16")))
#define EACH8(X, n)                                                                                                    \
    X(n##0)                                                                                                            \
    X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7)
#define EACH(X)    EACH8(X, 0) EACH8(X, 1) EACH8(X, 2)
#define DECLARE(r) __m512i s##r = zero;
#define ADD(r)     __asm__ volatile(MAC " %1, %1, %0" : "+v"(s##r) : "v"(zero));
#define RUN(NAME)                                                                                                      \
    TARGET static size_t NAME(size_t rounds)                                                                           \
    {                                                                                                                  \
        const __m512i zero = _mm512_setzero_si512();                                                                   \
        EACH(DECLARE)                                                                                                  \
        for (size_t i = 0; i < rounds; i++) {                                                                          \
            EACH(ADD)                                                                                                  \
        }                                                                                                              \
        return rounds * 24 * 16;                                                                                       \
    }

#define MAC "vpdpbusd"
RUN(run_int8)
#undef MAC
#define MAC "vdpbf16ps"
RUN(run_bf16)
#undef MAC
#define MAC "vfmadd231ps"
RUN(run_f32)

/* The products of two tiles of 16 rows and columns x 16 words. */
#define TILES(NAME, MULTIPLY)                                                                                          \
    TARGET static size_t NAME(size_t rounds)                                                                           \
    {                                                                                                                  \
        _tile_loadconfig(&fw_tiles_full);                                                                              \
        _tile_zero(4);                                                                                                 \
        _tile_zero(5);                                                                                                 \
        for (size_t i = 0; i < rounds; i++) {                                                                          \
            MULTIPLY(0, 4, 5);                                                                                         \
            MULTIPLY(1, 4, 5);                                                                                         \
            MULTIPLY(2, 4, 5);                                                                                         \
            MULTIPLY(3, 4, 5);                                                                                         \
        }                                                                                                              \
        _tile_release();                                                                                               \
        return rounds * 4 * 16 * 16 * 16;                                                                              \
    }
TILES(run_tiles_int8, _tile_dpbsud)
TILES(run_tiles_bf16, _tile_dpbf16ps)

size_t bench_multiply(const char *kernel, size_t rounds)
{
    const struct {
        const char *kernel;
        size_t (*run)(size_t rounds);
    } all[] = {{"amx-int8", run_tiles_int8},
               {"amx-bf16", run_tiles_bf16},
               {"avx512-int8", run_int8},
               {"avx512-bf16", run_bf16},
               {"avx512-f32", run_f32}};
    for (size_t i = 0; i < FW_COUNT(all); i++)
        if (!strcmp(kernel, all[i].kernel)) return all[i].run(rounds);
    return 0;
}
#else
size_t bench_multiply(const char *kernel, size_t rounds)
{
    FW_UNUSED(kernel), FW_UNUSED(rounds);
    return 0;
}
#endif
