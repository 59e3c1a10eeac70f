#include "png.h"

#include "exif.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

/* One decode. As in lib/jpeg.c the jump state lives in the caller of guarded(). */
typedef struct job {
    png_structp png;
    png_infop info;
    jmp_buf jmp;
    fw_decode *d;
    size_t at; /* bytes read */
    int w, h;
    png_bytep *row; /* row pointers, owned */
    enum fw_img_status status;
} job;

static void on_error(png_structp png, png_const_charp text)
{
    job *j = png_get_error_ptr(png);
    fw_decode_fail(j->d, FW_IMG_UNREADABLE, "png: %s", text);
    j->status = FW_IMG_UNREADABLE;
    longjmp(j->jmp, 1);
}

/* Warnings are about metadata or about bits that do not reach the pixels. */
static void on_warning(png_structp png, png_const_charp text)
{
    FW_UNUSED(png);
    FW_UNUSED(text);
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    job *j = png_get_io_ptr(png);
    if (n > j->d->n - j->at) png_error(png, "file ends early");
    memcpy(to, j->d->bytes + j->at, n);
    j->at += n;
}

static enum fw_img_status guarded(job *j, void (*step)(job *))
{
    j->status = FW_IMG_OK;
    if (setjmp(j->jmp) == 0) step(j);
    return j->status;
}

/* Chunks that hold text or profiles can inflate to anything and are of no use here: libpng skips what it is told to
 * treat as unknown and never keep. eXIf is among them because libpng 1.6 allocates whatever length its header states,
 * up to 2 GB, before it looks for the data (png_set_chunk_malloc_max is only a "benign error" there); the fuzzer found
 * that with a file of 110 bytes. find_orientation reads it instead. */
static void skip_metadata(png_structp png)
{
    static const png_byte names[] =
        "zTXt\0iTXt\0tEXt\0iCCP\0sPLT\0hIST\0sRGB\0cHRM\0gAMA\0pCAL\0sCAL\0tIME\0pHYs\0oFFs\0sBIT\0"
        "bKGD\0eXIf";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, (int)(sizeof names / 5));
    png_set_chunk_malloc_max(png, 1 << 20);
}

static void step_header(job *j)
{
    skip_metadata(j->png);
    png_set_user_limits(j->png, 1u << 24, 1u << 24); /* fw_decode_check_size does the rest */
    png_set_read_fn(j->png, j, on_read);
    png_read_info(j->png, j->info);
    j->w = (int)png_get_image_width(j->png, j->info);
    j->h = (int)png_get_image_height(j->png, j->info);
}

/* Whatever the file holds becomes 8-bit RGB or RGBA. Compositing is ours: libpng's own turns 16-bit white into 254. */
static int set_transforms(job *j)
{
    png_set_expand(j->png);
    png_set_scale_16(j->png);
    png_set_gray_to_rgb(j->png);
    png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
    return png_get_channels(j->png, j->info);
}

static void step_pixels(job *j)
{
    const int channels = set_transforms(j);
    const size_t pixels = (size_t)j->w * (size_t)j->h, stride = (size_t)channels * (size_t)j->w;
    if ((channels != 3 && channels != 4) || png_get_rowbytes(j->png, j->info) != stride)
        png_error(j->png, "unexpected row size");
    fw_decode_reserve(j->d, j->w, j->h);
    uint8_t *to = channels == 4 ? fw_decode_spare(j->d, 4 * pixels) : j->d->out->rgb;
    j->row = FW_ARRAY(png_bytep, (size_t)j->h);
    for (int y = 0; y < j->h; y++) j->row[y] = to + stride * (size_t)y;
    png_read_image(j->png, j->row);
    png_read_end(j->png, j->info);
    if (channels == 4) fw_decode_on_white(to, j->d->out->rgb, pixels);
}

static size_t be32(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* The first eXIf chunk, before or behind the pixels. A chunk is length, name, data, checksum: 12 bytes more than data.
 */
static int find_orientation(const fw_decode *d)
{
    for (size_t at = 8; d->n - at >= 12;) {
        const uint8_t *chunk = d->bytes + at;
        const size_t n = be32(chunk);
        if (n > d->n - at - 12) break;
        if (memcmp(chunk + 4, "eXIf", 4) == 0) return fw_exif_orientation(chunk + 8, n);
        at += 12 + n;
    }
    return 1;
}

static enum fw_img_status job_open(job *j, fw_decode *d)
{
    memset(j, 0, sizeof *j);
    j->d = d;
    j->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, j, on_error, on_warning);
    j->info = j->png ? png_create_info_struct(j->png) : NULL;
    if (!j->info) return fw_decode_fail(d, FW_IMG_UNREADABLE, "png: libpng does not start");
    return guarded(j, step_header);
}

static void job_close(job *j)
{
    if (j->png) png_destroy_read_struct(&j->png, &j->info, NULL);
    fw_free(j->row);
}

enum fw_img_status fw_png_decode(fw_decode *d)
{
    job j;
    enum fw_img_status s = job_open(&j, d);
    if (s == FW_IMG_OK) s = fw_decode_check_size(d, (uint64_t)j.w, (uint64_t)j.h);
    if (s == FW_IMG_OK) s = guarded(&j, step_pixels);
    if (s == FW_IMG_OK) {
        d->out->full_width = j.w;
        d->out->full_height = j.h;
        d->orientation = find_orientation(d);
    }
    job_close(&j);
    return s;
}

enum fw_img_status fw_png_probe(const uint8_t *bytes, size_t n, int *width, int *height)
{
    char why[FW_IMG_WHY];
    fw_decode d = {.bytes = bytes, .n = n, .why = why};
    job j;
    enum fw_img_status s = job_open(&j, &d);
    if (s == FW_IMG_OK) {
        *width = j.w;
        *height = j.h;
    }
    job_close(&j);
    return s;
}
