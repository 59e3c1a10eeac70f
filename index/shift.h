/* shift: curators' answers to the machine's findings, as evidence about the machine's probabilities.
 *
 * A finding ("this label is wrong", "these labels are one person") comes with the machine's P; a curator says yes or
 * no. If P were right, of findings at P = .8 eight in ten would be confirmed. What is corrected, per kind of finding,
 * is a shift of the whole scale, and where the scale ends:
 *
 *     P'(yes) = ceiling * sigmoid(logit P + b)         b ~ N(0, 1),  ceiling ~ Beta(FW_SHIFT_TRUST, 1)
 *     P(answer yes) = slip + (1 - 2 slip) P'           an answer is a slip with probability FW_SHIFT_SLIP on each side
 *
 * The first is logistic regression on a constant with an offset (Cox 1958, "Two further applications of a model for
 * binary regression", where b = 0 is the test of calibration), with Copas' contamination (1988, "Binary regression
 * models for contaminated data") and the upper asymptote of psychometric functions. Both are the maximum a posteriori:
 * the best of a grid, then a search by ever smaller steps, because the posterior has several peaks. The unit spread of
 * b is a factor of e in the odds: ten answers at P = .5 that all say yes come to b = 1.5, and no answers to 0 and a
 * ceiling of 1, so that without decisions nothing changes.
 *
 * Why slips. Without them one "no" at P = 1 - 1e-6 outweighs a hundred answers near the threshold: -log P grows without
 * bound, and such a "no" (a photo that the model has no word for, a key that was hit twice) says nothing about findings
 * at .6. Why a ceiling. Scores of merges and overlaps lie at P = 1 - 1e-6, nearly all; when half of them are denied
 * (twins, a look-alike in each label) no shift within reason says so, and it is the kind that cannot be trusted.
 *
 * Which answers count. Curators see what the machine flagged, the least sure first: a choice by P, on which the
 * likelihood is conditioned, so that it does no harm. A choice by outcome would (a curator who only marks the wrong
 * ones on the page of an identity), so callers pass findings, and no photos that the machine had not flagged.
 */
#ifndef FW_SHIFT_H
#define FW_SHIFT_H

#include "../lib/base.h"

#define FW_SHIFT_SLIP 0.01
/* As if this many findings without a doubt had been confirmed before: one "no" among them is believed to be a slip. */
#define FW_SHIFT_TRUST 20

/* Answers to findings of one kind. Zeroed at first; fw_answers_free. */
typedef struct fw_answers {
    double *logit;
    uint8_t *yes;
    size_t n, agreed, cap, yes_cap;
} fw_answers;

/* One more: the machine's P, in 0..1, and whether the curator agreed. */
void fw_answers_add(fw_answers *a, double p, bool yes);
void fw_answers_free(fw_answers *a);

typedef struct fw_shift {
    double b, ceiling; /* 0 and 1 without answers */
    size_t n, agreed;
} fw_shift;

fw_shift fw_shift_fit(const fw_answers *a);
/* Log posterior, up to a constant. */
double fw_shift_posterior(const fw_answers *a, double b, double ceiling);

/* P' of the machine's P. The same P, bit for bit, without answers. */
double fw_shift_apply(const fw_shift *s, double p);
/* The machine's P that a threshold on P' means; 1: nothing comes so far. */
double fw_shift_threshold(const fw_shift *s, double threshold);

#endif
