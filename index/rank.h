/* rank: how well probes find their person in a gallery (identification, 1:N).
 *
 * Every probe is compared with all gallery images; a person is as similar as the nearest of their images.
 *   rank     1 + people who are at least as similar as the probe's own person (a tie counts against)
 *   CMC(k)   share of probes with rank <= k; rank-1 is CMC(1) (closed set: everybody is in the gallery)
 *   DIR at FPIR=f   open set: share of probes whose own person comes first AND is above the threshold, at the lowest
 *            threshold where at most a share f of searches for people outside the gallery have anybody above it. Such
 *            searches are made of the probes themselves: each with its own person taken out of the gallery, and those
 *            whose person is not in it. Not measurable with fewer than 1/f of them.
 *   stated   the same at the threshold that identify would take for f (fw_match_threshold, from a calibration and the
 *            number of gallery images), and the share of those searches that it really lets through
 * Definitions: P. Grother, P. Phillips, "Models of Large Population Recognition Performance", CVPR 2004; ISO/IEC 19795.
 * Intervals: 95 %, Clopper and Pearson, probes taken as independent (those of one person are not quite).
 *
 * Exact, by comparing all with all: probes x gallery x dim multiplications, over all threads; memory 8 bytes a probe
 * and a block. The same for any thread count.
 */
#ifndef FW_RANK_H
#define FW_RANK_H

#include "calib.h"
#include "person.h"

#define FW_CMC   20
#define FW_FPIRS 3 /* 1e-1, 1e-2, 1e-3 */

typedef struct fw_dir {
    double fpir, dir, low, high;
    double threshold; /* lowest similarity that is accepted; NAN: nothing is */
    bool measurable;
} fw_dir;

typedef struct fw_stated {
    double threshold;
    double fpir, fpir_low, fpir_high; /* of the probes' searches without their own person */
    double dir, low, high;
} fw_stated;

typedef struct fw_ranks {
    size_t probes;          /* searches that were made */
    size_t mated;           /* whose person is in the gallery: closed set */
    size_t gallery, people; /* images, people */
    double cmc[FW_CMC];     /* of mated probes; cmc[0]: rank-1 */
    double low[FW_CMC], high[FW_CMC];
    fw_dir dir[FW_FPIRS];
    bool calibrated;
    fw_stated stated[FW_FPIRS]; /* where calibrated */
} fw_ranks;

/* `label` by row, FW_NONE: none; role by row: FW_ROLE_*; rows that are invalid or without a label take no part. `c` may
 * be NULL: nothing is stated. FW_EUSAGE: no gallery, or no probe whose person is in it. FW_ESTOP. */
enum { FW_ROLE_NONE = 0, FW_ROLE_GALLERY, FW_ROLE_PROBE };
FW_MUST_USE int fw_rank_all(const fw_vectors *v, const uint32_t *label, const uint8_t *role, size_t labels,
                            const fw_calib *c, fw_ranks *out, fw_err *e);

#endif
