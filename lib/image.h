/* image: encoded bytes in, upright RGB pixels out, whatever the bytes are.
 *
 * Training sets are scraped from the web, so every input is treated as hostile: the format is told by its first bytes
 * (never by a file name), sizes are checked against the limits before any pixel memory is asked for, and whatever
 * happens is an `enum fw_img_status` and one line of text, never an error of the run and never a crash.
 *
 *   JPEG  baseline, progressive; grey, YCbCr, RGB, CMYK, YCCK     lib/jpeg.h
 *   PNG   all colour types and depths, interlaced                 lib/png.h
 *   WebP  lossy, lossless, alpha; one picture (no animation)      lib/webp.h
 *   BMP   1, 4, 8, 16, 24, 32 bits, not run-length coded          lib/bmp.h
 *
 * What is decided here for all formats:
 * - Complete or nothing. A file whose pixel data stop early or do not decode is UNREADABLE: half a photo does not
 * belong in a training set. Damage that cannot touch a pixel (junk bytes between markers, a missing end marker) passes.
 * - EXIF orientation 1..8 is applied (JPEG APP1, PNG eXIf, WebP EXIF), so boxes and landmarks are those of the upright
 *   picture. An invalid orientation counts as 1.
 * - Alpha is composited on white (as browsers show it), 16-bit samples are scaled to 8, CMYK is taken as Adobe writes
 * it (inverted), which is also what PIL and OpenCV assume. Colour profiles are ignored: samples are taken as sRGB, as
 * in the tools that trained the published models.
 *
 * Threads: no shared state; one fw_image per thread. Memory is kept in the fw_image between calls and grows only.
 */
#ifndef FW_IMAGE_H
#define FW_IMAGE_H

#include "base.h"

/* Stored as bytes in columns: the numbers are part of the workspace format. NO_FACE is set by detection, never here. */
enum fw_img_status {
    FW_IMG_OK = 0,
    FW_IMG_NO_FACE = 1,
    FW_IMG_UNREADABLE = 2, /* a known format, but broken, truncated, or over a limit */
    FW_IMG_UNSUPPORTED = 3 /* not a picture, or a kind that is not read here (GIF, HEIC, animation, 12-bit JPEG ...) */
};

enum fw_img_format { FW_FMT_NONE = 0, FW_FMT_JPEG, FW_FMT_PNG, FW_FMT_WEBP, FW_FMT_BMP };

typedef struct fw_image {
    int width, height;           /* decoded, upright; 0 after a failed decode */
    int full_width, full_height; /* upright size of the original; original x = x * full_width / width */
    uint8_t *rgb;                /* owned; height rows of 3*width bytes, R G B */
    size_t cap;                  /* bytes allocated at rgb */
    uint8_t *spare;              /* owned; second buffer, for turning and for alpha */
    size_t spare_cap;
    enum fw_img_format format;
} fw_image;

/* Zero in a field means "no limit" (decode_side: full size). */
typedef struct fw_image_limits {
    uint64_t max_pixels; /* width * height of the original */
    int max_scans;       /* scans of a progressive JPEG; an encoder writes about 10, a "scan bomb" thousands */
    int decode_side;     /* enough pixels on the longer side: a JPEG is decoded at 1/2, 1/4 or 1/8 while the longer side
                            stays >= this. Other formats are always decoded in full. */
} fw_image_limits;

/* 100 MPix (the largest phone sensors pass; 300 MB of RGB), 100 scans (ten times what encoders write), full size. */
#define FW_IMAGE_LIMITS_DEFAULT ((fw_image_limits){.max_pixels = 100000000u, .max_scans = 100, .decode_side = 0})

#define FW_IMG_WHY 160 /* room for the reason, NUL included */

/* Decode `n` bytes into `out` (zero-initialise it once, then reuse it; fw_image_free at the end). `why` gets the reason
 * when the result is not FW_IMG_OK, else "". `lim` NULL: FW_IMAGE_LIMITS_DEFAULT. */
enum fw_img_status fw_image_decode(const void *bytes, size_t n, const fw_image_limits *lim, fw_image *out,
                                   char why[FW_IMG_WHY]) FW_MUST_USE;
void fw_image_free(fw_image *im);

/* Format by magic bytes alone. */
enum fw_img_format fw_image_format(const void *bytes, size_t n);
const char *fw_image_format_name(enum fw_img_format f); /* "jpeg" ...; "unknown" */
const char *fw_img_status_name(enum fw_img_status s);   /* "ok", "no_face", "unreadable", "unsupported" */
/* Header only: the size as stored (before EXIF orientation). Returns FW_IMG_OK, _UNREADABLE or _UNSUPPORTED. Checks no
 * limit and no pixel data. */
enum fw_img_status fw_image_probe(const void *bytes, size_t n, int *width, int *height, enum fw_img_format *format);

/* Resize packed RGB: each axis is area-averaged when it shrinks and bilinear (pixel centres aligned) when it grows, as
 * OpenCV's INTER_AREA and INTER_LINEAR. `out` holds 3*ow*oh bytes and does not overlap `rgb`. Sizes are > 0. */
void fw_image_resize(const uint8_t *rgb, int w, int h, uint8_t *out, int ow, int oh);

/* --- for the decoders (lib/jpeg.c, png.c, webp.c, bmp.c) --- */

/* What a decoder hands back besides the pixels in `out`. */
typedef struct fw_decode {
    const uint8_t *bytes;
    size_t n;
    fw_image_limits lim;
    fw_image *out;
    int orientation; /* 1..8, as EXIF numbers it */
    char *why;       /* FW_IMG_WHY bytes */
} fw_decode;

/* Write the reason and return `s`. */
enum fw_img_status fw_decode_fail(fw_decode *d, enum fw_img_status s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Check a stored size against the limits: FW_IMG_OK, or _UNREADABLE with the reason. Call before allocating. */
enum fw_img_status fw_decode_check_size(fw_decode *d, uint64_t width, uint64_t height);
/* Make room for width x height RGB in out->rgb and set out->width, ->height; the pixels are undefined. */
void fw_decode_reserve(fw_decode *d, int width, int height);
/* Room for `bytes` in out->spare. */
uint8_t *fw_decode_spare(fw_decode *d, size_t bytes);
/* Composite RGBA (alpha not premultiplied) on white, rounding to nearest. */
void fw_decode_on_white(const uint8_t *rgba, uint8_t *rgb, size_t pixels);

#endif
