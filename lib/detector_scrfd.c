/* SCRFD (J. Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022) as InsightFace
 * exports it (det_*.onnx): outputs are scores of all levels, then boxes of all levels, then, where the model has them,
 * landmarks of all levels; each is a list of rows, cell by cell (across, then down), anchor by anchor. Scores are
 * probabilities; a box is four distances from the cell's point (x * stride, y * stride) to its edges, a landmark a
 * distance from that point, all in strides. How many anchors a cell has follows from the number of rows. */
#include "detector_impl.h"

static bool has_marks(const fw_detector *d)
{
    return fw_model_outputs(d->model[0]) == 3 * d->levels;
}

static int check(const fw_detector *d, fw_err *e)
{
    static const int width[] = {1, 4, 10};
    const fw_model *m = d->model[0];
    const int n = fw_model_outputs(m);
    if (n != 2 * d->levels && n != 3 * d->levels)
        return fw_fail(e, FW_EUSAGE,
                       "open detector '%s': the network has %d outputs, decoder scrfd reads 2 (or, with landmarks, 3) "
                       "for each of %d levels",
                       d->name, n, d->levels);
    for (int i = 0; i < n; i++) {
        const fw_tensor_info *t = fw_model_output(m, i);
        const int want = width[i / d->levels];
        const int64_t last = t->rank ? t->dim[t->rank - 1] : 0;
        if (t->rank < 2 || t->rank > 3 || (last != -1 && last != want))
            return fw_fail(e, FW_EUSAGE,
                           "open detector '%s': output %d ('%s') has not rows of %d values, which decoder scrfd reads",
                           d->name, i, t->name, want);
    }
    return FW_OK;
}

/* Values of output i in the last run. */
static size_t values(const fw_detector_worker *w, int i)
{
    fw_tensor_info t;
    size_t n = 1;
    if (!fw_runner_output(w->runner[0], i, &t)) return 0;
    for (int k = 0; k < t.rank; k++) n *= t.dim[k] > 0 ? (size_t)t.dim[k] : 0;
    return n;
}

static fw_face face_at(float cx, float cy, float stride, float score, const float *box, const float *mark)
{
    fw_face f = {.box = {cx - box[0] * stride, cy - box[1] * stride, cx + box[2] * stride, cy + box[3] * stride},
                 .score = score,
                 .points = mark ? FW_POINTS_SEEN : FW_POINTS_NONE};
    for (int k = 0; mark && k < 10; k++) f.landmark[k] = (k % 2 ? cy : cx) + mark[k] * stride;
    return f;
}

static int decode_level(fw_detector_worker *w, int l, int cols, int rows, fw_err *e)
{
    const fw_detector *d = w->d;
    const size_t cells = (size_t)cols * (size_t)rows, A = cells ? values(w, l) / cells : 0, n = cells * A;
    const float *score = fw_detector_rows(w, l, n, 1), *box = fw_detector_rows(w, d->levels + l, n, 4), *mark = NULL;
    if (has_marks(d)) mark = fw_detector_rows(w, 2 * d->levels + l, n, 10);
    if (A < 1 || A > FW_ANCHORS || !score || !box || (has_marks(d) && !mark))
        return fw_fail(e, FW_EFAIL, "run detector '%s': level %d has other outputs than for %d x %d cells of %d pixels",
                       d->name, l, cols, rows, d->level_stride[l]);
    const int stride = d->level_stride[l];
    for (size_t i = 0; i < n; i++) {
        if (!(score[i] >= d->opts.threshold)) continue;
        const int cell = (int)(i / A);
        const fw_face f = face_at((float)(cell % cols * stride), (float)(cell / cols * stride), (float)stride, score[i],
                                  box + 4 * i, mark ? mark + 10 * i : NULL);
        fw_detector_append(w, &f);
    }
    return FW_OK;
}

const fw_decoder fw_decoder_scrfd = {.name = "scrfd", .nets = 1, .check = check, .level = decode_level};
