#include "fastnet.h"

#include "fastnet_kernels.h"
#include "fastnet_net.h"
#include "fastnet_winograd.h"

#include <string.h>

/* Where a value lies for one size of input. A slice lies in its whole. */
typedef struct spot {
    int height, width; /* 0: not known yet */
    size_t pitch;      /* pixels from line to line */
    int buffer;
} spot;

/* Memory for values of one shape, one after the other; so their border is always the same zeros. */
typedef struct buffer {
    int value;            /* the first one, whose shape they all have */
    int busy;             /* last layer that reads the present one */
    size_t offset, bytes; /* in the arena */
} buffer;

/* A network laid out for a size. */
typedef struct layout {
    int height, width;
    spot *spot;
    buffer *buffer;
    int buffers;
    size_t bytes;   /* of all buffers */
    size_t scratch; /* bytes for Winograd's algorithm, behind them */
} layout;

struct fw_fastnet_worker {
    const fw_fastnet *net;
    layout layout;
    char *arena;
    size_t room;
};

bool fw_fastnet_supported(bool bf16)
{
    return fw_fastnet_usable(bf16);
}

int fw_fastnet_open(const char *onnx, bool bf16, fw_fastnet **out, fw_err *e)
{
    *out = NULL;
    if (!fw_fastnet_usable(bf16)) return fw_fail(e, FW_EUSAGE, "this CPU has no %s", bf16 ? "AVX512_BF16" : "AVX-512");
    fw_fastnet *net = FW_NEW(fw_fastnet);
    net->bf16 = bf16;
    const int rc = fw_fastnet_read(onnx, net, e);
    if (rc)
        fw_fastnet_close(net);
    else
        *out = net;
    return rc;
}

void fw_fastnet_close(fw_fastnet *n)
{
    if (!n) return;
    for (int i = 0; i < n->layers; i++) {
        fw_layer *l = &n->layer[i];
        fw_free(l->name);
        fw_free(l->filter);
        fw_free(l->packed);
        fw_free(l->winograd);
        fw_free(l->bias);
        fw_free(l->bend);
    }
    fw_free(n->layer);
    fw_free(n->value);
    fw_free(n->output);
    fw_free(n);
}

int fw_fastnet_outputs(const fw_fastnet *n)
{
    return n->outputs;
}

int fw_fastnet_channels(const fw_fastnet *n, int output)
{
    return n->value[n->output[output]].channels;
}

/* --- layout ---------------------------------------------------------------------------------------------------------
 */

static bool wide(const fw_fastnet *n, const fw_value *v)
{
    return !n->bf16 || v->output;
}

static size_t value_size(const fw_fastnet *n, const fw_value *v)
{
    return wide(n, v) ? sizeof(float) : sizeof(uint16_t);
}

/* Channels from the buffer's begin to pixel (x, y), which may be a border's. */
static size_t element(const fw_value *v, const spot *s, int y, int x)
{
    return ((size_t)(y + v->border) * s->pitch + (size_t)(x + v->border)) * (size_t)v->room;
}

/* With its border, and what kernels read past it: 3 lines and pixels for Winograd's last tile, FW_TILE_ROWS rows of the
 * last line of a convolution. `stride` and `kernel`: the greatest of the network. */
static size_t buffer_bytes(const fw_fastnet *n, const fw_value *v, const spot *s, int stride, int kernel)
{
    const size_t beyond = 3 * s->pitch + (size_t)(FW_TILE_ROWS * stride + kernel + v->border);
    return (element(v, s, s->height + v->border, -v->border) + beyond * (size_t)v->room) * value_size(n, v);
}

static bool same_shape(const fw_fastnet *n, const layout *p, int a, int b)
{
    const fw_value *x = &n->value[a], *y = &n->value[b];
    const spot *s = &p->spot[a], *t = &p->spot[b];
    return s->height == t->height && s->width == t->width && x->border == y->border && x->room == y->room &&
           wide(n, x) == wide(n, y);
}

/* A buffer that nobody reads any more when layer `made_by` runs, or a new one. */
static void place(const fw_fastnet *n, layout *p, int value, int stride, int kernel)
{
    const fw_value *v = &n->value[value];
    spot *s = &p->spot[value];
    for (int k = 0; k < p->buffers; k++)
        if (p->buffer[k].busy < v->made_by && same_shape(n, p, p->buffer[k].value, value)) {
            p->buffer[k].busy = v->last_use;
            s->buffer = k;
            return;
        }
    p->buffer = fw_realloc(p->buffer, (size_t)p->buffers + 1, sizeof *p->buffer);
    const size_t bytes = (buffer_bytes(n, v, s, stride, kernel) + 63) / 64 * 64;
    p->buffer[p->buffers] = (buffer){value, v->last_use, p->bytes, bytes};
    s->buffer = p->buffers++;
    p->bytes += bytes;
}

