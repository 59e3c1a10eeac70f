#include "fastnet.h"

#include "fastnet_kernels.h"
#include "onnxgraph.h"

#include <math.h>
#include <string.h>

/* A value between layers. `border` pixels of zeros lie around it when a depthwise convolution reads it. */
typedef struct tensor {
    int height, width, channels, border;
    int made_by, last_use; /* layers; -1: the network's input */
    int buffer;
} tensor;

typedef struct layer {
    bool dense;
    int src, dst, add; /* tensors; add -1: none */
    int kernel, stride, pad;
    size_t words;     /* dense: per row */
    uint32_t *packed; /* dense: weights as fw_dense wants them */
    float *weight, *bias, *bend;
    int32_t *to;
} layer;

struct fw_fastnet {
    bool bf16;
    tensor *tensor;
    layer *layer;
    int tensors, layers, buffers, dim;
    size_t *bytes; /* of each buffer */
    size_t rows_bytes, plane_bytes;
};

struct fw_fastnet_worker {
    const fw_fastnet *net;
    void **buffer;
    void *plane, *rows; /* the input with its border, and as rows of patches for the first convolution */
};

/* While the network is read: what each node is, and which tensor a name stands for. */
enum role { PLAIN, SKIP, ALIAS, PRELU };
typedef struct reader {
    const fw_onnx *g;
    fw_fastnet *net;
    enum role *role;
    float **bend; /* of PRELU nodes */
    int *value;   /* tensor of each node's output */
} reader;

bool fw_fastnet_supported(bool bf16)
{
    return fw_fastnet_usable(bf16);
}

/* --- the graph ------------------------------------------------------------------------------------------------------
 */

static int producer(const reader *r, const char *name)
{
    for (size_t i = 0; i < r->g->nodes; i++)
        if (!strcmp(r->g->node[i].out, name)) return (int)i;
    return -1;
}

static int uses(const reader *r, const char *name)
{
    int n = 0;
    for (size_t i = 0; i < r->g->nodes; i++)
        for (int k = 0; k < r->g->node[i].ins; k++) n += !strcmp(r->g->node[i].in[k], name);
    return n;
}

/* The tensor of a name: the input's, or that of the node that makes it; -1 where there is none yet. */
static int value_of(const reader *r, const char *name)
{
    if (!strcmp(name, r->g->input)) return 0;
    const int i = producer(r, name);
    return i < 0 ? -1 : r->value[i];
}

static bool is_op(const reader *r, int node, const char *op)
{
    return node >= 0 && !strcmp(r->g->node[node].op, op);
}

typedef struct conv {
    const fw_onnx_const *weight, *bias;
    int out, kernel, stride, pad;
    bool depthwise;
} conv;

/* A convolution with square kernel, equal strides and pads. */
static bool read_conv(const reader *r, const fw_onnx_node *n, conv *c)
{
    if (n->ins < 2 || n->ins > 3) return false;
    *c = (conv){.weight = fw_onnx_find(r->g, n->in[1]), .bias = n->ins > 2 ? fw_onnx_find(r->g, n->in[2]) : NULL};
    if (!c->weight || !c->weight->value || (n->ins > 2 && (!c->bias || !c->bias->value))) return false;
    const int64_t *d = c->weight->dim;
    c->out = (int)d[0], c->kernel = n->kernel[0], c->stride = n->stride[0], c->pad = n->pad[0];
    c->depthwise = n->group > 1;
    return c->out > 0 && d[2] == c->kernel && d[3] == c->kernel && n->kernel[1] == c->kernel && c->kernel > 0 &&
           n->stride[1] == c->stride && c->stride > 0 && n->pad[1] == c->pad && n->pad[2] == c->pad &&
           n->pad[3] == c->pad && c->pad >= 0 && n->dilation[0] == 1 && n->dilation[1] == 1 &&
           (!c->depthwise || (n->group == d[0] && d[1] == 1)) && (!c->bias || c->bias->count == (size_t)c->out);
}

static bool is_identity(const conv *c)
{
    for (size_t i = 0; i < c->weight->count; i++)
        if (c->kernel != 1 || c->weight->value[i] != 1) return false;
    for (size_t i = 0; c->bias && i < c->bias->count; i++)
        if (c->bias->value[i] != 0) return false;
    return true;
}

