#include "constraints.h"

#include <math.h>
#include <string.h>

/* Prior that a right photo shows the look of an example rather than the main one, and that a wrong one shows the person
 * of an example: nobody knows, so even. */
#define EVEN 0.5
/* Two: one confirmed photo moves the prior by a third of the way, ten by five sixths. */
#define PSEUDO 2.0

typedef struct examples { /* of one label */
    uint32_t row[FW_EXAMPLES];
    size_t n;
} examples;

typedef struct spread {
    fw_audit *a;
    const fw_audit_in *in;
    const fw_confirmed *c;
    double over; /* flagged above this P(wrong) */
    fw_groups g; /* of the dataset's labels: a photo that was taken out is still an example for those it stood among */
} spread;

static double log_sum(double a, double b)
{
    double high = fmax(a, b);
    return high + log(exp(a - high) + exp(b - high));
}

static void gather(const spread *s, size_t l, int8_t kind, examples *out)
{
    out->n = 0;
    for (size_t k = s->g.off[l]; k < s->g.off[l + 1] && out->n < FW_EXAMPLES; k++)
        if (s->c->row[s->g.row[k]] == kind) out->row[out->n++] = s->g.row[k];
}

/* Log likelihood ratio, one person against two, of the nearest of the examples to x; -FW_LLR_MAX without any. */
static double nearest(const spread *s, const examples *ex, const float *x, float *y)
{
    double best = -2;
    for (size_t k = 0; k < ex->n; k++) {
        fw_vectors_get(s->in->v, ex->row[k], y);
        best = fmax(best, fw_dot(x, y, s->in->v->dim));
    }
    return ex->n ? fw_calib_llr(&s->a->calib, best, 1) - log((double)ex->n) : -FW_LLR_MAX;
}

static double other_llr(const spread *s, size_t i)
{
    uint32_t o = s->a->other[i];
    return o == FW_NONE ? -FW_LLR_MAX : fw_calib_llr(&s->a->calib, s->a->other_sim[i], s->a->id_members[o]);
}

static void settle_row(const spread *s, size_t i, double p)
{
    fw_audit *a = s->a;
    bool was = a->score[i] > s->over, is = p > s->over;
    a->score[i] = (float)p;
    if (was == is) return;
    a->new_label[i] = FW_NONE;
    a->person[i] = 1;
    a->outlier[i] = is;
    a->verdict[i] = is ? FW_AUDIT_REMOVE : FW_AUDIT_KEEP;
}

/* Log odds that a photo of a label is wrong before it is looked at: of those that curators looked at, and PSEUDO more
 * at the rate of the whole dataset. */
static double prior_odds(const spread *s, size_t right, size_t wrong)
{
    double noise = fmin(fmax(s->a->noise, 0.002), 0.9),
           p = ((double)wrong + PSEUDO * noise) / ((double)(right + wrong) + PSEUDO);
    return log(p / (1 - p));
}

/* The photo alone, against the main person and the examples. The audit judges groups of photos that look alike as one;
 * what is confirmed of one of them breaks that up, so where an example explains the photo better than the audit did,
 * its odds are those of this comparison. */
static void weigh_row(const spread *s, size_t i, const examples *right, const examples *wrong, float *x, float *y)
{
    const fw_audit *a = s->a;
    uint32_t l = s->in->label[i], others = a->id_members[l] - a->member[i];
    double own = others ? fw_calib_llr(&a->calib, a->sim[i], others) : 0;
    double p = fmin(fmax(a->score[i], 1e-9), 1 - 1e-9), odds = log(p / (1 - p));
    double known = log_sum(0, other_llr(s, i)); /* wrong: a stranger, or the best other identity */
    double prior = prior_odds(s, right->n, wrong->n);
    fw_vectors_get(s->in->v, i, x);
    double like_right = nearest(s, right, x, y), like_wrong = nearest(s, wrong, x, y);
    double is = right->n ? log_sum(log(1 - EVEN) + own, log(EVEN) + like_right) : own;
    double is_not = wrong->n ? log_sum(known, log(EVEN) + like_wrong) : known;
    if (right->n && like_right > own && like_right > like_wrong) odds = fmin(odds, prior + is_not - is);
    if (wrong->n && like_wrong > own && like_wrong > like_right) {
        /* Where this comparison calls the photo wrong without the example already and the audit does not, the audit
         * knows more of it (its quality, its companions): then the example adds to what the audit found. */
        double without = prior + known - is, start = without > 0 ? fmin(without, odds) : without;
        odds = fmax(odds, start + is_not - known);
    }
    settle_row(s, i, 1 / (1 + exp(-odds)));
}

static void weigh_label(const spread *s, size_t l, float *x)
{
    examples right, wrong;
    gather(s, l, 1, &right);
    gather(s, l, -1, &wrong);
    if (!right.n && !wrong.n) return;
    for (size_t k = s->g.off[l]; k < s->g.off[l + 1]; k++) {
        size_t i = s->g.row[k];
        if (!s->c->row[i] && s->c->label[i] == l) weigh_row(s, i, &right, &wrong, x, x + s->in->v->dim);
    }
}

static void spread_examples(spread *s)
{
    fw_groups_build(&s->g, s->in->v, s->in->label, s->in->labels);
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, 2 * (size_t)s->in->v->dim);
#pragma omp for schedule(dynamic, 64)
        for (size_t l = 0; l < s->in->labels; l++) weigh_label(s, l, x);
        fw_free(x);
    }
    fw_groups_free(&s->g);
}

int fw_audit_confirmed(fw_audit **out, const fw_audit_in *in, const fw_confirmed *c, const fw_audit_opt *opt, fw_err *e)
{
    fw_audit_in corrected = *in;
    corrected.label = c->label;
    FW_TRY(fw_audit_run(out, &corrected, opt, e));
    spread s = {.a = *out, .in = in, .c = c, .over = fw_policy_over(opt->policy)};
    spread_examples(&s);
    for (size_t i = 0; i < in->v->n; i++)
        if (c->row[i]) (*out)->score[i] = c->row[i] < 0;
    return FW_OK;
}

void fw_side_with(const fw_vectors *v, const uint32_t *rows, size_t m, uint32_t a, uint32_t b, double same_person,
                  uint8_t *go)
{
    size_t dim = (size_t)v->dim;
    float *x = FW_ARRAY(float, 3 * dim);
    fw_vectors_get(v, a, x);
    fw_vectors_get(v, b, x + dim);
    for (size_t i = 0; i < m; i++) {
        go[i] = rows[i] == b;
        if (rows[i] == a || rows[i] == b || !fw_vectors_valid(v, rows[i])) continue;
        fw_vectors_get(v, rows[i], x + 2 * dim);
        double to_a = fw_dot(x, x + 2 * dim, v->dim), to_b = fw_dot(x + dim, x + 2 * dim, v->dim);
        go[i] = to_b > same_person && to_b > to_a;
    }
    fw_free(x);
}
