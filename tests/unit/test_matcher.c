#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../index/matcher.h"

#include <math.h>
#include <string.h>

enum { DIM = 64 };

static void close_to(double got, double want, double within)
{
    if (!(fabs(got - want) <= within)) fail_msg("%.9g is not within %g of %.9g", got, within, want);
}

/* The impostor side of LFW with the default embedder, one genuine component twice: enough for probabilities. */
static fw_calib calibration(void)
{
    fw_calib c = {.q0 = 0, .q1 = 0.093, .q2 = 0.004, .left = 0.094, .pairs = 1000000, .rho = 0.68};
    for (int k = 0; k < FW_CALIB_PARTS; k++) c.weight[k] = 0.5, c.mean[k] = 1.2, c.sd[k] = 0.22;
    for (int k = 0; k < FW_CALIB_KNOTS; k++) c.scale[k] = 1;
    return c;
}

static void unit(float *x, fw_rng *g)
{
    for (int d = 0; d < DIM; d++) x[d] = (float)fw_rng_normal(g);
    fw_normalise(x, DIM);
}

/* cos(x, out) = s */
static void turned(const float *x, float s, fw_rng *g, float *out)
{
    unit(out, g);
    float along = fw_dot(x, out, DIM);
    for (int d = 0; d < DIM; d++) out[d] -= along * x[d];
    fw_normalise(out, DIM);
    for (int d = 0; d < DIM; d++) out[d] = s * x[d] + sqrtf(1 - s * s) * out[d];
}

typedef struct world {
    float person[40][DIM];
    uint16_t half[2][120 * DIM];
    uint32_t label[2][120];
    fw_vectors *v[2];
    fw_rng rng;
} world;

/* Part 0: people 0..29 with three photos each; part 1: people 20..39 with two more. Photo 5 of part 0 is not matched.
 */
static void build(world *w)
{
    float x[DIM];
    w->rng = (fw_rng){3};
    for (int k = 0; k < 40; k++) unit(w->person[k], &w->rng);
    for (int part = 0; part < 2; part++) {
        size_t n = part ? 40 : 90;
        for (size_t i = 0; i < n; i++) {
            uint32_t who = part ? 20 + (uint32_t)i / 2 : (uint32_t)i / 3;
            turned(w->person[who], .85f, &w->rng, x);
            fw_float_to_half(x, w->half[part] + i * DIM, DIM);
            w->label[part][i] = who;
        }
        w->v[part] = fw_vectors_wrap(w->half[part], n, DIM, NULL);
    }
    w->label[0][5] = FW_NONE;
}

static fw_matcher *matcher_of(world *w, fw_vecindex *first)
{
    fw_err e = {0};
    fw_matcher *m = fw_matcher_new();
    if (fw_matcher_add(m, first, w->v[0], w->label[0], &e) || fw_matcher_add(m, NULL, w->v[1], w->label[1], &e))
        fail_msg("%s", e.msg);
    fw_matcher_ready(m, 40);
    return m;
}

static void people_are_found_over_all_parts(void **state)
{
    FW_UNUSED(state);
    static world w;
    build(&w);
    fw_matcher *m = matcher_of(&w, NULL);
    fw_calib c = calibration();
    fw_err e = {0};
    assert_int_equal(fw_matcher_images(m), 129);
    assert_int_equal(fw_matcher_people(m), 40);
    for (uint32_t k = 0; k < 40; k++) {
        fw_match out[3];
        size_t n;
        float sum = 0;
        assert_int_equal(fw_matcher_search(m, &c, w.person[k], 3, out, &n, &e), FW_OK);
        assert_int_equal(n, 3);
        assert_int_equal(out[0].label, k);
        assert_true(out[0].sim >= out[1].sim && out[1].sim >= out[2].sim);
        assert_true(out[1].label != k && out[2].label != k && out[1].label != out[2].label);
        assert_true(out[0].p > 0.9 && out[1].p < 0.1);
        for (int i = 0; i < 3; i++) sum += (float)out[i].p;
        assert_true(sum <= 1 + 1e-6f);
        assert_int_equal(w.label[out[0].part][out[0].row], k);
    }
    fw_matcher_free(m);
    fw_vectors_free(w.v[0]), fw_vectors_free(w.v[1]);
}