/* Is every channel of `s` that of `p` times one number? Those numbers, or NULL. Rounding of both weights to
 * fp32 leaves 1e-7; 1e-5 tells that from networks that mean something else. */
static float *bends(const conv *p, const conv *s)
{
    const size_t per = (size_t)(p->kernel * p->kernel);
    float *bend = FW_ARRAY(float, p->out);
    for (size_t c = 0; c < (size_t)p->out; c++) {
        const float *a = p->weight->value + c * per, *b = s->weight->value + c * per;
        const double pb = p->bias ? (double)p->bias->value[c] : 0, sb = s->bias ? (double)s->bias->value[c] : 0;
        double ab = pb * sb, aa = pb * pb;
        for (size_t i = 0; i < per; i++) ab += (double)a[i] * b[i], aa += (double)a[i] * a[i];
        const double ratio = aa > 0 ? ab / aa : 0;
        double worst = fabs(sb - ratio * pb);
        for (size_t i = 0; i < per; i++) worst = fmax(worst, fabs(b[i] - ratio * a[i]));
        if (worst > 1e-5 * sqrt(aa)) {
            fw_free(bend);
            return NULL;
        }
        bend[c] = (float)ratio;
    }
    return bend;
}

/* Add(p, Relu(s)) where s = c p, channel by channel: the PReLU of fastnet_kernels.h. */
static void find_prelu(reader *r, int add)
{
    const fw_onnx_node *node = r->g->node;
    if (node[add].ins != 2) return;
    const int p = producer(r, node[add].in[0]), relu = producer(r, node[add].in[1]);
    const int s = is_op(r, relu, "Relu") ? producer(r, node[relu].in[0]) : -1;
    conv cp, cs;
    if (!is_op(r, p, "Conv") || !is_op(r, s, "Conv") || !read_conv(r, &node[p], &cp) || !read_conv(r, &node[s], &cs))
        return;
    if (strcmp(node[p].in[0], node[s].in[0]) || !cp.depthwise || !cs.depthwise || cp.out != cs.out ||
        cp.kernel != cs.kernel || cp.stride != cs.stride || cp.pad != cs.pad || uses(r, node[p].out) != 1 ||
        uses(r, node[s].out) != 1 || uses(r, node[relu].out) != 1)
        return;
    const bool identity = is_identity(&cp);
    if (identity && uses(r, node[p].in[0]) != 2) return;
    if (!(r->bend[add] = bends(&cp, &cs))) return;
    r->role[add] = PRELU;
    r->role[s] = r->role[relu] = SKIP;
    if (identity) r->role[p] = ALIAS;
}

/* --- layers ---------------------------------------------------------------------------------------------------------
 */

static int refuse(const fw_onnx_node *n, const char *why, fw_err *e)
{
    return fw_fail(e, FW_EUSAGE, "node '%s' (%s): %s", n->out, n->op, why);
}

static int add_tensor(fw_fastnet *net, int height, int width, int channels, int made_by)
{
    net->tensor = fw_realloc(net->tensor, (size_t)net->tensors + 1, sizeof *net->tensor);
    net->tensor[net->tensors] = (tensor){
        .height = height, .width = width, .channels = channels, .made_by = made_by, .last_use = made_by, .buffer = -1};
    return net->tensors++;
}

static uint16_t to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

/* Weights out x in (a row per output channel) as panels x words x 32; columns past `in` are zeros. */
static void pack(layer *l, const float *w, int out, size_t in, bool bf16)
{
    l->packed = fw_alloc_aligned((size_t)out * l->words, sizeof *l->packed);
    for (size_t o = 0; o < (size_t)out; o++)
        for (size_t k = 0; k < l->words; k++) {
            uint32_t *to = &l->packed[(o / FW_TILE_COLS * l->words + k) * FW_TILE_COLS + o % FW_TILE_COLS];
            const float *from = w + o * in;
            if (!bf16) {
                const float x = k < in ? from[k] : 0;
                memcpy(to, &x, sizeof x);
            } else {
                *to = (2 * k < in ? to_bf16(from[2 * k]) : 0u) |
                      (uint32_t)(2 * k + 1 < in ? to_bf16(from[2 * k + 1]) : 0u) << 16;
            }
        }
}

