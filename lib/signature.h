/* signature: what one image contributes to the search for duplicates, computed once while its pixels are at hand.
 *
 * Three views of the photo, all grey, so that colour edits do not matter:
 *   wide   FW_SIG_WIDE x FW_SIG_WIDE around the target face, 2.2 times as wide as the 112 x 112 face template, upright
 *          and scaled by the landmarks: the same part of the scene whatever crop, size, rotation or mirroring the file
 *          went through. Background tells two photos of one person apart; faces alone do not.
 *   thumb  FW_SIG_THUMB x FW_SIG_THUMB, the whole image squeezed to a square: for images without a face.
 *   hashes 64-bit pHash (signs of low DCT coefficients, Zauner 2010) and dHash (signs of horizontal differences) of the
 *          whole image and of its mirror image: keys by which candidates are found, never evidence.
 *
 * In wide and thumb 0 means "not part of the photo" and grey values are 1..255. Outside are points beyond the image's
 * edge and flat black or white margins (letter boxes, corners of a rotated or aligned photo): two different photos with
 * the same black corner correlate strongly, so margins must not take part in a comparison (index/photo.h).
 */
#ifndef FW_SIGNATURE_H
#define FW_SIGNATURE_H

#include "image.h"

enum { FW_SIG_WIDE = 40, FW_SIG_THUMB = 24 };
enum { FW_SIG_HAS_IMAGE = 1, FW_SIG_HAS_FACE = 2, FW_SIG_FLAT = 4 };

/* The bytes of a signature column, little-endian. All zero: no readable image. */
typedef struct fw_signature {
    uint8_t flags;     /* HAS_IMAGE; HAS_FACE: `wide` is there; FLAT: the hashes say nothing (a blank picture) */
    uint8_t pad[7];    /* zero */
    uint64_t phash[2]; /* of the image, of its mirror image */
    uint64_t dhash[2];
    uint8_t thumb[FW_SIG_THUMB * FW_SIG_THUMB];
    uint8_t wide[FW_SIG_WIDE * FW_SIG_WIDE];
} fw_signature;

enum { FW_SIGNATURE_BYTES = sizeof(fw_signature) };
_Static_assert(sizeof(fw_signature) == 8 + 32 + 24 * 24 + 40 * 40, "a signature has no hidden padding");

/* Write the signature of `img` into `out` (FW_SIGNATURE_BYTES, aligned to 8). `landmark`: x,y of left eye, right eye,
 * nose, left and right mouth corner (as seen in the image) in full-size pixels, or NULL when there is no face. An image
 * of size 0 gives all zeros. No shared state. */
void fw_signature_compute(const fw_image *img, const float landmark[10], uint8_t *out);

#endif
