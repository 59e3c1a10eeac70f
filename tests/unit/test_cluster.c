/* cluster: communities of populations whose people are known; infomap against code lengths worked out by hand. */
#include "../../index/cluster.h"
#include "../../index/knn.h"
#include "../../index/relook.h"
#include "people.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Undirected net from pairs, all weights 1 but the last `weak` ones, which weigh .1. */
static fw_net net_of(size_t n, const uint32_t (*pair)[2], size_t pairs, size_t weak)
{
    fw_net g = {n, FW_ARRAY(uint64_t, n + 1), FW_ARRAY(uint32_t, 2 * pairs), FW_ARRAY(float, 2 * pairs)};
    for (size_t i = 0; i < n; i++) {
        g.off[i + 1] = g.off[i];
        for (size_t k = 0; k < pairs; k++) {
            if (pair[k][0] != i && pair[k][1] != i) continue;
            g.id[g.off[i + 1]] = pair[k][0] == i ? pair[k][1] : pair[k][0];
            g.weight[g.off[i + 1]++] = k + weak < pairs ? 1.0f : 0.1f;
        }
    }
    return g;
}

static const uint32_t triangles[7][2] = {{0, 1}, {0, 2}, {1, 2}, {3, 4}, {3, 5}, {4, 5}, {2, 3}};

static void code_length_is_that_of_the_paper(void **state)
{
    (void)state;
    fw_net g = net_of(6, triangles, 7, 0);
    /* one module: the entropy of the visiting rates 2/14 (four times) and 3/14 (twice) */
    uint32_t one[6] = {0}, two[6] = {0, 0, 0, 1, 1, 1};
    double h = -4 * (2. / 14) * log2(2. / 14) - 2 * (3. / 14) * log2(3. / 14);
    assert_true(fabs(fw_infomap_length(&g, one) - h) < 1e-9);
    /* two: index book 2/14 x 1 bit; each module book is used 1/2 + 1/14 of the time, with words 2,2,3 and exit 1 of 8
     */
    double book = -2 * (2. / 8) * log2(2. / 8) - (3. / 8) * log2(3. / 8) - (1. / 8) * log2(1. / 8);
    assert_true(fabs(fw_infomap_length(&g, two) - (2. / 14 + 2 * (8. / 14) * book)) < 1e-9);
    fw_net_free(&g);
}

static void infomap_finds_triangles_and_never_lengthens_the_code(void **state)
{
    (void)state;
    fw_net g = net_of(6, triangles, 7, 1);
    uint32_t module[6], apart[6] = {0, 1, 2, 3, 4, 5}, one[6] = {0};
    size_t count;
    fw_err e = {0};
    for (uint64_t seed = 1; seed < 6; seed++) {
        assert_int_equal(fw_infomap(&g, seed, module, &count, &e), FW_OK);
        assert_int_equal(count, 2);
        for (int i = 0; i < 6; i++) assert_int_equal(module[i], i / 3);
    }
    assert_true(fw_infomap_length(&g, module) < fw_infomap_length(&g, apart));
    assert_true(fw_infomap_length(&g, module) < fw_infomap_length(&g, one));
    fw_net_free(&g);
}

/* 200 people with 1, 2, 3 .. 12 photos and one with 150: row i's person in who[i]. */
enum { PERSONS = 200, BIG = 150, MOST = PERSONS * 12 + BIG };

typedef struct crowd {
    uint16_t half[MOST * PEOPLE_DIM];
    uint32_t who[MOST];
    size_t n;
    fw_vectors *v;
    fw_graph *g;
    fw_calib calib;
} crowd;

static crowd *crowd_new(double noise)
{
    crowd *c = FW_NEW(crowd);
    fw_rng r = {11};
    fw_err e = {0};
    for (uint32_t p = 0; p < PERSONS; p++)
        for (uint32_t k = 0, photos = p ? 1 + p % 12 : BIG; k < photos; k++, c->n++) {
            people_photo(p, noise, &r, c->half + c->n * PEOPLE_DIM);
            c->who[c->n] = p;
        }
    c->v = fw_vectors_wrap(c->half, c->n, PEOPLE_DIM, NULL);
    assert_int_equal(fw_knn_build(c->v, &(fw_knn_opts){.k = 64}, &c->g, NULL, &e), FW_OK);
    fw_cluster_calibrate(&c->calib, c->v, 1);
    return c;
}

static void crowd_free(crowd *c)
{
    fw_vectors_free(c->v);
    fw_graph_free(c->g);
    fw_free(c);
}

