#include "verification.h"
#include "../lib/interval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_similarity(const void *a, const void *b)
{
    const fw_pair *x = a, *y = b;
    return (x->sim > y->sim) - (x->sim < y->sim);
}

double fw_student_975(size_t df)
{
    static const double table[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
                                   2.2010,  2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
                                   2.0796,  2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
    if (df <= FW_COUNT(table)) return table[df - 1];
    /* the first terms of the Cornish-Fisher expansion: right to 1e-4 from here on */
    double z = 1.959964, n = (double)df;
    return z + (z * z * z + z) / (4 * n) + (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * n * n);
}

/* Thresholds that are tried: -1 to 1 in steps of 0.005, the grid of 0.01 in squared distance that published figures use
 * (facenet, InsightFace). A finer one would tune itself to the gaps between single pairs: on LFW, cutting anywhere
 * gives 99.40 %, this grid 99.47 %. */
enum { STEPS = 400 };

static double grid(size_t step)
{
    return -1 + 2.0 * (double)step / STEPS;
}

/* The best threshold for all folds but one. Several may be equally good: the middle one of them is taken, which depends
 * least on single pairs. (The published tools take the first, which is worse on small lists.) */
static double train(const fw_pair *sorted, size_t n, size_t but)
{
    size_t right = 0, best = 0, bests = 0, at[STEPS + 1], rejected = 0;
    for (size_t i = 0; i < n; i++) right += sorted[i].fold != but && sorted[i].same; /* all accepted */
    for (size_t step = 0; step <= STEPS; step++) {
        for (; rejected < n && (double)sorted[rejected].sim <= grid(step); rejected++) {
            if (sorted[rejected].fold == but) continue;
            right = sorted[rejected].same ? right - 1 : right + 1;
        }
        if (right > best) best = right, bests = 0;
        if (right == best) at[bests++] = step;
    }
    return grid(at[bests / 2]);
}

static double accuracy_of(const fw_pair *pairs, size_t n, size_t fold, double threshold)
{
    size_t right = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].fold != fold) continue;
        all++;
        right += !pairs[i].missing && ((double)pairs[i].sim > threshold) == (pairs[i].same != 0);
    }
    return (double)right / (double)all;
}

static void run_folds(const fw_pair *all, size_t n, const fw_pair *sorted, size_t usable, size_t folds,
                      fw_verification *out)
{
    double sum = 0, squares = 0, *acc = FW_ARRAY(double, folds);
    for (size_t f = 0; f < folds; f++) {
        double t = train(sorted, usable, f);
        acc[f] = accuracy_of(all, n, f, t);
        sum += acc[f];
        out->threshold += t / (double)folds;
    }
    out->accuracy = sum / (double)folds;
    for (size_t f = 0; f < folds; f++) squares += (acc[f] - out->accuracy) * (acc[f] - out->accuracy);
    out->std = sqrt(squares / (double)(folds - 1));
    double half = fw_student_975(folds - 1) * out->std / sqrt((double)folds);
    out->low = fmax(0, out->accuracy - half);
    out->high = fmin(1, out->accuracy + half);
    fw_free(acc);
}

/* ---- over all pairs ------------------------------------------------------------------------------------------------
 * `all`: every pair by ascending similarity, those with a missing face where they are counted wrong: a genuine one
 * below and an impostor above everything. */

#define BELOW (-2.0f)
#define ABOVE 2.0f

/* One sweep from the highest similarity down. `weight` (NULL: 1 each) is how often a pair counts. */
typedef struct sweep {
    double genuine, impostors; /* totals */
    double tar, far;           /* after the step */
    double last_tar, last_far; /* before it */
    size_t accepted[2];        /* impostors, genuine */
    float level;               /* similarity of the step */
} sweep;

static size_t step(const fw_pair *all, const uint32_t *weight, size_t i, sweep *s)
{
    s->level = all[i - 1].sim;
    for (; i > 0 && all[i - 1].sim == s->level; i--) s->accepted[all[i - 1].same != 0] += weight ? weight[i - 1] : 1;
    s->last_tar = s->tar;
    s->last_far = s->far;
    s->tar = (double)s->accepted[1] / s->genuine;
    s->far = (double)s->accepted[0] / s->impostors;
    return i;
}