/* Sizes of a layer's result. */
static int measure(const fw_fastnet *n, layout *p, const fw_layer *l, fw_err *e)
{
    const spot *src = &p->spot[l->src];
    const fw_value *v = &n->value[l->dst];
    spot *whole = &p->spot[v->whole];
    const int height = src->height + 2 * l->pad - l->kernel, width = src->width + 2 * l->pad - l->kernel;
    if (height < 0 || width < 0) return fw_fail(e, FW_EUSAGE, "layer '%s': its input is too small", l->name);
    spot s = {.height = height / l->stride + 1, .width = width / l->stride + 1, .buffer = -1};
    s.pitch = (size_t)(s.width + n->value[v->whole].border);
    const spot *add = l->add >= 0 ? &p->spot[l->add] : NULL;
    if ((whole->height && (whole->height != s.height || whole->width != s.width)) ||
        (add && (add->height << l->add_up != s.height || add->width << l->add_up != s.width)) ||
        (v->single && (s.height != 1 || s.width != 1)))
        return fw_fail(e, FW_EUSAGE, "layer '%s': %d x %d pixels do not fit what it is joined with", l->name, s.width,
                       s.height);
    if (!whole->height) *whole = s;
    return FW_OK;
}

static void free_layout(layout *p)
{
    fw_free(p->spot);
    fw_free(p->buffer);
    *p = (layout){0};
}

static int make_layout(const fw_fastnet *n, int height, int width, layout *p, fw_err *e)
{
    int stride = 1, kernel = 1;
    *p = (layout){.height = height, .width = width, .spot = FW_ARRAY(spot, (size_t)n->values)};
    for (int i = 0; i < n->layers; i++) {
        if (n->layer[i].stride > stride) stride = n->layer[i].stride;
        if (n->layer[i].kernel > kernel) kernel = n->layer[i].kernel;
    }
    p->spot[0] = (spot){height, width, (size_t)(width + n->value[0].border), -1};
    place(n, p, 0, stride, kernel);
    for (int i = 0; i < n->layers; i++) {
        const fw_layer *l = &n->layer[i];
        const int whole = n->value[l->dst].whole;
        const bool known = p->spot[whole].height > 0;
        FW_TRY(measure(n, p, l, e));
        if (!known) place(n, p, whole, stride, kernel);
        p->spot[l->dst] = p->spot[whole];
        if (l->winograd) {
            const size_t need =
                sizeof(float) * fw_winograd_scratch((size_t)n->value[l->src].room, (size_t)n->value[l->dst].room);
            if (need > p->scratch) p->scratch = need;
        }
    }
    return FW_OK;
}

int fw_fastnet_fits(const fw_fastnet *n, int height, int width, fw_err *e)
{
    layout p;
    const int rc = height > 0 && width > 0 ? make_layout(n, height, width, &p, e)
                                           : fw_fail(e, FW_EUSAGE, "an input of %d x %d pixels", width, height);
    if (height > 0 && width > 0) free_layout(&p);
    return rc;
}

/* The border of a buffer and what lies behind it, which no layer writes. */
static void clear_border(const fw_fastnet_worker *w, const buffer *b)
{
    const fw_value *v = &w->net->value[b->value];
    const spot *s = &w->layout.spot[b->value];
    const size_t pixel = (size_t)v->room * value_size(w->net, v), line = s->pitch * pixel;
    const size_t above = (size_t)v->border, below = above + (size_t)s->height;
    char *begin = w->arena + b->offset;
    memset(begin, 0, above * line);
    for (size_t y = above; y < below && above; y++) memset(begin + y * line, 0, above * pixel);
    memset(begin + below * line, 0, b->bytes - below * line);
}

static int lay_out(fw_fastnet_worker *w, int height, int width, fw_err *e)
{
    if (w->layout.spot && w->layout.height == height && w->layout.width == width) return FW_OK;
    FW_TRY(fw_fastnet_fits(w->net, height, width, e));
    free_layout(&w->layout);
    FW_TRY(make_layout(w->net, height, width, &w->layout, e));
    const size_t need = w->layout.bytes + w->layout.scratch;
    if (need > w->room) {
        fw_free(w->arena);
        w->arena = fw_alloc_aligned(need, 1);
        w->room = need;
    }
    for (int k = 0; k < w->layout.buffers; k++) clear_border(w, &w->layout.buffer[k]);
    return FW_OK;
}

fw_fastnet_worker *fw_fastnet_worker_new(const fw_fastnet *n)
{
    fw_fastnet_worker *w = FW_NEW(fw_fastnet_worker);
    w->net = n;
    return w;
}

void fw_fastnet_worker_free(fw_fastnet_worker *w)
{
    if (!w) return;
    free_layout(&w->layout);
    fw_free(w->arena);
    fw_free(w);
}

/* --- running --------------------------------------------------------------------------------------------------------
 */

