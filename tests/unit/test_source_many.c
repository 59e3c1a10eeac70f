/* Several sources as one, and lists that label the records of another source. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"
#include "sources.h"

static fw_source *open_spec(const char *spec, fw_err *e)
{
    return fw_source_open(spec, &(fw_source_opts){0}, e);
}

static void several(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("rec"), *real = realpath(dir, NULL);
    fw_err e = {0};
    scratch_put(dir, "a/x/1.jpg", "one");
    scratch_put(dir, "a/2.jpg", "two");
    scratch_put(dir, "a/notes.txt", "text");
    char *spec = fw_format("ms=rec:%s/sameids.rec\nfolder.1=dir:%s/a/../a", real, real);
    fw_source *s = open_spec(spec, &e);
    if (!s) fail_msg("%s", e.msg);
    walks_as(s, "ms/0|ms/1|50 ms/1|ms/1|63 ms/2|ms/2|76 folder.1/2.jpg||3 folder.1/x/1.jpg|folder.1/x|3 ");
    uint64_t files, links;
    fw_source_skipped(s, &files, &links);
    assert_int_equal(files, 1);
    reads_image(s, "ms/1", 1);
    reads_bytes(s, "folder.1/x/1.jpg", "one", 3);
    read_fails(s, "other/1", 10, "no record");
    read_fails(s, "ms", 10, "no record");
    char *file = fw_source_file(s, "folder.1/2.jpg"), *want = fw_format("%s/a/2.jpg", real);
    assert_string_equal(file, want);
    assert_null(fw_source_file(s, "ms/1"));
    char *canonical = fw_format("ms=rec:%s/sameids.rec\nfolder.1=dir:%s/a", real, real);
    assert_string_equal(fw_source_spec(s), canonical);
    fw_source_close(s);
    s = open_spec(canonical, &e); /* what a workspace remembers opens again */
    assert_non_null(s);
    fw_source_close(s);
    free(real);
    fw_free(canonical);
    fw_free(file);
    fw_free(want);
    fw_free(spec);
    scratch_done(dir);
}

static void refused(void **state)
{
    FW_UNUSED(state);
    static const char *const cases[][2] = {{"a=dir:%s\na=dir:%s", "two sources with the name 'a'"},
                                           {"dir:%s\nb=dir:%s", "each needs a name"},
                                           {"a=dir:%s\n%s", "each needs a name"},
                                           {"a=dir:%s\nb=dir:%s/gone", "No such file"},
                                           {"a=dir:%s\nb=npy:%s/m.npy", "photos and embeddings"}};
    char *dir = made_by_python("npy");
    char *from = scratch_path(dir, "float32.npy"), *to = scratch_path(dir, "m.npy");
    assert_int_equal(rename(from, to), 0);
    for (size_t i = 0; i < FW_COUNT(cases); i++) {
        fw_err e = {0};
        fw_buf spec = {0};
        for (const char *p = cases[i][0]; *p; p++) {
            if (*p == '%')
                fw_buf_puts(&spec, dir), p++;
            else
                fw_buf_add(&spec, p, 1);
        }
        assert_null(open_spec(spec.data, &e));
        assert_int_equal(e.code, FW_EUSAGE);
        if (!strstr(e.msg, cases[i][1])) fail_msg("'%s' does not say '%s'", e.msg, cases[i][1]);
        fw_buf_free(&spec);
    }
    fw_free(from);
    fw_free(to);
    scratch_done(dir);
}

/* Someone else's clean list for a rec file. */
static void a_list_of_another_source(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("rec"), *real = realpath(dir, NULL),
         *spec = fw_format("list:%s/clean.lst@rec:%s/train.rec", dir, dir);
    fw_err e = {0};
    scratch_put(dir, "clean.lst", "4\tAnna\n9\tBob\n4\tAnna\n99\tgone\n");
    fw_source *s = open_spec(spec, &e);
    if (!s) fail_msg("%s", e.msg);
    walks_as(s, "4|Anna|89 9|Bob|154 4|Anna|89 99|gone|0 ");
    reads_image(s, "9", 8);
    read_fails(s, "99", 100, "no record '99'");
    assert_null(fw_source_file(s, "9"));
    char *want = fw_format("list:%s/clean.lst@rec:%s/train.rec", real, real);
    assert_string_equal(fw_source_spec(s), want);
    fw_source_close(s);
    free(real);
    fw_free(want);
    fw_free(spec);
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(several), cmocka_unit_test(refused),
                                       cmocka_unit_test(a_list_of_another_source)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
