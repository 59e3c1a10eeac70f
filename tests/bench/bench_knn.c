/* Speed of the k-NN graph, each line a ratio measured in one run against a peer. JSON lines on stdout.
 *
 *   bench_knn [n=20000] [--like FILE.bin|-] [--what exact,flat,ivf,peak,check] [--repeat 5]
 *
 * Data. `--like` names embeddings (N x 512 fp16): n synthetic rows are drawn with their second moments, as people (a
 * centre) with photos around it, 6 each, a genuine pair's cosine about .55; "-" draws isotropic rows. Drawing is not
 * timed. */
#include "index/join.h"
#include "index/knn.h"
#include "index/vecindex.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIM     512
#define PHOTOS  6
#define GENUINE 0.55 /* share of the variance that is the person's */
#define K       64

typedef struct bench {
    size_t n;
    const char *like, *what;
    int repeat;
    double floor;
} bench;

static uint16_t *read_half(const char *path, size_t *rows)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *rows = (size_t)ftell(f) / (DIM * 2);
    rewind(f);
    uint16_t *h = fw_alloc(*rows * DIM, sizeof *h);
    if (fread(h, DIM * 2, *rows, f) != *rows) *rows = 0;
    fclose(f);
    return h;
}

/* mix (DIM x DIM): a row of normal numbers times it has the second moments of the rows in `like`. */
static float *mixing(const char *like)
{
    float *mix = fw_alloc(DIM * DIM, sizeof *mix);
    size_t rows = 0;
    uint16_t *h = strcmp(like, "-") ? read_half(like, &rows) : NULL;
    for (int i = 0; i < DIM && !rows; i++) mix[i * DIM + i] = 1;
    if (!rows) return mix;
    float *x = fw_alloc(rows * DIM, sizeof *x), *m = fw_alloc(DIM * DIM, sizeof *m);
    double *vec = fw_alloc(DIM * DIM, sizeof *vec), value[DIM];
    fw_half_to_float(h, x, rows * DIM);
    fw_gemm_tn(DIM, DIM, rows, x, x, m);
    for (int i = 0; i < DIM * DIM; i++) vec[i] = m[i];
    if (fw_eigen(DIM, vec, value)) exit(1);
    for (int i = 0; i < DIM; i++) /* mix = diag(sqrt value) vec */
        for (int j = 0; j < DIM; j++) mix[i * DIM + j] = (float)(sqrt(fmax(value[i], 0)) * vec[i * DIM + j]);
    fw_free(h), fw_free(x), fw_free(m), fw_free(vec);
    return mix;
}

static void draw_person(size_t person, size_t count, const float *mix, float *z, float *x, uint16_t *out)
{
    fw_rng rng = {person * 7919 + 1};
    float centre[DIM];
    for (int j = 0; j < DIM; j++) centre[j] = (float)(sqrt(GENUINE) * fw_rng_normal(&rng));
    for (size_t i = 0; i < count * DIM; i++) z[i] = centre[i % DIM] + (float)(sqrt(1 - GENUINE) * fw_rng_normal(&rng));
    for (size_t i = 0; i < count; i++) {
        for (int j = 0; j < DIM; j++) x[j] = 0;
        for (int c = 0; c < DIM; c++)
            for (int j = 0; j < DIM; j++) x[j] += z[i * DIM + (size_t)c] * mix[c * DIM + j];
        fw_normalise(x, DIM);
        fw_float_to_half(x, out + i * DIM, DIM);
    }
}

static uint16_t *draw(size_t n, const float *mix)
{
    uint16_t *h = fw_alloc(n * DIM, sizeof *h);
#pragma omp parallel
    {
        float z[PHOTOS * DIM], x[DIM];
#pragma omp for schedule(dynamic, 64)
        for (size_t first = 0; first < n; first += PHOTOS)
            draw_person(first / PHOTOS, n - first < PHOTOS ? n - first : PHOTOS, mix, z, x, h + first * DIM);
    }
    return h;
}

