#include "index/vecindex.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DIM 64

static uint16_t *random_rows(size_t n, uint64_t seed)
{
    fw_rng rng = {seed};
    uint16_t *h = fw_alloc(n * DIM, sizeof *h);
    float x[DIM];
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < DIM; c++) x[c] = (float)fw_rng_normal(&rng);
        fw_normalise(x, DIM);
        fw_float_to_half(x, h + i * DIM, DIM);
    }
    return h;
}

static fw_vecindex *build(const fw_vectors *v, const char *factory)
{
    fw_err e = {0};
    fw_vecindex *x;
    if (fw_vecindex_build(v, factory, &x, &e)) fail_msg("%s", e.msg);
    return x;
}

/* How many of rows 0..count-1 find themselves first, with similarity 1. */
static size_t found_themselves(const fw_vecindex *x, const fw_vectors *v, size_t count)
{
    fw_err e = {0};
    size_t ok = 0;
    float *q = fw_alloc(count * DIM, sizeof *q), *sim = fw_alloc(count * 3, sizeof *sim);
    int64_t *id = fw_alloc(count * 3, sizeof *id);
    fw_vectors_block(v, 0, count, q);
    assert_int_equal(fw_vecindex_search(x, q, count, 3, id, sim, &e), FW_OK);
    for (size_t i = 0; i < count; i++)
        ok += id[i * 3] == (int64_t)i && sim[i * 3] > 0.99f && sim[i * 3] >= sim[i * 3 + 1];
    fw_free(q), fw_free(sim), fw_free(id);
    return ok;
}

static void every_factory_finds_rows(void **state)
{
    FW_UNUSED(state);
    uint16_t *h = random_rows(3000, 1);
    fw_vectors *v = fw_vectors_wrap(h, 3000, DIM, NULL);
    static const char *const factory[] = {NULL,           "Flat",   "IVF32,Flat",
                                          "IVF32,SQfp16", "HNSW16", "PQ64x4fs,Refine(SQfp16)"};
    for (size_t i = 0; i < FW_COUNT(factory); i++) {
        fw_vecindex *x = build(v, factory[i]);
        assert_int_equal(fw_vecindex_count(x), 3000);
        assert_int_equal(fw_vecindex_dim(x), DIM);
        assert_true(found_themselves(x, v, 500) >= (i < 2 ? 500 : 490));
        fw_vecindex_free(x);
    }
    fw_vectors_free(v);
    fw_free(h);
}

static void a_saved_index_comes_back_and_grows(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    char path[] = "/tmp/fw_vecindex_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    uint16_t *h = random_rows(2000, 2);
    fw_vectors *part = fw_vectors_wrap(h, 1500, DIM, NULL), *all = fw_vectors_wrap(h, 2000, DIM, NULL);
    fw_vecindex *x = build(part, "IVF8,Flat");
    assert_int_equal(fw_vecindex_add(x, all, 1500, &e), FW_OK);
    assert_int_equal(fw_vecindex_save(x, path, &e), FW_OK);
    fw_vecindex_free(x);
    assert_int_equal(fw_vecindex_load(path, &x, &e), FW_OK);
    assert_int_equal(fw_vecindex_count(x), 2000);
    assert_int_equal(fw_vecindex_tune(x, "nprobe=8", &e), FW_OK);
    assert_int_equal(found_themselves(x, all, 2000), 2000);
    fw_vecindex_free(x);
    unlink(path);
    fw_vectors_free(part), fw_vectors_free(all);
    fw_free(h);
}

/* Codes of 4 dimensions in 4 bits alone rank badly; the rows behind them must be asked, and that be kept in the file. */
static void check_ranked_anew(const char *factory, float within)
{
    enum { N = 3000, K = 10, Q = 200 };
    fw_err e = {0};
    char path[] = "/tmp/fw_vecindex_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    uint16_t *h = random_rows(N, 5);
    fw_vectors *part = fw_vectors_wrap(h, N - 500, DIM, NULL), *all = fw_vectors_wrap(h, N, DIM, NULL);
    fw_vecindex *x = build(part, factory), *flat = build(all, "Flat");
    assert_int_equal(fw_vecindex_add(x, all, N - 500, &e), FW_OK);
    assert_int_equal(fw_vecindex_save(x, path, &e), FW_OK);
    fw_vecindex_free(x);
    assert_int_equal(fw_vecindex_load(path, &x, &e), FW_OK);
    assert_int_equal(fw_vecindex_count(x), N);
    float q[2 * DIM], sim[K], want[K];
    int64_t id[K], truth[K];
    size_t same = 0;
    for (size_t i = 0; i < Q; i++) {
        fw_vectors_block(all, N - 2 * Q + 2 * i, 2, q); /* between two rows */
        for (int d = 0; d < DIM; d++) q[d] += q[DIM + d];
        fw_normalise(q, DIM);
        assert_int_equal(fw_vecindex_search(x, q, 1, K, id, sim, &e), FW_OK);
        assert_int_equal(fw_vecindex_search(flat, q, 1, K, truth, want, &e), FW_OK);
        for (int j = 0; j < K; j++)
            for (int k = 0; k < K; k++)
                if (id[j] == truth[k]) same++, assert_true(fabsf(sim[j] - want[k]) < within);
    }
    assert_true(same >= Q * K * 9 / 10); /* .94; .44 when as many rows are asked as are wanted */
    fw_vecindex_free(x), fw_vecindex_free(flat);
    unlink(path);
    fw_vectors_free(part), fw_vectors_free(all);
    fw_free(h);
}

