#include "source.h"
#include "file.h"
#include "log.h"
#include "text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define MAX_DEPTH 64 /* folders inside folders; also what ends a loop of links */

typedef struct level {
    fw_names names;
    size_t at;
    size_t path_len; /* length of `rel` before this level's names */
} level;

struct fw_source {
    char *spec, *root, *real_root;
    fw_source_opts opts;
    uint64_t skipped_files, skipped_links;
    fw_buf rel, label; /* current record */
    level stack[MAX_DEPTH];
    int depth;
    FILE *list;
    char *line;
    size_t line_cap;
    uint64_t line_no;
};

/* Formats that cannot be decoded are taken in too, so that the report can say `unsupported` instead of nothing. */
static bool has_image_extension(const char *name)
{
    static const char *const known[] = {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff", "heic", "avif"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < FW_COUNT(known); i++)
        if (!strcasecmp(dot + 1, known[i])) return true;
    return false;
}

static fw_source *open_failed(fw_source *s)
{
    fw_source_close(s);
    return NULL;
}

static int push_folder(fw_source *s, fw_err *e)
{
    if (s->depth == MAX_DEPTH)
        return fw_fail(e, FW_EFAIL, "read source '%s': folders nested more than %d deep at '%s'", s->spec, MAX_DEPTH,
                       s->rel.data);
    char *path = fw_format("%s/%s", s->root, s->rel.len ? s->rel.data : "");
    level *l = &s->stack[s->depth];
    int rc = fw_list_dir(path, &l->names, e);
    fw_free(path);
    if (rc) return rc;
    if (s->rel.len) fw_buf_puts(&s->rel, "/");
    l->at = 0;
    l->path_len = s->rel.len;
    s->depth++;
    return FW_OK;
}

fw_source *fw_source_open(const char *spec, const fw_source_opts *o, fw_err *e)
{
    fw_source *s = FW_NEW(fw_source);
    s->opts = *o;
    fw_buf_puts(&s->rel, "");
    bool dir = !strncmp(spec, "dir:", 4), list = !strncmp(spec, "list:", 5);
    const char *path = dir ? spec + 4 : list ? spec + 5 : spec;
    if (!dir && !list) dir = fw_is_dir(path), list = !dir;
    s->real_root = realpath(path, NULL);
    if (!s->real_root) {
        fw_fail(e, FW_EUSAGE, "open source '%s': %s; give dir:FOLDER or list:FILE", spec, strerror(errno));
        return open_failed(s);
    }
    s->spec = fw_format("%s:%s", dir ? "dir" : "list", s->real_root);
    s->root = fw_strdup(s->real_root);
    if (dir && !fw_is_dir(path)) {
        fw_fail(e, FW_EUSAGE, "open source '%s': not a folder", spec);
        return open_failed(s);
    }
    if (dir) return push_folder(s, e) ? open_failed(s) : s;
    *strrchr(s->root, '/') = 0; /* list: paths are relative to the folder of the file */
    s->list = fw_is_dir(path) ? NULL : fopen(path, "re");
    if (s->list) return s;
    fw_fail(e, FW_EUSAGE, "open source '%s': cannot read it as a list file", spec);
    return open_failed(s);
}

void fw_source_close(fw_source *s)
{
    if (!s) return;
    while (s->depth) fw_names_free(&s->stack[--s->depth].names);
    if (s->list) fclose(s->list);
    free(s->line);
    free(s->real_root);
    fw_free(s->root);
    fw_free(s->spec);
    fw_buf_free(&s->rel);
    fw_buf_free(&s->label);
    fw_free(s);
}

static bool link_stays_inside(const fw_source *s, const char *path)
{
    char *real = realpath(path, NULL);
    size_t n = strlen(s->real_root);
    bool inside = real && !strncmp(real, s->real_root, n) && (real[n] == '/' || !real[n]);
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
        bool inside = link_stays_inside(s, path);
        if (stat(path, st) || (!inside && !s->opts.outside_links) || (inside && S_ISDIR(st->st_mode))) {
            s->skipped_links++;
            return SKIP;
        }
    }
    if (S_ISDIR(st->st_mode)) return FOLDER;
    if (S_ISREG(st->st_mode) && has_image_extension(name)) return FILE_RECORD;
    s->skipped_files++;
    return SKIP;
}

static void fill(fw_source *s, const struct stat *st, fw_record *r)
{
    r->path = s->rel.data;
    r->label = s->opts.no_labels ? "" : s->label.data;
    r->bytes = (uint64_t)st->st_size;
    r->mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int next_in_folders(fw_source *s, fw_record *r, fw_err *e)
{
    while (s->depth) {
        level *l = &s->stack[s->depth - 1];
        if (l->at == l->names.n) {
            fw_names_free(&l->names);
            s->depth--;
            continue;
        }
        const char *name = l->names.name[l->at++];
        if (name[0] == '.') continue; /* .DS_Store, .git and their like */
        s->rel.len = l->path_len;
        fw_buf_puts(&s->rel, name);
        char *path = fw_format("%s/%s", s->root, s->rel.data);
        struct stat st;
        enum what what = classify(s, path, name, &st);
        fw_free(path);
        if (what == FOLDER && push_folder(s, e)) return -1;
        if (what != FILE_RECORD) continue;
        s->label.len = 0;
        fw_buf_add(&s->label, s->rel.data, l->path_len ? l->path_len - 1 : 0);
        fill(s, &st, r);
        return 1;
    }
    return 0;
}

static int next_in_list(fw_source *s, fw_record *r, fw_err *e)
{
    for (;;) {
        ssize_t n = getline(&s->line, &s->line_cap, s->list);
        if (n < 0) return ferror(s->list) ? (fw_fail_errno(e, "read list '%s'", s->spec), -1) : 0;
        s->line_no++;
        while (n && (s->line[n - 1] == '\n' || s->line[n - 1] == '\r')) s->line[--n] = 0;
        if (!n) continue;
        char *tab = strrchr(s->line, '\t');
        if (strlen(s->line) != (size_t)n || tab == s->line) {
            fw_fail(e, FW_EUSAGE, "list '%s' line %llu: expected 'path TAB label'", s->spec, (unsigned long long)s->line_no);
            return -1;
        }
        if (tab) *tab = 0;
        s->rel.len = s->label.len = 0;
        if (tab) fw_text_unlist(tab + 1);
        fw_text_unlist(s->line);
        fw_buf_puts(&s->rel, s->line);
        fw_buf_puts(&s->label, tab ? tab + 1 : "");
        char *path = fw_source_locate(s, s->rel.data);
        struct stat st;
        if (stat(path, &st)) memset(&st, 0, sizeof st); /* missing: it becomes an unreadable image, not an end */
        fw_free(path);
        fill(s, &st, r);
        return 1;
    }
}

int fw_source_next(fw_source *s, fw_record *r, fw_err *e)
{
    return s->list ? next_in_list(s, r, e) : next_in_folders(s, r, e);
}

void fw_source_skipped(const fw_source *s, uint64_t *files, uint64_t *links)
{
    *files = s->skipped_files;
    *links = s->skipped_links;
}

char *fw_source_locate(const fw_source *s, const char *path)
{
    return path[0] == '/' && s->list ? fw_strdup(path) : fw_format("%s/%s", s->root, path);
}

int fw_source_read(const fw_source *s, const char *path, size_t max, char **bytes, size_t *n, fw_err *e)
{
    char *full = fw_source_locate(s, path);
    int rc = fw_file_read(full, max, bytes, n, e);
    fw_free(full);
    return rc;
}

const char *fw_source_spec(const fw_source *s)
{
    return s->spec;
}
