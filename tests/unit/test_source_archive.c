/* tar, zip: archives that Python's tarfile and zipfile wrote, WebDataset shards, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/archive.h"
#include "scratch.h"
#include "sources.h"

#include <pthread.h>

#define X24  "xxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG "J\xc3\xb6rg/" X24 X24 X24 X24 X24 ".jpg"

static const char people[] =
    "person 0/000.jpg|person 0|50 person 0/001.jpg|person 0|63 person 0/002.jpg|person 0|76 person 1/003.jpg|person "
    "1|89 "
    "person 1/004.jpg|person 1|102 person 1/005.jpg|person 1|115 person 2/006.jpg|person 2|128 person 2/007.jpg|person "
    "2|141 "
    "person 2/008.jpg|person 2|154 " LONG "|J\xc3\xb6rg|311 top.png||324 a.b/c.d.jpg|a.b|337 a.b/c.e.jpg|a.b|350 ";

static void reads_people(const fw_source *s)
{
    reads_image(s, "person 2/008.jpg", 8); /* backwards: the hard order for a compressed one */
    reads_image(s, "person 0/001.jpg", 1);
    reads_image(s, "person 0/000.jpg", 0);
    reads_image(s, LONG, 20);
    reads_image(s, "a.b/c.d.jpg", 22);
    reads_image(s, "a.b/c.e.jpg", 23);
    read_fails(s, "person 0/link.jpg", 100, "no record");
    read_fails(s, "person 0/009.jpg", 100, "no record");
    read_fails(s, "person 1/003.jpg", 88, "more than");
}

static void folders_of_people(void **state)
{
    FW_UNUSED(state);
    static const char *const name[] = {"people.tar", "gnu.tar", "people.tar.gz", "people.tar.xz", "people.tar.bz2"};
    char *dir = made_by_python("tar");
    for (size_t i = 0; i < FW_COUNT(name); i++) {
        fw_err e = {0};
        uint64_t files, links;
        fw_source *s = open_in("tar", dir, name[i], NULL, &e);
        if (!s) fail_msg("%s", e.msg);
        walks_as(s, people);
        fw_source_skipped(s, &files, &links);
        assert_int_equal(files, 2); /* readme.txt, __MACOSX/p/001.jpg */
        reads_people(s);
        fw_source_close(s);
        s = open_in("tar", dir, name[i], NULL, &e); /* and without the walk */
        reads_people(s);
        walks_as(s, people); /* which gives the same after reads */
        fw_source_close(s);
    }
    scratch_done(dir);
}

static void zips(void **state)
{
    FW_UNUSED(state);
    static const char *const name[] = {"stored.zip", "deflated.zip"};
    char *dir = made_by_python("zip");
    for (size_t i = 0; i < FW_COUNT(name); i++) {
        fw_err e = {0};
        fw_source *s = open_in("zip", dir, name[i], NULL, &e);
        if (!s) fail_msg("%s", e.msg);
        walks_as(s, people);
        reads_people(s);
        fw_source_close(s);
        s = open_in("zip", dir, name[i], NULL, &e);
        reads_people(s);
        fw_source_close(s);
    }
    fw_err e = {0};
    char want[4096], *bytes;
    size_t n = python_image(2, want), got;
    fw_source *s = open_in("zip", dir, "piped.zip", NULL, &e);
    walks_as(s, "person 0/0.jpg|person 0|0 person 0/1.jpg|person 0|0 person 0/2.jpg|person 0|0 "); /* sizes stand behind
                                                                                                      the data */
    assert_int_equal(fw_source_read(s, "person 0/2.jpg", 1000, &bytes, &got, &e), FW_OK);
    assert_int_equal(got, n);
    assert_memory_equal(bytes, want, n);
    free(bytes);
    fw_source_close(s);
    scratch_done(dir);
}

static void webdataset(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("tar");
    static const char *const pattern[] = {"wds-*.tar", "wdz-00000[0-2].tar.gz"};
    for (size_t i = 0; i < FW_COUNT(pattern); i++) {
        fw_err e = {0};
        const char *end = i ? ".gz" : "";
        char kind = i ? 'z' : 's', key[64];
        fw_buf want = {0};
        for (int k = 0; k < 9; k++) {
            fw_buf_printf(&want, "wd%c-%06d.tar%s/%06d.jpg|", kind, k / 3, end, k);
            fw_buf_printf(&want, k < 3 ? "0" : "person %d", k / 3); /* .cls, or better the field of .json */
            fw_buf_printf(&want, "|%d ", 50 + 13 * k);
        }
        fw_source *s = open_in("tar", dir, pattern[i], NULL, &e);
        if (!s) fail_msg("%s", e.msg);
        walks_as(s, want.data);
        for (int k = 8; k >= 0; k--) {
            snprintf(key, sizeof key, "wd%c-%06d.tar%s/%06d.jpg", kind, k / 3, end, k);
            reads_image(s, key, k);
        }
        read_fails(s, "wds-000009.tar/000001.jpg", 100, "no record");
        fw_source_close(s);
        fw_buf_free(&want);
    }
    fw_err e = {0};
    fw_source *s = open_in("tar", dir, "wds-000001.tar", &(fw_source_opts){.tar_field = "who.id"}, &e);
    walks_as(s, "000003.jpg|73|89 000004.jpg|74|102 000005.jpg|75|115 "); /* one file: no prefix */
    fw_source_close(s);
    s = open_in("tar", dir, "wds-000001.tar", &(fw_source_opts){.tar_field = "none"}, &e);
    walks_as(s, "000003.jpg|1|89 000004.jpg|1|102 000005.jpg|1|115 "); /* no such field: the .cls */
    fw_source_close(s);
    open_fails("tar", dir, "nothing-*.tar", NULL, "no file has such a name");
    scratch_done(dir);
}

