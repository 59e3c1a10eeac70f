#include "store.h"
#include "file.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FORMAT 1

static char *join(const fw_store *s, const char *rest)
{
    return fw_format("%s/%s", s->root, rest);
}

/* ---- WORKSPACE ------------------------------------------------------------------------------------------------- */

static int save_workspace(fw_store *s, fw_err *e)
{
    char *text = json_dumps(s->json, JSON_INDENT(2) | JSON_PRESERVE_ORDER), *path = join(s, "WORKSPACE");
    int rc = text ? fw_file_write(path, text, strlen(text), e)
                  : fw_fail(e, FW_EFAIL, "write '%s': a source's name is not valid UTF-8", path);
    free(text);
    fw_free(path);
    return rc;
}

static int create_workspace(fw_store *s, size_t shard_size, fw_err *e)
{
    static const char *const folders[] = {"shards", "out", "tmp", "review"};
    for (size_t i = 0; i < FW_COUNT(folders); i++) {
        char *path = join(s, folders[i]);
        int rc = fw_mkdirs(path, e);
        fw_free(path);
        FW_TRY(rc);
    }
    s->json = json_pack("{s:s, s:i, s:I, s:o}", "program", "facewash", "format", FORMAT, "shard_size",
                        (json_int_t)shard_size, "sources", json_object());
    return save_workspace(s, e);
}

static int load_workspace(fw_store *s, const char *path, fw_err *e)
{
    json_error_t je;
    s->json = json_load_file(path, 0, &je);
    if (!s->json) return fw_fail(e, FW_EFAIL, "open workspace '%s': %s (line %d)", path, je.text, je.line);
    json_int_t format = json_integer_value(json_object_get(s->json, "format"));
    json_int_t size = json_integer_value(json_object_get(s->json, "shard_size"));
    if (format != FORMAT)
        return fw_fail(e, FW_EFAIL, "open workspace '%s': format %lld, this program knows %d", path, (long long)format,
                       FORMAT);
    if (size < 1 || !json_is_object(json_object_get(s->json, "sources")))
        return fw_fail(e, FW_EFAIL, "open workspace '%s': damaged", path);
    s->shard_size = (size_t)size;
    return FW_OK;
}

const char *fw_store_source(const fw_store *s, const char *set)
{
    const char *spec = json_string_value(json_object_get(json_object_get(s->json, "sources"), set));
    return spec ? spec : "";
}

int fw_store_set_source(fw_store *s, const char *set, const char *spec, fw_err *e)
{
    if (!strcmp(fw_store_source(s, set), spec)) return FW_OK;
    if (json_object_set_new(json_object_get(s->json, "sources"), set, json_string(spec)))
        return fw_fail(e, FW_EUSAGE, "source '%s': the path must be valid UTF-8", spec);
    return save_workspace(s, e);
}

void fw_store_sets(const fw_store *s, struct fw_names *out)
{
    const char *set;
    json_t *spec;
    *out = (fw_names){0};
    json_object_foreach(json_object_get(s->json, "sources"), set, spec) if (*set) fw_names_add(out, set);
}

