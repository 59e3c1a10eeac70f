/* decide: one verdict per image out of what all stages found.
 *
 * Order of precedence: an image that cannot be used (unreadable, no face) is removed; then what the audit says of its
 * label; then duplicates (of a group one image stays: the best one that the audit keeps); then benchmark overlap. A
 * later rule can remove what an earlier one kept or relabelled, never the other way round. At each of these steps what
 * curators decided of it wins over the machine (decide_claims.c, decide_copies.c).
 */
#include "decide_work.h"

#include "../index/audit.h"

#include <jansson.h>
#include <string.h>

const char *const fw_flag_names[FW_FLAGS] = {"mislabeled",  "outlier",       "exact_duplicate", "near_duplicate",
                                             "low_quality", "no_face",       "multi_face",      "unreadable",
                                             "overlap",     "small_identity"};
const char *const fw_verdict_names[4] = {"keep", "remove", "relabel", "review"};
const char *const fw_action_names[5] = {"keep", "merge", "split", "drop", "review"};

static const char *const inputs[] = {"detect.status",     "detect.score",
                                     "detect.size",       "embed.vec",
                                     "embed.valid",       "quality.score",
                                     "signature.bytes",   "audit.verdict",
                                     "audit.person",      "confirm.score",
                                     "confirm.verdict",   "confirm.new_label",
                                     "confirm.person",    "confirm.outlier",
                                     "confirm.id_action", "confirm.id_other",
                                     "dedupe.group",      "dedupe.sim",
                                     "dedupe.kept",       "overlap.label",
                                     "overlap.row",       "overlap.bench",
                                     "overlap.bench_row", "overlap.score",
                                     "overlap.rule",      NULL};
static const fw_output outputs[] = {
    {"decide.verdict", FW_U8, 1, FW_ONE, "0 keep, 1 remove, 2 relabel, 3 review"},
    {"decide.flags", FW_U16, 1, FW_ONE, "bits of enum fw_flag"},
    {"decide.score", FW_F32, 1, FW_ONE, "P(label is wrong)"},
    {"decide.new_label", FW_U32, 1, FW_ONE, "label that it should have, if another"},
    {"decide.person", FW_U32, 1, FW_ONE, "k > 1: new_label with #k behind it"},
    {"decide.by", FW_U16, 1, FW_ONE, "who decided: 0 the machine, k curator k of decide.json"},
    {"decide.dup_group", FW_U32, 1, FW_ONE, "duplicate group, with what curators said of it"},
    {"decide.dup_kind", FW_U8, 1, FW_ONE, "0 none, 1 exact, 2 near"},
    {"decide.dup_sim", FW_F32, 1, FW_ONE, "similarity to the image of its group that stays"},
    {"decide.dup_kept", FW_U8, 1, FW_ONE, "1: the image of its duplicate group that stays"},
    {"decide.dup_why", FW_U8, 1, FW_ONE, "why it stays: 1 quality, 2 label, 3 curator, 4 first of equals"},
    {"decide.finding", FW_U8, 1, FW_ONE, "per overlap finding: 0 open, 1 confirmed, 2 dismissed, 3 doubted"},
    {"decide.id_kept", FW_U32, 1, FW_ONE, "per label: images that end up under it"},
    {0}};

static const void *whole(fw_task *t, const char *name, size_t rows, fw_err *e)
{
    const fw_column *c = e->code ? NULL : fw_task_whole(t, name, e);
    if (c && rows != SIZE_MAX && c->rows != rows)
        fw_fail(e, FW_EFAIL, "column '%s': %zu rows, expected %zu", name, c->rows, rows);
    return c && !e->code ? c->data : NULL;
}

static int load(fw_decide *w, fw_err *e)
{
    fw_task *t = w->t;
    size_t n = w->v->n, labels = w->v->labels;
    w->score_in = whole(t, "confirm.score", n, e);
    w->verdict_in = whole(t, "confirm.verdict", n, e);
    w->new_in = whole(t, "confirm.new_label", n, e);
    w->person_in = whole(t, "confirm.person", n, e);
    w->outlier = whole(t, "confirm.outlier", n, e);
    w->id_action = whole(t, "confirm.id_action", labels, e);
    w->id_other = whole(t, "confirm.id_other", labels, e);
    w->audit_verdict = whole(t, "audit.verdict", n, e);
    w->audit_person = whole(t, "audit.person", n, e);
    w->group_in = whole(t, "dedupe.group", n, e);
    w->dup_sim_in = whole(t, "dedupe.sim", n, e);
    w->dup_kept_in = whole(t, "dedupe.kept", n, e);
    w->o_label = whole(t, "overlap.label", SIZE_MAX, e);
    const fw_column *rows = e->code ? NULL : fw_task_whole(t, "overlap.row", e);
    w->findings = rows ? rows->rows : 0;
    w->o_row = rows ? rows->data : NULL;
    w->rule = whole(t, "overlap.rule", w->findings, e);
    w->o_score = whole(t, "overlap.score", w->findings, e);
    w->o_bench = whole(t, "overlap.bench", w->findings, e);
    w->o_bench_row = whole(t, "overlap.bench_row", w->findings, e);
    return e->code;
}

