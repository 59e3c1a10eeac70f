#include "fastnet_layout.h"

#include "fastnet_kernels.h"
#include "fastnet_winograd.h"

/* Bytes that a strip of all values of a group may take: they and the weights should fit into the second-level cache, 1
 * MB here; and bytes from which a value is large: smaller ones stay in that cache anyway, in buffers that take turns.
 */
static const size_t STRIP = 384 << 10, LARGE = 192 << 10;

int fw_layer_result(const fw_fastnet *n, int i)
{
    return i < 0 ? 0 : n->layer[i].dst;
}

int fw_layer_from(const fw_fastnet *n, int i, int y)
{
    return y * n->layer[i].stride - n->layer[i].pad;
}

int fw_layer_needs(const fw_fastnet *n, const fw_layout *p, int i, int lines)
{
    const int height = p->spot[n->layer[i].src].height, end = fw_layer_from(n, i, lines - 1) + n->layer[i].kernel;
    return lines < 1 || end < 0 ? 0 : end < height ? end : height;
}

size_t fw_value_size(const fw_fastnet *n, int value)
{
    return !n->bf16 || n->value[value].output ? sizeof(float) : sizeof(uint16_t);
}

size_t fw_value_at(const fw_fastnet *n, const fw_layout *p, int value, int slot, int x)
{
    const fw_value *v = &n->value[value];
    const size_t pixel = (size_t)slot * p->spot[value].pitch + (size_t)(x + v->border);
    return pixel * (size_t)v->room * fw_value_size(n, value);
}

/* --- sizes ----------------------------------------------------------------------------------------------------------
 */

/* Of layer i's result, which may be a slice. */
static int measure(const fw_fastnet *n, fw_layout *p, int i, fw_err *e)
{
    const fw_layer *l = &n->layer[i];
    const fw_value *v = &n->value[l->dst];
    const fw_spot *src = &p->spot[l->src], *add = l->add >= 0 ? &p->spot[l->add] : NULL;
    fw_spot *whole = &p->spot[v->whole];
    const int height = src->height + 2 * l->pad - l->kernel, width = src->width + 2 * l->pad - l->kernel;
    if (height < 0 || width < 0) return fw_fail(e, FW_EUSAGE, "layer '%s': its input is too small", l->name);
    fw_spot s = {.height = height / l->stride + 1, .width = width / l->stride + 1};
    s.pitch = (size_t)(s.width + n->value[v->whole].border);
    if ((whole->height && (whole->height != s.height || whole->width != s.width)) ||
        (add && (add->height << l->add_up != s.height || add->width << l->add_up != s.width)) ||
        (v->single && (s.height != 1 || s.width != 1)))
        return fw_fail(e, FW_EUSAGE, "layer '%s': %d x %d pixels do not fit what it is joined with", l->name, s.width,
                       s.height);
    p->spot[l->dst] = *whole = s;
    return FW_OK;
}

/* --- groups and strips ----------------------------------------------------------------------------------------------
 */

/* Can layer i be computed line by line while its source is still being made, and does that pay? */
static bool follows(const fw_fastnet *n, const fw_layout *p, int i)
{
    const fw_layer *l = &n->layer[i];
    const fw_value *src = &n->value[l->src];
    const fw_layer *before = i ? &n->layer[i - 1] : NULL;
    return l->src == fw_layer_result(n, i - 1) && src->readers == 1 && src->whole == l->src && !src->output &&
           !l->winograd && !l->add_up && (!before || (!before->winograd && !before->add_up)) &&
           fw_value_at(n, p, l->src, p->spot[l->src].height, 0) >= LARGE;
}

static void make_groups(const fw_fastnet *n, fw_layout *p)
{
    p->group = FW_ARRAY(fw_group, (size_t)n->layers + 1);
    p->group[p->groups++] = (fw_group){-1, -1, p->height};
    for (int i = 0; i < n->layers; i++) {
        if (!follows(n, p, i)) p->group[p->groups++] = (fw_group){i, i, 0};
        p->group[p->groups - 1].last = i;
        p->group[p->groups - 1].strip = p->spot[n->layer[i].dst].height;
    }
}

/* Lines of a rolling value of group g that must be there at once, at most: what a strip needs that was not needed for
 * the strip before, and what both need. */
static int window(const fw_fastnet *n, const fw_layout *p, const fw_group *g, int layer)
{
    const int height = p->spot[fw_layer_result(n, g->last)].height;
    int most = 0;
    for (int y = g->strip, before = 0;; y = y + g->strip < height ? y + g->strip : height) {
        int lines = y, had = before;
        for (int k = g->last; k > layer + 1; k--) {
            lines = fw_layer_needs(n, p, k, lines);
            had = fw_layer_needs(n, p, k, had);
        }
        const int need = fw_layer_needs(n, p, layer + 1, lines), next = fw_layer_from(n, layer + 1, had);
        had = fw_layer_needs(n, p, layer + 1, had);
        const int from = next < had ? next : had;
        if (need - from > most) most = need - from;
        before = y;
        if (y == height) return most + n->layer[layer + 1].pad;
    }
}

