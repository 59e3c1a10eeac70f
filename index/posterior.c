/* posterior: P(label is wrong) for every image (judge.h, step 4). */
#include "judge.h"

#include <string.h>

#define OTHERS     6    /* other identities weighed per image, those with most of its neighbours */
#define GROUPS     8    /* largest groups of a label that are judged as a whole */
#define STRAY_PART 0.05 /* of the photos of a second person, this share resembles none of the others */

/* The best other identity. Flips have one; the sum over all would add nothing but look-alikes. */
static void best_other(fw_judge *j, uint32_t i, const float *x, float *y)
{
    fw_audit *a = j->a;
    uint32_t near[OTHERS];
    size_t n = (j->opt->off & FW_OFF_OTHERS) ? 0 : fw_near_labels(a, j->in, &i, 1, j->in->label[i], near, OTHERS);
    double best = -1e30;
    a->other[i] = FW_NONE;
    a->other_sim[i] = 0;
    for (size_t k = 0; k < n; k++) fw_prefetch_half(fw_judge_centre(a, j->v, near[k]), j->v->dim);
    for (size_t k = 0; k < n; k++) {
        fw_half_to_float(fw_judge_centre(a, j->v, near[k]), y, (size_t)j->v->dim);
        double sim = fw_dot(x, y, j->v->dim);
        uint32_t members = a->id_members[near[k]];
        if (fw_judge_copy_in(j, i, near[k]) != FW_NONE) { /* which proves nothing by itself */
            if (!--members) continue;
            sim = fw_judge_without_self(sim, j->norm[near[k]]);
        }
        double llr = fw_calib_llr(&a->calib, sim, members);
        if (llr < best || (llr == best && sim <= a->other_sim[i])) continue;
        best = llr;
        a->other[i] = near[k];
        a->other_sim[i] = (float)sim;
    }
}

/* Similarities of every image to its own main centroid and to the best other one. */
void fw_judge_compare(fw_judge *j)
{
    fw_audit *a = j->a;
    size_t n = j->v->n;
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, (size_t)j->v->dim * 2), *y = x + j->v->dim;
#pragma omp for schedule(dynamic, 256)
        for (size_t i = 0; i < n; i++) {
            uint32_t l = j->in->label[i];
            if (l == FW_NONE || !fw_vectors_valid(j->v, i) || fw_stopping()) continue;
            fw_vectors_get(j->v, i, x);
            fw_half_to_float(fw_judge_centre(a, j->v, l), y, (size_t)j->v->dim);
            double dot = fw_dot(x, y, j->v->dim);
            uint32_t others = a->id_members[l] - a->member[i];
            a->sim[i] = (float)(others ? a->member[i] ? fw_judge_without_self(dot, j->norm[l]) : dot : 0);
            best_other(j, (uint32_t)i, x, y);
        }
        fw_free(x);
    }
}

/* Likelihood ratios of those similarities under the present model. */
void fw_judge_weigh(fw_judge *j)
{
    fw_audit *a = j->a;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < j->v->n; i++) {
        uint32_t l = j->in->label[i], o = a->other[i];
        j->other_llr[i] = -1e30f;
        j->own_llr[i] = 0;
        if (l == FW_NONE || !fw_vectors_valid(j->v, i)) continue;
        uint32_t others = a->id_members[l] - a->member[i];
        if (others)
            j->own_llr[i] = (float)log(
                (1 - FW_ODD_PHOTO) * exp(fw_calib_llr_of(&a->calib, a->sim[i], others, j->rank[i])) + FW_ODD_PHOTO);
        if (o != FW_NONE)
            j->other_llr[i] = (float)fw_calib_llr_among(&a->calib, a->other_sim[i], a->id_members[o], j->rank[i],
                                                        (double)j->in->labels);
    }
}

static double log_odds(double p)
{
    return log(p / (1 - p));
}

static double shrunk(double base, double strength, double count, double of)
{
    return fmin(fmax((base * strength + count) / (strength + of), 1e-5), 0.95);
}

