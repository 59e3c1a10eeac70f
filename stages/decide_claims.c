/* decide_claims: what curators decided wins over the machine. A claim settles its own question and no other: "the label
 * is right" does not bring back a copy that is not needed, nor a person of a benchmark. */
#include "../index/audit.h"
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
    w->vouched[row] = yes;
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

/* Good enough after all: then it is not of low quality either. What cannot be read stays what it is. */
static void use_row(fw_decide *w, size_t row, bool yes)
{
    w->verdict[row] = yes ? FW_KEEP : FW_REMOVE;
    if (yes) w->flags[row] &= (uint16_t)~FW_FLAG_LOW_QUALITY;
}

static void photos_of_claim(fw_decide *w, size_t k)
{
    const fw_claim *c = &w->c.d->claim[k];
    size_t n;
    const fw_claim_row *at = fw_claims_rows(&w->c, k, 0, &n);
    uint32_t named = w->c.label[2 * k];
    for (size_t i = 0; i < n; i++) {
        size_t row = at[i].row;
        if (at[i].set || (c->kind == FW_CLAIM_IS && named == FW_NO_LABEL)) continue;
        w->by[row] = fw_decide_who(w, k);
        if (c->kind == FW_CLAIM_USE)
            use_row(w, row, c->yes);
        else
            person_of_row(w, row, named, c->yes);
    }
}

/* ---- pairs of faces with different labels (pairs inside a label: stage confirm) --------------------------------- */

/* One kept photo gives the other its label. Two kept ones under two labels contradict the labels: a person must look.
 */
static void one_person(fw_decide *w, size_t a, size_t b)
{
    if (!fw_decide_stays(w, a) && !fw_decide_stays(w, b)) return;
    if (fw_decide_stays(w, a) && fw_decide_stays(w, b)) {
        if (fw_decide_label(w, a) == fw_decide_label(w, b) && w->person[a] == w->person[b]) return;
        settle(w, a, FW_REVIEW, FW_NO_LABEL, w->score[a]);
        settle(w, b, FW_REVIEW, FW_NO_LABEL, w->score[b]);
        return;
    }
    size_t from = fw_decide_stays(w, a) ? b : a, like = from == a ? b : a;
    uint32_t to = fw_decide_label(w, like), person = w->person[like];
    settle(w, from, FW_RELABEL, to, 1);
    w->person[from] = person;
}

/* The machine put them under one label: what was moved is undone, or when both were, looked at. */
static void two_people(fw_decide *w, size_t a, size_t b)
{
    if (!fw_decide_stays(w, a) || !fw_decide_stays(w, b) || fw_decide_label(w, a) != fw_decide_label(w, b) ||
        w->person[a] != w->person[b])
        return;
    if (w->verdict[a] == FW_RELABEL) settle(w, a, FW_REVIEW, FW_NO_LABEL, w->score[a]);
    if (w->verdict[b] == FW_RELABEL) settle(w, b, FW_REVIEW, FW_NO_LABEL, w->score[b]);
    if (w->verdict[a] == FW_REVIEW || w->verdict[b] == FW_REVIEW) return;
    uint32_t from = w->new_label[a] != FW_NO_LABEL ? w->v->label[a] : w->v->label[b]; /* this label was merged */
    for (size_t i = 0; i < w->v->n; i++)
        if (w->v->label[i] == from && w->verdict[i] == FW_KEEP) w->new_label[i] = FW_NO_LABEL;
}

/* Of a pair inside a label stage confirm has taken care: who made it decided of all that it moved there. */
static void mark_moved(fw_decide *w, uint32_t label, uint16_t who)
{
    for (size_t i = 0; i < w->v->n; i++) {
        bool moved = w->verdict_in[i] != w->audit_verdict[i] || w->person_in[i] != w->audit_person[i];
        if (w->v->label[i] == label && moved && !w->by[i]) w->by[i] = who;
    }
}

static void faces_of_claim(fw_decide *w, size_t k)
{
    size_t n, m;
    const fw_claim_row *a = fw_claims_rows(&w->c, k, 0, &n), *b = fw_claims_rows(&w->c, k, 1, &m);
    if (!n || !m || a->set || b->set) return;
    w->by[a->row] = w->by[b->row] = fw_decide_who(w, k);
    if (w->v->label[a->row] == w->v->label[b->row])
        mark_moved(w, w->v->label[a->row], fw_decide_who(w, k));
    else if (w->c.d->claim[k].yes)
        one_person(w, a->row, b->row);
    else
        two_people(w, a->row, b->row);
}

/* One person: the label that went. Two people: both stand because somebody said so. */
static void mark_labels(fw_decide *w)
{
    uint16_t *touched = FW_ARRAY(uint16_t, w->v->labels);
    for (size_t k = 0; k < w->c.d->n; k++) {
        if (w->c.d->claim[k].kind != FW_CLAIM_LABELS || !fw_claims_match(&w->c, k)) continue;
        touched[w->c.label[2 * k]] = fw_decide_who(w, k);
        if (!w->c.d->claim[k].yes) touched[w->c.label[2 * k + 1]] = fw_decide_who(w, k);
    }
    for (size_t i = 0; i < w->v->n; i++)
        if (w->v->label[i] != FW_NO_LABEL && touched[w->v->label[i]] && w->verdict[i] == FW_KEEP)
            w->by[i] = touched[w->v->label[i]];
    fw_free(touched);
}

