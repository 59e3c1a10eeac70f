/* decide_claims: what curators decided wins over the machine. A claim settles its own question and no other: "the label
 * is right" does not bring back a copy that is not needed, nor a person of a benchmark. */
#include "../lib/log.h"
#include "decide_work.h"

#include <jansson.h>
#include <string.h>

/* ---- single photos --------------------------------------------------------------------------------------------- */

static void settle(fw_decide *w, size_t row, uint8_t verdict, uint32_t new_label, float score)
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

static void person_of_row(fw_decide *w, size_t row, uint32_t named, bool yes)
{
    uint32_t own = w->v->label[row], merged = fw_decide_merged(w, named);
    bool here = merged == fw_decide_merged(w, own);
    if (yes && here)
        settle(w, row, FW_KEEP, merged == own ? FW_NO_LABEL : merged, 0);
    else if (yes)
        settle(w, row, FW_RELABEL, merged, 1);
    else if (named == own && w->verdict[row] != FW_RELABEL)
        settle(w, row, FW_REMOVE, FW_NO_LABEL, 1);
    else if (named != own && w->verdict[row] == FW_RELABEL && w->new_label[row] == merged)
        settle(w, row, FW_REVIEW, FW_NO_LABEL, w->score[row]); /* not that one; whose it is, nobody said */
    if (!yes && named == own) w->flags[row] |= FW_FLAG_MISLABELED;
}

static void photos_of_claim(fw_decide *w, size_t k)
{
    const fw_claim *c = &w->c.d.claim[k];
    size_t n;
    const fw_claim_row *at = fw_claims_rows(&w->c, k, 0, &n);
    uint32_t named = w->c.label[2 * k];
    for (size_t i = 0; i < n; i++) {
        size_t row = at[i].row;
        if (at[i].set || (c->kind == FW_CLAIM_IS && named == FW_NO_LABEL)) continue;
        w->by[row] = 1;
        if (c->kind == FW_CLAIM_USE)
            w->verdict[row] = c->yes ? FW_KEEP : FW_REMOVE;
        else
            person_of_row(w, row, named, c->yes);
    }
}

/* ---- pairs of faces with different labels (pairs inside a label: stage confirm) --------------------------------- */

static bool stays(const fw_decide *w, size_t row)
{
    return w->verdict[row] == FW_KEEP || w->verdict[row] == FW_RELABEL;
}

static uint32_t final_label(const fw_decide *w, size_t row)
{
    return w->new_label[row] != FW_NO_LABEL ? w->new_label[row] : w->v->label[row];
}

/* One kept photo gives the other its label. Two kept ones under two labels contradict the labels: a person must look.
 */
static void one_person(fw_decide *w, size_t a, size_t b)
{
    if (!stays(w, a) && !stays(w, b)) return;
    if (stays(w, a) && stays(w, b)) {
        if (final_label(w, a) == final_label(w, b) && w->person[a] == w->person[b]) return;
        settle(w, a, FW_REVIEW, FW_NO_LABEL, w->score[a]);
        settle(w, b, FW_REVIEW, FW_NO_LABEL, w->score[b]);
        return;
    }
    size_t from = stays(w, a) ? b : a, like = from == a ? b : a;
    uint32_t to = final_label(w, like), person = w->person[like];
    settle(w, from, FW_RELABEL, to, 1);
    w->person[from] = person;
}

/* The machine put them under one label: what was moved is undone, or when both were, looked at. */
static void two_people(fw_decide *w, size_t a, size_t b)
{
    if (!stays(w, a) || !stays(w, b) || final_label(w, a) != final_label(w, b) || w->person[a] != w->person[b]) return;
    if (w->verdict[a] == FW_RELABEL) settle(w, a, FW_REVIEW, FW_NO_LABEL, w->score[a]);
    if (w->verdict[b] == FW_RELABEL) settle(w, b, FW_REVIEW, FW_NO_LABEL, w->score[b]);
    if (w->verdict[a] == FW_REVIEW || w->verdict[b] == FW_REVIEW) return;
    uint32_t from = w->new_label[a] != FW_NO_LABEL ? w->v->label[a] : w->v->label[b]; /* this label was merged */
    for (size_t i = 0; i < w->v->n; i++)
        if (w->v->label[i] == from && w->verdict[i] == FW_KEEP) w->new_label[i] = FW_NO_LABEL;
}

