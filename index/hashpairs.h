/* hashpairs: pairs of rows whose 64-bit perceptual hashes nearly agree, in bounded time.
 *
 * Sort by the hash and look at a window of followers: rows that share the leading bits stand together. Repeating this
 * with the bits rotated by 0, 16, 32 and 48 finds pairs that differ anywhere but in 16 leading bits of one rotation
 * (M. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002, section 3). Work is
 * n x rotations x window, even when a million rows share one hash. The mirror image's hash is sorted in beside the
 * image's own, so mirrored copies meet too.
 */
#ifndef FW_HASHPAIRS_H
#define FW_HASHPAIRS_H

#include "../lib/base.h"

typedef struct fw_pair {
    uint32_t a, b; /* a < b */
    float cosine;  /* of the embeddings; NAN unless the finder of the pair sets it */
} fw_pair;

/* A growing list of pairs. Zero-initialise; release `pair` with fw_free. */
typedef struct fw_pairs {
    fw_pair *pair;
    size_t count, cap;
} fw_pairs;
void fw_pairs_add(fw_pairs *p, uint32_t x, uint32_t y);
/* Sort by (a, b) and drop repetitions. */
void fw_pairs_unique(fw_pairs *p);

typedef struct fw_hash_row {
    uint64_t hash[2]; /* of the image, of its mirror image */
    uint32_t row;
} fw_hash_row;

/* Append to `out` the pairs whose Hamming distance is at most `bits`, as far as the windows show them. Mirror images
 * are only compared with images, not with each other. */
void fw_hash_pairs(const fw_hash_row *rows, size_t n, int bits, fw_pairs *out);

#endif
