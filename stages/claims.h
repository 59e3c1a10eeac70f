/* claims: what curators decided, matched to the rows and labels of this dataset. Shared by the stages confirm and
 * decide, by export and report.
 *
 * A claim names photos by content hash; one hash may be several rows (exact copies), here or in a benchmark, or none
 * (the photo has gone). Sides: 0 is the claim's `a` or `label`, 1 its `b` or `into`.
 */
#ifndef FW_CLAIMS_H
#define FW_CLAIMS_H

#include "../lib/decisions.h"
#include "stage.h"

typedef struct fw_claim_row {
    uint32_t side; /* 2 * claim + side */
    uint32_t set;  /* 0: the dataset, i: benchmark i - 1 */
    uint32_t row;
} fw_claim_row;

typedef struct fw_claims {
    const fw_decisions *d; /* the run's */
    fw_claim_row *at;      /* by side, then set, then row */
    size_t n, cap;
    uint32_t *label; /* 2 per claim: label ids, FW_NO_LABEL */
} fw_claims;

/* `benchmarks`: look for hashes there too. On success the caller frees. */
int fw_claims_open(fw_task *t, bool benchmarks, fw_claims *out, fw_err *e) FW_MUST_USE;
void fw_claims_free(fw_claims *c);

/* Living rows that side 0 or 1 of claim k names; *n may be 0. */
const fw_claim_row *fw_claims_rows(const fw_claims *c, size_t k, int side, size_t *n);
/* The claim names photos and labels that are here. */
bool fw_claims_match(const fw_claims *c, size_t k);
/* Content hash of a row. */
fw_hash fw_view_hash(const fw_view *v, size_t row);

#endif
