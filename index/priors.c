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

/* Beta-binomial log likelihood of k wrong of m under mean p and strength s. */
static double beta_binomial(double k, double m, double p, double s)
{
    double a = p * s, b = (1 - p) * s;
    return lgamma(k + a) + lgamma(m - k + b) - lgamma(m + s) - lgamma(a) - lgamma(b) + lgamma(s);
}

/* Beta prior over labels of each size class for counts k[l]: mean, then the concentration that fits best. */
static void fit_beta(const fw_judge *j, const double *k, double *base, double *strength)
{
    static const double grid[] = {0.5, 1, 2, 4, 8, 16, 32, 64, 128};
    double sum[FW_JUDGE_SIZES] = {0}, all[FW_JUDGE_SIZES] = {0}, like[FW_JUDGE_SIZES][FW_COUNT(grid)] = {{0}}, W = 0,
           A = 0;
    size_t labels = j->in->labels, m;
    for (size_t l = 0; l < labels; l++) {
        fw_judge_rows(j, l, &m);
        if (m < 2) continue;
        sum[fw_judge_class(m)] += k[l], all[fw_judge_class(m)] += (double)m;
        W += k[l], A += (double)m;
    }
    for (int c = 0; c < FW_JUDGE_SIZES; c++) { /* a class with little data leans on the whole: 30 images' worth */
        double whole = (W + 0.1) / (A + 10);
        base[c] = fmin(fmax((sum[c] + 30 * whole) / (all[c] + 30), 1e-5), 0.9);
    }
    base[0] = base[1]; /* single images: as the next larger labels */
    for (size_t l = 0; l < labels; l++) {
        fw_judge_rows(j, l, &m);
        int c = fw_judge_class(m);
        for (size_t s = 0; m > 1 && s < FW_COUNT(grid); s++)
            like[c][s] += beta_binomial(k[l], (double)m, base[c], grid[s]);
    }
    for (int c = 0; c < FW_JUDGE_SIZES; c++) {
        size_t best = FW_COUNT(grid) - 1;
        for (size_t s = FW_COUNT(grid) - 1; s-- > 0;)
            if (like[c][s] > like[c][best]) best = s;
        strength[c] = grid[best];
    }
}

void fw_judge_fit_priors(fw_judge *j)
{
    size_t labels = j->in->labels, m;
    for (size_t l = 0; l < labels; l++) {
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
    double flip = 1, all = 2; /* one half before any evidence */
    for (size_t i = 0; i < j->v->n; i++) {
        if (!(j->a->score[i] > 0.01f)) continue;
        flip += j->a->score[i] * fw_judge_flip_part(j, i);
        all += j->a->score[i];
    }
    j->a->flip_share = fmin(fmax(flip / all, 0.02), 0.98);
}

/* Observations for the genuine model: images of labels with a supported main group. */
void fw_judge_fit_genuine(fw_judge *j, int steps)
{
    fw_audit *a = j->a;
    fw_calib_obs *obs = FW_ARRAY(fw_calib_obs, j->v->n);
    size_t count = 0;
    for (size_t i = 0; i < j->v->n; i++) {
        uint32_t l = j->in->label[i];
        if (l == FW_NONE || !fw_vectors_valid(j->v, i) || a->id_members[l] < 2) continue;
        obs[count++] = (fw_calib_obs){a->sim[i], a->id_members[l] - a->member[i], j->rank[i],
                                      (float)log(exp(fmin(fw_judge_against(j, i), 80)) + FW_ODD_PHOTO)};
    }
    fw_calib_genuine(&a->calib, obs, count, steps);
    fw_free(obs);
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
