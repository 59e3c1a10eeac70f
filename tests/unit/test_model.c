/* Model descriptions, digests, and sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/model.h"
#include "tiny_onnx.h"

#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/fw-model-XXXXXX";

static char *in_dir(const char *name)
{
    return fw_format("%s/%s", dir, name);
}

static int make_dir(void **state)
{
    FW_UNUSED(state);
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    FW_UNUSED(state);
    char *cmd = fw_format("rm -rf '%s'", dir);
    int rc = system(cmd);
    fw_free(cmd);
    return rc;
}

static void test_sha256(void **state)
{
    FW_UNUSED(state);
    /* FIPS 180-2, appendix B */
    const char *abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    char hex[FW_SHA256_HEX], *path = in_dir("abc");
    fw_err e = {0};
    assert_int_equal(fw_sha256_bytes("abc", 3, hex, &e), FW_OK);
    assert_string_equal(hex, abc);
    assert_true(tiny_text(path, "abc"));
    assert_int_equal(fw_sha256_file(path, hex, &e), FW_OK);
    assert_string_equal(hex, abc);
    unlink(path);
    assert_int_equal(fw_sha256_file(path, hex, &e), FW_EFAIL);
    assert_non_null(strstr(e.msg, path));
    fw_free(path);
}

/* --- descriptions --- */

#define SHA   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMBED "[model]\ntask = embed\nfile = net.onnx\nsha256 = " SHA "\ndecoder = embedding\ntemplate = arcface112\n"

static int read_text(const char *text, fw_modeldesc **d, fw_err *e)
{
    char *ini = in_dir("some.ini"), *net = in_dir("net.onnx");
    *e = (fw_err){0};
    assert_true(tiny_text(ini, text));
    assert_true(tiny_text(net, "abc"));
    int rc = fw_modeldesc_read(ini, NULL, d, e);
    fw_free(ini);
    fw_free(net);
    return rc;
}

static void test_desc_embed(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc *d;
    fw_err e;
    assert_int_equal(read_text("; c\n" EMBED
                               "input_width=96 ; c\ninput_height = 112\ndim = 512\nchannels=bgr\nmean=1,2,3\n"
                               "scale = 0.5\nnormalised = yes\nlayout = nhwc\n",
                               &d, &e),
                     FW_OK);
    assert_string_equal(d->name, "some");
    assert_int_equal(d->task, FW_TASK_EMBED);
    assert_int_equal(d->input_width, 96);
    assert_int_equal(d->input_height, 112);
    assert_true(d->bgr && d->nhwc && d->normalised);
    assert_float_equal(d->mean[0], 1, 0);
    assert_float_equal(d->mean[2], 3, 0);
    assert_float_equal(d->scale, 0.5, 0);
    assert_string_equal(d->sha256, SHA);
    assert_string_equal(d->licence, "");
    assert_int_equal(fw_modeldesc_verify(d, &e), FW_OK);
    fw_modeldesc_free(d);
}

static void test_desc_detect(void **state)
{
    FW_UNUSED(state);
    fw_modeldesc *d;
    fw_err e;
    assert_int_equal(read_text("[model]\nanchor_base = 8\ntask=detect\nfile=net.onnx\nsha256=" SHA
                               "\ndecoder=retinaface\n"
                               "strides = 32,16\nanchors = 32,16;8\nmean = 7\n",
                               &d, &e),
                     FW_OK);
    assert_int_equal(d->levels, 2);
    assert_int_equal(d->level_stride[1], 16);
    assert_int_equal(d->anchor_count[0], 2);
    assert_int_equal(d->anchor_count[1], 1);
    assert_float_equal(d->anchor[0][1], 128, 0);
    assert_float_equal(d->anchor[1][0], 64, 0);
    assert_float_equal(d->mean[2], 7, 0);
    assert_float_equal(d->score_threshold, 0.5, 1e-6);
    fw_modeldesc_free(d);
}

