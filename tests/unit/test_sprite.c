/* Sheets of thumbnails: every face in its own cell, nothing bleeds, odd shapes are fitted, junk leaves the cell grey.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../lib/image.h"
#include "../../lib/jpeg.h"
#include "../../lib/sprite.h"

enum { CELL = 112, COLUMNS = 8 };

static fw_buf flat_jpeg(int w, int h, int r, int g, int b)
{
    fw_buf out = {0};
    fw_err e = {0};
    uint8_t *rgb = fw_alloc((size_t)w * (size_t)h, 3);
    for (int i = 0; i < w * h; i++) rgb[3 * i] = (uint8_t)r, rgb[3 * i + 1] = (uint8_t)g, rgb[3 * i + 2] = (uint8_t)b;
    assert_int_equal(fw_jpeg_encode(rgb, w, h, 95, &out, &e), FW_OK);
    fw_free(rgb);
    return out;
}

static fw_image decode(const fw_buf *b)
{
    fw_image im = {0};
    char why[FW_IMG_WHY];
    assert_int_equal(fw_image_decode(b->data, b->len, NULL, &im, why), FW_IMG_OK);
    return im;
}

/* Largest distance of a cell's pixels (without `skip` at each side) from a colour. */
static int worst(const fw_image *im, int cell, int skip, int r, int g, int b)
{
    int most = 0, want[3] = {r, g, b};
    for (int y = skip; y < CELL - skip; y++)
        for (int x = skip; x < CELL - skip; x++) {
            const uint8_t *p =
                im->rgb +
                ((size_t)(cell / COLUMNS * CELL + y) * (size_t)im->width + (size_t)(cell % COLUMNS * CELL + x)) * 3;
            for (int c = 0; c < 3; c++)
                if (abs(p[c] - want[c]) > most) most = abs(p[c] - want[c]);
        }
    return most;
}

static void cells_do_not_bleed(void **state)
{
    FW_UNUSED(state);
    fw_sheet s;
    fw_err e = {0};
    fw_buf red = flat_jpeg(CELL, CELL, 220, 30, 30), blue = flat_jpeg(CELL, CELL, 30, 30, 220), out = {0};
    fw_sheet_init(&s, COLUMNS, 8, CELL);
    for (int k = 0; k < 10; k++)
        assert_true(fw_sheet_put(&s, k, k % 2 ? red.data : blue.data, k % 2 ? red.len : blue.len));
    assert_int_equal(fw_sheet_encode(&s, 10, 82, &out, &e), FW_OK);
    fw_image im = decode(&out);
    assert_int_equal(im.width, COLUMNS * CELL);
    assert_int_equal(im.height, 2 * CELL); /* only the rows that are needed */
    for (int k = 0; k < 10; k++) assert_true(worst(&im, k, 1, k % 2 ? 220 : 30, 30, k % 2 ? 30 : 220) <= 6);
    fw_image_free(&im);
    fw_sheet_free(&s);
    fw_buf_free(&red);
    fw_buf_free(&blue);
    fw_buf_free(&out);
}

static void other_sizes_are_fitted(void **state)
{
    FW_UNUSED(state);
    fw_sheet s;
    fw_err e = {0};
    fw_buf wide = flat_jpeg(900, 300, 20, 200, 20), out = {0};
    fw_sheet_init(&s, COLUMNS, 8, CELL);
    assert_true(fw_sheet_put(&s, 3, wide.data, wide.len));
    assert_false(fw_sheet_put(&s, 4, "no picture", 10));
    assert_int_equal(fw_sheet_encode(&s, 5, 90, &out, &e), FW_OK);
    fw_image im = decode(&out);
    assert_true(worst(&im, 3, 40, 20, 200, 20) <= 6); /* 37 rows of green in the middle: rows 40..71 */
    assert_true(worst(&im, 3, 0, 20, 200, 20) > 50);  /* grey above and below */
    assert_true(worst(&im, 4, 1, 128, 128, 128) <= 6);
    fw_image_free(&im);
    fw_sheet_free(&s);
    fw_buf_free(&wide);
    fw_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cells_do_not_bleed), cmocka_unit_test(other_sizes_are_fitted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
