/* rec: RecordIO as InsightFace ships training sets (lib/recordio.h). Key: the index number, as in the .idx file.
 *
 *   train.rec     the records        train.idx     "number TAB offset", the index; without it the file is scanned once
 *   train.labels  "number TAB name", written by `facewash export --format rec`: names instead of label numbers
 *
 * Labels stand in each record's header, so the walk reads 36 bytes per image; the identity ranges of record 0, which as
 * 32-bit floats are off from 16.7 million images on, are not needed. train.lst and property add nothing.
 * Memory: 8 bytes per record when the numbers have no gaps (they do not in any published set), else 16.
 */
#include "file.h"
#include "log.h"
#include "recordio.h"
#include "source_impl.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    uint64_t number, offset;
} entry;

/* The walk in large pieces, when the bytes of all records are wanted. */
#define WINDOW 262144
typedef struct window {
    const fw_bytes *file;
    char *bytes; /* WINDOW of them, once it is used */
    uint64_t at;
    size_t n;
} window;

typedef struct rec {
    fw_bytes file;
    fw_rec_file view, walk; /* any place; through the window */
    window window;
    uint64_t here;    /* offset of the record that next gave */
    entry *entry;     /* by number; NULL when there are no gaps: */
    uint64_t *offset; /* of number first + i */
    uint64_t first;
    size_t n, cap, at;
    char **name; /* of label numbers */
    size_t names, names_cap;
} rec;

static int read_view(void *user, uint64_t at, void *to, size_t n, fw_err *e)
{
    return fw_bytes_read(user, at, to, n, e);
}

static int read_window(void *user, uint64_t at, void *to, size_t n, fw_err *e)
{
    window *w = user;
    if (!n) return FW_OK;
    bool inside = at >= w->at && at - w->at <= w->n && n <= w->n - (at - w->at);
    if (!inside && (n > WINDOW || at > w->file->size)) return fw_bytes_read(w->file, at, to, n, e);
    if (!inside) {
        if (!w->bytes) w->bytes = fw_alloc(WINDOW, 1);
        w->at = at;
        w->n = w->file->size - at < WINDOW ? (size_t)(w->file->size - at) : WINDOW;
        int rc = n > w->n ? fw_bytes_read(w->file, at, to, n, e) : fw_bytes_read(w->file, at, w->bytes, w->n, e);
        if (rc) w->n = 0;
        FW_TRY(rc);
    }
    memcpy(to, w->bytes + (at - w->at), n);
    return FW_OK;
}

/* ---- the index --------------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const entry *)a)->number, y = ((const entry *)b)->number;
    return x < y ? -1 : x > y;
}

static void add_entry(rec *r, uint64_t number, uint64_t offset)
{
    fw_reserve(&r->entry, &r->cap, r->n + 1, sizeof *r->entry);
    r->entry[r->n++] = (entry){number, offset};
}

static int read_index(rec *r, const char *path, fw_err *e)
{
    FILE *f = fopen(path, "re");
    if (!f) return fw_fail_errno(e, "open '%s'", path);
    char *line = NULL;
    size_t cap = 0, count = 0;
    ssize_t n;
    while (!e->code && (n = getline(&line, &cap, f)) >= 0) {
        uint64_t number, offset;
        char *tab = strchr(line, '\t');
        count++;
        line[strcspn(line, "\r\n")] = 0;
        if (tab) *tab = 0;
        if (!tab && !*line) continue;
        if (!tab || !fw_key_number(line, &number) || !fw_key_number(tab + 1, &offset))
            fw_fail(e, FW_EFAIL, "index '%s' line %zu: expected 'number TAB offset'", path, count);
        else
            add_entry(r, number, offset);
    }
    if (!e->code && ferror(f)) fw_fail_errno(e, "read '%s'", path);
    free(line);
    fclose(f);
    return e->code;
}

static bool all_differ(const rec *r)
{
    for (size_t i = 1; i < r->n; i++)
        if (r->entry[i].number == r->entry[i - 1].number) return false;
    return true;
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const entry *)a)->offset, y = ((const entry *)b)->offset;
    return x < y ? -1 : x > y;
}

static void sort_by(rec *r, int (*order)(const void *, const void *))
{
    if (r->n) qsort(r->entry, r->n, sizeof *r->entry, order);
}

/* Without an index: the numbers are the ids in the records' headers when those differ, else places in the file. */
static int scan_file(rec *r, fw_err *e)
{
    for (uint64_t at = 0; at < r->file.size;) {
        fw_rec_info info = {0};
        FW_TRY(fw_check_stop(e));
        if (fw_rec_info_at(&r->view, at, &info, e)) return fw_context(e, "build the missing index");
        add_entry(r, info.id, at);
        at = info.next;
    }
    sort_by(r, by_number);
    bool ids = all_differ(r);
    if (!ids) sort_by(r, by_offset);
    for (size_t i = 0; !ids && i < r->n; i++) r->entry[i].number = i;
    fw_log(FW_INFO, "'%s' has no .idx: %zu records found by scanning, numbered by %s", r->file.path, r->n,
           ids ? "the ids in their headers" : "their place in the file");
    return FW_OK;
}

