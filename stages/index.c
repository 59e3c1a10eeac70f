/* index: a FAISS index over the dataset's embeddings, for `identify` and for people's own tools. Ids are dataset rows.
 */
#include "../index/vecindex.h"
#include "../lib/log.h"
#include "stage.h"

#include <string.h>

static const char *const inputs[] = {"embed.vec", "embed.valid", NULL};
static const fw_output outputs[] = {{"index.rows", FW_U64, 1, FW_ONE, "number of vectors in index.faiss"}, {0}};

static int run_index(fw_task *t, fw_err *e)
{
    const fw_vectors *v = fw_task_vectors(t, "", e);
    if (!v) return e->code;
    char by_size[48];
    bool automatic = !strcmp(t->conf->index_factory, "auto");
    const char *factory =
        automatic ? fw_vecindex_default(v->n, v->dim, by_size, sizeof by_size) : t->conf->index_factory;
    fw_log(FW_INFO, "index: %zu rows in a FAISS '%s' index (%s)", v->n, factory,
           automatic ? "chosen by size" : "index.factory");
    uint64_t rows = v->n;
    fw_vecindex *x = NULL;
    char *path = fw_task_path(t, "index.faiss");
    int rc = v->n ? fw_vecindex_build(v, factory, &x, e) : FW_OK;
    if (x && !rc) rc = fw_vecindex_save(x, path, e);
    fw_vecindex_free(x);
    fw_free(path);
    return rc ? rc : fw_task_save(t, "index.rows", &rows, 1, e);
}

const fw_stage fw_stage_index = {
    .name = "index",
    .summary = "build the FAISS index of all embeddings",
    .version = 3, /* 2: lists by our own k-means; 3: codes and fp16 rows instead of lists. Later: 8 bits above 4 GiB;
                     * an index with fp16 rows serves as well */
    .scope = FW_SCOPE_WHOLE,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"index.", NULL},
    .run = run_index,
};
