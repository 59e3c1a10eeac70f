#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../index/gallery.h"
#include "scratch.h"

#include <string.h>
#include <unistd.h>

enum { DIM = 64 };

static void axis(float *x, int d)
{
    memset(x, 0, DIM * sizeof *x);
    x[d] = 1;
}

static void enrol(const char *root, int first, int count)
{
    fw_err e = {0};
    fw_gallery_batch *b = fw_gallery_batch_new(root, DIM);
    float x[DIM];
    for (int i = first; i < first + count; i++) {
        char label[32], path[32];
        snprintf(label, sizeof label, "person %d", i / 2);
        snprintf(path, sizeof path, "photo%d.jpg", i);
        axis(x, i % DIM);
        fw_gallery_batch_add(b, path, label, x);
    }
    assert_int_equal(fw_gallery_batch_rows(b), count);
    if (fw_gallery_batch_seal(b, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_gallery_batch_rows(b), 0);
    fw_gallery_batch_free(b);
}

static void check_row(const fw_gallery *g, size_t row, int i)
{
    char label[32], path[32];
    size_t n, m;
    float x[DIM];
    int len = snprintf(label, sizeof label, "person %d", i / 2), plen = snprintf(path, sizeof path, "photo%d.jpg", i);
    const char *l = fw_gallery_label(g, row, &n), *p = fw_gallery_path(g, row, &m);
    assert_int_equal(n, len);
    assert_memory_equal(l, label, n);
    assert_int_equal(m, plen);
    assert_memory_equal(p, path, m);
    fw_vectors_get(fw_gallery_vectors(g), row, x);
    assert_true(x[i % DIM] == 1);
}

static void segments_follow_each_other(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *root = scratch_path(dir, "a/b/g");
    fw_err e = {0};
    fw_gallery *g;
    assert_false(fw_gallery_there(root));
    assert_int_equal(fw_gallery_create(root, "embed.model = x\n", &e), FW_OK);
    assert_int_equal(fw_gallery_create(root, "another recipe\n", &e), FW_OK); /* is there already: nothing happens */
    assert_true(fw_gallery_there(root));
    assert_int_equal(fw_gallery_open(root, &g, &e), FW_OK);
    assert_int_equal(fw_gallery_rows(g), 0);
    assert_null(fw_gallery_vectors(g));
    fw_gallery_close(g);
    enrol(root, 0, 5);
    enrol(root, 5, 1);
    enrol(root, 6, 0); /* nothing: no segment */
    enrol(root, 6, 3);
    assert_int_equal(fw_gallery_open(root, &g, &e), FW_OK);
    assert_string_equal(fw_gallery_recipe(g), "embed.model = x\n");
    assert_int_equal(fw_gallery_segments(g), 3);
    assert_int_equal(fw_gallery_rows(g), 9);
    for (int i = 0; i < 9; i++) check_row(g, (size_t)i, i);
    size_t rows;
    assert_null(fw_gallery_index(g, &rows));
    assert_int_equal(fw_gallery_refresh_index(g, &e), FW_OK); /* a full scan is cheap: none is made */
    assert_null(fw_gallery_index(g, &rows));
    fw_gallery_close(g);
    scratch_done(dir);
    fw_free(root);
}

/* What a killed process leaves: a folder in tmp/. It is no part of the gallery and in nobody's way. */
static void killed_in_the_middle(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), name[64];
    fw_err e = {0};
    fw_gallery *g;
    assert_int_equal(fw_gallery_create(dir, "", &e), FW_OK);
    enrol(dir, 0, 4);
    scratch_put(dir, "tmp/segment.99999999/gallery.vec", "torn");
    snprintf(name, sizeof name, "tmp/segment.%ld/label", (long)getpid());
    scratch_put(dir, name, "torn, of a process that had this one's number");
    assert_int_equal(fw_gallery_open(dir, &g, &e), FW_OK);
    assert_int_equal(fw_gallery_rows(g), 4);
    fw_gallery_close(g);
    enrol(dir, 4, 2);
    assert_int_equal(fw_gallery_open(dir, &g, &e), FW_OK);
    assert_int_equal(fw_gallery_rows(g), 6);
    check_row(g, 5, 5);
    fw_gallery_close(g);
    scratch_done(dir);
}

static void damage_is_named(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *off = scratch_path(dir, "segments/000001/label.off");
    fw_err e = {0};
    fw_gallery *g;
    assert_int_equal(fw_gallery_open(dir, &g, &e), FW_EFAIL);
    assert_null(g);
    scratch_put(dir, "GALLERY", "something else");
    e = (fw_err){0};
    assert_int_equal(fw_gallery_open(dir, &g, &e), FW_EFAIL);
    assert_non_null(strstr(e.msg, "not a gallery"));
    e = (fw_err){0};
    scratch_put(dir, "GALLERY", "facewash gallery 1\n");
    enrol(dir, 0, 4);
    assert_int_equal(truncate(off, 70), 0);
    assert_int_equal(fw_gallery_open(dir, &g, &e), FW_EFAIL);
    assert_non_null(strstr(e.msg, "label.off"));
    scratch_done(dir);
    fw_free(off);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_follow_each_other),
        cmocka_unit_test(killed_in_the_middle),
        cmocka_unit_test(damage_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