/* ---- shards ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t at;
    fw_dtype type;
    int width;
} shard_columns[] = {
    {"path", offsetof(fw_shard, path), FW_U8, 1},
    {"path.off", offsetof(fw_shard, path_off), FW_U64, 1},
    {"label", offsetof(fw_shard, label), FW_U32, 1},
    {"label.name", offsetof(fw_shard, label_name), FW_U8, 1},
    {"label.off", offsetof(fw_shard, label_off), FW_U64, 1},
    {"bytes", offsetof(fw_shard, bytes), FW_U64, 1},
    {"mtime", offsetof(fw_shard, mtime), FW_I64, 1},
    {"hash", offsetof(fw_shard, hash), FW_U64, 2},
};

static fw_column *column_of(fw_shard *sh, size_t i)
{
    return (fw_column *)(void *)((char *)sh + shard_columns[i].at);
}

static void close_shard(fw_shard *sh)
{
    for (size_t i = 0; i < FW_COUNT(shard_columns); i++) fw_column_close(column_of(sh, i));
    fw_free(sh->removed);
    *sh = (fw_shard){0};
}

static bool shard_is_sound(const fw_shard *sh)
{
    size_t n = sh->hash.rows, labels = sh->label_off.rows ? sh->label_off.rows - 1 : 0;
    if (sh->label.rows != n || sh->bytes.rows != n || sh->mtime.rows != n) return false;
    if (!fw_column_offsets_fit(&sh->path_off, sh->path.rows, n)) return false;
    if (!fw_column_offsets_fit(&sh->label_off, sh->label_name.rows, labels)) return false;
    const uint32_t *label = sh->label.data;
    for (size_t i = 0; i < n; i++)
        if (label[i] != FW_NO_LABEL && label[i] >= labels) return false;
    return true;
}

static int load_shard(fw_store *s, unsigned number, const char *dir, fw_err *e)
{
    fw_reserve(&s->shard, &s->cap, s->shards + 1, sizeof *s->shard);
    fw_shard *sh = &s->shard[s->shards];
    *sh = (fw_shard){.number = number};
    char *manifest = fw_format("%s/MANIFEST", dir), *text = NULL;
    size_t n;
    int rc = fw_file_read(manifest, 1 << 20, &text, &n, e);
    for (size_t i = 0; !rc && i < FW_COUNT(shard_columns); i++) {
        char *path = fw_format("%s/%s", dir, shard_columns[i].name);
        rc = fw_column_open_as(path, shard_columns[i].type, shard_columns[i].width, column_of(sh, i), e);
        fw_free(path);
    }
    json_t *j = text ? json_loads(text, 0, NULL) : NULL;
    const char *set = json_string_value(json_object_get(j, "recipe"));
    if (!rc && (!set || strlen(set) >= sizeof sh->set || !shard_is_sound(sh)))
        rc = fw_fail(e, FW_EFAIL, "its columns or its MANIFEST do not fit together");
    if (rc) fw_context(e, "shard '%s' is damaged; put it back from a copy, or make a new workspace", dir);
    if (!rc) {
        snprintf(sh->set, sizeof sh->set, "%s", set);
        sh->rows = sh->hash.rows;
        sh->key = fw_hash_bytes(text, n); /* the manifest holds the digest of every column */
        s->shards++;
    } else {
        close_shard(sh);
    }
    json_decref(j);
    free(text);
    fw_free(manifest);
    return rc;
}

static size_t count_numbers(const fw_names *names)
{
    size_t count = 0;
    for (size_t i = 0; i < names->n; i++) {
        char *end;
        strtoul(names->name[i], &end, 10);
        count += end != names->name[i] && !*end;
    }
    return count;
}

/* By number, not in the order of names: the millionth has a digit more. */
static int load_shards(fw_store *s, fw_err *e)
{
    char *dir = join(s, "shards");
    fw_names names = {0};
    int rc = fw_list_dir(dir, &names, e);
    for (size_t n = rc ? 0 : count_numbers(&names); s->shards < n && !rc;) {
        char *path = fw_format("%s/%06zu", dir, s->shards);
        if (!fw_exists(path))
            rc = fw_fail(e, FW_EFAIL, "open workspace '%s': shard %zu is missing", s->root, s->shards);
        else
            rc = load_shard(s, (unsigned)s->shards, path, e);
        fw_free(path);
    }
    fw_names_free(&names);
    fw_free(dir);
    return rc;
}

const char *fw_shard_path(const fw_shard *sh, size_t row, size_t *n)
{
    const uint64_t *off = sh->path_off.data;
    *n = off[row + 1] - off[row];
    return (const char *)sh->path.data + off[row];
}

const char *fw_shard_label(const fw_shard *sh, size_t row, size_t *n)
{
    uint32_t id = ((const uint32_t *)sh->label.data)[row];
    if (id == FW_NO_LABEL) return NULL;
    const uint64_t *off = sh->label_off.data;
    *n = off[id + 1] - off[id];
    return (const char *)sh->label_name.data + off[id];
}

/* ---- removed rows ---------------------------------------------------------------------------------------------- */

static int load_removed(fw_store *s, fw_err *e)
{
    char *path = join(s, "shards/removed");
    FILE *f = fopen(path, "re");
    fw_free(path);
    if (!f) return errno == ENOENT ? FW_OK : fw_fail_errno(e, "open list of removed images in '%s'", s->root);
    unsigned long shard, row;
    int got;
    while ((got = fscanf(f, "%lu %lu", &shard, &row)) == 2) {
        if (shard >= s->shards || row >= s->shard[shard].rows) break;
        fw_shard *sh = &s->shard[shard];
        if (!sh->removed) sh->removed = FW_ARRAY(uint8_t, sh->rows);
        sh->removed[row] = 1;
    }
    const bool failed = ferror(f);
    fclose(f);
    if (failed) return fw_fail(e, FW_EFAIL, "list of removed images in '%s': cannot be read", s->root);
    return got == EOF ? FW_OK : fw_fail(e, FW_EFAIL, "list of removed images in '%s': damaged", s->root);
}