static double eer_of(const fw_pair *all, size_t n, const uint32_t *weight, size_t genuine)
{
    sweep s = {.genuine = (double)genuine, .impostors = (double)(n - genuine)};
    for (size_t i = n; i > 0;) {
        i = step(all, weight, i, &s);
        double frr = 1 - s.tar, gap = 1 - s.last_tar - s.last_far, move = gap + s.far - frr;
        if (s.far >= frr) return move > 0 ? s.last_far + (s.far - s.last_far) * gap / move : s.far;
    }
    return 1;
}

/* Pairs that all lie on the right side show no spread. What they do show is that an error is rarer than one that the
 * scarcer kind of pairs would have met: Clopper and Pearson's bound for none of so many. */
static double seen_nothing(const fw_verification *v)
{
    double low, high;
    size_t impostors = v->pairs - v->genuine, least = v->genuine < impostors ? v->genuine : impostors;
    fw_clopper_pearson(0, least, 0.95, &low, &high);
    return high;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* 1,000 draws give the 2.5 % points to a tenth of the interval; of very long lists, whose interval is narrow, fewer. */
enum { DRAWS = 1000, DRAWS_LEAST = 100, DRAWN_PAIRS = 100000000 };

static void bootstrap_eer(const fw_pair *all, size_t n, fw_verification *out)
{
    size_t draws = DRAWN_PAIRS / n, count[2] = {0, 0}, *of[2] = {FW_ARRAY(size_t, n), FW_ARRAY(size_t, n)};
    uint32_t *weight = FW_ARRAY(uint32_t, n);
    draws = draws > DRAWS ? DRAWS : draws < DRAWS_LEAST ? DRAWS_LEAST : draws;
    double *eer = FW_ARRAY(double, draws);
    fw_rng rng = {.state = 1};
    for (size_t i = 0; i < n; i++) of[all[i].same != 0][count[all[i].same != 0]++] = i;
    for (size_t k = 0; k < draws; k++) {
        memset(weight, 0, n * sizeof *weight);
        for (int same = 0; same < 2; same++)
            for (size_t i = 0; i < count[same]; i++) weight[of[same][fw_rng_below(&rng, count[same])]]++;
        eer[k] = eer_of(all, n, weight, count[1]);
    }
    qsort(eer, draws, sizeof *eer, by_value);
    out->eer_low = eer[(size_t)(0.025 * (double)draws)];
    out->eer_high = eer[draws - 1 - (size_t)(0.025 * (double)draws)];
    if (out->eer_high == 0) out->eer_high = seen_nothing(out);
    fw_free(eer);
    fw_free(weight);
    fw_free(of[0]);
    fw_free(of[1]);
}

typedef struct spread {
    double n, sum, squares;
} spread;

static void note(spread *s, double x, double times)
{
    s->n += times, s->sum += times * x, s->squares += times * x * x;
}

/* Variance of the mean. */
static double variance(const spread *s)
{
    return s->n > 1 ? fmax(0, s->squares - s->sum * s->sum / s->n) / (s->n - 1) / s->n : 0;
}

/* Each genuine pair's share of impostors below it, and each impostor's of genuine pairs above: the mean of either is
 * the AUC, their spreads its variance. */
static void run_auc(const fw_pair *all, size_t n, fw_verification *out)
{
    spread genuine = {0}, impostor = {0};
    sweep s = {.genuine = (double)out->genuine, .impostors = (double)(n - out->genuine)};
    for (size_t i = n; i > 0;) {
        size_t before[2] = {s.accepted[0], s.accepted[1]};
        i = step(all, NULL, i, &s);
        note(&genuine, 1 - (s.far + s.last_far) / 2, (double)(s.accepted[1] - before[1]));
        note(&impostor, (s.tar + s.last_tar) / 2, (double)(s.accepted[0] - before[0]));
    }
    double half = 1.959964 * sqrt(variance(&genuine) + variance(&impostor));
    out->auc = genuine.sum / genuine.n;
    out->auc_low = fmax(0, out->auc - half);
    out->auc_high = fmin(1, out->auc + half);
    if (out->auc_low == 1) out->auc_low = 1 - seen_nothing(out);
}

static void run_tar(const fw_pair *all, size_t n, fw_verification *out)
{
    sweep s = {.genuine = (double)out->genuine, .impostors = (double)(n - out->genuine)};
    size_t accepted[FW_FARS] = {0};
    for (int k = 0; k < FW_FARS; k++)
        out->tar[k] =
            (fw_tar){.far = pow(10, -2 - k), .threshold = NAN, .measurable = s.impostors * pow(10, -2 - k) >= 1 - 1e-9};
    for (size_t i = n; i > 0;) {
        i = step(all, NULL, i, &s);
        if (s.level == BELOW) break;
        for (int k = 0; k < FW_FARS; k++)
            if (s.far <= out->tar[k].far) out->tar[k].threshold = (double)s.level, accepted[k] = s.accepted[1];
    }
    for (int k = 0; k < FW_FARS; k++) {
        out->tar[k].tar = (double)accepted[k] / s.genuine;
        fw_clopper_pearson(accepted[k], out->genuine, 0.95, &out->tar[k].low, &out->tar[k].high);
    }
}

static void run_roc(const fw_pair *all, size_t n, fw_verification *out)
{
    size_t i = n, accepted[2] = {0, 0};
    for (size_t k = 0; k < FW_ROC; k++) {
        double level = grid(STEPS - k);
        for (; i > 0 && (double)all[i - 1].sim >= level; i--) accepted[all[i - 1].same != 0]++;
        out->roc[k] = (fw_roc_point){level, (double)accepted[0] / (double)(n - out->genuine),
                                     (double)accepted[1] / (double)out->genuine};
    }
}

static int check_pairs(const fw_pair *pairs, size_t n, size_t folds, fw_err *e)
{
    if (folds < 2)
        return fw_fail(e, FW_EUSAGE, "verification: %zu folds; at least two are needed to choose thresholds", folds);
    size_t *count = FW_ARRAY(size_t, folds), usable[2] = {0, 0};
    bool in_range = true;
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].fold < folds)
            count[pairs[i].fold]++;
        else
            in_range = false;
        if (!pairs[i].missing) usable[pairs[i].same != 0]++;
    }
    for (size_t f = 0; f < folds; f++) in_range = in_range && count[f];
    fw_free(count);
    if (!in_range) return fw_fail(e, FW_EUSAGE, "verification: a fold has no pairs, or a pair no fold");
    if (!usable[0] || !usable[1])
        return fw_fail(e, FW_EUSAGE,
                       "verification: %zu genuine and %zu impostor pairs have both faces; both kinds are needed",
                       usable[1], usable[0]);
    return FW_OK;
}

