/* dup: planted copies are found, second frames and strangers are not; photo: the comparison behind it. */
#include "../../index/dup.h"
#include "../../index/hashpairs.h"
#include "../../index/knn.h"
#include "../../index/photo.h"
#include "../../index/unionfind.h"
#include "scene.h"

#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DIM = 64, PEOPLE = 24, EACH = 4, EDITS = 7, N = PEOPLE * (EACH + 1) + EDITS * PEOPLE / 4 };

/* EACH shots per person before one background (a burst: only the face's part of the scene changes), one exact copy of
 * every person's first shot, and for every fourth person one edit of each kind of its second shot. */
typedef struct album {
    fw_signature sig[N];
    uint16_t half[N * DIM];
    uint64_t hash[N][2];
    uint32_t label[N];
    float quality[N];
    int32_t size[N][2];
    int source[N]; /* photos with equal source are copies */
    fw_vectors *v;
    fw_graph *g;
    size_t n;
} album;

static const shot edits[EDITS] = {
    {.zoom = 1.5, .gain = 1},
    {.zoom = 0.5, .gain = 1},
    {.zoom = 1, .gain = 1, .mirror = true},
    {.zoom = 1, .gain = 0.65},
    {.zoom = 1, .gain = 1, .angle = 7, .noise = 5},
    {.zoom = 1, .gain = 1, .border = 25},
    {.zoom = 1, .gain = 1.2, .offset = -20, .dx = 6, .dy = 4},
};

static void add(album *a, const scene *s, shot k, int person, int source, const float *face, fw_rng *r)
{
    size_t i = a->n++;
    float lm[10], x[DIM];
    fw_image im = scene_shoot(s, k, (uint64_t)i, lm);
    fw_signature_compute(&im, lm, (uint8_t *)&a->sig[i]);
    for (int d = 0; d < DIM; d++) x[d] = face[d] + 0.15f * (float)fw_rng_normal(r);
    fw_normalise(x, DIM);
    fw_float_to_half(x, a->half + i * DIM, DIM);
    a->hash[i][0] = 1000 + (uint64_t)i;
    a->hash[i][1] = 7;
    a->label[i] = (uint32_t)person;
    a->quality[i] = 0.5f;
    a->size[i][0] = a->size[i][1] = im.width;
    a->source[i] = source;
    fw_image_free(&im);
}

static album *album_new(void)
{
    album *a = FW_NEW(album);
    fw_rng r = {5};
    for (int p = 0; p < PEOPLE; p++) {
        float who[DIM], face[EACH][DIM];
        scene s[EACH];
        for (int d = 0; d < DIM; d++) who[d] = (float)fw_rng_normal(&r);
        for (int k = 0; k < EACH; k++) {
            scene_part(&s[k], 0, BLOBS / 2, (uint64_t)p);
            scene_part(&s[k], BLOBS / 2, BLOBS, (uint64_t)(1000 + EACH * p + k));
            for (int d = 0; d < DIM; d++) face[k][d] = who[d] + 0.5f * (float)fw_rng_normal(&r);
            add(a, &s[k], SHOT, p, EACH * p + k, face[k], &r);
        }
        size_t first = a->n - EACH;
        add(a, &s[0], SHOT, p, EACH * p, face[0], &r);
        memcpy(a->hash[a->n - 1], a->hash[first], sizeof a->hash[0]);
        for (int k = 0; p % 4 == 0 && k < EDITS; k++) add(a, &s[1], edits[k], p, EACH * p + 1, face[1], &r);
    }
    fw_err e = {0};
    a->v = fw_vectors_wrap(a->half, a->n, DIM, NULL);
    assert_int_equal(fw_knn_build(a->v, &(fw_knn_opts){.k = 16}, &a->g, NULL, &e), FW_OK);
    return a;
}

static void album_free(album *a)
{
    fw_vectors_free(a->v);
    fw_graph_free(a->g);
    fw_free(a);
}

static const fw_signature *signature_of(const void *context, size_t row)
{
    return &((const album *)context)->sig[row];
}

static fw_dup_input input_of(const album *a)
{
    return (fw_dup_input){.n = a->n,
                          .vectors = a->v,
                          .graph = a->g,
                          .signature = signature_of,
                          .context = a,
                          .hash = a->hash,
                          .quality = a->quality,
                          .size = &a->size[0][0],
                          .label = a->label,
                          .cos_bound = 0.4};
}

