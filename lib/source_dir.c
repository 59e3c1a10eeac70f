/* dir: a folder of images. The walk holds the sorted names of one folder per level. */
#include "file.h"
#include "source_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 64 /* folders inside folders; also what ends a loop of links */

typedef struct level {
    fw_names names;
    size_t at;
    size_t path_len; /* length of the key before this level's names */
} level;

typedef struct folders {
    char *root;
    fw_buf rel;
    level stack[MAX_DEPTH];
    int depth;
} folders;

static int push_folder(fw_source *s, fw_err *e)
{
    folders *d = s->state;
    if (d->depth == MAX_DEPTH)
        return fw_fail(e, FW_EFAIL, "read source '%s': folders nested more than %d deep at '%s'", s->spec, MAX_DEPTH,
                       d->rel.data);
    char *path = fw_format("%s/%s", d->root, d->rel.len ? d->rel.data : "");
    level *l = &d->stack[d->depth];
    int rc = fw_list_dir(path, &l->names, e);
    fw_free(path);
    if (rc) return rc;
    if (d->rel.len) fw_buf_puts(&d->rel, "/");
    l->at = 0;
    l->path_len = d->rel.len;
    d->depth++;
    return FW_OK;
}

static int open_dir(fw_source *s, const char *path, fw_err *e)
{
    folders *d = s->state = FW_NEW(folders);
    fw_buf_puts(&d->rel, "");
    d->root = realpath(path, NULL);
    if (!d->root) return fw_fail(e, FW_EUSAGE, "open source 'dir:%s': %s", path, strerror(errno));
    if (!fw_is_dir(path)) return fw_fail(e, FW_EUSAGE, "open source 'dir:%s': not a folder", path);
    s->spec = fw_format("dir:%s", d->root);
    return push_folder(s, e);
}

static void close_dir(fw_source *s)
{
    folders *d = s->state;
    if (!d) return;
    while (d->depth) fw_names_free(&d->stack[--d->depth].names);
    fw_buf_free(&d->rel);
    free(d->root);
    fw_free(d);
}

static bool link_stays_inside(const folders *d, const char *path)
{
    char *real = realpath(path, NULL);
    size_t n = strlen(d->root);
    bool inside = real && !strncmp(real, d->root, n) && (real[n] == '/' || !real[n]);
    free(real);
    return inside;
}

enum what { SKIP, FOLDER, FILE_RECORD };

/* Links to files inside the source are files; links to folders inside it would show the same photos twice. */
static enum what classify(fw_source *s, const char *path, const char *name, struct stat *st)
{
    if (lstat(path, st)) return SKIP;
    bool link = S_ISLNK(st->st_mode);
    if (link) {
        bool inside = link_stays_inside(s->state, path);
        if (stat(path, st) || (!inside && !s->opts.outside_links) || (inside && S_ISDIR(st->st_mode))) {
            s->skipped_links++;
            return SKIP;
        }
    }
    if (S_ISDIR(st->st_mode)) return FOLDER;
    if (S_ISREG(st->st_mode) && fw_image_name(name)) return FILE_RECORD;
    s->skipped_files++;
    return SKIP;
}

static int next_file(fw_source *s, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    folders *d = s->state;
    while (d->depth) {
        level *l = &d->stack[d->depth - 1];
        if (l->at == l->names.n) {
            fw_names_free(&l->names);
            d->depth--;
            continue;
        }
        const char *name = l->names.name[l->at++];
        if (name[0] == '.') continue; /* .DS_Store, .git and their like */
        d->rel.len = l->path_len;
        fw_buf_puts(&d->rel, name);
        char *path = fw_format("%s/%s", d->root, d->rel.data);
        struct stat st;
        enum what what = classify(s, path, name, &st);
        fw_free(path);
        if (what == FOLDER && push_folder(s, e)) return -1;
        if (what != FILE_RECORD) continue;
        fw_buf_puts(&s->key, d->rel.data);
        fw_buf_add(&s->label, d->rel.data, l->path_len ? l->path_len - 1 : 0);
        *bytes = (uint64_t)st.st_size;
        *mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        return 1;
    }
    return 0;
}

static char *locate_file(const fw_source *s, const char *key)
{
    const folders *d = s->state;
    return fw_format("%s/%s", d->root, key);
}

static int find_file(const fw_source *s, const char *key, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    char *path = locate_file(s, key);
    struct stat st;
    int rc = stat(path, &st) ? fw_fail_errno(e, "stat '%s'", path) : FW_OK;
    fw_free(path);
    if (rc) return rc;
    *bytes = (uint64_t)st.st_size;
    *mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return FW_OK;
}

static int read_file(const fw_source *s, const char *key, size_t max, char **bytes, size_t *n, fw_err *e)
{
    char *path = locate_file(s, key);
    int rc = fw_file_read(path, max, bytes, n, e);
    fw_free(path);
    return rc;
}

const fw_scheme fw_scheme_dir = {.scheme = "dir",
                                 .open = open_dir,
                                 .next = next_file,
                                 .find = find_file,
                                 .read = read_file,
                                 .locate = locate_file,
                                 .close = close_dir,
                                 .file = locate_file};
