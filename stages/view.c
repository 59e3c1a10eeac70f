/* view: what whole-dataset stages, report and export see: rows of a set, columns over all its shards. */
#include "../index/graph.h"
#include "../lib/decisions.h"
#include "../lib/file.h"
#include "../lib/intern.h"
#include "../lib/kv.h"
#include "../lib/log.h"
#include "../lib/modeldesc.h"
#include "../lib/paths.h"
#include "run.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct fw_cols {
    char *name, *set;
    fw_arity arity;
    const fw_view *view;
    fw_column *values, *offsets; /* per shard of the view */
    fw_kv **blobs;
};

typedef struct whole {
    char *name;
    fw_column column;
} whole;

typedef struct vectors {
    char *set;
    fw_vectors *v;
    uint8_t *valid;
    void *own; /* block that holds the embeddings, of own_bytes, or NULL: they are in the files' memory */
    size_t own_bytes;
} vectors;

struct fw_cache {
    fw_view **view;
    size_t views, view_cap;
    fw_cols **cols;
    size_t ncols, cols_cap;
    whole **whole;
    size_t wholes, whole_cap;
    vectors *vec;
    size_t vecs, vec_cap;
    const char **benchmark;
};

static struct fw_cache *cache_of(fw_run *r)
{
    if (!r->cache) r->cache = FW_NEW(struct fw_cache);
    return r->cache;
}

/* ---- images and labels ----------------------------------------------------------------------------------------- */

static void label_rows(fw_view *v)
{
    fw_intern table = {0};
    for (size_t s = 0; s < v->shards; s++) {
        const fw_shard *sh = v->shard[s];
        uint32_t *map = FW_ARRAY(uint32_t, sh->label_off.rows);
        memset(map, 0xFF, sh->label_off.rows * sizeof *map);
        const uint32_t *local = sh->label.data;
        for (size_t r = 0; r < sh->rows; r++) {
            uint32_t *to = &v->label[v->base[s] + r], id = local[r];
            size_t n;
            *to = FW_NO_LABEL;
            if (id == FW_NO_LABEL || !v->alive[v->base[s] + r]) continue;
            const char *text = fw_shard_label(sh, r, &n);
            if (map[id] == FW_NO_LABEL) map[id] = fw_intern_get(&table, text, n);
            *to = map[id];
        }
        fw_free(map);
    }
    v->labels = table.n;
    v->label_name = table.text; /* ours now */
    fw_free(table.slot);
}

static fw_view *build_view(const fw_run *r, const char *set)
{
    fw_view *v = FW_NEW(fw_view);
    v->set = set;
    v->shard = FW_ARRAY(const fw_shard *, r->store->shards);
    v->base = FW_ARRAY(size_t, r->store->shards + 1);
    for (size_t i = 0; i < r->store->shards; i++) {
        const fw_shard *sh = &r->store->shard[i];
        if (strcmp(sh->set, set)) continue;
        v->shard[v->shards++] = sh;
        v->base[v->shards] = v->n += sh->rows;
    }
    v->alive = FW_ARRAY(uint8_t, v->n);
    v->label = FW_ARRAY(uint32_t, v->n);
    for (size_t s = 0; s < v->shards; s++)
        for (size_t i = 0; i < v->shard[s]->rows; i++)
            v->alive[v->base[s] + i] = !(v->shard[s]->removed && v->shard[s]->removed[i]);
    label_rows(v);
    return v;
}

static void free_view(fw_view *v)
{
    for (size_t i = 0; i < v->labels; i++) fw_free(v->label_name[i]);
    fw_free(v->label_name);
    fw_free((void *)v->shard);
    fw_free(v->base);
    fw_free(v->alive);
    fw_free(v->label);
    fw_free(v);
}

