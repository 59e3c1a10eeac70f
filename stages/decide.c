/* decide: one verdict per image out of what all stages found.
 *
 * Order of precedence: an image that cannot be used (unreadable, no face) is removed; then what the audit says of its
 * label; then duplicates (of a group one image stays: the best one that the audit keeps); then benchmark overlap. A
 * later rule can remove what an earlier one kept or relabelled, never the other way round.
 */
#include "decide.h"
#include "../lib/decisions.h"
#include "../lib/log.h"
#include "stage.h"

#include <stdlib.h>
#include <string.h>

const char *const fw_flag_names[FW_FLAGS] = {"mislabeled",  "outlier",       "exact_duplicate", "near_duplicate",
                                             "low_quality", "no_face",       "multi_face",      "unreadable",
                                             "overlap",     "small_identity"};
const char *const fw_verdict_names[4] = {"keep", "remove", "relabel", "review"};
const char *const fw_action_names[5] = {"keep", "merge", "split", "drop", "review"};

static const char *const inputs[] = {
    "detect.status",   "detect.score", "embed.valid",   "quality.score",   "audit.score",    "audit.verdict",
    "audit.new_label", "audit.person", "audit.outlier", "audit.id_action", "audit.id_other", "dedupe.group",
    "dedupe.kind",     "dedupe.kept",  "overlap.label", "overlap.row",     "overlap.rule",   NULL};
static const fw_output outputs[] = {
    {"decide.verdict", FW_U8, 1, FW_ONE, "0 keep, 1 remove, 2 relabel, 3 review"},
    {"decide.flags", FW_U16, 1, FW_ONE, "bits of enum fw_flag"},
    {"decide.score", FW_F32, 1, FW_ONE, "P(label is wrong)"},
    {"decide.new_label", FW_U32, 1, FW_ONE, "label that it should have, if another"},
    {"decide.person", FW_U32, 1, FW_ONE, "k > 1: new_label with #k behind it"},
    {"decide.dup_kept", FW_U8, 1, FW_ONE, "1: the image of its duplicate group that stays"},
    {"decide.id_kept", FW_U32, 1, FW_ONE, "per label: images that end up under it"},
    {0}};

typedef struct work {
    fw_task *t;
    const fw_view *v;
    const uint8_t *verdict_in, *outlier, *id_action, *dup_kind, *dup_kept_in, *rule;
    const uint32_t *new_in, *person_in, *id_other, *group, *o_label, *o_row;
    const float *score_in;
    size_t findings;
    uint8_t *verdict, *dup_kept;
    uint16_t *flags;
    float *score;
    uint32_t *new_label, *person, *id_kept;
} work;

static const void *whole(fw_task *t, const char *name, size_t rows, fw_err *e)
{
    const fw_column *c = e->code ? NULL : fw_task_whole(t, name, e);
    if (c && rows != SIZE_MAX && c->rows != rows)
        fw_fail(e, FW_EFAIL, "column '%s': %zu rows, expected %zu", name, c->rows, rows);
    return c && !e->code ? c->data : NULL;
}

static int load(work *w, fw_err *e)
{
    fw_task *t = w->t;
    size_t n = w->v->n, labels = w->v->labels;
    w->score_in = whole(t, "audit.score", n, e);
    w->verdict_in = whole(t, "audit.verdict", n, e);
    w->new_in = whole(t, "audit.new_label", n, e);
    w->person_in = whole(t, "audit.person", n, e);
    w->outlier = whole(t, "audit.outlier", n, e);
    w->id_action = whole(t, "audit.id_action", labels, e);
    w->id_other = whole(t, "audit.id_other", labels, e);
    w->group = whole(t, "dedupe.group", n, e);
    w->dup_kind = whole(t, "dedupe.kind", n, e);
    w->dup_kept_in = whole(t, "dedupe.kept", n, e);
    w->o_label = whole(t, "overlap.label", SIZE_MAX, e);
    const fw_column *rows = e->code ? NULL : fw_task_whole(t, "overlap.row", e);
    w->findings = rows ? rows->rows : 0;
    w->o_row = rows ? rows->data : NULL;
    w->rule = whole(t, "overlap.rule", w->findings, e);
    return e->code;
}

static void allocate(work *w)
{
    size_t n = w->v->n;
    w->verdict = FW_ARRAY(uint8_t, n);
    w->dup_kept = FW_ARRAY(uint8_t, n);
    w->flags = FW_ARRAY(uint16_t, n);
    w->score = FW_ARRAY(float, n);
    w->new_label = FW_ARRAY(uint32_t, n);
    w->person = FW_ARRAY(uint32_t, n);
    w->id_kept = FW_ARRAY(uint32_t, w->v->labels);
}

static void release(work *w)
{
    fw_free(w->verdict);
    fw_free(w->dup_kept);
    fw_free(w->flags);
    fw_free(w->score);
    fw_free(w->new_label);
    fw_free(w->person);
    fw_free(w->id_kept);
}

/* What the image itself says: readable, a face, how many, how good. */
static int judge_images(work *w, fw_err *e)
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

