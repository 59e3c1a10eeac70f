/* The k-NN graph against a plain double loop over fw_dot: every kernel, method, thread count and odd input. */
#include "index/ivf.h"
#include "index/knn.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WIDE 512

/* n rows in people of five, inside a subspace of `span` dimensions; freed by the caller. */
static uint16_t *people(size_t n, int dim, int span, uint64_t seed)
{
    fw_rng rng = {seed};
    float *basis = fw_alloc((size_t)(span * dim), sizeof *basis), centre[WIDE] = {0}, x[WIDE];
    uint16_t *h = fw_alloc(n * (size_t)dim, sizeof *h);
    for (int i = 0; i < span * dim; i++) basis[i] = (float)fw_rng_normal(&rng);
    for (size_t i = 0; i < n; i++) {
        for (int s = 0; s < span && i % 5 == 0; s++) centre[s] = (float)fw_rng_normal(&rng);
        memset(x, 0, sizeof x);
        for (int s = 0; s < span; s++) {
            float z = centre[s] + 0.8f * (float)fw_rng_normal(&rng);
            for (int c = 0; c < dim; c++) x[c] += z * basis[s * dim + c];
        }
        fw_normalise(x, dim);
        fw_float_to_half(x, h + i * (size_t)dim, (size_t)dim);
    }
    fw_free(basis);
    return h;
}

static int by_sim(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Does row i of g hold the k best rows of w for row p of v? `skip` is excluded (SIZE_MAX: none). */
static void check_row(const fw_graph *g, size_t p, const fw_vectors *v, const fw_vectors *w, size_t skip,
                      const uint8_t *usable, size_t k)
{
    float a[WIDE], b[WIDE];
    size_t n = 0;
    uint64_t *key = FW_ARRAY(uint64_t, w->n);
    fw_vectors_get(v, p, a);
    for (size_t j = 0; j < w->n; j++) {
        if (j == skip || (usable && !usable[j])) continue;
        fw_vectors_get(w, j, b);
        key[n++] = fw_key(fw_dot(a, b, v->dim), (uint32_t)j);
    }
    qsort(key, n, sizeof *key, by_sim);
    size_t want = n < k ? n : k;
    assert_int_equal(g->off[p + 1] - g->off[p], want);
    for (size_t i = 0; i < want; i++) {
        assert_int_equal(g->id[g->off[p] + i], fw_key_id(key[i]));
        assert_true(g->sim[g->off[p] + i] == fw_key_score(key[i]));
    }
    fw_free(key);
}

static fw_graph *build(const fw_vectors *v, fw_knn_opts o, fw_knn_report *r)
{
    fw_err e = {0};
    fw_graph *g = NULL;
    if (fw_knn_build(v, &o, &g, r, &e)) fail_msg("%s", e.msg);
    return g;
}

static void same_graph(const fw_graph *a, const fw_graph *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->off, b->off, (a->n + 1) * sizeof *a->off);
    assert_memory_equal(a->id, b->id, a->off[a->n] * sizeof *a->id);
    assert_memory_equal(a->sim, b->sim, a->off[a->n] * sizeof *a->sim);
}

static void check_self(const fw_vectors *v, fw_knn_opts o, const uint8_t *usable)
{
    fw_graph *g = build(v, o, NULL);
    for (size_t i = 0; i < v->n; i++) {
        if (usable && !usable[i])
            assert_int_equal(g->off[i], g->off[i + 1]);
        else
            check_row(g, i, v, v, i, usable, (size_t)o.k);
    }
    fw_graph_free(g);
}

static void every_kernel_finds_the_true_graph(void **state)
{
    FW_UNUSED(state);
    static const int dims[][2] = {{512, 60}, {512, 512}, {100, 30}, {67, 67}, {64, 8}};
    for (size_t d = 0; d < FW_COUNT(dims); d++) {
        uint16_t *h = people(1111, dims[d][0], dims[d][1], 3 + d);
        fw_vectors *v = fw_vectors_wrap(h, 1111, dims[d][0], NULL);
        for (const char *const *k = fw_knn_kernels(); *k; k++)
            check_self(v, (fw_knn_opts){.method = "exact", .k = 12, .kernel = *k}, NULL);
        fw_vectors_free(v);
        fw_free(h);
    }
}

/* n rows that all point much the same way: so close that int8's usual 2 k + 32 candidates certify few of them. */
static uint16_t *a_bundle(size_t n, int dim)
{
    uint16_t *h = fw_alloc(n * (size_t)dim, sizeof *h);
    fw_rng rng = {21};
    float x[WIDE];
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < dim; c++) x[c] = (float)fw_rng_normal(&rng) + (c == 0 ? 20.0f : 0);
        fw_normalise(x, dim);
        fw_float_to_half(x, h + i * (size_t)dim, (size_t)dim);
    }
    return h;
}

