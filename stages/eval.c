/* eval: how well the embeddings and clusters of a workspace tell people apart; eval_*.c do the work. */
#include "eval.h"
#include "../lib/file.h"
#include "../lib/text.h"
#include "calibration.h"
#include "people.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX ((size_t)1 << 32)

const char *fw_eval_set(const fw_args *a, fw_task *t, fw_err *e)
{
    const char *const *name;
    size_t n = fw_task_benchmarks(t, &name);
    if (!a->benchmarks) return "";
    for (size_t i = 0; i < n; i++)
        if (!strcmp(name[i], a->benchmark[0])) return name[i];
    fw_fail(e, FW_EUSAGE, "eval: the workspace has no benchmark '%s'; `facewash run --benchmark NAME=SRC` adds one",
            a->benchmark[0]);
    return NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct fw_eval_line *)a)->path, ((const struct fw_eval_line *)b)->path);
}

int fw_eval_list_read(const char *path, fw_eval_list *out, fw_err *e)
{
    size_t n;
    *out = (fw_eval_list){0};
    FW_TRY(fw_file_read(path, LIST_MAX, &out->text, &n, e));
    for (char *line = out->text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        line[strcspn(line, "\r")] = 0;
        char *tab = strchr(line, '\t');
        if (tab) *tab++ = 0;
        if (!*line) continue;
        fw_text_unlist(line);
        if (tab) fw_text_unlist(tab);
        fw_reserve(&out->line, &out->cap, out->n + 1, sizeof *out->line);
        out->line[out->n++] = (struct fw_eval_line){line, tab ? tab : line + strlen(line)};
    }
    qsort(out->line, out->n, sizeof *out->line, by_path);
    return FW_OK;
}

void fw_eval_list_free(fw_eval_list *l)
{
    free(l->text);
    fw_free(l->line);
    *l = (fw_eval_list){0};
}

const struct fw_eval_line *fw_eval_list_find(const fw_eval_list *l, const char *path, size_t n)
{
    char *text = fw_format("%.*s", (int)n, path);
    struct fw_eval_line key = {text, NULL};
    const struct fw_eval_line *hit = l->n ? bsearch(&key, l->line, l->n, sizeof *l->line, by_path) : NULL;
    fw_free(text);
    return hit;
}

int fw_eval_print(json_t *j, fw_err *e)
{
    char *text = j ? json_dumps(j, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(8)) : NULL;
    json_decref(j);
    if (!text) return fw_fail(e, FW_EFAIL, "eval: cannot be put as JSON");
    puts(text);
    free(text);
    return FW_OK;
}

static int calibration(const fw_args *a, fw_run *r, fw_err *e)
{
    FW_UNUSED(a);
    return fw_calibration_print(r, e);
}

static const struct {
    const char *name;
    int (*run)(const fw_args *a, fw_run *r, fw_err *e);
} kinds[] = {{"verification", fw_eval_verification},
             {"identification", fw_eval_identification},
             {"clustering", fw_eval_clustering},
             {"calibration", calibration}};

int fw_cmd_eval(const fw_args *a, fw_err *e)
{
    size_t k = 0;
    while (k < FW_COUNT(kinds) && (a->nrest != 1 || strcmp(a->rest[0], kinds[k].name))) k++;
    if (k == FW_COUNT(kinds) || (!k && !a->pairs))
        return fw_fail(e, FW_EUSAGE,
                       "eval: expected `facewash eval verification --work DIR --pairs FILE`, or "
                       "identification, clustering or calibration --work DIR");
    if (a->cleaned && strcmp(kinds[k].name, "identification"))
        return fw_fail(e, FW_EUSAGE, "eval %s: --cleaned belongs to `eval identification`", kinds[k].name);
    fw_store *s = NULL;
    fw_run *r = NULL;
    int rc = a->work ? fw_people_adopt(a, a->work, e) : FW_OK;
    if (!rc) rc = fw_open_run(a, false, FW_LOCK_NONE, &s, &r, e);
    if (!rc) rc = kinds[k].run(a, r, e);
    fw_close_run(s, r);
    return rc;
}
