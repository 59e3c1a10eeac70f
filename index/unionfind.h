/* unionfind: disjoint sets over rows 0..n-1, 4 bytes a row.
 *
 * The root of a set is always its smallest member, so the result depends on which rows were joined and never on the
 * order of the joins. Find uses path halving (Tarjan and van Leeuwen 1984); linking to the smaller id instead of by
 * rank costs a log factor at worst and buys that determinism. Not for concurrent use.
 */
#ifndef FW_UNIONFIND_H
#define FW_UNIONFIND_H

#include "../lib/base.h"

typedef struct fw_uf {
    size_t n;
    uint32_t *parent; /* parent[root] == root */
} fw_uf;

/* n singletons; release with fw_uf_free. n < 2^32. */
fw_uf fw_uf_new(size_t n);
void fw_uf_free(fw_uf *u);
uint32_t fw_uf_find(fw_uf *u, uint32_t x);
/* Join the sets of a and b; false when they were one already. */
bool fw_uf_join(fw_uf *u, uint32_t a, uint32_t b);

#endif
