/* fastnet_net: a network as fastnet runs it, between the files of fastnet: fastnet_read.c makes it from an ONNX file,
 * fastnet.c lays it out for a size of input and runs it. Nothing in here depends on that size.
 *
 * Layers stand in an order in which they can be computed; each is a convolution with all that is done to its result.
 * What goes from layer to layer are values: pictures of some channels. Value 0 is the input. A value may be a slice of
 * another, `whole`, whose pixels hold the channels of all its slices: that is what Concat comes to.
 */
#ifndef FW_FASTNET_NET_H
#define FW_FASTNET_NET_H

#include "fastnet.h"

typedef struct fw_value {
    int channels;
    int room;         /* channels that a pixel takes in memory: a multiple of FW_LANES, of the input 4 */
    int whole, first; /* the value that this is a slice of, from which channel on; itself and 0: no slice */
    int border;       /* zeros around it that its readers need; see fastnet_kernels.h */
    int made_by;      /* layer; -1: the input; of a whole the first one of its slices */
    int readers;      /* layers */
    bool output;      /* then it is fp32 even in a bf16 network */
    bool single;      /* must have one pixel: someone takes it for a vector */
} fw_value;

typedef struct fw_layer {
    char *name; /* of its ONNX node */
    bool depthwise, relu, sigmoid;
    int kernel, stride, pad;
    int src, dst, add;  /* values; add -1: none */
    int add_up;         /* 1: each pixel of `add` stands for 2 x 2 */
    float *filter;      /* depthwise: as fw_depthwise wants it */
    uint32_t *packed;   /* else: as fw_dense wants it */
    uint32_t *winograd; /* and as fw_winograd does; NULL: not for this */
    float *bias, *bend; /* of all room; bend NULL: none */
} fw_layer;

struct fw_fastnet {
    bool bf16;
    fw_value *value;
    fw_layer *layer;
    int values, layers;
    int *output; /* values */
    int outputs;
};

/* Fills an empty network. FW_EFAIL, FW_EUSAGE: see fw_fastnet_open; what is there then is freed with it. */
int fw_fastnet_read(const char *onnx, fw_fastnet *net, fw_err *e) FW_MUST_USE;

#endif
