/* The detector: its geometry on a network whose answers are drawn into the photo, and real faces with the shipped one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/detector.h"
#include "runtime.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

/* One level: cells of 8 pixels, one anchor of 16. The top left pixel of a cell decides: red/255 is the score, green/255
 * the shift of the box in anchors, to the right and down. Landmark number k is 0.1 * k anchors from the anchor's
 * centre. */
static fw_modeldesc drawn(int classes)
{
    tiny_onnx o = {0};
    fw_modeldesc d = {.path = path, .name = path, .task = FW_TASK_DETECT, .file = path, .stride = 8, .scale = 1};
    d.decoder = (char *)"retinaface";
    d.levels = d.anchor_count[0] = 1;
    d.level_stride[0] = 8;
    d.anchor[0][0] = 16;
    d.score_threshold = 0.5f;
    d.nms_iou = 0.4f;
    enum { CELL = 3 * 8 * 8 };
    float *w = fw_alloc(10 * CELL, sizeof *w), bias[10];
    const char *names[3][3] = {{"x", "w0", NULL}, {"x", "w1", NULL}, {"x", "w2", "b2"}}, *outs[3] = {"c", "b", "l"};
    const int channels[3] = {classes, 4, 10};
    for (int i = 0; i < 3; i++) {
        memset(w, 0, 10 * CELL * sizeof *w);
        if (i == 0) w[CELL] = 1 / 255.0f;                          /* channel 1: red */
        if (i == 1) w[CELL / 3] = w[CELL + CELL / 3] = 1 / 255.0f; /* dx, dy: green */
        tiny_weights(&o, names[i][1], 4, (int64_t[]){channels[i], 3, 8, 8}, w);
        tiny_node(&o, "Conv", names[i], outs[i], "strides", 2, (int64_t[]){8, 8});
        tiny_value(&o, 12, outs[i], 1, 4, (int64_t[]){-1, channels[i], -1, -1});
    }
    for (int k = 0; k < 10; k++) bias[k] = 0.1f * (float)k;
    tiny_weights(&o, "b2", 1, (int64_t[]){10}, bias);
    tiny_value(&o, 11, "x", 1, 4, (int64_t[]){-1, 3, -1, -1});
    fw_free(w);
    assert_true(tiny_save(&o, path, d.sha256));
    return d;
}

static fw_image canvas(int w, int h)
{
    return (fw_image){.width = w, .height = h, .full_width = w, .full_height = h, .rgb = fw_alloc((size_t)w * h, 3)};
}

static void dot(fw_image *im, int x, int y, int red, int green)
{
    uint8_t *p = im->rgb + ((size_t)y * im->width + x) * 3;
    p[0] = (uint8_t)red;
    p[1] = (uint8_t)green;
}

static int detect_once(const fw_modeldesc *d, const fw_detector_opts *o, const fw_image *im, fw_face *out, int max,
                       int *looks)
{
    fw_err e = {0};
    fw_detector *det;
    fw_detector_worker *w;
    int n = -1;
    if (fw_detector_open(rt, d, o, &det, &e)) fail_msg("%s", e.msg);
    if (fw_detector_worker_open(det, &w, &e)) fail_msg("%s", e.msg);
    if (fw_detect(w, im, out, max, &n, looks, &e)) fail_msg("%s", e.msg);
    fw_detector_worker_close(w);
    fw_detector_close(det);
    return n;
}

/* By lib/fastnet.h where this CPU can; and ONNX Runtime must say the same. */
static int detect(const fw_modeldesc *d, const fw_detector_opts *o, const fw_image *im, fw_face *out, int max,
                  int *looks)
{
    enum { MAX = 64 };
    fw_face other[MAX];
    fw_detector_opts plain = o ? *o : (fw_detector_opts){0};
    plain.plain = true;
    const int n = detect_once(d, o, im, out, max, looks);
    assert_true(max <= MAX);
    assert_int_equal(detect_once(d, &plain, im, other, max, NULL), n);
    for (int i = 0; i < n; i++) {
        assert_float_equal(out[i].score, other[i].score, 1e-5);
        for (int k = 0; k < 4; k++) assert_float_equal(out[i].box[k], other[i].box[k], 0.01);
        for (int k = 0; k < 10; k++) assert_float_equal(out[i].landmark[k], other[i].landmark[k], 0.01);
    }
    return n;
}

