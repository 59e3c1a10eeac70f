/* From candidates to certified neighbours. */
#include "join.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* A list grows to half as much again before it is cut back: longer lists are cut less often but take memory (1 M rows x
 * 168 keys are 1.3 GB). */
uint32_t fw_list_cap(uint32_t keep)
{
    return keep + keep / 2 + 8;
}

size_t fw_search_symmetric_bytes(const fw_search *s)
{
    return s->probe->n * (fw_list_cap(s->keep) * sizeof(uint64_t) + sizeof(uint32_t) + sizeof(float));
}

static uint64_t place_of(const fw_search *s, size_t p)
{
    return s->off[s->probe_row[p]];
}

void fw_search_write(const fw_search *s, size_t p, const uint64_t *key, size_t len)
{
    uint64_t at = place_of(s, p);
    for (size_t i = 0; i < len; i++) {
        s->id[at + i] = fw_key_id(key[i]);
        s->sim[at + i] = fw_key_score(key[i]);
    }
}

void fw_true_keys(const fw_search *s, float *query, size_t p, uint64_t *key, size_t n)
{
    uint32_t id[FW_JOIN_KEEP_MAX];
    float sim[FW_JOIN_KEEP_MAX];
    size_t i = 0;
    if (!n) return;
    do id[i] = s->gallery_row[fw_key_id(key[i])];
    while (++i < n);
    fw_rank_dots(s->probe_v, s->probe_row[p], s->gallery_v, id, n, query, sim);
    while (i-- > 0) key[i] = fw_key(sim[i], id[i]);
}

/* Of key[from..len-1] those that may still be as similar as `least` come first; returns where the others begin. */
static size_t hopefuls_first(uint64_t *key, size_t from, size_t len, float least)
{
    size_t end = from;
    for (size_t i = from; i < len; i++)
        if (fw_key_score(key[i]) >= least) {
            uint64_t x = key[i];
            key[i] = key[end];
            key[end++] = x;
        }
    return end;
}

/* The best by bound give a k-th similarity; who cannot reach that is not looked at (k 64: 50 of 160 are not). */
size_t fw_finish_best(const fw_search *s, uint64_t *key, size_t len)
{
    size_t take = len < s->k ? len : s->k, sure = take + take / 4 + 2;
    if (sure >= len) return len;
    fw_key_select(key, len, sure);
    return sure;
}

size_t fw_finish_hopeful(const fw_search *s, uint64_t *key, size_t sure, size_t len)
{
    return sure == len ? len : hopefuls_first(key, sure, len, fw_key_score(fw_key_select(key, sure, s->k)));
}

bool fw_finish_write(const fw_search *s, size_t p, uint64_t *key, size_t end, float min)
{
    size_t take = end < s->k ? end : s->k;
    if (!end) return true;
    if (take < end) fw_key_select(key, end, take);
    fw_key_sort(key, take);
    fw_search_write(s, p, key, take);
    if (min == -INFINITY) return true;
    return take == s->k && fw_key_score(key[take - 1]) > min;
}

bool fw_search_finish(const fw_search *s, float *query, size_t p, uint64_t *key, size_t len, float min)
{
    size_t sure = fw_finish_best(s, key, len);
    fw_true_keys(s, query, p, key, sure);
    size_t end = fw_finish_hopeful(s, key, sure, len);
    fw_true_keys(s, query, p, key + sure, end - sure);
    return fw_finish_write(s, p, key, end, min);
}

/* List i of c holds the candidates of probe p. Is its answer certified? */
static bool finish_one(fw_search *s, fw_cand *c, float *query, size_t p, size_t i)
{
    fw_cand_cut(c, i);
    return fw_search_finish(s, query, p, c->key + i * c->cap, c->len[i], c->min[i]);
}

