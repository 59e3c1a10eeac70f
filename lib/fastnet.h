/* fastnet: run a small convolutional network faster than a general library can, in fp32 or bf16.
 *
 * The networks here, MobileFaceNet (Chen et al., "MobileFaceNets", CCBR 2018) and RetinaFace on a MobileNet (Deng et
 * al., CVPR 2020), are a few kinds of layer: convolutions, depthwise ones, ReLU or PReLU, sums with what an earlier
 * layer gave (enlarged twofold, perhaps), values laid side by side, a sigmoid at the end. A library runs each as a pass
 * over memory; here all that follows a convolution is done while its result is in registers
 * (lib/fastnet_kernels.h), and "laid side by side" means that layers write into slices of one value. The network is
 * read from the same ONNX file that ONNX Runtime runs (lib/fastnet_read.c); the form that scripts/prepare_models.py
 * gives PReLU, x + relu(c x), is recognised and turned back.
 *
 * fp32 convolutions of 3 x 3 go by Winograd's algorithm (lib/fastnet_winograd.h), whose roundings are 4e-6 of the
 * largest value. bf16 keeps weights and activations in 16 bits (8 of precision) and sums in fp32: half the time, and
 * embeddings whose cosine to the exact ones is above .9995.
 *
 * Files: fastnet_read.c makes layers of the graph (fastnet_net.h), fastnet_prelu.c knows that form of PReLU,
 * fastnet_layout.c lays a network out for a size of input, fastnet.c runs it, fastnet_kernels.c and fastnet_winograd.c
 * compute.
 *
 *   fw_fastnet          the network; of no particular size; read-only, shared by all threads
 *   fw_fastnet_worker   activations of one thread, laid out for the size of its last input. Another size costs a new
 *                       layout (tens of microseconds) and keeps the memory, which grows to the largest need
 *
 * The bytes of a result depend on the input alone.
 */
#ifndef FW_FASTNET_H
#define FW_FASTNET_H

#include "base.h"

typedef struct fw_fastnet fw_fastnet;
typedef struct fw_fastnet_worker fw_fastnet_worker;

/* Can this CPU do it: AVX-512, for bf16 with AVX512_BF16. */
bool fw_fastnet_supported(bool bf16);

/* The network's input is 3 planes. FW_EFAIL: the file cannot be read; FW_EUSAGE: the CPU cannot, or the network has
 * something that cannot be done here (the message names it). On failure *out is NULL. */
int fw_fastnet_open(const char *onnx, bool bf16, fw_fastnet **out, fw_err *e) FW_MUST_USE;
void fw_fastnet_close(fw_fastnet *n); /* after its workers; NULL is fine */

/* Can it run inputs of this size? FW_EUSAGE: one of the layers cannot. */
int fw_fastnet_fits(const fw_fastnet *n, int height, int width, fw_err *e) FW_MUST_USE;
int fw_fastnet_outputs(const fw_fastnet *n); /* in the file's order */
int fw_fastnet_channels(const fw_fastnet *n, int output);

fw_fastnet_worker *fw_fastnet_worker_new(const fw_fastnet *n);
void fw_fastnet_worker_free(fw_fastnet_worker *w);

/* input: 3 x height x width. FW_EUSAGE as fw_fastnet_fits. */
int fw_fastnet_run(fw_fastnet_worker *w, const float *input, int height, int width, fw_err *e) FW_MUST_USE;

/* Output i of the last run: channel c of pixel (x, y) is data[(y * width + x) * pixel + c]. The worker's, valid until
 * its next run. */
typedef struct fw_fastnet_result {
    const float *data;
    int channels, height, width;
    size_t pixel;
} fw_fastnet_result;
fw_fastnet_result fw_fastnet_output(const fw_fastnet_worker *w, int i);

#endif
