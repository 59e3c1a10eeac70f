#include "onnxgraph.h"

#include "file.h"
#include "protobuf.h"

#include <string.h>

#define MAX_FILE ((size_t)1 << 31)

static char *text(fw_span s)
{
    char *t = fw_alloc((size_t)(s.end - s.at) + 1, 1);
    memcpy(t, s.at, (size_t)(s.end - s.at));
    return t;
}

/* Repeated integers come one by one or packed; returns how many of up to `max` are there now. */
static int add_ints(const fw_field *f, int64_t *v, int n, int max)
{
    fw_span s = f->body;
    if (!s.at) {
        if (n < max) v[n] = (int64_t)f->number;
        return n + 1;
    }
    for (; s.at < s.end && !s.bad; n++) {
        const int64_t x = (int64_t)fw_pb_varint(&s);
        if (n < max) v[n] = x;
    }
    return n;
}

static void read_attribute(fw_span s, fw_onnx_node *node)
{
    const struct {
        const char *name;
        int *to, count;
    } known[] = {{"group", &node->group, 1}, {"kernel_shape", node->kernel, 2}, {"strides", node->stride, 2},
                 {"pads", node->pad, 4},     {"dilations", node->dilation, 2},  {"axis", &node->axis, 1}};
    const struct {
        const char *name;
        char **to;
    } texts[] = {{"mode", &node->mode},
                 {"coordinate_transformation_mode", &node->coordinates},
                 {"nearest_mode", &node->nearest}};
    char *name = NULL;
    fw_span said = {0};
    int64_t v[4];
    int n = 0;
    fw_field f;
    while (fw_pb_next(&s, &f)) {
        if (f.id == 1 && f.body.at && !name) name = text(f.body);
        if (f.id == 3 || f.id == 8) n = add_ints(&f, v, n, 4);
        if (f.id == 4 && f.body.at) said = f.body;
    }
    for (size_t i = 0; name && i < FW_COUNT(known); i++)
        for (int k = 0; !strcmp(name, known[i].name) && k < known[i].count && k < n; k++) known[i].to[k] = (int)v[k];
    for (size_t i = 0; name && said.at && i < FW_COUNT(texts); i++)
        if (!strcmp(name, texts[i].name) && !*texts[i].to) *texts[i].to = text(said);
    fw_free(name);
}

static bool read_node(fw_span s, fw_onnx_node *node)
{
    *node = (fw_onnx_node){.group = 1, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    fw_field f;
    while (fw_pb_next(&s, &f)) {
        if (!f.body.at) continue;
        if (f.id == 1 && node->ins == FW_ONNX_IO) return false;
        if (f.id == 1) node->in[node->ins++] = text(f.body);
        if (f.id == 2 && !node->out) node->out = text(f.body);
        if (f.id == 4 && !node->op) node->op = text(f.body);
        if (f.id == 5) read_attribute(f.body, node);
    }
    return !s.bad && node->op && node->out;
}

static bool read_constant(fw_span s, fw_onnx_const *c)
{
    enum { FLOAT32 = 1 };
    fw_field f;
    int rank = 0;
    uint64_t type = 0;
    fw_span raw = {0};
    *c = (fw_onnx_const){.dim = {1, 1, 1, 1}};
    while (fw_pb_next(&s, &f)) {
        if (f.id == 1) rank = add_ints(&f, c->dim, rank, 4);
        if (f.id == 2) type = f.number;
        if (f.id == 8 && f.body.at && !c->name) c->name = text(f.body);
        if (f.body.at && (f.id == 9 || f.id == 4)) raw = f.body;
    }
    if (s.bad || !c->name || rank > 4) return false;
    if (type != FLOAT32) return true;
    const size_t room = (size_t)(raw.end - raw.at) / sizeof(float);
    c->count = 1;
    for (int i = 0; i < 4; i++)
        if (c->dim[i] < 0 || __builtin_mul_overflow(c->count, (size_t)c->dim[i], &c->count)) return false;
    if (c->count != room) return false;
    c->value = FW_ARRAY(float, c->count ? c->count : 1);
    if (c->count) memcpy(c->value, raw.at, c->count * sizeof(float));
    return true;
}

static char *read_name(fw_span s)
{
    fw_field f;
    while (fw_pb_next(&s, &f))
        if (f.id == 1 && f.body.at) return text(f.body);
    return NULL;
}

static void add_output(fw_onnx *g, char *name)
{
    if (!name) return;
    g->output = fw_realloc(g->output, g->outputs + 1, sizeof *g->output);
    g->output[g->outputs++] = name;
}

static bool read_graph(fw_span s, fw_onnx *g)
{
    fw_field f;
    fw_span inputs = s;
    while (fw_pb_next(&s, &f)) {
        if (!f.body.at) continue;
        if (f.id == 1) {
            g->node = fw_realloc(g->node, g->nodes + 1, sizeof *g->node);
            if (!read_node(f.body, &g->node[g->nodes++])) return false;
        }
        if (f.id == 5) {
            g->constant = fw_realloc(g->constant, g->constants + 1, sizeof *g->constant);
            if (!read_constant(f.body, &g->constant[g->constants++])) return false;
        }
        if (f.id == 12) add_output(g, read_name(f.body));
    }
    if (s.bad) return false;
    while (!g->input && fw_pb_next(&inputs, &f)) /* older files list their constants among the inputs */
        if (f.id == 11 && f.body.at) {
            char *name = read_name(f.body);
            if (name && !fw_onnx_find(g, name))
                g->input = name;
            else
                fw_free(name);
        }
    return g->nodes && g->input && g->outputs;
}

int fw_onnx_read(const char *path, fw_onnx **out, fw_err *e)
{
    char *bytes;
    size_t n;
    fw_field f;
    bool good = false, seen = false;
    *out = NULL;
    FW_TRY(fw_file_read(path, MAX_FILE, &bytes, &n, e));
    fw_span s = {(const uint8_t *)bytes, (const uint8_t *)bytes + n, false};
    fw_onnx *g = FW_NEW(fw_onnx);
    while (fw_pb_next(&s, &f))
        if (f.id == 7 && f.body.at) {
            good = !seen && read_graph(f.body, g); /* a second graph is no network that anybody writes */
            seen = true;
        }
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
        fw_free(g->node[i].mode);
        fw_free(g->node[i].coordinates);
        fw_free(g->node[i].nearest);
        for (int k = 0; k < g->node[i].ins; k++) fw_free(g->node[i].in[k]);
    }
    for (size_t i = 0; i < g->constants; i++) {
        fw_free(g->constant[i].name);
        fw_free(g->constant[i].value);
    }
    fw_free(g->node);
    fw_free(g->constant);
    for (size_t i = 0; i < g->outputs; i++) fw_free(g->output[i]);
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

int fw_onnx_producer(const fw_onnx *g, const char *name)
{
    for (size_t i = 0; i < g->nodes; i++)
        if (!strcmp(g->node[i].out, name)) return (int)i;
    return -1;
}

int fw_onnx_uses(const fw_onnx *g, const char *name)
{
    int n = 0;
    for (size_t i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].ins; k++) n += !strcmp(g->node[i].in[k], name);
    for (size_t i = 0; i < g->outputs; i++) n += !strcmp(g->output[i], name);
    return n;
}
