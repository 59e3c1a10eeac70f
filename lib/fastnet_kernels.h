/* fastnet_kernels: the layers of a small convolutional network, for CPUs with AVX-512. The inside of fastnet.c.
 *
 * Activations lie pixel by pixel, channels side by side ("NHWC"), as fp32 or as bf16 (the upper half of an fp32); sums
 * are always fp32. A picture may have a border of `b` zeros: above, below and to the left, where the left border of a
 * line is at the same time the right border of the line before, so a line takes width + b pixels:
 *
 *       0 0 0 0 0          With rows of that length, the inputs of neighbouring results are equally far apart all over
 *       0 x x x x          the picture. So a convolution is one product of matrices, whatever its kernel: a row per
 *       0 x x x x          pixel, and per kernel line one stretch of memory that holds kernel x channels values. The
 *       0 0 0 0 0 0        rows that stand for border pixels are computed too (1 in 33 of a picture 32 wide) and
 *                          dropped.
 *
 * What follows a convolution costs next to nothing: bias, activation, sum and scattering are done while the result is
 * in registers (fw_finish). PReLU has the form act(x) = x + max(c x, 0) with c per channel: slope 1 + c on the side
 * where c x is positive (c = slope - 1 <= 0 is the usual PReLU). Measured, 61 % of MobileFaceNet's time in ONNX Runtime
 * is PReLU.
 */
#ifndef FW_FASTNET_KERNELS_H
#define FW_FASTNET_KERNELS_H

#include "base.h"

#define FW_LANES 16 /* channels of a value take a multiple of this */
#define FW_TILE_ROWS                                                                                                   \
    14 /* 28 accumulators, 2 weights, 1 activation: all but one of 32 registers; and 14 divides 56, 28, 14 */
#define FW_TILE_COLS 32

/* A picture in memory: steps in elements (not bytes) from line to line and from pixel to pixel. */
typedef struct fw_grid {
    void *at; /* NULL: none */
    size_t line, pixel;
} fw_grid;

/* What becomes of the sum at pixel (x, y): + bias, activation, + add(x >> add_up, y >> add_up), and into `to`. */
typedef struct fw_finish {
    const float *bias; /* NULL: none */
    const float *bend; /* the c of PReLU; NULL: none */
    bool relu;
    bool wide; /* bf16: `to` is fp32 all the same */
    int add_up;
    fw_grid add, to;
} fw_finish;

/* A convolution: rows x (segments * words) times a weight matrix. Row r is pixel (r % line, r / line); those with
 * r % line >= width are nobody's. FW_TILE_ROWS rows must be readable, however few there are. */
typedef struct fw_dense {
    bool half; /* bf16 */
    const void *src;
    size_t rows, step;                    /* 32-bit words (1 fp32 or 2 bf16) from row to row */
    size_t segments, words, segment_step; /* a row's inputs: `segments` stretches of `words` words */
    const uint32_t *weight;               /* panels of 32 columns (the last may be 16): each segments * words x 32 */
    size_t cols;                          /* a multiple of FW_LANES */
    size_t line, width;
    fw_finish finish;
} fw_dense;

/* One filter per channel. src: the first pixel that the first result reads. */
typedef struct fw_depthwise {
    bool half;
    fw_grid src;
    int kernel, stride, height, width; /* of the result */
    size_t channels;                   /* a multiple of FW_LANES */
    const float *weight;               /* channels / 16 blocks of kernel * kernel x 16 */
    fw_finish finish;                  /* without `add` */
} fw_depthwise;

bool fw_fastnet_usable(bool bf16); /* may this CPU run them? */
void fw_dense_run(const fw_dense *d);
void fw_depthwise_run(const fw_depthwise *d);
/* x[i] = 1 / (1 + e^-x[i]) for n values, a multiple of FW_LANES; to 3e-7. */
void fw_sigmoid_run(float *x, size_t n);
/* height x width pixels of 3 planes of fp32, `plane` values apart, to 4 channels a pixel, the fourth 0. */
void fw_interleave_run(const float *planes, size_t plane, size_t height, size_t width, bool half, fw_grid to);

/* Weights out x in x kernel x kernel, as ONNX stores them, to what fw_dense wants; a pixel has `room` >= in channels.
 * cols: a multiple of FW_LANES, >= out. */
uint32_t *fw_dense_pack(const float *w, size_t out, size_t in, size_t kernel, size_t room, size_t cols, bool half);
#endif
