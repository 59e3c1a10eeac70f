/* decide_copies: of each group of copies one image stays, and it is said why.
 *
 * Which one: what a curator chose; else one whose label the audit keeps. Where such copies stand under several labels
 * at most one of these is right, so the label with the least P(wrong) keeps the photo; among copies under one label the
 * better photo does (quality, then pixels, then the first). The others are exact (the bytes of an image of the group
 * that is not itself an exact copy) or near; exact ones go, near ones stay unless dedupe.remove says otherwise. But a
 * near copy of the same face under another label than the kept one's does not stay silently: one of the two labels is
 * wrong, and it is for people to say which (`review`).
 *
 * Claims first: "copies" joins two groups and names the one to keep, "different" parts them. Answers about near copies
 * also move the margin that the others need (shifts.h): P(copy) = sigmoid(margin / SPREAD) of the pair, for an
 * undecided member of the best of its pairs in the group; under 1/2 it leaves.
 */
#include "../index/dup.h"
#include "decide_work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Logistic regression of "the same photo" on the margin, LFW with 2,000 planted copies (dups, seed 11; 2,677 candidate
 * pairs within .4 of the bound): slope 1 / .01, centre 0. */
#define SPREAD 0.01
/* Members of a group that one is compared with: nearly all groups are smaller. */
enum { COMPARED = 8 };
/* Under this cosine the two targets are two faces of one photo (SAME_FACE of index/dup.c), and both labels may be
 * right. */
#define SAME_FACE 0.4

typedef struct photos {
    fw_decide *w;
    fw_cols *signature, *quality, *size;
    const fw_vectors *vec;
} photos;

/* ---- pairs ------------------------------------------------------------------------------------------------------ */

static double cosine_of(const photos *p, size_t a, size_t b)
{
    if (!fw_vectors_valid(p->vec, a) || !fw_vectors_valid(p->vec, b)) return NAN;
    size_t dim = (size_t)p->vec->dim;
    float *x = FW_ARRAY(float, 2 * dim);
    fw_vectors_get(p->vec, a, x);
    fw_vectors_get(p->vec, b, x + dim);
    double cosine = (double)fw_dot(x, x + dim, p->vec->dim);
    fw_free(x);
    return cosine;
}

static const fw_signature *signature_of(const photos *p, size_t row)
{
    const fw_signature *s = fw_col_row(p->signature, row);
    return s && (s->flags & FW_SIG_HAS_IMAGE) ? s : NULL;
}

/* As stage dedupe compares them: the lower row first. */
static double margin_of(const photos *p, size_t a, size_t b, float *correlation)
{
    if (a > b) return margin_of(p, b, a, correlation);
    return fw_dup_margin(signature_of(p, a), signature_of(p, b), cosine_of(p, a, b), correlation);
}

static bool same_bytes(const photos *p, size_t a, size_t b)
{
    fw_hash x = fw_view_hash(p->w->v, a), y = fw_view_hash(p->w->v, b);
    return (x.hi | x.lo) && fw_hash_equal(x, y);
}

static double probability(double margin)
{
    return 1 / (1 + exp(-margin / SPREAD));
}

/* ---- groups ----------------------------------------------------------------------------------------------------- */

static fw_copies group_rows(const fw_decide *w)
{
    fw_copies g = {0};
    size_t n = w->v->n;
    for (size_t i = 0; i < n; i++)
        if (w->group[i] != FW_NO_LABEL && w->group[i] >= g.groups) g.groups = (size_t)w->group[i] + 1;
    g.begin = FW_ARRAY(size_t, g.groups + 2);
    for (size_t i = 0; i < n; i++)
        if (w->group[i] != FW_NO_LABEL) g.begin[w->group[i] + 2]++;
    for (size_t k = 0; k < g.groups; k++) g.begin[k + 2] += g.begin[k + 1];
    g.row = FW_ARRAY(uint32_t, g.begin[g.groups + 1]);
    for (size_t i = 0; i < n; i++)
        if (w->group[i] != FW_NO_LABEL) g.row[g.begin[w->group[i] + 1]++] = (uint32_t)i;
    return g;
}

static void free_groups(fw_copies *g)
{
    fw_free(g->begin);
    fw_free(g->row);
}

/* A group of one is none. */
static void drop_single(fw_decide *w)
{
    fw_copies g = group_rows(w);
    for (size_t k = 0; k < g.groups; k++)
        if (g.begin[k + 1] - g.begin[k] == 1) w->group[g.row[g.begin[k]]] = FW_NO_LABEL;
    free_groups(&g);
}

/* ---- claims ----------------------------------------------------------------------------------------------------- */

