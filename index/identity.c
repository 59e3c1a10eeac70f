#include "audit.h"

#include <math.h>
#include <string.h>

#define GATHER_MAX 1024 /* flagged images of one label that are grouped into further persons */
#define SECOND_MIN                                                                                                     \
    3            /* images that make a further person; two strangers who look alike are rarer than two wrong photos */
#define NEAR 6   /* identities compared with each identity */
#define SURE 0.9 /* posterior that a merge or split needs */

typedef struct table {
    fw_audit *a;
    const fw_audit_in *in;
    const fw_audit_opt *opt;
    fw_groups g;
} table;

static double sigmoid(double x)
{
    return x > 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* ---- further persons of one label ------------------------------------------------------------------------------- */

/* The whole group belongs to another identity when its centre does. */
static uint32_t group_match(const table *t, uint32_t self, const uint32_t *rows, size_t count, float *centre, float *y)
{
    const fw_vectors *v = t->in->v;
    uint32_t near[NEAR], best = FW_NONE;
    double top = log((double)t->in->labels) + log(SURE / (1 - SURE));
    size_t n = fw_near_labels(t->a, t->in, rows, count, self, near, NEAR);
    for (size_t k = 0; k < n; k++) {
        fw_half_to_float(t->a->id_centre + near[k] * (size_t)v->dim, y, (size_t)v->dim);
        double llr = fw_calib_llr_centres(&t->a->calib, fw_dot(centre, y, v->dim), (double)count,
                                          t->a->id_members[near[k]], (double)t->in->labels);
        if (llr > top) {
            top = llr;
            best = near[k];
        }
    }
    return best;
}

static void assign_group(table *t, uint32_t l, const uint32_t *rows, size_t count, uint32_t *persons, float *x)
{
    fw_audit *a = t->a;
    const fw_vectors *v = t->in->v;
    size_t dim = (size_t)v->dim;
    float *sum = x, *y = x + dim;
    memset(sum, 0, dim * sizeof *sum);
    for (size_t k = 0; k < count; k++) {
        fw_vectors_get(v, rows[k], y);
        for (size_t d = 0; d < dim; d++) sum[d] += y[d];
    }
    fw_normalise(sum, v->dim);
    uint32_t to = group_match(t, l, rows, count, sum, y);
    bool person = to == FW_NONE && count >= SECOND_MIN;
    if (to == FW_NONE && !person) return;
    uint32_t number = person ? ++*persons : 1;
    for (size_t k = 0; k < count; k++) {
        uint32_t r = rows[k];
        a->verdict[r] = FW_AUDIT_RELABEL;
        a->new_label[r] = person ? l : to;
        a->person[r] = number;
        a->outlier[r] = 0;
        a->confidence[r] = a->score[r];
    }
}

/* Group the flagged images of label l that no single identity claimed; each group of some size is a further person. */
static void find_persons(table *t, uint32_t l, float *x, float *sim)
{
    fw_audit *a = t->a;
    const fw_vectors *v = t->in->v;
    size_t dim = (size_t)v->dim, m = 0;
    uint32_t rows[GATHER_MAX], at[GATHER_MAX], mine[GATHER_MAX], persons = 1;
    for (size_t k = t->g.off[l]; k < t->g.off[l + 1] && m < GATHER_MAX; k++)
        if (a->verdict[t->g.row[k]] == FW_AUDIT_REMOVE) rows[m++] = t->g.row[k];
    if (m < 2) return;
    for (size_t i = 0; i < m; i++) fw_vectors_get(v, rows[i], x + i * dim);
    fw_gram(x, m, v->dim, sim);
    size_t k = fw_average_link(sim, m, (float)a->t_in, at);
    for (size_t c = 0; c < k; c++) {
        size_t count = 0;
        for (size_t i = 0; i < m; i++)
            if (at[i] == c) mine[count++] = rows[i];
        if (count > 1) assign_group(t, l, mine, count, &persons, x);
    }
    if (persons < 2) return;
    a->id_action[l] = FW_LABEL_SPLIT;
    a->id_score[l] = (float)SURE;
}

/* ---- one person under two labels -------------------------------------------------------------------------------- */

/* Root of the merge forest; labels point at the label that they go into. */
static uint32_t root_of(const uint32_t *into, uint32_t l)
{
    while (into[l] != FW_NONE) l = into[l];
    return l;
}

static bool larger(const fw_audit *a, uint32_t k, uint32_t l)
{
    return a->id_members[k] != a->id_members[l] ? a->id_members[k] > a->id_members[l] : k < l;
}

/* Best partner of label l and the log likelihood ratio that both are one person. */
static uint32_t twin_of(const table *t, uint32_t l, float *x, double *llr)
{
    const fw_audit *a = t->a;
    const fw_vectors *v = t->in->v;
    uint32_t near[NEAR], best = FW_NONE, *mine = FW_ARRAY(uint32_t, a->id_images[l] + 1);
    size_t count = 0;
    *llr = -FW_LLR_MAX;
    for (size_t k = t->g.off[l]; k < t->g.off[l + 1]; k++)
        if (a->member[t->g.row[k]]) mine[count++] = t->g.row[k];
    size_t n = fw_near_labels(a, t->in, mine, count, l, near, NEAR);
    fw_half_to_float(a->id_centre + l * (size_t)v->dim, x, (size_t)v->dim);
    for (size_t k = 0; k < n; k++) {
        if (a->id_members[near[k]] < 2) continue;
        fw_half_to_float(a->id_centre + near[k] * (size_t)v->dim, x + v->dim, (size_t)v->dim);
        double o = fw_calib_llr_centres(&a->calib, fw_dot(x, x + v->dim, v->dim), a->id_members[l],
                                        a->id_members[near[k]], (double)t->in->labels);
        if (o <= *llr) continue;
        *llr = o;
        best = near[k];
    }
    fw_free(mine);
    return best;
}

/* Share of labels that have a twin, by EM from one in twenty; a given other label is it with this / labels. */
static double twin_prior(const double *llr, size_t labels)
{
    double share = 0.05;
    for (int round = 0; round < 20; round++) {
        double sum = 0;
        for (size_t l = 0; l < labels; l++) sum += sigmoid(llr[l] + log(share / (1 - share)) - log((double)labels));
        share = fmin(fmax((sum + 0.05) / ((double)labels + 1), 1e-3), 0.5);
    }
    return log(share / (1 - share)) - log((double)labels);
}

static void join_twins(table *t, const uint32_t *twin, const double *llr, uint32_t *into)
{
    fw_audit *a = t->a;
    size_t labels = t->in->labels;
    double prior = twin_prior(llr, labels);
    for (size_t l = 0; l < labels; l++) into[l] = FW_NONE;
    for (uint32_t l = 0; l < labels; l++) {
        uint32_t k = twin[l];
        double p = sigmoid(llr[l] + prior);
        if (k == FW_NONE || p < SURE) continue;
        uint32_t from = larger(a, k, l) ? l : k, to = from == l ? k : l;
        if (into[from] != FW_NONE || root_of(into, to) == from) continue;
        into[from] = to;
        a->id_score[from] = (float)p;
    }
    for (uint32_t l = 0; l < labels; l++) {
        if (into[l] == FW_NONE) continue;
        a->id_action[l] = FW_LABEL_MERGE;
        a->id_other[l] = root_of(into, l);
    }
}

static void find_twins(table *t)
{
    fw_audit *a = t->a;
    size_t labels = t->in->labels;
    uint32_t *twin = FW_ARRAY(uint32_t, labels), *into = FW_ARRAY(uint32_t, labels);
    double *llr = FW_ARRAY(double, labels);
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, (size_t)t->in->v->dim * 2);
#pragma omp for schedule(dynamic, 16)
        for (size_t l = 0; l < labels; l++) {
            twin[l] = FW_NONE;
            llr[l] = -FW_LLR_MAX;
            if (a->id_members[l] >= 2 && !fw_stopping()) twin[l] = twin_of(t, (uint32_t)l, x, &llr[l]);
        }
        fw_free(x);
    }
    join_twins(t, twin, llr, into);
    fw_free(twin);
    fw_free(into);
    fw_free(llr);
}