static void faces_of_claim(fw_decide *w, size_t k)
{
    size_t n, m;
    const fw_claim_row *a = fw_claims_rows(&w->c, k, 0, &n), *b = fw_claims_rows(&w->c, k, 1, &m);
    if (!n || !m || a->set || b->set) return;
    w->by[a->row] = w->by[b->row] = 1;
    if (w->v->label[a->row] == w->v->label[b->row]) return;
    if (w->c.d.claim[k].yes)
        one_person(w, a->row, b->row);
    else
        two_people(w, a->row, b->row);
}

static void mark_labels(fw_decide *w)
{
    uint8_t *touched = FW_ARRAY(uint8_t, w->v->labels);
    for (size_t k = 0; k < w->c.d.n; k++)
        if (w->c.d.claim[k].kind == FW_CLAIM_LABELS && fw_claims_match(&w->c, k)) touched[w->c.label[2 * k]] = 1;
    for (size_t i = 0; i < w->v->n; i++)
        if (w->v->label[i] != FW_NO_LABEL && touched[w->v->label[i]] && w->verdict[i] == FW_KEEP) w->by[i] = 1;
    fw_free(touched);
}

void fw_decide_people(fw_decide *w)
{
    if (!w->c.d.n) return;
    mark_labels(w);
    for (size_t k = 0; k < w->c.d.n; k++) {
        fw_claim_kind kind = w->c.d.claim[k].kind;
        if (kind == FW_CLAIM_IS || kind == FW_CLAIM_USE) photos_of_claim(w, k);
        if (kind == FW_CLAIM_FACES) faces_of_claim(w, k);
    }
}

/* ---- copies ---------------------------------------------------------------------------------------------------- */

static void regroup(fw_decide *w, const fw_claim_row *at, size_t n, uint32_t group, uint8_t kind)
{
    for (size_t i = 0; i < n; i++) {
        if (at[i].set) continue;
        w->group[at[i].row] = group;
        w->by[at[i].row] = 1;
        if (w->dup_kind[at[i].row] != FW_DUP_EXACT || group == FW_NO_LABEL) w->dup_kind[at[i].row] = kind;
    }
}

/* OTHER leaves the group: alone, or with its own exact copies. */
static void not_copies(fw_decide *w, const fw_claim_row *a, const fw_claim_row *b, size_t m, uint32_t *groups)
{
    w->by[a->row] = 1;
    if (w->group[a->row] == FW_NO_LABEL || w->group[a->row] != w->group[b->row]) {
        for (size_t i = 0; i < m; i++) w->by[b[i].row] = 1;
        return;
    }
    regroup(w, b, m, m > 1 ? (*groups)++ : FW_NO_LABEL, m > 1 ? FW_DUP_EXACT : FW_DUP_NONE);
}

/* Both groups become one, KEPT is the one that stays. */
static void are_copies(fw_decide *w, const fw_claim_row *a, size_t n, const fw_claim_row *b, size_t m, uint32_t *groups)
{
    uint32_t to = w->group[a->row], from = w->group[b->row];
    if (to == FW_NO_LABEL) regroup(w, a, n, to = (*groups)++, FW_DUP_NEAR);
    regroup(w, b, m, to, FW_DUP_NEAR);
    for (size_t i = 0; from != FW_NO_LABEL && from != to && i < w->v->n; i++)
        if (w->group[i] == from) w->group[i] = to;
    for (size_t i = 0; i < n; i++) w->by[a[i].row] = w->chosen[a[i].row] = 1;
    for (size_t i = 0; i < m; i++) w->chosen[b[i].row] = 0; /* of two choices the later one stands */
}

/* A group of one is none. */
static void drop_single(fw_decide *w, uint32_t groups)
{
    uint32_t *size = FW_ARRAY(uint32_t, groups);
    for (size_t i = 0; i < w->v->n; i++)
        if (w->group[i] != FW_NO_LABEL) size[w->group[i]]++;
    for (size_t i = 0; i < w->v->n; i++)
        if (w->group[i] != FW_NO_LABEL && size[w->group[i]] < 2) {
            w->group[i] = FW_NO_LABEL;
            w->dup_kind[i] = FW_DUP_NONE;
        }
    fw_free(size);
}

