/* fastnet_kernels: the two kinds of layer that a MobileFaceNet is made of, for CPUs with AVX-512. The inside of
 * fastnet.c.
 *
 * Activations lie pixel by pixel, channels side by side ("NHWC"), as fp32 or as bf16 (the upper half of an fp32).
 * Sums are always fp32. What follows a convolution costs nothing extra: bias, PReLU and the residual sum are done while
 * the result is in registers. PReLU has the form act(x) = x + max(c x, 0) with c per channel: slope 1 + c on the side
 * where c x is positive (c = slope - 1 <= 0 is the usual PReLU). Measured, 61 % of this network's time in ONNX Runtime
 * is PReLU.
 */
#ifndef FW_FASTNET_KERNELS_H
#define FW_FASTNET_KERNELS_H

#include "base.h"

#define FW_TILE_ROWS                                                                                                   \
    14 /* 28 accumulators, 2 weights, 1 activation: all but one of 32 registers; and 14 divides 56, 28, 14 */
#define FW_TILE_COLS 32

/* dst[row] = act(bias + src[row] . weight) (+ add[row]): a 1 x 1 convolution, or any other on rows laid out for it.
 */
typedef struct fw_dense {
    const void *src; /* rows x words 32-bit words (1 fp32 or 2 bf16); FW_TILE_ROWS rows must be readable */
    size_t rows, words;
    const uint32_t *weight;   /* cols / 32 panels x words x 32 */
    size_t cols;              /* a multiple of FW_TILE_COLS */
    const float *bias, *bend; /* bend: the c of PReLU; NULL: none */
    const void *add;          /* rows x cols, of the type of dst; NULL: none */
    void *dst;
    const int32_t *to; /* element of dst where each row goes; at least FW_TILE_ROWS entries */
    bool wide;         /* bf16: dst is fp32 all the same */
} fw_dense;

/* One filter per channel: k x k, `channels` a multiple of 16. dst: height x width x channels. */
typedef struct fw_depthwise {
    const void *src; /* with its border: rows of `pitch` pixels */
    size_t pitch;
    int kernel, stride, height, width; /* of dst */
    size_t channels;
    const float *weight;      /* kernel * kernel x channels */
    const float *bias, *bend; /* bend: the c of PReLU; NULL: none */
    void *dst;
} fw_depthwise;

bool fw_fastnet_usable(bool bf16); /* may this CPU run them? */
void fw_dense_f32(const fw_dense *d);
void fw_dense_bf16(const fw_dense *d);
void fw_depthwise_f32(const fw_depthwise *d);
void fw_depthwise_bf16(const fw_depthwise *d);

#endif
