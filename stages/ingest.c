/* ingest: look through a source, hash what is new, seal it as shards; note what has gone.
 *
 * A record is known when its path is in some shard. Known and unchanged (size and time): nothing is read. Known but
 * touched: hashed again; same content stays, other content retires the old row and gets a new one. New: hashed, and put
 * into the shard being built, which is sealed when it is full and at the end. Sealed shards are never changed, so an
 * interrupted ingest goes on behind the last sealed one, and the same records end up in the same shards.
 *
 * Memory: 24 bytes per known image for the table, plus two shards' columns and a few megabytes of photos.
 */
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/pipe.h"
#include "run.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Known rows by path hash; open addressing, at most half full. A row that is found again is marked `seen`. */
typedef struct known {
    uint64_t hash;
    uint32_t shard, row;   /* shard + 1; 0: empty */
    uint8_t claimed, seen; /* by the reader: some record is about it; by the writer: and it is as it was */
} known;

/* A full shard on its way to the disk, while the next one fills. One at a time, so that they appear in order. */
typedef struct sealing {
    pthread_t thread;
    bool running;
    fw_shard_builder *builder;
    fw_store *store;
    const char *set;
    fw_err err;
} sealing;

typedef struct ingest {
    fw_run *run;
    const char *set;
    fw_source *src;
    fw_shard *shard; /* the shards that were there at the start: sealing moves the store's own table under the reader */
    size_t shards;
    known *table;
    size_t slots;
    fw_shard_builder *builder;
    sealing sealing;
    uint64_t records, fresh, changed, unreadable;
    size_t batch; /* records of a tray */
    bool ended;   /* the walk */
} ingest;

/* Several records: handing one over costs two threads a look at a lock, which for a small photo is more than its hash.
 */
#define RECORDS  64
#define HELD_MAX ((size_t)1 << 20) /* bytes read along after which a tray is full: 2 MB a tray at most */
#define IN_FLIGHT                                                                                                      \
    1024 /* records read and not yet written: what a compressed source can go back to (lib/sequence.h)                 \
          */

typedef struct record {
    size_t path, label; /* in the tray's text */
    uint64_t bytes;
    int64_t mtime;
    known *old;   /* the row that has this path now, NULL: new */
    bool hash_it; /* new, or touched since */
    char *data;   /* what the walk read along; NULL: to be read */
    size_t size;
    fw_hash content;
} record;

typedef struct tray {
    fw_buf text;
    record record[RECORDS];
    size_t n, held; /* bytes of data */
} tray;

static const char *path_of(const tray *t, const record *r)
{
    return t->text.data + r->path;
}

static const char *label_of(const tray *t, const record *r)
{
    return t->text.data + r->label;
}

static bool same_label(const fw_shard *sh, size_t row, const char *label)
{
    size_t n = 0;
    const char *have = fw_shard_label(sh, row, &n);
    return have ? n == strlen(label) && !memcmp(have, label, n) : !*label;
}

static bool has_path(const ingest *g, const known *k, const char *path, size_t n)
{
    size_t have_n;
    const char *have = fw_shard_path(&g->shard[k->shard - 1], k->row, &have_n);
    return n == have_n && !memcmp(have, path, n);
}

/* The row that a record is about: one with its path that no earlier record of this walk has taken (a list may name a
 * photo twice), rather one with its label. Only the reader calls it, so that the choice does not depend on threads. */
static known *claim(ingest *g, const char *path, const char *label)
{
    size_t n = strlen(path);
    uint64_t h = fw_hash_bytes(path, n).lo;
    known *found = NULL;
    for (size_t at = h & (g->slots - 1); g->slots && g->table[at].shard; at = (at + 1) & (g->slots - 1)) {
        known *k = &g->table[at];
        if (k->hash != h || k->claimed || !has_path(g, k, path, n)) continue;
        bool same = same_label(&g->shard[k->shard - 1], k->row, label);
        if (same || !found) found = k;
        if (same) break;
    }
    if (found) found->claimed = 1;
    return found;
}

static const known *entry_of(const ingest *g, const fw_shard *sh, size_t row)
{
    size_t n;
    const char *path = fw_shard_path(sh, row, &n);
    uint64_t h = fw_hash_bytes(path, n).lo;
    for (size_t at = h & (g->slots - 1); g->slots && g->table[at].shard; at = (at + 1) & (g->slots - 1))
        if (g->table[at].shard == sh->number + 1 && g->table[at].row == row) return &g->table[at];
    return NULL;
}

