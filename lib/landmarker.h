/* landmarker: five landmarks for a face of which only the box is known, by a network that finds 68, 106 or another
 * number of points in a square around it. The description's `five` says which of them the five are, `range` what its
 * coordinates span, `box_margin` how much larger than the box's longer side the square is. Published examples, as their
 * authors run them: InsightFace 2d106det    192 x 192, range = -1,1, box_margin = 0.5 68 points as iBUG numbers them
 * five = 36-41;42-47;30;48;54 */
#ifndef FW_LANDMARKER_H
#define FW_LANDMARKER_H

#include "detector.h"

typedef struct fw_landmarker fw_landmarker;               /* shared, read-only */
typedef struct fw_landmarker_worker fw_landmarker_worker; /* one per thread */

/* FW_EUSAGE: not a landmark model, or its output are no points of which `five` names some; FW_EFAIL: see fw_model_open.
 */
int fw_landmarker_open(fw_runtime *rt, const fw_modeldesc *d, const char *provider, fw_landmarker **out,
                       fw_err *e) FW_MUST_USE;
void fw_landmarker_close(fw_landmarker *m); /* after its workers */

int fw_landmarker_worker_open(fw_landmarker *m, fw_landmarker_worker **out, fw_err *e) FW_MUST_USE;
void fw_landmarker_worker_close(fw_landmarker_worker *w);

/* Sets f->landmark and f->points, by f->box (full-size pixels of `img`). A face whose points are no numbers stays as it
 * is.
 */
int fw_landmarker_find(fw_landmarker_worker *w, const fw_image *img, fw_face *f, fw_err *e) FW_MUST_USE;

#endif
