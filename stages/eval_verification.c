/* eval verification: how well the embeddings of a workspace tell people apart, on a list of pairs in LFW's format.
 *
 *   pairs.txt   first line: FOLDS TAB N (or N alone). Then per fold N lines "NAME I J" (same person: its files I and J)
 *               and N lines "NAME I OTHER J". A file is NAME/NAME_%04d.*, found by the last two parts of its path, so
 *               the dataset may lie deeper in the source.
 *   bin:FILE    an InsightFace verification set (lib/source_bin.h), on a dataset read from the same file: images 2i and
 *               2i + 1 are pair i, in ten folds of consecutive pairs as InsightFace's own evaluation cuts them.
 *
 * --benchmark NAME takes the photos of that set of the workspace instead of the dataset's. --without-overlap does it
 * all twice: with all pairs, and without those of people whom stage overlap found in the dataset too. The difference is
 * what overlap between training set and benchmark is worth, for a model that was trained on that dataset.
 */
#include "../index/verification.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/source_bin.h"
#include "eval.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX ((size_t)1 << 30)
#define NOWHERE   SIZE_MAX

typedef struct wanted { /* one photo that some pair names */
    char *stem;         /* "NAME/NAME_0001" */
    size_t row;
} wanted;

typedef struct pair_list {
    fw_pair *pair;
    char *(*stem)[2]; /* by pair */
    size_t n, cap, stem_cap, folds, per_fold;
    size_t photos;   /* different ones that the pairs name */
    bool keys;       /* stems are whole paths, not the end of one */
    uint8_t *shared; /* by pair: with a person who is in the dataset too; NULL: not asked */
} pair_list;

/* ---- the list --------------------------------------------------------------------------------------------------- */

static char *stem_of(const char *name, const char *number)
{
    char *end;
    unsigned long n = strtoul(number, &end, 10);
    return end == number || *end ? NULL : fw_format("%s/%s_%04lu", name, name, n);
}

/* Cut a line at tabs (names may hold blanks then) or at blanks; returns the number of fields, at most 5. */
static int split(char *line, char **field)
{
    const char *sep = strchr(line, '\t') ? "\t" : " ";
    char *save = NULL;
    int n = 0;
    for (char *f = strtok_r(line, sep, &save); f && n < 5; f = strtok_r(NULL, sep, &save)) field[n++] = f;
    return n;
}

static bool add_pair(pair_list *l, char **field, int n)
{
    char *a = stem_of(field[0], field[1]), *b = n == 3 ? stem_of(field[0], field[2]) : stem_of(field[2], field[3]);
    if (!a || !b) {
        fw_free(a);
        fw_free(b);
        return false;
    }
    fw_reserve(&l->pair, &l->cap, l->n + 1, sizeof *l->pair);
    fw_reserve(&l->stem, &l->stem_cap, l->n + 1, sizeof *l->stem);
    l->pair[l->n] = (fw_pair){.same = n == 3, .fold = (uint32_t)(l->n / (2 * l->per_fold))};
    l->stem[l->n][0] = a;
    l->stem[l->n++][1] = b;
    return true;
}

static bool parse_line(pair_list *l, char *line, bool first)
{
    char *field[5];
    int n = split(line, field);
    if (!first) return n == 0 || ((n == 3 || n == 4) && add_pair(l, field, n));
    long size = n == 1 || n == 2 ? strtol(field[n - 1], NULL, 10) : 0;
    l->per_fold = size > 0 ? (size_t)size : 0;
    return size > 0;
}

