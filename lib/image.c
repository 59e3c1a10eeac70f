#include "image.h"

#include "bmp.h"
#include "jpeg.h"
#include "png.h"
#include "webp.h"
#include <stdio.h>
#include <string.h>

enum fw_img_status fw_decode_fail(fw_decode *d, enum fw_img_status s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->why, FW_IMG_WHY, fmt, ap);
    va_end(ap);
    return s;
}

enum fw_img_status fw_decode_check_size(fw_decode *d, uint64_t width, uint64_t height)
{
    /* 2^24 a side keeps every product below inside 64 bits and every width inside an int */
    const uint64_t side = 1u << 24;
    if (width == 0 || height == 0) return fw_decode_fail(d, FW_IMG_UNREADABLE, "empty picture");
    if (width > side || height > side || (d->lim.max_pixels && width * height > d->lim.max_pixels))
        return fw_decode_fail(d, FW_IMG_UNREADABLE, "%llu x %llu pixels, over the limit of %llu",
                              (unsigned long long)width, (unsigned long long)height,
                              (unsigned long long)d->lim.max_pixels);
    return FW_IMG_OK;
}

/* At least `need` bytes; what was there is lost, so nothing is copied and fresh pages stay untouched. */
static void want_bytes(uint8_t **p, size_t *cap, size_t need)
{
    if (*cap >= need) return;
    fw_free(*p);
    *p = fw_alloc(need, 1);
    *cap = need;
}

void fw_decode_reserve(fw_decode *d, int width, int height)
{
    want_bytes(&d->out->rgb, &d->out->cap, 3 * (size_t)width * (size_t)height);
    d->out->width = width;
    d->out->height = height;
}

uint8_t *fw_decode_spare(fw_decode *d, size_t bytes)
{
    want_bytes(&d->out->spare, &d->out->spare_cap, bytes);
    return d->out->spare;
}

void fw_decode_on_white(const uint8_t *rgba, uint8_t *rgb, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++, rgba += 4, rgb += 3)
        for (int k = 0; k < 3; k++) {
            unsigned v = (unsigned)rgba[k] * rgba[3] + 255u * (255u - rgba[3]) + 128;
            rgb[k] = (uint8_t)((v + (v >> 8)) >> 8); /* v / 255, exact for this range */
        }
}

void fw_image_free(fw_image *im)
{
    fw_free(im->rgb);
    fw_free(im->spare);
    memset(im, 0, sizeof *im);
}

/* Orientation as a walk: upright pixel (0,0) is stored pixel `start`; one step right / down moves by these. */
typedef struct turn {
    ptrdiff_t start, right, down;
} turn;

static turn turn_of(int orientation, ptrdiff_t w, ptrdiff_t h)
{
    const ptrdiff_t end_x = w - 1, end_y = (h - 1) * w;
    switch (orientation) {
    case 2:
        return (turn){end_x, -1, w}; /* mirrored left-right */
    case 3:
        return (turn){end_y + end_x, -1, -w}; /* upside down */
    case 4:
        return (turn){end_y, 1, -w}; /* mirrored top-bottom */
    case 5:
        return (turn){0, w, 1}; /* transposed */
    case 6:
        return (turn){end_y, -w, 1}; /* to be turned clockwise */
    case 7:
        return (turn){end_y + end_x, -w, -1}; /* transposed along the other diagonal */
    case 8:
        return (turn){end_x, w, -1}; /* to be turned counter-clockwise */
    default:
        return (turn){0, 1, w};
    }
}

/* 32 x 32 tiles: a transposing walk touches one cache line per pixel, and a tile's lines fit in the L1 cache. */
static void walk(const uint8_t *from, uint8_t *to, int w, int h, turn t)
{
    enum { TILE = 32 };
    for (int y0 = 0; y0 < h; y0 += TILE)
        for (int x0 = 0; x0 < w; x0 += TILE) {
            const int y1 = y0 + TILE < h ? y0 + TILE : h, x1 = x0 + TILE < w ? x0 + TILE : w;
            for (int y = y0; y < y1; y++)
                for (int x = x0; x < x1; x++)
                    memcpy(to + 3 * ((size_t)y * w + x), from + 3 * (t.start + x * t.right + y * t.down), 3);
        }
}