static int add_depthwise(reader *r, const fw_onnx_node *n, const conv *c, layer *l, fw_err *e)
{
    tensor *src = &r->net->tensor[l->src];
    const size_t per = (size_t)(c->kernel * c->kernel), channels = (size_t)c->out;
    if (c->out != src->channels || c->out % 16 || l->src == 0) return refuse(n, "its channels do not fit", e);
    if (src->border && src->border != c->pad) return refuse(n, "its source has another border already", e);
    src->border = c->pad;
    l->weight = FW_ARRAY(float, per *channels);
    for (size_t i = 0; i < per; i++)
        for (size_t k = 0; k < channels; k++) l->weight[i * channels + k] = c->weight->value[k * per + i];
    return FW_OK;
}

static int add_dense(reader *r, const fw_onnx_node *n, const conv *c, layer *l, fw_err *e)
{
    const tensor *src = &r->net->tensor[l->src];
    const size_t in = (size_t)src->channels * (size_t)(c->kernel * c->kernel);
    l->dense = true;
    if (c->out % FW_TILE_COLS || c->weight->dim[1] != src->channels) return refuse(n, "its channels do not fit", e);
    if (l->src && (c->kernel != 1 || c->stride != 1 || c->pad))
        return refuse(n, "only the first layer may be wider than 1 x 1", e);
    if (l->src && in % 32) return refuse(n, "its channels do not fit", e);
    l->words = (in + 31) / 32 * 32 / (r->net->bf16 ? 2 : 1);
    pack(l, c->weight->value, c->out, in, r->net->bf16);
    return FW_OK;
}

static int add_conv(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    fw_fastnet *net = r->net;
    conv c;
    if (!read_conv(r, n, &c)) return refuse(n, "not a plain or depthwise convolution with constant weights", e);
    net->layer = fw_realloc(net->layer, (size_t)net->layers + 1, sizeof *net->layer);
    layer *l = &net->layer[net->layers++];
    *l = (layer){.src = value_of(r, n->in[0]), .add = -1, .kernel = c.kernel, .stride = c.stride, .pad = c.pad};
    if (l->src < 0 || (l->src == 0) != (net->layers == 1))
        return refuse(n, "the first layer, and only that, must read the network's input", e);
    FW_TRY(c.depthwise ? add_depthwise(r, n, &c, l, e) : add_dense(r, n, &c, l, e));
    l->bias = FW_ARRAY(float, c.out);
    if (c.bias) memcpy(l->bias, c.bias->value, (size_t)c.out * sizeof(float));
    const tensor src = net->tensor[l->src];
    net->tensor[l->src].last_use = net->layers - 1;
    const int height = (src.height + 2 * c.pad - c.kernel) / c.stride + 1,
              width = (src.width + 2 * c.pad - c.kernel) / c.stride + 1;
    if (src.height + 2 * c.pad < c.kernel || src.width + 2 * c.pad < c.kernel)
        return refuse(n, "its input is too small", e);
    r->value[at] = l->dst = add_tensor(net, height, width, c.out, net->layers - 1);
    return FW_OK;
}

/* The node's PReLU becomes part of the layer that made its input. `bend` becomes the layer's. */
static int attach_prelu(reader *r, int at, const char *input, float *bend, size_t count, fw_err *e)
{
    const int t = value_of(r, input);
    layer *l = t > 0 ? &r->net->layer[r->net->tensor[t].made_by] : NULL;
    if (!l || l->bend || l->add >= 0 || count != (size_t)r->net->tensor[t].channels) {
        fw_free(bend);
        return refuse(&r->g->node[at], "it does not follow a convolution", e);
    }
    l->bend = bend;
    r->value[at] = t;
    return FW_OK;
}

static int add_prelu(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    const fw_onnx_const *c = n->ins == 2 ? fw_onnx_find(r->g, n->in[1]) : NULL;
    if (!c || !c->value || uses(r, n->in[0]) != 1)
        return refuse(n, "its slopes are not constant, or its input is used twice", e);
    float *bend = FW_ARRAY(float, c->count + 1);
    for (size_t i = 0; i < c->count; i++) {
        bend[i] = c->value[i] - 1;
        if (bend[i] <= 0) continue;
        fw_free(bend);
        return refuse(n, "a slope exceeds 1; scripts/prepare_models.py rewrites such a network", e);
    }
    return attach_prelu(r, at, n->in[0], bend, c->count, e);
}

