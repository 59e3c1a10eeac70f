/* audit: synthetic people on the sphere, noise planted with known truth. */
#include "world.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* `people` labels of 4..15 photos; then rate/2 flips and rate/2 strangers. Worse photos for lower quality. */
static world make(size_t people, double rate, uint64_t seed)
{
    world w = {.labels = people};
    size_t room = people * 16 + 16;
    w.half = FW_ARRAY(uint16_t, room * DIM);
    w.label = FW_ARRAY(uint32_t, room);
    w.person = FW_ARRAY(uint32_t, room);
    w.quality = FW_ARRAY(float, room);
    fw_rng r = {.state = seed};
    for (uint32_t p = 0; p < people; p++)
        for (size_t k = 0, each = 4 + fw_rng_below(&r, 12); k < each; k++) {
            size_t i = w.n++;
            double u = fw_rng_unit(&r);
            w.person[i] = w.label[i] = p;
            if (u < rate / 2)
                w.label[i] = (uint32_t)fw_rng_below(&r, people);
            else if (u < rate)
                w.person[i] = 100000 + (uint32_t)i;
            w.quality[i] = (float)fw_rng_unit(&r);
            photo(&r, w.person[i], 0.5 + 0.5 * (1 - w.quality[i]), w.half + i * DIM);
        }
    return w;
}

static void ready(world *w)
{
    w->v = fw_vectors_wrap(w->half, w->n, DIM, NULL);
    build_graph(w);
}

static fw_audit *judge(const world *w, const fw_audit_opt *opt)
{
    fw_audit *a;
    fw_err e = {0};
    fw_audit_in in = {.v = w->v, .label = w->label, .labels = w->labels, .quality = w->quality, .knn = w->knn};
    assert_int_equal(fw_audit_run(&a, &in, opt, &e), FW_OK);
    return a;
}

static bool wrong(const world *w, size_t i)
{
    return w->person[i] != w->label[i];
}

static double f1(const world *w, const fw_audit *a)
{
    double tp = 0, fp = 0, fn = 0;
    for (size_t i = 0; i < w->n; i++) {
        bool found = a->verdict[i] == FW_AUDIT_REMOVE || a->verdict[i] == FW_AUDIT_RELABEL;
        tp += found && wrong(w, i);
        fp += found && !wrong(w, i);
        fn += !found && wrong(w, i);
    }
    return 2 * tp / (2 * tp + fp + fn);
}

static void finds_planted_noise_at_any_rate(void **state)
{
    (void)state;
    static const double rates[] = {0.02, 0.1, 0.3, 0.5};
    for (size_t k = 0; k < FW_COUNT(rates); k++) {
        world w = make(250, rates[k], 5 + k);
        ready(&w);
        fw_audit *a = judge(&w, &FW_AUDIT_DEFAULTS);
        double truth = 0;
        size_t moved = 0, right = 0;
        for (size_t i = 0; i < w.n; i++) {
            truth += wrong(&w, i) / (double)w.n;
            if (a->verdict[i] != FW_AUDIT_RELABEL || a->person[i] > 1) continue;
            moved++;
            right += a->new_label[i] == w.person[i];
        }
        assert_true(f1(&w, a) > 0.98);
        assert_true(a->noise_low <= truth && truth <= a->noise_high);
        assert_true(moved > w.n * rates[k] / 2 * 0.8 && right >= moved * 0.99);
        fw_audit_free(a);
        drop(&w);
    }
}

static void clean_data_stays_whole(void **state)
{
    (void)state;
    world w = make(250, 0, 9);
    ready(&w);
    fw_audit *a = judge(&w, &FW_AUDIT_DEFAULTS);
    size_t flagged = 0;
    for (size_t i = 0; i < w.n; i++) flagged += a->verdict[i] != FW_AUDIT_KEEP;
    for (size_t l = 0; l < w.labels; l++) assert_int_equal(a->id_action[l], FW_LABEL_KEEP);
    assert_true(flagged <= 2);
    assert_true(a->noise < 0.005);
    fw_audit_free(a);
    drop(&w);
}

