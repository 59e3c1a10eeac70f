#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/source.h"
#include "scratch.h"

#include <sys/stat.h>
#include <unistd.h>

static const fw_source_opts plain;

/* All records as "path|label\n". */
static char *walk(const char *spec, const fw_source_opts *o, uint64_t *files, uint64_t *links, fw_err *e)
{
    fw_source *s = fw_source_open(spec, o, e);
    if (!s) return NULL;
    fw_buf b = {0};
    fw_record r;
    int got;
    fw_buf_puts(&b, "");
    while ((got = fw_source_next(s, &r, e)) > 0) fw_buf_printf(&b, "%s|%s\n", r.path, r.label);
    uint64_t f, l;
    fw_source_skipped(s, files ? files : &f, links ? links : &l);
    fw_source_close(s);
    if (!got) return b.data;
    fw_buf_free(&b);
    return NULL;
}

static void folders_are_labels(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0};
    uint64_t files, links;
    static const char *const put[] = {"b/2.jpg",     "b/1.JPEG",      "a/x.png",    "a/deep/y.webp", "top.bmp",
                                      "a/notes.txt", "a/.hidden.jpg", ".git/z.jpg", "a/gif.gif",     "a/noext"};
    for (size_t i = 0; i < FW_COUNT(put); i++) scratch_put(dir, put[i], "x");
    char *got = walk(dir, &plain, &files, &links, &e);
    assert_string_equal(got, "a/deep/y.webp|a/deep\na/gif.gif|a\na/x.png|a\nb/1.JPEG|b\nb/2.jpg|b\ntop.bmp|\n");
    assert_int_equal(files, 2);
    assert_int_equal(links, 0);
    fw_free(got);
    got = walk(dir, &(fw_source_opts){.no_labels = true}, NULL, NULL, &e);
    assert_non_null(strstr(got, "b/2.jpg|\n"));
    fw_free(got);
    scratch_done(dir);
}

static void names_are_bytes(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0};
    scratch_put(dir, "a\nb/\"q'uote<b>.jpg", "x");
    scratch_put(dir, "\xff\xfe/\xc3(.jpg", "x");
    char *got = walk(dir, &plain, NULL, NULL, &e);
    assert_string_equal(got, "a\nb/\"q'uote<b>.jpg|a\nb\n\xff\xfe/\xc3(.jpg|\xff\xfe\n");
    fw_free(got);
    scratch_done(dir);
}

static void link_to(const char *target, const char *dir, const char *name)
{
    char *path = scratch_path(dir, name);
    assert_int_equal(symlink(target, path), 0);
    fw_free(path);
}

static void links(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *src = scratch_path(dir, "src");
    fw_err e = {0};
    uint64_t n;
    scratch_put(dir, "src/a/1.jpg", "x");
    scratch_put(dir, "out/secret.jpg", "x");
    link_to("../a/1.jpg", dir, "src/a/2.jpg"); /* inside: a photo */
    link_to("a", dir, "src/again");            /* a folder inside: would show photos twice */
    link_to("..", dir, "src/a/loop");          /* ends nowhere */
    link_to("../../out/secret.jpg", dir, "src/a/3.jpg");
    link_to("/etc/hostname", dir, "src/a/4.jpg");
    link_to("../out", dir, "src/b");
    link_to("nowhere.jpg", dir, "src/a/5.jpg");
    char *got = walk(src, &plain, NULL, &n, &e);
    assert_string_equal(got, "a/1.jpg|a\na/2.jpg|a\n");
    assert_int_equal(n, 6);
    fw_free(got);
    got = walk(src, &(fw_source_opts){.outside_links = true}, NULL, &n, &e);
    assert_non_null(strstr(got, "a/3.jpg|a\n"));
    assert_non_null(strstr(got, "b/secret.jpg|b\n"));
    fw_free(got);
    fw_free(src);
    scratch_done(dir);
}

/* A folder whose name begins like the source's is still outside of it. */
static void a_sibling_is_outside(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *src = scratch_path(dir, "data");
    fw_err e = {0};
    uint64_t n;
    scratch_put(dir, "data/a/1.jpg", "x");
    scratch_put(dir, "data2/x.jpg", "x");
    link_to("../../data2/x.jpg", dir, "data/a/2.jpg");
    char *got = walk(src, &plain, NULL, &n, &e);
    assert_string_equal(got, "a/1.jpg|a\n");
    assert_int_equal(n, 1);
    fw_free(got);
    fw_free(src);
    scratch_done(dir);
}

