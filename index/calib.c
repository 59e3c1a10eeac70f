#include "calib.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double fw_normal_score(double p)
{
    double lo = -9, hi = 9;
    for (int i = 0; i < 64; i++) {
        double mid = 0.5 * (lo + hi);
        if (0.5 * erfc(mid * M_SQRT1_2) > p)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Least squares of y on 1, z, z^2 with the first point (z = 0) held exactly: q0 is the median. */
static void fit_quadratic(const double *z, const double *y, int n, double q[3])
{
    double a = 0, b = 0, d = 0, r1 = 0, r2 = 0;
    for (int i = 1; i < n; i++) {
        double e = y[i] - y[0];
        a += z[i] * z[i];
        b += z[i] * z[i] * z[i];
        d += z[i] * z[i] * z[i] * z[i];
        r1 += z[i] * e;
        r2 += z[i] * z[i] * e;
    }
    double det = a * d - b * b;
    q[0] = y[0];
    q[1] = (r1 * d - r2 * b) / det;
    q[2] = (r2 * a - r1 * b) / det;
    if (q[2] < 0) { /* a right tail shorter than normal is sampling noise: never tighten on it */
        q[2] = 0;
        q[1] = r1 / a;
    }
}

static double sorted_at(const float *s, size_t n, double p)
{
    double x = p * (double)(n - 1);
    size_t i = x < 0 ? 0 : (size_t)x;
    if (i + 1 >= n) return s[n - 1];
    return s[i] + (x - (double)i) * (s[i + 1] - s[i]);
}

static size_t count_above(const float *s, size_t n, double t)
{
    size_t above = 0;
    while (above < n && s[n - 1 - above] > t) above++;
    return above;
}

/* What the left half alone says, whatever share of the pairs is the same person (they are all on the right): median and
 * left spread of the rest, the right tail as its mirror image with the bend that LFW and its degraded copies have
 * (q1 = left, q2 = left / 20: the 1e-3 point 1.15 times as far out as a normal's). Returns the same-person share; a
 * fixed point that holds to about a third (checked on sets of 5 people, where a fifth of all pairs is genuine). */
static double fit_left_half(fw_calib *c, const float *s, size_t n)
{
    double same = 0;
    for (int round = 0; round < 12; round++) {
        c->q0 = sorted_at(s, n, (1 - same) * 0.5);
        c->left = fmax(c->q0 - sorted_at(s, n, (1 - same) * 0.1587), 0.01);
        c->q1 = c->left, c->q2 = c->left / 20;
        same = fmin(fmax((double)count_above(s, n, fw_calib_threshold(c, 1e-3)) / (double)n - 1e-3, 0), 0.5);
    }
    return same;
}

/* Below this many pairs the upper quantiles are too few pairs (and those of few people) to bend the tail alone. */
#define TAIL_PAIRS 20000.0

/* Sorted similarities -> quantile function, with the same-person share taken out (three rounds settle it). */
static void fit_impostors(fw_calib *c, const float *s, size_t n)
{
    static const double upper[] = {0.5, 0.30, 0.20, 0.15, 0.10, 0.07, 0.05, 0.035, 0.025};
    enum { POINTS = FW_COUNT(upper) };
    double z[POINTS], y[POINTS], q[3], same = fit_left_half(c, s, n), most = fmax(0.02, same);
    double trust = n / (n + TAIL_PAIRS), bend1 = c->q1, bend2 = c->q2;
    if (same <= 0.02)
        same = 0; /* the usual case: the quantiles themselves find it more exactly */
    else
        trust = 0; /* they lie among the same-person pairs: only the left half can be believed */
    for (int round = 0; trust > 0 && round < 4; round++) {
        for (int i = 0; i < POINTS; i++) {
            z[i] = fw_normal_score(upper[i]);
            y[i] = sorted_at(s, n, (1 - same) * (1 - upper[i]));
        }
        fit_quadratic(z, y, POINTS, q);
        c->q0 = q[0];
        c->q1 = fmax(trust * q[1] + (1 - trust) * bend1, 0.01);
        c->q2 = trust * q[2] + (1 - trust) * bend2;
        double above = (double)count_above(s, n, fw_calib_threshold(c, 1e-4));
        same = fmin(fmax(above / (double)n - 1e-4, 0), most);
    }
    c->same_person = same;
    c->left = fmax((c->q0 - sorted_at(s, n, (1 - same) * 0.1587)), 0.01);
}

static void start_values(fw_calib *c)
{
    memset(c, 0, sizeof *c);
    c->q0 = 0, c->q1 = 0.10, c->q2 = 0.004, c->left = 0.10;
    /* LFW with the default embedder; only a start for EM */
    c->rho = 0.6;
    c->weight[0] = 0.8, c->mean[0] = 1.2, c->sd[0] = 0.25;
    c->weight[1] = 0.2, c->mean[1] = 0.9, c->sd[1] = 0.35;
    for (int k = 0; k < FW_CALIB_KNOTS; k++) c->scale[k] = 1;
}

/* Which of `shares` equal shares of -1..1. */
static size_t share_of(double sim, int shares)
{
    const int b = (int)((sim + 1) * (shares / 2));
    return (size_t)(b < 0 ? 0 : b >= shares ? shares - 1 : b);
}

/* Each block of pairs has its own stream of numbers: any thread count, the same pairs. */
#define PAIR_BLOCK ((size_t)4096)

/* Similarities of pairs first..first+count-1; 9: not a pair of different labels. Rows of a large dataset lie anywhere in
 * memory, so those of the next pairs are asked for while a pair is multiplied. */
static void pair_block(const fw_vectors *v, const uint32_t *label, fw_rng rng, size_t count, float *a, float *sim)
{
    enum { AHEAD = 4 };
    uint32_t pair[PAIR_BLOCK + AHEAD][2] = {{0}};
    float *b = a + v->dim;
    for (size_t k = 0; k < count; k++)
        for (int side = 0; side < 2; side++) pair[k][side] = (uint32_t)fw_rng_below(&rng, v->n);
    for (size_t k = 0; k < count; k++) {
        const uint32_t i = pair[k][0], j = pair[k][1];
        for (int side = 0; side < 2; side++) fw_vectors_prefetch(v, pair[k + AHEAD][side]);
        sim[k] = 9;
        if (label[i] == label[j] || label[i] == FW_NONE || label[j] == FW_NONE) continue;
        if (!fw_vectors_valid(v, i) || !fw_vectors_valid(v, j)) continue;
        fw_vectors_get(v, i, a);
        fw_vectors_get(v, j, b);
        sim[k] = fw_dot(a, b, v->dim);
    }
}

/* Ascending. Shared out by value first, then every share is sorted by some thread. */
static void sort_similarities(float *sim, size_t n)
{
    enum { SHARES = 4096 };
    size_t *end = FW_ARRAY(size_t, SHARES + 1);
    float *out = FW_ARRAY(float, n);
    for (size_t k = 0; k < n; k++) end[share_of(sim[k], SHARES) + 1]++;
    for (size_t b = 0; b < SHARES; b++) end[b + 1] += end[b];
    for (size_t k = n; k-- > 0;) out[--end[share_of(sim[k], SHARES) + 1]] = sim[k]; /* in the end: where it begins */
#pragma omp parallel for schedule(dynamic, 16)
    for (size_t b = 0; b < SHARES; b++) {
        const size_t first = end[b + 1], last = b + 1 < SHARES ? end[b + 2] : n;
        qsort(out + first, last - first, sizeof *out, by_value);
    }
    memcpy(sim, out, n * sizeof *sim);
    fw_free(out), fw_free(end);
}

void fw_calib_impostors(fw_calib *c, const fw_vectors *v, const uint32_t *label, size_t pairs, uint64_t seed)
{
    start_values(c);
    if (v->n < 2) return;
    if (v->n < 65536 && pairs > v->n * (v->n - 1) / 2) pairs = v->n * (v->n - 1) / 2;
    float *sim = FW_ARRAY(float, pairs);
#pragma omp parallel
    {
        float *a = FW_ARRAY(float, (size_t)v->dim * 2);
#pragma omp for schedule(dynamic, 4)
        for (size_t first = 0; first < pairs; first += PAIR_BLOCK) {
            if (fw_stopping()) continue;
            const size_t count = pairs - first < PAIR_BLOCK ? pairs - first : PAIR_BLOCK;
            const fw_rng rng = {.state = seed ^ (first + 1) * 0x9E3779B97F4A7C15u};
            pair_block(v, label, rng, count, a, sim + first);
        }
        fw_free(a);
    }
    size_t n = 0;
    if (fw_stopping()) pairs = 0; /* whoever asked will not use it */
    for (size_t k = 0; k < pairs; k++)
        if (sim[k] < 2) sim[n++] = sim[k];
    c->pairs = n;
    for (size_t k = 0; k < n; k++) c->impostor_hist[share_of(sim[k], FW_CALIB_BINS)]++;
    if (n >= 1000) {
        sort_similarities(sim, n);
        fit_impostors(c, sim, n);
    }
    fw_free(sim);
}

double fw_calib_threshold(const fw_calib *c, double far)
{
    double z = fw_normal_score(far);
    if (z < 0) return c->q0 + c->left * z;
    return fmin(c->q0 + c->q1 * z + c->q2 * z * z, 0.999);
}

/* Normal score of a similarity under the impostor model, and d sim / d z there. */
static double score_of(const fw_calib *c, double sim, double *slope)
{
    double d = sim - c->q0;
    if (d < 0) {
        *slope = c->left;
        return d / c->left;
    }
    double root = sqrt(c->q1 * c->q1 + 4 * c->q2 * d);
    *slope = root;
    return 2 * d / (c->q1 + root);
}

double fw_calib_far(const fw_calib *c, double sim)
{
    double slope, z = score_of(c, sim, &slope);
    return 0.5 * erfc(z * M_SQRT1_2);
}

double fw_size_factor(double rho, double n)
{
    return n > 1 ? sqrt(n / (1 + (n - 1) * rho)) : 1.0;
}

double fw_calib_shift(const fw_calib *c, double n)
{
    double full = atanh(fmin(sqrt(c->rho), 0.995)); /* n -> infinity: rho * f = sqrt(rho) */
    return atanh(fmin(c->rho * fw_size_factor(c->rho, n), 0.995)) - full;
}

static double clamp_sim(double s)
{
    return fmin(fmax(s, -0.98), 0.98);
}

/* log densities in atanh(sim); the Jacobian is common to both and cancels in every ratio, so impostors are converted */
static double log_normal(double x, double mean, double sd)
{
    double z = (x - mean) / sd;
    return -0.5 * z * z - log(sd) - 0.918938533204673;
}

static double log_impostor(const fw_calib *c, double sim)
{
    double slope, z = score_of(c, sim, &slope);
    return -0.5 * z * z - log(slope) - 0.918938533204673 + log(1 - sim * sim); /* d sim = (1 - sim^2) d atanh */
}

static double log_genuine(const fw_calib *c, double x)
{
    double p[FW_CALIB_PARTS], top = -1e30, sum = 0;
    for (int k = 0; k < FW_CALIB_PARTS; k++) {
        p[k] = log(c->weight[k]) + log_normal(x, c->mean[k], c->sd[k]);
        top = fmax(top, p[k]);
    }
    for (int k = 0; k < FW_CALIB_PARTS; k++) sum += exp(p[k] - top);
    return top + log(sum);
}

/* Offset and scale at a quality rank: straight lines between the knots, flat beyond the outer ones. */
static void quality_effect(const fw_calib *c, double rank, double *offset, double *scale)
{
    *offset = 0, *scale = 1;
    if (rank < 0) return;
    double at = fmin(fmax(rank * FW_CALIB_KNOTS - 0.5, 0), FW_CALIB_KNOTS - 1);
    int k = at >= FW_CALIB_KNOTS - 1 ? FW_CALIB_KNOTS - 2 : (int)at;
    *offset = c->offset[k] + (at - k) * (c->offset[k + 1] - c->offset[k]);
    *scale = c->scale[k] + (at - k) * (c->scale[k + 1] - c->scale[k]);
}

/* What moves a genuine similarity: how many photos are behind the centroid, and the photo's quality. */
typedef struct terms {
    double shift, offset, scale;
} terms;

static terms terms_of(const fw_calib *c, double n, double rank)
{
    terms t = {.shift = fw_calib_shift(c, n)};
    quality_effect(c, rank, &t.offset, &t.scale);
    return t;
}

/* atanh(sim) as it would be for a median photo compared to the person's true centre. */
static double standard(const fw_calib *c, const terms *t, double sim)
{
    return c->mean[0] + (atanh(sim) - t->shift - t->offset - c->mean[0]) / t->scale;
}

/* Ratios of fitted densities turn round far out in both tails, where neither fit has data. Past the genuine centre the
 * ratio is held from falling; under the impostor centre likewise. */
static double bounded(double llr, double most)
{
    return fmin(fmax(llr, -FW_LLR_MAX), most);
}

static double photo_llr(const fw_calib *c, const terms *t, double sim)
{
    double top = clamp_sim(tanh(c->mean[0] + t->offset + t->shift));
    double s = fmin(fmax(clamp_sim(sim), c->q0), fmax(top, c->q0));
    return log_genuine(c, standard(c, t, s)) - log(t->scale) - log_impostor(c, s);
}

double fw_calib_llr_of(const fw_calib *c, double sim, double n, double rank)
{
    const terms t = terms_of(c, n, rank);
    return bounded(photo_llr(c, &t, sim), FW_LLR_MAX);
}

double fw_calib_llr_among(const fw_calib *c, double sim, double n, double rank, double among)
{
    const terms t = terms_of(c, n, rank);
    return bounded(photo_llr(c, &t, sim), FW_LLR_PHOTO + log(among));
}

double fw_calib_llr_centres(const fw_calib *c, double cosine, double na, double nb, double among)
{
    double expected = c->rho * fw_size_factor(c->rho, na) * fw_size_factor(c->rho, nb);
    double shift = atanh(fmin(expected, 0.97)) - atanh(fmin(sqrt(c->rho), 0.995));
    double s = fmax(clamp_sim(cosine), c->q0), top = clamp_sim(tanh(c->mean[0] + shift));
    s = fmin(s, fmax(top, c->q0));
    return bounded(log_genuine(c, atanh(s) - shift) - log_impostor(c, s), FW_LLR_MAX + log(among));
}

double fw_calib_llr(const fw_calib *c, double sim, double n)
{
    return fw_calib_llr_of(c, sim, n, -1);
}

typedef struct moments {
    double w, x, xx;
} moments;

/* Members of the mixture far beyond the hard component must not widen it into the impostors: its centre stays over the
 * impostors' 1e-3 point and its spread under twice the bulk's. */
static void update_parts(fw_calib *c, const moments *m)
{
    double all = 0;
    for (int k = 0; k < FW_CALIB_PARTS; k++) all += m[k].w;
    if (all < 20) return;
    for (int k = 0; k < FW_CALIB_PARTS; k++) {
        c->weight[k] = fmax(m[k].w / all, 0.005);
        if (m[k].w < 5) continue;
        c->mean[k] = m[k].x / m[k].w;
        c->sd[k] = fmax(sqrt(fmax(m[k].xx / m[k].w - c->mean[k] * c->mean[k], 0)), 0.05);
    }
    double sum = 0;
    for (int k = 0; k < FW_CALIB_PARTS; k++) sum += c->weight[k];
    for (int k = 0; k < FW_CALIB_PARTS; k++) c->weight[k] /= sum;
    c->mean[1] = fmax(c->mean[1], atanh(clamp_sim(fw_calib_threshold(c, 1e-3))));
    c->mean[1] = fmin(c->mean[1], c->mean[0]);
    c->sd[1] = fmin(c->sd[1], 2 * c->sd[0]);
    c->sd[1] = fmax(c->sd[1], c->sd[0]);
}

/* What a step sums up: by component, and by quality knot. */
typedef struct tally {
    moments part[FW_CALIB_PARTS], knot[FW_CALIB_KNOTS];
} tally;

static void add_moments(moments *m, double w, double x)
{
    m->w += w;
    m->x += w * x;
    m->xx += w * x * x;
}

static void observe(const fw_calib *c, const fw_calib_obs *o, tally *sum)
{
    const double sim = clamp_sim(o->sim);
    const terms t = terms_of(c, o->n, o->quality);
    const double llr = bounded(photo_llr(c, &t, sim), FW_LLR_MAX), genuine = 1 / (1 + exp(fmin(o->against - llr, 700)));
    const double x = standard(c, &t, sim), lg = log_genuine(c, x);
    for (int k = 0; k < FW_CALIB_PARTS; k++)
        add_moments(&sum->part[k], genuine * exp(log(c->weight[k]) + log_normal(x, c->mean[k], c->sd[k]) - lg), x);
    if (o->quality < 0) return;
    const int k = (int)(o->quality * FW_CALIB_KNOTS);
    add_moments(&sum->knot[k >= FW_CALIB_KNOTS ? FW_CALIB_KNOTS - 1 : k], genuine, atanh(sim) - t.shift);
}

static void add_all(moments *sum, const moments *m, size_t n)
{
    for (size_t k = 0; k < n; k++) sum[k].w += m[k].w, sum[k].x += m[k].x, sum[k].xx += m[k].xx;
}

static tally observe_all(const fw_calib *c, const fw_calib_obs *obs, size_t count)
{
    tally part[FW_PARTS] = {0}, sum = {0};
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t p = 0; p < FW_PARTS; p++)
        for (size_t i = fw_part(count, p); i < fw_part(count, p + 1) && !fw_stopping(); i++)
            observe(c, &obs[i], &part[p]);
    for (size_t p = 0; p < FW_PARTS; p++) {
        add_all(sum.part, part[p].part, FW_CALIB_PARTS);
        add_all(sum.knot, part[p].knot, FW_CALIB_KNOTS);
    }
    return sum;
}

/* Each fifth's mean and spread against the whole, drawn towards "no effect" as if by 50 further images. */
static void update_quality(fw_calib *c, const moments *m)
{
    moments all = {0};
    for (int k = 0; k < FW_CALIB_KNOTS; k++) all.w += m[k].w, all.x += m[k].x, all.xx += m[k].xx;
    if (all.w < 500) return; /* a hundred a knot, or the quality is left out */
    double mean = all.x / all.w, within = 0;
    for (int k = 0; k < FW_CALIB_KNOTS; k++)
        if (m[k].w > 0) within += m[k].xx - m[k].x * m[k].x / m[k].w;
    double sd = sqrt(fmax(within / all.w, 1e-4));
    for (int k = 0; k < FW_CALIB_KNOTS; k++) {
        if (m[k].w < 20) continue;
        double own = m[k].x / m[k].w, trust = m[k].w / (m[k].w + 50);
        double spread = sqrt(fmax(m[k].xx / m[k].w - own * own, 1e-4)) / sd;
        c->offset[k] = trust * (own - mean);
        c->scale[k] = fmin(fmax(1 + trust * (spread - 1), 0.5), 2.0);
    }
}

void fw_calib_genuine(fw_calib *c, const fw_calib_obs *obs, size_t count, int steps)
{
    if (count < 50) return;
    for (int step = 0; step < steps; step++) {
        const tally sum = observe_all(c, obs, count);
        update_parts(c, sum.part);
        update_quality(c, sum.knot);
    }
    c->genuine = count;
    memset(c->own_hist, 0, sizeof c->own_hist);
    for (size_t i = 0; i < count; i++) c->own_hist[share_of(obs[i].sim, FW_CALIB_BINS)]++;
}