/* A tighter second person must not win the folder from a larger, blurred first one. */
static void main_person_is_the_one_most_photos_support(void **state)
{
    (void)state;
    world w = make(150, 0.05, 21);
    fw_rng r = {.state = 99};
    for (size_t i = 0; i < w.n; i++) {
        if (w.label[i] >= 20 || wrong(&w, i)) continue;
        photo(&r, w.person[i], 1.0, w.half + i * DIM); /* all of label 0..19: poor photos */
    }
    for (uint32_t l = 0; l < 20; l++) {
        size_t own = 0;
        for (size_t i = 0; i < w.n; i++) own += w.label[i] == l && w.person[i] == l;
        for (size_t k = 0; k < own * 6 / 10 && w.n < 150 * 16 + 16; k++) {
            w.label[w.n] = l, w.person[w.n] = 5000 + l, w.quality[w.n] = 0.9f;
            photo(&r, 5000 + l, 0.4, w.half + w.n * DIM);
            w.n++;
        }
    }
    ready(&w);
    fw_audit *a = judge(&w, &FW_AUDIT_DEFAULTS);
    assert_true(f1(&w, a) > 0.97);
    fw_audit_free(a);
    drop(&w);
}

static void score_is_a_probability(void **state)
{
    (void)state;
    double sum[5] = {0}, bad[5] = {0}, count[5] = {0};
    for (uint64_t s = 0; s < 4; s++) {
        world w = make(200, 0.3, 40 + s);
        fw_rng r = {.state = s};
        for (size_t i = 0; i < w.n; i++)
            photo(&r, w.person[i], 1.1 + 0.7 * (1 - w.quality[i]), w.half + i * DIM); /* hard set */
        ready(&w);
        fw_audit *a = judge(&w, &FW_AUDIT_DEFAULTS);
        for (size_t i = 0; i < w.n; i++) {
            int b = a->score[i] >= 1 ? 4 : (int)(a->score[i] * 5);
            assert_true(a->score[i] >= 0 && a->score[i] <= 1);
            sum[b] += a->score[i], bad[b] += wrong(&w, i), count[b]++;
        }
        fw_audit_free(a);
        drop(&w);
    }
    for (int b = 0; b < 5; b++) {
        print_message("score %.1f-%.1f: %5.0f images, mean score %.3f, wrong %.3f\n", b / 5.0, (b + 1) / 5.0, count[b],
                      sum[b] / fmax(count[b], 1), bad[b] / fmax(count[b], 1));
        if (count[b] < 40) continue;
        assert_true(fabs(sum[b] - bad[b]) / count[b] < 0.15);
    }
}

static void same_result_for_any_thread_count(void **state)
{
    (void)state;
    world w = make(120, 0.2, 3);
    ready(&w);
    fw_audit *one, *more;
    int before = omp_get_max_threads();
    omp_set_num_threads(1);
    one = judge(&w, &FW_AUDIT_DEFAULTS);
    omp_set_num_threads(5);
    more = judge(&w, &FW_AUDIT_DEFAULTS);
    omp_set_num_threads(before);
    assert_memory_equal(one->score, more->score, w.n * sizeof(float));
    assert_memory_equal(one->verdict, more->verdict, w.n);
    assert_memory_equal(one->new_label, more->new_label, w.n * sizeof(uint32_t));
    assert_memory_equal(one->id_centre, more->id_centre, w.labels * DIM * sizeof(uint16_t));
    fw_audit_free(one);
    fw_audit_free(more);
    drop(&w);
}

static void policy_orders_what_is_flagged(void **state)
{
    (void)state;
    world w = make(150, 0.3, 77);
    fw_rng r = {.state = 5};
    for (size_t i = 0; i < w.n; i++) photo(&r, w.person[i], 1.6, w.half + i * DIM);
    ready(&w);
    size_t flagged[3] = {0};
    for (int p = 0; p < 3; p++) {
        fw_audit_opt o = FW_AUDIT_DEFAULTS;
        o.policy = (enum fw_policy)p;
        fw_audit *a = judge(&w, &o);
        for (size_t i = 0; i < w.n; i++)
            flagged[p] += a->verdict[i] == FW_AUDIT_REMOVE || a->verdict[i] == FW_AUDIT_RELABEL;
        fw_audit_free(a);
    }
    assert_true(flagged[0] < flagged[1] && flagged[1] < flagged[2]);
    drop(&w);
}

