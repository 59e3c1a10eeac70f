/* run: the order of things. ingest every source, one fused pass for shard stages, the whole-dataset stages, summary. */
#include "../lib/file.h"
#include "../lib/log.h"
#include "command.h"
#include "remember.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int workers_of(const fw_conf *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return c->run_threads ? (int)c->run_threads : cores > 0 ? (int)cores : 1;
}

fw_run *fw_run_open(const fw_conf *c, fw_store *s, fw_err *e)
{
    FW_UNUSED(e);
    fw_run *r = FW_NEW(fw_run);
    fw_names sets;
    r->conf = c;
    r->store = s;
    r->workers = workers_of(c);
    fw_store_sets(s, &sets);
    r->set = FW_ARRAY(char *, sets.n + 1);
    r->set[r->sets++] = fw_strdup("");
    for (size_t i = 0; i < sets.n; i++) r->set[r->sets++] = fw_strdup(sets.name[i]);
    fw_names_free(&sets);
    r->source = FW_ARRAY(fw_source *, r->sets);
    while (fw_stages[r->stages]) r->stages++;
    r->shard_key = FW_ARRAY(fw_hash *, r->stages);
    r->whole_key = FW_ARRAY(fw_hash, r->stages);
    r->seconds = FW_ARRAY(double, r->stages);
    return r;
}

void fw_run_close(fw_run *r)
{
    if (!r) return;
    fw_cache_free(r->cache);
    for (size_t i = 0; i < r->sets; i++) {
        fw_source_close(r->source[i]);
        fw_free(r->set[i]);
    }
    for (size_t i = 0; i < r->stages; i++) fw_free(r->shard_key[i]);
    fw_decisions_free(&r->decisions);
    fw_free(r->set);
    fw_free(r->source);
    fw_free(r->shard_key);
    fw_free(r->whole_key);
    fw_free(r->seconds);
    fw_free(r);
}

static fw_source *open_source(const fw_run *r, const char *spec, fw_err *e)
{
    fw_source_opts o = {.outside_links = r->conf->ingest_outside_links,
                        .no_labels = !strcmp(r->conf->ingest_label, "none"),
                        .tar_field = r->conf->ingest_tar_field,
                        .tsv_key = r->conf->ingest_tsv_key,
                        .tsv_label = (int)r->conf->ingest_tsv_label,
                        .tsv_image = (int)r->conf->ingest_tsv_image};
    return fw_source_open(spec, &o, e);
}

int fw_run_source(fw_run *r, size_t set, const fw_source **out, fw_err *e)
{
    if (!r->source[set]) {
        const char *spec = fw_store_source(r->store, r->set[set]);
        if (!(r->source[set] = open_source(r, spec, e))) return e->code;
    }
    *out = r->source[set];
    return FW_OK;
}

/* A benchmark's name becomes part of CSV rows and folder-free keys: letters, digits, . _ - only. */
static int split_benchmark(const char *text, char *name, size_t size, const char **spec, fw_err *e)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (!n || text[n] != '=' || !text[n + 1] || n >= size)
        return fw_fail(e, FW_EUSAGE, "--benchmark '%s': must look like lfw=dir:PATH (a name of letters, digits, . _ -)",
                       text);
    snprintf(name, size, "%.*s", (int)n, text);
    *spec = text + n + 1;
    return FW_OK;
}

/* Make room for a set of this run and open its source; ingest checks it against what the workspace remembers. */
static int add_set(fw_run *r, const char *set, const char *spec, size_t *index, fw_err *e)
{
    size_t i = 0;
    while (i < r->sets && strcmp(r->set[i], set)) i++;
    if (i == r->sets) {
        r->set = fw_realloc(r->set, r->sets + 1, sizeof *r->set);
        r->source = fw_realloc(r->source, r->sets + 1, sizeof *r->source);
        r->source[r->sets] = NULL;
        r->set[r->sets++] = fw_strdup(set);
    }
    fw_source_close(r->source[i]);
    r->source[i] = open_source(r, spec, e);
    *index = i;
    return r->source[i] ? FW_OK : e->code;
}

static int ingest_all(fw_run *r, const fw_args *a, fw_err *e)
{
    size_t set;
    const char *spec = a->input ? a->input : fw_store_source(r->store, "");
    if (!*spec) return fw_fail(e, FW_EUSAGE, "run: --input SRC is missing");
    FW_TRY(add_set(r, "", spec, &set, e));
    FW_TRY(fw_ingest(r, set, e));
    for (size_t i = 0; i < a->benchmarks; i++) {
        char name[64];
        FW_TRY(split_benchmark(a->benchmark[i], name, sizeof name, &spec, e));
        FW_TRY(add_set(r, name, spec, &set, e));
        FW_TRY(fw_ingest(r, set, e));
    }
    return FW_OK;
}

static void last_shard_stage(const fw_run *r, size_t *last)
{
    *last = 0;
    for (size_t i = 0; i < r->stages; i++)
        if (fw_stages[i]->scope == FW_SCOPE_SHARD) *last = i;
}

/* Share of the dataset's images that are unreadable or unsupported. */
static int count_bad(fw_run *r, uint64_t *bad, uint64_t *images, fw_err *e)
{
    fw_task t = fw_run_reader(r);
    const fw_view *v = fw_task_view(&t, "", e);
    fw_cols *status = v ? fw_task_cols(&t, "detect.status", "", e) : NULL;
    if (!status) return e->code;
    *bad = *images = 0;
    for (size_t i = 0; i < v->n; i++) {
        uint8_t s = *(const uint8_t *)fw_col_row(status, i);
        *images += v->alive[i];
        *bad += v->alive[i] && (s == FW_IMG_UNREADABLE || s == FW_IMG_UNSUPPORTED);
    }
    return FW_OK;
}

