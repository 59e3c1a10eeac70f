/* lib/warp: fits with known answers, and warps whose pixels are known. */
#include "lib/warp.h"
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const fw_template *arcface(void)
{
    return fw_template_find("arcface112");
}

static void close_to(double got, double want, double within)
{
    if (!(fabs(got - want) <= within)) fail_msg("%g is not within %g of %g", got, within, want);
}

/* Template points under scale, turn (degrees), shift. */
static void moved(float out[10], double scale, double turn, double dx, double dy)
{
    const double c = scale * cos(turn * M_PI / 180), s = scale * sin(turn * M_PI / 180);
    for (int i = 0; i < 10; i += 2) {
        const double x = arcface()->point[i], y = arcface()->point[i + 1];
        out[i] = (float)(c * x - s * y + dx);
        out[i + 1] = (float)(s * x + c * y + dy);
    }
}

static fw_image noise(int w, int h, uint64_t seed)
{
    fw_image im = {.width = w, .height = h, .full_width = w, .full_height = h};
    fw_rng r = {seed};
    im.cap = 3 * (size_t)w * (size_t)h;
    im.rgb = fw_alloc(im.cap, 1);
    for (size_t i = 0; i < im.cap; i++) im.rgb[i] = (uint8_t)fw_rng_below(&r, 256);
    return im;
}

static void recovers_a_similarity(void **state)
{
    FW_UNUSED(state);
    for (int turn = -170; turn <= 170; turn += 20) {
        float from[10];
        fw_affine a, back;
        moved(from, 2.5, turn, 300, -40);
        assert_int_equal(fw_similarity(from, arcface()->point, &a), FW_FIT_OK);
        close_to(fw_fit_residual(&a, from, arcface()->point), 0, 1e-4);
        close_to(fw_affine_shrink(&a), 2.5, 1e-5);
        assert_true(fw_affine_invert(&a, &back));
        close_to(back.m[2], 300, 1e-3);
        close_to(back.m[3], 2.5 * sin(turn * M_PI / 180), 1e-5);
    }
}

/* With points that no similarity fits, every small change of the answer is worse. */
static void is_the_least_squares_fit(void **state)
{
    FW_UNUSED(state);
    fw_rng r = {7};
    for (int round = 0; round < 50; round++) {
        float from[10];
        fw_affine a;
        moved(from, 1.7, 25, 80, 60);
        for (int i = 0; i < 10; i++) from[i] += (float)(8 * fw_rng_normal(&r));
        assert_int_equal(fw_similarity(from, arcface()->point, &a), FW_FIT_OK);
        const double best = fw_fit_residual(&a, from, arcface()->point);
        assert_true(best > 0.1);
        for (int k = 0; k < 8; k++) {
            fw_affine other = a;
            const double step = k % 2 ? 1e-3 : -1e-3;
            if (k / 2 == 0) other.m[2] += step * 100;
            if (k / 2 == 1) other.m[5] += step * 100;
            if (k / 2 == 2) other.m[0] += step, other.m[4] += step; /* scale */
            if (k / 2 == 3) other.m[1] -= step, other.m[3] += step; /* turn */
            assert_true(fw_fit_residual(&other, from, arcface()->point) > best);
        }
    }
}

static void bad_points_are_reported(void **state)
{
    FW_UNUSED(state);
    float p[10];
    fw_affine a;
    moved(p, 0, 0, 50, 50); /* all in one place */
    assert_int_equal(fw_similarity(p, arcface()->point, &a), FW_FIT_DEGENERATE);
    close_to(fw_affine_shrink(&a), 1, 0); /* the identity */
    moved(p, 2, 0, 0, 0);
    p[7] = NAN;
    assert_int_equal(fw_similarity(p, arcface()->point, &a), FW_FIT_DEGENERATE);
    p[7] = INFINITY;
    assert_int_equal(fw_similarity(p, arcface()->point, &a), FW_FIT_DEGENERATE);
    moved(p, 2, 30, 0, 0);
    for (int i = 0; i < 10; i += 2) p[i] = 200 - p[i]; /* mirrored without swapping left and right */
    assert_int_equal(fw_similarity(p, arcface()->point, &a), FW_FIT_MIRRORED);
    assert_true(a.m[0] * a.m[4] - a.m[1] * a.m[3] > 0); /* still a rotation */
}

static void templates_are_known(void **state)
{
    FW_UNUSED(state);
    assert_null(fw_template_find("no such"));
    assert_null(fw_template_at(99));
    const fw_template *narrow = fw_template_find("sphereface");
    assert_int_equal(narrow->width, 96);
    assert_int_equal(fw_template_rows(narrow, 192), 224);
    for (int i = 0; i < 10; i++) close_to(arcface()->point[i] - narrow->point[i], i % 2 ? 0 : 8, 1e-4);
}

