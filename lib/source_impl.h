/* source_impl: what the files source_*.c share; nobody else includes it.
 *
 * One file per format, each with a `const fw_scheme`. source.c picks one by the scheme in front of the first colon and
 * passes everything on. A format may keep an index in memory, at most 24 bytes per record, never names or pixels of the
 * whole set: where a record lies must be found again from its key alone, by any process, in any order.
 *
 * Calls. open and close: once. next: one thread. find, read and locate: any thread, also while another one is in next;
 * a format that fills its index as it goes locks it.
 */
#ifndef FW_SOURCE_IMPL_H
#define FW_SOURCE_IMPL_H

#include "source.h"

typedef struct fw_scheme {
    const char *scheme; /* "rec" */
    /* `path` as given, without the scheme. Sets s->spec and s->state; what it leaves behind on failure, close frees. */
    int (*open)(fw_source *s, const char *path, fw_err *e);
    /* 1: s->key and s->label are set, and *bytes and *mtime; 0: the end; -1: error. */
    int (*next)(fw_source *s, uint64_t *bytes, int64_t *mtime, fw_err *e);
    /* Size and time of one record, without reading it where that is cheap. */
    int (*find)(const fw_source *s, const char *key, uint64_t *bytes, int64_t *mtime, fw_err *e);
    int (*read)(const fw_source *s, const char *key, size_t max, char **bytes, size_t *n, fw_err *e);
    char *(*locate)(const fw_source *s, const char *key);
    int (*dim)(const fw_source *s);                     /* NULL, or the width of the embeddings that the records are */
    void (*close)(fw_source *s);                        /* also after a failed open; s->state may be NULL */
    char *(*file)(const fw_source *s, const char *key); /* NULL, or the path of a record that is a file of its own */
    /* NULL, or with s->along: the bytes of the record that next gave, FW_ALONG_MAX at most; by the thread of next */
    bool (*take)(fw_source *s, char **bytes, size_t *n);
    void (*along)(fw_source *s); /* NULL, or hand the wish on to other sources */
} fw_scheme;

struct fw_source {
    const fw_scheme *format;
    char *spec;
    fw_source_opts opts; /* texts owned */
    fw_buf key, label;   /* the current record */
    bool along;          /* the walk keeps what it reads for take */
    uint64_t skipped_files, skipped_links;
    void *state;
};

extern const fw_scheme fw_scheme_dir, fw_scheme_list, fw_scheme_rec, fw_scheme_tar, fw_scheme_zip, fw_scheme_tsv,
    fw_scheme_bin, fw_scheme_npy, fw_scheme_feat, fw_scheme_many;

/* "NAME=SCHEME:..." */
bool fw_source_is_named(const char *text);
/* A copy of `n` bytes with a NUL behind, by malloc; NULL when there is no memory. */
char *fw_copy_bytes(const void *bytes, size_t n);

/* A file that many threads read at given places. */
typedef struct fw_bytes {
    int fd; /* -1: not open */
    char *path;
    uint64_t size;
    int64_t mtime; /* ns */
} fw_bytes;
int fw_bytes_open(fw_bytes *f, const char *path, fw_err *e);
/* Exactly n bytes at `at`; the error names file and offset. */
int fw_bytes_read(const fw_bytes *f, uint64_t at, void *to, size_t n, fw_err *e);
void fw_bytes_close(fw_bytes *f);

/* A number as a decimal key writes it: digits only, no sign, no leading zeros. */
bool fw_key_number(const char *key, uint64_t *out);
/* Fail with "source 'SPEC': no record 'KEY'". */
int fw_no_record(const fw_source *s, const char *key, fw_err *e);
/* Real path of a regular file, or an error that names the spec; the caller frees with free(). */
char *fw_source_file_path(const char *scheme, const char *path, fw_err *e);
/* "FILE#KEY": where a record inside a file is; "" for key "" (there is no folder that a page could link into). */
char *fw_locate_inside(const char *file, const char *key);

#endif
