/* graph: a k-nearest-neighbour graph in compressed sparse rows.
 *
 * Row i's neighbours are id[off[i]] .. id[off[i+1]-1], never i itself, with sim[] their cosine similarity to i in
 * descending order; equal similarities stand in ascending id order, so a graph is the same bytes on every run. Rows of
 * invalid vectors are empty. Ids are dataset rows (uint32: up to 4.29e9 images).
 */
#ifndef FW_GRAPH_H
#define FW_GRAPH_H

#include "../lib/base.h"

typedef struct fw_graph {
    size_t n;            /* rows */
    const uint64_t *off; /* n + 1 */
    const uint32_t *id;  /* off[n] */
    const float *sim;    /* off[n] */
} fw_graph;

/* A graph that owns its arrays (built in memory); free with fw_graph_free. */
fw_graph *fw_graph_new(size_t n, uint64_t *off, uint32_t *id, float *sim);
void fw_graph_free(fw_graph *g);

#endif