/* As many candidates are kept as a sample needs. */
static void rows_are_certified_at_once(void **state)
{
    FW_UNUSED(state);
    enum { N = 12000, DIM = 128 };
    uint16_t *h = a_bundle(N, DIM);
    fw_vectors *v = fw_vectors_wrap(h, N, DIM, NULL);
    for (const char *const *kernel = fw_knn_kernels(); *kernel; kernel++)
        for (int k = 1; k < 10; k += 4) {
            fw_knn_report r;
            fw_graph *g = build(v, (fw_knn_opts){.method = "exact", .k = k, .kernel = *kernel}, &r);
            if (r.certified < 0.96 * N) fail_msg("%s, k %d: %zu of %d", *kernel, k, r.certified, N);
            for (size_t i = 0; i < N; i += 500) check_row(g, i, v, v, i, NULL, (size_t)k);
            fw_graph_free(g);
        }
    fw_vectors_free(v);
    fw_free(h);
}

/* Where memory holds lists of the usual length, but not of the wanted one, the symmetric join goes with those, and more
 * rows are redone; where it holds not even these, rows go block by block with lists as long as wanted. */
static void lists_fit_into_memory(void **state)
{
    FW_UNUSED(state);
    enum { N = 12000, DIM = 128, K = 5 };
    uint16_t *h = a_bundle(N, DIM);
    fw_vectors *v = fw_vectors_wrap(h, N, DIM, NULL);
    for (const char *const *kernel = fw_knn_kernels(); *kernel; kernel++) {
        const uint32_t usual = fw_search_keep(fw_kernel_find(*kernel), K);
        const size_t memory[] = {(size_t)4 << 30, N * (fw_list_cap(usual) * sizeof(uint64_t) + 8), 1000};
        fw_knn_report r[3];
        fw_graph *g[3];
        for (int i = 0; i < 3; i++)
            g[i] = build(v, (fw_knn_opts){.method = "exact", .k = K, .kernel = *kernel, .memory = memory[i]}, &r[i]);
        same_graph(g[0], g[1]);
        same_graph(g[0], g[2]);
        assert_true(r[0].certified > 0.96 * N && r[2].certified > 0.96 * N);
        if (strstr(*kernel, "int8")) assert_true(r[1].certified < 0.9 * N);
        for (int i = 0; i < 3; i++) fw_graph_free(g[i]);
    }
    fw_vectors_free(v);
    fw_free(h);
}

static void memory_threads_and_chunks_do_not_change_it(void **state)
{
    FW_UNUSED(state);
    size_t n = 2500, rows[3] = {1000, 0, 1500};
    uint16_t *h = people(n, 128, 40, 9);
    const uint16_t *chunk[3] = {h, h, h + 1000 * 128};
    fw_vectors *v = fw_vectors_wrap(h, n, 128, NULL), *w = fw_vectors_chunks(chunk, rows, 3, 128, NULL);
    fw_graph *one, *g;
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    one = build(v, (fw_knn_opts){.method = "exact", .k = 20}, NULL);
    omp_set_num_threads(4);
    g = build(w, (fw_knn_opts){.method = "exact", .k = 20}, NULL);
    same_graph(one, g);
    fw_graph_free(g);
    g = build(v, (fw_knn_opts){.method = "exact", .k = 20, .memory = 1000},
              NULL); /* too little for the symmetric join */
    same_graph(one, g);
    fw_graph_free(g);
    omp_set_num_threads(threads);
    fw_graph_free(one);
    fw_vectors_free(v), fw_vectors_free(w);
    fw_free(h);
}

static void unusable_rows_take_part_in_nothing(void **state)
{
    FW_UNUSED(state);
    size_t n = 700;
    uint16_t *h = people(n, 64, 20, 5);
    uint8_t *valid = FW_ARRAY(uint8_t, n), *usable = FW_ARRAY(uint8_t, n);
    memset(valid, 1, n);
    memset(usable, 1, n);
    for (size_t i = 0; i < n; i += 13) valid[i] = usable[i] = 0; /* said to be invalid, though not zero */
    memset(h + 5 * 64, 0, 64 * 2), usable[5] = 0;                /* zero, though said to be valid */
    h[9 * 64 + 3] = 0x7C00, usable[9] = 0;                       /* infinite */
    h[n * 64 - 1] = 0x7E01, usable[n - 1] = 0;                   /* NaN */
    for (int c = 0; c < 64; c++) h[17 * 64 + c] |= 0x8000;       /* an odd but usable row */
    fw_vectors *v = fw_vectors_wrap(h, n, 64, valid);
    for (const char *const *k = fw_knn_kernels(); *k; k++)
        check_self(v, (fw_knn_opts){.method = "exact", .k = 16, .kernel = *k}, usable);
    /* an index whose codes do not hold a zero returns rows that were added as zeros */
    fw_graph *g = build(v, (fw_knn_opts){.method = "faiss", .factory = "SQ8", .k = 650}, NULL);
    for (size_t i = 0; i < n; i++) {
        assert_true(usable[i] || g->off[i] == g->off[i + 1]);
        for (uint64_t a = g->off[i]; a < g->off[i + 1]; a++) assert_true(usable[g->id[a]]);
    }
    fw_graph_free(g);
    fw_vectors_free(v);
    fw_free(h), fw_free(valid), fw_free(usable);
}

