/* judge: what the parts of audit share (audit.c runs them). Not for use outside index/.
 *
 *   groups.c     2 groups, 3 main groups: who is inside a label, and whose label is it
 *   posterior.c  4 similarities, their likelihood ratios, P(label is wrong)
 *   contested.c     a photo under two labels
 *   priors.c     what the posterior rests on: noise by label, share of flips, the genuine model, rho
 *   reliability.c  what each photo can say
 *
 * State between them: members and centres (groups.c writes, audit.c redraws) -> a->sim, other, group_sim (compare) ->
 * own_llr, other_llr (weigh) -> a->score (all) -> priors (fit) -> weigh again.
 */
#ifndef FW_JUDGE_H
#define FW_JUDGE_H

#include "audit.h"

#include <math.h>

#define FW_JUDGE_SIZES 6 /* label size classes of the noise prior: 1, 2, 3-4, 5-9, 10-39, 40+ */
/* Share of right labels whose photo resembles nobody, not even its own person: profiles, hands before the face, the
 * wrong face of two detected. It cannot be told from a stranger, and no dataset shows it by itself; LFW, looked at by
 * eye, has 4 to 9 such photos in 5,985. It keeps a nearly clean dataset from losing exactly these. */
#define FW_ODD_PHOTO 0.0015

typedef struct fw_judge {
    fw_audit *a;
    const fw_audit_in *in;
    const fw_audit_opt *opt;
    const fw_vectors *v;
    fw_groups g;
    uint32_t *sub;              /* n: group of a row inside its label, 0 the largest; FW_NONE: left over */
    float *norm;                /* L: length of the sum of the members */
    float *own_llr;             /* n */
    float *group_sim;           /* n: centre of the row's group to the main centre without it */
    uint32_t *group_n, *main_n; /* n: photos behind the two; group_n 0: no group of its own */
    float *other_llr;           /* n: of the best other identity; very negative: none */
    uint8_t *lone;              /* n: 1 if no other rejected image of the label looks like this one */
    float *rank;                /* n: quality rank, on the second look that of reliability: 0..1, -1: unknown */
    const uint32_t *ring;       /* n: next copy of the photo under another label; NULL: not looked for */
    uint8_t *torn;              /* n: 1: fits its label, and a copy fits another about as well */
    double *wrong, *stray;      /* L: expected wrong labels, and of these lone strangers */
    double base[FW_JUDGE_SIZES],
        strength[FW_JUDGE_SIZES]; /* wrong labels by label size: mean, concentration (beta prior) */
    double stray_base[FW_JUDGE_SIZES], stray_strength[FW_JUDGE_SIZES]; /* lone strangers likewise */
} fw_judge;

/* Rows of label l, ascending. */
static inline const uint32_t *fw_judge_rows(const fw_judge *j, size_t l, size_t *m)
{
    *m = j->g.off[l + 1] - j->g.off[l];
    return j->g.row + j->g.off[l];
}

static inline const uint16_t *fw_judge_centre(const fw_audit *a, const fw_vectors *v, size_t l)
{
    return a->id_centre + l * (size_t)v->dim;
}

static inline int fw_judge_class(size_t m)
{
    return m < 2 ? 0 : m < 3 ? 1 : m < 5 ? 2 : m < 10 ? 3 : m < 40 ? 4 : 5;
}

/* Cosine of a unit vector to a sum of length `norm` and unit direction with x.c = dot, x's own part taken out. */
static inline double fw_judge_without_self(double dot, double norm)
{
    double rest = norm * norm - 2 * norm * dot + 1;
    return rest > 1e-9 ? (norm * dot - 1) / sqrt(rest) : 0;
}

static inline double fw_sigmoid(double x)
{
    return x > 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* groups.c: groups of every label, then its main group and centre; and the centre again after members have changed (sum
 * and x: scratch of dim floats each). */
void fw_judge_mains(fw_judge *j);
void fw_judge_set_centre(fw_judge *j, size_t l, float *sum, float *x);

/* posterior.c: similarities to the main centres; which rejected images are alone; groups against main groups. */
void fw_judge_compare(fw_judge *j);
void fw_judge_lone(fw_judge *j);
void fw_judge_compare_groups(fw_judge *j);
/* Likelihood ratios of those similarities under the present model; scores under the present priors. */
void fw_judge_weigh(fw_judge *j);
void fw_judge_all(fw_judge *j);
/* Log prior odds that image i's label is wrong times how well that explains it; if it is wrong, the probability that
 * another identity explains the image. */
double fw_judge_against(const fw_judge *j, size_t i);
double fw_judge_flip_part(const fw_judge *j, size_t i);

/* contested.c: photos that stand under several labels, after the scores. */
void fw_judge_contested(fw_judge *j);
/* The copy of row i among the members of label l, or FW_NONE. */
uint32_t fw_judge_copy_in(const fw_judge *j, uint32_t i, uint32_t l);

/* priors.c: before any posterior, and from the present ones. */
void fw_judge_start_priors(fw_judge *j);
void fw_judge_fit_priors(fw_judge *j);
void fw_judge_fit_flip_share(fw_judge *j);
void fw_judge_fit_genuine(fw_judge *j, int steps);
void fw_judge_fit_rho(fw_judge *j);

#endif
