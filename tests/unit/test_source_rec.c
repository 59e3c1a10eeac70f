/* rec: files that Python's struct wrote (as MXNet and InsightFace do), and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/log.h"
#include "../../lib/recordio.h"
#include "scratch.h"
#include "sources.h"

static void a_face_set(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("rec");
    fw_err e = {0};
    fw_source *s = open_in("rec", dir, "train.rec", NULL, &e);
    assert_non_null(s);
    walks_as(s, "1|0|50 2|0|63 3|0|76 4|1|89 5|1|102 6|1|115 7|2|128 8|2|141 9|2|154 ");
    for (int i = 0; i < 9; i++) {
        char key[8];
        snprintf(key, sizeof key, "%d", i + 1);
        reads_image(s, key, i);
    }
    read_fails(s, "3", 75, "longer than the limit");
    read_fails(s, "13", 100, "no record '13'");
    read_fails(s, "-1", 100, "no record");
    read_fails(s, "01", 100, "no record");
    char *at = fw_source_locate(s, "4");
    assert_non_null(strstr(at, "/train.rec#4"));
    assert_null(fw_source_file(s, "4"));
    fw_free(at);
    fw_source_close(s);
    scratch_done(dir);
}

static void without_an_index(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("rec");
    fw_err e = {0};
    fw_source *s = open_in("rec", dir, "noidx.rec", NULL, &e);
    assert_non_null(s);
    walks_as(s, "1|0|50 2|0|63 3|0|76 4|1|89 5|1|102 6|1|115 7|2|128 8|2|141 9|2|154 ");
    reads_image(s, "9", 8);
    fw_source_close(s);
    s = open_in("rec", dir, "sameids.rec", NULL, &e); /* the ids tell nothing: places in the file */
    assert_non_null(s);
    walks_as(s, "0|1|50 1|1|63 2|2|76 ");
    reads_image(s, "1", 1);
    fw_source_close(s);
    s = open_in("rec", dir, "bigids.rec", NULL, &e); /* every 64-bit number is a key */
    assert_non_null(s);
    walks_as(s, "10000000000000000000|2|63 18446744073709551615|1|50 ");
    reads_image(s, "18446744073709551615", 0);
    read_fails(s, "18446744073709551616", 100, "no record");
    fw_source_close(s);
    scratch_done(dir);
}

static void odd_numbers_and_labels(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("rec");
    fw_err e = {0};
    fw_source *s = open_in("rec", dir, "gaps.rec", NULL, &e);
    assert_non_null(s);
    walks_as(s, "5|7|50 9|0.25|76 17|8|63 100||89 ");
    reads_image(s, "5", 0);
    reads_image(s, "17", 1);
    reads_image(s, "9", 2);
    read_fails(s, "6", 100, "no record '6'");
    fw_source_close(s);
    s = open_in("rec", dir, "gaps.rec", &(fw_source_opts){.no_labels = true}, &e);
    walks_as(s, "5||50 9||76 17||63 100||89 ");
    fw_source_close(s);
    scratch_done(dir);
}

#define MAGIC "\x0a\x23\xd7\xce"

static void records_in_parts(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("rec");
    fw_err e = {0};
    fw_source *s = open_in("rec", dir, "parts.rec", NULL, &e);
    assert_non_null(s);
    walks_as(s, "0|Anna|4 1|B\\b|16 2|Carl \tx|15 3|3|7 "); /* names from parts.labels */
    reads_bytes(s, "0", MAGIC, 4);
    reads_bytes(s, "1", "abcd" MAGIC MAGIC MAGIC, 16);
    reads_bytes(s, "2", "a" MAGIC "xyz" MAGIC "end", 15);
    reads_bytes(s, "3", MAGIC "abc", 7);
    fw_source_close(s);
    scratch_done(dir);
}

