/* shift: curators' answers move the scale of the machine's probabilities. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../index/shift.h"

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* n findings with logits in from..to; the truth is a shift of the machine's scale, and `slips` of the answers are
 * wrong. */
static fw_answers answers(size_t n, double from, double to, double shift, double slips, uint64_t seed)
{
    fw_rng r = {.state = seed};
    fw_answers a = {0};
    for (size_t i = 0; i < n; i++) {
        double l = from + (to - from) * fw_rng_unit(&r);
        bool yes = fw_rng_unit(&r) < sigmoid(l + shift), slip = fw_rng_unit(&r) < slips;
        fw_answers_add(&a, sigmoid(l), yes != slip);
    }
    return a;
}

static void nothing_changes_without_answers(void **state)
{
    (void)state;
    fw_shift s = fw_shift_fit(&(fw_answers){0});
    assert_true(s.b == 0 && s.ceiling == 1 && s.n == 0);
    for (double p = 0; p <= 1; p += 1.0 / 128)
        assert_true(fw_shift_apply(&s, p) == p && fw_shift_threshold(&s, p) == p);
}

/* A scan of the posterior finds nothing better than the fit, and something as good close by. */
static void the_fit_is_the_numeric_optimum(void **state)
{
    (void)state;
    fw_rng r = {.state = 5};
    for (int t = 0; t < 40; t++) {
        double from = -8 + 16 * fw_rng_unit(&r), width = 8 * fw_rng_unit(&r), shift = 4 * fw_rng_normal(&r);
        fw_answers a = answers(1 + fw_rng_below(&r, 40), from, from + width, shift, 0.1 * (t % 5), (uint64_t)t + 1);
        fw_shift s = fw_shift_fit(&a);
        double found = fw_shift_posterior(&a, s.b, s.ceiling), best = -1e300;
        for (double b = -12; b <= 12; b += 0.1)
            for (double c = 0.01; c < 1.005; c += 0.01) best = fmax(best, fw_shift_posterior(&a, b, fmin(c, 1)));
        assert_true(found >= best - 1e-9 && found <= best + 0.1);
        static const double near[] = {-1e-4, 0, 1e-4};
        for (int k = 0; k < 9; k++) /* and it is a peak */
            assert_true(fw_shift_posterior(&a, s.b + near[k % 3], fmin(s.ceiling + near[k / 3], 1)) <= found + 1e-9);
        fw_answers_free(&a);
    }
}

static void a_planted_shift_is_found(void **state)
{
    (void)state;
    static const double planted[] = {-2.5, -1, 0, 1.5};
    for (size_t k = 0; k < FW_COUNT(planted); k++)
        for (uint64_t seed = 1; seed <= 5; seed++) {
            fw_answers a = answers(800, -2, 8, planted[k], 0.01, seed * 31 + k);
            fw_shift s = fw_shift_fit(&a);
            assert_true(fabs(s.b - planted[k]) < 0.6 && s.ceiling > 0.93);
            fw_answers_free(&a);
        }
}

/* Findings that the machine was sure of, and right: they say nothing of the findings near the threshold. */
static void certain_findings_that_are_confirmed_move_nothing(void **state)
{
    (void)state;
    fw_answers a = {0};
    for (int i = 0; i < 1000; i++) fw_answers_add(&a, 1 - 1e-6, true);
    fw_shift s = fw_shift_fit(&a);
    assert_true(fabs(s.b) < 0.01 && s.ceiling == 1);
    fw_answers_free(&a);
}

/* Nor does one slip at the end of the scale, which would weigh as much as all of them without the slip's share. */
static void one_slip_at_the_end_of_the_scale_moves_little(void **state)
{
    (void)state;
    fw_answers a = answers(40, -1, 2, 0, 0, 9);
    for (int i = 0; i < 60; i++) fw_answers_add(&a, 1 - 1e-5, true);
    fw_shift without = fw_shift_fit(&a);
    fw_answers_add(&a, 1, false);
    fw_shift with = fw_shift_fit(&a);
    assert_true(fabs(with.b - without.b) < 0.05 && with.ceiling > 0.98);
    fw_answers_free(&a);
}

/* Findings without a doubt, most of them denied: the kind is not to be trusted, whatever the shift. */
static void a_kind_that_is_mostly_wrong_is_doubted(void **state)
{
    (void)state;
    fw_answers a = {0};
    for (int i = 0; i < 30; i++) fw_answers_add(&a, 1 - 1e-7, i < 8);
    fw_shift s = fw_shift_fit(&a);
    assert_true(fw_shift_apply(&s, 1) < 0.6 && fw_shift_threshold(&s, 0.9) == 1);
    assert_int_equal(s.n, 30);
    assert_int_equal(s.agreed, 8);
    fw_answers_free(&a);
}

static void thresholds_are_the_inverse(void **state)
{
    (void)state;
    fw_answers a = answers(50, -1, 3, -1, 0, 3);
    fw_shift s = fw_shift_fit(&a);
    assert_true(s.b < 0);
    for (double t = 0.05; t < s.ceiling; t += 0.05) {
        assert_true(fabs(fw_shift_apply(&s, fw_shift_threshold(&s, t)) - t) < 1e-12);
        assert_true(fw_shift_threshold(&s, t) > t);
    }
    fw_answers_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changes_without_answers),
        cmocka_unit_test(the_fit_is_the_numeric_optimum),
        cmocka_unit_test(a_planted_shift_is_found),
        cmocka_unit_test(certain_findings_that_are_confirmed_move_nothing),
        cmocka_unit_test(one_slip_at_the_end_of_the_scale_moves_little),
        cmocka_unit_test(a_kind_that_is_mostly_wrong_is_doubted),
        cmocka_unit_test(thresholds_are_the_inverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