int fw_store_write_removed(fw_store *s, bool (*gone)(void *user, const fw_shard *sh, size_t row), void *user, fw_err *e)
{
    fw_buf text = {0};
    fw_buf_puts(&text, "");
    bool changed = false;
    for (size_t i = 0; i < s->shards; i++) {
        fw_shard *sh = &s->shard[i];
        for (size_t r = 0; r < sh->rows; r++) {
            bool now = gone(user, sh, r), before = sh->removed && sh->removed[r];
            if (now) fw_buf_printf(&text, "%zu %zu\n", i, r);
            if (now == before) continue;
            changed = true;
            if (!sh->removed) sh->removed = FW_ARRAY(uint8_t, sh->rows);
            sh->removed[r] = now;
        }
    }
    char *path = join(s, "shards/removed");
    int rc = changed ? fw_file_write(path, text.data, text.len, e) : FW_OK;
    fw_free(path);
    fw_buf_free(&text);
    return rc;
}

fw_hash fw_store_removed_key(const fw_store *s, const char *set)
{
    fw_hasher *h = fw_hasher_new();
    for (size_t i = 0; i < s->shards; i++) {
        const fw_shard *sh = &s->shard[i];
        if (strcmp(sh->set, set) || !sh->removed || !memchr(sh->removed, 1, sh->rows)) continue;
        fw_hasher_add(h, &sh->number, sizeof sh->number);
        fw_hasher_add(h, sh->removed, sh->rows);
    }
    return fw_hasher_finish(h);
}

/* ---- open, close, lock ----------------------------------------------------------------------------------------- */

fw_store *fw_store_open(const char *root, bool create, size_t shard_size, fw_err *e)
{
    fw_store *s = FW_NEW(fw_store);
    s->lock_fd = -1;
    s->root = fw_strdup(root);
    s->shard_size = shard_size;
    char *path = join(s, "WORKSPACE");
    int rc;
    if (fw_exists(path))
        rc = load_workspace(s, path, e);
    else if (!create)
        rc = fw_fail(e, FW_EUSAGE,
                     "open workspace '%s': there is none; make one with `facewash run --input SRC --work %s`", root,
                     root);
    else
        rc = create_workspace(s, shard_size, e);
    fw_free(path);
    if (!rc) rc = load_shards(s, e);
    if (!rc) rc = load_removed(s, e);
    if (!rc) return s;
    fw_store_close(s);
    return NULL;
}

int fw_store_reload(fw_store *s, fw_err *e)
{
    for (size_t i = 0; i < s->shards; i++) close_shard(&s->shard[i]);
    s->shards = 0;
    json_decref(s->json);
    s->json = NULL;
    char *path = join(s, "WORKSPACE");
    int rc = load_workspace(s, path, e);
    fw_free(path);
    if (!rc) rc = load_shards(s, e);
    return rc ? rc : load_removed(s, e);
}

void fw_store_close(fw_store *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->shards; i++) close_shard(&s->shard[i]);
    fw_free(s->shard);
    if (s->lock_fd >= 0) close(s->lock_fd); /* releases the lock */
    json_decref(s->json);
    fw_free(s->root);
    fw_free(s);
}

static void note_holder(int fd)
{
    char host[128] = "", text[256], when[40];
    time_t now = time(NULL);
    struct tm tm;
    gethostname(host, sizeof host - 1);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
    int n = snprintf(text, sizeof text, "process %ld on %s since %s", (long)getpid(), host, when);
    if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n) return; /* only a courtesy: the lock itself holds */
}

