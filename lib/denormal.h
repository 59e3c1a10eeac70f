/* denormal: numbers below 2^-126 count as zero while a network runs.
 *
 * Trained weights hold such numbers (weight decay leaves them in channels that do nothing), and activations may. Intel's
 * processors stop for about 150 cycles at each multiplication that meets one: LFW took 54 ms of CPU a photo instead of
 * 7.5 on a Xeon with AVX-512; AMD's do not. What is lost lies 30 orders of magnitude below the results.
 *
 * The mode is the calling thread's; a thread's own computations get their old mode back.
 */
#ifndef FW_DENORMAL_H
#define FW_DENORMAL_H

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>

/* Returns what fw_denormals_restore takes. */
static inline uint64_t fw_denormals_off(void)
{
    const unsigned old = _mm_getcsr(), results_to_zero = 0x8000u, operands_as_zero = 0x40u;
    _mm_setcsr(old | results_to_zero | operands_as_zero);
    return old;
}

static inline void fw_denormals_restore(uint64_t old)
{
    _mm_setcsr((unsigned)old);
}

#elif defined(__aarch64__)

static inline uint64_t fw_denormals_off(void)
{
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | 1ull << 24)); /* FZ */
    return old;
}

static inline void fw_denormals_restore(uint64_t old)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
}

#else

static inline uint64_t fw_denormals_off(void)
{
    return 0;
}

static inline void fw_denormals_restore(uint64_t old)
{
    (void)old;
}

#endif
#endif
