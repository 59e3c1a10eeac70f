#include "bmp.h"

#include <string.h>

enum { RGB_PLAIN = 0, RGB_MASKS = 3, RGBA_MASKS = 6 }; /* values of the compression field */

/* The header, checked. */
typedef struct bitmap {
    int w, h;
    bool top_down;
    int bits;
    size_t pixels, stride;  /* offset of the first row, bytes per row (a multiple of 4) */
    const uint8_t *palette; /* b g r (x) entries, `entry` bytes each */
    unsigned colours, entry;
    uint32_t mask[3]; /* r g b, for 16 and 32 bits */
} bitmap;

static uint32_t le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t le16(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

#define BAD(text)      fw_decode_fail(d, FW_IMG_UNREADABLE, "bmp: " text)
#define NOT_READ(text) fw_decode_fail(d, FW_IMG_UNSUPPORTED, "bmp: " text)

/* A mask must be one run of bits, so that a sample is (pixel & mask) >> shift. */
static bool mask_fits(uint32_t m, int bits)
{
    if (m == 0 || (bits == 16 && m > 0xFFFF)) return false;
    uint32_t run = m >> __builtin_ctz(m);
    return (run & (run + 1)) == 0;
}

static enum fw_img_status read_masks(fw_decode *d, bitmap *b, uint32_t header, uint32_t compression)
{
    static const uint32_t plain16[3] = {0x7C00, 0x03E0, 0x001F}, plain32[3] = {0xFF0000, 0xFF00, 0xFF};
    if (compression == RGB_PLAIN) {
        memcpy(b->mask, b->bits == 16 ? plain16 : plain32, sizeof b->mask);
        return FW_IMG_OK;
    }
    /* after a 40-byte header the masks follow it; longer headers hold them at the same place */
    FW_UNUSED(header);
    if (d->n < 14 + 40 + 12) return BAD("file ends early");
    for (int k = 0; k < 3; k++) {
        b->mask[k] = le32(d->bytes + 14 + 40 + 4 * k);
        if (!mask_fits(b->mask[k], b->bits)) return BAD("bad colour masks");
    }
    return FW_IMG_OK;
}

static enum fw_img_status read_palette(fw_decode *d, bitmap *b, uint32_t header, uint32_t used)
{
    const unsigned full = 1u << b->bits;
    b->entry = header == 12 ? 3 : 4;
    b->colours = used == 0 || used > full ? full : used;
    const size_t at = 14 + (size_t)header;
    /* Writers of short palettes exist: what lies between header and pixels is what there is. */
    const size_t room = b->pixels > at ? (b->pixels - at) / b->entry : 0;
    if (b->colours > room) b->colours = (unsigned)room;
    if (b->colours == 0) return BAD("no palette");
    b->palette = d->bytes + at;
    return FW_IMG_OK;
}

/* Width, height and depth; the size is not checked against the limits. */
static enum fw_img_status read_size(fw_decode *d, bitmap *b, uint32_t header, uint32_t *planes)
{
    const uint8_t *p = d->bytes + 14;
    if (header == 12) {
        b->w = (int)le16(p + 4);
        b->h = (int)le16(p + 6);
        *planes = le16(p + 8);
        b->bits = (int)le16(p + 10);
    } else {
        const int32_t w = (int32_t)le32(p + 4), h = (int32_t)le32(p + 8);
        if (w <= 0 || h == 0 || h == INT32_MIN) return BAD("bad size");
        b->w = w;
        b->top_down = h < 0;
        b->h = h < 0 ? -h : h;
        *planes = le16(p + 12);
        b->bits = (int)le16(p + 14);
    }
    return FW_IMG_OK;
}

static enum fw_img_status read_header(fw_decode *d, bitmap *b)
{
    memset(b, 0, sizeof *b);
    const uint32_t header = d->n >= 18 ? le32(d->bytes + 14) : 0;
    if (header != 12 && header != 40 && header != 52 && header != 56 && header != 108 && header != 124)
        return NOT_READ("unknown header");
    if (d->n < 14 + (size_t)header) return BAD("file ends early");
    uint32_t planes = 0;
    enum fw_img_status s = read_size(d, b, header, &planes);
    if (s != FW_IMG_OK) return s;
    if (planes != 1) return BAD("bad number of planes");
    const uint32_t compression = header == 12 ? RGB_PLAIN : le32(d->bytes + 14 + 16);
    if (compression != RGB_PLAIN && compression != RGB_MASKS && compression != RGBA_MASKS)
        return NOT_READ("compressed");
    b->pixels = le32(d->bytes + 10);
    b->stride = ((size_t)b->w * (size_t)b->bits + 31) / 32 * 4;
    switch (b->bits) {
    case 1:
    case 4:
    case 8:
        return read_palette(d, b, header, header == 12 ? 0 : le32(d->bytes + 14 + 32));
    case 16:
    case 32:
        return read_masks(d, b, header, compression);
    case 24:
        return FW_IMG_OK;
    default:
        return NOT_READ("unknown depth");
    }
}

static void palette_row(const bitmap *b, const uint8_t *row, uint8_t *rgb)
{
    const unsigned per = 8 / (unsigned)b->bits, mask = (1u << b->bits) - 1;
    for (unsigned x = 0; x < (unsigned)b->w; x++, rgb += 3) {
        unsigned index = row[x / per] >> (8 - (unsigned)b->bits * (x % per + 1)) & mask;
        if (index >= b->colours) index = 0; /* as a viewer shows it: the first colour */
        const uint8_t *c = b->palette + (size_t)index * b->entry;
        rgb[0] = c[2], rgb[1] = c[1], rgb[2] = c[0];
    }
}

static uint8_t masked(uint32_t pixel, uint32_t mask)
{
    const int shift = __builtin_ctz(mask);
    const uint64_t top = mask >> shift;
    return (uint8_t)(((uint64_t)((pixel & mask) >> shift) * 255 + top / 2) / top);
}

static void masks_row(const bitmap *b, const uint8_t *row, uint8_t *rgb)
{
    for (int x = 0; x < b->w; x++, rgb += 3) {
        const uint32_t pixel = b->bits == 16 ? le16(row + 2 * x) : le32(row + 4 * x);
        for (int k = 0; k < 3; k++) rgb[k] = masked(pixel, b->mask[k]);
    }
}

static void bgr_row(const bitmap *b, const uint8_t *row, uint8_t *rgb)
{
    for (int x = 0; x < b->w; x++, row += 3, rgb += 3) rgb[0] = row[2], rgb[1] = row[1], rgb[2] = row[0];
}

enum fw_img_status fw_bmp_decode(fw_decode *d)
{
    bitmap b;
    enum fw_img_status s = read_header(d, &b);
    if (s == FW_IMG_OK) s = fw_decode_check_size(d, (uint64_t)b.w, (uint64_t)b.h);
    if (s != FW_IMG_OK) return s;
    /* the last row's padding may be missing */
    const uint64_t last = ((uint64_t)b.w * (uint64_t)b.bits + 7) / 8;
    if (b.pixels < 14 || b.pixels > d->n || (uint64_t)b.stride * (uint64_t)(b.h - 1) + last > d->n - b.pixels)
        return BAD("file ends early");
    fw_decode_reserve(d, b.w, b.h);
    for (int y = 0; y < b.h; y++) {
        const uint8_t *row = d->bytes + b.pixels + b.stride * (size_t)y;
        uint8_t *rgb = d->out->rgb + 3 * (size_t)b.w * (size_t)(b.top_down ? y : b.h - 1 - y);
        (b.palette ? palette_row : b.bits == 24 ? bgr_row : masks_row)(&b, row, rgb);
    }
    d->out->full_width = b.w;
    d->out->full_height = b.h;
    return FW_IMG_OK;
}

enum fw_img_status fw_bmp_probe(const uint8_t *bytes, size_t n, int *width, int *height)
{
    char why[FW_IMG_WHY];
    fw_decode d = {.bytes = bytes, .n = n, .why = why};
    bitmap b;
    enum fw_img_status s = read_header(&d, &b);
    if (s == FW_IMG_OK) {
        *width = b.w;
        *height = b.h;
    }
    return s;
}