static void assert_box(const fw_face *f, float x0, float y0, float x1, float y1)
{
    const float want[4] = {x0, y0, x1, y1};
    for (int i = 0; i < 4; i++) assert_float_equal(f->box[i], want[i], 1e-3);
}

static void test_geometry(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = drawn(2);
    fw_image im = canvas(61, 50); /* padded to 64 x 56 */
    fw_face f[8];
    int looks;
    dot(&im, 16, 24, 204, 0);
    dot(&im, 40, 8, 255, 51); /* shifted by a fifth of an anchor, 3.2 pixels */
    dot(&im, 0, 0, 127, 0);   /* just below the threshold */
    dot(&im, 57, 49, 255, 0); /* no cell's top left pixel */
    assert_int_equal(detect(&d, NULL, &im, f, 8, &looks), 2);
    assert_int_equal(looks, 1);
    assert_float_equal(f[0].score, 1, 1e-6);
    assert_box(&f[0], 42.7f, 10.7f, 58.7f, 26.7f);
    assert_float_equal(f[1].score, 0.8, 1e-6);
    assert_box(&f[1], 15.5f, 23.5f, 31.5f, 39.5f);
    for (int k = 0; k < 10; k++) assert_float_equal(f[1].landmark[k], ((k % 2 ? 31.5 : 23.5) + 1.6 * k), 1e-3);
    /* the same photo known to be half of a larger one: pixel centres map as (x + 0.5) * 2 - 0.5 */
    im.full_width = 122;
    im.full_height = 100;
    assert_int_equal(detect(&d, NULL, &im, f, 8, NULL), 2);
    assert_box(&f[1], 31.5f, 47.5f, 63.5f, 79.5f);
    assert_float_equal(f[1].landmark[0], 47.5, 1e-3);
    assert_int_equal(detect(&d, &(fw_detector_opts){.threshold = 0.49f}, &im, f, 8, NULL), 3);
    assert_box(&f[2], 0, 0, 31.5f, 31.5f); /* clipped */
    assert_int_equal(detect(&d, &(fw_detector_opts){.max_faces = 1}, &im, f, 8, NULL), 1);
    assert_int_equal(detect(&d, NULL, &im, f, 1, NULL), 1);
    assert_float_equal(f[0].score, 1, 1e-6);
    /* blue is not red */
    d.bgr = true;
    assert_int_equal(detect(&d, NULL, &im, f, 8, NULL), 0);
    fw_image_free(&im);
}

static void test_suppression(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = drawn(2);
    fw_image im = canvas(64, 64);
    fw_face f[8];
    dot(&im, 32, 16, 210, 0);
    dot(&im, 40, 16, 250, 0); /* overlaps the first by a third */
    dot(&im, 8, 40, 210, 0);
    assert_int_equal(detect(&d, NULL, &im, f, 8, NULL), 3);
    assert_float_equal(fw_box_iou(f[0].box, f[2].box), (1 / 3.0), 1e-5);
    assert_box(&f[1], 7.5f, 39.5f, 23.5f, 55.5f); /* of equal scores the left one first */
    assert_int_equal(detect(&d, &(fw_detector_opts){.nms_iou = 0.3f}, &im, f, 8, NULL), 2);
    assert_box(&f[0], 39.5f, 15.5f, 55.5f, 31.5f);
    assert_box(&f[1], 7.5f, 39.5f, 23.5f, 55.5f);
    fw_image_free(&im);
}

static void test_shrunk(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = drawn(2);
    fw_image im = canvas(128, 96);
    fw_face f[8];
    for (int y = 30; y < 36;
         y++) /* covers what the triangle filter gathers for pixel (16, 16) of the half-size photo */
        for (int x = 30; x < 36; x++) dot(&im, x, y, 255, 0);
    assert_int_equal(detect(&d, &(fw_detector_opts){.size = 64}, &im, f, 8, NULL), 1);
    assert_float_equal(f[0].score, 1, 1e-5);
    assert_box(&f[0], 31.5f, 31.5f, 63.5f, 63.5f);
    fw_image_free(&im);
}