static int parse(const char *path, char *text, pair_list *l, fw_err *e)
{
    char *save = NULL;
    size_t number = 0;
    for (char *line = text; line; line = save) {
        save = strchr(line, '\n');
        if (save) *save++ = 0;
        line[strcspn(line, "\r")] = 0;
        number++;
        if (!parse_line(l, line, number == 1))
            return fw_fail(e, FW_EUSAGE, "pairs '%s' line %zu: expected %s", path, number,
                           number == 1 ? "'FOLDS TAB PAIRS'" : "'NAME I J' or 'NAME I OTHER J'");
    }
    l->folds = (l->n + 2 * l->per_fold - 1) / (2 * l->per_fold);
    return l->n ? FW_OK : fw_fail(e, FW_EUSAGE, "pairs '%s': holds no pair", path);
}

static int load_bin(const char *path, pair_list *l, fw_err *e)
{
    fw_bin set;
    FW_TRY(fw_bin_read(path, &set, e));
    l->keys = true;
    l->n = set.pairs;
    l->folds = set.pairs < 10 ? set.pairs : 10;
    l->pair = FW_ARRAY(fw_pair, l->n);
    l->stem = fw_alloc(l->n, sizeof *l->stem);
    for (size_t i = 0; i < l->n; i++) {
        l->pair[i] = (fw_pair){.same = set.same[i], .fold = (uint32_t)(i * l->folds / l->n)};
        for (size_t k = 0; k < 2; k++) l->stem[i][k] = fw_format("%zu", 2 * i + k);
    }
    fw_bin_free(&set);
    return FW_OK;
}

static int load_text(const char *path, pair_list *l, fw_err *e)
{
    char *text = NULL;
    size_t n;
    FW_TRY(fw_file_read(path, PAIRS_MAX, &text, &n, e));
    int rc = parse(path, text, l, e);
    free(text);
    return rc;
}

static void free_pairs(pair_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        fw_free(l->stem[i][0]);
        fw_free(l->stem[i][1]);
    }
    fw_free(l->stem);
    fw_free(l->pair);
    fw_free(l->shared);
}

/* ---- from names to rows ----------------------------------------------------------------------------------------- */

static int by_stem(const void *a, const void *b)
{
    return strcmp(((const wanted *)a)->stem, ((const wanted *)b)->stem);
}

/* Sorted, each photo once; the stems are the list's. */
static wanted *collect(const pair_list *l, size_t *count)
{
    wanted *w = FW_ARRAY(wanted, 2 * l->n);
    size_t n = 0;
    for (size_t i = 0; i < 2 * l->n; i++) w[i] = (wanted){l->stem[i / 2][i % 2], NOWHERE};
    qsort(w, 2 * l->n, sizeof *w, by_stem);
    for (size_t i = 0; i < 2 * l->n; i++)
        if (!n || strcmp(w[n - 1].stem, w[i].stem)) w[n++] = w[i];
    *count = n;
    return w;
}

/* "a/b/NAME/NAME_0001.jpg" -> "NAME/NAME_0001", or NULL when it does not look like that. `out` holds n + 1. */
static const char *stem_of_path(const char *path, size_t n, char *out)
{
    memcpy(out, path, n);
    out[n] = 0;
    char *name = strrchr(out, '/'), *dot = name ? strrchr(name, '.') : NULL;
    if (!dot) return NULL;
    *dot = 0;
    *name = 0;
    char *folder = strrchr(out, '/');
    *name = '/';
    return folder ? folder + 1 : out;
}

static void find_rows(const fw_view *v, bool keys, wanted *w, size_t count)
{
    char *text = NULL;
    size_t cap = 0;
    for (size_t row = 0; row < v->n; row++) {
        size_t n;
        const char *path = fw_view_path(v, row, &n);
        if (!v->alive[row]) continue;
        fw_reserve(&text, &cap, n + 1, 1);
        const char *stem = keys ? (memcpy(text, path, n), text[n] = 0, text) : stem_of_path(path, n, text);
        wanted key = {(char *)stem, 0}, *hit = NULL;
        if (key.stem) hit = bsearch(&key, w, count, sizeof *w, by_stem);
        if (hit && hit->row == NOWHERE) hit->row = row;
    }
    fw_free(text);
}

