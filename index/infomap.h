/* infomap: communities of a weighted undirected graph by the two-level map equation.
 *
 * A random walker that stays long inside a community can be described with few bits when communities have their own
 * code books. The description length per step is
 *     L = plogp(sum q) - 2 sum plogp(q_m) - sum plogp(p_i) + sum plogp(q_m + p_m),
 * p_i the share of all weight at node i, p_m its sum over a module, q_m the weight leaving the module (M. Rosvall,
 * D. Axelsson, C. Bergstrom, "The map equation", Eur. Phys. J. Special Topics 178, 2009). Unlike modularity it has no
 * resolution limit: an identity of two photos is found beside one of five hundred.
 *
 * Search: nodes move to the neighbouring module that shortens L most, modules become nodes, repeat (as Louvain); then
 * again from single nodes, starting at the modules found, until nothing moves. Sequential, in a fixed shuffled order:
 * the result depends on the graph and the seed alone. Time is linear in the edges per sweep; sweeps visit only nodes
 * whose neighbourhood changed.
 */
#ifndef FW_INFOMAP_H
#define FW_INFOMAP_H

#include "../lib/base.h"

/* Undirected: every edge stands in both rows, no loops. */
typedef struct fw_net {
    size_t n;
    uint64_t *off; /* n + 1 */
    uint32_t *id;  /* ascending within a row */
    float *weight; /* > 0 */
} fw_net;
void fw_net_free(fw_net *g);

/* module[i] becomes 0..m-1, numbered by first member; returns m in *modules. FW_ESTOP when asked to stop. */
FW_MUST_USE int fw_infomap(const fw_net *g, uint64_t seed, uint32_t *module, size_t *modules, fw_err *e);
/* L in bits, for tests. */
double fw_infomap_length(const fw_net *g, const uint32_t *module);

#endif
