/* apply: `facewash apply --work W [--decisions FILE]...` takes in the decisions files that reports saved, runs the
 * stages that read decisions and what stands behind them, writes the report again, and says what changed.
 *
 * Files are merged into the log W/review/decisions: lines known already are left out, bad ones refused with their
 * place; the file itself is left alone. Without --decisions it lets those take effect that are in the workspace
 * (`facewash review`).
 */
#include "../lib/decisions.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "command.h"
#include "decide.h"
#include "inventory.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* A file of another kind has as many bad lines as lines: the first few say enough. */
enum { REFUSALS_SHOWN = 20 };

typedef struct verdicts {
    uint8_t *of; /* n; NULL: there was no result */
    uint32_t *label, *person;
    size_t n;
} verdicts;

/* ---- files in -------------------------------------------------------------------------------------------------- */

static void say_refused(void *user, const char *file, size_t line, const char *why)
{
    size_t *said = user;
    if (++*said <= REFUSALS_SHOWN) fw_log(FW_WARN, "%s:%zu: refused: %s", file, line, why);
}

/* Every file is read before the first is taken in: a name that is mistyped changes nothing. */
static int check_files(const fw_args *a, fw_err *e)
{
    for (size_t i = 0; i < a->decision_files; i++) {
        FILE *f = fopen(a->decisions[i], "rb");
        if (!f) return fw_fail_errno(e, "apply: open '%s'", a->decisions[i]);
        fclose(f);
        if (fw_is_dir(a->decisions[i]))
            return fw_fail(e, FW_EUSAGE, "apply: '%s' is a folder; name the files", a->decisions[i]);
    }
    return FW_OK;
}

static int import_all(const fw_args *a, const char *root, fw_import *sum, fw_err *e)
{
    char *folder = fw_format("%s/review", root), *log = fw_format("%s/decisions", folder);
    size_t said = 0;
    int rc = check_files(a, e);
    if (!rc) rc = fw_mkdirs(folder, e);
    for (size_t i = 0; !rc && i < a->decision_files; i++) {
        fw_import one;
        rc = fw_decisions_import(folder, log, a->decisions[i], say_refused, &said, &one, e);
        sum->added += one.added;
        sum->known += one.known;
        sum->refused += one.refused;
    }
    if (said > REFUSALS_SHOWN) fw_log(FW_WARN, "and %zu more lines refused", said - REFUSALS_SHOWN);
    fw_free(folder);
    fw_free(log);
    return rc;
}

/* ---- verdicts before and after ---------------------------------------------------------------------------------- */

static int read_column(const char *result, const char *name, fw_dtype type, void **out, size_t *n, fw_err *e)
{
    char *path = fw_format("%s/%s", result, name);
    fw_column c;
    int rc = fw_column_open_as(path, type, 1, &c, e);
    fw_free(path);
    if (rc) return rc;
    *n = c.rows;
    *out = fw_alloc(c.rows, fw_dtype_size(type));
    if (c.rows) memcpy(*out, c.data, c.rows * fw_dtype_size(type));
    fw_column_close(&c);
    return FW_OK;
}

static int read_verdicts(const char *result, verdicts *v, fw_err *e)
{
    size_t labels, persons;
    FW_TRY(read_column(result, "decide.verdict", FW_U8, (void **)&v->of, &v->n, e));
    FW_TRY(read_column(result, "decide.new_label", FW_U32, (void **)&v->label, &labels, e));
    FW_TRY(read_column(result, "decide.person", FW_U32, (void **)&v->person, &persons, e));
    if (labels != v->n || persons != v->n) return fw_fail(e, FW_EFAIL, "'%s': columns do not fit together", result);
    return FW_OK;
}

static void free_verdicts(verdicts *v)
{
    fw_free(v->of);
    fw_free(v->label);
    fw_free(v->person);
}

/* The newest result of stage decide, whatever decisions it knew. */
static int verdicts_before(const fw_run *r, verdicts *out, fw_err *e)
{
    fw_inventory inv = {0};
    FW_TRY(fw_inventory_take(r, &inv, e));
    const fw_found *newest = NULL;
    size_t stage = fw_stage_row("decide");
    for (size_t i = 0; i < inv.n; i++)
        if (inv.item[i].stage == stage && (!newest || inv.item[i].when > newest->when)) newest = &inv.item[i];
    int rc = newest ? read_verdicts(newest->path, out, e) : FW_OK;
    fw_inventory_free(&inv);
    return rc;
}

