/* verification: how well a threshold on the similarity tells "same person" from "different people".
 *
 * The protocol is LFW's, "image-restricted, labelled outside data" (Huang, Ramesh, Berg, Learned-Miller 2007; Huang and
 * Learned-Miller 2014, "Labeled Faces in the Wild: Updates and New Reporting Procedures"): pairs lie in folds; for
 * every fold the threshold is the one that is best on all other folds, and its accuracy is counted on this one.
 * Thresholds are multiples of 0.005. Reported are the mean over folds, their sample standard deviation, and the 95 %
 * interval of the mean by Student's t.
 *
 * A pair with a face that could not be found or embedded is counted as wrong, whatever the threshold: as if a genuine
 * pair had the lowest similarity and an impostor pair the highest. It has no say in choosing thresholds.
 *
 * Over all pairs together (no folds), with 95 % intervals:
 *   AUC    probability that a genuine pair is more similar than an impostor pair, ties count half. Interval by E. R.
 *          DeLong, D. M. DeLong, D. L. Clarke-Pearson (Biometrics 44, 1988), cut to 0..1
 *   EER    where the shares of rejected genuine and accepted impostor pairs meet, linear between the two thresholds.
 *          Interval: percentiles of a bootstrap that draws genuine and impostor pairs apart
 *   TAR@FAR=f  share of genuine pairs accepted at the lowest threshold that accepts at most a share f of the impostors.
 *          Interval by Clopper and Pearson (lib/interval.h), the threshold taken as given. Not measurable with fewer
 *          than 1/f impostor pairs: then not one of them may pass, and their number says what is measured, not f
 * Where all pairs lie on the right side, the bounds of AUC and EER are those of an error that the scarcer kind of pairs
 * would have met. All take pairs as independent; pairs that share photos or people are not quite, and the intervals
 * then too narrow.
 */
#ifndef FW_VERIFICATION_H
#define FW_VERIFICATION_H

#include "../lib/base.h"

typedef struct fw_pair {
    float sim;    /* cosine similarity, -1..1; not read when `missing` */
    uint8_t same; /* 1: genuine */
    uint8_t missing;
    uint32_t fold; /* 0..folds-1 */
} fw_pair;

#define FW_FARS 5   /* 1e-2, 1e-3 ... 1e-6 */
#define FW_ROC  401 /* similarities 1 down to -1, in steps of 0.005 */

typedef struct fw_tar {
    double far, tar, low, high;
    double threshold; /* lowest similarity that is accepted; NAN: nothing is */
    bool measurable;
} fw_tar;

typedef struct fw_roc_point {
    double threshold, far, tar; /* shares of pairs at least that similar; missing pairs as said above */
} fw_roc_point;

typedef struct fw_verification {
    size_t pairs, genuine, missing, folds;
    double accuracy, std, low, high; /* mean over folds, its spread, the 95 % interval of the mean (cut to 0..1) */
    double threshold;                /* mean of the folds' thresholds */
    double auc, auc_low, auc_high;
    double eer, eer_low, eer_high;
    fw_tar tar[FW_FARS];
    fw_roc_point roc[FW_ROC];
} fw_verification;

/* FW_EUSAGE: fewer than two folds, a fold without pairs, or no genuine or no impostor pair that has both faces.
 * Time O(n log n + n * folds). */
FW_MUST_USE int fw_verify_pairs(const fw_pair *pairs, size_t n, size_t folds, fw_verification *out, fw_err *e);

/* 97.5 % quantile of Student's t for `df` >= 1 degrees of freedom. */
double fw_student_975(size_t df);

#endif