#define SWAP(type, a, b)                                                                                               \
    do {                                                                                                               \
        type swap_ = (a);                                                                                              \
        (a) = (b);                                                                                                     \
        (b) = swap_;                                                                                                   \
    } while (0)

static void make_upright(fw_decode *d)
{
    fw_image *im = d->out;
    if (d->orientation < 2 || d->orientation > 8) return;
    const turn t = turn_of(d->orientation, im->width, im->height);
    fw_decode_spare(d, 3 * (size_t)im->width * (size_t)im->height);
    if (d->orientation >= 5) {
        SWAP(int, im->width, im->height);
        SWAP(int, im->full_width, im->full_height);
    }
    walk(im->rgb, im->spare, im->width, im->height, t);
    SWAP(uint8_t *, im->rgb, im->spare);
    SWAP(size_t, im->cap, im->spare_cap);
}

enum fw_img_format fw_image_format(const void *bytes, size_t n)
{
    const uint8_t *b = bytes;
    if (n >= 3 && memcmp(b, "\xff\xd8\xff", 3) == 0) return FW_FMT_JPEG;
    if (n >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0) return FW_FMT_PNG;
    if (n >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0) return FW_FMT_WEBP;
    if (n >= 18 && memcmp(b, "BM", 2) == 0 && b[15] == 0 && b[16] == 0 && b[17] == 0) return FW_FMT_BMP;
    return FW_FMT_NONE;
}

const char *fw_image_format_name(enum fw_img_format f)
{
    static const char *const name[] = {"unknown", "jpeg", "png", "webp", "bmp"};
    return (unsigned)f < FW_COUNT(name) ? name[f] : name[0];
}

const char *fw_img_status_name(enum fw_img_status s)
{
    static const char *const name[] = {"ok", "no_face", "unreadable", "unsupported"};
    return (unsigned)s < FW_COUNT(name) ? name[s] : "unknown";
}

