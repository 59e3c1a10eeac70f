/* joincluster: join clusters whose centroids are alike. See index/cluster.h, step 2. */
#ifndef FW_JOINCLUSTER_H
#define FW_JOINCLUSTER_H

#include "graph.h"
#include "vectors.h"

/* module[i] < n names row i's cluster; updated. Pairs with a graph edge >= candidate are compared; mutual best pairs
 * whose centroid cosine is >= join become one, until none is left. weight[i]: of row i in a centroid; NULL: all alike. */
void fw_cluster_join(const fw_vectors *v, const float *weight, const fw_graph *g, double candidate, double join,
                     uint32_t *module);

#endif