static void build_table(ingest *g)
{
    size_t rows = 0;
    for (size_t i = 0; i < g->shards; i++)
        if (!strcmp(g->shard[i].set, g->set)) rows += g->shard[i].rows;
    for (g->slots = 1024; g->slots < 2 * rows; g->slots *= 2) {
    }
    g->table = FW_ARRAY(known, g->slots);
    /* of a known set most records are only looked at */
    if (!rows) fw_source_along(g->src);
    for (size_t i = 0; i < g->shards; i++) {
        const fw_shard *sh = &g->shard[i];
        if (strcmp(sh->set, g->set)) continue;
        for (size_t r = 0; r < sh->rows; r++) {
            size_t n;
            const char *path = fw_shard_path(sh, r, &n);
            uint64_t h = fw_hash_bytes(path, n).lo;
            if (sh->removed && sh->removed[r]) continue; /* retired: should its path come back, that is a new row */
            size_t at = h & (g->slots - 1);
            while (g->table[at].shard) at = (at + 1) & (g->slots - 1);
            g->table[at] = (known){h, (uint32_t)i + 1, (uint32_t)r, 0, 0};
        }
    }
}

static bool untouched(const ingest *g, const known *k, const fw_record *r)
{
    const fw_shard *sh = &g->shard[k->shard - 1];
    return ((const uint64_t *)sh->bytes.data)[k->row] == r->bytes &&
           ((const int64_t *)sh->mtime.data)[k->row] == r->mtime;
}

static void take_record(ingest *g, tray *t, const fw_record *from)
{
    record *r = &t->record[t->n++];
    *r = (record){.path = t->text.len, .bytes = from->bytes, .mtime = from->mtime};
    fw_buf_add(&t->text, from->path, strlen(from->path) + 1);
    r->label = t->text.len;
    fw_buf_add(&t->text, from->label, strlen(from->label) + 1);
    r->old = claim(g, from->path, from->label);
    r->hash_it = !r->old || !untouched(g, r->old, from);
    if (r->hash_it && fw_source_take(g->src, &r->data, &r->size)) t->held += r->size;
}

static void empty_tray(tray *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->record[i].data);
        t->record[i].data = NULL;
    }
    t->n = t->held = t->text.len = 0;
}

static int read_tray(void *user, void *p, fw_err *e)
{
    ingest *g = user;
    tray *t = p;
    fw_record r;
    empty_tray(t);
    while (t->n < g->batch && t->held < HELD_MAX && !g->ended) {
        int got = fw_source_next(g->src, &r, e);
        if (got < 0) return -1;
        g->ended = !got;
        if (got) take_record(g, t, &r);
    }
    return t->n > 0;
}

static int work_tray(void *user, int worker, void *p, fw_err *e)
{
    FW_UNUSED(worker);
    ingest *g = user;
    tray *t = p;
    for (size_t i = 0; i < t->n; i++) {
        record *r = &t->record[i];
        const size_t max = g->run->conf->image_max_bytes;
        if (!r->hash_it) continue;
        /* unreadable or too large: content 0 0, and detect will say why */
        fw_err bad = {0};
        if (r->data ? r->size <= max : !fw_source_read(g->src, path_of(t, r), max, &r->data, &r->size, &bad))
            r->content = fw_hash_bytes(r->data, r->size);
        else if (bad.code == FW_EAGAIN)
            return fw_fail(e, bad.code, "%s", bad.msg);
        free(r->data);
        r->data = NULL;
        FW_TRY(fw_check_stop(e));
    }
    return FW_OK;
}

/* Is the record what its known row says, label included? Otherwise the row retires and the record is new. */
static bool still_valid(const ingest *g, const tray *t, const record *r)
{
    const fw_shard *sh = &g->shard[r->old->shard - 1];
    if (!same_label(sh, r->old->row, label_of(t, r))) return false;
    if (!r->hash_it) return true;
    const uint64_t *h = (const uint64_t *)sh->hash.data + 2 * r->old->row;
    return h[0] == r->content.hi && h[1] == r->content.lo;
}

static void *seal(void *arg)
{
    sealing *s = arg;
    fw_shard_builder_seal(s->builder, s->store, s->set, &s->err);
    return NULL;
}

static int wait_for_seal(ingest *g, fw_err *e)
{
    sealing *s = &g->sealing;
    if (s->running) pthread_join(s->thread, NULL);
    s->running = false;
    return s->err.code ? fw_fail(e, s->err.code, "%s", s->err.msg) : FW_OK;
}

/* Seal the shard that was built; the other builder, which is empty by then, takes the next one. */
static int seal_next(ingest *g, fw_err *e)
{
    sealing *s = &g->sealing;
    FW_TRY(wait_for_seal(g, e));
    fw_shard_builder *full = g->builder;
    g->builder = s->builder;
    s->builder = full;
    s->running = !pthread_create(&s->thread, NULL, seal, s);
    if (!s->running) seal(s); /* no thread to be had: here, then */
    return s->running ? FW_OK : wait_for_seal(g, e);
}

static int write_record(ingest *g, const tray *t, record *r, fw_err *e)
{
    if (r->old && still_valid(g, t, r)) {
        r->old->seen = 1;
        return FW_OK;
    }
    if (r->old) g->changed++;
    if (r->old && !r->hash_it) { /* only the label changed: the content is known */
        const uint64_t *h = (const uint64_t *)g->shard[r->old->shard - 1].hash.data + 2 * r->old->row;
        r->content = (fw_hash){h[0], h[1]};
    }
    g->fresh++;
    g->unreadable += !r->content.hi && !r->content.lo;
    fw_shard_builder_add(g->builder, path_of(t, r), label_of(t, r), r->bytes, r->mtime, r->content);
    if (fw_shard_builder_rows(g->builder) < g->run->store->shard_size) return FW_OK;
    return seal_next(g, e);
}

