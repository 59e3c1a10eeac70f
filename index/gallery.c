#include "gallery.h"
#include "../lib/column.h"
#include "../lib/file.h"
#include "vecindex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD "facewash gallery 1\n"

typedef struct segment {
    fw_column vec, label, label_off, path, path_off;
} segment;

struct fw_gallery {
    char *root, *recipe;
    segment *seg;
    size_t segs, cap;
    size_t *base; /* segs + 1 */
    fw_vectors *v;
};

struct fw_gallery_batch {
    char *root;
    int dim;
    uint16_t *vec;
    size_t rows, vec_cap;
    fw_buf text[2]; /* labels, paths */
    uint64_t *off[2];
    size_t off_cap[2];
};

static char *segment_dir(const char *root, size_t number)
{
    return fw_format("%s/segments/%06zu", root, number);
}

bool fw_gallery_there(const char *root)
{
    char *path = fw_format("%s/GALLERY", root);
    bool there = fw_exists(path);
    fw_free(path);
    return there;
}

int fw_gallery_create(const char *root, const char *recipe, fw_err *e)
{
    if (fw_gallery_there(root)) return FW_OK;
    char *dir = fw_format("%s/segments", root), *path = fw_format("%s/GALLERY", root);
    char *text = fw_format(HEAD "%s", recipe);
    int rc = fw_mkdirs(dir, e);
    if (!rc) rc = fw_file_write(path, text, strlen(text), e);
    fw_free(text);
    fw_free(path);
    fw_free(dir);
    return rc;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static int open_text(const char *dir, const char *name, size_t rows, fw_column *values, fw_column *off, fw_err *e)
{
    char *path = fw_format("%s/%s", dir, name), *offsets = fw_format("%s/%s.off", dir, name);
    int rc = fw_column_open_as(path, FW_U8, 1, values, e);
    if (!rc) rc = fw_column_open_as(offsets, FW_U64, 1, off, e);
    if (!rc && !fw_column_offsets_fit(off, values->rows, rows))
        rc = fw_fail(e, FW_EFAIL, "gallery: '%s' is damaged", offsets);
    fw_free(path);
    fw_free(offsets);
    return rc;
}

static void close_segment(segment *s)
{
    fw_column *all[] = {&s->vec, &s->label, &s->label_off, &s->path, &s->path_off};
    for (size_t i = 0; i < FW_COUNT(all); i++) fw_column_close(all[i]);
}

static int open_segment(const char *dir, segment *s, fw_err *e)
{
    char *path = fw_format("%s/gallery.vec", dir);
    int rc = fw_column_open_as(path, FW_F16, 0, &s->vec, e);
    fw_free(path);
    if (!rc) rc = open_text(dir, "label", s->vec.rows, &s->label, &s->label_off, e);
    if (!rc) rc = open_text(dir, "path", s->vec.rows, &s->path, &s->path_off, e);
    return rc;
}

static int open_segments(fw_gallery *g, fw_err *e)
{
    int rc = FW_OK;
    while (!rc) {
        char *dir = segment_dir(g->root, g->segs + 1);
        bool there = fw_is_dir(dir);
        segment s = {0};
        if (there) rc = open_segment(dir, &s, e);
        if (there && !rc && g->segs && s.vec.width != g->seg[0].vec.width)
            rc = fw_fail(e, FW_EFAIL, "gallery: '%s' holds %d dimensions, the others %d", dir, s.vec.width,
                         g->seg[0].vec.width);
        fw_free(dir);
        if (!there) break;
        fw_reserve(&g->seg, &g->cap, g->segs + 1, sizeof *g->seg);
        g->seg[g->segs++] = s;
    }
    return rc;
}

static void make_view(fw_gallery *g)
{
    const uint16_t **chunk = FW_ARRAY(const uint16_t *, g->segs);
    size_t *rows = FW_ARRAY(size_t, g->segs);
    g->base = FW_ARRAY(size_t, g->segs + 1);
    for (size_t i = 0; i < g->segs; i++) {
        chunk[i] = g->seg[i].vec.data;
        rows[i] = g->seg[i].vec.rows;
        g->base[i + 1] = g->base[i] + rows[i];
    }
    if (g->segs) g->v = fw_vectors_chunks(chunk, rows, g->segs, g->seg[0].vec.width, NULL);
    fw_free((void *)chunk);
    fw_free(rows);
}

static int read_head(fw_gallery *g, fw_err *e)
{
    char *path = fw_format("%s/GALLERY", g->root), *text = NULL;
    size_t n;
    int rc = fw_file_read(path, 1 << 20, &text, &n, e);
    if (!rc && strncmp(text, HEAD, strlen(HEAD)))
        rc = fw_fail(e, FW_EFAIL, "'%s' is not a gallery of this version of facewash", path);
    if (!rc) g->recipe = fw_strdup(text + strlen(HEAD));
    free(text);
    fw_free(path);
    return rc;
}

int fw_gallery_open(const char *root, fw_gallery **out, fw_err *e)
{
    fw_gallery *g = *out = FW_NEW(fw_gallery);
    g->root = fw_strdup(root);
    int rc = read_head(g, e);
    if (!rc) rc = open_segments(g, e);
    if (!rc) {
        make_view(g);
        return FW_OK;
    }
    fw_gallery_close(g);
    *out = NULL;
    return rc;
}

void fw_gallery_close(fw_gallery *g)
{
    if (!g) return;
    fw_vectors_free(g->v);
    for (size_t i = 0; i < g->segs; i++) close_segment(&g->seg[i]);
    fw_free(g->seg);
    fw_free(g->base);
    fw_free(g->root);
    fw_free(g->recipe);
    fw_free(g);
}

const char *fw_gallery_recipe(const fw_gallery *g)
{
    return g->recipe;
}

size_t fw_gallery_rows(const fw_gallery *g)
{
    return g->base[g->segs];
}

size_t fw_gallery_segments(const fw_gallery *g)
{
    return g->segs;
}

const fw_vectors *fw_gallery_vectors(const fw_gallery *g)
{
    return g->v;
}

static const segment *segment_of(const fw_gallery *g, size_t row, size_t *at)
{
    size_t lo = 0, hi = g->segs;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (g->base[mid] <= row)
            lo = mid;
        else
            hi = mid;
    }
    *at = row - g->base[lo];
    return &g->seg[lo];
}

