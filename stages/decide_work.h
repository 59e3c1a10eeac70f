/* decide_work: what decide.c, decide_claims.c and decide_copies.c share. Private to the three. */
#ifndef FW_DECIDE_WORK_H
#define FW_DECIDE_WORK_H

#include "claims.h"
#include "decide.h"
#include "shifts.h"

typedef struct fw_decide {
    fw_task *t;
    const fw_view *v;
    fw_claims c;
    const uint8_t *verdict_in, *outlier, *id_action, *dup_kept_in, *rule, *audit_verdict;
    const uint32_t *new_in, *person_in, *id_other, *o_label, *o_row, *o_bench, *o_bench_row, *group_in, *audit_person;
    const float *score_in, *o_score, *dup_sim_in;
    size_t findings;
    uint8_t *verdict, *dup_kept, *dup_kind, *dup_why;
    uint16_t *by;     /* 0: the machine; k: curator k - 1 of c.d->who */
    uint8_t *chosen;  /* 1: the copy that a curator chose to keep */
    uint8_t *vouched; /* 1: a curator says that it is the person under whose label it is kept */
    uint16_t *flags;
    float *score, *dup_sim;
    uint32_t *new_label, *person, *id_kept, *group;
    uint8_t *finding;      /* per finding: enum fw_finding */
    uint8_t *condemned;    /* per label: a curator says that it is in a benchmark */
    struct json_t *shifts; /* thresholds that moved, by kind of finding */
} fw_decide;

/* Rows of group g: row[begin[g] .. begin[g + 1]), ascending. */
typedef struct fw_copies {
    size_t groups;
    size_t *begin;
    uint32_t *row;
} fw_copies;

/* Who made claim k, as in `by`. */
static inline uint16_t fw_decide_who(const fw_decide *w, size_t k)
{
    uint32_t who = w->c.d->claim[k].who;
    return (uint16_t)(who < UINT16_MAX - 1 ? who + 1 : UINT16_MAX);
}

static inline bool fw_decide_stays(const fw_decide *w, size_t row)
{
    return w->verdict[row] == FW_KEEP || w->verdict[row] == FW_RELABEL;
}

static inline uint32_t fw_decide_label(const fw_decide *w, size_t row)
{
    return w->new_label[row] != FW_NO_LABEL ? w->new_label[row] : w->v->label[row];
}

/* Claims about single photos and about people of different labels; before duplicates and overlap are judged. */
void fw_decide_people(fw_decide *w);
/* decide_copies.c: claims about copies change the groups, then of each group one image stays. */
int fw_decide_copies(fw_decide *w, fw_err *e);
/* Claims about a photo here and one of a benchmark; before overlap is judged. */
void fw_decide_overlap(fw_decide *w);
/* How many decisions were applied: says so in the log and in decide.json. */
int fw_decide_report(fw_decide *w, fw_err *e);
/* The label that photos of `label` end up under when identities are merged. */
uint32_t fw_decide_merged(const fw_decide *w, uint32_t label);

#endif
