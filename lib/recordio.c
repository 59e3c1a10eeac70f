#include "recordio.h"

#include <stdlib.h>
#include <string.h>

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const unsigned char *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static float get_float(const unsigned char *p)
{
    uint32_t bits = get32(p);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static int damaged(const fw_rec_file *f, uint64_t at, const char *why, fw_err *e)
{
    return fw_fail(e, FW_EFAIL, "read '%s': record at offset %llu: %s", f->name, (unsigned long long)at, why);
}

static int parse_part(const fw_rec_file *f, uint64_t at, const unsigned char head[8], fw_rec_part *p, fw_err *e)
{
    if (get32(head) != FW_REC_MAGIC) return damaged(f, at, "no record begins here (wrong magic number)", e);
    *p = (fw_rec_part){.flag = get32(head + 4) >> 29, .bytes = get32(head + 4) & FW_REC_PART, .data = at + 8};
    if (p->flag > 3) return damaged(f, at, "unknown kind of part", e);
    if (p->bytes > f->size - p->data) return damaged(f, at, "reaches behind the end of the file", e);
    p->next = p->data + ((uint64_t)p->bytes + 3) / 4 * 4;
    return FW_OK;
}

int fw_rec_part_at(const fw_rec_file *f, uint64_t at, fw_rec_part *p, fw_err *e)
{
    unsigned char head[8];
    if (at > f->size || f->size - at < sizeof head) return damaged(f, at, "cut off at the end of the file", e);
    FW_TRY(f->read(f->user, at, head, sizeof head, e));
    return parse_part(f, at, head, p, e);
}

/* All bytes of a record, parts joined; more than `max` is an error before memory is asked for. */
static int gather(const fw_rec_file *f, uint64_t at, size_t max, char **bytes, size_t *n, uint64_t *next, fw_err *e)
{
    static const unsigned char magic[4] = {0x0a, 0x23, 0xd7, 0xce};
    uint64_t start = at;
    char *all = NULL;
    size_t len = 0;
    for (bool first = true;; first = false) {
        fw_rec_part p;
        int rc = fw_rec_part_at(f, at, &p, e);
        if (!rc && first != (p.flag < 2))
            rc = damaged(f, at, first ? "begins in the middle of a record" : "a record without an end", e);
        size_t glue = first ? 0 : sizeof magic;
        if (!rc && (p.bytes > max || len + glue > max - p.bytes)) rc = damaged(f, start, "longer than the limit", e);
        char *grown = rc ? NULL : realloc(all, len + glue + p.bytes + 1);
        if (!rc && !grown) rc = fw_fail(e, FW_EAGAIN, "read '%s': out of memory", f->name);
        if (grown) {
            all = grown;
            memcpy(all + len, magic, glue);
            rc = f->read(f->user, p.data, all + len + glue, p.bytes, e);
            len += glue + p.bytes;
        }
        if (rc) return free(all), rc;
        *next = at = p.next;
        if (p.flag == 0 || p.flag == 3) break;
    }
    all[len] = 0;
    *bytes = all;
    *n = len;
    return FW_OK;
}

/* The IRHeader at `h`, of which `n` bytes are there, in a record of `bytes`. */
static int parse_header(const fw_rec_file *f, uint64_t at, const unsigned char *h, size_t n, uint64_t bytes,
                        fw_rec_info *out, fw_err *e)
{
    if (bytes < FW_REC_HEADER) return damaged(f, at, "too short for an image record", e);
    out->labels = get32(h);
    if (out->labels > (bytes - FW_REC_HEADER) / 4) return damaged(f, at, "more labels than bytes", e);
    out->label = out->labels && n >= FW_REC_HEADER + 4 ? get_float(h + FW_REC_HEADER) : get_float(h + 4);
    out->id = get64(h + 8);
    out->bytes = bytes - FW_REC_HEADER - 4 * (uint64_t)out->labels;
    return FW_OK;
}

/* A record in several parts: rare (its bytes hold the magic number), so it is simply put together. */
#define MANY_PARTS_MAX ((size_t)1 << 30)

int fw_rec_info_at(const fw_rec_file *f, uint64_t at, fw_rec_info *out, fw_err *e)
{
    fw_rec_part p;
    unsigned char head[8 + FW_REC_HEADER + 4]; /* one read: the walk does this for every record */
    if (at > f->size || f->size - at < 8) return damaged(f, at, "cut off at the end of the file", e);
    size_t n = f->size - at < sizeof head ? (size_t)(f->size - at) : sizeof head;
    FW_TRY(f->read(f->user, at, head, n, e));
    FW_TRY(parse_part(f, at, head, &p, e));
    if (p.flag) {
        char *bytes;
        FW_TRY(gather(f, at, MANY_PARTS_MAX, &bytes, &n, &out->next, e));
        int rc = parse_header(f, at, (const unsigned char *)bytes, n, n, out, e);
        free(bytes);
        return rc;
    }
    out->next = p.next;
    return parse_header(f, at, head + 8, p.bytes < n - 8 ? p.bytes : n - 8, p.bytes, out, e);
}

/* A record in one part of which `guess` bytes hold all: *bytes is its body. False: it must be gathered. */
static bool read_guessed(const fw_rec_file *f, uint64_t at, size_t guess, size_t max, char **bytes, size_t *n)
{
    fw_rec_part p = {0};
    if (guess < 8 || at > f->size || guess > f->size - at) return false;
    char *all = malloc(guess + 1);
    bool got = all && !f->read(f->user, at, all, guess, NULL) &&
               !parse_part(f, at, (const unsigned char *)all, &p, NULL) && !p.flag && p.bytes <= max &&
               p.bytes <= guess - 8;
    if (!got) return free(all), false;
    memmove(all, all + 8, p.bytes);
    all[p.bytes] = 0;
    *bytes = all;
    *n = p.bytes;
    return true;
}

int fw_rec_image_at(const fw_rec_file *f, uint64_t at, size_t guess, size_t max, char **bytes, size_t *n, fw_err *e)
{
    fw_rec_info info = {0};
    size_t len;
    uint64_t next;
    /* InsightFace writes at most two labels; 1 KB of them leaves room for attributes (boxes, landmarks, ages) */
    size_t limit = max > SIZE_MAX - 1024 ? max : max + 1024;
    char *all;
    if (!read_guessed(f, at, guess, limit, &all, &len)) FW_TRY(gather(f, at, limit, &all, &len, &next, e));
    int rc = parse_header(f, at, (const unsigned char *)all, len, len, &info, e);
    if (!rc && info.bytes > max) rc = damaged(f, at, "longer than the limit", e);
    if (rc) return free(all), rc;
    *n = (size_t)info.bytes;
    memmove(all, all + len - *n, *n + 1);
    *bytes = all;
    return FW_OK;
}

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> 8 * i);
}

