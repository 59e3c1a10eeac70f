#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/store.h"
#include "scratch.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static fw_store *fresh(const char *dir, size_t shard_size)
{
    fw_err e = {0};
    fw_store *s = fw_store_open(dir, true, shard_size, &e);
    if (!s) fail_msg("%s", e.msg);
    return s;
}

static void seal(fw_store *s, const char *set, const char *const (*rows)[2], size_t n)
{
    fw_shard_builder *b = fw_shard_builder_new();
    fw_err e = {0};
    for (size_t i = 0; i < n; i++)
        fw_shard_builder_add(b, rows[i][0], rows[i][1], 100 + i, -5 * (int64_t)i,
                             fw_hash_bytes(rows[i][0], strlen(rows[i][0])));
    assert_int_equal(fw_shard_builder_rows(b), n);
    if (fw_shard_builder_seal(b, s, set, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_shard_builder_rows(b), 0);
    fw_shard_builder_free(b);
}

static const char *const three[][2] = {{"a/1.jpg", "a"}, {"a/2\n.jpg", "a"}, {"top.jpg", ""}};
static const char *const two[][2] = {{"b/\xff.jpg", "b"}, {"c/1.jpg", "c"}};

static void row_is(const fw_shard *sh, size_t row, const char *path, const char *label)
{
    size_t n;
    const char *got = fw_shard_path(sh, row, &n);
    assert_int_equal(n, strlen(path));
    assert_memory_equal(got, path, n);
    got = fw_shard_label(sh, row, &n);
    if (!label)
        assert_null(got);
    else {
        assert_int_equal(n, strlen(label));
        assert_memory_equal(got, label, n);
    }
}

static void shards_come_back(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0};
    fw_store *s = fresh(dir, 3);
    seal(s, "", three, 3);
    seal(s, "lfw", two, 2);
    fw_hash key = s->shard[0].key;
    fw_store_close(s);
    s = fw_store_open(dir, false, 999, &e);
    assert_non_null(s);
    assert_int_equal(s->shard_size, 3); /* fixed when it was made */
    assert_int_equal(s->shards, 2);
    assert_true(fw_hash_equal(key, s->shard[0].key));
    assert_string_equal(s->shard[0].set, "");
    assert_string_equal(s->shard[1].set, "lfw");
    assert_int_equal(s->shard[0].rows, 3);
    row_is(&s->shard[0], 0, "a/1.jpg", "a");
    row_is(&s->shard[0], 1, "a/2\n.jpg", "a");
    row_is(&s->shard[0], 2, "top.jpg", NULL);
    row_is(&s->shard[1], 0, "b/\xff.jpg", "b");
    assert_int_equal(((const uint64_t *)s->shard[0].bytes.data)[2], 102);
    assert_int_equal(((const int64_t *)s->shard[0].mtime.data)[2], -10);
    fw_store_close(s);
    scratch_done(dir);
}

static void the_key_tells_contents_apart(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *other = scratch_new();
    fw_store *s = fresh(dir, 3), *t = fresh(other, 3);
    seal(s, "", three, 3);
    seal(s, "", two, 2);
    seal(s, "x", two, 2);
    seal(t, "", three, 3);
    assert_true(fw_hash_equal(s->shard[0].key, t->shard[0].key)); /* the same images: the same key, anywhere */
    assert_false(fw_hash_equal(s->shard[0].key, s->shard[1].key));
    assert_false(fw_hash_equal(s->shard[1].key, s->shard[2].key)); /* another set */
    fw_store_close(s);
    fw_store_close(t);
    scratch_done(dir);
    scratch_done(other);
}

