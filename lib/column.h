/* column: a flat typed array in a file, `rows` x `width` values, written by appending and read by mmap.
 *
 * On disk: a 64-byte header (magic "FWCOL\1", type, width, rows; little endian), then the values. The header is
 * written last, so a torn file has no magic and is refused. Opening checks magic, type, and that the size of the file
 * is exactly what the header says. Long runs of zeros are holes, which take no room on most file systems.
 *
 * A variable number of values per image is two columns: NAME (values) and NAME.off (uint64, images + 1 offsets).
 * Strings are such a pair with uint8 values (no NULs inside).
 */
#ifndef FW_COLUMN_H
#define FW_COLUMN_H

#include "base.h"
#include "hash.h"

typedef enum fw_dtype { FW_U8, FW_I8, FW_U16, FW_F16, FW_I32, FW_U32, FW_F32, FW_I64, FW_U64, FW_F64 } fw_dtype;
size_t fw_dtype_size(fw_dtype t);
const char *fw_dtype_name(fw_dtype t);

typedef struct fw_column {
    fw_dtype type;
    int width; /* values per row */
    size_t rows;
    const void *data; /* rows * width values, 64-byte aligned; NULL when rows is 0 */
    void *map;        /* private */
    size_t map_size;
} fw_column;

int fw_column_open(const char *path, fw_column *out, fw_err *e);
/* Same, and type and width must be these (width 0: any). */
int fw_column_open_as(const char *path, fw_dtype type, int width, fw_column *out, fw_err *e);
void fw_column_close(fw_column *c);
/* Its pages need not stay in memory now; they come back from the file when they are touched. */
void fw_column_release(const fw_column *c);
/* Is `off` (u64, width 1) the offsets of `rows` items into a column of `values` rows: from 0, ascending, to the end?
 * Ask before following them: a damaged file must not lead to a read outside of the map. */
bool fw_column_offsets_fit(const fw_column *off, size_t values, size_t rows);

/* Writer. Errors stick and come out of finish, which also frees the writer (use abandon instead to drop it). */
typedef struct fw_column_writer fw_column_writer;
fw_column_writer *fw_column_create(const char *path, fw_dtype type, int width, fw_err *e);
void fw_column_append(fw_column_writer *w, const void *rows, size_t count);
/* Flush, header, close; the commit of its folder brings it onto the disk (lib/store.h), or fw_fsync_path. `digest` (may
 * be NULL) receives the hash of the values. */
int fw_column_finish(fw_column_writer *w, fw_hash *digest, fw_err *e) FW_MUST_USE;
void fw_column_abandon(fw_column_writer *w);
/* create + append + finish */
int fw_column_save(const char *path, fw_dtype type, int width, const void *rows, size_t count, fw_err *e) FW_MUST_USE;

#endif
