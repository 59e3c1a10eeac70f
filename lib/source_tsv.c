/* tsv: one image per line, columns between tabs, one of them base64 (MS-Celeb-1M, and what `export --format tsv`
 * writes).
 *
 *   ingest.tsv_image    column of the image, from 1; 0: the last             MS-Celeb-1M: FaceData, column 7, the last
 *   ingest.tsv_label    column of the label; -1: none                        Freebase MID, column 1
 *   ingest.tsv_key      columns of the key, joined by '/'; 0: line number    1,2,5 for MID, ImageSearchRank, FaceID
 *
 * Keys must differ. Line numbers count from 1, so `sed -n 17p` shows record 17.
 *
 * A plain file is read at any line; the index (8 bytes a line, 24 with key columns) is filled by the walk, or by a pass
 * over the file when a key comes first. A compressed one (gzip, zstd, xz, bzip2) is read forward (lib/sequence.h): in
 * the order of the lines that is one pass, other orders rewind. The walk holds 64 KB of the file, a read one line.
 */
#include "archive.h"
#include "base64.h"
#include "file.h"
#include "hash.h"
#include "sequence.h"
#include "source_impl.h"
#include "text.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK      65536
#define FIELD_MAX  4096 /* bytes of a key or a label */
#define COLUMN_MAX 64
#define RAW_MAX    (FW_ALONG_MAX / 3 * 4 + 65536) /* bytes of a line whose image is kept */
#define LINE_MAX_  ((size_t)1 << 30)              /* bytes of a line that is kept: a photo of 750 MB */

/* Bytes of the file one after the other, decompressed. */
typedef struct flow {
    const fw_bytes *file; /* plain, or */
    fw_archive *packed;
    uint64_t at; /* offset of chunk[from] */
    char chunk[CHUNK];
    size_t from, end;
} flow;

/* What the walk sees of one line. */
typedef struct line {
    uint64_t start, next; /* offsets in the (decompressed) file */
    fw_buf key, label;
    uint64_t image;       /* characters of the image's column */
    bool too_long, found; /* a field over FIELD_MAX; the image's column is there */
    bool keep;            /* the whole of it, in raw, if that is not more than RAW_MAX */
    fw_buf raw;
} line;

typedef struct slot {
    uint64_t hash;
    uint64_t line; /* from 1; 0: empty */
} slot;

typedef struct tsv {
    char *path;
    fw_bytes file;
    bool packed;
    int key[COLUMN_MAX], keys;
    int label, image;
    pthread_mutex_t lock;
    uint64_t *start; /* [i]: where line i + 1 begins; one more than lines */
    size_t lines, cap;
    bool complete; /* all lines are in the index */
    slot *table;   /* by key, with key columns */
    size_t slots;
    fw_sequence *tape;
    flow *walk;
    uint64_t number;
    line now;
} tsv;

/* ---- a line at a time ----------------------------------------------------------------------------------------------
 */

static int refill(flow *f, fw_err *e)
{
    f->at += f->end;
    f->from = f->end = 0;
    if (f->packed) return fw_archive_stream(f->packed, f->chunk, CHUNK, &f->end, e);
    uint64_t left = f->file->size - f->at;
    size_t n = left < CHUNK ? (size_t)left : CHUNK;
    FW_TRY(fw_bytes_read(f->file, f->at, f->chunk, n, e));
    f->end = n;
    return FW_OK;
}

static flow *flow_at(const tsv *t, uint64_t at, fw_err *e)
{
    flow *f = FW_NEW(flow);
    f->file = &t->file;
    f->at = at;
    if (t->packed && !(f->packed = fw_archive_open(t->path, FW_ARCHIVE_RAW, 0, e))) {
        fw_free(f);
        return NULL;
    }
    return f;
}

static void close_flow(flow *f)
{
    if (!f) return;
    fw_archive_close(f->packed);
    fw_free(f);
}

static int key_position(const tsv *t, int column)
{
    for (int i = 0; i < t->keys; i++)
        if (t->key[i] == column) return i;
    return -1;
}

