/* frame: which part of a photo a model wants to see, as a transform from photo pixels to the model's input pixels.
 *
 * Two families, by what the model was trained on:
 *   points  five landmarks go to fixed places (lib/warp.h): "arcface112", "sphereface", or `points` of the description
 *   box     the detector's box, grown by a margin, cut at the photo's edge and scaled to a square whatever its shape;
 *           then the centre of that. So FaceNet's faces were cut: box_margin 32, input 160, or margin 44, scaled to
 * 182, of which the centre 160 (F. Schroff et al., "FaceNet", CVPR 2015; the margins are the public trainer's)
 * Coordinates are those of the full-size photo, pixel centres at whole numbers.
 */
#ifndef FW_FRAME_H
#define FW_FRAME_H

#include "modeldesc.h"
#include "warp.h"

typedef struct fw_frame {
    int width, height; /* the model's input */
    bool box;
    float point[10]; /* points */
    float margin; /* box: what each side grows by, half at either end; from 1: photo pixels, below: share of the side */
    int size;     /* box: the square it is scaled to, at least the input's size */
} fw_frame;

/* The frame of an embedding model. FW_EUSAGE: unknown template, or one that does not fit the model's input. */
int fw_frame_of(const fw_modeldesc *d, fw_frame *out, fw_err *e) FW_MUST_USE;

/* The whole photo of size[0] x size[1], without `border` (share of the side) at each edge. */
void fw_frame_whole(const fw_frame *f, const int32_t size[2], double border, float m[6]);
/* A face, by its landmarks or its box. DEGENERATE, for landmarks that are (nearly) one point or a box outside of the
 * photo: m is not set. */
enum fw_fit fw_frame_face(const fw_frame *f, const int32_t size[2], const float box[4], const float landmark[10],
                          float m[6]) FW_MUST_USE;

#endif
