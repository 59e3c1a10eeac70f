/* sources: short cuts for the tests of lib/source_*.c. Include after scratch.h. */
#ifndef FW_TEST_SOURCES_H
#define FW_TEST_SOURCES_H

#include "../../lib/source.h"

/* Let Python write a kind of datasets (tests/make_sources.py) into a fresh folder. */
static inline char *made_by_python(const char *kind)
{
    char *dir = scratch_new(), *command = fw_format("/usr/bin/python3 tests/make_sources.py %s '%s'", kind, dir);
    if (system(command)) fail_msg("%s failed", command);
    fw_free(command);
    return dir;
}

/* What image(i) of make_sources.py gives. */
static inline size_t python_image(int i, char out[4096])
{
    size_t n = (size_t)snprintf(out, 4096, "\xff\xd8image %d ", i);
    for (int k = 0; k < 40 + 13 * i; k++) out[n++] = (char)((i * 7 + k) % 251);
    return n;
}

/* "scheme:DIR/name" opened. */
static inline fw_source *open_in(const char *scheme, const char *dir, const char *name, const fw_source_opts *o,
                                 fw_err *e)
{
    char *spec = fw_format("%s:%s/%s", scheme, dir, name);
    fw_source *s = fw_source_open(spec, o ? o : &(fw_source_opts){0}, e);
    fw_free(spec);
    return s;
}

/* Walk: "key|label|bytes " per record. */
static inline char *walk_source(fw_source *s)
{
    fw_buf b = {0};
    fw_record r;
    fw_err e = {0};
    int got;
    fw_buf_puts(&b, "");
    while ((got = fw_source_next(s, &r, &e)) > 0)
        fw_buf_printf(&b, "%s|%s|%llu ", r.path, r.label, (unsigned long long)r.bytes);
    if (got) fail_msg("%s", e.msg);
    return b.data;
}

static inline void walks_as(fw_source *s, const char *want)
{
    char *got = walk_source(s);
    assert_string_equal(got, want);
    fw_free(got);
}

/* The bytes of a record are these, and find agrees with the size. */
static inline void reads_bytes(const fw_source *s, const char *key, const char *want, size_t n)
{
    char *bytes = NULL;
    size_t got = 0;
    uint64_t size;
    int64_t mtime;
    fw_err e = {0};
    if (fw_source_read(s, key, 1 << 20, &bytes, &got, &e)) fail_msg("%s", e.msg);
    assert_int_equal(got, n);
    assert_memory_equal(bytes, want, n);
    assert_int_equal(bytes[n], 0);
    free(bytes);
    if (fw_source_find(s, key, &size, &mtime, &e)) fail_msg("%s", e.msg);
    assert_int_equal(size, n);
    assert_true(mtime > 0);
}

static inline void reads_image(const fw_source *s, const char *key, int i)
{
    char want[4096];
    size_t n = python_image(i, want);
    reads_bytes(s, key, want, n);
}

/* A walk that reads along names the same records, has `taken` of them at hand, and those are what reading gives. */
static inline void reads_along(const char *scheme, const char *dir, const char *name, int taken)
{
    fw_err e = {0};
    fw_source *s = open_in(scheme, dir, name, NULL, &e), *other = open_in(scheme, dir, name, NULL, &e);
    if (!s || !other) fail_msg("%s", e.msg);
    fw_record a, b;
    fw_source_along(s);
    while (fw_source_next(s, &a, &e) > 0) {
        char *bytes = NULL;
        size_t n = 0;
        assert_int_equal(fw_source_next(other, &b, &e), 1);
        assert_string_equal(a.path, b.path);
        assert_string_equal(a.label, b.label);
        assert_int_equal(a.bytes, b.bytes);
        if (!fw_source_take(s, &bytes, &n)) continue;
        reads_bytes(other, a.path, bytes, n);
        free(bytes);
        taken--;
    }
    assert_int_equal(e.code, FW_OK);
    assert_int_equal(fw_source_next(other, &b, &e), 0);
    assert_int_equal(taken, 0);
    fw_source_close(s);
    fw_source_close(other);
}

/* Reading fails with a message that holds `part`. */
static inline void read_fails(const fw_source *s, const char *key, size_t max, const char *part)
{
    char *bytes = NULL;
    size_t n;
    fw_err e = {0};
    assert_int_not_equal(fw_source_read(s, key, max, &bytes, &n, &e), FW_OK);
    if (!strstr(e.msg, part)) fail_msg("'%s' does not say '%s'", e.msg, part);
}

static inline void open_fails(const char *scheme, const char *dir, const char *name, const fw_source_opts *o,
                              const char *part)
{
    fw_err e = {0};
    assert_null(open_in(scheme, dir, name, o, &e));
    assert_int_not_equal(e.code, FW_OK);
    if (!strstr(e.msg, part)) fail_msg("'%s' does not say '%s'", e.msg, part);
}

#endif
