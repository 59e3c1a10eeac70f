#include "dup.h"
#include "hashpairs.h"
#include "photo.h"
#include "unionfind.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16384 }; /* candidate pairs compared between two looks at fw_stopping */

/* ncc + fine + WEIGHT * cosine must exceed BOUND. Dups seeds 1-3, all pairs: F1 .9977-.9995 for bounds 2.05 to 2.10 at
 * weight .2; .998-.9988 at best without the cosine, .971-.978 by the cosine alone. Without an embedding the cosine of
 * an average copy stands in. */
static const double COS_WEIGHT = 0.2, BOUND = 2.08, COS_ABSENT = 0.9;

/* Whole-image evidence has no face to look at and only 24 x 24 pixels: stricter. */
static const double WHOLE_BOUND = 1.92;

/* Above this cosine both views look at one face, so that surroundings less alike than this settle it. Below, another
 * face of the same photo may have been the target: the whole image is asked too. (Edited copies keep .6 and more, other
 * people hardly reach .4.) */
static const double SAME_FACE = 0.4;
static const float UNLIKE = 0.60f;

/* A chain may join two groups when their first members miss the bound by no more than this. */
static const double CHAIN_SLACK = 0.08;

/* Differing bits of 64. Unrelated photos differ in 32 +- 4; the pHash of a copy that was not cropped in under 10. */
enum { PHASH_BITS = 10, DHASH_BITS = 6 };

typedef struct edge {
    uint32_t a, b;
    float strength; /* margin above the bound; exact copies: 9 */
} edge;

typedef struct search {
    const fw_dup_input *in;
    edge *edge;
    size_t count, cap, compared;
} search;

double fw_dup_margin(const fw_signature *a, const fw_signature *b, double cosine, float *correlation)
{
    double margin = -9;
    if (correlation) *correlation = 0;
    if (!a || !b) return margin;
    bool faces = a->flags & b->flags & FW_SIG_HAS_FACE;
    double bound = faces ? BOUND - COS_WEIGHT * (isnan(cosine) ? COS_ABSENT : cosine) : WHOLE_BOUND;
    fw_photo_match m = fw_photo_compare(a, b, false, (float)(bound - CHAIN_SLACK));
    margin = m.ncc + m.fine - bound;
    bool settled = cosine > SAME_FACE && m.ncc > -1 && m.ncc < UNLIKE; /* -1: nothing to compare; false for NAN */
    if (faces && margin <= 0 && !settled) {
        fw_photo_match w = fw_photo_compare(a, b, true, (float)(WHOLE_BOUND - CHAIN_SLACK));
        if (w.ncc + w.fine > WHOLE_BOUND) {
            margin = w.ncc + w.fine - WHOLE_BOUND;
            m = w;
        }
    }
    if (correlation) *correlation = m.ncc < 0 ? 0 : m.ncc;
    return margin;
}

static const fw_signature *signature_of(const fw_dup_input *in, size_t row)
{
    if (in->alive && !in->alive[row]) return NULL;
    const fw_signature *s = in->signature(in->context, row);
    return s && (s->flags & FW_SIG_HAS_IMAGE) ? s : NULL;
}

static double cosine_of(const fw_dup_input *in, size_t a, size_t b)
{
    const fw_vectors *v = in->vectors;
    if (!v || !fw_vectors_valid(v, a) || !fw_vectors_valid(v, b)) return NAN;
    float x[4096], y[4096];
    fw_vectors_get(v, a, x);
    fw_vectors_get(v, b, y);
    return fw_dot(x, y, v->dim);
}

static double margin_of(const fw_dup_input *in, size_t a, size_t b, float *correlation)
{
    return fw_dup_margin(signature_of(in, a), signature_of(in, b), cosine_of(in, a, b), correlation);
}

static double judge_pair(const fw_dup_input *in, const fw_pair *p)
{
    double cosine = isnan(p->cosine) ? cosine_of(in, p->a, p->b) : (double)p->cosine;
    return fw_dup_margin(signature_of(in, p->a), signature_of(in, p->b), cosine, NULL);
}

static void add_edge(search *s, uint32_t a, uint32_t b, float strength)
{
    fw_reserve(&s->edge, &s->cap, s->count + 1, sizeof *s->edge);
    s->edge[s->count++] = (edge){a, b, strength};
}

/* Compare all pairs of the list and keep those that are copies; empties the list. */
static int judge(search *s, fw_pairs *list, fw_err *e)
{
    float *strength = FW_ARRAY(float, list->count);
    for (size_t first = 0; first < list->count && !fw_stopping(); first += BLOCK) {
        size_t end = first + BLOCK < list->count ? first + BLOCK : list->count;
#pragma omp parallel for schedule(dynamic, 32)
        for (size_t i = first; i < end; i++) strength[i] = (float)judge_pair(s->in, &list->pair[i]);
    }
    for (size_t i = 0; i < list->count; i++)
        if (strength[i] > 0) add_edge(s, list->pair[i].a, list->pair[i].b, strength[i]);
    s->compared += list->count;
    list->count = 0;
    fw_free(strength);
    return fw_check_stop(e);
}

