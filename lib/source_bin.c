#include "source_bin.h"
#include "source_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES_MAX ((size_t)1 << 31) /* far beyond any benchmark; rows are 32 bits elsewhere */
#define STACK_MAX  65536             /* Python appends to lists in batches of 1000 */

typedef enum { MARK, LIST, BYTES, BOOL, TUPLE } kind;

typedef struct value {
    kind kind;
    uint64_t offset, bytes; /* BYTES; BOOL: bytes is the value; LIST: offset is its number, 0 or 1 */
} value;

typedef struct machine {
    fw_bytes file;
    unsigned char *block; /* part of the file around `at` */
    uint64_t block_at;
    size_t block_n;
    uint64_t at;
    value *stack, *memo;
    size_t depth, stack_cap, memos, memo_cap;
    int lists;
    fw_bin *out;
    size_t image_cap, same_cap, images, sames;
} machine;

#define BLOCK 65536

static int refuse(const machine *m, uint64_t at, const char *why, fw_err *e)
{
    return fw_fail(e, FW_EUSAGE, "verification set '%s' at offset %llu: %s", m->file.path, (unsigned long long)at, why);
}

/* n <= 8 bytes little endian at m->at. */
static int number(machine *m, size_t n, uint64_t *out, fw_err *e)
{
    if (m->at > m->file.size || n > m->file.size - m->at) return refuse(m, m->at, "cut off", e);
    if (m->at < m->block_at || m->at + n > m->block_at + m->block_n) {
        m->block_at = m->at;
        m->block_n = m->file.size - m->at < BLOCK ? (size_t)(m->file.size - m->at) : BLOCK;
        FW_TRY(fw_bytes_read(&m->file, m->at, m->block, m->block_n, e));
    }
    *out = 0;
    for (size_t i = 0; i < n; i++) *out |= (uint64_t)m->block[m->at - m->block_at + i] << 8 * i;
    m->at += n;
    return FW_OK;
}

static int push(machine *m, value v, fw_err *e)
{
    if (m->depth == STACK_MAX) return refuse(m, m->at, "nested too deep, or a list that Python would not write so", e);
    fw_reserve(&m->stack, &m->stack_cap, m->depth + 1, sizeof *m->stack);
    m->stack[m->depth++] = v;
    return FW_OK;
}

static int push_bytes(machine *m, size_t width, fw_err *e)
{
    uint64_t n = 0;
    FW_TRY(number(m, width, &n, e));
    if (n > m->file.size - m->at) return refuse(m, m->at, "a string that reaches behind the end of the file", e);
    value v = {BYTES, m->at, n};
    m->at += n;
    return push(m, v, e);
}

static int append(machine *m, const value *list, const value *v, fw_err *e)
{
    if (list->kind != LIST) return refuse(m, m->at, "appends to something that is no list", e);
    if (v->kind != (list->offset ? BOOL : BYTES))
        return refuse(m, m->at,
                      list->offset ? "the second list must hold booleans" : "the first list must hold byte strings", e);
    fw_bin *b = m->out;
    if (m->images >= IMAGES_MAX || m->sames >= IMAGES_MAX) return refuse(m, m->at, "too many images", e);
    if (list->offset) {
        fw_reserve(&b->same, &m->same_cap, m->sames + 1, 1);
        b->same[m->sames++] = v->bytes != 0;
    } else {
        fw_reserve(&b->image, &m->image_cap, m->images + 1, sizeof *b->image);
        b->image[m->images++] = (fw_bin_image){v->offset, v->bytes};
    }
    return FW_OK;
}

/* Index of the topmost mark, or SIZE_MAX. */
static size_t top_mark(const machine *m)
{
    size_t i = m->depth;
    while (i && m->stack[i - 1].kind != MARK) i--;
    return i ? i - 1 : SIZE_MAX;
}

static int appends(machine *m, fw_err *e)
{
    size_t mark = top_mark(m);
    if (mark == SIZE_MAX || !mark) return refuse(m, m->at, "appends without a list", e);
    for (size_t i = mark + 1; i < m->depth; i++) FW_TRY(append(m, &m->stack[mark - 1], &m->stack[i], e));
    m->depth = mark;
    return FW_OK;
}

static int append_one(machine *m, fw_err *e)
{
    if (m->depth < 2) return refuse(m, m->at, "appends without a list", e);
    FW_TRY(append(m, &m->stack[m->depth - 2], &m->stack[m->depth - 1], e));
    m->depth--;
    return FW_OK;
}

