/* confirm: the audit once more, with what curators confirmed (index/constraints.h). Its columns are those of the audit
 * and mean the same; without decisions about people they are the audit's. The audit's own columns stay what the machine
 * said unaided: precision and recall are measured on them.
 *
 *   this face is (not) that person   photos move between labels, the audit runs again, examples speak for their like
 *   two labels are (not) one person  their photos are one identity, or a merge that the machine found is off
 *   two faces of one label are (not) one person   a further person goes back to the main one, or leaves it
 *
 * Answers to the machine's findings also move the thresholds for those that nobody answered (confirm_shift.h); file
 * confirm.json says how.
 */
#include "../index/constraints.h"
#include "../lib/log.h"
#include "claims.h"
#include "confirm_shift.h"
#include "decide.h"

#include <jansson.h>
#include <string.h>

enum { SEED = 1 }; /* the audit's: without decisions both would sample the same pairs */

static const char *const inputs[] = {
    "embed.vec",   "embed.valid",     "quality.score",     "knn.off",         "knn.id",         "knn.sim",
    "audit.score", "audit.verdict",   "audit.new_label",   "audit.person",    "audit.outlier",  "audit.sim",
    "audit.other", "audit.other_sim", "audit.id_cohesion", "audit.id_action", "audit.id_other", "audit.id_score",
    NULL};
static const fw_output outputs[] = {
    {"confirm.score", FW_F32, 1, FW_ONE, "P(label is wrong), 0..1"},
    {"confirm.verdict", FW_U8, 1, FW_ONE, "0 keep, 1 remove, 2 relabel, 3 review"},
    {"confirm.new_label", FW_U32, 1, FW_ONE, "relabel: label id that it goes to (its own for LABEL#k)"},
    {"confirm.person", FW_U32, 1, FW_ONE, "1: main person of the label, k > 1: its k-th person"},
    {"confirm.outlier", FW_U8, 1, FW_ONE, "1: flagged, and matches nobody"},
    {"confirm.sim", FW_F32, 1, FW_ONE, "cosine to the label's main centroid without this image"},
    {"confirm.other", FW_U32, 1, FW_ONE, "best other label"},
    {"confirm.other_sim", FW_F32, 1, FW_ONE, "its cosine"},
    {"confirm.id_cohesion", FW_F32, 1, FW_ONE, "per label: mean cosine of the main group to its centroid"},
    {"confirm.id_action", FW_U8, 1, FW_ONE, "per label: 0 keep, 1 merge, 2 split, 3 drop, 4 review"},
    {"confirm.id_other", FW_U32, 1, FW_ONE, "per label: the label that it merges into"},
    {"confirm.id_score", FW_F32, 1, FW_ONE, "per label: confidence of the action"},
    {0}};
enum { BY_ROW = 8, COLUMNS = FW_COUNT(outputs) - 1 };

typedef struct work {
    fw_task *t;
    const fw_view *v;
    const fw_vectors *vec;
    fw_claims c;
    fw_groups g;       /* rows by label, where there are decisions about pairs of faces */
    int8_t *confirmed; /* n */
    uint32_t *label;   /* n: corrected */
    size_t said;       /* claims that move or confirm something */
    fw_audit *a;
    size_t moved; /* verdicts of other photos that changed */
} work;

/* ---- what is confirmed ----------------------------------------------------------------------------------------- */

static void take_face(work *w, size_t k)
{
    size_t n;
    const fw_claim_row *at = fw_claims_rows(&w->c, k, 0, &n);
    uint32_t named = w->c.label[2 * k];
    if (named == FW_NO_LABEL) return;
    for (size_t i = 0; i < n; i++) {
        uint32_t row = at[i].row, own = w->v->label[row];
        bool yes = w->c.d->claim[k].yes;
        if (own == FW_NO_LABEL || (!yes && named != own)) continue;
        w->confirmed[row] = yes && named == own ? 1 : -1;
        w->label[row] = yes ? named : FW_NONE;
        w->said++;
    }
}

