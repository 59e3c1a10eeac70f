#include "fastnet_prelu.h"

#include <math.h>
#include <string.h>

bool fw_conv_read(const fw_onnx *g, const fw_onnx_node *n, fw_conv *c)
{
    if (strcmp(n->op, "Conv") || n->ins < 2 || n->ins > 3) return false;
    *c = (fw_conv){.weight = fw_onnx_find(g, n->in[1]), .bias = n->ins > 2 ? fw_onnx_find(g, n->in[2]) : NULL};
    if (!c->weight || !c->weight->value || (n->ins > 2 && (!c->bias || !c->bias->value))) return false;
    const int64_t *d = c->weight->dim;
    /* kernel_shape may be left out: the weights say it too */
    const bool said = n->kernel[0] == d[2] && n->kernel[1] == d[3];
    c->depthwise = n->group > 1;
    c->in = c->depthwise ? n->group : (int)d[1];
    c->out = (int)d[0], c->kernel = (int)d[2], c->stride = n->stride[0], c->pad = n->pad[0];
    return c->in > 0 && c->out > 0 && c->kernel > 0 && d[2] == d[3] && (said || n->kernel[0] == 1) &&
           n->stride[1] == c->stride && c->stride > 0 && c->pad >= 0 && c->pad < c->kernel && n->pad[1] == c->pad &&
           n->pad[2] == c->pad && n->pad[3] == c->pad && n->dilation[0] == 1 && n->dilation[1] == 1 &&
           (!c->depthwise || (n->group == d[0] && d[1] == 1)) && (!c->bias || c->bias->count == (size_t)c->out);
}

static bool is_op(const fw_onnx *g, int node, const char *op)
{
    return node >= 0 && !strcmp(g->node[node].op, op);
}

static bool is_identity(const fw_conv *c)
{
    for (size_t i = 0; i < c->weight->count; i++)
        if (c->kernel != 1 || c->weight->value[i] != 1) return false;
    for (size_t i = 0; c->bias && i < c->bias->count; i++)
        if (c->bias->value[i] != 0) return false;
    return true;
}

/* Is every channel of `s` that of `p` times one number? Those numbers, or NULL. Rounding of both weights to
 * fp32 leaves 1e-7; 1e-5 tells that from networks that mean something else. */
static float *bends(const fw_conv *p, const fw_conv *s)
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
        for (size_t i = 0; i < per; i++) { /* without fmax: in this loop it is an internal error of gcc 12 for ARM */
            const double off = fabs(b[i] - ratio * a[i]);
            worst = off > worst ? off : worst;
        }
        if (worst > 1e-5 * sqrt(aa)) {
            fw_free(bend);
            return NULL;
        }
        bend[c] = (float)ratio;
    }
    return bend;
}

/* Add(p, Relu(s)) where s = c p, channel by channel. */
static void find_at(const fw_onnx *g, int add, fw_prelu *of_node)
{
    const fw_onnx_node *node = g->node;
    if (node[add].ins != 2) return;
    const int p = fw_onnx_producer(g, node[add].in[0]), relu = fw_onnx_producer(g, node[add].in[1]);
    const int s = is_op(g, relu, "Relu") && node[relu].ins ? fw_onnx_producer(g, node[relu].in[0]) : -1;
    fw_conv cp, cs;
    if (p < 0 || s < 0 || !fw_conv_read(g, &node[p], &cp) || !fw_conv_read(g, &node[s], &cs)) return;
    if (strcmp(node[p].in[0], node[s].in[0]) || !cp.depthwise || !cs.depthwise || cp.out != cs.out ||
        cp.kernel != cs.kernel || cp.stride != cs.stride || cp.pad != cs.pad || fw_onnx_uses(g, node[p].out) != 1 ||
        fw_onnx_uses(g, node[s].out) != 1 || fw_onnx_uses(g, node[relu].out) != 1)
        return;
    const bool identity = is_identity(&cp);
    if (identity && fw_onnx_uses(g, node[p].in[0]) != 2) return;
    if (!(of_node[add].bend = bends(&cp, &cs))) return;
    of_node[add].role = FW_PRELU_SUM;
    of_node[s].role = of_node[relu].role = FW_PRELU_GONE;
    if (identity) of_node[p].role = FW_PRELU_ALIAS;
}

void fw_prelu_find(const fw_onnx *g, fw_prelu *of_node)
{
    for (size_t i = 0; i < g->nodes; i++)
        if (is_op(g, (int)i, "Add")) find_at(g, (int)i, of_node);
}
