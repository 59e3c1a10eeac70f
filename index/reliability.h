/* reliability: how much a photo can say, read off its embedding.
 *
 * A blurred, turned or half covered face lies nearer to every other such face and farther from its own person. The
 * embedding itself tells: a linear function of it (and of the quality rank, where there is one), fitted to how near
 * images of settled labels lie to the rest of their person, foretells that nearness with a correlation of .6 on
 * degraded LFW, where blur and detector score together reach .54, and .33 against .26 on clean LFW. Three uses:
 *
 *   rank    audit expects less agreement from a photo of low rank (fw_calib_llr_of), whoever's label it bears.
 *   centre  hard photos share a direction of their own. The mean embedding of each fifth by rank is taken out before
 *           anything is compared (fw_vectors_centred), so that two blurred faces are no longer alike for being blurred.
 *   weight  overlap lets a photo count in its person's centroid by what it can say (fw_reliability_weight).
 *
 * The second look of cluster uses centre and weight (relook.h).
 *
 * On degraded LFW, 5 % noise, telling right from wrong labels: best F1 .966 with quality alone, .972 with the rank, .975
 * with both; clean .985, .988, .991. Weights in the audit's centres too: .970 -> .968. (Within-class whitening, which
 * looks better still when it is judged on the people that it was learned from, adds nothing when judged on others.)
 *
 * No photo is judged by weights that it shaped: labels fall into five folds, and the photos of each are foretold by the
 * weights of the other four. Weights come from conjugate gradients (M. Hestenes, E. Stiefel, "Methods of conjugate
 * gradients for solving linear systems", 1952) on the least-squares problem, stopped where the error on the left-out
 * folds is smallest: that is the regularisation (P. C. Hansen, "Rank-deficient and discrete ill-posed problems", 1998,
 * ch. 6), needs no matrix of dim x dim, and leaves the rank without effect when there is nothing to foretell.
 *
 * Cost: 30 passes over at most 65,536 images and two over all. Deterministic for any number of threads.
 */
#ifndef FW_RELIABILITY_H
#define FW_RELIABILITY_H

#include "person.h"

#define FW_RELIABILITY_BINS 5

typedef struct fw_reliability_in {
    const fw_vectors *v;
    const uint32_t *label; /* n; FW_NONE: unlabelled */
    size_t labels;
    const float *target; /* n: atanh of the similarity to the rest of its person; NAN: not to be learned from */
    const float *rank;   /* n: quality rank 0..1, negative: unknown; or NULL */
} fw_reliability_in;

typedef struct fw_reliability {
    float *rank;      /* n, 0..1; -1: no embedding */
    uint8_t *bin;     /* n, below FW_RELIABILITY_BINS */
    float *centre;    /* BINS x dim */
    size_t learned;   /* images that the weights rest on */
    double explained; /* share of the target's variance that is foretold on left-out folds, 0..1 */
    float *value;     /* n: the foretold target; NAN: no embedding */
    float *model;     /* for photos of other sets: mean of the features, weights averaged over the folds, base */
} fw_reliability;

/* False, and nothing to free: fewer than 1,000 images to learn from. */
bool fw_reliability_learn(fw_reliability *r, const fw_reliability_in *in);
void fw_reliability_free(fw_reliability *r);

/* The same for photos that it was not learned from (same embedder). rank: their quality ranks, or NULL. Owned by the
 * caller, v->n values; NAN: no embedding. */
float *fw_reliability_foretell(const fw_reliability *r, const fw_vectors *v, const float *rank);

/* A photo's share in the mean of its person. x = t person + sqrt(1 - t^2) noise, t being the foretold cosine, makes
 * the person's direction likeliest along the sum of t / (1 - t^2) x. Values are atanh t; NAN weighs 1. */
float fw_reliability_weight(float value);
/* The same for n values; the caller frees. */
float *fw_reliability_weights(const float *value, size_t n);

/* Ranks 0..1 of n values (NAN: rank -1), by counting over 4,096 levels: linear, and ties share one rank. */
void fw_rank_values(const float *value, size_t n, float *rank);

#endif
