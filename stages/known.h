/* known: results of images that the workspace has seen before under another name.
 *
 * What shard stages make of an image depends on its bytes alone. So a photo that was renamed, moved to another folder
 * or copied needs no second look: its rows are taken over from the shard that has them (a "donor": every stage of the
 * pass is done there, with the same settings and models). The same bytes result as from looking again.
 * Except for a photo that could not be read: that may have been the disk and not the content, so it is looked at again.
 *
 * Memory: 24 bytes per row of the donors while a pass runs, and up to FW_DONORS mapped shards.
 */
#ifndef FW_KNOWN_H
#define FW_KNOWN_H

#include "run.h"

#define FW_DONORS  64 /* shards mapped at once; renamed photos mostly come in the order that they had */
#define FW_COLUMNS 64 /* columns of one pass at most */

typedef struct fw_known fw_known;

/* Rows of all shards in which stages first..last are done. NULL: there are none. */
fw_known *fw_known_new(fw_run *r, size_t first, size_t last);
void fw_known_free(fw_known *k); /* NULL is fine */

/* Where content `h` was seen (of several the first shard's first row). Content 0 (an unreadable file) is never known.
 */
typedef struct fw_seen {
    uint32_t shard, row;
} fw_seen;
bool fw_known_find(const fw_known *k, fw_hash h, fw_seen *out);

/* What a column of that shard holds for that row: *rows of them, *data NULL where there are none (a blob that is
 * absent). `at` is the caller's number of the column, below FW_COLUMNS and always the same for the same column. Valid
 * until the next call. FW_EFAIL: the donor is damaged. Not for several threads at once. */
int fw_known_get(fw_known *k, fw_seen where, int at, const fw_output *decl, int width, const void **data, size_t *rows,
                 fw_err *e) FW_MUST_USE;

#endif
