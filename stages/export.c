/* export: the files that training and other tools read (the contract stands in README, "Export").
 *
 * Everything is written into a hidden folder inside the target first, then moved into place (export_place.h): a full disk
 * or a crash leaves the files of the last export as they were, or a new one that the next export finishes.
 */
#include "../index/audit.h"
#include "../index/vectors.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/npy.h"
#include "../lib/table.h"
#include "../lib/text.h"
#include "command.h"
#include "decide.h"
#include "export_ledger.h"
#include "export_place.h"
#include "export_set.h"
#include "sample.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct export
{
    fw_run *run;
    fw_task task;
    const char *dir; /* the staging folder */
    bool all, json;
    const fw_view *v;
    const uint8_t *verdict, *dup_kind, *dup_kept, *dup_why;
    const uint16_t *flags;
    const float *score, *dup_sim;
    const uint32_t *new_label, *person, *group, *id_kept;
    fw_cols *status, *size, *det_score, *target, *quality;
}
export;

static const void *column(export *x, const char *name, fw_err *e)
{
    const fw_column *c = e->code ? NULL : fw_task_whole(&x->task, name, e);
    return c ? c->data : NULL;
}

static int load(export *x, fw_err *e)
{
    x->v = fw_task_view(&x->task, "", e);
    if (!x->v) return e->code;
    x->verdict = column(x, "decide.verdict", e);
    x->flags = column(x, "decide.flags", e);
    x->score = column(x, "decide.score", e);
    x->new_label = column(x, "decide.new_label", e);
    x->person = column(x, "decide.person", e);
    x->id_kept = column(x, "decide.id_kept", e);
    x->dup_kept = column(x, "decide.dup_kept", e);
    x->group = column(x, "decide.dup_group", e);
    x->dup_kind = column(x, "decide.dup_kind", e);
    x->dup_sim = column(x, "decide.dup_sim", e);
    x->dup_why = column(x, "decide.dup_why", e);
    if (e->code) return e->code;
    x->status = fw_task_cols(&x->task, "detect.status", "", e);
    x->size = fw_task_cols(&x->task, "detect.size", "", e);
    x->det_score = fw_task_cols(&x->task, "detect.score", "", e);
    x->target = fw_task_cols(&x->task, "detect.target", "", e);
    x->quality = fw_task_cols(&x->task, "quality.score", "", e);
    return e->code;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

static const char *label_text(const export *x, uint32_t label)
{
    return label == FW_NO_LABEL ? "" : x->v->label_name[label];
}

/* New label as text, "" when there is none; in `out`. */
static const char *new_label_text(const export *x, size_t row, fw_buf *out)
{
    out->len = 0;
    fw_buf_puts(out, label_text(x, x->new_label[row]));
    if (x->person[row] > 1 && x->new_label[row] != FW_NO_LABEL) fw_buf_printf(out, "#%u", x->person[row]);
    return out->data;
}

static void cell_path(fw_table *t, const fw_view *v, size_t row)
{
    size_t n;
    const char *path = fw_view_path(v, row, &n);
    fw_cell_text(t, path, n);
}

/* ---- images.csv ------------------------------------------------------------------------------------------------ */

static void cell_reasons(fw_table *t, uint16_t flags, fw_buf *scratch)
{
    scratch->len = 0;
    fw_buf_puts(scratch, "");
    for (int i = 0; i < FW_FLAGS; i++)
        if (flags >> i & 1) fw_buf_printf(scratch, "%s%s", scratch->len ? ";" : "", fw_flag_names[i]);
    fw_cell_word(t, scratch->data);
}

static void image_row(export *x, fw_table *t, size_t i, fw_buf *scratch)
{
    uint8_t status = *(const uint8_t *)fw_col_row(x->status, i);
    int32_t target = *(const int32_t *)fw_col_row(x->target, i);
    size_t faces;
    const float *det = fw_col_many(x->det_score, i, &faces);
    cell_path(t, x->v, i);
    fw_cell_word(t, label_text(x, x->v->label[i]));
    fw_cell_word(t, fw_img_status_name(status));
    fw_cell_int(t, (int64_t)faces);
    if (target >= 0 && (size_t)target < faces)
        fw_cell_real(t, det[target], 4);
    else
        fw_cell_none(t);
    bool photo = *(const int32_t *)fw_col_row(x->size, i) > 0; /* else an embedding made elsewhere */
    if (status == FW_IMG_OK && photo)
        fw_cell_real(t, *(const float *)fw_col_row(x->quality, i), 4);
    else
        fw_cell_none(t);
    fw_cell_word(t, x->all ? "keep" : fw_verdict_names[x->verdict[i]]);
    fw_cell_word(t, x->all ? "" : new_label_text(x, i, scratch));
    fw_cell_real(t, x->score[i], 6);
    cell_reasons(t, x->flags[i], scratch);
    fw_row_end(t);
}

static int write_images(export *x, fw_err *e)
{
    static const char *const columns[] = {"path",    "label",     "status", "faces",   "det_score", "quality",
                                          "verdict", "new_label", "score",  "reasons", NULL};
    fw_table *t = fw_table_open(x->dir, "images", columns, x->json, e);
    if (!t) return e->code;
    fw_buf scratch = {0};
    for (size_t i = 0; i < x->v->n; i++)
        if (x->v->alive[i]) image_row(x, t, i, &scratch);
    fw_buf_free(&scratch);
    return fw_table_close(t, e);
}

/* ---- duplicates.csv: rows sorted by group, the kept image first ------------------------------------------------- */

static int by_value(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

/* Labels that a group stands under. */
static int64_t labels_of(const export *x, const size_t *row, size_t n)
{
    int64_t labels = 0;
    uint32_t *label = FW_ARRAY(uint32_t, n);
    for (size_t i = 0; i < n; i++) label[i] = x->v->label[row[i]];
    qsort(label, n, sizeof *label, by_value);
    for (size_t i = 0; i < n; i++) labels += label[i] != FW_NO_LABEL && (!i || label[i] != label[i - 1]);
    fw_free(label);
    return labels;
}

/* Rows that are in a group, by group, the kept one first (counting sort); the caller frees. */
static size_t *rows_by_group(const export *x, size_t *total)
{
    size_t n = x->v->n, groups = 0;
    for (size_t i = 0; i < n; i++)
        if (x->group[i] != FW_NO_LABEL && x->group[i] >= groups) groups = (size_t)x->group[i] + 1;
    size_t *begin = FW_ARRAY(size_t, groups + 1), *row = FW_ARRAY(size_t, n);
    for (size_t i = 0; i < n; i++)
        if (x->group[i] != FW_NO_LABEL) begin[x->group[i] + 1]++;
    for (size_t g = 0; g < groups; g++) begin[g + 1] += begin[g];
    *total = begin[groups];
    for (int kept = 1; kept >= 0; kept--)
        for (size_t i = 0; i < n; i++)
            if (x->group[i] != FW_NO_LABEL && x->dup_kept[i] == kept) row[begin[x->group[i]]++] = i;
    fw_free(begin);
    return row;
}

static void duplicate_row(const export *x, fw_table *t, size_t i, int64_t labels)
{
    static const char *const why[] = {"", "quality", "label", "curator", "first"}; /* by enum fw_why */
    fw_cell_int(t, x->group[i]);
    cell_path(t, x->v, i);
    fw_cell_word(t, label_text(x, x->v->label[i]));
    fw_cell_word(t, x->dup_kind[i] == FW_DUP_EXACT ? "exact" : "near");
    fw_cell_real(t, x->dup_sim[i], 4);
    fw_cell_word(t, x->dup_kept[i] ? "yes" : "no");
    fw_cell_int(t, labels);
    fw_cell_word(t, why[x->dup_why[i]]);
    fw_row_end(t);
}

static int write_duplicates(export *x, fw_err *e)
{
    static const char *const columns[] = {"group", "path",   "label", "kind", "similarity",
                                          "kept",  "labels", "why",   NULL};
    fw_table *t = fw_table_open(x->dir, "duplicates", columns, x->json, e);
    if (!t) return e->code;
    size_t total, *row = rows_by_group(x, &total);
    for (size_t k = 0, end; k < total; k = end) {
        for (end = k; end < total && x->group[row[end]] == x->group[row[k]];) end++;
        int64_t labels = labels_of(x, row + k, end - k);
        for (size_t i = k; i < end; i++) duplicate_row(x, t, row[i], labels);
    }
    fw_free(row);
    return fw_table_close(t, e);
}

/* ---- identities.csv -------------------------------------------------------------------------------------------- */

/* How many images of each label are there, and how many of them wait for a curator. */
static void count_images(const export *x, uint32_t *images, uint32_t *waiting)
{
    for (size_t i = 0; i < x->v->n; i++) {
        if (!x->v->alive[i] || x->v->label[i] == FW_NO_LABEL) continue;
        images[x->v->label[i]]++;
        waiting[x->v->label[i]] += x->verdict[i] == FW_REVIEW;
    }
}

/* An identity that the audit keeps may lose all its images to other rules: overlap, duplicates, quality. */
static uint8_t action_of(const export *x, uint8_t action, size_t label, uint32_t waiting)
{
    if (action != FW_LABEL_KEEP || x->all || x->id_kept[label]) return action;
    return waiting ? FW_LABEL_REVIEW : FW_LABEL_DROP;
}

static int write_identities(export *x, fw_err *e)
{
    static const char *const columns[] = {"label",  "images",      "kept",  "cohesion",
                                          "action", "other_label", "score", NULL};
    const float *cohesion = column(x, "confirm.id_cohesion", e), *score = column(x, "confirm.id_score", e);
    const uint8_t *action = column(x, "confirm.id_action", e);
    const uint32_t *other = column(x, "confirm.id_other", e);
    fw_table *t = e->code ? NULL : fw_table_open(x->dir, "identities", columns, x->json, e);
    if (!t) return e->code;
    size_t labels = x->v->labels;
    uint32_t *images = FW_ARRAY(uint32_t, labels), *waiting = FW_ARRAY(uint32_t, labels);
    count_images(x, images, waiting);
    for (size_t l = 0; l < labels; l++) {
        if (!images[l]) continue; /* all its images have left the dataset */
        fw_cell_word(t, x->v->label_name[l]);
        fw_cell_int(t, images[l]);
        fw_cell_int(t, x->all ? images[l] : x->id_kept[l]);
        fw_cell_real(t, cohesion[l], 4);
        fw_cell_word(t, fw_action_names[action_of(x, action[l], l, waiting[l])]);
        fw_cell_word(t, label_text(x, other[l]));
        fw_cell_real(t, score[l], 4);
        fw_row_end(t);
    }
    fw_free(images), fw_free(waiting);
    return fw_table_close(t, e);
}

/* ---- overlap.csv: the findings that stand; a curator's "not the same" takes one out ---------------------------- */

static int write_overlap(export *x, fw_err *e)
{
    static const char *const columns[] = {
        "label", "path", "benchmark", "benchmark_label", "benchmark_path", "similarity", "score", "rule", NULL};
    static const char *const rules[] = {"face", "name", "image"};
    const fw_column *rows = fw_task_whole(&x->task, "overlap.row", e);
    const uint32_t *label = column(x, "overlap.label", e), *bench = column(x, "overlap.bench", e);
    const uint32_t *bench_row = column(x, "overlap.bench_row", e);
    const float *sim = column(x, "overlap.sim", e), *score = column(x, "overlap.score", e);
    const uint8_t *rule = column(x, "overlap.rule", e), *finding = column(x, "decide.finding", e);
    const char *const *names;
    size_t n = fw_task_benchmarks(&x->task, &names);
    fw_table *t = e->code ? NULL : fw_table_open(x->dir, "overlap", columns, x->json, e);
    if (!t) return e->code;
    for (size_t k = 0; k < rows->rows && bench[k] < n; k++) {
        const fw_view *b = fw_task_view(&x->task, names[bench[k]], e);
        if (!b) break;
        if (finding[k] == FW_FINDING_NO || finding[k] == FW_FINDING_DOUBTED) continue;
        fw_cell_word(t, label_text(x, label[k]));
        cell_path(t, x->v, ((const uint32_t *)rows->data)[k]);
        fw_cell_word(t, names[bench[k]]);
        fw_cell_word(t, b->label[bench_row[k]] == FW_NO_LABEL ? "" : b->label_name[b->label[bench_row[k]]]);
        cell_path(t, b, bench_row[k]);
        fw_cell_real(t, sim[k], 4);
        fw_cell_real(t, score[k], 6);
        fw_cell_word(t, rules[rule[k]]);
        fw_row_end(t);
    }
    return fw_table_close(t, e);
}

/* ---- clusters.csv ---------------------------------------------------------------------------------------------- */

static int write_clusters(export *x, fw_err *e)
{
    static const char *const columns[] = {"path", "cluster", NULL};
    const int32_t *id = column(x, "cluster.id", e);
    fw_table *t = e->code ? NULL : fw_table_open(x->dir, "clusters", columns, x->json, e);
    if (!t) return e->code;
    for (size_t i = 0; i < x->v->n; i++) {
        if (!x->v->alive[i]) continue;
        cell_path(t, x->v, i);
        fw_cell_int(t, id[i]);
        fw_row_end(t);
    }
    return fw_table_close(t, e);
}

/* ---- keep.lst, remove.lst, relabel.lst, review.lst --------------------------------------------------------------- */

static void list_fields(fw_outfile *o, const char *path, size_t n, const char *a, const char *b)
{
    fw_buf line = {0};
    fw_text_list(&line, path, n);
    fw_buf_puts(&line, "\t");
    fw_text_list(&line, a, strlen(a));
    if (b) {
        fw_buf_puts(&line, "\t");
        fw_text_list(&line, b, strlen(b));
    }
    fw_buf_puts(&line, "\n");
    fw_out_write(o, line.data, line.len);
    fw_buf_free(&line);
}

static int write_lists(export *x, fw_err *e)
{
    static const char *const names[] = {"keep", "remove", "relabel", "review"}; /* by enum fw_verdict */
    fw_outfile *o[4] = {0};
    for (int i = 0; i < 4; i++) {
        char *path = fw_format("%s/%s.lst", x->dir, names[i]);
        o[i] = fw_out_open(path, e);
        fw_free(path);
    }
    fw_buf to = {0};
    for (size_t i = 0; !e->code && i < x->v->n; i++) {
        if (!x->v->alive[i]) continue;
        size_t n;
        const char *path = fw_view_path(x->v, i, &n), *old = label_text(x, x->v->label[i]);
        uint8_t verdict = x->all ? FW_KEEP : x->verdict[i];
        const char *fresh = x->all ? "" : new_label_text(x, i, &to), *final = *fresh ? fresh : old;
        if (verdict == FW_KEEP || verdict == FW_RELABEL) list_fields(o[FW_KEEP], path, n, final, NULL);
        if (verdict == FW_RELABEL) list_fields(o[FW_RELABEL], path, n, old, fresh);
        if (verdict == FW_REMOVE || verdict == FW_REVIEW) list_fields(o[verdict], path, n, old, NULL);
    }
    fw_buf_free(&to);
    for (int i = 0; i < 4; i++)
        if (o[i] && fw_out_close(o[i], e)) {
        } /* the error is in *e; the others must be closed all the same */
    return e->code;
}

/* ---- embeddings.npy, embeddings.csv, knn_*.npy ------------------------------------------------------------------- */

static fw_outfile *npy(export *x, const char *name, fw_dtype type, size_t rows, size_t width, fw_err *e)
{
    char *path = fw_format("%s/%s.npy", x->dir, name);
    fw_outfile *o = fw_out_open(path, e);
    fw_free(path);
    if (o) fw_npy_header(o, type, rows, width);
    return o;
}

static int write_embeddings(export *x, fw_err *e)
{
    static const char *const columns[] = {"row", "path", NULL};
    const fw_vectors *v = fw_task_vectors(&x->task, "", e);
    if (!v) return e->code;
    fw_outfile *o = npy(x, "embeddings", FW_F16, v->n, (size_t)v->dim, e);
    if (!o) return e->code;
    for (size_t c = 0; c < v->chunks; c++)
        fw_out_write(o, v->chunk[c], (v->base[c + 1] - v->base[c]) * (size_t)v->dim * sizeof(uint16_t));
    FW_TRY(fw_out_close(o, e));
    fw_table *t = fw_table_open(x->dir, "embeddings", columns, x->json, e);
    if (!t) return e->code;
    for (size_t i = 0; i < x->v->n; i++) {
        fw_cell_int(t, (int64_t)i);
        cell_path(t, x->v, i);
        fw_row_end(t);
    }
    return fw_table_close(t, e);
}

/* Rows with fewer neighbours than k are filled with id -1 and similarity -1. */
static int write_graph(export *x, fw_err *e)
{
    fw_graph g;
    FW_TRY(fw_task_graph(&x->task, &g, e));
    size_t k = (size_t)x->run->conf->knn_k;
    fw_outfile *ids = npy(x, "knn_ids", FW_I64, g.n, k, e), *sims = ids ? npy(x, "knn_sims", FW_F32, g.n, k, e) : NULL;
    for (size_t i = 0; sims && i < g.n; i++)
        for (size_t j = 0; j < k; j++) {
            bool there = g.off[i] + j < g.off[i + 1];
            int64_t id = there ? (int64_t)g.id[g.off[i] + j] : -1;
            float sim = there ? g.sim[g.off[i] + j] : -1.0f;
            fw_out_write(ids, &id, sizeof id);
            fw_out_write(sims, &sim, sizeof sim);
        }
    if (ids && fw_out_close(ids, e)) {
    } /* both must be closed; the first error stays in *e */
    if (sims && fw_out_close(sims, e)) {
    }
    return e->code;
}

/* ---- summary.json ---------------------------------------------------------------------------------------------- */

static json_t *count_verdicts(const export *x)
{
    size_t verdict[4] = {0}, flag[FW_FLAGS] = {0}, status[4] = {0}, images = 0, labelled = 0;
    for (size_t i = 0; i < x->v->n; i++) {
        if (!x->v->alive[i]) continue;
        images++;
        labelled += x->v->label[i] != FW_NO_LABEL;
        verdict[x->verdict[i]]++;
        status[*(const uint8_t *)fw_col_row(x->status, i) & 3]++;
        for (int f = 0; f < FW_FLAGS; f++) flag[f] += x->flags[i] >> f & 1;
    }
    json_t *v = json_object(), *f = json_object(), *s = json_object();
    for (int i = 0; i < 4; i++) json_object_set_new(v, fw_verdict_names[i], json_integer((json_int_t)verdict[i]));
    for (int i = 0; i < 4; i++) json_object_set_new(s, fw_img_status_name(i), json_integer((json_int_t)status[i]));
    for (int i = 0; i < FW_FLAGS; i++) json_object_set_new(f, fw_flag_names[i], json_integer((json_int_t)flag[i]));
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o}", "images", (json_int_t)images, "labelled", (json_int_t)labelled,
                     "identities", (json_int_t)x->v->labels, "status", s, "verdict", v, "flags", f);
}