static bool listed(const fw_graph *g, size_t row, uint32_t other)
{
    uint64_t end = g->off[row + 1];
    if (end > g->off[row] + FW_DUP_NEIGHBOURS) end = g->off[row] + FW_DUP_NEIGHBOURS;
    for (uint64_t i = g->off[row]; i < end; i++)
        if (g->id[i] == other) return true;
    return false;
}

/* Graph neighbours of `row`; a pair that both rows list is taken from the lower one. */
static void neighbours(const fw_dup_input *in, size_t row, fw_pairs *list)
{
    const fw_graph *g = in->graph;
    if (!signature_of(in, row)) return; /* embeddings without photos: nothing to compare, in 10 M of them 107 M times */
    for (uint64_t i = g->off[row]; i < g->off[row + 1] && i < g->off[row] + FW_DUP_NEIGHBOURS; i++) {
        if (g->sim[i] < in->cos_bound) break;
        if (g->id[i] < row && listed(g, g->id[i], (uint32_t)row)) continue;
        fw_pairs_add(list, (uint32_t)row, g->id[i]);
        list->pair[list->count - 1].cosine = g->sim[i];
    }
}

static int from_graph(search *s, fw_err *e)
{
    fw_pairs list = {0};
    int rc = FW_OK;
    for (size_t row = 0; row < s->in->n && !rc; row++) {
        neighbours(s->in, row, &list);
        if (list.count >= 64 * BLOCK) rc = judge(s, &list, e);
    }
    if (!rc) rc = judge(s, &list, e);
    fw_free(list.pair);
    return rc;
}

static void collect_hashes(const fw_dup_input *in, bool dhash, fw_hash_row *rows, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < in->n; i++) {
        const fw_signature *s = signature_of(in, i);
        if (!s || (s->flags & FW_SIG_FLAT)) continue;
        const uint64_t *h = dhash ? s->dhash : s->phash;
        rows[(*n)++] = (fw_hash_row){{h[0], h[1]}, (uint32_t)i};
    }
}

static int from_hashes(search *s, fw_err *e)
{
    fw_hash_row *rows = FW_ARRAY(fw_hash_row, s->in->n);
    fw_pairs list = {0};
    size_t n;
    collect_hashes(s->in, false, rows, &n);
    fw_hash_pairs(rows, n, PHASH_BITS, &list);
    collect_hashes(s->in, true, rows, &n);
    fw_hash_pairs(rows, n, DHASH_BITS, &list);
    fw_free(rows);
    int rc = judge(s, &list, e);
    fw_free(list.pair);
    return rc;
}

typedef struct digest {
    uint64_t hash[2];
    uint32_t row;
} digest;

static int by_digest(const void *x, const void *y)
{
    const digest *p = x, *q = y;
    for (int i = 0; i < 2; i++)
        if (p->hash[i] != q->hash[i]) return p->hash[i] < q->hash[i] ? -1 : 1;
    return (p->row > q->row) - (p->row < q->row);
}

static bool same_bytes(const fw_dup_input *in, size_t a, size_t b)
{
    const uint64_t(*h)[2] = in->hash;
    return h && (h[a][0] | h[a][1]) && h[a][0] == h[b][0] && h[a][1] == h[b][1];
}

static void from_content(search *s)
{
    const fw_dup_input *in = s->in;
    digest *d = FW_ARRAY(digest, in->n);
    size_t n = 0;
    for (size_t i = 0; in->hash && i < in->n; i++)
        if ((!in->alive || in->alive[i]) && (in->hash[i][0] | in->hash[i][1]))
            d[n++] = (digest){{in->hash[i][0], in->hash[i][1]}, (uint32_t)i};
    qsort(d, n, sizeof *d, by_digest);
    for (size_t i = 1; i < n; i++)
        if (same_bytes(in, d[i - 1].row, d[i].row)) add_edge(s, d[i - 1].row, d[i].row, 9);
    fw_free(d);
}

static int by_strength(const void *x, const void *y)
{
    const edge *p = x, *q = y;
    if (p->strength != q->strength) return p->strength > q->strength ? -1 : 1;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return (p->b > q->b) - (p->b < q->b);
}

/* Joining by (a,b) also claims that the groups' first members are one photo: look. */
static bool consistent(const search *s, fw_uf *uf, const edge *k)
{
    uint32_t x = fw_uf_find(uf, k->a), y = fw_uf_find(uf, k->b);
    if (x == y || k->strength >= 9) return true;
    if ((x == k->a && y == k->b) || (x == k->b && y == k->a)) return true;
    return margin_of(s->in, x < y ? x : y, x < y ? y : x, NULL) > -CHAIN_SLACK;
}

