/* export_ledger: where every record went and why: ledger.csv, one row per image of the dataset, for people who must
 * account for a training set years later.
 *
 *   path, content     the record and the XXH3-128 of its bytes (zeros: it could not be read)
 *   action            kept, removed, relabeled, review
 *   label, final_label   as the source has it; as keep.lst has it (empty when removed)
 *   rule              the findings behind it (';' between), and merge or split when the label moved with its identity
 *   score             P(label is wrong)
 *   by, who           curator where a decision of one settled it (agreeing counts) and whose it was, else machine and
 *                     nobody. Who took a whole group or identity along with one word decided of all its photos.
 *   model, config     digests: of the embedder with its settings; of everything that the verdict depends on
 */
#ifndef FW_EXPORT_LEDGER_H
#define FW_EXPORT_LEDGER_H

#include "run.h"

/* What one row of a decided dataset came to. Texts borrowed from `label` tables, or static. */
typedef struct fw_decision {
    uint8_t verdict; /* enum fw_verdict */
    uint16_t flags;
    float score;
    uint32_t new_label, person;
    uint16_t by; /* 0: the machine, k: curator k of decide.json */
} fw_decision;

/* The final label, into `out` ("" when removed or unlabelled). */
void fw_final_label(const fw_view *v, size_t row, const fw_decision *d, fw_buf *out);
/* The findings, as in the column `rule`, into `out`. */
void fw_decision_rule(const fw_view *v, size_t row, const fw_decision *d, fw_buf *out);
const char *fw_decision_action(const fw_decision *d);

/* Write DIR/ledger.csv. Needs the columns of stage decide. */
int fw_export_ledger(fw_run *r, const char *dir, bool json, fw_err *e);

#endif