/* What is on top must be the two lists, and nothing else below. */
static int make_tuple(machine *m, size_t first, fw_err *e)
{
    const value *v = m->depth ? m->stack + first : NULL; /* an empty stack has no place to count from */
    if (!v || m->depth != first + 2 || v[0].kind != LIST || v[1].kind != LIST || v[0].offset != 0 || v[1].offset != 1)
        return refuse(m, m->at, "must be a tuple of a list of images and a list of booleans", e);
    m->depth = 0;
    return push(m, (value){.kind = TUPLE}, e);
}

static int remember(machine *m, uint64_t slot, fw_err *e)
{
    if (!m->depth) return refuse(m, m->at, "nothing to remember", e);
    /* so that a number cannot ask for memory; Python 2 counts from 1 */
    if (slot > m->memos + 1) return refuse(m, m->at, "remembers out of order", e);
    fw_reserve(&m->memo, &m->memo_cap, m->memos + 2, sizeof *m->memo);
    if (slot == m->memos + 1) m->memo[m->memos++] = (value){.kind = MARK};
    m->memo[slot] = m->stack[m->depth - 1];
    m->memos += slot == m->memos;
    return FW_OK;
}

static int recall(machine *m, uint64_t slot, fw_err *e)
{
    if (slot >= m->memos || m->memo[slot].kind == TUPLE || m->memo[slot].kind == MARK)
        return refuse(m, m->at, "recalls what was not remembered", e);
    return push(m, m->memo[slot], e);
}

static int new_list(machine *m, fw_err *e)
{
    if (m->lists == 2) return refuse(m, m->at, "more than two lists", e);
    return push(m, (value){LIST, (uint64_t)m->lists++, 0}, e);
}

static int unknown(const machine *m, unsigned op, fw_err *e)
{
    static const char calls[] =
        "cRiob\x81\x92\x93\x82\x83\x84PQ"; /* GLOBAL, REDUCE, INST, OBJ, BUILD, NEWOBJ, EXT, PERSID */
    char why[160];
    snprintf(why, sizeof why,
             "opcode 0x%02x %s; only a tuple of byte strings and booleans (pickle protocol 2 to 5) is read", op,
             memchr(calls, (int)op, sizeof calls - 1) ? "would import or call something"
                                                      : "does not belong into such a set");
    return refuse(m, m->at - 1, why, e);
}

/* One opcode; *done after the last. */
static int step(machine *m, bool *done, fw_err *e)
{
    uint64_t op = 0, n = 0;
    FW_TRY(number(m, 1, &op, e));
    switch (op) {
    case 0x80: /* PROTO */
        FW_TRY(number(m, 1, &n, e));
        return n >= 2 && n <= 5 ? FW_OK : refuse(m, m->at, "unknown pickle protocol", e);
    case 0x95:
        return number(m, 8, &n, e); /* FRAME: a hint */
    case '(':
        return push(m, (value){MARK, 0, 0}, e);
    case ']':
        return new_list(m, e); /* EMPTY_LIST */
    case 'e':
        return appends(m, e);
    case 'a':
        return append_one(m, e);
    case 'U': /* SHORT_BINSTRING: what Python 2 wrote */
    case 'C':
        return push_bytes(m, 1, e); /* SHORT_BINBYTES */
    case 'T':                       /* BINSTRING */
    case 'B':
        return push_bytes(m, 4, e); /* BINBYTES */
    case 0x8e:
        return push_bytes(m, 8, e); /* BINBYTES8 */
    case 0x88:
        return push(m, (value){BOOL, 0, 1}, e);
    case 0x89:
        return push(m, (value){BOOL, 0, 0}, e);
    case 'K': /* BININT1: 0 and 1 as booleans */
        FW_TRY(number(m, 1, &n, e));
        return n < 2 ? push(m, (value){BOOL, 0, n}, e) : refuse(m, m->at, "a number that is neither 0 nor 1", e);
    case 'q':
        FW_TRY(number(m, 1, &n, e));
        return remember(m, n, e); /* BINPUT */
    case 'r':
        FW_TRY(number(m, 4, &n, e));
        return remember(m, n, e); /* LONG_BINPUT */
    case 0x94:
        return remember(m, m->memos, e); /* MEMOIZE */
    case 'h':
        FW_TRY(number(m, 1, &n, e));
        return recall(m, n, e);
    case 'j':
        FW_TRY(number(m, 4, &n, e));
        return recall(m, n, e);
    case 0x86:
        return make_tuple(m, m->depth < 2 ? 0 : m->depth - 2, e);
    case 't':
        return top_mark(m) == 0 ? (memmove(m->stack, m->stack + 1, --m->depth * sizeof *m->stack), make_tuple(m, 0, e))
                                : refuse(m, m->at, "a tuple without a beginning", e);
    case '.': /* STOP */
        *done = m->depth == 1 && m->stack[0].kind == TUPLE;
        return *done ? FW_OK : refuse(m, m->at, "ends without the tuple", e);
    default:
        return unknown(m, (unsigned)op, e);
    }
}

