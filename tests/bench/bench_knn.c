/* Steps over embeddings: the k-NN graph of b->rows synthetic rows, and FAISS's.
 *
 * Data: as people (a centre) with photos around it, 6 each, a genuine pair's cosine about .55, drawn with the second
 * moments of the rows of b->like (N x 512 fp16), or isotropic. Drawing is not timed. */
#include "bench.h"

#include "index/join.h"
#include "index/knn.h"
#include "index/vecindex.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIM     512
#define PHOTOS  6
#define GENUINE 0.55 /* share of the variance that is the person's */
#define K       64
#define SAMPLE  2048  /* rows by which nprobe is chosen */
#define ASKED   20480 /* queries that a FAISS index is timed on, at most: at 1 M rows some minutes */
#define FLOOR   0.99  /* recall@10 that both sides must reach: the default of the setting knn.recall */

typedef struct knn {
    fw_vectors *v;
    fw_graph *truth; /* exact */
    fw_vecindex *flat, *ivf;
    int nprobe; /* of ivf: the smallest whose recall@10 reaches FLOOR; 0: not known yet */
} knn;

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

static knn *need_data(bench *b)
{
    if (b->knn) return b->knn;
    b->knn = FW_NEW(knn);
    float *mix = mixing(b->like);
    b->knn->v = fw_vectors_wrap(draw(b->rows, mix), b->rows, DIM, NULL);
    fw_free(mix);
    return b->knn;
}

static fw_graph *build(bench *b, const char *method)
{
    fw_err e = {0};
    fw_graph *g;
    fw_knn_report r;
    fw_knn_opts o = {.method = method, .k = K, .kernel = b->kernel};
    knn *k = need_data(b);
    bench_start(b);
    bench_must(fw_knn_build(k->v, &o, &g, &r, &e), &e);
    bench_stop(b);
    bench_text("kernel", r.kernel);
    bench_field("certified", (double)r.certified);
    bench_field("dims", r.dims_used);
    bench_field("lists", (double)r.lists);
    bench_field("probes", (double)r.probes);
    bench_field("recall10", r.recall10);
    bench_field("peak_mb", (double)fw_peak_rss() / 1e6);
    return g;
}

/* Share of the first `depth` neighbours of `truth` that `got` has too. */
static double recall(const fw_graph *got, const fw_graph *truth, size_t depth)
{
    size_t same = 0, total = 0;
    for (size_t i = 0; i < truth->n; i++)
        for (uint64_t a = truth->off[i]; a < truth->off[i + 1] && a < truth->off[i] + depth; a++, total++)
            for (uint64_t b = got->off[i]; b < got->off[i + 1] && b < got->off[i] + depth; b++)
                same += got->id[b] == truth->id[a];
    return total ? (double)same / (double)total : 1;
}

/* `count` rows from `first` on against an index; returns how many of their 10 true neighbours it finds (itself apart).
 */
static size_t search(const knn *k, const fw_vecindex *x, size_t first, size_t count, bench *timed)
{
    fw_err e = {0};
    size_t same = 0, width = K + 1;
    float *q = fw_alloc(count * DIM, sizeof *q), *sim = fw_alloc(count * width, sizeof *sim);
    int64_t *id = fw_alloc(count * width, sizeof *id);
    fw_vectors_block(k->v, first, count, q);
    bench_start(timed);
    bench_must(fw_vecindex_search(x, q, count, K + 1, id, sim, &e), &e);
    bench_stop(timed);
    for (size_t i = 0; i < count; i++)
        for (size_t a = 0; a < 10; a++)
            for (size_t c = 0; c < 11; c++) same += id[i * width + c] == k->truth->id[k->truth->off[first + i] + a];
    fw_free(q), fw_free(sim), fw_free(id);
    return same;
}

/* Time is linear in queries, so a FAISS index is asked for some of the rows and the time is multiplied. */
static size_t asked(const knn *k)
{
    size_t fifth = k->v->n / 5 + 1;
    return fifth < ASKED ? fifth : ASKED;
}

/* recall@10 of the first `rows` rows. */
static double search_some(const knn *k, const fw_vecindex *x, size_t rows, bench *b)
{
    size_t same = 0, block = 4096;
    if (rows > k->v->n) rows = k->v->n;
    bench part = *b;
    part.wall = part.cpu = 0;
    for (size_t i = 0; i < rows; i += block) same += search(k, x, i, rows - i < block ? rows - i : block, &part);
    b->wall += part.wall * (double)k->v->n / (double)rows;
    b->cpu += part.cpu * (double)k->v->n / (double)rows;
    return (double)same / (10.0 * (double)rows);
}

static void need_truth(bench *b)
{
    bench untimed = *b;
    if (!need_data(b)->truth) {
        untimed.knn = b->knn;
        printf("\"truth\":{");
        b->knn->truth = build(&untimed, "exact");
        printf("\"wall\":%.9g,\"cpu\":%.9g},", untimed.wall, untimed.cpu);
    }
}

static void step_exact(bench *b)
{
    fw_graph_free(build(b, "exact"));
}

static void step_flat(bench *b)
{
    fw_err e = {0};
    need_truth(b);
    knn *k = b->knn;
    if (!k->flat) bench_must(fw_vecindex_build(k->v, "Flat", &k->flat, &e), &e);
    bench_field("recall10", search_some(k, k->flat, asked(k), b));
}

static void step_ivf(bench *b)
{
    need_truth(b);
    fw_graph *g = build(b, "ivf");
    bench_field("true_recall10", recall(g, b->knn->truth, 10));
    bench_field("true_recall64", recall(g, b->knn->truth, K));
    fw_graph_free(g);
}

/* FAISS IVF with its usual 4 sqrt(n) lists and the smallest nprobe (steps of sqrt 2) that reaches the recall@10 that
 * ours must reach (ours often has more). Ours includes making the lists, so FAISS's training and filling is timed too.
 */
static void step_faiss_ivf(bench *b)
{
    fw_err e = {0};
    need_truth(b);
    knn *k = b->knn;
    char factory[64], params[64];
    bench untimed = *b;
    snprintf(factory, sizeof factory, "IVF%d,Flat", (int)(4 * sqrt((double)k->v->n)));
    fw_vecindex_free(k->ivf);
    bench_start(b);
    bench_must(fw_vecindex_build(k->v, factory, &k->ivf, &e), &e);
    bench_stop(b);
    const bool known = k->nprobe > 0;
    for (double p = known ? k->nprobe : 4, found = known; p < 8192; p *= sqrt(2)) {
        snprintf(params, sizeof params, "nprobe=%ld", lrint(p));
        bench_must(fw_vecindex_tune(k->ivf, params, &e), &e);
        k->nprobe = (int)lrint(p);
        if (found || search_some(k, k->ivf, SAMPLE, &untimed) >= FLOOR) break;
    }
    bench_field("recall10", search_some(k, k->ivf, asked(k), b));
    bench_field("nprobe", k->nprobe);
}

const step bench_knn_steps[] = {{"exact", "our exact graph", step_exact},
                                {"flat", "FAISS IndexFlatIP, k + 1 of all rows", step_flat},
                                {"ivf", "our ivf, lists made and searched", step_ivf},
                                {"faiss-ivf", "FAISS IVF, trained, filled and searched", step_faiss_ivf},
                                {0}};
