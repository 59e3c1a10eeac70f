#include "export_ledger.h"
#include "../lib/table.h"
#include "decide.h"

#include <jansson.h>
#include <string.h>

void fw_final_label(const fw_view *v, size_t row, const fw_decision *d, fw_buf *out)
{
    out->len = 0;
    fw_buf_puts(out, "");
    if (d->verdict == FW_REMOVE || d->verdict == FW_REVIEW) return;
    uint32_t label = d->new_label == FW_NO_LABEL ? v->label[row] : d->new_label;
    if (label == FW_NO_LABEL) return;
    fw_buf_puts(out, v->label_name[label]);
    if (d->new_label != FW_NO_LABEL && d->person > 1) fw_buf_printf(out, "#%u", d->person);
}

void fw_decision_rule(const fw_view *v, size_t row, const fw_decision *d, fw_buf *out)
{
    out->len = 0;
    fw_buf_puts(out, "");
    for (int i = 0; i < FW_FLAGS; i++)
        if (d->flags >> i & 1) fw_buf_printf(out, "%s%s", out->len ? ";" : "", fw_flag_names[i]);
    if (d->verdict == FW_REMOVE || d->new_label == FW_NO_LABEL) return;
    bool split = d->person > 1, merge = d->verdict == FW_KEEP && d->new_label != v->label[row];
    if (split || merge) fw_buf_printf(out, "%s%s", out->len ? ";" : "", split ? "split" : "merge");
}

const char *fw_decision_action(const fw_decision *d)
{
    static const char *const names[] = {"kept", "removed", "relabeled", "review"}; /* by enum fw_verdict */
    if (d->verdict == FW_KEEP && d->new_label != FW_NO_LABEL) return "relabeled";
    return d->verdict < FW_COUNT(names) ? names[d->verdict] : "?";
}

typedef struct columns {
    const uint8_t *verdict;
    const uint16_t *flags, *by;
    const float *score;
    const uint32_t *new_label, *person;
    json_t *curators; /* names */
    const char *model, *config;
} columns;

static const void *column(fw_task *t, const char *name, fw_err *e)
{
    const fw_column *c = e->code ? NULL : fw_task_whole(t, name, e);
    return c ? c->data : NULL;
}

static int load(fw_task *t, columns *c, fw_err *e)
{
    *c = (columns){.verdict = column(t, "decide.verdict", e),
                   .by = column(t, "decide.by", e),
                   .flags = column(t, "decide.flags", e),
                   .score = column(t, "decide.score", e),
                   .new_label = column(t, "decide.new_label", e),
                   .person = column(t, "decide.person", e)};
    char *path = e->code ? NULL : fw_task_file_of(t, "decide", "decide.json", e);
    json_t *j = path ? json_load_file(path, 0, NULL) : NULL;
    c->curators = json_incref(json_object_get(j, "curators"));
    json_decref(j);
    fw_free(path);
    return e->code;
}

static const char *name_of(const columns *c, uint16_t by)
{
    const char *name = by ? json_string_value(json_array_get(c->curators, (size_t)by - 1)) : "";
    return name ? name : "?";
}

static void hex_of_content(const fw_view *v, size_t row, char hex[33])
{
    size_t s = fw_view_shard(v, row);
    const uint64_t *h = (const uint64_t *)v->shard[s]->hash.data + 2 * (row - v->base[s]);
    fw_hash_hex((fw_hash){h[0], h[1]}, hex);
}

static void put_row(fw_table *t, const fw_view *v, size_t row, const columns *c, fw_buf *b)
{
    const fw_decision dec = {c->verdict[row],   c->flags[row],  c->score[row],
                             c->new_label[row], c->person[row], c->by[row]},
                      *d = &dec;
    char hex[33];
    size_t n;
    const char *path = fw_view_path(v, row, &n);
    hex_of_content(v, row, hex);
    fw_cell_text(t, path, n);
    fw_cell_word(t, hex);
    fw_cell_word(t, fw_decision_action(d));
    fw_cell_word(t, v->label[row] == FW_NO_LABEL ? "" : v->label_name[v->label[row]]);
    fw_final_label(v, row, d, b);
    fw_cell_word(t, b->data);
    fw_decision_rule(v, row, d, b);
    fw_cell_word(t, b->data);
    fw_cell_real(t, (double)d->score, 6);
    fw_cell_word(t, d->by ? "curator" : "machine");
    fw_cell_word(t, name_of(c, d->by));
    fw_cell_word(t, c->model);
    fw_cell_word(t, c->config);
    fw_row_end(t);
}

int fw_export_ledger(fw_run *r, const char *dir, bool json, fw_err *e)
{
    static const char *const names[] = {"path",  "content", "action", "label", "final_label", "rule",
                                        "score", "by",      "who",    "model", "config",      NULL};
    fw_task task = fw_run_reader(r);
    const fw_view *v = fw_task_view(&task, "", e);
    columns c;
    char model[33], config[33];
    if (!v) return e->code;
    char *recipe = fw_run_recipe(r, fw_stage_row("embed"), e);
    if (!recipe) return e->code;
    fw_hash_hex(fw_hash_bytes(recipe, strlen(recipe)), model);
    fw_free(recipe);
    fw_hash_hex(r->whole_key[fw_stage_row("decide")], config);
    fw_table *t = load(&task, &c, e) ? NULL : fw_table_open(dir, "ledger", names, json, e);
    fw_buf scratch = {0};
    c.model = model;
    c.config = config;
    for (size_t i = 0; t && i < v->n; i++)
        if (v->alive[i]) put_row(t, v, i, &c, &scratch);
    fw_buf_free(&scratch);
    json_decref(c.curators);
    return t ? fw_table_close(t, e) : e->code;
}
