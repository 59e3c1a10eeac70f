#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void folders(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *deep = scratch_path(dir, "a/b/c"), *below = scratch_path(dir, "f/x");
    fw_err e = {0};
    assert_int_equal(fw_mkdirs(deep, &e), FW_OK);
    assert_int_equal(fw_mkdirs(deep, &e), FW_OK);
    assert_true(fw_is_dir(deep));
    scratch_put(dir, "f", "a file");
    assert_int_equal(fw_mkdirs(below, &e), FW_EFAIL);
    assert_false(fw_exists(below));
    fw_free(below);
    fw_free(deep);
    scratch_done(dir);
}

static void write_then_read(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "f"), *back = NULL;
    size_t n = 0;
    fw_err e = {0};
    assert_int_equal(fw_file_write(path, "one\0two", 7, &e), FW_OK);
    assert_int_equal(fw_file_read(path, 7, &back, &n, &e), FW_OK);
    assert_int_equal(n, 7);
    assert_memory_equal(back, "one\0two\0", 8); /* a NUL behind the last byte */
    free(back);
    assert_int_equal(fw_file_write(path, "", 0, &e), FW_OK);
    assert_int_equal(fw_file_read(path, 7, &back, &n, &e), FW_OK);
    assert_int_equal(n, 0);
    free(back);
    fw_names names;
    assert_int_equal(fw_list_dir(dir, &names, &e), FW_OK);
    assert_int_equal(names.n, 1); /* no temporary file stays */
    fw_names_free(&names);
    fw_free(path);
    scratch_done(dir);
}

static void read_refuses(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "f"), *fifo = scratch_path(dir, "p"), *back;
    size_t n;
    fw_err big = {0}, missing = {0}, folder = {0}, pipe_err = {0};
    scratch_put(dir, "f", "12345678");
    assert_int_equal(fw_file_read(path, 7, &back, &n, &big), FW_EFAIL);
    assert_non_null(strstr(big.msg, "limit of 7"));
    assert_int_equal(fw_file_read("/dev/null/none/x", 7, &back, &n, &missing), FW_EFAIL);
    assert_int_equal(fw_file_read(dir, 7, &back, &n, &folder), FW_EFAIL);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(fw_file_read(fifo, 7, &back, &n, &pipe_err), FW_EFAIL); /* and does not hang */
    fw_free(path);
    fw_free(fifo);
    scratch_done(dir);
}

static void failed_write_keeps_the_old_file(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "sub/f"), *blocked;
    fw_err e = {0};
    scratch_put(dir, "sub/f/x", "a folder stands where the file should go");
    assert_int_equal(fw_file_write(path, "new", 3, &e), FW_EFAIL);
    blocked = scratch_path(dir, "sub");
    fw_names names;
    assert_int_equal(fw_list_dir(blocked, &names, NULL), FW_OK);
    assert_int_equal(names.n, 1); /* the temporary file is gone */
    fw_names_free(&names);
    fw_free(blocked);
    fw_free(path);
    scratch_done(dir);
}

static void remove_tree_does_not_follow_links(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *keep = scratch_path(dir, "keep"), *tree = scratch_path(dir, "tree");
    fw_err e = {0};
    scratch_put(dir, "keep/precious", "x");
    scratch_put(dir, "tree/a/b", "x");
    char *link = scratch_path(dir, "tree/link");
    assert_int_equal(symlink(keep, link), 0);
    assert_int_equal(fw_remove_tree(tree, &e), FW_OK);
    assert_false(fw_exists(tree));
    assert_true(scratch_has(dir, "keep/precious"));
    assert_int_equal(fw_remove_tree(tree, &e), FW_OK); /* missing is fine */
    fw_free(link);
    fw_free(keep);
    fw_free(tree);
    scratch_done(dir);
}

static void names_come_sorted_by_bytes(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    static const char *const want[] = {"B", "a", "a b", "a\n", "b", "\xff"};
    static const char *const order[] = {"a", "a b", "b", "B", "\xff", "a\n"};
    for (size_t i = 0; i < FW_COUNT(order); i++) scratch_put(dir, order[i], "");
    fw_names names;
    fw_err e = {0};
    assert_int_equal(fw_list_dir(dir, &names, &e), FW_OK);
    assert_int_equal(names.n, FW_COUNT(want));
    assert_string_equal(names.name[0], "B");
    assert_string_equal(names.name[1], "a");
    assert_string_equal(names.name[2], "a\n");
    assert_string_equal(names.name[3], "a b");
    assert_string_equal(names.name[5], "\xff");
    fw_names_free(&names);
    assert_int_equal(fw_list_dir("/dev/null/none", &names, &e), FW_EFAIL);
    scratch_done(dir);
}

static void text_output(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "t"), *back, *big = fw_alloc(100001, 1);
    size_t n;
    fw_err e = {0};
    memset(big, 'y', 100000);
    fw_outfile *o = fw_out_open(path, &e);
    for (int i = 0; i < 20000; i++) fw_out_printf(o, "%d\n", i % 10);
    fw_out_puts(o, "z");
    fw_out_printf(o, "%s", big); /* more than any buffer */
    fw_out_write(o, big, 100000);
    assert_int_equal(fw_out_close(o, &e), FW_OK);
    assert_int_equal(fw_file_read(path, 1 << 20, &back, &n, &e), FW_OK);
    assert_int_equal(n, 40001 + 200000);
    assert_memory_equal(back + 39996, "8\n9\nzyyy", 8);
    free(back);
    fw_free(big);
    fw_free(path);
    scratch_done(dir);
}

static void output_errors_stick(void **state)
{
    FW_UNUSED(state);
    if (!fw_exists("/dev/full")) skip();
    fw_err e = {0};
    fw_outfile *o = fw_out_open("/dev/full", &e);
    for (int i = 0; i < 100000; i++) fw_out_puts(o, "filling");
    assert_int_equal(fw_out_close(o, &e), FW_EAGAIN); /* no space: try again */
    assert_non_null(strstr(e.msg, "/dev/full"));
    fw_err none = {0};
    assert_null(fw_out_open("/dev/null/none/x", &none));
    assert_int_equal(none.code, FW_EFAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders),
        cmocka_unit_test(write_then_read),
        cmocka_unit_test(read_refuses),
        cmocka_unit_test(failed_write_keeps_the_old_file),
        cmocka_unit_test(remove_tree_does_not_follow_links),
        cmocka_unit_test(names_come_sorted_by_bytes),
        cmocka_unit_test(text_output),
        cmocka_unit_test(output_errors_stick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