static size_t row_of(const wanted *w, size_t count, char *stem)
{
    wanted key = {stem, 0}, *hit = bsearch(&key, w, count, sizeof *w, by_stem);
    return hit ? hit->row : NOWHERE;
}

/* Similarities of all pairs. Photos that are not there at all are named: that is a wrong list or a wrong dataset. */
static size_t score(const fw_view *v, const fw_vectors *x, const uint8_t *shared, pair_list *l)
{
    size_t count, absent = 0;
    wanted *w = collect(l, &count);
    l->photos = count;
    float *a = FW_ARRAY(float, (size_t)x->dim), *b = FW_ARRAY(float, (size_t)x->dim);
    if (shared) l->shared = FW_ARRAY(uint8_t, l->n);
    find_rows(v, l->keys, w, count);
    for (size_t i = 0; i < count; i++) absent += w[i].row == NOWHERE;
    for (size_t i = 0, said = 0; i < count && absent < count && said < 5; i++)
        if (w[i].row == NOWHERE && ++said)
            fw_log(FW_WARN, "eval: no photo '%s%s' in the set", w[i].stem, l->keys ? "" : ".*");
    for (size_t i = 0; i < l->n; i++) {
        size_t ra = row_of(w, count, l->stem[i][0]), rb = row_of(w, count, l->stem[i][1]);
        fw_pair *p = &l->pair[i];
        if (shared) l->shared[i] = (ra != NOWHERE && shared[ra]) || (rb != NOWHERE && shared[rb]);
        p->missing = ra == NOWHERE || rb == NOWHERE || !fw_vectors_valid(x, ra) || !fw_vectors_valid(x, rb);
        if (p->missing) continue;
        fw_vectors_get(x, ra, a);
        fw_vectors_get(x, rb, b);
        p->sim = fw_dot(a, b, x->dim);
    }
    fw_free(a);
    fw_free(b);
    fw_free(w);
    return absent;
}

/* ---- people who are in the dataset too ----------------------------------------------------------------------------
 */

static const void *whole(fw_task *t, const char *name, size_t *rows, fw_err *e)
{
    const fw_column *c = e->code ? NULL : fw_task_whole(t, name, e);
    if (c) *rows = c->rows;
    return c ? c->data : NULL;
}

/* By row of the benchmark: 1, when its photo or (by its label) its person was found in the dataset. */
static uint8_t *find_shared(fw_task *t, const char *set, const fw_view *v, fw_err *e)
{
    const char *const *name;
    size_t sets = fw_task_benchmarks(t, &name), number = 0, n = 0;
    const uint32_t *bench = whole(t, "overlap.bench", &n, e), *row = whole(t, "overlap.bench_row", &n, e);
    if (e->code) return NULL;
    while (number < sets && strcmp(name[number], set)) number++;
    uint8_t *shared = FW_ARRAY(uint8_t, v->n), *person = FW_ARRAY(uint8_t, v->labels);
    for (size_t i = 0; i < n; i++) {
        if (bench[i] != number || row[i] >= v->n) continue;
        shared[row[i]] = 1;
        if (v->label[row[i]] != FW_NO_LABEL) person[v->label[row[i]]] = 1;
    }
    for (size_t i = 0; i < v->n; i++)
        if (v->label[i] != FW_NO_LABEL && person[v->label[i]]) shared[i] = 1;
    fw_free(person);
    return shared;
}

/* ---- output ----------------------------------------------------------------------------------------------------- */