/* Pairs of rows in one cluster: precision and recall. */
static void pair_scores(const crowd *c, const int32_t *id, double *precision, double *recall)
{
    double both = 0, found = 0, truth = 0;
    for (size_t i = 0; i < c->n; i++)
        for (size_t j = i + 1; j < c->n; j++) {
            bool t = c->who[i] == c->who[j], f = id[i] >= 0 && id[i] == id[j];
            both += t && f;
            found += f;
            truth += t;
        }
    *precision = found > 0 ? both / found : 1;
    *recall = both / truth;
}

static void people_are_found_without_labels(void **state)
{
    const crowd *c = *state;
    fw_err e = {0};
    int32_t id[MOST];
    double p, r;
    for (enum fw_cluster_method m = FW_CLUSTER_INFOMAP; m <= FW_CLUSTER_COMPONENTS; m++) {
        fw_cluster_opts o = fw_cluster_defaults(&c->calib, c->n);
        fw_cluster_report report;
        o.method = m;
        assert_int_equal(fw_cluster_run(c->v, c->g, &o, id, &report, &e), FW_OK);
        pair_scores(c, id, &p, &r);
        assert_true(p > 0.995 && r > 0.98);
        assert_int_equal(report.largest, BIG);
        int32_t top = -1;
        for (size_t i = 0; i < c->n; i++) { /* numbered by first member */
            assert_true(id[i] <= top + 1);
            if (id[i] > top) top = id[i];
        }
        assert_int_equal(top + 1, report.clusters);
    }
}

static void a_lone_photo_is_alone(void **state)
{
    const crowd *c = *state;
    fw_err e = {0};
    int32_t id[MOST];
    size_t single = 0, alone = 0;
    fw_cluster_opts o = fw_cluster_defaults(&c->calib, c->n);
    assert_int_equal(fw_cluster_run(c->v, c->g, &o, id, NULL, &e), FW_OK);
    for (size_t i = 0; i < c->n; i++) {
        bool lone = c->who[i] && c->who[i] % 12 == 0;
        single += lone;
        alone += lone && id[i] == -1;
    }
    assert_int_equal(single, 16);
    assert_true(alone >= 15);
}

/* With noisier photos many edges fall under the threshold; centroids bring the pieces together. */
static void joining_finds_what_edges_miss(void **state)
{
    (void)state;
    crowd *c = crowd_new(0.75);
    fw_err e = {0};
    int32_t id[MOST];
    double p0, r0, p1, r1;
    fw_cluster_opts o = fw_cluster_defaults(&c->calib, c->n);
    o.threshold = 0.72, o.once = true;
    double join = o.join;
    o.join = 2;
    assert_int_equal(fw_cluster_run(c->v, c->g, &o, id, NULL, &e), FW_OK);
    pair_scores(c, id, &p0, &r0);
    o.join = join;
    assert_int_equal(fw_cluster_run(c->v, c->g, &o, id, NULL, &e), FW_OK);
    pair_scores(c, id, &p1, &r1);
    assert_true(r1 > r0 + 0.1 && p1 > 0.99 && r1 > 0.9);
    crowd_free(c);
}

/* Every third photo is a hard one: noisier, and drawn towards one direction, whoever it shows. */
static void harden(crowd *c, float pull, float noise)
{
    fw_err e = {0};
    fw_rng r = {12};
    float x[PEOPLE_DIM];
    for (size_t i = 0; i < c->n; i += 3) {
        fw_half_to_float(c->half + i * PEOPLE_DIM, x, PEOPLE_DIM);
        for (int d = 0; d < PEOPLE_DIM; d++)
            x[d] += ((d % 2 ? pull : -pull) + noise * (float)fw_rng_normal(&r)) / sqrtf(PEOPLE_DIM);
        fw_normalise(x, PEOPLE_DIM);
        fw_float_to_half(x, c->half + i * PEOPLE_DIM, PEOPLE_DIM);
    }
    fw_graph_free(c->g);
    assert_int_equal(fw_knn_build(c->v, &(fw_knn_opts){.k = 64}, &c->g, NULL, &e), FW_OK);
    fw_cluster_calibrate(&c->calib, c->v, 1);
}

