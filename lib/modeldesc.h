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
 *   task              embed | detect | landmarks | quality                                                  (required)
 *   file              the .onnx file, looked up as described at fw_modeldesc_read           (required)
 *   sha256            64 hex digits of that file; checked before it is opened               (required)
 *   source, source_sha256, licence     where the weights come from; for people and `facewash models`
 *   input_width, input_height          pixels; 0 = any multiple of `stride` (detectors)
 *   stride            inputs must be multiples of it (default 32)
 *   layout            nchw | nhwc                  (default nchw)
 *   channels          rgb | bgr                    (default rgb)
 *   mean, scale       input = (pixel - mean) * scale, pixel 0..255; mean: one value or three in the order of `channels`
 *   std               what each channel is divided by after that, one value or three (default 1)
 *   decoder           embed: embedding;  detect: retinaface | scrfd | yunet | mtcnn (lib/detector.h);
 *                     landmarks: points;  quality: score
 *   get               how to get the file, when `make models` does not; such a model may be missing
 *   output            name of the output to read, for a network with several (default: the first)
 *   template, dim     embed: arcface112 | sphereface | points | box (lib/frame.h), length of the embedding
 *   points            template = points: where the five landmarks go, x,y five times, in input pixels
 *   box_margin        template = box, landmarks: what each side of the face's box grows by; from 1: photo pixels,
 *                     below: share
 *   box_size          template = box: the square that the box is scaled to; the input is its centre (default: the
 *                     input's size)
 *   normalised        yes | no: the output has unit length already (default no; doing it again is harmless)
 *   flip              embed: none | sum | concat: how the embedding of the mirrored crop joins. none (default):
 *                     only where the setting embed.flip asks, as a sum. concat: `dim` is the length of one half
 *   norm_range        embed: low,high: the output's length says how good the photo is (MagFace, AdaFace);
 *                     low and below is 0, high and above is 1
 *   range             quality: low,high of the network's answer, mapped to 0..1; low above high turns it round.
 *                     landmarks: low,high of a coordinate over the input (default 0,1)
 *   five              landmarks: which of the network's points, counted from 0, are the eyes, the nose and the
 *                     mouth's corners, from the left: 36-41;42-47;30;48;54 (a group is its mean)
 *   strides           detect: stride of each output level, in the order of the outputs, e.g. 32,16,8
 *   anchors           retinaface: per level the anchor sizes in units of anchor_base, e.g. 32,16;8,4;2,1
 *   anchor_base       retinaface: pixels per unit (default 16)
 *   score_threshold   detect: probability from which an anchor is a face (default 0.5)
 *   nms_iou           detect: of two boxes that overlap more than this the weaker goes (default 0.4)
 *   file2, sha256_2, file3, sha256_3   mtcnn: the networks behind the first
 *   thresholds        mtcnn: probabilities to pass the first and the second network (the last: score_threshold)
 *   pyramid           mtcnn: from one level of the pyramid to the next (default 0.709)
 *   min_face          mtcnn: smallest face, in pixels of a look (default 20)
 */
#ifndef FW_MODELDESC_H
#define FW_MODELDESC_H

#include "sha256.h"

enum fw_model_task { FW_TASK_NONE, FW_TASK_EMBED, FW_TASK_DETECT, FW_TASK_LANDMARKS, FW_TASK_QUALITY };
enum fw_model_flip { FW_FLIP_NONE, FW_FLIP_SUM, FW_FLIP_CONCAT };

#define FW_LEVELS  5 /* output levels of a detector, at most */
#define FW_ANCHORS 4 /* anchors per cell of a level, at most */
#define FW_NETS    3 /* network files of one model, at most */

typedef struct fw_modelfile {
    char *file;
    char sha256[FW_SHA256_HEX];
} fw_modelfile;

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
    float mean[3], scale, std[3];  /* std 0: 1 */
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
    fw_modelfile part[FW_NETS - 1]; /* cascades: the networks behind the first; resolved */
    float thresholds[FW_NETS], pyramid;
    int min_face;
    bool any_size; /* do not compare the network's input with input_width and input_height */
    char *output;  /* NULL: the first */
    char *get;     /* "" when `make models` gets it */
    enum fw_model_flip flip;
    float norm_range[2], range[2]; /* low, high; equal when not stated */
    char *five;                    /* as written; "" when not stated */
} fw_modeldesc;

/* Read a description. `file` is looked up in this order: as it is when absolute; next to the INI file; in `models_dir`
 * (may be NULL). FW_EUSAGE for anything wrong in the INI, FW_EFAIL when the INI or the model file is not there.
 * On success the caller owns the result: fw_modeldesc_free. On failure *out is NULL. */
int fw_modeldesc_read(const char *ini, const char *models_dir, fw_modeldesc **out, fw_err *e) FW_MUST_USE;

/* Is `file` (and are those of `part`) the file that was described? Reads it all (a second per GB). FW_EFAIL when the
 * digest differs. fw_model_open does this itself for the file that it opens. */
int fw_modeldesc_verify(const fw_modeldesc *d, fw_err *e) FW_MUST_USE;

void fw_modeldesc_free(fw_modeldesc *d);

#endif
