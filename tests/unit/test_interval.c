/* Clopper-Pearson against values of statistical tables, and its coverage by counting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "../../lib/interval.h"

static void known_values(void **state)
{
    (void)state;
    static const struct {
        uint64_t k, n;
        double low, high;
    } known[] = {{0, 10, 0, 0.30850},          {5, 10, 0.18709, 0.81291},  {10, 10, 0.69150, 1},
                 {1, 100, 0.00025, 0.05446},   {3, 300, 0.00207, 0.02894}, {0, 0, 0, 1},
                 {500, 1000, 0.46855, 0.53145}};
    for (size_t i = 0; i < FW_COUNT(known); i++) {
        double low, high;
        fw_clopper_pearson(known[i].k, known[i].n, 0.95, &low, &high);
        assert_true(fabs(low - known[i].low) < 2e-5 && fabs(high - known[i].high) < 2e-5);
    }
}

static void the_true_rate_is_inside_often_enough(void **state)
{
    (void)state;
    fw_rng g = {11};
    for (double p = 0.002; p < 0.6; p *= 3) {
        int inside = 0;
        for (int round = 0; round < 2000; round++) {
            uint64_t k = 0;
            double low, high;
            for (int i = 0; i < 150; i++) k += fw_rng_unit(&g) < p;
            fw_clopper_pearson(k, 150, 0.95, &low, &high);
            inside += low <= p && p <= high;
        }
        assert_true(inside >= 1880); /* 95 % is 1,900; two standard deviations below */
    }
}

static void large_samples_neither_overflow_nor_vanish(void **state)
{
    (void)state;
    double low, high;
    fw_clopper_pearson(30000, 1000000, 0.95, &low, &high);
    assert_true(low > 0.0296 && low < 0.03 && high > 0.03 && high < 0.0304);
    fw_clopper_pearson(0, 1000000, 0.95, &low, &high);
    assert_true(low == 0 && high > 3e-6 && high < 4e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(the_true_rate_is_inside_often_enough),
        cmocka_unit_test(large_samples_neither_overflow_nor_vanish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
