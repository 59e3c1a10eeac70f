/* tsv: MS-Celeb-1M's columns, plain and gzip, as Python writes them; odd lines; base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/base64.h"
#include "scratch.h"
#include "sources.h"

static void reads_all(const fw_source *s)
{
    static const int order[] = {8, 3, 0, 1, 7, 2, 4, 6, 5};
    char key[16];
    for (int i = 0; i < 9; i++) {
        snprintf(key, sizeof key, "%d", order[i] + 1);
        reads_image(s, key, order[i]);
    }
    read_fails(s, "0", 100, "no record");
    read_fails(s, "5", 40, "limit");
}

/* The walk's sizes come from the length of the text: up to two bytes more than there are. */
static void walks_with(fw_source *s, const char *format)
{
    char want[512] = "", *got = walk_source(s);
    size_t n = 0;
    for (int i = 0; i < 9; i++)
        n += (size_t)snprintf(want + n, sizeof want - n, format, i + 1, i / 3, (50 + 13 * i + 2) / 3 * 3);
    assert_string_equal(got, want);
    fw_free(got);
}

static void msceleb(void **state)
{
    FW_UNUSED(state);
    static const char *const name[] = {"celeb.tsv", "crlf.tsv", "celeb.tsv.gz"};
    char *dir = made_by_python("tsv");
    for (size_t i = 0; i < FW_COUNT(name); i++) {
        fw_err e = {0};
        fw_source *s = open_in("tsv", dir, name[i], NULL, &e);
        if (!s) fail_msg("%s", e.msg);
        walks_with(s, "%d|m.0%d|%d ");
        reads_all(s);
        if (i < 2)
            read_fails(s, "10", 100, "no record");
        else
            read_fails(s, "10", 100, "ends before");
        fw_source_close(s);
        s = open_in("tsv", dir, name[i], NULL, &e); /* and without the walk */
        reads_all(s);
        walks_with(s, "%d|m.0%d|%d ");
        fw_source_close(s);
    }
    scratch_done(dir);
}

static void key_columns(void **state)
{
    FW_UNUSED(state);
    static const char *const name[] = {"celeb.tsv", "crlf.tsv", "celeb.tsv.gz"};
    char *dir = made_by_python("tsv");
    for (size_t i = 0; i < FW_COUNT(name); i++) {
        fw_err e = {0};
        fw_source_opts o = {.tsv_key = "1,5", .tsv_label = 5};
        fw_source *s = open_in("tsv", dir, name[i], &o, &e);
        if (!s) fail_msg("%s", e.msg);
        reads_image(s, "m.02/FaceId-7", 7); /* before the walk */
        fw_record r;
        assert_int_equal(fw_source_next(s, &r, &e), 1);
        assert_string_equal(r.path, "m.00/FaceId-0");
        assert_string_equal(r.label, "FaceId-0");
        reads_image(s, "m.00/FaceId-0", 0);
        read_fails(s, "m.00/FaceId-9", 100, "no record");
        read_fails(s, "1", 100, "no record");
        fw_source_close(s);
    }
    open_fails("tsv", dir, "celeb.tsv", &(fw_source_opts){.tsv_key = "1,x"}, "must be columns");
    open_fails("tsv", dir, "celeb.tsv", &(fw_source_opts){.tsv_key = "1,1"}, "must be columns");
    fw_err e = {0};
    fw_source *s = open_in("tsv", dir, "celeb.tsv", &(fw_source_opts){.tsv_key = "1"}, &e);
    fw_record r;
    while (fw_source_next(s, &r, &e) > 0) {
    }
    assert_int_equal(e.code, FW_EUSAGE);
    assert_non_null(strstr(e.msg, "lines 1 and 2 have the same key"));
    fw_source_close(s);
    scratch_done(dir);
}

static void odd_lines(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("tsv");
    fw_err e = {0};
    fw_source *s = open_in("tsv", dir, "gaps.tsv", NULL, &e);
    walks_as(s, "1|a|63 3|b|3 4|c|0 5|d|0 "); /* line 2 is empty; numbers stay those of the lines */
    reads_image(s, "1", 1);
    read_fails(s, "3", 100, "line 3: the image's column is not base64");
    fw_source_close(s);
    s = open_in("tsv", dir, "gaps.tsv", &(fw_source_opts){.tsv_image = 3, .tsv_label = -1}, &e);
    walks_as(s, "1||63 3||3 4||0 5||0 ");
    read_fails(s, "4", 100, "line 4: has no column 3");
    fw_source_close(s);
    s = open_in("tsv", dir, "first.tsv", &(fw_source_opts){.tsv_image = 1, .tsv_label = 2}, &e);
    walks_as(s, "1|ann|63 2|bob|78 ");
    reads_image(s, "1", 1); /* padding left out */
    reads_image(s, "2", 2);
    fw_source_close(s);
    s = open_in("tsv", dir, "zeros.tsv", NULL, &e);
    fw_record r;
    assert_int_equal(fw_source_next(s, &r, &e), -1);
    assert_non_null(strstr(e.msg, "line 1 at offset 0"));
    fw_source_close(s);
    scratch_done(dir);
}

