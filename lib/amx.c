#include "amx.h"

#define EIGHT(x) x, x, x, x, x, x, x, x
const fw_tiles fw_tiles_full = {.palette = 1, .row_bytes = {EIGHT(64)}, .rows = {EIGHT(16)}};

#if defined(__x86_64__)
#include <cpuid.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool usable;

static void ask(void)
{
    enum { REQUEST = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    const unsigned bf16 = 1u << 22, tile = 1u << 24, int8 = 1u << 25, need = bf16 | tile | int8;
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl")) return;
    if (!__builtin_cpu_supports("avx512dq") || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    usable = (d & need) == need && !syscall(SYS_arch_prctl, REQUEST, TILE_DATA);
}

bool fw_amx_usable(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask);
    return usable;
}
#else
bool fw_amx_usable(void)
{
    return false;
}
#endif