static void print_text(const fw_verification *r, size_t absent)
{
    printf("pairs            %zu (%zu genuine, %zu impostor) in %zu folds\n", r->pairs, r->genuine,
           r->pairs - r->genuine, r->folds);
    printf("missing          %zu pairs without both faces, counted as wrong; %zu photos not in the dataset\n",
           r->missing, absent);
    printf("accuracy         %.2f %% +- %.2f, 95 %% interval %.2f .. %.2f\n", 100 * r->accuracy, 100 * r->std,
           100 * r->low, 100 * r->high);
    printf("threshold        %.4f (mean over folds)\n", r->threshold);
    printf("AUC              %.5f, 95 %% interval %.5f .. %.5f\n", r->auc, r->auc_low, r->auc_high);
    printf("EER              %.2f %%, 95 %% interval %.2f .. %.2f\n", 100 * r->eer, 100 * r->eer_low,
           100 * r->eer_high);
    for (int k = 0; k < FW_FARS; k++) {
        const fw_tar *t = &r->tar[k];
        printf("TAR at FAR 1e-%d  ", k + 2);
        if (t->measurable)
            printf("%.2f %%, 95 %% interval %.2f .. %.2f\n", 100 * t->tar, 100 * t->low, 100 * t->high);
        else
            printf("not measurable with %zu impostor pairs\n", r->pairs - r->genuine);
    }
}

static json_t *tar_json(const fw_tar *t)
{
    if (!t->measurable) return json_pack("{s:f, s:n}", "far", t->far, "tar");
    return json_pack("{s:f, s:f, s:[f,f], s:o}", "far", t->far, "tar", t->tar, "interval95", t->low, t->high,
                     "threshold", isnan(t->threshold) ? json_null() : json_real(t->threshold));
}

static json_t *as_json(const fw_verification *r, size_t absent)
{
    static const char *const how = "accuracy: t over folds; AUC: DeLong; EER: bootstrap; TAR: Clopper-Pearson";
    json_t *tar = json_array(), *roc = json_array();
    for (int k = 0; k < FW_FARS; k++) json_array_append_new(tar, tar_json(&r->tar[k]));
    for (size_t k = 0; k < FW_ROC; k++) /* flat parts add nothing to a plot */
        if (!k || k == FW_ROC - 1 || r->roc[k].far != r->roc[k - 1].far || r->roc[k].tar != r->roc[k - 1].tar)
            json_array_append_new(roc, json_pack("[f,f,f]", r->roc[k].threshold, r->roc[k].far, r->roc[k].tar));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:[f,f], s:f, s:f, s:[f,f], s:f, s:[f,f], s:o, s:o, s:s}",
                     "pairs", (json_int_t)r->pairs, "genuine", (json_int_t)r->genuine, "missing",
                     (json_int_t)r->missing, "photos_absent", (json_int_t)absent, "folds", (json_int_t)r->folds,
                     "accuracy", r->accuracy, "std", r->std, "interval95", r->low, r->high, "threshold", r->threshold,
                     "auc", r->auc, "auc_interval95", r->auc_low, r->auc_high, "eer", r->eer, "eer_interval95",
                     r->eer_low, r->eer_high, "tar_at_far", tar, "roc_threshold_far_tar", roc, "intervals", how);
}

/* Without the shared pairs; folds that are left empty close up. */
static size_t drop_shared(const pair_list *l, fw_pair *out, size_t *folds)
{
    size_t n = 0, *number = FW_ARRAY(size_t, l->folds);
    *folds = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->shared[i]) continue;
        size_t *f = &number[l->pair[i].fold];
        if (!*f) *f = ++*folds;
        out[n] = l->pair[i];
        out[n++].fold = (uint32_t)(*f - 1);
    }
    fw_free(number);
    return n;
}

static void print_both(const fw_verification *all, const fw_verification *rest, size_t absent)
{
    puts("--- all pairs");
    print_text(all, absent);
    printf("--- without the %zu pairs of people who are in the dataset too\n", all->pairs - rest->pairs);
    print_text(rest, absent);
    printf("--- overlap adds %+.2f points of accuracy, %+.2f of TAR at FAR 1e-3\n",
           100 * (all->accuracy - rest->accuracy), 100 * (all->tar[1].tar - rest->tar[1].tar));
}