static void test_desc_errors(void **state)
{
    FW_UNUSED(state);
    const struct {
        const char *text, *where, *what;
    } cases[] = {
        {EMBED "colours = rgb\n", "some.ini:7:", "unknown key 'colours'"},
        {EMBED "channels = grb\n", "some.ini:7:", "neither rgb nor bgr"},
        {EMBED "dim = 12.5\n", "some.ini:7:", "whole number"},
        {EMBED "dim = -1\n", "some.ini:7:", "whole number"},
        {EMBED "mean = 1,2\n", "some.ini:7:", "one number or three"},
        {EMBED "mean = 1,2,x\n", "some.ini:7:", "one number or three"},
        {EMBED "scale = 0\n", "some.ini:7:", "above 0"},
        {EMBED "nms_iou = nan\n", "some.ini:7:", "between 0 and 1"},
        {EMBED "normalised = true\n", "some.ini:7:", "neither yes nor no"},
        {EMBED "task = detect\n", "some.ini:7:", "set twice"},
        {EMBED "\nwhat\n", "some.ini:8:", "neither"},
        {EMBED "[other]\nx = 1\n", "some.ini:8:", "[other]"},
        {EMBED "anchors = 1,0;2\n", "some.ini:7:", "lists like"},
        {EMBED "strides = 8,16\nanchors = 1;2;3\n", "some.ini:8:", "number of levels"},
        {EMBED "strides = 1,2,3,4,5,6\n", "some.ini:7:", "at most 5"},
        {EMBED, "some.ini:", "'input_width and input_height' is missing"},
        {EMBED "input_width = 4\ninput_height = 4\n", "some.ini:", "'dim' is missing"},
        {"[model]\ntask = embed\nfile = net.onnx\n", "some.ini:", "'sha256' is missing"},
        {"[model]\nsha256 = abc\n", "some.ini:2:", "64 hex digits"},
        {"", "some.ini:", "'task' is missing"},
    };
    for (size_t i = 0; i < FW_COUNT(cases); i++) {
        fw_modeldesc *d;
        fw_err e;
        assert_int_equal(read_text(cases[i].text, &d, &e), FW_EUSAGE);
        assert_null(d);
        if (!strstr(e.msg, cases[i].where) || !strstr(e.msg, cases[i].what)) fail_msg("case %zu: %s", i, e.msg);
    }
}

static void test_desc_file(void **state)
{
    FW_UNUSED(state);
    const char *text = EMBED "input_width = 4\ninput_height = 4\ndim = 4\n";
    char *net = in_dir("net.onnx"), *ini = in_dir("some.ini"), *shelf = in_dir("shelf"),
         *other = in_dir("shelf/net.onnx");
    fw_modeldesc *d;
    fw_err e;
    /* beside the INI comes first, then the models folder, and what is nowhere is said to be so */
    assert_int_equal(read_text(text, &d, &e), FW_OK);
    assert_string_equal(d->file, net);
    fw_modeldesc_free(d);
    unlink(net);
    char *cmd = fw_format("mkdir '%s' && printf abd > '%s'", shelf, other);
    assert_int_equal(system(cmd), 0);
    fw_free(cmd);
    assert_int_equal(fw_modeldesc_read(ini, shelf, &d, &e), FW_OK);
    assert_string_equal(d->file, other);
    assert_int_equal(fw_modeldesc_verify(d, &e), FW_EFAIL); /* abd is not abc */
    assert_non_null(strstr(e.msg, "make models"));
    fw_modeldesc_free(d);
    e = (fw_err){0};
    assert_int_equal(fw_modeldesc_read(ini, NULL, &d, &e), FW_EFAIL);
    assert_non_null(strstr(e.msg, net));
    assert_non_null(strstr(e.msg, "make models"));
    fw_free(net);
    fw_free(ini);
    fw_free(shelf);
    fw_free(other);
}