static void ties_go_to_the_smaller_id(void **state)
{
    FW_UNUSED(state);
    size_t n = 900; /* three different photos, 300 copies of each: nothing can be certified, all is decided by id */
    uint16_t *h = people(n, 64, 30, 8);
    for (size_t i = 3; i < n; i++) memcpy(h + i * 64, h + i % 3 * 64, 64 * 2);
    fw_vectors *v = fw_vectors_wrap(h, n, 64, NULL);
    for (const char *const *k = fw_knn_kernels(); *k; k++)
        check_self(v, (fw_knn_opts){.method = "exact", .k = 10, .kernel = *k}, NULL);
    fw_vectors_free(v);
    fw_free(h);
}

static void tiny_sets_work(void **state)
{
    FW_UNUSED(state);
    uint16_t *h = people(40, 64, 20, 2);
    for (size_t n = 0; n <= 40; n += n < 4 ? 1 : 9) {
        fw_vectors *v = fw_vectors_wrap(h, n, 64, NULL);
        check_self(v, (fw_knn_opts){.method = "auto", .k = 12}, NULL);
        check_self(v, (fw_knn_opts){.method = "ivf", .k = 12}, NULL);
        fw_vectors_free(v);
    }
    fw_free(h);
}

static void unnormalised_rows_are_exact_too(void **state)
{
    FW_UNUSED(state);
    size_t n = 600;
    uint16_t *h = people(n, 96, 30, 12);
    float x[96];
    for (size_t i = 0; i < n; i++) {
        fw_half_to_float(h + i * 96, x, 96);
        for (int c = 0; c < 96; c++) x[c] *= 0.25f + (float)(i % 50);
        fw_float_to_half(x, h + i * 96, 96);
    }
    fw_vectors *v = fw_vectors_wrap(h, n, 96, NULL);
    for (const char *const *k = fw_knn_kernels(); *k; k++)
        check_self(v, (fw_knn_opts){.method = "exact", .k = 7, .kernel = *k}, NULL);
    fw_vectors_free(v);
    fw_free(h);
}

static void cross_finds_the_true_rows(void **state)
{
    FW_UNUSED(state);
    uint16_t *h = people(1500, 128, 40, 21);
    fw_vectors *probe = fw_vectors_wrap(h, 203, 128, NULL), *gallery = fw_vectors_wrap(h + 203 * 128, 1297, 128, NULL);
    for (const char *const *k = fw_knn_kernels(); *k; k++) {
        fw_err e = {0};
        fw_graph *g;
        assert_int_equal(fw_knn_cross(probe, gallery, &(fw_knn_opts){.k = 9, .kernel = *k}, &g, &e), FW_OK);
        for (size_t p = 0; p < probe->n; p++) check_row(g, p, probe, gallery, SIZE_MAX, NULL, 9);
        fw_graph_free(g);
    }
    fw_vectors_free(probe), fw_vectors_free(gallery);
    fw_free(h);
}

static double recall10(const fw_graph *g, const fw_graph *truth)
{
    size_t same = 0, total = 0;
    for (size_t i = 0; i < truth->n; i++)
        for (uint64_t a = truth->off[i]; a < truth->off[i] + 10; a++, total++)
            for (uint64_t b = g->off[i]; b < g->off[i + 1]; b++) same += g->id[b] == truth->id[a];
    return (double)same / (double)total;
}

static void ivf_meets_its_floor_and_says_so(void **state)
{
    FW_UNUSED(state);
    size_t n = 6000;
    uint16_t *h = people(n, 64, 5, 33); /* few dimensions: lists mean something */
    fw_vectors *v = fw_vectors_wrap(h, n, 64, NULL);
    fw_graph *truth = build(v, (fw_knn_opts){.method = "exact", .k = 10}, NULL), *int8 = NULL;
    for (const char *const *k = fw_knn_kernels(); *k; k++) {
        fw_knn_report r;
        const fw_knn_opts o = {.method = "ivf", .k = 10, .recall_floor = 0.95, .kernel = *k};
        omp_set_num_threads(1);
        fw_graph *g = build(v, o, &r), *again = NULL;
        omp_set_num_threads(3);
        same_graph(g, again = build(v, o, &r));
        fw_graph_free(again);
        double true_recall = recall10(g, truth);
        assert_string_equal(r.method, "ivf");
        assert_true(r.probes < r.lists / 3);
        assert_true(true_recall > 0.94);
        assert_true(fabs(true_recall - r.recall10) < 0.02);
        assert_int_equal(r.floor_met, r.recall10 >= 0.95);
        if (strstr(*k, "int8") && int8) same_graph(int8, g); /* whole numbers have one sum */
        if (strstr(*k, "int8") && !int8)
            int8 = g;
        else
            fw_graph_free(g);
    }
    omp_set_num_threads(2);
    fw_graph_free(int8), fw_graph_free(truth);
    fw_vectors_free(v);
    fw_free(h);
}

