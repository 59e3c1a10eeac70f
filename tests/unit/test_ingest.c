/* ingest: how shards grow when a dataset changes between runs. The files hold text: ingest never decodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/log.h"
#include "../../stages/run.h"
#include "scratch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct world {
    char *dir, *src, *work;
    fw_conf *conf;
    fw_store *store; /* as it is after the last ingest */
} world;

static world begin(void)
{
    world w = {.dir = scratch_new(), .conf = fw_conf_new()};
    w.src = scratch_path(w.dir, "src");
    w.work = scratch_path(w.dir, "work");
    w.conf->run_threads = 2;
    fw_log_level(FW_ERROR);
    return w;
}

static void end(world *w)
{
    fw_store_close(w->store);
    fw_conf_free(w->conf);
    fw_free(w->src);
    fw_free(w->work);
    scratch_done(w->dir);
}

static int ingest_spec(world *w, const char *spec, fw_err *e)
{
    fw_store_close(w->store);
    w->store = fw_store_open(w->work, true, 3, e);
    if (!w->store) return e->code;
    fw_run *r = fw_run_open(w->conf, w->store, e);
    r->source[0] = fw_source_open(spec, &(fw_source_opts){0}, e);
    int rc = r->source[0] ? fw_ingest(r, 0, e) : e->code;
    fw_run_close(r);
    return rc;
}

static void ingest(world *w)
{
    fw_err e = {0};
    if (ingest_spec(w, w->src, &e)) fail_msg("%s", e.msg);
}

/* The living images as "shard.row:path=label ", shard by shard. */
static void holds(const world *w, const char *want)
{
    fw_buf b = {0};
    fw_buf_puts(&b, "");
    for (size_t s = 0; s < w->store->shards; s++)
        for (size_t r = 0; r < w->store->shard[s].rows; r++) {
            const fw_shard *sh = &w->store->shard[s];
            size_t n, m = 0;
            const char *path = fw_shard_path(sh, r, &n), *label = fw_shard_label(sh, r, &m);
            if (sh->removed && sh->removed[r]) continue;
            fw_buf_printf(&b, "%zu.%zu:%.*s=%.*s ", s, r, (int)n, path, (int)m, label ? label : "");
        }
    assert_string_equal(b.data, want);
    fw_buf_free(&b);
}

static void put(world *w, const char *name, const char *text)
{
    scratch_put(w->src, name, text);
}

static void drop(world *w, const char *name)
{
    char *path = scratch_path(w->src, name);
    assert_int_equal(unlink(path), 0);
    fw_free(path);
}

static void touch(world *w, const char *name, time_t when)
{
    char *path = scratch_path(w->src, name);
    const struct timespec t[2] = {{.tv_sec = when}, {.tv_sec = when}};
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
    fw_free(path);
}

static world with_four(void)
{
    world w = begin();
    put(&w, "a/1.jpg", "one");
    put(&w, "a/2.jpg", "two");
    put(&w, "b/1.jpg", "three");
    put(&w, "b/2.jpg", "four");
    ingest(&w);
    return w;
}

static void shards_are_filled_and_sealed(void **state)
{
    FW_UNUSED(state);
    world w = with_four();
    assert_int_equal(w.store->shards, 2);
    holds(&w, "0.0:a/1.jpg=a 0.1:a/2.jpg=a 0.2:b/1.jpg=b 1.0:b/2.jpg=b ");
    const uint64_t *h = w.store->shard[0].hash.data;
    fw_hash want = fw_hash_bytes("two", 3);
    assert_true(h[2] == want.hi && h[3] == want.lo);
    end(&w);
}

static void nothing_changed(void **state)
{
    FW_UNUSED(state);
    world w = with_four();
    ingest(&w);
    assert_int_equal(w.store->shards, 2);
    touch(&w, "a/1.jpg", 1000000); /* touched but the same: hashed again, stays */
    ingest(&w);
    holds(&w, "0.0:a/1.jpg=a 0.1:a/2.jpg=a 0.2:b/1.jpg=b 1.0:b/2.jpg=b ");
    end(&w);
}

static void growth_leaves_old_shards_alone(void **state)
{
    FW_UNUSED(state);
    world w = with_four();
    fw_hash key = w.store->shard[0].key, short_key = w.store->shard[1].key;
    put(&w, "a/0.jpg", "new");
    put(&w, "c/1.jpg", "new too");
    ingest(&w);
    assert_int_equal(w.store->shards, 3);
    assert_true(fw_hash_equal(key, w.store->shard[0].key));
    assert_true(fw_hash_equal(short_key, w.store->shard[1].key));
    holds(&w, "0.0:a/1.jpg=a 0.1:a/2.jpg=a 0.2:b/1.jpg=b 1.0:b/2.jpg=b 2.0:a/0.jpg=a 2.1:c/1.jpg=c ");
    end(&w);
}

