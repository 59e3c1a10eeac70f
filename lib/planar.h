/* planar: 8-bit RGB pixels into the float input of a network: scaled, normalised and put in the network's layout in one
 * pass, without a resized picture in between. Used by detector and embedder.
 *
 * Resampling is separable with a triangle filter whose half-width is max(1, shrink factor): bilinear when enlarging,
 * a weighted area mean (no aliasing) when shrinking. Results are not rounded to 8 bits. Sums run in a fixed order.
 */
#ifndef FW_PLANAR_H
#define FW_PLANAR_H

#include "modeldesc.h"

typedef struct fw_planar {
    bool nhwc, bgr;
    float mean[3], scale[3]; /* value = (pixel - mean[channel of the network]) * scale[the same] */
    /* scratch, kept between calls */
    struct fw_taps *taps[2]; /* across, down */
    float *row;
    size_t row_cap;
} fw_planar;

/* Format from a description, no scratch yet. One per thread; fw_planar_free at the end. */
void fw_planar_init(fw_planar *p, const fw_modeldesc *d);
void fw_planar_free(fw_planar *p);

/* Put the photo (w x h, interleaved RGB, rows of 3*w bytes), resized to sw x sh, at (ox, oy) of the canvas `out`
 * (3 planes of H rows of W floats, or H x W x 3) and fill the rest with `pad` (a pixel value). The photo must fit. */
void fw_planar_place(fw_planar *p, const uint8_t *rgb, int w, int h, int sw, int sh, int ox, int oy, float pad,
                     float *out, int W, int H);
/* The whole canvas from a photo of its size; `mirror`: left and right swapped. */
void fw_planar_copy(const fw_planar *p, const uint8_t *rgb, int w, int h, bool mirror, float *out);

#endif
