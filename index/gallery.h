/* gallery: people enrolled for identification, as append-only segments on disk.
 *
 *   ROOT/GALLERY               text: "facewash gallery 1", then the recipe of its embeddings (settings, model digests)
 *   ROOT/segments/000001/      gallery.vec (f16 x dim), label and path (u8, each with .off); numbered without gaps
 *   ROOT/index/000001/         index.faiss over segments 1..1 (any number of segments), once there are many rows
 *   ROOT/tmp/                  segments in the making; what a killed process leaves here means nothing
 *
 * A segment is there or it is not: it is written and fsynced in tmp/, then renamed to the next free number. So a killed
 * enrolment loses at most the segment in the making, several processes may enrol at once, and who identifies meanwhile
 * sees whole segments only. Nothing is ever changed: new people cost their own rows, not a rebuild. Rows are numbered
 * through the segments in order.
 */
#ifndef FW_GALLERY_H
#define FW_GALLERY_H

#include "vectors.h"

/* Rows in a segment at most, and so what a kill can cost: as many photos as a shard holds, 20 seconds of two cores. */
#define FW_GALLERY_SEGMENT 4096

typedef struct fw_gallery fw_gallery;

/* Is there a gallery at `root`? */
bool fw_gallery_there(const char *root);
/* Make an empty one; the recipe is kept as it is. Nothing happens where one is already. */
int fw_gallery_create(const char *root, const char *recipe, fw_err *e) FW_MUST_USE;
/* Map what is there. Damaged segments are FW_EFAIL by name. */
int fw_gallery_open(const char *root, fw_gallery **out, fw_err *e) FW_MUST_USE;
void fw_gallery_close(fw_gallery *g); /* NULL is fine */

const char *fw_gallery_recipe(const fw_gallery *g);
size_t fw_gallery_rows(const fw_gallery *g);
size_t fw_gallery_segments(const fw_gallery *g);
const fw_vectors *fw_gallery_vectors(const fw_gallery *g); /* NULL when it is empty */
/* Not NUL-terminated, length in *n. */
const char *fw_gallery_label(const fw_gallery *g, size_t row, size_t *n);
const char *fw_gallery_path(const fw_gallery *g, size_t row, size_t *n);

/* Collects rows, seals them as one segment. */
typedef struct fw_gallery_batch fw_gallery_batch;
fw_gallery_batch *fw_gallery_batch_new(const char *root, int dim);
void fw_gallery_batch_add(fw_gallery_batch *b, const char *path, const char *label, const float *vec);
size_t fw_gallery_batch_rows(const fw_gallery_batch *b);
/* Commit what was collected (nothing: nothing happens) and be empty again. */
int fw_gallery_batch_seal(fw_gallery_batch *b, fw_err *e) FW_MUST_USE;
void fw_gallery_batch_free(fw_gallery_batch *b);

/* The FAISS index file that covers the most rows; *rows how many, NULL and 0: none. The caller frees. */
char *fw_gallery_index(const fw_gallery *g, size_t *rows);
/* Build and commit an index over all rows, if a full scan is no longer cheap and the newest index leaves out more than
 * an eighth of them: what it leaves out is added to it in memory at each start, which then takes a noticeable part of
 * the time that reading the index takes. */
int fw_gallery_refresh_index(const fw_gallery *g, fw_err *e) FW_MUST_USE;

#endif
