/* fastnet_winograd: 3 x 3 convolutions in fp32 with 4/9 of the multiplications.
 *
 * Winograd's minimal filtering F(2 x 2, 3 x 3) (A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural
 * Networks", CVPR 2016): a tile of 2 x 2 results needs 4 x 4 inputs d. With fixed small matrices A, B, G of 0, 1, -1
 * and 1/2 the tile is A' [(G g G') * (B' d B)] A, where * is element by element: 16 products instead of 36. Summed over
 * channels the 16 elements are 16 products of matrices (fw_dense), tiles x channels by channels x results.
 */
#ifndef FW_FASTNET_WINOGRAD_H
#define FW_FASTNET_WINOGRAD_H

#include "fastnet_kernels.h"

/* Stride 1, border 1. */
typedef struct fw_winograd {
    fw_grid src;            /* the pixel above and to the left of the first; readable one line and pixel further than a
                               3 x 3 kernel reads */
    int height, width;      /* of the result */
    size_t channels;        /* of a pixel of src: a multiple of FW_LANES */
    const uint32_t *weight; /* fw_winograd_pack's */
    size_t cols;
    float *scratch; /* fw_winograd_scratch values */
    fw_finish finish;
} fw_winograd;

void fw_winograd_run(const fw_winograd *w);
size_t fw_winograd_scratch(size_t channels, size_t cols);
/* Like fw_dense_pack with kernel 3: G g G' of every filter, 16 matrices of room x cols. */
uint32_t *fw_winograd_pack(const float *w, size_t out, size_t in, size_t room, size_t cols);

#endif
