/* lib/image, jpeg, png, webp, bmp, exif: the corpus of tests/make_bad_images.py, and pixels whose values are known. */
#include "lib/exif.h"
#include "lib/image.h"
#include "lib/jpeg.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The state: the folder of the corpus, made once. */
static int make_corpus(void **state)
{
    char command[300], dir[] = "/tmp/fw_test_image.XXXXXX";
    if (!mkdtemp(dir)) return -1;
    snprintf(command, sizeof command, "/usr/bin/python3 tests/make_bad_images.py %s", dir);
    *state = fw_strdup(dir);
    return system(command);
}

static int drop_corpus(void **state)
{
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", (char *)*state);
    fw_free(*state);
    return system(command);
}

static fw_buf slurp(void **state, const char *name)
{
    char *path = fw_format("%s/%s", (char *)*state, name), block[65536];
    fw_buf b = {0};
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("no file %s", path);
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) fw_buf_add(&b, block, n);
    fclose(f);
    fw_free(path);
    return b;
}

static enum fw_img_status decode(void **state, const char *name, fw_image *im)
{
    char why[FW_IMG_WHY];
    fw_buf b = slurp(state, name);
    enum fw_img_status s = fw_image_decode(b.data, b.len, NULL, im, why);
    fw_buf_free(&b);
    return s;
}

static const uint8_t *pixel(const fw_image *im, int x, int y)
{
    return im->rgb + 3 * ((size_t)y * (size_t)im->width + (size_t)x);
}

static void near_value(int got, int want, int within)
{
    if (abs(got - want) > within) fail_msg("%d is not within %d of %d", got, within, want);
}

/* What make_bad_images.py's photo() holds at (x, y). */
static void photo_pixel(int x, int y, int want[3])
{
    want[0] = x * 255 / 47;
    want[1] = y * 255 / 31;
    want[2] = x < 12 && y < 8 ? 255 : 40;
}

/* Every file gets the status and size that its row states, all through one reused fw_image. */
static void corpus_statuses(void **state)
{
    fw_buf table = slurp(state, "expected.tsv");
    fw_image im = {0};
    int rows = 0;
    for (char *line = strtok(table.data, "\n"); line; line = strtok(NULL, "\n"), rows++) {
        char name[100], status[20], why[FW_IMG_WHY];
        int w, h;
        assert_int_equal(sscanf(line, "%99s %19s %d %d", name, status, &w, &h), 4);
        fw_buf b = slurp(state, name);
        enum fw_img_status s = fw_image_decode(b.data, b.len, NULL, &im, why);
        if (strcmp(fw_img_status_name(s), status) || im.width != w || im.height != h)
            fail_msg("%s: got %s %dx%d (%s), expected %s %dx%d", name, fw_img_status_name(s), im.width, im.height, why,
                     status, w, h);
        assert_int_equal(s == FW_IMG_OK, why[0] == '\0');
        fw_buf_free(&b);
    }
    assert_true(rows > 80);
    fw_image_free(&im);
    fw_buf_free(&table);
}

/* Cutting a file anywhere never crashes, and never gives a picture unless only the end marker is lost. */
static void cut_anywhere(void **state)
{
    static const char *const names[] = {"jpeg_plain.jpg",  "jpeg_progressive.jpg", "png_plain.png",
                                        "webp_lossy.webp", "webp_exif8.webp",      "bmp_8.bmp",
                                        "png_exif6.png"};
    fw_image im = {0};
    for (size_t i = 0; i < FW_COUNT(names); i++) {
        fw_buf b = slurp(state, names[i]);
        size_t good = 0;
        for (size_t n = 0; n < b.len; n++) {
            char why[FW_IMG_WHY];
            uint8_t *exact = fw_alloc(n, 1); /* of that size, so that the sanitizer sees any read beyond it */
            memcpy(exact, b.data, n);
            good += fw_image_decode(exact, n, NULL, &im, why) == FW_IMG_OK;
            fw_free(exact);
        }
        /* JPEG: the end marker and the last padding; BMP: the last row's padding; WebP: the EXIF chunk behind the data
         */
        if (good > (strncmp(names[i], "webp_exif", 9) ? 4 : 60)) fail_msg("%s: %zu cuts pass", names[i], good);
        fw_buf_free(&b);
    }
    fw_image_free(&im);
}