const fw_view *fw_task_view(fw_task *t, const char *set, fw_err *e)
{
    struct fw_cache *c = cache_of(t->run);
    for (size_t i = 0; i < c->views; i++)
        if (!strcmp(c->view[i]->set, set)) return c->view[i];
    for (size_t i = 0; i < t->run->sets; i++) {
        if (strcmp(t->run->set[i], set)) continue;
        fw_reserve(&c->view, &c->view_cap, c->views + 1, sizeof *c->view);
        return c->view[c->views++] = build_view(t->run, t->run->set[i]);
    }
    fw_fail(e, FW_EFAIL, "no set named '%s' in this workspace", set);
    return NULL;
}

size_t fw_view_shard(const fw_view *v, size_t row)
{
    size_t lo = 0, hi = v->shards;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->base[mid] <= row)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

const char *fw_view_path(const fw_view *v, size_t row, size_t *n)
{
    size_t s = fw_view_shard(v, row);
    return fw_shard_path(v->shard[s], row - v->base[s], n);
}

/* ---- shard columns --------------------------------------------------------------------------------------------- */

static void free_cols(fw_cols *c)
{
    for (size_t s = 0; s < c->view->shards; s++) {
        fw_column_close(&c->values[s]);
        fw_column_close(&c->offsets[s]);
        fw_kv_close(c->blobs[s]);
    }
    fw_free(c->values);
    fw_free(c->offsets);
    fw_free(c->blobs);
    fw_free(c->name);
    fw_free(c->set);
    fw_free(c);
}

static int open_col_shard(fw_run *r, fw_cols *c, const fw_output *decl, size_t stage, size_t s, fw_err *e)
{
    const fw_shard *sh = c->view->shard[s];
    char *dir = fw_run_result(r, stage, (int)sh->number), *path = fw_format("%s/%s", dir, decl->name);
    int rc = FW_OK;
    if (!fw_exists(dir))
        rc = fw_fail(
            e, FW_EUSAGE,
            "stage '%s' has not run on shard %u with these settings; `facewash run` brings everything up to date",
            fw_stages[stage]->name, sh->number);
    else if (decl->arity == FW_BLOB)
        rc = (c->blobs[s] = fw_kv_open(path, e)) ? FW_OK : e->code;
    else
        rc = fw_column_open_as(path, decl->type, decl->width, &c->values[s], e);
    if (!rc && decl->arity == FW_MANY) {
        char *off = fw_format("%s.off", path);
        rc = fw_column_open_as(off, FW_U64, 1, &c->offsets[s], e);
        fw_free(off);
        if (!rc && !fw_column_offsets_fit(&c->offsets[s], c->values[s].rows, sh->rows))
            rc = fw_fail(e, FW_EFAIL, "column '%s.off': damaged, or of another shard", path);
    }
    if (!rc && decl->arity == FW_ONE && c->values[s].rows != sh->rows)
        rc = fw_fail(e, FW_EFAIL, "column '%s': %zu rows for %zu images", path, c->values[s].rows, sh->rows);
    if (rc == FW_EFAIL) fw_context(e, "result '%s' is damaged; remove that folder and run again", dir);
    fw_free(path);
    fw_free(dir);
    return rc;
}

/* A column as wide as its source says (embeddings): one width for all, or rows would be read across their ends. */
static int check_widths(const fw_cols *c, fw_err *e)
{
    for (size_t s = 1; s < c->view->shards; s++)
        if (c->values[s].width != c->values[0].width)
            return fw_fail(
                e, FW_EUSAGE,
                "%s: %d numbers a row in shard %u, %d in shard %u; give the new input a workspace of its own", c->name,
                c->values[0].width, c->view->shard[0]->number, c->values[s].width, c->view->shard[s]->number);
    return FW_OK;
}

