/* SCRFD and YuNet, on generated networks with their outputs and answers that are known: one face on each level, and all
 * other cells below the threshold. The published weights are not free to ship, so this is what stands for them. Also
 * what a detector without landmarks is completed with, tiles, and five points that are not a face's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/detector.h"
#include "lib/landmarks.h"
#include "runtime.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { SIDE = 64, LEVELS = 3 };
static const int STRIDE[LEVELS] = {8, 16, 32};

/* An output that is always these rows. `rank3`: with a leading 1. */
static void constant(tiny_onnx *o, const char *name, const float *rows, int n, int width, bool rank3)
{
    char *source = fw_format("%s.const", name);
    const int64_t dims[3] = {1, n, width};
    tiny_weights(o, source, rank3 ? 3 : 2, rank3 ? dims : dims + 1, rows);
    tiny_node(o, "Identity", (const char *const[3]){source}, name, NULL, 0, NULL);
    tiny_value(o, 12, name, 1, rank3 ? 3 : 2, rank3 ? dims : dims + 1);
    fw_free(source);
}

static fw_modeldesc finish(tiny_onnx *o, const char *decoder)
{
    fw_modeldesc d = {.path = path, .name = path, .task = FW_TASK_DETECT, .file = path, .stride = 32, .scale = 1};
    d.decoder = (char *)(uintptr_t)decoder;
    d.levels = LEVELS;
    for (int l = 0; l < LEVELS; l++) d.level_stride[l] = STRIDE[l];
    d.input_width = d.input_height = SIDE;
    d.score_threshold = 0.5f;
    d.nms_iou = 0.4f;
    tiny_value(o, 11, "x", 1, 4, (int64_t[]){1, 3, SIDE, SIDE});
    assert_true(tiny_save(o, path, d.sha256));
    return d;
}

static int detect(const fw_modeldesc *d, fw_face *out, fw_err *e)
{
    fw_detector *det = NULL;
    fw_detector_worker *w = NULL;
    fw_image im = {.width = SIDE, .height = SIDE, .full_width = SIDE, .full_height = SIDE};
    int n = -1;
    im.rgb = fw_alloc(3, SIDE * SIDE);
    int rc = fw_detector_open(rt, d, &(fw_detector_opts){.second_size = -1}, &det, e);
    if (!rc) rc = fw_detector_worker_open(det, &w, e);
    if (!rc) rc = fw_detect(w, &im, out, 16, &n, NULL, e);
    fw_detector_worker_close(w);
    fw_detector_close(det);
    fw_image_free(&im);
    return rc ? -1 : n;
}

static void assert_box(const fw_face *f, float x0, float y0, float x1, float y1)
{
    const float want[4] = {x0, y0, x1, y1};
    for (int i = 0; i < 4; i++) assert_float_equal(f->box[i], want[i], 1e-3);
}

/* --- SCRFD --- */

enum { ANCHORS = 2 };

/* Level l: the face is the second anchor of the last but one cell of the first row; score .9 - .1 l, distances 1, 1,
 * .5, .25 strides, landmark k at .1 k - .5 strides. */
static fw_modeldesc scrfd(bool marks, bool rank3, int spare)
{
    tiny_onnx o = {0};
    for (int part = 0; part < (marks ? 3 : 2); part++)
        for (int l = 0; l < LEVELS; l++) {
            const int width = (int[]){1, 4, 10}[part], cols = SIDE / STRIDE[l], n = cols * cols * ANCHORS + spare;
            float *rows = fw_alloc((size_t)n * (size_t)width, sizeof *rows);
            float *hit = rows + ((cols - 2) * ANCHORS + 1) * width;
            for (int i = 0; i < n * width; i++) rows[i] = part ? 3 : 0.49f;
            if (part == 0) hit[0] = 0.9f - 0.1f * (float)l;
            if (part == 1) memcpy(hit, (float[]){1, 1, 0.5f, 0.25f}, 4 * sizeof *hit);
            for (int k = 0; part == 2 && k < 10; k++) hit[k] = 0.1f * (float)k - 0.5f;
            char *name = fw_format("out%d_%d", part, l);
            constant(&o, name, rows, n, width, rank3);
            fw_free(name);
            fw_free(rows);
        }
    return finish(&o, "scrfd");
}