static int report(const fw_args *a, const pair_list *l, size_t absent, fw_err *e)
{
    fw_verification all, rest;
    FW_TRY(fw_verify_pairs(l->pair, l->n, l->folds, &all, e));
    if (!l->shared && a->json) return fw_eval_print(as_json(&all, absent), e);
    if (!l->shared) return print_text(&all, absent), FW_OK;
    size_t folds;
    fw_pair *kept = FW_ARRAY(fw_pair, l->n);
    size_t n = drop_shared(l, kept, &folds);
    int rc = fw_verify_pairs(kept, n, folds, &rest, e);
    fw_free(kept);
    if (rc) return fw_context(e, "of %zu pairs %zu are left without overlap", l->n, n);
    if (!a->json) return print_both(&all, &rest, absent), FW_OK;
    return fw_eval_print(json_pack("{s:o, s:o, s:I, s:f}", "all", as_json(&all, absent), "without_overlap",
                                   as_json(&rest, absent), "pairs_left_out", (json_int_t)(l->n - n),
                                   "accuracy_difference", all.accuracy - rest.accuracy),
                         e);
}

/* A benchmark of the workspace that was read from this very .bin; NULL: none. */
static const char *benchmark_of(fw_task *t, const char *pairs)
{
    const char *const *name, *found = NULL;
    size_t n = fw_task_benchmarks(t, &name);
    char *path = strncmp(pairs, "bin:", 4) ? NULL : realpath(pairs + 4, NULL); /* as the workspace keeps it */
    for (size_t i = 0; path && i < n && !found; i++) {
        const char *spec = fw_store_source(t->run->store, name[i]);
        if (!strncmp(spec, "bin:", 4) && !strcmp(spec + 4, path)) found = name[i];
    }
    free(path);
    return found;
}

/* Not one photo is there: another set is meant, and its figures would be those of nothing. */
static int nothing_there(const fw_args *a, fw_task *t, const char *set, size_t photos, fw_err *e)
{
    const char *meant = benchmark_of(t, a->pairs);
    char *where = *set ? fw_format("benchmark '%s'", set) : fw_strdup("the dataset");
    char *what = meant ? fw_format("they are those of benchmark '%s': add --benchmark %s", meant, meant)
                       : fw_format("name the set that holds them by --benchmark NAME (`facewash run --benchmark "
                                   "NAME=%s` adds it)",
                                   strncmp(a->pairs, "bin:", 4) ? "SRC" : a->pairs);
    fw_fail(e, FW_EUSAGE, "eval: none of the %zu photos of pairs '%s' is in %s; %s", photos, a->pairs, where, what);
    fw_free(where);
    fw_free(what);
    return e->code;
}

static int compare(const fw_args *a, fw_run *r, pair_list *list, fw_err *e)
{
    fw_task t = fw_run_reader(r);
    const char *set = fw_eval_set(a, &t, e);
    if (set && a->without_overlap && !*set)
        return fw_fail(e, FW_EUSAGE,
                       "eval: --without-overlap needs --benchmark NAME, the set that holds the pairs' photos");
    const fw_view *v = set ? fw_task_view(&t, set, e) : NULL;
    const fw_vectors *x = v ? fw_task_vectors(&t, set, e) : NULL;
    uint8_t *shared = x && a->without_overlap ? find_shared(&t, set, v, e) : NULL;
    size_t absent = e->code ? 0 : score(v, x, shared, list);
    fw_free(shared);
    if (!e->code && absent == list->photos) return nothing_there(a, &t, set, absent, e);
    return e->code ? e->code : report(a, list, absent, e);
}

int fw_eval_verification(const fw_args *a, fw_run *r, fw_err *e)
{
    pair_list list = {0};
    bool bin = !strncmp(a->pairs, "bin:", 4);
    int rc = bin ? load_bin(a->pairs + 4, &list, e) : load_text(a->pairs, &list, e);
    if (!rc) rc = compare(a, r, &list, e);
    free_pairs(&list);
    return rc;
}
