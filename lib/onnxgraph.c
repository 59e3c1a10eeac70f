#include "onnxgraph.h"

#include "file.h"

#include <string.h>

#define MAX_FILE ((size_t)1 << 31)

/* A message, or what is left of it. */
typedef struct span {
    const uint8_t *at, *end;
    bool bad;
} span;

/* One field of a message: a number, or bytes. */
typedef struct field {
    unsigned id;
    uint64_t number;
    span bytes; /* at NULL for numbers */
} field;

static uint64_t varint(span *s)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        const uint8_t byte = *s->at++;
        v |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128)) return v;
    }
    s->bad = true;
    return 0;
}

static const uint8_t *take(span *s, uint64_t n)
{
    const uint8_t *p = s->at;
    if (n > (uint64_t)(s->end - s->at)) {
        s->bad = true;
        s->at = s->end;
        return p;
    }
    s->at += n;
    return p;
}

/* The next field; false at the end or where the message is damaged (s->bad). */
static bool next(span *s, field *f)
{
    if (s->bad || s->at >= s->end) return false;
    const uint64_t key = varint(s);
    *f = (field){.id = (unsigned)(key >> 3)};
    const size_t fixed = (key & 7) == 5 ? 4 : 8;
    switch (key & 7) {
    case 0:
        f->number = varint(s);
        break;
    case 1:
    case 5: {
        const uint8_t *p = take(s, fixed);
        if (!s->bad) memcpy(&f->number, p, fixed); /* little-endian, as the machines that run this */
        break;
    }
    case 2: {
        const uint64_t n = varint(s);
        f->bytes.at = take(s, n);
        f->bytes.end = s->at;
        break;
    }
    default:
        s->bad = true;
    }
    return !s->bad;
}

static char *text(span s)
{
    char *t = fw_alloc((size_t)(s.end - s.at) + 1, 1);
    memcpy(t, s.at, (size_t)(s.end - s.at));
    return t;
}

/* Repeated integers come one by one or packed; returns how many of up to `max` are there now. */
static int add_ints(const field *f, int64_t *v, int n, int max)
{
    span s = f->bytes;
    if (!s.at) {
        if (n < max) v[n] = (int64_t)f->number;
        return n + 1;
    }
    for (; s.at < s.end && !s.bad; n++) {
        const int64_t x = (int64_t)varint(&s);
        if (n < max) v[n] = x;
    }
    return n;
}

static void read_attribute(span s, fw_onnx_node *node)
{
    const struct {
        const char *name;
        int *to, count;
    } known[] = {{"group", &node->group, 1},
                 {"kernel_shape", node->kernel, 2},
                 {"strides", node->stride, 2},
                 {"pads", node->pad, 4},
                 {"dilations", node->dilation, 2}};
    char *name = NULL;
    int64_t v[4];
    int n = 0;
    field f;
    while (next(&s, &f)) {
        if (f.id == 1 && f.bytes.at && !name) name = text(f.bytes);
        if (f.id == 3 || f.id == 8) n = add_ints(&f, v, n, 4);
    }
    for (size_t i = 0; name && i < FW_COUNT(known); i++)
        for (int k = 0; !strcmp(name, known[i].name) && k < known[i].count && k < n; k++) known[i].to[k] = (int)v[k];
    fw_free(name);
}

