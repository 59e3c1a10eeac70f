/* source: where images come from. One interface over folders, lists, RecordIO, archives, TSV, benchmark sets and
 * embeddings; each is read in place: nothing is unpacked, and the bytes of a record are those that were put in.
 *
 *   dir:PATH    every image file below PATH; label = the folder that holds it, relative to PATH ("" directly in PATH)
 *   list:FILE   lines "path TAB label"; paths relative to FILE's folder (or absolute); \xNN and \\ as in lib/text.h
 *   list:FILE@SRC   the same, but the first field is a key of SRC (any of these): someone else's labels for its records
 *   rec:FILE    MXNet RecordIO (FILE.rec and its .idx): source_rec.c
 *   tar:GLOB, zip:GLOB   archives of identity folders, or WebDataset shards: source_archive.c
 *   tsv:FILE    MS-Celeb-1M: columns with a base64 image, plain or compressed: source_tsv.c
 *   bin:FILE    an InsightFace verification set: source_bin.h
 *   npy:FILE,LABELS  feat:FILE,META   embeddings instead of photos: source_vectors.c
 *   NAME=SRC    (several, a line each) one dataset from several sources; keys and labels begin with "NAME/"
 *   PATH        guessed: a folder is dir:, a file goes by the end of its name, else it is list:
 *
 * A record has a key (`path`): the file's path, the index number of a rec, the member path in an archive, the line
 * number or the key column of a TSV. fw_source_next walks the records in an order that depends only on the data (names
 * in byte order, or as they stand in the file). fw_source_read fetches one record by its key and is safe from several
 * threads, during the walk too; it never needs the walk. Keys are bytes: any but NUL.
 *
 * Memory: one folder's names per level (dir), nothing (list), 8..24 bytes per record (the others), plus the records in
 * hand. Headers are not believed: a size is checked against the file and against `max` before memory is asked for.
 */
#ifndef FW_SOURCE_H
#define FW_SOURCE_H

#include "base.h"

typedef struct fw_record {
    const char *path;  /* the key; valid until the next call */
    const char *label; /* "" when unlabelled; same lifetime */
    uint64_t bytes;    /* size of the record, 0 if it is missing */
    int64_t mtime;     /* ns since the epoch: size and mtime unchanged means: not read again */
} fw_record;

typedef struct fw_source_opts {
    bool outside_links;    /* dir: follow symbolic links that leave the source */
    bool no_labels;        /* every label is "" */
    const char *tar_field; /* tar, zip: field of KEY.json that holds the label; NULL: "label" */
    const char *tsv_key;   /* tsv: columns of the key, "1,2,5", joined by '/'; NULL or "0": the line number */
    int tsv_label;         /* tsv: column of the label, from 1; -1: none; 0: the default, 1 */
    int tsv_image;         /* tsv: column of the image; 0: the last */
} fw_source_opts;

typedef struct fw_source fw_source;
/* Texts in `o` are copied. */
fw_source *fw_source_open(const char *spec, const fw_source_opts *o, fw_err *e);
void fw_source_close(fw_source *s);

/* 1: *r is the next record; 0: the end; -1: error in *e. */
int fw_source_next(fw_source *s, fw_record *r, fw_err *e);
/* Before the walk, by a caller who wants the bytes of every record in its order: what is read forward anyway is kept
 * for fw_source_take, so that an archive is read once, in large pieces, and decompressed once. */
void fw_source_along(fw_source *s);
#define FW_ALONG_MAX ((size_t)1 << 20) /* bytes of a record that is kept */
/* After next: the bytes of its record, the caller frees them; false: they are not at hand, fw_source_read has them. */
bool fw_source_take(fw_source *s, char **bytes, size_t *n);
/* What the walk passed over so far: files without an image's extension, links that leave the source or lead nowhere. */
void fw_source_skipped(const fw_source *s, uint64_t *files, uint64_t *links);

/* All bytes of a record, at most `max`; the caller frees *bytes. A missing or too large record is an error in *e. */
int fw_source_read(const fw_source *s, const char *path, size_t max, char **bytes, size_t *n, fw_err *e);
/* Size and time of a record. */
int fw_source_find(const fw_source *s, const char *path, uint64_t *bytes, int64_t *mtime, fw_err *e);
/* Where a record lies (for "show me the original"): a path, or "FILE#KEY" inside a file; the caller frees. */
char *fw_source_locate(const fw_source *s, const char *path);
/* The path of a record that is a file of its own (it can be linked to), else NULL; the caller frees. */
char *fw_source_file(const fw_source *s, const char *path);
/* Canonical form, "dir:/data/lfw": what the workspace remembers. Borrowed. */
const char *fw_source_spec(const fw_source *s);
/* 0: the records are images. Else they are embeddings of this many dimensions, each a fw_vector_record. */
int fw_source_dim(const fw_source *s);

/* An embedding as a record: FW_VECTOR_MAGIC (12 bytes), the dimension as u32, that many float32, L2-normalised; in the
 * byte order of the machine. No image begins like that. */
#define FW_VECTOR_MAGIC                                                                                                \
    "\x89"                                                                                                             \
    "FWVECTOR\r\n\x1a"
#define FW_VECTOR_HEAD 16
#define FW_VECTOR_MAX  4096 /* dimensions */
/* The values (copied to `out`, room for FW_VECTOR_MAX) and their number, or 0 when the bytes are no such record. */
int fw_vector_record(const char *bytes, size_t n, float *out);
/* Does the text begin with "SCHEME:" of a format that is read here? */
bool fw_source_has_scheme(const char *text);
/* Does the name end like an image's? Formats that cannot be decoded count too, so that the report can say `unsupported`
 * instead of nothing. */
bool fw_image_name(const char *name);

#endif
