/* constraints: what is confirmed of some photos makes the verdicts of others better, and never worse. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../index/constraints.h"

/* A planted set. Every label has its person's photos; on top of that
 *   - in each fifth label, `look` photos of the same person in another look, far from the main one (profile, mask):
 * right, but they resemble only each other;
 *   - in each fifth (another fifth), `guest` photos of one stranger who looks like the person: wrong, but near. */
enum { PEOPLE = 200, EACH = 14, LOOK = 5, GUEST = 5 };

static void blend(uint64_t one, uint64_t two, double part, double noise, fw_rng *r, uint16_t *out)
{
    float x[DIM];
    fw_rng a = {.state = one * 977 + 13}, b = {.state = two * 977 + 13};
    for (int d = 0; d < DIM; d++)
        x[d] = (float)((1 - part) * fw_rng_normal(&a) + part * fw_rng_normal(&b) + noise * fw_rng_normal(r));
    fw_normalise(x, DIM);
    fw_float_to_half(x, out, DIM);
}

static void put(world *w, fw_rng *r, uint32_t label, uint32_t person, uint64_t towards, double part)
{
    blend(label, towards, part, 0.7, r, w->half + w->n * DIM);
    w->label[w->n] = label;
    w->person[w->n++] = person;
}

static world plant(double look_part, double guest_part)
{
    world w = {.labels = PEOPLE};
    size_t room = (size_t)PEOPLE * (EACH + LOOK + GUEST);
    fw_rng r = {.state = 3};
    w.half = FW_ARRAY(uint16_t, room * DIM);
    w.label = FW_ARRAY(uint32_t, room);
    w.person = FW_ARRAY(uint32_t, room);
    for (uint32_t p = 0; p < PEOPLE; p++) {
        for (int k = 0; k < EACH; k++) put(&w, &r, p, p, p, 0);
        for (int k = 0; k < LOOK && p % 5 == 1 && look_part > 0; k++) put(&w, &r, p, p, 50000 + p, look_part);
        for (int k = 0; k < GUEST && p % 5 == 2 && guest_part > 0; k++)
            put(&w, &r, p, 70000 + p, 70000 + p, guest_part);
    }
    w.v = fw_vectors_wrap(w.half, w.n, DIM, NULL);
    build_graph(&w);
    return w;
}

static bool flagged(const fw_audit *a, size_t i)
{
    return a->verdict[i] == FW_AUDIT_REMOVE || a->verdict[i] == FW_AUDIT_RELABEL;
}

static bool mistaken(const world *w, const fw_audit *a, size_t i)
{
    return flagged(a, i) != (w->person[i] != w->label[i]);
}

typedef struct outcome {
    size_t mistakes, better, worse, confirmed;
} outcome;

/* Confirm, truthfully, the first `few` flagged photos of each label that has any (right ones and wrong ones), and if
 * `missed`, one wrong photo that was kept; compare what the two audits say of all others. */
static outcome confirm(const world *w, int few, bool missed)
{
    fw_audit *a, *b;
    fw_err e = {0};
    fw_audit_in in = {.v = w->v, .label = w->label, .labels = w->labels, .knn = w->knn};
    assert_int_equal(fw_audit_run(&a, &in, &FW_AUDIT_DEFAULTS, &e), FW_OK);
    int8_t *row = FW_ARRAY(int8_t, w->n);
    uint32_t *label = FW_ARRAY(uint32_t, w->n);
    int *done = FW_ARRAY(int, w->labels);
    outcome o = {0};
    memcpy(label, w->label, w->n * sizeof *label);
    for (size_t i = 0; i < w->n; i++) {
        bool wrong = w->person[i] != w->label[i], take = flagged(a, i) || (missed && wrong);
        if (!take || done[w->label[i]] >= few) continue;
        done[w->label[i]]++;
        o.confirmed++;
        row[i] = wrong ? -1 : 1;
        if (wrong) label[i] = FW_NONE;
    }
    assert_int_equal(fw_audit_confirmed(&b, &in, &(fw_confirmed){row, label}, &FW_AUDIT_DEFAULTS, &e), FW_OK);
    for (size_t i = 0; i < w->n; i++) {
        if (row[i]) {
            assert_true(b->score[i] == (row[i] < 0));
            continue;
        }
        bool was = mistaken(w, a, i), is = mistaken(w, b, i);
        o.mistakes += was;
        o.better += was && !is;
        o.worse += !was && is;
    }
    fw_audit_free(a);
    fw_audit_free(b);
    fw_free(row);
    fw_free(label);
    fw_free(done);
    print_message("%zu confirmed; of %zu other mistakes %zu are gone, %zu are new\n", o.confirmed, o.mistakes, o.better,
                  o.worse);
    return o;
}

static void a_confirmed_look_brings_back_its_like(void **state)
{
    (void)state;
    world w = plant(0.9, 0);
    outcome o = confirm(&w, 1, false);
    assert_true(o.mistakes >= 50 && o.better >= o.mistakes * 9 / 10);
    assert_int_equal(o.worse, 0);
    drop(&w);
}

static void a_confirmed_guest_takes_its_like_along(void **state)
{
    (void)state;
    for (double part = 0.6; part < 0.75; part += 0.1) {
        world w = plant(0, part);
        outcome o = confirm(&w, 1, true);
        assert_true(o.mistakes >= 50 && o.better >= o.mistakes * 2 / 5);
        assert_int_equal(o.worse, 0);
        drop(&w);
    }
}

static void nothing_confirmed_changes_nothing(void **state)
{
    (void)state;
    world w = plant(0.75, 0.42);
    outcome o = confirm(&w, 0, false);
    assert_int_equal(o.confirmed + o.better + o.worse, 0);
    drop(&w);
}

static void a_part_goes_with_the_photo_that_it_resembles(void **state)
{
    (void)state;
    uint16_t half[9 * DIM];
    uint32_t rows[9];
    uint8_t go[9];
    fw_rng r = {.state = 5};
    for (uint32_t i = 0; i < 9; i++) {
        rows[i] = i;
        photo(&r, i < 4 ? 1 : i < 8 ? 2 : 3, 0.6, half + i * DIM); /* four of one, four of another, a stranger */
    }
    fw_vectors *v = fw_vectors_wrap(half, 9, DIM, NULL);
    fw_side_with(v, rows, 9, 0, 4, 0.4, go);
    for (size_t i = 0; i < 9; i++) assert_int_equal(go[i], i >= 4 && i < 8);
    fw_vectors_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_confirmed_look_brings_back_its_like),
        cmocka_unit_test(a_confirmed_guest_takes_its_like_along),
        cmocka_unit_test(nothing_confirmed_changes_nothing),
        cmocka_unit_test(a_part_goes_with_the_photo_that_it_resembles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