static const char *text_at(const fw_column *values, const fw_column *off, size_t at, size_t *n)
{
    const uint64_t *o = off->data;
    *n = (size_t)(o[at + 1] - o[at]);
    return *n ? (const char *)values->data + o[at] : "";
}

const char *fw_gallery_label(const fw_gallery *g, size_t row, size_t *n)
{
    size_t at;
    const segment *s = segment_of(g, row, &at);
    return text_at(&s->label, &s->label_off, at, n);
}

const char *fw_gallery_path(const fw_gallery *g, size_t row, size_t *n)
{
    size_t at;
    const segment *s = segment_of(g, row, &at);
    return text_at(&s->path, &s->path_off, at, n);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

fw_gallery_batch *fw_gallery_batch_new(const char *root, int dim)
{
    fw_gallery_batch *b = FW_NEW(fw_gallery_batch);
    b->root = fw_strdup(root);
    b->dim = dim;
    return b;
}

static void add_text(fw_gallery_batch *b, int which, const char *text)
{
    fw_reserve(&b->off[which], &b->off_cap[which], b->rows + 2, sizeof *b->off[which]);
    b->off[which][b->rows] = b->text[which].len;
    fw_buf_puts(&b->text[which], text);
    b->off[which][b->rows + 1] = b->text[which].len;
}

void fw_gallery_batch_add(fw_gallery_batch *b, const char *path, const char *label, const float *vec)
{
    size_t dim = (size_t)b->dim;
    fw_reserve(&b->vec, &b->vec_cap, (b->rows + 1) * dim, sizeof *b->vec);
    fw_float_to_half(vec, b->vec + b->rows * dim, dim);
    add_text(b, 0, label);
    add_text(b, 1, path);
    b->rows++;
}

size_t fw_gallery_batch_rows(const fw_gallery_batch *b)
{
    return b->rows;
}

static int save(const char *dir, const char *name, fw_dtype type, int width, const void *rows, size_t n, fw_err *e)
{
    char *path = fw_format("%s/%s", dir, name);
    int rc = fw_column_save(path, type, width, rows, n, e);
    if (!rc) rc = fw_fsync_path(path, e);
    fw_free(path);
    return rc;
}

static int write_segment(const fw_gallery_batch *b, const char *dir, fw_err *e)
{
    FW_TRY(fw_mkdirs(dir, e));
    FW_TRY(save(dir, "gallery.vec", FW_F16, b->dim, b->vec, b->rows, e));
    FW_TRY(save(dir, "label", FW_U8, 1, b->text[0].data, b->text[0].len, e));
    FW_TRY(save(dir, "label.off", FW_U64, 1, b->off[0], b->rows + 1, e));
    FW_TRY(save(dir, "path", FW_U8, 1, b->text[1].data, b->text[1].len, e));
    FW_TRY(save(dir, "path.off", FW_U64, 1, b->off[1], b->rows + 1, e));
    return fw_fsync_path(dir, e);
}

/* Rename to ROOT/KIND/NUMBER, from `number` on the first that nobody has: a folder that is not empty is never
 * replaced. `only`: that one or none. */
static int place(const char *staged, const char *root, const char *kind, size_t number, bool only, fw_err *e)
{
    char *parent = fw_format("%s/%s", root, kind);
    int rc = fw_mkdirs(parent, e);
    for (bool done = false; !rc && !done; number++) {
        char *to = fw_format("%s/%06zu", parent, number);
        done = !rename(staged, to);
        if (!done && errno != ENOTEMPTY && errno != EEXIST) rc = fw_fail_errno(e, "move '%s' to '%s'", staged, to);
        fw_free(to);
        if (only) break;
    }
    if (!rc) rc = fw_fsync_path(parent, e);
    fw_free(parent);
    return rc;
}

static size_t next_segment(const char *root)
{
    size_t number = 0;
    bool there = true;
    while (there) {
        char *dir = segment_dir(root, ++number);
        there = fw_is_dir(dir);
        fw_free(dir);
    }
    return number;
}

int fw_gallery_batch_seal(fw_gallery_batch *b, fw_err *e)
{
    if (!b->rows) return FW_OK;
    char *dir = fw_format("%s/tmp/segment.%ld", b->root, (long)getpid());
    int rc = fw_remove_tree(dir, e);
    if (!rc) rc = write_segment(b, dir, e);
    if (!rc) rc = place(dir, b->root, "segments", next_segment(b->root), false, e);
    if (rc) fw_remove_tree(dir, NULL);
    fw_free(dir);
    b->rows = 0;
    b->text[0].len = b->text[1].len = 0;
    return rc;
}

void fw_gallery_batch_free(fw_gallery_batch *b)
{
    if (!b) return;
    for (int i = 0; i < 2; i++) {
        fw_buf_free(&b->text[i]);
        fw_free(b->off[i]);
    }
    fw_free(b->vec);
    fw_free(b->root);
    fw_free(b);
}

/* ---- the index -------------------------------------------------------------------------------------------------- */

char *fw_gallery_index(const fw_gallery *g, size_t *rows)
{
    *rows = 0;
    for (size_t n = g->segs; n > 0; n--) {
        char *path = fw_format("%s/index/%06zu/index.faiss", g->root, n);
        if (fw_exists(path)) return *rows = g->base[n], path;
        fw_free(path);
    }
    return NULL;
}

static int build_index(const fw_gallery *g, const char *factory, fw_err *e)
{
    char *dir = fw_format("%s/tmp/index.%ld", g->root, (long)getpid()), *path = fw_format("%s/index.faiss", dir);
    fw_vecindex *x = NULL;
    int rc = fw_remove_tree(dir, e);
    if (!rc) rc = fw_mkdirs(dir, e);
    if (!rc) rc = fw_vecindex_build(g->v, factory, &x, e);
    if (!rc) rc = fw_vecindex_save(x, path, e);
    if (!rc) rc = fw_fsync_path(path, e);
    if (!rc) rc = fw_fsync_path(dir, e);
    if (!rc) rc = place(dir, g->root, "index", g->segs, true, e);
    fw_remove_tree(dir, NULL);
    fw_vecindex_free(x);
    fw_free(path);
    fw_free(dir);
    return rc;
}

int fw_gallery_refresh_index(const fw_gallery *g, fw_err *e)
{
    char factory[64];
    size_t rows = fw_gallery_rows(g), covered;
    char *newest = fw_gallery_index(g, &covered);
    fw_free(newest);
    if (!rows) return FW_OK;
    fw_vecindex_default(rows, g->v->dim, factory, sizeof factory);
    if (!strcmp(factory, "Flat") || rows - covered <= rows / 8) return FW_OK;
    return build_index(g, factory, e);
}
