/* fastnet: run a small embedding network faster than a general library can, in fp32 or bf16.
 *
 * MobileFaceNet (Chen et al., "MobileFaceNets", CCBR 2018) is four kinds of layer: 1 x 1 convolutions, depthwise ones,
 * PReLU and residual sums. A library runs them as many passes over memory; here bias, PReLU and sum are part of the
 * convolution before (lib/fastnet_kernels.h). The network is read from the same ONNX file that ONNX Runtime runs; the
 * form that scripts/prepare_models.py gives PReLU, x + relu(c x), is recognised and turned back.
 *
 * bf16 keeps weights and activations in 16 bits (8 of precision) and sums in fp32: half the time, and embeddings whose
 * cosine to the exact ones is above .9995.
 *
 *   fw_fastnet          the network; read-only, shared by all threads
 *   fw_fastnet_worker   activations of one thread
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

/* The input is 3 planes of height x width. FW_EFAIL: the file cannot be read; FW_EUSAGE: the CPU cannot, or the network
 * has something that is not one of the four kinds of layer (the message names it). On failure *out is NULL. */
int fw_fastnet_open(const char *onnx, int height, int width, bool bf16, fw_fastnet **out, fw_err *e) FW_MUST_USE;
void fw_fastnet_close(fw_fastnet *n); /* after its workers */
int fw_fastnet_dim(const fw_fastnet *n);

fw_fastnet_worker *fw_fastnet_worker_new(const fw_fastnet *n);
void fw_fastnet_worker_free(fw_fastnet_worker *w);

/* input: 3 x height x width; the result, dim values, is the worker's and valid until the next run. */
const float *fw_fastnet_run(fw_fastnet_worker *w, const float *input);

#endif