fw_cols *fw_task_cols(fw_task *t, const char *column, const char *set, fw_err *e)
{
    struct fw_cache *cache = cache_of(t->run);
    for (size_t i = 0; i < cache->ncols; i++)
        if (!strcmp(cache->cols[i]->name, column) && !strcmp(cache->cols[i]->set, set)) return cache->cols[i];
    const fw_view *v = fw_task_view(t, set, e);
    const fw_output *decl = NULL;
    size_t stage = fw_producer(column, &decl);
    if (!v || !decl || fw_stages[stage]->scope != FW_SCOPE_SHARD) {
        fw_fail(e, FW_EFAIL, "no shard column '%s'", column);
        return NULL;
    }
    fw_cols *c = FW_NEW(fw_cols);
    c->name = fw_strdup(column);
    c->set = fw_strdup(set);
    c->arity = decl->arity;
    c->view = v;
    c->values = FW_ARRAY(fw_column, v->shards);
    c->offsets = FW_ARRAY(fw_column, v->shards);
    c->blobs = FW_ARRAY(fw_kv *, v->shards);
    int rc = FW_OK;
    for (size_t s = 0; s < v->shards && !rc; s++) rc = open_col_shard(t->run, c, decl, stage, s, e);
    if (!rc && c->arity != FW_BLOB) rc = check_widths(c, e);
    if (rc) {
        free_cols(c);
        return NULL;
    }
    fw_reserve(&cache->cols, &cache->cols_cap, cache->ncols + 1, sizeof *cache->cols);
    return cache->cols[cache->ncols++] = c;
}

const void *fw_col_row(const fw_cols *c, size_t row)
{
    size_t s = fw_view_shard(c->view, row);
    const fw_column *v = &c->values[s];
    return (const char *)v->data + (row - c->view->base[s]) * (size_t)v->width * fw_dtype_size(v->type);
}

const void *fw_col_many(const fw_cols *c, size_t row, size_t *rows)
{
    size_t s = fw_view_shard(c->view, row), at = row - c->view->base[s];
    const uint64_t *off = c->offsets[s].data;
    const fw_column *v = &c->values[s];
    *rows = off[at + 1] - off[at];
    return *rows ? (const char *)v->data + off[at] * (uint64_t)v->width * fw_dtype_size(v->type) : NULL;
}

const void *fw_col_blob(const fw_cols *c, size_t row, size_t *bytes)
{
    size_t s = fw_view_shard(c->view, row);
    return fw_kv_get(c->blobs[s], row - c->view->base[s], bytes);
}

int fw_col_width(const fw_cols *c)
{
    return c->view->shards ? c->values[0].width : 0;
}

void *fw_col_gather(const fw_cols *c, size_t n)
{
    if (!n) return fw_alloc(1, 1);
    size_t row = (size_t)c->values[0].width * fw_dtype_size(c->values[0].type);
    char *all = fw_alloc(n, row);
    for (size_t s = 0; s < c->view->shards; s++)
        memcpy(all + c->view->base[s] * row, c->values[s].data, c->view->shard[s]->rows * row);
    return all;
}

/* The embeddings in a block of ours, as long as all that are take no more than a quarter of run.memory: who meets them in
 * no order waits eight times as long for the small pages of a mapped file as for large ones (fw_alloc). Sets out->own. */
static uint16_t *in_own_memory(const fw_task *t, const struct fw_cache *cache, const fw_cols *vec, const fw_view *v,
                               vectors *out)
{
    const size_t width = (size_t)fw_col_width(vec) * sizeof(uint16_t),
                 line = 64; /* a row begins with a line of the cache */
    size_t owned = v->n * width;
    for (size_t i = 0; i < cache->vecs; i++) owned += cache->vec[i].own_bytes;
    if (owned > t->conf->run_memory / 4) return NULL;
    out->own_bytes = v->n * width;
    out->own = fw_alloc(out->own_bytes + line, 1);
    char *at = (char *)out->own + (line - (uintptr_t)out->own % line) % line;
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t s = 0; s < v->shards; s++) {
        if (!v->shard[s]->rows || fw_stopping()) continue;
        memcpy(at + v->base[s] * width, vec->values[s].data, v->shard[s]->rows * width);
        fw_column_release(&vec->values[s]);
    }
    return (uint16_t *)(void *)at;
}

