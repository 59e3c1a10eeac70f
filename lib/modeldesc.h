/* modeldesc: what facewash must know of a network besides its weights: one INI file per model
 * (configs/models/NAME.ini).
 *
 * A network file says how its layers connect, but not which colour order it was trained with, which five points its
 * crops were aligned to or how its outputs are to be read. A wrong guess costs accuracy without any error, so the
 * description is strict: unknown keys, values out of range and missing ones are errors that name file, line, cause and
 * remedy.
 *
 * Section [model] (the only one); lists are separated by commas, lists of lists by semicolons:
 *   name              identifier, default: the INI file's name without .ini
 *   task              embed | detect                                                        (required)
 *   file              the .onnx file, looked up as described at fw_modeldesc_read           (required)
 *   sha256            64 hex digits of that file; checked before it is opened               (required)
 *   source, source_sha256, licence     where the weights come from; for people and `facewash models`
 *   input_width, input_height          pixels; 0 = any multiple of `stride` (detectors)
 *   stride            inputs must be multiples of it (default 32)
 *   layout            nchw | nhwc                  (default nchw)
 *   channels          rgb | bgr                    (default rgb)
 *   mean, scale       input = (pixel - mean) * scale, pixel 0..255; mean: one value or three in the order of `channels`
 *   decoder           embed: embedding;  detect: retinaface (lib/detector.c holds the table)
 *   template, dim     embed: arcface112 | sphereface | points | box (lib/frame.h), length of the embedding
 *   points            template = points: where the five landmarks go, x,y five times, in input pixels
 *   box_margin        template = box: what each side of the face's box grows by; from 1: photo pixels, below: share
 *   box_size          template = box: the square that the box is scaled to; the input is its centre (default: the
 * input) normalised        yes | no: the network's output has unit length already (default no; doing it again is
 * harmless) strides           detect: stride of each output level, in the order of the outputs, e.g. 32,16,8 anchors
 * detect: per level the anchor sizes in units of anchor_base, e.g. 32,16;8,4;2,1 anchor_base       detect: pixels per
 * unit (default 16) score_threshold   detect: probability from which an anchor is a face (default 0.5) nms_iou detect:
 * of two boxes that overlap more than this the weaker goes (default 0.4)
 */
#ifndef FW_MODELDESC_H
#define FW_MODELDESC_H

#include "sha256.h"

enum fw_model_task { FW_TASK_NONE, FW_TASK_EMBED, FW_TASK_DETECT };

#define FW_LEVELS  5 /* output levels of a detector, at most */
#define FW_ANCHORS 4 /* anchors per cell of a level, at most */

typedef struct fw_modeldesc {
    char *path; /* the INI file */
    char *name;
    enum fw_model_task task;
    char *file; /* resolved; exists */
    char sha256[FW_SHA256_HEX];
    char *source, *licence; /* "" when not stated */
    char source_sha256[FW_SHA256_HEX];
    int input_width, input_height; /* 0: any multiple of stride */
    int stride;
    bool nhwc, bgr;
    float mean[3], scale;
    char *decoder, *crop_template; /* "" when not stated */
    float point[10];               /* template = points */
    float box_margin;              /* template = box */
    int box_size;                  /* 0: the input's */
    int dim;
    bool normalised;
    int levels;                          /* detectors: number of output levels */
    int level_stride[FW_LEVELS];         /* pixels per cell */
    int anchor_count[FW_LEVELS];         /* anchors per cell */
    float anchor[FW_LEVELS][FW_ANCHORS]; /* side of each (square) anchor in pixels */
    float score_threshold, nms_iou;
} fw_modeldesc;

/* Read a description. `file` is looked up in this order: as it is when absolute; next to the INI file; in `models_dir`
 * (may be NULL). FW_EUSAGE for anything wrong in the INI, FW_EFAIL when the INI or the model file is not there.
 * On success the caller owns the result: fw_modeldesc_free. On failure *out is NULL. */
int fw_modeldesc_read(const char *ini, const char *models_dir, fw_modeldesc **out, fw_err *e) FW_MUST_USE;

/* Is `file` the file that was described? Reads it all (a second per GB). FW_EFAIL when the digest differs.
 * fw_model_open does this itself. */
int fw_modeldesc_verify(const fw_modeldesc *d, fw_err *e) FW_MUST_USE;

void fw_modeldesc_free(fw_modeldesc *d);

#endif