/* Labels that are one person: every photo goes to the last label of its chain. */
static void take_labels(work *w)
{
    uint32_t *to = FW_ARRAY(uint32_t, w->v->labels);
    bool any = false;
    for (uint32_t l = 0; l < w->v->labels; l++) to[l] = l;
    for (size_t k = 0; k < w->c.d->n; k++) {
        uint32_t from = w->c.label[2 * k], into = w->c.label[2 * k + 1];
        if (w->c.d->claim[k].kind != FW_CLAIM_LABELS || !w->c.d->claim[k].yes || !fw_claims_match(&w->c, k)) continue;
        while (to[into] != into) into = to[into];
        if (from == into || to[from] != from) continue; /* a circle, or two targets: the first stands */
        to[from] = into;
        any = true;
        w->said++;
    }
    for (size_t i = 0; any && i < w->v->n; i++)
        while (w->label[i] != FW_NONE && to[w->label[i]] != w->label[i]) w->label[i] = to[w->label[i]];
    fw_free(to);
}

static void take_claims(work *w)
{
    for (size_t k = 0; k < w->c.d->n; k++)
        if (w->c.d->claim[k].kind == FW_CLAIM_IS) take_face(w, k);
    take_labels(w);
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

static void **columns_of(fw_audit *a, void **out)
{
    void *all[COLUMNS] = {a->score, a->verdict,   a->new_label,   a->person,    a->outlier,  a->sim,
                          a->other, a->other_sim, a->id_cohesion, a->id_action, a->id_other, a->id_score};
    memcpy(out, all, sizeof all);
    return out;
}

/* What the machine said, as an fw_audit of which only the columns are there. */
static int load_audit(work *w, fw_audit *a, fw_err *e)
{
    size_t n = w->v->n, labels = w->v->labels;
    *a = (fw_audit){.n = n,
                    .labels = labels,
                    .score = FW_ARRAY(float, n),
                    .verdict = FW_ARRAY(uint8_t, n),
                    .new_label = FW_ARRAY(uint32_t, n),
                    .person = FW_ARRAY(uint32_t, n),
                    .outlier = FW_ARRAY(uint8_t, n),
                    .sim = FW_ARRAY(float, n),
                    .other = FW_ARRAY(uint32_t, n),
                    .other_sim = FW_ARRAY(float, n),
                    .id_cohesion = FW_ARRAY(float, labels),
                    .id_action = FW_ARRAY(uint8_t, labels),
                    .id_other = FW_ARRAY(uint32_t, labels),
                    .id_score = FW_ARRAY(float, labels)};
    void *to[COLUMNS];
    columns_of(a, to);
    for (size_t i = 0; i < COLUMNS; i++) {
        char *name = fw_format("audit%s", strchr(outputs[i].name, '.'));
        const fw_column *c = fw_task_whole(w->t, name, e);
        size_t rows = i < BY_ROW ? n : labels;
        if (c && c->rows != rows) fw_fail(e, FW_EFAIL, "column '%s': %zu rows, expected %zu", name, c->rows, rows);
        fw_free(name);
        if (!c || e->code) return e->code;
        if (rows) memcpy(to[i], c->data, rows * fw_dtype_size(outputs[i].type));
    }
    return FW_OK;
}

static void free_columns(fw_audit *a)
{
    void *all[COLUMNS];
    columns_of(a, all);
    for (size_t i = 0; i < COLUMNS; i++) fw_free(all[i]);
}

/* Photos that were moved or confirmed keep what the machine said of them: decide settles them, claim by claim. */
static void keep_confirmed(work *w, const fw_audit *machine)
{
    for (size_t i = 0; i < w->v->n; i++) {
        if (!w->confirmed[i]) {
            w->moved += w->a->verdict[i] != machine->verdict[i];
            continue;
        }
        w->a->verdict[i] = machine->verdict[i];
        w->a->new_label[i] = machine->new_label[i];
        w->a->person[i] = machine->person[i];
        w->a->outlier[i] = machine->outlier[i];
    }
}

static int audit_again(work *w, fw_err *e)
{
    fw_cols *quality = fw_task_cols(w->t, "quality.score", "", e);
    fw_graph g;
    if (!quality || fw_task_graph(w->t, &g, e)) return e->code;
    fw_audit_opt o = FW_AUDIT_DEFAULTS;
    o.target_far = w->t->conf->audit_target_far;
    o.policy = fw_policy_named(w->t->conf->audit_policy);
    o.seed = SEED;
    float *q = fw_col_gather(quality, w->v->n);
    fw_audit_in in = {.v = w->vec, .label = w->v->label, .labels = w->v->labels, .quality = q, .knn = &g};
    int rc = fw_audit_confirmed(&w->a, &in, &(fw_confirmed){w->confirmed, w->label}, &o, e);
    fw_free(q);
    return rc;
}

/* ---- pairs ----------------------------------------------------------------------------------------------------- */

static void set_action(fw_audit *a, uint32_t label, uint8_t action, uint32_t other)
{
    a->id_action[label] = action;
    a->id_other[label] = other;
    a->id_score[label] = 1;
}

static void decide_labels(fw_audit *a, uint32_t from, uint32_t into, bool yes)
{
    if (from == into) return;
    if (yes) {
        set_action(a, from, FW_ID_MERGE, into);
        if (a->id_action[into] == FW_ID_MERGE && a->id_other[into] == from)
            set_action(a, into, FW_ID_KEEP, FW_NO_LABEL);
        return;
    }
    if (a->id_action[from] == FW_ID_MERGE && a->id_other[from] == into) set_action(a, from, FW_ID_KEEP, FW_NO_LABEL);
    if (a->id_action[into] == FW_ID_MERGE && a->id_other[into] == from) set_action(a, into, FW_ID_KEEP, FW_NO_LABEL);
}

static const uint32_t *rows_of(const work *w, uint32_t label, size_t *n)
{
    *n = w->g.off[label + 1] - w->g.off[label];
    return w->g.row + w->g.off[label];
}

static uint32_t people_of(const work *w, const fw_audit *a, uint32_t label)
{
    uint32_t most = 1;
    size_t n;
    const uint32_t *row = rows_of(w, label, &n);
    for (size_t i = 0; i < n; i++)
        if (a->person[row[i]] > most) most = a->person[row[i]];
    return most;
}

static void keep_row(fw_audit *a, uint32_t row)
{
    a->verdict[row] = FW_KEEP;
    a->new_label[row] = FW_NO_LABEL;
    a->person[row] = 1;
    a->outlier[row] = 0;
}

/* A further person of the label was none: all its photos go back. Of two photos of the main person of which one is
 * kept, the other is kept too. */
static void rejoin(const work *w, fw_audit *a, uint32_t one, uint32_t two)
{
    uint32_t label = w->v->label[one], person = a->person[two] > 1 ? a->person[two] : a->person[one];
    size_t n;
    const uint32_t *row = rows_of(w, label, &n);
    for (size_t i = 0; person > 1 && i < n; i++)
        if (a->person[row[i]] == person) keep_row(a, row[i]);
    if (a->verdict[one] == FW_KEEP && a->verdict[two] == FW_REMOVE) keep_row(a, two);
    if (a->verdict[two] == FW_KEEP && a->verdict[one] == FW_REMOVE) keep_row(a, one);
    if (people_of(w, a, label) == 1 && a->id_action[label] == FW_ID_SPLIT)
        set_action(a, label, FW_ID_KEEP, FW_NO_LABEL);
}

static void leave(fw_audit *a, uint32_t row, uint32_t label, uint32_t person)
{
    a->verdict[row] = FW_RELABEL;
    a->new_label[row] = label;
    a->person[row] = person;
}

/* The one less like the label's main person leaves, and takes those with it that look like it. */
static void part(const work *w, fw_audit *a, double same_person, uint32_t one, uint32_t two)
{
    bool apart = a->person[one] != a->person[two] || a->verdict[one] != FW_KEEP || a->verdict[two] != FW_KEEP;
    if (apart || !fw_vectors_valid(w->vec, one) || !fw_vectors_valid(w->vec, two)) return;
    uint32_t label = w->v->label[one], stays = a->sim[one] >= a->sim[two] ? one : two, goes = stays == one ? two : one;
    uint32_t person = people_of(w, a, label) + 1;
    size_t n;
    const uint32_t *row = rows_of(w, label, &n);
    uint8_t *go = FW_ARRAY(uint8_t, n);
    fw_side_with(w->vec, row, n, stays, goes, same_person, go);
    for (size_t i = 0; i < n; i++)
        if (go[i] && a->verdict[row[i]] == FW_KEEP && w->confirmed[row[i]] != 1) leave(a, row[i], label, person);
    leave(a, goes, label, person);
    set_action(a, label, FW_ID_SPLIT, FW_NO_LABEL);
    fw_free(go);
}

static int threshold(work *w, double *same_person, fw_err *e)
{
    *same_person = w->a ? w->a->t_in : 0;
    if (w->a) return FW_OK;
    char *path = fw_task_file_of(w->t, "audit", "audit.json", e);
    json_t *j = path ? json_load_file(path, 0, NULL) : NULL, *v = NULL;
    if (!j || json_unpack(j, "{s:{s:{s:o}}}", "thresholds", "group", "value", &v) || !json_is_number(v))
        fw_fail(e, FW_EFAIL, "read the audit's threshold in '%s': it is not there", path ? path : "audit.json");
    else
        *same_person = json_number_value(v);
    json_decref(j);
    fw_free(path);
    return e->code;
}

static void decide_faces(const work *w, fw_audit *a, double same_person, size_t k)
{
    size_t n, m;
    const fw_claim_row *one = fw_claims_rows(&w->c, k, 0, &n), *two = fw_claims_rows(&w->c, k, 1, &m);
    if (!n || !m || one->row == two->row) return;
    uint32_t label = w->v->label[one->row];
    if (label == FW_NO_LABEL || label != w->v->label[two->row]) return; /* across labels: stage decide */
    if (w->c.d->claim[k].yes)
        rejoin(w, a, one->row, two->row);
    else
        part(w, a, same_person, one->row, two->row);
}

static int decide_pairs(work *w, fw_audit *a, fw_err *e)
{
    double same_person = 0;
    size_t faces = 0;
    for (size_t k = 0; k < w->c.d->n; k++) {
        const fw_claim *c = &w->c.d->claim[k];
        faces += c->kind == FW_CLAIM_FACES;
        if (c->kind == FW_CLAIM_LABELS && fw_claims_match(&w->c, k))
            decide_labels(a, w->c.label[2 * k], w->c.label[2 * k + 1], c->yes);
    }
    if (!faces) return FW_OK;
    FW_TRY(threshold(w, &same_person, e));
    fw_groups_build(&w->g, w->vec, w->v->label, w->v->labels);
    for (size_t k = 0; k < w->c.d->n; k++)
        if (w->c.d->claim[k].kind == FW_CLAIM_FACES) decide_faces(w, a, same_person, k);
    fw_groups_free(&w->g);
    return FW_OK;
}

/* ---- all of it ------------------------------------------------------------------------------------------------- */

static int save(work *w, fw_audit *a, fw_err *e)
{
    void *data[COLUMNS];
    columns_of(a, data);
    for (size_t i = 0; i < COLUMNS; i++)
        FW_TRY(fw_task_save(w->t, outputs[i].name, data[i], i < BY_ROW ? w->v->n : w->v->labels, e));
    return FW_OK;
}

static int confirm(work *w, fw_err *e)
{
    fw_audit machine;
    fw_people p = {.v = w->v, .vec = w->vec, .c = &w->c, .confirmed = w->confirmed, .label = w->label};
    p.over = fw_policy_over(fw_policy_named(w->t->conf->audit_policy));
    int rc = load_audit(w, &machine, e);
    if (!rc) fw_people_hear(&p, &machine);
    if (!rc && w->said) rc = audit_again(w, e);
    if (!rc && w->a) keep_confirmed(w, &machine);
    fw_audit *a = w->a ? w->a : &machine;
    if (!rc) rc = fw_task_save_json(w->t, "confirm.json", fw_people_shift(&p, a), e);
    if (!rc) rc = decide_pairs(w, a, e);
    if (!rc) rc = save(w, a, e);
    if (!rc && w->said)
        fw_log(FW_INFO, "confirm: %zu confirmed claims about people; the verdicts of %zu other photos change with them",
               w->said, w->moved);
    fw_people_free(&p);
    fw_audit_free(w->a);
    free_columns(&machine);
    return rc;
}

static int run_confirm(fw_task *t, fw_err *e)
{
    work w = {.t = t, .v = fw_task_view(t, "", e)};
    if (!w.v || !(w.vec = fw_task_vectors(t, "", e))) return e->code;
    FW_TRY(fw_claims_open(t, false, &w.c, e));
    w.confirmed = FW_ARRAY(int8_t, w.v->n);
    w.label = FW_ARRAY(uint32_t, w.v->n);
    if (w.v->n) memcpy(w.label, w.v->label, w.v->n * sizeof *w.label);
    take_claims(&w);
    int rc = confirm(&w, e);
    fw_claims_free(&w.c);
    fw_free(w.confirmed);
    fw_free(w.label);
    return rc;
}

const fw_stage fw_stage_confirm = {
    .name = "confirm",
    .summary = "the audit again, with what curators confirmed",
    .version = 3, /* 2: as audit 5; 3: thresholds move with answers */
    .scope = FW_SCOPE_WHOLE,
    .decisions = true,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"audit.target_far", "audit.policy", NULL},
    .run = run_confirm,
};
