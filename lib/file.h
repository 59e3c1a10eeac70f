/* file: whole files, folders, and writes that a crash cannot tear.
 *
 * Every write is checked (short writes, ENOSPC at close). fw_file_write replaces a file atomically: temporary name in
 * the same folder, write, fsync, rename, fsync of the folder. Disk full is FW_EAGAIN.
 */
#ifndef FW_FILE_H
#define FW_FILE_H

#include "base.h"

int fw_mkdirs(const char *path, fw_err *e); /* mkdir -p; an existing folder is fine */
bool fw_exists(const char *path);
bool fw_is_dir(const char *path);

/* Read a whole file; the caller frees *out. More than `max` bytes is an error. A NUL follows the last byte. */
int fw_file_read(const char *path, size_t max, char **out, size_t *n, fw_err *e);
int fw_file_write(const char *path, const void *bytes, size_t n, fw_err *e);

int fw_fsync_path(const char *path, fw_err *e); /* file or folder */
/* Remove a folder with all in it. Missing is fine. Never follows links. */
int fw_remove_tree(const char *path, fw_err *e);

/* Names in a folder without . and .., sorted by bytes. Free with fw_names_free. */
typedef struct fw_names {
    char **name;
    size_t n, cap;
} fw_names;
int fw_list_dir(const char *path, fw_names *out, fw_err *e);
void fw_names_add(fw_names *n, const char *name);
void fw_names_free(fw_names *n);

/* A checked buffered writer for text outputs. fw_out_close flushes, fsyncs and reports any earlier error.
 * Errors stick: after the first one, writes are ignored and close returns it. */
typedef struct fw_outfile fw_outfile;
fw_outfile *fw_out_open(const char *path, fw_err *e);
void fw_out_write(fw_outfile *o, const void *bytes, size_t n);
void fw_out_puts(fw_outfile *o, const char *s);
void fw_out_printf(fw_outfile *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int fw_out_close(fw_outfile *o, fw_err *e) FW_MUST_USE;

#endif