static void lines_across_chunks(void **state)
{
    FW_UNUSED(state);
    static const char *const name[] = {"big.tsv", "big.tsv.gz"};
    char *dir = made_by_python("tsv"), *want = malloc(20000);
    for (size_t k = 0; k < 2; k++) {
        fw_err e = {0};
        fw_source *s = open_in("tsv", dir, name[k], NULL, &e);
        fw_record r;
        char key[16];
        for (int i = 0; i < 300; i++) {
            assert_int_equal(fw_source_next(s, &r, &e), 1);
            memset(want, i, (size_t)(1000 + 37 * i));
            snprintf(key, sizeof key, "%d", i + 1);
            assert_string_equal(r.path, key);
            reads_bytes(s, key, want, (size_t)(1000 + 37 * i));
            if (i % 100 == 99 && !k)
                reads_bytes(s, "300", (memset(want, 299 % 256, 12063), want), 12063); /* ahead of the walk */
        }
        assert_int_equal(fw_source_next(s, &r, &e), 0);
        fw_source_close(s);
    }
    fw_err e = {0};
    fw_source *s = open_in("tsv", dir, "cut.tsv.gz", NULL, &e);
    fw_record r;
    int got;
    while ((got = fw_source_next(s, &r, &e)) > 0) {
    }
    assert_int_equal(got, -1);
    assert_non_null(strstr(e.msg, "cut.tsv.gz' near offset"));
    fw_source_close(s);
    free(want);
    scratch_done(dir);
}

static void reading_along(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("tsv");
    reads_along("tsv", dir, "big.tsv.gz", 300);
    reads_along("tsv", dir, "celeb.tsv.gz", 9);
    reads_along("tsv", dir, "celeb.tsv", 0); /* decoded by the caller's threads */
    scratch_done(dir);
}

static void base64(void **state)
{
    FW_UNUSED(state);
    static const char *const good[][2] = {{"", ""},
                                          {"Zg==", "f"},
                                          {"Zm8=", "fo"},
                                          {"Zm9v", "foo"},
                                          {"Zm9vYg==", "foob"},
                                          {"Zm9vYmE=", "fooba"},
                                          {"Zm9vYmFy", "foobar"},
                                          {"+/+/", "\xfb\xff\xbf"}};
    static const char *const bad[] = {"Z", "Zg==Zg==", "Zm9v=", "Zm 9v", "Zm9v\n", "====", "Zm-_", "A==="};
    char out[64];
    size_t n;
    for (size_t i = 0; i < FW_COUNT(good); i++) {
        fw_buf b = {0};
        assert_true(fw_base64_decode(good[i][0], strlen(good[i][0]), out, &n));
        assert_int_equal(n, strlen(good[i][1]));
        assert_memory_equal(out, good[i][1], n);
        fw_base64_encode(&b, good[i][1], n);
        if (n) assert_string_equal(b.data, good[i][0]);
        fw_buf_free(&b);
    }
    for (size_t i = 0; i < FW_COUNT(bad); i++)
        if (fw_base64_decode(bad[i], strlen(bad[i]), out, &n)) fail_msg("'%s' passes", bad[i]);
}

/* Every length around the pieces that are worked on at once, in place; and any one character that does not belong. */
static void base64_of_any_length(void **state)
{
    FW_UNUSED(state);
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char bytes[2400];
    fw_rng rng = {7};
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)fw_rng_next(&rng);
    for (size_t n = 0; n <= sizeof bytes; n += n < 800 ? 1 : 7) {
        fw_buf b = {0};
        size_t got = 0;
        fw_buf_puts(&b, "");
        fw_base64_encode(&b, bytes, n);
        assert_int_equal(b.len, (n + 2) / 3 * 4);
        assert_true(fw_base64_decode(b.data, b.len, b.data, &got));
        assert_int_equal(got, n);
        assert_memory_equal(b.data, bytes, n);
        fw_buf_free(&b);
    }
    for (int c = 0; c < 256; c++)
        for (size_t at = 0; at < 21; at++) {
            char text[24], out[32];
            size_t got;
            memset(text, 'A', sizeof text);
            text[at] = (char)c;
            assert_true(fw_base64_decode(text, 24, out, &got) == (c && strchr(alphabet, c) != NULL));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(msceleb),
        cmocka_unit_test(key_columns),
        cmocka_unit_test(odd_lines),
        cmocka_unit_test(lines_across_chunks),
        cmocka_unit_test(reading_along),
        cmocka_unit_test(base64),
        cmocka_unit_test(base64_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
