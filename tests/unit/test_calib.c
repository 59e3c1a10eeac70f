/* calib: fitted models against populations whose truth is known. */
#include "../../index/calib.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { DIM = 64 };

/* `people` persons x `each` photos: unit(person + noise); share `wrong` of the labels point elsewhere. */
static fw_vectors *population(size_t people, size_t each, double noise, double wrong, uint16_t **half, uint32_t **label)
{
    size_t n = people * each;
    fw_rng r = {.state = 7};
    *half = FW_ARRAY(uint16_t, n * DIM);
    *label = FW_ARRAY(uint32_t, n);
    for (size_t p = 0; p < people; p++) {
        float who[DIM], x[DIM];
        for (int d = 0; d < DIM; d++) who[d] = (float)fw_rng_normal(&r);
        for (size_t k = 0; k < each; k++) {
            for (int d = 0; d < DIM; d++) x[d] = who[d] + (float)(noise * fw_rng_normal(&r));
            fw_normalise(x, DIM);
            fw_float_to_half(x, *half + (p * each + k) * DIM, DIM);
            (*label)[p * each + k] = fw_rng_unit(&r) < wrong ? (uint32_t)fw_rng_below(&r, people) : (uint32_t)p;
        }
    }
    return fw_vectors_wrap(*half, n, DIM, NULL);
}

static void check_tail(double wrong)
{
    uint16_t *half;
    uint32_t *label;
    fw_vectors *v = population(300, 10, 0.6, wrong, &half, &label);
    fw_calib c;
    fw_calib_impostors(&c, v, label, 1000000, 3);
    /* random directions in 64 dimensions: sd 1/8; the 1e-3 point of that law is .3745, the 1e-5 point .504 */
    assert_true(fabs(fw_calib_threshold(&c, 1e-3) - 0.3745) < 0.02);
    assert_true(fabs(fw_calib_threshold(&c, 1e-5) - 0.504) < 0.05);
    assert_true(c.same_person < 0.004);
    fw_vectors_free(v);
    fw_free(half);
    fw_free(label);
}

static void impostor_tail_is_right_and_immune_to_wrong_labels(void **state)
{
    (void)state;
    check_tail(0);
    check_tail(0.4);
}

static void threshold_and_far_are_inverse(void **state)
{
    (void)state;
    fw_calib c = {.q0 = 0.01, .q1 = 0.09, .q2 = 0.005, .left = 0.08};
    for (double far = 0.9; far > 1e-8; far /= 3)
        assert_true(fabs(log(fw_calib_far(&c, fw_calib_threshold(&c, far)) / far)) < 1e-3);
    assert_true(fabs(fw_normal_score(0.0227501319) - 2) < 1e-6);
}

/* Observations drawn from the model itself, a third of them impostors: EM must find the centre, the spread, the effect.
 */
static void genuine_fit_recovers_what_made_the_data(void **state)
{
    (void)state;
    enum { N = 6000 };
    uint16_t *half;
    uint32_t *label;
    fw_vectors *v = population(100, 10, 0.6, 0, &half, &label);
    fw_calib c;
    fw_calib_impostors(&c, v, label, 200000, 3);
    c.rho = 0.7;
    fw_calib_obs *obs = FW_ARRAY(fw_calib_obs, N);
    fw_rng r = {.state = 11};
    for (size_t i = 0; i < N; i++) {
        obs[i].n = 1 + (uint32_t)(i % 30);
        obs[i].quality = (float)fw_rng_unit(&r);
        double x = 1.3 + 0.18 * fw_rng_normal(&r) + fw_calib_shift(&c, obs[i].n) + 0.5 * (obs[i].quality - 0.5);
        obs[i].sim = (float)(i % 3 ? tanh(x) : 0.12 * fw_rng_normal(&r));
        obs[i].against = -0.7f;
    }
    fw_calib_genuine(&c, obs, N, 30);
    assert_true(fabs(c.weight[0] * c.mean[0] + c.weight[1] * c.mean[1] - 1.3) < 0.05);
    assert_true(fabs(c.offset[4] - c.offset[0] - 0.4) < 0.06); /* slope .5 between ranks .1 and .9 */
    assert_true(fw_calib_llr_of(&c, 0.45, 10, 0.1) >
                fw_calib_llr_of(&c, 0.45, 10, 0.9) + 1); /* a bad photo may be that far off */
    size_t right = 0;
    for (size_t i = 0; i < N; i++)
        right += (fw_calib_llr_of(&c, obs[i].sim, obs[i].n, obs[i].quality) > 0) == (i % 3 != 0);
    assert_true(right > N * 0.985);
    fw_free(obs);
    fw_vectors_free(v);
    fw_free(half);
    fw_free(label);
}

static void llr_never_falls_with_similarity(void **state)
{
    (void)state;
    uint16_t *half;
    uint32_t *label;
    fw_vectors *v = population(50, 4, 0.6, 0, &half, &label);
    fw_calib c;
    fw_calib_impostors(&c, v, label, 100000, 3);
    for (double n = 1; n < 5000; n *= 3)
        for (double s = -1; s < 1; s += 0.01)
            assert_true(fw_calib_llr(&c, s + 0.01, n) >= fw_calib_llr(&c, s, n) - 1e-9);
    assert_true(fw_calib_llr(&c, 0.9, 10) > 5);
    assert_true(fw_calib_llr(&c, 0, 10) < -5);
    /* the same centroid cosine is weaker evidence between large groups, which should come nearer */
    assert_true(fw_calib_llr_centres(&c, 0.55, 50, 50, 1) < fw_calib_llr_centres(&c, 0.55, 2, 2, 1));
    fw_vectors_free(v);
    fw_free(half);
    fw_free(label);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impostor_tail_is_right_and_immune_to_wrong_labels),
        cmocka_unit_test(threshold_and_far_are_inverse),
        cmocka_unit_test(genuine_fit_recovers_what_made_the_data),
        cmocka_unit_test(llr_never_falls_with_similarity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
