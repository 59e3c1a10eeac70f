#include "relook.h"
#include "calib.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Photos that teach: beyond so many the answer no longer changes (reliability.c takes no more). Clusters of fewer than
 * LEAST say little about what is usual for their person. */
enum { TEACHERS = 65536, LEAST = 3 };

/* How near a photo comes to n others, told as if to endless many: only rho matters for that, here LFW's. What photos
 * teach hardly depends on it, as it moves all photos of a cluster alike. */
static const fw_calib USUAL = {.rho = 0.6};

/* atanh of every member's similarity to the rest of its cluster. */
static void teach_cluster(const fw_vectors *v, const uint32_t *rows, size_t m, float *sum, float *target)
{
    const size_t dim = (size_t)v->dim;
    float *x = sum + dim, *rest = x + dim;
    const double owed = fw_calib_shift(&USUAL, (double)(m - 1));
    memset(sum, 0, dim * sizeof *sum);
    for (size_t k = 0; k < m; k++) {
        fw_vectors_get(v, rows[k], x);
        for (size_t d = 0; d < dim; d++) sum[d] += x[d];
    }
    for (size_t k = 0; k < m; k++) {
        fw_vectors_get(v, rows[k], x);
        for (size_t d = 0; d < dim; d++) rest[d] = sum[d] - x[d];
        fw_normalise(rest, v->dim);
        const double cosine = fw_dot(x, rest, v->dim);
        target[rows[k]] = (float)(atanh(fmin(fmax(cosine, -0.95), 0.95)) - owed);
    }
}

/* Clusters of LEAST and more, taken evenly so that no more than about TEACHERS photos teach; how many they are. */
static size_t choose_clusters(const fw_groups *g, uint32_t *chosen)
{
    size_t count = 0, photos = 0, n = 0;
    for (size_t c = 0; c < g->labels; c++) {
        const size_t m = g->off[c + 1] - g->off[c];
        if (m < LEAST) continue;
        chosen[count++] = (uint32_t)c;
        photos += m;
    }
    const size_t every = (photos + TEACHERS - 1) / TEACHERS;
    for (size_t k = 0; k < count; k += every) chosen[n++] = chosen[k];
    return n;
}

static float *teach(const fw_vectors *v, const fw_groups *g)
{
    float *target = FW_ARRAY(float, v->n);
    uint32_t *chosen = FW_ARRAY(uint32_t, g->labels);
    const size_t n = choose_clusters(g, chosen);
    for (size_t i = 0; i < v->n; i++) target[i] = NAN;
#pragma omp parallel
    {
        float *room = FW_ARRAY(float, 3 * (size_t)v->dim);
#pragma omp for schedule(dynamic, 64)
        for (size_t k = 0; k < n; k++) {
            const size_t c = chosen[k];
            if (!fw_stopping()) teach_cluster(v, g->row + g->off[c], g->off[c + 1] - g->off[c], room, target);
        }
        fw_free(room);
    }
    fw_free(chosen);
    return target;
}

bool fw_relook_learn(fw_relook *r, const fw_vectors *v, const uint32_t *module)
{
    *r = (fw_relook){0};
    fw_groups g;
    fw_groups_build(&g, v, module, v->n);
    float *target = teach(v, &g);
    fw_groups_free(&g);
    const fw_reliability_in in = {.v = v, .label = module, .labels = v->n, .target = target};
    const bool learned = fw_reliability_learn(&r->learned, &in);
    fw_free(target);
    if (!learned) return false;
    r->view = fw_vectors_centred(v, r->learned.bin, r->learned.centre);
    r->weight = fw_reliability_weights(r->learned.value, v->n);
    return true;
}

typedef struct edge {
    float sim;
    uint32_t id;
} edge;

