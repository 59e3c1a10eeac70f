/* knn: the k-nearest-neighbour graph of the dataset, and of its images among each benchmark's (index/knn.h). */
#include "../index/knn.h"
#include "../lib/log.h"
#include "stage.h"

enum { SEED = 20240607 }; /* samples, k-means, rotations: any number does, it only has to stay the same */

static const char *const inputs[] = {"embed.vec", "embed.valid", NULL};
static const fw_output outputs[] = {
    {"knn.off", FW_U64, 1, FW_ONE, "n + 1 offsets into knn.id and knn.sim"},
    {"knn.id", FW_U32, 1, FW_ONE, "neighbour rows, most alike first"},
    {"knn.sim", FW_F32, 1, FW_ONE, "their cosine similarity"},
    {"knn.report", FW_F64, 4, FW_ONE, "recall@10, rows that it was measured on, rows certified, dimensions used"},
    {0}};

static int run_knn(fw_task *t, fw_err *e)
{
    const fw_conf *c = t->conf;
    const fw_vectors *v = fw_task_vectors(t, "", e);
    if (!v) return e->code;
    fw_knn_opts o = {.method = c->knn_method,
                     .k = (int)c->knn_k,
                     .memory = c->run_memory,
                     .factory = c->knn_factory,
                     .recall_floor = c->knn_recall,
                     .seed = SEED};
    fw_graph *g = NULL;
    fw_knn_report r = {0};
    FW_TRY(fw_knn_build(v, &o, &g, &r, e));
    fw_log(FW_INFO, "knn: %zu rows, %s: %s; recall@10 %.4f", r.rows, r.method, r.why, r.recall10);
    if (!r.floor_met) fw_log(FW_WARN, "knn: recall@10 %.4f is below knn.recall = %g", r.recall10, c->knn_recall);
    double report[4] = {r.recall10, (double)r.sampled, (double)r.certified, r.dims_used};
    int rc = fw_task_save(t, "knn.off", g->off, g->n + 1, e);
    if (!rc) rc = fw_task_save(t, "knn.id", g->id, g->off[g->n], e);
    if (!rc) rc = fw_task_save(t, "knn.sim", g->sim, g->off[g->n], e);
    if (!rc) rc = fw_task_save(t, "knn.report", report, 1, e);
    fw_graph_free(g);
    return rc;
}

const fw_stage fw_stage_knn = {
    .name = "knn",
    .summary = "find every face's nearest neighbours",
    .version = 3, /* 2: ivf by more and smaller lists; 3: by the nearest by score */
    .scope = FW_SCOPE_WHOLE,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"knn.", NULL},
    .run = run_knn,
};
