/* interval: confidence intervals of a proportion.
 *
 * Clopper & Pearson (Biometrika 26, 1934): exact, that is, at least the stated confidence for every true value; a
 * little wide, which is the right side to err on for "how many wrong labels are left". */
#ifndef FW_INTERVAL_H
#define FW_INTERVAL_H

#include "base.h"

/* k of n, two-sided at `confidence` (0.95). n = 0: the whole of 0..1. */
void fw_clopper_pearson(uint64_t k, uint64_t n, double confidence, double *low, double *high);

#endif
