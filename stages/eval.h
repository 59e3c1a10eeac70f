/* eval.h: the parts of `facewash eval`, one file each. */
#ifndef FW_EVAL_H
#define FW_EVAL_H

#include "command.h"

/* Which set of the workspace is evaluated: the dataset "", or the one of --benchmark NAME. NULL with *e set. */
const char *fw_eval_set(const fw_args *a, fw_task *t, fw_err *e);

int fw_eval_verification(const fw_args *a, fw_run *r, fw_err *e);
int fw_eval_identification(const fw_args *a, fw_run *r, fw_err *e);
int fw_eval_clustering(const fw_args *a, fw_run *r, fw_err *e);

/* "lines `path TAB label`" or "path": a list, by path. Free with fw_eval_list_free. */
typedef struct fw_eval_list {
    char *text;
    struct fw_eval_line {
        char *path, *label; /* label "" where there is none */
    } * line;               /* sorted by path */
    size_t n, cap;
} fw_eval_list;
int fw_eval_list_read(const char *path, fw_eval_list *out, fw_err *e);
void fw_eval_list_free(fw_eval_list *l);
/* The line of a path of n bytes, or NULL. */
const struct fw_eval_line *fw_eval_list_find(const fw_eval_list *l, const char *path, size_t n);

/* Print as indented JSON with keys in their order, and release. */
struct json_t;
int fw_eval_print(struct json_t *j, fw_err *e);

#endif
