/* How a face is cut out for a model: five points, or the detector's box with a margin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/frame.h"

#include <math.h>
#include <string.h>

static const int32_t SIZE[2] = {200, 100};

static void maps_to(const float m[6], double x, double y, double to_x, double to_y)
{
    assert_true(fabs(m[0] * x + m[1] * y + m[2] - to_x) < 1e-3);
    assert_true(fabs(m[3] * x + m[4] * y + m[5] - to_y) < 1e-3);
}

static fw_modeldesc desc(char *crop_template, int width, int height)
{
    return (fw_modeldesc){
        .path = "some.ini", .crop_template = crop_template, .input_width = width, .input_height = height};
}

static void whole_photo(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = desc("arcface112", 112, 112);
    fw_frame f;
    fw_err e = {0};
    float m[6];
    assert_int_equal(fw_frame_of(&d, &f, &e), FW_OK);
    fw_frame_whole(&f, SIZE, 0, m); /* edges to edges; pixel centres are half a pixel inside */
    maps_to(m, -0.5, -0.5, -0.5, -0.5);
    maps_to(m, 199.5, 99.5, 111.5, 111.5);
    fw_frame_whole(&f, SIZE, 0.0625, m);
    maps_to(m, 12, 5.75, -0.5, -0.5);
    maps_to(m, 187, 93.25, 111.5, 111.5);
}

static void points_go_to_their_places(void **state)
{
    FW_UNUSED(state);
    const float at[10] = {30, 40, 70, 40, 50, 60, 35, 80, 65, 80};
    fw_modeldesc d = desc("points", 100, 100);
    memcpy(d.point, at, sizeof at);
    fw_frame f;
    fw_err e = {0};
    assert_int_equal(fw_frame_of(&d, &f, &e), FW_OK);
    float landmark[10], m[6];
    for (int i = 0; i < 5; i++) { /* turned by 90 degrees, twice as large, elsewhere */
        landmark[2 * i] = 300 - 2 * at[2 * i + 1];
        landmark[2 * i + 1] = 10 + 2 * at[2 * i];
    }
    assert_int_equal(fw_frame_face(&f, SIZE, NULL, landmark, m), FW_FIT_OK);
    for (int i = 0; i < 5; i++) maps_to(m, landmark[2 * i], landmark[2 * i + 1], at[2 * i], at[2 * i + 1]);
    for (int i = 0; i < 10; i++) landmark[i] = i % 2 ? 5 : 7;
    assert_int_equal(fw_frame_face(&f, SIZE, NULL, landmark, m), FW_FIT_DEGENERATE);
}

static void box_grows_and_is_cut_at_the_edge(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = desc("box", 160, 160);
    d.box_margin = 20;
    d.box_size = 180; /* of which the centre 160 is taken: 10 less on each side */
    fw_frame f;
    fw_err e = {0};
    float m[6];
    assert_int_equal(fw_frame_of(&d, &f, &e), FW_OK);
    assert_int_equal(fw_frame_face(&f, SIZE, (float[]){50, 20, 120, 60}, NULL, m), FW_FIT_OK);
    maps_to(m, 40 - 0.5, 10 - 0.5, -10.5, -10.5); /* 40..130 x 10..70 became 180 x 180 */
    maps_to(m, 130 - 0.5, 70 - 0.5, 169.5, 169.5);
    assert_int_equal(fw_frame_face(&f, SIZE, (float[]){5, 5, 195, 95}, NULL, m), FW_FIT_OK);
    maps_to(m, -0.5, -0.5, -10.5, -10.5); /* no further than the photo */
    maps_to(m, 199.5, 99.5, 169.5, 169.5);
    assert_int_equal(fw_frame_face(&f, SIZE, (float[]){300, 20, 320, 60}, NULL, m), FW_FIT_DEGENERATE);
    d.box_margin = 0.5f; /* a share of the side */
    d.box_size = 0;
    assert_int_equal(fw_frame_of(&d, &f, &e), FW_OK);
    assert_int_equal(fw_frame_face(&f, SIZE, (float[]){50, 20, 110, 60}, NULL, m), FW_FIT_OK);
    maps_to(m, 35 - 0.5, 10 - 0.5, -0.5, -0.5);
    maps_to(m, 125 - 0.5, 70 - 0.5, 159.5, 159.5);
}

static void what_does_not_fit_is_refused(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = desc("elsewhere", 112, 112);
    fw_frame f;
    fw_err e = {0};
    assert_int_equal(fw_frame_of(&d, &f, &e), FW_EUSAGE);
    assert_non_null(strstr(e.msg, "elsewhere"));
    d = desc("sphereface", 112, 112);
    e = (fw_err){0};
    assert_int_equal(fw_frame_of(&d, &f, &e), FW_EUSAGE);
    d = desc("box", 160, 112);
    d.box_size = 150;
    e = (fw_err){0};
    assert_int_equal(fw_frame_of(&d, &f, &e), FW_EUSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_photo),
        cmocka_unit_test(points_go_to_their_places),
        cmocka_unit_test(box_grows_and_is_cut_at_the_edge),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