static void must(int rc, const fw_err *e)
{
    if (!rc) return;
    fprintf(stderr, "bench_knn: %s\n", e->msg);
    exit(rc);
}

typedef struct timing {
    double wall, cpu;
} timing;

static fw_graph *timed_build(const fw_vectors *v, const fw_knn_opts *o, timing *t, fw_knn_report *r)
{
    fw_err e = {0};
    fw_graph *g;
    *t = (timing){fw_now(), fw_cpu()};
    must(fw_knn_build(v, o, &g, r, &e), &e);
    *t = (timing){fw_now() - t->wall, fw_cpu() - t->cpu};
    return g;
}

/* All rows of v against an index; returns how many of the first `depth` ids of g are among the first found. */
static double timed_faiss(const fw_vectors *v, const fw_vecindex *x, int k, timing *t, const fw_graph *g, int depth)
{
    size_t batch = 4096, same = 0, total = 0;
    float *q = fw_alloc(batch * DIM, sizeof *q), *sim = fw_alloc(batch * (size_t)k, sizeof *sim);
    int64_t *id = fw_alloc(batch * (size_t)k, sizeof *id);
    *t = (timing){0};
    for (size_t first = 0; first < v->n; first += batch) {
        fw_err e = {0};
        size_t count = v->n - first < batch ? v->n - first : batch;
        double wall = fw_now(), cpu = fw_cpu();
        fw_vectors_block(v, first, count, q);
        must(fw_vecindex_search(x, q, count, k, id, sim, &e), &e);
        t->wall += fw_now() - wall;
        t->cpu += fw_cpu() - cpu;
        for (size_t i = 0; i < count; i++)
            for (int a = 0; a < depth; a++, total++)
                for (int b = 0; b < depth + 1; b++)
                    same += id[i * (size_t)k + (size_t)b] == g->id[g->off[first + i] + (size_t)a];
    }
    fw_free(q), fw_free(sim), fw_free(id);
    return (double)same / (double)total;
}

static double recall(const fw_graph *got, const fw_graph *truth, size_t depth)
{
    size_t same = 0, total = 0;
    for (size_t i = 0; i < truth->n; i++)
        for (uint64_t a = truth->off[i]; a < truth->off[i + 1] && a < truth->off[i] + depth; a++, total++)
            for (uint64_t b = got->off[i]; b < got->off[i + 1] && b < got->off[i] + depth; b++)
                same += got->id[b] == truth->id[a];
    return total ? (double)same / (double)total : 1;
}

static void print_build(const char *name, const fw_vectors *v, const timing *t, const fw_knn_report *r)
{
    printf("{\"bench\":\"%s\",\"n\":%zu,\"threads\":%d,\"kernel\":\"%s\",\"wall\":%.3f,\"cpu\":%.3f,\"certified\":%zu,"
           "\"dims\":%d,\"lost\":%.2g,\"lists\":%zu,\"probes\":%zu,\"recall10\":%.5f,\"peak_mb\":%.0f",
           name, v->n, omp_get_max_threads(), r->kernel, t->wall, t->cpu, r->certified, r->dims_used, r->energy_lost,
           r->lists, r->probes, r->recall10, (double)fw_peak_rss() / 1e6);
}

static bool wants(const bench *b, const char *what)
{
    return strstr(b->what, what) != NULL;
}

static void bench_exact(const bench *b, const fw_vectors *v)
{
    fw_graph *truth = NULL;
    const char *const *name = fw_knn_kernels();
    for (; *name; name++) {
        if (!wants(b, *name) && !wants(b, "exact")) continue;
        timing t;
        fw_knn_report r;
        fw_knn_opts o = {.method = "exact", .k = K, .kernel = *name};
        fw_graph *g = timed_build(v, &o, &t, &r);
        print_build("exact", v, &t, &r);
        printf(",\"same_as_first\":%s}\n",
               !truth || (!memcmp(g->id, truth->id, g->off[g->n] * 4) && !memcmp(g->sim, truth->sim, g->off[g->n] * 4))
                   ? "true"
                   : "false");
        fflush(stdout);
        if (truth)
            fw_graph_free(g);
        else
            truth = g;
    }
    fw_graph_free(truth);
}

