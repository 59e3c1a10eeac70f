/* overlap: which identities and photos of a training set also stand in a benchmark.
 *
 * A test on people or photos that were trained on measures memory. Three rules, reported apart:
 *
 *   face    identity level: the train identity is a benchmark identity. Centroids are compared, not photos: of two sets'
 *           millions of photo pairs some unrelated ones are alike (max-image cosine > .5 is right in 65-90 % of cases),
 *           centroids average that away. Labels are noisy, so a centroid leaves out photos that do not fit it, and
 *           photos that say little count for little (reliability.h). A finding has the label, and its closest photo pair.
 *           photo level: a photo that does not fit its own identity and matches a benchmark person is a leak under a
 *           wrong label. It has NO label (FW_OVERLAP_NONE): the row alone is meant, the identity is clean.
 *   image   the same photo (index/dup.h) is in both.
 *   name    equal label strings but for case, spaces and punctuation. Says nothing about faces; off unless `names`.
 *
 * Thresholds. A train identity meets every benchmark identity, so at any cosine a number of pairs is expected to be
 * alike by chance: pairs x FAR from the calibration. Against the number of pairs that are that alike it gives the false
 * discovery rate, and `fdr` bounds it, for pairs with 1, 2-3 and 4 or more photos apart: where both sets hold many
 * photos of the same people the bar is low, where almost nothing is shared it is high. score = 1 - that rate.
 */
#ifndef FW_OVERLAP_H
#define FW_OVERLAP_H

#include "calib.h"
#include "dup.h"
#include "graph.h"

#define FW_OVERLAP_NONE UINT32_MAX
enum fw_overlap_rule { FW_OVERLAP_FACE = 0, FW_OVERLAP_NAME = 1, FW_OVERLAP_IMAGE = 2 };

typedef struct fw_overlap_side {
    const fw_vectors *vectors;
    const uint32_t *label; /* one per row; FW_OVERLAP_NONE: no label, an identity of its own */
    size_t labels;
    const char *const *name; /* labels; or NULL */
    /* as in fw_dup_input; NULL: no rule `image` */
    const fw_signature *(*signature)(const void *context, size_t row);
    const void *context;
} fw_overlap_side;

typedef struct fw_overlap_opts {
    double fdr;   /* share of flagged identities that may be wrong */
    double stray; /* look-alikes in the benchmark that a photo-level finding may be expected to have by chance */
    bool names;
} fw_overlap_opts;
fw_overlap_opts fw_overlap_defaults(void);

typedef struct fw_overlap_row {
    uint32_t label;     /* train label, or FW_OVERLAP_NONE (a photo-level finding, or an unlabelled photo) */
    uint32_t row;       /* train row: the closest photo for identity findings */
    uint32_t bench_row; /* benchmark row; its label is the benchmark identity */
    float similarity; /* face: cosine of the centroids (photo level: to the centroid); image: of the photos; name: 1 */
    float score;      /* 0..1 */
    uint8_t rule;
} fw_overlap_row;

typedef struct fw_overlap {
    fw_overlap_row *row; /* sorted by rule, label, row, bench_row */
    size_t count, cap;
    double cosine; /* least centroid cosine that was flagged; 0: none */
} fw_overlap;

/* `cross`: nearest benchmark rows of every train row (fw_knn_cross). `calib`: impostors of the training set.
 * Free with fw_overlap_free. */
FW_MUST_USE int fw_overlap_find(const fw_overlap_side *train, const fw_overlap_side *bench, const fw_graph *cross,
                                const fw_calib *calib, const fw_overlap_opts *o, fw_overlap **out, fw_err *e);
void fw_overlap_free(fw_overlap *o);

/* Lower case, letters and digits only (bytes of UTF-8 letters stay). False when the name has under four letters: such
 * labels are numbers ("id_00017"), equal by accident. `out` holds strlen(name) + 1. */
bool fw_overlap_name(const char *name, char *out);

#endif
