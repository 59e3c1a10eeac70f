#include "infomap.h"

#include <math.h>
#include <string.h>

/* Rounds of (move nodes, merge modules, start again from nodes). LFW settles after 3. */
enum { ROUNDS = 8 };

/* Gains below this are rounding. */
static const double LEAST = 1e-12;

/* A level's graph with flows: nodes of a coarser level carry inner flow in `p` and have no loops. */
typedef struct level {
    size_t n;
    const uint64_t *off;
    const uint32_t *id;
    const double *flow; /* per edge entry */
    double *p, *out;    /* per node: visiting share, flow over its edges */
} level;

typedef struct modules {
    uint32_t *of;  /* node -> module */
    double *p, *q; /* per module */
    double q_sum;
} modules;

/* Scratch for one node's neighbouring modules. */
typedef struct near {
    double *flow; /* per module, 0 when not touched */
    uint32_t *list;
    size_t count;
} near;

void fw_net_free(fw_net *g)
{
    fw_free(g->off);
    fw_free(g->id);
    fw_free(g->weight);
    memset(g, 0, sizeof *g);
}

static double plogp(double x)
{
    return x > 0 ? x * log2(x) : 0;
}

static void gather(const level *l, const uint32_t *of, size_t node, near *k)
{
    for (uint64_t i = l->off[node]; i < l->off[node + 1]; i++) {
        uint32_t m = of[l->id[i]];
        if (k->flow[m] == 0) k->list[k->count++] = m;
        k->flow[m] += l->flow[i];
    }
}

static void forget(near *k)
{
    for (size_t i = 0; i < k->count; i++) k->flow[k->list[i]] = 0;
    k->count = 0;
}

/* The part of L that a module adds, but for the common plogp(sum q). */
static double part(double p, double q)
{
    return plogp(q + p) - 2 * plogp(q);
}

/* Move the node to its best module; false when it is there already. */
static bool move_node(const level *l, modules *m, size_t node, near *k)
{
    uint32_t from = m->of[node], best = from;
    double p = l->p[node], out = l->out[node], gain = -LEAST;
    double qa = m->q[from] - out + 2 * k->flow[from], pa = m->p[from] - p;
    double left = part(pa, qa) - part(m->p[from], m->q[from]), qb_best = 0;
    if (qa < 0) qa = 0;
    for (size_t i = 0; i < k->count; i++) {
        uint32_t to = k->list[i];
        if (to == from) continue;
        double qb = m->q[to] + out - 2 * k->flow[to];
        if (qb < 0) qb = 0;
        double sum = m->q_sum + (qa - m->q[from]) + (qb - m->q[to]);
        double d = plogp(sum) - plogp(m->q_sum) + left + part(m->p[to] + p, qb) - part(m->p[to], m->q[to]);
        if (d < gain || (d == gain && best != from && to < best)) {
            gain = d;
            best = to;
            qb_best = qb;
        }
    }
    if (best == from) return false;
    m->q_sum += (qa - m->q[from]) + (qb_best - m->q[best]);
    m->q[from] = qa;
    m->p[from] = pa > 0 ? pa : 0;
    m->q[best] = qb_best;
    m->p[best] += p;
    m->of[node] = best;
    return true;
}

static uint32_t *shuffled(size_t n, uint64_t seed)
{
    uint32_t *order = FW_ARRAY(uint32_t, n);
    fw_rng r = {seed};
    for (size_t i = 0; i < n; i++) {
        size_t j = fw_rng_below(&r, i + 1);
        order[i] = order[j];
        order[j] = (uint32_t)i;
    }
    return order;
}

static void flows(const level *l, modules *m)
{
    memset(m->p, 0, l->n * sizeof *m->p);
    memset(m->q, 0, l->n * sizeof *m->q);
    m->q_sum = 0;
    for (size_t i = 0; i < l->n; i++) {
        uint32_t own = m->of[i];
        m->p[own] += l->p[i];
        for (uint64_t k = l->off[i]; k < l->off[i + 1]; k++)
            if (m->of[l->id[k]] != own) m->q[own] += l->flow[k];
    }
    for (size_t i = 0; i < l->n; i++) m->q_sum += m->q[i];
}

