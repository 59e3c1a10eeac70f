#include "hashpairs.h"

#include <math.h>
#include <stdlib.h>

/* Followers looked at. Real neighbours within a few bits are rare, so a dozen places is ample; more only costs time in
 * runs of equal hashes, whose members meet through one another (union-find) anyway. */
enum { WINDOW = 12 };

typedef struct entry {
    uint64_t key;
    uint32_t row;
    uint32_t mirrored;
} entry;

void fw_pairs_add(fw_pairs *p, uint32_t x, uint32_t y)
{
    if (x == y) return;
    fw_reserve(&p->pair, &p->cap, p->count + 1, sizeof *p->pair);
    p->pair[p->count++] = x < y ? (fw_pair){x, y, NAN} : (fw_pair){y, x, NAN};
}

static int by_rows(const void *x, const void *y)
{
    const fw_pair *p = x, *q = y;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return (p->b > q->b) - (p->b < q->b);
}

void fw_pairs_unique(fw_pairs *p)
{
    if (!p->count) return;
    qsort(p->pair, p->count, sizeof *p->pair, by_rows);
    size_t n = 1;
    for (size_t i = 1; i < p->count; i++)
        if (by_rows(&p->pair[i], &p->pair[n - 1])) p->pair[n++] = p->pair[i];
    p->count = n;
}

static int by_key(const void *x, const void *y)
{
    const entry *p = x, *q = y;
    if (p->key != q->key) return p->key < q->key ? -1 : 1;
    if (p->row != q->row) return p->row < q->row ? -1 : 1;
    return (p->mirrored > q->mirrored) - (p->mirrored < q->mirrored);
}

static uint64_t rotate(uint64_t x, int by)
{
    return by ? x << by | x >> (64 - by) : x;
}

static void scan(const entry *e, size_t n, int bits, fw_pairs *out)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n && j <= i + WINDOW; j++)
            if (!(e[i].mirrored & e[j].mirrored) && __builtin_popcountll(e[i].key ^ e[j].key) <= bits)
                fw_pairs_add(out, e[i].row, e[j].row);
}

void fw_hash_pairs(const fw_hash_row *rows, size_t n, int bits, fw_pairs *out)
{
    entry *e = FW_ARRAY(entry, 2 * n);
    for (int turn = 0; turn < 64; turn += 16) {
        for (size_t i = 0; i < 2 * n; i++)
            e[i] = (entry){rotate(rows[i / 2].hash[i % 2], turn), rows[i / 2].row, i % 2};
        qsort(e, 2 * n, sizeof *e, by_key);
        scan(e, 2 * n, bits, out);
        fw_pairs_unique(out);
    }
    fw_free(e);
}
