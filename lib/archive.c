#include "archive.h"
#include "file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 65536 /* one read: most aligned crops (5..20 KB) come with their header in one */

#define RETRIES 1000 /* damaged headers one after the other that are stepped over */

struct fw_archive {
    struct archive *a;
    int fd;
    char *path;
    fw_archive_kind kind;
    uint64_t from;   /* where reading began */
    uint64_t expect; /* bytes of the next read, 0: as many as there is room for */
    uint64_t claim;  /* of the member's header about its size */
    locale_t utf8;   /* libarchive converts names by the locale; in "C" it would lose all but ASCII */
    char *block;
};

static la_ssize_t read_block(struct archive *a, void *user, const void **block)
{
    fw_archive *f = user;
    size_t want = f->expect && f->expect < BLOCK ? (size_t)f->expect : BLOCK;
    ssize_t n;
    f->expect = 0;
    do n = read(f->fd, f->block, want);
    while (n < 0 && errno == EINTR);
    if (n < 0) archive_set_error(a, errno, "read failed");
    *block = f->block;
    return n;
}

static la_int64_t skip_bytes(struct archive *a, void *user, la_int64_t n)
{
    fw_archive *f = user;
    FW_UNUSED(a);
    off_t at = lseek(f->fd, 0, SEEK_CUR), end = lseek(f->fd, 0, SEEK_END), to = at + n;
    if (at < 0 || end < 0) return 0;
    if (n < 0 || to > end) to = end; /* a header that lies about its size meets the end */
    return lseek(f->fd, to, SEEK_SET) == to ? to - at : 0;
}

static int setup(fw_archive *f)
{
    const fw_archive_kind kind = f->kind;
    f->a = archive_read_new();
    if (!f->a) return ARCHIVE_FATAL;
    if (kind == FW_ARCHIVE_ZIP) archive_read_support_format_zip_streamable(f->a);
    /* In the midst of an archive its kind is known. Guessing it again from one header may fail: the walk steps over
     * bytes between members, and over fields, with which no archive begins. */
    if (f->from && kind != FW_ARCHIVE_RAW)
        archive_read_set_format(f->a, kind == FW_ARCHIVE_ZIP ? ARCHIVE_FORMAT_ZIP : ARCHIVE_FORMAT_TAR);
    else if (kind == FW_ARCHIVE_TAR)
        archive_read_support_format_tar(f->a);
    else if (kind == FW_ARCHIVE_RAW)
        archive_read_support_format_raw(f->a), archive_read_support_format_empty(f->a);
    if (kind != FW_ARCHIVE_ZIP && !f->from) {
        archive_read_support_filter_gzip(f->a);
        archive_read_support_filter_bzip2(f->a);
        archive_read_support_filter_xz(f->a);
        archive_read_support_filter_zstd(f->a);
        archive_read_support_filter_lz4(f->a);
    }
    archive_read_set_read_callback(f->a, read_block);
    archive_read_set_skip_callback(f->a, skip_bytes);
    archive_read_set_callback_data(f->a, f);
    return archive_read_open1(f->a);
}

static int failed(fw_archive *f, fw_err *e)
{
    const char *why = f->a ? archive_error_string(f->a) : "out of memory";
    unsigned long long at = f->from + (f->a ? (unsigned long long)archive_filter_bytes(f->a, -1) : 0);
    return fw_fail(e, FW_EFAIL, "read archive '%s' near offset %llu: %s", f->path, at, why ? why : "damaged");
}

fw_archive *fw_archive_open(const char *path, fw_archive_kind kind, uint64_t offset, fw_err *e)
{
    fw_archive *f = FW_NEW(fw_archive);
    f->path = fw_strdup(path);
    f->block = fw_realloc(NULL, BLOCK, 1); /* not zeroed: single members are opened by the million */
    f->kind = kind;
    f->from = offset;
    f->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0)
        fw_fail_errno(e, "open '%s'", path);
    else if (offset && lseek(f->fd, (off_t)offset, SEEK_SET) != (off_t)offset)
        fw_fail_errno(e, "seek in '%s'", path);
    else if (setup(f) != ARCHIVE_OK)
        failed(f, e);
    else if (kind == FW_ARCHIVE_RAW) {
        fw_member m;
        if (fw_archive_next(f, &m, e) >= 0) return f;
    } else
        return f;
    fw_archive_close(f);
    return NULL;
}

int fw_archive_restart(fw_archive *f, uint64_t offset, uint64_t expect, fw_err *e)
{
    archive_read_free(f->a);
    f->a = NULL;
    f->from = offset;
    f->expect = expect;
    if (lseek(f->fd, (off_t)offset, SEEK_SET) != (off_t)offset) return fw_fail_errno(e, "seek in '%s'", f->path);
    return setup(f) == ARCHIVE_OK ? FW_OK : failed(f, e);
}

void fw_archive_close(fw_archive *f)
{
    if (!f) return;
    archive_read_free(f->a);
    if (f->fd >= 0) close(f->fd);
    if (f->utf8) freelocale(f->utf8);
    fw_free(f->block);
    fw_free(f->path);
    fw_free(f);
}

/* How a member of a zip is compressed. LZMA, xz and PPMd may ask for gigabytes before the first byte comes, even to be
 * passed over; nobody compresses photos with them. */
