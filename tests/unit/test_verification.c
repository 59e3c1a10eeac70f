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
    close_to(v.auc_low, pow(.025, .25), 1e-6); /* none of four: 1 - (1 - .025^(1/4)) */
    close_to(v.eer_high, 1 - pow(.025, .25), 1e-6);
    close_to(v.tar[0].tar, 1, 0);
    close_to(v.tar[1].tar, 1, 0);
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
    close_to(v.tar[0].tar, 1.0 / 3, 1e-12); /* before the first impostor passes */
    close_to(v.eer, 1.0 / 3, 1e-12);        /* at a cut between .4 and .5: 1 of 3 accepted wrongly, 1 of 3 rejected */
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
    close_to(v.tar[0].tar, 0, 0);
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
    close_to(v.tar[0].tar, 0, 0);     /* one impostor of four is always accepted */
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
    assert_true(a.accuracy == b.accuracy && a.auc == b.auc && a.eer == b.eer && a.tar[0].tar == b.tar[0].tar);
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

/* Values from NumPy, as DeLong's paper defines them: structural components, their variances over m and n. */
static void delong_interval(void **state)
{
    FW_UNUSED(state);
    static const float genuine[] = {0.91f, 0.83f, 0.77f, 0.74f, 0.7f, 0.62f, 0.55f, 0.55f, 0.41f, 0.33f, 0.28f, 0.12f},
                       impostor[] = {0.55f, 0.38f, 0.33f, 0.3f,   0.21f,  0.18f,  0.12f,  0.1f,
                                     0.07f, 0.03f, 0.01f, -0.02f, -0.05f, -0.06f, -0.11f, -0.2f};
    fw_pair p[FW_COUNT(genuine) + FW_COUNT(impostor)];
    size_t n = 0;
    for (size_t i = 0; i < FW_COUNT(genuine); i++) p[n++] = (fw_pair){genuine[i], 1, 0, (uint32_t)(i % 2)};
    for (size_t i = 0; i < FW_COUNT(impostor); i++) p[n++] = (fw_pair){impostor[i], 0, 0, (uint32_t)(i % 2)};
    fw_verification v;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, n, 2, &v, &e), FW_OK);
    close_to(v.auc, 0.921875000000, 1e-9);
    close_to(v.auc_low, 0.827128527623, 1e-9);
    close_to(v.auc_high, 1.000000000000, 1e-9);
    /* 6 of 12 lie above the highest impostor; Clopper-Pearson by bisection of the binomial sum */
    close_to(v.tar[4].tar, 6 / 12.0, 1e-12);
    close_to(v.tar[4].low, 0.210944638, 1e-6);
    close_to(v.tar[4].high, 0.789055362, 1e-6);
    close_to(v.tar[4].threshold, 0.62, 1e-6);
    assert_false(v.tar[0].measurable); /* 16 impostor pairs do not measure 1 % */
    assert_true(v.eer_low <= v.eer && v.eer <= v.eer_high && v.eer_low < v.eer_high);
}

/* 1,000 impostor pairs measure 1e-3, and no less. */
static void what_can_be_measured(void **state)
{
    FW_UNUSED(state);
    fw_pair p[1010];
    for (size_t i = 0; i < 1000; i++) p[i] = (fw_pair){(float)i / 2000, 0, 0, (uint32_t)(i % 2)};
    for (size_t i = 0; i < 10; i++) p[1000 + i] = (fw_pair){.45f + .01f * (float)i, 1, 0, (uint32_t)(i % 2)};
    fw_verification v;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, 1010, 2, &v, &e), FW_OK);
    assert_true(v.tar[0].measurable && v.tar[1].measurable);
    assert_false(v.tar[2].measurable);
    close_to(v.tar[0].tar, 0.5, 1e-12); /* impostors .4950 and up are ten: genuine .50 to .54 */
    close_to(v.roc[0].far, 0, 0);
    close_to(v.roc[FW_ROC - 1].far, 1, 0);
    close_to(v.roc[FW_ROC - 1].tar, 1, 0);
    close_to(v.roc[120].threshold, 0.4, 1e-9); /* 1 - 120 x .005 */
    close_to(v.roc[120].far, 0.2, 0.0011);
    close_to(v.roc[120].tar, 1, 0);
}

/* The bootstrap's interval of a rate that is a binomial one: 200 and 200 pairs, 20 of either on the wrong side. */
static void bootstrap_interval(void **state)
{
    FW_UNUSED(state);
    fw_pair p[400];
    for (size_t i = 0; i < 400; i++) {
        bool same = i % 2, wrong = i < 40;
        p[i] = (fw_pair){same != wrong ? .9f : .1f, same, 0, (uint32_t)(i / 200)};
    }
    fw_verification v;
    fw_err e = {0};
    assert_int_equal(fw_verify_pairs(p, 400, 2, &v, &e), FW_OK);
    close_to(v.eer, 0.1, 1e-9);
    /* both error rates vary with sd sqrt(.1 x .9 / 200) = .0212; the EER lies between them */
    assert_true(v.eer_low > .1 - 2.6 * .0212 && v.eer_low < .1 - 0.8 * .0212);
    assert_true(v.eer_high < .1 + 2.6 * .0212 && v.eer_high > .1 + 0.8 * .0212);
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
        cmocka_unit_test(delong_interval),
        cmocka_unit_test(what_can_be_measured),
        cmocka_unit_test(bootstrap_interval),
        cmocka_unit_test(student),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
