/* calib: what similarity means in this dataset, learned from the dataset itself, labels wrong or not.
 *
 * Impostors (different people). Cross-label pairs are nearly all impostors, but with noisy labels a few are the same
 * person, and they all sit in the right tail: exactly where thresholds are set. So the upper quantile function is
 * fitted as q(z) = q0 + q1 z + q2 z^2 (z: normal score) on quantiles 50..97.5 %, which 0.3 % of same-person pairs
 * cannot bend, and extrapolated; the share of pairs above what the fit allows is the same-person share, which is taken
 * out and the fit repeated. On LFW it puts the 1e-3, 1e-4, 1e-5 points at .357, .441, .518; pairs of truly different
 * people: .354, .437, .512.
 *
 * Genuine (same person). s = cosine of an image to the centroid of n OTHER images of the person. atanh(s) is close to
 * normal with one spread for every n (LFW: .21 at n = 1, 5 and 40), and its centre moves with n as the model of images
 * = person + noise says: centroids of n photos are sqrt(n / (1 + (n-1) rho)) closer than single photos, rho being the
 * mean similarity of two photos of one person. Impostor similarity to a centroid does not depend on n. A second, wider
 * "hard" component takes blurred, masked and turned faces. Fitted by EM while the impostor density stays fixed.
 *
 * A bad photo says less: genuine similarity falls and spreads with falling quality (degraded LFW: the best and the
 * worst fifth lie .4 apart in atanh), impostor similarity hardly moves. How much is fitted too, by rank of the quality
 * number, so that any monotone quality measure serves, and a useless one does no harm.
 */
#ifndef FW_CALIB_H
#define FW_CALIB_H

#include "person.h"

#define FW_CALIB_BINS  200 /* histogram bins over similarity -1..1 */
#define FW_CALIB_PARTS 2   /* genuine components: bulk, hard */
#define FW_CALIB_KNOTS 5   /* quality: knots at ranks 0.1, 0.3 ... 0.9 */

typedef struct fw_calib {
    /* impostor */
    double q0, q1, q2;  /* upper quantile function; q0 is the median */
    double left;        /* spread below the median (one normal score) */
    double same_person; /* estimated share of same-person pairs among cross-label pairs */
    size_t pairs;       /* cross-label pairs measured */
    /* genuine */
    double rho; /* similarity of two photos of one person */
    double weight[FW_CALIB_PARTS], mean[FW_CALIB_PARTS], sd[FW_CALIB_PARTS]; /* of atanh(s) minus fw_calib_shift(n) */
    double offset[FW_CALIB_KNOTS],
        scale[FW_CALIB_KNOTS]; /* by quality rank: how atanh(s) moves and spreads; 0 and 1 at first */
    size_t genuine;            /* images that the genuine fit rests on (0: the built-in start values) */
    /* for plots: similarity of cross-label pairs, and of images to their own identity */
    uint32_t impostor_hist[FW_CALIB_BINS], own_hist[FW_CALIB_BINS];
} fw_calib;

/* Measure `pairs` random cross-label pairs (2,000,000 is a second's work; fewer exist in small sets) and fit the
 * impostor side; genuine values are set to a start. With under two labels or 1,000 pairs, a wide prior is kept (q1 =
 * 0.10). */
void fw_calib_impostors(fw_calib *c, const fw_vectors *v, const uint32_t *label, size_t pairs, uint64_t seed);

/* Similarity that impostor pairs exceed with probability `far`; and the inverse. */
double fw_calib_threshold(const fw_calib *c, double far);
double fw_calib_far(const fw_calib *c, double sim);

/* One observation for the genuine fit: similarity to the centroid of n others, prior odds against it being genuine. */
typedef struct fw_calib_obs {
    float sim;
    uint32_t n;
    float quality; /* rank 0..1 in the dataset; negative: unknown */
    float against; /* log of: prior odds of "not genuine" x how well another explanation fits, relative to impostor */
} fw_calib_obs;
/* EM steps from the present values. Fewer than 50 observations leave them as they are. */
void fw_calib_genuine(fw_calib *c, const fw_calib_obs *obs, size_t count, int steps);

/* How much closer (in atanh) an image is to a centroid of n photos than to the person's true centre: <= 0. */
double fw_calib_shift(const fw_calib *c, double n);
/* f(n) = sqrt(n / (1 + (n-1) rho)), 1 at n = 1: cosines to a centroid of n photos are this much larger. */
double fw_size_factor(double rho, double n);
/* log p(sim | genuine, n) - log p(sim | impostor), monotone in sim, within +-FW_LLR_MAX. */
#define FW_LLR_MAX 14.0
double fw_calib_llr(const fw_calib *c, double sim, double n);
/* The same for an image of known quality rank (negative: unknown). */
double fw_calib_llr_of(const fw_calib *c, double sim, double n, double quality);
/* The same for the best of `among` other people, which has a prior of 1 / among against it. The bound is on what is
 * believed after that, so it grows with log(among): with a fixed one nothing could ever match in a dataset of 100,000
 * labels. One photo is believed up to e^7: people do resemble, and photos show two (on LFW that ranks as a bound of 14
 * did, AP .990 at 5 % noise; e^14 after the prior gives .985). Two centroids are believed up to FW_LLR_MAX. */
#define FW_LLR_PHOTO 7.0
double fw_calib_llr_among(const fw_calib *c, double sim, double n, double quality, double among);
/* The same for two centroids of na and nb photos, whose cosine is rho f(na) f(nb) when they are one person. */
double fw_calib_llr_centres(const fw_calib *c, double cosine, double na, double nb, double among);

/* Upper normal quantile: z with P(Z > z) = p. Bisection; good to 1e-9. */
double fw_normal_score(double p);

#endif