static void list_open(fw_search *s, const uint32_t *probes, size_t n, const uint8_t *sure)
{
    s->open_count = 0;
    s->open = FW_ARRAY(uint32_t, n);
    for (size_t i = 0; i < n; i++) {
        const uint32_t p = probes ? probes[i] : (uint32_t)i;
        if (!sure[p]) s->open[s->open_count++] = p;
    }
}

int fw_search_symmetric(fw_search *s, fw_err *e)
{
    fw_cand c;
    size_t n = s->probe->n;
    uint8_t *sure = FW_ARRAY(uint8_t, n);
    fw_cand_init(&c, n, s->keep, fw_list_cap(s->keep));
    int rc = fw_join_self(s->probe, &c, e);
#pragma omp parallel if (!rc)
    {
        float *query = fw_alloc_aligned(2 * (size_t)s->probe_v->dim, sizeof *query);
#pragma omp for schedule(dynamic, 64)
        for (size_t i = 0; i < n; i++)
            if (!rc && !fw_stopping()) sure[i] = finish_one(s, &c, query, i, i);
        fw_free(query);
    }
    fw_cand_free(&c);
    list_open(s, NULL, n, sure);
    fw_free(sure);
    return rc ? rc : fw_check_stop(e);
}

void fw_search_scan(const fw_search *s, fw_block *b, fw_cand *c, const uint32_t *pick, size_t count)
{
    const size_t panels = s->gallery->panels, nr = (size_t)s->gallery->q->kern->nr;
    fw_block_load(b, s->probe, pick, count);
    fw_cand_reset(c, FW_JOIN_ROWS);
    for (size_t panel = 0; panel < panels && !fw_stopping(); panel++) {
        size_t hits = fw_block_score(b, s->gallery, panel);
        for (size_t h = 0; h < hits; h++) {
            size_t r = fw_hit_row(b, h), col = panel * nr + fw_hit_col(b, h);
            if (fw_admissible(s, pick[r], col)) fw_cand_offer(c, r, b->strip.score[h], (uint32_t)col);
        }
        if (hits) memcpy(b->row_min, c->min, count * sizeof *c->min);
    }
}

/* Rows of a block of n: four blocks for each thread, so that all end together, unless that makes them slow. */
static size_t block_rows(size_t n)
{
    const size_t least = 48, fair = n / (4 * (size_t)omp_get_max_threads());
    return fair > FW_JOIN_ROWS ? FW_JOIN_ROWS : fair < least ? least : fair;
}

/* Positions first.. of n, or of pick, at most `rows`; returns how many go into one block. */
static size_t take_range(uint32_t *out, const uint32_t *pick, size_t first, size_t n, size_t rows)
{
    size_t count = n - first < rows ? n - first : rows;
    for (size_t i = 0; i < count; i++) out[i] = pick ? pick[first + i] : (uint32_t)(first + i);
    return count;
}

static void search_block(fw_search *s, fw_block *b, fw_cand *c, const uint32_t *probes, size_t first, size_t n,
                         size_t rows, uint8_t *sure)
{
    uint32_t pick[FW_JOIN_ROWS];
    size_t count = take_range(pick, probes, first, n, rows);
    fw_search_scan(s, b, c, pick, count);
    for (size_t i = 0; i < count && !fw_stopping(); i++) sure[pick[i]] = finish_one(s, c, b->query, pick[i], i);
}

int fw_search_blocks(fw_search *s, const uint32_t *probes, size_t n, fw_err *e)
{
    const size_t rows = block_rows(n);
    uint8_t *sure = FW_ARRAY(uint8_t, s->probe->n);
#pragma omp parallel
    {
        fw_block b;
        fw_cand c;
        fw_block_init(&b, s->gallery);
        fw_cand_init(&c, FW_JOIN_ROWS, s->keep, fw_list_cap(s->keep));
#pragma omp for schedule(dynamic, 1)
        for (size_t first = 0; first < n; first += rows) search_block(s, &b, &c, probes, first, n, rows, sure);
        fw_cand_free(&c);
        fw_block_free(&b);
    }
    list_open(s, probes, n, sure);
    fw_free(sure);
    return fw_check_stop(e);
}

