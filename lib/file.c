#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int fw_mkdirs(const char *path, fw_err *e)
{
    char *copy = fw_strdup(path);
    int rc = FW_OK;
    for (char *p = copy + 1; !rc; p++) {
        if (*p && *p != '/') continue;
        char keep = *p;
        *p = 0;
        if (mkdir(copy, 0777) && errno != EEXIST) rc = fw_fail_errno(e, "make folder '%s'", copy);
        *p = keep;
        if (!keep) break;
    }
    if (!rc && !fw_is_dir(path)) rc = fw_fail(e, FW_EFAIL, "make folder '%s': something else has that name", path);
    fw_free(copy);
    return rc;
}

bool fw_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool fw_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int read_all(int fd, const char *path, size_t want, char *to, size_t *n, fw_err *e)
{
    size_t at = 0;
    while (at < want) {
        ssize_t r = read(fd, to + at, want - at);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return fw_fail_errno(e, "read '%s'", path);
        if (r == 0) break; /* the file shrank meanwhile: what is there is the file */
        at += (size_t)r;
    }
    *n = at;
    return FW_OK;
}

int fw_file_read(const char *path, size_t max, char **out, size_t *n, fw_err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a FIFO must not hang us */
    if (fd < 0) return fw_fail_errno(e, "open '%s'", path);
    int rc = FW_OK;
    char *bytes = NULL;
    if (fstat(fd, &st))
        rc = fw_fail_errno(e, "stat '%s'", path);
    else if (!S_ISREG(st.st_mode))
        rc = fw_fail(e, FW_EFAIL, "read '%s': not a regular file", path);
    else if ((uint64_t)st.st_size > max)
        rc = fw_fail(e, FW_EFAIL, "read '%s': %llu bytes, more than the limit of %zu", path,
                     (unsigned long long)st.st_size, max);
    else {
        bytes = malloc((size_t)st.st_size + 1); /* not zeroed first: photos are read at full disk speed */
        if (!bytes)
            rc = fw_fail(e, FW_EAGAIN, "read '%s': out of memory", path);
        else
            rc = read_all(fd, path, (size_t)st.st_size, bytes, n, e);
    }
    close(fd);
    if (rc) {
        free(bytes);
        return rc;
    }
    bytes[*n] = 0;
    *out = bytes;
    return FW_OK;
}

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t w = write(fd, bytes, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return -1;
        bytes += w;
        n -= (size_t)w;
    }
    return 0;
}

static int fsync_parent(const char *path, fw_err *e)
{
    char *dir = fw_strdup(path), *slash = strrchr(dir, '/');
    if (slash == dir)
        slash[1] = 0;
    else if (slash)
        *slash = 0;
    int rc = fw_fsync_path(slash ? dir : ".", e);
    fw_free(dir);
    return rc;
}

int fw_file_write(const char *path, const void *bytes, size_t n, fw_err *e)
{
    char *temp = fw_format("%s.tmp.%ld", path, (long)getpid());
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), rc = FW_OK;
    if (fd < 0)
        rc = fw_fail_errno(e, "create '%s'", temp);
    else {
        if (write_all(fd, bytes, n) || fsync(fd)) rc = fw_fail_errno(e, "write '%s'", temp);
        if (close(fd) && !rc) rc = fw_fail_errno(e, "close '%s'", temp);
        if (!rc && rename(temp, path)) rc = fw_fail_errno(e, "rename '%s' to '%s'", temp, path);
        if (rc) unlink(temp);
        if (!rc) rc = fsync_parent(path, e);
    }
    fw_free(temp);
    return rc;
}

int fw_fsync_path(const char *path, fw_err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fw_fail_errno(e, "open '%s' to fsync it", path);
    int rc = FW_OK;
    if (fsync(fd) && errno != EINVAL) rc = fw_fail_errno(e, "fsync '%s'", path); /* EINVAL: not a thing to sync */
    close(fd);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    FW_UNUSED(st);
    FW_UNUSED(type);
    FW_UNUSED(at);
    return remove(path);
}

int fw_remove_tree(const char *path, fw_err *e)
{
    if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
        return fw_fail_errno(e, "remove '%s'", path);
    return FW_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int fw_list_dir(const char *path, fw_names *out, fw_err *e)
{
    *out = (fw_names){0};
    DIR *d = opendir(path);
    if (!d) return fw_fail_errno(e, "list folder '%s'", path);
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(d))) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) fw_names_add(out, entry->d_name);
        errno = 0;
    }
    int rc = errno ? fw_fail_errno(e, "list folder '%s'", path) : FW_OK;
    closedir(d);
    if (rc)
        fw_names_free(out);
    else if (out->n)
        qsort(out->name, out->n, sizeof *out->name, by_bytes);
    return rc;
}

void fw_names_add(fw_names *n, const char *name)
{
    fw_reserve(&n->name, &n->cap, n->n + 1, sizeof *n->name);
    n->name[n->n++] = fw_strdup(name);
}

void fw_names_free(fw_names *n)
{
    for (size_t i = 0; i < n->n; i++) fw_free(n->name[i]);
    fw_free(n->name);
    *n = (fw_names){0};
}

struct fw_outfile {
    int fd;
    char *path;
    size_t used;
    fw_err err;
    char buffer[1 << 16];
};

fw_outfile *fw_out_open(const char *path, fw_err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        fw_fail_errno(e, "create '%s'", path);
        return NULL;
    }
    fw_outfile *o = FW_NEW(fw_outfile);
    o->fd = fd;
    o->path = fw_strdup(path);
    return o;
}

static void flush(fw_outfile *o)
{
    if (!o->err.code && write_all(o->fd, o->buffer, o->used)) fw_fail_errno(&o->err, "write '%s'", o->path);
    o->used = 0;
}

void fw_out_write(fw_outfile *o, const void *bytes, size_t n)
{
    if (n > sizeof o->buffer - o->used) flush(o);
    if (n > sizeof o->buffer) {
        if (!o->err.code && write_all(o->fd, bytes, n)) fw_fail_errno(&o->err, "write '%s'", o->path);
        return;
    }
    memcpy(o->buffer + o->used, bytes, n);
    o->used += n;
}

void fw_out_puts(fw_outfile *o, const char *s)
{
    fw_out_write(o, s, strlen(s));
}

void fw_out_printf(fw_outfile *o, const char *fmt, ...)
{
    char text[512];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof text)
        fw_out_write(o, text, (size_t)n);
    else if (n >= 0) {
        char *big = fw_alloc((size_t)n + 1, 1);
        vsnprintf(big, (size_t)n + 1, fmt, again);
        fw_out_write(o, big, (size_t)n);
        fw_free(big);
    }
    va_end(again);
}

int fw_out_close(fw_outfile *o, fw_err *e)
{
    flush(o);
    if (!o->err.code && fsync(o->fd)) fw_fail_errno(&o->err, "fsync '%s'", o->path);
    if (close(o->fd)) fw_fail_errno(&o->err, "close '%s'", o->path);
    int rc = o->err.code ? fw_fail(e, o->err.code, "%s", o->err.msg) : FW_OK;
    fw_free(o->path);
    fw_free(o);
    return rc;
}
