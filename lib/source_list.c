/* list: lines "path TAB label", or "key TAB label" for the records of another source (list:FILE@SRC).
 *
 * Read one line at a time; a path or key that leads nowhere becomes an unreadable image, not an end.
 */
#include "file.h"
#include "source_impl.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct list {
    char *root;    /* folder of the file: where relative paths begin */
    fw_source *of; /* the keys are its; NULL: they are paths */
    FILE *file;
    char *line;
    size_t cap;
    uint64_t number;
} list;

/* The '@' of FILE@SRC: the first one that a scheme or a named source follows. */
static const char *find_at(const char *path)
{
    for (const char *at = strchr(path, '@'); at; at = strchr(at + 1, '@'))
        if (fw_source_has_scheme(at + 1) || fw_source_is_named(at + 1)) return at;
    return NULL;
}

static int open_list(fw_source *s, const char *path, fw_err *e)
{
    list *l = s->state = FW_NEW(list);
    const char *at = find_at(path);
    char *file = at ? fw_format("%.*s", (int)(at - path), path) : fw_strdup(path),
         *real = fw_source_file_path("list", file, e);
    fw_free(file);
    if (!real) return e->code;
    l->file = fopen(real, "re");
    if (!l->file) fw_fail(e, FW_EUSAGE, "open source 'list:%s': cannot read it as a list file", path);
    if (!e->code && at) l->of = fw_source_open(at + 1, &s->opts, e);
    if (!e->code) s->spec = at ? fw_format("list:%s@%s", real, fw_source_spec(l->of)) : fw_format("list:%s", real);
    *strrchr(real, '/') = 0;
    l->root = fw_strdup(real);
    free(real);
    return e->code;
}

static void close_list(fw_source *s)
{
    list *l = s->state;
    if (!l) return;
    if (l->file) fclose(l->file);
    fw_source_close(l->of);
    free(l->line);
    fw_free(l->root);
    fw_free(l);
}

static char *locate_listed(const fw_source *s, const char *key)
{
    const list *l = s->state;
    if (l->of) return fw_source_locate(l->of, key);
    return key[0] == '/' ? fw_strdup(key) : fw_format("%s/%s", l->root, key);
}

static int find_listed(const fw_source *s, const char *key, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    const list *l = s->state;
    if (l->of) return fw_source_find(l->of, key, bytes, mtime, e);
    char *path = locate_listed(s, key);
    struct stat st;
    int rc = stat(path, &st) ? fw_fail_errno(e, "stat '%s'", path) : FW_OK;
    fw_free(path);
    if (rc) return rc;
    *bytes = (uint64_t)st.st_size;
    *mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return FW_OK;
}

static int next_line(fw_source *s, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    list *l = s->state;
    ssize_t n = 0;
    while (!n) {
        n = getline(&l->line, &l->cap, l->file);
        if (n < 0) return ferror(l->file) ? (fw_fail_errno(e, "read list '%s'", s->spec), -1) : 0;
        l->number++;
        while (n && (l->line[n - 1] == '\n' || l->line[n - 1] == '\r')) l->line[--n] = 0;
    }
    char *tab = strrchr(l->line, '\t');
    if (strlen(l->line) != (size_t)n || tab == l->line) {
        fw_fail(e, FW_EUSAGE, "list '%s' line %llu: expected 'path TAB label'", s->spec, (unsigned long long)l->number);
        return -1;
    }
    if (tab) *tab = 0;
    if (tab) fw_text_unlist(tab + 1);
    fw_text_unlist(l->line);
    fw_buf_puts(&s->key, l->line);
    fw_buf_puts(&s->label, tab ? tab + 1 : "");
    if (find_listed(s, s->key.data, bytes, mtime, NULL)) *bytes = 0, *mtime = 0;
    return 1;
}

static int read_listed(const fw_source *s, const char *key, size_t max, char **bytes, size_t *n, fw_err *e)
{
    const list *l = s->state;
    if (l->of) return fw_source_read(l->of, key, max, bytes, n, e);
    char *path = locate_listed(s, key);
    int rc = fw_file_read(path, max, bytes, n, e);
    fw_free(path);
    return rc;
}

static char *file_of_line(const fw_source *s, const char *key)
{
    const list *l = s->state;
    return l->of ? fw_source_file(l->of, key) : locate_listed(s, key);
}

static int dim_of_list(const fw_source *s)
{
    const list *l = s->state;
    return l->of ? fw_source_dim(l->of) : 0;
}

const fw_scheme fw_scheme_list = {.scheme = "list",
                                  .open = open_list,
                                  .next = next_line,
                                  .find = find_listed,
                                  .read = read_listed,
                                  .locate = locate_listed,
                                  .close = close_list,
                                  .file = file_of_line,
                                  .dim = dim_of_list};
