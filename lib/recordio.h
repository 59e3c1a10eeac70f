/* recordio: MXNet's RecordIO, read at any place and written.
 *
 * A file is a chain of parts, each  magic 0xced7230a | cflag (3 bits) and length (29 bits) | bytes | 0..3 zeros, little
 * endian, at multiples of 4. A record is one part (cflag 0), or several (1, 2 ..., 3): where the bytes of a record hold
 * the magic itself at a multiple of 4, it is left out and the record is cut there, so that no magic ever stands inside
 * a part. Whoever reads puts it back. (dmlc-core, include/dmlc/recordio.h, is the reference.)
 *
 * A record of a face set begins with MXNet's IRHeader, 24 bytes: flag u32, label f32, id u64, id2 u64. With flag > 0
 * that many f32 labels follow and `label` is unused. Then the image's file as it was. InsightFace adds records without
 * an image: number 0 (two labels: the first number that is no image, the number behind the last identity) and one per
 * identity (two labels: its first image, and the one behind its last).
 */
#ifndef FW_RECORDIO_H
#define FW_RECORDIO_H

#include "base.h"

#define FW_REC_MAGIC  0xced7230au
#define FW_REC_HEADER 24
#define FW_REC_PART   ((size_t)(1u << 29) - 1) /* longest part */

/* Where the next bytes come from: exactly n bytes at `at`, or an error that names file and offset. */
typedef int fw_rec_read_fn(void *user, uint64_t at, void *to, size_t n, fw_err *e);
typedef struct fw_rec_file {
    fw_rec_read_fn *read;
    void *user;
    const char *name;
    uint64_t size;
} fw_rec_file;

typedef struct fw_rec_part {
    unsigned flag; /* cflag 0..3 */
    uint32_t bytes;
    uint64_t data, next; /* offsets of the bytes and of the next part */
} fw_rec_part;

/* What stands in front of a record's image. */
typedef struct fw_rec_info {
    uint32_t labels; /* 0: a scalar label */
    float label;     /* the scalar, or the first of the array */
    uint64_t id;
    uint64_t bytes; /* of the image behind it; 0: a header or identity record */
    uint64_t next;  /* offset of the next record */
} fw_rec_info;

/* One part's head at `at`. Checks magic, flag and that it ends inside the file. */
int fw_rec_part_at(const fw_rec_file *f, uint64_t at, fw_rec_part *p, fw_err *e);
/* A record's IRHeader, and its sizes; reads some 36 bytes of a record in one part. */
int fw_rec_info_at(const fw_rec_file *f, uint64_t at, fw_rec_info *out, fw_err *e);
/* The image of the record at `at`, at most `max` bytes; the caller frees *bytes. `guess`: how long the record may be
 * with its head, 0 when that is not known; one that is right saves a read. */
int fw_rec_image_at(const fw_rec_file *f, uint64_t at, size_t guess, size_t max, char **bytes, size_t *n, fw_err *e);

/* Append to `out` one record: IRHeader with `labels` labels (1: as a scalar), then the image. */
int fw_rec_encode(fw_buf *out, const float *label, uint32_t labels, uint64_t id, const void *image, size_t n,
                  fw_err *e);

#endif