static fw_uf group(search *s)
{
    fw_uf uf = fw_uf_new(s->in->n);
    if (s->count) qsort(s->edge, s->count, sizeof *s->edge, by_strength);
    for (size_t i = 0; i < s->count && !fw_stopping(); i++)
        if (consistent(s, &uf, &s->edge[i])) fw_uf_join(&uf, s->edge[i].a, s->edge[i].b);
    return uf;
}

static bool better(const fw_dup_input *in, size_t a, size_t b)
{
    if (in->quality && in->quality[a] != in->quality[b]) return in->quality[a] > in->quality[b];
    if (in->size) {
        int64_t x = (int64_t)in->size[2 * a] * in->size[2 * a + 1], y = (int64_t)in->size[2 * b] * in->size[2 * b + 1];
        if (x != y) return x > y;
    }
    return a < b;
}

/* Best member of every set, by root; UINT32_MAX for sets of one. */
static uint32_t *choose_kept(const fw_dup_input *in, fw_uf *uf)
{
    uint32_t *kept = FW_ARRAY(uint32_t, in->n);
    memset(kept, 0xff, in->n * sizeof *kept);
    for (size_t i = 0; i < in->n; i++) {
        uint32_t root = fw_uf_find(uf, (uint32_t)i);
        if (root == i) continue;
        if (kept[root] == UINT32_MAX) kept[root] = root;
        if (better(in, i, kept[root])) kept[root] = (uint32_t)i;
    }
    return kept;
}

static int by_group(const void *x, const void *y)
{
    const fw_dup_row *p = x, *q = y;
    if (p->group != q->group) return p->group < q->group ? -1 : 1;
    if (p->kept != q->kept) return p->kept ? -1 : 1;
    return (p->row > q->row) - (p->row < q->row);
}

/* `group` holds the kept image's row until the groups are numbered. */
static void fill_rows(const fw_dup_input *in, fw_uf *uf, const uint32_t *kept, fw_dups *d)
{
    for (size_t i = 0; i < in->n; i++) d->count += kept[fw_uf_find(uf, (uint32_t)i)] != UINT32_MAX;
    d->row = FW_ARRAY(fw_dup_row, d->count);
    size_t at = 0;
    for (size_t i = 0; i < in->n; i++) {
        uint32_t k = kept[fw_uf_find(uf, (uint32_t)i)];
        if (k == UINT32_MAX) continue;
        bool exact = k != i && same_bytes(in, i, k);
        d->row[at++] = (fw_dup_row){(uint32_t)i, k, 1, exact ? FW_COPY_EXACT : FW_COPY_NEAR, k == i, 0};
    }
    qsort(d->row, d->count, sizeof *d->row, by_group);
#pragma omp parallel for schedule(dynamic, 16)
    for (size_t i = 0; i < d->count; i++) {
        fw_dup_row *r = &d->row[i];
        if (r->kept || r->kind == FW_COPY_EXACT) continue;
        margin_of(in, r->row < r->group ? r->row : r->group, r->row < r->group ? r->group : r->row, &r->similarity);
    }
}

/* Group numbers, the kept image's kind, and whether labels differ. */
static void finish_groups(const fw_dup_input *in, fw_dups *d)
{
    for (size_t first = 0, end; first < d->count; first = end) {
        bool exact = false, cross = false;
        for (end = first; end < d->count && d->row[end].group == d->row[first].group; end++) {
            exact |= d->row[end].kind == FW_COPY_EXACT;
            cross |= in->label && in->label[d->row[end].row] != in->label[d->row[first].row];
        }
        if (exact) d->row[first].kind = FW_COPY_EXACT;
        uint32_t number = (uint32_t)d->groups++;
        for (size_t i = first; i < end; i++) {
            d->row[i].cross = cross;
            d->row[i].group = number;
        }
    }
}

int fw_dup_find(const fw_dup_input *in, fw_dups **out, fw_err *e)
{
    search s = {.in = in};
    *out = NULL;
    from_content(&s);
    int rc = in->graph ? from_graph(&s, e) : FW_OK;
    if (!rc) rc = from_hashes(&s, e);
    if (!rc) {
        fw_dups *d = FW_NEW(fw_dups);
        fw_uf uf = group(&s);
        uint32_t *kept = choose_kept(in, &uf);
        fill_rows(in, &uf, kept, d);
        finish_groups(in, d);
        rc = fw_check_stop(e);
        d->compared = s.compared;
        fw_free(kept);
        fw_uf_free(&uf);
        *out = d;
    }
    fw_free(s.edge);
    return rc;
}

void fw_dups_free(fw_dups *d)
{
    if (!d) return;
    fw_free(d->row);
    fw_free(d);
}
