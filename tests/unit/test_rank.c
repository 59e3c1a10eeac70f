#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../index/matcher.h"
#include "../../index/rank.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { DIM = 64 };

static void close_to(double got, double want, double within)
{
    if (!(fabs(got - want) <= within)) fail_msg("%.9g is not within %g of %.9g", got, within, want);
}

/* Unit vectors in the plane of the first two axes, at `degrees`: similarities are cosines of differences. */
static fw_vectors *at_angles(const double *degrees, size_t n, uint16_t *half, const uint8_t *valid)
{
    for (size_t i = 0; i < n; i++) {
        float x[DIM] = {(float)cos(degrees[i] * M_PI / 180), (float)sin(degrees[i] * M_PI / 180)};
        fw_float_to_half(x, half + i * DIM, DIM);
    }
    return fw_vectors_wrap(half, n, DIM, valid);
}

/* Gallery: A at 0, B at 40, C at 100. Probes: A at 5 (rank 1), A at 25 (B is nearer: rank 2), C at 15 (A, B nearer:
 * rank 3), D at 98 (not in the gallery), and an A without a face. */
static void by_hand(void **state)
{
    FW_UNUSED(state);
    static const double deg[] = {0, 40, 100, 5, 25, 15, 98, 0};
    static const uint32_t label[] = {0, 1, 2, 0, 0, 2, 3, 0};
    static const uint8_t role[] = {1, 1, 1, 2, 2, 2, 2, 2}, valid[] = {1, 1, 1, 1, 1, 1, 1, 0};
    uint16_t half[8 * DIM];
    fw_vectors *v = at_angles(deg, 8, half, valid);
    fw_ranks r;
    fw_err e = {0};
    assert_int_equal(fw_rank_all(v, label, role, 4, NULL, &r, &e), FW_OK);
    assert_int_equal(r.gallery, 3);
    assert_int_equal(r.people, 3);
    assert_int_equal(r.probes, 4);
    assert_int_equal(r.mated, 3);
    close_to(r.cmc[0], 1.0 / 3, 1e-12);
    close_to(r.cmc[1], 2.0 / 3, 1e-12);
    close_to(r.cmc[2], 1, 0);
    close_to(r.cmc[FW_CMC - 1], 1, 0);
    close_to(r.low[0], 0.008404, 1e-5); /* Clopper-Pearson 1 of 3: 1 - .975^(1/3) */
    /* strangers' best: cos 35, cos 15 (B), cos 15 (A), cos 2 (C): none of 4 may pass at .1, and cos 5 is below cos 2 */
    assert_false(r.dir[0].measurable);
    close_to(r.dir[0].dir, 0, 0);
    fw_vectors_free(v);
}

/* A person is as near as the nearest image; an equal similarity of another person counts against. */
static void several_images_and_ties(void **state)
{
    FW_UNUSED(state);
    static const double deg[] = {90, 10, 50, 10, 12, 10};
    static const uint32_t label[] = {0, 0, 1, 2, 0, 0};
    static const uint8_t role[] = {1, 1, 1, 0, 2, 0};
    uint16_t half[6 * DIM];
    fw_vectors *v = at_angles(deg, 6, half, NULL);
    fw_ranks r;
    fw_err e = {0};
    assert_int_equal(fw_rank_all(v, label, role, 3, NULL, &r, &e), FW_OK);
    close_to(r.cmc[0], 1, 0); /* 10 degrees is nearer than 50, though 90 is not */
    static const uint8_t tie[] = {0, 1, 0, 1, 2, 0};
    assert_int_equal(fw_rank_all(v, label, tie, 3, NULL, &r, &e), FW_OK);
    close_to(r.cmc[0], 0, 0);
    close_to(r.cmc[1], 1, 0);
    fw_vectors_free(v);
}

/* `people` in a ring, a gallery image each and a probe `near` degrees off it, those of the first `far_people` `far`. */
static void ring(uint32_t people, uint32_t far_people, double far, double near, double *deg, uint32_t *label,
                 uint8_t *role)
{
    for (uint32_t i = 0; i < people; i++) {
        deg[i] = 360.0 / people * i;
        deg[people + i] = deg[i] + (i < far_people ? far : near);
        label[i] = label[people + i] = i;
        role[i] = FW_ROLE_GALLERY, role[people + i] = FW_ROLE_PROBE;
    }
}

/* 100 people in a ring; each probe 1 degree off its own: strangers' best are cos 2.6, all alike, so at FPIR .1 nothing
 * below may pass and everything of one's own does. */
static void open_set(void **state)
{
    FW_UNUSED(state);
    double deg[200];
    uint32_t label[200];
    uint8_t role[200];
    static uint16_t half[200 * DIM];
    ring(100, 20, 1.79, 0.5, deg, label, role); /* twenty lie almost half-way to the next */
    fw_vectors *v = at_angles(deg, 200, half, NULL);
    fw_ranks r;
    fw_err e = {0};
    assert_int_equal(fw_rank_all(v, label, role, 100, NULL, &r, &e), FW_OK);
    assert_int_equal(r.mated, 100);
    assert_true(r.dir[0].measurable && r.dir[1].measurable && !r.dir[2].measurable);
    /* at .1 ten of the twenty strangers at cos 1.81 pass, so the threshold lies near cos 1.8; the 80 close ones are in
     */
    assert_true(r.dir[0].dir >= 0.8 && r.dir[0].threshold > cos(2.2 * M_PI / 180) - 1e-3);
    fw_vectors_free(v);
}

