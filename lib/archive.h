/* archive: tar and zip files, and compressed streams (the only user of libarchive).
 *
 * Reading goes forward from any place where a member begins: in a plain tar or a zip, `offset` of a member is such a
 * place, so one member is read without its neighbours. In a compressed tar there is only the beginning.
 * One fw_archive belongs to one thread; any number may read the same file.
 */
#ifndef FW_ARCHIVE_H
#define FW_ARCHIVE_H

#include "base.h"

typedef enum {
    FW_ARCHIVE_TAR, /* ustar, pax, GNU; plain or gzip, bzip2, xz, zstd, lz4 */
    FW_ARCHIVE_ZIP, /* by the local headers, as they follow each other; stored, deflate, bzip2 */
    FW_ARCHIVE_RAW  /* no members: the bytes of a file, decompressed */
} fw_archive_kind;

typedef struct fw_member {
    const char *path; /* bytes as stored; valid until the next call */
    bool file;        /* a regular file (not a folder, link or device) */
    uint64_t offset;  /* where to open again to read it first; meaningless when compressed */
    uint64_t bytes;   /* 0 when the header does not say (zip written to a pipe) */
} fw_member;

typedef struct fw_archive fw_archive;
/* Begin at `offset` of the file (0: its start). */
fw_archive *fw_archive_open(const char *path, fw_archive_kind kind, uint64_t offset, fw_err *e);
void fw_archive_close(fw_archive *a);
/* Begin again at another place of the same file: much cheaper than to open it. `expect`: bytes that will be asked for,
 * so that no more are read; 0: many. After an error the archive can only be closed, or begun again. */
int fw_archive_restart(fw_archive *a, uint64_t offset, uint64_t expect, fw_err *e);
/* 1: *m is the next member; 0: the end; -1: damaged, the message names file and offset. */
int fw_archive_next(fw_archive *a, fw_member *m, fw_err *e);
/* All bytes of the member that next gave, at most `max`; the caller frees *bytes. */
int fw_archive_read(fw_archive *a, size_t max, char **bytes, size_t *n, fw_err *e);
/* RAW: up to n bytes more; *got 0: the end. */
int fw_archive_stream(fw_archive *a, void *to, size_t n, size_t *got, fw_err *e);
/* Is there a compression around the archive? Known after the first next (RAW: after open). */
bool fw_archive_compressed(const fw_archive *a);

/* Write a plain tar (pax headers only for names that need them), every member with the same time and owner: the same
 * images give the same bytes. Errors stick and come out of close. */
typedef struct fw_tar_out fw_tar_out;
fw_tar_out *fw_tar_create(const char *path, fw_err *e);
void fw_tar_add(fw_tar_out *t, const char *path, const void *bytes, size_t n);
int fw_tar_close(fw_tar_out *t, fw_err *e) FW_MUST_USE; /* fsync too; frees */

#endif