/* Bytes of a column: kept when it is a key or the label, counted when it may be the image. */
static void take_bytes(const tsv *t, line *l, fw_buf *part, int column, const char *bytes, size_t n)
{
    int k = key_position(t, column);
    if (k >= 0 || column == t->label) {
        fw_buf *to = k >= 0 ? &part[k] : &l->label;
        if (to->len + n > FIELD_MAX)
            l->too_long = true;
        else
            fw_buf_add(to, bytes, n);
        if (k >= 0 && column == t->label && !l->too_long) fw_buf_add(&l->label, bytes, n);
    }
    if (!t->image || column == t->image) l->image += n;
}

static void keep_bytes(line *l, const char *bytes, size_t n)
{
    if (l->raw.len + n <= RAW_MAX)
        fw_buf_add(&l->raw, bytes, n);
    else
        l->keep = false;
}

/* Names are escaped as in lists (lib/text.h). */
static void unescape(fw_buf *b)
{
    if (!b->len || strlen(b->data) != b->len) return; /* a NUL: refused later */
    fw_text_unlist(b->data);
    b->len = strlen(b->data);
}

static void join_key(const tsv *t, line *l, fw_buf *part)
{
    l->key.len = 0;
    for (int i = 0; i < t->keys; i++) {
        fw_buf_puts(&l->key, i ? "/" : "");
        fw_buf_add(&l->key, part[i].data, part[i].len);
        fw_buf_free(&part[i]);
    }
    unescape(&l->key);
    unescape(&l->label);
}

/* 1: *l is the next line; 0: the end; -1. Empty lines count as lines. */
static int next_line(const tsv *t, flow *f, line *l, fw_err *e)
{
    fw_buf part[COLUMN_MAX] = {0};
    const char *limit = NULL; /* where the line ends, or the chunk */
    int column = 1;
    bool ended = false;
    l->image = l->label.len = 0;
    l->too_long = false;
    l->raw.len = 0;
    l->start = f->at + f->from;
    for (;;) {
        if (f->from == f->end) {
            if (refill(f, e) || f->from == f->end) break;
            limit = NULL;
        }
        const char *begin = f->chunk + f->from, *stop = f->chunk + f->end;
        if (!limit) limit = memchr(begin, '\n', (size_t)(stop - begin));
        if (!limit) limit = stop;
        const char *p = memchr(begin, '\t', (size_t)(limit - begin));
        if (!p) p = limit;
        take_bytes(t, l, part, column, begin, (size_t)(p - begin));
        if (l->keep) keep_bytes(l, begin, (size_t)(p - begin) + (p < stop));
        f->from += (size_t)(p - begin) + (p < stop);
        if (p == stop) continue;
        ended = *p == '\n';
        if (ended) break;
        column++;
        if (!t->image) l->image = 0; /* there is a later column */
    }
    l->found = column >= t->image;
    l->next = f->at + f->from;
    join_key(t, l, part);
    if (e->code) return -1;
    return ended || l->next > l->start;
}

/* ---- the index -----------------------------------------------------------------------------------------------------
 */

static slot *slot_of(slot *table, size_t slots, uint64_t hash)
{
    size_t i = hash & (slots - 1);
    while (table[i].line && table[i].hash != hash) i = (i + 1) & (slots - 1);
    return &table[i];
}

static int note_key(tsv *t, const line *l, uint64_t number, fw_err *e)
{
    uint64_t hash = fw_hash_bytes(l->key.data, l->key.len).lo;
    if (2 * (number + 1) > t->slots) {
        size_t slots = t->slots ? 2 * t->slots : 1024;
        slot *table = FW_ARRAY(slot, slots);
        for (size_t i = 0; i < t->slots; i++)
            if (t->table[i].line) *slot_of(table, slots, t->table[i].hash) = t->table[i];
        fw_free(t->table);
        t->table = table;
        t->slots = slots;
    }
    slot *s = slot_of(t->table, t->slots, hash);
    if (s->line && s->line != number)
        return fw_fail(e, FW_EUSAGE,
                       "tsv '%s': lines %llu and %llu have the same key; choose other columns for ingest.tsv_key, or 0 "
                       "for line numbers",
                       t->path, (unsigned long long)s->line, (unsigned long long)number);
    *s = (slot){hash, number};
    return FW_OK;
}