static fw_dups *find(const fw_dup_input *in)
{
    fw_err e = {0};
    fw_dups *d = NULL;
    assert_int_equal(fw_dup_find(in, &d, &e), FW_OK);
    return d;
}

/* Pairs in one group: right and wrong ones by the truth in `source`; what should have been found into *want. */
static void count(const album *a, const fw_dups *d, size_t *right, size_t *wrong, size_t *want)
{
    uint32_t group[N];
    memset(group, 0xff, sizeof group);
    for (size_t i = 0; i < d->count; i++) group[d->row[i].row] = d->row[i].group;
    *right = *wrong = *want = 0;
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = i + 1; j < a->n; j++) {
            bool same = a->source[i] == a->source[j], together = group[i] != UINT32_MAX && group[i] == group[j];
            *want += same;
            *right += same && together;
            *wrong += !same && together;
        }
}

static void copies_are_found_and_bursts_are_not(void **state)
{
    album *a = *state;
    fw_dup_input in = input_of(a);
    fw_dups *d = find(&in);
    size_t right, wrong, want;
    count(a, d, &right, &wrong, &want);
    assert_int_equal(wrong, 0);
    assert_true((double)right >= 0.99 * (double)want);
    assert_int_equal(d->groups, PEOPLE + PEOPLE / 4);
    fw_dups_free(d);
}

static void hashes_alone_find_copies_of_faceless_photos(void **state)
{
    album *a = *state, *b = FW_NEW(album);
    memcpy(b, a, sizeof *b);
    for (size_t i = 0; i < b->n; i++) b->sig[i].flags &= (uint8_t)~FW_SIG_HAS_FACE;
    fw_dup_input in = input_of(b);
    in.vectors = NULL;
    in.graph = NULL;
    in.hash = NULL;
    fw_dups *d = find(&in);
    size_t right, wrong, want;
    count(b, d, &right, &wrong, &want);
    assert_int_equal(wrong, 0);
    assert_true(right >=
                PEOPLE + PEOPLE / 4 * 6); /* exact copies; scaled, mirrored and darker edits among themselves */
    fw_dups_free(d);
    fw_free(b);
}

static const fw_dup_row *row_of(const fw_dups *d, size_t row)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->row[i].row == row) return &d->row[i];
    fail_msg("row %zu is in no group", row);
    return NULL;
}

static void kept_is_best_by_quality_then_size_then_row(void **state)
{
    album *a = *state;
    fw_dup_input in = input_of(a);
    fw_dups *d = find(&in);
    assert_true(row_of(d, 0)->kept); /* equal in all: the lower row of 0 and its copy 4 */
    assert_false(row_of(d, 4)->kept);
    assert_int_equal(row_of(d, 4)->kind, FW_COPY_EXACT);
    assert_int_equal(row_of(d, 0)->kind, FW_COPY_EXACT);
    assert_true(row_of(d, 4)->similarity == 1);
    assert_true(row_of(d, 5)->kept); /* the edit of 300 x 300 beats photo 1 of 200 x 200 */
    assert_int_equal(row_of(d, 1)->kind, FW_COPY_NEAR);
    assert_true(row_of(d, 1)->similarity > 0.95f && row_of(d, 1)->similarity <= 1);
    assert_int_equal(row_of(d, 1)->cross, 0);
    fw_dups_free(d);
    a->quality[1] = 0.9f;
    a->label[4] = 23;
    d = find(&in);
    assert_true(row_of(d, 1)->kept && !row_of(d, 5)->kept);
    assert_int_equal(row_of(d, 0)->cross, 1); /* one photo under two labels */
    for (size_t i = 1; i < d->count; i++) assert_true(d->row[i - 1].group <= d->row[i].group);
    fw_dups_free(d);
    a->quality[1] = 0.5f;
    a->label[4] = 0;
}

static void dead_rows_take_no_part(void **state)
{
    album *a = *state;
    uint8_t alive[N];
    memset(alive, 1, sizeof alive);
    alive[4] = 0;
    fw_dup_input in = input_of(a);
    in.alive = alive;
    fw_dups *d = find(&in);
    for (size_t i = 0; i < d->count; i++) assert_true(d->row[i].row != 4 && d->row[i].row != 0);
    fw_dups_free(d);
}

