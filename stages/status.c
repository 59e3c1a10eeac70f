/* status: what lies in a workspace, what is done, and what a re-run would do and why. Takes no lock: results only ever
 * appear whole, so it may look while others work. */
#include "../lib/file.h"
#include "../lib/log.h"
#include "command.h"
#include "inventory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row { /* one stage */
    const fw_stage *stage;
    size_t done, total;       /* results: shards, or 1 for a whole-dataset stage */
    uint64_t images, missing; /* in the shards that are done and not done */
    uint64_t bytes, stale;    /* on disk: results that the plan reaches, and others */
    double rate;              /* images per second while it ran, 0: not known */
    char *why;                /* of the first missing result; NULL: all there */
} row;

static void count_result(const fw_run *r, const fw_inventory *inv, size_t s, int shard, uint64_t images, row *out)
{
    out->total++;
    if (fw_run_done(r, s, shard)) {
        out->done++;
        out->images += images;
        return;
    }
    out->missing += images;
    if (!out->why) out->why = fw_inventory_why(r, inv, s, shard);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Shards are committed one after the other, so the time between two commits is what the second one took. The median
 * leaves out the pauses between runs. */
static double rate_of(const fw_run *r, const fw_inventory *inv, size_t stage)
{
    double *when = FW_ARRAY(double, inv->n), *rate = FW_ARRAY(double, inv->n), out = 0;
    size_t *images = FW_ARRAY(size_t, inv->n), n = 0, m = 0;
    for (size_t i = 0; i < inv->n; i++) {
        const fw_found *f = &inv->item[i];
        if (f->stage != stage || !f->reached || f->shard < 0) continue;
        when[n] = f->when;
        images[n++] = r->store->shard[f->shard].rows;
    }
    for (size_t i = 1; i < n; i++)
        if (when[i] > when[i - 1]) rate[m++] = (double)images[i] / (when[i] - when[i - 1]);
    if (m) {
        qsort(rate, m, sizeof *rate, by_value);
        out = rate[m / 2];
    }
    fw_free(when);
    fw_free(rate);
    fw_free(images);
    return out;
}

static uint64_t set_images(const fw_run *r, const char *set, uint64_t *removed)
{
    uint64_t rows = 0;
    *removed = 0;
    for (size_t n = 0; n < r->store->shards; n++) {
        const fw_shard *sh = &r->store->shard[n];
        if (set && strcmp(sh->set, set)) continue;
        rows += sh->rows;
        for (size_t i = 0; sh->removed && i < sh->rows; i++) *removed += sh->removed[i];
    }
    return rows;
}

static row look_at(const fw_run *r, const fw_inventory *inv, size_t s)
{
    row out = {.stage = fw_stages[s]};
    uint64_t removed;
    if (out.stage->scope == FW_SCOPE_WHOLE) {
        uint64_t all = set_images(r, out.stage->benchmarks ? NULL : "", &removed);
        count_result(r, inv, s, -1, all, &out);
    } else {
        for (size_t n = 0; n < r->store->shards; n++)
            if (fw_run_shard_used(r, &r->store->shard[n]))
                count_result(r, inv, s, (int)n, r->store->shard[n].rows, &out);
        out.rate = rate_of(r, inv, s);
    }
    for (size_t i = 0; i < inv->n; i++)
        if (inv->item[i].stage == s) *(inv->item[i].reached ? &out.bytes : &out.stale) += inv->item[i].bytes;
    return out;
}

/* ---- for people ------------------------------------------------------------------------------------------------- */

static size_t count_labels(fw_run *r, const char *set)
{
    fw_task t = fw_run_reader(r);
    const fw_view *v = fw_task_view(&t, set, NULL);
    uint8_t *used = v ? FW_ARRAY(uint8_t, v->labels) : NULL;
    size_t n = 0;
    for (size_t i = 0; v && i < v->n; i++) {
        if (!v->alive[i] || v->label[i] == FW_NO_LABEL || used[v->label[i]]) continue;
        used[v->label[i]] = 1;
        n++;
    }
    fw_free(used);
    return n;
}

static void print_sets(fw_run *r)
{
    for (size_t i = 0; i < r->sets; i++) {
        uint64_t removed, rows = set_images(r, r->set[i], &removed);
        const char *spec = fw_store_source(r->store, r->set[i]);
        char shown[600];
        printf("%-10s %s\n           %llu images of %zu identities", *r->set[i] ? r->set[i] : "dataset",
               *spec ? fw_printable(spec, shown, sizeof shown) : "(no source yet)",
               (unsigned long long)(rows - removed), count_labels(r, r->set[i]));
        if (removed) printf("; %llu have left it", (unsigned long long)removed);
        printf("\n");
    }
}

static void print_row(const row *w)
{
    char size[32], rate[32] = "-", rows[32];
    if (w->rate > 0) snprintf(rate, sizeof rate, "%.0f/s", w->rate);
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)w->images);
    printf("%-10s %6zu/%-6zu %10s %10s %8s   ", w->stage->name, w->done, w->total, rows,
           fw_bytes_text(w->bytes, size, sizeof size), rate);
    if (w->done == w->total)
        printf("nothing\n");
    else if (w->stage->scope == FW_SCOPE_WHOLE)
        printf("run: %s\n", w->why);
    else
        printf("%llu images: %s\n", (unsigned long long)w->missing, w->why);
}

