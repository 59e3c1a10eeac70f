/* See bench.h. Arguments are NAME=VALUE; `echo help | build/bench` lists the steps. */
#include "bench.h"

#include "index/join.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bench_start(bench *b)
{
    b->wall -= fw_now();
    b->cpu -= fw_cpu();
}

void bench_stop(bench *b)
{
    b->wall += fw_now();
    b->cpu += fw_cpu();
}

void bench_field(const char *name, double value)
{
    printf("\"%s\":%.9g,", name, value);
}

void bench_text(const char *name, const char *value)
{
    printf("\"%s\":\"%s\",", name, value);
}

void bench_must(int rc, const fw_err *e)
{
    if (!rc) return;
    fprintf(stderr, "bench: %s\n", e->msg);
    exit(rc);
}

/* --- peaks: what the core can do, and what our kernels do, in GMAC/s or GB/s of the best of many short runs
 * ------------ */

/* One thread: its CPU time, so that waiting for a core does not count. */
static double peak_clock(void)
{
    return omp_get_max_threads() == 1 ? fw_cpu() : fw_now();
}

static float *filled(size_t n)
{
    float *x = fw_alloc_aligned(n, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = 1;
    return x;
}

static void peak_sgemm(bench *b)
{
    enum { N = 768 };
    float *x = filled(N * N), *y = filled(N * N), *z = filled(N * N);
    double best = 0;
    bench_start(b);
    for (int i = 0; i < 20; i++) {
        double t = peak_clock();
        fw_gemm_nt(N, N, N, x, y, z);
        best = fmax(best, 1e-9 * N * N * N / (peak_clock() - t));
    }
    bench_stop(b);
    bench_field("rate", best);
    fw_free(x), fw_free(y), fw_free(z);
}

static double values_of_word(const fw_kernel *k)
{
    return k->word == FW_WORD_INT8 ? 4 : k->word == FW_WORD_BF16 ? 2 : 1;
}

/* One strip of the kernel that this CPU prefers, on rows in cache, with thresholds that nothing reaches. */
static double strip_rate(const fw_kernel *k, size_t words)
{
    size_t rows = k->word == FW_WORD_F32 ? FW_JOIN_ROWS / 2 : FW_JOIN_ROWS, nr = (size_t)k->nr,
           hits = FW_JOIN_ROWS * nr + 16;
    float low[FW_JOIN_ROWS], one[FW_JOIN_ROWS];
    for (size_t i = 0; i < FW_JOIN_ROWS; i++) low[i] = INFINITY, one[i] = 1;
    fw_strip s = {.row_min = low, .row_scale = one, .row_loss = one, .col_min = low, .col_scale = one, .col_loss = one};
    s.panels = (size_t)k->mr > rows ? 1 : rows / (size_t)k->mr;
    s.words = words;
    uint32_t *a = fw_alloc_aligned(FW_JOIN_ROWS * words, 4), *c = fw_alloc_aligned(nr * words, 4);
    int32_t *bias = fw_alloc_aligned(FW_JOIN_ROWS, 4);
    s.a = a, s.b = c, s.bias = bias;
    s.where = fw_alloc_aligned(hits, 4), s.score = fw_alloc_aligned(hits, 4), s.scratch = fw_alloc_aligned(hits, 4);
    double best = 0, macs = (double)(s.panels * (size_t)k->mr * nr * words) * values_of_word(k);
    for (int i = 0; i < 50; i++) {
        double t = peak_clock();
        for (int j = 0; j < 100; j++) k->strip(&s);
        best = fmax(best, 1e-7 * macs / (peak_clock() - t));
    }
    fw_free(a), fw_free(c), fw_free(bias), fw_free(s.where), fw_free(s.score), fw_free(s.scratch);
    return best;
}

static const fw_kernel *kernel_of(const bench *b)
{
    const fw_kernel *k = fw_kernel_find(b->kernel);
    if (k) return k;
    fprintf(stderr, "bench: no kernel '%s' on this CPU\n", b->kernel);
    exit(1);
}

/* 192 dimensions of int8, what LFW's embeddings span; 512 of the others. */
static void peak_join(bench *b)
{
    const fw_kernel *k = kernel_of(b);
    bench_start(b);
    double rate = strip_rate(k, k->word == FW_WORD_INT8 ? 48 : k->word == FW_WORD_BF16 ? 256 : 512);
    bench_stop(b);
    bench_text("kernel", k->name);
    bench_field("rate", rate);
}

static void peak_multiply(bench *b)
{
    const fw_kernel *k = kernel_of(b);
    double best = 0;
    bench_start(b);
    for (int i = 0; i < 50; i++) {
        double t = peak_clock();
        double macs = (double)bench_multiply(k->name, 20000) * values_of_word(k);
        best = fmax(best, 1e-9 * macs / (peak_clock() - t));
    }
    bench_stop(b);
    bench_text("kernel", k->name);
    bench_field("rate", best);
}

/* Read `n` floats that no cache holds, as fast as the memory goes: the best of 5. */
static void peak_stream(bench *b)
{
    const size_t n = (size_t)64 << 20;
    float *x = filled(n);
    double best = 0;
    volatile float sink = 0;
    bench_start(b);
    for (int run = 0; run < 5; run++) {
        double t = peak_clock();
        float sum = 0;
#pragma omp parallel for simd reduction(+ : sum) schedule(static)
        for (size_t i = 0; i < n; i++) sum += x[i];
        sink = sum;
        best = fmax(best, 1e-9 * (double)n * sizeof *x / (peak_clock() - t));
    }
    bench_stop(b);
    FW_UNUSED(sink);
    bench_field("rate", best);
    fw_free(x);
}

/* The same for what every stage behind embed does first: fp16 rows widened to fp32, block by block. */
static void peak_widen(bench *b)
{
    enum { DIM = 512, BLOCK = 256 };
    const size_t rows = 131072;
    uint16_t *half = (uint16_t *)filled(rows * DIM / 2);
    fw_vectors *v = fw_vectors_wrap(half, rows, DIM, NULL);
    double best = 0;
    bench_start(b);
    for (int run = 0; run < 5; run++) {
        double t = peak_clock();
#pragma omp parallel
        {
            float block[BLOCK * DIM];
#pragma omp for schedule(static)
            for (size_t i = 0; i < rows; i += BLOCK) fw_vectors_block(v, i, BLOCK, block);
        }
        best = fmax(best, 1e-9 * (double)rows * DIM * 2 / (peak_clock() - t));
    }
    bench_stop(b);
    bench_field("rate", best);
    fw_vectors_free(v);
    fw_free(half);
}

const step bench_peak_steps[] = {{"sgemm", "OpenBLAS sgemm 768 x 768, GMAC/s", peak_sgemm},
                                 {"join", "the k-NN join's kernel in cache, GMAC/s", peak_join},
                                 {"multiply", "its instruction on registers, GMAC/s", peak_multiply},
                                 {"stream", "reading memory, GB/s", peak_stream},
                                 {"widen", "reading stored embeddings, GB/s", peak_widen},
                                 {0}};

/* --- requests
 * ----------------------------------------------------------------------------------------------------------- */

static const step *const all_steps[] = {bench_peak_steps, bench_faces_steps, bench_knn_steps};

static void answer(bench *b, const char *name)
{
    for (size_t i = 0; i < FW_COUNT(all_steps); i++)
        for (const step *s = all_steps[i]; s->name; s++) {
            if (!strcmp(name, "help")) printf("%-12s %s\n", s->name, s->help);
            if (strcmp(name, s->name)) continue;
            b->wall = b->cpu = 0;
            printf("{");
            s->run(b);
            printf("\"wall\":%.6f,\"cpu\":%.6f}\n", b->wall, b->cpu);
            return;
        }
    if (strcmp(name, "help")) printf("{\"error\":\"no step '%s'\"}\n", name);
}

static void argument(bench *b, char *arg)
{
    char *value = strchr(arg, '=');
    const struct {
        const char *name, **to;
    } names[] = {
        {"like", &b->like},     {"photos", &b->photos},       {"models", &b->models},        {"conf", &b->conf},
        {"kernel", &b->kernel}, {"published", &b->published}, {"embeddings", &b->embeddings}};
    if (!value) return;
    *value++ = 0;
    if (!strcmp(arg, "rows")) b->rows = (size_t)atof(value);
    for (size_t i = 0; i < FW_COUNT(names); i++)
        if (!strcmp(arg, names[i].name)) *names[i].to = value;
}

int main(int argc, char **argv)
{
    bench b = {.rows = 20000, .like = "-"};
    char line[64];
    for (int i = 1; i < argc; i++) argument(&b, argv[i]);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        answer(&b, line);
        fflush(stdout);
    }
    return 0;
}