/* Easy people first, hard ones after them: what is learned from the sample must hold for both. */
static void ivf_learns_from_all_of_the_set(void **state)
{
    FW_UNUSED(state);
    enum { N = 6000, DIM = 64 };
    uint16_t *h = people(N, DIM, 10, 61), *easy = people(N / 2, DIM, 2, 62);
    memcpy(h, easy, N / 2 * DIM * sizeof *h);
    fw_vectors *v = fw_vectors_wrap(h, N, DIM, NULL);
    fw_knn_report r;
    fw_graph *truth = build(v, (fw_knn_opts){.method = "exact", .k = 10}, NULL);
    fw_graph *g = build(v, (fw_knn_opts){.method = "ivf", .k = 10, .recall_floor = 0.97}, &r);
    assert_string_equal(r.method, "ivf");
    assert_true(recall10(g, truth) > 0.965);
    assert_true(fabs(recall10(g, truth) - r.recall10) < 0.01);
    fw_graph_free(g), fw_graph_free(truth);
    fw_vectors_free(v);
    fw_free(h), fw_free(easy);
}

/* The k nearest of w's rows for row p of v, as a set: each of `id` once, none below the k-th of a plain sort. */
static void check_set(const fw_vectors *v, size_t p, const fw_vectors *w, const uint32_t *id, size_t k)
{
    float a[WIDE], b[WIDE];
    uint64_t *key = FW_ARRAY(uint64_t, w->n);
    uint8_t *in = FW_ARRAY(uint8_t, w->n);
    fw_vectors_get(v, p, a);
    for (size_t j = 0; j < w->n; j++) {
        fw_vectors_get(w, j, b);
        key[j] = fw_key(fw_dot(a, b, v->dim), (uint32_t)j);
    }
    qsort(key, w->n, sizeof *key, by_sim);
    for (size_t i = 0; i < k; i++) in[fw_key_id(key[i])] = 1;
    for (size_t i = 0; i < k; i++) {
        assert_true(id[i] < w->n && in[id[i]]);
        in[id[i]] = 0;
    }
    fw_free(key), fw_free(in);
}

/* With copies among w's rows, so that ties straddle the edge of a set. */
static void nearest_sets_are_the_true_sets(void **state)
{
    FW_UNUSED(state);
    enum { N = 700, M = 900, DIM = 96 };
    static const size_t sizes[] = {1, 13, 157, M - 1, M};
    uint16_t *a = people(N, DIM, 40, 51), *b = people(M, DIM, 40, 52);
    for (size_t i = 0; i < M; i += 3) memcpy(b + i * DIM, b + (i / 9 * 9) * DIM, DIM * sizeof *b);
    fw_vectors *v = fw_vectors_wrap(a, N, DIM, NULL), *w = fw_vectors_wrap(b, M, DIM, NULL);
    uint32_t *wrow = fw_iota(M), pick[N / 7];
    for (size_t i = 0; i < FW_COUNT(pick); i++) pick[i] = (uint32_t)(i * 7);
    for (const char *const *name = fw_knn_kernels(); *name; name++)
        for (size_t c = 0; c < FW_COUNT(sizes); c++) {
            const size_t k = sizes[c];
            fw_err e = {0};
            uint32_t *id;
            fw_quant *q = fw_quant_new(w, wrow, M, fw_kernel_find(*name), 1);
            fw_pack *p = fw_pack_new(v, pick, FW_COUNT(pick), q), *g = fw_pack_new(w, wrow, M, q);
            fw_pack_meet(p, g);
            fw_nearest n = {.v = v, .w = w, .row = pick, .wrow = wrow, .p = p, .g = g, .k = (uint32_t)k};
            assert_int_equal(fw_search_nearest(&n, &id, &e), FW_OK);
            for (size_t i = 0; i < FW_COUNT(pick); i++) check_set(v, pick[i], w, id + i * k, k);
            fw_free(id);
            fw_pack_free(p), fw_pack_free(g);
            fw_quant_free(q);
        }
    fw_vectors_free(v), fw_vectors_free(w);
    fw_free(a), fw_free(b), fw_free(wrow);
}

/* A graph by a plan whose rows meet everybody, every second class panel by panel, the others list by list but for the
 * furthest. */
static fw_graph *visit_all(const fw_vectors *v, uint32_t k, const char *kernel, size_t *certified)
{
    fw_err e = {0};
    fw_ivf_plan plan;
    uint32_t *row = fw_iota(v->n), *got = FW_ARRAY(uint32_t, v->n);
    uint64_t *off = FW_ARRAY(uint64_t, v->n + 1);
    for (size_t i = 0; i <= v->n; i++) off[i] = i * k;
    fw_quant *q = fw_quant_new(v, row, v->n, fw_kernel_find(kernel), 1);
    fw_search s = {.probe_v = v, .gallery_v = v, .self = true, .k = k, .off = off};
    s.id = FW_ARRAY(uint32_t, v->n * k);
    s.sim = FW_ARRAY(float, v->n *k);
    assert_int_equal(fw_ivf_plan_make(v, row, v->n, q, 1, 0.9, &plan, &e), FW_OK);
    for (size_t b = 0; b < FW_IVF_BINS; b++) plan.probes[b] = (uint32_t)(plan.lists - b % 2);
    assert_int_equal(fw_ivf_search(&plan, &s, row, v->n, q, got, certified, &e), FW_OK);
    for (size_t i = 0; i < v->n; i++) assert_int_equal(got[i], k);
    fw_ivf_plan_free(&plan);
    fw_quant_free(q);
    fw_free(row), fw_free(got);
    return fw_graph_new(v->n, off, s.id, s.sim);
}

