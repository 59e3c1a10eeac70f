/* stage: the one interface of every step of the pipeline.
 *
 * A stage declares what it reads and writes; run.c does the rest: plan, keys, threads, commit, resume, progress.
 * Adding one is a file stages/NAME.c with a `const fw_stage fw_stage_NAME` and a row in registry.c.
 *
 *   scope SHARD   `image` is called once per image of a shard, from several threads, in any order. Consecutive shard
 *                 stages that have work are fused: one decode serves them all. It reads its inputs with fw_in and
 *                 fills its outputs with fw_out; it never knows whether an input was made a moment ago or last week,
 *                 so a stage run alone gives the same bytes.
 *   scope WHOLE   `run` is called once for the dataset. Inputs are views over all shards or whole columns.
 *
 * A result's key is hash(stage, version, its settings, its model files, keys of its inputs): change one and exactly
 * the stages behind it run again. Raise `version` when the meaning of an output changes.
 *
 * Rows. A view numbers all images of one set (the dataset "" or a benchmark) 0..n-1: shard by shard, in sealed order.
 * Images that have left the dataset keep their row and have alive[row] = 0.
 */
#ifndef FW_STAGE_H
#define FW_STAGE_H

#include "../index/graph.h"
#include "../index/vectors.h"
#include "../lib/conf.h"
#include "../lib/image.h"
#include "../lib/source.h"
#include "../lib/store.h"

typedef enum { FW_SCOPE_SHARD, FW_SCOPE_WHOLE } fw_scope;

/* How many rows of a shard column belong to one image. */
typedef enum {
    FW_ONE,  /* exactly one */
    FW_MANY, /* any number: NAME holds the values, NAME.off where each image's begin */
    FW_BLOB  /* bytes in an LMDB file keyed by row; absent allowed */
} fw_arity;

typedef struct fw_output {
    const char *name; /* "detect.box": also its file name */
    fw_dtype type;
    int width;      /* values per row; 0: fw_task.width, set by open */
    fw_arity arity; /* SHARD stages only */
    const char *what;
} fw_output;

typedef struct fw_task fw_task;
typedef struct fw_item fw_item;

typedef struct fw_stage {
    const char *name, *summary;
    int version;
    fw_scope scope;
    bool benchmarks;             /* WHOLE: inputs of the benchmark sets count too */
    bool decisions;              /* WHOLE: reads what curators decided (review/), which then is part of the key */
    const fw_output *outputs;    /* ends with a NULL name */
    const char *const *inputs;   /* column names, NULL-terminated; a column of an earlier stage */
    const char *const *settings; /* prefixes of setting names that change the result, NULL-terminated */
    const char *const *models;   /* settings that list model files, NULL-terminated */
    int (*open)(fw_task *t, fw_err *e);                 /* may be NULL; sets t->state */
    int (*image)(fw_task *t, fw_item *item, fw_err *e); /* SHARD */
    int (*run)(fw_task *t, fw_err *e);                  /* WHOLE */
    void (*close)(fw_task *t);                          /* may be NULL; also called when open failed */
} fw_stage;

struct fw_task {
    const fw_stage *stage;
    const fw_conf *conf;
    fw_store *store;
    int workers;        /* item->worker is below this */
    int width;          /* of outputs declared with width 0 */
    void *state;        /* the stage's own */
    struct fw_run *run; /* private to run.c */
};

/* One image on its way. Filled by run.c; stages use the functions below. */
struct fw_item {
    const fw_shard *shard;
    size_t row;
    int worker;
    struct fw_tray *tray; /* private to run.c */
};

/* ---- for SHARD stages ------------------------------------------------------------------------------------------ */

/* The decoded photo, or NULL with the status and reason of why there is none. Decoded at the first call. */
const fw_image *fw_item_image(fw_item *it, enum fw_img_status *status, const char **why);
/* The photo warped by `matrix` (6 floats, FULL-size photo pixels to crop pixels) into w x h RGB; NULL without a photo.
 * Computed once per image and matrix; every stage that asks with the same matrix gets the same bytes. */
const uint8_t *fw_item_crop(fw_item *it, const float matrix[6], int w, int h);
/* The embedding that stands in for a photo (npy:, feat: sources): copied to `out` (room for FW_VECTOR_MAX, may be
 * NULL); returns its dimension, 0 for photos. Such an item has no image and status FW_IMG_OK. */
