/* decide_work: what decide.c and decide_claims.c share. Private to the two. */
#ifndef FW_DECIDE_WORK_H
#define FW_DECIDE_WORK_H

#include "claims.h"
#include "decide.h"

typedef struct fw_decide {
    fw_task *t;
    const fw_view *v;
    fw_claims c;
    const uint8_t *verdict_in, *outlier, *id_action, *dup_kept_in, *rule;
    const uint32_t *new_in, *person_in, *id_other, *o_label, *o_row, *o_bench, *o_bench_row;
    const float *score_in;
    size_t findings;
    uint8_t *verdict, *dup_kept, *dup_kind, *by;
    uint8_t *chosen; /* 1: the copy that a curator chose to keep */
    uint16_t *flags;
    float *score;
    uint32_t *new_label, *person, *id_kept, *group;
    int8_t *finding;    /* per finding: 1 a curator confirmed it, -1 dismissed it */
    uint8_t *condemned; /* per label: a curator says that it is in a benchmark */
} fw_decide;

/* Claims about single photos and about people of different labels; before duplicates and overlap are judged. */
void fw_decide_people(fw_decide *w);
/* Claims about copies change the groups; before duplicates are judged. */
void fw_decide_copies(fw_decide *w);
/* Claims about a photo here and one of a benchmark; before overlap is judged. */
void fw_decide_overlap(fw_decide *w);
/* How many decisions were applied: says so in the log and in decide.json. */
int fw_decide_report(fw_decide *w, fw_err *e);
/* The label that photos of `label` end up under when identities are merged. */
uint32_t fw_decide_merged(const fw_decide *w, uint32_t label);

#endif