static void removed_and_back_again(void **state)
{
    FW_UNUSED(state);
    world w = with_four();
    drop(&w, "a/2.jpg");
    ingest(&w);
    holds(&w, "0.0:a/1.jpg=a 0.2:b/1.jpg=b 1.0:b/2.jpg=b ");
    put(&w, "a/2.jpg", "two");
    ingest(&w);
    holds(&w, "0.0:a/1.jpg=a 0.2:b/1.jpg=b 1.0:b/2.jpg=b 2.0:a/2.jpg=a ");
    ingest(&w); /* and stays */
    assert_int_equal(w.store->shards, 3);
    end(&w);
}

static void changed_content_gets_a_new_row(void **state)
{
    FW_UNUSED(state);
    world w = with_four();
    put(&w, "a/1.jpg", "another photo");
    ingest(&w);
    holds(&w, "0.1:a/2.jpg=a 0.2:b/1.jpg=b 1.0:b/2.jpg=b 2.0:a/1.jpg=a ");
    ingest(&w);
    assert_int_equal(w.store->shards, 3);
    end(&w);
}

static void a_renamed_identity(void **state)
{
    FW_UNUSED(state);
    world w = with_four();
    char *from = scratch_path(w.src, "b"), *to = scratch_path(w.src, "z");
    assert_int_equal(rename(from, to), 0);
    ingest(&w);
    holds(&w, "0.0:a/1.jpg=a 0.1:a/2.jpg=a 2.0:z/1.jpg=z 2.1:z/2.jpg=z ");
    fw_free(from);
    fw_free(to);
    end(&w);
}

static void a_list_with_other_labels(void **state)
{
    FW_UNUSED(state);
    world w = begin();
    fw_err e = {0};
    put(&w, "x/1.jpg", "one");
    put(&w, "x/2.jpg", "two");
    put(&w, "l.lst", "x/1.jpg\tA\nx/2.jpg\tA\nx/gone.jpg\tB\n");
    char *spec = fw_format("list:%s/l.lst", w.src);
    assert_int_equal(ingest_spec(&w, spec, &e), FW_OK);
    holds(&w, "0.0:x/1.jpg=A 0.1:x/2.jpg=A 0.2:x/gone.jpg=B ");
    const uint64_t *h = w.store->shard[0].hash.data;
    assert_true(h[4] == 0 && h[5] == 0); /* unreadable */
    put(&w, "l.lst", "x/1.jpg\tA\nx/2.jpg\tC\nx/gone.jpg\tB\n");
    assert_int_equal(ingest_spec(&w, spec, &e), FW_OK);
    holds(&w, "0.0:x/1.jpg=A 0.2:x/gone.jpg=B 1.0:x/2.jpg=C ");
    h = w.store->shard[1].hash.data;
    fw_hash want = fw_hash_bytes("two", 3);
    assert_true(h[0] == want.hi && h[1] == want.lo); /* known without reading it again */
    fw_free(spec);
    end(&w);
}

/* A path twice in a list: the second is a record of its own, in every run. */
static void a_path_listed_twice(void **state)
{
    FW_UNUSED(state);
    world w = begin();
    fw_err e = {0};
    put(&w, "x/1.jpg", "one");
    put(&w, "l.lst", "x/1.jpg\tA\nx/1.jpg\tA\n");
    char *spec = fw_format("list:%s/l.lst", w.src);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ingest_spec(&w, spec, &e), FW_OK);
        assert_int_equal(w.store->shards, 1);
        holds(&w, "0.0:x/1.jpg=A 0.1:x/1.jpg=A ");
    }
    fw_free(spec);
    end(&w);
}

static void another_source_is_refused(void **state)
{
    FW_UNUSED(state);
    world w = with_four();
    char *other = scratch_path(w.dir, "other");
    fw_err e = {0}, moved = {0};
    scratch_put(w.dir, "other/a/1.jpg", "one");
    assert_int_equal(ingest_spec(&w, other, &e), FW_EUSAGE);
    assert_non_null(strstr(e.msg, "ingest.moved=yes"));
    w.conf->ingest_moved = true;
    assert_int_equal(ingest_spec(&w, other, &moved), FW_OK);
    holds(&w, "0.0:a/1.jpg=a ");
    fw_free(other);
    end(&w);
}

static void an_empty_source_is_refused(void **state)
{
    FW_UNUSED(state);
    world w = begin();
    fw_err e = {0};
    put(&w, "readme.txt", "no image");
    assert_int_equal(ingest_spec(&w, w.src, &e), FW_EUSAGE);
    assert_non_null(strstr(e.msg, "holds no image"));
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_filled_and_sealed),   cmocka_unit_test(nothing_changed),
        cmocka_unit_test(growth_leaves_old_shards_alone), cmocka_unit_test(removed_and_back_again),
        cmocka_unit_test(changed_content_gets_a_new_row), cmocka_unit_test(a_renamed_identity),
        cmocka_unit_test(a_list_with_other_labels),       cmocka_unit_test(a_path_listed_twice),
        cmocka_unit_test(another_source_is_refused),      cmocka_unit_test(an_empty_source_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
