/* sample: how much noise is left, by looking: a random sample of the images that are kept, judged by people.
 *
 * W/review/sample.json holds the draw: a simple random sample without replacement (no strata, no weights) of the images
 * that keep.lst holds under a label of the dataset, in random order, each by content hash and label. The report shows
 * it as a queue of its own; an answer is a decision like any other ("this face is (not) that person"). What the answers
 * say is computed anew each time from the log, so it lasts as long as the log does.
 */
#ifndef FW_SAMPLE_H
#define FW_SAMPLE_H

#include "run.h"

typedef struct fw_sample {
    fw_hash *hash; /* n */
    char **label;  /* n: bytes as the dataset has them */
    size_t n;
    uint64_t population, seed;
} fw_sample;

/* Draw `n` (fewer when there are fewer) and write the file; the last draw is replaced. Needs stage decide's result. */
int fw_sample_draw(fw_run *r, size_t n, uint64_t seed, fw_err *e) FW_MUST_USE;
/* The draw; n = 0 without one. On success the caller frees. */
int fw_sample_read(fw_run *r, fw_sample *out, fw_err *e) FW_MUST_USE;
void fw_sample_free(fw_sample *s);

/* What decisions say of the result and of the machine: {"sample": {...}, "precision": {...}, "recall": {...}}, each
 * null while there is nothing to say. A new reference.
 *
 *   sample      rate of wrong labels among the kept images, from those of the sample that were judged
 *   precision   of the machine's own flags (stage audit) on labels: share confirmed among those that were reviewed
 *   recall      found / (found + left): found = precision x flags, left = rate x population of the draw
 * Intervals: Clopper-Pearson 95 %; recall's from the ends of both, so it is wider than 95 %. */
struct json_t;
struct json_t *fw_assess(fw_run *r, fw_err *e);

#endif