static void sources_are_remembered(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0}, bad = {0};
    fw_store *s = fresh(dir, 3);
    fw_names sets;
    assert_string_equal(fw_store_source(s, ""), "");
    assert_int_equal(fw_store_set_source(s, "", "dir:/x", &e), FW_OK);
    assert_int_equal(fw_store_set_source(s, "z", "dir:/z", &e), FW_OK);
    assert_int_equal(fw_store_set_source(s, "lfw", "dir:/y", &e), FW_OK);
    assert_int_equal(fw_store_set_source(s, "bad", "dir:/\xff", &bad), FW_EUSAGE);
    fw_store_close(s);
    s = fw_store_open(dir, false, 1, &e);
    assert_string_equal(fw_store_source(s, ""), "dir:/x");
    assert_string_equal(fw_store_source(s, "lfw"), "dir:/y");
    fw_store_sets(s, &sets);
    assert_int_equal(sets.n, 2);
    assert_string_equal(sets.name[0], "z"); /* in order of first use */
    fw_names_free(&sets);
    fw_store_close(s);
    scratch_done(dir);
}

static bool second_row(void *user, const fw_shard *sh, size_t row)
{
    return sh->number == *(unsigned *)user && row == 1;
}

static bool nobody(void *user, const fw_shard *sh, size_t row)
{
    FW_UNUSED(user);
    FW_UNUSED(sh);
    FW_UNUSED(row);
    return false;
}

static void removed_rows(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    unsigned shard = 1;
    fw_err e = {0};
    fw_store *s = fresh(dir, 3);
    seal(s, "", three, 3);
    seal(s, "", two, 2);
    fw_hash none = fw_store_removed_key(s, ""), other = fw_store_removed_key(s, "lfw");
    assert_int_equal(fw_store_write_removed(s, second_row, &shard, &e), FW_OK);
    fw_hash one = fw_store_removed_key(s, "");
    assert_false(fw_hash_equal(none, one));
    assert_true(fw_hash_equal(other, fw_store_removed_key(s, "lfw")));
    fw_store_close(s);
    s = fw_store_open(dir, false, 1, &e);
    assert_non_null(s);
    assert_true(fw_hash_equal(one, fw_store_removed_key(s, "")));
    assert_int_equal(s->shard[1].removed[1], 1);
    assert_int_equal(s->shard[1].removed[0], 0);
    assert_int_equal(fw_store_write_removed(s, nobody, NULL, &e), FW_OK);
    assert_true(fw_hash_equal(none, fw_store_removed_key(s, "")));
    fw_store_close(s);
    scratch_done(dir);
}

static void damaged_removed_list(void **state)
{
    FW_UNUSED(state);
    static const char *const texts[] = {"0 3\n", "2 0\n", "0 x\n", "-1 0\n", "0 1\n9999999999999999999999 0\n"};
    for (size_t i = 0; i < FW_COUNT(texts); i++) {
        char *dir = scratch_new();
        fw_err e = {0};
        fw_store *s = fresh(dir, 3);
        seal(s, "", three, 3);
        fw_store_close(s);
        scratch_put(dir, "shards/removed", texts[i]);
        s = fw_store_open(dir, false, 1, &e);
        if (s) fail_msg("'%s' was taken", texts[i]);
        assert_non_null(strstr(e.msg, "removed images"));
        scratch_done(dir);
    }
}

static fw_hash key_of(const char *text)
{
    return fw_hash_bytes(text, strlen(text));
}

static void a_result_appears_whole(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0};
    fw_store *s = fresh(dir, 3);
    fw_staging *g = fw_staging_begin(s, "detect", 12, key_of("k"), &e);
    assert_non_null(g);
    scratch_put(fw_staging_dir(g), "col", "bytes");
    scratch_put(fw_staging_dir(g), "sub/sheet", "more");
    char *path = fw_store_result(s, "detect", 12, key_of("k"));
    assert_false(fw_exists(path));
    assert_int_equal(fw_staging_commit(g, "stage detect version 1\n", &e), FW_OK);
    assert_true(scratch_has(path, "col"));
    char *text, *manifest = scratch_path(path, "MANIFEST");
    size_t n;
    assert_int_equal(fw_file_read(manifest, 1 << 20, &text, &n, &e), FW_OK);
    assert_non_null(strstr(text, "\"bytes\": 5"));
    assert_non_null(strstr(text, "sub/sheet"));
    assert_non_null(strstr(text, "stage detect version 1"));
    free(text);
    fw_free(manifest);
    fw_free(path);
    fw_names left;
    path = scratch_path(dir, "tmp");
    assert_int_equal(fw_list_dir(path, &left, &e), FW_OK);
    assert_int_equal(left.n, 0);
    fw_names_free(&left);
    fw_free(path);
    fw_store_close(s);
    scratch_done(dir);
}

