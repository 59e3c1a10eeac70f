/* audit: the rounds, the second look, and the verdicts (audit.h; the parts: judge.h). */
#include "audit.h"
#include "copies.h"
#include "judge.h"
#include "reliability.h"

#include <math.h>
#include <string.h>

#define ROUNDS 4

/* ---- the rounds ------------------------------------------------------------------------------------------------- */

/* Members := those who are likelier right than wrong. */
static size_t redraw_members(fw_judge *j)
{
    fw_audit *a = j->a;
    size_t moved = 0, labels = j->in->labels;
#pragma omp parallel reduction(+ : moved)
    {
        float *sum = FW_ARRAY(float, (size_t)j->v->dim * 2);
#pragma omp for schedule(dynamic, 64)
        for (size_t l = 0; l < labels; l++) {
            size_t m, here = 0, left = 0;
            const uint32_t *rows = fw_judge_rows(j, l, &m);
            if (a->id_members[l] < 2) continue;
            for (size_t i = 0; i < m; i++) left += a->score[rows[i]] <= 0.5f;
            if (left < 2) continue; /* never lose the main group to its own redrawing */
            for (size_t i = 0; i < m; i++) {
                uint8_t in = a->score[rows[i]] <= 0.5f;
                here += in != a->member[rows[i]];
                a->member[rows[i]] = in;
            }
            if (here) fw_judge_set_centre(j, l, sum, sum + j->v->dim);
            moved += here;
        }
        fw_free(sum);
    }
    return moved;
}

static void rank_quality(fw_judge *j)
{
    const float *q = j->in->quality;
    float *value = FW_ARRAY(float, j->v->n);
    for (size_t i = 0; i < j->v->n; i++) {
        bool known = q && fw_vectors_valid(j->v, i) && q[i] >= 0 && q[i] <= 1;
        value[i] = known ? q[i] : NAN;
    }
    fw_rank_values(value, j->v->n, j->rank);
    fw_free(value);
}

static void settle(fw_judge *j)
{
    fw_audit *a = j->a;
    int rounds = (j->opt->off & FW_OFF_ROUNDS) ? 1 : ROUNDS;
    fw_judge_start_priors(j);
    for (a->rounds = 0; a->rounds < rounds && !fw_stopping(); a->rounds++) {
        fw_judge_fit_rho(j);
        fw_judge_compare(j);
        fw_judge_lone(j);
        if (!(j->opt->off & FW_OFF_UNION)) fw_judge_compare_groups(j);
        fw_judge_weigh(j);
        for (int inner = 0; inner < 5 && !fw_stopping(); inner++) {
            fw_judge_fit_genuine(j, 2);
            fw_judge_weigh(j);
            fw_judge_all(j);
            fw_judge_fit_priors(j);
            fw_judge_fit_flip_share(j);
        }
        fw_judge_all(j);
        if (a->rounds + 1 < rounds && !redraw_members(j)) break;
    }
}

/* ---- verdicts --------------------------------------------------------------------------------------------------- */

enum fw_policy fw_policy_named(const char *name)
{
    return !strcmp(name, "conservative") ? FW_CONSERVATIVE : !strcmp(name, "aggressive") ? FW_AGGRESSIVE : FW_BALANCED;
}

double fw_policy_over(enum fw_policy p)
{
    return p == FW_CONSERVATIVE ? 0.9 : p == FW_AGGRESSIVE ? 0.2 : 0.5;
}

/* Two photos that do not agree: one of them may well be right, and nothing here says which. */
static bool cannot_tell(const fw_judge *j, size_t l, double p)
{
    size_t m;
    fw_judge_rows(j, l, &m);
    return m <= 2 && j->a->id_members[l] < 2 && p <= fw_policy_over(FW_CONSERVATIVE);
}

/* Relabelled when, given that the label is wrong, another identity explains the image with 99 % and no stranger comes
 * as near in 100,000: of LFW's strangers only people who have a second name in LFW, or a wrong one, still pass. */
