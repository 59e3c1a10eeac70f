#include "onnxfile.h"
#include "file.h"
#include "protobuf.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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
    fw_span name;
} tensor;

static void add_dim(tensor *t, uint64_t dim)
{
    if (__builtin_mul_overflow(t->count, dim, &t->count)) t->count = UINT64_MAX;
}

static void see_field(tensor *t, const fw_field *f)
{
    fw_span packed = f->body;
    if (f->id == 1 && !packed.at)
        add_dim(t, f->number);
    else if (f->id == 1)
        while (packed.at < packed.end && !packed.bad) add_dim(t, fw_pb_varint(&packed));
    else if (f->id == 2)
        t->type = f->number;
    else if (f->id == 8)
        t->name = f->body;
    else if (f->id == 9)
        t->has_raw = true, t->raw = (uint64_t)(f->body.end - f->body.at);
    else if (f->id == 13 || (f->id == 14 && f->number == 1))
        t->external = true;
}

static int check_tensor(const walk *w, fw_span s)
{
    tensor t = {.count = 1};
    fw_field f;
    while (fw_pb_next(&s, &f)) see_field(&t, &f);
    if (s.bad) return damaged(w);
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

static int check_graph(const walk *w, fw_span s, int depth);

/* AttributeProto: t (5), g (6), tensors (10), graphs (11); NodeProto: attribute (5). */
static int check_node(const walk *w, fw_span s, int depth)
{
    fw_field f, a;
    while (fw_pb_next(&s, &f)) {
        if (f.id != 5 || !f.body.at) continue;
        fw_span attribute = f.body;
        while (fw_pb_next(&attribute, &a)) {
            if ((a.id == 5 || a.id == 10) && a.body.at) FW_TRY(check_tensor(w, a.body));
            if ((a.id == 6 || a.id == 11) && a.body.at) FW_TRY(check_graph(w, a.body, depth + 1));
        }
        if (attribute.bad) return damaged(w);
    }
    return s.bad ? damaged(w) : FW_OK;
}

static int check_graph(const walk *w, fw_span s, int depth)
{
    fw_field f;
    if (depth > 16) return fw_fail(w->e, FW_EFAIL, "open model file '%s': graphs within graphs, too deep", w->file);
    while (fw_pb_next(&s, &f)) {
        if (f.id == 1 && f.body.at) FW_TRY(check_node(w, f.body, depth));
        if (f.id == 5 && f.body.at) FW_TRY(check_tensor(w, f.body));
    }
    return s.bad ? damaged(w) : FW_OK;
}

static int check_model(const walk *w, fw_span s)
{
    fw_field f;
    bool graph = false;
    while (fw_pb_next(&s, &f)) {
        if (f.id != 7 || !f.body.at) continue;
        graph = true;
        FW_TRY(check_graph(w, f.body, 0));
    }
    return s.bad || !graph ? damaged(w) : FW_OK;
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
    int rc = check_model(&w, (fw_span){map, map + st.st_size, false});
    munmap(map, (size_t)st.st_size);
    return rc;
}