static bool read_node(span s, fw_onnx_node *node)
{
    *node = (fw_onnx_node){.group = 1, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    field f;
    while (next(&s, &f)) {
        if (!f.bytes.at) continue;
        if (f.id == 1 && node->ins == FW_ONNX_IO) return false;
        if (f.id == 1) node->in[node->ins++] = text(f.bytes);
        if (f.id == 2 && !node->out) node->out = text(f.bytes);
        if (f.id == 4 && !node->op) node->op = text(f.bytes);
        if (f.id == 5) read_attribute(f.bytes, node);
    }
    return !s.bad && node->op && node->out;
}

static bool read_constant(span s, fw_onnx_const *c)
{
    enum { FLOAT32 = 1 };
    field f;
    int rank = 0;
    uint64_t type = 0;
    span raw = {0};
    *c = (fw_onnx_const){.dim = {1, 1, 1, 1}};
    while (next(&s, &f)) {
        if (f.id == 1) rank = add_ints(&f, c->dim, rank, 4);
        if (f.id == 2) type = f.number;
        if (f.id == 8 && f.bytes.at && !c->name) c->name = text(f.bytes);
        if (f.bytes.at && (f.id == 9 || f.id == 4)) raw = f.bytes;
    }
    if (s.bad || !c->name || rank > 4) return false;
    if (type != FLOAT32) return true;
    const size_t room = (size_t)(raw.end - raw.at) / sizeof(float);
    c->count = 1;
    for (int i = 0; i < 4; i++) {
        if (c->dim[i] < 0 || (uint64_t)c->dim[i] > room) return false;
        c->count *= (size_t)c->dim[i];
        if (c->count > room) return false;
    }
    if (c->count != room) return false;
    c->value = FW_ARRAY(float, c->count ? c->count : 1);
    if (c->count) memcpy(c->value, raw.at, c->count * sizeof(float));
    return true;
}

static char *read_name(span s)
{
    field f;
    while (next(&s, &f))
        if (f.id == 1 && f.bytes.at) return text(f.bytes);
    return NULL;
}

static bool read_graph(span s, fw_onnx *g)
{
    field f;
    span inputs = s;
    while (next(&s, &f)) {
        if (!f.bytes.at) continue;
        if (f.id == 1) {
            g->node = fw_realloc(g->node, g->nodes + 1, sizeof *g->node);
            if (!read_node(f.bytes, &g->node[g->nodes++])) return false;
        }
        if (f.id == 5) {
            g->constant = fw_realloc(g->constant, g->constants + 1, sizeof *g->constant);
            if (!read_constant(f.bytes, &g->constant[g->constants++])) return false;
        }
        if (f.id == 12 && !g->output) g->output = read_name(f.bytes);
    }
    if (s.bad) return false;
    while (!g->input && next(&inputs, &f)) /* older files list their constants among the inputs */
        if (f.id == 11 && f.bytes.at) {
            char *name = read_name(f.bytes);
            if (name && !fw_onnx_find(g, name))
                g->input = name;
            else
                fw_free(name);
        }
    return g->nodes && g->input && g->output;
}

int fw_onnx_read(const char *path, fw_onnx **out, fw_err *e)
{
    char *bytes;
    size_t n;
    field f;
    bool good = false;
    *out = NULL;
    FW_TRY(fw_file_read(path, MAX_FILE, &bytes, &n, e));
    span s = {(const uint8_t *)bytes, (const uint8_t *)bytes + n, false};
    fw_onnx *g = FW_NEW(fw_onnx);
    while (next(&s, &f))
        if (f.id == 7 && f.bytes.at && !g->nodes) good = read_graph(f.bytes, g);
    fw_free(bytes);
    if (good && !s.bad) {
        *out = g;
        return FW_OK;
    }
    fw_onnx_free(g);
    return fw_fail(e, FW_EFAIL, "read network '%s': it is damaged, or no ONNX file", path);
}

void fw_onnx_free(fw_onnx *g)
{
    if (!g) return;
    for (size_t i = 0; i < g->nodes; i++) {
        fw_free(g->node[i].op);
        fw_free(g->node[i].out);
        for (int k = 0; k < g->node[i].ins; k++) fw_free(g->node[i].in[k]);
    }
    for (size_t i = 0; i < g->constants; i++) {
        fw_free(g->constant[i].name);
        fw_free(g->constant[i].value);
    }
    fw_free(g->node);
    fw_free(g->constant);
    fw_free(g->input);
    fw_free(g->output);
    fw_free(g);
}

const fw_onnx_const *fw_onnx_find(const fw_onnx *g, const char *name)
{
    for (size_t i = 0; i < g->constants; i++)
        if (!strcmp(g->constant[i].name, name)) return &g->constant[i];
    return NULL;
}