static void bench_flat(const bench *b, const fw_vectors *v)
{
    fw_err e = {0};
    timing own, flat;
    fw_knn_report r;
    fw_knn_opts o = {.method = "exact", .k = K};
    fw_vecindex *x;
    must(fw_vecindex_build(v, "Flat", &x, &e), &e);
    for (int i = 0; i < b->repeat; i++) {
        fw_graph *g = timed_build(v, &o, &own, &r);
        double same = timed_faiss(v, x, K + 1, &flat, g, K);
        print_build("exact vs IndexFlatIP", v, &own, &r);
        printf(",\"faiss_wall\":%.3f,\"faiss_cpu\":%.3f,\"ratio\":%.2f,\"ratio_cpu\":%.2f,\"agree64\":%.5f}\n",
               flat.wall, flat.cpu, flat.wall / own.wall, flat.cpu / own.cpu, same);
        fflush(stdout);
        fw_graph_free(g);
    }
    fw_vecindex_free(x);
}

/* FAISS IVF at the smallest nprobe (powers of sqrt 2) whose recall@10 reaches ours. */
static void bench_ivf(const bench *b, const fw_vectors *v)
{
    fw_err e = {0};
    timing own, other, exact;
    fw_knn_report r, re;
    fw_graph *truth = timed_build(v, &(fw_knn_opts){.method = "exact", .k = K}, &exact, &re);
    fw_graph *g = timed_build(v, &(fw_knn_opts){.method = "ivf", .k = K, .recall_floor = b->floor}, &own, &r);
    double mine = recall(g, truth, 10);
    print_build("ivf", v, &own, &r);
    printf(",\"true_recall10\":%.5f,\"true_recall64\":%.5f,\"exact_wall\":%.3f,\"exact_cpu\":%.3f}\n", mine,
           recall(g, truth, K), exact.wall, exact.cpu);
    fflush(stdout);
    char factory[64], params[64];
    fw_vecindex *x;
    snprintf(factory, sizeof factory, "IVF%d,Flat", (int)(4 * sqrt((double)v->n)));
    double start = fw_now(), cpu = fw_cpu();
    must(fw_vecindex_build(v, factory, &x, &e), &e);
    timing build = {fw_now() - start, fw_cpu() - cpu};
    for (double p = r.probes > 2 ? (double)r.probes / 2 : 1;;
         p *= sqrt(2)) { /* same number of lists: about as many probes */
        snprintf(params, sizeof params, "nprobe=%d", (int)lrint(p));
        must(fw_vecindex_tune(x, params, &e), &e);
        double same = timed_faiss(v, x, K + 1, &other, truth, 10);
        if (same < mine && p < 4096) continue;
        printf("{\"bench\":\"ivf vs FAISS "
               "%s\",\"n\":%zu,\"threads\":%d,\"nprobe\":%ld,\"recall10\":%.5f,\"own_recall10\":%.5f,"
               "\"faiss_wall\":%.3f,\"faiss_cpu\":%.3f,\"faiss_build_cpu\":%.3f,\"ratio\":%.2f,\"ratio_cpu\":%.2f,"
               "\"ratio_cpu_with_build\":%.2f}\n",
               factory, v->n, omp_get_max_threads(), lrint(p), same, mine, other.wall, other.cpu, build.cpu,
               other.wall / own.wall, other.cpu / own.cpu, (other.cpu + build.cpu) / own.cpu);
        break;
    }
    fw_vecindex_free(x);
    fw_graph_free(truth);
    fw_graph_free(g);
}

