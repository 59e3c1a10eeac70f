/* overlap: which of the dataset's people and photos also stand in a benchmark (index/overlap.h does the work). */
#include "../index/overlap.h"
#include "../index/cluster.h"
#include "../index/knn.h"
#include "../lib/log.h"
#include "stage.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 1, NEIGHBOURS = 16, PAIRS = 2000000 };

static const char *const inputs[] = {"embed.vec", "embed.valid", "signature.bytes", NULL};
static const fw_output outputs[] = {
    {"overlap.label", FW_U32, 1, FW_ONE, "dataset label of a finding, FFFFFFFF: only the photo is meant"},
    {"overlap.row", FW_U32, 1, FW_ONE, "dataset row (identity findings: the closest photo)"},
    {"overlap.bench", FW_U32, 1, FW_ONE, "which benchmark"},
    {"overlap.bench_row", FW_U32, 1, FW_ONE, "row in the benchmark"},
    {"overlap.sim", FW_F32, 1, FW_ONE, "cosine (face: of centroids)"},
    {"overlap.score", FW_F32, 1, FW_ONE, "1 - false discovery rate at this similarity"},
    {"overlap.rule", FW_U8, 1, FW_ONE, "0 face, 1 name, 2 image"},
    {0}};

/* Findings of all benchmarks, column by column. */
typedef struct findings {
    uint32_t *label, *row, *bench, *bench_row;
    float *sim, *score;
    uint8_t *rule;
    size_t n;
    json_t *thresholds;
} findings;

static void release(findings *f)
{
    fw_free(f->label);
    fw_free(f->row);
    fw_free(f->bench);
    fw_free(f->bench_row);
    fw_free(f->sim);
    fw_free(f->score);
    fw_free(f->rule);
    json_decref(f->thresholds);
}

static void append(findings *f, const fw_overlap *o, uint32_t bench)
{
    size_t n = f->n + o->count;
    f->label = fw_realloc(f->label, n, sizeof *f->label);
    f->row = fw_realloc(f->row, n, sizeof *f->row);
    f->bench = fw_realloc(f->bench, n, sizeof *f->bench);
    f->bench_row = fw_realloc(f->bench_row, n, sizeof *f->bench_row);
    f->sim = fw_realloc(f->sim, n, sizeof *f->sim);
    f->score = fw_realloc(f->score, n, sizeof *f->score);
    f->rule = fw_realloc(f->rule, n, sizeof *f->rule);
    for (size_t k = 0; k < o->count; k++) {
        const fw_overlap_row *r = &o->row[k];
        f->label[f->n + k] = r->label;
        f->row[f->n + k] = r->row;
        f->bench[f->n + k] = bench;
        f->bench_row[f->n + k] = r->bench_row;
        f->sim[f->n + k] = r->similarity;
        f->score[f->n + k] = r->score;
        f->rule[f->n + k] = r->rule;
    }
    f->n = n;
}

typedef struct side {
    fw_overlap_side of;
    const fw_view *view;
    fw_cols *signature;
} side;

static const fw_signature *signature_of(const void *context, size_t row)
{
    const side *s = context;
    return s->view->alive[row] ? fw_col_row(s->signature, row) : NULL;
}

static int side_of(fw_task *t, const char *set, side *out, fw_err *e)
{
    const fw_view *v = fw_task_view(t, set, e);
    const fw_vectors *vec = v ? fw_task_vectors(t, set, e) : NULL;
    out->view = v;
    out->signature = vec ? fw_task_cols(t, "signature.bytes", set, e) : NULL;
    if (!out->signature) return e->code;
    out->of = (fw_overlap_side){.vectors = vec,
                                .label = v->label,
                                .labels = v->labels,
                                .name = (const char *const *)v->label_name,
                                .signature = signature_of,
                                .context = out};
    return FW_OK;
}

static int compare(fw_task *t, const fw_overlap_side *train, const char *name, uint32_t number, const fw_calib *c,
                   findings *f, fw_err *e)
{
    side other;
    fw_graph *cross = NULL;
    fw_overlap *found = NULL;
    fw_overlap_opts o = fw_overlap_defaults();
    fw_knn_opts k = {.k = NEIGHBOURS, .memory = t->conf->run_memory, .seed = SEED};
    o.names = true;
    FW_TRY(side_of(t, name, &other, e));
    const fw_overlap_side *bench = &other.of;
    if (bench->vectors->dim != train->vectors->dim || !bench->vectors->n) return FW_OK;
    int rc = fw_knn_cross(train->vectors, bench->vectors, &k, &cross, e);
    if (!rc) rc = fw_overlap_find(train, bench, cross, c, &o, &found, e);
    if (!rc) {
        append(f, found, number);
        json_object_set_new(
            f->thresholds, name,
            json_pack("{s:f, s:s}", "value", found->cosine, "found",
                      "least centroid cosine at which the expected share of chance look-alikes stays under the limit"));
        if (found->cosine > 0)
            fw_log(FW_INFO, "overlap with '%s': %zu findings, people from cosine %.3f of centroids on", name,
                   found->count, found->cosine);
        else
            fw_log(FW_INFO, "overlap with '%s': %zu findings, none by the centroids of people", name, found->count);
    }
    fw_overlap_free(found);
    fw_graph_free(cross);
    return rc;
}

static int save(fw_task *t, const findings *f, fw_err *e)
{
    int rc = fw_task_save_json(t, "overlap.json", json_incref(f->thresholds), e);
    if (!rc) rc = fw_task_save(t, "overlap.label", f->label, f->n, e);
    if (!rc) rc = fw_task_save(t, "overlap.row", f->row, f->n, e);
    if (!rc) rc = fw_task_save(t, "overlap.bench", f->bench, f->n, e);
    if (!rc) rc = fw_task_save(t, "overlap.bench_row", f->bench_row, f->n, e);
    if (!rc) rc = fw_task_save(t, "overlap.sim", f->sim, f->n, e);
    if (!rc) rc = fw_task_save(t, "overlap.score", f->score, f->n, e);
    if (!rc) rc = fw_task_save(t, "overlap.rule", f->rule, f->n, e);
    return rc;
}

static int run_overlap(fw_task *t, fw_err *e)
{
    const char *const *names;
    size_t n = fw_task_benchmarks(t, &names);
    side dataset;
    const fw_overlap_side *train = &dataset.of;
    findings f = {.thresholds = json_object()};
    int rc = side_of(t, "", &dataset, e);
    if (!rc && n) {
        fw_calib *c = FW_NEW(fw_calib);
        if (train->labels > 1)
            fw_calib_impostors(c, train->vectors, train->label, PAIRS, SEED);
        else
            fw_cluster_calibrate(c, train->vectors, SEED); /* no labels that could tell impostors */
        for (size_t b = 0; !rc && b < n; b++) rc = compare(t, train, names[b], (uint32_t)b, c, &f, e);
        fw_free(c);
    }
    if (!rc) rc = save(t, &f, e);
    release(&f);
    return rc;
}

const fw_stage fw_stage_overlap = {
    .name = "overlap",
    .summary = "find people and photos that are also in a benchmark",
    .version = 4, /* 4: who has no face is nobody */
    .scope = FW_SCOPE_WHOLE,
    .benchmarks = true,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){NULL},
    .run = run_overlap,
};