static void verdict_of(fw_judge *j, size_t i)
{
    fw_audit *a = j->a;
    double p = a->score[i], over = fw_policy_over(j->opt->policy);
    uint32_t l = j->in->label[i];
    a->new_label[i] = FW_NONE;
    a->person[i] = 1;
    if (p <= over) {
        bool alone = a->id_members[l] < 2 && p > 0.25;
        a->verdict[i] = alone ? FW_AUDIT_REVIEW : FW_AUDIT_KEEP;
        return;
    }
    double sure = fw_judge_flip_part(j, i);
    if (j->torn[i])
        a->verdict[i] = FW_AUDIT_REVIEW;
    else if (sure > 0.99 && a->other_sim[i] > a->t_person) {
        a->verdict[i] = FW_AUDIT_RELABEL;
        a->new_label[i] = a->other[i];
        a->confidence[i] = (float)(sure * p);
    } else {
        a->verdict[i] = cannot_tell(j, l, p) ? FW_AUDIT_REVIEW : FW_AUDIT_REMOVE;
        a->outlier[i] = 1;
    }
}

fw_policy_cost fw_policy_cost_of(const fw_audit *a, enum fw_policy p)
{
    fw_policy_cost c = {0};
    for (size_t i = 0; i < a->n; i++) {
        bool flagged = a->score[i] > fw_policy_over(p);
        c.flagged += flagged;
        *(flagged ? &c.wrong : &c.missed) += a->score[i];
    }
    return c;
}

/* Noise rate: the posteriors' sum. The interval has the posteriors' own variance and that between labels (noise comes
 * by label; ratio estimator, linearised), and on top what no posterior knows: 3 % of the rate for a model that is a
 * little off, and 3 photos in 1,000 that any set has wrong, odd or hard. */
static void noise_rate(fw_judge *j)
{
    size_t labels = j->in->labels, m;
    double wrong = 0, all = 0, var = 0;
    double *k = FW_ARRAY(double, labels + 1);
    for (size_t l = 0; l < labels; l++) {
        const uint32_t *rows = fw_judge_rows(j, l, &m);
        for (size_t i = 0; i < m; i++) {
            double p = j->a->score[rows[i]];
            k[l] += p;
            var += p * (1 - p);
        }
        wrong += k[l], all += (double)m;
    }
    double rate = all > 0 ? wrong / all : 0;
    for (size_t l = 0; l < labels; l++) {
        fw_judge_rows(j, l, &m);
        double d = k[l] - rate * (double)m;
        var += d * d; /* ratio estimator over labels, linearised */
    }
    double half = all > 0 ? 1.96 * sqrt(var) / all + 0.03 * rate + 0.003 : 0.5;
    j->a->noise = rate;
    j->a->noise_low = fmax(rate - half, 0);
    j->a->noise_high = fmin(rate + half, 1);
    fw_free(k);
}

static void finish_labels(fw_judge *j)
{
    fw_audit *a = j->a;
    for (size_t l = 0; l < j->in->labels; l++) {
        size_t m;
        const uint32_t *rows = fw_judge_rows(j, l, &m);
        double sum = 0;
        uint32_t n = 0;
        for (size_t i = 0; i < m; i++) {
            verdict_of(j, rows[i]);
            if (a->member[rows[i]]) sum += a->sim[rows[i]], n++;
        }
        a->id_images[l] = (uint32_t)m;
        a->id_cohesion[l] = n ? (float)(sum / n) : 0;
    }
}

