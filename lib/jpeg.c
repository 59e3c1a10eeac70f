#include "jpeg.h"

#include "exif.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/* libjpeg holds the coefficients of a progressive file whole: 2 bytes a sample, up to 4 samples a pixel, padded to
 * blocks. This much beyond 8 bytes a pixel is for tables and row buffers. */
#define MEMORY_SLACK (64L << 20)

/* One decode. Lives in the frame of the function that calls guarded(). */
typedef struct job {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr err;
    struct jpeg_progress_mgr progress;
    jmp_buf jmp;
    fw_decode *d;
    enum fw_img_status status;
    bool many_scans; /* known once the header is read */
} job;

static _Noreturn void give_up(job *j, enum fw_img_status s)
{
    j->status = s;
    longjmp(j->jmp, 1);
}

static void say(job *j)
{
    char text[JMSG_LENGTH_MAX];
    j->err.format_message((j_common_ptr)&j->c, text);
    fw_decode_fail(j->d, FW_IMG_UNREADABLE, "jpeg: %s", text);
}

static void on_error(j_common_ptr c)
{
    job *j = (job *)c->client_data;
    say(j);
    switch (c->err->msg_code) {
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_ARITH_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
        give_up(j, FW_IMG_UNSUPPORTED);
    default:
        give_up(j, FW_IMG_UNREADABLE);
    }
}

/* Level -1 is a warning; higher levels are traces. */
static void on_message(j_common_ptr c, int level)
{
    job *j = (job *)c->client_data;
    if (level >= 0) return;
    switch (c->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA: /* junk before a marker: skipped, no pixel is affected */
    case JWRN_ADOBE_XFORM:     /* unknown colour transform: libjpeg assumes YCbCr */
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
        return; /* spectral parameters that a baseline file has no use for */
    case JWRN_JPEG_EOF:
        /* The reader sees the end while it fetches ahead; in a file of one scan the pixels may still be complete, and
         * if they are not, JWRN_HIT_MARKER follows. With several scans the missing ones would only show as blur. */
        if (!j->many_scans) return;
        break;
    default:
        break;
    }
    say(j);
    give_up(j, FW_IMG_UNREADABLE);
}

static void on_output(j_common_ptr c)
{
    FW_UNUSED(c);
}

/* Called between rows of every scan: the place to stop a file with thousands of scans. */
static void on_progress(j_common_ptr c)
{
    job *j = (job *)c->client_data;
    int limit = j->d->lim.max_scans;
    if (limit <= 0 || !c->is_decompressor || j->c.input_scan_number <= limit) return;
    fw_decode_fail(j->d, FW_IMG_UNREADABLE, "jpeg: more than %d scans", limit);
    give_up(j, FW_IMG_UNREADABLE);
}

/* Run `step` with libjpeg's errors caught: j->status tells how it went. */
static enum fw_img_status guarded(job *j, void (*step)(job *))
{
    j->status = FW_IMG_OK;
    if (setjmp(j->jmp) == 0) step(j);
    return j->status;
}

static void step_header(job *j)
{
    jpeg_create_decompress(&j->c);
    j->progress.progress_monitor = on_progress;
    j->c.progress = &j->progress;
    jpeg_mem_src(&j->c, j->d->bytes, (unsigned long)j->d->n);
    jpeg_save_markers(&j->c, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&j->c, TRUE);
}

static enum fw_img_status job_open(job *j, fw_decode *d)
{
    memset(j, 0, sizeof *j);
    j->d = d;
    j->c.err = jpeg_std_error(&j->err);
    j->c.client_data = j; /* jpeg_create_decompress keeps these two */
    j->err.error_exit = on_error;
    j->err.emit_message = on_message;
    j->err.output_message = on_output;
    return guarded(j, step_header);
}

