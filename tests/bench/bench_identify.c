/* What a search of a large gallery costs and finds: `make bench-identify`, BENCH_GALLERY rows (default 1,000,000).
 *
 * Synthetic people, one image each, 512 dimensions. Embeddings are no random directions: they lie in a subspace, and
 * their energy falls over its axes, which is what inverted lists live on. LFW's embeddings have standard deviations of
 * 1, .78, .72, .65, .60, .51, .40, .24 and .001 on principal axes 1, 2, 4, 8, 16, 32, 64, 128 and 256; the rows here
 * are Gaussian with .75 exp(-d / 110) on 220 axes, which is that curve. A probe is a row turned away from itself until
 * its cosine is .68, the mean of two photos of one person on LFW, or .50, which one genuine pair in ten of LFW falls
 * under. All are turned by one random rotation, so that no axis of the file is an axis of the data. "full scan" is the
 * exact answer, all probes at once (index/knn.h): what can be found at all.
 */
#include "../../index/knn.h"
#include "../../index/matcher.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 512, AXES = 220, PROBES = 500 };

/* A random rotation: signs, then Hadamard's matrix, twice. */
static void turn(float *x)
{
    fw_rng rng = {.state = 99};
    for (int round = 0; round < 2; round++) {
        for (int d = 0; d < DIM; d++) x[d] = fw_rng_next(&rng) >> 63 ? -x[d] : x[d];
        for (int half = 1; half < DIM; half *= 2)
            for (int d = 0; d < DIM; d++) {
                if (d & half) continue;
                float a = x[d], b = x[d + half];
                x[d] = a + b, x[d + half] = a - b;
            }
        fw_normalise(x, DIM);
    }
}

static void person(size_t i, uint64_t salt, float *x)
{
    fw_rng rng = {.state = i * 0x9E3779B97F4A7C15u + salt};
    double sd = 0.75;
    memset(x, 0, DIM * sizeof *x);
    for (int d = 0; d < AXES; d++, sd *= 0.990950363) x[d] = (float)(fw_rng_normal(&rng) * sd); /* exp(-1 / 110) */
    fw_normalise(x, DIM);
}

static void probe_of(size_t i, double cosine, float *x)
{
    float other[DIM];
    person(i, 1, x);
    person(i, 2, other);
    float along = fw_dot(x, other, DIM);
    for (int d = 0; d < DIM; d++) other[d] -= along * x[d];
    fw_normalise(other, DIM);
    for (int d = 0; d < DIM; d++) x[d] = (float)(cosine * (double)x[d] + sqrt(1 - cosine * cosine) * (double)other[d]);
    turn(x);
}

typedef struct cost {
    double wall, cpu;
} cost;

static cost now(void)
{
    return (cost){fw_now(), fw_cpu()};
}

static void spend(cost *sum, cost since)
{
    cost t = now();
    sum->wall += t.wall - since.wall;
    sum->cpu += t.cpu - since.cpu;
}

/* Seconds of all probes, and share that finds its person first. */
static cost search(fw_matcher *m, size_t n, double cosine, double *right)
{
    fw_err e = {0};
    fw_match best[5];
    float x[DIM];
    size_t found, hits = 0;
    cost spent = {0};
    for (size_t k = 0; k < PROBES; k++) {
        size_t i = n / PROBES * k;
        probe_of(i, cosine, x);
        cost start = now();
        if (fw_matcher_search(m, NULL, x, 5, best, &found, &e)) exit(1);
        spend(&spent, start);
        hits += found && best[0].row == i;
    }
    *right = 100.0 * (double)hits / PROBES;
    return spent;
}

static void put(const char *what, cost spent, double typical, double hard)
{
    printf("%-24s %.2f ms a probe, %.2f of CPU; rank-1 at cosine .68 %.1f %%, at .50 %.1f %%\n", what,
           1e3 * spent.wall / PROBES, 1e3 * spent.cpu / PROBES, typical, hard);
    fflush(stdout);
}

static void measure(fw_matcher *m, size_t n, const char *what)
{
    double typical, hard;
    cost spent = search(m, n, 0.68, &typical);
    search(m, n, 0.50, &hard);
    put(what, spent, typical, hard);
}

static cost exact(const fw_vectors *v, double cosine, double *right)
{
    fw_err e = {0};
    fw_graph *g;
    uint16_t *half = FW_ARRAY(uint16_t, PROBES * DIM);
    for (size_t k = 0; k < PROBES; k++) {
        float x[DIM];
        probe_of(v->n / PROBES * k, cosine, x);
        fw_float_to_half(x, half + k * DIM, DIM);
    }
    fw_vectors *probe = fw_vectors_wrap(half, PROBES, DIM, NULL);
    cost start = now(), spent = {0};
    if (fw_knn_cross(probe, v, &(fw_knn_opts){.k = 1}, &g, &e)) exit(1);
    spend(&spent, start);
    size_t hits = 0;
    for (size_t k = 0; k < PROBES; k++) hits += g->id[g->off[k]] == v->n / PROBES * k;
    *right = 100.0 * (double)hits / PROBES;
    fw_graph_free(g);
    fw_vectors_free(probe);
    fw_free(half);
    return spent;
}

static void measure_exact(const fw_vectors *v)
{
    double typical, hard;
    cost spent = exact(v, 0.68, &typical);
    exact(v, 0.50, &hard);
    put("full scan", spent, typical, hard);
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    const char *given = argc > 2 ? argv[2] : NULL; /* a factory string instead of the default for the size */
    fw_err e = {0};
    uint16_t *half = fw_alloc(n * DIM, sizeof *half);
    uint32_t *label = FW_ARRAY(uint32_t, n);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
        float x[DIM];
        person(i, 1, x);
        turn(x);
        fw_float_to_half(x, half + i * DIM, DIM);
        label[i] = (uint32_t)i;
    }
    fw_vectors *v = fw_vectors_wrap(half, n, DIM, NULL);
    fw_vecindex *x;
    char factory[48];
    double start = fw_now();
    if (fw_vecindex_build(v, given, &x, &e)) return fprintf(stderr, "%s\n", e.msg), 1;
    printf("%zu rows, %s: built in %.0f s\n", n, given ? given : fw_vecindex_default(n, DIM, factory, sizeof factory),
           fw_now() - start);
    fw_matcher *m = fw_matcher_new();
    if (fw_matcher_add(m, x, v, label, &e)) return fprintf(stderr, "%s\n", e.msg), 1;
    fw_matcher_ready(m, n);
    measure(m, n, "as identify searches it");
    measure_exact(v);
    for (size_t part = 64; fw_vecindex_lists(x) && part >= 2; part /= 2) {
        char params[32], what[40];
        snprintf(params, sizeof params, "nprobe=%zu", fw_vecindex_lists(x) / part);
        snprintf(what, sizeof what, "1 list in %zu", part);
        if (!fw_vecindex_tune(x, params, &e)) measure(m, n, what);
    }
    fw_matcher_free(m);
    fw_vectors_free(v);
    fw_free(half);
    fw_free(label);
    return 0;
}