static void a_second_look_knows_hard_photos(void **state)
{
    (void)state;
    crowd *c = crowd_new(0.6);
    fw_err e = {0};
    int32_t id[MOST];
    double p[2], r[2];
    harden(c, 0.5f, 0.8f);
    fw_cluster_opts o = fw_cluster_defaults(&c->calib, c->n);
    for (int looks = 1; looks <= 2; looks++) {
        fw_cluster_report report;
        o.once = looks == 1;
        assert_int_equal(fw_cluster_run(c->v, c->g, &o, id, &report, &e), FW_OK);
        pair_scores(c, id, &p[looks - 1], &r[looks - 1]);
        assert_int_equal(report.looks, looks);
        assert_true(looks == 1 ? report.explained == 0 : report.explained > 0.1);
    }
    assert_true(p[1] > 0.995 && r[1] > r[0] + 0.1);
    crowd_free(c);
}

static void same_ids_for_any_thread_count(void **state)
{
    const crowd *c = *state;
    fw_err e = {0};
    int32_t one[MOST], three[MOST];
    fw_cluster_opts o = fw_cluster_defaults(&c->calib, c->n);
    int before = omp_get_max_threads();
    omp_set_num_threads(1);
    fw_cluster_report report;
    assert_int_equal(fw_cluster_run(c->v, c->g, &o, one, &report, &e), FW_OK);
    assert_int_equal(report.looks, 2);
    omp_set_num_threads(3);
    assert_int_equal(fw_cluster_run(c->v, c->g, &o, three, NULL, &e), FW_OK);
    omp_set_num_threads(before);
    assert_memory_equal(one, three, c->n * sizeof *one);
}

/* Two persons, one the opposite of the other, and somebody at right angles to both, whose edges weigh nothing. */
static void an_edge_without_weight_joins_nobody(void **state)
{
    (void)state;
    enum { EACH = 32, N = 2 * EACH + 1 };
    uint16_t half[N * PEOPLE_DIM];
    float x[PEOPLE_DIM];
    int32_t id[N];
    fw_err e = {0};
    for (size_t i = 0; i < N; i++) {
        memset(x, 0, sizeof x);
        x[i / (N - 1)] = i < EACH || i == N - 1 ? 1 : -1;
        fw_float_to_half(x, half + i * PEOPLE_DIM, PEOPLE_DIM);
    }
    fw_vectors *v = fw_vectors_wrap(half, N, PEOPLE_DIM, NULL);
    fw_graph *g = NULL;
    fw_calib c;
    assert_int_equal(fw_knn_build(v, &(fw_knn_opts){.k = 64}, &g, NULL, &e), FW_OK);
    fw_cluster_calibrate(&c, v, 1);
    fw_cluster_opts o = fw_cluster_defaults(&c, N);
    assert_true(o.threshold <= 0);
    assert_int_equal(fw_cluster_run(v, g, &o, id, NULL, &e), FW_OK);
    for (size_t i = 0; i < 2 * EACH; i++) assert_int_equal(id[i], id[i / EACH * EACH]);
    assert_int_not_equal(id[0], id[EACH]);
    fw_graph_free(g);
    fw_vectors_free(v);
}

static void nothing_in_nothing_out(void **state)
{
    (void)state;
    uint16_t none[PEOPLE_DIM] = {0};
    uint8_t valid[1] = {0};
    fw_err e = {0};
    fw_vectors *v = fw_vectors_wrap(none, 1, PEOPLE_DIM, valid);
    fw_graph *g;
    fw_calib c;
    int32_t id = 5;
    assert_int_equal(fw_knn_build(v, &(fw_knn_opts){.k = 8}, &g, NULL, &e), FW_OK);
    fw_cluster_calibrate(&c, v, 1);
    fw_cluster_opts o = fw_cluster_defaults(&c, 0);
    assert_int_equal(fw_cluster_run(v, g, &o, &id, NULL, &e), FW_OK);
    assert_int_equal(id, -1);
    fw_graph_free(g);
    fw_vectors_free(v);
}

static void thresholds_rise_with_the_set(void **state)
{
    const crowd *c = *state;
    fw_cluster_opts small = fw_cluster_defaults(&c->calib, 1000), large = fw_cluster_defaults(&c->calib, 10000000);
    assert_true(small.threshold < large.threshold && small.join < large.join && small.candidate < large.candidate);
    assert_true(small.candidate < small.join && small.join < small.threshold);
}

static int setup(void **state)
{
    *state = crowd_new(0.5);
    return 0;
}

