/* An ONNX graph into layers: see fastnet_net.h. Convolutions become layers; every other node either changes the layer
 * that made its input, or is a new name for it. */
#include "fastnet_net.h"

#include "fastnet_kernels.h"
#include "fastnet_prelu.h"
#include "fastnet_winograd.h"

#include <string.h>

/* What the output of a node is: a value, perhaps to be read with each pixel standing for 2 x 2 (up = 1). */
typedef struct ref {
    int value, up;
} ref;

typedef struct reader {
    const fw_onnx *g;
    fw_fastnet *net;
    fw_prelu *prelu; /* of each node */
    ref *made;       /* by each node */
} reader;

static const ref NOTHING = {-1, 0};

static int refuse(const fw_onnx_node *n, const char *why, fw_err *e)
{
    return fw_fail(e, FW_EUSAGE, "node '%s' (%s): %s", n->out, n->op, why);
}

/* The input's value, or that of the node that makes it. */
static ref find(const reader *r, const char *name)
{
    if (!strcmp(name, r->g->input)) return (ref){0, 0};
    const int i = fw_onnx_producer(r->g, name);
    return i < 0 ? NOTHING : r->made[i];
}

/* The layer that made a value and no other; NULL: there is none. */
static fw_layer *layer_of(const reader *r, ref x)
{
    fw_layer *l = x.value > 0 && !x.up ? &r->net->layer[r->net->value[x.value].made_by] : NULL;
    return l && l->dst == x.value ? l : NULL;
}

/* The same where only one node sees the value: that may have the layer change it. */
static fw_layer *maker(const reader *r, const char *name)
{
    return fw_onnx_uses(r->g, name) == 1 ? layer_of(r, find(r, name)) : NULL;
}

static int round_up(int n, int to)
{
    return (n + to - 1) / to * to;
}

static int add_value(fw_fastnet *net, int channels, int room, int made_by)
{
    const int at = net->values++;
    net->value = fw_realloc(net->value, (size_t)net->values, sizeof *net->value);
    net->value[at] = (fw_value){.channels = channels, .room = room, .whole = at, .made_by = made_by};
    return at;
}

/* --- convolutions ---------------------------------------------------------------------------------------------------
 */

static float *padded(const float *v, size_t n, size_t room)
{
    float *out = FW_ARRAY(float, room);
    if (v) memcpy(out, v, n * sizeof *v);
    return out;
}

static void set_filter(fw_layer *l, const fw_conv *c, size_t room)
{
    const size_t per = (size_t)(c->kernel * c->kernel);
    l->filter = FW_ARRAY(float, per *room);
    for (size_t k = 0; k < (size_t)c->out; k++)
        for (size_t i = 0; i < per; i++)
            l->filter[(k / FW_LANES * per + i) * FW_LANES + k % FW_LANES] = c->weight->value[k * per + i];
}

/* Winograd's algorithm pays from some 32 channels on: below, moving values around costs what it saves. Small pictures
 * are better off without it too (fastnet.c). */
static void set_matrix(const reader *r, fw_layer *l, const fw_conv *c, size_t cols)
{
    const fw_value *src = &r->net->value[l->src];
    const size_t out = (size_t)c->out, in = (size_t)src->channels, room = (size_t)src->room;
    if (!r->net->bf16 && c->kernel == 3 && c->stride == 1 && c->pad == 1 && room >= 2 * FW_LANES)
        l->winograd = fw_winograd_pack(c->weight->value, out, in, room, cols);
    l->packed = fw_dense_pack(c->weight->value, out, in, (size_t)c->kernel, room, cols, r->net->bf16);
}

static int add_conv(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    fw_fastnet *net = r->net;
    fw_conv c;
    if (!fw_conv_read(r->g, n, &c)) return refuse(n, "not a plain or depthwise convolution with constant weights", e);
    const ref src = find(r, n->in[0]);
    if (src.value < 0 || src.up) return refuse(n, "its input is not known", e);
    if (net->value[src.value].channels != c.in || (c.depthwise && !src.value))
        return refuse(n, "its channels do not fit", e);
    const int room = round_up(c.out, FW_LANES), dst = add_value(net, c.out, room, net->layers);
    net->layer = fw_realloc(net->layer, (size_t)net->layers + 1, sizeof *net->layer);
    fw_layer *l = &net->layer[net->layers++];
    *l = (fw_layer){.depthwise = c.depthwise,
                    .kernel = c.kernel,
                    .stride = c.stride,
                    .pad = c.pad,
                    .src = src.value,
                    .dst = dst,
                    .add = -1};
    l->name = fw_strdup(n->out);
    l->bias = padded(c.bias ? c.bias->value : NULL, (size_t)c.out, (size_t)room);
    if (c.depthwise)
        set_filter(l, &c, (size_t)room);
    else
        set_matrix(r, l, &c, (size_t)room);
    r->made[at] = (ref){dst, 0};
    return FW_OK;
}

