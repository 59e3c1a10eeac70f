#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../index/verification.h"

#include <math.h>
#include <string.h>

static void close_to(double got, double want, double within)
{
    if (!(fabs(got - want) <= within)) fail_msg("%.9g is not within %g of %.9g", got, within, want);
}

/* Two folds, a cut at .5 parts them: everything is right. */
static void separable(void **state)
{
    FW_UNUSED(state);
    static const fw_pair p[] = {{.9f, 1, 0, 0}, {.8f, 1, 0, 0}, {.1f, 0, 0, 0}, {.2f, 0, 0, 0},
                                {.7f, 1, 0, 1}, {.6f, 1, 0, 1}, {.3f, 0, 0, 1}, {.4f, 0, 0, 1}};
    fw_verification v;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, FW_COUNT(p), 2, &v, &e), FW_OK);
    assert_int_equal(v.pairs, 8);
    assert_int_equal(v.genuine, 4);
    assert_int_equal(v.missing, 0);
    close_to(v.accuracy, 1, 0);
    close_to(v.std, 0, 0);
    close_to(v.low, 1, 0);
    close_to(v.high, 1, 0);
    close_to(v.threshold, 0.5, 0.005); /* fold 0 is cut at (.4+.6)/2, fold 1 at (.2+.8)/2 */
    close_to(v.auc, 1, 0);
    close_to(v.eer, 0, 0);
    close_to(v.tar_far2, 1, 0);
    close_to(v.tar_far3, 1, 0);
}

/* The threshold of a fold comes from the others only: fold 1's pairs lie above fold 0's, so each is cut wrongly. */
static void thresholds_come_from_the_other_folds(void **state)
{
    FW_UNUSED(state);
    static const fw_pair p[] = {{.30f, 1, 0, 0}, {.10f, 0, 0, 0}, {.90f, 1, 0, 1}, {.70f, 0, 0, 1}};
    fw_verification v;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, FW_COUNT(p), 2, &v, &e), FW_OK);
    /* fold 0 is cut at .8: its genuine pair is lost; fold 1 at .2: its impostor passes */
    close_to(v.accuracy, 0.5, 0);
    close_to(v.threshold, 0.5, 0.005);
}

/* genuine .9 .5 .4, impostor .6 .3 .1: of 9 comparisons 7 are right (.5 and .4 lose to .6). */
static void roc_by_hand(void **state)
{
    FW_UNUSED(state);
    static const fw_pair p[] = {{.9f, 1, 0, 0}, {.6f, 0, 0, 0}, {.5f, 1, 0, 0},
                                {.4f, 1, 0, 1}, {.3f, 0, 0, 1}, {.1f, 0, 0, 1}};
    fw_verification v;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, FW_COUNT(p), 2, &v, &e), FW_OK);
    close_to(v.auc, 7.0 / 9, 1e-12);
    close_to(v.tar_far2, 1.0 / 3, 1e-12); /* before the first impostor passes */
    close_to(v.eer, 1.0 / 3, 1e-12);      /* at a cut between .4 and .5: 1 of 3 accepted wrongly, 1 of 3 rejected */
}

static void ties_count_half(void **state)
{
    FW_UNUSED(state);
    static const fw_pair p[] = {{.5f, 1, 0, 0}, {.5f, 0, 0, 0}, {.5f, 1, 0, 1}, {.5f, 0, 0, 1}};
    fw_verification v;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, FW_COUNT(p), 2, &v, &e), FW_OK);
    close_to(v.auc, 0.5, 1e-12);
    close_to(v.eer, 0.5, 1e-12);
    close_to(v.accuracy, 0.5, 1e-12);
    close_to(v.tar_far2, 0, 0);
}

static void missing_pairs_are_wrong(void **state)
{
    FW_UNUSED(state);
    static const fw_pair p[] = {{.9f, 1, 0, 0}, {0, 1, 1, 0},   {.1f, 0, 0, 0}, {.2f, 0, 0, 0},
                                {.7f, 1, 0, 1}, {.6f, 1, 0, 1}, {.3f, 0, 0, 1}, {0, 0, 1, 1}};
    fw_verification v;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, FW_COUNT(p), 2, &v, &e), FW_OK);
    assert_int_equal(v.missing, 2);
    close_to(v.accuracy, 0.75, 1e-12);
    close_to(v.auc, 9.0 / 16, 1e-12); /* 3 of 4 genuine against 3 of 4 impostors are right */
    close_to(v.tar_far2, 0, 0);       /* one impostor of four is always accepted */
}