/* Every tenth row is one of 600 near copies of one photo, more than any list of candidates holds: such rows cannot be
 * certified at once. */
static void rows_that_visit_all_lists_find_the_true_graph(void **state)
{
    FW_UNUSED(state);
    enum { N = 6000, DIM = 64 };
    uint16_t *h = people(N, DIM, 20, 71);
    float x[DIM];
    fw_rng rng = {5};
    for (size_t i = 0; i < N; i += 10) {
        fw_half_to_float(h, x, DIM);
        for (int c = 0; c < DIM; c++) x[c] += 0.0005f * (float)fw_rng_normal(&rng);
        fw_float_to_half(x, h + i * DIM, DIM);
    }
    fw_vectors *v = fw_vectors_wrap(h, N, DIM, NULL);
    fw_graph *truth = build(v, (fw_knn_opts){.method = "exact", .k = 16}, NULL);
    for (const char *const *k = fw_knn_kernels(); *k; k++) {
        size_t certified = 0;
        fw_graph *g = visit_all(v, 16, *k, &certified);
        same_graph(g, truth);
        if (strstr(*k, "int8")) assert_in_range(certified, 1, N - N / 20);
        fw_graph_free(g);
    }
    fw_graph_free(truth);
    fw_vectors_free(v);
    fw_free(h);
}

/* Every ninth row is alone: its nearest strangers may be in any list. */
static void lone_rows_meet_everybody_and_others_visit_few_lists(void **state)
{
    FW_UNUSED(state);
    enum { N = 6000, DIM = 64 };
    fw_err e = {0};
    fw_ivf_plan plan;
    fw_rng rng = {7};
    uint16_t *h = people(N, DIM, 5, 81);
    float x[DIM];
    for (size_t i = 3; i < N; i += 9) {
        for (int c = 0; c < DIM; c++) x[c] = (float)fw_rng_normal(&rng);
        fw_normalise(x, DIM);
        fw_float_to_half(x, h + i * DIM, DIM);
    }
    fw_vectors *v = fw_vectors_wrap(h, N, DIM, NULL);
    uint32_t *row = fw_iota(N);
    size_t alone = 0, scan = 0;
    fw_quant *q = fw_quant_new(v, row, N, fw_kernel_find(NULL), 1);
    assert_int_equal(fw_ivf_plan_make(v, row, N, q, 1, 0.98, &plan, &e), FW_OK);
    for (size_t i = 0; i < N; i++) {
        const bool all = plan.probes[plan.bin[i]] == plan.lists;
        alone += i % 9 == 3 && all;
        scan += all;
    }
    assert_in_range(alone, N / 10, N / 9 + 1); /* nearly all of them, */
    assert_in_range(scan, alone, N / 6);       /* and few others */
    assert_true(plan.recall10 > 0.97);
    fw_ivf_plan_free(&plan);
    fw_quant_free(q);
    fw_vectors_free(v);
    fw_free(row), fw_free(h);
}

/* The k nearest of w's rows for row p of v, in any order: k different ones. Returns the share that is right. */
static double share_right(const fw_vectors *v, size_t p, const fw_vectors *w, const uint32_t *near, size_t k)
{
    float a[WIDE], b[WIDE];
    uint64_t *key = FW_ARRAY(uint64_t, w->n);
    uint8_t *in = FW_ARRAY(uint8_t, w->n);
    size_t right = 0;
    fw_vectors_get(v, p, a);
    for (size_t j = 0; j < w->n; j++) {
        fw_vectors_get(w, j, b);
        key[j] = fw_key(fw_dot(a, b, v->dim), (uint32_t)j);
    }
    qsort(key, w->n, sizeof *key, by_sim);
    for (size_t j = 0; j < k; j++) {
        assert_true(near[j] < w->n && !in[near[j]]);
        in[near[j]] = 1;
    }
    for (size_t j = 0; j < k; j++) right += in[fw_key_id(key[j])];
    fw_free(key), fw_free(in);
    return (double)right / (double)k;
}