static void lists(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *list = scratch_path(dir, "sub/train.lst"), *spec = fw_format("list:%s", list), *text;
    fw_err e = {0};
    size_t n;
    scratch_put(dir, "sub/one.jpg", "12345");
    scratch_put(dir, "sub/train.lst", "one.jpg\tAnna B\r\n\nmissing.jpg\tx\nwith\ttab.jpg\ty\nunlabelled.jpg");
    fw_source *s = fw_source_open(spec, &plain, &e);
    fw_record r;
    assert_non_null(s);
    assert_int_equal(fw_source_next(s, &r, &e), 1);
    assert_string_equal(r.path, "one.jpg");
    assert_string_equal(r.label, "Anna B");
    assert_int_equal(r.bytes, 5);
    assert_true(r.mtime > 0);
    assert_int_equal(fw_source_next(s, &r, &e), 1);
    assert_string_equal(r.path, "missing.jpg");
    assert_int_equal(r.bytes, 0); /* it becomes an unreadable image, not an end */
    assert_int_equal(fw_source_next(s, &r, &e), 1);
    assert_string_equal(r.path, "with\ttab.jpg"); /* the last tab cuts */
    assert_int_equal(fw_source_next(s, &r, &e), 1);
    assert_string_equal(r.label, "");
    assert_int_equal(fw_source_next(s, &r, &e), 0);
    assert_int_equal(fw_source_read(s, "one.jpg", 100, &text, &n, &e), FW_OK);
    assert_int_equal(n, 5);
    assert_string_equal(text, "12345");
    free(text);
    fw_err missing = {0};
    assert_int_not_equal(fw_source_read(s, "missing.jpg", 100, &text, &n, &missing), FW_OK);
    fw_source_close(s);
    fw_free(list);
    fw_free(spec);
    scratch_done(dir);
}

static void bad_list_line(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *list = scratch_path(dir, "l");
    fw_err e = {0};
    scratch_put(dir, "l", "a.jpg\tx\n\tlabel only\n");
    assert_null(walk(list, &plain, NULL, NULL, &e));
    assert_int_equal(e.code, FW_EUSAGE);
    assert_non_null(strstr(e.msg, "line 2"));
    fw_free(list);
    scratch_done(dir);
}

static void what_cannot_be_opened(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *file = scratch_path(dir, "f"), *spec = fw_format("dir:%s", file),
         *list = fw_format("list:%s", dir);
    fw_err missing = {0}, file_as_dir = {0}, dir_as_list = {0};
    scratch_put(dir, "f", "x");
    assert_null(fw_source_open("dir:/dev/null/none/x", &plain, &missing));
    assert_int_equal(missing.code, FW_EUSAGE);
    assert_null(fw_source_open(spec, &plain, &file_as_dir));
    assert_int_equal(file_as_dir.code, FW_EUSAGE);
    assert_null(fw_source_open(list, &plain, &dir_as_list));
    assert_int_equal(dir_as_list.code, FW_EUSAGE);
    fw_free(file);
    fw_free(spec);
    fw_free(list);
    scratch_done(dir);
}

static void the_spec_is_canonical(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *real = realpath(dir, NULL),
         *odd = fw_format("%s/../%s/./a/", dir, strrchr(dir, '/') + 1), *want = fw_format("dir:%s/a", real);
    fw_err e = {0};
    scratch_put(dir, "a/1.jpg", "x");
    fw_source *s = fw_source_open(odd, &plain, &e);
    assert_non_null(s);
    assert_string_equal(fw_source_spec(s), want);
    fw_source_close(s);
    free(real);
    fw_free(odd);
    fw_free(want);
    scratch_done(dir);
}

static void too_deep_is_an_error(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_buf b = {0};
    fw_err e = {0};
    for (int i = 0; i < 70; i++) fw_buf_puts(&b, "d/");
    fw_buf_puts(&b, "x.jpg");
    scratch_put(dir, b.data, "x");
    assert_null(walk(dir, &plain, NULL, NULL, &e));
    assert_non_null(strstr(e.msg, "64 deep"));
    fw_buf_free(&b);
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_labels),
        cmocka_unit_test(names_are_bytes),
        cmocka_unit_test(links),
        cmocka_unit_test(a_sibling_is_outside),
        cmocka_unit_test(lists),
        cmocka_unit_test(bad_list_line),
        cmocka_unit_test(what_cannot_be_opened),
        cmocka_unit_test(the_spec_is_canonical),
        cmocka_unit_test(too_deep_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
