/* png: the only user of libpng. All colour types, 1..16 bits, interlaced or not; alpha and transparent colours are
 * composited on white, 16-bit samples scaled to 8. Chunks that carry no pixels (text, profiles) are skipped unread, so
 * they cannot be decompression bombs. A bad checksum, a short IDAT or a missing IEND makes the file unreadable.
 */
#ifndef FW_PNG_H
#define FW_PNG_H

#include "image.h"

/* Fills d->out (width, height, full size as stored, rgb) and d->orientation. */
enum fw_img_status fw_png_decode(fw_decode *d);
/* Size as stored. */
enum fw_img_status fw_png_probe(const uint8_t *bytes, size_t n, int *width, int *height);

#endif