typedef struct claimed {
    const fw_claim_row *a, *b; /* rows of the dataset; those of benchmarks are another matter */
    size_t n, m;
} claimed;

static bool rows_of_claim(const fw_decide *w, size_t k, claimed *c)
{
    if (w->c.d->claim[k].kind != FW_CLAIM_IMAGES) return false;
    c->a = fw_claims_rows(&w->c, k, 0, &c->n);
    c->b = fw_claims_rows(&w->c, k, 1, &c->m);
    if (!c->n || !c->m || c->a->set || c->b->set || c->a->row == c->b->row) return false;
    while (c->n > 1 && c->a[c->n - 1].set) c->n--;
    while (c->m > 1 && c->b[c->m - 1].set) c->m--;
    return true;
}

static void regroup(fw_decide *w, const fw_claim_row *at, size_t n, uint32_t group)
{
    for (size_t i = 0; i < n; i++) w->group[at[i].row] = group;
}

static void mark(fw_decide *w, const fw_claim_row *at, size_t n, uint16_t who)
{
    for (size_t i = 0; i < n; i++) w->by[at[i].row] = who;
}

/* OTHER leaves the group: alone, or with its own exact copies. */
static void not_copies(fw_decide *w, const claimed *c, uint32_t *groups)
{
    if (w->group[c->a->row] == FW_NO_LABEL || w->group[c->a->row] != w->group[c->b->row]) return;
    regroup(w, c->b, c->m, c->m > 1 ? (*groups)++ : FW_NO_LABEL);
}

/* Both groups become one, KEPT is the one that stays; all its members come to where they are by that word. */
static void are_copies(fw_decide *w, const claimed *c, uint16_t who, uint32_t *groups)
{
    uint32_t to = w->group[c->a->row], from = w->group[c->b->row];
    if (to == FW_NO_LABEL) regroup(w, c->a, c->n, to = (*groups)++);
    regroup(w, c->b, c->m, to);
    for (size_t i = 0; from != FW_NO_LABEL && from != to && i < w->v->n; i++)
        if (w->group[i] == from) w->group[i] = to;
    for (size_t i = 0; i < w->v->n; i++)
        if (w->group[i] == to) w->by[i] = who;
    for (size_t i = 0; i < c->n; i++) w->chosen[c->a[i].row] = 1;
    for (size_t i = 0; i < c->m; i++) w->chosen[c->b[i].row] = 0; /* of two choices the later one stands */
}

static void take_claims(fw_decide *w)
{
    uint32_t groups = 0;
    for (size_t i = 0; i < w->v->n; i++)
        if (w->group[i] != FW_NO_LABEL && w->group[i] >= groups) groups = w->group[i] + 1;
    for (size_t k = 0; k < w->c.d->n; k++) {
        claimed c;
        if (!rows_of_claim(w, k, &c)) continue;
        mark(w, c.a, c.n, fw_decide_who(w, k));
        mark(w, c.b, c.m, fw_decide_who(w, k));
        if (w->c.d->claim[k].yes)
            are_copies(w, &c, fw_decide_who(w, k), &groups);
        else
            not_copies(w, &c, &groups);
    }
}

/* ---- the margin moves ------------------------------------------------------------------------------------------- */

/* Answers to what stage dedupe found; said[row] = 1 where there is one. */
static void hear(const photos *p, uint8_t *said, fw_answers *heard)
{
    const fw_decide *w = p->w;
    for (size_t k = 0; k < w->c.d->n; k++) {
        claimed c;
        if (!rows_of_claim(w, k, &c)) continue;
        for (size_t i = 0; i < c.n; i++) said[c.a[i].row] = 1;
        for (size_t i = 0; i < c.m; i++) said[c.b[i].row] = 1;
        uint32_t g = w->group_in[c.a->row];
        if (g == FW_NO_LABEL || g != w->group_in[c.b->row] || same_bytes(p, c.a->row, c.b->row)) continue;
        fw_answers_add(heard, probability(margin_of(p, c.a->row, c.b->row, NULL)), w->c.d->claim[k].yes);
    }
}

/* P(copy) of a member: by the best of its pairs; 1 where the group holds its bytes again. */
static double tie(const photos *p, const uint32_t *row, size_t n, size_t at)
{
    double best = -9;
    for (size_t i = 0; i < n && i <= COMPARED; i++) {
        if (i == at) continue;
        if (same_bytes(p, row[at], row[i])) return 1;
        best = fmax(best, margin_of(p, row[at], row[i], NULL));
    }
    return probability(best);
}