static void odd_members(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("tar");
    fw_err e = {0};
    uint64_t files, links;
    fw_source *s = open_in("tar", dir, "twice.tar", NULL, &e);
    walks_as(s, "a/1.jpg|a|63 ");
    reads_image(s, "a/1.jpg", 1);
    fw_source_skipped(s, &files, &links);
    assert_int_equal(files, 1);
    fw_source_close(s);
    char *zips = made_by_python("zip");
    s = open_in("zip", zips, "gap.zip", NULL, &e); /* bytes between members are stepped over, by key as in the walk */
    walks_as(s, "person 0/0.jpg|person 0|50 person 0/1.jpg|person 0|63 person 0/2.jpg|person 0|76 ");
    reads_image(s, "person 0/2.jpg", 2);
    fw_source_close(s);
    scratch_done(zips);
    s = open_in("tar", dir, "oddmode.tar", NULL, &e); /* what the walk reads is read by its key too */
    walks_as(s, "a/1.jpg|a|63 a/2.jpg|a|76 ");
    reads_image(s, "a/2.jpg", 2);
    fw_source_close(s);
    s = open_in("tar", dir, "bytes.tar", NULL, &e); /* names are bytes */
    walks_as(s, "odd\xff\xfe/1.jpg|odd\xff\xfe|63 ");
    reads_image(s, "odd\xff\xfe/1.jpg", 1);
    fw_source_close(s);
    scratch_done(dir);
}

/* What is compressed by itself is left to the caller's threads. */
static void reading_along(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("tar"), *zips = made_by_python("zip");
    reads_along("tar", dir, "people.tar", 13);
    reads_along("tar", dir, "people.tar.gz", 13);
    reads_along("tar", dir, "wds-*.tar", 9);
    reads_along("tar", dir, "wdz-*.tar.gz", 9);
    reads_along("tar", dir, "oddmode.tar", 2);
    reads_along("zip", zips, "stored.zip", 0);
    reads_along("zip", zips, "deflated.zip", 0);
    scratch_done(dir);
    scratch_done(zips);
}

typedef struct reader {
    const fw_source *s;
    int first;
    bool ok;
} reader;

static void *read_many(void *user)
{
    reader *r = user;
    for (int round = 0; round < 20; round++)
        for (int i = r->first; i < 9; i += 4) {
            char key[64], want[4096], *bytes = NULL;
            size_t n = python_image(i, want), got = 0;
            snprintf(key, sizeof key, "person %d/%03d.jpg", i / 3, i);
            r->ok =
                r->ok && !fw_source_read(r->s, key, 1000, &bytes, &got, NULL) && got == n && !memcmp(bytes, want, n);
            free(bytes);
        }
    return NULL;
}

/* Several threads, while another one walks. */
static void threads(void **state)
{
    FW_UNUSED(state);
    static const char *const name[] = {"people.tar", "people.tar.gz"};
    char *dir = made_by_python("tar");
    for (size_t k = 0; k < FW_COUNT(name); k++) {
        fw_err e = {0};
        pthread_t id[4];
        reader r[4];
        fw_source *s = open_in("tar", dir, name[k], NULL, &e);
        for (int i = 0; i < 4; i++) {
            r[i] = (reader){s, i, true};
            assert_int_equal(pthread_create(&id[i], NULL, read_many, &r[i]), 0);
        }
        walks_as(s, people);
        for (int i = 0; i < 4; i++) {
            pthread_join(id[i], NULL);
            assert_true(r[i].ok);
        }
        fw_source_close(s);
    }
    scratch_done(dir);
}

static void walk_fails(const char *scheme, const char *dir, const char *name, const char *part)
{
    fw_err e = {0};
    fw_source *s = open_in(scheme, dir, name, NULL, &e);
    fw_record r;
    int got = 1;
    while (s && got > 0) got = fw_source_next(s, &r, &e);
    assert_int_not_equal(e.code, FW_OK);
    if (!strstr(e.msg, part) || !strstr(e.msg, name)) fail_msg("'%s' does not say '%s' and '%s'", e.msg, part, name);
    fw_source_close(s);
}

static void damaged_archives(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("badtar");
    walk_fails("tar", dir, "text.tar", "offset");
    walk_fails("tar", dir, "empty.tar", "offset");
    walk_fails("tar", dir, "cut.tar", "offset");
    walk_fails("tar", dir, "cut.tar.gz", "offset");
    walk_fails("tar", dir, "huge.tar", "offset");
    walk_fails("tar", dir, "negative.tar", "offset");
    walk_fails("tar", dir, "toolong.tar", "offset");
    walk_fails("zip", dir, "good.tar", "offset");
    fw_err e = {0};
    fw_source *s = open_in("tar", dir, "sparse.tar", NULL, &e); /* libarchive says "retry", for ever */
    read_fails(s, "person 0/000.jpg", 1 << 20, "sparse");
    fw_source_close(s);
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_of_people), cmocka_unit_test(zips),        cmocka_unit_test(webdataset),
        cmocka_unit_test(reading_along),     cmocka_unit_test(odd_members), cmocka_unit_test(threads),
        cmocka_unit_test(damaged_archives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