/* Line `number` was seen. The lock is held. */
static int note_line(tsv *t, const line *l, uint64_t number, fw_err *e)
{
    if (number != t->lines + 1) return FW_OK; /* known already */
    if (!t->packed) {
        fw_reserve(&t->start, &t->cap, t->lines + 2, sizeof *t->start);
        t->start[t->lines] = l->start;
        t->start[t->lines + 1] = l->next;
    }
    t->lines++;
    return t->keys && l->key.len > 0 ? note_key(t, l, number, e) : FW_OK;
}

static void free_line(line *l)
{
    fw_buf_free(&l->key);
    fw_buf_free(&l->label);
    fw_buf_free(&l->raw);
}

/* Index the rest of the file. The lock is held. */
static int index_rest(tsv *t, fw_err *e)
{
    bool resume = !t->packed && t->lines;
    flow *f = flow_at(t, resume ? t->start[t->lines] : 0, e);
    uint64_t number = resume ? t->lines : 0;
    line l = {0};
    int got = f ? 1 : -1;
    while (got > 0 && (got = next_line(t, f, &l, e)) > 0)
        if (note_line(t, &l, ++number, e) || fw_check_stop(e)) got = -1;
    t->complete = true; /* when damaged too: nobody looks again */
    free_line(&l);
    close_flow(f);
    return got < 0 ? e->code : FW_OK;
}

/* Line number of a key, and where it lies. */
static int find_line(const fw_source *s, const char *key, uint64_t *number, uint64_t *start, uint64_t *next, fw_err *e)
{
    tsv *t = s->state;
    fw_err why = {0};
    uint64_t hash = t->keys ? fw_hash_bytes(key, strlen(key)).lo : 0;
    *number = 0;
    if (!t->keys && (!fw_key_number(key, number) || !*number)) return fw_no_record(s, key, e);
    pthread_mutex_lock(&t->lock);
    for (int pass = 0; pass < 2; pass++) {
        if (t->keys) *number = t->slots ? slot_of(t->table, t->slots, hash)->line : 0;
        if (t->keys ? *number > 0 : t->packed || *number <= t->lines) break;
        if (t->complete) *number = 0;
        if (t->complete) break;
        index_rest(t, &why);
    }
    if (!t->packed && *number && *number <= t->lines)
        *start = t->start[*number - 1], *next = t->start[*number];
    else if (!t->packed)
        *number = 0;
    pthread_mutex_unlock(&t->lock);
    if (*number) return FW_OK;
    return why.code ? fw_fail(e, why.code, "%s", why.msg) : fw_no_record(s, key, e);
}

/* ---- reading
 * --------------------------------------------------------------------------------------------------------- */

/* The image's column of a line: decoded in place, to the front of the buffer. */
static int decode_line(const tsv *t, uint64_t number, char *text, size_t n, size_t *bytes, fw_err *e)
{
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
    char *from = text, *end = text + n;
    for (int column = 1; !t->image || column < t->image; column++) {
        char *tab = memchr(from, '\t', (size_t)(end - from));
        if (!tab && !t->image) break;
        if (!tab)
            return fw_fail(e, FW_EFAIL, "read '%s' line %llu: has no column %d", t->path, (unsigned long long)number,
                           t->image);
        from = tab + 1;
    }
    char *tab = t->image ? memchr(from, '\t', (size_t)(end - from)) : NULL;
    if (tab) end = tab;
    if (!fw_base64_decode(from, (size_t)(end - from), text, bytes))
        return fw_fail(e, FW_EFAIL, "read '%s' line %llu: the image's column is not base64", t->path,
                       (unsigned long long)number);
    text[*bytes] = 0;
    return FW_OK;
}

static int read_plain(const tsv *t, uint64_t number, uint64_t start, uint64_t next, size_t max, char **bytes, size_t *n,
                      fw_err *e)
{
    uint64_t len = next - start;
    if (len > LINE_MAX_ || len / 4 * 3 > (uint64_t)max + COLUMN_MAX * (uint64_t)FIELD_MAX)
        return fw_fail(e, FW_EFAIL, "read '%s' line %llu at offset %llu: longer than the limit", t->path,
                       (unsigned long long)number, (unsigned long long)start);
    char *text = malloc((size_t)len + 4);
    if (!text) return fw_fail(e, FW_EAGAIN, "read '%s': out of memory", t->path);
    int rc = fw_bytes_read(&t->file, start, text, (size_t)len, e);
    if (!rc) rc = decode_line(t, number, text, (size_t)len, n, e);
    if (!rc && *n > max)
        rc = fw_fail(e, FW_EFAIL, "read '%s' line %llu: longer than the limit", t->path, (unsigned long long)number);
    if (rc)
        free(text);
    else
        *bytes = text;
    return rc;
}