/* Thresholds that stage confirm moved; its own join them. */
static json_t *shifts_of_confirm(fw_decide *w, fw_err *e)
{
    char *path = fw_task_file_of(w->t, "confirm", "confirm.json", e);
    json_t *j = path ? json_load_file(path, 0, NULL) : NULL;
    if (!e->code && !json_is_object(j)) fw_fail(e, FW_EFAIL, "read '%s': it is damaged", path);
    fw_free(path);
    return j;
}

static void allocate(fw_decide *w)
{
    size_t n = w->v->n;
    w->verdict = FW_ARRAY(uint8_t, n);
    w->dup_kept = FW_ARRAY(uint8_t, n);
    w->dup_kind = FW_ARRAY(uint8_t, n);
    w->dup_why = FW_ARRAY(uint8_t, n);
    w->dup_sim = FW_ARRAY(float, n);
    w->group = FW_ARRAY(uint32_t, n);
    w->flags = FW_ARRAY(uint16_t, n);
    w->score = FW_ARRAY(float, n);
    w->new_label = FW_ARRAY(uint32_t, n);
    w->person = FW_ARRAY(uint32_t, n);
    w->id_kept = FW_ARRAY(uint32_t, w->v->labels);
    w->by = FW_ARRAY(uint16_t, n);
    w->chosen = FW_ARRAY(uint8_t, n);
    w->vouched = FW_ARRAY(uint8_t, n);
    w->finding = FW_ARRAY(uint8_t, w->findings);
    w->condemned = FW_ARRAY(uint8_t, w->v->labels);
    if (n) memcpy(w->group, w->group_in, n * sizeof *w->group); /* claims may change it */
}

static void release(fw_decide *w)
{
    void *owned[] = {w->verdict, w->dup_kept, w->flags, w->score,    w->new_label, w->person,  w->id_kept, w->by,
                     w->chosen,  w->finding,  w->group, w->dup_kind, w->condemned, w->dup_why, w->dup_sim, w->vouched};
    for (size_t i = 0; i < FW_COUNT(owned); i++) fw_free(owned[i]);
    json_decref(w->shifts);
    fw_claims_free(&w->c);
}

/* What the image itself says: readable, a face, how many, how good. */
static int judge_images(fw_decide *w, fw_err *e)
{
    fw_cols *status = fw_task_cols(w->t, "detect.status", "", e), *faces = fw_task_cols(w->t, "detect.score", "", e);
    fw_cols *valid = fw_task_cols(w->t, "embed.valid", "", e), *quality = fw_task_cols(w->t, "quality.score", "", e);
    if (e->code) return e->code;
    for (size_t i = 0; i < w->v->n; i++) {
        size_t count;
        uint8_t s = *(const uint8_t *)fw_col_row(status, i);
        bool usable = *(const uint8_t *)fw_col_row(valid, i);
        fw_col_many(faces, i, &count);
        if (s == FW_IMG_UNREADABLE || s == FW_IMG_UNSUPPORTED) w->flags[i] |= FW_FLAG_UNREADABLE;
        if (s == FW_IMG_NO_FACE) w->flags[i] |= FW_FLAG_NO_FACE;
        if (count > 1) w->flags[i] |= FW_FLAG_MULTI_FACE;
        if (usable && *(const float *)fw_col_row(quality, i) < w->t->conf->audit_low_quality)
            w->flags[i] |= FW_FLAG_LOW_QUALITY;
        if (!usable) w->verdict[i] = FW_REMOVE;
    }
    return FW_OK;
}

uint32_t fw_decide_merged(const fw_decide *w, uint32_t label)
{
    uint32_t at = label;
    for (int steps = 0; at != FW_NO_LABEL && w->id_action[at] == FW_ID_MERGE && steps < 100; steps++) {
        if (w->id_other[at] == FW_NO_LABEL || w->id_other[at] == label) break; /* a circle merges nothing */
        at = w->id_other[at];
    }
    return at;
}

static void judge_labels(fw_decide *w)
{
    for (size_t i = 0; i < w->v->n; i++) {
        uint32_t label = w->v->label[i];
        w->score[i] = w->score_in[i];
        w->new_label[i] = FW_NO_LABEL;
        w->person[i] = 1;
        if (w->verdict[i] == FW_REMOVE || label == FW_NO_LABEL) continue;
        uint8_t v = w->verdict_in[i];
        w->verdict[i] = v;
        if (v == FW_RELABEL) {
            w->person[i] = w->person_in[i];
            w->new_label[i] = w->person[i] > 1 ? w->new_in[i] : fw_decide_merged(w, w->new_in[i]);
        } else if (v == FW_KEEP && fw_decide_merged(w, label) != label) {
            w->new_label[i] = fw_decide_merged(w, label);
        }
        if (v == FW_REMOVE || v == FW_RELABEL || v == FW_REVIEW)
            w->flags[i] |= w->outlier[i] ? FW_FLAG_OUTLIER : FW_FLAG_MISLABELED;
    }
}