void fw_decide_copies(fw_decide *w)
{
    uint32_t groups = 0, before;
    for (size_t i = 0; i < w->v->n; i++)
        if (w->group[i] != FW_NO_LABEL && w->group[i] >= groups) groups = w->group[i] + 1;
    before = groups;
    bool any = false;
    for (size_t k = 0; k < w->c.d.n; k++) {
        size_t n, m;
        if (w->c.d.claim[k].kind != FW_CLAIM_IMAGES) continue;
        const fw_claim_row *a = fw_claims_rows(&w->c, k, 0, &n), *b = fw_claims_rows(&w->c, k, 1, &m);
        if (!n || !m || a->set || b->set || a->row == b->row) continue;
        while (n > 1 && a[n - 1].set) n--; /* copies in a benchmark are another matter */
        while (m > 1 && b[m - 1].set) m--;
        any = true;
        if (w->c.d.claim[k].yes)
            are_copies(w, a, n, b, m, &groups);
        else
            not_copies(w, a, b, m, &groups);
    }
    if (any || groups != before) drop_single(w, groups);
}

/* ---- benchmarks ------------------------------------------------------------------------------------------------ */

static bool has_row(const fw_claim_row *at, size_t n, uint32_t set, uint32_t row)
{
    for (size_t i = 0; i < n; i++)
        if (at[i].set == set && at[i].row == row) return true;
    return false;
}

/* A claim names the pair of a finding. Without such a finding, "one person" is a finding of its own. */
static void overlap_of_claim(fw_decide *w, size_t k)
{
    size_t n, m, found = 0;
    const fw_claim_row *a = fw_claims_rows(&w->c, k, 0, &n), *b = fw_claims_rows(&w->c, k, 1, &m);
    if (!n || !m || (a[n - 1].set == 0 && b[m - 1].set == 0)) return; /* no side in a benchmark */
    bool yes = w->c.d.claim[k].yes;
    for (size_t f = 0; f < w->findings; f++) {
        uint32_t set = w->o_bench[f] + 1, here = w->o_row[f], there = w->o_bench_row[f];
        bool ab = has_row(a, n, 0, here) && has_row(b, m, set, there);
        bool ba = has_row(b, m, 0, here) && has_row(a, n, set, there);
        if (!ab && !ba) continue;
        w->finding[f] = yes ? 1 : -1;
        w->by[here] = 1;
        found++;
    }
    const fw_claim_row *mine = a->set ? b : a;
    if (found || !yes || mine->set) return;
    w->by[mine->row] = 1;
    w->flags[mine->row] |= FW_FLAG_OVERLAP;
    if (w->v->label[mine->row] != FW_NO_LABEL) w->condemned[w->v->label[mine->row]] = 1;
}

void fw_decide_overlap(fw_decide *w)
{
    for (size_t k = 0; k < w->c.d.n; k++)
        if (w->c.d.claim[k].kind == FW_CLAIM_FACES) overlap_of_claim(w, k);
}

/* ---- the count ------------------------------------------------------------------------------------------------- */

int fw_decide_report(fw_decide *w, fw_err *e)
{
    const fw_decisions *d = &w->c.d;
    uint8_t *done = FW_ARRAY(uint8_t, d->standing);
    size_t applied = 0, empty = 0;
    for (size_t k = 0; k < d->n; k++) done[d->claim[k].decision] |= fw_claims_match(&w->c, k) ? 2 : 1;
    for (size_t i = 0; i < d->standing; i++) applied += (done[i] & 2) != 0, empty += !done[i];
    fw_free(done);
    size_t gone = d->standing - applied - empty, photos = 0;
    for (size_t i = 0; i < w->v->n; i++) photos += w->v->alive[i] && w->by[i];
    if (d->standing || d->damaged)
        fw_log(FW_INFO, "decide: %zu decisions of curators: %zu applied, %zu match nothing here any more%s",
               d->standing, applied, gone, d->damaged ? "; the log has damaged lines" : "");
    return fw_task_save_json(w->t, "decide.json",
                             json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "decisions", (json_int_t)d->standing,
                                       "applied", (json_int_t)applied, "unmatched", (json_int_t)gone, "without_claims",
                                       (json_int_t)empty, "damaged_lines", (json_int_t)d->damaged, "images",
                                       (json_int_t)photos),
                             e);
}