static int find_orientation(const struct jpeg_decompress_struct *c)
{
    for (jpeg_saved_marker_ptr m = c->marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0", 6) == 0)
            return fw_exif_orientation(m->data, m->data_length);
    return 1;
}

/* The smallest of 1/1, 1/2, 1/4, 1/8 whose longer side is still `want`; libjpeg rounds sizes up. */
static unsigned pick_denominator(unsigned longer, int want)
{
    unsigned denom = 1;
    if (want <= 0) return 1;
    while (denom < 8 && (longer + 2 * denom - 1) / (2 * denom) >= (unsigned)want) denom *= 2;
    return denom;
}

/* CMYK as Adobe writes it: 255 is no ink. In place would need 4 bytes a pixel, so rows come through `row`. */
static void cmyk_row(const uint8_t *row, uint8_t *rgb, int width)
{
    for (int x = 0; x < width; x++, row += 4, rgb += 3)
        for (int k = 0; k < 3; k++) {
            unsigned v = (unsigned)row[k] * row[3] + 128;
            rgb[k] = (uint8_t)((v + (v >> 8)) >> 8); /* exact rounding of v / 255 */
        }
}

static void read_rows(job *j)
{
    struct jpeg_decompress_struct *c = &j->c;
    fw_image *out = j->d->out;
    const size_t stride = 3 * (size_t)out->width;
    while (c->output_scanline < c->output_height) {
        JSAMPROW rows[8];
        JDIMENSION count = c->output_height - c->output_scanline, first = c->output_scanline;
        if (count > FW_COUNT(rows)) count = FW_COUNT(rows);
        for (JDIMENSION i = 0; i < count; i++) rows[i] = out->rgb + stride * (first + i);
        jpeg_read_scanlines(c, rows, count);
    }
}

static void read_cmyk_rows(job *j)
{
    struct jpeg_decompress_struct *c = &j->c;
    fw_image *out = j->d->out;
    JSAMPROW row = fw_decode_spare(j->d, 4 * (size_t)out->width);
    while (c->output_scanline < c->output_height) {
        uint8_t *to = out->rgb + 3 * (size_t)out->width * c->output_scanline;
        jpeg_read_scanlines(c, &row, 1);
        cmyk_row(row, to, out->width);
    }
}

static void step_pixels(job *j)
{
    struct jpeg_decompress_struct *c = &j->c;
    const bool cmyk = c->jpeg_color_space == JCS_CMYK || c->jpeg_color_space == JCS_YCCK;
    j->many_scans = jpeg_has_multiple_scans(c);
    unsigned longer = c->image_width > c->image_height ? c->image_width : c->image_height;
    c->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    c->scale_num = 1;
    c->scale_denom = pick_denominator(longer, j->d->lim.decode_side);
    c->mem->max_memory_to_use = MEMORY_SLACK + 12L * c->image_width * c->image_height;
    jpeg_start_decompress(c);
    fw_decode_reserve(j->d, (int)c->output_width, (int)c->output_height);
    if (cmyk)
        read_cmyk_rows(j);
    else
        read_rows(j);
}

enum fw_img_status fw_jpeg_decode(fw_decode *d)
{
    job j;
    enum fw_img_status s = job_open(&j, d);
    if (s == FW_IMG_OK) s = fw_decode_check_size(d, j.c.image_width, j.c.image_height);
    if (s == FW_IMG_OK) {
        d->orientation = find_orientation(&j.c);
        d->out->full_width = (int)j.c.image_width;
        d->out->full_height = (int)j.c.image_height;
        s = guarded(&j, step_pixels);
    }
    jpeg_destroy_decompress(&j.c);
    return s;
}

enum fw_img_status fw_jpeg_probe(const uint8_t *bytes, size_t n, int *width, int *height)
{
    char why[FW_IMG_WHY];
    fw_decode d = {.bytes = bytes, .n = n, .why = why};
    job j;
    enum fw_img_status s = job_open(&j, &d);
    if (s == FW_IMG_OK) {
        *width = (int)j.c.image_width;
        *height = (int)j.c.image_height;
    }
    jpeg_destroy_decompress(&j.c);
    return s;
}

/* One encode; the same pattern as for decoding. */
typedef struct encode_job {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr err;
    jmp_buf jmp;
    const uint8_t *rgb;
    int w, h, quality;
    unsigned char *bytes; /* libjpeg's buffer, freed by us */
    unsigned long n;
    char text[JMSG_LENGTH_MAX];
} encode_job;

static void on_encode_error(j_common_ptr c)
{
    encode_job *j = (encode_job *)c->client_data;
    c->err->format_message(c, j->text);
    longjmp(j->jmp, 1);
}

static void encode_rows(encode_job *j)
{
    struct jpeg_compress_struct *c = &j->c;
    jpeg_create_compress(c);
    jpeg_mem_dest(c, &j->bytes, &j->n);
    c->image_width = (JDIMENSION)j->w;
    c->image_height = (JDIMENSION)j->h;
    c->input_components = 3;
    c->in_color_space = JCS_RGB;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, j->quality, TRUE);
    jpeg_start_compress(c, TRUE);
    while (c->next_scanline < c->image_height) {
        /* libjpeg's interface lacks const; the encoder does not write */
        JSAMPROW row = (JSAMPROW)(uintptr_t)(j->rgb + 3 * (size_t)j->w * c->next_scanline);
        jpeg_write_scanlines(c, &row, 1);
    }
    jpeg_finish_compress(c);
}

static int encode_guarded(encode_job *j)
{
    if (setjmp(j->jmp)) return -1;
    encode_rows(j);
    return 0;
}

int fw_jpeg_encode(const uint8_t *rgb, int w, int h, int quality, fw_buf *out, fw_err *e)
{
    encode_job j = {.rgb = rgb, .w = w, .h = h, .quality = quality};
    if (w <= 0 || h <= 0) return fw_fail(e, FW_EFAIL, "encode jpeg: bad size %d x %d", w, h);
    j.c.err = jpeg_std_error(&j.err);
    j.c.client_data = &j;
    j.err.error_exit = on_encode_error;
    int rc = encode_guarded(&j);
    if (rc == 0) fw_buf_add(out, j.bytes, j.n);
    jpeg_destroy_compress(&j.c);
    free(j.bytes);
    return rc ? fw_fail(e, FW_EFAIL, "encode jpeg of %d x %d: %s", w, h, j.text) : FW_OK;
}