/* Mean share of the right lists; `rows` are asked for at once, more than a block. */
static double near_lists(const fw_vectors *v, const fw_vectors *w, const char *kernel, uint32_t k)
{
    const size_t rows = v->n;
    uint32_t *row = fw_iota(rows), *wrow = fw_iota(w->n), *out = FW_ARRAY(uint32_t, rows * k);
    size_t *at = FW_ARRAY(size_t, rows);
    fw_quant *q = fw_quant_new(w, wrow, w->n, fw_kernel_find(kernel), 1);
    fw_pack *p = fw_pack_new(v, row, rows, q), *g = fw_pack_new(w, wrow, w->n, q);
    fw_pack_meet(p, g);
    const fw_search s = {.probe_v = v, .probe_row = row, .probe = p};
    fw_near n;
    for (size_t i = 0; i < rows; i++) at[i] = i * k;
    fw_near_init(&n, &s, g);
    fw_near_lists(&n, row, rows, k, at, out);
    double sum = 0;
    for (size_t i = 0; i < rows; i += 37) sum += share_right(v, i, w, out + at[i], k);
    fw_near_free(&n);
    fw_pack_free(p), fw_pack_free(g);
    fw_quant_free(q);
    fw_free(row), fw_free(wrow), fw_free(at), fw_free(out);
    return sum / (double)((rows + 36) / 37);
}

/* By score: wrong only at the margin, by what a kernel rounds. In the second set the nearest all lie in the panels that
 * an estimate is made from, so that it promises more than there is. */
static void near_lists_are_the_nearest(void **state)
{
    FW_UNUSED(state);
    enum { N = 700, M = 3200, DIM = 64 };
    static const uint32_t many[] = {1, 16, 500, M - 1, M};
    uint16_t *a = people(N, DIM, 20, 91), *b = people(M, DIM, 20, 92);
    fw_vectors *v = fw_vectors_wrap(a, N, DIM, NULL), *w = fw_vectors_wrap(b, M, DIM, NULL);
    for (const char *const *name = fw_knn_kernels(); *name; name++) {
        const size_t nr = (size_t)fw_kernel_find(*name)->nr;
        for (size_t c = 0; c < FW_COUNT(many); c++) assert_true(near_lists(v, w, *name, many[c]) > 0.97);
        uint16_t *odd = memcpy(FW_ARRAY(uint16_t, M * DIM), b, M * DIM * sizeof *b);
        for (size_t i = 0; i < M; i++)
            if (i / nr % 16 == 0) memcpy(odd + i * DIM, a + i % N * DIM, DIM * sizeof *odd);
        fw_vectors *o = fw_vectors_wrap(odd, M, DIM, NULL);
        assert_true(near_lists(v, o, *name, 500) > 0.97);
        fw_vectors_free(o);
        fw_free(odd);
    }
    fw_vectors_free(v), fw_vectors_free(w);
    fw_free(a), fw_free(b);
}

static void ivf_gives_way_to_exact_where_lists_do_not_help(void **state)
{
    FW_UNUSED(state);
    uint16_t *h = people(6000, 128, 128, 34);
    fw_vectors *v = fw_vectors_wrap(h, 6000, 128, NULL);
    fw_knn_report r;
    fw_graph *g = build(v, (fw_knn_opts){.method = "ivf", .k = 10, .recall_floor = 0.999}, &r);
    assert_string_equal(r.method, "exact");
    assert_non_null(strstr(r.why, "lists"));
    fw_graph_free(g);
    fw_vectors_free(v);
    fw_free(h);
}

static void faiss_method_re_scores_and_reports(void **state)
{
    FW_UNUSED(state);
    size_t n = 2000;
    uint16_t *h = people(n, 64, 20, 40);
    fw_vectors *v = fw_vectors_wrap(h, n, 64, NULL);
    fw_knn_report r;
    fw_graph *truth = build(v, (fw_knn_opts){.method = "exact", .k = 10}, NULL);
    fw_graph *g = build(v, (fw_knn_opts){.method = "faiss", .k = 10, .factory = "IVF16,PQ4", .recall_floor = 0.9}, &r);
    assert_true(fabs(recall10(g, truth) - r.recall10) < 0.05);
    assert_true(r.recall10 < 0.9); /* codes so short that all 16 lists do not help */
    assert_int_equal(r.probes, 16);
    assert_false(r.floor_met);
    fw_graph_free(g);
    g = build(v, (fw_knn_opts){.method = "faiss", .k = 10, .factory = "IVF16,Flat", .recall_floor = 0.9}, &r);
    assert_true(r.floor_met && r.recall10 >= 0.9);
    assert_true(r.probes > 1 && r.probes < 16); /* one list is too few, all are not needed */
    assert_true(fabs(recall10(g, truth) - r.recall10) < 0.05);
    for (size_t i = 0; i < n; i++)
        for (uint64_t a = g->off[i]; a + 1 < g->off[i + 1]; a++)
            assert_true(fw_key(g->sim[a], g->id[a]) > fw_key(g->sim[a + 1], g->id[a + 1]));
    fw_graph_free(g), fw_graph_free(truth);
    fw_vectors_free(v);
    fw_free(h);
}

