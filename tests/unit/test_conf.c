#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/conf.h"
#include "scratch.h"

static void refuses(const char *assignment, const char *part)
{
    fw_conf *c = fw_conf_new();
    fw_err e = {0};
    assert_int_equal(fw_conf_assign(c, assignment, &e), FW_EUSAGE);
    if (!strstr(e.msg, part)) fail_msg("'%s' is not in: %s", part, e.msg);
    fw_conf_free(c);
}

static void defaults_load(void **state)
{
    FW_UNUSED(state);
    fw_conf *c = fw_conf_new();
    assert_int_equal(c->ingest_shard_size, 4096);
    assert_true(c->run_memory == (uint64_t)4 << 30);
    assert_true(c->detect_threshold == 0);
    assert_false(c->run_wait);
    assert_string_equal(c->align_mode, "landmarks");
    assert_string_equal(c->origin, "");
    fw_conf_free(c);
}

static void values_of_every_type(void **state)
{
    FW_UNUSED(state);
    fw_conf *c = fw_conf_new();
    fw_err e = {0};
    static const char *const sets[] = {"detect.size=800", "detect.threshold=0.25", "run.wait=ON",
                                       "run.memory=1.5g", "align.mode=none",       "embed.model=/a/b=c.ini"};
    for (size_t i = 0; i < FW_COUNT(sets); i++) assert_int_equal(fw_conf_assign(c, sets[i], &e), FW_OK);
    assert_int_equal(c->detect_size, 800);
    assert_true(c->detect_threshold == 0.25);
    assert_true(c->run_wait);
    assert_true(c->run_memory == (uint64_t)3 << 29);
    assert_string_equal(c->align_mode, "none");
    assert_string_equal(c->embed_model, "/a/b=c.ini"); /* only the first '=' counts */
    assert_int_equal(fw_conf_set(c, "align.mode", "landmarks", "here", &e), FW_OK);
    assert_string_equal(c->align_mode, "landmarks"); /* the last one wins */
    assert_non_null(strstr(c->origin, "detect.size = 800  (--set)\n"));
    assert_non_null(strstr(c->origin, "align.mode = landmarks  (here)\n"));
    fw_conf_free(c);
}

static void bad_values_say_what_is_right(void **state)
{
    FW_UNUSED(state);
    refuses("detect.size=1.5", "a whole number from 64 to 8192");
    refuses("detect.size=63", "'63'");
    refuses("detect.size=8193", "from 64 to 8192");
    refuses("detect.size=", "a whole number");
    refuses("detect.size=640px", "a whole number");
    refuses("detect.threshold=nan", "a number from 0 to 1");
    refuses("detect.threshold=1e999", "a number");
    refuses("run.wait=maybe", "yes or no");
    refuses("run.memory=1GB", "a size such as 512M");
    refuses("run.memory=1", "of at least");
    refuses("align.mode=land", "landmarks|centre|none");
    refuses("align.mode=landmarks|none", "landmarks|centre|none");
    refuses("align.mode=", "landmarks|centre|none");
}

static void names_are_suggested(void **state)
{
    FW_UNUSED(state);
    refuses("detect.sise=1", "did you mean 'detect.size'");
    refuses("threads=1", "did you mean 'run.threads'");
    refuses("nonsense", "must look like");
    refuses("=1", "must look like");
}

static void files(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *good = scratch_path(dir, "good.ini"), *bad = scratch_path(dir, "bad.ini"),
         *broken = scratch_path(dir, "broken.ini"), *none = scratch_path(dir, "none.ini");
    scratch_put(dir, "good.ini",
                "; a comment\nrun.threads = 3\n[detect]\nsize = 800 ; behind a value\n[align]\nmode=none\n");
    scratch_put(dir, "bad.ini", "[detect]\n\nsize = huge\n[align]\nmode = none\n");
    scratch_put(dir, "broken.ini", "[detect]\nsize\n");
    fw_conf *c = fw_conf_new();
    fw_err ok = {0}, value = {0}, syntax = {0}, missing = {0};
    assert_int_equal(fw_conf_file(c, good, &ok), FW_OK);
    assert_int_equal(c->run_threads, 3);
    assert_int_equal(c->detect_size, 800);
    assert_string_equal(c->align_mode, "none");
    assert_int_equal(fw_conf_file(c, bad, &value), FW_EUSAGE);
    assert_non_null(strstr(value.msg, "detect.size = 'huge'"));
    assert_non_null(strstr(value.msg, "line 3"));
    assert_int_equal(fw_conf_file(c, broken, &syntax), FW_EUSAGE);
    assert_non_null(strstr(syntax.msg, ":2"));
    assert_int_not_equal(fw_conf_file(c, none, &missing), FW_OK);
    assert_non_null(strstr(missing.msg, "none.ini"));
    fw_conf_free(c);
    fw_free(good);
    fw_free(bad);
    fw_free(broken);
    fw_free(none);
    scratch_done(dir);
}

static void printing_by_prefix(void **state)
{
    FW_UNUSED(state);
    static const char *const some[] = {"align.m", "embed.flip"};
    fw_conf *c = fw_conf_new();
    fw_buf b = {0};
    fw_conf_print(c, some, 2, &b);
    assert_string_equal(b.data, "align.mode = landmarks\nalign.missing = skip\nembed.flip = no\n");
    fw_buf_free(&b);
    assert_int_equal(fw_conf_help(c, "detect.threshold", &b), 1);
    assert_non_null(strstr(b.data, "detect.threshold = 0, 0..1"));
    assert_int_equal(fw_conf_help(c, "nothing.like.this", &b), 0);
    fw_buf_free(&b);
    fw_conf_free(c);
}

typedef struct seen {
    fw_conf *copy;
    int count;
} seen;

static void set_again(void *user, const char *name, const char *value)
{
    seen *s = user;
    fw_err e = {0};
    if (fw_conf_set(s->copy, name, value, "visit", &e)) fail_msg("%s", e.msg);
    s->count++;
}

/* Whatever is printed can be read back: the effective config that a run stores is a config. */
static void every_value_reads_back(void **state)
{
    FW_UNUSED(state);
    fw_conf *c = fw_conf_new();
    seen s = {fw_conf_new(), 0};
    fw_conf_each(c, set_again, &s);
    assert_true(s.count > 30);
    static const char *const all[] = {""};
    fw_buf a = {0}, b = {0};
    fw_conf_print(c, all, 1, &a);
    fw_conf_print(s.copy, all, 1, &b);
    assert_string_equal(a.data, b.data);
    fw_buf_free(&a);
    fw_buf_free(&b);
    fw_conf_free(c);
    fw_conf_free(s.copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_load),
        cmocka_unit_test(values_of_every_type),
        cmocka_unit_test(bad_values_say_what_is_right),
        cmocka_unit_test(names_are_suggested),
        cmocka_unit_test(files),
        cmocka_unit_test(printing_by_prefix),
        cmocka_unit_test(every_value_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
