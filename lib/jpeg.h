/* jpeg: the only user of libjpeg-turbo. Decoder for lib/image.h, and the encoder for thumbnails and crops.
 *
 * libjpeg reports trouble by calling back. Fatal errors leave through longjmp to a setjmp whose state lives in the
 * caller of the function that calls setjmp (no local variable is ever read after the jump). Warnings are sorted by
 * their code: those that mean "these pixels are made up" (entropy data end early or do not decode, restart markers
 * are missing, a progressive file ends before its end marker) are fatal here; the rest pass.
 *
 * Decoding uses the accurate integer DCT and smooth chroma upsampling (both SIMD), libjpeg's defaults, so the pixels
 * are the same as PIL's and OpenCV's built on the same library.
 */
#ifndef FW_JPEG_H
#define FW_JPEG_H

#include "image.h"

/* Fills d->out (width, height, full size as stored, rgb) and d->orientation. */
enum fw_img_status fw_jpeg_decode(fw_decode *d);
/* Size as stored. */
enum fw_img_status fw_jpeg_probe(const uint8_t *bytes, size_t n, int *width, int *height);

/* Append a baseline JPEG (4:2:0, quality 1..100) of packed RGB to `out`. Same pixels, same bytes. Fails only on sizes
 * outside 1..65500. */
int fw_jpeg_encode(const uint8_t *rgb, int w, int h, int quality, fw_buf *out, fw_err *e) FW_MUST_USE;

#endif
