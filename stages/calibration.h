/* calibration: what a similarity means, for commands that compare faces outside of a run.
 *
 * From a workspace: the fit of its audit (index/calib.h), when it rests on enough: FW_CALIBRATION_PAIRS impostor pairs
 * and FW_CALIBRATION_IMAGES genuine images. Else from the model: NAME.calibration.json beside its description, the same
 * numbers of some workspace, with what they were made from; it counts only for the network file whose digest it names.
 * `facewash eval calibration --work W` writes one. Else there is none: similarities, but no probabilities.
 */
#ifndef FW_CALIBRATION_H
#define FW_CALIBRATION_H

#include "../index/calib.h"
#include "run.h"

/* Below, index/calib.c draws the impostor tail towards a general shape; in a set so small it is that of few people. */
#define FW_CALIBRATION_PAIRS 20000
/* What calib's own fit asks for before it moves from the start values. */
#define FW_CALIBRATION_IMAGES 50

typedef struct fw_calibration {
    fw_calib calib;
    bool there;
    char *from; /* in words; owned */
} fw_calibration;

/* `r` may be NULL: no workspace. Free with fw_calibration_free. FW_EFAIL: a calibration that is there is damaged. */
int fw_calibration_find(fw_run *r, const fw_conf *c, fw_calibration *out, fw_err *e) FW_MUST_USE;
void fw_calibration_free(fw_calibration *c);
/* The calibration file of a workspace's only model, as text on stdout. */
int fw_calibration_print(fw_run *r, fw_err *e) FW_MUST_USE;

#endif
