/* fastnet: the same answers as ONNX Runtime on the shipped networks and on generated ones of every kind of layer and
 * size; the same bytes whatever ran before; refusals that name the cause; and a reader that damaged files cannot hurt.
 */
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
    if (fw_fastnet_open(d->file, bf16, &f, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_fastnet_channels(f, 0), d->dim);
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
        if (fw_fastnet_run(worker, in, h, w, &e)) fail_msg("%s", e.msg);
        const float *a = fw_runner_output(r, 0, NULL), *b = fw_fastnet_output(worker, 0).data;
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

/* --- generated networks of any input size, compared with ONNX Runtime value by value ---------------------------------
 */

typedef struct maker {
    tiny_onnx o;
    fw_rng rng;
    int names;
} maker;

/* `in` -> Conv with random weights -> `out`; values keep their size from layer to layer. groups: 1, or `from`. */
static void conv(maker *m, const char *in, const char *out, int from, int to, int kernel, int stride, int groups)
{
    const int per = from / groups, n = to * per * kernel * kernel, pad = kernel / 2;
    float *w = FW_ARRAY(float, (size_t)n), *bias = FW_ARRAY(float, (size_t)to);
    for (int i = 0; i < n; i++) w[i] = (float)(fw_rng_normal(&m->rng) / sqrt(per * kernel * kernel / 2.0));
    for (int i = 0; i < to; i++) bias[i] = (float)fw_rng_normal(&m->rng) / 4;
    char *weight = fw_format("w%d", m->names), *offset = fw_format("b%d", m->names++);
    tiny_weights(&m->o, weight, 4, (int64_t[]){to, per, kernel, kernel}, w);
    tiny_weights(&m->o, offset, 1, (int64_t[]){to}, bias);
    const int64_t g = groups;
    const tiny_attr a[] = {{.name = "strides", .count = 2, .values = (int64_t[]){stride, stride}},
                           {.name = "pads", .count = 4, .values = (int64_t[]){pad, pad, pad, pad}},
                           {.name = "kernel_shape", .count = 2, .values = (int64_t[]){kernel, kernel}},
                           {.name = "group", .values = &g}};
    tiny_node_with(&m->o, "Conv", (const char *const[3]){in, weight, offset}, out, 4, a);
    fw_free(weight), fw_free(offset), fw_free(w), fw_free(bias);
}

static void plain(maker *m, const char *op, const char *a, const char *b, const char *out)
{
    tiny_node(&m->o, op, (const char *const[3]){a, b}, out, NULL, 0, NULL);
}

static void concat(maker *m, const char *a, const char *b, const char *c, const char *out, int64_t axis)
{
    tiny_node_with(&m->o, "Concat", (const char *const[3]){a, b, c}, out, 1,
                   &(tiny_attr){.name = "axis", .values = &axis});
}

static void twice(maker *m, const char *in, const char *out, const char *mode)
{
    char *scale = fw_format("s%d", m->names), *roi = fw_format("r%d", m->names++);
    tiny_weights(&m->o, roi, 1, (int64_t[]){0}, NULL);
    tiny_weights(&m->o, scale, 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
    const tiny_attr a[] = {{.name = "mode", .text = mode},
                           {.name = "coordinate_transformation_mode", .text = "asymmetric"},
                           {.name = "nearest_mode", .text = "floor"}};
    tiny_node_with(&m->o, "Resize", (const char *const[3]){in, roi, scale}, out, 3, a);
    fw_free(scale), fw_free(roi);
}

static void output(maker *m, const char *name, int channels)
{
    tiny_value(&m->o, 12, name, 1, 4, (int64_t[]){-1, channels, -1, -1});
}

/* Save it; input x. */
static fw_modeldesc finish(maker *m)
{
    fw_modeldesc d = {.path = path, .name = path, .task = FW_TASK_DETECT, .file = path, .stride = 1};
    tiny_value(&m->o, 11, "x", 1, 4, (int64_t[]){-1, 3, -1, -1});
    assert_true(tiny_save(&m->o, path, d.sha256));
    return d;
}

static void fill(float *in, int n, uint64_t seed)
{
    fw_rng rng = {seed};
    for (int i = 0; i < n; i++) in[i] = (float)fw_rng_normal(&rng);
}

/* Greatest difference to ONNX Runtime over all outputs, as a share of the output's greatest value. */
static double difference(fw_runner *r, fw_fastnet_worker *w, int outputs, int height, int width)
{
    fw_err e = {0};
    float *in;
    double worst = 0;
    if (fw_runner_input(r, 1, height, width, &in, &e)) fail_msg("%s", e.msg);
    fill(in, 3 * height * width, (uint64_t)(height * 1000 + width));
    if (fw_runner_run(r, &e) || fw_fastnet_run(w, in, height, width, &e)) fail_msg("%s", e.msg);
    for (int i = 0; i < outputs; i++) {
        fw_tensor_info t;
        const float *want = fw_runner_output(r, i, &t);
        const fw_fastnet_result got = fw_fastnet_output(w, i);
        const int plane = got.height * got.width;
        double most = 0, off = 0;
        assert_true(t.dim[1] == got.channels && t.dim[2] == got.height && t.dim[3] == got.width);
        for (int c = 0; c < got.channels; c++)
            for (int p = 0; p < plane; p++) {
                const double a = (double)want[c * plane + p], b = (double)got.data[(size_t)p * got.pixel + (size_t)c];
                off = fmax(off, isfinite(b) ? fabs(a - b) : INFINITY);
                most = fmax(most, fabs(a));
            }
        worst = fmax(worst, off / most);
    }
    return worst;
}

/* All sizes with one worker, one after the other. */
static void compare(const fw_modeldesc *d, bool bf16, double limit, int sizes, const int size[][2])
{
    fw_err e = {0};
    fw_model *m;
    fw_runner *r;
    fw_fastnet *f;
    if (fw_model_open(rt, d, NULL, &m, &e) || fw_runner_open(m, &r, &e)) fail_msg("%s", e.msg);
    if (fw_fastnet_open(d->file, bf16, &f, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_fastnet_outputs(f), fw_model_outputs(m));
    fw_fastnet_worker *w = fw_fastnet_worker_new(f);
    for (int i = 0; i < sizes; i++) {
        const double off = difference(r, w, fw_model_outputs(m), size[i][0], size[i][1]);
        if (!(off < limit)) fail_msg("%d x %d%s: off by %g", size[i][0], size[i][1], bf16 ? " bf16" : "", off);
    }
    fw_fastnet_worker_free(w);
    fw_fastnet_close(f);
    fw_runner_close(r);
    fw_model_close(m);
}

/* fp32 to 1e-5 of the greatest value (Winograd's algorithm has factors of up to 64: 4e-6 here); bf16, of 8 bits, to 3 %
 * after some layers. */
static void compare_both(const fw_modeldesc *d, int sizes, const int size[][2])
{
    compare(d, false, 1e-5, sizes, size);
    if (fw_fastnet_supported(true)) compare(d, true, 0.03, sizes, size);
}

/* A product of 1e-40 is zero while a network runs (lib/denormal.h), in either engine, and only then. */
static void test_denormals(void **state)
{
    FW_UNUSED(state);
    if (!fw_fastnet_supported(false)) skip();
    fw_err e = {0};
    maker m = {.rng = {5}};
    const float faint[3 * 16] = {[0] = 1e-20f}, zero[16] = {0};
    tiny_weights(&m.o, "w", 4, (int64_t[]){16, 3, 1, 1}, faint);
    tiny_weights(&m.o, "b", 1, (int64_t[]){16}, zero);
    tiny_node(&m.o, "Conv", (const char *const[3]){"x", "w", "b"}, "y", NULL, 0, NULL);
    output(&m, "y", 16);
    const fw_modeldesc d = finish(&m);
    fw_model *model;
    fw_runner *r;
    fw_fastnet *f;
    float *in;
    if (fw_model_open(rt, &d, NULL, &model, &e) || fw_runner_open(model, &r, &e)) fail_msg("%s", e.msg);
    if (fw_fastnet_open(d.file, false, &f, &e)) fail_msg("%s", e.msg);
    fw_fastnet_worker *w = fw_fastnet_worker_new(f);
    if (fw_runner_input(r, 1, 16, 16, &in, &e)) fail_msg("%s", e.msg);
    for (int i = 0; i < 3 * 16 * 16; i++) in[i] = 1e-20f;
    if (fw_runner_run(r, &e) || fw_fastnet_run(w, in, 16, 16, &e)) fail_msg("%s", e.msg);
    fw_tensor_info t;
    assert_true(fw_runner_output(r, 0, &t)[0] == 0);
    assert_true(fw_fastnet_output(w, 0).data[0] == 0);
    volatile float x = 1e-20f;
    x = x * x;
    assert_true(x > 0);
    fw_fastnet_worker_free(w);
    fw_fastnet_close(f);
    fw_runner_close(r);
    fw_model_close(model);
}

/* 3 x 3 by Winograd's algorithm and, where the picture is small, without; pictures that its tiles of 4 do not divide.
 */
static void test_full_convolutions(void **state)
{
    FW_UNUSED(state);
    if (!fw_fastnet_supported(false)) skip();
    maker m = {.rng = {1}};
    conv(&m, "x", "a", 3, 32, 3, 1, 1);
    plain(&m, "Relu", "a", NULL, "ar");
    conv(&m, "ar", "b", 32, 48, 3, 1, 1);
    plain(&m, "Relu", "b", NULL, "br");
    conv(&m, "br", "c", 48, 20, 3, 1, 1);
    output(&m, "c", 20);
    const fw_modeldesc d = finish(&m);
    compare_both(&d, 7, (const int[][2]){{16, 16}, {17, 15}, {33, 20}, {1, 1}, {5, 7}, {14, 50}, {19, 19}});
}

static void test_strides_and_kernels(void **state)
{
    FW_UNUSED(state);
    if (!fw_fastnet_supported(false)) skip();
    maker m = {.rng = {2}};
    conv(&m, "x", "a", 3, 24, 5, 1, 1); /* 24: pixels of 32 channels */
    plain(&m, "Relu", "a", NULL, "ar");
    conv(&m, "ar", "b", 24, 16, 3, 2, 1);
    conv(&m, "b", "c", 16, 16, 5, 1, 16);
    conv(&m, "c", "d", 16, 16, 3, 2, 16);
    conv(&m, "d", "e", 16, 40, 1, 2, 1);
    output(&m, "e", 40);
    const fw_modeldesc d = finish(&m);
    compare_both(&d, 5, (const int[][2]){{32, 32}, {31, 45}, {64, 7}, {9, 100}, {8, 8}});
}

/* The parts of a detector: values side by side, enlarged and added, outputs with a sigmoid. */
static fw_modeldesc head(const char *mode, int64_t axis)
{
    maker m = {.rng = {3}};
    conv(&m, "x", "a", 3, 32, 3, 1, 1);
    plain(&m, "Relu", "a", NULL, "fine");
    conv(&m, "fine", "b", 32, 32, 3, 2, 32);
    conv(&m, "b", "coarse", 32, 32, 1, 1, 1);
    twice(&m, "coarse", "up", mode);
    conv(&m, "fine", "lateral", 32, 32, 1, 1, 1);
    plain(&m, "Relu", "lateral", NULL, "lr");
    plain(&m, "Add", "up", "lr", "sum");
    conv(&m, "sum", "p", 32, 32, 3, 1, 1);
    conv(&m, "sum", "q", 32, 16, 3, 1, 1);
    plain(&m, "Relu", "q", NULL, "qr");
    conv(&m, "qr", "r", 16, 16, 3, 1, 1);
    plain(&m, "Relu", "p", NULL, "pr");
    concat(&m, "pr", "r", NULL, "joined", axis);
    conv(&m, "joined", "s", 48, 4, 1, 1, 1);
    plain(&m, "Sigmoid", "s", NULL, "score");
    conv(&m, "joined", "box", 48, 20, 1, 1, 1);
    output(&m, "score", 4);
    output(&m, "box", 20);
    return finish(&m);
}

static void test_heads(void **state)
{
    FW_UNUSED(state);
    if (!fw_fastnet_supported(false)) skip();
    const fw_modeldesc d = head("nearest", 1);
    compare_both(&d, 4, (const int[][2]){{32, 32}, {64, 96}, {2, 2}, {30, 18}});
    fw_err e = {0};
    fw_fastnet *f;
    if (fw_fastnet_open(d.file, false, &f, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_fastnet_fits(f, 30, 18, &e), FW_OK);
    assert_int_equal(fw_fastnet_fits(f, 31, 18, &e), FW_EUSAGE); /* 16 lines twice are not 31 */
    assert_non_null(strstr(e.msg, "layer 'lateral'"));
    fw_fastnet_close(f);
}

/* Large enough for strips: the values of the chain are 200 KB and more. */
static fw_modeldesc chain(void)
{
    maker m = {.rng = {4}};
    conv(&m, "x", "a", 3, 16, 3, 2, 1);
    plain(&m, "Relu", "a", NULL, "ar");
    conv(&m, "ar", "b", 16, 32, 1, 1, 1);
    conv(&m, "b", "c", 32, 32, 3, 2, 32);
    conv(&m, "c", "d", 32, 64, 1, 1, 1);
    conv(&m, "d", "e", 64, 64, 3, 1, 64);
    conv(&m, "e", "f", 64, 32, 1, 1, 1);
    conv(&m, "f", "g", 32, 32, 5, 2, 32);
    conv(&m, "g", "h", 32, 64, 1, 1, 1);
    output(&m, "h", 64);
    return finish(&m);
}

static void test_strips(void **state)
{
    FW_UNUSED(state);
    if (!fw_fastnet_supported(false)) skip();
    const fw_modeldesc d = chain();
    compare_both(&d, 6, (const int[][2]){{256, 256}, {331, 250}, {64, 900}, {701, 64}, {32, 32}, {640, 480}});
}

/* A worker that saw other sizes, infinities and NaN gives the same bytes as a new one. */
static void test_no_memory_of_before(void **state)
{
    FW_UNUSED(state);
    if (!fw_fastnet_supported(false)) skip();
    enum { SIDE = 160, N = 3 * SIDE * SIDE };
    for (int which = 0; which < 2; which++) {
        const fw_modeldesc d = which ? head("nearest", 1) : chain();
        fw_err e = {0};
        fw_fastnet *f;
        if (fw_fastnet_open(d.file, false, &f, &e)) fail_msg("%s", e.msg);
        fw_fastnet_worker *used = fw_fastnet_worker_new(f), *fresh = fw_fastnet_worker_new(f);
        float *in = FW_ARRAY(float, N);
        for (int i = 0; i < N; i++) in[i] = i % 2 ? NAN : INFINITY;
        if (fw_fastnet_run(used, in, SIDE, SIDE, &e) || fw_fastnet_run(used, in, 96, 128, &e)) fail_msg("%s", e.msg);
        fill(in, N, 9);
        if (fw_fastnet_run(used, in, SIDE, SIDE, &e) || fw_fastnet_run(fresh, in, SIDE, SIDE, &e))
            fail_msg("%s", e.msg);
        for (int i = 0; i < fw_fastnet_outputs(f); i++) {
            const fw_fastnet_result a = fw_fastnet_output(used, i), b = fw_fastnet_output(fresh, i);
            assert_memory_equal(a.data, b.data, (size_t)(a.height * a.width) * a.pixel * sizeof(float));
        }
        fw_free(in);
        fw_fastnet_worker_free(used);
        fw_fastnet_worker_free(fresh);
        fw_fastnet_close(f);
    }
}

static void test_shipped_detector(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    fw_modeldesc *d;
    if (!fw_fastnet_supported(false)) skip();
    if (fw_modeldesc_read("configs/models/retinaface_mnet025.ini", FW_MODELS_DEFAULT, &d, &e)) fail_msg("%s", e.msg);
    compare(d, false, 1e-5, 5, (const int[][2]){{256, 256}, {32, 32}, {480, 640}, {96, 224}, {256, 256}});
    fw_modeldesc_free(d);
}

static void refuses(const char *what, int code)
{
    fw_err e = {0};
    fw_fastnet *f;
    assert_int_equal(fw_fastnet_open(path, false, &f, &e), code);
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
    head("linear", 1);
    refuses("node 'up' (Resize): not each pixel twice", FW_EUSAGE);
    head("nearest", 2);
    refuses("node 'joined' (Concat): it joins not channels", FW_EUSAGE);
    maker m = {.rng = {1}};
    conv(&m, "x", "a", 3, 16, 3, 1, 1);
    plain(&m, "Sigmoid", "a", NULL, "b");
    conv(&m, "b", "c", 16, 16, 1, 1, 1);
    output(&m, "c", 16);
    finish(&m);
    refuses("layer 'a': a sigmoid that is no output", FW_EUSAGE);
    m = (maker){.rng = {1}};
    conv(&m, "x", "a", 3, 16, 3, 1, 1);
    plain(&m, "Relu", "a", NULL, "b");
    output(&m, "b", 16);
    output(&m, "a", 16);
    finish(&m);
    refuses("node 'b' (Relu): it does not follow a convolution", FW_EUSAGE);
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
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_shipped_detector),
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_denormals),
        cmocka_unit_test(test_full_convolutions),
        cmocka_unit_test(test_strides_and_kernels),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_strips),
        cmocka_unit_test(test_no_memory_of_before),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_two_graphs),
    };
    return cmocka_run_group_tests_name("fastnet", tests, start, stop);
}