static fw_audit *audit_new(const fw_audit_in *in)
{
    fw_audit *a = FW_NEW(fw_audit);
    size_t n = a->n = in->v->n, L = a->labels = in->labels;
    a->score = FW_ARRAY(float, n);
    a->verdict = FW_ARRAY(uint8_t, n);
    a->new_label = FW_ARRAY(uint32_t, n);
    a->confidence = FW_ARRAY(float, n);
    a->person = FW_ARRAY(uint32_t, n);
    a->outlier = FW_ARRAY(uint8_t, n);
    a->sim = FW_ARRAY(float, n);
    a->other = FW_ARRAY(uint32_t, n);
    a->other_sim = FW_ARRAY(float, n);
    a->member = FW_ARRAY(uint8_t, n);
    a->id_images = FW_ARRAY(uint32_t, L);
    a->id_members = FW_ARRAY(uint32_t, L);
    a->id_cohesion = FW_ARRAY(float, L);
    a->id_action = FW_ARRAY(uint8_t, L);
    a->id_other = FW_ARRAY(uint32_t, L);
    a->id_score = FW_ARRAY(float, L);
    a->id_centre = FW_ARRAY(uint16_t, L * (size_t)in->v->dim);
    for (size_t i = 0; i < n; i++) a->person[i] = 1, a->new_label[i] = a->other[i] = FW_NONE;
    for (size_t l = 0; l < L; l++) a->id_other[l] = FW_NONE;
    return a;
}

void fw_audit_free(fw_audit *a)
{
    if (!a) return;
    void *owned[] = {a->score,       a->verdict,   a->new_label, a->confidence, a->person,    a->outlier,
                     a->sim,         a->other,     a->other_sim, a->member,     a->id_images, a->id_members,
                     a->id_cohesion, a->id_action, a->id_other,  a->id_score,   a->id_centre};
    for (size_t k = 0; k < FW_COUNT(owned); k++) fw_free(owned[k]);
    fw_free(a);
}

static int check_input(const fw_audit_in *in, fw_err *e)
{
    if (in->knn && in->knn->n != in->v->n)
        return fw_fail(e, FW_EFAIL, "audit: the kNN graph has %zu rows, the embeddings %zu; run knn again", in->knn->n,
                       in->v->n);
    for (size_t i = 0; i < in->v->n; i++)
        if (in->label[i] != FW_NONE && in->label[i] >= in->labels)
            return fw_fail(e, FW_EFAIL, "audit: image row %zu has label id %u, but there are %zu labels", i,
                           in->label[i], in->labels);
    return FW_OK;
}

static void look(fw_judge *j)
{
    fw_audit *a = j->a;
    memset(a->member, 0, j->v->n * sizeof *a->member);
    fw_calib_impostors(&a->calib, j->v, j->in->label, j->opt->pairs, j->opt->seed);
    a->t_in = fw_calib_threshold(&a->calib, j->opt->target_far);
    a->t_person = fw_calib_threshold(&a->calib, 1e-5);
    if (fw_stopping()) return;
    fw_judge_mains(j);
    settle(j);
}

/* Members of supported main groups teach; how many others they are compared to is taken out. */
static bool learn_reliability(fw_judge *j, fw_reliability *r)
{
    const fw_audit *a = j->a;
    float *target = FW_ARRAY(float, j->v->n);
    for (size_t i = 0; i < j->v->n; i++) {
        uint32_t l = j->in->label[i];
        target[i] = NAN;
        if (l == FW_NONE || !a->member[i] || a->id_members[l] < 3) continue;
        target[i] =
            (float)(atanh(fmin(fmax(a->sim[i], -0.95), 0.95)) - fw_calib_shift(&a->calib, a->id_members[l] - 1));
    }
    fw_reliability_in in = {j->v, j->in->label, j->in->labels, target, j->rank};
    bool learned = fw_reliability_learn(r, &in);
    fw_free(target);
    return learned;
}

/* Look, learn what each photo can say, look again with that known. */
static void look_twice(fw_judge *j, fw_audit_in *second, fw_reliability *r)
{
    rank_quality(j);
    look(j);
    if ((j->opt->off & FW_OFF_LEARNED) || fw_stopping() || !learn_reliability(j, r)) return;
    j->a->reliability = r->explained;
    memcpy(j->rank, r->rank, j->v->n * sizeof *j->rank);
    if (!(j->opt->off & FW_OFF_CENTRE)) second->v = fw_vectors_centred(j->v, r->bin, r->centre);
    j->v = second->v;
    j->in = second;
    look(j);
}