static float current_kth(const fw_search *s, size_t p)
{
    return s->sim[place_of(s, p) + s->k - 1];
}

void fw_search_verify(const fw_search *s, fw_block *b, fw_cand *c, const uint32_t *pos, const uint32_t *pick,
                      size_t panel, size_t hits, size_t begin, size_t end)
{
    const size_t nr = (size_t)s->gallery->q->kern->nr;
    uint32_t id[64];
    float sim[64];
    for (size_t h = 0; h < hits;) {
        const size_t r = fw_hit_row(b, h), list = pick ? pick[r] : r, p = pos[list];
        size_t n = 0;
        for (; h < hits && fw_hit_row(b, h) == r; h++) {
            const size_t col = panel * nr + fw_hit_col(b, h);
            if (col >= begin && col < end && fw_admissible(s, p, col)) id[n++] = s->gallery_row[col];
        }
        if (n) fw_rank_dots(s->probe_v, s->probe_row[p], s->gallery_v, id, n, b->query, sim);
        for (size_t i = 0; i < n; i++) fw_cand_offer(c, list, sim[i], id[i]);
        b->row_min[r] = c->min[list];
    }
}

/* The candidates now are all pairs whose score, an upper bound, reaches the k-th similarity known so far: none can be
 * missed, and each is judged by its true similarity. */
static void redo_block(fw_search *s, fw_block *b, fw_cand *c, size_t first, size_t rows)
{
    uint32_t pick[FW_JOIN_ROWS];
    size_t count = take_range(pick, s->open, first, s->open_count, rows);
    fw_block_load(b, s->probe, pick, count);
    fw_cand_reset(c, FW_JOIN_ROWS);
    for (size_t i = 0; i < count; i++) b->row_min[i] = c->min[i] = current_kth(s, pick[i]);
    for (size_t panel = 0; panel < s->gallery->panels && !fw_stopping(); panel++)
        fw_search_verify(s, b, c, pick, NULL, panel, fw_block_score(b, s->gallery, panel), 0, s->gallery->n);
    for (size_t i = 0; i < count && !fw_stopping(); i++) {
        fw_cand_cut(c, i);
        fw_key_sort(c->key + i * c->cap, c->len[i]);
        fw_search_write(s, s->open[first + i], c->key + i * c->cap, c->len[i]);
    }
}

int fw_search_redo(fw_search *s, fw_err *e)
{
    const size_t rows = block_rows(s->open_count);
#pragma omp parallel if (s->open_count > 0)
    {
        fw_block b;
        fw_cand c;
        fw_block_init(&b, s->gallery);
        fw_cand_init(&c, FW_JOIN_ROWS, s->k, fw_list_cap(s->k));
#pragma omp for schedule(dynamic, 1)
        for (size_t first = 0; first < s->open_count; first += rows) redo_block(s, &b, &c, first, rows);
        fw_cand_free(&c);
        fw_block_free(&b);
    }
    return fw_check_stop(e);
}

/* A row is certified when its k-th similarity exceeds the worst score kept, an upper bound; the longer the list, the
 * more rows are certified and the more is re-scored. int8, k 64, 60 k rows with the
 * covariance of LFW's embeddings: keeping k + 32 certifies 9 %, + 48 71 %, + 64 98 %, + 96 all; + 64 and + 96 cost the
 * same. At 100 k, + 96 and bf16's + 24 leave 3 rows each. Larger sets have not been measured. */
uint32_t fw_search_keep(const fw_kernel *kern, uint32_t k)
{
    uint32_t keep = kern->word == FW_WORD_INT8 ? 2 * k + 32 : kern->word == FW_WORD_BF16 ? k + k / 4 + 8 : k + 8;
    return keep < FW_JOIN_KEEP_MAX ? keep : FW_JOIN_KEEP_MAX;
}