typedef struct tape {
    const tsv *t;
    flow *f;
    uint64_t number;
} tape;

static int rewind_tape(void *user, fw_err *e)
{
    tape *p = user;
    close_flow(p->f);
    p->number = 0;
    return (p->f = flow_at(p->t, 0, e)) ? FW_OK : e->code;
}

/* A whole line; *bytes stays NULL when it is not wanted or too long. 1, 0: the end, -1. */
static int gather_line(flow *f, bool want, char **bytes, size_t *n, fw_err *bad, fw_err *e)
{
    char *text = NULL;
    size_t len = 0, cap = 0;
    bool any = false, ended = false;
    while (!ended) {
        if (f->from == f->end && refill(f, e)) return free(text), -1;
        if (f->from == f->end) break;
        char *begin = f->chunk + f->from, *nl = memchr(begin, '\n', f->end - f->from);
        size_t more = nl ? (size_t)(nl - begin) + 1 : f->end - f->from;
        f->from += more;
        any = true;
        ended = nl != NULL;
        if (len + more > LINE_MAX_) want = false, fw_fail(bad, FW_EFAIL, "a line longer than the limit");
        if (!want) continue;
        fw_reserve(&text, &cap, len + more + 4, 1);
        memcpy(text + len, begin, more);
        len += more;
    }
    if (!want) free(text), text = NULL;
    *bytes = text;
    *n = len;
    return any;
}

static int step_tape(void *user, bool want, char **bytes, size_t *n, fw_err *bad, fw_err *e)
{
    tape *p = user;
    int got = gather_line(p->f, want, bytes, n, bad, e);
    p->number++;
    if (got > 0 && *bytes && decode_line(p->t, p->number, *bytes, *n, n, bad)) {
        free(*bytes);
        *bytes = NULL;
    }
    return got;
}

static void close_tape(void *user)
{
    tape *p = user;
    close_flow(p->f);
    fw_free(p);
}

static int read_tsv(const fw_source *s, const char *key, size_t max, char **bytes, size_t *n, fw_err *e)
{
    const tsv *t = s->state;
    uint64_t number, start = 0, next = 0;
    FW_TRY(find_line(s, key, &number, &start, &next, e));
    if (t->packed) return fw_sequence_read(t->tape, number - 1, max, bytes, n, e);
    return read_plain(t, number, start, next, max, bytes, n, e);
}

static int find_tsv(const fw_source *s, const char *key, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    char *image;
    size_t n;
    FW_TRY(read_tsv(s, key, LINE_MAX_, &image, &n, e));
    free(image);
    *bytes = n;
    *mtime = ((const tsv *)s->state)->file.mtime;
    return FW_OK;
}

/* ---- opening, and the walk
 * -------------------------------------------------------------------------------------------- */

static int parse_keys(tsv *t, const char *text, fw_err *e)
{
    for (const char *p = text; p && strcmp(text, "0");) {
        size_t n = strcspn(p, ",");
        char *one = fw_format("%.*s", (int)n, p);
        uint64_t column;
        bool good = fw_key_number(one, &column) && column >= 1 && column <= 1000 && t->keys < COLUMN_MAX &&
                    key_position(t, (int)column) < 0;
        fw_free(one);
        if (!good)
            return fw_fail(e, FW_EUSAGE,
                           "ingest.tsv_key '%s': must be columns from 1, like 1,2,5, or 0 for line numbers", text);
        t->key[t->keys++] = (int)column;
        p = p[n] ? p + n + 1 : NULL;
    }
    return FW_OK;
}

