/* selftest: how well would facewash find wrong labels in THIS dataset? Known noise is planted into a copy of the labels
 * (nothing is written, no photo is touched), the audit runs on it with the same embeddings and graph, and its verdicts
 * are held against what was planted.
 *
 * Planted, half each: flips (a photo of one identity gets another identity's label) and strangers (the photo of an
 * identity with a single photo gets the label of a larger one, so that its own person is nowhere else in the set). What
 * the audit flags before anything is planted is the dataset's own noise: those photos neither move nor count.
 */
#include "../index/audit.h"
#include "../lib/log.h"
#include "command.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { CLEAN, FLIP, STRANGER, KINDS, IGNORED = KINDS };
enum { LEAST = 3, SEED = 1 }; /* photos that an identity needs to give and take flips */

typedef struct selftest {
    fw_task task;
    const fw_view *view;
    const fw_vectors *v;
    fw_graph graph;
    float *quality;
    uint32_t *label; /* with the planted noise */
    uint8_t *kind;
    size_t planted[KINDS], found[KINDS], right; /* right: relabelled flips that went home */
    size_t relabelled;
} selftest;

static int audit(selftest *s, const uint32_t *label, fw_audit **out, fw_err *e)
{
    fw_audit_opt o = FW_AUDIT_DEFAULTS;
    const fw_conf *c = s->task.conf;
    o.target_far = c->audit_target_far;
    o.policy = fw_policy_named(c->audit_policy);
    o.seed = SEED;
    fw_audit_in in = {.v = s->v, .label = label, .labels = s->view->labels, .quality = s->quality, .knn = &s->graph};
    return fw_audit_run(out, &in, &o, e);
}

static bool flagged(const fw_audit *a, size_t i)
{
    return a->verdict[i] == FW_AUDIT_REMOVE || a->verdict[i] == FW_AUDIT_RELABEL;
}

/* Photos per identity, and which identities are large enough to take part. */
static uint32_t *large_identities(const selftest *s, uint32_t *count, size_t *n)
{
    uint32_t *large = FW_ARRAY(uint32_t, s->view->labels);
    for (size_t i = 0; i < s->view->n; i++)
        if (s->view->label[i] != FW_NO_LABEL && fw_vectors_valid(s->v, i)) count[s->view->label[i]]++;
    *n = 0;
    for (uint32_t l = 0; l < s->view->labels; l++)
        if (count[l] >= LEAST) large[(*n)++] = l;
    return large;
}

static int plant(selftest *s, const fw_audit *before, double rate, fw_err *e)
{
    size_t n = s->view->n, larges;
    uint32_t *count = FW_ARRAY(uint32_t, s->view->labels), *large = large_identities(s, count, &larges);
    fw_rng rng = {.state = (uint64_t)s->task.conf->selftest_seed};
    memcpy(s->label, s->view->label, n * sizeof *s->label);
    for (size_t i = 0; larges > 1 && i < n; i++) {
        uint32_t own = s->view->label[i], other = large[fw_rng_below(&rng, larges)];
        double u = fw_rng_unit(&rng);
        bool usable = own != FW_NO_LABEL && fw_vectors_valid(s->v, i) && !flagged(before, i);
        s->kind[i] = usable ? CLEAN : IGNORED;
        if (!usable || other == own) continue;
        /* single photos are the strangers: in LFW-like sets there are many, so each is taken with the flips' rate too
         */
        if (count[own] >= LEAST ? u < rate / 2 : count[own] == 1 && u < rate) {
            s->kind[i] = count[own] >= LEAST ? FLIP : STRANGER;
            s->label[i] = other;
        }
        if (count[own] < LEAST && s->kind[i] == CLEAN)
            s->kind[i] = IGNORED; /* too small to judge: not a fair question */
    }
    fw_free(count);
    fw_free(large);
    return larges > 1 ? FW_OK : fw_fail(e, FW_EUSAGE, "selftest: needs at least two identities with %d photos", LEAST);
}

static void count_findings(selftest *s, const fw_audit *a)
{
    for (size_t i = 0; i < s->view->n; i++) {
        if (s->kind[i] == IGNORED) continue;
        s->planted[s->kind[i]]++;
        s->found[s->kind[i]] += flagged(a, i);
        bool moved = s->kind[i] == FLIP && a->verdict[i] == FW_AUDIT_RELABEL;
        s->relabelled += moved;
        s->right += moved && a->new_label[i] == s->view->label[i] && a->person[i] < 2;
    }
}