int fw_bin_read(const char *path, fw_bin *out, fw_err *e)
{
    machine m = {.file = {.fd = -1}, .out = out};
    bool done = false;
    *out = (fw_bin){0};
    m.block = fw_alloc(BLOCK, 1);
    int rc = fw_bytes_open(&m.file, path, e);
    while (!rc && !done) rc = step(&m, &done, e);
    out->pairs = m.sames;
    if (!rc && (!m.sames || m.images != 2 * m.sames))
        rc = fw_fail(e, FW_EUSAGE, "verification set '%s': %zu images for %zu pairs", path, m.images, m.sames);
    fw_bytes_close(&m.file);
    fw_free(m.block);
    fw_free(m.stack);
    fw_free(m.memo);
    if (rc) fw_bin_free(out);
    return rc;
}

void fw_bin_free(fw_bin *b)
{
    fw_free(b->image);
    fw_free(b->same);
    *b = (fw_bin){0};
}

/* ---- as a source
 * ----------------------------------------------------------------------------------------------------- */

typedef struct bin {
    fw_bytes file;
    fw_bin set;
    size_t at;
} bin;

static int open_bin(fw_source *s, const char *path, fw_err *e)
{
    bin *b = s->state = FW_NEW(bin);
    b->file.fd = -1;
    char *real = fw_source_file_path("bin", path, e);
    if (!real) return e->code;
    s->spec = fw_format("bin:%s", real);
    int rc = fw_bin_read(real, &b->set, e);
    if (!rc) rc = fw_bytes_open(&b->file, real, e);
    free(real);
    return rc;
}

static void close_bin(fw_source *s)
{
    bin *b = s->state;
    if (!b) return;
    fw_bytes_close(&b->file);
    fw_bin_free(&b->set);
    fw_free(b);
}

static int next_bin(fw_source *s, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    bin *b = s->state;
    FW_UNUSED(e);
    if (b->at == 2 * b->set.pairs) return 0;
    fw_buf_printf(&s->key, "%zu", b->at);
    *bytes = b->set.image[b->at++].bytes;
    *mtime = b->file.mtime;
    return 1;
}

static const fw_bin_image *find(const fw_source *s, const char *key)
{
    const bin *b = s->state;
    uint64_t i;
    return fw_key_number(key, &i) && i < 2 * b->set.pairs ? &b->set.image[i] : NULL;
}

static int find_bin(const fw_source *s, const char *key, uint64_t *bytes, int64_t *mtime, fw_err *e)
{
    const fw_bin_image *im = find(s, key);
    if (!im) return fw_no_record(s, key, e);
    *bytes = im->bytes;
    *mtime = ((const bin *)s->state)->file.mtime;
    return FW_OK;
}

static int read_bin(const fw_source *s, const char *key, size_t max, char **bytes, size_t *n, fw_err *e)
{
    const bin *b = s->state;
    const fw_bin_image *im = find(s, key);
    if (!im) return fw_no_record(s, key, e);
    if (im->bytes > max) return fw_fail(e, FW_EFAIL, "read '%s': image %s is longer than the limit", b->file.path, key);
    char *copy = malloc((size_t)im->bytes + 1);
    if (!copy) return fw_fail(e, FW_EAGAIN, "read '%s': out of memory", b->file.path);
    int rc = fw_bytes_read(&b->file, im->offset, copy, (size_t)im->bytes, e);
    if (rc) return free(copy), rc;
    copy[im->bytes] = 0;
    *bytes = copy;
    *n = (size_t)im->bytes;
    return FW_OK;
}

static char *locate_bin(const fw_source *s, const char *key)
{
    const bin *b = s->state;
    return fw_locate_inside(b->file.path, key);
}

const fw_scheme fw_scheme_bin = {.scheme = "bin",
                                 .open = open_bin,
                                 .next = next_bin,
                                 .find = find_bin,
                                 .read = read_bin,
                                 .locate = locate_bin,
                                 .close = close_bin};