/* A wrong photo that is filed five times, beside three right ones, is still one wrong photo. */
static void copies_do_not_vouch_for_each_other(void **state)
{
    (void)state;
    world w = make(80, 0.1, 12);
    size_t size[80] = {0}, once = 0, right = 0, copies = 0;
    for (size_t i = 0; i < w.n; i++) size[w.label[i]]++;
    while (w.person[once] < 100000 || size[w.label[once]] < 9) once++; /* a stranger */
    for (size_t i = 0; i < w.n; i++) {
        if (w.label[i] != w.label[once] || i == once) continue;
        if (!wrong(&w, i) && right++ < 3) continue;
        memcpy(w.half + i * DIM, w.half + once * DIM, DIM * sizeof *w.half);
        w.person[i] = w.person[once];
        copies++;
    }
    assert_true(copies > 4);
    ready(&w);
    fw_audit *a = judge(&w, &FW_AUDIT_DEFAULTS);
    assert_int_equal(a->copies, copies);
    for (size_t i = 0; i < w.n; i++) {
        if (w.label[i] != w.label[once]) continue;
        assert_int_equal(a->verdict[i] == FW_AUDIT_KEEP, !wrong(&w, i));
        if (wrong(&w, i)) assert_true(a->score[i] == a->score[once]);
    }
    fw_audit_free(a);
    drop(&w);
}

static void grow(world *w, size_t more)
{
    w->half = fw_realloc(w->half, (w->n + more) * DIM, sizeof *w->half);
    w->label = fw_realloc(w->label, w->n + more, sizeof *w->label);
    w->person = fw_realloc(w->person, w->n + more, sizeof *w->person);
    w->quality = fw_realloc(w->quality, w->n + more, sizeof *w->quality);
}

/* Identities of two photos: two of one person are kept; two strangers are for a curator, with their identity. */
static void two_strangers_are_for_review(void **state)
{
    (void)state;
    world w = make(120, 0.05, 31);
    uint32_t first = (uint32_t)w.labels;
    fw_rng r = {.state = 3};
    size_t begin = w.n;
    grow(&w, 40);
    for (; w.n < begin + 40; w.n++) {
        size_t k = w.n - begin;
        w.label[w.n] = first + (uint32_t)(k / 2);
        w.person[w.n] = k < 20 ? w.label[w.n] : 500000 + (uint32_t)k; /* ten pairs of one person, ten of strangers */
        w.quality[w.n] = 0.5f;
        photo(&r, w.person[w.n], 0.6, w.half + w.n * DIM);
    }
    w.labels += 20;
    ready(&w);
    fw_audit *a = judge(&w, &FW_AUDIT_DEFAULTS);
    for (size_t i = begin; i < w.n; i++) {
        bool pair = i < begin + 20;
        assert_int_equal(a->verdict[i], pair ? FW_AUDIT_KEEP : FW_AUDIT_REVIEW);
        assert_int_equal(a->id_action[w.label[i]], pair ? FW_LABEL_KEEP : FW_LABEL_REVIEW);
    }
    fw_audit_free(a);
    drop(&w);
}

/* What a policy is said to cost is what it flags, and the expected wrong ones are near the truth. */
/* Labels of one photo. That photo also stands where it has company: the lone label is wrong. It stands under a second
 * lone label: nobody can tell, and nobody is relabelled to the other. Under twenty it is right nowhere, in all
 * likelihood. */