static void wrong_options_are_refused(void **state)
{
    FW_UNUSED(state);
    uint16_t *h = people(10, 64, 20, 2);
    fw_vectors *v = fw_vectors_wrap(h, 10, 64, NULL), *w = fw_vectors_wrap(h, 5, 128, NULL);
    static const struct {
        fw_knn_opts o;
        const char *text;
    } bad[] = {{{.method = "guess"}, "'guess'"}, {{.k = -1}, "k = -1"},
               {{.k = 100000}, "k = 100000"},    {{.kernel = "abacus"}, "'abacus'"},
               {{.recall_floor = 1.5}, "1.5"},   {{.method = "faiss", .factory = "Nonsense"}, "Nonsense"}};
    for (size_t i = 0; i < FW_COUNT(bad); i++) {
        fw_err e = {0};
        fw_graph *g;
        assert_int_not_equal(fw_knn_build(v, &bad[i].o, &g, NULL, &e), FW_OK);
        assert_null(g);
        assert_non_null(strstr(e.msg, bad[i].text));
    }
    fw_err e = {0};
    fw_graph *g;
    assert_int_equal(fw_knn_cross(v, w, NULL, &g, &e), FW_EUSAGE);
    fw_vectors_free(v), fw_vectors_free(w);
    fw_free(h);
}

/* Every score of `count` rows and all columns of g: score[i * columns + j], by blocks without thresholds. */
static void all_scores(fw_block *b, const fw_pack *g, size_t columns, float *score)
{
    const size_t nr = (size_t)g->q->kern->nr;
    for (size_t i = 0; i < b->count; i++) b->row_min[i] = -INFINITY;
    for (size_t panel = 0; panel < g->panels; panel++) {
        const size_t hits = fw_block_score(b, g, panel);
        for (size_t h = 0; h < hits; h++)
            score[fw_hit_row(b, h) * columns + panel * nr + fw_hit_col(b, h)] = b->strip.score[h];
    }
}

static float some_threshold(fw_rng *rng, const float *score, size_t columns)
{
    const float of_score = score[fw_rng_below(rng, columns)];
    const float any[] = {-INFINITY, INFINITY, 0, -of_score, of_score, nextafterf(of_score, INFINITY)};
    return any[fw_rng_below(rng, FW_COUNT(any))];
}

/* With thresholds a kernel finds what reaches them, no less and no more. */
static void check_thresholds(const fw_vectors *v, const char *kernel, size_t rows)
{
    const size_t columns = v->n;
    uint32_t *row = fw_iota(columns);
    float *score = FW_ARRAY(float, rows *columns);
    fw_rng rng = {7};
    fw_quant *q = fw_quant_new(v, row, columns, fw_kernel_find(kernel), 1);
    fw_pack *p = fw_pack_new(v, row, columns, q);
    fw_block b;
    fw_pack_meet(p, p);
    fw_block_init(&b, p);
    fw_block_load(&b, p, row, rows);
    all_scores(&b, p, columns, score);
    for (int round = 0; round < 20; round++) {
        size_t found = 0, right = 0, wanted = 0;
        for (size_t i = 0; i < rows; i++) b.row_min[i] = some_threshold(&rng, score + i * columns, columns);
        for (size_t i = 0; i < rows * columns; i++) wanted += score[i] >= b.row_min[i / columns];
        for (size_t panel = 0; panel < p->panels; panel++) {
            const size_t hits = fw_block_score(&b, p, panel);
            for (size_t h = 0; h < hits; h++, found++) {
                const size_t i = fw_hit_row(&b, h), j = panel * (size_t)q->kern->nr + fw_hit_col(&b, h);
                right += i < rows && j < columns && b.strip.score[h] == score[i * columns + j] &&
                         b.strip.score[h] >= b.row_min[i];
            }
        }
        assert_int_equal(found, wanted);
        assert_int_equal(right, wanted);
    }
    fw_block_free(&b);
    fw_pack_free(p);
    fw_quant_free(q);
    fw_free(row), fw_free(score);
}

/* Rows of very different lengths, some zero; and of much the same, whose losses are small, in two opposite bundles, so
 * that there are panels without a positive score. */
static void kernels_find_what_reaches_thresholds(void **state)
{
    FW_UNUSED(state);
    enum { ROWS = 77, COLUMNS = 301, DIM = 96 };
    for (int spread = 1; spread < 8; spread += 6) {
        uint16_t *h = spread == 1 ? a_bundle(COLUMNS, DIM) : people(COLUMNS, DIM, 30, 101);
        fw_rng rng = {7};
        for (size_t i = 0; i < COLUMNS; i++) {
            const float side = spread == 1 && i > COLUMNS / 2 ? -1 : 1;
            const float scale =
                spread == 1 || i % 17 ? side * exp2f((float)fw_rng_below(&rng, 8) * (float)spread / 8) : 0;
            float x[DIM];
            fw_half_to_float(h + i * DIM, x, DIM);
            for (int c = 0; c < DIM; c++) x[c] *= scale;
            fw_float_to_half(x, h + i * DIM, DIM);
        }
        fw_vectors *v = fw_vectors_wrap(h, COLUMNS, DIM, NULL);
        for (const char *const *name = fw_knn_kernels(); *name; name++) check_thresholds(v, *name, ROWS);
        fw_vectors_free(v);
        fw_free(h);
    }
}