static void put_part(fw_buf *out, unsigned flag, const char *bytes, size_t n)
{
    unsigned char head[8];
    put32(head, FW_REC_MAGIC);
    put32(head + 4, flag << 29 | (uint32_t)n);
    fw_buf_add(out, head, sizeof head);
    fw_buf_add(out, bytes, n);
    fw_buf_add(out, "\0\0\0", (4 - n % 4) % 4);
}

/* The next place at a multiple of 4 where the magic stands, or n. */
static size_t find_magic(const char *bytes, size_t from, size_t n)
{
    for (size_t i = (from + 3) / 4 * 4; i + 4 <= n; i += 4)
        if (get32((const unsigned char *)bytes + i) == FW_REC_MAGIC) return i;
    return n;
}

int fw_rec_encode(fw_buf *out, const float *label, uint32_t labels, uint64_t id, const void *image, size_t n, fw_err *e)
{
    fw_buf body = {0};
    unsigned char head[FW_REC_HEADER] = {0};
    uint32_t bits;
    if (n > FW_REC_PART - FW_REC_HEADER - 4 * (size_t)labels)
        return fw_fail(e, FW_EFAIL, "write record %llu: %zu bytes are more than RecordIO holds", (unsigned long long)id,
                       n);
    memcpy(&bits, label, sizeof bits);
    if (labels == 1)
        put32(head + 4, bits);
    else
        put32(head, labels);
    put32(head + 8, (uint32_t)id);
    put32(head + 12, (uint32_t)(id >> 32));
    fw_buf_add(&body, head, sizeof head);
    for (uint32_t i = 0; labels > 1 && i < labels; i++) {
        unsigned char one[4];
        memcpy(&bits, &label[i], sizeof bits);
        put32(one, bits);
        fw_buf_add(&body, one, sizeof one);
    }
    fw_buf_add(&body, image, n);
    size_t from = 0, cut = find_magic(body.data, 0, body.len);
    unsigned flag = cut == body.len ? 0 : 1;
    while (cut < body.len) {
        put_part(out, flag, body.data + from, cut - from);
        flag = 2;
        from = cut + 4;
        cut = find_magic(body.data, from, body.len);
    }
    put_part(out, flag ? 3 : 0, body.data + from, body.len - from);
    fw_buf_free(&body);
    return FW_OK;
}