static void add_setting(void *user, const char *name, const char *value)
{
    if (strncmp(name, "run.", 4)) json_object_set_new(user, name, json_string(value));
}

/* What audit, overlap and cluster wrote about their thresholds. */
static void add_findings(export *x, json_t *summary)
{
    static const char *const stage[] = {"audit", "dedupe", "overlap", "cluster", "decide"};
    for (size_t i = 0; i < FW_COUNT(stage); i++) {
        char *file = fw_format("%s.json", stage[i]), *path = fw_task_file_of(&x->task, stage[i], file, NULL);
        json_t *j = path ? json_load_file(path, 0, NULL) : NULL;
        if (j) json_object_set_new(summary, strcmp(stage[i], "decide") ? stage[i] : "decisions", j);
        fw_free(file);
        fw_free(path);
    }
}

static json_t *timings(const fw_run *r)
{
    json_t *t = json_object();
    for (size_t i = 0; i < r->stages; i++)
        if (r->seconds[i] > 0) json_object_set_new(t, fw_stages[i]->name, json_real(r->seconds[i]));
    return t;
}

static int write_summary(export *x, fw_err *e)
{
    json_t *settings = json_object(), *versions = json_object();
    fw_conf_each(x->run->conf, add_setting, settings);
    for (size_t i = 0; fw_stages[i]; i++)
        json_object_set_new(versions, fw_stages[i]->name, json_integer(fw_stages[i]->version));
    json_t *j = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "program", "facewash " FW_VERSION, "source",
                          fw_store_source(x->run->store, ""), "counts", count_verdicts(x), "settings", settings,
                          "stage_versions", versions, "seconds", timings(x->run));
    if (!j) return fw_fail(e, FW_EFAIL, "write summary.json: a value is not valid UTF-8");
    add_findings(x, j);
    json_t *assess = fw_assess(x->run, e);
    if (assess) json_object_set_new(j, "assess", assess);
    char *text = json_dumps(j, JSON_INDENT(2) | JSON_PRESERVE_ORDER), *path = fw_format("%s/summary.json", x->dir);
    int rc = e->code ? e->code : fw_file_write(path, text, strlen(text), e);
    fw_free(path);
    free(text);
    json_decref(j);
    return rc;
}