/* No gaps: the offsets alone are enough. */
static void shrink(rec *r)
{
    r->first = r->n ? r->entry[0].number : 0;
    if (r->n && r->entry[r->n - 1].number - r->first != r->n - 1) return;
    r->offset = FW_ARRAY(uint64_t, r->n);
    for (size_t i = 0; i < r->n; i++) r->offset[i] = r->entry[i].offset;
    fw_free(r->entry);
    r->entry = NULL;
}

static uint64_t number_at(const rec *r, size_t i)
{
    return r->entry ? r->entry[i].number : r->first + i;
}

static uint64_t offset_at(const rec *r, size_t i)
{
    return r->entry ? r->entry[i].offset : r->offset[i];
}

/* Place of a key in the index, or SIZE_MAX. */
static size_t place_of(const rec *r, const char *key)
{
    uint64_t number;
    if (!fw_key_number(key, &number)) return SIZE_MAX;
    if (!r->entry) return number < r->first || number - r->first >= r->n ? SIZE_MAX : (size_t)(number - r->first);
    entry want = {number, 0}, *hit = bsearch(&want, r->entry, r->n, sizeof *r->entry, by_number);
    return hit ? (size_t)(hit - r->entry) : SIZE_MAX;
}

/* How long the record at place i is, by where the next one begins: a guess, so that one read gets it. */
static size_t length_of(const rec *r, size_t i)
{
    uint64_t from = offset_at(r, i), to = i + 1 < r->n ? offset_at(r, i + 1) : 0;
    return to > from && to - from <= FW_ALONG_MAX ? (size_t)(to - from) : 0;
}

/* "a/train.rec" and "idx" -> "a/train.idx" */
static char *beside(const char *path, const char *end)
{
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    int n = dot && dot > slash ? (int)(dot - path) : (int)strlen(path);
    return fw_format("%.*s.%s", n, path, end);
}

static int build_index(rec *r, fw_err *e)
{
    char *idx = beside(r->file.path, "idx");
    int rc = fw_exists(idx) ? read_index(r, idx, e) : scan_file(r, e);
    sort_by(r, by_number);
    if (!rc && !all_differ(r)) rc = fw_fail(e, FW_EFAIL, "index '%s': a number stands there twice", idx);
    if (!rc) shrink(r);
    fw_free(idx);
    return rc;
}

/* ---- names of labels --------------------------------------------------------------------------------------------- */

static int read_names(rec *r, const char *path, fw_err *e)
{
    FILE *f = fopen(path, "re");
    if (!f) return fw_fail_errno(e, "open '%s'", path);
    char *line = NULL;
    size_t cap = 0;
    while (!e->code && getline(&line, &cap, f) >= 0) {
        uint64_t number;
        char *tab = strchr(line, '\t');
        line[strcspn(line, "\r\n")] = 0;
        if (tab) *tab = 0;
        if (!tab || !fw_key_number(line, &number) || number != r->names) {
            fw_fail(e, FW_EFAIL, "labels '%s' line %zu: expected '%zu TAB name'", path, r->names + 1, r->names);
            break;
        }
        fw_text_unlist(tab + 1);
        fw_reserve(&r->name, &r->names_cap, r->names + 1, sizeof *r->name);
        r->name[r->names++] = fw_strdup(tab + 1);
    }
    free(line);
    fclose(f);
    return e->code;
}

