/* The true similarities of a task's rows and their candidates, all pairs of the task at once.
 *
 * A row has about a hundred candidates anywhere in the set, and to fetch 1 KB from a set of gigabytes takes longer than to
 * multiply it. Rows of one task lie near each other, so they share candidates: each of those is fetched once and meets
 * all its rows, which lie side by side in the cache. */
#include "join.h"

#include <string.h>

void fw_rank_init(fw_rank *r, const fw_search *s, size_t rows, size_t pairs)
{
    size_t dim = (size_t)s->probe_v->dim;
    *r = (fw_rank){.s = s};
    r->own = fw_alloc_aligned(rows * dim, sizeof *r->own);
    r->rows = fw_vectors_wrap(r->own, rows, s->probe_v->dim, NULL);
    r->pair = fw_alloc(pairs, sizeof *r->pair);
    r->spare = fw_alloc(pairs, sizeof *r->spare);
    r->query = fw_alloc_aligned(2 * dim, sizeof *r->query);
    r->id = FW_ARRAY(uint32_t, rows + 4);
    r->sim = FW_ARRAY(float, rows + 4);
}

void fw_rank_free(fw_rank *r)
{
    fw_vectors_free(r->rows);
    fw_free(r->own), fw_free(r->pair), fw_free(r->spare);
    fw_free(r->query), fw_free(r->id), fw_free(r->sim);
}

void fw_rank_rows(fw_rank *r, const uint32_t *pos, size_t count)
{
    const fw_vectors *v = r->s->probe_v;
    size_t dim = (size_t)v->dim;
    for (size_t i = 0; i < count; i++)
        memcpy(r->own + i * dim, fw_vectors_half(v, r->s->probe_row[pos[i]]), dim * sizeof *r->own);
    r->n = 0;
}

/* By the upper 32 bits. */
static void sort_pairs(fw_rank *r)
{
    enum { BITS = 11, SIZE = 1 << BITS };
    for (unsigned shift = 32; shift < 64; shift += BITS) {
        size_t start[SIZE + 1] = {0};
        for (size_t i = 0; i < r->n; i++) start[(r->pair[i] >> shift & (SIZE - 1)) + 1]++;
        for (size_t b = 0; b < SIZE; b++) start[b + 1] += start[b];
        for (size_t i = 0; i < r->n; i++) r->spare[start[r->pair[i] >> shift & (SIZE - 1)]++] = r->pair[i];
        uint64_t *sorted = r->spare;
        r->spare = r->pair;
        r->pair = sorted;
    }
}

static void fetch_early(const fw_rank *r, size_t i)
{
    if (i >= r->n) return;
    const fw_vectors *w = r->s->gallery_v;
    const uint16_t *h = fw_vectors_half(w, r->s->gallery_row[r->pair[i] >> 32]);
    for (int b = 0; b < w->dim; b += 32) __builtin_prefetch(h + b, 0, 2);
}

/* Pairs begin .. end-1 have one candidate. Dots are made by fours, so the last row fills up. */
static void rank_candidate(fw_rank *r, uint64_t *key, size_t room, size_t begin, size_t end)
{
    const fw_search *s = r->s;
    const uint32_t row = s->gallery_row[r->pair[begin] >> 32];
    size_t n = 0;
    for (size_t i = begin; i < end; i++) r->id[n++] = (uint32_t)((uint32_t)r->pair[i] / room);
    while (n % 4) r->id[n] = r->id[n - 1], n++;
    fw_rank_dots(s->gallery_v, row, r->rows, r->id, n, r->query, r->sim);
    for (size_t i = begin; i < end; i++) key[(uint32_t)r->pair[i]] = fw_key(r->sim[i - begin], row);
}

void fw_rank_run(fw_rank *r, uint64_t *key, size_t room)
{
    sort_pairs(r);
    for (size_t begin = 0, end; begin < r->n && !fw_stopping(); begin = end) {
        for (end = begin + 1; end < r->n && r->pair[end] >> 32 == r->pair[begin] >> 32;) end++;
        fetch_early(r, end);
        rank_candidate(r, key, room, begin, end);
    }
    r->n = 0;
}
