#include "column.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER 64

typedef struct header {
    char magic[6];
    uint8_t type, reserved;
    uint32_t width, pad;
    uint64_t rows;
    uint8_t rest[HEADER - 24];
} header;

static const char MAGIC[6] = {'F', 'W', 'C', 'O', 'L', 1};
static const struct {
    uint8_t size;
    const char *name;
} types[] = {{1, "u8"},  {1, "i8"},  {2, "u16"}, {2, "f16"}, {4, "i32"},
             {4, "u32"}, {4, "f32"}, {8, "i64"}, {8, "u64"}, {8, "f64"}};

size_t fw_dtype_size(fw_dtype t)
{
    return types[t].size;
}

const char *fw_dtype_name(fw_dtype t)
{
    return types[t].name;
}

static int check_header(const header *h, size_t size, const char *path, fw_err *e)
{
    size_t bytes;
    if (memcmp(h->magic, MAGIC, sizeof MAGIC))
        return fw_fail(e, FW_EFAIL, "open column '%s': not a column file, or one that was never finished", path);
    if (h->type >= FW_COUNT(types) || h->width == 0 || h->width > 1u << 20)
        return fw_fail(e, FW_EFAIL, "open column '%s': damaged header", path);
    if (__builtin_mul_overflow(h->rows, (uint64_t)h->width * types[h->type].size, &bytes) || bytes != size - HEADER)
        return fw_fail(e, FW_EFAIL, "open column '%s': header says %llu rows, but the file has %zu bytes", path,
                       (unsigned long long)h->rows, size);
    return FW_OK;
}

int fw_column_open(const char *path, fw_column *out, fw_err *e)
{
    *out = (fw_column){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fw_fail_errno(e, "open column '%s'", path);
    struct stat st;
    void *map = MAP_FAILED;
    int rc = FW_OK;
    if (fstat(fd, &st))
        rc = fw_fail_errno(e, "stat column '%s'", path);
    else if (st.st_size < HEADER)
        rc = fw_fail(e, FW_EFAIL, "open column '%s': shorter than its header", path);
    else if ((map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
        rc = fw_fail_errno(e, "map column '%s'%s", path,
                           errno == ENOMEM ? " (is vm.max_map_count too small? see `facewash doctor`)" : "");
    close(fd);
    if (rc) return rc;
    const header *h = map;
    if ((rc = check_header(h, (size_t)st.st_size, path, e))) {
        munmap(map, (size_t)st.st_size);
        return rc;
    }
    *out = (fw_column){(fw_dtype)h->type, (int)h->width, h->rows, h->rows ? (const char *)map + HEADER : NULL, map,
                       (size_t)st.st_size};
    return FW_OK;
}

int fw_column_open_as(const char *path, fw_dtype type, int width, fw_column *out, fw_err *e)
{
    FW_TRY(fw_column_open(path, out, e));
    if (out->type == type && (!width || out->width == width)) return FW_OK;
    int rc = fw_fail(e, FW_EFAIL, "open column '%s': holds %s x %d, expected %s x %d", path, fw_dtype_name(out->type),
                     out->width, fw_dtype_name(type), width);
    fw_column_close(out);
    return rc;
}

void fw_column_release(const fw_column *c)
{
    if (c->map) madvise(c->map, c->map_size, MADV_DONTNEED);
}

void fw_column_close(fw_column *c)
{
    if (c->map) munmap(c->map, c->map_size);
    *c = (fw_column){0};
}

bool fw_column_offsets_fit(const fw_column *off, size_t values, size_t rows)
{
    const uint64_t *o = off->data;
    if (off->rows != rows + 1 || o[0] != 0 || o[rows] != values) return false;
    for (size_t i = 0; i < rows; i++)
        if (o[i] > o[i + 1]) return false;
    return true;
}

struct fw_column_writer {
    int fd;
    char *path;
    header head;
    fw_hasher *hash;
    size_t row_bytes, used, cap;
    char *buffer;
    fw_err err;
};

static bool all_zero(const char *p, size_t n)
{
    return !n || (!*p && !memcmp(p, p + 1, n - 1));
}

/* Zeros become a hole: what a stage has to say of ten million embeddings that came without photos took 21 GB. */
static void flush(fw_column_writer *w)
{
    size_t at = 0;
    if (all_zero(w->buffer, w->used) && lseek(w->fd, (off_t)w->used, SEEK_CUR) >= 0) at = w->used;
    while (at < w->used && !w->err.code) {
        ssize_t n = write(w->fd, w->buffer + at, w->used - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            fw_fail_errno(&w->err, "write column '%s'", w->path);
        else
            at += (size_t)n;
    }
    w->used = 0;
}

fw_column_writer *fw_column_create(const char *path, fw_dtype type, int width, fw_err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        fw_fail_errno(e, "create column '%s'", path);
        return NULL;
    }
    fw_column_writer *w = FW_NEW(fw_column_writer);
    w->fd = fd;
    w->path = fw_strdup(path);
    w->head = (header){.type = (uint8_t)type, .width = (uint32_t)width};
    w->hash = fw_hasher_new();
    w->row_bytes = fw_dtype_size(type) * (size_t)width;
    w->cap = 1 << 18;
    w->buffer = fw_alloc(w->cap, 1);
    w->used = HEADER; /* zeros hold the header's place until finish */
    return w;
}

void fw_column_append(fw_column_writer *w, const void *rows, size_t count)
{
    const char *from = rows;
    size_t left = count * w->row_bytes;
    if (left) fw_hasher_add(w->hash, rows, left);
    while (left) {
        if (w->used == w->cap) flush(w);
        size_t take = left < w->cap - w->used ? left : w->cap - w->used;
        memcpy(w->buffer + w->used, from, take);
        w->used += take;
        from += take;
        left -= take;
    }
    w->head.rows += count;
}

static void release(fw_column_writer *w)
{
    fw_free(w->path);
    fw_free(w->buffer);
    fw_free(w);
}

int fw_column_finish(fw_column_writer *w, fw_hash *digest, fw_err *e)
{
    flush(w);
    if (!w->err.code && ftruncate(w->fd, (off_t)(HEADER + w->head.rows * w->row_bytes)))
        fw_fail_errno(&w->err, "write column '%s'", w->path);
    memcpy(w->head.magic, MAGIC, sizeof MAGIC);
    if (!w->err.code && pwrite(w->fd, &w->head, HEADER, 0) != HEADER)
        fw_fail_errno(&w->err, "write column '%s'", w->path);
    if (close(w->fd)) fw_fail_errno(&w->err, "close column '%s'", w->path);
    fw_hash h = fw_hasher_finish(w->hash);
    if (digest) *digest = h;
    int rc = w->err.code ? fw_fail(e, w->err.code, "%s", w->err.msg) : FW_OK;
    release(w);
    return rc;
}

void fw_column_abandon(fw_column_writer *w)
{
    if (!w) return;
    close(w->fd);
    fw_hasher_finish(w->hash);
    release(w);
}

int fw_column_save(const char *path, fw_dtype type, int width, const void *rows, size_t count, fw_err *e)
{
    fw_column_writer *w = fw_column_create(path, type, width, e);
    if (!w) return e->code;
    fw_column_append(w, rows, count);
    return fw_column_finish(w, NULL, e);
}
