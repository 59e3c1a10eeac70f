#include "known.h"

#include "../lib/kv.h"

#include <stdlib.h>

typedef struct entry {
    fw_hash hash;
    fw_seen at;
} entry;

typedef struct column {
    bool open;
    fw_column values, offsets;
    fw_kv *blobs;
} column;

typedef struct donor {
    bool used;
    uint32_t shard;
    column col[FW_COLUMNS];
} donor;

struct fw_known {
    fw_run *run;
    entry *entry;
    size_t n;
    donor *donor; /* FW_DONORS; shard s sits at s % FW_DONORS */
};

static int by_hash(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->hash.hi != y->hash.hi) return x->hash.hi < y->hash.hi ? -1 : 1;
    if (x->hash.lo != y->hash.lo) return x->hash.lo < y->hash.lo ? -1 : 1;
    if (x->at.shard != y->at.shard) return x->at.shard < y->at.shard ? -1 : 1;
    return (x->at.row > y->at.row) - (x->at.row < y->at.row);
}

static bool is_donor(const fw_run *r, size_t first, size_t last, size_t shard)
{
    for (size_t s = first; s <= last; s++)
        if (!fw_run_done(r, s, (int)shard)) return false;
    return true;
}

static void add_rows(fw_known *k, size_t shard)
{
    const fw_shard *sh = &k->run->store->shard[shard];
    const fw_hash *h = sh->hash.data;
    k->entry = fw_realloc(k->entry, k->n + sh->rows, sizeof *k->entry);
    for (size_t row = 0; row < sh->rows; row++)
        if (h[row].hi || h[row].lo) k->entry[k->n++] = (entry){h[row], {(uint32_t)shard, (uint32_t)row}};
}

fw_known *fw_known_new(fw_run *r, size_t first, size_t last)
{
    fw_known *k = FW_NEW(fw_known);
    k->run = r;
    for (size_t n = 0; n < r->store->shards; n++)
        if (is_donor(r, first, last, n)) add_rows(k, n);
    if (!k->n) {
        fw_known_free(k);
        return NULL;
    }
    qsort(k->entry, k->n, sizeof *k->entry, by_hash);
    k->donor = FW_ARRAY(donor, FW_DONORS);
    return k;
}

static void close_column(column *c)
{
    fw_column_close(&c->values);
    fw_column_close(&c->offsets);
    fw_kv_close(c->blobs);
    *c = (column){0};
}

static void close_donor(donor *d)
{
    for (int i = 0; d->used && i < FW_COLUMNS; i++) close_column(&d->col[i]);
    *d = (donor){0};
}

void fw_known_free(fw_known *k)
{
    if (!k) return;
    for (int i = 0; k->donor && i < FW_DONORS; i++) close_donor(&k->donor[i]);
    fw_free(k->donor);
    fw_free(k->entry);
    fw_free(k);
}

bool fw_known_find(const fw_known *k, fw_hash h, fw_seen *out)
{
    if (!h.hi && !h.lo) return false;
    size_t low = 0, high = k->n;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const fw_hash m = k->entry[mid].hash;
        if (m.hi < h.hi || (m.hi == h.hi && m.lo < h.lo))
            low = mid + 1;
        else
            high = mid;
    }
    if (low == k->n || !fw_hash_equal(k->entry[low].hash, h)) return false;
    *out = k->entry[low].at;
    return true;
}

static int open_column(fw_known *k, uint32_t shard, const fw_output *decl, int width, column *c, fw_err *e)
{
    char *dir = fw_run_result(k->run, fw_producer(decl->name, NULL), (int)shard);
    char *path = fw_format("%s/%s", dir, decl->name), *off = fw_format("%s.off", path);
    const size_t rows = k->run->store->shard[shard].rows;
    if (decl->arity == FW_BLOB)
        c->blobs = fw_kv_open(path, e);
    else if (!fw_column_open_as(path, decl->type, width, &c->values, e) && decl->arity == FW_MANY &&
             !fw_column_open_as(off, FW_U64, 1, &c->offsets, e) &&
             !fw_column_offsets_fit(&c->offsets, c->values.rows, rows))
        fw_fail(e, FW_EFAIL, "column '%s': damaged, or of another shard", off);
    if (!e->code && decl->arity == FW_ONE && c->values.rows != rows)
        fw_fail(e, FW_EFAIL, "column '%s': %zu rows for %zu images", path, c->values.rows, rows);
    c->open = !e->code;
    if (e->code) close_column(c);
    fw_free(off);
    fw_free(path);
    fw_free(dir);
    return e->code;
}

int fw_known_get(fw_known *k, fw_seen where, int at, const fw_output *decl, int width, const void **data, size_t *rows,
                 fw_err *e)
{
    donor *d = &k->donor[where.shard % FW_DONORS];
    if (!d->used || d->shard != where.shard) close_donor(d);
    d->used = true;
    d->shard = where.shard;
    column *c = &d->col[at];
    if (!c->open) FW_TRY(open_column(k, where.shard, decl, width, c, e));
    *rows = 1;
    size_t first = where.row;
    if (decl->arity == FW_BLOB) {
        *data = fw_kv_get(c->blobs, where.row, rows);
        return FW_OK;
    }
    if (decl->arity == FW_MANY) {
        const uint64_t *off = c->offsets.data;
        first = off[where.row];
        *rows = off[where.row + 1] - first;
    }
    *data = *rows ? (const char *)c->values.data + first * (size_t)width * fw_dtype_size(decl->type) : NULL;
    return FW_OK;
}