static size_t part_doubtful(const photos *p, const fw_shift *s, const uint8_t *said)
{
    fw_decide *w = p->w;
    fw_copies g = group_rows(w);
    uint8_t *leaves = FW_ARRAY(uint8_t, w->v->n);
    size_t changed = 0;
    for (size_t k = 0; k < g.groups; k++)
        for (size_t i = g.begin[k]; i < g.begin[k + 1]; i++) {
            if (said[g.row[i]]) continue;
            double q = tie(p, g.row + g.begin[k], g.begin[k + 1] - g.begin[k], i - g.begin[k]);
            leaves[g.row[i]] = q > 0.5 && fw_shift_apply(s, q) <= 0.5;
        }
    for (size_t i = 0; i < w->v->n; i++)
        if (leaves[i]) w->group[i] = FW_NO_LABEL, changed++;
    fw_free(leaves);
    free_groups(&g);
    return changed;
}

static void shift_copies(const photos *p)
{
    fw_decide *w = p->w;
    fw_answers heard = {0};
    uint8_t *said = FW_ARRAY(uint8_t, w->v->n);
    hear(p, said, &heard);
    fw_shift s = fw_shift_fit(&heard);
    size_t changed = s.n ? part_doubtful(p, &s, said) : 0; /* pairs under the margin are not on record */
    fw_shift_tell("decide", "duplicate", &s, 0.5, changed, w->shifts);
    fw_answers_free(&heard);
    fw_free(said);
}

/* ---- which one stays -------------------------------------------------------------------------------------------- */

/* P(label is wrong), for the question whose label keeps the photo: no label at all comes last. */
static float doubt(const fw_decide *w, size_t row)
{
    return fw_decide_label(w, row) == FW_NO_LABEL ? 2 : w->score[row];
}

static bool better(const photos *p, size_t a, size_t b)
{
    const fw_decide *w = p->w;
    if (w->dup_kept_in[a] != w->dup_kept_in[b]) return w->dup_kept_in[a];
    float x = *(const float *)fw_col_row(p->quality, a), y = *(const float *)fw_col_row(p->quality, b);
    if (x != y) return x > y;
    const int32_t *s = fw_col_row(p->size, a), *t = fw_col_row(p->size, b);
    int64_t area = (int64_t)s[0] * s[1], other = (int64_t)t[0] * t[1];
    return area != other ? area > other : a < b;
}

/* Those that may stay, the first of these that applies: kept and chosen by a curator; kept; all. */
static size_t candidates(const fw_decide *w, const uint32_t *row, size_t n, uint32_t *out)
{
    size_t m = 0;
    for (int pass = 0; pass < 3 && !m; pass++)
        for (size_t i = 0; i < n; i++) {
            bool kept = w->verdict[row[i]] == FW_KEEP, take = pass == 2 || (kept && (pass == 1 || w->chosen[row[i]]));
            if (take) out[m++] = row[i];
        }
    return m;
}

static uint32_t choose(const photos *p, const uint32_t *row, size_t n, uint32_t *scratch)
{
    const fw_decide *w = p->w;
    size_t m = candidates(w, row, n, scratch);
    uint32_t surest = scratch[0], best = FW_NO_LABEL;
    for (size_t i = 1; i < m; i++)
        if (doubt(w, scratch[i]) < doubt(w, surest)) surest = scratch[i];
    for (size_t i = 0; i < m; i++) {
        bool here = fw_decide_label(w, scratch[i]) == fw_decide_label(w, surest);
        bool tied = doubt(w, scratch[i]) == doubt(w, surest);
        if ((here || tied) && (best == FW_NO_LABEL || better(p, scratch[i], best))) best = scratch[i];
    }
    return best;
}

static uint8_t reason(const photos *p, const uint32_t *row, size_t n, uint32_t kept)
{
    const fw_decide *w = p->w;
    bool equal = true, other = false, surer = false;
    for (size_t i = 0; i < n; i++) {
        bool elsewhere = w->v->label[row[i]] != w->v->label[kept] &&
                         fw_decide_merged(w, w->v->label[row[i]]) != fw_decide_merged(w, w->v->label[kept]);
        equal = equal && (row[i] == kept || same_bytes(p, row[i], kept));
        other = other || elsewhere;
        surer = surer || (elsewhere && doubt(w, row[i]) > doubt(w, kept));
    }
    if (w->chosen[kept] || (surer && w->vouched[kept])) return FW_WHY_CURATOR;
    if (surer) return FW_WHY_LABEL;
    return equal && !other ? FW_WHY_FIRST : FW_WHY_QUALITY;
}

/* ---- kinds, similarities, verdicts ------------------------------------------------------------------------------- */

