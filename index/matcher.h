/* matcher: whose face is this, out of all people that are known: 1:N identification, open-set.
 *
 * A matcher holds parts, each a FAISS index with the vectors that it was made of: a workspace's index, and what was
 * enrolled since. A search asks every part for its nearest images, groups them by person, and takes as many images as
 * it needs until `top` people are found. A person is as similar as the nearest of their images.
 *
 * P(match). By Bayes' rule over "it is person j", j = 1..N, and "it is none of them": the evidence for a person is the
 * calibration's likelihood ratio of the cosine to the centroid of (at most FW_MATCH_CENTRE of) their images, which
 * knows how cosines to centroids of n images spread. Prior: FW_MATCH_PRIOR that the probe is of one of the N, evenly.
 * People who were not among the candidates are taken as impossible, which they are for any purpose: they are less
 * similar.
 *
 * Rejection. A probe of nobody in the gallery meets n images. It is wrongly accepted when the nearest is above the
 * threshold: 1 - (1 - FAR)^n, if images were independent (a person's images go together, so rather less).
 * fw_match_threshold turns it round: the similarity at which a stated share of such probes is accepted (FPIR, the
 * false-positive identification rate of ISO/IEC 19795). FARs so small are extrapolated from the calibration's tail.
 * LFW, one photo of each person, 7,484 searches with their own person taken out: stated .1, .01, .001, measured .125,
 * .0156, .0064 by the labels as they are, .124, .0146, .0053 on the cleaned set. The 40 strangers of the last were looked
 * at: 33 are the same person under two names or a wrong photo of LFW's, 4 twins or sisters, 3 look-alikes. With the 12
 * names behind those 33 put right: .119 (.112 to .127), .0097, .0009.
 */
#ifndef FW_MATCHER_H
#define FW_MATCHER_H

#include "calib.h"
#include "vecindex.h"

#define FW_MATCH_CENTRE 64
/* No opinion: as likely known as unknown. */
#define FW_MATCH_PRIOR 0.5
/* IVF indexes (index.factory = IVF...; none is the default, index/vecindex.h): as many lists are looked into as hold this
 * many rows, and at least one in sixteen: a share of the lists is a share of the rows, and of the mates that are found. */
#define FW_MATCH_SCAN 65536

typedef struct fw_matcher fw_matcher;

typedef struct fw_match {
    uint32_t label;   /* of the person */
    size_t part, row; /* their image that is nearest: row of that part's vectors */
    float sim;        /* its cosine */
    double p;         /* P(match); NAN without a calibration */
} fw_match;

fw_matcher *fw_matcher_new(void);
void fw_matcher_free(fw_matcher *m); /* NULL is fine */
/* Add a part. `x` becomes the matcher's (also on failure); NULL: built here, Flat or by size. Rows of v behind
 * fw_vecindex_count(x) are added to it in memory. `label`: person of each row, FW_NONE: not matched; vectors and labels
 * are borrowed. FW_EUSAGE: dimensions differ from the other parts'. */
int fw_matcher_add(fw_matcher *m, fw_vecindex *x, const fw_vectors *v, const uint32_t *label, fw_err *e) FW_MUST_USE;
/* After the last part: tables by person. `labels`: one more than the highest. */
void fw_matcher_ready(fw_matcher *m, size_t labels);

size_t fw_matcher_images(const fw_matcher *m); /* that are matched */
size_t fw_matcher_people(const fw_matcher *m);
int fw_matcher_dim(const fw_matcher *m); /* 0: empty */

/* The `top` most similar people, best first (ties: lower label); *n of them, fewer when there are no more. `c` may be
 * NULL. One thread at a time. */
int fw_matcher_search(fw_matcher *m, const fw_calib *c, const float *probe, size_t top, fw_match *out, size_t *n,
                      fw_err *e) FW_MUST_USE;

/* See above. 1 (nothing is accepted) when there are no images. */
double fw_match_threshold(const fw_calib *c, double fpir, size_t images);

#endif