static void same_bytes_for_any_thread_count(void **state)
{
    fw_dup_input in = input_of(*state);
    int before = omp_get_max_threads();
    omp_set_num_threads(1);
    fw_dups *one = find(&in);
    omp_set_num_threads(3);
    fw_dups *three = find(&in);
    omp_set_num_threads(before);
    assert_int_equal(one->count, three->count);
    for (size_t i = 0; i < one->count; i++) {
        const fw_dup_row *p = &one->row[i], *q = &three->row[i];
        assert_true(p->row == q->row && p->group == q->group && p->kept == q->kept && p->kind == q->kind);
        assert_memory_equal(&p->similarity, &q->similarity, sizeof p->similarity);
    }
    fw_dups_free(one);
    fw_dups_free(three);
}

/* The trap: most of either picture is the same black. */
static void black_margins_do_not_make_photos_alike(void **state)
{
    (void)state;
    float lm[10];
    scene s = scene_new(70), t = scene_new(71);
    shot framed = {.zoom = 1, .gain = 1, .border = 60};
    fw_signature a, b;
    fw_image x = scene_shoot(&s, framed, 1, lm);
    fw_signature_compute(&x, lm, (uint8_t *)&a);
    fw_image y = scene_shoot(&t, framed, 2, lm);
    fw_signature_compute(&y, lm, (uint8_t *)&b);
    assert_true(fw_photo_compare(&a, &b, false, -1).ncc < 0.7f);
    assert_true(fw_photo_compare(&a, &b, true, -1).ncc < 0.7f);
    assert_true(fw_dup_margin(&a, &b, 0.9, NULL) < 0);
    fw_image_free(&x);
    fw_image_free(&y);
}

/* The detector does not find the same landmarks twice: registration must take out what they are off by. */
static void landmarks_may_be_a_few_pixels_off(void **state)
{
    (void)state;
    fw_rng r = {4};
    for (uint64_t k = 0; k < 10; k++) {
        float lm[10];
        scene s = scene_new(300 + k);
        fw_signature a, b;
        fw_image x = scene_shoot(&s, SHOT, k, lm);
        fw_signature_compute(&x, lm, (uint8_t *)&a);
        for (int i = 0; i < 10; i++) lm[i] += (float)(3 * fw_rng_normal(&r)); /* of 30 between the eyes */
        fw_signature_compute(&x, lm, (uint8_t *)&b);
        fw_photo_match m = fw_photo_compare(&a, &b, false, 0.5f);
        assert_true(m.ncc > 0.985f && m.fine > 0.93f);
        fw_image_free(&x);
    }
}

/* The next frame: a tenth of the scene has changed. Very alike, and no copy. */
static void the_next_frame_is_no_copy(void **state)
{
    (void)state;
    int alike = 0;
    for (uint64_t k = 0; k < 10; k++) {
        float lm[10];
        scene s = scene_new(400 + k), t = s;
        scene_part(&t, 0, BLOBS / 10, 900 + k);
        fw_signature a, b;
        fw_image x = scene_shoot(&s, SHOT, k, lm), y = scene_shoot(&t, SHOT, k + 50, lm);
        fw_signature_compute(&x, lm, (uint8_t *)&a);
        fw_signature_compute(&y, lm, (uint8_t *)&b);
        alike += fw_photo_compare(&a, &b, false, 0.5f).ncc > 0.85f;
        assert_true(fw_dup_margin(&a, &b, 0.9, NULL) < 0);
        fw_image_free(&x);
        fw_image_free(&y);
    }
    assert_true(alike >= 3); /* else the test would be too easy */
}

/* What `need` saves is work: every edited copy comes out exactly as when all looks are taken, and the next frame, which
 * is let go early, stays below what was needed. */
static void ending_early_changes_no_verdict(void **state)
{
    (void)state;
    const float need = 1.9f;
    for (uint64_t k = 0; k < FW_COUNT(edits); k++) {
        float lm[10], ln[10];
        scene s = scene_new(500 + k), t = s;
        scene_part(&t, 0, BLOBS / 3, 950 + k);
        fw_signature a, b, c;
        fw_image x = scene_shoot(&s, SHOT, 1, lm), y = scene_shoot(&s, edits[k], 2, ln);
        fw_signature_compute(&x, lm, (uint8_t *)&a);
        fw_signature_compute(&y, ln, (uint8_t *)&b);
        fw_image z = scene_shoot(&t, SHOT, 3, lm);
        fw_signature_compute(&z, lm, (uint8_t *)&c);
        fw_photo_match all = fw_photo_compare(&a, &b, false, -9), some = fw_photo_compare(&a, &b, false, need);
        assert_true(all.fine > 0 && some.ncc == all.ncc && some.fine == all.fine && some.mirrored == all.mirrored);
        fw_photo_match other = fw_photo_compare(&a, &c, false, need);
        assert_true(other.ncc + other.fine < need);
        fw_image_free(&x);
        fw_image_free(&y);
        fw_image_free(&z);
    }
}