/* Two processes make the same result: the second one's work is dropped and both succeed. */
static void the_second_commit_gives_way(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0};
    fw_store *s = fresh(dir, 3);
    for (int i = 0; i < 2; i++) {
        fw_staging *g = fw_staging_begin(s, "knn", -1, key_of("k"), &e);
        scratch_put(fw_staging_dir(g), "col", i ? "second" : "first");
        assert_int_equal(fw_staging_commit(g, "r", &e), FW_OK);
    }
    char *path = fw_store_result(s, "knn", -1, key_of("k")), *col = scratch_path(path, "col"), *text;
    size_t n;
    assert_int_equal(fw_file_read(col, 100, &text, &n, &e), FW_OK);
    assert_string_equal(text, "first");
    free(text);
    fw_free(col);
    fw_free(path);
    fw_store_close(s);
    scratch_done(dir);
}

static void abandoned_and_left_over_staging(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0};
    fw_store *s = fresh(dir, 3);
    fw_staging *g = fw_staging_begin(s, "knn", -1, key_of("k"), &e);
    scratch_put(fw_staging_dir(g), "col", "x");
    fw_staging_abandon(g);
    fw_staging_abandon(NULL);
    scratch_put(dir, "tmp/of-a-crash/deep/file", "x");
    assert_int_equal(fw_store_clean_tmp(s, &e), FW_OK);
    char *path = scratch_path(dir, "tmp");
    fw_names left;
    assert_int_equal(fw_list_dir(path, &left, &e), FW_OK);
    assert_int_equal(left.n, 0);
    fw_names_free(&left);
    fw_free(path);
    fw_store_close(s);
    scratch_done(dir);
}

static void locks(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), pid[40];
    fw_err held = {0}, e = {0};
    fw_store *a = fresh(dir, 3), *b = fresh(dir, 3), *c = fresh(dir, 3);
    assert_int_equal(fw_store_lock(a, true, false, &e), FW_OK);
    assert_int_equal(fw_store_lock(b, false, false, &held), FW_EAGAIN);
    snprintf(pid, sizeof pid, "process %ld on ", (long)getpid());
    assert_non_null(strstr(held.msg, pid));
    assert_non_null(strstr(held.msg, "--wait"));
    fw_store_close(a);
    fw_store_close(b);
    b = fresh(dir, 3);
    assert_int_equal(fw_store_lock(b, false, false, &e), FW_OK); /* many may share it */
    assert_int_equal(fw_store_lock(c, false, false, &e), FW_OK);
    fw_store_close(b);
    fw_store_close(c);
    scratch_done(dir);
}

/* --wait: gets the lock as soon as the holder dies. */
static void waiting_for_a_holder(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0};
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        fw_store *mine = fw_store_open(dir, true, 3, NULL);
        if (!mine || fw_store_lock(mine, true, false, NULL) || write(ready[1], "x", 1) != 1) _exit(1);
        usleep(400000);
        _exit(0); /* without closing: death releases it */
    }
    char x;
    assert_int_equal(read(ready[0], &x, 1), 1);
    fw_store *s = fresh(dir, 3);
    double start = fw_now();
    assert_int_equal(fw_store_lock(s, true, true, &e), FW_OK);
    assert_true(fw_now() - start > 0.05);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    fw_store_close(s);
    scratch_done(dir);
}

/* One process seals, another looks again. */
static void reload_sees_new_shards(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0};
    fw_store *a = fresh(dir, 3), *b = fresh(dir, 3);
    seal(a, "", three, 3);
    fw_store_set_source(a, "", "dir:/x", &e);
    assert_int_equal(b->shards, 0);
    assert_int_equal(fw_store_reload(b, &e), FW_OK);
    assert_int_equal(b->shards, 1);
    assert_string_equal(fw_store_source(b, ""), "dir:/x");
    fw_store_close(a);
    fw_store_close(b);
    scratch_done(dir);
}