static void judge_labels(work *w)
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
            w->new_label[i] = w->new_in[i];
            w->person[i] = w->person_in[i];
        } else if (v == FW_KEEP && w->id_action[label] == FW_ID_MERGE) {
            w->new_label[i] = w->id_other[label];
        }
        if (v == FW_REMOVE || v == FW_RELABEL || v == FW_REVIEW)
            w->flags[i] |= w->outlier[i] ? FW_FLAG_OUTLIER : FW_FLAG_MISLABELED;
    }
}

/* Of each group exactly one image stays: the best by quality, unless the audit removes that one and keeps another. */
static void judge_duplicates(work *w)
{
    size_t n = w->v->n;
    uint32_t groups = 0;
    for (size_t i = 0; i < n; i++)
        if (w->group[i] != FW_NO_LABEL && w->group[i] >= groups) groups = w->group[i] + 1;
    uint32_t *keeper = FW_ARRAY(uint32_t, groups);
    memset(keeper, 0xFF, groups * sizeof *keeper);
    for (int pass = 0; pass < 3; pass++) /* 0: the best, if it is kept; 1: the first kept one; 2: the best anyway */
        for (size_t i = 0; i < n; i++) {
            uint32_t g = w->group[i];
            if (g == FW_NO_LABEL || keeper[g] != FW_NO_LABEL) continue;
            bool best = w->dup_kept_in[i], kept = w->verdict[i] == FW_KEEP;
            if (pass == 0 ? best && kept : pass == 1 ? kept : best) keeper[g] = (uint32_t)i;
        }
    bool drop_near = !strcmp(w->t->conf->dedupe_remove, "all"), drop_exact = strcmp(w->t->conf->dedupe_remove, "none");
    for (size_t i = 0; i < n; i++) {
        if (w->group[i] == FW_NO_LABEL) continue;
        bool exact = w->dup_kind[i] == FW_DUP_EXACT;
        w->dup_kept[i] = keeper[w->group[i]] == i;
        if (w->dup_kept[i]) continue;
        w->flags[i] |= exact ? FW_FLAG_EXACT_DUPLICATE : FW_FLAG_NEAR_DUPLICATE;
        if (exact ? drop_exact : drop_near) w->verdict[i] = FW_REMOVE;
    }
    fw_free(keeper);
}

/* A face finding condemns the whole identity, an image finding that image; a name alone is only shown. */
static void judge_overlap(work *w)
{
    uint8_t *hit = FW_ARRAY(uint8_t, w->v->labels);
    for (size_t k = 0; k < w->findings; k++) {
        if (w->rule[k] == FW_RULE_FACE && w->o_label[k] != FW_NO_LABEL) hit[w->o_label[k]] = 1;
        if (w->rule[k] != FW_RULE_NAME) w->flags[w->o_row[k]] |= FW_FLAG_OVERLAP;
    }
    for (size_t i = 0; i < w->v->n; i++) {
        uint32_t label = w->v->label[i];
        if (label != FW_NO_LABEL && hit[label]) w->flags[i] |= FW_FLAG_OVERLAP;
        if ((w->flags[i] & FW_FLAG_OVERLAP) && w->t->conf->overlap_remove) w->verdict[i] = FW_REMOVE;
    }
    fw_free(hit);
}

/* ---- what curators decided wins over all of the above ------------------------------------------------------------ */

typedef struct by_hash {
    const fw_claim *claim;
    size_t order;
} by_hash;

static int compare_hash(fw_hash a, fw_hash b)
{
    if (a.hi != b.hi) return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}

static int claim_order(const void *pa, const void *pb)
{
    const by_hash *a = pa, *b = pb;
    int c = compare_hash(a->claim->a, b->claim->a);
    return c                     ? c
           : a->order < b->order ? -1
                                 : 1; /* of one photo in the order in which they were made: the last one wins */
}

static uint32_t label_of(const fw_view *v, const char *name)
{
    for (uint32_t l = 0; l < v->labels; l++)
        if (!strcmp(v->label_name[l], name)) return l;
    return FW_NO_LABEL;
}

static void settle(work *w, size_t row, uint8_t verdict, uint32_t new_label, float score)
{
    w->verdict[row] = verdict;
    w->new_label[row] = new_label;
    w->person[row] = 1;
    w->score[row] = score;
    if (verdict == FW_KEEP)
        w->flags[row] &= (uint16_t) ~(FW_FLAG_MISLABELED | FW_FLAG_OUTLIER);
    else if (verdict == FW_RELABEL)
        w->flags[row] |= FW_FLAG_MISLABELED;
}

