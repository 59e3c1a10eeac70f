#include "reliability.h"

#include <math.h>
#include <string.h>

#define FOLDS      5
#define STEPS      30
#define PATIENT    3     /* steps without a smaller error before the end */
#define SLABS      32    /* partial sums, added in order: the same bytes for any number of threads */
#define LEAST      1000  /* images to learn from; under two a component at 512 the error decides in any case */
#define MOST       65536 /* taken evenly over the rows: beyond, the weights no longer change what is decided */
#define LEAST_SIGN 0.05  /* foretold values are kept between these: no photo counts for more than 60 others */
#define MOST_SIGN  1.5
#define EXTRA      2 /* features beside the embedding: quality rank and its square, about zero */

typedef struct sample {
    uint32_t row;
    float target;
    uint8_t fold;
} sample;

typedef struct fit {
    const fw_reliability_in *in;
    size_t width; /* dim + EXTRA */
    sample *s;
    size_t count;
    float *mean;          /* width: of the features */
    double base[FOLDS];   /* mean target of the other folds */
    float *weight, *step; /* FOLDS x width */
    double *residual, *product;
} fit;

static unsigned fold_of(uint32_t label)
{
    return label == FW_NONE ? 0 : (unsigned)((label * 2654435769u) >> 16) % FOLDS;
}

void fw_rank_values(const float *value, size_t n, float *rank)
{
    enum { LEVELS = 4096 };
    size_t all = 0, below[LEVELS + 1] = {0};
    float lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (!isnan(value[i])) lo = fminf(lo, value[i]), hi = fmaxf(hi, value[i]);
    for (size_t i = 0; i < n; i++) {
        rank[i] = -1;
        if (isnan(value[i])) continue;
        rank[i] = hi > lo ? floorf((value[i] - lo) / (hi - lo) * (LEVELS - 1)) : 0;
        below[(int)rank[i] + 1]++;
        all++;
    }
    for (int k = 0; k < LEVELS; k++) below[k + 1] += below[k];
    for (size_t i = 0; i < n; i++) {
        if (rank[i] < 0) continue;
        int k = (int)rank[i];
        rank[i] = (float)((double)(below[k] + below[k + 1]) / 2 / (double)all);
    }
}

/* x: dim + EXTRA values, less `mean` (or NULL). */
static void features(const fw_reliability_in *in, size_t row, const float *mean, float *x)
{
    size_t dim = (size_t)in->v->dim;
    float q = in->rank ? in->rank[row] : -1;
    fw_vectors_get(in->v, row, x);
    x[dim] = q < 0 ? 0 : q - 0.5f;
    x[dim + 1] = q < 0 ? 0 : (q - 0.5f) * (q - 0.5f) - 1 / 12.0f;
    for (size_t d = 0; mean && d < dim + EXTRA; d++) x[d] -= mean[d];
}

static void choose_samples(fit *f)
{
    size_t usable = 0, seen = 0;
    const fw_reliability_in *in = f->in;
    for (size_t i = 0; i < in->v->n; i++) usable += !isnan(in->target[i]);
    f->s = FW_ARRAY(sample, (usable < MOST ? usable : MOST) + 1);
    for (size_t i = 0; i < in->v->n; i++) {
        if (isnan(in->target[i])) continue;
        /* every usable-th / MOST: row k is taken where k * MOST / usable takes a new value */
        bool take = usable <= MOST || seen * MOST / usable != (seen + 1) * MOST / usable;
        seen++;
        if (take && f->count < MOST)
            f->s[f->count++] = (sample){(uint32_t)i, in->target[i], (uint8_t)fold_of(in->label[i])};
    }
}

static void centre_features(fit *f)
{
    double *sum = FW_ARRAY(double, f->width), t[FOLDS + 1] = {0}, n[FOLDS + 1] = {0};
    float *x = FW_ARRAY(float, f->width);
    for (size_t i = 0; i < f->count; i++) {
        features(f->in, f->s[i].row, NULL, x);
        for (size_t d = 0; d < f->width; d++) sum[d] += x[d];
        t[f->s[i].fold] += f->s[i].target, n[f->s[i].fold]++;
        t[FOLDS] += f->s[i].target, n[FOLDS]++;
    }
    f->mean = FW_ARRAY(float, f->width);
    for (size_t d = 0; d < f->width; d++) f->mean[d] = (float)(sum[d] / (double)f->count);
    for (int k = 0; k < FOLDS; k++) f->base[k] = (t[FOLDS] - t[k]) / fmax(n[FOLDS] - n[k], 1);
    fw_free(sum);
    fw_free(x);
}

/* One row: its part of the products of all folds but its own, or (first) of the right-hand sides; its own fold's error.
 */
static double one_sample(const fit *f, const sample *s, bool first, float *x, float *out)
{
    size_t w = f->width;
    features(f->in, s->row, f->mean, x);
    double miss = s->target - f->base[s->fold] - fw_dot(x, f->weight + s->fold * w, (int)w);
    for (unsigned k = 0; k < FOLDS; k++) {
        if (k == s->fold) continue;
        float g = first ? (float)(s->target - f->base[k]) : fw_dot(x, f->step + k * w, (int)w);
        for (size_t d = 0; d < w; d++) out[k * w + d] += g * x[d];
    }
    return miss * miss;
}

