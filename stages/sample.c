#include "sample.h"
#include "../lib/file.h"
#include "../lib/interval.h"
#include "../lib/log.h"
#include "claims.h"
#include "decide.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "facewash-sample-1"
enum { FILE_MOST = 512 << 20 };

typedef struct verdicts {
    const fw_view *v;
    const uint8_t *verdict;
    const uint32_t *new_label, *person;
} verdicts;

static const void *column(fw_task *t, const char *name, fw_err *e)
{
    const fw_column *c = e->code ? NULL : fw_task_whole(t, name, e);
    return c ? c->data : NULL;
}

static int load(fw_task *t, verdicts *d, fw_err *e)
{
    d->v = fw_task_view(t, "", e);
    d->verdict = column(t, "decide.verdict", e);
    d->new_label = column(t, "decide.new_label", e);
    d->person = column(t, "decide.person", e);
    return e->code;
}

/* The label under which a row is kept, FW_NO_LABEL when it is not in the population. */
static uint32_t kept_as(const verdicts *d, size_t i)
{
    bool stays = d->verdict[i] == FW_KEEP || d->verdict[i] == FW_RELABEL;
    if (!d->v->alive[i] || !stays || d->person[i] > 1) return FW_NO_LABEL;
    return d->new_label[i] != FW_NO_LABEL ? d->new_label[i] : d->v->label[i];
}

/* ---- the draw -------------------------------------------------------------------------------------------------- */

/* Algorithm R (Vitter, ACM TOMS 11, 1985), then shuffled: who stops half way has judged a random sample too. */
static uint32_t *draw(const verdicts *d, size_t *n, uint64_t seed, uint64_t *population)
{
    fw_rng g = {seed};
    uint32_t *row = FW_ARRAY(uint32_t, *n);
    *population = 0;
    for (size_t i = 0; i < d->v->n; i++) {
        if (kept_as(d, i) == FW_NO_LABEL) continue;
        uint64_t at = (*population)++;
        if (at >= *n) at = fw_rng_below(&g, at + 1);
        if (at < *n) row[at] = (uint32_t)i;
    }
    if (*population < *n) *n = (size_t)*population;
    for (size_t i = *n; i > 1; i--) {
        size_t j = fw_rng_below(&g, i);
        uint32_t swap = row[i - 1];
        row[i - 1] = row[j];
        row[j] = swap;
    }
    return row;
}

static char *hex_of(const char *text)
{
    fw_buf b = {0};
    fw_buf_puts(&b, "");
    for (const char *c = text; *c; c++) fw_buf_printf(&b, "%02x", (unsigned char)*c);
    return b.data;
}

static char *path_of(const fw_run *r)
{
    return fw_format("%s/review/sample.json", r->store->root);
}

static int write_sample(const fw_run *r, json_t *j, fw_err *e)
{
    char *folder = fw_format("%s/review", r->store->root), *path = path_of(r);
    char *text = json_dumps(j, JSON_INDENT(1));
    int rc = fw_mkdirs(folder, e);
    if (!rc) rc = fw_file_write(path, text, strlen(text), e);
    free(text);
    fw_free(folder);
    fw_free(path);
    return rc;
}

int fw_sample_draw(fw_run *r, size_t n, uint64_t seed, fw_err *e)
{
    fw_task t = fw_run_reader(r);
    verdicts d;
    if (!fw_run_done(r, fw_stage_row("decide"), -1))
        return fw_fail(e, FW_EUSAGE,
                       "sample: the verdicts are not up to date; `facewash run` or `facewash apply` first");
    FW_TRY(load(&t, &d, e));
    uint64_t population;
    uint32_t *row = draw(&d, &n, seed, &population);
    json_t *images = json_array();
    for (size_t i = 0; i < n; i++) {
        char hash[33], *label = hex_of(d.v->label_name[kept_as(&d, row[i])]);
        fw_hash_hex(fw_view_hash(d.v, row[i]), hash);
        json_array_append_new(images, json_pack("[s,s]", hash, label));
        fw_free(label);
    }
    json_t *j = json_pack("{s:s, s:I, s:I, s:o}", "format", FORMAT, "seed", (json_int_t)seed, "population",
                          (json_int_t)population, "images", images);
    int rc = write_sample(r, j, e);
    if (!rc)
        fw_log(FW_INFO, "sample: %zu of %llu kept images, seed %llu", n, (unsigned long long)population,
               (unsigned long long)seed);
    json_decref(j);
    fw_free(row);
    return rc;
}