/* Nodes are visited in random order, and each looks at its neighbours' modules, which lie anywhere: of millions of nodes
 * every look waits for memory. So edges are asked for some nodes ahead, and the modules behind them a few later. */
enum { OFFSETS_AHEAD = 16, EDGES_AHEAD = 8, MODULES_AHEAD = 3 };

static void ask_edges(const level *l, size_t node)
{
    for (uint64_t k = l->off[node]; k < l->off[node + 1]; k += 16) {
        __builtin_prefetch(l->id + k);
        __builtin_prefetch(l->flow + k);
        __builtin_prefetch(l->flow + k + 8);
    }
}

static void ask_modules(const level *l, const modules *m, size_t node)
{
    for (uint64_t k = l->off[node]; k < l->off[node + 1]; k++) __builtin_prefetch(m->of + l->id[k]);
}

static void ask_ahead(const level *l, const modules *m, const uint32_t *order, const uint8_t *active, size_t i)
{
    if (i + OFFSETS_AHEAD < l->n) __builtin_prefetch(l->off + order[i + OFFSETS_AHEAD]);
    if (i + EDGES_AHEAD < l->n && active[order[i + EDGES_AHEAD]]) ask_edges(l, order[i + EDGES_AHEAD]);
    if (i + MODULES_AHEAD < l->n && active[order[i + MODULES_AHEAD]]) ask_modules(l, m, order[i + MODULES_AHEAD]);
}

/* Sweep over the nodes whose neighbourhood changed until none is left. True when any node moved. */
static bool move_all(const level *l, modules *m, uint64_t seed)
{
    near k = {FW_ARRAY(double, l->n), FW_ARRAY(uint32_t, l->n), 0};
    uint32_t *order = shuffled(l->n, seed);
    uint8_t *active = fw_alloc(l->n, 1);
    memset(active, 1, l->n);
    bool any = false;
    for (size_t moved = 1, sweep = 0; moved && sweep < 100 && !fw_stopping(); sweep++) {
        moved = 0;
        for (size_t i = 0; i < l->n; i++) {
            size_t node = order[i];
            ask_ahead(l, m, order, active, i);
            if (!active[node]) continue;
            active[node] = 0;
            gather(l, m->of, node, &k);
            if (move_node(l, m, node, &k)) {
                moved++;
                for (uint64_t j = l->off[node]; j < l->off[node + 1]; j++) active[l->id[j]] = 1;
            }
            forget(&k);
        }
        any |= moved > 0;
    }
    fw_free(active);
    fw_free(order);
    fw_free(k.flow);
    fw_free(k.list);
    return any;
}

/* Number modules 0.. by first member; returns how many. */
static size_t renumber(uint32_t *of, size_t n)
{
    uint32_t *name = FW_ARRAY(uint32_t, n);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!name[of[i]]) name[of[i]] = (uint32_t)++count;
        of[i] = name[of[i]] - 1;
    }
    fw_free(name);
    return count;
}

/* Members of each module, ascending: row[off[m]] .. */
static uint32_t *members(const uint32_t *of, size_t n, size_t count, uint64_t *off)
{
    uint32_t *row = FW_ARRAY(uint32_t, n);
    uint64_t *at = FW_ARRAY(uint64_t, count + 1);
    for (size_t i = 0; i < n; i++) off[of[i] + 1]++;
    for (size_t m = 0; m < count; m++) at[m + 1] = off[m + 1] += off[m];
    for (size_t i = 0; i < n; i++) row[at[of[i]]++] = (uint32_t)i;
    fw_free(at);
    return row;
}

