/* exif: the only user of libexif; reads the orientation and nothing else. */
#ifndef FW_EXIF_H
#define FW_EXIF_H

#include "base.h"

/* Orientation 1..8 from an EXIF block, with or without its leading "Exif\0\0". 1 when absent, invalid or damaged:
 * broken metadata never makes a picture unreadable. */
int fw_exif_orientation(const uint8_t *block, size_t n);

#endif