static void whole_shifts_copy(void **state)
{
    FW_UNUSED(state);
    fw_image im = noise(40, 30, 1);
    uint8_t out[3 * 40 * 30];
    fw_affine a = {{1, 0, 5, 0, 1, -3}};
    fw_warp(&im, &a, 40, 30, out);
    for (int y = 0; y < 30; y++)
        for (int x = 0; x < 40; x++) {
            static const uint8_t black[3];
            const bool in = x >= 5 && y + 3 < 30;
            assert_memory_equal(out + 3 * (y * 40 + x), in ? im.rgb + 3 * ((y + 3) * 40 + x - 5) : black, 3);
        }
    fw_image_free(&im);
}

static void half_shifts_average(void **state)
{
    FW_UNUSED(state);
    fw_image im = noise(20, 20, 2);
    uint8_t out[3 * 20 * 20];
    fw_affine a = {{1, 0, 0.5, 0, 1, 0}};
    fw_warp(&im, &a, 20, 20, out);
    for (int x = 1; x < 20; x++) {
        const int l = im.rgb[3 * (7 * 20 + x - 1)], r = im.rgb[3 * (7 * 20 + x)];
        assert_int_equal(out[3 * (7 * 20 + x)], (l + r + 1) / 2);
    }
    assert_int_equal(out[3 * 7 * 20], (im.rgb[3 * 7 * 20] + 1) / 2); /* half of it lies outside, which is black */
    fw_image_free(&im);
}

/* Alternating columns shrunk 8.5 times are grey everywhere; single samples would give stripes of 0 and 255. */
static void shrinking_does_not_alias(void **state)
{
    FW_UNUSED(state);
    fw_image im = noise(600, 600, 3);
    for (int i = 0; i < 600 * 600; i++) memset(im.rgb + 3 * i, i % 2 ? 255 : 0, 3);
    uint8_t out[3 * 60 * 60];
    const double s = 1 / 8.5;
    fw_affine a = {{s, 0, 0, 0, s, 0}};
    fw_warp(&im, &a, 60, 60, out);
    for (int i = 0; i < 3 * 60 * 60; i++)
        if (i / 3 % 60 > 0 && i / 180 > 0) close_to(out[i], 127.5, 255.0 / 8.5 / 2); /* one column more or less */
    fw_image_free(&im);
}

/* Whole shrinks along the axes are exactly area averages, as fw_image_resize makes them. */
static void whole_shrinks_are_area_averages(void **state)
{
    FW_UNUSED(state);
    static const int by[] = {2, 3, 5, 12};
    fw_image im = noise(120, 120, 11);
    uint8_t *out = fw_alloc(3 * 60 * 60, 1), *want = fw_alloc(3 * 60 * 60, 1);
    for (size_t i = 0; i < FW_COUNT(by); i++) {
        const int side = 120 / by[i];
        const double s = 1.0 / by[i], shift = s / 2 - 0.5;
        fw_affine a = {{s, 0, shift, 0, s, shift}};
        fw_warp(&im, &a, side, side, out);
        fw_image_resize(im.rgb, 120, 120, want, side, side);
        for (int k = 0; k < 3 * side * side; k++) close_to(out[k], want[k], 1);
    }
    fw_free(out);
    fw_free(want);
    fw_image_free(&im);
}

static void odd_transforms_are_safe(void **state)
{
    FW_UNUSED(state);
    static const fw_affine odd[] = {{{0, 0, 0, 0, 0, 0}},         {{1, 2, 0, 2, 4, 0}},
                                    {{NAN, 0, 0, 0, 1, 0}},       {{1e-5, 0, 0, 0, 1e-5, 0}},
                                    {{1, 0, 1e300, 0, 1, 1e300}}, {{INFINITY, 0, 0, 0, 1, 0}}};
    fw_image im = noise(10, 10, 4), one = noise(1, 1, 5);
    uint8_t out[3 * 8 * 8], first[3 * 8 * 8];
    for (size_t i = 0; i < FW_COUNT(odd); i++) {
        memset(out, 1, sizeof out);
        fw_warp(&im, &odd[i], 8, 8, out);
        fw_warp(&one, &odd[i], 8, 8, first);
        if (i != 3)
            for (size_t k = 0; k < sizeof out; k++) assert_int_equal(out[k], 0);
    }
    fw_image_free(&im);
    fw_image_free(&one);
}