typedef struct member {
    fw_hash hash;
    int order; /* 0: the kept one, 1: one that stays, 2: another */
    uint32_t row;
} member;

static int by_content(const void *x, const void *y)
{
    const member *a = x, *b = y;
    if (a->hash.hi != b->hash.hi) return a->hash.hi < b->hash.hi ? -1 : 1;
    if (a->hash.lo != b->hash.lo) return a->hash.lo < b->hash.lo ? -1 : 1;
    if (a->order != b->order) return a->order - b->order;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Of images with the same bytes the first (the kept one, if it is among them) stands for them, the others are exact. */
static void find_kinds(fw_decide *w, const uint32_t *row, size_t n, uint32_t kept)
{
    member *m = FW_ARRAY(member, n);
    for (size_t i = 0; i < n; i++)
        m[i] = (member){fw_view_hash(w->v, row[i]), row[i] == kept ? 0 : fw_decide_stays(w, row[i]) ? 1 : 2, row[i]};
    qsort(m, n, sizeof *m, by_content);
    for (size_t i = 0; i < n; i++) {
        bool known = m[i].hash.hi | m[i].hash.lo, again = known && i && fw_hash_equal(m[i].hash, m[i - 1].hash);
        bool first = known && i + 1 < n && fw_hash_equal(m[i].hash, m[i + 1].hash) && m[i].row == kept;
        w->dup_kind[m[i].row] = again || first ? FW_DUP_EXACT : FW_DUP_NEAR;
    }
    fw_free(m);
}

/* Stage dedupe measured it where the image that it kept is kept. */
static float similarity(const photos *p, uint32_t row, uint32_t kept)
{
    const fw_decide *w = p->w;
    float correlation;
    if (row == kept || same_bytes(p, row, kept)) return 1;
    if (w->dup_kept_in[kept] && w->group_in[row] == w->group_in[kept]) return w->dup_sim_in[row];
    margin_of(p, row, kept, &correlation);
    return correlation;
}

/* Both stand for the same face under two names. What a curator vouches for is settled. */
static bool contradicts(const photos *p, uint32_t row, uint32_t kept)
{
    const fw_decide *w = p->w;
    uint32_t a = fw_decide_label(w, row), b = fw_decide_label(w, kept);
    if (!fw_decide_stays(w, row) || !fw_decide_stays(w, kept) || w->vouched[row]) return false;
    if (a == FW_NO_LABEL || b == FW_NO_LABEL || (a == b && w->person[row] == w->person[kept])) return false;
    return cosine_of(p, row, kept) > SAME_FACE;
}

static void settle_group(const photos *p, const uint32_t *row, size_t n, uint32_t *scratch)
{
    fw_decide *w = p->w;
    const char *remove = w->t->conf->dedupe_remove;
    uint32_t kept = choose(p, row, n, scratch);
    find_kinds(w, row, n, kept);
    w->dup_kept[kept] = 1;
    w->dup_why[kept] = reason(p, row, n, kept);
    for (size_t i = 0; i < n; i++) {
        w->dup_sim[row[i]] = similarity(p, row[i], kept);
        if (row[i] == kept) continue;
        bool exact = w->dup_kind[row[i]] == FW_DUP_EXACT;
        w->flags[row[i]] |= exact ? FW_FLAG_EXACT_DUPLICATE : FW_FLAG_NEAR_DUPLICATE;
        if (exact ? strcmp(remove, "none") : !strcmp(remove, "all"))
            w->verdict[row[i]] = FW_REMOVE;
        else if (strcmp(remove, "none") && contradicts(p, row[i], kept))
            w->verdict[row[i]] = FW_REVIEW, w->new_label[row[i]] = FW_NO_LABEL, w->person[row[i]] = 1;
    }
}

int fw_decide_copies(fw_decide *w, fw_err *e)
{
    photos p = {.w = w, .vec = fw_task_vectors(w->t, "", e)};
    if (!p.vec || !(p.signature = fw_task_cols(w->t, "signature.bytes", "", e))) return e->code;
    if (!(p.quality = fw_task_cols(w->t, "quality.score", "", e))) return e->code;
    if (!(p.size = fw_task_cols(w->t, "detect.size", "", e))) return e->code;
    shift_copies(&p);
    take_claims(w);
    drop_single(w);
    fw_copies g = group_rows(w);
    uint32_t *scratch = FW_ARRAY(uint32_t, w->v->n);
    for (size_t k = 0; k < g.groups; k++) {
        size_t n = g.begin[k + 1] - g.begin[k];
        if (n) settle_group(&p, g.row + g.begin[k], n, scratch);
    }
    fw_free(scratch);
    free_groups(&g);
    return FW_OK;
}