static int write_tray(void *user, void *p, fw_err *e)
{
    ingest *g = user;
    tray *t = p;
    for (size_t i = 0; i < t->n; i++) FW_TRY(write_record(g, t, &t->record[i], e));
    fw_progress_tick(g->records += t->n);
    return FW_OK;
}

typedef struct gone {
    const ingest *g;
    uint64_t count;
} gone;

/* Rows of other sets stay as they were; rows of this set are gone when the walk did not meet them. Rows sealed in this
 * very run are not in the table and are not gone. */
static bool row_is_gone(void *user, const fw_shard *sh, size_t row)
{
    gone *w = user;
    bool was = sh->removed && sh->removed[row];
    if (strcmp(sh->set, w->g->set) || was) return was;
    const known *k = entry_of(w->g, sh, row);
    bool lost = k && !k->seen;
    w->count += lost;
    return lost;
}

static int walk(ingest *g, fw_err *e)
{
    size_t depth = 2 * (size_t)g->run->workers + 2;
    tray *trays = FW_ARRAY(tray, depth);
    g->batch = depth * RECORDS <= IN_FLIGHT ? RECORDS : depth < IN_FLIGHT ? IN_FLIGHT / depth : 1;
    fw_progress_start(*g->set ? g->set : "ingest", "images", 0);
    int rc = fw_pipe_run(&(fw_pipe){.workers = g->run->workers,
                                    .depth = depth,
                                    .trays = trays,
                                    .tray_size = sizeof *trays,
                                    .user = g,
                                    .read = read_tray,
                                    .work = work_tray,
                                    .write = write_tray},
                         e);
    fw_progress_end();
    for (size_t i = 0; i < depth; i++) {
        empty_tray(&trays[i]);
        fw_buf_free(&trays[i].text);
    }
    fw_free(trays);
    if (!rc && fw_shard_builder_rows(g->builder)) rc = seal_next(g, e);
    int sealed = wait_for_seal(g, e); /* after an error too: what was begun is finished */
    return rc ? rc : sealed;
}

static void tell(const ingest *g, uint64_t lost, double seconds)
{
    uint64_t files, links;
    fw_source_skipped(g->src, &files, &links);
    fw_log(FW_INFO, "ingest%s%s: %llu images (%llu new, %llu changed, %llu gone) in %.1f s", *g->set ? " " : "", g->set,
           (unsigned long long)g->records, (unsigned long long)(g->fresh - g->changed), (unsigned long long)g->changed,
           (unsigned long long)lost, seconds);
    if (files)
        fw_log(FW_INFO, "ingest: passed over %llu files without an image's extension", (unsigned long long)files);
    if (links)
        fw_log(FW_WARN, "ingest: passed over %llu symbolic links (broken, or leaving the source: ingest.outside_links)",
               (unsigned long long)links);
}

static int check_source(const ingest *g, fw_err *e)
{
    fw_store *s = g->run->store;
    const char *set = g->set, *known_spec = fw_store_source(s, set), *spec = fw_source_spec(g->src);
    if (*known_spec && strcmp(known_spec, spec) && !g->run->conf->ingest_moved)
        return fw_fail(
            e, FW_EUSAGE,
            "workspace '%s': %s%s was made from '%s', not '%s'; use another --work, or --set ingest.moved=yes if the "
            "dataset lies elsewhere now",
            s->root, *set ? "benchmark " : "its dataset", set, known_spec, spec);
    return fw_store_set_source(s, g->set, spec, e);
}

int fw_ingest(fw_run *r, size_t set, fw_err *e)
{
    ingest g = {.run = r, .set = r->set[set], .src = r->source[set], .builder = fw_shard_builder_new()};
    g.sealing = (sealing){.builder = fw_shard_builder_new(), .store = r->store, .set = g.set};
    double start = fw_now();
    gone w = {.g = &g};
    g.shards = r->store->shards;
    g.shard = FW_ARRAY(fw_shard, g.shards);
    if (g.shards) memcpy(g.shard, r->store->shard, g.shards * sizeof *g.shard);
    int rc = check_source(&g, e);
    if (!rc) build_table(&g);
    if (!rc) rc = walk(&g, e);
    if (!rc) rc = fw_store_write_removed(r->store, row_is_gone, &w, e);
    if (!rc) tell(&g, w.count, fw_now() - start);
    if (!rc && !g.records) rc = fw_fail(e, FW_EUSAGE, "source '%s' holds no image", fw_source_spec(g.src));
    fw_shard_builder_free(g.builder);
    fw_shard_builder_free(g.sealing.builder);
    fw_free(g.table);
    fw_free(g.shard);
    return rc;
}
