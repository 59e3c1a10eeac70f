/* The embedder: exact on a network whose output is its input, and consistent on the shipped one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/embedder.h"
#include "runtime.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { W = 3, H = 2, DIM = W * H * 3 };

/* Embedding = the normalised input, flattened. `batch` -1: any. */
static fw_modeldesc flat(int batch, bool nhwc)
{
    tiny_onnx o = {0};
    fw_modeldesc d = {.path = path, .name = path, .task = FW_TASK_EMBED, .file = path};
    d.decoder = (char *)"embedding";
    d.input_width = W;
    d.input_height = H;
    d.dim = DIM;
    d.nhwc = nhwc;
    d.mean[0] = 10;
    d.mean[1] = 20;
    d.mean[2] = 30;
    d.scale = 0.25f;
    tiny_node(&o, "Flatten", (const char *const[3]){"x"}, "y", NULL, 0, NULL);
    tiny_value(&o, 11, "x", 1, 4, (int64_t[]){batch, nhwc ? H : 3, nhwc ? W : H, nhwc ? 3 : W});
    tiny_value(&o, 12, "y", 1, 2, (int64_t[]){batch, DIM});
    assert_true(tiny_save(&o, path, d.sha256));
    return d;
}

static void embed(const fw_modeldesc *d, const fw_embedder_opts *o, const uint8_t *crops, int n, float *out,
                  uint8_t *ok)
{
    fw_err e = {0};
    fw_embedder *m;
    fw_embedder_worker *w;
    if (fw_embedder_open(rt, d, o, &m, &e)) fail_msg("%s", e.msg);
    if (fw_embedder_worker_open(m, &w, &e)) fail_msg("%s", e.msg);
    if (fw_embed(w, crops, n, out, ok, &e)) fail_msg("%s", e.msg);
    fw_embedder_worker_close(w);
    fw_embedder_close(m);
}

/* The value that belongs at network channel k, row y, column x, before normalising. */
static float pixel(const fw_modeldesc *d, const uint8_t *crop, int k, int y, int x)
{
    const int c = d->bgr ? 2 - k : k;
    return ((float)crop[(y * W + x) * 3 + c] - d->mean[k]) * d->scale;
}

static void expect(const fw_modeldesc *d, const uint8_t *crop, bool flip, const float *got)
{
    float want[DIM];
    double sum = 0;
    for (int i = 0; i < DIM; i++) {
        const int k = d->nhwc ? i % 3 : i / (W * H), at = d->nhwc ? i / 3 : i % (W * H), y = at / W, x = at % W;
        want[i] = pixel(d, crop, k, y, x) + (flip ? pixel(d, crop, k, y, W - 1 - x) : 0);
        sum += (double)want[i] * want[i];
    }
    for (int i = 0; i < DIM; i++) assert_float_equal(got[i], (want[i] / sqrt(sum)), 1e-6);
}

static void test_pixels(void **state)
{
    FW_UNUSED(state);
    enum { N = 7 };
    uint8_t crops[N * DIM], ok[N];
    float out[N * DIM];
    fw_rng rng = {1};
    for (size_t i = 0; i < sizeof crops; i++) crops[i] = (uint8_t)fw_rng_below(&rng, 256);
    for (int v = 0; v < 16; v++) {
        const bool nhwc = v & 1, bgr = v & 2, flip = v & 4, fixed = v & 8;
        fw_modeldesc d = flat(fixed ? 4 : -1, nhwc); /* 7 crops in rounds of 4: the last one is padded */
        d.bgr = bgr;
        embed(&d, &(fw_embedder_opts){.flip = flip, .batch = 3}, crops, N, out, ok);
        for (int i = 0; i < N; i++) {
            assert_int_equal(ok[i], 1);
            expect(&d, crops + (size_t)i * DIM, flip, out + (size_t)i * DIM);
        }
    }
}

/* flip of the description: none leaves it to the setting, sum joins without it, concat puts one behind the other; and
 * the length before normalising is that of a crop's own vector. Per channel, `std` divides. */