/* --- what follows them ----------------------------------------------------------------------------------------------
 */

static bool bare(const fw_layer *l)
{
    return l && !l->relu && !l->bend && !l->sigmoid && l->add < 0;
}

static int add_relu(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    fw_layer *l = n->ins == 1 ? maker(r, n->in[0]) : NULL;
    if (!bare(l)) return refuse(n, "it does not follow a convolution", e);
    l->relu = true;
    r->made[at] = find(r, n->in[0]);
    return FW_OK;
}

static int add_sigmoid(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    fw_layer *l = n->ins == 1 ? maker(r, n->in[0]) : NULL;
    if (!bare(l)) return refuse(n, "it does not follow a convolution", e);
    l->sigmoid = true;
    r->made[at] = find(r, n->in[0]);
    return FW_OK;
}

/* A PReLU that fw_prelu_find recognised: its two convolutions are there as one. */
static int add_found_prelu(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    const ref x = find(r, n->in[0]);
    fw_layer *l = layer_of(r, x);
    if (!bare(l)) return refuse(n, "it does not follow a convolution", e);
    const fw_value *v = &r->net->value[x.value];
    l->bend = padded(r->prelu[at].bend, (size_t)v->channels, (size_t)v->room);
    r->made[at] = x;
    return FW_OK;
}

static int add_prelu(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    const fw_onnx_const *c = n->ins == 2 ? fw_onnx_find(r->g, n->in[1]) : NULL;
    fw_layer *l = c && c->value ? maker(r, n->in[0]) : NULL;
    if (!bare(l)) return refuse(n, "its slopes are not constant, or it does not follow a convolution", e);
    const fw_value *v = &r->net->value[l->dst];
    if (c->count != (size_t)v->channels) return refuse(n, "it has not one slope per channel", e);
    for (size_t i = 0; i < c->count; i++)
        if (!(c->value[i] <= 1))
            return refuse(n, "a slope exceeds 1; scripts/prepare_models.py rewrites such a network", e);
    l->bend = padded(c->value, c->count, (size_t)v->room);
    for (size_t i = 0; i < c->count; i++) l->bend[i] -= 1;
    r->made[at] = find(r, n->in[0]);
    return FW_OK;
}

/* x + y: done by the later layer of the two. */
static int add_sum(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    if (n->ins != 2) return refuse(n, "it has not two inputs", e);
    const ref x = find(r, n->in[0]), y = find(r, n->in[1]);
    if (x.value <= 0 || y.value <= 0) return refuse(n, "its inputs are not known", e);
    const fw_value *v = r->net->value;
    const bool swap = v[x.value].made_by > v[y.value].made_by;
    const ref late = swap ? x : y, early = swap ? y : x;
    fw_layer *l = maker(r, n->in[swap ? 0 : 1]);
    if (!l || l->depthwise || l->sigmoid || l->add >= 0 || late.value == early.value ||
        v[x.value].channels != v[y.value].channels)
        return refuse(n, "not a sum with the result of a convolution", e);
    l->add = early.value;
    l->add_up = early.up;
    r->made[at] = late;
    return FW_OK;
}

/* --- nodes that only rename -----------------------------------------------------------------------------------------
 */

/* Twice the size, each pixel 2 x 2 times. */
static int add_resize(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    const fw_onnx_const *scale = n->ins == 3 ? fw_onnx_find(r->g, n->in[2]) : NULL;
    static const float twice[4] = {1, 1, 2, 2};
    const bool good = n->mode && !strcmp(n->mode, "nearest") && n->coordinates &&
                      !strcmp(n->coordinates, "asymmetric") && n->nearest && !strcmp(n->nearest, "floor") && scale &&
                      scale->value && scale->count == 4 && !memcmp(scale->value, twice, sizeof twice);
    ref x = n->ins ? find(r, n->in[0]) : NOTHING;
    if (!good || x.value <= 0 || x.up) return refuse(n, "not each pixel twice (nearest, asymmetric, floor)", e);
    x.up = 1;
    r->made[at] = x;
    return FW_OK;
}

static int add_concat(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    fw_fastnet *net = r->net;
    const int whole = add_value(net, 0, 0, net->layers - 1);
    if (n->axis != 1) return refuse(n, "it joins not channels", e);
    for (int i = 0; i < n->ins; i++) {
        const fw_layer *l = maker(r, n->in[i]);
        fw_value *v = l ? &net->value[l->dst] : NULL, *w = &net->value[whole];
        if (!l || l->add >= 0 || l->sigmoid || v->whole != l->dst || v->channels % FW_LANES)
            return refuse(n, "its inputs are not each the result of a convolution", e);
        v->whole = whole;
        v->first = w->channels;
        w->channels += v->channels;
        if (v->made_by < w->made_by) w->made_by = v->made_by;
    }
    net->value[whole].room = net->value[whole].channels;
    r->made[at] = (ref){whole, 0};
    return FW_OK;
}