/* By the embeddings themselves, less their centres. */
static void edges_are_measured_as_if_by_embeddings(void **state)
{
    (void)state;
    enum { N = 60, DIM = 64, CENTRES = FW_RELIABILITY_BINS * DIM };
    fw_rng rng = {3};
    uint16_t *h = fw_alloc(N * DIM, sizeof *h);
    float centre[CENTRES], x[DIM], y[DIM];
    uint8_t bin[N];
    for (size_t c = 0; c < CENTRES; c++) centre[c] = 0.05f * (float)fw_rng_normal(&rng);
    for (size_t i = 0; i < N; i++) {
        for (size_t d = 0; d < DIM; d++) x[d] = (float)fw_rng_normal(&rng);
        fw_normalise(x, DIM);
        fw_float_to_half(x, h + i * DIM, DIM);
        bin[i] = (uint8_t)fw_rng_below(&rng, FW_RELIABILITY_BINS);
    }
    fw_vectors *v = fw_vectors_wrap(h, N, DIM, NULL);
    fw_graph *g = NULL;
    fw_err e = {0};
    assert_int_equal(fw_knn_build(v, &(fw_knn_opts){.k = 20}, &g, NULL, &e), FW_OK);
    fw_relook r = {.learned = {.bin = bin, .centre = centre}, .view = fw_vectors_centred(v, bin, centre)};
    fw_relook_edges(&r, v, g, -1);
    assert_int_equal(r.edges.off[N], g->off[N]);
    for (size_t i = 0; i < N; i++)
        for (uint64_t k = r.edges.off[i]; k < r.edges.off[i + 1]; k++) {
            fw_vectors_get(r.view, i, x);
            fw_vectors_get(r.view, r.edges.id[k], y);
            assert_true(fabs(r.edges.sim[k] - fw_dot(x, y, DIM)) < 1e-5);
            assert_true(k == r.edges.off[i] || r.edges.sim[k] <= r.edges.sim[k - 1]);
        }
    fw_free((void *)r.edges.off), fw_free((void *)r.edges.id), fw_free((void *)r.edges.sim);
    fw_vectors_free(r.view), fw_vectors_free(v);
    fw_graph_free(g);
    fw_free(h);
}

/* More photos than may teach, and only the last clusters hold hard ones, which lean towards a direction of their own:
 * whoever took the first clusters would not know it. */
static void clusters_teach_evenly(void **state)
{
    (void)state;
    enum { DIM = PEOPLE_DIM, EACH = 4, CLUSTERS = 36000, N = EACH * CLUSTERS, HARD_FROM = CLUSTERS * 2 / 3 };
    fw_rng rng = {11};
    uint16_t *h = fw_alloc((size_t)N * DIM, sizeof *h);
    uint32_t *module = FW_ARRAY(uint32_t, N);
    float x[DIM];
    for (size_t i = 0; i < N; i++) {
        module[i] = (uint32_t)(i / EACH);
        people_photo(i / EACH, 0.5, &rng, h + i * DIM);
        if (module[i] < HARD_FROM || i % EACH) continue;
        fw_half_to_float(h + i * DIM, x, DIM);
        for (size_t d = 0; d < DIM; d += 2) x[d] += 0.25f;
        fw_normalise(x, DIM);
        fw_float_to_half(x, h + i * DIM, DIM);
    }
    fw_vectors *v = fw_vectors_wrap(h, N, DIM, NULL);
    fw_relook r;
    assert_true(fw_relook_learn(&r, v, module));
    assert_in_range(r.learned.learned, 32768, 65536);
    size_t known = 0, hard = 0;
    for (size_t i = (size_t)HARD_FROM * EACH; i < N; i += EACH, hard++) known += r.learned.bin[i] == 0;
    assert_true(known > hard * 9 / 10);
    fw_relook_free(&r);
    fw_vectors_free(v);
    fw_free(h), fw_free(module);
}

static int teardown(void **state)
{
    crowd_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_length_is_that_of_the_paper),
        cmocka_unit_test(infomap_finds_triangles_and_never_lengthens_the_code),
        cmocka_unit_test(people_are_found_without_labels),
        cmocka_unit_test(a_lone_photo_is_alone),
        cmocka_unit_test(joining_finds_what_edges_miss),
        cmocka_unit_test(a_second_look_knows_hard_photos),
        cmocka_unit_test(edges_are_measured_as_if_by_embeddings),
        cmocka_unit_test(clusters_teach_evenly),
        cmocka_unit_test(same_ids_for_any_thread_count),
        cmocka_unit_test(an_edge_without_weight_joins_nobody),
        cmocka_unit_test(nothing_in_nothing_out),
        cmocka_unit_test(thresholds_rise_with_the_set),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