int fw_verify_pairs(const fw_pair *pairs, size_t n, size_t folds, fw_verification *out, fw_err *e)
{
    *out = (fw_verification){.pairs = n, .folds = folds};
    FW_TRY(check_pairs(pairs, n, folds, e));
    fw_pair *sorted = FW_ARRAY(fw_pair, n);
    size_t usable = 0;
    for (size_t i = 0; i < n; i++) {
        out->genuine += pairs[i].same != 0;
        out->missing += pairs[i].missing != 0;
        if (!pairs[i].missing) sorted[usable++] = pairs[i];
    }
    qsort(sorted, usable, sizeof *sorted, by_similarity);
    run_folds(pairs, n, sorted, usable, folds, out);
    for (size_t i = 0; i < n; i++) {
        if (!pairs[i].missing) continue;
        sorted[usable] = pairs[i];
        sorted[usable++].sim = pairs[i].same ? BELOW : ABOVE;
    }
    qsort(sorted, n, sizeof *sorted, by_similarity);
    run_auc(sorted, n, out);
    out->eer = eer_of(sorted, n, NULL, out->genuine);
    bootstrap_eer(sorted, n, out);
    run_tar(sorted, n, out);
    run_roc(sorted, n, out);
    fw_free(sorted);
    return FW_OK;
}