static int open_tsv(fw_source *s, const char *path, fw_err *e)
{
    tsv *t = s->state = FW_NEW(tsv);
    t->file.fd = -1;
    t->label = s->opts.tsv_label ? s->opts.tsv_label : 1;
    t->image = s->opts.tsv_image;
    pthread_mutex_init(&t->lock, NULL);
    FW_TRY(parse_keys(t, s->opts.tsv_key && *s->opts.tsv_key ? s->opts.tsv_key : "0", e));
    char *real = fw_source_file_path("tsv", path, e);
    if (!real) return e->code;
    t->path = fw_strdup(real);
    free(real);
    s->spec = fw_format("tsv:%s", t->path);
    FW_TRY(fw_bytes_open(&t->file, t->path, e));
    fw_archive *f = fw_archive_open(t->path, FW_ARCHIVE_RAW, 0, e);
    if (!f) return e->code;
    t->packed = fw_archive_compressed(f);
    fw_archive_close(f);
    tape *p = FW_NEW(tape);
    p->t = t;
    t->tape = fw_sequence_new(&(fw_sequence_ops){rewind_tape, step_tape, close_tape}, p);
    return FW_OK;
}

static void close_tsv(fw_source *s)
{
    tsv *t = s->state;
    if (!t) return;
    fw_sequence_free(t->tape);
    close_flow(t->walk);
    free_line(&t->now);
    fw_bytes_close(&t->file);
    pthread_mutex_destroy(&t->lock);
    fw_free(t->start);
    fw_free(t->table);
    fw_free(t->path);
    fw_free(t);
}

static int set_record(fw_source *s, uint64_t *bytes, fw_err *e)
{
    const tsv *t = s->state;
    const line *l = &t->now;
    if (l->too_long || (t->keys && (memchr(l->key.data, 0, l->key.len) || strlen(l->key.data) != l->key.len)))
        return fw_fail(e, FW_EFAIL,
                       "tsv '%s' line %llu at offset %llu: a key or label of more than %d bytes, or with a NUL; %s",
                       t->path, (unsigned long long)t->number, (unsigned long long)l->start, FIELD_MAX,
                       "check ingest.tsv_key, ingest.tsv_label and that this is a TSV file");
    if (t->keys)
        fw_buf_add(&s->key, l->key.data, l->key.len);
    else
        fw_buf_printf(&s->key, "%llu", (unsigned long long)t->number);
    fw_buf_add(&s->label, l->label.data, l->label.len);
    s->label.len = strcspn(s->label.data, "\r");
    s->label.data[s->label.len] = 0;
    *bytes = l->image / 4 * 3;
    return FW_OK;
}

static int next_tsv(fw_source *s, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    tsv *t = s->state;
    if (!t->walk && !(t->walk = flow_at(t, 0, e))) return -1;
    for (;;) {
        t->now.keep = s->along && t->packed; /* a plain one is better decoded by several threads */
        int got = next_line(t, t->walk, &t->now, e);
        if (got < 0) return -1;
        pthread_mutex_lock(&t->lock);
        int rc = got ? note_line(t, &t->now, ++t->number, e) : FW_OK;
        if (!got) t->complete = true;
        pthread_mutex_unlock(&t->lock);
        if (rc) return -1;
        if (!got) return 0;
        if (t->now.next - t->now.start <= 2 && !t->now.image) continue; /* an empty line, perhaps with a CR */
        if (set_record(s, bytes, e)) return -1;
        *mtime = t->file.mtime;
        return 1;
    }
}

static bool take_tsv(fw_source *s, char **bytes, size_t *n)
{
    tsv *t = s->state;
    line *l = &t->now;
    if (!l->keep || decode_line(t, t->number, l->raw.data, l->raw.len, n, NULL) || *n > FW_ALONG_MAX) return false;
    l->keep = false;
    *bytes = fw_copy_bytes(l->raw.data, *n);
    return *bytes != NULL;
}

static char *locate_tsv(const fw_source *s, const char *key)
{
    const tsv *t = s->state;
    return fw_locate_inside(t->path, key);
}

const fw_scheme fw_scheme_tsv = {.scheme = "tsv",
                                 .open = open_tsv,
                                 .next = next_tsv,
                                 .find = find_tsv,
                                 .read = read_tsv,
                                 .locate = locate_tsv,
                                 .close = close_tsv,
                                 .take = take_tsv};
