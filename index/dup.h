/* dup: copies and near-copies of the same photo.
 *
 * Candidates, a bounded number per row and never all pairs:
 *   - equal content hashes (exact copies);
 *   - the first FW_DUP_NEIGHBOURS neighbours in the kNN graph whose cosine is at least `cos_bound`, a value that
 *     unrelated faces hardly reach (index/calib.h): edits of a photo leave the face recognisable;
 *   - rows that stand close together when sorted by a perceptual hash (Charikar 2002: sort by several rotations of the
 *     bits, look at a window), for photos without a face, or where another face was taken as the target.
 * Evidence is the registered comparison of signatures (index/photo.h) plus the embedding's cosine: a copy keeps both
 * the scene's details and the expression, a second frame of a burst loses one of them.
 *
 * Groups. Accepted pairs are joined strongest first. Two groups join only if their first members also compare as nearly
 * the same photo, so that a chain of similar frames does not grow into one group. In each group one image is kept: best
 * quality, then most pixels, then lowest row. Everything is decided by row numbers and values, so the result does not
 * depend on threads.
 */
#ifndef FW_DUP_H
#define FW_DUP_H

#include "../lib/signature.h"
#include "graph.h"
#include "vectors.h"

#define FW_DUP_NEIGHBOURS 16

typedef struct fw_dup_input {
    size_t n;
    const fw_vectors *vectors; /* n rows, or NULL: signatures alone decide */
    const fw_graph *graph;     /* n rows, or NULL */
    /* The signature of a row, aligned to 8, or NULL when it has none. Called from several threads. */
    const fw_signature *(*signature)(const void *context, size_t row);
    const void *context;
    const uint64_t (*hash)[2]; /* content hashes; all zero: not a candidate for exact; or NULL */
    const float *quality;      /* or NULL */
    const int32_t *size;       /* n x 2: width, height of the original; or NULL */
    const uint32_t *label;     /* or NULL */
    const uint8_t *alive;      /* 0: the row takes no part; or NULL */
    double cos_bound;
} fw_dup_input;

enum fw_copy_kind { FW_COPY_EXACT = 1, FW_COPY_NEAR = 2 }; /* as in column dedupe.kind, where 0 is "none" */

typedef struct fw_dup_row {
    uint32_t row, group; /* groups are numbered 0.. by their kept image's row */
    float similarity;    /* 0..1: correlation with the group's kept image after registration; exact copies 1 */
    uint8_t kind;        /* EXACT: the same bytes as the kept image (the kept image: as some other one) */
    uint8_t kept;
    uint8_t cross; /* the group holds more than one label: evidence that one of them is wrong */
} fw_dup_row;

typedef struct fw_dups {
    fw_dup_row *row; /* by group; within one the kept image first, then by row */
    size_t count, groups;
    size_t compared; /* candidate pairs looked at */
} fw_dups;

/* FW_ESTOP when asked to stop. Free *out with fw_dups_free. */
FW_MUST_USE int fw_dup_find(const fw_dup_input *in, fw_dups **out, fw_err *e);
void fw_dups_free(fw_dups *d);

/* The verdict on one pair: > 0 means the same photo. `cosine`: of the embeddings, or NAN when one has none. */
double fw_dup_margin(const fw_signature *a, const fw_signature *b, double cosine, float *correlation);

#endif