void fw_decide_people(fw_decide *w)
{
    if (!w->c.d->n) return;
    mark_labels(w);
    for (size_t k = 0; k < w->c.d->n; k++) {
        fw_claim_kind kind = w->c.d->claim[k].kind;
        if (kind == FW_CLAIM_IS || kind == FW_CLAIM_USE) photos_of_claim(w, k);
        if (kind == FW_CLAIM_FACES) faces_of_claim(w, k);
    }
}

/* ---- benchmarks ------------------------------------------------------------------------------------------------ */

static bool has_row(const fw_claim_row *at, size_t n, uint32_t set, uint32_t row)
{
    for (size_t i = 0; i < n; i++)
        if (at[i].set == set && at[i].row == row) return true;
    return false;
}

/* A claim names the pair of a finding. Without such a finding, "one person" is a finding of its own. Answers of rule
 * `face` are heard for the others of their kind. */
static void overlap_of_claim(fw_decide *w, size_t k, uint16_t *who, fw_answers *heard)
{
    size_t n, m, found = 0;
    const fw_claim_row *a = fw_claims_rows(&w->c, k, 0, &n), *b = fw_claims_rows(&w->c, k, 1, &m);
    if (!n || !m || (a[n - 1].set == 0 && b[m - 1].set == 0)) return; /* no side in a benchmark */
    bool yes = w->c.d->claim[k].yes;
    for (size_t f = 0; f < w->findings; f++) {
        uint32_t set = w->o_bench[f] + 1, here = w->o_row[f], there = w->o_bench_row[f];
        bool ab = has_row(a, n, 0, here) && has_row(b, m, set, there);
        bool ba = has_row(b, m, 0, here) && has_row(a, n, set, there);
        if (!ab && !ba) continue;
        w->finding[f] = yes ? FW_FINDING_YES : FW_FINDING_NO;
        w->by[here] = fw_decide_who(w, k);
        if (w->rule[f] == FW_RULE_FACE) fw_answers_add(heard, (double)w->o_score[f], yes);
        if (w->o_label[f] != FW_NO_LABEL && (yes || w->rule[f] == FW_RULE_FACE))
            who[w->o_label[f]] = fw_decide_who(w, k);
        found++;
    }
    const fw_claim_row *mine = a->set ? b : a;
    if (found || !yes || mine->set) return;
    w->by[mine->row] = fw_decide_who(w, k);
    w->flags[mine->row] |= FW_FLAG_OVERLAP;
    uint32_t label = w->v->label[mine->row];
    if (label != FW_NO_LABEL) w->condemned[label] = 1, who[label] = fw_decide_who(w, k);
}

/* The score is one less a false discovery rate that is kept under .001 and comes out nearer to .01 (index/overlap.c),
 * so what remains is a probability on which the policy's threshold is asked, not the .999 that findings are made by. */
static void shift_overlap(fw_decide *w, const fw_answers *heard)
{
    double over = fw_policy_over(fw_policy_named(w->t->conf->audit_policy));
    fw_shift s = fw_shift_fit(heard);
    size_t changed = 0;
    for (size_t f = 0; s.n && f < w->findings; f++) {
        if (w->finding[f] != FW_FINDING_OPEN || w->rule[f] != FW_RULE_FACE) continue;
        if (fw_shift_apply(&s, (double)w->o_score[f]) > over) continue;
        w->finding[f] = FW_FINDING_DOUBTED;
        changed++;
    }
    fw_shift_tell("decide", "overlap", &s, over, changed, w->shifts);
}

void fw_decide_overlap(fw_decide *w)
{
    uint16_t *who = FW_ARRAY(uint16_t, w->v->labels);
    fw_answers heard = {0};
    for (size_t k = 0; k < w->c.d->n; k++)
        if (w->c.d->claim[k].kind == FW_CLAIM_FACES) overlap_of_claim(w, k, who, &heard);
    shift_overlap(w, &heard);
    for (size_t i = 0; i < w->v->n; i++) { /* all of the identity that is left goes, or stays, by that word */
        uint32_t label = w->v->label[i];
        if (label != FW_NO_LABEL && who[label] && !w->by[i] && fw_decide_stays(w, i)) w->by[i] = who[label];
    }
    fw_answers_free(&heard);
    fw_free(who);
}

/* ---- the count ------------------------------------------------------------------------------------------------- */

int fw_decide_report(fw_decide *w, fw_err *e)
{
    const fw_decisions *d = w->c.d;
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
    json_t *who = json_array();
    for (size_t i = 0; i < d->curators; i++) json_array_append_new(who, json_string(d->who[i]));
    return fw_task_save_json(w->t, "decide.json",
                             json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:O}", "decisions", (json_int_t)d->standing,
                                       "applied", (json_int_t)applied, "unmatched", (json_int_t)gone, "without_claims",
                                       (json_int_t)empty, "damaged_lines", (json_int_t)d->damaged, "images",
                                       (json_int_t)photos, "curators", who, "shifts", w->shifts),
                             e);
}