/* What the bytes are, for the reason only: the commonest things that a scraper stores under a picture's name. */
static const char *guess_content(const uint8_t *b, size_t n)
{
    size_t i = 0;
    if (n == 0) return "empty file";
    if (n >= 4 && memcmp(b, "GIF8", 4) == 0) return "a GIF";
    if (n >= 4 && (memcmp(b, "II*\0", 4) == 0 || memcmp(b, "MM\0*", 4) == 0)) return "a TIFF";
    if (n >= 12 && memcmp(b + 4, "ftyp", 4) == 0) return "a HEIC/AVIF picture or a film";
    while (i < n && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t')) i++;
    if (i < n && b[i] == '<') return "markup (an error page?)";
    for (i = 0; i < n && b[i] == 0; i++) {
    }
    return i == n ? "only zero bytes" : "not a known picture format";
}

static enum fw_img_status decode_as(enum fw_img_format f, fw_decode *d)
{
    switch (f) {
    case FW_FMT_JPEG:
        return fw_jpeg_decode(d);
    case FW_FMT_PNG:
        return fw_png_decode(d);
    case FW_FMT_WEBP:
        return fw_webp_decode(d);
    case FW_FMT_BMP:
        return fw_bmp_decode(d);
    default:
        return fw_decode_fail(d, FW_IMG_UNSUPPORTED, "%s", guess_content(d->bytes, d->n));
    }
}

enum fw_img_status fw_image_decode(const void *bytes, size_t n, const fw_image_limits *lim, fw_image *out,
                                   char why[FW_IMG_WHY])
{
    fw_decode d = {.bytes = bytes, .n = n, .out = out, .orientation = 1, .why = why};
    d.lim = lim ? *lim : FW_IMAGE_LIMITS_DEFAULT;
    why[0] = '\0';
    out->width = out->height = out->full_width = out->full_height = 0;
    out->format = fw_image_format(bytes, n);
    enum fw_img_status s = decode_as(out->format, &d);
    if (s != FW_IMG_OK) {
        out->width = out->height = out->full_width = out->full_height = 0;
        return s;
    }
    make_upright(&d);
    return FW_IMG_OK;
}

enum fw_img_status fw_image_probe(const void *bytes, size_t n, int *width, int *height, enum fw_img_format *format)
{
    *width = *height = 0;
    *format = fw_image_format(bytes, n);
    switch (*format) {
    case FW_FMT_JPEG:
        return fw_jpeg_probe(bytes, n, width, height);
    case FW_FMT_PNG:
        return fw_png_probe(bytes, n, width, height);
    case FW_FMT_WEBP:
        return fw_webp_probe(bytes, n, width, height);
    case FW_FMT_BMP:
        return fw_bmp_probe(bytes, n, width, height);
    default:
        return FW_IMG_UNSUPPORTED;
    }
}

/* --- resizing --- */

/* One output sample is sum over i of weight[i] * input[first + i]. */
typedef struct tap {
    int first, count;
    size_t weights; /* index of weight[0] */
} tap;

typedef struct axis {
    tap *tap;      /* one per output sample */
    float *weight; /* of all taps, in order */
} axis;

/* Output sample o covers [o, o+1) * in/out of the input; each input sample counts with the part of it inside. */
static int area_taps(tap *t, float *weight, int o, int in, int out)
{
    const double from = (double)o * in / out, to = (double)(o + 1) * in / out;
    int last = (int)to;
    t->first = (int)from;
    if (last > in - 1 || last == to) last--;
    if (last < t->first) last = t->first;
    t->count = last - t->first + 1;
    for (int i = 0; i < t->count; i++) {
        const double lo = t->first + i, hi = lo + 1;
        weight[i] = (float)(((hi < to ? hi : to) - (lo > from ? lo : from)) / (to - from));
    }
    return t->count;
}

static int linear_taps(tap *t, float *weight, int o, int in, int out)
{
    double x = (o + 0.5) * in / out - 0.5;
    if (x < 0) x = 0;
    if (x > in - 1) x = in - 1;
    t->first = (int)x;
    t->count = t->first + 1 < in ? 2 : 1;
    weight[0] = t->count == 2 ? (float)(1 - (x - t->first)) : 1.0f;
    weight[1] = (float)(x - t->first);
    return 2;
}

static axis axis_make(int in, int out)
{
    const size_t per = in > out ? (size_t)(in / out) + 2 : 2;
    axis a = {FW_ARRAY(tap, (size_t)out), FW_ARRAY(float, per *(size_t)out)};
    size_t used = 0;
    for (int o = 0; o < out; o++) {
        a.tap[o].weights = used;
        used += (size_t)(in > out ? area_taps : linear_taps)(&a.tap[o], a.weight + used, o, in, out);
    }
    return a;
}

static void axis_free(axis *a)
{
    fw_free(a->tap);
    fw_free(a->weight);
}

static void blend_rows(const uint8_t *rgb, size_t stride, const tap *t, const float *weight, float *row)
{
    memset(row, 0, stride * sizeof *row);
    for (int i = 0; i < t->count; i++) {
        const uint8_t *from = rgb + stride * (size_t)(t->first + i);
        const float w = weight[i];
        for (size_t x = 0; x < stride; x++) row[x] += w * from[x];
    }
}

static void blend_columns(const float *row, const axis *a, int ow, uint8_t *out)
{
    for (int x = 0; x < ow; x++) {
        const tap *t = &a->tap[x];
        const float *weight = a->weight + t->weights, *from = row + 3 * (size_t)t->first;
        float sum[3] = {0.5f, 0.5f, 0.5f}; /* rounds to nearest */
        for (int i = 0; i < t->count; i++)
            for (int k = 0; k < 3; k++) sum[k] += weight[i] * from[3 * i + k];
        for (int k = 0; k < 3; k++) out[3 * x + k] = sum[k] < 255.0f ? (uint8_t)sum[k] : 255;
    }
}

void fw_image_resize(const uint8_t *rgb, int w, int h, uint8_t *out, int ow, int oh)
{
    axis ax = axis_make(w, ow), ay = axis_make(h, oh);
    const size_t stride = 3 * (size_t)w;
    float *row = FW_ARRAY(float, stride);
    for (int y = 0; y < oh; y++) {
        blend_rows(rgb, stride, &ay.tap[y], ay.weight + ay.tap[y].weights, row);
        blend_columns(row, &ax, ow, out + 3 * (size_t)ow * (size_t)y);
    }
    fw_free(row);
    axis_free(&ax);
    axis_free(&ay);
}
