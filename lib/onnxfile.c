#include "onnxfile.h"
#include "file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A stretch of the file that is one message. */
typedef struct span {
    const uint8_t *at, *end;
} span;

/* One field of a message: varints in `value`, strings and messages in `body`. */
typedef struct field {
    uint64_t number, value;
    span body;
} field;

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static bool take_varint(span *s, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        const uint8_t byte = *s->at++;
        *out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return true;
    }
    return false;
}

static bool take_bytes(span *s, uint64_t n, span *out)
{
    if (n > (uint64_t)(s->end - s->at)) return false;
    *out = (span){s->at, s->at + n};
    s->at += n;
    return true;
}

/* The next field; false at the end and, with *bad, where the bytes are no message. */
static bool next_field(span *s, field *f, bool *bad)
{
    uint64_t tag, n = 0;
    if (s->at == s->end) return false;
    bool good = take_varint(s, &tag);
    const uint64_t wire = tag & 7;
    f->number = tag >> 3;
    f->body = (span){0};
    if (good && wire == VARINT)
        good = take_varint(s, &f->value);
    else if (good && wire == BYTES)
        good = take_varint(s, &n) && take_bytes(s, n, &f->body);
    else if (good)
        good = (wire == FIXED64 || wire == FIXED32) && take_bytes(s, wire == FIXED64 ? 8 : 4, &f->body);
    *bad = !good;
    return good;
}

/* What the walk is about: its file, and the name of the tensor at hand for messages. */
typedef struct walk {
    const char *file;
    fw_err *e;
} walk;

static int damaged(const walk *w)
{
    return fw_fail(w->e, FW_EFAIL, "open model file '%s': not an ONNX network, or only a part of one", w->file);
}

/* Bytes per value of TensorProto.data_type, 0 where that is not plain. */
static uint64_t value_size(uint64_t type)
{
    static const uint8_t size[] = {[1] = 4, [2] = 1,  [3] = 1,  [4] = 2,  [5] = 2,  [6] = 4, [7] = 8,
                                   [9] = 1, [10] = 2, [11] = 8, [12] = 4, [13] = 8, [16] = 2};
    return type < sizeof size ? size[type] : 0;
}

typedef struct tensor {
    uint64_t count, type, raw; /* values claimed (saturating), data_type, bytes of raw_data */
    bool has_raw, external;
    span name;
} tensor;

static void add_dim(tensor *t, uint64_t dim)
{
    if (__builtin_mul_overflow(t->count, dim, &t->count)) t->count = UINT64_MAX;
}

static void see_field(tensor *t, const field *f)
{
    span packed = f->body;
    uint64_t dim;
    if (f->number == 1 && f->body.at)
        while (take_varint(&packed, &dim)) add_dim(t, dim);
    else if (f->number == 1)
        add_dim(t, f->value);
    else if (f->number == 2)
        t->type = f->value;
    else if (f->number == 8)
        t->name = f->body;
    else if (f->number == 9)
        t->has_raw = true, t->raw = (uint64_t)(f->body.end - f->body.at);
    else if (f->number == 13 || (f->number == 14 && f->value == 1))
        t->external = true;
}

static int check_tensor(const walk *w, span s)
{
    tensor t = {.count = 1};
    field f;
    bool bad = false;
    while (next_field(&s, &f, &bad)) see_field(&t, &f);
    if (bad) return damaged(w);
    const int len = (int)(t.name.end - t.name.at < 80 ? t.name.end - t.name.at : 80);
    const char *name = t.name.at ? (const char *)t.name.at : "";
    if (t.external)
        return fw_fail(w->e, FW_EFAIL,
                       "open model file '%s': the weights '%.*s' lie in another file; save the network as one file "
                       "(onnx.save without save_as_external_data)",
                       w->file, len, name);
    const uint64_t size = value_size(t.type);
    if (t.has_raw && size && (t.count > UINT64_MAX / 8 || t.count * size != t.raw))
        return fw_fail(w->e, FW_EFAIL, "open model file '%s': the weights '%.*s' claim %llu values but hold %llu bytes",
                       w->file, len, name, (unsigned long long)t.count, (unsigned long long)t.raw);
    return FW_OK;
}

static int check_graph(const walk *w, span s, int depth);

/* AttributeProto: t (5), g (6), tensors (10), graphs (11); NodeProto: attribute (5). */
static int check_node(const walk *w, span s, int depth)
{
    field f, a;
    bool bad = false;
    while (next_field(&s, &f, &bad)) {
        if (f.number != 5 || !f.body.at) continue;
        span attribute = f.body;
        while (next_field(&attribute, &a, &bad)) {
            if ((a.number == 5 || a.number == 10) && a.body.at) FW_TRY(check_tensor(w, a.body));
            if ((a.number == 6 || a.number == 11) && a.body.at) FW_TRY(check_graph(w, a.body, depth + 1));
        }
        if (bad) break;
    }
    return bad ? damaged(w) : FW_OK;
}

static int check_graph(const walk *w, span s, int depth)
{
    field f;
    bool bad = false;
    if (depth > 16) return fw_fail(w->e, FW_EFAIL, "open model file '%s': graphs within graphs, too deep", w->file);
    while (next_field(&s, &f, &bad)) {
        if (f.number == 1 && f.body.at) FW_TRY(check_node(w, f.body, depth));
        if (f.number == 5 && f.body.at) FW_TRY(check_tensor(w, f.body));
    }
    return bad ? damaged(w) : FW_OK;
}

static int check_model(const walk *w, span s)
{
    field f;
    bool bad = false, graph = false;
    while (next_field(&s, &f, &bad)) {
        if (f.number != 7 || !f.body.at) continue;
        graph = true;
        FW_TRY(check_graph(w, f.body, 0));
    }
    return bad || !graph ? damaged(w) : FW_OK;
}

int fw_onnx_check(const char *file, fw_err *e)
{
    const walk w = {file, e};
    struct stat st;
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        fw_fail_errno(e, "open model file '%s'", file);
        if (fd >= 0) close(fd);
        return e ? e->code : FW_EFAIL;
    }
    if (!st.st_size || !S_ISREG(st.st_mode)) {
        close(fd);
        return damaged(&w);
    }
    uint8_t *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED) return fw_fail_errno(e, "read model file '%s'", file);
    int rc = check_model(&w, (span){map, map + st.st_size});
    munmap(map, (size_t)st.st_size);
    return rc;
}
