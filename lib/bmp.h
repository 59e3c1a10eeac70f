/* bmp: a strict reader of Windows bitmaps: header of 12, 40, 52, 56, 108 or 124 bytes; 1, 4, 8 bits with palette; 16,
 * 24, 32 bits plain or with bit masks; both row orders. Alpha is ignored (most writers leave it at 0). Run-length
 * coding and embedded JPEG/PNG are unsupported.
 *
 * Our own 150 lines rather than stb_image: stb reads zeros past the end of its input, so a truncated file comes out as
 * a picture that is partly black, with no error; here every row is checked to lie inside the file before it is read.
 */
#ifndef FW_BMP_H
#define FW_BMP_H

#include "image.h"

/* Fills d->out (width, height, full size as stored, rgb) and d->orientation. */
enum fw_img_status fw_bmp_decode(fw_decode *d);
/* Size as stored. */
enum fw_img_status fw_bmp_probe(const uint8_t *bytes, size_t n, int *width, int *height);

#endif
