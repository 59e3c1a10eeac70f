/* overlap: shared people, leaked photos and equal names between a noisy training set and a benchmark. */
#include "../../index/knn.h"
#include "../../index/overlap.h"
#include "people.h"

#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Train labels 0..99: persons 0..99, photos 2..9; every tenth photo shows a stranger. Benchmark labels 0..79 are
 * persons 70..149, so train labels 70..99 are shared. Photo 3 of train label 9 is benchmark person 120. */
enum { TRAIN = 100, BENCH = 80, FIRST = 70, LEAK_LABEL = 9, LEAK_PERSON = 120, ROWS = 1200 };

typedef struct sets {
    uint16_t half[2][ROWS * PEOPLE_DIM];
    uint32_t label[2][ROWS];
    size_t n[2];
    uint32_t leak; /* row */
    fw_signature sig[2][ROWS];
    char text[2][TRAIN][24];
    const char *name[2][TRAIN];
    fw_vectors *v[2];
    fw_graph *cross;
    fw_calib calib;
    fw_overlap_side train, bench;
} sets;

static void put(sets *s, int side, uint64_t who, uint32_t label, fw_rng *r)
{
    people_photo(who, 0.55, r, s->half[side] + s->n[side] * PEOPLE_DIM);
    s->label[side][s->n[side]++] = label;
}

static void fill(sets *s)
{
    fw_rng r = {21};
    for (uint32_t l = 0, k = 0; l < TRAIN; l++)
        for (uint32_t i = 0; i < 2 + l % 8; i++, k++) {
            bool leak = l == LEAK_LABEL && i == 2;
            if (leak) s->leak = (uint32_t)s->n[0];
            put(s, 0, leak ? LEAK_PERSON : i && k % 10 == 0 ? 5000 + k : l, l, &r);
        }
    for (uint32_t l = 0; l < BENCH; l++)
        for (uint32_t i = 0; i < 3 + l % 5; i++) put(s, 1, FIRST + l, l, &r);
}

static const fw_signature *signature_of(const void *context, size_t row)
{
    return (const fw_signature *)context + row;
}

static int setup(void **state)
{
    sets *s = FW_NEW(sets);
    fw_err e = {0};
    fill(s);
    for (int k = 0; k < 2; k++) {
        s->v[k] = fw_vectors_wrap(s->half[k], s->n[k], PEOPLE_DIM, NULL);
        for (int l = 0; l < TRAIN; l++) {
            snprintf(s->text[k][l], sizeof s->text[k][l], k ? "bench_person_%c%c" : "Train Person %c%c", 'a' + l / 26,
                     'a' + l % 26);
            s->name[k][l] = s->text[k][l];
        }
    }
    strcpy(s->text[0][5], "Jos\xc3\xa9 D\xc3\xad"
                          "az");
    strcpy(s->text[1][60], "JOS\xc3\xa9_d\xc3\xad"
                           "az");
    strcpy(s->text[0][6], "id_00017");
    strcpy(s->text[1][61], "id_00017");
    s->train = (fw_overlap_side){s->v[0], s->label[0], TRAIN, s->name[0], NULL, NULL};
    s->bench = (fw_overlap_side){s->v[1], s->label[1], BENCH, s->name[1], NULL, NULL};
    assert_int_equal(fw_knn_cross(s->v[0], s->v[1], &(fw_knn_opts){.k = 16}, &s->cross, &e), FW_OK);
    fw_calib_impostors(&s->calib, s->v[0], s->label[0], 500000, 1);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    sets *s = *state;
    fw_vectors_free(s->v[0]);
    fw_vectors_free(s->v[1]);
    fw_graph_free(s->cross);
    fw_free(s);
    return 0;
}

static fw_overlap *find(const sets *s, const fw_overlap_opts *o)
{
    fw_err e = {0};
    fw_overlap *x = NULL;
    assert_int_equal(fw_overlap_find(&s->train, &s->bench, s->cross, &s->calib, o, &x, &e), FW_OK);
    return x;
}