/* Prior odds that a label is wrong, times how well the best such explanation fits (relative to an impostor's fit): a
 * flip from another identity, or a stranger. Rates are the label's own without this image, shrunk to those of labels of
 * its size. A lone stranger is judged by the rate of lone strangers: one photo that resembles nobody is weak evidence
 * in a clean dataset, two that resemble each other are a second person. */
double fw_judge_against(const fw_judge *j, size_t i)
{
    uint32_t l = j->in->label[i];
    size_t m;
    fw_judge_rows(j, l, &m);
    int c = fw_judge_class(m);
    double p = j->a->score[i], rest = (double)(m > 1 ? m - 1 : 0),
           labels = (double)(j->in->labels > 1 ? j->in->labels - 1 : 1);
    double wrong = shrunk(j->base[c], j->strength[c], m > 1 ? fmax(j->wrong[l] - p, 0) : 0, rest);
    double stray =
        shrunk(j->stray_base[c], j->stray_strength[c], m > 1 ? fmax(j->stray[l] - j->lone[i] * p, 0) : 0, rest);
    double flip = log(wrong * j->a->flip_share / labels) + j->other_llr[i];
    double out = log(j->lone[i] ? fmin(stray + STRAY_PART * wrong, 0.95) : wrong * (1 - j->a->flip_share));
    double top = fmax(flip, out);
    return top + log(exp(flip - top) + exp(out - top)) - log(1 - wrong);
}

/* If the label is wrong: the probability that another identity explains the image. */
double fw_judge_flip_part(const fw_judge *j, size_t i)
{
    double labels = (double)(j->in->labels > 1 ? j->in->labels - 1 : 1), flip = j->a->flip_share;
    return fw_sigmoid(log(flip / labels) + j->other_llr[i] - log(1 - flip));
}

/* A label in which no two images agree: either its photos are one person after all and hard (the best pair's likelihood
 * ratio), or at most one is right, each the likelier the less it resembles another identity. */
static void judge_unsupported(fw_judge *j, size_t l)
{
    fw_audit *a = j->a;
    size_t m;
    const uint32_t *rows = fw_judge_rows(j, l, &m);
    double pi = fmin(j->base[fw_judge_class(m)], 0.5), same = 0, total = 0, best = -FW_LLR_MAX;
    double *right = FW_ARRAY(double, m + 1);
    for (size_t i = 0; i < m; i++) {
        total += right[i] = 1 / (1 + exp(fmin(fw_judge_against(j, rows[i]), 600)));
        if (!a->member[rows[i]]) best = fmax(best, j->own_llr[rows[i]]);
    }
    if (m > 1) same = fw_sigmoid(best + log_odds(1 - pi) - log((double)m));
    for (size_t i = 0; i < m; i++) {
        double one = (1 - pi) * right[i] / fmax(total, 1e-9); /* it is the one that is right, if one is */
        a->score[rows[i]] = (float)(m > 1 ? (1 - same) * (1 - one) : fmin(1 - right[i], 0.5));
    }
    fw_free(right);
}

/* A whole group is one person, right or wrong together: its centre is judged in place of its photos. As one photo,
 * though: groups that split off the main one are bad photos of one kind, and do not come nearer with their number
 * (degraded LFW: such groups of right photos lie at .27-.50, second persons' centres at 0 +- .1, both whatever their
 * size). */
static double group_odds(const fw_judge *j, size_t i, size_t m)
{
    double base = j->base[fw_judge_class(m)],
           odd = FW_ODD_PHOTO * pow(4, 2 - fmin(j->group_n[i], 20)); /* odd photos rarely come in threes */
    return log_odds(base) - log((1 - odd) * exp(fw_calib_llr(&j->a->calib, j->group_sim[i], j->main_n[i])) + odd);
}

static void judge_label(fw_judge *j, size_t l)
{
    fw_audit *a = j->a;
    size_t m;
    const uint32_t *rows = fw_judge_rows(j, l, &m);
    if (a->id_members[l] < 2) {
        judge_unsupported(j, l);
        return;
    }
    for (size_t i = 0; i < m; i++) {
        double odds = fw_judge_against(j, rows[i]) - j->own_llr[rows[i]];
        if (j->group_n[rows[i]]) odds = fmax(odds, group_odds(j, rows[i], m));
        a->score[rows[i]] = (float)fw_sigmoid(odds);
    }
}

