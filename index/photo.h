/* photo: are two signatures (lib/signature.h) the same photo, seen through edits?
 *
 * Frames of one burst show the same person before the same wall, so their similarity is high in every coarse measure.
 * What tells them from an edited copy is what remains after the two are laid exactly onto each other: a copy then
 * agrees in its details, a second shot does not. So the pair is registered (the mirror image too): best of a few
 * shifts, then Gauss-Newton on rotation, scale, shift, gain and offset (Lucas and Kanade 1981; with gain and offset
 * solved jointly it maximises correlation, as Evangelidis and Psarakis 2008), over pixels that are photo in both. `ncc`
 * is the correlation then, `fine` the correlation of what is left above a 5-pixel mean.
 */
#ifndef FW_PHOTO_H
#define FW_PHOTO_H

#include "../lib/signature.h"

typedef struct fw_photo_match {
    float ncc;     /* -1..1 after registration; -1 when the common area is too small */
    float fine;    /* -1..1, of details */
    float area;    /* share of the patch that is photo in both */
    bool mirrored; /* b is a's mirror image */
    bool wide;     /* evidence from the face-aligned view (otherwise the whole-image one) */
} fw_photo_match;

/* Compare by the face-aligned views when both have one, else (or when `whole`) by the whole-image views. `need` is the
 * least ncc + fine that matters to the caller. Looks go from cheap to dear and end when that is out of reach: the best
 * of nine shifts at a quarter of the resolution, registration at half of it, registration at full resolution. ncc is
 * that of the last look; `fine` is 0 unless it was the full one. Symmetric up to rounding; callers pass the smaller row
 * first. */
fw_photo_match fw_photo_compare(const fw_signature *a, const fw_signature *b, bool whole, float need);

#endif
