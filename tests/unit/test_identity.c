/* identity: merges and splits on synthetic people with known truth. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { PEOPLE = 120 };

static void add(world *w, fw_rng *r, uint32_t label, uint32_t person, size_t photos)
{
    for (size_t k = 0; k < photos; k++) {
        w->label[w->n] = label;
        w->person[w->n] = person;
        photo(r, person, 0.8, w->half + w->n * DIM);
        w->n++;
    }
}

/* Labels 0..39: one person under 2l and 2l+1; 40..69: two people; the rest clean. */
static world make(uint64_t seed)
{
    world w = {.labels = PEOPLE};
    fw_rng r = {.state = seed};
    size_t room = PEOPLE * 24;
    w.half = FW_ARRAY(uint16_t, room * DIM);
    w.label = FW_ARRAY(uint32_t, room);
    w.person = FW_ARRAY(uint32_t, room);
    for (uint32_t l = 0; l < 40; l++) add(&w, &r, l, l / 2 * 2, 3 + fw_rng_below(&r, 6));
    for (uint32_t l = 40; l < PEOPLE; l++) add(&w, &r, l, l, 6 + fw_rng_below(&r, 6));
    for (uint32_t l = 40; l < 70; l++) add(&w, &r, l, l + 1000, 4 + fw_rng_below(&r, 3));
    w.v = fw_vectors_wrap(w.half, w.n, DIM, NULL);
    build_graph(&w);
    return w;
}

static fw_audit *judge(const world *w)
{
    fw_audit *a;
    fw_err e = {0};
    fw_audit_in in = {.v = w->v, .label = w->label, .labels = w->labels, .knn = w->knn};
    assert_int_equal(fw_audit_run(&a, &in, &FW_AUDIT_DEFAULTS, &e), FW_OK);
    return a;
}

static void one_person_under_two_labels_is_merged(void **state)
{
    (void)state;
    world w = make(1);
    fw_audit *a = judge(&w);
    for (uint32_t l = 0; l < PEOPLE; l++) {
        if (l < 40) {
            uint32_t twin = l ^ 1;
            bool into = a->id_action[l] == FW_LABEL_MERGE && a->id_other[l] == twin;
            bool from = a->id_action[twin] == FW_LABEL_MERGE && a->id_other[twin] == l;
            assert_true(into != from); /* exactly one of the two goes into the other */
            if (into) assert_true(a->id_members[twin] >= a->id_members[l]);
        } else {
            assert_int_not_equal(a->id_action[l], FW_LABEL_MERGE);
        }
    }
    for (size_t i = 0; i < w.n; i++)
        if (w.label[i] < 40) assert_int_equal(a->verdict[i], FW_AUDIT_KEEP);
    fw_audit_free(a);
    drop(&w);
}

/* A pair must speak against more chance look-alikes where there are more labels, and still can. */
static void merges_and_relabels_are_found_among_many_labels(void **state)
{
    (void)state;
    world w = make(4);
    uint32_t planted[PEOPLE]; /* one photo of each label from 80 on goes under another one */
    for (uint32_t i = 0; i < w.n; i++) planted[w.label[i]] = i;
    for (uint32_t l = 80; l < PEOPLE; l++) w.label[planted[l]] = l - 1;
    w.labels = 100000; /* the others have no photos here */
    fw_audit *a = judge(&w);
    size_t merged = 0;
    for (uint32_t l = 0; l < 40; l++) merged += a->id_action[l] == FW_LABEL_MERGE;
    assert_int_equal(merged, 20);
    for (uint32_t l = 80; l < PEOPLE; l++) {
        assert_int_equal(a->verdict[planted[l]], FW_AUDIT_RELABEL);
        assert_int_equal(a->new_label[planted[l]], l);
    }
    fw_audit_free(a);
    drop(&w);
}

static void two_people_under_one_label_are_split(void **state)
{
    (void)state;
    world w = make(2);
    fw_audit *a = judge(&w);
    for (uint32_t l = 0; l < PEOPLE; l++) assert_int_equal(a->id_action[l] == FW_LABEL_SPLIT, l >= 40 && l < 70);
    for (size_t i = 0; i < w.n;
         i++) { /* all photos of one person end under one name, the two people under different ones */
        if (w.label[i] < 40 || w.label[i] >= 70) continue;
        for (size_t k = 0; k < w.n; k++)
            if (w.label[k] == w.label[i]) assert_int_equal(a->person[k] == a->person[i], w.person[k] == w.person[i]);
    }
    fw_audit_free(a);
    drop(&w);
}

/* Three labels of one person: all end in the same one. */
static void chains_of_merges_have_one_end(void **state)
{
    (void)state;
    world w = make(3);
    for (size_t i = 0; i < w.n; i++) { /* labels 0..5 are persons 0, 2, 4: make them one */
        if (w.label[i] > 5) continue;
        fw_rng r = {.state = i + 500};
        photo(&r, 0, 0.8, w.half + i * DIM);
    }
    fw_graph_free(w.knn);
    build_graph(&w);
    fw_audit *a = judge(&w);
    uint32_t end = FW_NONE, kept = 0;
    for (uint32_t l = 0; l < 6; l++)
        if (a->id_action[l] != FW_LABEL_MERGE) end = l, kept++;
    assert_true(kept >= 1);
    for (uint32_t l = 0; l < 6; l++)
        if (a->id_action[l] == FW_LABEL_MERGE) {
            assert_int_not_equal(a->id_action[a->id_other[l]], FW_LABEL_MERGE);
            if (kept == 1) assert_int_equal(a->id_other[l], end);
        }
    assert_int_equal(kept, 1);
    fw_audit_free(a);
    drop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_person_under_two_labels_is_merged),
        cmocka_unit_test(merges_and_relabels_are_found_among_many_labels),
        cmocka_unit_test(two_people_under_one_label_are_split),
        cmocka_unit_test(chains_of_merges_have_one_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
