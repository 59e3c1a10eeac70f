#include "join.h"

#include <math.h>

/* Which rows are the k nearest, in no order: for that a score is mostly enough. A candidate's similarity lies between lower =
 * score - 2 (loss_i + loss_j) and its score. Above the (k+1)-th score with its lower: in. Below the k-th lower with its
 * score: out. Only between are true similarities needed. */

/* Rounding of a score to fp32 and of this subtraction, where rows have unit length: a score is under 2, its unit
 * roundoff 6e-8. For longer rows it is the surplus of the losses' own allowance for rounding that covers it. */
#define SLACK 1e-6f

static float lower_bound(const fw_search *s, size_t p, uint64_t key)
{
    float loss = s->probe->loss[p] + s->gallery->loss[fw_key_id(key)];
    return fw_key_score(key) - 2.00001f * loss - SLACK;
}

static float kth_lower(const fw_search *s, size_t p, const uint64_t *key, size_t len)
{
    uint64_t low[FW_JOIN_KEEP_MAX];
    for (size_t i = 0; i < len; i++) low[i] = fw_key(lower_bound(s, p, key[i]), (uint32_t)i);
    return fw_key_score(fw_key_select(low, len, s->k));
}

/* As fw_search_finish, for a set. `out`: k gallery rows, 0 < k < len. False: what was dropped might belong to it. */
static bool finish_set(const fw_search *s, float *query, size_t p, uint64_t *key, size_t len, float min, uint32_t *out)
{
    const float next = fw_key_score(fw_key_select(key, len, s->k + 1)), least = kth_lower(s, p, key, len);
    size_t in = 0, open = 0;
    for (size_t i = 0; i < len; i++) {
        if (lower_bound(s, p, key[i]) > next)
            out[in++] = s->gallery_row[fw_key_id(key[i])];
        else if (fw_key_score(key[i]) >= least)
            key[open++] = key[i];
    }
    fw_true_keys(s, query, p, key, open);
    if (in == s->k) return true; /* all of them above the (k+1)-th score, so above `min` */
    const size_t need = s->k - in;
    const float last = fw_key_score(fw_key_select(key, open, need));
    for (size_t i = 0; i < need; i++) out[in++] = fw_key_id(key[i]);
    return last > min;
}

/* By the true similarity of everybody: for the few whose lists were too short. */

static void offer_true(const fw_search *s, fw_cand *c, float *query, size_t p, size_t begin, size_t end)
{
    uint32_t id[64];
    float sim[64];
    while (begin < end) {
        size_t n = 0;
        for (; begin < end && n < FW_COUNT(id); begin++)
            if (fw_admissible(s, p, begin)) id[n++] = s->gallery_row[begin];
        if (n) fw_rank_dots(s->probe_v, s->probe_row[p], s->gallery_v, id, n, query, sim);
        for (size_t i = 0; i < n; i++) fw_cand_offer(c, 0, sim[i], id[i]);
    }
}

static void set_by_all(const fw_search *s, float *query, size_t p, uint32_t *out)
{
    fw_cand c;
    fw_cand_init(&c, 1, s->k, 2 * s->k + 8);
    offer_true(s, &c, query, p, 0, s->gallery->n);
    fw_cand_cut(&c, 0);
    for (size_t i = 0; i < c.len[0]; i++) out[i] = fw_key_id(c.key[i]);
    fw_cand_free(&c);
}

static void take_rows(const fw_search *s, const uint64_t *key, size_t n, uint32_t *out)
{
    for (size_t i = 0; i < n; i++) out[i] = s->gallery_row[fw_key_id(key[i])];
}

static void finish(const fw_search *s, float *query, size_t p, uint64_t *key, size_t len, float min, uint32_t *out)
{
    if (len <= s->k && min == -INFINITY)
        take_rows(s, key, len, out);
    else if (len <= s->k || !finish_set(s, query, p, key, len, min, out))
        set_by_all(s, query, p, out);
}

/* Candidates kept for a set of k. int8, LFW's covariance, 130 of 8,000 centres: with 2 k + 12 3 rows of 250 k need more
 * (they are compared with everybody), with 1.5 k + 12 3 %, and it is no faster. */
static uint32_t keep_for(const fw_kernel *kern, uint32_t k)
{
    uint32_t keep = kern->word == FW_WORD_INT8 ? 2 * k + 12 : k + k / 4 + 8;
    return keep < FW_JOIN_KEEP_MAX ? keep : FW_JOIN_KEEP_MAX;
}

/* Rows first.. of the search, one block. */
static void nearest_block(const fw_nearest *n, const fw_search *s, fw_block *b, fw_cand *c, size_t first, uint32_t *out)
{
    uint32_t pick[FW_JOIN_ROWS];
    size_t count = n->p->n - first < FW_JOIN_ROWS ? n->p->n - first : FW_JOIN_ROWS;
    for (size_t i = 0; i < count; i++) pick[i] = (uint32_t)(first + i);
    fw_search_scan(s, b, c, pick, count);
    for (size_t i = 0; i < count && !fw_stopping(); i++) {
        fw_cand_cut(c, i);
        uint64_t *key = c->key + i * c->cap;
        finish(s, b->query, pick[i], key, c->len[i], c->min[i], out + (first + i) * n->k);
    }
}

int fw_search_nearest(const fw_nearest *n, uint32_t **id, fw_err *e)
{
    fw_search s = {.probe_v = n->v, .gallery_v = n->w, .probe_row = n->row, .gallery_row = n->wrow, .self = n->self};
    s.probe = n->p, s.gallery = n->g;
    s.k = n->k;
    s.keep = keep_for(n->p->q->kern, n->k);
    uint32_t *out = *id = FW_ARRAY(uint32_t, n->p->n * n->k);
#pragma omp parallel
    {
        fw_block b;
        fw_cand c;
        fw_block_init(&b, s.gallery);
        fw_cand_init(&c, FW_JOIN_ROWS, s.keep, fw_list_cap(s.keep));
#pragma omp for schedule(dynamic, 1)
        for (size_t first = 0; first < n->p->n; first += FW_JOIN_ROWS) nearest_block(n, &s, &b, &c, first, out);
        fw_cand_free(&c);
        fw_block_free(&b);
    }
    return fw_check_stop(e);
}
