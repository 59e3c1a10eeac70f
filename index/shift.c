#include "shift.h"

#include <math.h>

/* Scores are float32, which cannot come nearer to 0 or 1 than this (1 - 6e-8). */
#define LOGIT_MOST 16.6
/* The grid: b in -12..12, where the prior's density is e^-72 of its best; the ceiling in tenths. */
#define REACH 12.0
#define STEP  0.5
enum { TENTHS = 10, HALVINGS = 40 };

static double sigmoid(double x)
{
    return x > 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static double logit(double p)
{
    if (p <= 0 || p >= 1) return p <= 0 ? -LOGIT_MOST : LOGIT_MOST;
    return fmin(fmax(log(p) - log1p(-p), -LOGIT_MOST), LOGIT_MOST);
}

void fw_answers_add(fw_answers *a, double p, bool yes)
{
    fw_reserve(&a->logit, &a->cap, a->n + 1, sizeof *a->logit);
    fw_reserve(&a->yes, &a->yes_cap, a->n + 1, sizeof *a->yes);
    a->logit[a->n] = logit(p);
    a->yes[a->n++] = yes;
    a->agreed += yes;
}

void fw_answers_free(fw_answers *a)
{
    fw_free(a->logit);
    fw_free(a->yes);
    *a = (fw_answers){0};
}

double fw_shift_posterior(const fw_answers *a, double b, double ceiling)
{
    double sum = -b * b / 2 + (FW_SHIFT_TRUST - 1) * log(ceiling);
    for (size_t i = 0; i < a->n; i++) {
        double p = FW_SHIFT_SLIP + (1 - 2 * FW_SHIFT_SLIP) * ceiling * sigmoid(a->logit[i] + b);
        sum += log(a->yes[i] ? p : 1 - p);
    }
    return sum;
}

typedef struct point {
    double b, ceiling, value;
} point;

/* Takes the point if it is better. */
static bool try(const fw_answers *a, double b, double ceiling, point *best)
{
    if (ceiling > 1 || ceiling < 1e-3) return false;
    double value = fw_shift_posterior(a, b, ceiling);
    if (value <= best->value) return false;
    *best = (point){b, ceiling, value};
    return true;
}

/* The eight neighbours at a distance, as long as one is better; then at half the distance. */
static void climb(const fw_answers *a, point *best)
{
    double step = STEP, rise = 1.0 / TENTHS;
    for (int halving = 0; halving < HALVINGS; halving++, step /= 2, rise /= 2)
        for (bool better = true; better;) {
            point from = *best;
            better = false;
            for (int k = 0; k < 9; k++)
                better = try(a, from.b + (k % 3 - 1) * step, from.ceiling + (k / 3 - 1) * rise, best) || better;
        }
}

fw_shift fw_shift_fit(const fw_answers *a)
{
    fw_shift s = {.b = 0, .ceiling = 1, .n = a->n, .agreed = a->agreed};
    if (!a->n) return s;
    point best = {0, 1, fw_shift_posterior(a, 0, 1)};
    for (double b = -REACH; b <= REACH; b += STEP)
        for (int k = 1; k <= TENTHS; k++) try(a, b, (double)k / TENTHS, &best);
    climb(a, &best);
    s.b = best.b;
    s.ceiling = best.ceiling;
    return s;
}

double fw_shift_apply(const fw_shift *s, double p)
{
    return s->n ? s->ceiling * sigmoid(logit(p) + s->b) : p;
}

double fw_shift_threshold(const fw_shift *s, double threshold)
{
    if (!s->n) return threshold;
    return threshold < s->ceiling ? sigmoid(logit(threshold / s->ceiling) - s->b) : 1;
}