/* A smaller ring, and a calibration whose threshold for FPIR .1 falls between the two kinds of strangers: 31 and 20 degrees off. */
static void a_stated_rate_is_measured(void **state)
{
    FW_UNUSED(state);
    double deg[20];
    uint32_t label[20];
    uint8_t role[20];
    static uint16_t half[20 * DIM];
    ring(10, 4, 16, 5, deg, label, role);
    fw_vectors *v = at_angles(deg, 20, half, NULL);
    fw_ranks r;
    fw_err e = {0};
    fw_calib c = {.q0 = 0.777, .q1 = 0.0532, .left = 0.05, .pairs = 1000000};
    assert_int_equal(fw_rank_all(v, label, role, 10, &c, &r, &e), FW_OK);
    assert_true(r.calibrated);
    const fw_stated *s = &r.stated[0];
    close_to(s->threshold, fw_match_threshold(&c, 0.1, 10), 0);
    assert_true(s->threshold > cos(31 * M_PI / 180) && s->threshold < cos(20 * M_PI / 180));
    close_to(s->fpir, 0.4, 0); /* strangers at 20 degrees */
    close_to(s->fpir_low, 0.1216, 1e-4);
    close_to(s->fpir_high, 0.7376, 1e-4);
    close_to(s->dir, 1, 0); /* own person at 16 and at 5 degrees */
    assert_true(r.stated[2].threshold > cos(16 * M_PI / 180) && r.stated[2].threshold < cos(5 * M_PI / 180));
    close_to(r.stated[2].fpir, 0, 0);
    close_to(r.stated[2].dir, 0.6, 0);
    assert_int_equal(fw_rank_all(v, label, role, 10, NULL, &r, &e), FW_OK);
    assert_false(r.calibrated);
    fw_vectors_free(v);
}

static void the_same_for_any_thread_count(void **state)
{
    FW_UNUSED(state);
    enum { N = 900 };
    static uint16_t half[N * DIM];
    static uint32_t label[N];
    static uint8_t role[N];
    fw_rng g = {7};
    float centre[30][DIM], x[DIM];
    for (int k = 0; k < 30; k++)
        for (int d = 0; d < DIM; d++) centre[k][d] = (float)fw_rng_normal(&g);
    for (size_t i = 0; i < N; i++) {
        label[i] = (uint32_t)(i / 30);
        role[i] = i % 30 < 2 ? FW_ROLE_GALLERY : FW_ROLE_PROBE;
        for (int d = 0; d < DIM; d++) x[d] = centre[i / 30][d] + 1.5f * (float)fw_rng_normal(&g);
        fw_normalise(x, DIM);
        fw_float_to_half(x, half + i * DIM, DIM);
    }
    fw_vectors *v = fw_vectors_wrap(half, N, DIM, NULL);
    fw_ranks a, b;
    fw_err e = {0};
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    assert_int_equal(fw_rank_all(v, label, role, 30, NULL, &a, &e), FW_OK);
    omp_set_num_threads(4);
    assert_int_equal(fw_rank_all(v, label, role, 30, NULL, &b, &e), FW_OK);
    omp_set_num_threads(threads);
    assert_memory_equal(&a, &b, sizeof a);
    /* and against the plain definition */
    size_t first = 0, probes = 0;
    float p[DIM], q[DIM];
    for (size_t i = 0; i < N; i++) {
        if (role[i] != FW_ROLE_PROBE) continue;
        float own = -2, other = -2;
        fw_vectors_get(v, i, p);
        for (size_t k = 0; k < N; k++) {
            if (role[k] != FW_ROLE_GALLERY) continue;
            fw_vectors_get(v, k, q);
            float s = fw_dot(p, q, DIM);
            float *best = label[k] == label[i] ? &own : &other;
            if (s > *best) *best = s;
        }
        probes++;
        first += own > other;
    }
    close_to(a.cmc[0], (double)first / (double)probes, 1e-12);
    assert_true(a.cmc[0] > .5 && a.cmc[0] < 1);
    fw_vectors_free(v);
}

static void useless_sets_are_refused(void **state)
{
    FW_UNUSED(state);
    static const double deg[] = {0, 10};
    static const uint32_t label[] = {0, 1};
    static const uint8_t none[] = {0, 2}, strangers[] = {1, 2};
    uint16_t half[2 * DIM];
    fw_vectors *v = at_angles(deg, 2, half, NULL);
    fw_ranks r;
    fw_err a = {0}, b = {0};
    assert_int_equal(fw_rank_all(v, label, none, 2, NULL, &r, &a), FW_EUSAGE);
    assert_int_equal(fw_rank_all(v, label, strangers, 2, NULL, &r, &b), FW_EUSAGE);
    fw_vectors_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(several_images_and_ties),
        cmocka_unit_test(open_set),
        cmocka_unit_test(a_stated_rate_is_measured),
        cmocka_unit_test(the_same_for_any_thread_count),
        cmocka_unit_test(useless_sets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