/* ---- putting it together --------------------------------------------------------------------------------------- */

static int write_all(export *x, fw_err *e)
{
    const fw_conf *c = x->run->conf;
    FW_TRY(load(x, e));
    FW_TRY(write_images(x, e));
    FW_TRY(write_duplicates(x, e));
    FW_TRY(write_identities(x, e));
    FW_TRY(write_overlap(x, e));
    FW_TRY(write_clusters(x, e));
    FW_TRY(write_lists(x, e));
    if (!x->all) FW_TRY(fw_export_ledger(x->run, x->dir, x->json, e));
    if (c->export_embeddings) FW_TRY(write_embeddings(x, e));
    if (c->export_graph) FW_TRY(write_graph(x, e));
    return write_summary(x, e);
}

/* All files that an export of a form may hold. Those of the other form stay: who asks for both wants both. */
static const char *const csv_files[] = {"images.csv", "duplicates.csv", "identities.csv", "overlap.csv", "clusters.csv",
                                        "ledger.csv", "embeddings.csv", "embeddings.npy", "knn_ids.npy", "knn_sims.npy",
                                        NULL};
static const char *const json_files[] = {"images.jsonl",
                                         "duplicates.jsonl",
                                         "identities.jsonl",
                                         "overlap.jsonl",
                                         "clusters.jsonl",
                                         "ledger.jsonl",
                                         "embeddings.jsonl",
                                         "embeddings.npy",
                                         "knn_ids.npy",
                                         "knn_sims.npy",
                                         NULL};

