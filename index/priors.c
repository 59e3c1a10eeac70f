/* priors: what the posterior rests on, fitted to the posteriors of the round before (judge.h). */
#include "judge.h"

#include <stdlib.h>

void fw_judge_start_priors(fw_judge *j)
{
    for (int c = 0; c < FW_JUDGE_SIZES; c++) {
        j->base[c] = 0.1, j->stray_base[c] = 0.05;
        j->strength[c] = j->stray_strength[c] = 10;
    }
    for (size_t l = 0; l < j->in->labels; l++) { /* before any posterior: who is outside the main group */
        size_t m;
        const uint32_t *rows = fw_judge_rows(j, l, &m);
        for (size_t i = 0; i < m; i++) j->a->score[rows[i]] = j->a->member[rows[i]] ? 0.05f : 0.5f;
    }
    j->a->flip_share = 0.5;
}

/* lgamma for several threads at once: the sign is not wanted. */
static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

static const double STRENGTHS[] = {0.5, 1, 2, 4, 8, 16, 32, 64, 128};

typedef struct likelihoods {
    double of[FW_JUDGE_SIZES][FW_COUNT(STRENGTHS)];
} likelihoods;

/* Beta-binomial log likelihood of counts k[l] of labels first..end-1, by size class and strength. */
static void add_likelihoods(const fw_judge *j, const double *k, const double *base, size_t first, size_t end,
                            likelihoods *sum)
{
    for (size_t l = first; l < end; l++) {
        size_t m;
        fw_judge_rows(j, l, &m);
        const int c = fw_judge_class(m);
        for (size_t s = 0; m > 1 && s < FW_COUNT(STRENGTHS); s++) {
            const double all = STRENGTHS[s], a = base[c] * all, b = (1 - base[c]) * all;
            sum->of[c][s] += log_gamma(k[l] + a) + log_gamma((double)m - k[l] + b) - log_gamma((double)m + all) -
                             log_gamma(a) - log_gamma(b) + log_gamma(all);
        }
    }
}

/* The mean of each size class; one with little data leans on the whole: 30 images' worth. */
static void fit_means(const fw_judge *j, const double *k, double *base)
{
    double sum[FW_JUDGE_SIZES] = {0}, all[FW_JUDGE_SIZES] = {0}, W = 0, A = 0;
    for (size_t l = 0; l < j->in->labels; l++) {
        size_t m;
        fw_judge_rows(j, l, &m);
        if (m < 2) continue;
        sum[fw_judge_class(m)] += k[l], all[fw_judge_class(m)] += (double)m;
        W += k[l], A += (double)m;
    }
    for (int c = 0; c < FW_JUDGE_SIZES; c++) {
        double whole = (W + 0.1) / (A + 10);
        base[c] = fmin(fmax((sum[c] + 30 * whole) / (all[c] + 30), 1e-5), 0.9);
    }
    base[0] = base[1]; /* single images: as the next larger labels */
}

/* Beta prior over labels of each size class for counts k[l]: mean, then the concentration that fits best. */
static void fit_beta(const fw_judge *j, const double *k, double *base, double *strength)
{
    const size_t labels = j->in->labels;
    likelihoods part[FW_PARTS] = {0}, sum = {0};
    fit_means(j, k, base);
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t p = 0; p < FW_PARTS; p++)
        add_likelihoods(j, k, base, fw_part(labels, p), fw_part(labels, p + 1), &part[p]);
    for (int c = 0; c < FW_JUDGE_SIZES; c++) {
        size_t best = FW_COUNT(STRENGTHS) - 1;
        for (size_t s = 0; s < FW_COUNT(STRENGTHS); s++)
            for (size_t p = 0; p < FW_PARTS; p++) sum.of[c][s] += part[p].of[c][s];
        for (size_t s = FW_COUNT(STRENGTHS) - 1; s-- > 0;)
            if (sum.of[c][s] > sum.of[c][best]) best = s;
        strength[c] = STRENGTHS[best];
    }
}

void fw_judge_fit_priors(fw_judge *j)
{
    const size_t labels = j->in->labels;
#pragma omp parallel for schedule(dynamic, 256)
    for (size_t l = 0; l < labels; l++) {
        size_t m;
        const uint32_t *rows = fw_judge_rows(j, l, &m);
        j->wrong[l] = j->stray[l] = 0;
        for (size_t i = 0; i < m; i++) {
            j->wrong[l] += j->a->score[rows[i]];
            if (j->lone[rows[i]]) j->stray[l] += j->a->score[rows[i]] * (1 - fw_judge_flip_part(j, rows[i]));
        }
    }
    fit_beta(j, j->wrong, j->base, j->strength);
    fit_beta(j, j->stray, j->stray_base, j->stray_strength);
}

void fw_judge_fit_flip_share(fw_judge *j)
{
    const size_t n = j->v->n;
    double part[FW_PARTS][2] = {{0}}, flip = 1, all = 2; /* one half before any evidence */
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t p = 0; p < FW_PARTS; p++)
        for (size_t i = fw_part(n, p); i < fw_part(n, p + 1); i++) {
            if (!(j->a->score[i] > 0.01f)) continue;
            part[p][0] += j->a->score[i] * fw_judge_flip_part(j, i);
            part[p][1] += j->a->score[i];
        }
    for (size_t p = 0; p < FW_PARTS; p++) flip += part[p][0], all += part[p][1];
    j->a->flip_share = fmin(fmax(flip / all, 0.02), 0.98);
}

/* Observations for the genuine model: images of labels with a supported main group. */
void fw_judge_fit_genuine(fw_judge *j, int steps)
{
    fw_audit *a = j->a;
    fw_calib_obs *obs = FW_ARRAY(fw_calib_obs, j->v->n);
    uint32_t *row = FW_ARRAY(uint32_t, j->v->n);
    size_t count = 0;
    for (size_t i = 0; i < j->v->n; i++) {
        const uint32_t l = j->in->label[i];
        if (l != FW_NONE && fw_vectors_valid(j->v, i) && a->id_members[l] >= 2) row[count++] = (uint32_t)i;
    }
#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < count; k++) {
        const uint32_t i = row[k];
        obs[k] = (fw_calib_obs){a->sim[i], a->id_members[j->in->label[i]] - a->member[i], j->rank[i],
                                (float)log(exp(fmin(fw_judge_against(j, i), 80)) + FW_ODD_PHOTO)};
    }
    fw_calib_genuine(&a->calib, obs, count, steps);
    fw_free(obs), fw_free(row);
}

/* rho: mean similarity of two photos of one person, from the lengths of main groups' sums, robustly (weighted median).
 */
static int by_rho(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (x[0] > y[0]) - (x[0] < y[0]);
}

void fw_judge_fit_rho(fw_judge *j)
{
    size_t n = 0;
    double(*r)[2] = fw_alloc(j->in->labels + 1, sizeof *r), all = 0, at = 0;
    for (size_t l = 0; l < j->in->labels; l++) {
        double m = j->a->id_members[l], len = j->norm[l];
        if (m < 3) continue;
        r[n][0] = (len * len - m) / (m * (m - 1));
        all += r[n++][1] = fmin(m, 20);
    }
    qsort(r, n, sizeof *r, by_rho);
    for (size_t k = 0; k < n; k++)
        if ((at += r[k][1]) >= all / 2) {
            j->a->calib.rho = fmin(fmax(r[k][0], 0.1), 0.95);
            break;
        }
    fw_free(r);
}
