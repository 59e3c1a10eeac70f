#include "inventory.h"
#include "../lib/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What removing it would free: holes (lib/column.h) hold nothing. */
static uint64_t file_bytes(const struct stat *st)
{
    const uint64_t size = (uint64_t)st->st_size, held = (uint64_t)st->st_blocks * 512;
    return held < size ? held : size;
}

/* A folder's own loop instead of nftw: that one has no argument to count into. */
uint64_t fw_tree_bytes(const char *path)
{
    fw_names names;
    uint64_t sum = 0;
    if (fw_list_dir(path, &names, NULL)) return 0;
    for (size_t i = 0; i < names.n; i++) {
        char *sub = fw_format("%s/%s", path, names.name[i]);
        struct stat st;
        if (!lstat(sub, &st)) sum += S_ISDIR(st.st_mode) ? fw_tree_bytes(sub) : file_bytes(&st);
        fw_free(sub);
    }
    fw_names_free(&names);
    return sum;
}

const char *fw_bytes_text(uint64_t bytes, char *out, size_t size)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 999.95 && u + 1 < FW_COUNT(unit)) v /= 1000, u++;
    snprintf(out, size, u ? "%.1f %s" : "%.0f %s", v, unit[u]);
    return out;
}

static bool reached(const fw_run *r, size_t stage, int shard, const char *path)
{
    if (stage == SIZE_MAX || shard >= (int)r->store->shards) return false;
    if ((fw_stages[stage]->scope == FW_SCOPE_WHOLE) != (shard < 0)) return false;
    char *want = fw_run_result(r, stage, shard);
    bool same = !strcmp(want, path);
    fw_free(want);
    return same;
}

static void take_stage(const fw_run *r, const char *name, fw_inventory *inv)
{
    char *dir = fw_format("%s/out/%s", r->store->root, name);
    fw_names names;
    struct stat st;
    if (!fw_list_dir(dir, &names, NULL)) {
        for (size_t i = 0; i < names.n; i++) {
            char *end;
            long shard = strtol(names.name[i], &end, 10);
            fw_found f = {.path = fw_format("%s/%s", dir, names.name[i]), .stage = fw_stage_row(name)};
            f.shard = end != names.name[i] && *end == '-' && shard < 1 << 30 ? (int)shard : -1;
            f.reached = reached(r, f.stage, f.shard, f.path);
            f.bytes = fw_tree_bytes(f.path);
            if (!stat(f.path, &st)) f.when = (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec;
            fw_reserve(&inv->item, &inv->cap, inv->n + 1, sizeof *inv->item);
            inv->item[inv->n++] = f;
        }
        fw_names_free(&names);
    }
    fw_free(dir);
}

int fw_inventory_take(const fw_run *r, fw_inventory *out, fw_err *e)
{
    char *dir = fw_format("%s/out", r->store->root);
    fw_names names;
    *out = (fw_inventory){0};
    int rc = fw_list_dir(dir, &names, e);
    fw_free(dir);
    if (rc) return rc;
    for (size_t i = 0; i < names.n; i++) take_stage(r, names.name[i], out);
    fw_names_free(&names);
    return FW_OK;
}

void fw_inventory_free(fw_inventory *inv)
{
    for (size_t i = 0; i < inv->n; i++) fw_free(inv->item[i].path);
    fw_free(inv->item);
    *inv = (fw_inventory){0};
}

/* ---- why a result is missing ------------------------------------------------------------------------------------ */

static char *recipe_of(const fw_found *f)
{
    char *path = fw_format("%s/MANIFEST", f->path);
    json_t *j = json_load_file(path, 0, NULL);
    const char *text = json_string_value(json_object_get(j, "recipe"));
    char *copy = text ? fw_strdup(text) : NULL;
    json_decref(j);
    fw_free(path);
    return copy;
}

/* Value of line "name = value" in a recipe, as pointer and length; NULL: it has no such line. */
static const char *value_in(const char *recipe, const char *name, size_t n, size_t *len)
{
    for (const char *line = recipe; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, name, n) || strncmp(line + n, " = ", 3)) continue;
        *len = strcspn(line + n + 3, "\n");
        return line + n + 3;
    }
    return NULL;
}

/* Where a recipe line's name ends: "detect.size = 640" -> 11; 0 for the first line, "stage NAME version N". */
static size_t name_length(const char *line, size_t n)
{
    const char *eq = memmem(line, n, " = ", 3);
    return eq ? (size_t)(eq - line) : 0;
}

static void say_difference(const char *line, size_t n, const char *before, fw_buf *out)
{
    size_t name = name_length(line, n), was = 0;
    const char *old = name ? value_in(before, line, name, &was) : NULL, *now = line + name + 3;
    size_t len = name ? n - name - 3 : 0;
    if (!name && strncmp(before, line, n)) fw_buf_printf(out, "%snew version of the stage", out->len ? ", " : "");
    if (!name || (old && was == len && !memcmp(old, now, len))) return;
    fw_buf_puts(out, out->len ? ", " : "");
    if (!strncmp(line, "model ", 6))
        fw_buf_printf(out, "%.*s changed", (int)name - 6, line + 6);
    else if (old)
        fw_buf_printf(out, "%.*s was %.*s, now %.*s", (int)name, line, (int)was, old, (int)len, now);
    else
        fw_buf_printf(out, "%.*s is new", (int)name, line);
}

static char *compare(const char *before, const char *now)
{
    fw_buf out = {0};
    for (const char *line = now; *line;) {
        size_t n = strcspn(line, "\n");
        say_difference(line, n, before, &out);
        line += n + (line[n] == '\n');
    }
    if (!out.len) fw_buf_puts(&out, "what it reads changed");
    return out.data;
}

char *fw_inventory_why(const fw_run *r, const fw_inventory *inv, size_t stage, int shard)
{
    const fw_found *newest = NULL;
    bool any = false;
    for (size_t i = 0; i < inv->n; i++) {
        const fw_found *f = &inv->item[i];
        if (f->stage != stage) continue;
        any = true;
        if (f->shard == shard && (!newest || f->when > newest->when)) newest = f;
    }
    if (!newest) return fw_strdup(any ? "new images" : "has not run");
    char *before = recipe_of(newest), *now = before ? fw_run_recipe(r, stage, NULL) : NULL;
    char *why = now ? compare(before, now) : fw_strdup("its older result is damaged");
    fw_free(before);
    fw_free(now);
    return why;
}