int fw_store_lock(fw_store *s, bool exclusive, bool wait, fw_err *e)
{
    char *path = join(s, "lock");
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    fw_free(path);
    if (s->lock_fd < 0) return fw_fail_errno(e, "open the lock of workspace '%s'", s->root);
    int how = exclusive ? LOCK_EX : LOCK_SH;
    bool told = false;
    while (flock(s->lock_fd, how | LOCK_NB)) {
        if (errno != EWOULDBLOCK) return fw_fail_errno(e, "lock workspace '%s'", s->root);
        char who[256] = "someone";
        ssize_t n = pread(s->lock_fd, who, sizeof who - 1, 0);
        if (n > 0) who[n] = 0;
        if (!wait)
            return fw_fail(e, FW_EAGAIN, "workspace '%s' is in use by %s; try later, or wait with --wait", s->root,
                           who);
        if (!told) fw_log(FW_INFO, "waiting for workspace '%s', in use by %s", s->root, who);
        told = true;
        FW_TRY(fw_check_stop(e));
        usleep(200000);
    }
    note_holder(s->lock_fd);
    return FW_OK;
}

int fw_store_clean_tmp(fw_store *s, fw_err *e)
{
    char *tmp = join(s, "tmp");
    fw_names names;
    int rc = fw_list_dir(tmp, &names, e);
    if (!rc) {
        for (size_t i = 0; !rc && i < names.n; i++) {
            char *path = fw_format("%s/%s", tmp, names.name[i]);
            rc = fw_remove_tree(path, e);
            fw_free(path);
        }
        fw_names_free(&names);
    }
    fw_free(tmp);
    return rc;
}

/* ---- results --------------------------------------------------------------------------------------------------- */

char *fw_store_result(const fw_store *s, const char *stage, int shard, fw_hash key)
{
    char hex[33];
    fw_hash_hex(key, hex);
    if (shard < 0) return fw_format("%s/out/%s/all-%s", s->root, stage, hex);
    return fw_format("%s/out/%s/%06d-%s", s->root, stage, shard, hex);
}

struct fw_staging {
    char *dir, *final;
};

static fw_staging *staging_at(const fw_store *s, char *final, const char *tag, fw_err *e)
{
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    fw_staging *g = FW_NEW(fw_staging);
    g->final = final;
    g->dir = fw_format("%s/tmp/%s.%s.%ld", s->root, tag, host, (long)getpid());
    if (fw_remove_tree(g->dir, e) || fw_mkdirs(g->dir, e)) {
        fw_staging_abandon(g);
        return NULL;
    }
    return g;
}

fw_staging *fw_staging_begin(fw_store *s, const char *stage, int shard, fw_hash key, fw_err *e)
{
    char *final = fw_store_result(s, stage, shard, key), *tag = fw_strdup(final + strlen(s->root) + 5), *slash;
    while ((slash = strchr(tag, '/'))) *slash = '-';
    fw_staging *g = staging_at(s, final, tag, e);
    fw_free(tag);
    return g;
}

const char *fw_staging_dir(const fw_staging *g)
{
    return g->dir;
}

static void staging_free(fw_staging *g)
{
    fw_free(g->dir);
    fw_free(g->final);
    fw_free(g);
}

void fw_staging_abandon(fw_staging *g)
{
    if (!g) return;
    fw_remove_tree(g->dir, NULL);
    staging_free(g);
}

static int digest_file(const char *path, fw_hash *out, uint64_t *size, fw_err *e)
{
    FILE *f = fopen(path, "re");
    if (!f) return fw_fail_errno(e, "open '%s'", path);
    fw_hasher *h = fw_hasher_new();
    char *block = fw_alloc(1 << 20, 1);
    size_t n;
    while ((n = fread(block, 1, 1 << 20, f))) {
        fw_hasher_add(h, block, n);
        *size += n;
    }
    int rc = ferror(f) ? fw_fail_errno(e, "read '%s'", path) : FW_OK;
    *out = fw_hasher_finish(h);
    fw_free(block);
    fclose(f);
    return rc;
}

int fw_result_verify(const char *dir, const char *file, fw_err *e)
{
    char *manifest = fw_format("%s/MANIFEST", dir), *path = fw_format("%s/%s", dir, file), hex[33] = "";
    json_t *j = json_load_file(manifest, 0, NULL), *entry = json_object_get(json_object_get(j, "files"), file);
    const char *digest = json_string_value(json_object_get(entry, "xxh3"));
    fw_hash h;
    uint64_t size = 0;
    int rc = digest_file(path, &h, &size, e);
    if (!rc) fw_hash_hex(h, hex);
    if (!rc &&
        (!digest || strcmp(digest, hex) || (uint64_t)json_integer_value(json_object_get(entry, "bytes")) != size))
        rc = fw_fail(e, FW_EFAIL,
                     "'%s' is damaged (it differs from its MANIFEST); remove the folder '%s' and run again", path, dir);
    json_decref(j);
    fw_free(manifest);
    fw_free(path);
    return rc;
}

