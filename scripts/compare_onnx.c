/*
 * compare_onnx: do two ONNX models give the same results, and how fast is each?
 *
 *   cc -O2 -o build/compare_onnx scripts/compare_onnx.c $(ORT_CFLAGS) $(ORT_LIBS) -lm     (from build/deps.mk)
 *   build/compare_onnx A.onnx[@MEAN,SCALE] B.onnx[@MEAN,SCALE] [HEIGHT WIDTH [RUNS]]
 *
 * Feeds both models the same random images (0..255, noise of several grain sizes added up, so that they are less unlike photos
 * than white noise), as (x - MEAN) * SCALE, and prints, per output, the greatest absolute difference and the least cosine over
 * RUNS images, then the best and median time per image of each model at batch 1 and (where the model allows it) 2, with one
 * thread and all graph optimisations. The models take turns, so that other load on the machine hits both alike.
 */
#include <math.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_OUTPUTS = 16 };

static const OrtApi *ort;
static OrtMemoryInfo *cpu;

struct model {
    OrtSession *session;
    char *input;
    char *outputs[MAX_OUTPUTS];
    size_t count;
    int64_t batch;     /* -1: any */
    float mean, scale; /* of its input */
    float *input_data;
};

static void must(OrtStatus *status, const char *what)
{
    if (!status)
        return;
    fprintf(stderr, "compare_onnx: %s: %s\n", what, ort->GetErrorMessage(status));
    exit(1);
}

static struct model open_model(OrtEnv *env, char *path)
{
    struct model m = {.scale = 1};
    char *at = strrchr(path, '@');
    OrtSessionOptions *options;
    OrtAllocator *allocator;
    OrtTypeInfo *type;
    const OrtTensorTypeAndShapeInfo *tensor;
    int64_t dims[4];

    if (at) {
        *at = 0;
        if (sscanf(at + 1, "%f,%f", &m.mean, &m.scale) != 2) {
            fprintf(stderr, "compare_onnx: bad '@%s': MEAN,SCALE are wanted\n", at + 1);
            exit(2);
        }
    }
    must(ort->CreateSessionOptions(&options), "options");
    must(ort->SetIntraOpNumThreads(options, 1), "threads");
    must(ort->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL), "optimisation level");
    must(ort->CreateSession(env, path, options, &m.session), path);
    must(ort->GetAllocatorWithDefaultOptions(&allocator), "allocator");
    must(ort->SessionGetInputName(m.session, 0, allocator, &m.input), "input name");
    must(ort->SessionGetOutputCount(m.session, &m.count), "output count");
    for (size_t k = 0; k < m.count && k < MAX_OUTPUTS; k++)
        must(ort->SessionGetOutputName(m.session, k, allocator, &m.outputs[k]), "output name");
    must(ort->SessionGetInputTypeInfo(m.session, 0, &type), "input type");
    must(ort->CastTypeInfoToTensorInfo(type, &tensor), "input type");
    must(ort->GetDimensions(tensor, dims, 4), "input shape");
    m.batch = dims[0];
    ort->ReleaseTypeInfo(type);
    ort->ReleaseSessionOptions(options);
    return m;
}