static void choose_strip(const fw_fastnet *n, fw_layout *p, fw_group *g)
{
    size_t bytes = 0;
    for (int i = g->first; i < g->last; i++) {
        const int v = fw_layer_result(n, i);
        bytes += fw_value_at(n, p, v, p->spot[v].height, 0);
    }
    const int parts = (int)((bytes + STRIP - 1) / STRIP);
    if (parts > 1) g->strip = (g->strip + parts - 1) / parts;
    const bool rolls = g->strip < p->spot[fw_layer_result(n, g->last)].height;
    for (int i = g->first; i < g->last && rolls; i++) {
        fw_spot *s = &p->spot[fw_layer_result(n, i)];
        const int lines = window(n, p, g, i);
        if (lines >= s->lines) continue;
        s->lines = lines;
        s->rolls = true;
    }
}

/* Who makes each value and who reads it for the last time, by groups: of a whole, the first and the last of all slices.
 */
static void find_uses(const fw_fastnet *n, fw_layout *p)
{
    for (int v = 0; v < n->values; v++) {
        fw_spot *s = &p->spot[v];
        s->lines = s->height + 2 * n->value[v].border;
        s->group = p->groups;
        s->until = n->value[v].output ? p->groups : 0;
    }
    for (int g = 0; g < p->groups; g++)
        for (int i = p->group[g].first; i <= p->group[g].last; i++) {
            fw_spot *made = &p->spot[n->value[fw_layer_result(n, i)].whole];
            if (g < made->group) made->group = g;
            if (g > made->until) made->until = g;
            if (i < 0) continue;
            p->spot[n->layer[i].src].until = g > p->spot[n->layer[i].src].until ? g : p->spot[n->layer[i].src].until;
            if (n->layer[i].add >= 0 && g > p->spot[n->layer[i].add].until) p->spot[n->layer[i].add].until = g;
        }
}

/* --- memory ---------------------------------------------------------------------------------------------------------
 */

static bool same_shape(const fw_fastnet *n, const fw_layout *p, int a, int b)
{
    const fw_value *x = &n->value[a], *y = &n->value[b];
    const fw_spot *s = &p->spot[a], *t = &p->spot[b];
    return s->height == t->height && s->width == t->width && s->lines == t->lines && x->border == y->border &&
           x->room == y->room && fw_value_size(n, a) == fw_value_size(n, b);
}

/* A buffer that nobody reads any more when the value is made, or a new one. `beyond`: pixels that kernels read behind
 * the last line. */
static void place(const fw_fastnet *n, fw_layout *p, int value, size_t beyond)
{
    fw_spot *s = &p->spot[value];
    fw_buffer *b = NULL;
    for (int k = 0; k < p->buffers && !b; k++)
        if (p->buffer[k].busy < s->group && same_shape(n, p, p->buffer[k].value, value)) b = &p->buffer[k];
    if (!b) {
        const size_t pixels = 3 * s->pitch + beyond, used = fw_value_at(n, p, value, s->lines, 0);
        p->buffer = fw_realloc(p->buffer, (size_t)p->buffers + 1, sizeof *p->buffer);
        b = &p->buffer[p->buffers++];
        *b = (fw_buffer){.value = value, .offset = p->bytes};
        b->bytes = (used + pixels * (size_t)n->value[value].room * fw_value_size(n, value) + 63) / 64 * 64;
        p->bytes += b->bytes;
    }
    b->busy = s->until;
    s->offset = b->offset;
}

/* Behind a buffer's last line 3 lines are read by Winograd's last tile, FW_TILE_ROWS rows by a convolution. */
static void place_all(const fw_fastnet *n, fw_layout *p)
{
    size_t beyond = 0;
    for (int i = 0; i < n->layers; i++) {
        const fw_layer *l = &n->layer[i];
        const size_t reach = (size_t)(FW_TILE_ROWS * l->stride + l->kernel + l->pad);
        const size_t room = (size_t)n->value[l->src].room;
        const size_t scratch = l->winograd ? sizeof(float) * fw_winograd_scratch(room) : 0;
        if (reach > beyond) beyond = reach;
        if (scratch > p->scratch) p->scratch = scratch;
    }
    for (int g = 0; g < p->groups; g++)
        for (int i = p->group[g].first; i <= p->group[g].last; i++) {
            const int v = n->value[fw_layer_result(n, i)].whole;
            if (p->spot[v].group == g && !p->spot[v].offset) place(n, p, v, beyond);
        }
}

int fw_layout_make(const fw_fastnet *n, int height, int width, fw_layout *p, fw_err *e)
{
    *p = (fw_layout){.height = height, .width = width, .bytes = 64}; /* so that no offset is 0 */
    if (height < 1 || width < 1) return fw_fail(e, FW_EUSAGE, "an input of %d x %d pixels", width, height);
    p->spot = FW_ARRAY(fw_spot, (size_t)n->values);
    p->spot[0] = (fw_spot){.height = height, .width = width, .pitch = (size_t)(width + n->value[0].border)};
    for (int i = 0; i < n->layers; i++) FW_TRY(measure(n, p, i, e));
    make_groups(n, p);
    find_uses(n, p);
    for (int g = 0; g < p->groups; g++) choose_strip(n, p, &p->group[g]);
    place_all(n, p);
    return FW_OK;
}

void fw_layout_free(fw_layout *p)
{
    fw_free(p->spot);
    fw_free(p->group);
    fw_free(p->buffer);
    *p = (fw_layout){0};
}
