/* diff: `facewash diff A B [--out DIR] [--json]`: what a cleaning, or another one, changed.
 *
 * A and B are workspaces or lists ("path TAB label"). A workspace stands for its newest verdicts, whatever the settings
 * they were made with, so that two runs with different settings can be compared; one without verdicts stands for its
 * labels as they came. Images are matched by path. Gained: in B only; lost: in A only; moved: another label.
 *
 * Memory: both lists of paths and labels.
 */
#include "../lib/file.h"
#include "../lib/source.h"
#include "../lib/table.h"
#include "command.h"
#include "decide.h"
#include "export_ledger.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct entry {
    char *path, *label, *why; /* label NULL: the image is not part of the result; why says so */
    uint32_t seen;            /* the k-th entry with this path */
} entry;

typedef struct side {
    entry *e;
    size_t n, cap, identities;
} side;

static void add(side *s, const char *path, size_t n, const char *label, const char *why)
{
    fw_reserve(&s->e, &s->cap, s->n + 1, sizeof *s->e);
    s->e[s->n++] = (entry){fw_format("%.*s", (int)n, path), label ? fw_strdup(label) : NULL,
                           why && *why ? fw_strdup(why) : NULL, 0};
}

static void free_side(side *s)
{
    for (size_t i = 0; i < s->n; i++) {
        fw_free(s->e[i].path);
        fw_free(s->e[i].label);
        fw_free(s->e[i].why);
    }
    fw_free(s->e);
}

/* ---- reading a side
 * -------------------------------------------------------------------------------------------------- */

static int load_list(side *s, const char *path, fw_err *e)
{
    char *spec = fw_source_has_scheme(path) ? fw_strdup(path) : fw_format("list:%s", path);
    fw_source *src = fw_source_open(spec, &(fw_source_opts){0}, e);
    fw_free(spec);
    if (!src) return e->code;
    fw_record r;
    int got;
    while ((got = fw_source_next(src, &r, e)) > 0) add(s, r.path, strlen(r.path), r.label, NULL);
    fw_source_close(src);
    return got ? e->code : FW_OK;
}

/* The folder of the newest verdicts; NULL: there are none. */
static char *newest_verdicts(const char *work)
{
    char *dir = fw_format("%s/out/decide", work), *best = NULL;
    fw_names names = {0};
    struct timespec when = {0};
    if (fw_list_dir(dir, &names, NULL)) names = (fw_names){0};
    for (size_t i = 0; i < names.n; i++) {
        char *path = fw_format("%s/%s", dir, names.name[i]);
        struct stat st;
        bool newer = !strncmp(names.name[i], "all-", 4) && !stat(path, &st) &&
                     (!best || st.st_mtim.tv_sec > when.tv_sec ||
                      (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec > when.tv_nsec));
        if (newer) {
            fw_free(best);
            best = path;
            when = st.st_mtim;
        } else
            fw_free(path);
    }
    fw_names_free(&names);
    fw_free(dir);
    return best;
}

enum { VERDICT, FLAGS, SCORE, NEW_LABEL, PERSON, COLUMNS };

static int open_columns(const char *dir, size_t rows, fw_column c[COLUMNS], fw_err *e)
{
    static const struct {
        const char *name;
        fw_dtype type;
    } want[COLUMNS] = {{"decide.verdict", FW_U8},
                       {"decide.flags", FW_U16},
                       {"decide.score", FW_F32},
                       {"decide.new_label", FW_U32},
                       {"decide.person", FW_U32}};
    for (int i = 0; i < COLUMNS; i++) {
        char *path = fw_format("%s/%s", dir, want[i].name);
        int rc = fw_column_open_as(path, want[i].type, 1, &c[i], e);
        if (!rc && c[i].rows != rows)
            rc = fw_fail(e, FW_EUSAGE, "diff: '%s' is about %zu images, the workspace has %zu; run it again first", dir,
                         c[i].rows, rows);
        fw_free(path);
        if (rc) return rc;
    }
    return FW_OK;
}

