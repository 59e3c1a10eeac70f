/* whole: one stage over the whole dataset, from an empty staging folder to a result that appears by rename. */
#include "../lib/file.h"
#include "../lib/log.h"
#include "run.h"

#include <jansson.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

char *fw_task_path(fw_task *t, const char *file)
{
    return fw_format("%s/%s", fw_staging_dir(t->run->staging), file);
}

int fw_task_save(fw_task *t, const char *column, const void *data, size_t rows, fw_err *e)
{
    for (int i = 0; t->stage->outputs[i].name; i++) {
        const fw_output *o = &t->stage->outputs[i];
        if (strcmp(o->name, column)) continue;
        char *path = fw_task_path(t, column);
        int rc = fw_column_save(path, o->type, o->width ? o->width : t->width, data, rows, e);
        fw_free(path);
        t->run->saved |= (uint64_t)1 << i;
        return rc;
    }
    return fw_fail(e, FW_EFAIL, "stage '%s' saves '%s', which it does not declare", t->stage->name, column);
}

int fw_task_save_json(fw_task *t, const char *file, json_t *j, fw_err *e)
{
    char *text = j ? json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL, *path = fw_task_path(t, file);
    int rc = text ? fw_file_write(path, text, strlen(text), e)
                  : fw_fail(e, FW_EFAIL, "write '%s': a value is not a number", path);
    fw_free(path);
    free(text);
    json_decref(j);
    return rc;
}

static int check_saved(const fw_run *r, const fw_stage *st, fw_err *e)
{
    for (int i = 0; st->outputs[i].name; i++)
        if (!(r->saved >> i & 1))
            return fw_fail(e, FW_EFAIL, "stage '%s' did not save '%s'", st->name, st->outputs[i].name);
    return FW_OK;
}

int fw_run_whole(fw_run *r, size_t stage, fw_err *e)
{
    if (fw_run_done(r, stage, -1)) return FW_OK;
    const fw_stage *st = fw_stages[stage];
    fw_task task = fw_run_reader(r);
    task.stage = st;
    double start = fw_now();
    omp_set_num_threads(r->workers);
    r->staging = fw_staging_begin(r->store, st->name, -1, r->whole_key[stage], e);
    if (!r->staging) return e->code;
    r->saved = 0;
    int rc = st->open ? st->open(&task, e) : FW_OK;
    if (!rc) rc = st->run(&task, e);
    if (st->close) st->close(&task);
    if (!rc) rc = check_saved(r, st, e);
    if (!rc) rc = fw_check_stop(e); /* who was stopped may have left something out */
    char *recipe = rc ? NULL : fw_run_recipe(r, stage, e);
    if (!rc && !recipe) rc = e->code;
    if (!rc)
        rc = fw_staging_commit(r->staging, recipe, e);
    else
        fw_staging_abandon(r->staging);
    r->staging = NULL;
    fw_free(recipe);
    if (rc) return fw_context(e, "stage '%s'", st->name), rc;
    r->seconds[stage] = fw_now() - start;
    fw_log(FW_INFO, "%s: %.1f s", st->name, r->seconds[stage]);
    return FW_OK;
}