static void put_label(const rec *r, const fw_rec_info *info, fw_buf *out)
{
    double label = info->label;
    if (!isfinite(label)) return; /* unlabelled */
    if (label >= 0 && label < (double)r->names && label == floor(label))
        fw_buf_puts(out, r->name[(size_t)label]);
    else if (label == floor(label) && fabs(label) < 1e15)
        fw_buf_printf(out, "%.0f", label);
    else
        fw_buf_printf(out, "%.9g", label);
}

/* ---- the format's functions -------------------------------------------------------------------------------------- */

static int open_rec(fw_source *s, const char *path, fw_err *e)
{
    rec *r = s->state = FW_NEW(rec);
    r->file.fd = -1;
    char *real = fw_source_file_path("rec", path, e);
    if (!real) return e->code;
    s->spec = fw_format("rec:%s", real);
    char *labels = beside(real, "labels");
    int rc = fw_bytes_open(&r->file, real, e);
    free(real);
    r->view = (fw_rec_file){.read = read_view, .user = &r->file, .name = r->file.path, .size = r->file.size};
    r->window.file = &r->file;
    r->walk = r->view;
    r->walk.read = read_window;
    r->walk.user = &r->window;
    fw_rec_part first;
    if (!rc && r->file.size && fw_rec_part_at(&r->view, 0, &first, NULL))
        rc = fw_fail(e, FW_EUSAGE, "open source '%s': not a RecordIO file (no magic number at offset 0)", s->spec);
    if (!rc) rc = build_index(r, e);
    if (!rc && fw_exists(labels)) rc = read_names(r, labels, e);
    fw_free(labels);
    return rc;
}

static void close_rec(fw_source *s)
{
    rec *r = s->state;
    if (!r) return;
    fw_bytes_close(&r->file);
    for (size_t i = 0; i < r->names; i++) fw_free(r->name[i]);
    fw_free(r->name);
    fw_free(r->entry);
    fw_free(r->offset);
    fw_free(r->window.bytes);
    fw_free(r);
}

static int next_rec(fw_source *s, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    rec *r = s->state;
    FW_UNUSED(e);
    while (r->at < r->n) {
        size_t i = r->at++;
        fw_rec_info info = {0};
        r->here = offset_at(r, i);
        bool sound = !fw_rec_info_at(s->along ? &r->walk : &r->view, r->here, &info, NULL);
        if (sound && info.labels && !info.bytes) continue; /* record 0, or an identity's range */
        fw_buf_printf(&s->key, "%llu", (unsigned long long)number_at(r, i));
        if (sound) put_label(r, &info, &s->label); /* else a bad image; reading it says why */
        *bytes = info.bytes;
        *mtime = r->file.mtime;
        return 1;
    }
    return 0;
}

static int find_rec(const fw_source *s, const char *key, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    const rec *r = s->state;
    size_t i = place_of(r, key);
    fw_rec_info info = {0};
    if (i == SIZE_MAX) return fw_no_record(s, key, e);
    FW_TRY(fw_rec_info_at(&r->view, offset_at(r, i), &info, e));
    *bytes = info.bytes;
    *mtime = r->file.mtime;
    return FW_OK;
}

static int read_rec(const fw_source *s, const char *key, size_t max, char **bytes, size_t *n, fw_err *e)
{
    const rec *r = s->state;
    size_t i = place_of(r, key);
    if (i == SIZE_MAX) return fw_no_record(s, key, e);
    return fw_rec_image_at(&r->view, offset_at(r, i), length_of(r, i), max, bytes, n, e);
}

static bool take_rec(fw_source *s, char **bytes, size_t *n)
{
    const rec *r = s->state;
    return !fw_rec_image_at(&r->walk, r->here, 0, FW_ALONG_MAX, bytes, n, NULL);
}

static char *locate_rec(const fw_source *s, const char *key)
{
    const rec *r = s->state;
    return fw_locate_inside(r->file.path, key);
}

const fw_scheme fw_scheme_rec = {.scheme = "rec",
                                 .open = open_rec,
                                 .next = next_rec,
                                 .find = find_rec,
                                 .read = read_rec,
                                 .locate = locate_rec,
                                 .close = close_rec,
                                 .take = take_rec};