/* Red that no cell of the first look samples, but one of the enlarged look does. */
static void test_looks(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = drawn(2);
    fw_image im = canvas(32, 32);
    fw_face f[8];
    int looks;
    assert_int_equal(detect(&d, NULL, &im, f, 8, &looks), 0);
    assert_int_equal(looks, 3);
    for (int y = 3; y < 6; y++)
        for (int x = 3; x < 6; x++) dot(&im, x, y, 255, 0);
    assert_int_equal(detect(&d, NULL, &im, f, 8, &looks), 1);
    assert_int_equal(looks, 3);
    assert_box(&f[0], 3.5f, 3.5f, 11.5f, 11.5f);
    assert_int_equal(detect(&d, &(fw_detector_opts){.second_size = -1}, &im, f, 8, &looks), 0);
    assert_int_equal(looks, 1);
    /* what is large in the enlarged look was not missed by the first one for being small */
    d.anchor[0][0] = 97 * 2;
    assert_int_equal(detect(&d, NULL, &im, f, 8, &looks), 1); /* clipped to the photo's 32 pixels: small after all */
    fw_image_free(&im);
    im = canvas(120, 120);
    for (int y = 59; y < 62; y++)
        for (int x = 59; x < 62; x++) dot(&im, x, y, 255, 0);
    assert_int_equal(detect(&d, NULL, &im, f, 8, &looks), 0);
    d.anchor[0][0] = 47 * 2;
    assert_int_equal(detect(&d, NULL, &im, f, 8, &looks), 1);
    fw_image_free(&im);
}

/* A pixel at the border look's cell: only a face of half the photo's size counts there. */
static void test_border_look(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = drawn(2);
    fw_image im = canvas(64, 64);
    fw_face f[8];
    int looks;
    /* border look: photo at 32 x 32, placed at (16, 16); pixel (24, 24) is (8, 8) there and 16.5 in the photo */
    for (int y = 15; y < 19; y++)
        for (int x = 15; x < 19; x++)
            if (x != 16 || y != 16) dot(&im, x, y, 255, 0);
    assert_int_equal(detect(&d, &(fw_detector_opts){.second_size = 64}, &im, f, 8, &looks), 1);
    assert_int_equal(looks, 2);
    assert_box(&f[0], 15.5f, 15.5f, 47.5f, 47.5f); /* centre 31.5 - 16 = 15.5 -> 31.5 */
    d.anchor[0][0] = 15;
    assert_int_equal(detect(&d, &(fw_detector_opts){.second_size = 64}, &im, f, 8, &looks), 0);
    fw_image_free(&im);
}

/* Tiles of 64 on a photo of 150: a face that the first look, at 64, cannot see; one that the tiles cut, seen whole in
 * another; one found twice; one larger than the overlap, which tiles leave to the first look. */
static void test_tiles(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = drawn(2);
    fw_image im = canvas(150, 150);
    fw_face f[8];
    const fw_detector_opts off = {.size = 64, .second_size = -1}, on = {.size = 64, .second_size = -1, .tile = 64};
    d.anchor[0][0] = 12; /* tiles begin at 0, 48, 86 */
    dot(&im, 86 + 32, 48 + 24, 204, 0);
    dot(&im, 86 + 56, 86 + 56, 255, 0);
    dot(&im, 48, 0, 230, 0); /* cell (0, 0) of a tile, cell (6, 0) of the first: at 55.5 from 0, inside both */
    assert_int_equal(detect(&d, &off, &im, f, 8, NULL), 0);
    assert_int_equal(detect(&d, &on, &im, f, 8, NULL), 3);
    assert_box(&f[0], 86 + 57.5f, 86 + 57.5f, 149, 149); /* at the photo's own edge: not cut off */
    assert_box(&f[1], 49.5f, 1.5f, 61.5f, 13.5f);
    assert_box(&f[2], 86 + 33.5f, 48 + 25.5f, 86 + 45.5f, 48 + 37.5f);
    d.anchor[0][0] = 20; /* larger than the overlap of 16 */
    assert_int_equal(detect(&d, &on, &im, f, 8, NULL), 1);
    assert_box(&f[0], 86 + 53.5f, 86 + 53.5f, 149, 149); /* what is left of it is small */
    fw_image_free(&im);
}