/* A face finding condemns the whole identity, an image finding that image; a name alone is only shown. */
static void judge_overlap(fw_decide *w)
{
    uint8_t *hit = FW_ARRAY(uint8_t, w->v->labels);
    for (size_t k = 0; k < w->findings; k++) {
        if (w->finding[k] == FW_FINDING_NO || w->finding[k] == FW_FINDING_DOUBTED) continue;
        bool sure = w->finding[k] == FW_FINDING_YES;
        if ((sure || w->rule[k] == FW_RULE_FACE) && w->o_label[k] != FW_NO_LABEL) hit[w->o_label[k]] = 1;
        if (sure || w->rule[k] != FW_RULE_NAME) w->flags[w->o_row[k]] |= FW_FLAG_OVERLAP;
    }
    for (size_t l = 0; l < w->v->labels; l++) hit[l] |= w->condemned[l];
    for (size_t i = 0; i < w->v->n; i++) {
        uint32_t label = w->v->label[i];
        if (label != FW_NO_LABEL && hit[label]) w->flags[i] |= FW_FLAG_OVERLAP;
        if ((w->flags[i] & FW_FLAG_OVERLAP) && w->t->conf->overlap_remove) w->verdict[i] = FW_REMOVE;
    }
    fw_free(hit);
}

static void count_identities(fw_decide *w)
{
    for (size_t i = 0; i < w->v->n; i++) {
        uint32_t to = w->new_label[i] != FW_NO_LABEL ? w->new_label[i] : w->v->label[i];
        bool stays = w->v->alive[i] && (w->verdict[i] == FW_KEEP || w->verdict[i] == FW_RELABEL) && w->person[i] < 2;
        if (stays && to != FW_NO_LABEL) w->id_kept[to]++;
    }
    for (size_t i = 0; i < w->v->n; i++) {
        uint32_t to = w->v->label[i];
        if (to != FW_NO_LABEL && w->id_kept[to] < w->t->conf->audit_min_images) w->flags[i] |= FW_FLAG_SMALL_IDENTITY;
    }
}

static int save(fw_decide *w, fw_err *e)
{
    size_t n = w->v->n;
    FW_TRY(fw_task_save(w->t, "decide.verdict", w->verdict, n, e));
    FW_TRY(fw_task_save(w->t, "decide.flags", w->flags, n, e));
    FW_TRY(fw_task_save(w->t, "decide.score", w->score, n, e));
    FW_TRY(fw_task_save(w->t, "decide.new_label", w->new_label, n, e));
    FW_TRY(fw_task_save(w->t, "decide.person", w->person, n, e));
    FW_TRY(fw_task_save(w->t, "decide.by", w->by, n, e));
    FW_TRY(fw_task_save(w->t, "decide.dup_group", w->group, n, e));
    FW_TRY(fw_task_save(w->t, "decide.dup_kind", w->dup_kind, n, e));
    FW_TRY(fw_task_save(w->t, "decide.dup_sim", w->dup_sim, n, e));
    FW_TRY(fw_task_save(w->t, "decide.dup_kept", w->dup_kept, n, e));
    FW_TRY(fw_task_save(w->t, "decide.dup_why", w->dup_why, n, e));
    FW_TRY(fw_task_save(w->t, "decide.finding", w->finding, w->findings, e));
    return fw_task_save(w->t, "decide.id_kept", w->id_kept, w->v->labels, e);
}

static int judge_all(fw_decide *w, fw_err *e)
{
    FW_TRY(judge_images(w, e));
    judge_labels(w);
    fw_decide_people(w);
    FW_TRY(fw_decide_copies(w, e));
    fw_decide_overlap(w);
    judge_overlap(w);
    count_identities(w);
    FW_TRY(save(w, e));
    return fw_decide_report(w, e);
}

static int run_decide(fw_task *t, fw_err *e)
{
    fw_decide w = {.t = t, .v = fw_task_view(t, "", e)};
    if (!w.v) return e->code;
    FW_TRY(load(&w, e));
    allocate(&w);
    w.shifts = shifts_of_confirm(&w, e);
    int rc = e->code;
    if (!rc) rc = fw_claims_open(t, true, &w.c, e);
    if (!rc) rc = judge_all(&w, e);
    release(&w);
    return rc;
}

const fw_stage fw_stage_decide = {
    .name = "decide",
    .summary = "one verdict per image from everything that was found",
    .version = 3,
    .scope = FW_SCOPE_WHOLE,
    .benchmarks = true,
    .decisions = true,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"audit.min_images", "audit.low_quality", "audit.policy", "dedupe.remove",
                                      "overlap.remove", NULL},
    .run = run_decide,
};
