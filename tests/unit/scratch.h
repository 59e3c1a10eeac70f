/* scratch: a temporary folder for one test, and short cuts to look into it. Include after cmocka.h. */
#ifndef FW_TEST_SCRATCH_H
#define FW_TEST_SCRATCH_H

#include "../../lib/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A fresh folder; give it to scratch_done. */
static inline char *scratch_new(void)
{
    const char *base = getenv("TMPDIR");
    char *path = fw_format("%s/facewash-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path)) abort();
    return path;
}

static inline void scratch_done(char *dir)
{
    fw_remove_tree(dir, NULL);
    fw_free(dir);
}

/* DIR/NAME; the caller frees. */
static inline char *scratch_path(const char *dir, const char *name)
{
    return fw_format("%s/%s", dir, name);
}

/* Write a text file, folders included, not atomically: the test's own input. */
static inline void scratch_put(const char *dir, const char *name, const char *text)
{
    char *path = scratch_path(dir, name), *slash = strrchr(path, '/');
    *slash = 0;
    if (fw_mkdirs(path, NULL)) abort();
    *slash = '/';
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f)) abort();
    fw_free(path);
}

static inline bool scratch_has(const char *dir, const char *name)
{
    char *path = scratch_path(dir, name);
    bool there = fw_exists(path);
    fw_free(path);
    return there;
}

#endif
