/* fastnet_winograd: 3 x 3 convolutions in fp32 with a quarter of the multiplications.
 *
 * Winograd's minimal filtering F(4 x 4, 3 x 3) (A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural
 * Networks", CVPR 2016): a tile of 4 x 4 results needs 6 x 6 inputs d. With fixed small matrices A, B, G the tile is
 * A' [(G g G') * (B' d B)] A, where * is element by element: 36 products instead of 144. Summed over channels the 36
 * elements are 36 products of matrices (fw_dense), tiles x channels by channels x results.
 *
 * Roundings grow by the matrices' factors, to 4e-6 of the greatest result where a plain sum has 1e-6. Measured by
 * detections the difference is nothing: landmarks of 1000 LFW photos are the same to 7e-5 pixels, without it to 6e-5.
 */
#ifndef FW_FASTNET_WINOGRAD_H
#define FW_FASTNET_WINOGRAD_H

#include "fastnet_kernels.h"

/* Stride 1, border 1. */
typedef struct fw_winograd {
    fw_grid src;            /* the pixel above and to the left of the first; 3 lines and pixels more than a 3 x 3
                               kernel reads must be readable, and always the same */
    int height, width;      /* of the result */
    size_t channels;        /* of a pixel of src: a multiple of FW_LANES */
    const uint32_t *weight; /* fw_winograd_pack's */
    size_t cols;
    float *scratch; /* fw_winograd_scratch values */
    fw_finish finish;
} fw_winograd;

void fw_winograd_run(const fw_winograd *w);
size_t fw_winograd_scratch(size_t channels);
/* Like fw_dense_pack with kernel 3: G g G' of every filter; per panel of 32 columns 36 matrices of room x cols. */
uint32_t *fw_winograd_pack(const float *w, size_t out, size_t in, size_t room, size_t cols);

#endif
