/* RetinaFace as MXNet users exported it: per level class, box and landmark maps; anchors of stated sizes. */
#include "detector_impl.h"

#include <math.h>

/* Outputs per level: class (2A channels: A background, then A face), box (4A), landmarks (10A); A anchors per cell. */
enum { PARTS = 3 };
static const int CHANNELS[PARTS] = {2, 4, 10};

static int check(const fw_detector *d, fw_err *e)
{
    const fw_model *m = d->model[0];
    if (fw_model_outputs(m) != PARTS * d->levels)
        return fw_fail(
            e, FW_EUSAGE,
            "open detector '%s': the network has %d outputs, decoder retinaface reads 3 for each of %d levels", d->name,
            fw_model_outputs(m), d->levels);
    for (int i = 0; i < PARTS * d->levels; i++) {
        const fw_tensor_info *t = fw_model_output(m, i);
        const int want = CHANNELS[i % PARTS] * d->anchor_count[i / PARTS];
        if (t->rank != 4 || (t->dim[1] != -1 && t->dim[1] != want))
            return fw_fail(e, FW_EUSAGE,
                           "open detector '%s': output %d ('%s') has not the %d channels that decoder retinaface reads",
                           d->name, i, t->name, want);
    }
    return FW_OK;
}

/* Output `part` of level l, checked to be 1 x channels x h x w. */
static int output(fw_detector_worker *w, int l, int part, int cols, int rows, const float **data, fw_err *e)
{
    fw_tensor_info t;
    const int i = PARTS * l + part;
    *data = fw_runner_output(w->runner[0], i, &t);
    if (*data && t.rank == 4 && t.dim[1] == CHANNELS[part] * w->d->anchor_count[l] && t.dim[2] == rows &&
        t.dim[3] == cols)
        return FW_OK;
    return fw_fail(e, FW_EFAIL, "run detector '%s': output %d has another shape than %d x %d cells of %d pixels",
                   w->d->name, i, cols, rows, w->d->level_stride[l]);
}

/* The anchor of cell 0 covers pixels 0..15 at every level, whatever its stride (the published model was trained so):
 * its centre is 7.5. Sizes are corrected in the logarithm; more than e^4 is no face but a number out of hand. */
static fw_face face_at(float cx, float cy, float size, float score, const float *box, const float *mark, size_t plane)
{
    const float bx = cx + box[0] * size, by = cy + box[plane] * size;
    const float bw = size * expf(fminf(box[2 * plane], 4)) / 2, bh = size * expf(fminf(box[3 * plane], 4)) / 2;
    fw_face f = {.box = {bx - bw, by - bh, bx + bw, by + bh}, .score = score};
    for (int k = 0; k < 10; k++) f.landmark[k] = (k % 2 ? cy : cx) + mark[(size_t)k * plane] * size;
    return f;
}

static int decode_level(fw_detector_worker *w, int l, int cols, int rows, fw_err *e)
{
    const fw_detector *d = w->d;
    const int stride = d->level_stride[l], A = d->anchor_count[l];
    const size_t plane = (size_t)cols * rows;
    const float *score, *box, *mark;
    FW_TRY(output(w, l, 0, cols, rows, &score, e));
    FW_TRY(output(w, l, 1, cols, rows, &box, e));
    FW_TRY(output(w, l, 2, cols, rows, &mark, e));
    for (int a = 0; a < A; a++)
        for (size_t i = 0; i < plane; i++) {
            const float s = score[(size_t)(A + a) * plane + i];
            if (!(s >= d->opts.threshold)) continue;
            const float cx = 7.5f + (float)((int)(i % (size_t)cols) * stride),
                        cy = 7.5f + (float)((int)(i / (size_t)cols) * stride);
            const fw_face f = face_at(cx, cy, d->anchor[l][a], s, box + (size_t)(4 * a) * plane + i,
                                      mark + (size_t)(10 * a) * plane + i, plane);
            fw_detector_append(w, &f);
        }
    return FW_OK;
}

const fw_decoder fw_decoder_retinaface = {"retinaface", 1, check, decode_level, NULL};
