#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/kv.h"
#include "scratch.h"

#include <sys/resource.h>
#include <unistd.h>

/* `count` blobs under the keys 0, 3, 6 ... of sizes that cross LMDB's pages. */
static char *blob(uint64_t key, size_t *n)
{
    *n = (size_t)(key * 37 % 9000) + 1;
    char *b = fw_alloc(*n, 1);
    memset(b, (int)(key % 251), *n);
    return b;
}

static void fill(const char *path, uint64_t count)
{
    fw_err e = {0};
    fw_kv_writer *w = fw_kv_create(path, &e);
    assert_non_null(w);
    for (uint64_t i = 0; i < count; i++) {
        size_t n;
        char *b = blob(3 * i, &n);
        assert_int_equal(fw_kv_put(w, 3 * i, b, n, &e), FW_OK);
        fw_free(b);
    }
    assert_int_equal(fw_kv_finish(w, &e), FW_OK);
}

static void round_trip_over_several_transactions(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "crops");
    fw_err e = {0};
    fill(path, 2500);
    fw_kv *kv = fw_kv_open(path, &e);
    assert_non_null(kv);
    for (uint64_t i = 0; i < 2500; i++) {
        size_t want, n = 0;
        char *b = blob(3 * i, &want);
        const void *got = fw_kv_get(kv, 3 * i, &n);
        assert_non_null(got);
        assert_int_equal(n, want);
        assert_memory_equal(got, b, n);
        fw_free(b);
        assert_null(fw_kv_get(kv, 3 * i + 1, &n));
    }
    fw_kv_close(kv);
    fw_names names; /* neither the file being built nor a lock file stays */
    assert_int_equal(fw_list_dir(dir, &names, &e), FW_OK);
    assert_int_equal(names.n, 1);
    fw_names_free(&names);
    fw_free(path);
    scratch_done(dir);
}

static void same_puts_same_bytes(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *a = scratch_path(dir, "a"), *b = scratch_path(dir, "b"), *x, *y;
    size_t n, m;
    fw_err e = {0};
    fill(a, 1500);
    fill(b, 1500);
    assert_int_equal(fw_file_read(a, 1 << 28, &x, &n, &e), FW_OK);
    assert_int_equal(fw_file_read(b, 1 << 28, &y, &m, &e), FW_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
    fw_free(a);
    fw_free(b);
    scratch_done(dir);
}

/* As many as a set of 12 M photos has shards. Each as large as its writer's map, they would fill the address space. */
static void thousands_are_open_at_once(void **state)
{
    FW_UNUSED(state);
    enum { MANY = 3000 };
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < 2200) skip(); /* the address space is full at 2,048 */
    char *dir = scratch_new(), *path = scratch_path(dir, "crops");
    fw_kv **kv = FW_ARRAY(fw_kv *, MANY);
    fw_err e = {0};
    size_t opened = 0, n;
    fill(path, 3);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){files.rlim_max, files.rlim_max}), 0);
    while (opened < MANY && opened + 64 < files.rlim_max && (kv[opened] = fw_kv_open(path, &e))) opened++;
    setrlimit(RLIMIT_NOFILE, &files);
    assert_int_equal(e.code, FW_OK);
    assert_non_null(fw_kv_get(kv[opened - 1], 6, &n));
    while (opened > 0) fw_kv_close(kv[--opened]);
    fw_free(kv);
    fw_free(path);
    scratch_done(dir);
}

static void empty_store(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "crops");
    fw_err e = {0};
    size_t n;
    fill(path, 0);
    fw_kv *kv = fw_kv_open(path, &e);
    assert_non_null(kv);
    assert_null(fw_kv_get(kv, 0, &n));
    fw_kv_close(kv);
    fw_free(path);
    scratch_done(dir);
}

static void abandon_leaves_nothing(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "crops");
    fw_err e = {0};
    fw_kv_writer *w = fw_kv_create(path, &e);
    assert_int_equal(fw_kv_put(w, 1, "x", 1, &e), FW_OK);
    fw_kv_abandon(w);
    fw_kv_abandon(NULL);
    fw_names names;
    assert_int_equal(fw_list_dir(dir, &names, &e), FW_OK);
    assert_int_equal(names.n, 0);
    fw_names_free(&names);
    fw_free(path);
    scratch_done(dir);
}

static void not_a_store(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "f"), *none = scratch_path(dir, "none");
    fw_err e = {0}, missing = {0};
    char *text = fw_alloc(10001, 1);
    memset(text, 'x', 10000);
    scratch_put(dir, "f", text);
    assert_null(fw_kv_open(path, &e));
    assert_int_equal(e.code, FW_EFAIL);
    assert_null(fw_kv_open(none, &missing));
    assert_non_null(strstr(missing.msg, "none"));
    fw_free(text);
    fw_free(path);
    fw_free(none);
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_over_several_transactions),
        cmocka_unit_test(same_puts_same_bytes),
        cmocka_unit_test(thousands_are_open_at_once),
        cmocka_unit_test(empty_store),
        cmocka_unit_test(abandon_leaves_nothing),
        cmocka_unit_test(not_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