/* Ten folds of 100 pairs; in fold f, f pairs lie on the wrong side: mean .955, and the spread of 0..9. */
static void mean_spread_and_interval(void **state)
{
    FW_UNUSED(state);
    fw_pair p[1000];
    for (size_t i = 0; i < 1000; i++) {
        bool same = i % 2, wrong = i % 100 < i / 100;
        p[i] = (fw_pair){same != wrong ? .9f : .1f, same, 0, (uint32_t)(i / 100)};
    }
    fw_verification v;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, 1000, 10, &v, &e), FW_OK);
    double std = sqrt(82.5 / 9) / 100;
    close_to(v.accuracy, 0.955, 1e-12);
    close_to(v.std, std, 1e-12);
    close_to(v.high - v.low, 2 * 2.2622 * std / sqrt(10), 1e-6);
    close_to((v.high + v.low) / 2, 0.955, 1e-12);
}

static void the_order_of_pairs_does_not_matter(void **state)
{
    FW_UNUSED(state);
    fw_pair p[400];
    fw_rng r = {3};
    for (size_t i = 0; i < 400; i++) {
        bool same = fw_rng_below(&r, 2);
        p[i] = (fw_pair){(float)(fw_rng_normal(&r) * .2 + (same ? .5 : .1)), same, fw_rng_below(&r, 50) == 0,
                         (uint32_t)(i % 4)};
    }
    fw_verification a, b;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, 400, 4, &a, &e), FW_OK);
    for (size_t i = 399; i > 0; i--) {
        size_t j = (size_t)fw_rng_below(&r, i + 1);
        fw_pair t = p[i];
        p[i] = p[j];
        p[j] = t;
    }
    assert_int_equal(fw_verify_pairs(p, 400, 4, &b, &e), FW_OK);
    assert_true(a.accuracy == b.accuracy && a.auc == b.auc && a.eer == b.eer && a.tar_far2 == b.tar_far2);
    assert_true(a.threshold == b.threshold && a.std == b.std);
    assert_true(a.accuracy > .7 && a.accuracy < .95);
}

static void useless_lists_are_refused(void **state)
{
    FW_UNUSED(state);
    static const fw_pair p[] = {{.9f, 1, 0, 0}, {.1f, 0, 0, 1}}, only[] = {{.9f, 1, 0, 0}, {.8f, 1, 0, 1}},
                         lost[] = {{.9f, 1, 0, 0}, {.8f, 0, 1, 1}};
    fw_verification v;
    fw_err one = {0}, hole = {0}, kind = {0}, missing = {0};
    assert_int_equal(fw_verify_pairs(p, 2, 1, &v, &one), FW_EUSAGE);
    assert_int_equal(fw_verify_pairs(p, 2, 3, &v, &hole), FW_EUSAGE);
    assert_int_equal(fw_verify_pairs(only, 2, 2, &v, &kind), FW_EUSAGE);
    assert_int_equal(fw_verify_pairs(lost, 2, 2, &v, &missing), FW_EUSAGE);
}

/* Values of printed tables. */
static void student(void **state)
{
    FW_UNUSED(state);
    close_to(fw_student_975(1), 12.706, 1e-3);
    close_to(fw_student_975(9), 2.262, 1e-3);
    close_to(fw_student_975(30), 2.042, 1e-3);
    close_to(fw_student_975(40), 2.0211, 2e-4);
    close_to(fw_student_975(120), 1.9799, 2e-4);
    close_to(fw_student_975(100000), 1.9600, 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(separable),
        cmocka_unit_test(thresholds_come_from_the_other_folds),
        cmocka_unit_test(roc_by_hand),
        cmocka_unit_test(ties_count_half),
        cmocka_unit_test(missing_pairs_are_wrong),
        cmocka_unit_test(mean_spread_and_interval),
        cmocka_unit_test(the_order_of_pairs_does_not_matter),
        cmocka_unit_test(useless_lists_are_refused),
        cmocka_unit_test(student),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