/* Where pixel (x, y) of the upright picture comes from in the stored one, from the EXIF 2.3 table of "row 0, column 0".
 */
static void stored_position(int orientation, int w, int h, int x, int y, int *sx, int *sy)
{
    const int table[9][2] = {{x, y}, {x, y},         {w - 1 - x, y},         {w - 1 - x, h - 1 - y}, {x, h - 1 - y},
                             {y, x}, {y, h - 1 - x}, {w - 1 - y, h - 1 - x}, {w - 1 - y, x}};
    *sx = table[orientation][0];
    *sy = table[orientation][1];
}

static void orientations(void **state)
{
    fw_image plain = {0}, turned = {0};
    assert_int_equal(decode(state, "jpeg_plain.jpg", &plain), FW_IMG_OK);
    for (int o = 0; o <= 8; o++) {
        char name[30];
        snprintf(name, sizeof name, "jpeg_exif%d.jpg", o);
        assert_int_equal(decode(state, name, &turned), FW_IMG_OK);
        assert_int_equal(turned.full_width, turned.width);
        for (int y = 0; y < turned.height; y++)
            for (int x = 0; x < turned.width; x++) {
                int sx, sy;
                stored_position(o, plain.width, plain.height, x, y, &sx, &sy);
                if (memcmp(pixel(&turned, x, y), pixel(&plain, sx, sy), 3))
                    fail_msg("orientation %d at %d,%d", o, x, y);
            }
    }
    fw_image_free(&plain);
    fw_image_free(&turned);
}

static void same_as_photo(void **state, const char *name, int within)
{
    fw_image im = {0};
    assert_int_equal(decode(state, name, &im), FW_IMG_OK);
    for (int y = 0; y < im.height; y++)
        for (int x = 0; x < im.width; x++) {
            int want[3];
            photo_pixel(x, y, want);
            for (int k = 0; k < 3; k++) near_value(pixel(&im, x, y)[k], want[k], within);
        }
    fw_image_free(&im);
}

static void pixels_are_right(void **state)
{
    same_as_photo(state, "png_plain.png", 0);
    same_as_photo(state, "png_named.jpg", 0);
    same_as_photo(state, "png_text_bomb.png", 0);
    same_as_photo(state, "webp_lossless.webp", 0);
    same_as_photo(state, "bmp_pil.bmp", 0);
    /* four full-resolution components, and no ink is stored as 255: inverted once too often it would be a negative */
    same_as_photo(state, "jpeg_cmyk.jpg", 20);
}

static void alpha_on_white(void **state)
{
    static const char *const names[] = {"png_alpha.png", "webp_alpha.webp"};
    fw_image im = {0};
    for (size_t i = 0; i < FW_COUNT(names); i++) {
        assert_int_equal(decode(state, names[i], &im), FW_IMG_OK);
        for (int x = 1; x < 48; x++) { /* x 0 is fully clear: WebP may drop its colour */
            int want[3], alpha = x * 255 / 47;
            photo_pixel(x, 20, want);
            for (int k = 0; k < 3; k++)
                near_value(pixel(&im, x, 20)[k], (want[k] * alpha + 255 * (255 - alpha) + 127) / 255, 1);
        }
        assert_int_equal(pixel(&im, 0, 20)[1], 255);
    }
    assert_int_equal(decode(state, "png_16bit_grey_alpha.png", &im), FW_IMG_OK);
    assert_int_equal(pixel(&im, 40, 3)[0], 255);
    near_value(pixel(&im, 10, 3)[2], 13000 * 255 / 65535, 1);
    fw_image_free(&im);
}

