/* clusterscore: how well clusters agree with who is who.
 *
 * Every item has a cluster and a true person. With c(i) the cluster and p(i) the person of item i:
 *   pairwise  of all pairs of items: precision = pairs in one cluster that are one person, of those in one cluster;
 *             recall = the same, of those that are one person; F their harmonic mean. No pairs at all: 1.
 *   BCubed    per item i: precision = share of c(i) that is p(i), recall = share of p(i) that is in c(i), itself
 * counted; means over items (A. Bagga, B. Baldwin, COLING 1998). Small people count as much as large ones by item. NMI
 * mutual information over the mean of the two entropies, 0..1; both entropies 0: 1 Intervals: 95 %, delete-a-group
 * jackknife over people: people are dealt into FW_SCORE_GROUPS groups, each figure is computed with one group left out,
 * and its spread is that of the whole (J. Shao, D. Tu, "The Jackknife and Bootstrap", 1995, ch. 2), by Student's t, cut
 * to 0..1. People, not images, are what is drawn anew in another set. A
 * faultless figure has no spread; its lower bound is that of Clopper and Pearson for none of so many people.
 */
#ifndef FW_CLUSTERSCORE_H
#define FW_CLUSTERSCORE_H

#include "../lib/base.h"

#define FW_SCORE_GROUPS 20

enum { FW_PAIR_P, FW_PAIR_R, FW_PAIR_F, FW_CUBE_P, FW_CUBE_R, FW_CUBE_F, FW_NMI, FW_SCORES };
extern const char *const fw_score_names[FW_SCORES];

typedef struct fw_clusterscore {
    size_t items, clusters, people;
    double value[FW_SCORES], low[FW_SCORES], high[FW_SCORES];
} fw_clusterscore;

/* n items; numbers of clusters and people are any. With under two people the intervals are 0..1. O(n log n). */
void fw_cluster_score(const uint32_t *cluster, const uint32_t *person, size_t n, fw_clusterscore *out);

#endif
