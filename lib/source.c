#include "file.h"
#include "source_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const fw_scheme *const formats[] = {&fw_scheme_dir, &fw_scheme_list, &fw_scheme_rec,
                                           &fw_scheme_tar, &fw_scheme_zip,  &fw_scheme_tsv,
                                           &fw_scheme_bin, &fw_scheme_npy,  &fw_scheme_feat};

static const fw_scheme *by_scheme(const char *text)
{
    const char *colon = strchr(text, ':');
    for (size_t i = 0; colon && i < FW_COUNT(formats); i++)
        if (strlen(formats[i]->scheme) == (size_t)(colon - text) &&
            !strncmp(formats[i]->scheme, text, (size_t)(colon - text)))
            return formats[i];
    return NULL;
}

bool fw_source_has_scheme(const char *text)
{
    return by_scheme(text) != NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && !strcasecmp(text + n - m, end);
}

/* A bare path: a folder, or a file whose name tells; anything else is a list. */
static const fw_scheme *guess(const char *path)
{
    static const struct {
        const char *end;
        const fw_scheme *format;
    } known[] = {{".rec", &fw_scheme_rec},     {".tar", &fw_scheme_tar},     {".tar.gz", &fw_scheme_tar},
                 {".tgz", &fw_scheme_tar},     {".tar.zst", &fw_scheme_tar}, {".tar.xz", &fw_scheme_tar},
                 {".tar.bz2", &fw_scheme_tar}, {".zip", &fw_scheme_zip},     {".bin", &fw_scheme_bin},
                 {".tsv", &fw_scheme_tsv},     {".tsv.gz", &fw_scheme_tsv},  {".tsv.zst", &fw_scheme_tsv}};
    if (fw_is_dir(path)) return &fw_scheme_dir;
    for (size_t i = 0; i < FW_COUNT(known); i++)
        if (ends_with(path, known[i].end)) return known[i].format;
    return &fw_scheme_list;
}

/* NAME=SRC, or several lines of which the second at least begins like a source. */
static bool is_several(const char *spec)
{
    const char *next = strchr(spec, '\n');
    return fw_source_is_named(spec) || (next && (fw_source_has_scheme(next + 1) || fw_source_is_named(next + 1)));
}

fw_source *fw_source_open(const char *spec, const fw_source_opts *o, fw_err *e)
{
    fw_source *s = FW_NEW(fw_source);
    const fw_scheme *f = by_scheme(spec);
    s->opts = *o;
    s->opts.tar_field = o->tar_field ? fw_strdup(o->tar_field) : NULL;
    s->opts.tsv_key = o->tsv_key ? fw_strdup(o->tsv_key) : NULL;
    fw_buf_puts(&s->key, "");
    fw_buf_puts(&s->label, "");
    if (is_several(spec)) f = NULL;
    s->format = f ? f : is_several(spec) ? &fw_scheme_many : guess(spec);
    const bool nothing = !f && s->format == &fw_scheme_list && !strchr(spec, '@') && !fw_exists(spec);
    if (nothing)
        fw_fail(e, FW_EUSAGE, "open source '%s': no such file or folder", spec);
    else if (!s->format->open(s, f ? strchr(spec, ':') + 1 : spec, e))
        return s;
    fw_source_close(s);
    return NULL;
}

void fw_source_close(fw_source *s)
{
    if (!s) return;
    s->format->close(s);
    fw_free((void *)s->opts.tar_field);
    fw_free((void *)s->opts.tsv_key);
    fw_free(s->spec);
    fw_buf_free(&s->key);
    fw_buf_free(&s->label);
    fw_free(s);
}

int fw_source_next(fw_source *s, fw_record *r, fw_err *e)
{
    *r = (fw_record){0};
    s->key.len = s->label.len = 0;
    fw_buf_puts(&s->key, "");
    fw_buf_puts(&s->label, "");
    int got = s->format->next(s, &r->bytes, &r->mtime, e);
    r->path = s->key.data;
    r->label = s->opts.no_labels ? "" : s->label.data;
    return got;
}

void fw_source_along(fw_source *s)
{
    s->along = true;
    if (s->format->along) s->format->along(s);
}

bool fw_source_take(fw_source *s, char **bytes, size_t *n)
{
    return s->along && s->format->take && s->format->take(s, bytes, n);
}

void fw_source_skipped(const fw_source *s, uint64_t *files, uint64_t *links)
{
    *files = s->skipped_files;
    *links = s->skipped_links;
}