/* f->product[k] := sum over the samples outside fold k; returns the squared error of the weights on left-out folds. */
static double pass(fit *f, bool first)
{
    size_t all = FOLDS * f->width;
    float *part = FW_ARRAY(float, SLABS *all);
    double miss[SLABS] = {0}, error = 0;
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, f->width);
#pragma omp for schedule(dynamic, 1)
        for (size_t b = 0; b < SLABS; b++)
            for (size_t i = f->count * b / SLABS; i < f->count * (b + 1) / SLABS && !fw_stopping(); i++)
                miss[b] += one_sample(f, &f->s[i], first, x, part + b * all);
        fw_free(x);
    }
    memset(f->product, 0, all * sizeof *f->product);
    for (size_t b = 0; b < SLABS; b++) {
        error += miss[b];
        for (size_t d = 0; d < all; d++) f->product[d] += part[b * all + d];
    }
    fw_free(part);
    return error;
}

/* One step of conjugate gradients for fold k, f->product being the normal matrix times its direction. */
static void advance(fit *f, unsigned k)
{
    size_t w = f->width, at = k * w;
    double rr = 0, pq = 0, next = 0;
    for (size_t d = at; d < at + w; d++) rr += f->residual[d] * f->residual[d], pq += f->step[d] * f->product[d];
    if (!(pq > 0)) return;
    for (size_t d = at; d < at + w; d++) {
        f->weight[d] += (float)(rr / pq * f->step[d]);
        f->residual[d] -= rr / pq * f->product[d];
        next += f->residual[d] * f->residual[d];
    }
    for (size_t d = at; d < at + w; d++) f->step[d] = (float)(f->residual[d] + next / rr * f->step[d]);
}

/* Returns the share of variance foretold on left-out folds by the best weights, which f->weight holds at the end. */
static double solve(fit *f)
{
    size_t all = FOLDS * f->width;
    f->weight = FW_ARRAY(float, all), f->step = FW_ARRAY(float, all);
    f->residual = FW_ARRAY(double, all), f->product = FW_ARRAY(double, all);
    float *best = FW_ARRAY(float, all);
    double start = pass(f, true), least = start;
    for (size_t d = 0; d < all; d++) f->step[d] = (float)(f->residual[d] = f->product[d]);
    for (int k = 0, since = 0; k < STEPS && since < PATIENT; k++) {
        double error = pass(f, false);
        since++;
        if (error < least || k == 0) {
            least = fmin(error, least), since = 0;
            memcpy(best, f->weight, all * sizeof *best);
        }
        for (unsigned g = 0; g < FOLDS; g++) advance(f, g);
    }
    memcpy(f->weight, best, all * sizeof *best);
    fw_free(best);
    return start > 0 ? 1 - least / start : 0;
}

static void foretell(const fit *f, fw_reliability *r)
{
    const fw_vectors *v = f->in->v;
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, f->width);
#pragma omp for schedule(static)
        for (size_t i = 0; i < v->n; i++) {
            unsigned k = fold_of(f->in->label[i]);
            r->value[i] = NAN;
            if (!fw_vectors_valid(v, i) || fw_stopping()) continue;
            features(f->in, i, f->mean, x);
            r->value[i] = (float)f->base[k] + fw_dot(x, f->weight + k * f->width, (int)f->width);
        }
        fw_free(x);
    }
    fw_rank_values(r->value, v->n, r->rank);
    for (size_t i = 0; i < v->n; i++) {
        int b = (int)(r->rank[i] * FW_RELIABILITY_BINS);
        r->bin[i] = (uint8_t)(b < 0 ? 0 : b >= FW_RELIABILITY_BINS ? FW_RELIABILITY_BINS - 1 : b);
    }
}

static void keep_model(const fit *f, fw_reliability *r)
{
    size_t w = f->width;
    memcpy(r->model, f->mean, w * sizeof *r->model);
    for (size_t k = 0; k < FOLDS; k++) {
        for (size_t d = 0; d < w; d++) r->model[w + d] += f->weight[k * w + d] / FOLDS;
        r->model[2 * w] += (float)f->base[k] / FOLDS;
    }
}

float *fw_reliability_foretell(const fw_reliability *r, const fw_vectors *v, const float *rank)
{
    size_t w = (size_t)v->dim + EXTRA;
    float *value = FW_ARRAY(float, v->n);
    const fw_reliability_in in = {.v = v, .rank = rank};
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, w);
#pragma omp for schedule(static)
        for (size_t i = 0; i < v->n; i++) {
            value[i] = NAN;
            if (!fw_vectors_valid(v, i)) continue;
            features(&in, i, r->model, x);
            value[i] = r->model[2 * w] + fw_dot(x, r->model + w, (int)w);
        }
        fw_free(x);
    }
    return value;
}

