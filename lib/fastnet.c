#include "fastnet.h"

#include "denormal.h"
#include "fastnet_kernels.h"
#include "fastnet_layout.h"
#include "fastnet_winograd.h"

#include <string.h>

/* Pixels from which Winograd's algorithm is faster than a plain convolution: it reads four times the weights, and its
 * tiles of 16 pixels should fill the kernels' 14 rows. */
enum { WINOGRAD = 14 * 16 };

struct fw_fastnet_worker {
    const fw_fastnet *net;
    fw_layout layout;
    int *origin; /* of each value: the line that lies where line 0 does as long as its buffer has not rolled */
    int *done;   /* lines made of each layer's result; of the input first */
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

int fw_fastnet_fits(const fw_fastnet *n, int height, int width, fw_err *e)
{
    fw_layout p;
    const int rc = fw_layout_make(n, height, width, &p, e);
    fw_layout_free(&p);
    return rc;
}

fw_fastnet_worker *fw_fastnet_worker_new(const fw_fastnet *n)
{
    fw_fastnet_worker *w = FW_NEW(fw_fastnet_worker);
    w->net = n;
    w->origin = FW_ARRAY(int, (size_t)n->values);
    w->done = FW_ARRAY(int, (size_t)n->layers + 1);
    return w;
}

void fw_fastnet_worker_free(fw_fastnet_worker *w)
{
    if (!w) return;
    fw_layout_free(&w->layout);
    fw_free(w->origin);
    fw_free(w->done);
    fw_free(w->arena);
    fw_free(w);
}

/* --- memory ---------------------------------------------------------------------------------------------------------
 */

/* Pixel (x, y) of a value, which its buffer must hold; of a slice, where its channels begin. */
static char *at(const fw_fastnet_worker *w, int value, int y, int x)
{
    const fw_value *v = &w->net->value[value];
    const int whole = v->whole, slot = y - w->origin[whole] + w->net->value[whole].border;
    return w->arena + w->layout.spot[whole].offset + fw_value_at(w->net, &w->layout, whole, slot, x) +
           (size_t)v->first * fw_value_size(w->net, whole);
}

/* A value as a kernel sees it, from pixel (x, y) on. */
static fw_grid grid(const fw_fastnet_worker *w, int value, int y, int x)
{
    const int whole = w->net->value[value].whole;
    const size_t pixel = (size_t)w->net->value[whole].room;
    return (fw_grid){at(w, value, y, x), w->layout.spot[whole].pitch * pixel, pixel};
}

static size_t line_bytes(const fw_fastnet_worker *w, int value)
{
    return w->layout.spot[value].pitch * (size_t)w->net->value[value].room * fw_value_size(w->net, value);
}

/* Zeros around the picture and behind it, where no layer writes. Lines of a value that rolls come and go: only the left
 * border stays. */
static void clear_border(const fw_fastnet_worker *w, const fw_buffer *b)
{
    const int border = w->net->value[b->value].border, lines = w->layout.spot[b->value].lines;
    const size_t line = line_bytes(w, b->value), side = fw_value_at(w->net, &w->layout, b->value, 0, 0);
    char *begin = w->arena + b->offset;
    const size_t below = (size_t)(lines - border) * line;
    memset(begin, 0, (size_t)border * line);
    for (int y = border; y < lines && side; y++) memset(begin + (size_t)y * line, 0, side);
    memset(begin + below, 0, b->bytes - below);
}

static int lay_out(fw_fastnet_worker *w, int height, int width, fw_err *e)
{
    if (w->layout.spot && w->layout.height == height && w->layout.width == width) return FW_OK;
    fw_layout p;
    const int rc = fw_layout_make(w->net, height, width, &p, e);
    if (rc) {
        fw_layout_free(&p);
        return rc;
    }
    fw_layout_free(&w->layout);
    w->layout = p;
    memset(w->origin, 0, (size_t)w->net->values * sizeof *w->origin);
    if (p.bytes + p.scratch > w->room) {
        fw_free(w->arena);
        w->room = p.bytes + p.scratch;
        w->arena = fw_alloc_aligned(w->room, 1);
    }
    for (int k = 0; k < p.buffers; k++) clear_border(w, &p.buffer[k]);
    return FW_OK;
}

/* --- lines y0 to y1 of a layer's result -----------------------------------------------------------------------------
 */

static fw_finish finish(const fw_fastnet_worker *w, const fw_layer *l, int y)
{
    fw_finish f = {.bias = l->bias, .bend = l->bend, .relu = l->relu, .add_up = l->add_up};
    f.wide = fw_value_size(w->net, w->net->value[l->dst].whole) == sizeof(float);
    f.to = grid(w, l->dst, y, 0);
    if (l->add >= 0) f.add = grid(w, l->add, y >> l->add_up, 0);
    return f;
}

/* Do results follow each other without a gap, over the ends of lines too? Then so do those of `add`. */
static bool gapless(const fw_fastnet_worker *w, const fw_layer *l)
{
    const fw_spot *spot = w->layout.spot;
    const size_t width = (size_t)spot[l->dst].width;
    return spot[l->src].pitch == width && spot[l->dst].pitch == width &&
           (l->add < 0 || (!l->add_up && spot[l->add].pitch == width));
}

/* All rows at once where results are neighbours as their inputs are; else line by line. */
static void run_dense(const fw_fastnet_worker *w, const fw_layer *l, int y0, int y1)
{
    const fw_spot *s = &w->layout.spot[l->src], *t = &w->layout.spot[l->dst];
    const size_t words = (size_t)w->net->value[l->src].room / (w->net->bf16 ? 2 : 1);
    const int step = l->stride == 1 ? y1 - y0 : 1;
    fw_dense d = {.half = w->net->bf16,
                  .step = (size_t)l->stride * words,
                  .segments = (size_t)l->kernel,
                  .words = (size_t)l->kernel * words,
                  .segment_step = s->pitch * words,
                  .weight = l->packed,
                  .cols = (size_t)w->net->value[l->dst].room,
                  .line = s->pitch,
                  .width = (size_t)t->width};
    d.rows = (size_t)(step - 1) * s->pitch + d.width;
    if (gapless(w, l)) d.line = d.width = d.rows;
    for (int y = y0; y < y1; y += step) {
        d.src = at(w, l->src, y * l->stride - l->pad, -l->pad);
        d.finish = finish(w, l, y);
        fw_dense_run(&d);
    }
}

static void run_winograd(const fw_fastnet_worker *w, const fw_layer *l)
{
    const fw_spot *t = &w->layout.spot[l->dst];
    fw_winograd_run(&(fw_winograd){.src = grid(w, l->src, -1, -1),
                                   .height = t->height,
                                   .width = t->width,
                                   .channels = (size_t)w->net->value[l->src].room,
                                   .weight = l->winograd,
                                   .cols = (size_t)w->net->value[l->dst].room,
                                   .scratch = (float *)(w->arena + w->layout.bytes),
                                   .finish = finish(w, l, 0)});
}

static void run_depthwise(const fw_fastnet_worker *w, const fw_layer *l, int y0, int y1)
{
    fw_depthwise_run(&(fw_depthwise){.half = w->net->bf16,
                                     .src = grid(w, l->src, y0 * l->stride - l->pad, -l->pad),
                                     .kernel = l->kernel,
                                     .stride = l->stride,
                                     .height = y1 - y0,
                                     .width = w->layout.spot[l->dst].width,
                                     .channels = (size_t)w->net->value[l->dst].room,
                                     .weight = l->filter,
                                     .finish = finish(w, l, y0)});
}

/* Winograd's layers are never in strips: y0 is 0, y1 the height. */
static void run_layer(const fw_fastnet_worker *w, const fw_layer *l, int y0, int y1)
{
    const fw_spot *t = &w->layout.spot[l->dst];
    if (l->depthwise)
        run_depthwise(w, l, y0, y1);
    else if (l->winograd && t->height * t->width >= WINOGRAD)
        run_winograd(w, l);
    else
        run_dense(w, l, y0, y1);
    const size_t width = (size_t)t->width * (size_t)w->net->value[l->dst].room;
    if (l->sigmoid) fw_sigmoid_run((float *)at(w, l->dst, y0, 0), (size_t)(y1 - y0) * width);
}

/* --- groups, in strips ----------------------------------------------------------------------------------------------
 */

static void make_lines(fw_fastnet_worker *w, int i, int lines, const float *input)
{
    const fw_layout *p = &w->layout;
    const int value = fw_layer_result(w->net, i), y = w->done[i + 1];
    if (lines <= y) return;
    if (i < 0) {
        const size_t height = (size_t)p->height, width = (size_t)p->width;
        fw_interleave_run(input + (size_t)y * width, height * width, (size_t)(lines - y), width, w->net->bf16,
                          grid(w, 0, y, 0));
    } else {
        run_layer(w, &w->net->layer[i], y, lines);
    }
    w->done[i + 1] = lines;
    const fw_spot *s = &p->spot[value];
    if (s->rolls && lines == s->height) /* the border below */
        memset(w->arena + s->offset +
                   (size_t)(lines - w->origin[value] + w->net->value[value].border) * line_bytes(w, value),
               0, (size_t)w->net->value[value].border * line_bytes(w, value));
}

/* Layer i's result to begin with the first line that the next layer still needs. */
static void roll(fw_fastnet_worker *w, int i)
{
    const int value = fw_layer_result(w->net, i), border = w->net->value[value].border, done = w->done[i + 1];
    const fw_spot *s = &w->layout.spot[value];
    const int next = fw_layer_from(w->net, i + 1, w->done[i + 2]), from = next < done ? next : done;
    const int slot = from - w->origin[value] + border, end = done == s->height ? done + border : done;
    const size_t line = line_bytes(w, value);
    char *begin = w->arena + s->offset;
    if (!s->rolls || slot <= 0) return;
    memmove(begin, begin + (size_t)slot * line, (size_t)(end - from) * line);
    w->origin[value] = from + border;
}

/* Back to the picture's top, and the border above it. */
static void rewind_group(fw_fastnet_worker *w, const fw_group *g)
{
    for (int i = g->first; i <= g->last; i++) {
        const int value = fw_layer_result(w->net, i);
        w->done[i + 1] = 0;
        if (!w->layout.spot[value].rolls) continue;
        w->origin[value] = 0;
        memset(w->arena + w->layout.spot[value].offset, 0, (size_t)w->net->value[value].border * line_bytes(w, value));
    }
}

static void need_lines(fw_fastnet_worker *w, const fw_group *g, int i, int lines, const float *input)
{
    if (i > g->first) need_lines(w, g, i - 1, fw_layer_needs(w->net, &w->layout, i, lines), input);
    make_lines(w, i, lines, input);
}

static void run_group(fw_fastnet_worker *w, const fw_group *g, const float *input)
{
    const int height = w->layout.spot[fw_layer_result(w->net, g->last)].height;
    rewind_group(w, g);
    for (int y = 0; y < height;) {
        y = y + g->strip < height ? y + g->strip : height;
        need_lines(w, g, g->last, y, input);
        for (int i = g->first; i < g->last; i++) roll(w, i);
    }
}

int fw_fastnet_run(fw_fastnet_worker *w, const float *input, int height, int width, fw_err *e)
{
    FW_TRY(lay_out(w, height, width, e));
    const uint64_t mode = fw_denormals_off();
    for (int g = 0; g < w->layout.groups; g++) run_group(w, &w->layout.group[g], input);
    fw_denormals_restore(mode);
    return FW_OK;
}

fw_fastnet_result fw_fastnet_output(const fw_fastnet_worker *w, int i)
{
    const int value = w->net->output[i];
    const fw_value *v = &w->net->value[value];
    const fw_spot *s = &w->layout.spot[value];
    return (fw_fastnet_result){(const float *)at(w, value, 0, 0), v->channels, s->height, s->width, (size_t)v->room};
}