/* x + y: part of the later layer of the two. */
static int add_sum(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    if (n->ins != 2) return refuse(n, "it has not two inputs", e);
    int x = value_of(r, n->in[0]), y = value_of(r, n->in[1]);
    if (x <= 0 || y <= 0) return refuse(n, "its inputs are not known", e);
    const tensor *t = r->net->tensor;
    const bool swap = t[x].made_by > t[y].made_by;
    const int late = swap ? x : y, early = swap ? y : x;
    layer *l = &r->net->layer[t[late].made_by];
    if (!l->dense || l->bend || l->add >= 0 || late == early || uses(r, n->in[swap ? 0 : 1]) != 1 ||
        t[x].height != t[y].height || t[x].width != t[y].width || t[x].channels != t[y].channels)
        return refuse(n, "not a residual sum behind a 1 x 1 convolution", e);
    l->add = early;
    r->net->tensor[early].last_use = t[late].made_by;
    r->value[at] = late;
    return FW_OK;
}

static int add_node(reader *r, int at, fw_err *e)
{
    const fw_onnx_node *n = &r->g->node[at];
    if (r->role[at] == SKIP) return FW_OK;
    if (r->role[at] == PRELU) {
        float *bend = r->bend[at];
        const int t = value_of(r, n->in[0]);
        r->bend[at] = NULL;
        return attach_prelu(r, at, n->in[0], bend, t < 0 ? 0 : (size_t)r->net->tensor[t].channels, e);
    }
    if (r->role[at] == ALIAS || !strcmp(n->op, "Flatten") || !strcmp(n->op, "Reshape")) {
        r->value[at] = n->ins ? value_of(r, n->in[0]) : -1;
        return FW_OK;
    }
    if (!strcmp(n->op, "Conv")) return add_conv(r, at, e);
    if (!strcmp(n->op, "PRelu")) return add_prelu(r, at, e);
    if (!strcmp(n->op, "Add")) return add_sum(r, at, e);
    return refuse(n, "no such layer here", e);
}

/* Flatten and Reshape are nothing for a tensor of 1 x 1 pixels, which the output must be; then no other can follow. */
static int check_output(reader *r, fw_err *e)
{
    const fw_fastnet *net = r->net;
    const int t = value_of(r, r->g->output);
    for (int i = 0; i < net->layers; i++) {
        const layer *l = &net->layer[i];
        const int wants = l->dense ? 0 : l->pad; /* the layout that this layer's kernel reads */
        const bool good = (!l->src || net->tensor[l->src].border == wants) &&
                          (l->add < 0 || !net->tensor[l->add].border) && (l->dense || !net->tensor[l->dst].border);
        if (!good) return fw_fail(e, FW_EUSAGE, "layer %d: its tensors have borders that do not fit", i);
    }
    if (t <= 0 || net->tensor[t].height != 1 || net->tensor[t].width != 1 ||
        net->tensor[t].made_by != net->layers - 1 || !net->layer[net->layers - 1].dense)
        return fw_fail(e, FW_EUSAGE, "output '%s' is not the vector of a last 1 x 1 convolution", r->g->output);
    r->net->dim = net->tensor[t].channels;
    return FW_OK;
}

/* --- memory ---------------------------------------------------------------------------------------------------------
 */

static size_t padded(const tensor *t)
{
    return (size_t)(t->height + 2 * t->border) * (size_t)(t->width + 2 * t->border) * (size_t)t->channels;
}

static bool same_place(const tensor *a, const tensor *b)
{
    return a->height == b->height && a->width == b->width && a->channels == b->channels && a->border == b->border;
}

/* A buffer is used again by a later tensor of the same geometry only, so that borders stay zero. Behind its end is room
 * for the rows that a tile computes and nobody wants. */