/* A file of a result, on the disk. */
typedef struct listed {
    char *path;
    bool folder;
    fw_hash digest;
    uint64_t bytes;
    fw_err err;
} listed;

/* Waiting for the disk is all that a commit of small files costs, and a disk brings many files home in the time of one.
 */
#define SYNCS 8

static void digest_and_sync(listed *file, size_t n)
{
#pragma omp parallel for schedule(dynamic) num_threads(SYNCS) if (n > 1)
    for (size_t i = 0; i < n; i++) {
        listed *f = &file[i];
        if (!f->folder && !digest_file(f->path, &f->digest, &f->bytes, &f->err)) fw_fsync_path(f->path, &f->err);
    }
}

/* Every file (one folder level down at most: a report's sheets) with its size and digest, each fsynced; and the folders
 * but the outermost, which gets another file and its fsync then. */
static int list_files(const char *dir, const char *below, json_t *files, fw_err *e)
{
    char *here = fw_format("%s%s%s", dir, *below ? "/" : "", below);
    fw_names names;
    int rc = fw_list_dir(here, &names, e);
    if (rc) return fw_free(here), rc;
    listed *file = FW_ARRAY(listed, names.n);
    for (size_t i = 0; i < names.n; i++) {
        file[i].path = fw_format("%s/%s", here, names.name[i]);
        file[i].folder = fw_is_dir(file[i].path);
    }
    digest_and_sync(file, names.n);
    for (size_t i = 0; i < names.n; i++) {
        char *rel = fw_format("%s%s%s", below, *below ? "/" : "", names.name[i]), hex[33];
        const listed *f = &file[i];
        if (!rc && f->err.code) rc = fw_fail(e, f->err.code, "%s", f->err.msg);
        if (!rc && f->folder) rc = list_files(dir, rel, files, e);
        fw_hash_hex(f->digest, hex);
        if (!rc && !f->folder)
            json_object_set_new(files, rel, json_pack("{s:I, s:s}", "bytes", (json_int_t)f->bytes, "xxh3", hex));
        fw_free(rel);
        fw_free(f->path);
    }
    fw_free(file);
    fw_names_free(&names);
    if (!rc && *below) rc = fw_fsync_path(here, e);
    fw_free(here);
    return rc;
}

static int write_manifest(const fw_staging *g, const char *recipe, fw_err *e)
{
    json_t *files = json_object();
    int rc = list_files(g->dir, "", files, e);
    json_t *j = json_pack("{s:s, s:s, s:o}", "program", "facewash " FW_VERSION, "recipe", recipe, "files", files);
    char *text = j ? json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL, *path = fw_format("%s/MANIFEST", g->dir);
    if (!rc && !text) rc = fw_fail(e, FW_EFAIL, "write '%s': the recipe is not valid UTF-8", path);
    if (!rc) rc = fw_file_write(path, text, strlen(text), e);
    fw_free(path);
    free(text);
    json_decref(j);
    return rc;
}

/* Test hook of the kill tests: FACEWASH_KILL_AT=N ends the process hard at the N-th commit step. */
static void kill_point(void)
{
    static int steps; /* commits happen in one thread */
    const char *at = getenv("FACEWASH_KILL_AT");
    if (at && ++steps == atoi(at)) _exit(137);
}

int fw_staging_commit(fw_staging *g, const char *recipe, fw_err *e)
{
    kill_point();
    int rc = write_manifest(g, recipe, e);
    kill_point();
    char *parent = fw_strdup(g->final);
    *strrchr(parent, '/') = 0;
    if (!rc) rc = fw_mkdirs(parent, e);
    if (!rc && rename(g->dir, g->final)) {
        if (errno == EEXIST || errno == ENOTEMPTY)
            fw_remove_tree(g->dir, NULL); /* another process was first */
        else
            rc = fw_fail_errno(e, "commit '%s'", g->final);
    }
    kill_point();
    if (!rc) rc = fw_fsync_path(parent, e);
    fw_free(parent);
    if (rc)
        fw_staging_abandon(g);
    else
        staging_free(g);
    return rc;
}

/* ---- sealing shards -------------------------------------------------------------------------------------------- */