static void say_last_line(const fw_run *r, uint64_t images, uint64_t bad, double start)
{
    double wall = fw_now() - start;
    fw_log(FW_INFO,
           "facewash " FW_VERSION ": %llu images (%llu bad), %.1f s wall, %.1f s CPU, peak %.0f MB, %.1f images/s",
           (unsigned long long)images, (unsigned long long)bad, wall, fw_cpu(), (double)fw_peak_rss() / 1e6,
           wall > 0 ? (double)(r->images_done ? r->images_done : images) / wall : 0);
}

static int run_everything(fw_run *r, const fw_args *a, fw_err *e)
{
    size_t last;
    double start = fw_now();
    uint64_t bad = 0, images = 0;
    FW_TRY(fw_store_clean_tmp(r->store, e));
    FW_TRY(ingest_all(r, a, e));
    FW_TRY(fw_run_plan(r, e));
    FW_TRY(fw_remember(r->conf, a->work, e)); /* not before: a command line that is refused changes nothing */
    last_shard_stage(r, &last);
    FW_TRY(fw_extract(r, 0, last, -1, e));
    for (size_t i = last + 1; i < r->stages; i++) {
        FW_TRY(fw_check_stop(e));
        FW_TRY(fw_run_whole(r, i, e));
    }
    if (a->export_dir) FW_TRY(fw_export(r, a, a->export_dir, e));
    FW_TRY(fw_report(r, e));
    FW_TRY(count_bad(r, &bad, &images, e));
    say_last_line(r, images, bad, start);
    if ((double)bad > r->conf->run_max_bad * (double)images)
        return fw_fail(e, FW_EBADIMG, "finished, but %llu of %llu images are unreadable or unsupported (allowed: %g)",
                       (unsigned long long)bad, (unsigned long long)images, r->conf->run_max_bad);
    return FW_OK;
}

int fw_open_run(const fw_args *a, bool create, fw_lock_kind lock, fw_store **s, fw_run **r, fw_err *e)
{
    *s = NULL;
    *r = NULL;
    if (!a->work) return fw_fail(e, FW_EUSAGE, "--work DIR is missing");
    *s = fw_store_open(a->work, create, (size_t)a->conf->ingest_shard_size, e);
    if (!*s) return e->code;
    if (lock != FW_LOCK_NONE) {
        FW_TRY(fw_store_lock(*s, lock == FW_LOCK_EXCLUSIVE, a->conf->run_wait, e));
        FW_TRY(fw_store_reload(*s, e));
    }
    *r = fw_run_open(a->conf, *s, e);
    return *r ? fw_run_plan(*r, e) : e->code;
}

void fw_close_run(fw_store *s, fw_run *r)
{
    fw_run_close(r);
    fw_store_close(s);
}

static int try_source(const fw_args *a, const char *spec, fw_err *e)
{
    fw_run r = {.conf = a->conf};
    fw_source *s = open_source(&r, spec, e);
    fw_source_close(s);
    return s ? FW_OK : e->code;
}

/* A typing mistake is found before anything is made, not after an hour of ingest. */
static int check_sources(const fw_args *a, fw_err *e)
{
    char name[64];
    const char *spec = "";
    if (!a->work) return fw_fail(e, FW_EUSAGE, "--work DIR is missing");
    char *known = fw_format("%s/WORKSPACE", a->work);
    bool first = !fw_exists(known);
    fw_free(known);
    if (!a->input && first) return fw_fail(e, FW_EUSAGE, "run: --input SRC is missing");
    if (a->input) FW_TRY(try_source(a, a->input, e));
    for (size_t i = 0; i < a->benchmarks; i++) {
        FW_TRY(split_benchmark(a->benchmark[i], name, sizeof name, &spec, e));
        FW_TRY(try_source(a, spec, e));
    }
    return FW_OK;
}

int fw_cmd_run(const fw_args *a, fw_err *e)
{
    fw_store *s;
    fw_run *r;
    FW_TRY(check_sources(a, e));
    int rc = fw_open_run(a, true, FW_LOCK_EXCLUSIVE, &s, &r, e);
    if (!rc && *a->conf->origin && !a->quiet) fw_log(FW_INFO, "settings given:\n%s", a->conf->origin);
    if (!rc) rc = run_everything(r, a, e);
    fw_close_run(s, r);
    return rc;
}

int fw_cmd_ingest(const fw_args *a, fw_err *e)
{
    fw_store *s;
    fw_run *r;
    int rc = fw_open_run(a, true, FW_LOCK_EXCLUSIVE, &s, &r, e);
    if (!rc) rc = fw_store_clean_tmp(s, e);
    if (!rc) rc = ingest_all(r, a, e);
    if (!rc) fw_log(FW_INFO, "ingest: %zu shards; peak memory %.0f MB", s->shards, (double)fw_peak_rss() / 1e6);
    fw_close_run(s, r);
    return rc;
}

int fw_cmd_stage(const fw_args *a, const char *stage, fw_err *e)
{
    fw_store *s;
    fw_run *r;
    size_t row = fw_stage_row(stage);
    bool shard = fw_stages[row]->scope == FW_SCOPE_SHARD;
    int rc = fw_open_run(a, false, FW_LOCK_SHARED, &s, &r, e);
    if (!rc && a->shard >= 0 && (!shard || (size_t)a->shard >= s->shards))
        rc = fw_fail(e, FW_EUSAGE, "--shard %d: %s", a->shard,
                     shard ? "there is no such shard" : "this stage works on the whole dataset");
    if (!rc) rc = shard ? fw_extract(r, row, row, a->shard, e) : fw_run_whole(r, row, e);
    if (!rc && !shard) fw_log(FW_INFO, "%s: done", stage);
    fw_close_run(s, r);
    return rc;
}
