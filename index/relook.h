/* relook: what clusters teach about photos, for a second look at who belongs together (cluster.c runs it).
 *
 * A hard photo says less about its person and is alike to every other hard one. Once most photos stand with their
 * person, both can be learned (reliability.h): the direction that photos of one reliability share is taken out of them,
 * the graph's edges are measured again, and a photo counts in its cluster's centroid by what it can say. Lone photos
 * count as people of their own when the shared directions are found.
 */
#ifndef FW_RELOOK_H
#define FW_RELOOK_H

#include "graph.h"
#include "reliability.h"

typedef struct fw_relook {
    fw_reliability learned;
    fw_vectors *view; /* the photos less what they share with their like */
    float *weight;    /* n: of a photo in its cluster's centroid */
    fw_graph edges;   /* measured in the view; rows by falling similarity */
} fw_relook;

/* Learn from clusters of three and more photos, about 65,536 of them at most: module[i] < v->n names row i's cluster.
 * Borrows `v`, which must outlive it. False, and nothing to free: fewer than 1,000 such photos. */
bool fw_relook_learn(fw_relook *r, const fw_vectors *v, const uint32_t *module);
/* Measure the edges of `g`, the graph of the vectors `v` that were learned from, again: those of at least `least` so far.
 * Memory: 8 bytes for each, and 8 a row; 24 a row on the way. */
void fw_relook_edges(fw_relook *r, const fw_vectors *v, const fw_graph *g, double least);
void fw_relook_free(fw_relook *r);

#endif
