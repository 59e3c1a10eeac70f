/* dir: LABEL/NAME, copied, or linked where the original is a file of its own (export.link).
 *
 * Labels and keys may come from someone else's archive. A part of a label that would be hidden, or lead out of the
 * folder
 * (".x", "..", ""), gets a '_' in front; NAME is the last part of the key, with the extension of its content when it
 * has none. Two images with the same place: the second is NAME-2.
 */
#include "../lib/text.h"
#include "export_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct folder {
    bool hard, symbolic;
    char *last; /* label whose folder was made last */
} folder;

static bool is_mine(const char *name, bool is_folder)
{
    return is_folder || fw_image_name(name);
}

static int begin(fw_set *s, fw_err *e)
{
    folder *f = s->state = FW_NEW(folder);
    FW_UNUSED(e);
    f->hard = !strcmp(s->conf->export_link, "hard");
    f->symbolic = !strcmp(s->conf->export_link, "symbolic");
    return FW_OK;
}

static void put_safe_parts(fw_buf *out, const char *label)
{
    for (const char *p = label; *label; p += strcspn(p, "/") + 1) {
        size_t n = strcspn(p, "/");
        if (!n || *p == '.') fw_buf_puts(out, "_");
        fw_buf_add(out, p, n);
        fw_buf_puts(out, "/");
        if (!p[n]) break;
    }
}

/* "a/b/12" and jpg -> "00000012.jpg": numbers are padded so that names sort as they count. */
static void put_name(fw_buf *out, const fw_set_image *im, int copy)
{
    const char *slash = strrchr(im->key, '/'), *name = slash ? slash + 1 : im->key, *dot = strrchr(name, '.');
    size_t stem = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    bool number = *name && strspn(name, "0123456789") == strlen(name);
    if (name[0] == '.' || !*name) fw_buf_puts(out, "_");
    if (number)
        for (size_t n = strlen(name); n < 8; n++) fw_buf_puts(out, "0");
    fw_buf_add(out, name, stem);
    if (copy > 1) fw_buf_printf(out, "-%d", copy);
    if (name[stem]) fw_buf_puts(out, name + stem);
    if (!fw_image_name(name)) fw_buf_printf(out, ".%s", *im->ext ? im->ext : "jpg");
}

static int write_bytes(const char *path, const fw_set_image *im)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    const char *p = im->bytes;
    for (size_t left = im->n; left;) {
        ssize_t w = write(fd, p, left);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return close(fd), -1;
        p += w;
        left -= (size_t)w;
    }
    return close(fd); /* all of them are synced at the end (export_set.c) */
}

static int place(const folder *f, const char *path, const fw_set_image *im)
{
    if (f->symbolic && im->file) return symlink(im->file, path);
    if (f->hard && im->file && !link(im->file, path)) return 0;
    if (f->hard && im->file && errno == EEXIST) return -1; /* other reasons (another disk, no such feature): a copy */
    return write_bytes(path, im);
}

static int put(fw_set *s, const fw_set_image *im, fw_err *e)
{
    folder *f = s->state;
    fw_buf path = {0};
    int rc = FW_OK;
    fw_buf_printf(&path, "%s/", s->dir);
    put_safe_parts(&path, im->label);
    if (!f->last || strcmp(f->last, im->label)) {
        rc = fw_mkdirs(path.data, e);
        fw_free(f->last);
        f->last = fw_strdup(im->label);
    }
    size_t base = path.len;
    for (int copy = 1; !rc; copy++) {
        path.len = base;
        put_name(&path, im, copy);
        if (!place(f, path.data, im)) break;
        if (errno != EEXIST) rc = fw_fail_errno(e, "write '%s' from '%s'", path.data, im->key);
    }
    fw_buf_free(&path);
    return rc;
}

static int finish(fw_set *s, fw_err *e)
{
    folder *f = s->state;
    FW_UNUSED(e);
    fw_free(f->last);
    fw_free(f);
    s->state = NULL;
    return FW_OK;
}

static void abandon(fw_set *s)
{
    if (s->state) finish(s, NULL);
}

const fw_set_format fw_set_dir = {
    .name = "dir", .bytes = true, .mine = is_mine, .begin = begin, .put = put, .finish = finish, .abandon = abandon};