static int check_method(const fw_archive *f, const fw_member *m, fw_err *e)
{
    const char *name = f->kind == FW_ARCHIVE_ZIP ? archive_format_name(f->a) : NULL; /* "ZIP 2.0 (deflation)" */
    if (!name) return FW_OK;
    if (!strstr(name, "(lzma") && !strstr(name, "(xz") && !strstr(name, "(ppmd")) return FW_OK;
    return fw_fail(e, FW_EFAIL,
                   "read archive '%s' near offset %llu: a member compressed as %s; stored, deflate and bzip2 "
                   "are read",
                   f->path, (unsigned long long)m->offset, name);
}

int fw_archive_next(fw_archive *f, fw_member *m, fw_err *e)
{
    struct archive_entry *entry;
    locale_t before = f->utf8 ? uselocale(f->utf8) : (locale_t)0;
    int rc, tries = 0;
    do rc = archive_read_next_header(f->a, &entry);
    while (rc == ARCHIVE_RETRY && ++tries < RETRIES);
    *m = (fw_member){.path = ""};
    if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN) {
        const char *path = archive_entry_pathname(entry);
        m->path = path ? path : "";
        m->file = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);
        m->offset = f->from + (uint64_t)archive_read_header_position(f->a);
        int64_t n = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
        m->bytes = f->claim = n > 0 ? (uint64_t)n : 0;
    }
    if (before) uselocale(before);
    if ((rc == ARCHIVE_OK || rc == ARCHIVE_WARN) && check_method(f, m, e)) return -1;
    if (rc == ARCHIVE_EOF) return 0;
    return rc == ARCHIVE_OK || rc == ARCHIVE_WARN ? 1 : (failed(f, e), -1);
}

int fw_archive_stream(fw_archive *f, void *to, size_t n, size_t *got, fw_err *e)
{
    *got = 0;
    while (*got < n) {
        la_ssize_t r = archive_read_data(f->a, (char *)to + *got, n - *got);
        if (r < 0)
            return failed(f, e); /* "retry" too: a sparse file whose pieces are out of order would do so for ever */
        if (!r) break;
        *got += (size_t)r;
    }
    return FW_OK;
}

int fw_archive_read(fw_archive *f, size_t max, char **bytes, size_t *n, fw_err *e)
{
    /* grows with what really comes: the size in a header is only a claim, which is believed up to a megabyte */
    size_t len = 0, cap = f->claim && f->claim < 1 << 20 ? (size_t)f->claim + 1 : 1 << 14, got;
    char *all = NULL;
    for (;;) {
        char *grown = realloc(all, cap + 1);
        if (!grown) return free(all), fw_fail(e, FW_EAGAIN, "read '%s': out of memory", f->path);
        all = grown;
        if (fw_archive_stream(f, all + len, cap - len, &got, e)) return free(all), e ? e->code : FW_EFAIL;
        len += got;
        if (len > max)
            return free(all), fw_fail(e, FW_EFAIL, "read '%s': a member of more than %zu bytes", f->path, max);
        if (len < cap) break;
        cap *= 2;
    }
    all[len] = 0;
    *bytes = all;
    *n = len;
    return FW_OK;
}

bool fw_archive_compressed(const fw_archive *f)
{
    return archive_filter_count(f->a) > 1; /* the last "filter" is the file itself */
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct fw_tar_out {
    struct archive *a;
    fw_outfile *file;
    fw_err err;
};

static la_ssize_t write_block(struct archive *a, void *user, const void *bytes, size_t n)
{
    FW_UNUSED(a);
    fw_out_write(user, bytes, n); /* its errors stick and come out of close */
    return (la_ssize_t)n;
}

fw_tar_out *fw_tar_create(const char *path, fw_err *e)
{
    fw_outfile *file = fw_out_open(path, e);
    if (!file) return NULL;
    fw_tar_out *t = FW_NEW(fw_tar_out);
    t->file = file;
    t->a = archive_write_new();
    if (t->a && !archive_write_set_format_pax_restricted(t->a) &&
        !archive_write_set_options(t->a, "hdrcharset=BINARY") && !archive_write_set_bytes_per_block(t->a, 10240) &&
        !archive_write_set_bytes_in_last_block(t->a, 512) &&
        !archive_write_open(t->a, t->file, NULL, write_block, NULL))
        return t;
    fw_fail(&t->err, FW_EFAIL, "create '%s': %s", path, t->a ? archive_error_string(t->a) : "out of memory");
    if (fw_tar_close(t, e)) {
    } /* its error is the one above */
    return NULL;
}

void fw_tar_add(fw_tar_out *t, const char *path, const void *bytes, size_t n)
{
    if (t->err.code) return;
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, path);
    archive_entry_set_size(entry, (la_int64_t)n);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    if (archive_write_header(t->a, entry) < ARCHIVE_WARN || archive_write_data(t->a, bytes, n) != (la_ssize_t)n)
        fw_fail(&t->err, FW_EFAIL, "write '%s' to a tar file: %s", path, archive_error_string(t->a));
    archive_entry_free(entry);
}

int fw_tar_close(fw_tar_out *t, fw_err *e)
{
    if (t->a && !t->err.code && archive_write_close(t->a) != ARCHIVE_OK)
        fw_fail(&t->err, FW_EFAIL, "close a tar file: %s", archive_error_string(t->a));
    if (t->a) archive_write_free(t->a);
    if (fw_out_close(t->file, &t->err)) {
    } /* the first error is kept */
    int rc = t->err.code ? fw_fail(e, t->err.code, "%s", t->err.msg) : FW_OK;
    fw_free(t);
    return rc;
}