struct fw_shard_builder {
    fw_buf path, label_name;
    uint64_t *path_off, *label_off, *bytes, *hash;
    int64_t *mtime;
    uint32_t *label;
    size_t rows, cap[5], labels, label_cap;
};

fw_shard_builder *fw_shard_builder_new(void)
{
    return FW_NEW(fw_shard_builder);
}

void fw_shard_builder_free(fw_shard_builder *b)
{
    if (!b) return;
    fw_buf_free(&b->path);
    fw_buf_free(&b->label_name);
    fw_free(b->path_off);
    fw_free(b->label_off);
    fw_free(b->bytes);
    fw_free(b->hash);
    fw_free(b->mtime);
    fw_free(b->label);
    fw_free(b);
}

/* Records come folder by folder, so the label is nearly always the last one of the table; a list may shuffle them, and
 * then the table holds a label more than once, which costs bytes and harms nothing (names are unified on loading). */
static uint32_t label_id(fw_shard_builder *b, const char *label)
{
    size_t n = strlen(label);
    if (!n) return FW_NO_LABEL;
    if (b->labels) {
        uint64_t from = b->label_off[b->labels - 1];
        if (b->label_name.len - from == n && !memcmp(b->label_name.data + from, label, n))
            return (uint32_t)b->labels - 1;
    }
    fw_reserve(&b->label_off, &b->label_cap, b->labels + 2, sizeof *b->label_off);
    b->label_off[b->labels] = b->label_name.len;
    fw_buf_add(&b->label_name, label, n);
    b->label_off[b->labels + 1] = b->label_name.len;
    return (uint32_t)b->labels++;
}

void fw_shard_builder_add(fw_shard_builder *b, const char *path, const char *label, uint64_t bytes, int64_t mtime,
                          fw_hash content)
{
    size_t r = b->rows++;
    fw_reserve(&b->path_off, &b->cap[0], r + 2, sizeof *b->path_off);
    fw_reserve(&b->bytes, &b->cap[1], r + 1, sizeof *b->bytes);
    fw_reserve(&b->mtime, &b->cap[2], r + 1, sizeof *b->mtime);
    fw_reserve(&b->label, &b->cap[3], r + 1, sizeof *b->label);
    fw_reserve(&b->hash, &b->cap[4], 2 * r + 2, sizeof *b->hash);
    b->path_off[r] = b->path.len;
    fw_buf_puts(&b->path, path);
    b->path_off[r + 1] = b->path.len;
    b->bytes[r] = bytes;
    b->mtime[r] = mtime;
    b->label[r] = label_id(b, label);
    b->hash[2 * r] = content.hi;
    b->hash[2 * r + 1] = content.lo;
}

size_t fw_shard_builder_rows(const fw_shard_builder *b)
{
    return b->rows;
}

static int save_columns(const fw_shard_builder *b, const char *dir, fw_err *e)
{
    static const uint64_t zero = 0;
    const struct {
        const void *data;
        size_t rows;
    } what[] = {{b->path.data, b->path.len},
                {b->path_off, b->rows + 1},
                {b->label, b->rows},
                {b->label_name.data, b->label_name.len},
                {b->labels ? b->label_off : &zero, b->labels + 1},
                {b->bytes, b->rows},
                {b->mtime, b->rows},
                {b->hash, b->rows}};
    for (size_t i = 0; i < FW_COUNT(what); i++) {
        char *path = fw_format("%s/%s", dir, shard_columns[i].name);
        int rc = fw_column_save(path, shard_columns[i].type, shard_columns[i].width, what[i].data, what[i].rows, e);
        fw_free(path);
        FW_TRY(rc);
    }
    return FW_OK;
}

int fw_shard_builder_seal(fw_shard_builder *b, fw_store *s, const char *set, fw_err *e)
{
    unsigned number = (unsigned)s->shards;
    char *final = fw_format("%s/shards/%06u", s->root, number), *dir = fw_strdup(final);
    fw_staging *g = staging_at(s, final, "shard", e);
    int rc = g ? save_columns(b, g->dir, e) : e->code;
    if (!rc)
        rc = fw_staging_commit(g, set, e);
    else
        fw_staging_abandon(g);
    if (!rc) rc = load_shard(s, number, dir, e);
    fw_free(dir);
    fw_shard_builder fresh = {0};
    fw_shard_builder *old = FW_NEW(fw_shard_builder);
    *old = *b;
    *b = fresh;
    fw_shard_builder_free(old);
    return rc;
}
