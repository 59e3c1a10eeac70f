#include "person.h"

#include <string.h>

void fw_groups_build(fw_groups *g, const fw_vectors *v, const uint32_t *label, size_t labels)
{
    g->labels = labels;
    g->off = FW_ARRAY(size_t, labels + 1);
    for (size_t i = 0; i < v->n; i++)
        if (label[i] != FW_NONE && fw_vectors_valid(v, i)) g->off[label[i] + 1]++;
    for (size_t l = 0; l < labels; l++) g->off[l + 1] += g->off[l];
    g->row = FW_ARRAY(uint32_t, g->off[labels]);
    size_t *at = FW_ARRAY(size_t, labels);
    memcpy(at, g->off, labels * sizeof *at);
    for (size_t i = 0; i < v->n; i++)
        if (label[i] != FW_NONE && fw_vectors_valid(v, i)) g->row[at[label[i]]++] = (uint32_t)i;
    fw_free(at);
}

void fw_groups_free(fw_groups *g)
{
    fw_free(g->off);
    fw_free(g->row);
    *g = (fw_groups){0};
}

/* A 4 x 4 tile keeps eight-lane partial sums in registers and reads each vector a quarter as often. The same sums for
 * any CPU: wider registers only hold more of them (and the Makefile forbids the compiler to fuse products and sums). 32 x 256 rows of 512, one thread: 8 GMAC/s, 30 with AVX2, where a
 * lane is a register, 36 with AVX-512, which has enough of them. */
static inline __attribute__((always_inline)) void tile(const float *const *a, const float *const *b, int dim,
                                                       float out[4][4])
{
    typedef float lane __attribute__((vector_size(32), aligned(4)));
    lane s[4][4] = {{{0}}};
    for (int k = 0; k + 8 <= dim; k += 8) {
        lane bv[4];
        for (int j = 0; j < 4; j++) bv[j] = *(const lane *)(const void *)(b[j] + k);
        for (int i = 0; i < 4; i++) {
            lane av = *(const lane *)(const void *)(a[i] + k);
            for (int j = 0; j < 4; j++) s[i][j] += av * bv[j];
        }
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            float sum = 0;
            for (int k = 0; k < 8; k++) sum += s[i][j][k];
            for (int k = dim & ~7; k < dim; k++) sum += a[i][k] * b[j][k];
            out[i][j] = sum;
        }
}

typedef void tile_fn(const float *const *a, const float *const *b, int dim, float out[4][4]);

static void tile_any(const float *const *a, const float *const *b, int dim, float out[4][4])
{
    tile(a, b, dim, out);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void tile_avx2(const float *const *a, const float *const *b, int dim,
                                                      float out[4][4])
{
    tile(a, b, dim, out);
}

__attribute__((target("avx512f,avx512vl"))) static void tile_avx512(const float *const *a, const float *const *b,
                                                                    int dim, float out[4][4])
{
    tile(a, b, dim, out);
}

static tile_fn *best_tile(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return tile_avx512;
    return __builtin_cpu_supports("avx2") ? tile_avx2 : tile_any;
}
#else
static tile_fn *best_tile(void)
{
    return tile_any;
}
#endif

void fw_products(const float *a, size_t na, const float *b, size_t nb, int dim, float *out)
{
    tile_fn *const multiply = best_tile();
    for (size_t i = 0; i < na; i += 4)
        for (size_t j = 0; j < nb; j += 4) {
            const float *pa[4], *pb[4];
            float t[4][4];
            for (size_t k = 0; k < 4; k++) {
                pa[k] = a + (i + k < na ? i + k : na - 1) * (size_t)dim;
                pb[k] = b + (j + k < nb ? j + k : nb - 1) * (size_t)dim;
            }
            multiply(pa, pb, dim, t);
            for (size_t r = 0; r < 4 && i + r < na; r++)
                for (size_t c = 0; c < 4 && j + c < nb; c++) out[(i + r) * nb + j + c] = t[r][c];
        }
}

void fw_gram(const float *x, size_t m, int dim, float *out)
{
    fw_products(x, m, x, m, dim, out);
}

typedef struct link {
    float *sim;
    size_t m;
    float *weight;   /* members of the cluster whose representative this is; 0: merged away */
    uint32_t *alive; /* representatives, ascending */
    size_t left;
    uint32_t *into; /* representative that a merged one went to */
} link_state;

/* Most similar live cluster to `a`; `prefer` (FW_NONE: nobody) wins ties so that the chain cannot cycle. */
static uint32_t nearest(const link_state *s, uint32_t a, uint32_t prefer, float *best)
{
    const float *row = s->sim + (size_t)a * s->m;
    uint32_t at = prefer;
    *best = prefer == FW_NONE ? -2.0f : row[prefer];
    for (size_t k = 0; k < s->left; k++) {
        uint32_t b = s->alive[k];
        if (b != a && row[b] > *best) {
            *best = row[b];
            at = b;
        }
    }
    return at;
}

static void drop(link_state *s, uint32_t a)
{
    size_t k = 0;
    while (s->alive[k] != a) k++;
    memmove(s->alive + k, s->alive + k + 1, (s->left - k - 1) * sizeof *s->alive);
    s->left--;
}

static void join(link_state *s, uint32_t a, uint32_t b)
{
    if (b < a) {
        uint32_t t = a;
        a = b;
        b = t;
    }
    float wa = s->weight[a], wb = s->weight[b], all = wa + wb;
    for (size_t k = 0; k < s->left; k++) {
        uint32_t c = s->alive[k];
        float mean = (wa * s->sim[a * s->m + c] + wb * s->sim[b * s->m + c]) / all;
        s->sim[a * s->m + c] = s->sim[c * s->m + a] = mean;
    }
    s->weight[a] = all;
    s->weight[b] = 0;
    s->into[b] = a;
    drop(s, b);
}

/* Reducibility of average link makes both steps safe in any order: joining reciprocal neighbours, and retiring a
 * cluster whose best similarity is under the threshold (later joins elsewhere cannot raise it). */
static void chain_run(link_state *s, uint32_t *chain, float threshold)
{
    size_t top = 0;
    while (s->left > 1 || top) {
        if (!top) chain[top++] = s->alive[0];
        uint32_t a = chain[top - 1], before = top > 1 ? chain[top - 2] : FW_NONE;
        float best;
        uint32_t b = nearest(s, a, before, &best);
        if (b == FW_NONE || best < threshold) { /* nothing near: final */
            drop(s, a);
            top--;
        } else if (b == before) {
            join(s, a, b);
            top -= 2;
        } else {
            chain[top++] = b;
        }
    }
}

size_t fw_average_link(float *sim, size_t m, float threshold, uint32_t *cluster)
{
    link_state s = {.sim = sim, .m = m, .left = m};
    s.weight = FW_ARRAY(float, m);
    s.alive = FW_ARRAY(uint32_t, m);
    s.into = FW_ARRAY(uint32_t, m);
    uint32_t *chain = FW_ARRAY(uint32_t, m + 1);
    for (size_t i = 0; i < m; i++) {
        s.weight[i] = 1;
        s.alive[i] = (uint32_t)i;
        s.into[i] = FW_NONE;
    }
    if (m) chain_run(&s, chain, threshold);
    size_t k = 0;
    for (size_t i = 0; i < m; i++) /* a merged one always went to a lower index: its number is already known */
        cluster[i] = s.into[i] == FW_NONE ? (uint32_t)k++ : cluster[s.into[i]];
    fw_free(s.weight);
    fw_free(s.alive);
    fw_free(s.into);
    fw_free(chain);
    return k;
}