static void test_shipped(void **state)
{
    FW_UNUSED(state);
    const char *names[] = {"retinaface_mnet025", "mobilefacenet"};
    fw_err e = {0};
    fw_runtime *rt;
    assert_int_equal(fw_runtime_open(&rt, &e), FW_OK);
    for (size_t i = 0; i < FW_COUNT(names); i++) {
        char *ini = fw_format("configs/models/%s.ini", names[i]);
        fw_modeldesc *d;
        fw_model *m;
        if (fw_modeldesc_read(ini, FW_MODELS_DEFAULT, &d, &e)) fail_msg("%s", e.msg);
        assert_string_equal(d->name, names[i]);
        assert_true(d->licence[0] && d->source[0] && d->source_sha256[0]);
        if (fw_model_open(rt, d, NULL, &m, &e)) fail_msg("%s", e.msg);
        assert_int_equal(fw_model_fixed_batch(m), 0);
        assert_int_equal(fw_model_input(m)->dim[2], i ? 112 : -1);
        assert_int_equal(fw_model_outputs(m), i ? 1 : 9);
        fw_model_close(m);
        fw_modeldesc_free(d);
        fw_free(ini);
    }
    fw_runtime_close(rt);
}

/* --- sessions --- */

/* y = relu(x) and z = x + x, both shaped as the input. */
static fw_modeldesc *two_outputs(const int64_t dims[4], int elem, fw_modeldesc *d)
{
    tiny_onnx o = {0};
    tiny_node(&o, "Relu", (const char *const[3]){"x"}, "y", NULL, 0, NULL);
    tiny_node(&o, "Add", (const char *const[3]){"x", "x"}, "z", NULL, 0, NULL);
    tiny_value(&o, 11, "x", elem, 4, dims);
    tiny_value(&o, 12, "y", elem, 4, dims);
    tiny_value(&o, 12, "z", elem, 4, dims);
    *d = (fw_modeldesc){.name = "tiny", .path = "tiny.ini", .stride = 1, .scale = 1};
    d->file = in_dir("tiny.onnx");
    assert_true(tiny_save(&o, d->file, d->sha256));
    return d;
}

