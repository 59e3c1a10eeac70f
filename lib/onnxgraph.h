/* onnxgraph: the nodes and constants of an ONNX file, as far as a small convolutional network has them.
 *
 * An ONNX file is one protocol-buffers message (https://onnx.ai, onnx.proto3): nodes in an order in which they can be
 * computed, values by name, constants ("initializers") with their bytes. What is not needed here is skipped unread.
 * Everything is bounds-checked: a damaged file gives an error.
 */
#ifndef FW_ONNXGRAPH_H
#define FW_ONNXGRAPH_H

#include "base.h"

#define FW_ONNX_IO 8 /* inputs of a node that are kept; more make the file unreadable */

typedef struct fw_onnx_node {
    char *op; /* "Conv" ... */
    char *in[FW_ONNX_IO], *out;
    int ins;
    /* attributes; what a node does not say has the default of Conv */
    int group, kernel[2], stride[2], pad[4], dilation[2], axis;
    char *mode, *coordinates, *nearest; /* of Resize; NULL: not said */
} fw_onnx_node;

typedef struct fw_onnx_const {
    char *name;
    int64_t dim[4]; /* 1 where the rank is smaller */
    size_t count;
    float *value; /* NULL when it is not float32 */
} fw_onnx_const;

typedef struct fw_onnx {
    fw_onnx_node *node;
    size_t nodes;
    fw_onnx_const *constant;
    size_t constants;
    char *input;   /* the first that is no constant */
    char **output; /* all, in the file's order */
    size_t outputs;
} fw_onnx;

/* FW_EFAIL: not there, or not readable as a network. Free with fw_onnx_free. */
int fw_onnx_read(const char *path, fw_onnx **out, fw_err *e) FW_MUST_USE;
void fw_onnx_free(fw_onnx *g);
const fw_onnx_const *fw_onnx_find(const fw_onnx *g, const char *name); /* NULL: no such constant */
int fw_onnx_producer(const fw_onnx *g, const char *name);              /* the node whose output it is, or -1 */
int fw_onnx_uses(const fw_onnx *g, const char *name); /* how often nodes read it, or the network gives it out */

#endif