static int add_rows(side *s, const fw_view *v, const fw_column c[COLUMNS], fw_err *e)
{
    fw_buf label = {0}, why = {0};
    for (size_t i = 0; !e->code && i < v->n; i++) {
        size_t n;
        const char *path = fw_view_path(v, i, &n);
        fw_decision d = {.new_label = FW_NO_LABEL, .person = 1};
        if (c[VERDICT].data)
            d = (fw_decision){((const uint8_t *)c[VERDICT].data)[i], ((const uint16_t *)c[FLAGS].data)[i],
                              ((const float *)c[SCORE].data)[i],     ((const uint32_t *)c[NEW_LABEL].data)[i],
                              ((const uint32_t *)c[PERSON].data)[i], 0};
        if (!v->alive[i]) continue;
        if (d.new_label != FW_NO_LABEL && d.new_label >= v->labels)
            fw_fail(e, FW_EFAIL, "diff: damaged column decide.new_label");
        else {
            fw_final_label(v, i, &d, &label);
            fw_decision_rule(v, i, &d, &why);
            bool out = d.verdict == FW_REMOVE || d.verdict == FW_REVIEW;
            add(s, path, n, out ? NULL : label.data, why.data);
        }
    }
    fw_buf_free(&label);
    fw_buf_free(&why);
    return e->code;
}

static int load_workspace(side *s, const fw_args *a, const char *work, fw_err *e)
{
    fw_store *store = fw_store_open(work, false, 1, e);
    if (!store) return e->code;
    fw_run *r = fw_run_open(a->conf, store, e);
    fw_task t = fw_run_reader(r);
    const fw_view *v = fw_task_view(&t, "", e);
    char *dir = newest_verdicts(work);
    fw_column c[COLUMNS] = {0};
    int rc = v ? FW_OK : e->code;
    if (!rc && dir) rc = open_columns(dir, v->n, c, e);
    if (!rc) rc = add_rows(s, v, c, e);
    for (int i = 0; i < COLUMNS; i++) fw_column_close(&c[i]);
    fw_free(dir);
    fw_close_run(store, r);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int c = strcmp(x->path, y->path);
    return c ? c : x->seen < y->seen ? -1 : x->seen > y->seen;
}

static int by_label(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    return strcmp(x, y);
}

/* Sorted by path; a path that a list names twice is two images, in the list's order. */
static int load_side(side *s, const fw_args *a, const char *what, fw_err *e)
{
    char *mark = fw_format("%s/WORKSPACE", what);
    int rc = fw_exists(mark) ? load_workspace(s, a, what, e) : load_list(s, what, e);
    fw_free(mark);
    for (size_t i = 0; i < s->n; i++) s->e[i].seen = (uint32_t)i; /* keeps equal paths in order */
    if (s->n) qsort(s->e, s->n, sizeof *s->e, by_path);
    for (size_t i = 0; i < s->n; i++)
        s->e[i].seen = i && !strcmp(s->e[i].path, s->e[i - 1].path) ? s->e[i - 1].seen + 1 : 0;
    return rc;
}

/* Labels in use, sorted, each once; borrowed. */
static char **labels_of(const side *s, size_t *count)
{
    char **l = FW_ARRAY(char *, s->n);
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->e[i].label && *s->e[i].label) l[n++] = s->e[i].label;
    if (n) qsort(l, n, sizeof *l, by_label);
    for (size_t i = 0; i < n; i++)
        if (!kept || strcmp(l[kept - 1], l[i])) l[kept++] = l[i];
    *count = kept;
    return l;
}

/* ---- comparing
 * ------------------------------------------------------------------------------------------------------- */

typedef struct counts {
    size_t a, b, same, gained, lost, moved, ids_a, ids_b, ids_gained, ids_lost;
} counts;

static void put_row(fw_table *t, const char *change, const entry *a, const entry *b)
{
    const char *path = a ? a->path : b->path;
    if (!t) return;
    fw_cell_text(t, path, strlen(path));
    fw_cell_word(t, change);
    fw_cell_word(t, a && a->label ? a->label : "");
    fw_cell_word(t, b && b->label ? b->label : "");
    fw_cell_word(t, a && a->why ? a->why : a ? "" : "absent");
    fw_cell_word(t, b && b->why ? b->why : b ? "" : "absent");
    fw_row_end(t);
}