static void a_photo_under_two_labels_is_right_under_one(void **state)
{
    (void)state;
    enum { LONE = 10, PAIRS = 3 * LONE, MORE = PAIRS + 20 };
    world w = make(120, 0.05, 41);
    size_t begin = w.n, from[MORE], next = 0;
    fw_rng r = {.state = 5};
    grow(&w, MORE);
    for (size_t k = 0; k < MORE; k++, w.n++) {
        uint16_t *x = w.half + w.n * DIM;
        w.label[w.n] = (uint32_t)w.labels++;
        w.person[w.n] = w.label[w.n];
        w.quality[w.n] = 0.5f;
        from[k] = FW_NONE;
        if (k < LONE) {
            while (wrong(&w, next)) next++;
            from[k] = next;
            next += 37;
        } else if (k < PAIRS ? k % 2 : k > PAIRS)
            from[k] = w.n - 1;
        if (from[k] == FW_NONE)
            photo(&r, w.person[w.n], 0.6, x);
        else
            memcpy(x, w.half + from[k] * DIM, DIM * sizeof *x);
    }
    ready(&w);
    fw_audit *a = judge(&w, &FW_AUDIT_DEFAULTS);
    assert_int_equal(a->contested, 2 * LONE + 2 * LONE + 20);
    for (size_t k = 0; k < MORE; k++) {
        size_t i = begin + k;
        assert_true(a->score[i] > 0.5f);
        if (k >= LONE && k < PAIRS) assert_int_equal(a->verdict[i], FW_AUDIT_REVIEW);
        if (k >= PAIRS) assert_true(a->score[i] > 0.9f && a->verdict[i] == FW_AUDIT_REMOVE);
        if (k < LONE) assert_true(a->verdict[i] == FW_AUDIT_RELABEL || a->verdict[i] == FW_AUDIT_REMOVE);
        if (k < LONE) assert_int_equal(a->verdict[from[k]], FW_AUDIT_KEEP);
    }
    fw_audit_free(a);
    drop(&w);
}

static void policy_costs_add_up(void **state)
{
    (void)state;
    world w = make(150, 0.3, 9);
    ready(&w);
    fw_audit *a = judge(&w, &FW_AUDIT_DEFAULTS);
    fw_policy_cost c = fw_policy_cost_of(a, FW_BALANCED), bold = fw_policy_cost_of(a, FW_AGGRESSIVE);
    size_t flagged = 0, bad = 0;
    for (size_t i = 0; i < w.n; i++) {
        flagged += a->verdict[i] == FW_AUDIT_REMOVE || a->verdict[i] == FW_AUDIT_RELABEL;
        bad += wrong(&w, i);
    }
    assert_int_equal(c.flagged, flagged);
    assert_true(fabs(c.wrong + c.missed - (double)bad) < 0.05 * (double)bad);
    assert_true(c.wrong <= (double)c.flagged && bold.flagged >= c.flagged && bold.missed <= c.missed);
    fw_audit_free(a);
    drop(&w);
}

/* No label, one label for all, one photo, no photo, invalid rows: nothing breaks, nothing is claimed. */
static void odd_inputs(void **state)
{
    (void)state;
    world w = make(60, 0.1, 8);
    ready(&w);
    uint32_t *mine = w.label, *other = FW_ARRAY(uint32_t, w.n);
    uint8_t *valid = FW_ARRAY(uint8_t, w.n);
    w.label = other; /* all zeros: one label */
    size_t labels = w.labels;
    w.labels = 1;
    fw_audit_free(judge(&w, &FW_AUDIT_DEFAULTS));
    w.labels = labels;
    for (size_t i = 0; i < w.n; i++) other[i] = FW_NONE;
    fw_audit *a = judge(&w, &FW_AUDIT_DEFAULTS);
    for (size_t i = 0; i < w.n; i++) assert_int_equal(a->verdict[i], FW_AUDIT_KEEP);
    fw_audit_free(a);
    w.v->valid = valid; /* no usable face at all */
    w.label = mine;
    fw_audit_free(judge(&w, &FW_AUDIT_DEFAULTS));
    w.v->valid = NULL;
    fw_err e = {0};
    w.label[3] = 99999;
    fw_audit_in in = {.v = w.v, .label = w.label, .labels = w.labels, .knn = w.knn};
    assert_int_equal(fw_audit_run(&a, &in, &FW_AUDIT_DEFAULTS, &e), FW_EFAIL);
    assert_non_null(strstr(e.msg, "99999"));
    fw_free(other);
    fw_free(valid);
    drop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_planted_noise_at_any_rate),
        cmocka_unit_test(clean_data_stays_whole),
        cmocka_unit_test(main_person_is_the_one_most_photos_support),
        cmocka_unit_test(score_is_a_probability),
        cmocka_unit_test(same_result_for_any_thread_count),
        cmocka_unit_test(policy_orders_what_is_flagged),
        cmocka_unit_test(copies_do_not_vouch_for_each_other),
        cmocka_unit_test(two_strangers_are_for_review),
        cmocka_unit_test(a_photo_under_two_labels_is_right_under_one),
        cmocka_unit_test(policy_costs_add_up),
        cmocka_unit_test(odd_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
