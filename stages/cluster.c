/* cluster: who is the same person when the labels are not looked at (index/cluster.h does the work). */
#include "../index/cluster.h"
#include "../lib/log.h"
#include "stage.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 1 };

static const char *const inputs[] = {"embed.vec", "embed.valid", "knn.off", "knn.id", "knn.sim", NULL};
static const fw_output outputs[] = {{"cluster.id", FW_I32, 1, FW_ONE, "cluster number, -1: alone or no embedding"},
                                    {0}};

static enum fw_cluster_method method_of(const char *name)
{
    return *name == 'w' ? FW_CLUSTER_WHISPERS : *name == 'c' ? FW_CLUSTER_COMPONENTS : FW_CLUSTER_INFOMAP;
}

static int save_json(fw_task *t, const fw_cluster_report *r, fw_err *e)
{
    json_t *limits = json_pack("{s:{s:f, s:s}, s:{s:f, s:s}}", "edge", "value", r->threshold, "found",
                               "chance likeness in a set of this size, from the impostor distribution of random pairs",
                               "join", "value", r->join, "found", "the same for two centroids");
    json_t *j =
        json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:i, s:f}", "method", t->conf->cluster_method, "thresholds", limits,
                  "clusters", (json_int_t)r->clusters, "alone", (json_int_t)r->alone, "largest", (json_int_t)r->largest,
                  "edges", (json_int_t)r->edges, "looks", r->looks, "reliability", r->explained);
    return fw_task_save_json(t, "cluster.json", j, e);
}

static int run_cluster(fw_task *t, fw_err *e)
{
    const fw_vectors *v = fw_task_vectors(t, "", e);
    fw_graph g;
    if (!v || fw_task_graph(t, &g, e)) return e->code;
    fw_calib *c = FW_NEW(fw_calib);
    fw_cluster_calibrate(c, v, SEED);
    fw_cluster_opts o = fw_cluster_defaults(c, fw_vectors_usable(v));
    o.method = method_of(t->conf->cluster_method);
    o.seed = SEED;
    fw_cluster_report r = {0};
    int32_t *id = FW_ARRAY(int32_t, v->n);
    int rc = fw_cluster_run(v, &g, &o, id, &r, e);
    if (!rc) rc = fw_task_save(t, "cluster.id", id, v->n, e);
    if (!rc) rc = save_json(t, &r, e);
    if (!rc)
        fw_log(FW_INFO, "cluster: %zu clusters, %zu faces alone, edges above cosine %.3f", r.clusters, r.alone,
               r.threshold);
    fw_free(id);
    fw_free(c);
    return rc;
}

const fw_stage fw_stage_cluster = {
    .name = "cluster",
    .summary = "find people without looking at the labels",
    .version = 2, /* 2: a second look */
    .scope = FW_SCOPE_WHOLE,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"cluster.", NULL},
    .run = run_cluster,
};