float *fw_reliability_weights(const float *value, size_t n)
{
    float *w = FW_ARRAY(float, n);
    for (size_t i = 0; i < n; i++) w[i] = fw_reliability_weight(value[i]);
    return w;
}

float fw_reliability_weight(float value)
{
    if (isnan(value)) return 1;
    double t = tanh(fmin(fmax((double)value, LEAST_SIGN), MOST_SIGN));
    return (float)(t / (1 - t * t));
}

enum { BINS = FW_RELIABILITY_BINS };

/* Means of labels by bin, summed up: BINS x dim, and how many they are. */
typedef struct bin_sums {
    double *sum;
    size_t people[BINS];
} bin_sums;

static void add_label(const fw_reliability *r, const fw_vectors *v, const uint32_t *rows, size_t m, float *own,
                      bin_sums *out)
{
    const size_t dim = (size_t)v->dim;
    size_t n[BINS] = {0};
    float *x = own + BINS * dim;
    if (!m) return;
    memset(own, 0, BINS * dim * sizeof *own);
    for (size_t k = 0; k < m; k++) {
        const unsigned b = r->bin[rows[k]];
        fw_vectors_get(v, rows[k], x);
        for (size_t d = 0; d < dim; d++) own[b * dim + d] += x[d];
        n[b]++;
    }
    for (size_t b = 0; b < BINS; b++) {
        out->people[b] += n[b] > 0;
        for (size_t d = 0; n[b] && d < dim; d++) out->sum[b * dim + d] += own[b * dim + d] / (double)n[b];
    }
}

/* All labels; the caller frees `sum`. */
static bin_sums sum_labels(const fw_reliability *r, const fw_reliability_in *in)
{
    const size_t dim = (size_t)in->v->dim;
    bin_sums part[FW_PARTS] = {0}, all = {.sum = FW_ARRAY(double, BINS *dim)};
    fw_groups g;
    fw_groups_build(&g, in->v, in->label, in->labels);
#pragma omp parallel
    {
        float *own = FW_ARRAY(float, (BINS + 1) * dim);
#pragma omp for schedule(dynamic, 1)
        for (size_t p = 0; p < FW_PARTS; p++) {
            part[p].sum = FW_ARRAY(double, BINS *dim);
            for (size_t l = fw_part(in->labels, p); l < fw_part(in->labels, p + 1) && !fw_stopping(); l++)
                add_label(r, in->v, g.row + g.off[l], g.off[l + 1] - g.off[l], own, &part[p]);
        }
        fw_free(own);
    }
    for (size_t p = 0; p < FW_PARTS; p++) {
        for (size_t b = 0; b < BINS; b++) all.people[b] += part[p].people[b];
        for (size_t d = 0; d < BINS * dim; d++) all.sum[d] += part[p].sum[d];
        fw_free(part[p].sum);
    }
    fw_groups_free(&g);
    return all;
}

/* Each label's mean in each bin counts once. A mean over few people is mostly where these people lie: what L
 * independent unit vectors would give by chance, 1 / L, is taken off its squared length (James and Stein's estimator).
 */
static void find_centres(fw_reliability *r, const fw_reliability_in *in)
{
    const size_t dim = (size_t)in->v->dim;
    const bin_sums all = sum_labels(r, in);
    for (size_t b = 0; b < BINS; b++) {
        const double *sum = all.sum + b * dim;
        double many = (double)all.people[b], length = 0;
        for (size_t d = 0; d < dim; d++) length += sum[d] * sum[d] / fmax(many * many, 1);
        double keep = many > 1 && length > 0 ? fmax(1 - 1 / (many * length), 0) : 0;
        for (size_t d = 0; d < dim; d++) r->centre[b * dim + d] = (float)(keep * sum[d] / fmax(many, 1));
    }
    fw_free(all.sum);
}

bool fw_reliability_learn(fw_reliability *r, const fw_reliability_in *in)
{
    fit f = {.in = in, .width = (size_t)in->v->dim + EXTRA};
    choose_samples(&f);
    *r = (fw_reliability){.learned = f.count};
    if (f.count >= LEAST) {
        r->rank = FW_ARRAY(float, in->v->n);
        r->bin = FW_ARRAY(uint8_t, in->v->n);
        r->value = FW_ARRAY(float, in->v->n);
        r->model = FW_ARRAY(float, 2 * f.width + 1);
        r->centre = FW_ARRAY(float, FW_RELIABILITY_BINS *(size_t)in->v->dim);
        centre_features(&f);
        r->explained = solve(&f);
        foretell(&f, r);
        keep_model(&f, r);
        find_centres(r, in);
        fw_free(f.weight);
        fw_free(f.step);
        fw_free(f.residual);
        fw_free(f.product);
    }
    fw_free(f.mean);
    fw_free(f.s);
    return f.count >= LEAST;
}

void fw_reliability_free(fw_reliability *r)
{
    fw_free(r->rank);
    fw_free(r->value);
    fw_free(r->model);
    fw_free(r->bin);
    fw_free(r->centre);
    *r = (fw_reliability){0};
}
