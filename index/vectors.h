/* vectors: a read-only view of N embeddings that lie as fp16 rows in several mmapped chunks (one per shard).
 *
 * Every embedding is L2-normalised, so a dot product is the cosine similarity, -1..1. A row whose image has no usable
 * embedding is all zeros and `valid[row]` is 0; such rows take part in nothing. Rows are numbered 0..n-1 through the
 * chunks in order. The view borrows all memory; fw_vectors_free only frees its own tables.
 */
#ifndef FW_VECTORS_H
#define FW_VECTORS_H

#include "../lib/half.h"

typedef struct fw_vectors {
    size_t n;               /* rows in all */
    int dim;                /* components per row (64..4096) */
    size_t chunks;          /* number of chunks */
    const uint16_t **chunk; /* chunk[c]: IEEE half floats, row-major, dim per row */
    size_t *base;           /* base[c]: first row of chunk c; base[chunks] == n */
    const uint8_t *valid;   /* n bytes, or NULL: all valid */
    const uint8_t *bin;     /* centred views: n, which centre is taken out of a row; else NULL */
    const float *centre;    /* and the centres, dim floats each */
} fw_vectors;

/* fp16 bits of row `row` (dim values), as they are stored. */
const uint16_t *fw_vectors_half(const fw_vectors *v, size_t row);
/* Row `row` widened to `out` (dim floats, any alignment); of a centred view: less its centre, at unit length again. */
void fw_vectors_get(const fw_vectors *v, size_t row, float *out);
/* Rows first..first+count-1 widened to `out` (count x dim). */
void fw_vectors_block(const fw_vectors *v, size_t first, size_t count, float *out);
bool fw_vectors_valid(const fw_vectors *v, size_t row);
size_t fw_vectors_usable(const fw_vectors *v); /* how many rows are */
/* A hint that the row will be read soon: rows in no order come from memory one by one otherwise. */
void fw_vectors_prefetch(const fw_vectors *v, size_t row);
static inline void fw_prefetch_half(const uint16_t *x, int dim)
{
    for (int d = 0; d < dim; d += 32) __builtin_prefetch(x + d); /* 64 bytes */
}

/* One contiguous chunk of n x dim fp16 (for tests and tools). `valid` may be NULL. */
fw_vectors *fw_vectors_wrap(const uint16_t *half, size_t n, int dim, const uint8_t *valid);
/* Several chunks; the pointer and row-count arrays are copied. */
fw_vectors *fw_vectors_chunks(const uint16_t *const *chunk, const size_t *rows, size_t chunks, int dim,
                              const uint8_t *valid);
/* The same rows, each less centre[bin[row]]; borrows both and all of `v`, which must outlive it. */
fw_vectors *fw_vectors_centred(const fw_vectors *v, const uint8_t *bin, const float *centre);
void fw_vectors_free(fw_vectors *v);

float fw_dot(const float *a, const float *b, int dim);
/* Scale to unit length; returns the old norm (0: left as it is). */
float fw_normalise(float *v, int dim);

#endif
