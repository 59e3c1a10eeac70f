/* audit: which labels are wrong. Every image gets P(its label is wrong); every identity gets an action.
 *
 * The way of one run (audit.c; parts in the order of their work: calib.c, groups.c over person.c, posterior.c,
 * priors.c, reliability.c, identity.c):
 *
 *   1 calib       impostor similarity from random cross-label pairs
 *   2 groups      inside each label: average link at the impostors' 1e-5 point, fragments re-joined where one person is
 *                 the likelier reading of their centroids' cosine and sizes
 *   3 main group  the group that most images of the label support, unless its person is a larger main group of another
 *                 label and this label has an alternative of some size
 *   4 posterior   per image: similarity to the main centroid without itself, given what the photo can say, against (a)
 *                 being a stranger, (b) belonging to another label's main group (candidates: labels of its kNN
 *                 neighbours); whole groups are judged together; a photo under two labels is right under one at most
 *                 (contested.c); noise prior per label, shrunk to labels of its size; genuine model refitted; main
 *                 groups redrawn; to a fixed point, at most 4 times
 *     again       1 to 4 a second time: the first look's members teach how reliable each photo is (reliability.h), which
 *                 takes the place of its quality, and what hard photos have in common is taken out of the embeddings
 *   5 verdicts    flagged images: relabel to the identity they match, else to a further person of the label (LABEL#2),
 *                 else remove. What cannot be judged is `review`.
 *   6 identities  merge (same person under two labels), split (two people under one label), noise rate with interval
 *
 * Similarities and centres that come out are those of the second look's space: some .01 to .03 below plain cosines.
 *
 * Cost: linear in images; O(m * LINK_MAX * dim) inside a label of m images (LINK_MAX = 1024); across labels only what
 * the kNN graph proposes. Memory: 100 bytes per image and 2 * dim + 90 bytes per label beside the inputs. Deterministic
 * for any number of threads.
 */
#ifndef FW_AUDIT_H
#define FW_AUDIT_H

#include "calib.h"
#include "graph.h"

enum fw_policy { FW_CONSERVATIVE = 0, FW_BALANCED = 1, FW_AGGRESSIVE = 2 };

/* By name, as settings have it; anything unknown is balanced. */
enum fw_policy fw_policy_named(const char *name);

/* Numbered like enum fw_verdict and enum fw_action of stages/decide.h. */
enum { FW_AUDIT_KEEP = 0, FW_AUDIT_REMOVE = 1, FW_AUDIT_RELABEL = 2, FW_AUDIT_REVIEW = 3 };
enum { FW_LABEL_KEEP = 0, FW_LABEL_MERGE = 1, FW_LABEL_SPLIT = 2, FW_LABEL_DROP = 3, FW_LABEL_REVIEW = 4 };

typedef struct fw_audit_opt {
    double target_far;     /* impostor pairs that may look like one person when strangers are grouped; 1e-3 */
    enum fw_policy policy; /* flag at P(wrong) over 0.9, 0.5, 0.2 */
    uint64_t seed;
    size_t pairs; /* impostor pairs to sample; 2,000,000 */
    unsigned off; /* ablation switches, FW_OFF_*; 0 in the product */
} fw_audit_opt;
#define FW_AUDIT_DEFAULTS ((fw_audit_opt){.target_far = 1e-3, .policy = FW_BALANCED, .seed = 1, .pairs = 2000000})
enum {
    FW_OFF_JOIN = 1,       /* groups: average link at t_in only, fragments stay apart */
    FW_OFF_SUPPORT = 2,    /* main group: the largest, not the best supported */
    FW_OFF_SWITCH = 4,     /* main groups of foreign persons stay */
    FW_OFF_OTHERS = 8,     /* no evidence from other identities */
    FW_OFF_ROUNDS = 16,    /* main groups are not redrawn */
    FW_OFF_GATHER = 32,    /* first main group: without its supporters */
    FW_OFF_UNION = 64,     /* groups are not judged as a whole */
    FW_OFF_LEARNED = 128,  /* no second look with learned reliability */
    FW_OFF_CENTRE = 256,   /* its rank, but not its centres */
    FW_OFF_CONTESTED = 512 /* a photo under two labels is two photos */
};                         /* quality: pass NULL */

typedef struct fw_audit_in {
    const fw_vectors *v;
    const uint32_t *label; /* n; dense ids below `labels`, FW_NONE: unlabelled */
    size_t labels;
    const float *quality; /* n, 0..1, or NULL */
    const fw_graph *knn;  /* over the same rows; NULL: no evidence across labels */
} fw_audit_in;

/* All arrays are owned; n images, L labels. Images without an embedding or label: score 0, keep. */
typedef struct fw_audit {
    size_t n, labels;
    fw_calib calib;
    /* images */
    float *score;        /* P(label is wrong) */
    uint8_t *verdict;    /* FW_AUDIT_* */
    uint32_t *new_label; /* relabel: the identity it goes to; with person > 1 its own label; else FW_NONE */
    float *confidence;   /* of a relabel, 0..1 */
    uint32_t *person;    /* 1: main person or unknown; k > 1: k-th person of its label */
    uint8_t *outlier;    /* 1: flagged and matches nobody */
    float *sim;          /* to its label's main centroid, without itself; 0 where there is no other */
    uint32_t *other;     /* best other identity, FW_NONE: none near */
    float *other_sim;
    uint8_t *member; /* 1: in its label's main group */
    /* labels */
    uint32_t *id_images, *id_members; /* images with an embedding; photos in the main group, copies not counted */
    float *id_cohesion;
    uint8_t *id_action; /* FW_LABEL_* */
    uint32_t *id_other;
    float *id_score;
    uint16_t *id_centre; /* L x dim halves, unit length: main centroids (zeros: none) */
    /* whole */
    double t_in, t_person;               /* grouping threshold; impostors' 1e-5 point, for "the same person" */
    double noise, noise_low, noise_high; /* share of wrong labels, 95 % interval */
    double flip_share;                   /* of the wrong labels: those that belong to another identity of the set */
    double reliability; /* share of the spread of own similarities that photos' reliability explains; 0: not learned */
    size_t copies;      /* images with the embedding of another image of their label: judged once (copies.h) */
    size_t contested;   /* images that stand under another label as well (contested.c) */
    int rounds;
} fw_audit;

/* What a policy costs, expected from the scores: images flagged, wrong ones among them, wrong ones not flagged. */
typedef struct fw_policy_cost {
    size_t flagged;
    double wrong, missed;
} fw_policy_cost;
fw_policy_cost fw_policy_cost_of(const fw_audit *a, enum fw_policy p);
double fw_policy_over(enum fw_policy p); /* it flags at P(wrong) over this */

int fw_audit_run(fw_audit **out, const fw_audit_in *in, const fw_audit_opt *opt, fw_err *e) FW_MUST_USE;
void fw_audit_free(fw_audit *a);

/* identity.c: fills id_action, id_other, id_score and persons of flagged images. Called by fw_audit_run. */
int fw_identity_decide(fw_audit *a, const fw_audit_in *in, const fw_audit_opt *opt, fw_err *e) FW_MUST_USE;
/* Up to `room` labels other than `self` whose main groups hold neighbours of `rows`, most votes first (ties: lower id).
 */
size_t fw_near_labels(const fw_audit *a, const fw_audit_in *in, const uint32_t *rows, size_t count, uint32_t self,
                      uint32_t *out, size_t room);

#endif