/* A margin shows more around the same pixels: its middle is the plain crop, byte for byte. */
static void a_margin_only_adds(void **state)
{
    FW_UNUSED(state);
    fw_image im = noise(400, 400, 6);
    float l[10];
    uint8_t *plain = fw_alloc(3 * 112 * 112, 1), *wide = fw_alloc(3 * 224 * 224, 1);
    moved(l, 1.2, 10, 120, 110);
    assert_int_equal(fw_warp_template(&im, l, arcface(), 112, 0, plain), FW_FIT_OK);
    assert_int_equal(fw_warp_template(&im, l, arcface(), 224, 0.5, wide), FW_FIT_OK);
    int worst = 0;
    for (int y = 0; y < 112; y++)
        for (int i = 0; i < 3 * 112; i++) {
            const int d = abs(plain[3 * 112 * y + i] - wide[3 * 224 * (y + 56) + 3 * 56 + i]);
            if (d > worst) worst = d;
        }
    assert_true(worst <= 1); /* the two fits differ in the last bits of their floats */
    fw_free(plain);
    fw_free(wide);
    fw_image_free(&im);
}

/* A smooth picture, `full` pixels a side, held at 1/denom of that. */
static fw_image waves(int full, int denom)
{
    fw_image im = noise(full / denom, full / denom, 0);
    im.full_width = im.full_height = full;
    for (int y = 0; y < im.height; y++)
        for (int x = 0; x < im.width; x++) {
            const double fx = (x + 0.5) * denom - 0.5, fy = (y + 0.5) * denom - 0.5;
            const int v = (int)lround(128 + 60 * sin(fx * 2 * M_PI / 40) + 60 * sin(fy * 2 * M_PI / 40));
            memset(im.rgb + 3 * (y * im.width + x), v, 3);
        }
    return im;
}

static double apart(const fw_image *p, const fw_image *q, const float at_p[10], const float at_q[10])
{
    uint8_t *a = fw_alloc(3 * 112 * 112, 1), *b = fw_alloc(3 * 112 * 112, 1);
    double sum = 0;
    assert_int_equal(fw_warp_template(p, at_p, arcface(), 112, 0, a), FW_FIT_OK);
    assert_int_equal(fw_warp_template(q, at_q, arcface(), 112, 0, b), FW_FIT_OK);
    for (int i = 0; i < 3 * 112 * 112; i++) sum += abs(a[i] - b[i]);
    fw_free(a);
    fw_free(b);
    return sum / (3 * 112 * 112);
}

/* Landmarks are in full-size pixels whatever scale the photo was decoded at. */
static void decoded_scale_is_undone(void **state)
{
    FW_UNUSED(state);
    fw_image small = waves(400, 2), big = waves(400, 1);
    float l[10], d[10], off[10];
    moved(l, 1.0, 0, 100, 100);
    fw_landmarks_decoded(&small, l, d);
    close_to(d[0], (l[0] + 0.5) / 2 - 0.5, 1e-4);
    for (int i = 0; i < 10; i++) off[i] = l[i] + 0.5f;
    assert_true(apart(&small, &big, l, l) < 1);
    assert_true(apart(&small, &big, l, off) > 3); /* half a pixel off would show */
    fw_image_free(&small);
    fw_image_free(&big);
}

static void pose_signs_and_sizes(void **state)
{
    FW_UNUSED(state);
    float l[10];
    moved(l, 3, 0, 0, 0);
    fw_pose p = fw_pose_from_landmarks(l);
    close_to(p.yaw, 0, 3);
    close_to(p.pitch, 8, 1);
    close_to(p.roll, 0, 1);
    moved(l, 3, 25, 10, 10);
    fw_pose turned = fw_pose_from_landmarks(l);
    close_to(turned.roll - p.roll, 25, 1e-3);
    close_to(turned.yaw, p.yaw, 1e-3); /* roll does not leak into the others */
    close_to(turned.pitch, p.pitch, 1e-3);
    moved(l, 3, 0, 0, 0);
    l[4] += 3 * 10; /* the nose moves 10/35 of an eye distance to the right */
    close_to(fw_pose_from_landmarks(l).yaw, 34, 4);
    l[4] -= 3 * 10, l[5] -= 3 * 6;
    assert_true(fw_pose_from_landmarks(l).pitch > p.pitch + 10);
    l[5] += 3 * 12; /* and below its place */
    assert_true(fw_pose_from_landmarks(l).pitch < p.pitch - 10);
    memset(l, 0, sizeof l);
    assert_true(fw_pose_from_landmarks(l).yaw == 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recovers_a_similarity),    cmocka_unit_test(is_the_least_squares_fit),
        cmocka_unit_test(bad_points_are_reported),  cmocka_unit_test(templates_are_known),
        cmocka_unit_test(whole_shifts_copy),        cmocka_unit_test(half_shifts_average),
        cmocka_unit_test(shrinking_does_not_alias), cmocka_unit_test(odd_transforms_are_safe),
        cmocka_unit_test(a_margin_only_adds),       cmocka_unit_test(decoded_scale_is_undone),
        cmocka_unit_test(pose_signs_and_sizes),     cmocka_unit_test(whole_shrinks_are_area_averages),
    };
    return cmocka_run_group_tests_name("warp", tests, NULL, NULL);
}