static void shared_people_are_flagged_and_others_are_not(void **state)
{
    const sets *s = *state;
    fw_overlap_opts o = fw_overlap_defaults();
    fw_overlap *x = find(s, &o);
    size_t right = 0, wrong = 0;
    for (size_t i = 0; i < x->count; i++) {
        const fw_overlap_row *r = &x->row[i];
        if (r->rule != FW_OVERLAP_FACE || r->label == FW_OVERLAP_NONE) continue;
        bool same = r->label == s->label[1][r->bench_row] + FIRST;
        right += same;
        wrong += !same;
        assert_int_equal(s->label[0][r->row], r->label);
        assert_true(r->score >= 1 - o.fdr && r->score <= 1 && (double)r->similarity >= x->cosine);
    }
    assert_int_equal(right, TRAIN - FIRST);
    assert_int_equal(wrong, 0);
    fw_overlap_free(x);
}

/* Photos without a face, and rows whose photos have gone, are nobody: they make no chance likeness likelier. */
static void who_has_no_face_is_nobody(void **state)
{
    sets s = *(const sets *)*state;
    uint8_t valid[ROWS];
    fw_overlap_opts o = fw_overlap_defaults();
    fw_overlap *x = find(&s, &o);
    for (size_t i = 0; i < ROWS; i++) valid[i] = i < s.n[1];
    for (size_t i = s.n[1]; i < ROWS; i++) s.label[1][i] = FW_OVERLAP_NONE;
    s.bench.vectors = fw_vectors_wrap(s.half[1], ROWS, PEOPLE_DIM, valid);
    s.bench.label = s.label[1];
    fw_overlap *y = find(&s, &o);
    assert_int_equal(x->count, y->count);
    for (size_t i = 0; i < x->count; i++) {
        assert_int_equal(x->row[i].row, y->row[i].row);
        assert_int_equal(x->row[i].bench_row, y->row[i].bench_row);
        assert_true(x->row[i].score == y->row[i].score);
    }
    assert_true(x->cosine == y->cosine);
    fw_vectors_free((fw_vectors *)s.bench.vectors);
    fw_overlap_free(x), fw_overlap_free(y);
}

static void a_leaked_photo_is_found_without_its_identity(void **state)
{
    const sets *s = *state;
    fw_overlap_opts o = fw_overlap_defaults();
    fw_overlap *x = find(s, &o);
    size_t strays = 0;
    for (size_t i = 0; i < x->count; i++) {
        const fw_overlap_row *r = &x->row[i];
        assert_true(r->label != LEAK_LABEL);
        if (r->label != FW_OVERLAP_NONE) continue;
        strays++;
        assert_int_equal(r->row, s->leak);
        assert_int_equal(s->label[1][r->bench_row], LEAK_PERSON - FIRST);
    }
    assert_int_equal(strays, 1);
    fw_overlap_free(x);
}

static void names_match_but_for_case_and_punctuation(void **state)
{
    const sets *s = *state;
    char norm[32];
    assert_true(fw_overlap_name("Anne-Marie O'Neil_2", norm));
    assert_string_equal(norm, "annemarieoneil2");
    assert_false(fw_overlap_name("id_00017", norm));
    assert_false(fw_overlap_name("", norm));
    fw_overlap_opts o = fw_overlap_defaults();
    fw_overlap *x = find(s, &o);
    for (size_t i = 0; i < x->count; i++) assert_true(x->row[i].rule != FW_OVERLAP_NAME);
    fw_overlap_free(x);
    o.names = true;
    x = find(s, &o);
    const fw_overlap_row *last = &x->row[x->count - 1];
    size_t names = 0;
    for (size_t i = 0; i < x->count; i++) {
        if (x->row[i].rule != FW_OVERLAP_NAME) continue;
        names++;
        last = &x->row[i];
    }
    assert_int_equal(names, 1); /* the numbered label, equal by accident, is not one */
    assert_int_equal(last->label, 5);
    assert_int_equal(s->label[0][last->row], 5);
    assert_int_equal(s->label[1][last->bench_row], 60);
    fw_overlap_free(x);
}

