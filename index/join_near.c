/* Which lists are nearest to a row, as the kernel sees it: every centre is scored. (Groups of centres, of which only the
 * nearest are looked into, were tried: faces lie in so many dimensions that a group of 158 of 25,000 centres says little of
 * its members. Rows then miss their homes, and four times as many lists must be looked into for the same recall.)
 *
 * A row may want thousands of lists, and to sort them out of all as they come takes longer than to score them. So a
 * share of the centres is scored first, and the k-th best of all is estimated from it; of what reaches that, little is
 * too much. */
#include "ivf.h"

#include <math.h>
#include <string.h>

/* One panel in SHARE is scored twice. */
#define SHARE 16

void fw_near_init(fw_near *n, const fw_search *s, const fw_pack *centres)
{
    *n = (fw_near){.s = s, .centres = centres};
    fw_block_init(&n->b, centres);
}

void fw_near_free(fw_near *n)
{
    fw_cand_free(&n->c);
    fw_block_free(&n->b);
}

/* Room for a block of rows that keep `keep` each, in what is there or anew. */
static void room_for(fw_near *n, uint32_t keep)
{
    const uint32_t cap = fw_list_cap(keep);
    if (cap > n->room) {
        fw_cand_free(&n->c);
        fw_cand_init(&n->c, FW_JOIN_ROWS, keep, cap);
        n->room = cap;
    }
    n->c.keep = keep;
    n->c.cap = cap;
    fw_cand_reset(&n->c, FW_JOIN_ROWS);
}

/* The block's rows against every step-th panel of centres. */
static void scan(fw_near *n, size_t count, size_t step)
{
    const size_t nr = (size_t)n->centres->q->kern->nr;
    memcpy(n->b.row_min, n->c.min, count * sizeof *n->c.min);
    for (size_t panel = 0; panel < n->centres->panels && !fw_stopping(); panel += step) {
        const size_t hits = fw_block_score(&n->b, n->centres, panel);
        for (size_t h = 0; h < hits; h++)
            fw_cand_offer(&n->c, fw_hit_row(&n->b, h), n->b.strip.score[h],
                          (uint32_t)(panel * nr + fw_hit_col(&n->b, h)));
        if (hits) memcpy(n->b.row_min, n->c.min, count * sizeof *n->c.min);
    }
}

/* Thresholds that k centres reach, and seldom fewer: the estimate's own scatter, twice, and a few are allowed for. */
static void estimate(fw_near *n, size_t count, uint32_t k, float *least)
{
    const double share = (double)k / SHARE;
    room_for(n, (uint32_t)(share + 2 * sqrt(share) + 8));
    scan(n, count, SHARE);
    for (size_t i = 0; i < count; i++) {
        fw_cand_cut(&n->c, i);
        least[i] = n->c.min[i];
    }
}

/* A block: the k best of each row; false for row i of it in `enough` where fewer reached its threshold. */
static void find(fw_near *n, const uint32_t *pos, size_t count, uint32_t k, bool seeded)
{
    float least[FW_JOIN_ROWS];
    fw_block_load(&n->b, n->s->probe, pos, count);
    if (seeded) estimate(n, count, k, least);
    room_for(n, k);
    if (seeded) memcpy(n->c.min, least, count * sizeof *least);
    scan(n, count, 1);
    for (size_t i = 0; i < count; i++) fw_cand_cut(&n->c, i);
}

static void take(const fw_near *n, size_t i, uint32_t k, uint32_t *out)
{
    for (size_t j = 0; j < k; j++) out[j] = fw_key_id(n->c.key[i * n->c.cap + j]);
}

static void lists_of_block(fw_near *n, const uint32_t *pos, size_t count, uint32_t k, const size_t *at, uint32_t *out)
{
    uint32_t again[FW_JOIN_ROWS];
    size_t to[FW_JOIN_ROWS], few = 0;
    find(n, pos, count, k, true);
    for (size_t i = 0; i < count && !fw_stopping(); i++) {
        if (n->c.len[i] == k) {
            take(n, i, k, out + at[i]);
            continue;
        }
        again[few] = pos[i];
        to[few++] = at[i];
    }
    if (few) find(n, again, few, k, false);
    for (size_t i = 0; i < few && !fw_stopping(); i++) take(n, i, k, out + to[i]);
}

void fw_near_lists(fw_near *n, const uint32_t *pos, size_t count, uint32_t k, const size_t *at, uint32_t *out)
{
    for (size_t first = 0; first < count && !fw_stopping(); first += FW_JOIN_ROWS) {
        const size_t now = count - first < FW_JOIN_ROWS ? count - first : FW_JOIN_ROWS;
        lists_of_block(n, pos + first, now, k, at + first, out);
    }
}