static int by_similarity(const void *x, const void *y)
{
    const edge *a = x, *b = y;
    if (a->sim != b->sim) return a->sim > b->sim ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Below it, rounding of the products (1e-7) would be seen in a similarity. */
static const float LEAST_LENGTH = 0.05f;

/* What the centres take from row i's similarities: its dot products with all of them, and what is left of its length. */
typedef struct taken {
    float to[FW_RELIABILITY_BINS], length;
} taken;

typedef struct measure {
    const fw_reliability *learned;
    taken *row;
    double between[FW_RELIABILITY_BINS][FW_RELIABILITY_BINS]; /* of two centres */
} measure;

static measure measure_new(const fw_relook *r, const fw_vectors *v)
{
    const size_t dim = (size_t)v->dim;
    const float *centre = r->learned.centre;
    measure m = {&r->learned, FW_ARRAY(taken, v->n), {{0}}};
    for (size_t a = 0; a < FW_RELIABILITY_BINS; a++)
        for (size_t b = 0; b < FW_RELIABILITY_BINS; b++)
            m.between[a][b] = fw_dot(centre + a * dim, centre + b * dim, v->dim);
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, dim);
#pragma omp for schedule(static)
        for (size_t i = 0; i < v->n; i++) {
            const size_t own = r->learned.bin[i];
            if (!fw_vectors_valid(v, i) || fw_stopping()) continue;
            fw_vectors_get(v, i, x);
            for (size_t b = 0; b < FW_RELIABILITY_BINS; b++) m.row[i].to[b] = fw_dot(x, centre + b * dim, v->dim);
            const double square = (double)fw_dot(x, x, v->dim) - 2 * (double)m.row[i].to[own] + m.between[own][own];
            m.row[i].length = (float)sqrt(fmax(square, 0));
        }
        fw_free(x);
    }
    return m;
}

/* (x - c)(y - d) / |x - c||y - d|, of xy, which the graph knows: no embedding is read for it. Both ends of an edge give the
 * same. Nothing is said of a photo that lies in its centre. */
static float similarity(const measure *m, size_t i, size_t j, float sim)
{
    const taken *x = &m->row[i], *y = &m->row[j];
    const size_t c = m->learned->bin[i], d = m->learned->bin[j];
    if (x->length < LEAST_LENGTH || y->length < LEAST_LENGTH) return 0;
    const double product = ((double)sim + m->between[c][d]) - ((double)x->to[d] + y->to[c]);
    return (float)fmin(fmax(product / ((double)x->length * y->length), -1), 1);
}

static void measure_row(const measure *m, size_t i, const uint32_t *id, const float *sim, size_t count, edge *e)
{
    for (size_t k = 0; k < count; k++) __builtin_prefetch(m->row + id[k]);
    for (size_t k = 0; k < count; k++) e[k] = (edge){similarity(m, i, id[k], sim[k]), id[k]};
    qsort(e, count, sizeof *e, by_similarity);
}

void fw_relook_edges(fw_relook *r, const fw_vectors *v, const fw_graph *g, double least)
{
    uint64_t *off = FW_ARRAY(uint64_t, g->n + 1);
    for (size_t i = 0; i < g->n; i++) {
        uint64_t end = g->off[i];
        while (end < g->off[i + 1] && g->sim[end] >= least) end++;
        off[i + 1] = off[i] + (end - g->off[i]);
    }
    uint32_t *id = FW_ARRAY(uint32_t, off[g->n]);
    float *sim = FW_ARRAY(float, off[g->n]);
    measure m = measure_new(r, v);
#pragma omp parallel
    {
        edge *e = NULL;
        size_t cap = 0;
#pragma omp for schedule(dynamic, 256)
        for (size_t i = 0; i < g->n; i++) {
            const size_t count = off[i + 1] - off[i];
            if (!count || fw_stopping()) continue;
            fw_reserve(&e, &cap, count, sizeof *e);
            measure_row(&m, i, g->id + g->off[i], g->sim + g->off[i], count, e);
            for (size_t k = 0; k < count; k++) id[off[i] + k] = e[k].id, sim[off[i] + k] = e[k].sim;
        }
        fw_free(e);
    }
    fw_free(m.row);
    r->edges = (fw_graph){g->n, off, id, sim};
}

void fw_relook_free(fw_relook *r)
{
    fw_reliability_free(&r->learned);
    fw_vectors_free(r->view);
    fw_free(r->weight);
    fw_free((void *)r->edges.off), fw_free((void *)r->edges.id), fw_free((void *)r->edges.sim);
    *r = (fw_relook){0};
}
