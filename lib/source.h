/* source: where images come from. One interface over folders, lists and (later) archives.
 *
 *   dir:PATH   every image file below PATH; label = the folder that holds it, relative to PATH ("" directly in PATH)
 *   list:FILE  lines "path TAB label"; paths relative to FILE's folder (or absolute); \xNN and \\ as in lib/text.h
 *   PATH       guessed: a folder is dir:, a file is list:
 *
 * fw_source_next walks the records in an order that depends only on the names (byte order, folder by folder), holding one
 * folder's names per level: memory does not grow with the dataset. fw_source_read fetches one record by its path and is
 * safe from several threads; it never needs the walk. Names are bytes: any but NUL and '/' are accepted.
 */
#ifndef FW_SOURCE_H
#define FW_SOURCE_H

#include "base.h"

typedef struct fw_record {
    const char *path;  /* relative to the source; valid until the next call */
    const char *label; /* "" when unlabelled; same lifetime */
    uint64_t bytes;    /* size on disk, 0 if it is missing */
    int64_t mtime;     /* ns since the epoch: size and mtime unchanged means: not read again */
} fw_record;

typedef struct fw_source_opts {
    bool outside_links; /* follow symbolic links that leave the source */
    bool no_labels;     /* every label is "" */
} fw_source_opts;

typedef struct fw_source fw_source;
fw_source *fw_source_open(const char *spec, const fw_source_opts *o, fw_err *e);
void fw_source_close(fw_source *s);

/* 1: *r is the next record; 0: the end; -1: error in *e. */
int fw_source_next(fw_source *s, fw_record *r, fw_err *e);
/* What the walk passed over so far: files without an image's extension, links that leave the source or lead nowhere. */
void fw_source_skipped(const fw_source *s, uint64_t *files, uint64_t *links);

/* All bytes of a record, at most `max`; the caller frees *bytes. A missing or too large record is an error in *e. */
int fw_source_read(const fw_source *s, const char *path, size_t max, char **bytes, size_t *n, fw_err *e);
/* Where a record lies on disk (for "show me the original"); the caller frees. */
char *fw_source_locate(const fw_source *s, const char *path);
/* Canonical form, "dir:/data/lfw": what the workspace remembers. Borrowed. */
const char *fw_source_spec(const fw_source *s);

#endif
