/* audit: which labels are wrong (index/audit.h does the work). */
#include "../index/audit.h"
#include "../lib/log.h"
#include "stage.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 1 };

static const char *const inputs[] = {"embed.vec", "embed.valid", "quality.score", "knn.off", "knn.id", "knn.sim", NULL};
static const fw_output outputs[] = {
    {"audit.score", FW_F32, 1, FW_ONE, "P(label is wrong), 0..1"},
    {"audit.verdict", FW_U8, 1, FW_ONE, "0 keep, 1 remove, 2 relabel, 3 review"},
    {"audit.new_label", FW_U32, 1, FW_ONE, "relabel: label id that it goes to (its own for LABEL#k)"},
    {"audit.person", FW_U32, 1, FW_ONE, "1: main person of the label, k > 1: its k-th person"},
    {"audit.outlier", FW_U8, 1, FW_ONE, "1: flagged, and matches nobody"},
    {"audit.sim", FW_F32, 1, FW_ONE, "cosine to the label's main centroid without this image"},
    {"audit.other", FW_U32, 1, FW_ONE, "best other label"},
    {"audit.other_sim", FW_F32, 1, FW_ONE, "its cosine"},
    {"audit.id_images", FW_U32, 1, FW_ONE, "per label: images with an embedding"},
    {"audit.id_cohesion", FW_F32, 1, FW_ONE, "per label: mean cosine of the main group to its centroid"},
    {"audit.id_action", FW_U8, 1, FW_ONE, "per label: 0 keep, 1 merge, 2 split, 3 drop, 4 review"},
    {"audit.id_other", FW_U32, 1, FW_ONE, "per label: the label that it merges into"},
    {"audit.id_score", FW_F32, 1, FW_ONE, "per label: confidence of the action"},
    {"audit.centre", FW_F16, 0, FW_ONE, "per label: main centroid, unit length; zeros: none"},
    {0}};

static json_t *histogram(const uint32_t *count)
{
    json_t *a = json_array();
    for (int i = 0; i < FW_CALIB_BINS; i++) json_array_append_new(a, json_integer(count[i]));
    return a;
}

/* What each policy would cost, so that one can be chosen before anything is removed. */
static json_t *policies(const fw_audit *a)
{
    static const char *const name[] = {"conservative", "balanced", "aggressive"};
    json_t *all = json_array();
    for (int p = FW_CONSERVATIVE; p <= FW_AGGRESSIVE; p++) {
        fw_policy_cost c = fw_policy_cost_of(a, (enum fw_policy)p);
        json_array_append_new(all, json_pack("{s:s, s:f, s:I, s:f, s:f}", "policy", name[p], "flag_over",
                                             fw_policy_over((enum fw_policy)p), "flagged", (json_int_t)c.flagged,
                                             "expected_wrong", c.wrong, "expected_missed", c.missed));
    }
    return all;
}

static json_t *threshold(double value, const char *found)
{
    return json_pack("{s:f, s:s}", "value", value, "found", found);
}

/* What a person needs to trust the numbers: every threshold with how it was found, and the curves behind it. */
static json_t *describe(const fw_audit *a, const fw_audit_opt *o)
{
    const fw_calib *c = &a->calib;
    json_t *genuine = json_array();
    for (int k = 0; k < FW_CALIB_PARTS; k++)
        json_array_append_new(genuine, json_pack("{s:f, s:f, s:f}", "weight", c->weight[k], "atanh_mean", c->mean[k],
                                                 "atanh_sd", c->sd[k]));
    json_t *limits = json_pack(
        "{s:o, s:o}", "group",
        threshold(
            a->t_in,
            "similarity that impostor pairs of this dataset exceed at audit.target_far; groups the images of a label"),
        "same_person", threshold(a->t_person, "their 1e-5 point; two centroids above it are one person"));
    return json_pack(
        "{s:{s:f, s:[f,f], s:f}, s:o, s:o, s:f, s:I, s:I, s:f, s:{s:I, s:f, s:f, s:f, s:f, s:f, s:o}, s:{s:I, s:f, "
        "s:o, s:o}, s:i}",
        "noise_rate", "estimate", a->noise, "interval95", a->noise_low, a->noise_high, "share_of_other_identities",
        a->flip_share, "policies", policies(a), "thresholds", limits, "reliability_explains", a->reliability,
        "copies_in_identity", (json_int_t)a->copies, "copies_across_identities", (json_int_t)a->contested, "target_far",
        o->target_far, "impostor", "pairs", (json_int_t)c->pairs, "q0", c->q0, "q1", c->q1, "q2", c->q2, "left",
        c->left, "same_person_share", c->same_person, "histogram", histogram(c->impostor_hist), "genuine", "images",
        (json_int_t)c->genuine, "rho", c->rho, "components", genuine, "histogram", histogram(c->own_hist), "rounds",
        a->rounds);
}

static int save_columns(fw_task *t, const fw_audit *a, fw_err *e)
{
    const struct {
        const void *data;
        size_t rows;
    } what[] = {{a->score, a->n},          {a->verdict, a->n},
                {a->new_label, a->n},      {a->person, a->n},
                {a->outlier, a->n},        {a->sim, a->n},
                {a->other, a->n},          {a->other_sim, a->n},
                {a->id_images, a->labels}, {a->id_cohesion, a->labels},
                {a->id_action, a->labels}, {a->id_other, a->labels},
                {a->id_score, a->labels},  {a->id_centre, a->labels}};
    for (size_t i = 0; i < FW_COUNT(what); i++) FW_TRY(fw_task_save(t, outputs[i].name, what[i].data, what[i].rows, e));
    return FW_OK;
}

static int run_audit(fw_task *t, fw_err *e)
{
    const fw_view *view = fw_task_view(t, "", e);
    const fw_vectors *v = view ? fw_task_vectors(t, "", e) : NULL;
    fw_cols *quality = v ? fw_task_cols(t, "quality.score", "", e) : NULL;
    fw_graph g;
    if (!quality || fw_task_graph(t, &g, e)) return e->code;
    fw_audit_opt o = FW_AUDIT_DEFAULTS;
    o.target_far = t->conf->audit_target_far;
    o.policy = fw_policy_named(t->conf->audit_policy);
    o.seed = SEED;
    float *q = fw_col_gather(quality, view->n);
    fw_audit_in in = {.v = v, .label = view->label, .labels = view->labels, .quality = q, .knn = &g};
    fw_audit *a = NULL;
    t->width = v->dim;
    int rc = fw_audit_run(&a, &in, &o, e);
    if (!rc) rc = save_columns(t, a, e);
    if (!rc) rc = fw_task_save_json(t, "audit.json", describe(a, &o), e);
    if (!rc)
        fw_log(FW_INFO, "audit: noise rate %.1f %% (95 %% interval %.1f to %.1f), group at cosine %.3f", 100 * a->noise,
               100 * a->noise_low, 100 * a->noise_high, a->t_in);
    fw_audit_free(a);
    fw_free(q);
    return rc;
}

const fw_stage fw_stage_audit = {
    .name = "audit",
    .summary = "find wrong labels, merged and split identities",
    .version =
        5, /* 2: learned reliability; 3, 4: only living labels, bounds after the prior; 5: photos under two labels */
    .scope = FW_SCOPE_WHOLE,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"audit.target_far", "audit.policy", NULL},
    .run = run_audit,
};
