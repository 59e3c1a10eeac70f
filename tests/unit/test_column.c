#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/column.h"
#include "scratch.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *saved(const char *dir, const void *data, fw_dtype type, int width, size_t rows)
{
    char *path = scratch_path(dir, "col");
    fw_err e = {0};
    assert_int_equal(fw_column_save(path, type, width, data, rows, &e), FW_OK);
    return path;
}

static void round_trip(void **state)
{
    FW_UNUSED(state);
    static const float values[] = {1, 2, 3, 4, 5, 6};
    char *dir = scratch_new(), *path = saved(dir, values, FW_F32, 3, 2);
    fw_column c;
    fw_err e = {0};
    assert_int_equal(fw_column_open_as(path, FW_F32, 3, &c, &e), FW_OK);
    assert_int_equal(c.rows, 2);
    assert_int_equal((uintptr_t)c.data % 64, 0);
    assert_memory_equal(c.data, values, sizeof values);
    fw_column_close(&c);
    fw_column_close(&c); /* twice is fine */
    fw_free(path);
    scratch_done(dir);
}

static void empty_column(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = saved(dir, NULL, FW_U8, 1, 0);
    fw_column c;
    fw_err e = {0};
    assert_int_equal(fw_column_open(path, &c, &e), FW_OK);
    assert_int_equal(c.rows, 0);
    assert_null(c.data);
    fw_column_close(&c);
    fw_free(path);
    scratch_done(dir);
}

/* More than the writer's buffer, in uneven pieces; the digest is that of the values. */
static void streaming(void **state)
{
    FW_UNUSED(state);
    enum { N = 200000 };
    uint64_t *v = FW_ARRAY(uint64_t, N);
    for (size_t i = 0; i < N; i++) v[i] = i * i;
    char *dir = scratch_new(), *path = scratch_path(dir, "big");
    fw_err e = {0};
    fw_hash digest;
    fw_column_writer *w = fw_column_create(path, FW_U64, 2, &e);
    for (size_t at = 0, step = 1; at < N / 2; step += 777) {
        size_t take = step < N / 2 - at ? step : N / 2 - at;
        fw_column_append(w, v + 2 * at, take);
        at += take;
    }
    assert_int_equal(fw_column_finish(w, &digest, &e), FW_OK);
    assert_true(fw_hash_equal(digest, fw_hash_bytes(v, N * sizeof *v)));
    fw_column c;
    assert_int_equal(fw_column_open_as(path, FW_U64, 2, &c, &e), FW_OK);
    assert_int_equal(c.rows, N / 2);
    assert_memory_equal(c.data, v, N * sizeof *v);
    fw_column_close(&c);
    fw_free(v);
    fw_free(path);
    scratch_done(dir);
}

/* Zeros before, between and behind: they read as they were and take no room. */
static void runs_of_zeros_are_holes(void **state)
{
    FW_UNUSED(state);
    enum { N = 4 << 20 };
    uint8_t *v = fw_alloc(N, 1);
    memset(v + N / 4 + 77, 5, 1000);
    v[N / 2] = 1;
    char *dir = scratch_new(), *path = saved(dir, v, FW_U8, 1, N);
    fw_err e = {0};
    fw_column c;
    struct stat st;
    assert_int_equal(fw_column_open_as(path, FW_U8, 1, &c, &e), FW_OK);
    assert_int_equal(c.rows, N);
    assert_memory_equal(c.data, v, N);
    fw_column_close(&c);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 < N / 2);
    fw_free(v);
    fw_free(path);
    scratch_done(dir);
}

static void wrong_type_is_refused(void **state)
{
    FW_UNUSED(state);
    static const uint16_t values[] = {1, 2, 3, 4};
    char *dir = scratch_new(), *path = saved(dir, values, FW_U16, 2, 2);
    fw_column c;
    fw_err type = {0}, width = {0}, any = {0};
    assert_int_equal(fw_column_open_as(path, FW_F16, 2, &c, &type), FW_EFAIL);
    assert_non_null(strstr(type.msg, "holds u16 x 2, expected f16 x 2"));
    assert_int_equal(fw_column_open_as(path, FW_U16, 4, &c, &width), FW_EFAIL);
    assert_int_equal(fw_column_open_as(path, FW_U16, 0, &c, &any), FW_OK);
    fw_column_close(&c);
    fw_free(path);
    scratch_done(dir);
}