static void check_scrfd(const fw_face *f, int n, bool marks)
{
    assert_int_equal(n, LEVELS);
    for (int l = 0; l < LEVELS; l++) {
        const float s = (float)STRIDE[l], x = (float)(SIDE / STRIDE[l] - 2) * s;
        assert_float_equal(f[l].score, (0.9 - 0.1 * l), 1e-6);
        assert_box(&f[l], fmaxf(0, x - s), 0, x + s / 2, s / 4); /* cut at the photo's upper edge */
        assert_int_equal(f[l].points, marks ? FW_POINTS_SEEN : FW_POINTS_NONE);
        for (int k = 0; marks && k < 10; k++)
            assert_float_equal(f[l].landmark[k], ((k % 2 ? 0 : x) + (0.1 * k - 0.5) * s), 1e-3);
    }
}

static void test_scrfd(void **state)
{
    FW_UNUSED(state);
    for (int v = 0; v < 4; v++) {
        fw_face f[16];
        fw_err e = {0};
        fw_modeldesc d = scrfd(v & 1, v & 2, 0);
        const int n = detect(&d, f, &e);
        if (n < 0) fail_msg("%s", e.msg);
        check_scrfd(f, n, v & 1);
    }
}

static void test_scrfd_without_landmarks(void **state)
{
    FW_UNUSED(state);
    fw_face f[16];
    fw_err e = {0};
    fw_modeldesc d = scrfd(false, true, 0);
    assert_int_equal(detect(&d, f, &e), LEVELS);
    float want[10];
    fw_landmarks_of_box(f[0].box, want);
    assert_memory_equal(want, f[0].landmark, sizeof want);
    assert_int_equal(fw_landmarks_check(f[0].box, want), FW_LANDMARKS_SANE);
}

static void test_other_outputs(void **state)
{
    FW_UNUSED(state);
    fw_face f[16];
    fw_err e = {0};
    fw_modeldesc d = scrfd(true, false, 1); /* a row too many: not a whole number of anchors per cell */
    assert_int_equal(detect(&d, f, &e), -1);
    assert_non_null(strstr(e.msg, "level 0 has other outputs than for 8 x 8 cells of 8 pixels"));
    e = (fw_err){0};
    d.levels = 2;
    assert_int_equal(detect(&d, f, &e), -1);
    assert_int_equal(e.code, FW_EUSAGE);
    assert_non_null(strstr(e.msg, "9 outputs, decoder scrfd reads 2 (or, with landmarks, 3) for each of 2 levels"));
    e = (fw_err){0};
    d.levels = LEVELS;
    d.decoder = (char *)"yunet";
    assert_int_equal(detect(&d, f, &e), -1);
    assert_non_null(strstr(e.msg, "9 outputs, decoder yunet reads 4"));
}

/* --- YuNet --- */

/* Level l: the face is in the last cell of the second row; cls .81, obj 1 - .19 l; centre half a stride right of the
 * cell's point and a quarter above it; e^.5 by e^1 strides large; landmark k at .2 k strides. cls and obj above 1 and
 * below 0, as the network gives them, are cut. `named`: the outputs carry the published names, in another order. */
static fw_modeldesc yunet(bool named)
{
    static const char *const name[] = {"cls", "obj", "bbox", "kps"};
    tiny_onnx o = {0};
    for (int at = 0; at < 4 * LEVELS; at++) {
        const int part = named ? 3 - at % 4 : at / LEVELS, l = named ? at / 4 : at % LEVELS;
        const int width = (int[]){1, 1, 4, 10}[part], cols = SIDE / STRIDE[l], n = cols * cols;
        float *rows = fw_alloc((size_t)n * (size_t)width, sizeof *rows), *hit = rows + (2 * cols - 1) * width;
        for (int i = 0; i < n * width; i++) rows[i] = part == 1 ? -0.01f : 1.2f;
        if (part == 0) hit[0] = 0.81f;
        if (part == 1) hit[0] = l ? 1 - 0.19f * (float)l : 1.3f;
        if (part == 2) memcpy(hit, (float[]){0.5f, -0.25f, 0.5f, 1}, 4 * sizeof *hit);
        for (int k = 0; part == 3 && k < 10; k++) hit[k] = 0.2f * (float)k;
        char *text = named ? fw_format("%s_%d", name[part], STRIDE[l]) : fw_format("o%d", at);
        constant(&o, text, rows, n, width, true);
        fw_free(text);
        fw_free(rows);
    }
    return finish(&o, "yunet");
}

