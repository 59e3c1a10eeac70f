/* world: a labelled set of synthetic people with its exact kNN graph, for the tests of audit and identity. */
#ifndef FW_TEST_WORLD_H
#define FW_TEST_WORLD_H

#include "../../index/audit.h"

enum { DIM = 128, K = 24 };

typedef struct world {
    size_t n, labels;
    uint16_t *half;
    uint32_t *label, *person;
    float *quality; /* or NULL */
    fw_vectors *v;
    fw_graph *knn;
} world;

static inline void photo(fw_rng *r, uint64_t who, double noise, uint16_t *out)
{
    float x[DIM];
    fw_rng face = {.state = who * 977 + 13};
    for (int d = 0; d < DIM; d++) x[d] = (float)(fw_rng_normal(&face) + noise * fw_rng_normal(r));
    fw_normalise(x, DIM);
    fw_float_to_half(x, out, DIM);
}

static inline void build_graph(world *w)
{
    float *x = FW_ARRAY(float, w->n *DIM), *row = FW_ARRAY(float, w->n);
    uint64_t *off = FW_ARRAY(uint64_t, w->n + 1);
    uint32_t *id = FW_ARRAY(uint32_t, w->n * K);
    float *sim = FW_ARRAY(float, w->n *K);
    fw_vectors_block(w->v, 0, w->n, x);
    for (size_t i = 0; i < w->n; i++) {
        uint32_t *best = id + i * K;
        float *s = sim + i * K;
        fw_products(x + i * DIM, 1, x, w->n, DIM, row);
        for (size_t k = 0; k < K; k++) s[k] = -9;
        for (size_t j = 0; j < w->n; j++) {
            if (j == i || row[j] <= s[K - 1]) continue;
            size_t k = K - 1;
            for (; k > 0 && s[k - 1] < row[j]; k--) s[k] = s[k - 1], best[k] = best[k - 1];
            s[k] = row[j], best[k] = (uint32_t)j;
        }
        off[i + 1] = (i + 1) * K;
    }
    w->knn = fw_graph_new(w->n, off, id, sim);
    fw_free(x);
    fw_free(row);
}

static inline void drop(world *w)
{
    fw_vectors_free(w->v);
    fw_graph_free(w->knn);
    fw_free(w->half);
    fw_free(w->label);
    fw_free(w->person);
    fw_free(w->quality);
}

#endif
