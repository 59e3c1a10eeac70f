#include "../lib/decisions.h"
#include "../lib/file.h"
#include "../lib/paths.h"
#include "run.h"

#include <stdlib.h>
#include <string.h>

size_t fw_stage_row(const char *name)
{
    for (size_t i = 0; fw_stages[i]; i++)
        if (!strcmp(fw_stages[i]->name, name)) return i;
    return SIZE_MAX;
}

const fw_stage *fw_stage_find(const char *name)
{
    size_t i = fw_stage_row(name);
    return i == SIZE_MAX ? NULL : fw_stages[i];
}

size_t fw_producer(const char *column, const fw_output **out)
{
    for (size_t i = 0; fw_stages[i]; i++)
        for (const fw_output *o = fw_stages[i]->outputs; o && o->name; o++)
            if (!strcmp(o->name, column)) {
                if (out) *out = o;
                return i;
            }
    return SIZE_MAX;
}

static size_t count(const char *const *list)
{
    size_t n = 0;
    while (list && list[n]) n++;
    return n;
}

/* A model counts by its description, which holds the SHA-256 of the network file. */
static int add_model(const char *setting, const char *name, fw_buf *text, fw_err *e)
{
    char *ini = fw_model_ini(name, e), *bytes = NULL, hex[33];
    size_t n;
    int rc = ini ? fw_file_read(ini, 1 << 20, &bytes, &n, e) : e->code;
    if (!rc) {
        fw_hash_hex(fw_hash_bytes(bytes, n), hex);
        fw_buf_printf(text, "model %s = %s\n", setting, hex);
    }
    free(bytes);
    fw_free(ini);
    return rc;
}

static int add_models(const fw_run *r, const fw_stage *st, fw_buf *text, fw_err *e)
{
    char *name;
    for (size_t i = 0; i < count(st->models); i++)
        for (size_t k = 0; (name = fw_conf_item(r->conf, st->models[i], k)); k++) {
            int rc = add_model(st->models[i], name, text, e);
            fw_free(name);
            FW_TRY(rc);
        }
    return FW_OK;
}

/* Nothing without decisions: a workspace that nobody reviewed keeps its keys. */
static void add_decisions(const fw_decisions *d, fw_buf *text)
{
    char hex[33];
    fw_hasher *h = fw_hasher_new();
    for (size_t i = 0; i < d->n; i++) {
        const fw_claim *c = &d->claim[i];
        uint8_t kind[2] = {(uint8_t)c->kind, c->yes};
        fw_hasher_add(h, kind, sizeof kind);
        fw_hasher_add(h, &c->decision, sizeof c->decision);
        fw_hasher_add(h, &c->a, sizeof c->a);
        fw_hasher_add(h, &c->b, sizeof c->b);
        fw_hasher_text(h, c->label ? c->label : "");
        fw_hasher_text(h, c->into ? c->into : "");
    }
    fw_hash_hex(fw_hasher_finish(h), hex);
    if (d->n) fw_buf_printf(text, "decisions = %s\n", hex);
}

char *fw_run_recipe(const fw_run *r, size_t stage, fw_err *e)
{
    const fw_stage *st = fw_stages[stage];
    fw_buf text = {0};
    fw_buf_printf(&text, "stage %s version %d\n", st->name, st->version);
    fw_conf_print(r->conf, st->settings, count(st->settings), &text);
    if (add_models(r, st, &text, e)) {
        fw_buf_free(&text);
        return NULL;
    }
    if (st->decisions) add_decisions(&r->decisions, &text);
    return text.data;
}

bool fw_run_shard_used(const fw_run *r, const fw_shard *sh)
{
    for (size_t i = 0; i < r->sets; i++)
        if (!strcmp(r->set[i], sh->set)) return true;
    return false;
}