static void test_yunet(void **state)
{
    FW_UNUSED(state);
    for (int v = 0; v < 2; v++) {
        fw_face f[16];
        fw_err e = {0};
        fw_modeldesc d = yunet(v);
        d.nms_iou = 0.9f;
        const int n = detect(&d, f, &e);
        if (n < 0) fail_msg("%s", e.msg);
        assert_int_equal(n, LEVELS);
        for (int l = 0; l < LEVELS; l++) {
            const float s = (float)STRIDE[l], col = (float)(SIDE / STRIDE[l] - 1);
            const float cx = (col + 0.5f) * s, cy = 0.75f * s, bw = expf(0.5f) * s / 2, bh = expf(1) * s / 2;
            assert_float_equal(f[l].score, sqrt(0.81 * (l ? 1 - 0.19 * l : 1)), 1e-6);
            assert_box(&f[l], cx - bw, fmaxf(0, cy - bh), fminf(SIDE - 1, cx + bw), fminf(SIDE - 1, cy + bh));
            for (int k = 0; k < 10; k++) assert_float_equal(f[l].landmark[k], ((k % 2 ? 1 : col) + 0.2 * k) * s, 1e-3);
        }
    }
}

/* --- five points --- */

static void test_sanity(void **state)
{
    FW_UNUSED(state);
    const float box[4] = {100, 100, 200, 220};
    float p[10], q[10];
    fw_landmarks_of_box(box, p);
    assert_int_equal(fw_landmarks_check(box, p), FW_LANDMARKS_SANE);
    for (int i = 0; i < 10; i++) q[i] = i % 2 ? 320 - p[i] : 300 - p[i]; /* on its head: turned, not mirrored */
    assert_int_equal(fw_landmarks_check(box, q), FW_LANDMARKS_SANE);
    for (int i = 0; i < 10; i++) q[i] = i % 2 ? p[i] : 300 - p[i]; /* left for right */
    assert_int_equal(fw_landmarks_check(box, q), FW_LANDMARKS_UPSIDE);
    for (int i = 0; i < 10; i++) q[i] = i % 2 ? 320 - p[i] : p[i]; /* eyes below the mouth */
    assert_int_equal(fw_landmarks_check(box, q), FW_LANDMARKS_UPSIDE);
    memcpy(q, p, sizeof q);
    q[2] = q[0] + 2;
    assert_int_equal(fw_landmarks_check(box, q), FW_LANDMARKS_EYES);
    memcpy(q, p, sizeof q);
    q[7] = 500;
    assert_int_equal(fw_landmarks_check(box, q), FW_LANDMARKS_ODD);
    q[7] = NAN;
    assert_int_equal(fw_landmarks_check(box, q), FW_LANDMARKS_ODD);
}

static void test_five(void **state)
{
    FW_UNUSED(state);
    fw_five five;
    float point[2 * 68], out[10];
    for (int i = 0; i < 2 * 68; i++) point[i] = (float)i;
    assert_true(fw_five_parse("36-41;42-47;30;48;54", 68, &five));
    fw_five_take(&five, point, out);
    const float want[10] = {77, 78, 89, 90, 60, 61, 96, 97, 108, 109};
    for (int i = 0; i < 10; i++) assert_float_equal(out[i], want[i], 0);
    const char *bad[] = {"",          "1;2;3;4",    "1;2;3;4;68", "1;2;3;4;5;6", "5-4;1;2;3;4",
                         "1;2;x;4;5", "-1;2;3;4;5", "1-;2;3;4;5"};
    for (size_t i = 0; i < FW_COUNT(bad); i++) assert_false(fw_five_parse(bad[i], 68, &five));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scrfd),         cmocka_unit_test(test_scrfd_without_landmarks),
        cmocka_unit_test(test_other_outputs), cmocka_unit_test(test_yunet),
        cmocka_unit_test(test_sanity),        cmocka_unit_test(test_five),
    };
    return cmocka_run_group_tests_name("decoders", tests, start, stop);
}
