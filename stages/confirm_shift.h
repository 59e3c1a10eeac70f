/* confirm_shift: curators' answers on labels and merges move the thresholds for the findings that nobody has answered
 * (shifts.h). Part of stage confirm. */
#ifndef FW_CONFIRM_SHIFT_H
#define FW_CONFIRM_SHIFT_H

#include "../index/audit.h"
#include "claims.h"
#include "shifts.h"

enum { FW_PEOPLE_MISLABELED, FW_PEOPLE_OUTLIER, FW_PEOPLE_MERGE, FW_PEOPLE_KINDS };

typedef struct fw_people {
    const fw_view *v;
    const fw_vectors *vec;
    const fw_claims *c;
    const int8_t *confirmed; /* n: what was said of the photo and its label, as in fw_confirmed */
    const uint32_t *label;   /* n: labels as curators have them */
    double over;             /* flagged above this P(wrong) */
    fw_answers answers[FW_PEOPLE_KINDS];
} fw_people;

/* Answers to what the machine found unaided; before anything of `machine` is changed. */
void fw_people_hear(fw_people *p, const fw_audit *machine);
/* Scores and verdicts of what nobody answered, in place. A new object for confirm.json. */
struct json_t *fw_people_shift(const fw_people *p, fw_audit *a);
void fw_people_free(fw_people *p);

#endif