static void compare(const side *a, const side *b, fw_table *t, counts *k)
{
    for (size_t i = 0, j = 0; i < a->n || j < b->n;) {
        int order = i == a->n ? 1 : j == b->n ? -1 : by_path(&a->e[i], &b->e[j]);
        const entry *x = order <= 0 ? &a->e[i++] : NULL, *y = order >= 0 ? &b->e[j++] : NULL;
        bool in_a = x && x->label, in_b = y && y->label;
        k->a += in_a;
        k->b += in_b;
        if (in_a && in_b && !strcmp(x->label, y->label))
            k->same++;
        else if (in_a && in_b)
            k->moved++, put_row(t, "moved", x, y);
        else if (in_a)
            k->lost++, put_row(t, "lost", x, y);
        else if (in_b)
            k->gained++, put_row(t, "gained", x, y);
    }
}

static void compare_identities(const side *a, const side *b, fw_table *t, counts *k)
{
    char **x = labels_of(a, &k->ids_a), **y = labels_of(b, &k->ids_b);
    for (size_t i = 0, j = 0; i < k->ids_a || j < k->ids_b;) {
        int order = i == k->ids_a ? 1 : j == k->ids_b ? -1 : strcmp(x[i], y[j]);
        if (order && t) {
            fw_cell_word(t, order < 0 ? x[i] : y[j]);
            fw_cell_word(t, order < 0 ? "lost" : "gained");
            fw_row_end(t);
        }
        k->ids_lost += order < 0;
        k->ids_gained += order > 0;
        i += order <= 0;
        j += order >= 0;
    }
    fw_free(x);
    fw_free(y);
}

static int say(const counts *k, bool json, fw_err *e)
{
    if (!json) {
        printf("images      %zu -> %zu: %zu the same, %zu moved, %zu lost, %zu gained\n", k->a, k->b, k->same, k->moved,
               k->lost, k->gained);
        printf("identities  %zu -> %zu: %zu lost, %zu gained\n", k->ids_a, k->ids_b, k->ids_lost, k->ids_gained);
        return FW_OK;
    }
    json_t *j = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "images_a", (json_int_t)k->a, "images_b",
                          (json_int_t)k->b, "same", (json_int_t)k->same, "moved", (json_int_t)k->moved, "lost",
                          (json_int_t)k->lost, "gained", (json_int_t)k->gained, "identities_a", (json_int_t)k->ids_a,
                          "identities_b", (json_int_t)k->ids_b, "identities_lost", (json_int_t)k->ids_lost,
                          "identities_gained", (json_int_t)k->ids_gained);
    char *text = json_dumps(j, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(j);
    if (!text) return fw_fail(e, FW_EFAIL, "diff: cannot be put as JSON");
    puts(text);
    free(text);
    return FW_OK;
}

int fw_cmd_diff(const fw_args *a, fw_err *e)
{
    static const char *const images[] = {"path", "change", "label_a", "label_b", "rule_a", "rule_b", NULL};
    static const char *const identities[] = {"label", "change", NULL};
    side left = {0}, right = {0};
    counts k = {0};
    if (a->nrest != 2)
        return fw_fail(e, FW_EUSAGE, "diff: expected `facewash diff A B [--out DIR]`, workspaces or lists");
    int rc = load_side(&left, a, a->rest[0], e);
    if (!rc) rc = load_side(&right, a, a->rest[1], e);
    if (!rc && a->out) rc = fw_mkdirs(a->out, e);
    fw_table *t = !rc && a->out ? fw_table_open(a->out, "diff", images, false, e) : NULL;
    fw_table *ids = t ? fw_table_open(a->out, "diff_identities", identities, false, e) : NULL;
    if (!rc && !e->code) {
        compare(&left, &right, t, &k);
        compare_identities(&left, &right, ids, &k);
    }
    if (t && fw_table_close(t, e)) {
    } /* both must be closed; the first error stays in *e */
    if (ids && fw_table_close(ids, e)) {
    }
    rc = e->code ? e->code : say(&k, a->json, e);
    free_side(&left);
    free_side(&right);
    return rc;
}