/* A random picture as a signature of its own: whole-image view and hashes only. */
static void draw(fw_signature *g, uint64_t seed)
{
    fw_rng r = {seed};
    memset(g, 0, sizeof *g);
    g->flags = FW_SIG_HAS_IMAGE;
    for (int k = 0; k < 2; k++) {
        g->phash[k] = fw_rng_next(&r);
        g->dhash[k] = fw_rng_next(&r);
    }
    for (int y = 0; y < FW_SIG_THUMB; y += 3)
        for (int x = 0; x < FW_SIG_THUMB; x += 3) {
            uint8_t v = (uint8_t)(30 + fw_rng_below(&r, 200));
            for (int i = 0; i < 9; i++) g->thumb[(y + i / 3) * FW_SIG_THUMB + x + i % 3] = v;
        }
}

static void the_same_photo_is_found_whoever_it_shows(void **state)
{
    sets *s = *state;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < s->n[k]; i++) draw(&s->sig[k][i], (uint64_t)k * 100000 + i + 1);
    s->sig[1][17] = s->sig[0][40];
    s->sig[1][17].phash[0] ^= 9; /* as after re-encoding */
    sets with = *s;
    with.train.signature = with.bench.signature = signature_of;
    with.train.context = s->sig[0];
    with.bench.context = s->sig[1];
    fw_overlap_opts o = fw_overlap_defaults();
    fw_overlap *x = find(&with, &o);
    size_t images = 0;
    for (size_t i = 0; i < x->count; i++) {
        if (x->row[i].rule != FW_OVERLAP_IMAGE) continue;
        images++;
        assert_true(x->row[i].row == 40 && x->row[i].bench_row == 17 && x->row[i].score > 0.95f);
        assert_int_equal(x->row[i].label, s->label[0][40]);
    }
    assert_int_equal(images, 1);
    fw_overlap_free(x);
}

static void unlabelled_photos_are_people_of_their_own(void **state)
{
    sets plain = *(sets *)*state;
    plain.train.label = plain.bench.label = NULL;
    plain.train.labels = plain.bench.labels = 0;
    fw_overlap_opts o = fw_overlap_defaults();
    fw_overlap *x = find(&plain, &o);
    const sets *s = *state;
    size_t right = 0, wrong = 0;
    for (size_t i = 0; i < x->count; i++) {
        assert_int_equal(x->row[i].label, FW_OVERLAP_NONE);
        uint32_t label = s->label[0][x->row[i].row], bench = s->label[1][x->row[i].bench_row] + FIRST;
        bool leak = x->row[i].row == s->leak && bench == LEAK_PERSON;
        right += label == bench || leak;
        wrong += !(label == bench || leak);
    }
    assert_true(right > 100 && (double)wrong <= 0.02 * (double)right);
    fw_overlap_free(x);
}

static void same_rows_for_any_thread_count(void **state)
{
    fw_overlap_opts o = fw_overlap_defaults();
    int before = omp_get_max_threads();
    omp_set_num_threads(1);
    fw_overlap *one = find(*state, &o);
    omp_set_num_threads(3);
    fw_overlap *three = find(*state, &o);
    omp_set_num_threads(before);
    assert_int_equal(one->count, three->count);
    for (size_t i = 0; i < one->count; i++) {
        assert_true(one->row[i].row == three->row[i].row && one->row[i].bench_row == three->row[i].bench_row);
        assert_true(one->row[i].similarity == three->row[i].similarity && one->row[i].score == three->row[i].score);
    }
    fw_overlap_free(one);
    fw_overlap_free(three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_people_are_flagged_and_others_are_not),
        cmocka_unit_test(who_has_no_face_is_nobody),
        cmocka_unit_test(a_leaked_photo_is_found_without_its_identity),
        cmocka_unit_test(names_match_but_for_case_and_punctuation),
        cmocka_unit_test(the_same_photo_is_found_whoever_it_shows),
        cmocka_unit_test(unlabelled_photos_are_people_of_their_own),
        cmocka_unit_test(same_rows_for_any_thread_count),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
