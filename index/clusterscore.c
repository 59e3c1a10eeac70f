#include "clusterscore.h"
#include "../lib/interval.h"
#include "verification.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const fw_score_names[FW_SCORES] = {
    "pairwise precision", "pairwise recall", "pairwise F", "BCubed precision", "BCubed recall", "BCubed F", "NMI"};

/* A cell of the table clusters x people that is not 0. Cells are sorted by cluster, then person. */
typedef struct cell {
    uint32_t cluster, person; /* dense */
    uint64_t count;
} cell;

typedef struct table {
    cell *cell;
    size_t cells, clusters, people;
    uint64_t *in_cluster, *in_person; /* totals, scratch of evaluate */
} table;

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int by_cell(const void *a, const void *b)
{
    const cell *x = a, *y = b;
    if (x->cluster != y->cluster) return x->cluster < y->cluster ? -1 : 1;
    return (x->person > y->person) - (x->person < y->person);
}

/* Any numbers to 0..k-1, in their order. */
static uint32_t *dense(const uint32_t *id, size_t n, size_t *k)
{
    uint32_t *sorted = FW_ARRAY(uint32_t, n), *out = FW_ARRAY(uint32_t, n);
    size_t kinds = 0;
    if (n) memcpy(sorted, id, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i < n; i++)
        if (!kinds || sorted[kinds - 1] != sorted[i]) sorted[kinds++] = sorted[i];
    for (size_t i = 0; i < n; i++)
        out[i] = (uint32_t)((uint32_t *)bsearch(&id[i], sorted, kinds, sizeof *sorted, by_value) - sorted);
    fw_free(sorted);
    *k = kinds;
    return out;
}

static void make_table(table *t, const uint32_t *cluster, const uint32_t *person, size_t n)
{
    uint32_t *c = dense(cluster, n, &t->clusters), *p = dense(person, n, &t->people);
    t->cell = FW_ARRAY(cell, n);
    for (size_t i = 0; i < n; i++) t->cell[i] = (cell){c[i], p[i], 1};
    qsort(t->cell, n, sizeof *t->cell, by_cell);
    for (size_t i = 0; i < n; i++) {
        cell *last = t->cells ? &t->cell[t->cells - 1] : NULL;
        if (last && !by_cell(last, &t->cell[i]))
            last->count++;
        else
            t->cell[t->cells++] = t->cell[i];
    }
    t->in_cluster = FW_ARRAY(uint64_t, t->clusters);
    t->in_person = FW_ARRAY(uint64_t, t->people);
    fw_free(c);
    fw_free(p);
}

static double pairs(double n)
{
    return n * (n - 1) / 2;
}

static double harmonic(double p, double r)
{
    return p + r > 0 ? 2 * p * r / (p + r) : 0;
}

static double entropy(const uint64_t *count, size_t n, double all)
{
    double h = 0;
    for (size_t i = 0; i < n; i++)
        if (count[i]) h -= (double)count[i] / all * log((double)count[i] / all);
    return h;
}

static double sum_pairs(const uint64_t *count, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += pairs((double)count[i]);
    return sum;
}

/* A person belongs to a group by a hash of the number: people who follow each other are not alike. */
static bool left_out(uint32_t person, int group)
{
    fw_rng r = {.state = person};
    return group >= 0 && fw_rng_below(&r, FW_SCORE_GROUPS) == (uint64_t)group;
}

/* All figures without the people of `group` (-1: with all). False when nobody is left. */
static bool evaluate(table *t, int group, double out[FW_SCORES])
{
    double all = 0, both = 0, cube_p = 0, cube_r = 0, mutual = 0;
    memset(t->in_cluster, 0, t->clusters * sizeof *t->in_cluster);
    memset(t->in_person, 0, t->people * sizeof *t->in_person);
    for (size_t i = 0; i < t->cells; i++) {
        const cell *c = &t->cell[i];
        if (left_out(c->person, group)) continue;
        t->in_cluster[c->cluster] += c->count;
        t->in_person[c->person] += c->count;
        all += (double)c->count;
    }
    if (all == 0) return false;
    for (size_t i = 0; i < t->cells; i++) {
        const cell *c = &t->cell[i];
        if (left_out(c->person, group)) continue;
        double n = (double)c->count, k = (double)t->in_cluster[c->cluster], p = (double)t->in_person[c->person];
        both += pairs(n);
        cube_p += n * n / k;
        cube_r += n * n / p;
        mutual += n / all * log(n * all / (k * p));
    }
    double in_cluster = sum_pairs(t->in_cluster, t->clusters), in_person = sum_pairs(t->in_person, t->people);
    double h = entropy(t->in_cluster, t->clusters, all) + entropy(t->in_person, t->people, all);
    out[FW_PAIR_P] = in_cluster > 0 ? both / in_cluster : 1;
    out[FW_PAIR_R] = in_person > 0 ? both / in_person : 1;
    out[FW_PAIR_F] = harmonic(out[FW_PAIR_P], out[FW_PAIR_R]);
    out[FW_CUBE_P] = cube_p / all;
    out[FW_CUBE_R] = cube_r / all;
    out[FW_CUBE_F] = harmonic(out[FW_CUBE_P], out[FW_CUBE_R]);
    out[FW_NMI] = h > 0 ? fmin(fmax(2 * mutual / h, 0), 1) : 1;
    return true;
}

static void jackknife(table *t, fw_clusterscore *out)
{
    double part[FW_SCORE_GROUPS][FW_SCORES];
    size_t groups = 0;
    double faultless, one; /* without a fault there is no spread: the bound for none of so many people */
    fw_clopper_pearson(t->people, t->people, 0.95, &faultless, &one);
    for (int g = 0; g < FW_SCORE_GROUPS; g++) {
        bool any = false; /* a group without people leaves nothing out, and says nothing */
        for (uint32_t p = 0; p < t->people && !any; p++) any = left_out(p, g);
        if (any && evaluate(t, g, part[groups])) groups++;
    }
    for (int s = 0; s < FW_SCORES; s++) {
        double mean = 0, squares = 0;
        for (size_t g = 0; g < groups; g++) mean += part[g][s] / (double)groups;
        for (size_t g = 0; g < groups; g++) squares += (part[g][s] - mean) * (part[g][s] - mean);
        double half =
            groups > 1 ? fw_student_975(groups - 1) * sqrt(squares * (double)(groups - 1) / (double)groups) : 1;
        out->low[s] = fmax(0, out->value[s] - half);
        out->high[s] = fmin(1, out->value[s] + half);
        if (out->low[s] == 1) out->low[s] = faultless;
    }
}

void fw_cluster_score(const uint32_t *cluster, const uint32_t *person, size_t n, fw_clusterscore *out)
{
    table t = {0};
    *out = (fw_clusterscore){.items = n};
    make_table(&t, cluster, person, n);
    out->clusters = t.clusters;
    out->people = t.people;
    if (!evaluate(&t, -1, out->value))
        for (int s = 0; s < FW_SCORES; s++) out->value[s] = 1;
    jackknife(&t, out);
    fw_free(t.cell);
    fw_free(t.in_cluster);
    fw_free(t.in_person);
}
