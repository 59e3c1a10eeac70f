/* cluster: who is the same person, from embeddings and their kNN graph alone, without labels.
 *
 * 1. Edges: the graph's neighbours whose similarity is at least `threshold`. Communities decide, not single edges:
 *      infomap     the two-level map equation (index/infomap.h); the default
 *      whispers    Chinese whispers (C. Biemann 2006): every node takes the label with most weight around it
 *      components  connected components: any chain of edges joins
 * 2. Joining: what stands apart only because single photos are unlike is joined by centroids. The centroid of n photos
 *    carries less noise than a photo, so for the same person its cosine grows with n, while that of different people
 *    does not: one threshold for centroids, `join`, finds more at the same risk. Pairs of clusters (and lone photos) with
 *    a graph edge of at least `candidate` are compared; those that are each other's best above `join` become one;
 *    repeat.
 *
 * 3. A second look: clusters teach what each photo can say and what hard photos share (index/relook.h); edges,
 *    communities and joining again with that known, by thresholds of the same kind. Halves of LFW, degraded, two seeds:
 *    BCubed F .941 and .941 with one look, .955 and .953 with two (pairwise .977 and .982, .983 and .987); LFW as it is
 *    .9885 and .9882 (.9971 and .9972). A third changes BCubed F by no more than .001.
 *
 * Thresholds come from the calibration. A face that is compared with n others meets n * FAR(t) unrelated ones above t,
 * so the similarity that chance likeness reaches grows slowly with the set; fw_cluster_defaults fixes that number.
 *
 * Time is linear in edges, the same ids for any thread count. Memory: 32 bytes per kept edge at most, in the second look
 * 8 more for every edge that could make two clusters be compared, and about 80 per row; centroids are computed when two
 * clusters are compared, never stored.
 */
#ifndef FW_CLUSTER_H
#define FW_CLUSTER_H

#include "calib.h"
#include "graph.h"
#include "infomap.h"

enum fw_cluster_method { FW_CLUSTER_INFOMAP, FW_CLUSTER_WHISPERS, FW_CLUSTER_COMPONENTS };

typedef struct fw_cluster_opts {
    enum fw_cluster_method method;
    int neighbours; /* of each row that may become edges */
    /* thresholds of the first look; the second one finds its own */
    double threshold; /* least similarity of an edge */
    double join;      /* least cosine of two centroids that are joined; above 1: no joining in either look */
    double candidate; /* least similarity of an edge that makes two clusters be compared */
    bool once;        /* no second look */
    uint64_t seed;
} fw_cluster_opts;

typedef struct fw_cluster_report {
    size_t clusters, alone; /* clusters of two and more; rows in none */
    size_t edges;           /* undirected edges used */
    size_t communities;     /* clusters of two and more before joining */
    size_t largest;
    double threshold, join; /* of the last look */
    int looks;              /* 1: no more were wanted, or too few photos stand in clusters to teach */
    double explained;       /* share of what makes photos near to their person that could be foretold, 0..1 */
} fw_cluster_report;

/* Method infomap and thresholds for a set of `rows` usable rows. */
fw_cluster_opts fw_cluster_defaults(const fw_calib *c, size_t rows);
/* Impostor calibration of an unlabelled view: every row is its own label; genuine pairs among random ones are taken out
 * by the fit itself. */
void fw_cluster_calibrate(fw_calib *c, const fw_vectors *v, uint64_t seed);

/* id[i]: cluster 0.., numbered by first member, or -1: alone. `id` has graph->n places. `r` may be NULL. */
FW_MUST_USE int fw_cluster_run(const fw_vectors *v, const fw_graph *graph, const fw_cluster_opts *o, int32_t *id,
                               fw_cluster_report *r, fw_err *e);

/* The undirected net of a graph's edges above the threshold (weights: similarity). Free with fw_net_free. */
fw_net fw_cluster_net(const fw_graph *graph, int neighbours, double threshold);

#endif
