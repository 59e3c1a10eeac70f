#include "joincluster.h"
#include "calib.h"
#include "unionfind.h"

#include <stdlib.h>
#include <string.h>

/* Photos that stand for a large cluster's centroid, evenly spread: bounds the work of one comparison. */
enum { SAMPLE = 64, ROUNDS = 50 };

static const float UNKNOWN = -9;

/* Share of the gap that a pair must keep: see needed(). LFW clean / degraded, pairwise F: .9966/.89 at 0, .9972/.955 at
 * .2 to .35, .997/.90 at .5 (the largest identity falls apart). */
static const double RISE = 0.3;

typedef struct cand {
    uint32_t a, b; /* modules, a < b */
    float margin;  /* centroid cosine above what the sizes need; UNKNOWN: to be computed */
} cand;

typedef struct list {
    cand *c;
    size_t count, cap;
} list;

/* Rows grouped by module. */
typedef struct member_table {
    uint64_t *off;
    uint32_t *row;
} member_table;

static int by_modules(const void *x, const void *y)
{
    const cand *p = x, *q = y;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    if (p->b != q->b) return p->b < q->b ? -1 : 1;
    return (p->margin > q->margin) - (p->margin < q->margin);
}

/* Sorted, each pair once (the unknown value first, so that it is the one kept). */
static void unique(list *l)
{
    size_t n = 0;
    if (l->count) qsort(l->c, l->count, sizeof *l->c, by_modules);
    for (size_t i = 0; i < l->count; i++)
        if (!n || l->c[n - 1].a != l->c[i].a || l->c[n - 1].b != l->c[i].b) l->c[n++] = l->c[i];
    l->count = n;
}

static void collect(const fw_graph *g, double candidate, const uint32_t *module, list *l)
{
    for (size_t i = 0; i < g->n; i++)
        for (uint64_t j = g->off[i]; j < g->off[i + 1] && g->sim[j] >= candidate; j++) {
            uint32_t a = module[i], b = module[g->id[j]];
            if (a == b) continue;
            fw_reserve(&l->c, &l->cap, l->count + 1, sizeof *l->c);
            l->c[l->count++] = a < b ? (cand){a, b, UNKNOWN} : (cand){b, a, UNKNOWN};
        }
    unique(l);
}

static member_table members(const uint32_t *module, size_t n)
{
    member_table m = {FW_ARRAY(uint64_t, n + 2), FW_ARRAY(uint32_t, n)};
    for (size_t i = 0; i < n; i++) m.off[module[i] + 2]++;
    for (size_t i = 2; i < n + 2; i++) m.off[i] += m.off[i - 1];
    for (size_t i = 0; i < n; i++) m.row[m.off[module[i] + 1]++] = (uint32_t)i;
    return m;
}

static void centroid(const fw_vectors *v, const float *weight, const member_table *m, uint32_t module, float *tmp,
                     float *out)
{
    uint64_t first = m->off[module], n = m->off[module + 1] - first, take = n < SAMPLE ? n : SAMPLE;
    memset(out, 0, (size_t)v->dim * sizeof *out);
    for (uint64_t i = 0; i < take; i++) {
        const uint32_t row = m->row[first + i * n / take];
        const float w = weight ? weight[row] : 1;
        fw_vectors_get(v, row, tmp);
        for (int d = 0; d < v->dim; d++) out[d] += w * tmp[d];
    }
    fw_normalise(out, v->dim);
}

/* Least cosine for joining clusters of m and n photos. Chance likeness of two centroids does not depend on the sizes,
 * but likeness of one person does: rho f(m) f(n) with f(n) = sqrt(n / (1 + (n-1) rho)), from rho = .55 for two photos
 * to 1. A pair must keep its place between the two, or large clusters of look-alikes would join at what is poor for
 * their size. */
static double needed(double join, double m, double n)
{
    static const double RHO = 0.55;
    double f = fw_size_factor(RHO, m < n ? m : n), expected = RHO * f * f;
    return join + RISE * (expected - RHO);
}

static void compare(const fw_vectors *v, const float *weight, double join, const uint32_t *module, list *l)
{
    member_table m = members(module, v->n);
#pragma omp parallel
    {
        float *buf = FW_ARRAY(float, 3 * (size_t)v->dim);
        uint32_t held = UINT32_MAX; /* candidates are sorted by a: its centroid is kept */
#pragma omp for schedule(dynamic, 256)
        for (size_t i = 0; i < l->count; i++) {
            cand *c = &l->c[i];
            if (c->margin > UNKNOWN) continue;
            if (held != c->a) centroid(v, weight, &m, held = c->a, buf, buf + v->dim);
            centroid(v, weight, &m, c->b, buf, buf + 2 * v->dim);
            double na = (double)(m.off[c->a + 1] - m.off[c->a]), nb = (double)(m.off[c->b + 1] - m.off[c->b]);
            c->margin = (float)(fw_dot(buf + v->dim, buf + 2 * v->dim, v->dim) - needed(join, na, nb));
        }
        fw_free(buf);
    }
    fw_free(m.off);
    fw_free(m.row);
}

static void prefer(const list *l, uint32_t *best, uint32_t module, size_t i)
{
    if (best[module] == UINT32_MAX || l->c[i].margin > l->c[best[module]].margin) best[module] = (uint32_t)i;
}

/* Join mutual best pairs; returns how many. */
static size_t join_round(const list *l, size_t n, fw_uf *uf)
{
    uint32_t *best = FW_ARRAY(uint32_t, n);
    size_t joined = 0;
    memset(best, 0xff, n * sizeof *best);
    for (size_t i = 0; i < l->count; i++) {
        if (l->c[i].margin < 0) continue;
        prefer(l, best, l->c[i].a, i);
        prefer(l, best, l->c[i].b, i);
    }
    for (size_t i = 0; i < l->count; i++)
        if (l->c[i].margin >= 0 && best[l->c[i].a] == i && best[l->c[i].b] == i)
            joined += fw_uf_join(uf, l->c[i].a, l->c[i].b);
    fw_free(best);
    return joined;
}

/* Rename the pairs after a round; those of joined clusters must be computed again, those within one go. */
static void rename_pairs(list *l, fw_uf *uf, const uint8_t *changed)
{
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++) {
        uint32_t a = fw_uf_find(uf, l->c[i].a), b = fw_uf_find(uf, l->c[i].b);
        if (a == b) continue;
        float margin = changed[a] || changed[b] ? UNKNOWN : l->c[i].margin;
        l->c[n++] = a < b ? (cand){a, b, margin} : (cand){b, a, margin};
    }
    l->count = n;
    unique(l);
}

void fw_cluster_join(const fw_vectors *v, const float *weight, const fw_graph *g, double candidate, double join,
                     uint32_t *module)
{
    list l = {0};
    if (join > 1) return;
    collect(g, candidate, module, &l);
    for (int round = 0; round < ROUNDS && !fw_stopping(); round++) {
        compare(v, weight, join, module, &l);
        fw_uf uf = fw_uf_new(g->n);
        uint8_t *changed = fw_alloc(g->n, 1);
        size_t joined = join_round(&l, g->n, &uf);
        for (size_t i = 0; i < g->n; i++) {
            uint32_t to = fw_uf_find(&uf, module[i]);
            if (to != module[i]) changed[to] = 1;
            module[i] = to;
        }
        rename_pairs(&l, &uf, changed);
        fw_free(changed);
        fw_uf_free(&uf);
        if (!joined) break;
    }
    fw_free(l.c);
}