/* Of all kernels, also those that this CPU cannot run. */
static void blocks_fit_every_kernel(void **state)
{
    FW_UNUSED(state);
    const fw_kernel *k;
    for (size_t i = 0; (k = fw_kernel_at(i)); i++) {
        assert_int_equal(FW_JOIN_ROWS % k->mr, 0);
        assert_int_equal(FW_JOIN_LOCKED % k->nr, 0);
        assert_in_range(k->nr, 1, 64);
    }
}

static void select_and_sort_keep_the_largest(void **state)
{
    FW_UNUSED(state);
    fw_rng rng = {77};
    for (int round = 0; round < 300; round++) {
        uint64_t a[300], b[300];
        size_t n = 1 + fw_rng_below(&rng, 300), k = 1 + fw_rng_below(&rng, n);
        for (size_t i = 0; i < n; i++) /* sorted, reversed and random inputs */
            a[i] = b[i] = round % 3 == 0 ? i : round % 3 == 1 ? n - i : fw_rng_next(&rng) << 9 | i;
        qsort(b, n, sizeof *b, by_sim);
        assert_true(fw_key_select(a, n, k) == b[k - 1]);
        fw_key_sort(a, k);
        assert_memory_equal(a, b, k * sizeof *a);
    }
}

static void keys_keep_order(void **state)
{
    FW_UNUSED(state);
    static const float s[] = {-INFINITY, -2, -1e-30f, 0, 1e-30f, 0.5f, 1, INFINITY};
    for (size_t i = 0; i + 1 < FW_COUNT(s); i++) assert_true(fw_key(s[i], 0) < fw_key(s[i + 1], UINT32_MAX));
    assert_true(fw_key(1, 3) > fw_key(1, 4));
    assert_true(fw_key_score(fw_key(-0.25f, 9)) == -0.25f);
    assert_int_equal(fw_key_id(fw_key(-0.25f, 9)), 9);
}

static void rank_dots_equal_fw_dot(void **state)
{
    FW_UNUSED(state);
    for (int dim = 64; dim < 76; dim++) {
        uint16_t *h = people(30, dim, 20, (uint64_t)dim);
        fw_vectors *v = fw_vectors_wrap(h, 30, dim, NULL);
        uint32_t id[30];
        float query[2 * WIDE], out[30], a[WIDE], b[WIDE];
        for (uint32_t i = 0; i < 30; i++) id[i] = (i * 7) % 30;
        for (size_t n = 0; n <= 30; n++) {
            fw_rank_dots(v, 4, v, id, n, query, out);
            fw_vectors_get(v, 4, a);
            for (size_t i = 0; i < n; i++) {
                fw_vectors_get(v, id[i], b);
                assert_true(out[i] == fw_dot(a, b, dim));
            }
        }
        fw_vectors_free(v);
        fw_free(h);
    }
}

/* Last: a stop request cannot be taken back. */
static void a_stop_request_ends_it(void **state)
{
    FW_UNUSED(state);
    uint16_t *h = people(1500, 64, 20, 2);
    fw_vectors *v = fw_vectors_wrap(h, 1500, 64, NULL);
    fw_stop_request();
    static const char *const method[] = {"exact", "ivf", "faiss"};
    for (size_t m = 0; m < FW_COUNT(method); m++) {
        fw_err e = {0};
        fw_graph *g;
        assert_int_equal(fw_knn_build(v, &(fw_knn_opts){.method = method[m]}, &g, NULL, &e), FW_ESTOP);
        assert_null(g);
    }
    fw_vectors_free(v);
    fw_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_keep_order),
        cmocka_unit_test(kernels_find_what_reaches_thresholds),
        cmocka_unit_test(blocks_fit_every_kernel),
        cmocka_unit_test(select_and_sort_keep_the_largest),
        cmocka_unit_test(rank_dots_equal_fw_dot),
        cmocka_unit_test(every_kernel_finds_the_true_graph),
        cmocka_unit_test(rows_are_certified_at_once),
        cmocka_unit_test(lists_fit_into_memory),
        cmocka_unit_test(memory_threads_and_chunks_do_not_change_it),
        cmocka_unit_test(unusable_rows_take_part_in_nothing),
        cmocka_unit_test(ties_go_to_the_smaller_id),
        cmocka_unit_test(tiny_sets_work),
        cmocka_unit_test(unnormalised_rows_are_exact_too),
        cmocka_unit_test(cross_finds_the_true_rows),
        cmocka_unit_test(ivf_meets_its_floor_and_says_so),
        cmocka_unit_test(ivf_learns_from_all_of_the_set),
        cmocka_unit_test(nearest_sets_are_the_true_sets),
        cmocka_unit_test(rows_that_visit_all_lists_find_the_true_graph),
        cmocka_unit_test(lone_rows_meet_everybody_and_others_visit_few_lists),
        cmocka_unit_test(near_lists_are_the_nearest),
        cmocka_unit_test(ivf_gives_way_to_exact_where_lists_do_not_help),
        cmocka_unit_test(faiss_method_re_scores_and_reports),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(a_stop_request_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