/* ---- reading it ------------------------------------------------------------------------------------------------ */

static char *text_of(const char *hex)
{
    size_t n = strlen(hex) / 2;
    char *text = fw_alloc(n + 1, 1), two[3] = "";
    for (size_t i = 0; i < n; i++) {
        memcpy(two, hex + 2 * i, 2);
        text[i] = (char)strtoul(two, NULL, 16);
    }
    return text;
}

static bool parse(const json_t *j, fw_sample *s)
{
    const char *format, *hash, *label;
    json_int_t seed, population;
    json_t *images, *one;
    size_t i;
    if (json_unpack((json_t *)(uintptr_t)j, "{s:s, s:I, s:I, s:o}", "format", &format, "seed", &seed, "population",
                    &population, "images", &images))
        return false;
    if (strcmp(format, FORMAT) || !json_is_array(images) || population < 0) return false;
    s->seed = (uint64_t)seed;
    s->population = (uint64_t)population;
    s->hash = FW_ARRAY(fw_hash, json_array_size(images));
    s->label = FW_ARRAY(char *, json_array_size(images));
    json_array_foreach(images, i, one)
    {
        if (json_unpack(one, "[s,s]", &hash, &label) || strlen(hash) != 32 || !fw_hash_parse(hash, &s->hash[s->n]))
            return false;
        s->label[s->n++] = text_of(label);
    }
    return true;
}

int fw_sample_read(fw_run *r, fw_sample *out, fw_err *e)
{
    *out = (fw_sample){0};
    char *path = path_of(r), *text = NULL;
    size_t n;
    int rc = FW_OK;
    if (fw_exists(path)) rc = fw_file_read(path, FILE_MOST, &text, &n, e);
    json_t *j = text ? json_loadb(text, n, 0, NULL) : NULL;
    if (text && (!j || !parse(j, out))) {
        rc = fw_fail(e, FW_EFAIL, "read '%s': it is damaged; `facewash review --sample N` draws a new one", path);
        fw_sample_free(out);
    }
    json_decref(j);
    fw_free(text);
    fw_free(path);
    return rc;
}

void fw_sample_free(fw_sample *s)
{
    for (size_t i = 0; i < s->n; i++) fw_free(s->label[i]);
    fw_free(s->label);
    fw_free(s->hash);
    *s = (fw_sample){0};
}

/* ---- what the answers say -------------------------------------------------------------------------------------- */

typedef struct share {
    uint64_t k, n;
    double rate, low, high;
} share;

static share share_of(uint64_t k, uint64_t n)
{
    share s = {.k = k, .n = n, .rate = n ? (double)k / (double)n : 0};
    fw_clopper_pearson(k, n, 0.95, &s.low, &s.high);
    return s;
}

/* Claims "is (not) that person", sorted by hash, then in order: the last of a label stands. */
typedef struct told {
    const fw_claim *c;
    size_t order;
} told;