static fw_hash shard_key(const fw_run *r, const fw_stage *st, const char *recipe, size_t shard)
{
    fw_hasher *h = fw_hasher_new();
    fw_hasher_text(h, recipe);
    fw_hasher_add(h, &r->store->shard[shard].key, sizeof(fw_hash));
    for (size_t i = 0; i < count(st->inputs); i++) {
        size_t from = fw_producer(st->inputs[i], NULL);
        fw_hasher_add(h, &r->shard_key[from][shard], sizeof(fw_hash));
    }
    return fw_hasher_finish(h);
}

/* A WHOLE stage depends on which images there are (shards, removed rows) of its sets and on all its inputs' keys. */
static fw_hash whole_key(const fw_run *r, const fw_stage *st, const char *recipe)
{
    fw_hasher *h = fw_hasher_new();
    fw_hasher_text(h, recipe);
    for (size_t s = 0; s < (st->benchmarks ? r->sets : 1); s++) {
        fw_hash removed = fw_store_removed_key(r->store, r->set[s]);
        fw_hasher_text(h, r->set[s]);
        fw_hasher_add(h, &removed, sizeof removed);
        for (size_t n = 0; n < r->store->shards; n++) {
            if (strcmp(r->store->shard[n].set, r->set[s])) continue;
            fw_hasher_add(h, &r->store->shard[n].key, sizeof(fw_hash));
            for (size_t i = 0; i < count(st->inputs); i++) {
                size_t from = fw_producer(st->inputs[i], NULL);
                if (r->shard_key[from]) fw_hasher_add(h, &r->shard_key[from][n], sizeof(fw_hash));
            }
        }
    }
    for (size_t i = 0; i < count(st->inputs); i++) {
        size_t from = fw_producer(st->inputs[i], NULL);
        if (!r->shard_key[from]) fw_hasher_add(h, &r->whole_key[from], sizeof(fw_hash));
    }
    return fw_hasher_finish(h);
}

/* A stage that reads a column which no earlier stage writes is a mistake in the program: found at every start. */
static int check_inputs(size_t stage, fw_err *e)
{
    const fw_stage *st = fw_stages[stage];
    for (size_t i = 0; i < count(st->inputs); i++)
        if (fw_producer(st->inputs[i], NULL) >= stage)
            return fw_fail(e, FW_EFAIL, "stage '%s' reads '%s', which no earlier stage writes", st->name,
                           st->inputs[i]);
    return FW_OK;
}

/* Once for all keys, recipes and stages of the run: a server may take answers while it goes on. */
static int read_decisions(fw_run *r, fw_err *e)
{
    char *folder = fw_format("%s/review", r->store->root);
    fw_decisions_free(&r->decisions);
    int rc = fw_decisions_read(folder, &r->decisions, e);
    fw_free(folder);
    return rc;
}

int fw_run_plan(fw_run *r, fw_err *e)
{
    FW_TRY(read_decisions(r, e));
    for (size_t s = 0; s < r->stages; s++) {
        const fw_stage *st = fw_stages[s];
        FW_TRY(check_inputs(s, e));
        char *recipe = fw_run_recipe(r, s, e);
        if (!recipe) return e->code;
        fw_free(r->shard_key[s]);
        r->shard_key[s] = NULL;
        if (st->scope == FW_SCOPE_SHARD) {
            r->shard_key[s] = FW_ARRAY(fw_hash, r->store->shards);
            for (size_t n = 0; n < r->store->shards; n++) r->shard_key[s][n] = shard_key(r, st, recipe, n);
        } else {
            r->whole_key[s] = whole_key(r, st, recipe);
        }
        fw_free(recipe);
    }
    return FW_OK;
}

char *fw_run_result(const fw_run *r, size_t stage, int shard)
{
    fw_hash key = shard < 0 ? r->whole_key[stage] : r->shard_key[stage][shard];
    return fw_store_result(r->store, fw_stages[stage]->name, shard, key);
}

bool fw_run_done(const fw_run *r, size_t stage, int shard)
{
    char *path = fw_run_result(r, stage, shard);
    bool there = fw_exists(path);
    fw_free(path);
    return there;
}