int fw_item_vector(const fw_item *it, float *out);
/* Input i of the stage's list for this image; *rows how many (1 for FW_ONE). NULL when rows is 0. */
const void *fw_in(fw_task *t, fw_item *it, int i, size_t *rows);
/* Zeroed room for `rows` rows of output i (FW_ONE: one row, always written even if never asked for). */
void *fw_out(fw_task *t, fw_item *it, int i, size_t rows);
/* Give bytes to a FW_BLOB output; copied. */
void fw_out_blob(fw_task *t, fw_item *it, int i, const void *bytes, size_t n);

/* ---- for WHOLE stages ------------------------------------------------------------------------------------------ */

typedef struct fw_view {
    const char *set;
    size_t n, shards;
    const fw_shard **shard;
    size_t *base;    /* shards + 1 */
    uint8_t *alive;  /* n */
    uint32_t *label; /* n: dense label ids in order of first appearance; FW_NO_LABEL: none, or not alive */
    size_t labels;
    char **label_name; /* labels */
} fw_view;

/* Borrowed, cached for the run. NULL with *e set for an unknown set. */
const fw_view *fw_task_view(fw_task *t, const char *set, fw_err *e);
const char *fw_view_path(const fw_view *v, size_t row, size_t *n); /* not NUL-terminated */
size_t fw_view_shard(const fw_view *v, size_t row);                /* index into v->shard */

/* A shard column over all shards of a set. Rows of FW_MANY columns are found through fw_col_many. */
typedef struct fw_cols fw_cols;
fw_cols *fw_task_cols(fw_task *t, const char *column, const char *set, fw_err *e); /* borrowed, cached */
const void *fw_col_row(const fw_cols *c, size_t row);                              /* FW_ONE */
const void *fw_col_many(const fw_cols *c, size_t row, size_t *rows);               /* FW_MANY */
const void *fw_col_blob(const fw_cols *c, size_t row, size_t *bytes);              /* FW_BLOB; NULL: none */
int fw_col_width(const fw_cols *c);
/* The whole column in one array (copied; the caller frees): for small types such as quality or status. */
void *fw_col_gather(const fw_cols *c, size_t n);

/* The embeddings of a set as vectors; `valid` is embed.valid and alive. Borrowed, cached. */
const fw_vectors *fw_task_vectors(fw_task *t, const char *set, fw_err *e);
/* A column of an earlier WHOLE stage; borrowed, cached. */
const fw_column *fw_task_whole(fw_task *t, const char *column, fw_err *e);
/* A file that an earlier WHOLE stage left beside its columns; the caller frees. Stage must own one of the inputs. */
char *fw_task_file_of(fw_task *t, const char *stage, const char *file, fw_err *e);
/* Where this stage may write further files; part of the result. The caller frees. */
char *fw_task_path(fw_task *t, const char *file);
/* Save one output (all its rows). Every declared output must be saved exactly once. */
int fw_task_save(fw_task *t, const char *column, const void *data, size_t rows, fw_err *e);
/* Save what the stage found (thresholds, counts) as FILE beside its columns: a jansson object, or NULL when it could
 * not be made, which is an error. Takes over the reference. */
struct json_t;
int fw_task_save_json(fw_task *t, const char *file, struct json_t *j, fw_err *e);
/* The description of the model number `at` that a setting lists (lib/modeldesc.h); the caller frees with
 * fw_modeldesc_free. *out = NULL with FW_OK behind the last; a setting that names none at all is FW_EUSAGE. */
struct fw_modeldesc;
int fw_task_modeldesc(fw_task *t, const char *setting, size_t at, struct fw_modeldesc **out, fw_err *e);
/* The k-NN graph (stage knn) as a view on its columns. */
int fw_task_graph(fw_task *t, fw_graph *out, fw_err *e);
/* What stood in the workspace's review folder when the run was planned: answers that come later belong to the next run.
 * Borrowed. */
struct fw_decisions;
const struct fw_decisions *fw_task_decisions(const fw_task *t);
/* Names of the benchmark sets of this run. */
size_t fw_task_benchmarks(fw_task *t, const char *const **names);
/* The source of a set, to reach original photos. Borrowed. */
const fw_source *fw_task_source(fw_task *t, const char *set, fw_err *e);

/* Sources of embeddings (npy:, feat:): *dim is their width, 0 when no set of the run has such a source; *photos: some
 * set has images. Two widths are an error. */
int fw_task_vector_sources(fw_task *t, int *dim, bool *photos, fw_err *e);

extern const fw_stage *const fw_stages[]; /* registry.c: in order, NULL-terminated */
const fw_stage *fw_stage_find(const char *name);

#endif