static int by_hash(const void *pa, const void *pb)
{
    const told *a = pa, *b = pb;
    if (a->c->a.hi != b->c->a.hi) return a->c->a.hi < b->c->a.hi ? -1 : 1;
    if (a->c->a.lo != b->c->a.lo) return a->c->a.lo < b->c->a.lo ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static told *sort_claims(const fw_decisions *d, size_t *n)
{
    told *t = FW_ARRAY(told, d->n);
    *n = 0;
    for (size_t k = 0; k < d->n; k++)
        if (d->claim[k].kind == FW_CLAIM_IS) t[(*n)++] = (told){&d->claim[k], k};
    if (*n) qsort(t, *n, sizeof *t, by_hash);
    return t;
}

/* 1: it is that person, 0: it is not, -1: nobody said. */
static int answer(const told *t, size_t n, fw_hash hash, const char *label)
{
    size_t lo = 0, hi = n;
    int said = -1;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        fw_hash h = t[mid].c->a;
        if (h.hi < hash.hi || (h.hi == hash.hi && h.lo < hash.lo))
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < n && fw_hash_equal(t[lo].c->a, hash); lo++)
        if (!strcmp(t[lo].c->label, label)) said = t[lo].c->yes;
    return said;
}

static share judge_sample(const fw_sample *s, const told *t, size_t n)
{
    uint64_t wrong = 0, judged = 0;
    for (size_t i = 0; i < s->n; i++) {
        int a = answer(t, n, s->hash[i], s->label[i]);
        judged += a >= 0;
        wrong += a == 0;
    }
    return share_of(wrong, judged);
}

static share judge_flags(const fw_view *v, const uint8_t *machine, const told *t, size_t n, uint64_t *flags)
{
    uint64_t right = 0, reviewed = 0;
    *flags = 0;
    for (size_t i = 0; i < v->n; i++) {
        if (!v->alive[i] || v->label[i] == FW_NO_LABEL || (machine[i] != FW_REMOVE && machine[i] != FW_RELABEL))
            continue;
        ++*flags;
        int a = n ? answer(t, n, fw_view_hash(v, i), v->label_name[v->label[i]]) : -1;
        reviewed += a >= 0;
        right += a == 0;
    }
    return share_of(right, reviewed);
}

static json_t *interval(const share *s)
{
    return json_pack("[f,f]", s->low, s->high);
}

static double recall(double precision, double flags, double rate, double population)
{
    double found = precision * flags, left = rate * population;
    return found + left > 0 ? found / (found + left) : 1;
}

static json_t *describe(const fw_sample *s, const share *left, const share *right, uint64_t flags)
{
    json_t *sample = json_null(), *precision = json_null(), *found = json_null();
    double f = (double)flags, m = (double)s->population;
    if (s->n)
        sample = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:s}", "images", (json_int_t)s->n, "population",
                           (json_int_t)s->population, "seed", (json_int_t)s->seed, "judged", (json_int_t)left->n,
                           "wrong", (json_int_t)left->k, "rate", left->rate, "interval95", interval(left), "method",
                           "simple random sample of the kept images; Clopper-Pearson interval");
    if (right->n)
        precision =
            json_pack("{s:I, s:I, s:I, s:f, s:o}", "flags", (json_int_t)flags, "reviewed", (json_int_t)right->n,
                      "confirmed", (json_int_t)right->k, "estimate", right->rate, "interval95", interval(right));
    if (right->n && left->n)
        found = json_pack("{s:f, s:[f,f]}", "estimate", recall(right->rate, f, left->rate, m), "interval95",
                          recall(right->low, f, left->high, m), recall(right->high, f, left->low, m));
    return json_pack("{s:o, s:o, s:o}", "sample", sample, "precision", precision, "recall", found);
}

json_t *fw_assess(fw_run *r, fw_err *e)
{
    fw_task t = fw_run_reader(r);
    const fw_view *v = fw_task_view(&t, "", e);
    const uint8_t *machine = v ? column(&t, "audit.verdict", e) : NULL;
    const fw_decisions *d = fw_task_decisions(&t);
    fw_sample s = {0};
    size_t n;
    uint64_t flags;
    json_t *j = NULL;
    if (!e->code && !fw_sample_read(r, &s, e)) {
        told *sorted = sort_claims(d, &n);
        share left = judge_sample(&s, sorted, n), right = judge_flags(v, machine, sorted, n, &flags);
        j = describe(&s, &left, &right, flags);
        fw_free(sorted);
    }
    fw_sample_free(&s);
    return j;
}
