/* reliability: synthetic photos whose embedding shows how hard they are, and ones where it shows nothing. */
#include "index/reliability.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DIM = 64, PEOPLE = 150, EACH = 10, N = PEOPLE * EACH };

typedef struct set {
    uint16_t half[N * DIM];
    uint32_t label[N];
    float target[N], rank[N], hard[N];
    fw_vectors *v;
} set;

/* A hard photo leans by `lean` towards a direction that all hard photos share, and is foretold to fit its person less.
 */
static set *make(double lean)
{
    set *s = FW_NEW(set);
    fw_rng r = {.state = 5};
    float face[DIM], x[DIM];
    for (size_t i = 0; i < N; i++) {
        for (int d = 0; i % EACH == 0 && d < DIM; d++) face[d] = (float)fw_rng_normal(&r);
        s->hard[i] = (float)fw_rng_unit(&r);
        for (int d = 0; d < DIM; d++)
            x[d] = face[d] + 0.5f * (float)fw_rng_normal(&r) + (d % 2 ? 0 : (float)lean * s->hard[i]);
        fw_normalise(x, DIM);
        fw_float_to_half(x, s->half + i * DIM, DIM);
        s->label[i] = (uint32_t)(i / EACH);
        s->target[i] = 1.2f - 0.6f * s->hard[i] + 0.1f * (float)fw_rng_normal(&r);
        s->rank[i] = -1;
    }
    s->v = fw_vectors_wrap(s->half, N, DIM, NULL);
    return s;
}

static void drop(set *s)
{
    fw_vectors_free(s->v);
    fw_free(s);
}

static fw_reliability_in ask(const set *s)
{
    return (fw_reliability_in){s->v, s->label, PEOPLE, s->target, s->rank};
}

static double correlation(const float *a, const float *b, size_t n)
{
    double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0, m = (double)n;
    for (size_t i = 0; i < n; i++) sa += a[i], sb += b[i], aa += a[i] * a[i], bb += b[i] * b[i], ab += a[i] * b[i];
    return (ab - sa * sb / m) / sqrt((aa - sa * sa / m) * (bb - sb * sb / m));
}

static void hardness_that_shows_is_foretold(void **state)
{
    FW_UNUSED(state);
    set *s = make(1.5);
    fw_reliability r;
    fw_reliability_in in = ask(s);
    assert_true(fw_reliability_learn(&r, &in));
    assert_int_equal(r.learned, N);
    assert_true(r.explained > 0.5);
    assert_true(correlation(r.rank, s->hard, N) < -0.8);
    for (size_t i = 0; i < N; i++) assert_true(r.rank[i] > 0 && r.rank[i] < 1 && r.bin[i] < FW_RELIABILITY_BINS);
    /* the hardest fifth's centre lies along the shared direction, farther out than the easiest fifth's */
    double hard = 0, easy = 0;
    for (int d = 0; d < DIM; d += 2) hard += r.centre[d], easy += r.centre[(FW_RELIABILITY_BINS - 1) * DIM + d];
    assert_true(hard > easy + 1);
    fw_reliability_free(&r);
    drop(s);
}

/* The left-out folds keep a function from being found where there is none, though 64 weights would fit some of it. */
static void nothing_is_foretold_where_nothing_shows(void **state)
{
    FW_UNUSED(state);
    set *s = make(0);
    fw_reliability r;
    fw_reliability_in in = ask(s);
    assert_true(fw_reliability_learn(&r, &in));
    assert_true(r.explained < 0.01);
    for (size_t k = 0; k < FW_RELIABILITY_BINS; k++) /* and what is left of the centres is chance */
        assert_true(fw_dot(r.centre + k * DIM, r.centre + k * DIM, DIM) < 0.02);
    fw_reliability_free(&r);
    drop(s);
}

/* Quality alone is enough: the rank goes in beside the embedding. */
static void quality_helps(void **state)
{
    FW_UNUSED(state);
    set *s = make(0);
    for (size_t i = 0; i < N; i++) s->rank[i] = 1 - s->hard[i];
    fw_reliability r;
    fw_reliability_in in = ask(s);
    assert_true(fw_reliability_learn(&r, &in));
    assert_true(correlation(r.rank, s->hard, N) < -0.9);
    fw_reliability_free(&r);
    drop(s);
}

static void same_bytes_for_any_thread_count(void **state)
{
    FW_UNUSED(state);
    set *s = make(1);
    fw_reliability a, b;
    fw_reliability_in in = ask(s);
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    assert_true(fw_reliability_learn(&a, &in));
    omp_set_num_threads(3);
    assert_true(fw_reliability_learn(&b, &in));
    omp_set_num_threads(threads);
    assert_memory_equal(a.rank, b.rank, N * sizeof *a.rank);
    assert_memory_equal(a.centre, b.centre, FW_RELIABILITY_BINS * DIM * sizeof *a.centre);
    fw_reliability_free(&a);
    fw_reliability_free(&b);
    drop(s);
}

static void too_little_is_not_learned_from(void **state)
{
    FW_UNUSED(state);
    set *s = make(1);
    for (size_t i = 999; i < N; i++) s->target[i] = NAN;
    fw_reliability r;
    fw_reliability_in in = ask(s);
    assert_false(fw_reliability_learn(&r, &in));
    drop(s);
}

static void ranks_count_and_ties_share(void **state)
{
    FW_UNUSED(state);
    const float value[] = {3, NAN, 1, 2, 2}, expected[] = {0.875f, -1, 0.125f, 0.5f, 0.5f};
    float rank[5];
    fw_rank_values(value, 5, rank);
    for (int i = 0; i < 5; i++) assert_float_equal(rank[i], expected[i], 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hardness_that_shows_is_foretold),
                                       cmocka_unit_test(nothing_is_foretold_where_nothing_shows),
                                       cmocka_unit_test(quality_helps),
                                       cmocka_unit_test(same_bytes_for_any_thread_count),
                                       cmocka_unit_test(too_little_is_not_learned_from),
                                       cmocka_unit_test(ranks_count_and_ties_share)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