static void place(fw_fastnet *net, tensor *t)
{
    for (int k = 0; k < net->buffers && t->buffer < 0; k++) {
        bool fits = true;
        for (int i = 1; i < net->tensors; i++)
            if (net->tensor[i].buffer == k &&
                (!same_place(&net->tensor[i], t) || net->tensor[i].last_use >= t->made_by))
                fits = false;
        if (fits) t->buffer = k;
    }
    if (t->buffer >= 0) return;
    net->bytes = fw_realloc(net->bytes, (size_t)net->buffers + 1, sizeof *net->bytes);
    net->bytes[net->buffers] = (padded(t) + FW_TILE_ROWS * (size_t)t->channels) * sizeof(float);
    t->buffer = net->buffers++;
}

static void place_all(fw_fastnet *net)
{
    for (int i = 0; i < net->layers; i++) {
        layer *l = &net->layer[i];
        tensor *t = &net->tensor[l->dst];
        const size_t rows = (size_t)t->height * (size_t)t->width, pitch = (size_t)(t->width + 2 * t->border);
        place(net, t);
        if (!l->src) {
            net->rows_bytes = (rows + FW_TILE_ROWS) * l->words * sizeof(uint32_t);
            net->plane_bytes = 3 * sizeof(float) * (size_t)(net->tensor[0].height + 2 * l->pad) *
                               (size_t)(net->tensor[0].width + 2 * l->pad);
        }
        l->to = FW_ARRAY(int32_t, rows + FW_TILE_ROWS);
        for (size_t p = 0; p < rows; p++) {
            const size_t y = p / (size_t)t->width + (size_t)t->border, x = p % (size_t)t->width + (size_t)t->border;
            l->to[p] = (int32_t)((y * pitch + x) * (size_t)t->channels);
        }
        for (size_t k = 0; k < FW_TILE_ROWS; k++) l->to[rows + k] = (int32_t)(padded(t) + k * (size_t)t->channels);
    }
}

/* --- opening --------------------------------------------------------------------------------------------------------
 */

static int read_graph(reader *r, fw_err *e)
{
    for (size_t i = 0; i < r->g->nodes; i++) r->value[i] = -1;
    for (size_t i = 0; i < r->g->nodes; i++)
        if (is_op(r, (int)i, "Add")) find_prelu(r, (int)i);
    for (size_t i = 0; i < r->g->nodes; i++) FW_TRY(add_node(r, (int)i, e));
    return check_output(r, e);
}

int fw_fastnet_open(const char *onnx, int height, int width, bool bf16, fw_fastnet **out, fw_err *e)
{
    *out = NULL;
    if (!fw_fastnet_usable(bf16)) return fw_fail(e, FW_EUSAGE, "this CPU has no %s", bf16 ? "AVX512_BF16" : "AVX-512");
    fw_onnx *g;
    FW_TRY(fw_onnx_read(onnx, &g, e));
    fw_fastnet *net = FW_NEW(fw_fastnet);
    net->bf16 = bf16;
    add_tensor(net, height, width, 3, -1);
    reader r = {g, net, FW_ARRAY(enum role, g->nodes), FW_ARRAY(float *, g->nodes), FW_ARRAY(int, g->nodes)};
    const int rc = read_graph(&r, e);
    for (size_t i = 0; i < g->nodes; i++) fw_free(r.bend[i]);
    fw_free(r.bend), fw_free(r.role), fw_free(r.value);
    fw_onnx_free(g);
    if (rc) {
        fw_fastnet_close(net);
        return rc;
    }
    place_all(net);
    *out = net;
    return FW_OK;
}

void fw_fastnet_close(fw_fastnet *n)
{
    if (!n) return;
    for (int i = 0; i < n->layers; i++) {
        fw_free(n->layer[i].packed);
        fw_free(n->layer[i].weight);
        fw_free(n->layer[i].bias);
        fw_free(n->layer[i].bend);
        fw_free(n->layer[i].to);
    }
    fw_free(n->layer);
    fw_free(n->tensor);
    fw_free(n->bytes);
    fw_free(n);
}

int fw_fastnet_dim(const fw_fastnet *n)
{
    return n->dim;
}

/* --- running --------------------------------------------------------------------------------------------------------
 */

static void *zeros(size_t bytes)
{
    void *p = fw_alloc_aligned(bytes, 1);
    return memset(p, 0, bytes);
}

