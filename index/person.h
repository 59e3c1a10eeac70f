/* person: what audit and identity share: rows by label, agglomeration inside one label, size-aware centroid similarity.
 *
 * Average link. Two groups are as similar as the mean of all their cross pairs. It is the linkage that tolerates a bad
 * photo (single link chains through one look-alike, complete link falls apart on one blurred photo). Computed exactly
 * by the nearest-neighbour chain (F. Murtagh, "A survey of recent advances in hierarchical clustering algorithms",
 * 1983): O(m^2) time, in place in an m x m matrix; the caller bounds m (audit: blocks of 1,024 rows, 4 MB).
 */
#ifndef FW_PERSON_H
#define FW_PERSON_H

#include "vectors.h"

#define FW_NONE UINT32_MAX

/* Rows grouped by label, ascending inside each: label l's rows are row[off[l]] .. row[off[l+1]-1]. Invalid rows are
 * left out, and so are rows whose label is FW_NONE. */
typedef struct fw_groups {
    size_t labels;
    size_t *off;   /* labels + 1 */
    uint32_t *row; /* off[labels] */
} fw_groups;
void fw_groups_build(fw_groups *g, const fw_vectors *v, const uint32_t *label, size_t labels);
void fw_groups_free(fw_groups *g);

/* Average-link clusters of m items at `threshold`. `sim` is m x m, symmetric, overwritten. cluster[i] becomes 0..k-1,
 * numbered by first member; returns k. Equal similarities prefer the lower index: the result is a function of `sim`. */
size_t fw_average_link(float *sim, size_t m, float threshold, uint32_t *cluster);

/* Gram matrix of m rows of x (m x dim, unit length): out is m x m. */
void fw_gram(const float *x, size_t m, int dim, float *out);
/* out[i*nb + j] = <a_i, b_j>; a is na x dim, b is nb x dim. */
void fw_products(const float *a, size_t na, const float *b, size_t nb, int dim, float *out);

#endif