static void open_fails(const fw_modeldesc *d, const char *what)
{
    fw_err e = {0};
    fw_detector *det;
    assert_int_equal(fw_detector_open(rt, d, NULL, &det, &e), FW_EUSAGE);
    assert_null(det);
    if (!strstr(e.msg, what)) fail_msg("expected '%s' in: %s", what, e.msg);
}

static void test_open_errors(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = drawn(3);
    open_fails(&d, "has not the 2 channels");
    d = drawn(2);
    d.levels = 2;
    open_fails(&d, "3 for each of 2 levels");
    d.decoder = (char *)"ssd";
    open_fails(&d, "unknown decoder 'ssd'");
    d.decoder = (char *)"scrfd";
    open_fails(&d, "3 outputs, decoder scrfd reads 2 (or, with landmarks, 3) for each of 2 levels");
    d.decoder = (char *)"yunet";
    open_fails(&d, "3 outputs, decoder yunet reads 4 for each of 2 levels");
    d.levels = 1;
    d.decoder = (char *)"scrfd";
    open_fails(&d, "output 0 ('c') has not rows of 1 values");
    d.task = FW_TASK_EMBED;
    open_fails(&d, "task = detect");
}

static void test_target(void **state)
{
    FW_UNUSED(state);
    const fw_face centre = {.box = {90, 90, 110, 110}}, corner = {.box = {0, 0, 30, 30}},
                  big = {.box = {0, 60, 80, 140}};
    assert_int_equal(fw_target_face(NULL, 0, 200, 200), -1);
    assert_int_equal(fw_target_face((fw_face[]){corner, centre}, 2, 201, 201), 1);
    assert_int_equal(fw_target_face((fw_face[]){centre, big, corner}, 3, 201, 201), 1);
    assert_int_equal(fw_target_face((fw_face[]){centre, centre}, 2, 201, 201), 0);
}

/* --- real photos --- */

static fw_modeldesc *shipped(void)
{
    fw_modeldesc *d;
    fw_err e = {0};
    if (fw_modeldesc_read("configs/models/retinaface_mnet025.ini", FW_MODELS_DEFAULT, &d, &e)) fail_msg("%s", e.msg);
    return d;
}

static void load(const char *name, fw_image *im)
{
    char *file = fw_format("%s/../demo-photos/faces/%s", FW_MODELS_DEFAULT, name), why[FW_IMG_WHY];
    FILE *f = fopen(file, "rb");
    if (!f) fail_msg("no demo photo '%s'; run `scripts/setup.sh demo`", file);
    const size_t room = 1 << 20;
    char *bytes = fw_alloc(room, 1);
    const size_t n = fread(bytes, 1, room, f);
    fclose(f);
    assert_int_equal(fw_image_decode(bytes, n, NULL, im, why), FW_IMG_OK);
    fw_free(bytes);
    fw_free(file);
}

/* Photos of Debian's dlib package, counted by eye; upright faces, so each point's place is known roughly. */
static void test_real_photos(void **state)
{
    FW_UNUSED(state);
    const struct {
        const char *name;
        int faces;
    } photos[] = {{"2007_007763.jpg", 7}, {"2008_001322.jpg", 3}, {"2008_002470.jpg", 6},
                  {"2008_004176.jpg", 7}, {"2008_007676.jpg", 7}, {"Tom_Cruise_avp_2014_4.jpg", 1},
                  {"dogs.jpg", 0}};
    fw_modeldesc *d = shipped();
    fw_image im = {0};
    fw_face f[64];
    for (size_t i = 0; i < FW_COUNT(photos); i++) {
        load(photos[i].name, &im);
        const int n = detect(d, NULL, &im, f, 64, NULL);
        if (n != photos[i].faces) fail_msg("%s: %d faces, expected %d", photos[i].name, n, photos[i].faces);
        for (int k = 0; k < n; k++) {
            const float *p = f[k].landmark, *b = f[k].box;
            assert_true(p[0] < p[2] && p[6] < p[8]);                               /* left is left */
            assert_true(p[1] < p[7] && p[3] < p[9]);                               /* eyes above the mouth */
            assert_true(p[0] > b[0] && p[8] < b[2] && p[1] > b[1] && p[9] < b[3]); /* all in the box */
        }
    }
    fw_image_free(&im);
    fw_modeldesc_free(d);
}

