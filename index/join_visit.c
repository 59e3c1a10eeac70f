/* Rows visit lists: all pairs of a task's rows and the members of the lists that each looks into. */
#include "ivf.h"

#include <string.h>

void fw_visit_init(fw_visit *v, const fw_search *s, const size_t *first, size_t lists, size_t rows, uint32_t keep)
{
    *v = (fw_visit){.s = s, .first = first, .lists = lists};
    fw_block_init(&v->b, s->gallery);
    fw_rows_init(&v->rows, s->probe, rows);
    fw_cand_init(&v->c, rows, keep, fw_list_cap(keep));
    v->end = FW_ARRAY(uint32_t, lists + 1);
}

void fw_visit_free(fw_visit *v)
{
    fw_free(v->row), fw_free(v->end);
    fw_cand_free(&v->c);
    fw_rows_free(&v->rows);
    fw_block_free(&v->b);
}

void fw_visit_rows(fw_visit *v, const uint32_t *pos, size_t count)
{
    v->pos = pos;
    v->count = count;
    fw_rows_take(&v->rows, v->s->probe, pos, count);
    fw_cand_reset(&v->c, count);
}

void fw_visit_keep(fw_visit *v, uint32_t keep)
{
    v->c.keep = keep;
    v->c.cap = fw_list_cap(keep);
    fw_cand_reset(&v->c, v->count);
}

/* Hits of a panel, of rows pick[..] of the task; columns outside of begin .. end - 1 belong to other lists. */
typedef void take_hits(fw_visit *v, const uint32_t *pick, size_t hits, size_t panel, size_t begin, size_t end);

static void take_scores(fw_visit *v, const uint32_t *pick, size_t hits, size_t panel, size_t begin, size_t end)
{
    fw_block *b = &v->b;
    const size_t nr = (size_t)v->s->gallery->q->kern->nr;
    for (size_t h = 0; h < hits; h++) {
        size_t i = fw_hit_row(b, h), col = panel * nr + fw_hit_col(b, h);
        if (col < begin || col >= end || col == v->pos[pick[i]]) continue;
        fw_cand_offer(&v->c, pick[i], b->strip.score[h], (uint32_t)col);
        b->row_min[i] = v->c.min[pick[i]];
    }
}

static void take_verified(fw_visit *v, const uint32_t *pick, size_t hits, size_t panel, size_t begin, size_t end)
{
    fw_search_verify(v->s, &v->b, &v->c, v->pos, pick, panel, hits, begin, end);
}

/* Rows pick[0..count-1] of the task against the members of one list. */
static void meet_list(fw_visit *v, const uint32_t *pick, size_t count, size_t list, take_hits *take)
{
    fw_block *b = &v->b;
    const size_t nr = (size_t)v->s->gallery->q->kern->nr, begin = v->first[list], end = v->first[list + 1];
    if (begin == end) return;
    fw_block_load_rows(b, v->s->probe, &v->rows, pick, count);
    for (size_t i = 0; i < count; i++) b->row_min[i] = v->c.min[pick[i]];
    for (size_t panel = begin / nr; panel * nr < end && !fw_stopping(); panel++)
        take(v, pick, fw_block_score(b, v->s->gallery, panel), panel, begin, end);
}

/* The task's rows by the list that they visit: v->row[v->end[l - 1]] .. v->row[v->end[l] - 1] visit list l. */
static void by_list(fw_visit *v, const size_t *off, const uint32_t *near)
{
    uint32_t *end = v->end;
    memset(end, 0, (v->lists + 1) * sizeof *end);
    fw_ivf_room(&v->row, &v->room, off[v->count] - off[0]);
    for (size_t k = off[0]; k < off[v->count]; k++) end[near[k] + 1]++;
    for (size_t l = 0; l < v->lists; l++) end[l + 1] += end[l];
    for (size_t i = 0; i < v->count; i++) /* end[l] is where list l begins, and moves on */
        for (size_t k = off[i]; k < off[i + 1]; k++) v->row[end[near[k]]++] = (uint32_t)i;
}

static void meet_lists(fw_visit *v, const size_t *off, const uint32_t *near, size_t first, take_hits *take)
{
    by_list(v, off, near);
    for (size_t step = 0; step < v->lists && !fw_stopping(); step++) {
        const size_t l = (first + step) % v->lists, end = v->end[l];
        for (size_t at = l ? v->end[l - 1] : 0, n; at < end; at += n) {
            n = end - at < FW_JOIN_ROWS ? end - at : FW_JOIN_ROWS;
            meet_list(v, v->row + at, n, l, take);
        }
    }
}

void fw_visit_score(fw_visit *v, const size_t *off, const uint32_t *near, size_t begin)
{
    meet_lists(v, off, near, begin, take_scores);
}

void fw_visit_verify(fw_visit *v, const size_t *off, const uint32_t *near, size_t begin)
{
    meet_lists(v, off, near, begin, take_verified);
}
