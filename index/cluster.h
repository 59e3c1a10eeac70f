/* cluster: who is the same person, from the kNN graph alone, without labels.
 *
 * Edges are the graph's neighbours whose similarity is above `threshold`; it comes from the calibration: the similarity
 * at which a face is expected to have FW_CLUSTER_FALSE unrelated faces above it among all n (fw_cluster_threshold), so it
 * grows slowly with the set, as chance likeness does. Communities then decide, not single edges:
 *   infomap     the two-level map equation (index/infomap.h); the default
 *   whispers    Chinese whispers (C. Biemann 2006): every node takes the label with most weight around it
 *   components  connected components: any chain of edges joins
 * A final pass mends what a community cannot see: see fw_cluster_run.
 * The same ids for any thread count. Memory: 16 bytes per kept edge and about 60 per row.
 */
#ifndef FW_CLUSTER_H
#define FW_CLUSTER_H

#include "calib.h"
#include "graph.h"
#include "infomap.h"

enum fw_cluster_method { FW_CLUSTER_INFOMAP, FW_CLUSTER_WHISPERS, FW_CLUSTER_COMPONENTS };

typedef struct fw_cluster_opts {
    enum fw_cluster_method method;
    int neighbours;   /* of each row that may become edges; 0: FW_CLUSTER_NEIGHBOURS */
    double threshold; /* least similarity of an edge */
    uint64_t seed;
} fw_cluster_opts;

#define FW_CLUSTER_NEIGHBOURS 32
#define FW_CLUSTER_FALSE 0.05

typedef struct fw_cluster_report {
    size_t clusters, alone; /* clusters of two and more; rows in none */
    size_t edges;           /* undirected edges used */
    size_t largest;
} fw_cluster_report;

/* The default threshold for a set of `rows` usable rows. */
double fw_cluster_threshold(const fw_calib *c, size_t rows);
/* Impostor calibration of an unlabelled view: every row is its own label; genuine pairs among random ones are taken out by
 * the fit itself. */
void fw_cluster_calibrate(fw_calib *c, const fw_vectors *v, uint64_t seed);

/* id[i]: cluster 0.., numbered by first member, or -1: alone. `id` has graph->n places. `r` may be NULL. */
FW_MUST_USE int fw_cluster_run(const fw_graph *graph, const fw_cluster_opts *o, int32_t *id, fw_cluster_report *r,
                               fw_err *e);

/* The undirected net of a graph's edges above the threshold (weights: similarity). Free with fw_net_free. */
fw_net fw_cluster_net(const fw_graph *graph, int neighbours, double threshold);

#endif