/* The graph whose nodes are the modules of `l`. Owns everything; release with level_free. */
static level coarsen(const level *l, const uint32_t *of, size_t count)
{
    uint64_t *begin = FW_ARRAY(uint64_t, count + 1), *off = FW_ARRAY(uint64_t, count + 1);
    uint32_t *row = members(of, l->n, count, begin);
    near k = {FW_ARRAY(double, count), FW_ARRAY(uint32_t, count), 0};
    uint32_t *id = FW_ARRAY(uint32_t, l->off[l->n]);
    double *flow = FW_ARRAY(double, l->off[l->n]);
    level up = {count, off, id, flow, FW_ARRAY(double, count), FW_ARRAY(double, count)};
    for (size_t m = 0; m < count; m++) {
        for (uint64_t i = begin[m]; i < begin[m + 1]; i++) {
            gather(l, of, row[i], &k);
            up.p[m] += l->p[row[i]];
        }
        off[m + 1] = off[m];
        for (size_t i = 0; i < k.count; i++) {
            if (k.list[i] == m) continue;
            id[off[m + 1]] = k.list[i];
            flow[off[m + 1]++] = k.flow[k.list[i]];
            up.out[m] += k.flow[k.list[i]];
        }
        forget(&k);
    }
    fw_free(begin);
    fw_free(row);
    fw_free(k.flow);
    fw_free(k.list);
    return up;
}

static void level_free(level *l)
{
    fw_free((void *)l->off);
    fw_free((void *)l->id);
    fw_free((void *)l->flow);
    fw_free(l->p);
    fw_free(l->out);
}

static level ground(const fw_net *g)
{
    size_t edges = g->off[g->n];
    double total = 0, *flow = FW_ARRAY(double, edges);
    for (size_t i = 0; i < edges; i++) total += (double)g->weight[i];
    level l = {g->n, g->off, g->id, flow, FW_ARRAY(double, g->n), FW_ARRAY(double, g->n)};
    for (size_t i = 0; i < g->n; i++)
        for (uint64_t k = g->off[i]; k < g->off[i + 1]; k++) {
            flow[k] = (double)g->weight[k] / total;
            l.p[i] = l.out[i] += flow[k];
        }
    return l;
}

static modules modules_new(size_t n)
{
    return (modules){FW_ARRAY(uint32_t, n), FW_ARRAY(double, n), FW_ARRAY(double, n), 0};
}

static void modules_free(modules *m)
{
    fw_free(m->of);
    fw_free(m->p);
    fw_free(m->q);
}

/* Join whole modules of `l` as long as that helps; `of` has `count` modules and is updated. Returns their number. */
static size_t merge_modules(const level *l, uint32_t *of, size_t count, uint64_t seed)
{
    level up = coarsen(l, of, count);
    modules m = modules_new(count);
    for (size_t i = 0; i < count; i++) m.of[i] = (uint32_t)i;
    flows(&up, &m);
    size_t left = count;
    if (move_all(&up, &m, seed)) {
        left = renumber(m.of, count);
        if (left < count) left = merge_modules(&up, m.of, left, seed + 1);
    }
    for (size_t i = 0; i < l->n; i++) of[i] = m.of[of[i]];
    modules_free(&m);
    level_free(&up);
    return left;
}

int fw_infomap(const fw_net *g, uint64_t seed, uint32_t *module, size_t *count, fw_err *e)
{
    level l = ground(g);
    modules m = modules_new(g->n);
    for (size_t i = 0; i < g->n; i++) m.of[i] = (uint32_t)i;
    *count = g->n;
    for (int round = 0; round < ROUNDS && !fw_stopping(); round++) {
        flows(&l, &m);
        bool moved = move_all(&l, &m, seed + (uint64_t)round * 1000);
        size_t before = *count;
        *count = renumber(m.of, g->n);
        if (!moved && round) break;
        *count = merge_modules(&l, m.of, *count, seed + (uint64_t)round * 1000 + 1);
        if (!moved && *count == before) break;
    }
    *count = renumber(m.of, g->n);
    memcpy(module, m.of, g->n * sizeof *module);
    modules_free(&m);
    fw_free((void *)l.flow);
    fw_free(l.p);
    fw_free(l.out);
    return fw_check_stop(e);
}

double fw_infomap_length(const fw_net *g, const uint32_t *module)
{
    level l = ground(g);
    modules m = modules_new(g->n);
    memcpy(m.of, module, g->n * sizeof *module);
    flows(&l, &m);
    double bits = plogp(m.q_sum);
    for (size_t i = 0; i < g->n; i++) bits += part(m.p[i], m.q[i]) - plogp(l.p[i]);
    modules_free(&m);
    fw_free((void *)l.flow);
    fw_free(l.p);
    fw_free(l.out);
    return bits;
}