/* Which images have no companion among the rejected ones of their group? */
void fw_judge_lone(fw_judge *j)
{
    fw_audit *a = j->a;
    size_t labels = j->in->labels;
#pragma omp parallel for schedule(dynamic, 64)
    for (size_t l = 0; l < labels; l++) {
        size_t m;
        const uint32_t *rows = fw_judge_rows(j, l, &m);
        uint32_t *out = FW_ARRAY(uint32_t, m + 1);
        for (size_t i = 0; i < m; i++)
            if (!a->member[rows[i]] && j->sub[rows[i]] != FW_NONE) out[j->sub[rows[i]]]++;
        for (size_t i = 0; i < m; i++) {
            uint32_t g = j->sub[rows[i]], self = !a->member[rows[i]];
            j->lone[rows[i]] = g == FW_NONE || out[g] <= self;
        }
        fw_free(out);
    }
}

/* Groups 0..GROUPS-1 of a label, but the one that most of the main group comes from, against the rest of the main
 * group. */
static void compare_groups(fw_judge *j, size_t l, float *sum)
{
    fw_audit *a = j->a;
    size_t m, dim = (size_t)j->v->dim;
    const uint32_t *rows = fw_judge_rows(j, l, &m);
    uint32_t all[GROUPS] = {0}, in[GROUPS] = {0}, home = 0;
    float *x = sum + 2 * GROUPS * dim, *rest = x + dim, *inner = sum + GROUPS * dim;
    for (size_t i = 0; i < m; i++) {
        uint32_t g = j->sub[rows[i]];
        j->group_n[rows[i]] = 0;
        if (g >= GROUPS) continue;
        all[g]++;
        in[g] += a->member[rows[i]];
    }
    for (uint32_t g = 1; g < GROUPS; g++)
        if (in[g] > in[home]) home = g;
    if (a->id_members[l] < 2 || all[1] < 2) return;
    memset(sum, 0, 2 * GROUPS * dim * sizeof *sum);
    for (size_t i = 0; i < m; i++) {
        uint32_t g = j->sub[rows[i]];
        if (g >= GROUPS || g == home || all[g] < 2) continue;
        fw_vectors_get(j->v, rows[i], x);
        for (size_t d = 0; d < dim; d++) sum[g * dim + d] += x[d];
        for (size_t d = 0; a->member[rows[i]] && d < dim; d++) inner[g * dim + d] += x[d];
    }
    float cosine[GROUPS] = {0};
    for (uint32_t g = 0; g < GROUPS; g++) {
        if (g == home || all[g] < 2 || in[g] >= a->id_members[l]) continue;
        fw_half_to_float(fw_judge_centre(a, j->v, l), rest, dim);
        for (size_t d = 0; d < dim; d++) rest[d] = rest[d] * j->norm[l] - inner[g * dim + d];
        fw_normalise(rest, j->v->dim);
        fw_normalise(sum + g * dim, j->v->dim);
        cosine[g] = fw_dot(rest, sum + g * dim, j->v->dim);
    }
    for (size_t i = 0; i < m; i++) {
        uint32_t g = j->sub[rows[i]];
        if (g >= GROUPS || g == home || all[g] < 2 || in[g] >= a->id_members[l]) continue;
        j->group_n[rows[i]] = all[g];
        j->main_n[rows[i]] = a->id_members[l] - in[g];
        j->group_sim[rows[i]] = cosine[g];
    }
}

void fw_judge_compare_groups(fw_judge *j)
{
    size_t labels = j->in->labels;
#pragma omp parallel
    {
        float *sum = FW_ARRAY(float, (2 * GROUPS + 2) * (size_t)j->v->dim);
#pragma omp for schedule(dynamic, 64)
        for (size_t l = 0; l < labels; l++)
            if (!fw_stopping()) compare_groups(j, l, sum);
        fw_free(sum);
    }
}

void fw_judge_all(fw_judge *j)
{
    size_t labels = j->in->labels;
#pragma omp parallel for schedule(dynamic, 64)
    for (size_t l = 0; l < labels; l++)
        if (!fw_stopping()) judge_label(j, l);
    fw_judge_contested(j);
}