static void deep_samples_are_scaled(void **state)
{
    fw_image im = {0};
    assert_int_equal(decode(state, "png_16bit.png", &im), FW_IMG_OK);
    near_value(pixel(&im, 47, 0)[0], 255, 0);
    near_value(pixel(&im, 20, 7)[0], (20 * 65535 / 47 + 128) / 257, 0);
    near_value(pixel(&im, 20, 7)[2], (10000 + 128) / 257, 0);
    fw_image_free(&im);
}

static void bitmaps(void **state)
{
    static const char *const rows[] = {"bmp_24.bmp", "bmp_24_top_down.bmp", "bmp_os2.bmp"};
    fw_image im = {0};
    for (size_t i = 0; i < FW_COUNT(rows); i++) {
        const uint8_t want[3] = {5 * 50, 2 * 80, 40};
        assert_int_equal(decode(state, rows[i], &im), FW_IMG_OK);
        assert_memory_equal(pixel(&im, 5, 2), want, 3);
    }
    assert_int_equal(decode(state, "bmp_565.bmp", &im), FW_IMG_OK);
    const unsigned v = 12 * 2 + 4 + (12 * 2 + 5) * 256; /* stored row 2 (row 1 from the top), column 2 */
    near_value(pixel(&im, 2, 1)[0], (int)((v >> 11) * 255 / 31), 1);
    near_value(pixel(&im, 2, 1)[1], (int)((v >> 5 & 63) * 255 / 63), 1);
    near_value(pixel(&im, 2, 1)[2], (int)((v & 31) * 255 / 31), 1);
    assert_int_equal(decode(state, "bmp_4.bmp", &im), FW_IMG_OK);
    assert_int_equal(pixel(&im, 4, 3)[0], 0); /* byte 2 of the first stored row is 0x02 */
    assert_int_equal(pixel(&im, 5, 3)[0], 2);
    assert_int_equal(decode(state, "bmp_1.bmp", &im), FW_IMG_OK);
    assert_int_equal(pixel(&im, 0, 0)[0], 255); /* 0xa8 = 101010.. */
    assert_int_equal(pixel(&im, 1, 0)[0], 0);
    static const uint8_t first[4] = {1, 4, 1, 1}; /* indexes 0, 3, and two outside: the first colour */
    assert_int_equal(decode(state, "bmp_cut_palette.bmp", &im), FW_IMG_OK);
    for (int x = 0; x < 4; x++) assert_int_equal(pixel(&im, x, 2)[1], first[x]);
    fw_image_free(&im);
}

static void limits_are_the_callers(void **state)
{
    fw_image im = {0};
    char why[FW_IMG_WHY];
    fw_image_limits lim = {.max_pixels = 48 * 32 - 1};
    static const char *const names[] = {"jpeg_plain.jpg", "png_plain.png", "webp_lossy.webp", "bmp_pil.bmp"};
    for (size_t i = 0; i < FW_COUNT(names); i++) {
        fw_buf b = slurp(state, names[i]);
        lim.max_pixels = 48 * 32 - 1;
        assert_int_equal(fw_image_decode(b.data, b.len, &lim, &im, why), FW_IMG_UNREADABLE);
        assert_non_null(strstr(why, "48 x 32"));
        assert_int_equal(im.cap + im.spare_cap, 0); /* refused before any pixel memory was asked for */
        lim.max_pixels++;
        assert_int_equal(fw_image_decode(b.data, b.len, &lim, &im, why), FW_IMG_OK);
        fw_image_free(&im);
        fw_buf_free(&b);
    }
    fw_buf b = slurp(state, "jpeg_scan_bomb.jpg");
    lim.max_scans = 0;
    assert_int_equal(fw_image_decode(b.data, b.len, &lim, &im, why), FW_IMG_OK);
    fw_buf_free(&b);
    fw_image_free(&im);
}

