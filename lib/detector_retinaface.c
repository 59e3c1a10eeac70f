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

/* Output `part` of level l, checked to be channels x rows x cols. */
static int output(fw_detector_worker *w, int l, int part, int cols, int rows, fw_map *map, fw_err *e)
{
    const int i = PARTS * l + part;
    if (fw_detector_map(w, i, map) && map->channels == CHANNELS[part] * w->d->anchor_count[l] && map->rows == rows &&
        map->cols == cols)
        return FW_OK;
    return fw_fail(e, FW_EFAIL, "run detector '%s': output %d has another shape than %d x %d cells of %d pixels",
                   w->d->name, i, cols, rows, w->d->level_stride[l]);
}

/* Channel c of cell k. */
static float value(const fw_map *m, int c, size_t k)
{
    return m->data[(size_t)c * m->channel + k * m->cell];
}

/* The anchor of cell 0 covers pixels 0..15 at every level, whatever its stride (the published model was trained so):
 * its centre is 7.5. Sizes are corrected in the logarithm; more than e^4 is no face but a number out of hand. */
static fw_face face_at(float cx, float cy, float size, float score, const float box[4], const float mark[10])
{
    const float bx = cx + box[0] * size, by = cy + box[1] * size;
    const float bw = size * expf(fminf(box[2], 4)) / 2, bh = size * expf(fminf(box[3], 4)) / 2;
    fw_face f = {.box = {bx - bw, by - bh, bx + bw, by + bh}, .score = score};
    for (int k = 0; k < 10; k++) f.landmark[k] = (k % 2 ? cy : cx) + mark[k] * size;
    return f;
}

static int decode_level(fw_detector_worker *w, int l, int cols, int rows, fw_err *e)
{
    const fw_detector *d = w->d;
    const int stride = d->level_stride[l], A = d->anchor_count[l];
    fw_map score, box, mark;
    FW_TRY(output(w, l, 0, cols, rows, &score, e));
    FW_TRY(output(w, l, 1, cols, rows, &box, e));
    FW_TRY(output(w, l, 2, cols, rows, &mark, e));
    for (int a = 0; a < A; a++)
        for (size_t i = 0; i < (size_t)cols * (size_t)rows; i++) {
            const float s = value(&score, A + a, i);
            if (!(s >= d->opts.threshold)) continue;
            float b[4], m[10];
            for (int k = 0; k < 4; k++) b[k] = value(&box, 4 * a + k, i);
            for (int k = 0; k < 10; k++) m[k] = value(&mark, 10 * a + k, i);
            const int x = (int)(i % (size_t)cols) * stride, y = (int)(i / (size_t)cols) * stride;
            const fw_face f = face_at(7.5f + (float)x, 7.5f + (float)y, d->anchor[l][a], s, b, m);
            fw_detector_append(w, &f);
        }
    return FW_OK;
}

const fw_decoder fw_decoder_retinaface = {
    .name = "retinaface", .nets = 1, .maps = true, .check = check, .level = decode_level};
