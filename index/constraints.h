/* constraints: the audit once more, with what curators confirmed.
 *
 * A decision about one photo says something of others. Two ways lead from it to them:
 *
 *   labels     A photo that is not the person of its label is taken out of that label, one whose person was named goes
 *              to that person's label, and labels that are one person become one; then the whole audit runs again. Its
 *              centroids, its model of genuine pairs, its noise priors and so its thresholds rest on what is confirmed.
 *   examples   Within a label, a photo that resembles a confirmed right one may show the same look of the person, which
 *              the main centroid does not (a profile, glasses, twenty years): P(photo | right) becomes a mixture of the
 *              two. One that resembles a confirmed wrong photo may show that other person: one more explanation beside
 *              "a stranger" and "another identity". Both are Bayes' rule on the calibrated likelihood ratios of
 *              index/calib.h, for single photos (n = 1), divided by the number of examples among which the nearest was
 *              picked; only photos that resemble an example more than the main centroid are judged so.
 *
 * Cost: one audit, plus images x examples inside the labels that have examples (at most FW_EXAMPLES of a kind, the
 * first ones, so that a label reviewed from end to end costs no more than linear).
 */
#ifndef FW_CONSTRAINTS_H
#define FW_CONSTRAINTS_H

#include "audit.h"

#define FW_EXAMPLES 64

typedef struct fw_confirmed {
    const int8_t *row;     /* n: 1 it is the person of its label, -1 it is not, 0 nobody said */
    const uint32_t *label; /* n: labels as curators have them: FW_NONE for a photo whose person is unknown now */
} fw_confirmed;

/* `in` holds the labels of the dataset, `c` what was confirmed of them. The result is like fw_audit_run's; rows with
 * c->row != 0 carry the score of what was confirmed (0 or 1) and must be settled by the caller. Rows that c->label
 * moved are judged under their new label. */
int fw_audit_confirmed(fw_audit **out, const fw_audit_in *in, const fw_confirmed *c, const fw_audit_opt *opt,
                       fw_err *e) FW_MUST_USE;

/* Two photos of one label are different people: which of `rows` (m photos) go with `b` and not with `a`? go[i] = 1 for
 * b itself and for those nearer to b than to a and nearer than `same_person`, the cosine that two people seldom reach.
 */
void fw_side_with(const fw_vectors *v, const uint32_t *rows, size_t m, uint32_t a, uint32_t b, double same_person,
                  uint8_t *go);

#endif
