#include "cluster.h"
#include "joincluster.h"
#include "relook.h"
#include "unionfind.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Neighbours per row. The map equation sees a large identity through its k nearest only: with 32 it splits an identity
 * of 530 photos in two or three (LFW, pairwise recall .80-.99 depending on chance), with 64 it does not (.995). */
enum { NEIGHBOURS = 64 };

/* Unrelated faces that a photo is expected to have above the edge, joining and comparing thresholds. LFW, BCubed F:
 * edges at .005: .988, at .05: .984, at .5: .92 (communities cannot be split again, pieces can be joined). Joining from
 * .03 to .06 is flat, clean and degraded. */
static const double FALSE_EDGES = 0.005, FALSE_JOINS = 0.05, FALSE_CANDIDATES = 1.5;

static double at(const fw_calib *c, double expected, size_t rows)
{
    return fw_calib_threshold(c, expected / (double)(rows < 100 ? 100 : rows));
}

fw_cluster_opts fw_cluster_defaults(const fw_calib *c, size_t rows)
{
    return (fw_cluster_opts){.method = FW_CLUSTER_INFOMAP,
                             .neighbours = NEIGHBOURS,
                             .threshold = at(c, FALSE_EDGES, rows),
                             .join = at(c, FALSE_JOINS, rows),
                             .candidate = at(c, FALSE_CANDIDATES, rows),
                             .seed = 1};
}

void fw_cluster_calibrate(fw_calib *c, const fw_vectors *v, uint64_t seed)
{
    uint32_t *own = FW_ARRAY(uint32_t, v->n);
    for (size_t i = 0; i < v->n; i++) own[i] = (uint32_t)i;
    fw_calib_impostors(c, v, own, 2000000, seed);
    fw_free(own);
}

/* Edges of a row that count: the first k with enough similarity, which is their weight: infomap wants it above 0, and the
 * threshold of a set without people may be below. */
static uint64_t row_end(const fw_graph *g, size_t row, int k, double threshold)
{
    uint64_t i = g->off[row], end = g->off[row + 1];
    if (end > i + (uint64_t)k) end = i + (uint64_t)k;
    while (i < end && g->sim[i] >= threshold && g->sim[i] > 0) i++;
    return i;
}

typedef struct half_edge {
    uint32_t id;
    float weight;
} half_edge;

static int by_id(const void *x, const void *y)
{
    uint32_t a = ((const half_edge *)x)->id, b = ((const half_edge *)y)->id;
    return (a > b) - (a < b);
}

/* Sort a row and drop the second of mutual edges; returns what is left. */
static size_t tidy(half_edge *e, size_t n)
{
    size_t kept = 0;
    qsort(e, n, sizeof *e, by_id);
    for (size_t i = 0; i < n; i++)
        if (!kept || e[kept - 1].id != e[i].id) e[kept++] = e[i];
    return kept;
}

static half_edge *both_ways(const fw_graph *g, int k, double threshold, uint64_t *begin)
{
    for (size_t i = 0; i < g->n; i++)
        for (uint64_t j = g->off[i], end = row_end(g, i, k, threshold); j < end; j++) {
            begin[i + 1]++;
            begin[g->id[j] + 1]++;
        }
    for (size_t i = 0; i < g->n; i++) begin[i + 1] += begin[i];
    half_edge *e = FW_ARRAY(half_edge, begin[g->n]);
    uint64_t *at = FW_ARRAY(uint64_t, g->n);
    memcpy(at, begin, g->n * sizeof *at);
    for (size_t i = 0; i < g->n; i++)
        for (uint64_t j = g->off[i], end = row_end(g, i, k, threshold); j < end; j++) {
            e[at[i]++] = (half_edge){g->id[j], g->sim[j]};
            e[at[g->id[j]]++] = (half_edge){(uint32_t)i, g->sim[j]};
        }
    fw_free(at);
    return e;
}

fw_net fw_cluster_net(const fw_graph *g, int k, double threshold)
{
    fw_net net = {g->n, FW_ARRAY(uint64_t, g->n + 1), NULL, NULL};
    uint64_t *begin = FW_ARRAY(uint64_t, g->n + 1);
    half_edge *e = both_ways(g, k, threshold, begin);
#pragma omp parallel for schedule(dynamic, 1024)
    for (size_t i = 0; i < g->n; i++) net.off[i + 1] = tidy(e + begin[i], begin[i + 1] - begin[i]);
    for (size_t i = 0; i < g->n; i++) net.off[i + 1] += net.off[i];
    net.id = FW_ARRAY(uint32_t, net.off[g->n]);
    net.weight = FW_ARRAY(float, net.off[g->n]);
    for (size_t i = 0; i < g->n; i++)
        for (uint64_t j = net.off[i]; j < net.off[i + 1]; j++) {
            net.id[j] = e[begin[i] + j - net.off[i]].id;
            net.weight[j] = e[begin[i] + j - net.off[i]].weight;
        }
    fw_free(e);
    fw_free(begin);
    return net;
}

static void components(const fw_net *net, uint32_t *module)
{
    fw_uf uf = fw_uf_new(net->n);
    for (size_t i = 0; i < net->n; i++)
        for (uint64_t j = net->off[i]; j < net->off[i + 1]; j++) fw_uf_join(&uf, (uint32_t)i, net->id[j]);
    for (size_t i = 0; i < net->n; i++) module[i] = fw_uf_find(&uf, (uint32_t)i);
    fw_uf_free(&uf);
}