static void test_flip_and_norm(void **state)
{
    FW_UNUSED(state);
    uint8_t crop[DIM], ok;
    float plain[DIM], sum[DIM], both[2 * DIM], norm, mirrored[DIM];
    fw_rng rng = {3};
    fw_err e = {0};
    fw_embedder *m;
    fw_embedder_worker *w;
    for (size_t i = 0; i < sizeof crop; i++) crop[i] = (uint8_t)fw_rng_below(&rng, 256);
    fw_modeldesc d = flat(-1, false);
    for (int flip = 0; flip < 3; flip++) {
        float *out = flip == FW_FLIP_CONCAT ? both : flip == FW_FLIP_SUM ? sum : plain;
        double length = 0;
        d.flip = (enum fw_model_flip)flip;
        if (fw_embedder_open(rt, &d, NULL, &m, &e)) fail_msg("%s", e.msg);
        assert_int_equal(fw_embedder_dim(m), flip == FW_FLIP_CONCAT ? 2 * DIM : DIM);
        if (fw_embedder_worker_open(m, &w, &e)) fail_msg("%s", e.msg);
        if (fw_embed_norm(w, crop, 1, out, &ok, &norm, &e)) fail_msg("%s", e.msg);
        for (int i = 0; i < DIM; i++) length += pow(pixel(&d, crop, i / (W * H), i % (W * H) / W, i % W), 2);
        if (flip != FW_FLIP_SUM) assert_float_equal(norm, sqrt(length), 1e-3); /* the mirrored one has the same */
        fw_embedder_worker_close(w);
        fw_embedder_close(m);
    }
    expect(&d, crop, false, plain);
    expect(&d, crop, true, sum);
    for (int i = 0; i < DIM; i++) {
        const int x = i % W;
        mirrored[i] = plain[i - x + W - 1 - x];
        assert_float_equal(both[i], plain[i] / sqrt(2), 1e-6);
        assert_float_equal(both[DIM + i], mirrored[i] / sqrt(2), 1e-6);
    }
    d.flip = FW_FLIP_NONE;
    d.std[0] = d.std[1] = d.std[2] = 4; /* cancels when normalised */
    embed(&d, NULL, crop, 1, mirrored, &ok);
    for (int i = 0; i < DIM; i++) assert_float_equal(mirrored[i], plain[i], 1e-6);
    d.std[2] = 1; /* of which blue is now four times the rest */
    embed(&d, NULL, crop, 1, mirrored, &ok);
    for (int i = 0; i < W * H; i++)
        assert_float_equal(mirrored[2 * W * H + i] * plain[0], 4 * plain[2 * W * H + i] * mirrored[0], 1e-4);
}

static void test_no_direction(void **state)
{
    FW_UNUSED(state);
    uint8_t crops[3 * DIM], ok[3];
    float out[3 * DIM];
    fw_modeldesc d = flat(-1, false);
    memset(crops, 50, sizeof crops);
    memset(crops + DIM, 10, DIM);
    d.mean[1] = d.mean[2] = 10; /* the middle crop becomes all zeros */
    embed(&d, &(fw_embedder_opts){.batch = 3}, crops, 3, out, ok);
    assert_int_equal(ok[0], 1);
    assert_int_equal(ok[1], 0);
    assert_int_equal(ok[2], 1);
    assert_memory_equal(out, out + 2 * DIM, DIM * sizeof *out);
    for (int i = 0; i < DIM; i++) assert_float_equal(out[DIM + i], 0, 0);
    d.scale = INFINITY;
    embed(&d, NULL, crops, 3, out, ok);
    for (int i = 0; i < 3; i++) assert_int_equal(ok[i], 0);
    for (int i = 0; i < 3 * DIM; i++) assert_float_equal(out[i], 0, 0);
}

static void open_fails(fw_modeldesc d, int code, const char *what)
{
    fw_err e = {0};
    fw_embedder *m;
    assert_int_equal(fw_embedder_open(rt, &d, NULL, &m, &e), code);
    assert_null(m);
    if (!strstr(e.msg, what)) fail_msg("expected '%s' in: %s", what, e.msg);
}

static void test_open_errors(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc d = flat(-1, false);
    d.task = FW_TASK_DETECT;
    open_fails(d, FW_EUSAGE, "task = embed");
    d = flat(-1, false);
    d.decoder = (char *)"scrfd";
    open_fails(d, FW_EUSAGE, "unknown decoder 'scrfd'");
    d = flat(-1, false);
    d.dim = DIM + 1;
    open_fails(d, FW_EUSAGE, "18 values per row, dim is 19");
}

/* The shipped network: a row does not depend on its neighbours, nor on the batch. */
static void test_shipped(void **state)
{
    FW_UNUSED(state);
    enum { N = 5, SIDE = 112, REAL = 512 };
    const size_t bytes = 3 * SIDE * SIDE;
    fw_err e = {0};
    fw_modeldesc *d;
    if (fw_modeldesc_read("configs/models/mobilefacenet.ini", FW_MODELS_DEFAULT, &d, &e)) fail_msg("%s", e.msg);
    uint8_t *crops = fw_alloc(N, bytes), ok[N];
    float *one = fw_alloc(N, REAL * sizeof(float)), *many = fw_alloc(N, REAL * sizeof(float));
    fw_rng rng = {7};
    for (size_t i = 0; i < N * bytes; i++) crops[i] = (uint8_t)fw_rng_below(&rng, 256);
    embed(d, NULL, crops, N, one, ok);
    const int batches[] = {2, 3, 5};
    for (size_t b = 0; b < FW_COUNT(batches); b++) {
        embed(d, &(fw_embedder_opts){.batch = batches[b]}, crops, N, many, ok);
        assert_memory_equal(one, many, N * REAL * sizeof(float));
    }
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int k = 0; k < REAL; k++) sum += (double)one[i * REAL + k] * one[i * REAL + k];
        assert_int_equal(ok[i], 1);
        assert_float_equal(sum, 1, 1e-5);
    }
    fw_free(crops);
    fw_free(one);
    fw_free(many);
    fw_modeldesc_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels),      cmocka_unit_test(test_flip_and_norm), cmocka_unit_test(test_no_direction),
        cmocka_unit_test(test_open_errors), cmocka_unit_test(test_shipped),
    };
    return cmocka_run_group_tests_name("embedder", tests, start, stop);
}