static void nobody_is_a_match(void **state)
{
    FW_UNUSED(state);
    static world w;
    build(&w);
    fw_matcher *m = matcher_of(&w, NULL);
    fw_calib c = calibration();
    fw_err e = {0};
    fw_rng g = {99};
    float x[DIM] = {0};
    /* orthogonal to the space of no one in particular: the mean of unrelated people's photos turned to .2 */
    turned(w.person[0], .2f, &g, x);
    fw_match out[2];
    size_t n;
    assert_int_equal(fw_matcher_search(m, &c, x, 2, out, &n, &e), FW_OK);
    assert_true(out[0].p < 0.5 && out[0].sim < 0.6f);
    assert_int_equal(fw_matcher_search(m, NULL, x, 2, out, &n, &e), FW_OK);
    assert_true(isnan(out[0].p));
    fw_matcher_free(m);
    fw_vectors_free(w.v[0]), fw_vectors_free(w.v[1]);
}

/* An index that lacks the newest rows gets them, and asking for more people than there are gives all. */
static void an_index_grows(void **state)
{
    FW_UNUSED(state);
    static world w;
    build(&w);
    fw_err e = {0};
    fw_vectors *old = fw_vectors_wrap(w.half[0], 60, DIM, NULL);
    fw_vecindex *x;
    assert_int_equal(fw_vecindex_build(old, "IVF1,Flat", &x, &e), FW_OK);
    assert_int_equal(fw_vecindex_lists(x), 1);
    fw_matcher *m = matcher_of(&w, x);
    fw_match out[100];
    size_t n;
    assert_int_equal(fw_matcher_search(m, NULL, w.person[29], 100, out, &n, &e), FW_OK);
    assert_int_equal(n, 40);
    assert_int_equal(out[0].label, 29);
    fw_matcher_free(m);
    fw_vectors_free(old), fw_vectors_free(w.v[0]), fw_vectors_free(w.v[1]);
}

static void other_dimensions_are_refused(void **state)
{
    FW_UNUSED(state);
    static world w;
    build(&w);
    fw_err e = {0};
    fw_vectors *wide = fw_vectors_wrap(w.half[0], 10, 2 * DIM, NULL);
    fw_matcher *m = matcher_of(&w, NULL);
    assert_int_equal(fw_matcher_add(m, NULL, wide, w.label[0], &e), FW_EUSAGE);
    assert_non_null(strstr(e.msg, "128"));
    fw_matcher_free(m);
    fw_vectors_free(wide), fw_vectors_free(w.v[0]), fw_vectors_free(w.v[1]);
}

/* 1 - (1 - far)^n = fpir, and the calibration's own far at the threshold. */
static void threshold(void **state)
{
    FW_UNUSED(state);
    fw_calib c = calibration();
    close_to(fw_match_threshold(&c, 0.01, 1), fw_calib_threshold(&c, 0.01), 1e-12);
    double t = fw_match_threshold(&c, 1e-3, 10000), far = fw_calib_far(&c, t);
    close_to(1 - pow(1 - far, 10000), 1e-3, 1e-6);
    assert_true(t > fw_match_threshold(&c, 1e-2, 10000) && t < fw_match_threshold(&c, 1e-3, 1000000));
    close_to(fw_match_threshold(&c, 0.01, 0), 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_are_found_over_all_parts),
        cmocka_unit_test(nobody_is_a_match),
        cmocka_unit_test(an_index_grows),
        cmocka_unit_test(other_dimensions_are_refused),
        cmocka_unit_test(threshold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