/* The label with most weight around a node; ties go to the lowest. */
static uint32_t loudest(const fw_net *net, const uint32_t *module, size_t node, float *sum)
{
    uint32_t best = module[node];
    float most = 0;
    for (uint64_t j = net->off[node]; j < net->off[node + 1]; j++) {
        uint32_t m = module[net->id[j]];
        sum[m] += net->weight[j];
        if (sum[m] > most || (sum[m] == most && m < best)) {
            most = sum[m];
            best = m;
        }
    }
    for (uint64_t j = net->off[node]; j < net->off[node + 1]; j++) sum[module[net->id[j]]] = 0;
    return best;
}

static void whispers(const fw_net *net, uint64_t seed, uint32_t *module)
{
    float *sum = FW_ARRAY(float, net->n);
    uint32_t *order = FW_ARRAY(uint32_t, net->n);
    fw_rng r = {seed};
    for (size_t i = 0; i < net->n; i++) module[i] = order[i] = (uint32_t)i;
    for (int round = 0, changed = 1; changed && round < 30 && !fw_stopping(); round++) {
        for (size_t i = net->n; i > 1; i--) {
            size_t j = fw_rng_below(&r, i);
            uint32_t t = order[i - 1];
            order[i - 1] = order[j];
            order[j] = t;
        }
        changed = 0;
        for (size_t i = 0; i < net->n; i++) {
            uint32_t m = loudest(net, module, order[i], sum);
            changed |= m != module[order[i]];
            module[order[i]] = m;
        }
    }
    fw_free(sum);
    fw_free(order);
}

/* Cluster ids by first member; modules of one row become -1. */
static void number(const uint32_t *module, size_t n, int32_t *id, fw_cluster_report *r)
{
    uint32_t *size = FW_ARRAY(uint32_t, n);
    int32_t *name = FW_ARRAY(int32_t, n);
    for (size_t i = 0; i < n; i++) size[module[i]]++;
    for (size_t i = 0; i < n; i++) {
        uint32_t m = module[i];
        if (size[m] > 1 && !name[m]) name[m] = (int32_t)++r->clusters;
        if (size[m] > r->largest) r->largest = size[m];
        r->alone += size[m] == 1;
        id[i] = name[m] - 1;
    }
    fw_free(size);
    fw_free(name);
}

/* Of two and more. */
static size_t count_clusters(const uint32_t *module, size_t n)
{
    uint32_t *size = FW_ARRAY(uint32_t, n);
    size_t clusters = 0;
    for (size_t i = 0; i < n; i++) clusters += ++size[module[i]] == 2;
    fw_free(size);
    return clusters;
}

/* Edges, communities, joining; module[i] < n names row i's cluster. */
static int look(const fw_vectors *v, const float *weight, const fw_graph *g, const fw_cluster_opts *o, uint32_t *module,
                fw_cluster_report *r, fw_err *e)
{
    fw_net net = fw_cluster_net(g, o->neighbours, o->threshold);
    size_t count;
    int rc = FW_OK;
    r->edges = net.off[g->n] / 2;
    r->threshold = o->threshold, r->join = o->join;
    if (o->method == FW_CLUSTER_COMPONENTS)
        components(&net, module);
    else if (o->method == FW_CLUSTER_WHISPERS)
        whispers(&net, o->seed, module);
    else
        rc = fw_infomap(&net, o->seed, module, &count, e);
    if (!rc) rc = fw_check_stop(e);
    fw_net_free(&net);
    if (rc) return rc;
    r->communities = count_clusters(module, g->n);
    fw_cluster_join(v, weight, g, o->candidate, o->join, module);
    return fw_check_stop(e);
}

static int look_again(const fw_vectors *v, const fw_graph *g, const fw_cluster_opts *o, uint32_t *module,
                      fw_cluster_report *r, fw_err *e)
{
    fw_relook taught;
    FW_TRY(fw_check_stop(e));
    if (!fw_relook_learn(&taught, v, module)) return fw_check_stop(e); /* stopped, it has learned too little */
    fw_calib *c = FW_NEW(fw_calib);
    fw_cluster_calibrate(c, taught.view, o->seed);
    fw_cluster_opts again = fw_cluster_defaults(c, fw_vectors_usable(v));
    again.method = o->method, again.neighbours = o->neighbours, again.seed = o->seed;
    if (o->join > 1) again.join = o->join;
    r->looks = 2;
    r->explained = taught.learned.explained;
    int rc = fw_check_stop(e);
    if (!rc) fw_relook_edges(&taught, v, g, fmin(o->candidate, again.candidate));
    if (!rc) rc = fw_check_stop(e);
    if (!rc) rc = look(taught.view, taught.weight, &taught.edges, &again, module, r, e);
    fw_relook_free(&taught);
    fw_free(c);
    return rc;
}

int fw_cluster_run(const fw_vectors *v, const fw_graph *g, const fw_cluster_opts *o, int32_t *id, fw_cluster_report *r,
                   fw_err *e)
{
    fw_cluster_report unused;
    if (!r) r = &unused;
    *r = (fw_cluster_report){.looks = 1};
    uint32_t *module = FW_ARRAY(uint32_t, g->n);
    int rc = look(v, NULL, g, o, module, r, e);
    if (!rc && !o->once) rc = look_again(v, g, o, module, r, e);
    if (!rc) number(module, g->n, id, r);
    fw_free(module);
    return rc;
}