static void probe_reads_headers(void **state)
{
    int w, h;
    enum fw_img_format f;
    fw_buf b = slurp(state, "jpeg_exif6.jpg");
    assert_int_equal(fw_image_probe(b.data, b.len, &w, &h, &f), FW_IMG_OK);
    assert_int_equal(f, FW_FMT_JPEG);
    assert_int_equal(w, 48); /* as stored */
    assert_int_equal(h, 32);
    fw_buf_free(&b);
    b = slurp(state, "png_huge.png");
    assert_int_equal(fw_image_probe(b.data, b.len, &w, &h, &f), FW_IMG_OK);
    assert_int_equal(w, 100000);
    fw_buf_free(&b);
    assert_int_equal(fw_image_probe("<html>", 6, &w, &h, &f), FW_IMG_UNSUPPORTED);
    assert_string_equal(fw_image_format_name(f), "unknown");
}

/* A smooth picture, so that JPEG at high quality hardly changes it. */
static uint8_t *waves(int w, int h)
{
    uint8_t *rgb = fw_alloc((size_t)w * (size_t)h, 3);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < 3; k++) rgb[3 * (y * w + x) + k] = (uint8_t)(40 + x * (k + 1) * 40 / w + y * 80 / h);
    return rgb;
}

static void encoder_round_trip(void **state)
{
    FW_UNUSED(state);
    fw_buf a = {0}, b = {0};
    fw_err e = {0};
    fw_image im = {0};
    char why[FW_IMG_WHY];
    uint8_t *rgb = waves(112, 96);
    assert_int_equal(fw_jpeg_encode(rgb, 112, 96, 95, &a, &e), FW_OK);
    assert_int_equal(fw_jpeg_encode(rgb, 112, 96, 95, &b, &e), FW_OK);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    assert_int_equal(fw_image_decode(a.data, a.len, NULL, &im, why), FW_IMG_OK);
    assert_int_equal(im.width, 112);
    for (int i = 0; i < 3 * 112 * 96; i++) near_value(im.rgb[i], rgb[i], 8);
    assert_int_equal(fw_jpeg_encode(rgb, 0, 96, 95, &b, &e), FW_EFAIL);
    e.code = 0;
    assert_int_equal(fw_jpeg_encode(rgb, 70000, 1, 95, &b, &e), FW_EFAIL);
    assert_non_null(strstr(e.msg, "70000 x 1"));
    assert_int_equal(a.len, b.len); /* a failed encode appends nothing */
    fw_free(rgb);
    fw_image_free(&im);
    fw_buf_free(&a);
    fw_buf_free(&b);
}

/* The scale is the smallest whose longer side is still enough; colours survive it. */
static void decodes_at_a_fraction(void **state)
{
    static const int want[][2] = {{0, 1000},  {1000, 1000}, {501, 1000}, {500, 500}, {251, 500},
                                  {250, 250}, {126, 250},   {125, 125},  {1, 125}};
    FW_UNUSED(state);
    fw_buf b = {0};
    fw_err e = {0};
    fw_image im = {0};
    char why[FW_IMG_WHY];
    uint8_t *rgb = waves(1000, 600);
    assert_int_equal(fw_jpeg_encode(rgb, 1000, 600, 95, &b, &e), FW_OK);
    for (size_t i = 0; i < FW_COUNT(want); i++) {
        fw_image_limits lim = {.decode_side = want[i][0]};
        assert_int_equal(fw_image_decode(b.data, b.len, &lim, &im, why), FW_IMG_OK);
        assert_int_equal(im.width, want[i][1]);
        assert_int_equal(im.height, want[i][1] * 6 / 10);
        assert_int_equal(im.full_width, 1000);
        assert_int_equal(im.full_height, 600);
        near_value(pixel(&im, im.width / 2, im.height / 2)[1], rgb[3 * (300 * 1000 + 500) + 1], 4);
    }
    fw_free(rgb);
    fw_buf_free(&b);
    fw_image_free(&im);
}