static void judge_open(fw_judge *j)
{
    size_t n = j->v->n, L = j->in->labels;
    j->sub = FW_ARRAY(uint32_t, n);
    j->own_llr = FW_ARRAY(float, n);
    j->other_llr = FW_ARRAY(float, n);
    j->norm = FW_ARRAY(float, L);
    j->lone = FW_ARRAY(uint8_t, n);
    j->group_sim = FW_ARRAY(float, n);
    j->group_n = FW_ARRAY(uint32_t, n);
    j->main_n = FW_ARRAY(uint32_t, n);
    j->rank = FW_ARRAY(float, n);
    j->torn = FW_ARRAY(uint8_t, n);
    j->wrong = FW_ARRAY(double, L);
    j->stray = FW_ARRAY(double, L);
    fw_groups_build(&j->g, j->v, j->in->label, L);
}

static void judge_close(fw_judge *j)
{
    void *owned[] = {j->sub,     j->own_llr, j->other_llr, j->norm,  j->lone,  j->group_sim,
                     j->group_n, j->main_n,  j->rank,      j->wrong, j->stray, j->torn};
    for (size_t k = 0; k < FW_COUNT(owned); k++) fw_free(owned[k]);
    fw_groups_free(&j->g);
}

/* Copies share all that is found of the first of them. */
static void spread_to_copies(fw_audit *a, const fw_audit_in *in, const uint32_t *first)
{
    for (size_t i = 0; i < a->n; i++) {
        uint32_t f = first[i];
        if (f == i) continue;
        a->score[i] = a->score[f], a->verdict[i] = a->verdict[f], a->new_label[i] = a->new_label[f];
        a->confidence[i] = a->confidence[f], a->person[i] = a->person[f], a->outlier[i] = a->outlier[f];
        a->sim[i] = a->sim[f], a->other[i] = a->other[f], a->other_sim[i] = a->other_sim[f];
        a->member[i] = a->member[f];
        a->id_images[in->label[i]]++;
    }
}

static int audit_photos(fw_audit *a, const fw_audit_in *in, const fw_audit_opt *opt, fw_err *e)
{
    uint32_t *ring = FW_ARRAY(uint32_t, a->n + 1);
    fw_judge j = {.a = a, .in = in, .opt = opt, .v = in->v};
    a->contested = fw_copies_across(in->v, in->label, ring);
    if (a->contested && !(opt->off & FW_OFF_CONTESTED)) j.ring = ring;
    fw_audit_in second = *in;
    fw_reliability r = {0};
    judge_open(&j);
    look_twice(&j, &second, &r);
    int rc = fw_check_stop(e); /* who was stopped has left things out */
    if (!rc) finish_labels(&j);
    if (!rc) noise_rate(&j);
    if (!rc) rc = fw_identity_decide(a, j.in, opt, e);
    if (second.v != in->v) fw_vectors_free((fw_vectors *)second.v);
    fw_reliability_free(&r);
    judge_close(&j);
    fw_free(ring);
    return rc;
}

int fw_audit_run(fw_audit **out, const fw_audit_in *in, const fw_audit_opt *opt, fw_err *e)
{
    *out = NULL;
    FW_TRY(check_input(in, e));
    fw_audit *a = audit_new(in);
    fw_audit_in photos = *in;
    uint32_t *first = FW_ARRAY(uint32_t, a->n + 1), *label = FW_ARRAY(uint32_t, a->n + 1);
    a->copies = fw_copies_find(in->v, in->label, in->labels, first);
    for (size_t i = 0; i < a->n; i++) label[i] = first[i] == i ? in->label[i] : FW_NONE;
    photos.label = label;
    int rc = audit_photos(a, &photos, opt, e);
    if (!rc) spread_to_copies(a, in, first);
    fw_free(first);
    fw_free(label);
    if (rc)
        fw_audit_free(a);
    else
        *out = a;
    return rc;
}
