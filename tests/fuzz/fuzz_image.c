/* libFuzzer target for lib/image.h: any bytes, two decodes at different scales. Beyond what the sanitizers see it
 * asserts what the header promises: the limit on pixels holds, sizes agree between probe and decode, the result depends
 * on the bytes alone (a reused image gives the same pixels as a fresh one), and a reason is given exactly on failure.
 *
 * Build with clang -fsanitize=fuzzer,address,undefined and lib/{base,image,jpeg,png,webp,bmp,exif}.c; start from the
 * folder that tests/make_bad_images.py writes, with -max_len=65536 -timeout=10 -malloc_limit_mb=100.
 *
 * The limit on one malloc is part of the test: 4 MPix need 48 MB at most, so whatever asks for more believed a header.
 */
#include "lib/image.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x)) abort();                                                                                             \
    } while (0)

static void check_result(const uint8_t *data, size_t n, const fw_image_limits *lim, const fw_image *im,
                         enum fw_img_status s, const char *why)
{
    int w, h;
    enum fw_img_format format;
    CHECK((s == FW_IMG_OK) == (why[0] == '\0'));
    CHECK(memchr(why, 0, FW_IMG_WHY) != NULL);
    if (s != FW_IMG_OK) {
        CHECK(s == FW_IMG_UNREADABLE || s == FW_IMG_UNSUPPORTED);
        CHECK(im->width == 0 && im->height == 0);
        return;
    }
    CHECK((uint64_t)im->full_width * (uint64_t)im->full_height <= lim->max_pixels);
    CHECK(im->width > 0 && im->height > 0 && im->width <= im->full_width && im->height <= im->full_height);
    CHECK(im->cap >= 3 * (size_t)im->width * (size_t)im->height);
    CHECK(fw_image_probe(data, n, &w, &h, &format) == FW_IMG_OK && format == im->format);
    CHECK((w == im->full_width && h == im->full_height) || (h == im->full_width && w == im->full_height));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    /* 4 MPix: big enough for every path, small enough for thousands of runs a second */
    fw_image_limits lim = {.max_pixels = 4000000, .max_scans = 20, .decode_side = 0};
    fw_image im = {0}, again = {0};
    char why[FW_IMG_WHY];
    lim.decode_side = 16;
    enum fw_img_status s = fw_image_decode(data, n, &lim, &im, why);
    check_result(data, n, &lim, &im, s, why);
    lim.decode_side = 0;
    s = fw_image_decode(data, n, &lim, &im, why);
    check_result(data, n, &lim, &im, s, why);
    if (s == FW_IMG_OK) {
        const size_t size = 3 * (size_t)im.width * (size_t)im.height;
        CHECK(fw_image_decode(data, n, &lim, &again, why) == s);
        CHECK(memcmp(im.rgb, again.rgb, size) == 0);
    }
    fw_image_free(&im);
    fw_image_free(&again);
    return 0;
}