static void resize_known_values(void **state)
{
    FW_UNUSED(state);
    uint8_t out[3 * 64], *rgb = waves(40, 30), *same = fw_alloc(3 * 40 * 30, 1);
    fw_image_resize(rgb, 40, 30, same, 40, 30);
    assert_memory_equal(rgb, same, 3 * 40 * 30);
    const uint8_t four[12] = {0, 0, 0, 10, 0, 255, 20, 0, 255, 31, 0, 255};
    fw_image_resize(four, 2, 2, out, 1, 1);
    assert_int_equal(out[0], 15); /* 15.25 */
    assert_int_equal(out[2], 191);
    const uint8_t pair[6] = {0, 0, 0, 200, 200, 200}, grown[4] = {0, 50, 150, 200};
    fw_image_resize(pair, 2, 1, out, 4, 1);
    for (int x = 0; x < 4; x++) assert_int_equal(out[3 * x], grown[x]);
    const uint8_t three[9] = {30, 30, 30, 60, 60, 60, 90, 90, 90};
    fw_image_resize(three, 3, 1, out, 2, 1); /* (30 + 60/2) / 1.5, (60/2 + 90) / 1.5 */
    assert_int_equal(out[0], 40);
    assert_int_equal(out[3], 80);
    fw_free(rgb);
    fw_free(same);
}

/* Area averaging keeps the mean, whatever the ratio. */
static void resize_keeps_the_mean(void **state)
{
    static const int sizes[][2] = {{39, 29}, {20, 15}, {13, 7}, {1, 1}, {7, 30}};
    FW_UNUSED(state);
    uint8_t *rgb = waves(40, 30), *out = fw_alloc(3 * 40 * 30, 1);
    double mean = 0;
    for (int i = 0; i < 1200; i++) mean += rgb[3 * i] / 1200.0;
    for (size_t s = 0; s < FW_COUNT(sizes); s++) {
        const int n = sizes[s][0] * sizes[s][1];
        double got = 0;
        fw_image_resize(rgb, 40, 30, out, sizes[s][0], sizes[s][1]);
        for (int i = 0; i < n; i++) got += out[3 * i] / (double)n;
        assert_true(got > mean - 0.6 && got < mean + 0.6);
    }
    fw_free(rgb);
    fw_free(out);
}

static void exif_blocks(void **state)
{
    FW_UNUSED(state);
    static const uint8_t six[] = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    uint8_t block[sizeof six];
    assert_int_equal(fw_exif_orientation(six, sizeof six - 1), 6);
    for (size_t n = 0; n < 20; n++) assert_int_equal(fw_exif_orientation(six, n), 1);
    memcpy(block, six, sizeof six);
    block[19] = 9;
    assert_int_equal(fw_exif_orientation(block, sizeof block - 1), 1);
    block[19] = 5, block[13] = 4; /* a LONG, not a SHORT */
    assert_int_equal(fw_exif_orientation(block, sizeof block - 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corpus_statuses),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(orientations),
        cmocka_unit_test(pixels_are_right),
        cmocka_unit_test(alpha_on_white),
        cmocka_unit_test(deep_samples_are_scaled),
        cmocka_unit_test(bitmaps),
        cmocka_unit_test(limits_are_the_callers),
        cmocka_unit_test(probe_reads_headers),
        cmocka_unit_test(encoder_round_trip),
        cmocka_unit_test(decodes_at_a_fraction),
        cmocka_unit_test(resize_known_values),
        cmocka_unit_test(resize_keeps_the_mean),
        cmocka_unit_test(exif_blocks),
    };
    return cmocka_run_group_tests_name("image", tests, make_corpus, drop_corpus);
}