static void comparison_sees_mirroring_and_missing_photos(void **state)
{
    (void)state;
    float lm[10];
    scene s = scene_new(80);
    fw_signature a, m, none = {0};
    fw_image x = scene_shoot(&s, SHOT, 1, lm);
    fw_signature_compute(&x, lm, (uint8_t *)&a);
    fw_image y = scene_shoot(&s, edits[2], 2, lm);
    fw_signature_compute(&y, lm, (uint8_t *)&m);
    fw_photo_match k = fw_photo_compare(&a, &m, false, 0.5f);
    assert_true(k.mirrored && k.wide && k.ncc > 0.98f && k.fine > 0.9f);
    assert_false(fw_photo_compare(&a, &a, false, 0.5f).mirrored);
    assert_true(fw_photo_compare(&a, &none, false, 0.5f).ncc == -1);
    assert_true(fw_dup_margin(&a, NULL, 0.9, NULL) < 0);
    fw_image_free(&x);
    fw_image_free(&y);
}

static void hash_pairs_are_found_in_bounded_work(void **state)
{
    (void)state;
    enum { ROWS = 2000 };
    fw_hash_row *h = FW_ARRAY(fw_hash_row, ROWS);
    fw_pairs p = {0};
    fw_rng r = {3};
    for (uint32_t i = 0; i < ROWS; i++) h[i] = (fw_hash_row){{fw_rng_next(&r), fw_rng_next(&r)}, i};
    h[1500].hash[0] = h[20].hash[0] ^ 0x8000000000000101ull; /* three bits in two of the 16-bit groups */
    h[1700].hash[1] = h[30].hash[0] ^ 4;                     /* mirror image */
    fw_hash_pairs(h, ROWS, 6, &p);
    assert_int_equal(p.count, 2);
    assert_true(p.pair[0].a == 20 && p.pair[0].b == 1500 && p.pair[1].a == 30 && p.pair[1].b == 1700);
    for (uint32_t i = 0; i < ROWS; i++) h[i].hash[0] = h[i].hash[1] = 5; /* one giant bucket */
    p.count = 0;
    fw_hash_pairs(h, ROWS, 6, &p);
    assert_true(p.count > ROWS - 2 && p.count < 64 * ROWS);
    fw_free(p.pair);
    fw_free(h);
}

static void union_find_names_sets_by_their_smallest_member(void **state)
{
    (void)state;
    fw_uf u = fw_uf_new(10);
    assert_true(fw_uf_join(&u, 9, 7) && fw_uf_join(&u, 3, 9) && fw_uf_join(&u, 5, 4));
    assert_false(fw_uf_join(&u, 7, 3));
    assert_int_equal(fw_uf_find(&u, 9), 3);
    assert_int_equal(fw_uf_find(&u, 5), 4);
    assert_int_equal(fw_uf_find(&u, 0), 0);
    fw_uf_free(&u);
}

static int setup(void **state)
{
    *state = album_new();
    return 0;
}

static int teardown(void **state)
{
    album_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_found_and_bursts_are_not),
        cmocka_unit_test(hashes_alone_find_copies_of_faceless_photos),
        cmocka_unit_test(kept_is_best_by_quality_then_size_then_row),
        cmocka_unit_test(dead_rows_take_no_part),
        cmocka_unit_test(same_bytes_for_any_thread_count),
        cmocka_unit_test(black_margins_do_not_make_photos_alike),
        cmocka_unit_test(landmarks_may_be_a_few_pixels_off),
        cmocka_unit_test(the_next_frame_is_no_copy),
        cmocka_unit_test(ending_early_changes_no_verdict),
        cmocka_unit_test(comparison_sees_mirroring_and_missing_photos),
        cmocka_unit_test(hash_pairs_are_found_in_bounded_work),
        cmocka_unit_test(union_find_names_sets_by_their_smallest_member),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