/* A file that was never finished, cut off, grown, or has a damaged header: refused, whatever byte it is. */
static void damage_is_refused(void **state)
{
    FW_UNUSED(state);
    static const uint32_t values[100] = {7};
    char *dir = scratch_new(), *path = saved(dir, values, FW_U32, 1, 100), *text;
    size_t n;
    fw_err e = {0};
    fw_column c;
    assert_int_equal(fw_file_read(path, 1 << 20, &text, &n, &e), FW_OK);
    static const size_t lengths[] = {0, 10, 63, 64, 65, 463, 465};
    char *longer = fw_alloc(n + 10, 1);
    memcpy(longer, text, n);
    for (size_t i = 0; i < FW_COUNT(lengths); i++) {
        fw_err bad = {0};
        fw_file_write(path, longer, lengths[i], NULL);
        assert_int_equal(fw_column_open(path, &c, &bad), FW_EFAIL);
        assert_non_null(strstr(bad.msg, "col"));
    }
    static const size_t fields[] = {0, 5, 6, 8, 16, 23}; /* magic, format, type, width, rows (low and high byte) */
    for (size_t i = 0; i < FW_COUNT(fields); i++) {
        fw_err bad = {0};
        char keep = text[fields[i]];
        text[fields[i]] = (char)0xEE;
        fw_file_write(path, text, n, NULL);
        text[fields[i]] = keep;
        assert_int_equal(fw_column_open(path, &c, &bad), FW_EFAIL);
    }
    free(text);
    fw_free(longer);
    fw_free(path);
    scratch_done(dir);
}

static void unfinished_has_no_magic(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "half");
    fw_err e = {0}, bad = {0};
    uint8_t *bytes = memset(fw_alloc(1 << 20, 1), 1, 1 << 20);
    fw_column c;
    fw_column_writer *w = fw_column_create(path, FW_U8, 1, &e);
    fw_column_append(w, bytes, 1 << 20); /* the buffer is flushed: the file has a size now */
    fw_column_abandon(w);
    assert_int_equal(fw_column_open(path, &c, &bad), FW_EFAIL);
    assert_non_null(strstr(bad.msg, "never finished"));
    fw_free(bytes);
    fw_free(path);
    scratch_done(dir);
}

static void write_errors_come_out_of_finish(void **state)
{
    FW_UNUSED(state);
    if (!fw_exists("/dev/full")) skip();
    fw_err e = {0};
    fw_column_writer *w = fw_column_create("/dev/full", FW_U8, 1, &e);
    uint8_t *bytes = memset(fw_alloc(1 << 20, 1), 1, 1 << 20);
    fw_column_append(w, bytes, 1 << 20);
    fw_column_append(w, bytes, 1 << 20);
    assert_int_equal(fw_column_finish(w, NULL, &e), FW_EAGAIN);
    fw_free(bytes);
}

static void offsets(void **state)
{
    FW_UNUSED(state);
    static const struct {
        uint64_t off[4];
        size_t values, rows;
        bool fit;
    } cases[] = {{{0, 2, 2, 5}, 5, 3, true},  {{0, 2, 2, 5}, 4, 3, false}, {{0, 3, 2, 5}, 5, 3, false},
                 {{1, 2, 3, 5}, 5, 3, false}, {{0, 2, 2, 5}, 5, 2, false}, {{0, 6, 6, 5}, 5, 3, false}};
    for (size_t i = 0; i < FW_COUNT(cases); i++) {
        fw_column c = {.type = FW_U64, .width = 1, .rows = 4, .data = cases[i].off};
        assert_int_equal(fw_column_offsets_fit(&c, cases[i].values, cases[i].rows), cases[i].fit);
    }
    fw_column none = {.type = FW_U64, .width = 1}; /* an empty file is no offsets: even 0 items have one */
    assert_false(fw_column_offsets_fit(&none, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(empty_column),
        cmocka_unit_test(streaming),
        cmocka_unit_test(runs_of_zeros_are_holes),
        cmocka_unit_test(wrong_type_is_refused),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(offsets),
        cmocka_unit_test(unfinished_has_no_magic),
        cmocka_unit_test(write_errors_come_out_of_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