/* ROC: share of planted found against share of clean flagged, when everything above a score is flagged. */
static json_t *roc(const selftest *s, const fw_audit *a, bool print)
{
    static const double at[] = {0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99};
    json_t *curve = json_array();
    double wrong = (double)(s->planted[FLIP] + s->planted[STRANGER]), clean = (double)s->planted[CLEAN];
    if (print) printf("\nscore above   found of planted   flagged of clean   precision\n");
    for (size_t k = 0; k < FW_COUNT(at); k++) {
        double tp = 0, fp = 0;
        for (size_t i = 0; i < s->view->n; i++) {
            if (s->kind[i] == IGNORED || a->score[i] <= (float)at[k]) continue;
            *(s->kind[i] == CLEAN ? &fp : &tp) += 1;
        }
        double recall = wrong > 0 ? tp / wrong : 0, far = clean > 0 ? fp / clean : 0,
               precision = tp + fp > 0 ? tp / (tp + fp) : 1;
        json_array_append_new(curve, json_pack("{s:f, s:f, s:f, s:f}", "score", at[k], "found", recall, "false", far,
                                               "precision", precision));
        if (print) printf("%11.2f %17.2f %% %16.3f %% %10.4f\n", at[k], 100 * recall, 100 * far, precision);
    }
    return curve;
}

static void report(const selftest *s, const fw_audit *a, double rate, bool json)
{
    static const char *const names[KINDS] = {"clean", "flip", "stranger"};
    double tp = (double)(s->found[FLIP] + s->found[STRANGER]), fp = (double)s->found[CLEAN];
    double all = (double)(s->planted[FLIP] + s->planted[STRANGER]);
    double precision = tp + fp > 0 ? tp / (tp + fp) : 1, recall = all > 0 ? tp / all : 1;
    if (!json) {
        printf("planted at rate %g into a copy of the labels; nothing was written\n\n%-10s %8s %8s %9s\n", rate, "",
               "photos", "flagged", "share");
        for (int k = 0; k < KINDS; k++)
            printf("%-10s %8zu %8zu %8.2f%%\n", names[k], s->planted[k], s->found[k],
                   s->planted[k] ? 100.0 * (double)s->found[k] / (double)s->planted[k] : 0.0);
        printf("\nprecision %.4f, recall %.4f; of %zu relabelled flips %zu went back to their own identity\n",
               precision, recall, s->relabelled, s->right);
    }
    json_t *curve = roc(s, a, !json);
    json_t *j = json_pack("{s:f, s:f, s:f, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:I}, s:o}", "rate", rate, "precision",
                          precision, "recall", recall, "clean", "photos", (json_int_t)s->planted[CLEAN], "flagged",
                          (json_int_t)s->found[CLEAN], "flip", "photos", (json_int_t)s->planted[FLIP], "flagged",
                          (json_int_t)s->found[FLIP], "stranger", "photos", (json_int_t)s->planted[STRANGER], "flagged",
                          (json_int_t)s->found[STRANGER], "roc", curve);
    if (json) {
        json_dumpf(j, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(8));
        printf("\n");
    }
    json_decref(j);
}

static int load(selftest *s, fw_err *e)
{
    s->view = fw_task_view(&s->task, "", e);
    s->v = s->view ? fw_task_vectors(&s->task, "", e) : NULL;
    fw_cols *quality = s->v ? fw_task_cols(&s->task, "quality.score", "", e) : NULL;
    if (!quality || fw_task_graph(&s->task, &s->graph, e)) return e->code;
    s->quality = fw_col_gather(quality, s->view->n);
    s->label = FW_ARRAY(uint32_t, s->view->n);
    s->kind = FW_ARRAY(uint8_t, s->view->n);
    return FW_OK;
}

int fw_cmd_selftest(const fw_args *a, fw_err *e)
{
    fw_store *store;
    fw_run *r;
    selftest s = {0};
    fw_audit *before = NULL, *after = NULL;
    double rate = a->conf->selftest_rate;
    int rc = fw_open_run(a, false, FW_LOCK_NONE, &store, &r, e);
    if (!rc) {
        s.task = fw_run_reader(r);
        rc = load(&s, e);
    }
    if (!rc) rc = audit(&s, s.view->label, &before, e);
    if (!rc) rc = plant(&s, before, rate, e);
    if (!rc) rc = audit(&s, s.label, &after, e);
    if (!rc) {
        count_findings(&s, after);
        report(&s, after, rate, a->json);
    }
    fw_audit_free(before);
    fw_audit_free(after);
    fw_free(s.quality);
    fw_free(s.label);
    fw_free(s.kind);
    fw_close_run(store, r);
    return rc;
}