/* Pixel (x, y) of a value: of a slice, where its channels begin. */
static void *at(const fw_fastnet_worker *w, int value, int y, int x)
{
    const fw_value *v = &w->net->value[value], *whole = &w->net->value[v->whole];
    const spot *s = &w->layout.spot[v->whole];
    return w->arena + w->layout.buffer[s->buffer].offset +
           (element(whole, s, y, x) + (size_t)v->first) * value_size(w->net, whole);
}

/* A value as a kernel sees it, from pixel (x, y) on. */
static fw_grid grid(const fw_fastnet_worker *w, int value, int y, int x)
{
    const fw_value *whole = &w->net->value[w->net->value[value].whole];
    const size_t pixel = (size_t)whole->room;
    return (fw_grid){at(w, value, y, x), w->layout.spot[value].pitch * pixel, pixel};
}

static fw_finish finish(const fw_fastnet_worker *w, const fw_layer *l)
{
    fw_finish f = {.bias = l->bias, .bend = l->bend, .relu = l->relu, .add_up = l->add_up};
    f.wide = wide(w->net, &w->net->value[w->net->value[l->dst].whole]);
    f.to = grid(w, l->dst, 0, 0);
    if (l->add >= 0) f.add = grid(w, l->add, 0, 0);
    return f;
}

/* All rows at once where results are neighbours as their inputs are; else line by line. */
static void run_dense(const fw_fastnet_worker *w, const fw_layer *l)
{
    const fw_value *src = &w->net->value[l->src], *dst = &w->net->value[l->dst];
    const spot *s = &w->layout.spot[l->src], *t = &w->layout.spot[l->dst];
    const size_t words = (size_t)src->room / (w->net->bf16 ? 2 : 1), lines = (size_t)t->height;
    fw_dense d = {.half = w->net->bf16,
                  .step = (size_t)l->stride * words,
                  .segments = (size_t)l->kernel,
                  .words = (size_t)l->kernel * words,
                  .segment_step = s->pitch * words,
                  .weight = l->packed,
                  .cols = (size_t)dst->room,
                  .width = (size_t)t->width,
                  .finish = finish(w, l)};
    const fw_finish f = d.finish;
    d.line = l->stride == 1 ? s->pitch : d.width;
    d.rows = l->stride == 1 ? (lines - 1) * s->pitch + d.width : d.width;
    for (int y = 0; y < (l->stride == 1 ? 1 : t->height); y++) {
        d.src = at(w, l->src, y * l->stride - l->pad, -l->pad);
        d.finish.to.at = (char *)f.to.at + (size_t)y * f.to.line * (f.wide ? sizeof(float) : sizeof(uint16_t));
        if (f.add.at) d.finish.add = grid(w, l->add, y >> l->add_up, 0);
        fw_dense_run(&d);
    }
}

static void run_winograd(const fw_fastnet_worker *w, const fw_layer *l)
{
    const spot *t = &w->layout.spot[l->dst];
    fw_winograd_run(&(fw_winograd){.src = grid(w, l->src, -1, -1),
                                   .height = t->height,
                                   .width = t->width,
                                   .channels = (size_t)w->net->value[l->src].room,
                                   .weight = l->winograd,
                                   .cols = (size_t)w->net->value[l->dst].room,
                                   .scratch = (float *)(w->arena + w->layout.bytes),
                                   .finish = finish(w, l)});
}

static void run_depthwise(const fw_fastnet_worker *w, const fw_layer *l)
{
    const spot *t = &w->layout.spot[l->dst];
    fw_depthwise_run(&(fw_depthwise){.half = w->net->bf16,
                                     .src = grid(w, l->src, -l->pad, -l->pad),
                                     .kernel = l->kernel,
                                     .stride = l->stride,
                                     .height = t->height,
                                     .width = t->width,
                                     .channels = (size_t)w->net->value[l->dst].room,
                                     .weight = l->filter,
                                     .finish = finish(w, l)});
}

static void run_layer(const fw_fastnet_worker *w, const fw_layer *l)
{
    if (l->depthwise)
        run_depthwise(w, l);
    else if (l->winograd)
        run_winograd(w, l);
    else
        run_dense(w, l);
    const spot *t = &w->layout.spot[l->dst];
    if (l->sigmoid)
        fw_sigmoid_run(at(w, l->dst, 0, 0), (size_t)t->height * t->pitch * (size_t)w->net->value[l->dst].room);
}

int fw_fastnet_run(fw_fastnet_worker *w, const float *input, int height, int width, fw_err *e)
{
    FW_TRY(lay_out(w, height, width, e));
    fw_interleave_run(input, (size_t)height, (size_t)width, w->net->bf16, grid(w, 0, 0, 0));
    for (int i = 0; i < w->net->layers; i++) run_layer(w, &w->net->layer[i]);
    return FW_OK;
}

fw_fastnet_result fw_fastnet_output(const fw_fastnet_worker *w, int i)
{
    const int value = w->net->output[i];
    const fw_value *v = &w->net->value[value];
    const spot *s = &w->layout.spot[value];
    return (fw_fastnet_result){at(w, value, 0, 0), v->channels, s->height, s->width, (size_t)v->room};
}
