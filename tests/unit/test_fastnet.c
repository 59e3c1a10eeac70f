/* fastnet: the same answers as ONNX Runtime on the shipped network and on a tiny one; refusals that name the cause; and
 * a reader that damaged files cannot hurt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/fastnet.h"
#include "lib/file.h"
#include "lib/model.h"
#include "lib/onnxgraph.h"
#include "runtime.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* Least cosine between fastnet and ONNX Runtime over `n` pictures: noise on a grid that gets finer. */
static double least_cosine(const fw_modeldesc *d, bool bf16, int n)
{
    fw_err e = {0};
    fw_model *m;
    fw_runner *r;
    fw_fastnet *f;
    const int h = d->input_height, w = d->input_width;
    if (fw_model_open(rt, d, NULL, &m, &e) || fw_runner_open(m, &r, &e)) fail_msg("%s", e.msg);
    if (fw_fastnet_open(d->file, h, w, bf16, &f, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_fastnet_dim(f), d->dim);
    fw_fastnet_worker *worker = fw_fastnet_worker_new(f);
    double least = 1;
    for (int i = 0; i < n; i++) {
        float *in;
        fw_rng rng = {(uint64_t)i + 1};
        if (fw_runner_input(r, 1, h, w, &in, &e)) fail_msg("%s", e.msg);
        const int grain = 1 << (i % 5);
        for (int p = 0; p < 3 * h * w; p++) {
            const int left = p % w % grain ? 1 : 0, above = p / w % h % grain ? w : 0;
            in[p] = left ? in[p - 1] : above ? in[p - above] : (float)fw_rng_normal(&rng) * 0.5f;
        }
        if (fw_runner_run(r, &e)) fail_msg("%s", e.msg);
        const float *a = fw_runner_output(r, 0, NULL), *b = fw_fastnet_run(worker, in);
        double ab = 0, aa = 0, bb = 0;
        for (int k = 0; k < d->dim; k++)
            ab += (double)a[k] * b[k], aa += (double)a[k] * a[k], bb += (double)b[k] * b[k];
        assert_true(isfinite(bb) && bb > 0);
        least = fmin(least, ab / sqrt(aa * bb));
    }
    fw_fastnet_worker_free(worker);
    fw_fastnet_close(f);
    fw_runner_close(r);
    fw_model_close(m);
    return least;
}

static void test_shipped(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    fw_modeldesc *d;
    if (!fw_fastnet_supported(false)) skip();
    if (fw_modeldesc_read("configs/models/mobilefacenet.ini", FW_MODELS_DEFAULT, &d, &e)) fail_msg("%s", e.msg);
    const double fp32 = least_cosine(d, false, 20);
    if (!(fp32 > 1 - 1e-9)) fail_msg("fp32: cosine 1 - %g", 1 - fp32);
    if (fw_fastnet_supported(true)) {
        const double bf16 = least_cosine(d, true, 20);
        if (!(bf16 > 0.999)) fail_msg("bf16: cosine %g", bf16);
        if (!(bf16 < fp32)) fail_msg("bf16 is not bf16: %g", bf16);
    }
    fw_modeldesc_free(d);
}

/* 3 x 3 x 3 -> Conv to 32 -> PReLU -> `last`, whose output is y. */
static fw_modeldesc tiny(const char *last, float slope, float *weight)
{
    tiny_onnx o = {0};
    float slopes[32];
    fw_rng rng = {5};
    for (int i = 0; i < 32; i++) slopes[i] = slope * (float)i / 31;
    for (int i = 0; i < 32 * 27; i++) weight[i] = (float)fw_rng_normal(&rng);
    tiny_node(&o, "Conv", (const char *const[3]){"x", "w"}, "c", "kernel_shape", 2, (int64_t[]){3, 3});
    tiny_node(&o, "PRelu", (const char *const[3]){"c", "s"}, "p", NULL, 0, NULL);
    tiny_node(&o, "Conv", (const char *const[3]){"p", "v"}, "q", "kernel_shape", 2, (int64_t[]){1, 1});
    tiny_node(&o, last, (const char *const[3]){"q"}, "y", NULL, 0, NULL);
    tiny_weights(&o, "w", 4, (int64_t[]){32, 3, 3, 3}, weight);
    tiny_weights(&o, "v", 4, (int64_t[]){32, 32, 1, 1}, weight);
    tiny_weights(&o, "s", 3, (int64_t[]){32, 1, 1}, slopes);
    tiny_value(&o, 11, "x", 1, 4, (int64_t[]){1, 3, 3, 3});
    tiny_value(&o, 12, "y", 1, 2, (int64_t[]){1, 32});
    fw_modeldesc d = {.path = path, .name = path, .task = FW_TASK_EMBED, .file = path, .dim = 32};
    d.input_width = d.input_height = 3;
    assert_true(tiny_save(&o, path, d.sha256));
    return d;
}

static void test_tiny(void **state)
{
    FW_UNUSED(state);
    float weight[32 * 32];
    for (size_t i = 0; i < FW_COUNT(weight); i++) weight[i] = 1;
    if (!fw_fastnet_supported(false)) skip();
    fw_modeldesc d = tiny("Flatten", 1, weight);
    assert_true(least_cosine(&d, false, 5) > 1 - 1e-9);
}

static void refuses(const char *what, int code)
{
    fw_err e = {0};
    fw_fastnet *f;
    assert_int_equal(fw_fastnet_open(path, 3, 3, false, &f, &e), code);
    assert_null(f);
    if (!strstr(e.msg, what)) fail_msg("expected '%s' in: %s", what, e.msg);
}

static void test_refusals(void **state)
{
    FW_UNUSED(state);
    float weight[32 * 32] = {0};
    if (!fw_fastnet_supported(false)) skip();
    tiny("Softmax", 1, weight);
    refuses("node 'y' (Softmax): no such layer here", FW_EUSAGE);
    tiny("Flatten", 2, weight);
    refuses("node 'p' (PRelu): a slope exceeds 1", FW_EUSAGE);
    assert_true(tiny_text(path, "no network"));
    refuses("damaged, or no ONNX file", FW_EFAIL);
}

/* Every beginning of a file, and the file with any one byte wrong: an error or a network, nothing worse. */
static void test_damaged(void **state)
{
    FW_UNUSED(state);
    float weight[32 * 32] = {0};
    fw_modeldesc d = tiny("Flatten", 1, weight);
    char *bytes;
    size_t n, read = 0;
    fw_err e = {0};
    if (fw_file_read(path, SIZE_MAX, &bytes, &n, &e)) fail_msg("%s", e.msg);
    const size_t dense = 200; /* the nodes come first; behind them are weights */
    for (size_t at = 0; at < n; at += at < dense ? 1 : 97)
        for (int cut = 0; cut < 2; cut++) {
            fw_err why = {0};
            fw_onnx *g;
            FILE *f = fopen(path, "wb");
            bytes[at] = (char)(bytes[at] ^ 0x55);
            assert_true(f && fwrite(bytes, 1, cut ? at : n, f) == (cut ? at : n) && !fclose(f));
            bytes[at] = (char)(bytes[at] ^ 0x55);
            if (!fw_onnx_read(path, &g, &why)) read++;
            fw_onnx_free(g);
        }
    assert_true(read > 0);
    fw_free(bytes);
    FW_UNUSED(d);
}

/* A constant without a name in a first graph that has no node: nobody may look for it in the second. */
static void test_two_graphs(void **state)
{
    FW_UNUSED(state);
    fw_buf constant = {0}, graph = {0}, file = {0};
    pb_int(&constant, 2, 1);
    pb_message(&graph, 5, &constant);
    pb_message(&file, 7, &graph);
    tiny_onnx o = {0};
    tiny_value(&o, 11, "x", 1, 1, (int64_t[]){1});
    tiny_node(&o, "Relu", (const char *const[3]){"x"}, "y", NULL, 0, NULL);
    tiny_value(&o, 12, "y", 1, 1, (int64_t[]){1});
    pb_message(&file, 7, &o.graph);
    FILE *f = fopen(path, "wb");
    assert_true(f && fwrite(file.data, 1, file.len, f) == file.len && !fclose(f));
    fw_buf_free(&file);
    fw_onnx *g;
    fw_err e = {0};
    assert_int_equal(fw_onnx_read(path, &g, &e), FW_EFAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped), cmocka_unit_test(test_tiny),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_two_graphs),
    };
    return cmocka_run_group_tests_name("fastnet", tests, start, stop);
}
