/* detector_impl: what lib/detector.c (looks, suppression, opening) and the decoders (detector_NAME.c) share; nobody
 * else includes it. A decoder turns what its networks say of one look into candidates. Most see the look's canvas once
 * and read cells of the outputs (`decode`); a cascade does the whole look itself (`see`). Either appends every
 * candidate that reaches the threshold with fw_detector_append; finiteness, limits of size, suppression and order are
 * detector.c's. */
#ifndef FW_DETECTOR_IMPL_H
#define FW_DETECTOR_IMPL_H

#include "detector.h"
#include "fastnet.h"
#include "planar.h"

/* One look at the photo: resized to sw x sh, put at (ox, oy) of a canvas of W x H. Faces count whose longer side lies
 * within min_side..max_side (decoded pixels). */
typedef struct fw_look {
    int sw, sh, ox, oy, W, H;
    double scale; /* of the decoded photo, before rounding to whole pixels */
    double min_side, max_side;
} fw_look;

typedef struct fw_decoder {
    const char *name;
    int nets;  /* files of the description: file, file2, file3 */
    bool maps; /* reads outputs by fw_detector_map alone: then lib/fastnet.h may run the first net */
    /* Are the outputs what the decoder reads? FW_EUSAGE. */
    int (*check)(const fw_detector *d, fw_err *e);
    /* Candidates of output level l, cols x rows cells, in canvas pixels (pixel-centred), after the first net has run.
     */
    int (*level)(fw_detector_worker *w, int l, int cols, int rows, fw_err *e);
    /* Instead of level: candidates in pixels of the decoded photo (pixel-centred). `img` has only pixels and sizes. */
    int (*see)(fw_detector_worker *w, const fw_image *img, const fw_look *k, fw_err *e);
} fw_decoder;

extern const fw_decoder fw_decoder_retinaface, fw_decoder_scrfd, fw_decoder_yunet, fw_decoder_mtcnn;

struct fw_detector {
    fw_model *model[FW_NETS];
    fw_fastnet *fast; /* runs the first net instead of its model; NULL: it cannot */
    fw_detector_opts opts;
    const fw_decoder *dec;
    char *name;
    fw_planar format;
    int stride, fixed_w, fixed_h, levels;
    int level_stride[FW_LEVELS], anchor_count[FW_LEVELS];
    float anchor[FW_LEVELS][FW_ANCHORS];
    float thresholds[FW_NETS], pyramid; /* cascades */
    int min_face;
};

struct fw_detector_worker {
    fw_detector *d;
    fw_runner *runner[FW_NETS];
    fw_fastnet_worker *fast;
    float *canvas; /* its input */
    size_t canvas_cap;
    fw_planar planar;
    fw_face *found; /* candidates of one look */
    size_t n, cap;
    fw_face *all; /* candidates of all tiles */
    size_t nall, all_cap;
    uint8_t *pixels; /* a tile, or a cascade's window */
    size_t pixels_cap;
    fw_face *part; /* a cascade's candidates between two nets */
    size_t npart, part_cap;
};

/* Output i of the first net as a map: channel c of cell k (row by row) is data[c * channel + k * cell]. */
typedef struct fw_map {
    const float *data;
    int channels, rows, cols;
    size_t channel, cell;
} fw_map;
/* False: it is none, but has other dimensions than 1 x channels x rows x cols. */
bool fw_detector_map(const fw_detector_worker *w, int i, fw_map *out);

void fw_detector_append(fw_detector_worker *w, const fw_face *f);
/* Output i of the first net as `rows` x `width` values, whatever the leading dimensions; NULL when the count is
 * another.
 */
const float *fw_detector_rows(fw_detector_worker *w, int i, size_t rows, int width);
/* Best first; then by place, so that equal scores have an order of their own. */
void fw_faces_sort(fw_face *f, size_t n);
/* Greedy non-maximum suppression of sorted faces, in place: of two that overlap by more than `share` the later goes.
 * `smaller`: overlap is counted as a share of the smaller box instead of the union. The number kept, at most `max`. */
size_t fw_faces_suppress(fw_face *f, size_t n, float share, bool smaller, size_t max);

#endif