/* Flatten and Reshape are nothing for a value of one pixel. */
static int add_vector(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    r->made[at] = n->ins ? find(r, n->in[0]) : NOTHING;
    if (r->made[at].value <= 0 || r->made[at].up) return refuse(n, "its input is not known", e);
    r->net->value[r->made[at].value].single = true;
    return FW_OK;
}

static int add_node(reader *r, int at, fw_err *e)
{
    static const struct {
        const char *op;
        int (*add)(reader *r, int at, fw_err *e);
    } known[] = {{"Conv", add_conv},      {"Relu", add_relu},      {"PRelu", add_prelu},
                 {"Add", add_sum},        {"Resize", add_resize},  {"Concat", add_concat},
                 {"Flatten", add_vector}, {"Reshape", add_vector}, {"Sigmoid", add_sigmoid}};
    const fw_onnx_node *n = &r->g->node[at];
    switch (r->prelu[at].role) {
    case FW_PRELU_GONE:
        return FW_OK;
    case FW_PRELU_ALIAS:
        r->made[at] = find(r, n->in[0]);
        return FW_OK;
    case FW_PRELU_SUM:
        return add_found_prelu(r, at, e);
    default:
        for (size_t i = 0; i < FW_COUNT(known); i++)
            if (!strcmp(n->op, known[i].op)) return known[i].add(r, at, e);
        return refuse(n, "no such layer here", e);
    }
}

/* --- the whole ------------------------------------------------------------------------------------------------------
 */

static int add_outputs(reader *r, fw_err *e)
{
    fw_fastnet *net = r->net;
    net->output = FW_ARRAY(int, r->g->outputs);
    for (size_t i = 0; i < r->g->outputs; i++) {
        const ref x = find(r, r->g->output[i]);
        if (x.value <= 0 || x.up) return fw_fail(e, FW_EUSAGE, "output '%s' is not that of a layer", r->g->output[i]);
        net->value[x.value].output = true;
        net->output[net->outputs++] = x.value;
    }
    return FW_OK;
}

static void use(fw_value *v, int border)
{
    v->readers++;
    if (v->border < border) v->border = border;
}

/* Who reads what, with which border; and what the kernels cannot do is refused. */
static int check_uses(fw_fastnet *net, fw_err *e)
{
    for (int i = 0; i < net->layers; i++) {
        const fw_layer *l = &net->layer[i];
        use(&net->value[l->src], l->pad);
        if (l->add >= 0) use(&net->value[l->add], 0);
    }
    for (int i = 0; i < net->values; i++) {
        const fw_value *v = &net->value[i];
        if (v->whole != i && (v->readers || v->output))
            return fw_fail(e, FW_EUSAGE, "layer '%s': part of a joined value is used alone",
                           net->layer[v->made_by].name);
        if (v->output && ((v->readers && net->bf16) || v->border))
            return fw_fail(e, FW_EUSAGE, "layer '%s': an output is read by other layers", net->layer[v->made_by].name);
    }
    for (int i = 0; i < net->layers; i++)
        if (net->layer[i].sigmoid && (!net->value[net->layer[i].dst].output || net->value[net->layer[i].dst].readers))
            return fw_fail(e, FW_EUSAGE, "layer '%s': a sigmoid that is no output", net->layer[i].name);
    return FW_OK;
}

static int read_graph(reader *r, fw_err *e)
{
    for (size_t i = 0; i < r->g->nodes; i++) r->made[i] = NOTHING;
    fw_prelu_find(r->g, r->prelu);
    add_value(r->net, 3, 4, -1);
    for (size_t i = 0; i < r->g->nodes; i++) FW_TRY(add_node(r, (int)i, e));
    FW_TRY(add_outputs(r, e));
    return check_uses(r->net, e);
}

int fw_fastnet_read(const char *onnx, fw_fastnet *net, fw_err *e)
{
    fw_onnx *g;
    FW_TRY(fw_onnx_read(onnx, &g, e));
    reader r = {g, net, FW_ARRAY(fw_prelu, g->nodes), FW_ARRAY(ref, g->nodes)};
    const int rc = read_graph(&r, e);
    for (size_t i = 0; i < g->nodes; i++) fw_free(r.prelu[i].bend);
    fw_free(r.prelu);
    fw_free(r.made);
    fw_onnx_free(g);
    return rc;
}