static void test_run(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    fw_modeldesc d;
    fw_runtime *rt;
    fw_model *m;
    fw_runner *r;
    float *x;
    assert_int_equal(fw_runtime_open(&rt, &e), FW_OK);
    if (fw_model_open(rt, two_outputs((int64_t[]){-1, 3, -1, -1}, 1, &d), "cpu", &m, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_model_outputs(m), 2);
    assert_int_equal(fw_model_find_output(m, "z"), 1);
    assert_int_equal(fw_model_find_output(m, "x"), -1);
    assert_string_equal(fw_model_input(m)->name, "x");
    assert_int_equal(fw_runner_open(m, &r, &e), FW_OK);
    assert_null(fw_runner_output(r, 0, NULL));
    assert_int_equal(fw_runner_run(r, &e), FW_EFAIL);
    e = (fw_err){0};
    /* shapes grow, shrink and come back; the buffer keeps its values while the shape stays */
    const int shapes[][3] = {{1, 2, 3}, {2, 5, 4}, {1, 2, 3}, {1, 2, 3}};
    for (size_t s = 0; s < FW_COUNT(shapes); s++) {
        const int n = shapes[s][0] * 3 * shapes[s][1] * shapes[s][2];
        if (fw_runner_input(r, shapes[s][0], shapes[s][1], shapes[s][2], &x, &e)) fail_msg("%s", e.msg);
        assert_int_equal(((uintptr_t)x % 64), 0);
        for (int i = 0; i < n && s != 3; i++) x[i] = (float)(i % 7 - 3);
        if (fw_runner_run(r, &e)) fail_msg("%s", e.msg);
        fw_tensor_info shape;
        const float *y = fw_runner_output(r, 0, &shape), *z = fw_runner_output(r, 1, NULL);
        assert_int_equal(shape.rank, 4);
        assert_int_equal(shape.dim[0], shapes[s][0]);
        assert_int_equal(shape.dim[3], shapes[s][2]);
        for (int i = 0; i < n; i++) {
            assert_float_equal(y[i], (i % 7 > 3 ? i % 7 - 3 : 0), 0);
            assert_float_equal(z[i], (2 * (i % 7 - 3)), 0);
        }
    }
    fw_runner_close(r);
    fw_model_close(m);
    fw_runtime_close(rt);
    fw_free(d.file);
}

static void open_fails(fw_runtime *rt, fw_modeldesc *d, const char *provider, int code, const char *what)
{
    fw_err e = {0};
    fw_model *m;
    assert_int_equal(fw_model_open(rt, d, provider, &m, &e), code);
    assert_null(m);
    if (!strstr(e.msg, what)) fail_msg("expected '%s' in: %s", what, e.msg);
}

static void test_open_errors(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    fw_runtime *rt;
    fw_modeldesc d;
    assert_int_equal(fw_runtime_open(&rt, &e), FW_OK);
    open_fails(rt, two_outputs((int64_t[]){1, 3, 8, 8}, 11, &d), NULL, FW_EFAIL, "not a float32 or float16 tensor");
    fw_free(d.file);
    open_fails(rt, two_outputs((int64_t[]){1, 4, 8, 8}, 1, &d), NULL, FW_EUSAGE, "3 channels");
    fw_free(d.file);
    two_outputs((int64_t[]){1, 3, 8, 8}, 1, &d);
    open_fails(rt, &d, NULL, FW_EUSAGE, "input height is 8, tiny.ini says 0");
    d.input_width = d.input_height = 8;
    open_fails(rt, &d, "tpu", FW_EUSAGE, "unknown provider 'tpu'");
    d.sha256[0] = d.sha256[0] == '0' ? '1' : '0';
    open_fails(rt, &d, NULL, FW_EFAIL, "make models");
    assert_true(tiny_text(d.file, "not a network"));
    assert_int_equal(fw_sha256_file(d.file, d.sha256, &e), FW_OK);
    open_fails(rt, &d, NULL, FW_EFAIL, "not an ONNX network");
    fw_free(d.file);
    fw_runtime_close(rt);
}

/* float16 in and out: what goes in comes out as the nearest half float, twice it for z. And one output of two, by name.
 */
static void test_half(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    fw_runtime *rt;
    fw_modeldesc d;
    fw_model *m;
    fw_runner *r;
    float *x;
    assert_int_equal(fw_runtime_open(&rt, &e), FW_OK);
    two_outputs((int64_t[]){-1, 3, 2, 2}, 10, &d);
    d.input_width = d.input_height = 2;
    d.output = (char *)"z";
    if (fw_model_open(rt, &d, NULL, &m, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_model_outputs(m), 1);
    assert_string_equal(fw_model_output(m, 0)->name, "z");
    assert_int_equal(fw_runner_open(m, &r, &e), FW_OK);
    for (int batch = 1; batch < 4; batch++) {
        fw_tensor_info shape;
        assert_int_equal(fw_runner_input(r, batch, 2, 2, &x, &e), FW_OK);
        for (int i = 0; i < 12 * batch; i++) x[i] = (float)i / 7;
        if (fw_runner_run(r, &e)) fail_msg("%s", e.msg);
        const float *z = fw_runner_output(r, 0, &shape);
        assert_int_equal(shape.dim[0], batch);
        for (int i = 0; i < 12 * batch; i++) assert_float_equal(z[i], 2 * (i / 7.0), 2 * (i / 7.0) / 1024 + 1e-6);
    }
    fw_runner_close(r);
    fw_model_close(m);
    d.output = (char *)"nothing";
    open_fails(rt, &d, NULL, FW_EUSAGE, "none of its 2 outputs is named 'nothing'");
    d.output = NULL;
    fw_runtime_close(rt);
    fw_free(d.file);
}

static void write_bytes(fw_modeldesc *d, const fw_buf *b)
{
    FILE *f = fopen(d->file, "wb");
    assert_true(f && fwrite(b->data, 1, b->len, f) == b->len && !fclose(f));
    assert_int_equal(fw_sha256_file(d->file, d->sha256, NULL), FW_OK);
}

/* A network with one tensor of weights that is not what it says. */
static void hostile(fw_modeldesc *d, int64_t dim, const char *external, size_t raw)
{
    tiny_onnx o = {0};
    fw_buf t = {0}, entry = {0};
    tiny_node(&o, "Relu", (const char *const[3]){"x"}, "y", NULL, 0, NULL);
    tiny_value(&o, 11, "x", 1, 4, (int64_t[]){1, 3, 8, 8});
    tiny_value(&o, 12, "y", 1, 4, (int64_t[]){1, 3, 8, 8});
    for (int i = 0; i < 4; i++) pb_int(&t, 1, dim);
    pb_int(&t, 2, 1);
    pb_text(&t, 8, "weights");
    if (external) {
        pb_text(&entry, 1, "location");
        pb_text(&entry, 2, external);
        pb_message(&t, 13, &entry);
        pb_int(&t, 14, 1);
    } else {
        char *zeros = fw_alloc(raw, 1);
        pb_bytes(&t, 9, zeros, raw);
        fw_free(zeros);
    }
    pb_message(&o.graph, 5, &t);
    assert_true(tiny_save(&o, d->file, d->sha256));
}

static void test_hostile(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    fw_runtime *rt;
    fw_modeldesc d;
    assert_int_equal(fw_runtime_open(&rt, &e), FW_OK);
    two_outputs((int64_t[]){1, 3, 8, 8}, 1, &d);
    d.input_width = d.input_height = 8;
    hostile(&d, 2, "../../../etc/passwd", 0);
    open_fails(rt, &d, NULL, FW_EFAIL, "the weights 'weights' lie in another file");
    hostile(&d, 1 << 20, NULL, 64); /* 2^80 values */
    open_fails(rt, &d, NULL, FW_EFAIL, "claim 18446744073709551615 values but hold 64 bytes");
    hostile(&d, 100, NULL, 64);
    open_fails(rt, &d, NULL, FW_EFAIL, "claim 100000000 values but hold 64 bytes");
    hostile(&d, -1, NULL, 64);
    open_fails(rt, &d, NULL, FW_EFAIL, "claim ");
    /* an operator that nobody has */
    tiny_onnx o = {0};
    tiny_node(&o, "Frobnicate", (const char *const[3]){"x"}, "y", NULL, 0, NULL);
    tiny_value(&o, 11, "x", 1, 4, (int64_t[]){1, 3, 8, 8});
    tiny_value(&o, 12, "y", 1, 4, (int64_t[]){1, 3, 8, 8});
    assert_true(tiny_save(&o, d.file, d.sha256));
    open_fails(rt, &d, NULL, FW_EFAIL, "Frobnicate");
    /* every prefix of a network is refused in words, and some bit flips are as well: never a crash */
    fw_free(d.file);
    two_outputs((int64_t[]){1, 3, 8, 8}, 1, &d);
    d.input_width = d.input_height = 8;
    FILE *f = fopen(d.file, "rb");
    char bytes[1024];
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    fw_model *m;
    for (size_t cut = 0; cut < n; cut += 3) {
        e = (fw_err){0};
        write_bytes(&d, &(fw_buf){.data = bytes, .len = cut});
        if (!fw_model_open(rt, &d, NULL, &m, &e))
            fw_model_close(m); /* what is cut off need not be missed: the version of an operator set */
        else
            assert_true(e.msg[0] != 0);
    }
    fw_rng rng = {5};
    for (int i = 0; i < 200; i++) {
        char changed[1024];
        memcpy(changed, bytes, n);
        changed[fw_rng_below(&rng, n)] ^= (char)(1 << fw_rng_below(&rng, 8));
        e = (fw_err){0};
        write_bytes(&d, &(fw_buf){.data = changed, .len = n});
        if (!fw_model_open(rt, &d, NULL, &m, &e)) fw_model_close(m);
    }
    fw_runtime_close(rt);
    fw_free(d.file);
}

static void test_fixed_shape(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    fw_runtime *rt;
    fw_modeldesc d;
    fw_model *m;
    fw_runner *r;
    float *x;
    assert_int_equal(fw_runtime_open(&rt, &e), FW_OK);
    two_outputs((int64_t[]){4, 3, 8, 6}, 1, &d);
    d.input_width = 6;
    d.input_height = 8;
    if (fw_model_open(rt, &d, NULL, &m, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_model_fixed_batch(m), 4);
    assert_int_equal(fw_runner_open(m, &r, &e), FW_OK);
    assert_int_equal(fw_runner_input(r, 3, 8, 6, &x, &e), FW_EUSAGE);
    e = (fw_err){0};
    assert_int_equal(fw_runner_input(r, 4, 8, 6, &x, &e), FW_OK);
    assert_int_equal(fw_runner_run(r, &e), FW_OK);
    fw_runner_close(r);
    fw_model_close(m);
    fw_runtime_close(rt);
    fw_free(d.file);
}

/* Many threads on one session: every result is that of a single thread, bit for bit. */
static void test_threads(void **state)
{
    FW_UNUSED(state);
    enum { ROUNDS = 24, PIXELS = 3 * 112 * 112, DIM = 512 };
    fw_err e = {0};
    fw_runtime *rt;
    fw_modeldesc *d;
    fw_model *m;
    float *result = fw_alloc(2 * ROUNDS, DIM * sizeof(float));
    assert_int_equal(fw_runtime_open(&rt, &e), FW_OK);
    if (fw_modeldesc_read("configs/models/mobilefacenet.ini", FW_MODELS_DEFAULT, &d, &e)) fail_msg("%s", e.msg);
    if (fw_model_open(rt, d, NULL, &m, &e)) fail_msg("%s", e.msg);
    int failed = 0;
    for (int pass = 0; pass < 2; pass++) {
#pragma omp parallel num_threads(pass ? 4 : 1) reduction(+ : failed)
        {
            fw_runner *r = NULL;
            fw_err mine = {0};
            failed += fw_runner_open(m, &r, &mine) != FW_OK;
#pragma omp for schedule(dynamic)
            for (int i = 0; i < ROUNDS; i++) {
                float *x;
                fw_rng rng = {(uint64_t)i};
                failed += fw_runner_input(r, 1, 112, 112, &x, &mine) != FW_OK;
                for (int k = 0; k < PIXELS; k++) x[k] = (float)(fw_rng_unit(&rng) * 2 - 1);
                failed += fw_runner_run(r, &mine) != FW_OK;
                memcpy(result + (size_t)(pass * ROUNDS + i) * DIM, fw_runner_output(r, 0, NULL), DIM * sizeof(float));
            }
            fw_runner_close(r);
        }
    }
    assert_int_equal(failed, 0);
    assert_memory_equal(result, result + (size_t)ROUNDS * DIM, (size_t)ROUNDS * DIM * sizeof(float));
    assert_memory_not_equal(result, result + DIM, DIM * sizeof(float));
    fw_free(result);
    fw_model_close(m);
    fw_modeldesc_free(d);
    fw_runtime_close(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),      cmocka_unit_test(test_desc_embed),  cmocka_unit_test(test_desc_detect),
        cmocka_unit_test(test_desc_errors), cmocka_unit_test(test_desc_file),   cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_run),         cmocka_unit_test(test_open_errors), cmocka_unit_test(test_fixed_shape),
        cmocka_unit_test(test_threads),     cmocka_unit_test(test_half),        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests_name("model", tests, make_dir, drop_dir);
}