int fw_export(fw_run *r, const fw_args *a, const char *dir, fw_err *e)
{
    const fw_set_format *set = a->format ? fw_set_format_find(a->format) : NULL;
    if (set) return fw_export_set(r, a, set, dir, e);
    double start = fw_now();
    char *staging = fw_format("%s/.writing.%ld", dir, (long)getpid());
    export x = {.run = r, .task = fw_run_reader(r), .dir = staging, .all = a->all};
    x.json = a->format && !strcmp(a->format, "json");
    int rc = a->format && strcmp(a->format, "csv") && !x.json
                 ? fw_fail(e, FW_EUSAGE, "--format '%s': must be csv, json, dir, rec, tar, tsv or list", a->format)
                 : FW_OK;
    if (!rc) rc = fw_mkdirs(dir, e);
    if (!rc) rc = fw_place_recover(dir, e);
    if (!rc) rc = fw_mkdirs(staging, e);
    if (!rc) rc = write_all(&x, e);
    if (!rc) rc = fw_place_commit(staging, dir, x.json ? json_files : csv_files, true, e);
    fw_remove_tree(staging, NULL);
    fw_free(staging);
    if (!rc) fw_log(FW_INFO, "export: '%s' in %.1f s", dir, fw_now() - start);
    return rc;
}

int fw_cmd_export(const fw_args *a, fw_err *e)
{
    fw_store *s;
    fw_run *r;
    if (!a->out) return fw_fail(e, FW_EUSAGE, "export: --out DIR is missing");
    int rc = fw_open_run(a, false, FW_LOCK_NONE, &s, &r, e);
    if (!rc) rc = fw_export(r, a, a->out, e);
    fw_close_run(s, r);
    return rc;
}
