/* YuNet (W. Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023) as OpenCV's
 * zoo ships it since 2023 (face_detection_yunet_2023mar.onnx): without anchors; outputs cls, obj, bbox, kps for each
 * level, named cls_8, obj_8 ... by their strides; rows are cells, across then down. The score is sqrt(cls * obj); a box
 * is a centre relative to the cell, in strides, and a size in the logarithm of strides; landmarks are relative to the
 * cell, in strides. */
#include "detector_impl.h"

#include <math.h>
#include <stdio.h>

enum { PARTS = 4 };
static const struct {
    const char *name;
    int width;
} PART[PARTS] = {{"cls", 1}, {"obj", 1}, {"bbox", 4}, {"kps", 10}};

/* By name, or where no output has it by place: all levels of one part, then the next. */
static int output_of(const fw_detector *d, int part, int l)
{
    char name[24];
    snprintf(name, sizeof name, "%s_%d", PART[part].name, d->level_stride[l]);
    const int i = fw_model_find_output(d->model[0], name);
    return i < 0 ? part * d->levels + l : i;
}

static int check(const fw_detector *d, fw_err *e)
{
    const fw_model *m = d->model[0];
    if (fw_model_outputs(m) != PARTS * d->levels)
        return fw_fail(e, FW_EUSAGE,
                       "open detector '%s': the network has %d outputs, decoder yunet reads 4 for each of %d levels",
                       d->name, fw_model_outputs(m), d->levels);
    for (int part = 0; part < PARTS; part++)
        for (int l = 0; l < d->levels; l++) {
            const fw_tensor_info *t = fw_model_output(m, output_of(d, part, l));
            const int64_t last = t->rank ? t->dim[t->rank - 1] : 0;
            if (t->rank < 2 || t->rank > 3 || (last != -1 && last != PART[part].width))
                return fw_fail(e, FW_EUSAGE,
                               "open detector '%s': output '%s' has not rows of %d values, which decoder yunet reads",
                               d->name, t->name, PART[part].width);
        }
    return FW_OK;
}

static float probability(float v)
{
    return fminf(fmaxf(v, 0), 1);
}

static fw_face face_at(float col, float row, float stride, float score, const float *box, const float *mark)
{
    const float cx = (col + box[0]) * stride, cy = (row + box[1]) * stride;
    const float bw = expf(fminf(box[2], 6)) * stride / 2, bh = expf(fminf(box[3], 6)) * stride / 2; /* < 403 strides */
    fw_face f = {.box = {cx - bw, cy - bh, cx + bw, cy + bh}, .score = score};
    for (int k = 0; k < 10; k++) f.landmark[k] = (mark[k] + (k % 2 ? row : col)) * stride;
    return f;
}

static int decode_level(fw_detector_worker *w, int l, int cols, int rows, fw_err *e)
{
    const fw_detector *d = w->d;
    const size_t n = (size_t)cols * (size_t)rows;
    const float *out[PARTS];
    for (int part = 0; part < PARTS; part++) {
        out[part] = fw_detector_rows(w, output_of(d, part, l), n, PART[part].width);
        if (!out[part])
            return fw_fail(e, FW_EFAIL, "run detector '%s': '%s' of stride %d has not %d x %d cells", d->name,
                           PART[part].name, d->level_stride[l], cols, rows);
    }
    for (size_t i = 0; i < n; i++) {
        const float score = sqrtf(probability(out[0][i]) * probability(out[1][i]));
        if (!(score >= d->opts.threshold)) continue;
        const fw_face f = face_at((float)(i % (size_t)cols), (float)(i / (size_t)cols), (float)d->level_stride[l],
                                  score, out[2] + 4 * i, out[3] + 10 * i);
        fw_detector_append(w, &f);
    }
    return FW_OK;
}

const fw_decoder fw_decoder_yunet = {.name = "yunet", .nets = 1, .check = check, .level = decode_level};
