/* vecindex: a searchable index over embeddings. The only user of the FAISS C API.
 *
 * Ids are row numbers, 0.. in the order in which rows were added. Similarity is the inner product (cosine, as rows are
 * unit length). Rows that are invalid are added as they are (all zeros), so that ids stay row numbers; they are never
 * returned by a search, but for indexes of rows in 8 bits ("SQ8"), which do not hold a zero: there they come with a
 * similarity near 0, and callers check. The file is FAISS's own: Python's faiss.read_index() reads it.
 *
 * FAISS errors come back as fw_err with FAISS's text. One fw_vecindex may be searched by one thread at a time; FAISS
 * spreads a batch over OpenMP's threads itself.
 */
#ifndef FW_VECINDEX_H
#define FW_VECINDEX_H

#include "vectors.h"

typedef struct fw_vecindex fw_vecindex;

/* The factory string for n rows: "Flat" while that is cheap, from FW_VECINDEX_FLAT rows "PQ<parts>x4fs,Refine(SQfp16)":
 * every row is scored by a code of half a bit per dimension or more, in registers, and the best REFINE times k are
 * ranked anew by the rows as fp16. So a search looks at all rows, and what it returns are cosines. Of more than 4 GiB of
 * them rows are held in 8 bits a dimension ("Refine(SQ8)"), and cosines are right to about .001, but for values that the
 * training rows never showed, which are clipped: 300,000 rows of tests/bench/bench_identify.c, 100 % and 99.8 % of the
 * mates at cosine .68 and .50, as with fp16 and by a full scan.
 * Product quantization:
 * Jegou, Douze, Schmid 2011; in registers: Andre, Kermarrec, Le Scouarnec, "Quicker ADC", 2019.
 *
 * Why no inverted lists: faces of a million people lie in no clusters. On the rows of tests/bench/bench_identify.c,
 * 300,000, one thread: 2190 lists, 1 in 16 searched, 2.1 ms, finds 86 % of the mates at cosine .68 and 56 % at .50; 8000
 * lists and as many rows, 6 ms, 98 % and 81 %; these codes, 1.6 ms, 100 % and 100 %. FAISS without AVX2 (Debian's own)
 * takes ten times as long for them, and as much longer for rows in lists.
 *
 * Written to `out` (at least 48 bytes); returns it. */
#define FW_VECINDEX_FLAT 50000
const char *fw_vecindex_default(size_t n, int dim, char *out, size_t room);

/* Make, train (lists by our own k-means, codes on at most 64 rows per list and 256 MiB of rows, spread evenly) and fill
 * an index with all rows of v. `factory` NULL: fw_vecindex_default(v->n, v->dim).
 * An index that refines ("...,Refine(...)", "...,RFlat") ranks 16 rows anew for each that is asked for; its file says so
 * too. */
FW_MUST_USE int fw_vecindex_build(const fw_vectors *v, const char *factory, fw_vecindex **out, fw_err *e);
/* Append rows first..v->n-1 of v (in blocks of bounded memory); their ids go on from fw_vecindex_count(). */
FW_MUST_USE int fw_vecindex_add(fw_vecindex *x, const fw_vectors *v, size_t first, fw_err *e);
FW_MUST_USE int fw_vecindex_save(const fw_vecindex *x, const char *path, fw_err *e);
FW_MUST_USE int fw_vecindex_load(const char *path, fw_vecindex **out, fw_err *e);
void fw_vecindex_free(fw_vecindex *x);

/* `count` queries (count x dim floats, unit length) -> id and sim, count x k each, best first. Missing places (fewer
 * than k rows found) have id -1 and sim -1. */
FW_MUST_USE int fw_vecindex_search(const fw_vecindex *x, const float *query, size_t count, int k, int64_t *id,
                                   float *sim, fw_err *e);
/* Search parameters in FAISS's words: "nprobe=16", "efSearch=64", comma-separated. */
FW_MUST_USE int fw_vecindex_tune(fw_vecindex *x, const char *params, fw_err *e);

size_t fw_vecindex_count(const fw_vecindex *x);
int fw_vecindex_dim(const fw_vecindex *x);
/* Inverted lists of an IVF index, which "nprobe" refers to; 0: it is none. */
size_t fw_vecindex_lists(const fw_vecindex *x);

#endif
