/* A quality model: on a network whose answer is the mean of its input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/scorer.h"
#include "runtime.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { W = 4, H = 3 };

static fw_modeldesc mean_of(int batch, bool each)
{
    tiny_onnx o = {0};
    fw_modeldesc d = {.path = path, .name = path, .task = FW_TASK_QUALITY, .file = path, .scale = 1};
    d.decoder = (char *)"score";
    d.input_width = W;
    d.input_height = H;
    d.range[1] = 200;
    tiny_node(&o, "ReduceMean", (const char *const[3]){"x"}, "y", "axes", each ? 3 : 1,
              (int64_t[]){each ? 1 : 2, 2, 3});
    tiny_value(&o, 11, "x", 1, 4, (int64_t[]){batch, 3, H, W});
    tiny_value(&o, 12, "y", 1, 4, (int64_t[]){batch, each ? 1 : 3, 1, each ? 1 : W});
    assert_true(tiny_save(&o, path, d.sha256));
    return d;
}

static float score(const fw_modeldesc *d, uint8_t pixel, int code)
{
    uint8_t crop[W * H * 3];
    fw_err e = {0};
    fw_scorer *s = NULL;
    fw_scorer_worker *w = NULL;
    float out = -1;
    memset(crop, pixel, sizeof crop);
    int rc = fw_scorer_open(rt, d, NULL, &s, &e);
    if (!rc) rc = fw_scorer_worker_open(s, &w, &e);
    if (!rc) rc = fw_score(w, crop, &out, &e);
    if (rc != code) fail_msg("%d: %s", rc, e.msg);
    fw_scorer_worker_close(w);
    fw_scorer_close(s);
    return out;
}

static void test_range(void **state)
{
    FW_UNUSED(state);
    for (int batch = -1; batch < 4; batch += batch < 0 ? 2 : 1) { /* free, 1, 2, 3 crops a run */
        fw_modeldesc d = mean_of(batch, true);
        assert_float_equal(score(&d, 50, FW_OK), 0.25, 1e-6);
        assert_float_equal(score(&d, 250, FW_OK), 1, 0);
        d.range[0] = 200;
        d.range[1] = 0; /* less is better */
        assert_float_equal(score(&d, 50, FW_OK), 0.75, 1e-6);
        d.scale = INFINITY;
        assert_float_equal(score(&d, 50, FW_OK), 0, 0);
    }
}

static void test_errors(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = mean_of(1, false);
    score(&d, 50, FW_EUSAGE); /* twelve numbers, not one */
    d = mean_of(1, true);
    d.decoder = (char *)"points";
    score(&d, 50, FW_EUSAGE);
    d.task = FW_TASK_EMBED;
    score(&d, 50, FW_EUSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_range), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests_name("scorer", tests, start, stop);
}