static void refused(const char *file, const char *text, const char *part)
{
    char *dir = scratch_new();
    fw_err e = {0};
    fw_store *s = fresh(dir, 3);
    seal(s, "", three, 3);
    seal(s, "", two, 2);
    fw_store_close(s);
    if (text)
        scratch_put(dir, file, text);
    else {
        char *path = scratch_path(dir, file);
        fw_remove_tree(path, NULL);
        fw_free(path);
    }
    s = fw_store_open(dir, false, 3, &e);
    if (s) fail_msg("%s: '%s' was taken", file, text ? text : "(removed)");
    if (!strstr(e.msg, part)) fail_msg("'%s' is not in: %s", part, e.msg);
    assert_int_equal(e.code, FW_EFAIL);
    scratch_done(dir);
}

static void damaged_workspaces(void **state)
{
    FW_UNUSED(state);
    refused("WORKSPACE", "", "open workspace");
    refused("WORKSPACE", "{\"format\": 1", "open workspace");
    refused("WORKSPACE", "[]", "open workspace");
    refused("WORKSPACE", "{\"format\": 99, \"shard_size\": 3, \"sources\": {}}", "format 99");
    refused("WORKSPACE", "{\"format\": 1, \"shard_size\": 0, \"sources\": {}}", "damaged");
    refused("WORKSPACE", "{\"format\": 1, \"shard_size\": 3, \"sources\": 5}", "damaged");
    refused("shards/000000", NULL, "shard 0 is missing");
    refused("shards/000001/MANIFEST", NULL, "MANIFEST");
    refused("shards/000001/MANIFEST", "{}", "damaged");
    refused("shards/000001/MANIFEST", "{\"recipe\": \"\"", "damaged");
    refused("shards/000001/path", "short", "shorter than its header");
    refused("shards/000001/path.off", NULL, "path.off");
}

/* Columns that are whole files but do not fit together must not lead to wild reads. */
static void offsets_are_checked(void **state)
{
    FW_UNUSED(state);
    static const uint64_t wild[][3] = {{0, 5000, 12}, {0, 13, 12}, {1, 6, 12}, {0, 6, 13}};
    for (size_t i = 0; i < FW_COUNT(wild); i++) {
        char *dir = scratch_new(), *path = scratch_path(dir, "shards/000000/path.off");
        fw_err e = {0}, bad = {0};
        fw_store *s = fresh(dir, 3);
        seal(s, "", two, 2);
        fw_store_close(s);
        assert_int_equal(fw_column_save(path, FW_U64, 1, wild[i], 3, &e), FW_OK);
        assert_null(fw_store_open(dir, false, 3, &bad));
        assert_non_null(strstr(bad.msg, "damaged"));
        fw_free(path);
        scratch_done(dir);
    }
}

static void no_workspace(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new();
    fw_err e = {0};
    assert_null(fw_store_open(dir, false, 3, &e));
    assert_int_equal(e.code, FW_EUSAGE);
    assert_non_null(strstr(e.msg, "facewash run"));
    assert_false(scratch_has(dir, "WORKSPACE"));
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_come_back),
        cmocka_unit_test(the_key_tells_contents_apart),
        cmocka_unit_test(sources_are_remembered),
        cmocka_unit_test(removed_rows),
        cmocka_unit_test(damaged_removed_list),
        cmocka_unit_test(a_result_appears_whole),
        cmocka_unit_test(the_second_commit_gives_way),
        cmocka_unit_test(abandoned_and_left_over_staging),
        cmocka_unit_test(locks),
        cmocka_unit_test(waiting_for_a_holder),
        cmocka_unit_test(reload_sees_new_shards),
        cmocka_unit_test(damaged_workspaces),
        cmocka_unit_test(offsets_are_checked),
        cmocka_unit_test(no_workspace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
