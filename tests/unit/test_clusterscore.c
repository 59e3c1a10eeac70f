#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../index/clusterscore.h"

#include <math.h>

static void close_to(double got, double want, double within)
{
    if (!(fabs(got - want) <= within)) fail_msg("%.9g is not within %g of %.9g", got, within, want);
}

/* Four clusters, four people, by hand: in a cluster 3 + 1 + 6 = 10 pairs, of one person 3 + 3 + 3 = 9, both 5. */
static void by_hand(void **state)
{
    FW_UNUSED(state);
    static const uint32_t c[] = {0, 0, 0, 1, 1, 2, 2, 2, 2, 3}, p[] = {7, 7, 8, 8, 8, 9, 9, 9, 7, 4};
    fw_clusterscore s;
    fw_cluster_score(c, p, FW_COUNT(c), &s);
    assert_int_equal(s.items, 10);
    assert_int_equal(s.clusters, 4);
    assert_int_equal(s.people, 4);
    close_to(s.value[FW_PAIR_P], 5.0 / 10, 1e-12);
    close_to(s.value[FW_PAIR_R], 5.0 / 9, 1e-12);
    close_to(s.value[FW_PAIR_F], 10.0 / 19, 1e-12);
    /* per item: 2/3 2/3 1/3 1 1 3/4 3/4 3/4 1/4 1 */
    close_to(s.value[FW_CUBE_P], 43.0 / 60, 1e-12);
    /* 2/3 2/3 1/3 2/3 2/3 1 1 1 1/3 1 */
    close_to(s.value[FW_CUBE_R], 22.0 / 30, 1e-12);
    close_to(s.value[FW_NMI], 0.692408366, 1e-9); /* NumPy, and scikit-learn's definition with the arithmetic mean */
}

static void ends_of_the_scale(void **state)
{
    FW_UNUSED(state);
    static const uint32_t same[] = {5, 5, 6, 6}, other[] = {1, 1, 9, 9}, one[] = {3, 3, 3, 3}, each[] = {1, 2, 3, 4};
    fw_clusterscore s;
    fw_cluster_score(same, other, 4, &s);
    for (int k = 0; k < FW_SCORES; k++) close_to(s.value[k], 1, 1e-12);
    close_to(s.low[FW_PAIR_F], sqrt(.025), 1e-6); /* two people, no fault */
    fw_cluster_score(one, other, 4, &s);
    close_to(s.value[FW_PAIR_P], 1.0 / 3, 1e-12);
    close_to(s.value[FW_PAIR_R], 1, 0);
    close_to(s.value[FW_NMI], 0, 1e-12);
    fw_cluster_score(each, other, 4, &s);
    close_to(s.value[FW_PAIR_P], 1, 0); /* nothing is claimed */
    close_to(s.value[FW_PAIR_R], 0, 0);
    close_to(s.value[FW_CUBE_R], 0.5, 1e-12);
    fw_cluster_score(one, one, 4, &s);
    close_to(s.value[FW_NMI], 1, 0);
    close_to(s.low[FW_NMI], 0, 0); /* one person says nothing of others */
    fw_cluster_score(NULL, NULL, 0, &s);
    assert_int_equal(s.items, 0);
}

/* 60 people of 4; every 17th item is with the next person, some are alone. Values and jackknife from NumPy, by the
 * definitions over all pairs of items. */
static void jackknife(void **state)
{
    FW_UNUSED(state);
    static const double value[] = {0.845505618, 0.836111111, 0.840782123, 0.907083333,
                                   0.877083333, 0.891831115, 0.959789265},
                        low[] = {0.776598057, 0.777470172, 0.788132751, 0.860794568,
                                 0.833102629, 0.856104610, 0.946632393},
                        high[] = {0.914413179, 0.894752050, 0.893431495, 0.953372099,
                                  0.921064038, 0.927557619, 0.972946137};
    uint32_t c[240], p[240];
    for (uint32_t i = 0; i < 240; i++) {
        p[i] = i / 4;
        c[i] = i % 17 == 0 ? p[i] + 1 : i % 41 == 0 ? 1000 + i : p[i];
    }
    fw_clusterscore s;
    fw_cluster_score(c, p, 240, &s);
    for (int k = 0; k < FW_SCORES; k++) {
        close_to(s.value[k], value[k], 1e-8);
        close_to(s.low[k], low[k], 1e-6);
        close_to(s.high[k], high[k], 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(ends_of_the_scale),
        cmocka_unit_test(jackknife),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