/* The photo at twice its size: the same faces, at twice the coordinates, whatever it was decoded at. */
static void test_sizes(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc *d = shipped();
    fw_image im = {0};
    fw_face one[16], two[16];
    load("2008_002506.jpg", &im);
    const int n = detect(d, NULL, &im, one, 16, NULL);
    assert_int_equal(n, 3);
    fw_image big = canvas(im.width * 2, im.height * 2);
    fw_image_resize(im.rgb, im.width, im.height, big.rgb, big.width, big.height);
    assert_int_equal(detect(d, &(fw_detector_opts){.size = 500}, &big, two, 16, NULL), 3);
    for (int i = 0; i < n; i++) {
        int best = 0;
        float twice[4];
        for (int k = 0; k < 4; k++) twice[k] = one[i].box[k] * 2 + 0.5f;
        for (int k = 1; k < 3; k++)
            if (fw_box_iou(twice, two[k].box) > fw_box_iou(twice, two[best].box)) best = k;
        assert_true(fw_box_iou(twice, two[best].box) > 0.95);
        for (int k = 0; k < 10; k++) /* 4 % of the face: the doubled photo is a little softer */
            assert_float_equal(two[best].landmark[k], (one[i].landmark[k] * 2 + 0.5), (twice[2] - twice[0]) * 0.04);
    }
    fw_image_free(&big);
    fw_image_free(&im);
    fw_modeldesc_free(d);
}

/* Photos of several sizes on several threads: bytes as with one thread. */
static void test_threads(void **state)
{
    FW_UNUSED(state);
    const char *names[] = {"2008_002506.jpg", "2008_001009.jpg", "2008_004176.jpg", "2008_002470.jpg"};
    enum { PHOTOS = 4, ROUNDS = 12, MAX = 16 };
    fw_modeldesc *d = shipped();
    fw_err e = {0};
    fw_detector *det;
    fw_image im[PHOTOS] = {0};
    static fw_face faces[2][ROUNDS][MAX];
    int count[2][ROUNDS], failed = 0;
    for (int i = 0; i < PHOTOS; i++) load(names[i], &im[i]);
    if (fw_detector_open(rt, d, NULL, &det, &e)) fail_msg("%s", e.msg);
    for (int pass = 0; pass < 2; pass++) {
#pragma omp parallel num_threads(pass ? 3 : 1) reduction(+ : failed)
        {
            fw_err mine = {0};
            fw_detector_worker *w = NULL;
            failed += fw_detector_worker_open(det, &w, &mine) != FW_OK;
#pragma omp for schedule(dynamic)
            for (int i = 0; i < ROUNDS; i++)
                failed += fw_detect(w, &im[i % PHOTOS], faces[pass][i], MAX, &count[pass][i], NULL, &mine) != FW_OK;
            fw_detector_worker_close(w);
        }
    }
    assert_int_equal(failed, 0);
    assert_memory_equal(count[0], count[1], sizeof count[0]);
    assert_memory_equal(faces[0], faces[1], sizeof faces[0]);
    assert_memory_equal(faces[0][0], faces[0][PHOTOS], sizeof faces[0][0]);
    fw_detector_close(det);
    fw_modeldesc_free(d);
    for (int i = 0; i < PHOTOS; i++) fw_image_free(&im[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_geometry),    cmocka_unit_test(test_suppression), cmocka_unit_test(test_shrunk),
        cmocka_unit_test(test_looks),       cmocka_unit_test(test_border_look), cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_open_errors), cmocka_unit_test(test_target),      cmocka_unit_test(test_real_photos),
        cmocka_unit_test(test_sizes),       cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("detector", tests, start, stop);
}