static void codes_are_ranked_anew(void **state)
{
    FW_UNUSED(state);
    check_ranked_anew("PQ16x4fs,Refine(SQfp16)", 1e-3f);
    check_ranked_anew("PQ16x4fs,Refine(SQ8)",
                      0.05f); /* what lies outside of the ranges that 2,500 rows show is clipped */
}

static void invalid_rows_keep_their_number_and_are_never_found(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    uint8_t valid[6] = {1, 0, 1, 1, 0, 1};
    uint16_t *h = random_rows(6, 3);
    fw_vectors *v = fw_vectors_wrap(h, 6, DIM, valid);
    fw_vecindex *x = build(v, "Flat");
    float q[DIM], sim[6];
    int64_t id[6], seen = 0;
    fw_vectors_get(v, 5, q);
    assert_int_equal(fw_vecindex_search(x, q, 1, 6, id, sim, &e), FW_OK);
    assert_int_equal(id[0], 5);
    for (int i = 0; i < 4; i++) seen |= 1 << id[i];
    assert_int_equal(seen, 1 | 4 | 8 | 32);
    assert_true(id[4] == -1 && id[5] == -1 && sim[5] == -1);
    fw_vecindex_free(x);
    fw_vectors_free(v);
    fw_free(h);
}

static void errors_carry_faiss_text(void **state)
{
    FW_UNUSED(state);
    fw_vecindex *x;
    uint16_t *h = random_rows(5, 4);
    fw_vectors *v = fw_vectors_wrap(h, 5, DIM, NULL), *narrow = fw_vectors_wrap(h, 10, DIM / 2, NULL);
    fw_err e = {0};
    assert_int_equal(fw_vecindex_build(v, "Banana", &x, &e), FW_EFAIL);
    assert_null(x);
    assert_non_null(strstr(e.msg, "'Banana': FAISS: "));
    e = (fw_err){0};
    assert_int_equal(fw_vecindex_build(v, "IVF64,Flat", &x, &e), FW_EFAIL); /* 5 rows cannot train 64 lists */
    assert_non_null(strstr(e.msg, "FAISS"));
    e = (fw_err){0};
    assert_int_equal(fw_vecindex_load("/dev/null/none/index", &x, &e), FW_EFAIL);
    assert_non_null(strstr(e.msg, "/dev/null/none/index"));
    e = (fw_err){0};
    x = build(v, "Flat");
    assert_int_equal(fw_vecindex_tune(x, "banana=7", &e), FW_EFAIL);
    e = (fw_err){0};
    assert_int_equal(fw_vecindex_save(x, "/dev/null/none/index", &e), FW_EFAIL);
    e = (fw_err){0};
    assert_int_equal(fw_vecindex_add(x, narrow, 0, &e), FW_EFAIL);
    assert_non_null(strstr(e.msg, "32 dimensions"));
    fw_vecindex_free(x);
    fw_vecindex_free(NULL);
    fw_vectors_free(v), fw_vectors_free(narrow);
    fw_free(h);
}

static void the_default_follows_the_size(void **state)
{
    FW_UNUSED(state);
    char f[48];
    assert_string_equal(fw_vecindex_default(10, 512, f, sizeof f), "Flat");
    assert_string_equal(fw_vecindex_default(FW_VECINDEX_FLAT - 1, 512, f, sizeof f), "Flat");
    assert_string_equal(fw_vecindex_default(FW_VECINDEX_FLAT, 512, f, sizeof f), "PQ128x4fs,Refine(SQfp16)");
    assert_string_equal(fw_vecindex_default(4000000, 64, f, sizeof f), "PQ64x4fs,Refine(SQfp16)");
    assert_string_equal(fw_vecindex_default(4000000, 200, f, sizeof f), "PQ100x4fs,Refine(SQfp16)");
    assert_string_equal(fw_vecindex_default(500000, 4096, f, sizeof f), "PQ1024x4fs,Refine(SQfp16)");
    assert_string_equal(fw_vecindex_default(4000000, 4096, f, sizeof f), "PQ1024x4fs,Refine(SQ8)");
    assert_string_equal(fw_vecindex_default(4194304, 512, f, sizeof f), "PQ128x4fs,Refine(SQfp16)");
    assert_string_equal(fw_vecindex_default(4194305, 512, f, sizeof f), "PQ128x4fs,Refine(SQ8)");
    assert_string_equal(fw_vecindex_default(4000000, 509, f, sizeof f), "SQfp16"); /* prime: no even parts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_factory_finds_rows),
        cmocka_unit_test(a_saved_index_comes_back_and_grows),
        cmocka_unit_test(codes_are_ranked_anew),
        cmocka_unit_test(invalid_rows_keep_their_number_and_are_never_found),
        cmocka_unit_test(errors_carry_faiss_text),
        cmocka_unit_test(the_default_follows_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
