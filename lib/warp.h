/* warp: from five landmarks to the crop that a model was trained on.
 *
 * Landmarks are 10 floats, x y pairs in pixels of the full-size photo (as lib/detector.h reports them): left eye, right
 * eye, nose tip, left and right mouth corner, where left and right are the viewer's (the left eye has the smaller x in
 * an upright frontal face). Coordinates have pixel centres at whole numbers, as cv2.warpAffine and the published
 * templates do.
 *
 * The fit is the least-squares similarity (rotation, one scale, shift; never a reflection) of S. Umeyama,
 * "Least-squares estimation of transformation parameters between two point patterns", IEEE TPAMI 13(4), 1991. In the
 * plane its SVD has a closed form: with both sets centred and read as complex numbers p and q, the factor is
 * sum(conj(p) q) / sum(|p|^2).
 */
#ifndef FW_WARP_H
#define FW_WARP_H

#include "image.h"

/* Source to template: x' = m[0] x + m[1] y + m[2],  y' = m[3] x + m[4] y + m[5]. */
typedef struct fw_affine {
    double m[6];
} fw_affine;

enum fw_fit {
    FW_FIT_OK = 0,
    FW_FIT_DEGENERATE, /* not finite, or (nearly) one point: the transform is the identity */
    FW_FIT_MIRRORED /* a reflection would fit better (left and right swapped, or an extreme profile); the transform is
                       the best rotation all the same */
};

typedef struct fw_template {
    const char *name;
    int width, height; /* pixels */
    float point[10];
} fw_template;

/* "arcface112" (112 x 112), "sphereface" (96 x 112). NULL when unknown. `at` beyond the table gives NULL. */
const fw_template *fw_template_find(const char *name);
const fw_template *fw_template_at(size_t at);

enum fw_fit fw_similarity(const float from[10], const float to[10], fw_affine *out) FW_MUST_USE;
void fw_affine_apply(const fw_affine *a, double x, double y, double *ox, double *oy);
/* False when `a` is singular. */
bool fw_affine_invert(const fw_affine *a, fw_affine *out) FW_MUST_USE;
/* Source pixels per output pixel, sqrt(1/|det|). 0 when singular. */
double fw_affine_shrink(const fw_affine *a);
/* RMS distance in target pixels between the mapped `from` and `to`: how little face-like the five points are. */
double fw_fit_residual(const fw_affine *a, const float from[10], const float to[10]);

/* Full-size coordinates to those of the decoded pixels (they differ when a JPEG was decoded at 1/2, 1/4, 1/8). */
void fw_landmarks_decoded(const fw_image *im, const float full[10], float out[10]);

/* Sample the decoded picture through `a` (decoded pixels to output pixels) into ow x oh packed RGB. Bilinear, black
 * outside, as cv2.warpAffine with a constant border (exact fractions, where OpenCV rounds them to 1/32). Shrinking does
 * not alias, however large the photo: when an output pixel covers more than 1.5 source pixels a side, it is the mean of
 * 2 x 2 samples; from 2 on, the pictured region is first averaged in k x k blocks, k the whole part of the shrink. A
 * singular `a` gives black. */
void fw_warp(const fw_image *im, const fw_affine *a, int ow, int oh, uint8_t *out);

/* Same for a face: the template's frame, grown by `margin` of its width (height) on each side and scaled to be `size`
 * pixels wide and fw_template_rows(t, size) high. margin 0 and size t->width is the model's crop. The status is that of
 * the fit; on FW_FIT_DEGENERATE `out` is black. */
enum fw_fit fw_warp_template(const fw_image *im, const float landmarks[10], const fw_template *t, int size,
                             double margin, uint8_t *out) FW_MUST_USE;
int fw_template_rows(const fw_template *t, int size);
/* Only the fit: from the landmarks' own coordinates to the pixels of such a crop. */
enum fw_fit fw_template_fit(const float landmarks[10], const fw_template *t, int size, double margin,
                            fw_affine *out) FW_MUST_USE;

/* A rough head pose in degrees. yaw > 0: the face looks to the viewer's right; pitch > 0: up; roll > 0: the head leans
 * clockwise for the viewer.
 *
 * The head is a plane through the eyes and mouth corners, with the nose tip `d` = 0.41 eye distances in front of it
 * (the generic head model known from solvePnP tutorials). After turning by -roll, with e the mean eye, m the mean mouth
 * corner, n the nose: yaw = atan(u / d), u = (n.x - the mid-line at the nose's height) / eye distance;
 * pitch = atan((f - t) / d), t = (n.y - e.y) / (m.y - e.y), f = 0.555 the median of t over 350 LFW faces (mnet.25
 * landmarks), most of whom look into the camera. The ArcFace template itself has t = 0.495, which reads as 8 degrees
 * up. Good for sorting frontal from turned faces, not as a measurement. Degenerate points: all 90. */
typedef struct fw_pose {
    float yaw, pitch, roll;
} fw_pose;
fw_pose fw_pose_from_landmarks(const float landmarks[10]);

#endif