const fw_vectors *fw_task_vectors(fw_task *t, const char *set, fw_err *e)
{
    struct fw_cache *cache = cache_of(t->run);
    for (size_t i = 0; i < cache->vecs; i++)
        if (!strcmp(cache->vec[i].set, set)) return cache->vec[i].v;
    const fw_view *v = fw_task_view(t, set, e);
    fw_cols *vec = v ? fw_task_cols(t, "embed.vec", set, e) : NULL,
            *valid = vec ? fw_task_cols(t, "embed.valid", set, e) : NULL;
    if (!valid) return NULL;
    const int dim = v->shards ? fw_col_width(vec) : 1;
    vectors out = {.set = NULL};
    const uint16_t *own = v->shards ? in_own_memory(t, cache, vec, v, &out) : NULL;
    if (fw_check_stop(e)) {
        fw_free(out.own);
        return NULL;
    }
    const uint16_t **chunk = FW_ARRAY(const uint16_t *, v->shards);
    size_t *rows = FW_ARRAY(size_t, v->shards);
    for (size_t s = 0; s < v->shards; s++) {
        chunk[s] = own ? own + v->base[s] * (size_t)dim : vec->values[s].data;
        rows[s] = v->shard[s]->rows;
    }
    uint8_t *ok = fw_col_gather(valid, v->n);
    for (size_t i = 0; i < v->n; i++) ok[i] = ok[i] && v->alive[i];
    fw_reserve(&cache->vec, &cache->vec_cap, cache->vecs + 1, sizeof *cache->vec);
    out.set = fw_strdup(set), out.valid = ok, out.v = fw_vectors_chunks(chunk, rows, v->shards, dim, ok);
    cache->vec[cache->vecs] = out;
    fw_free((void *)chunk);
    fw_free(rows);
    return cache->vec[cache->vecs++].v;
}

/* ---- whole columns --------------------------------------------------------------------------------------------- */

const fw_column *fw_task_whole(fw_task *t, const char *column, fw_err *e)
{
    struct fw_cache *c = cache_of(t->run);
    for (size_t i = 0; i < c->wholes; i++)
        if (!strcmp(c->whole[i]->name, column)) return &c->whole[i]->column;
    const fw_output *decl = NULL;
    size_t stage = fw_producer(column, &decl);
    if (!decl || fw_stages[stage]->scope != FW_SCOPE_WHOLE) {
        fw_fail(e, FW_EFAIL, "no dataset column '%s'", column);
        return NULL;
    }
    char *dir = fw_run_result(t->run, stage, -1), *path = fw_format("%s/%s", dir, column);
    fw_column got;
    int rc = fw_exists(dir)
                 ? FW_OK
                 : fw_fail(e, FW_EUSAGE,
                           "stage '%s' has not run with these settings; `facewash run` brings everything up to date",
                           fw_stages[stage]->name);
    if (!rc) rc = fw_result_verify(dir, column, e);
    if (!rc && (rc = fw_column_open_as(path, decl->type, decl->width, &got, e)) == FW_EFAIL)
        fw_context(e, "result '%s' is damaged; remove that folder and run again", dir);
    fw_free(path);
    fw_free(dir);
    if (rc) return NULL;
    fw_reserve(&c->whole, &c->whole_cap, c->wholes + 1, sizeof *c->whole);
    whole *w = c->whole[c->wholes++] = FW_NEW(whole); /* its own block: the pointer is handed out */
    w->name = fw_strdup(column);
    w->column = got;
    return &w->column;
}

char *fw_task_file_of(fw_task *t, const char *stage, const char *file, fw_err *e)
{
    size_t row = fw_stage_row(stage);
    if (row == SIZE_MAX || fw_stages[row]->scope != FW_SCOPE_WHOLE || !fw_run_done(t->run, row, -1)) {
        fw_fail(e, FW_EUSAGE, "stage '%s' has not run with these settings; `facewash run` brings everything up to date",
                stage);
        return NULL;
    }
    char *dir = fw_run_result(t->run, row, -1), *path = fw_format("%s/%s", dir, file);
    fw_free(dir);
    return path;
}

