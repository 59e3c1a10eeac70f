/* lib/quality: each measure on pictures whose value is known, and the score's promises. */
#include "lib/quality.h"
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 112, BYTES = 3 * SIDE * SIDE };

static const float *frontal(void)
{
    return fw_template_find("arcface112")->point;
}

/* Vertical bars `period` pixels wide each, of two grey levels. */
static void bars(uint8_t *crop, int period, int dark, int light)
{
    for (int i = 0; i < SIDE * SIDE; i++) memset(crop + 3 * i, i % SIDE / period % 2 ? light : dark, 3);
}

static void flat_and_striped(void **state)
{
    FW_UNUSED(state);
    uint8_t *crop = fw_alloc(BYTES, 1);
    memset(crop, 90, BYTES);
    fw_quality q = fw_quality_measure(crop, frontal(), 0.9f);
    assert_true(fabsf(q.brightness - 90) < 0.01f && q.contrast < 0.1f && q.sharpness == 0);
    assert_true(fabsf(q.eyes - 35.24f) < 0.01f);
    assert_true(fw_quality_score(&q) < 0.01f);
    bars(crop, 2, 50, 150);
    q = fw_quality_measure(crop, frontal(), 0.9f);
    assert_true(fabsf(q.brightness - 100) < 0.01f && fabsf(q.contrast - 50) < 0.01f);
    /* blocks alternate 50, 150: the Laplacian is +-200, its variance 40000, over 50 */
    assert_true(fabsf(q.sharpness - 800) < 1);
    const float fine = q.sharpness;
    bars(crop, 4, 50, 150);
    q = fw_quality_measure(crop, frontal(), 0.9f);
    assert_true(q.sharpness > 0 && q.sharpness < fine);
    bars(crop, 1, 50, 150); /* finer than a block: noise, not detail */
    q = fw_quality_measure(crop, frontal(), 0.9f);
    assert_true(q.sharpness < 0.01f);
    fw_free(crop);
}

/* What lies outside the face (a black border, a busy background) changes nothing. */
static void surroundings_do_not_count(void **state)
{
    FW_UNUSED(state);
    uint8_t *crop = fw_alloc(BYTES, 1);
    bars(crop, 4, 80, 160);
    const fw_quality before = fw_quality_measure(crop, frontal(), 0.9f);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            if (x < 18 || x >= 94 || y < 26 || y >= 110) memset(crop + 3 * (y * SIDE + x), x * y % 7 ? 0 : 255, 3);
    const fw_quality after = fw_quality_measure(crop, frontal(), 0.9f);
    assert_memory_equal(&before, &after, sizeof before);
    fw_free(crop);
}

static fw_quality typical(void)
{
    return (fw_quality){20, 130, 40, 43, 0.99f, {5, 3, 2}};
}

/* The fields of fw_quality in order: +1 more is better, -1 less is better (in size); brightness has its own test. */
static void score_is_monotone(void **state)
{
    static const struct {
        int field;
        float step, sign;
    } way[] = {{0, 2, 1}, {2, 3, 1}, {3, 4, 1}, {4, 0.004f, 1}, {5, 6, -1}, {6, 6, -1}, {7, 6, -1}};
    FW_UNUSED(state);
    for (size_t i = 0; i < FW_COUNT(way); i++) {
        fw_quality q = typical();
        float field[8], last = way[i].sign > 0 ? -1 : 2;
        for (int n = 0; n < 25; n++) {
            memcpy(field, &q, sizeof field);
            field[way[i].field] = way[i].field == 4 ? 0.9f + n * way[i].step : (float)n * way[i].step;
            memcpy(&q, field, sizeof q);
            const float s = fw_quality_score(&q);
            assert_true(s >= 0 && s <= 1);
            assert_true((s - last) * way[i].sign > 0);
            last = s;
            field[way[i].field] = -field[way[i].field];
            memcpy(&q, field, sizeof q);
            if (way[i].field >= 5) assert_true(fw_quality_score(&q) == s); /* left and right alike */
        }
    }
}

static void brightness_is_best_in_the_middle(void **state)
{
    FW_UNUSED(state);
    float last = -1;
    for (int b = 0; b <= 120; b += 5) {
        fw_quality q = typical();
        q.brightness = (float)b;
        assert_true(fw_quality_score(&q) > last);
        last = fw_quality_score(&q);
    }
    for (int b = 150; b <= 255; b += 5) {
        fw_quality q = typical();
        q.brightness = (float)b;
        if (b > 150) assert_true(fw_quality_score(&q) < last);
        last = fw_quality_score(&q);
    }
    assert_true(last == 0);
}

static void not_finite_is_worst(void **state)
{
    FW_UNUSED(state);
    for (int k = 0; k < 8; k++) {
        fw_quality q = typical();
        float field[8];
        memcpy(field, &q, sizeof field);
        field[k] = NAN;
        memcpy(&q, field, sizeof q);
        assert_true(fw_quality_score(&q) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_and_striped),    cmocka_unit_test(surroundings_do_not_count),
        cmocka_unit_test(score_is_monotone),   cmocka_unit_test(brightness_is_best_in_the_middle),
        cmocka_unit_test(not_finite_is_worst),
    };
    return cmocka_run_group_tests_name("quality", tests, NULL, NULL);
}