int fw_source_read(const fw_source *s, const char *path, size_t max, char **bytes, size_t *n, fw_err *e)
{
    return s->format->read(s, path, max, bytes, n, e);
}

int fw_source_find(const fw_source *s, const char *path, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    return s->format->find(s, path, bytes, mtime, e);
}

char *fw_source_locate(const fw_source *s, const char *path)
{
    return s->format->locate(s, path);
}

char *fw_source_file(const fw_source *s, const char *path)
{
    return s->format->file ? s->format->file(s, path) : NULL;
}

int fw_source_dim(const fw_source *s)
{
    return s->format->dim ? s->format->dim(s) : 0;
}

int fw_vector_record(const char *bytes, size_t n, float *out)
{
    uint32_t dim = 0;
    if (n < FW_VECTOR_HEAD || memcmp(bytes, FW_VECTOR_MAGIC, 12)) return 0;
    memcpy(&dim, bytes + 12, sizeof dim);
    if (!dim || dim > FW_VECTOR_MAX || n != FW_VECTOR_HEAD + 4 * (size_t)dim) return 0;
    if (out) memcpy(out, bytes + FW_VECTOR_HEAD, 4 * (size_t)dim);
    return (int)dim;
}

const char *fw_source_spec(const fw_source *s)
{
    return s->spec;
}

/* ---- shared by the formats --------------------------------------------------------------------------------------- */

bool fw_image_name(const char *name)
{
    static const char *const known[] = {"jpg", "jpeg", "jpe", "jfif", "png",  "webp",
                                        "bmp", "gif",  "tif", "tiff", "heic", "avif"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < FW_COUNT(known); i++)
        if (!strcasecmp(dot + 1, known[i])) return true;
    return false;
}

char *fw_copy_bytes(const void *bytes, size_t n)
{
    char *copy = malloc(n + 1);
    if (!copy) return NULL;
    if (n) memcpy(copy, bytes, n);
    copy[n] = 0;
    return copy;
}

int fw_bytes_open(fw_bytes *f, const char *path, fw_err *e)
{
    struct stat st;
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a FIFO must not hang us */
    if (f->fd < 0) return fw_fail_errno(e, "open '%s'", path);
    f->path = fw_strdup(path);
    if (fstat(f->fd, &st)) return fw_fail_errno(e, "stat '%s'", path);
    if (!S_ISREG(st.st_mode)) return fw_fail(e, FW_EUSAGE, "open '%s': not a regular file", path);
    f->size = (uint64_t)st.st_size;
    f->mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return FW_OK;
}

int fw_bytes_read(const fw_bytes *f, uint64_t at, void *to, size_t n, fw_err *e)
{
    char *p = to;
    if (at > f->size || n > f->size - at)
        return fw_fail(e, FW_EFAIL, "read '%s': %zu bytes at offset %llu reach behind the end (%llu)", f->path, n,
                       (unsigned long long)at, (unsigned long long)f->size);
    while (n) {
        ssize_t r = pread(f->fd, p, n, (off_t)at);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return fw_fail_errno(e, "read '%s' at offset %llu", f->path, (unsigned long long)at);
        if (!r)
            return fw_fail(e, FW_EFAIL, "read '%s' at offset %llu: the file has shrunk", f->path,
                           (unsigned long long)at);
        p += r;
        n -= (size_t)r;
        at += (uint64_t)r;
    }
    return FW_OK;
}

void fw_bytes_close(fw_bytes *f)
{
    if (f->path && f->fd >= 0) close(f->fd);
    fw_free(f->path);
    *f = (fw_bytes){.fd = -1};
}

bool fw_key_number(const char *key, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = strspn(key, "0123456789");
    if (!n || key[n] || (key[0] == '0' && n > 1)) return false;
    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(key[i] - '0'), &v)) return false;
    *out = v;
    return true;
}

int fw_no_record(const fw_source *s, const char *key, fw_err *e)
{
    return fw_fail(e, FW_EFAIL, "source '%s': no record '%s'", s->spec, key);
}

char *fw_source_file_path(const char *scheme, const char *path, fw_err *e)
{
    char *real = realpath(path, NULL);
    if (!real)
        fw_fail(e, FW_EUSAGE, "open source '%s:%s': %s", scheme, path, strerror(errno));
    else if (fw_is_dir(real))
        fw_fail(e, FW_EUSAGE, "open source '%s:%s': a folder, not a file", scheme, path);
    else
        return real;
    free(real);
    return NULL;
}

char *fw_locate_inside(const char *file, const char *key)
{
    return *key ? fw_format("%s#%s", file, key) : fw_strdup("");
}