void fw_cache_free(struct fw_cache *c)
{
    if (!c) return;
    for (size_t i = 0; i < c->vecs; i++) {
        fw_vectors_free(c->vec[i].v);
        fw_free(c->vec[i].valid);
        fw_free(c->vec[i].own);
        fw_free(c->vec[i].set);
    }
    for (size_t i = 0; i < c->ncols; i++) free_cols(c->cols[i]);
    for (size_t i = 0; i < c->wholes; i++) {
        fw_column_close(&c->whole[i]->column);
        fw_free(c->whole[i]->name);
        fw_free(c->whole[i]);
    }
    for (size_t i = 0; i < c->views; i++) free_view(c->view[i]);
    fw_free(c->vec);
    fw_free(c->cols);
    fw_free(c->whole);
    fw_free(c->view);
    fw_free((void *)c->benchmark);
    fw_free(c);
}

/* ---- what else a stage asks for ----------------------------------------------------------------------------------- */

int fw_task_modeldesc(fw_task *t, const char *setting, size_t at, fw_modeldesc **out, fw_err *e)
{
    *out = NULL;
    char *name = fw_conf_item(t->conf, setting, at);
    if (!name) return at ? FW_OK : fw_fail(e, FW_EUSAGE, "%s: no model is named", setting);
    char *ini = fw_model_ini(name, e), *models = fw_models_dir();
    int rc = ini ? fw_modeldesc_read(ini, models, out, e) : e->code;
    fw_free(models);
    fw_free(ini);
    fw_free(name);
    return rc;
}

int fw_task_graph(fw_task *t, fw_graph *out, fw_err *e)
{
    const fw_column *off = fw_task_whole(t, "knn.off", e), *id = off ? fw_task_whole(t, "knn.id", e) : NULL;
    const fw_column *sim = id ? fw_task_whole(t, "knn.sim", e) : NULL;
    if (!sim) return e->code;
    const uint64_t *o = off->data;
    if (!off->rows || o[off->rows - 1] != id->rows || id->rows != sim->rows)
        return fw_fail(e, FW_EFAIL, "k-NN graph: its columns do not fit together");
    *out = (fw_graph){.n = off->rows - 1, .off = o, .id = id->data, .sim = sim->data};
    return FW_OK;
}

const fw_decisions *fw_task_decisions(const fw_task *t)
{
    return &t->run->decisions;
}

size_t fw_task_benchmarks(fw_task *t, const char *const **list)
{
    struct fw_cache *c = cache_of(t->run);
    size_t n = t->run->sets - 1;
    if (!c->benchmark) c->benchmark = FW_ARRAY(const char *, n + 1);
    for (size_t i = 0; i < n; i++) c->benchmark[i] = t->run->set[i + 1];
    *list = c->benchmark;
    return n;
}

const fw_source *fw_task_source(fw_task *t, const char *set, fw_err *e)
{
    const fw_source *s = NULL;
    for (size_t i = 0; i < t->run->sets; i++)
        if (!strcmp(t->run->set[i], set) && fw_run_source(t->run, i, &s, e)) return NULL;
    return s;
}

int fw_task_vector_sources(fw_task *t, int *dim, bool *photos, fw_err *e)
{
    *dim = 0;
    *photos = false;
    for (size_t i = 0; i < t->run->sets; i++) {
        const fw_source *s;
        fw_err gone = {0}; /* a source that is not there now has nothing to say, and is missed when it is read */
        if (fw_run_source(t->run, i, &s, &gone)) continue;
        int d = fw_source_dim(s);
        if (!d)
            *photos = true;
        else if (*dim && *dim != d)
            return fw_fail(e, FW_EUSAGE, "embeddings of %d and of %d dimensions in one run", *dim, d);
        else
            *dim = d;
    }
    return FW_OK;
}

fw_task fw_run_reader(fw_run *r)
{
    return (fw_task){.conf = r->conf, .store = r->store, .workers = r->workers, .run = r};
}