fw_fastnet_worker *fw_fastnet_worker_new(const fw_fastnet *n)
{
    fw_fastnet_worker *w = FW_NEW(fw_fastnet_worker);
    w->net = n;
    w->buffer = FW_ARRAY(void *, (size_t)n->buffers);
    for (int i = 0; i < n->buffers; i++) w->buffer[i] = zeros(n->bytes[i]);
    w->rows = zeros(n->rows_bytes);
    w->plane = zeros(n->plane_bytes);
    return w;
}

void fw_fastnet_worker_free(fw_fastnet_worker *w)
{
    if (!w) return;
    for (int i = 0; i < w->net->buffers; i++) fw_free(w->buffer[i]);
    fw_free(w->buffer);
    fw_free(w->rows);
    fw_free(w->plane);
    fw_free(w);
}

/* The input as patches in rows: channel, y, x of the kernel side by side, as the weights lie. First the planes with
 * their border, in the type of the rows; the border stays zero from run to run. */
static void lay_rows(const fw_fastnet_worker *w, const layer *l, const float *input)
{
    const tensor *src = &w->net->tensor[0], *dst = &w->net->tensor[l->dst];
    const size_t size = w->net->bf16 ? sizeof(uint16_t) : sizeof(float), line = (size_t)l->kernel * size;
    const int height = src->height + 2 * l->pad, width = src->width + 2 * l->pad;
    uint16_t *half = w->plane;
    float *full = w->plane;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < src->height; y++) {
            const size_t to = (size_t)((c * height + y + l->pad) * width + l->pad);
            const float *from = input + (size_t)((c * src->height + y) * src->width);
            for (int x = 0; x < src->width && w->net->bf16; x++) half[to + (size_t)x] = to_bf16(from[x]);
            if (!w->net->bf16) memcpy(full + to, from, (size_t)src->width * size);
        }
    for (int p = 0; p < dst->height * dst->width; p++) {
        const int y0 = p / dst->width * l->stride, x0 = p % dst->width * l->stride;
        char *row = (char *)w->rows + (size_t)p * l->words * sizeof(uint32_t);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < l->kernel; y++, row += line)
                memcpy(row, (const char *)w->plane + (size_t)((c * height + y0 + y) * width + x0) * size, line);
    }
}

static void run_dense(const fw_fastnet_worker *w, const layer *l, bool last)
{
    const tensor *t = w->net->tensor, *dst = &t[l->dst];
    const fw_dense d = {.src = l->src ? w->buffer[t[l->src].buffer] : w->rows,
                        .rows = (size_t)dst->height * (size_t)dst->width,
                        .words = l->words,
                        .weight = l->packed,
                        .cols = (size_t)dst->channels,
                        .bias = l->bias,
                        .bend = l->bend,
                        .add = l->add >= 0 ? w->buffer[t[l->add].buffer] : NULL,
                        .dst = w->buffer[dst->buffer],
                        .to = l->to,
                        .wide = last};
    (w->net->bf16 ? fw_dense_bf16 : fw_dense_f32)(&d);
}

static void run_depthwise(const fw_fastnet_worker *w, const layer *l)
{
    const tensor *src = &w->net->tensor[l->src], *dst = &w->net->tensor[l->dst];
    const fw_depthwise d = {.src = w->buffer[src->buffer],
                            .pitch = (size_t)(src->width + 2 * src->border),
                            .kernel = l->kernel,
                            .stride = l->stride,
                            .height = dst->height,
                            .width = dst->width,
                            .channels = (size_t)dst->channels,
                            .weight = l->weight,
                            .bias = l->bias,
                            .bend = l->bend,
                            .dst = w->buffer[dst->buffer]};
    (w->net->bf16 ? fw_depthwise_bf16 : fw_depthwise_f32)(&d);
}

const float *fw_fastnet_run(fw_fastnet_worker *w, const float *input)
{
    const fw_fastnet *n = w->net;
    for (int i = 0; i < n->layers; i++) {
        const layer *l = &n->layer[i];
        if (!l->src) lay_rows(w, l, input);
        if (l->dense)
            run_dense(w, l, i == n->layers - 1);
        else
            run_depthwise(w, l);
    }
    return w->buffer[n->tensor[n->layer[n->layers - 1].dst].buffer];
}