static void reading_along(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("rec"), *bad = made_by_python("badrec");
    reads_along("rec", dir, "train.rec", 9);
    reads_along("rec", dir, "parts.rec", 4);
    reads_along("rec", dir, "gaps.rec", 4);
    reads_along("rec", dir, "big.rec", 2);
    reads_along("rec", bad, "truncated.rec", 1);
    reads_along("rec", bad, "outside.rec", 1);
    scratch_done(dir);
    scratch_done(bad);
}

static void past_four_gigabytes(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("rec");
    fw_err e = {0};
    fw_source *s = open_in("rec", dir, "big.rec", NULL, &e);
    assert_non_null(s);
    walks_as(s, "0|1|50 1|2|63 ");
    reads_image(s, "1", 1);
    fw_source_close(s);
    scratch_done(dir);
}

static void what_cannot_be_opened(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("badrec");
    open_fails("rec", dir, "notrec.rec", NULL, "not a RecordIO file");
    open_fails("rec", dir, "missing.rec", NULL, "No such file");
    open_fails("rec", dir, "truncated_noidx.rec", NULL, "offset 84: reaches behind the end");
    open_fails("rec", dir, "badidx.rec", NULL, "badidx.idx' line 2");
    open_fails("rec", dir, "negidx.rec", NULL, "negidx.idx' line 1");
    open_fails("rec", dir, "twice.rec", NULL, "twice");
    scratch_done(dir);
}

/* One bad record is a bad image: the walk goes on, and reading it says where and why. */
static void bad_records(void **state)
{
    FW_UNUSED(state);
    static const struct {
        const char *name, *walk, *why;
    } cases[] = {
        {"truncated.rec", "0|1|50 1||0 ", "offset 84: reaches behind the end"},
        {"hugelabels.rec", "0|1|50 1||0 ", "offset 84: more labels than bytes"},
        {"short.rec", "0|1|50 1||0 ", "offset 84: too short"},
        {"outside.rec", "0|1|50 1||0 2||0 ", "offset 4611686018427387904: cut off"},
        {"middle.rec", "0|1|50 1||0 2||0 ", "offset 84: begins in the middle"},
        {"kind.rec", "0|1|50 1||0 ", "offset 84: unknown kind"},
    };
    char *dir = made_by_python("badrec");
    for (size_t i = 0; i < FW_COUNT(cases); i++) {
        fw_err e = {0};
        fw_source *s = open_in("rec", dir, cases[i].name, NULL, &e);
        if (!s) fail_msg("%s", e.msg);
        walks_as(s, cases[i].walk);
        reads_image(s, "0", 0);
        read_fails(s, "1", 1000, cases[i].why);
        fw_source_close(s);
    }
    scratch_done(dir);
}

/* What we write is what Python writes. */
static void written_as_python_does(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("rec"), *path = scratch_path(dir, "parts.rec"), *want;
    static const char *const image[] = {MAGIC, "abcd" MAGIC MAGIC MAGIC, "a" MAGIC "xyz" MAGIC "end", MAGIC "abc"};
    static const size_t size[] = {4, 16, 15, 7};
    fw_buf b = {0};
    fw_err e = {0};
    size_t n;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(fw_rec_encode(&b, &(float){(float)i}, 1, i, image[i], size[i], &e), FW_OK);
    assert_int_equal(fw_file_read(path, 1 << 20, &want, &n, &e), FW_OK);
    assert_int_equal(b.len, n);
    assert_memory_equal(b.data, want, n);
    free(want);
    fw_buf_free(&b);
    fw_free(path);
    scratch_done(dir);
}

int main(void)
{
    fw_log_level(FW_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_face_set),
        cmocka_unit_test(without_an_index),
        cmocka_unit_test(odd_numbers_and_labels),
        cmocka_unit_test(records_in_parts),
        cmocka_unit_test(reading_along),
        cmocka_unit_test(past_four_gigabytes),
        cmocka_unit_test(what_cannot_be_opened),
        cmocka_unit_test(bad_records),
        cmocka_unit_test(written_as_python_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
