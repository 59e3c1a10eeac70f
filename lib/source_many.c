/* NAME=SRC, one per line: several sources as one dataset. Keys and labels begin with "NAME/", so that two sources may
 * use the same ones; an image without a label stays without. Walked in the order given.
 */
#include "source_impl.h"

#include <string.h>

#define PARTS_MAX 1000

typedef struct many {
    fw_source **part;
    char **name;
    size_t parts, at;
    int dim;
} many;

static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

bool fw_source_is_named(const char *text)
{
    size_t n = strspn(text, name_bytes);
    return n && text[n] == '=' && fw_source_has_scheme(text + n + 1);
}

static int add_part(fw_source *s, const char *line, fw_err *e)
{
    many *m = s->state;
    if (!fw_source_is_named(line) || *line == '.')
        return fw_fail(e, FW_EUSAGE, "source '%s': of several, each needs a name and its kind, like lfw=dir:/data/lfw",
                       line);
    size_t n = strspn(line, name_bytes);
    m->name[m->parts] = fw_format("%.*s", (int)n, line);
    fw_source *part = m->part[m->parts++] = fw_source_open(line + n + 1, &s->opts, e);
    if (!part) return e->code;
    for (size_t i = 0; i + 1 < m->parts; i++)
        if (!strcmp(m->name[i], m->name[m->parts - 1]))
            return fw_fail(e, FW_EUSAGE, "two sources with the name '%s'", m->name[i]);
    if (strchr(fw_source_spec(part), '\n')) return fw_fail(e, FW_EUSAGE, "source '%s': a line break in a path", line);
    int dim = fw_source_dim(part);
    if (m->parts > 1 && dim != m->dim)
        return fw_fail(e, FW_EUSAGE, "source '%s': photos and embeddings, or two widths of them, in one dataset", line);
    m->dim = dim;
    return FW_OK;
}

static int open_many(fw_source *s, const char *text, fw_err *e)
{
    many *m = s->state = FW_NEW(many);
    fw_buf spec = {0};
    m->part = FW_ARRAY(fw_source *, PARTS_MAX);
    m->name = FW_ARRAY(char *, PARTS_MAX);
    for (const char *p = text; p && !e->code;) {
        size_t n = strcspn(p, "\n");
        char *line = fw_format("%.*s", (int)n, p);
        if (m->parts == PARTS_MAX)
            fw_fail(e, FW_EUSAGE, "more than %d sources", PARTS_MAX);
        else if (!add_part(s, line, e))
            fw_buf_printf(&spec, "%s%s=%s", m->parts > 1 ? "\n" : "", m->name[m->parts - 1],
                          fw_source_spec(m->part[m->parts - 1]));
        fw_free(line);
        p = p[n] ? p + n + 1 : NULL;
    }
    s->spec = fw_strdup(spec.data ? spec.data : "");
    fw_buf_free(&spec);
    return e->code;
}

static void close_many(fw_source *s)
{
    many *m = s->state;
    if (!m) return;
    for (size_t i = 0; i < m->parts; i++) {
        fw_source_close(m->part[i]);
        fw_free(m->name[i]);
    }
    fw_free(m->part);
    fw_free(m->name);
    fw_free(m);
}

static int next_many(fw_source *s, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    many *m = s->state;
    fw_record r;
    int got = 0;
    while (m->at < m->parts && !(got = fw_source_next(m->part[m->at], &r, e))) {
        uint64_t files, links;
        fw_source_skipped(m->part[m->at++], &files, &links);
        s->skipped_files += files;
        s->skipped_links += links;
    }
    if (got <= 0) return got;
    fw_buf_printf(&s->key, "%s/%s", m->name[m->at], r.path);
    if (*r.label) fw_buf_printf(&s->label, "%s/%s", m->name[m->at], r.label);
    *bytes = r.bytes;
    *mtime = r.mtime;
    return 1;
}

/* The source that a key belongs to; *inner is its key there. */
static const fw_source *part_of(const fw_source *s, const char *key, const char **inner)
{
    const many *m = s->state;
    size_t n = strcspn(key, "/");
    for (size_t i = 0; i < m->parts; i++) {
        if (strlen(m->name[i]) != n || strncmp(m->name[i], key, n) || !key[n]) continue;
        *inner = key + n + 1;
        return m->part[i];
    }
    return NULL;
}

static void along_many(fw_source *s)
{
    const many *m = s->state;
    for (size_t i = 0; i < m->parts; i++) fw_source_along(m->part[i]);
}

static bool take_many(fw_source *s, char **bytes, size_t *n)
{
    const many *m = s->state;
    return m->at < m->parts && fw_source_take(m->part[m->at], bytes, n);
}

static int find_many(const fw_source *s, const char *key, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    const char *inner;
    const fw_source *part = part_of(s, key, &inner);
    return part ? fw_source_find(part, inner, bytes, mtime, e) : fw_no_record(s, key, e);
}

static int read_many(const fw_source *s, const char *key, size_t max, char **bytes, size_t *n, fw_err *e)
{
    const char *inner;
    const fw_source *part = part_of(s, key, &inner);
    return part ? fw_source_read(part, inner, max, bytes, n, e) : fw_no_record(s, key, e);
}

static char *locate_many(const fw_source *s, const char *key)
{
    const char *inner;
    const fw_source *part = part_of(s, key, &inner);
    return part ? fw_source_locate(part, inner) : fw_strdup("");
}

static char *file_many(const fw_source *s, const char *key)
{
    const char *inner;
    const fw_source *part = part_of(s, key, &inner);
    return part ? fw_source_file(part, inner) : NULL;
}

static int dim_many(const fw_source *s)
{
    return ((const many *)s->state)->dim;
}

const fw_scheme fw_scheme_many = {.scheme = "",
                                  .open = open_many,
                                  .next = next_many,
                                  .find = find_many,
                                  .read = read_many,
                                  .locate = locate_many,
                                  .close = close_many,
                                  .file = file_many,
                                  .take = take_many,
                                  .along = along_many,
                                  .dim = dim_many};
