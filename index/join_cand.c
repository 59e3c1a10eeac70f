/* Kernels' table, candidate lists, exact similarities. */
#include "join.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

extern const fw_kernel fw_kernel_amx_int8, fw_kernel_amx_bf16, fw_kernel_avx512_int8, fw_kernel_avx512_bf16,
    fw_kernel_avx512_f32, fw_kernel_avx2_f32, fw_kernel_neon_f32, fw_kernel_blas;

const fw_kernel *fw_kernel_at(size_t i)
{
    static const fw_kernel *const all[] = {&fw_kernel_amx_int8,    &fw_kernel_amx_bf16,   &fw_kernel_avx512_int8,
                                           &fw_kernel_avx512_bf16, &fw_kernel_avx512_f32, &fw_kernel_avx2_f32,
                                           &fw_kernel_neon_f32,    &fw_kernel_blas};
    return i < FW_COUNT(all) ? all[i] : NULL;
}

const fw_kernel *fw_kernel_find(const char *name)
{
    const fw_kernel *k;
    for (size_t i = 0; (k = fw_kernel_at(i)); i++)
        if ((!name || !strcmp(name, k->name)) && k->usable()) return k;
    return NULL;
}

void fw_cand_init(fw_cand *c, size_t n, uint32_t keep, uint32_t cap)
{
    *c = (fw_cand){.keep = keep, .cap = cap};
    c->key = fw_alloc(n * cap, sizeof *c->key);
    c->len = FW_ARRAY(uint32_t, n);
    c->min = FW_ARRAY(float, n);
    fw_cand_reset(c, n);
}

void fw_cand_reset(fw_cand *c, size_t n)
{
    c->n = n;
    for (size_t i = 0; i < n; i++) {
        c->len[i] = 0;
        c->min[i] = -INFINITY;
    }
}

void fw_cand_free(fw_cand *c)
{
    fw_free(c->key);
    fw_free(c->len);
    fw_free(c->min);
    *c = (fw_cand){0};
}

void fw_cand_cut(fw_cand *c, size_t row)
{
    if (c->len[row] <= c->keep) return;
    uint64_t worst = fw_key_select(c->key + row * c->cap, c->len[row], c->keep);
    c->len[row] = c->keep;
    c->min[row] = fw_key_score(worst);
}

static uint64_t median3(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t lo = a < b ? a : b, hi = a < b ? b : a;
    return c < lo ? lo : c > hi ? hi : c;
}

/* Quickselect whose partition has no branch that depends on the data: mispredictions are what selection costs. */
uint64_t fw_key_select(uint64_t *key, size_t n, size_t k)
{
    size_t lo = 0, hi = n;
    while (hi - lo > 1 && lo < k && k < hi) {
        uint64_t pivot = median3(key[lo], key[lo + (hi - lo) / 2], key[hi - 1]);
        size_t j = lo;
        for (size_t i = lo; i < hi; i++) {
            uint64_t x = key[i];
            key[i] = key[j];
            key[j] = x;
            j += x > pivot;
        }
        if (j >= k) {
            hi = j;
            continue;
        }
        size_t at = j; /* the pivot is the largest of what is left */
        while (key[at] != pivot) at++;
        key[at] = key[j];
        key[j] = pivot;
        lo = j + 1;
    }
    uint64_t worst = key[0];
    for (size_t i = 1; i < k; i++) worst = key[i] < worst ? key[i] : worst;
    return worst;
}

void fw_key_sort(uint64_t *key, size_t n)
{
    static const size_t gap[] = {701, 301, 132, 57, 23, 10, 4, 1}; /* Shell sort, Ciura's gaps: lists are ~100 long */
    for (size_t g = 0; g < FW_COUNT(gap); g++)
        for (size_t i = gap[g]; i < n; i++) {
            uint64_t x = key[i];
            size_t j = i;
            for (; j >= gap[g] && key[j - gap[g]] < x; j -= gap[g]) key[j] = key[j - gap[g]];
            key[j] = x;
        }
}

#if defined(__x86_64__)
/* fw_dot()'s order of operations (8 partial sums, multiply then add), four rows at a time to hide the adds' latency. */
__attribute__((target("avx,f16c"))) static void dots4(const float *q, const uint16_t *const w[4], int dim, float *out)
{
    __m256 s[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    int i = 0;
    for (; i + 8 <= dim; i += 8) {
        __m256 a = _mm256_loadu_ps(q + i);
        for (int j = 0; j < 4; j++) {
            __m256 b = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(w[j] + i)));
            s[j] = _mm256_add_ps(s[j], _mm256_mul_ps(a, b));
        }
    }
    for (int j = 0; j < 4; j++) {
        float x[8], tail[8];
        _mm256_storeu_ps(x, s[j]);
        if (i < dim) fw_half_to_float(w[j] + i, tail, (size_t)(dim - i));
        for (int t = i; t < dim; t++) x[0] += q[t] * tail[t - i];
        out[j] = ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7]));
    }
}

static size_t dots_x86(const fw_vectors *w, const uint32_t *id, size_t n, const float *query, float *out)
{
    if (!__builtin_cpu_supports("avx") || !__builtin_cpu_supports("f16c")) return 0;
    const uint16_t *next[4], *now[4];
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t j = 0; j < 4; j++) now[j] = i ? next[j] : fw_vectors_half(w, id[i + j]);
        for (size_t j = 0; j < 4 && i + 8 <= n; j++) { /* rows lie anywhere in memory: ask for the next four early */
            next[j] = fw_vectors_half(w, id[i + 4 + j]);
            for (int b = 0; b < w->dim; b += 32) __builtin_prefetch(next[j] + b);
        }
        dots4(query, now, w->dim, out + i);
    }
    return i;
}
#endif

void fw_rank_dots(const fw_vectors *v, size_t row, const fw_vectors *w, const uint32_t *id, size_t n, float *query,
                  float *out)
{
    size_t i = 0;
    fw_vectors_get(v, row, query);
#if defined(__x86_64__)
    i = dots_x86(w, id, n, query, out);
#endif
    float *other = query + v->dim;
    for (; i < n; i++) {
        fw_vectors_get(w, id[i], other);
        out[i] = fw_dot(query, other, v->dim);
    }
}