static void find_unjudged(table *t)
{
    fw_audit *a = t->a;
    for (size_t l = 0; l < t->in->labels; l++) {
        if (a->id_action[l] != FW_LABEL_KEEP || !a->id_images[l]) continue;
        size_t kept = 0, review = 0;
        for (size_t k = t->g.off[l]; k < t->g.off[l + 1]; k++) {
            kept += a->verdict[t->g.row[k]] == FW_AUDIT_KEEP;
            review += a->verdict[t->g.row[k]] == FW_AUDIT_REVIEW;
        }
        if (review && !kept)
            a->id_action[l] = FW_LABEL_REVIEW;
        else if (!kept)
            a->id_action[l] = FW_LABEL_DROP;
    }
}

int fw_identity_decide(fw_audit *a, const fw_audit_in *in, const fw_audit_opt *opt, fw_err *e)
{
    table t = {.a = a, .in = in, .opt = opt};
    fw_groups_build(&t.g, in->v, in->label, in->labels);
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, (size_t)GATHER_MAX *(size_t)in->v->dim);
        float *sim = FW_ARRAY(float, (size_t)GATHER_MAX *GATHER_MAX);
#pragma omp for schedule(dynamic, 16)
        for (size_t l = 0; l < in->labels; l++)
            if (!fw_stopping()) find_persons(&t, (uint32_t)l, x, sim);
        fw_free(x);
        fw_free(sim);
    }
    find_twins(&t);
    find_unjudged(&t);
    fw_groups_free(&t.g);
    return fw_check_stop(e);
}
