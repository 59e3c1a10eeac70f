/* dedupe: copies and near-copies of one photo (index/dup.h does the work). */
#include "../index/calib.h"
#include "../index/dup.h"
#include "../lib/log.h"
#include "stage.h"

#include <jansson.h>
#include <string.h>

enum { SEED = 1 };
/* Edits of a photo leave the face recognisable; one unrelated pair in ten thousand is more alike than this. A limit on
 * work, not a verdict: 300,000 pairs place it well enough. */
#define CANDIDATE_FAR 1e-4
enum { PAIRS = 300000 };

static const char *const inputs[] = {"detect.size",   "embed.vec",       "embed.valid",
                                     "quality.score", "signature.bytes", "knn.off",
                                     "knn.id",        "knn.sim",         NULL};
static const fw_output outputs[] = {{"dedupe.group", FW_U32, 1, FW_ONE, "group of copies, FFFFFFFF: none"},
                                    {"dedupe.kind", FW_U8, 1, FW_ONE, "0 none, 1 exact, 2 near"},
                                    {"dedupe.sim", FW_F32, 1, FW_ONE, "similarity to the group's kept image"},
                                    {"dedupe.kept", FW_U8, 1, FW_ONE, "1: the best image of its group"},
                                    {"dedupe.cross", FW_U8, 1, FW_ONE, "1: its group stands under several labels"},
                                    {0}};

static const fw_signature *signature_of(const void *context, size_t row)
{
    return fw_col_row(context, row);
}

/* Content hashes of all rows, as ingest found them. */
static uint64_t (*hashes(const fw_view *v))[2]
{
    uint64_t(*all)[2] = fw_alloc(v->n, sizeof *all);
    for (size_t s = 0; s < v->shards; s++)
        memcpy(all + v->base[s], v->shard[s]->hash.data, v->shard[s]->rows * sizeof *all);
    return all;
}

static double candidate_bound(const fw_vectors *v)
{
    fw_calib *c = FW_NEW(fw_calib);
    uint32_t *own = FW_ARRAY(uint32_t, v->n); /* labels are not looked at */
    for (size_t i = 0; i < v->n; i++) own[i] = (uint32_t)i;
    fw_calib_impostors(c, v, own, PAIRS, SEED);
    double bound = fw_calib_threshold(c, CANDIDATE_FAR);
    fw_free(own);
    fw_free(c);
    return bound;
}

static int save(fw_task *t, size_t n, const fw_dups *d, fw_err *e)
{
    uint32_t *group = FW_ARRAY(uint32_t, n);
    uint8_t *kind = FW_ARRAY(uint8_t, n), *kept = FW_ARRAY(uint8_t, n), *cross = FW_ARRAY(uint8_t, n);
    float *sim = FW_ARRAY(float, n);
    memset(group, 0xFF, n * sizeof *group);
    for (size_t k = 0; k < d->count; k++) {
        const fw_dup_row *r = &d->row[k];
        group[r->row] = r->group;
        kind[r->row] = r->kind;
        kept[r->row] = r->kept;
        cross[r->row] = r->cross;
        sim[r->row] = r->similarity;
    }
    int rc = fw_task_save(t, "dedupe.group", group, n, e);
    if (!rc) rc = fw_task_save(t, "dedupe.kind", kind, n, e);
    if (!rc) rc = fw_task_save(t, "dedupe.sim", sim, n, e);
    if (!rc) rc = fw_task_save(t, "dedupe.kept", kept, n, e);
    if (!rc) rc = fw_task_save(t, "dedupe.cross", cross, n, e);
    fw_free(group);
    fw_free(kind);
    fw_free(kept);
    fw_free(cross);
    fw_free(sim);
    return rc;
}

static int save_json(fw_task *t, const fw_dups *d, fw_err *e)
{
    json_int_t across = 0;
    for (size_t k = 0; k < d->count; k++) across += d->row[k].kept && d->row[k].cross;
    json_t *j = json_pack("{s:I, s:I, s:I, s:I}", "groups", (json_int_t)d->groups, "images", (json_int_t)d->count,
                          "groups_across_labels", across, "pairs_compared", (json_int_t)d->compared);
    return fw_task_save_json(t, "dedupe.json", j, e);
}

static int run_dedupe(fw_task *t, fw_err *e)
{
    const fw_view *view = fw_task_view(t, "", e);
    const fw_vectors *v = view ? fw_task_vectors(t, "", e) : NULL;
    fw_cols *quality = v ? fw_task_cols(t, "quality.score", "", e) : NULL;
    fw_cols *size = quality ? fw_task_cols(t, "detect.size", "", e) : NULL;
    fw_cols *signature = size ? fw_task_cols(t, "signature.bytes", "", e) : NULL;
    fw_graph g;
    if (!signature || fw_task_graph(t, &g, e)) return e->code;
    uint64_t(*hash)[2] = hashes(view);
    float *q = fw_col_gather(quality, view->n);
    int32_t *wh = fw_col_gather(size, view->n);
    fw_dup_input in = {.n = view->n,
                       .vectors = v,
                       .graph = &g,
                       .signature = signature_of,
                       .context = signature,
                       .hash = (const uint64_t(*)[2])hash,
                       .quality = q,
                       .size = wh,
                       .label = view->label,
                       .alive = view->alive,
                       .cos_bound = candidate_bound(v)};
    fw_dups *d = NULL;
    int rc = fw_dup_find(&in, &d, e);
    if (!rc) rc = save(t, view->n, d, e);
    if (!rc) rc = save_json(t, d, e);
    if (!rc)
        fw_log(FW_INFO, "dedupe: %zu groups with %zu images, %zu pairs compared", d->groups, d->count, d->compared);
    fw_dups_free(d);
    fw_free(hash);
    fw_free(q);
    fw_free(wh);
    return rc;
}

const fw_stage fw_stage_dedupe = {
    .name = "dedupe",
    .summary = "find copies and near-copies of the same photo",
    .version = 2,
    .scope = FW_SCOPE_WHOLE,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){NULL},
    .run = run_dedupe,
};