/* Multiply-adds per second of every kernel on data in cache, and of sgemm, on one thread. */
static double kernel_peak(const fw_kernel *k, size_t words)
{
    size_t rows = k->word == FW_WORD_F32 ? FW_JOIN_ROWS / 2 : FW_JOIN_ROWS, nr = (size_t)k->nr,
           hits = FW_JOIN_ROWS * nr + 16;
    float low[FW_JOIN_ROWS], one[FW_JOIN_ROWS];
    for (size_t i = 0; i < FW_JOIN_ROWS; i++) low[i] = INFINITY, one[i] = 1;
    fw_strip s = {.row_min = low, .row_scale = one, .row_loss = one, .col_min = low, .col_scale = one, .col_loss = one};
    s.panels = (size_t)k->mr > rows ? 1 : rows / (size_t)k->mr;
    s.words = words;
    uint32_t *a = fw_alloc_aligned(FW_JOIN_ROWS * words, 4), *b = fw_alloc_aligned(nr * words, 4);
    s.a = a, s.b = b, s.bias = fw_alloc_aligned(FW_JOIN_ROWS, 4);
    s.where = fw_alloc_aligned(hits, 4), s.score = fw_alloc_aligned(hits, 4), s.scratch = fw_alloc_aligned(hits, 4);
    double best = 0, macs = (double)(s.panels * (size_t)k->mr * nr * words) * (k->word == FW_WORD_INT8   ? 4
                                                                               : k->word == FW_WORD_BF16 ? 2
                                                                                                         : 1);
    for (int i = 0; i < 400; i++) {
        double t = fw_now();
        k->strip(&s);
        best = fmax(best, macs / (fw_now() - t));
    }
    fw_free(a), fw_free(b), fw_free((void *)s.bias), fw_free(s.where), fw_free(s.score), fw_free(s.scratch);
    return best;
}

static void bench_peak(void)
{
    size_t n = 768;
    float *a = fw_alloc_aligned(n * n, 4), *b = fw_alloc_aligned(n * n, 4), *c = fw_alloc_aligned(n * n, 4);
    double sgemm = 0;
    for (int i = 0; i < 20; i++) {
        double t = fw_now();
        fw_gemm_nt(n, n, n, a, b, c);
        sgemm = fmax(sgemm, (double)n * (double)n * (double)n / (fw_now() - t));
    }
    const fw_kernel *k;
    for (size_t i = 0; (k = fw_kernel_at(i)); i++)
        if (k->usable()) {
            double peak = kernel_peak(k, k->word == FW_WORD_INT8 ? 48 : k->word == FW_WORD_BF16 ? 256 : 512);
            printf(
                "{\"bench\":\"kernel peak\",\"kernel\":\"%s\",\"gmac_s\":%.1f,\"sgemm_gmac_s\":%.1f,\"ratio\":%.2f}\n",
                k->name, peak / 1e9, sgemm / 1e9, peak / sgemm);
        }
    fw_free(a), fw_free(b), fw_free(c);
}

int main(int argc, char **argv)
{
    bench b = {.n = 20000, .like = "-", .what = "peak,exact,flat,ivf", .repeat = 1, .floor = 0.99};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--like") && i + 1 < argc)
            b.like = argv[++i];
        else if (!strcmp(argv[i], "--what") && i + 1 < argc)
            b.what = argv[++i];
        else if (!strcmp(argv[i], "--repeat") && i + 1 < argc)
            b.repeat = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--floor") && i + 1 < argc)
            b.floor = atof(argv[++i]);
        else
            b.n = (size_t)atof(argv[i]);
    }
    if (wants(&b, "peak")) bench_peak();
    float *mix = mixing(b.like);
    uint16_t *h = draw(b.n, mix);
    fw_vectors *v = fw_vectors_wrap(h, b.n, DIM, NULL);
    if (wants(&b, "exact") || wants(&b, "avx") || wants(&b, "portable")) bench_exact(&b, v);
    if (wants(&b, "flat")) bench_flat(&b, v);
    if (wants(&b, "ivf")) bench_ivf(&b, v);
    fw_vectors_free(v);
    fw_free(h);
    fw_free(mix);
    return 0;
}