/* What the last run made of the decisions (decide.json); NULL: no run yet, or decisions were made since. */
static json_t *decisions_of(fw_run *r)
{
    fw_task t = fw_run_reader(r);
    char *path = fw_task_file_of(&t, "decide", "decide.json", NULL);
    json_t *j = path ? json_load_file(path, 0, NULL) : NULL;
    fw_free(path);
    return j;
}

static void print_decisions(fw_run *r)
{
    json_t *j = decisions_of(r);
    json_int_t all = 0, applied = 0, gone = 0;
    if (j && !json_unpack(j, "{s:I, s:I, s:I}", "decisions", &all, "applied", &applied, "unmatched", &gone) && all)
        printf("decisions  %lld of curators: %lld applied, %lld match nothing here any more\n", (long long)all,
               (long long)applied, (long long)gone);
    json_decref(j);
}

static void print_status(fw_run *r, const row *rows, const fw_inventory *inv)
{
    static const char *const folders[] = {"shards", "out", "tmp"};
    char size[32];
    uint64_t stale = 0;
    size_t left_over = 0;
    printf("workspace  %s\n           %zu shards of at most %zu images\n", r->store->root, r->store->shards,
           r->store->shard_size);
    print_sets(r);
    print_decisions(r);
    printf("disk      ");
    for (size_t i = 0; i < FW_COUNT(folders); i++) {
        char *path = fw_format("%s/%s", r->store->root, folders[i]);
        printf(" %s %s%s", folders[i], fw_bytes_text(fw_tree_bytes(path), size, sizeof size),
               i + 1 < FW_COUNT(folders) ? "," : "\n");
        fw_free(path);
    }
    printf("\n%-10s %13s %10s %10s %8s   %s\n", "stage", "done/total", "images", "size", "rate", "a re-run would do");
    for (size_t i = 0; i < r->stages; i++) print_row(&rows[i]);
    for (size_t i = 0; i < inv->n; i++)
        if (!inv->item[i].reached) stale += inv->item[i].bytes, left_over++;
    if (left_over)
        printf("\n%zu results (%s) are of other settings or of an earlier dataset; `facewash gc` removes them\n",
               left_over, fw_bytes_text(stale, size, sizeof size));
}

/* ---- for programs ----------------------------------------------------------------------------------------------- */

static json_t *json_sets(fw_run *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->sets; i++) {
        uint64_t removed, rows = set_images(r, r->set[i], &removed);
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", r->set[i], "source",
                                              fw_store_source(r->store, r->set[i]), "images",
                                              (json_int_t)(rows - removed), "removed", (json_int_t)removed,
                                              "identities", (json_int_t)count_labels(r, r->set[i])));
    }
    return list;
}

static json_t *json_row(const row *w)
{
    json_t *j = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I}", "stage", w->stage->name, "scope",
                          w->stage->scope == FW_SCOPE_SHARD ? "shard" : "whole", "version", w->stage->version, "done",
                          (json_int_t)w->done, "total", (json_int_t)w->total, "images_done", (json_int_t)w->images,
                          "images_missing", (json_int_t)w->missing, "bytes", (json_int_t)w->bytes, "stale_bytes",
                          (json_int_t)w->stale);
    json_object_set_new(j, "images_per_second", w->rate > 0 ? json_real(w->rate) : json_null());
    json_object_set_new(j, "why", w->why ? json_string(w->why) : json_null());
    return j;
}

static int print_json(fw_run *r, const row *rows, fw_err *e)
{
    json_t *stages = json_array();
    for (size_t i = 0; i < r->stages; i++) json_array_append_new(stages, json_row(&rows[i]));
    json_t *j = json_pack("{s:s, s:I, s:I, s:o, s:o}", "version", FW_VERSION, "shards", (json_int_t)r->store->shards,
                          "shard_size", (json_int_t)r->store->shard_size, "sets", json_sets(r), "stages", stages);
    json_t *decisions = decisions_of(r);
    if (j && decisions) json_object_set(j, "decisions", decisions);
    json_decref(decisions);
    char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
    json_decref(j);
    if (!text) return fw_fail(e, FW_EFAIL, "status: cannot be put as JSON");
    puts(text);
    free(text);
    return FW_OK;
}

int fw_cmd_status(const fw_args *a, fw_err *e)
{
    fw_store *s;
    fw_run *r;
    fw_inventory inv = {0};
    int rc = fw_open_run(a, false, FW_LOCK_NONE, &s, &r, e);
    if (!rc) rc = fw_inventory_take(r, &inv, e);
    row *rows = rc ? NULL : FW_ARRAY(row, r->stages);
    for (size_t i = 0; rows && i < r->stages; i++) rows[i] = look_at(r, &inv, i);
    if (rows && a->json)
        rc = print_json(r, rows, e);
    else if (rows)
        print_status(r, rows, &inv);
    for (size_t i = 0; rows && i < r->stages; i++) fw_free(rows[i].why);
    fw_free(rows);
    fw_inventory_free(&inv);
    fw_close_run(s, r);
    return rc;
}
