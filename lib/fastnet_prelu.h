/* fastnet_prelu: convolutions of an ONNX graph, and the PReLUs that are written with them.
 *
 * scripts/prepare_models.py writes PReLU(x) = x + max(c x, 0), per channel, as Add(p(x), Relu(s(x))) with depthwise
 * convolutions p and s, where s is p times c: p is 1 x 1 and does nothing, or is the convolution before the PReLU.
 * ONNX Runtime runs that faster than PRelu; here it is turned back.
 */
#ifndef FW_FASTNET_PRELU_H
#define FW_FASTNET_PRELU_H

#include "onnxgraph.h"

/* A convolution with square kernel, equal strides and pads. */
typedef struct fw_conv {
    const fw_onnx_const *weight, *bias; /* the graph's; bias NULL: none */
    int in, out, kernel, stride, pad;
    bool depthwise;
} fw_conv;

enum fw_prelu_role { FW_PRELU_NOT = 0, FW_PRELU_SUM, FW_PRELU_ALIAS, FW_PRELU_GONE };

typedef struct fw_prelu {
    enum fw_prelu_role role; /* SUM: the Add; ALIAS: p that does nothing; GONE: s and its Relu */
    float *bend;             /* SUM: c, one per channel */
} fw_prelu;

/* False: another kind of convolution, or none. */
bool fw_conv_read(const fw_onnx *g, const fw_onnx_node *n, fw_conv *c);
/* Fills one per node of the graph, which were zeros; free the bends. */
void fw_prelu_find(const fw_onnx *g, fw_prelu *of_node);

#endif