/* From what, to what: 4 x 4 counts over the living images. Returns how many have the verdict, but not the label. */
static size_t compare(const fw_view *v, const verdicts *before, const verdicts *after, size_t move[4][4])
{
    memset(move, 0, 16 * sizeof(size_t));
    bool known = before->of && before->n == after->n;
    size_t labels = 0;
    for (size_t i = 0; i < after->n; i++) {
        if (!v->alive[i]) continue;
        uint8_t is = after->of[i] & 3, was = known ? before->of[i] & 3 : is;
        move[was][is]++;
        bool same = !known || (before->label[i] == after->label[i] && before->person[i] == after->person[i]);
        labels += was == is && !same;
    }
    return labels;
}

static void print_changes(size_t move[4][4], size_t labels)
{
    size_t changed = 0;
    printf("%-10s %10s %10s\n", "verdict", "before", "after");
    for (int k = 0; k < 4; k++) {
        size_t was = 0, is = 0;
        for (int j = 0; j < 4; j++) {
            was += move[k][j];
            is += move[j][k];
            if (j != k) changed += move[k][j];
        }
        printf("%-10s %10zu %10zu\n", fw_verdict_names[k], was, is);
    }
    printf("%zu images have another verdict, %zu the same one with another label\n", changed, labels);
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < 4; j++)
            if (j != k && move[k][j]) printf("  %s -> %s: %zu\n", fw_verdict_names[k], fw_verdict_names[j], move[k][j]);
}

static void print_decisions(fw_run *r, const fw_import *in)
{
    fw_task t = fw_run_reader(r);
    char *path = fw_task_file_of(&t, "decide", "decide.json", NULL);
    json_t *j = path ? json_load_file(path, 0, NULL) : NULL;
    json_int_t all = 0, applied = 0, gone = 0;
    printf("decisions: %zu taken in, %zu known already, %zu lines refused\n", in->added, in->known, in->refused);
    if (j && !json_unpack(j, "{s:I, s:I, s:I}", "decisions", &all, "applied", &applied, "unmatched", &gone))
        printf("%lld stand: %lld applied, %lld match nothing here any more\n", (long long)all, (long long)applied,
               (long long)gone);
    json_decref(j);
    fw_free(path);
}

/* ---- the stages ------------------------------------------------------------------------------------------------ */

/* Decisions change the keys of the stages that read them and of those behind; all others must be there. */
static int check_done(const fw_run *r, fw_err *e)
{
    for (size_t i = 0; i < r->stages; i++) {
        bool whole = fw_stages[i]->scope == FW_SCOPE_WHOLE;
        if (fw_stages[i]->decisions) return FW_OK;
        for (size_t n = 0; n < (whole ? 1 : r->store->shards); n++) {
            if (!whole && !fw_run_shard_used(r, &r->store->shard[n])) continue;
            if (!fw_run_done(r, i, whole ? -1 : (int)n))
                return fw_fail(e, FW_EUSAGE, "apply: stage '%s' has work to do; `facewash run` first",
                               fw_stages[i]->name);
        }
    }
    return FW_OK;
}

static int run_stages(fw_run *r, fw_err *e)
{
    for (size_t i = 0; i < r->stages; i++) {
        if (fw_stages[i]->scope != FW_SCOPE_WHOLE) continue;
        FW_TRY(fw_check_stop(e));
        FW_TRY(fw_run_whole(r, i, e));
    }
    return FW_OK;
}

static int apply(fw_run *r, const fw_args *a, fw_import *in, fw_err *e)
{
    verdicts before = {0}, after = {0};
    size_t move[4][4];
    FW_TRY(check_done(r, e));
    FW_TRY(import_all(a, r->store->root, in, e));
    int rc = verdicts_before(r, &before, e);
    if (!rc) rc = fw_run_plan(r, e);
    if (!rc) rc = run_stages(r, e);
    char *result = rc ? NULL : fw_run_result(r, fw_stage_row("decide"), -1);
    if (!rc) rc = read_verdicts(result, &after, e);
    if (!rc) rc = fw_report(r, e);
    fw_task t = fw_run_reader(r);
    const fw_view *v = rc ? NULL : fw_task_view(&t, "", e);
    if (v) {
        print_decisions(r, in);
        size_t labels = compare(v, &before, &after, move);
        print_changes(move, labels);
    }
    fw_free(result);
    free_verdicts(&before);
    free_verdicts(&after);
    return rc ? rc : e->code;
}

int fw_cmd_apply(const fw_args *a, fw_err *e)
{
    fw_store *s;
    fw_run *r;
    fw_import in = {0};
    if (a->nrest) return fw_fail(e, FW_EUSAGE, "apply: '%s': give files with --decisions", a->rest[0]);
    int rc = fw_open_run(a, false, FW_LOCK_EXCLUSIVE, &s, &r, e);
    if (!rc) rc = apply(r, a, &in, e);
    fw_close_run(s, r);
    if (!rc && in.refused)
        rc = fw_fail(e, FW_EFAIL, "apply: %zu lines were refused, see above; everything else is in", in.refused);
    return rc;
}