/* One claim about one photo; false: it says nothing that this dataset knows (a label that is not there). */
static bool apply_to_row(work *w, const fw_claim *c, size_t row)
{
    uint32_t own = w->v->label[row], named = c->kind == FW_CLAIM_IS ? label_of(w->v, c->label) : FW_NO_LABEL;
    if (c->kind == FW_CLAIM_USE) {
        w->verdict[row] = c->yes ? FW_KEEP : FW_REMOVE;
        return true;
    }
    if (named == FW_NO_LABEL) return false;
    if (c->yes)
        settle(w, row, named == own ? FW_KEEP : FW_RELABEL, named == own ? FW_NO_LABEL : named, named == own ? 0 : 1);
    else if (named == own && w->verdict[row] != FW_RELABEL)
        settle(w, row, FW_REMOVE, FW_NO_LABEL, 1);
    else if (named != own && w->verdict[row] == FW_RELABEL && w->new_label[row] == named)
        settle(w, row, FW_REVIEW, FW_NO_LABEL, w->score[row]); /* not that one; whose it is, nobody said */
    if (!c->yes && named == own) w->flags[row] |= FW_FLAG_MISLABELED;
    return true;
}

static bool apply_to_labels(work *w, const fw_claim *c)
{
    uint32_t from = label_of(w->v, c->label), into = label_of(w->v, c->into);
    if (from == FW_NO_LABEL || into == FW_NO_LABEL) return false;
    for (size_t i = 0; i < w->v->n; i++) {
        if (w->v->label[i] != from || w->verdict[i] != FW_KEEP) continue;
        if (c->yes)
            w->new_label[i] = into;
        else if (w->new_label[i] == into)
            w->new_label[i] = FW_NO_LABEL;
    }
    return true;
}

static size_t apply_to_photos(work *w, const by_hash *sorted, size_t n, uint8_t *done)
{
    size_t applied = 0;
    for (size_t i = 0; n && i < w->v->n; i++) {
        size_t s = fw_view_shard(w->v, i);
        const uint64_t *h = (const uint64_t *)w->v->shard[s]->hash.data + 2 * (i - w->v->base[s]);
        fw_hash hash = {h[0], h[1]};
        size_t lo = 0, hi = n;
        while (lo < hi) { /* first claim about this photo */
            size_t mid = lo + (hi - lo) / 2;
            if (compare_hash(sorted[mid].claim->a, hash) < 0)
                lo = mid + 1;
            else
                hi = mid;
        }
        for (; w->v->alive[i] && lo < n && !compare_hash(sorted[lo].claim->a, hash); lo++) {
            if (!apply_to_row(w, sorted[lo].claim, i) || done[lo]) continue;
            done[lo] = 1;
            applied++;
        }
    }
    return applied;
}

static int apply_decisions(work *w, fw_err *e)
{
    fw_decisions d = {0};
    FW_TRY(fw_task_decisions(w->t, &d, e));
    by_hash *sorted = FW_ARRAY(by_hash, d.n);
    uint8_t *done = FW_ARRAY(uint8_t, d.n);
    size_t n = 0, applied = 0, later = 0;
    for (size_t i = 0; i < d.n; i++) {
        const fw_claim *c = &d.claim[i];
        if (c->kind == FW_CLAIM_IS || c->kind == FW_CLAIM_USE)
            sorted[n++] = (by_hash){c, i};
        else if (c->kind == FW_CLAIM_LABELS)
            applied += apply_to_labels(w, c);
        else
            later++; /* pairs of faces and of images: kept, not acted upon by this version */
    }
    qsort(sorted, n, sizeof *sorted, claim_order);
    applied += apply_to_photos(w, sorted, n, done);
    if (d.n)
        fw_log(FW_INFO,
               "decide: %zu claims of curators: %zu applied, %zu match nothing here any more, %zu about pairs not used",
               d.n, applied, d.n - applied - later, later);
    fw_free(sorted);
    fw_free(done);
    fw_decisions_free(&d);
    return FW_OK;
}

static void count_identities(work *w)
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

static int save(work *w, fw_err *e)
{
    size_t n = w->v->n;
    FW_TRY(fw_task_save(w->t, "decide.verdict", w->verdict, n, e));
    FW_TRY(fw_task_save(w->t, "decide.flags", w->flags, n, e));
    FW_TRY(fw_task_save(w->t, "decide.score", w->score, n, e));
    FW_TRY(fw_task_save(w->t, "decide.new_label", w->new_label, n, e));
    FW_TRY(fw_task_save(w->t, "decide.person", w->person, n, e));
    FW_TRY(fw_task_save(w->t, "decide.dup_kept", w->dup_kept, n, e));
    return fw_task_save(w->t, "decide.id_kept", w->id_kept, w->v->labels, e);
}

static int run_decide(fw_task *t, fw_err *e)
{
    work w = {.t = t, .v = fw_task_view(t, "", e)};
    if (!w.v) return e->code;
    FW_TRY(load(&w, e));
    allocate(&w);
    int rc = judge_images(&w, e);
    if (!rc) {
        judge_labels(&w);
        judge_duplicates(&w);
        judge_overlap(&w);
        rc = apply_decisions(&w, e);
    }
    if (!rc) {
        count_identities(&w);
        rc = save(&w, e);
    }
    release(&w);
    return rc;
}

const fw_stage fw_stage_decide = {
    .name = "decide",
    .summary = "one verdict per image from everything that was found",
    .version = 1,
    .scope = FW_SCOPE_WHOLE,
    .benchmarks = true,
    .decisions = true,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"audit.min_images", "audit.low_quality", "dedupe.remove", "overlap.remove", NULL},
    .run = run_decide,
};
