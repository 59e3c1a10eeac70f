/* run: the machinery behind stage.h, private to plan.c, extract.c, view.c, whole.c and run.c.
 *
 *   plan.c     which results there should be: their keys
 *   extract.c  the fused pass of shard stages over the images
 *   view.c     what whole-dataset stages see
 *   whole.c    running one of them
 *   run.c      the order of things: ingest, extract, whole stages, summary
 */
#ifndef FW_RUN_H
#define FW_RUN_H

#include "../lib/decisions.h"
#include "stage.h"

typedef struct fw_run {
    const fw_conf *conf;
    fw_store *store;
    int workers;
    char **set; /* sets of this run; set[0] is "" (the dataset) */
    size_t sets;
    fw_source **source;     /* by set; opened when first needed */
    size_t stages;          /* rows of the registry */
    fw_hash **shard_key;    /* [stage][shard], NULL for WHOLE stages */
    fw_hash *whole_key;     /* [stage] */
    fw_decisions decisions; /* as they stood at fw_run_plan */
    double *seconds;        /* [stage] spent in this run, 0: nothing to do */
    uint64_t images_done;   /* by extract in this run */
    struct fw_cache *cache; /* views and columns, view.c */
    fw_staging *staging;    /* of the whole-dataset stage that runs now: one at a time */
    uint64_t saved;         /* its outputs that are there, a bit each */
} fw_run;

/* Sets of the workspace (dataset first). Everything stays empty until fw_run_plan. */
fw_run *fw_run_open(const fw_conf *c, fw_store *s, fw_err *e);
void fw_run_close(fw_run *r);
int fw_run_source(fw_run *r, size_t set, const fw_source **out, fw_err *e);

/* Keys of all results for the shards that there are now. Call again after ingest. */
int fw_run_plan(fw_run *r, fw_err *e);
bool fw_run_shard_used(const fw_run *r, const fw_shard *sh); /* does it belong to a set of this run? */
bool fw_run_done(const fw_run *r, size_t stage, int shard);  /* shard -1: WHOLE */
char *fw_run_result(const fw_run *r, size_t stage, int shard);
/* What went into a key, as text for MANIFEST; the caller frees. */
char *fw_run_recipe(const fw_run *r, size_t stage, fw_err *e);
/* Registry row of the stage that writes `column`, and the declaration; SIZE_MAX: nobody. */
size_t fw_producer(const char *column, const fw_output **out);
size_t fw_stage_row(const char *name);

/* Run SHARD stages first..last (registry rows) where results are missing; only_shard -1: all shards. */
int fw_extract(fw_run *r, size_t first, size_t last, int only_shard, fw_err *e);
/* Run one WHOLE stage if its result is missing. */
int fw_run_whole(fw_run *r, size_t stage, fw_err *e);
void fw_cache_free(struct fw_cache *c);
/* A read-only task outside of any stage: report, export and eval look at results through it. Inputs are not checked. */
fw_task fw_run_reader(fw_run *r);

/* Read the source of a set and seal what is new. */
int fw_ingest(fw_run *r, size_t set, fw_err *e);

#endif
