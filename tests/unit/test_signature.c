/* signature: what must not change when a photo is edited, and what must. */
#include "../../lib/signature.h"
#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static fw_signature sign(const scene *s, shot k, bool face)
{
    float lm[10];
    fw_image im = scene_shoot(s, k, 1, lm);
    fw_signature out;
    fw_signature_compute(&im, face ? lm : NULL, (uint8_t *)&out);
    fw_image_free(&im);
    return out;
}

/* Mean absolute difference over pixels that are photo in both; `share` of them into *area. */
static double difference(const uint8_t *a, const uint8_t *b, size_t n, double *area)
{
    double sum = 0;
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (a[i] && b[i]) {
            sum += abs(a[i] - b[i]);
            used++;
        }
    *area = (double)used / (double)n;
    return used ? sum / (double)used : 255;
}

static void wide_view_ignores_size_rotation_and_place(void **state)
{
    (void)state;
    scene s = scene_new(1), other = scene_new(2);
    fw_signature a = sign(&s, SHOT, true), o = sign(&other, SHOT, true);
    shot shots[] = {{.zoom = 1.7, .gain = 1},
                    {.zoom = 0.6, .gain = 1},
                    {.zoom = 1, .angle = 9, .gain = 1},
                    {.zoom = 1, .dx = 12, .dy = -7, .gain = 1}};
    double area;
    for (size_t i = 0; i < FW_COUNT(shots); i++) {
        fw_signature b = sign(&s, shots[i], true);
        assert_true(difference(a.wide, b.wide, sizeof a.wide, &area) < 3);
        assert_true(area > 0.6);
    }
    assert_true(difference(a.wide, o.wide, sizeof a.wide, &area) > 15);
}

static void landmarks_are_in_full_size_pixels(void **state)
{
    (void)state;
    scene s = scene_new(3);
    float lm[10];
    double area;
    fw_image im = scene_shoot(&s, SHOT, 1, lm);
    fw_signature a, b;
    fw_signature_compute(&im, lm, (uint8_t *)&a);
    im.full_width *= 4; /* as if decoded at a quarter */
    im.full_height *= 4;
    for (int i = 0; i < 10; i++) lm[i] *= 4;
    fw_signature_compute(&im, lm, (uint8_t *)&b);
    assert_true(difference(a.wide, b.wide, sizeof a.wide, &area) < 0.5);
    fw_image_free(&im);
}

static void margins_are_not_photo(void **state)
{
    (void)state;
    scene s = scene_new(4);
    fw_signature a = sign(&s, SHOT, true), b = sign(&s, (shot){.zoom = 1, .gain = 1, .border = 30}, true);
    double area, black = 0;
    assert_true(difference(a.wide, b.wide, sizeof a.wide, &area) < 1);
    assert_true(area > 0.6);
    for (size_t i = 0; i < sizeof b.wide; i++) black += b.wide[i] > 0 && b.wide[i] < 15;
    assert_true(black == 0); /* none of the frame came through */
    for (int i = 0; i < FW_SIG_THUMB; i++) assert_int_equal(b.thumb[i], 0);
    assert_true(b.thumb[FW_SIG_THUMB * FW_SIG_THUMB / 2 + FW_SIG_THUMB / 2] > 0);
}

static int bits(uint64_t a, uint64_t b)
{
    return __builtin_popcountll(a ^ b);
}

static void hashes_meet_their_mirror_image_and_survive_edits(void **state)
{
    (void)state;
    int far = 0;
    for (uint64_t k = 10; k < 20; k++) {
        scene s = scene_new(k), other = scene_new(k + 100);
        fw_signature a = sign(&s, SHOT, false), m = sign(&s, (shot){.zoom = 1, .gain = 1, .mirror = true}, false);
        fw_signature e = sign(&s, (shot){.zoom = 1.5, .gain = 0.8, .offset = 20, .noise = 4}, false),
                     o = sign(&other, SHOT, false);
        assert_true(bits(a.phash[1], m.phash[0]) <= 2 && bits(a.phash[0], m.phash[1]) <= 2);
        assert_true(bits(a.dhash[1], m.dhash[0]) <= 4);
        assert_true(bits(a.phash[0], e.phash[0]) <= 8 && bits(a.dhash[0], e.dhash[0]) <= 10);
        far += bits(a.phash[0], o.phash[0]) > 16;
        assert_true(bits(a.phash[0], a.phash[1]) > 8); /* a scene is not its own mirror image */
    }
    assert_true(far >= 9);
}

static void flags_say_what_there_is(void **state)
{
    (void)state;
    scene s = scene_new(5);
    fw_signature a = sign(&s, SHOT, false), zero = {0};
    assert_int_equal(a.flags, FW_SIG_HAS_IMAGE);
    assert_int_equal(sign(&s, SHOT, true).flags, FW_SIG_HAS_IMAGE | FW_SIG_HAS_FACE);
    fw_image im = scene_shoot(&s, SHOT, 1, NULL);
    float point[10] = {50, 50, 50, 50, 50, 50, 50, 50, 50, 50};
    fw_signature_compute(&im, point, (uint8_t *)&a);
    assert_int_equal(a.flags, FW_SIG_HAS_IMAGE); /* five equal landmarks are no face */
    memset(im.rgb, 90, im.cap);
    fw_signature_compute(&im, NULL, (uint8_t *)&a);
    assert_true(a.flags & FW_SIG_FLAT);
    im.width = im.height = 0;
    fw_signature_compute(&im, NULL, (uint8_t *)&a);
    assert_memory_equal(&a, &zero, sizeof a);
    fw_image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_view_ignores_size_rotation_and_place),
        cmocka_unit_test(landmarks_are_in_full_size_pixels),
        cmocka_unit_test(margins_are_not_photo),
        cmocka_unit_test(hashes_meet_their_mirror_image_and_survive_edits),
        cmocka_unit_test(flags_say_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
