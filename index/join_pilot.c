/* How many candidates a row must keep, measured on some rows before all are searched. */
#include "join.h"

#include <stdlib.h>

/* One row in 200, at most a block of them: 1 to 3 % of a search by a few threads (of many, ten work at it). Fewer than 50
 * say little about the last percent. */
#define ROWS  480
#define SHARE 200
#define LEAST 50

/* Longer lists than this are not kept: memory, and a kernel that needs them rounds too coarsely anyway. */
static uint32_t longest(const fw_search *s)
{
    uint32_t keep = 8 * s->k + 64;
    return keep < FW_JOIN_KEEP_MAX ? keep : FW_JOIN_KEEP_MAX;
}

/* The 99th percentile of the sample, an eighth, and a few: a row is certified when something worse than its k-th is
 * kept, and one that was given too few is searched again at twice the cost. int8, 100 k rows, needs of 213 to 297
 * (isotropic): 99.9 % certified; 110 to 136 (LFW's covariance): 99.9 %. Rows that need more than any list holds (one
 * placeholder picture, a thousand times) are redone whatever is kept for the others; if they are many, as usual. */
static uint32_t keep_of(const fw_search *s, const uint32_t *need, size_t count)
{
    size_t good = count;
    while (good && need[good - 1] >= longest(s)) good--;
    if (good < count / 2) return fw_search_keep(s->gallery->q->kern, s->k);
    const uint32_t most = need[good - 1 - good / 100], keep = most + most / 8 + 8;
    return keep < longest(s) ? keep : longest(s);
}

/* Candidates of list i of c whose score reaches the true k-th similarity of probe p: so many must be kept. */
static uint32_t need_of(const fw_search *s, fw_cand *c, float *query, size_t p, size_t i)
{
    uint64_t *key = c->key + i * c->cap;
    float score[FW_JOIN_KEEP_MAX];
    fw_cand_cut(c, i);
    const uint32_t len = c->len[i];
    if (len <= s->k) return s->k;
    for (uint32_t j = 0; j < len; j++) score[j] = fw_key_score(key[j]);
    fw_true_keys(s, query, p, key, len);
    const float kth = fw_key_score(fw_key_select(key, len, s->k));
    uint32_t need = 0;
    for (uint32_t j = 0; j < len; j++) need += score[j] >= kth;
    return need;
}

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* need[i] of the probe at position pick[i]. In small blocks, which threads share. */
static void measure(const fw_search *s, const uint32_t *pick, size_t count, uint32_t *need)
{
    enum { BLOCK = 48 };
#pragma omp parallel
    {
        fw_block b;
        fw_cand c;
        fw_block_init(&b, s->gallery);
        fw_cand_init(&c, FW_JOIN_ROWS, longest(s), fw_list_cap(longest(s)));
#pragma omp for schedule(dynamic, 1)
        for (size_t first = 0; first < count; first += BLOCK) {
            const size_t n = count - first < BLOCK ? count - first : BLOCK;
            fw_search_scan(s, &b, &c, pick + first, n);
            for (size_t i = 0; i < n && !fw_stopping(); i++)
                need[first + i] = need_of(s, &c, b.query, pick[first + i], i);
        }
        fw_cand_free(&c);
        fw_block_free(&b);
    }
}

uint32_t fw_search_pilot(const fw_search *s)
{
    const size_t n = s->probe->n, share = n / SHARE, count = share < ROWS ? share : ROWS;
    if (count < LEAST || s->gallery->n <= longest(s)) return fw_search_keep(s->gallery->q->kern, s->k);
    uint32_t *all = fw_iota(n), *pick = fw_sample_rows(all, n, count, 0), *need = FW_ARRAY(uint32_t, count);
    measure(s, pick, count, need);
    qsort(need, count, sizeof *need, ascending);
    const uint32_t keep = keep_of(s, need, count);
    fw_free(all), fw_free(pick), fw_free(need);
    return keep;
}