static double run(struct model *m, const float *pixels, int64_t n, int64_t h, int64_t w, OrtValue **results)
{
    int64_t shape[4] = {n, 3, h, w};
    OrtValue *input;
    struct timespec t0, t1;

    size_t count = (size_t)(n * 3 * h * w);
    m->input_data = realloc(m->input_data, count * sizeof *pixels);
    for (size_t k = 0; k < count; k++)
        m->input_data[k] = (pixels[k] - m->mean) * m->scale;
    must(ort->CreateTensorWithDataAsOrtValue(cpu, m->input_data, count * sizeof *pixels, shape, 4,
                                             ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input), "input");
    memset(results, 0, MAX_OUTPUTS * sizeof *results);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    must(ort->Run(m->session, NULL, (const char *const *)&m->input, (const OrtValue *const *)&input, 1,
                  (const char *const *)m->outputs, m->count, results), "run");
    clock_gettime(CLOCK_MONOTONIC, &t1);
    ort->ReleaseValue(input);
    return (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
}

static void release(OrtValue **results, size_t count)
{
    for (size_t k = 0; k < count; k++)
        ort->ReleaseValue(results[k]);
}

static size_t elements(OrtValue *value)
{
    OrtTensorTypeAndShapeInfo *info;
    size_t count;

    must(ort->GetTensorTypeAndShape(value, &info), "output shape");
    must(ort->GetTensorShapeElementCount(info, &count), "output shape");
    ort->ReleaseTensorTypeAndShapeInfo(info);
    return count;
}

static unsigned seed = 1;

static float uniform(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 16777216.0f;
}

/* Noise of grains 2..32 px, added up, per channel. */
static void random_image(float *pixels, int64_t h, int64_t w)
{
    for (int c = 0; c < 3; c++, pixels += h * w) {
        memset(pixels, 0, (size_t)(h * w) * sizeof *pixels);
        for (int64_t grain = 2; grain <= 32; grain *= 2) {
            int64_t across = w / grain + 1;
            float *row = malloc((size_t)across * sizeof *row);
            for (int64_t y = 0; y < h; y++) {
                if (y % grain == 0)
                    for (int64_t x = 0; x < across; x++)
                        row[x] = uniform() * 51.0f;
                for (int64_t x = 0; x < w; x++)
                    pixels[y * w + x] += row[x / grain];
            }
            free(row);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: compare_onnx A.onnx B.onnx [HEIGHT WIDTH [RUNS]]   (each model: PATH[@MEAN,SCALE])\n");
        return 2;
    }
    int64_t h = argc > 4 ? atol(argv[3]) : 112, w = argc > 4 ? atol(argv[4]) : 112;
    int runs = argc > 5 ? atoi(argv[5]) : 100;
    OrtEnv *env;
    OrtValue *results[2][MAX_OUTPUTS];
    double worst[MAX_OUTPUTS] = {0}, least[MAX_OUTPUTS];
    float *pixels = malloc((size_t)(2 * 3 * h * w) * sizeof *pixels);
    double *times[2] = {malloc((size_t)runs * sizeof(double)), malloc((size_t)runs * sizeof(double))};

    ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    must(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "compare_onnx", &env), "environment");
    must(ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &cpu), "memory info");
    struct model m[2] = {open_model(env, argv[1]), open_model(env, argv[2])};
    if (m[0].count != m[1].count || m[0].count > MAX_OUTPUTS) {
        fprintf(stderr, "compare_onnx: the models have %zu and %zu outputs\n", m[0].count, m[1].count);
        return 1;
    }

    for (size_t k = 0; k < MAX_OUTPUTS; k++)
        least[k] = 1;
    for (int r = 0; r < runs; r++) {
        random_image(pixels, h, w);
        for (int j = 0; j < 2; j++)
            run(&m[j], pixels, 1, h, w, results[j]);
        for (size_t k = 0; k < m[0].count; k++) {
            float *a, *b;
            size_t count = elements(results[0][k]);
            double dot = 0, aa = 0, bb = 0;
            must(ort->GetTensorMutableData(results[0][k], (void **)&a), "output");
            must(ort->GetTensorMutableData(results[1][k], (void **)&b), "output");
            if (elements(results[1][k]) != count) {
                fprintf(stderr, "compare_onnx: output %zu has %zu and %zu elements\n", k, count, elements(results[1][k]));
                return 1;
            }
            for (size_t i = 0; i < count; i++) {
                worst[k] = fmax(worst[k], fabs((double)a[i] - b[i]));
                dot += (double)a[i] * b[i], aa += (double)a[i] * a[i], bb += (double)b[i] * b[i];
            }
            least[k] = fmin(least[k], dot / sqrt(aa * bb));
        }
        for (int j = 0; j < 2; j++)
            release(results[j], m[j].count);
    }
    for (size_t k = 0; k < m[0].count; k++)
        printf("%-36s max abs difference %.3g, min cosine 1 - %.2g\n", m[1].outputs[k], worst[k], 1 - least[k]);

    random_image(pixels + 3 * h * w, h, w);
    for (int64_t n = 1; n <= 2; n++) {
        for (int r = 0; r < runs; r++)
            for (int j = 0; j < 2; j++)
                if (m[j].batch < 0 || m[j].batch == n) {
                    times[j][r] = run(&m[j], pixels, n, h, w, results[j]) / (double)n;
                    release(results[j], m[j].count);
                }
        for (int j = 0; j < 2; j++)
            if (m[j].batch < 0 || m[j].batch == n) {
                qsort(times[j], (size_t)runs, sizeof(double), by_value);
                printf("%s: batch %d: best %.2f, median %.2f ms per image\n", argv[1 + j], (int)n, times[j][0], times[j][runs / 2]);
            }
    }
    return 0;
}
