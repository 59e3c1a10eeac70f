/* Which lists are nearest to a row, as the kernel sees it: every centre is scored. (Groups of centres, of which only the
 * nearest are looked into, were tried: faces lie in so many dimensions that a group of 158 of 25,000 centres says little of
 * its members. Rows then miss their homes, and four times as many lists must be looked into for the same recall.)
 *
 * A row may want thousands of lists, and to sort them out of all as they come takes longer than to score them. So a
 * share of the centres is scored first, and the k-th best of all is estimated from it; of what reaches that, little is
 * too much. Where it is too little (lists that lie near each other share a panel, so a share is no fair sample), the row
 * is answered without an estimate. */
#include "ivf.h"

#include <math.h>
#include <string.h>

/* One panel in SHARE is scored twice. */
#define SHARE 16
/* Keys of a block of rows: 32 MB a thread. */
#define KEYS ((size_t)1 << 22)

/* Rows of a block that wants k lists each. */
static size_t block_rows(uint32_t k)
{
    const size_t fit = KEYS / fw_list_cap(k), least = 32;
    return fit > FW_JOIN_ROWS ? FW_JOIN_ROWS : fit < least ? least : fit;
}

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

/* Lists of `keep` candidates for `rows` rows, in what is there or anew. */
static void room_for(fw_near *n, size_t rows, uint32_t keep)
{
    const uint32_t cap = fw_list_cap(keep);
    if (rows > n->rows || rows * cap > n->keys) {
        n->rows = rows > n->rows ? rows : n->rows;
        n->keys = rows * cap > n->keys ? rows * cap : n->keys;
        fw_cand_free(&n->c);
        fw_cand_init(&n->c, n->rows, keep, (uint32_t)((n->keys + n->rows - 1) / n->rows));
    }
    n->c.keep = keep;
    n->c.cap = cap;
    fw_cand_reset(&n->c, rows);
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
    room_for(n, count, (uint32_t)(share + 2 * sqrt(share) + 8));
    scan(n, count, SHARE);
    for (size_t i = 0; i < count; i++) {
        fw_cand_cut(&n->c, i);
        least[i] = n->c.min[i];
    }
}

/* A block: the k best of each row. By estimated thresholds, which fewer may reach, or without. */
static void find(fw_near *n, const uint32_t *pos, size_t count, uint32_t k, bool estimated)
{
    float least[FW_JOIN_ROWS];
    fw_block_load(&n->b, n->s->probe, pos, count);
    if (estimated) estimate(n, count, k, least);
    room_for(n, count, k);
    if (estimated) memcpy(n->c.min, least, count * sizeof *least);
    scan(n, count, 1);
    for (size_t i = 0; i < count; i++) fw_cand_cut(&n->c, i);
}

static void take(const fw_near *n, size_t i, uint32_t k, uint32_t *out)
{
    uint64_t *key = n->c.key + i * n->c.cap;
    size_t worst = 0;
    for (size_t j = 1; j < k; j++)
        if (key[j] < key[worst]) worst = j;
    for (size_t j = 0; j < k; j++) out[j] = fw_key_id(key[j]);
    out[worst] = fw_key_id(key[k - 1]);
    out[k - 1] = fw_key_id(key[worst]);
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
    const size_t rows = block_rows(k);
    for (size_t first = 0; first < count && !fw_stopping(); first += rows) {
        const size_t now = count - first < rows ? count - first : rows;
        lists_of_block(n, pos + first, now, k, at + first, out);
    }
}
