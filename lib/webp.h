/* webp: the only user of libwebp. Still pictures, lossy and lossless; alpha is composited on white. Animations are
 * reported as unsupported: a dataset of photos has none, and which frame would carry the label is anyone's guess.
 */
#ifndef FW_WEBP_H
#define FW_WEBP_H

#include "image.h"

/* Fills d->out (width, height, full size as stored, rgb) and d->orientation. */
enum fw_img_status fw_webp_decode(fw_decode *d);
/* Size as stored. */
enum fw_img_status fw_webp_probe(const uint8_t *bytes, size_t n, int *width, int *height);

#endif
