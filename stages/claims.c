#include "claims.h"

#include <stdlib.h>
#include <string.h>

typedef struct wanted {
    fw_hash hash;
    uint32_t side;
} wanted;

fw_hash fw_view_hash(const fw_view *v, size_t row)
{
    size_t s = fw_view_shard(v, row);
    const uint64_t *h = (const uint64_t *)v->shard[s]->hash.data + 2 * (row - v->base[s]);
    return (fw_hash){h[0], h[1]};
}

static int compare_hash(fw_hash a, fw_hash b)
{
    if (a.hi != b.hi) return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}

static int by_hash(const void *pa, const void *pb)
{
    const wanted *a = pa, *b = pb;
    int c = compare_hash(a->hash, b->hash);
    return c ? c : a->side < b->side ? -1 : a->side > b->side;
}

static int by_side(const void *pa, const void *pb)
{
    const fw_claim_row *a = pa, *b = pb;
    if (a->side != b->side) return a->side < b->side ? -1 : 1;
    if (a->set != b->set) return a->set < b->set ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Every hash of every claim, sorted; the caller frees. */
static wanted *list_hashes(const fw_decisions *d, size_t *n)
{
    wanted *w = FW_ARRAY(wanted, 2 * d->n);
    *n = 0;
    for (size_t k = 0; k < d->n; k++) {
        const fw_claim *c = &d->claim[k];
        if (c->kind == FW_CLAIM_LABELS) continue;
        w[(*n)++] = (wanted){c->a, (uint32_t)(2 * k)};
        if (c->kind == FW_CLAIM_FACES || c->kind == FW_CLAIM_IMAGES) w[(*n)++] = (wanted){c->b, (uint32_t)(2 * k + 1)};
    }
    if (*n) qsort(w, *n, sizeof *w, by_hash);
    return w;
}

static size_t first_of(const wanted *w, size_t n, fw_hash hash)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare_hash(w[mid].hash, hash) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void find_rows(fw_claims *c, const wanted *w, size_t n, const fw_view *v, uint32_t set)
{
    for (size_t i = 0; n && i < v->n; i++) {
        if (!v->alive[i]) continue;
        fw_hash hash = fw_view_hash(v, i);
        for (size_t k = first_of(w, n, hash); k < n && !compare_hash(w[k].hash, hash); k++) {
            fw_reserve(&c->at, &c->cap, c->n + 1, sizeof *c->at);
            c->at[c->n++] = (fw_claim_row){w[k].side, set, (uint32_t)i};
        }
    }
}

static int find_all_rows(fw_claims *c, fw_task *t, bool benchmarks, fw_err *e)
{
    const char *const *names;
    size_t n, sets = benchmarks ? fw_task_benchmarks(t, &names) : 0;
    wanted *w = list_hashes(c->d, &n);
    for (size_t s = 0; n && !e->code && s <= sets; s++) {
        const fw_view *v = fw_task_view(t, s ? names[s - 1] : "", e);
        if (v) find_rows(c, w, n, v, (uint32_t)s);
    }
    if (c->n) qsort(c->at, c->n, sizeof *c->at, by_side);
    fw_free(w);
    return e->code;
}

/* ---- labels ---------------------------------------------------------------------------------------------------- */

typedef struct named {
    const char *name;
    uint32_t id;
} named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static uint32_t label_id(const named *sorted, size_t n, const char *name)
{
    named key = {name, 0};
    const named *found = name && n ? bsearch(&key, sorted, n, sizeof key, by_name) : NULL;
    return found ? found->id : FW_NO_LABEL;
}

static void find_labels(fw_claims *c, const fw_view *v)
{
    named *sorted = FW_ARRAY(named, v->labels);
    for (uint32_t l = 0; l < v->labels; l++) sorted[l] = (named){v->label_name[l], l};
    if (v->labels) qsort(sorted, v->labels, sizeof *sorted, by_name);
    for (size_t k = 0; k < c->d->n; k++) {
        c->label[2 * k] = label_id(sorted, v->labels, c->d->claim[k].label);
        c->label[2 * k + 1] = label_id(sorted, v->labels, c->d->claim[k].into);
    }
    fw_free(sorted);
}

/* ---- all of it ------------------------------------------------------------------------------------------------- */

int fw_claims_open(fw_task *t, bool benchmarks, fw_claims *out, fw_err *e)
{
    *out = (fw_claims){0};
    const fw_view *v = fw_task_view(t, "", e);
    if (!v) return e->code;
    out->d = fw_task_decisions(t);
    out->label = FW_ARRAY(uint32_t, 2 * out->d->n);
    if (out->d->n) find_labels(out, v);
    int rc = find_all_rows(out, t, benchmarks, e);
    if (rc) fw_claims_free(out);
    return rc;
}

void fw_claims_free(fw_claims *c)
{
    fw_free(c->at);
    fw_free(c->label);
    *c = (fw_claims){0};
}

const fw_claim_row *fw_claims_rows(const fw_claims *c, size_t k, int side, size_t *n)
{
    uint32_t want = (uint32_t)(2 * k) + (uint32_t)side;
    size_t lo = 0, hi = c->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c->at[mid].side < want)
            lo = mid + 1;
        else
            hi = mid;
    }
    *n = 0;
    while (lo + *n < c->n && c->at[lo + *n].side == want) ++*n;
    return c->at + lo;
}

bool fw_claims_match(const fw_claims *c, size_t k)
{
    size_t a, b;
    fw_claim_kind kind = c->d->claim[k].kind;
    if (kind == FW_CLAIM_LABELS) return c->label[2 * k] != FW_NO_LABEL && c->label[2 * k + 1] != FW_NO_LABEL;
    fw_claims_rows(c, k, 0, &a);
    fw_claims_rows(c, k, 1, &b);
    if (kind == FW_CLAIM_IS) return a && c->label[2 * k] != FW_NO_LABEL;
    return a && (b || kind == FW_CLAIM_USE);
}
