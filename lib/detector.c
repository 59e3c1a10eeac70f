#include "detector.h"

#include "planar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How a detector's outputs become faces. `check`: are the outputs what the decoder reads? `decode`: append every anchor
 * whose score reaches the threshold, in network pixels (pixel-centred). */
typedef struct decoder {
    const char *name;
    int (*check)(const fw_detector *d, fw_err *e);
    int (*decode)(fw_detector_worker *w, int W, int H, fw_err *e);
} decoder;

struct fw_detector {
    fw_model *model;
    fw_detector_opts opts;
    const decoder *dec;
    char *name;
    fw_planar format;
    int stride, fixed_w, fixed_h, levels;
    int level_stride[FW_LEVELS], anchor_count[FW_LEVELS];
    float anchor[FW_LEVELS][FW_ANCHORS];
};

struct fw_detector_worker {
    fw_detector *d;
    fw_runner *runner;
    fw_planar planar;
    fw_face *found; /* candidates of one look */
    size_t n, cap;
};

/* One look at the photo: resized to sw x sh, put at (ox, oy) of a canvas of W x H. Faces count whose longer side lies
 * within min_side..max_side (decoded pixels). */
typedef struct look {
    int sw, sh, ox, oy, W, H;
    double min_side, max_side;
} look;

/* Pixels in the first look. Of LFW faces pasted into other photos the first look finds 5 % of those of 16 pixels, 63 %
 * of 24, 82 % of 28, 95 % of 32 and all 60 of 40; the enlarged look is for the rest, with a margin. What it finds
 * larger than that the first look has seen at a better size and rejected: without this limit it took parts of faces (35
 * of 60 crops at 640 pixels) and dogs for faces. */
static const double SMALL_FACE = 48;

/* --- RetinaFace --------------------------------------------------------------------------------------------------- */

/* Outputs per level: class (2A channels: A background, then A face), box (4A), landmarks (10A); A anchors per cell. */
enum { PARTS = 3 };
static const int RETINA_CHANNELS[PARTS] = {2, 4, 10};

static int retina_check(const fw_detector *d, fw_err *e)
{
    if (fw_model_outputs(d->model) != PARTS * d->levels)
        return fw_fail(
            e, FW_EUSAGE,
            "open detector '%s': the network has %d outputs, decoder retinaface reads 3 for each of %d levels", d->name,
            fw_model_outputs(d->model), d->levels);
    for (int i = 0; i < PARTS * d->levels; i++) {
        const fw_tensor_info *t = fw_model_output(d->model, i);
        const int want = RETINA_CHANNELS[i % PARTS] * d->anchor_count[i / PARTS];
        if (t->rank != 4 || (t->dim[1] != -1 && t->dim[1] != want))
            return fw_fail(e, FW_EUSAGE,
                           "open detector '%s': output %d ('%s') has not the %d channels that decoder retinaface reads",
                           d->name, i, t->name, want);
    }
    return FW_OK;
}

/* Output `part` of level l, checked to be 1 x channels x h x w. */
static int retina_output(fw_detector_worker *w, int l, int part, int cols, int rows, const float **data, fw_err *e)
{
    fw_tensor_info t;
    const int i = PARTS * l + part;
    *data = fw_runner_output(w->runner, i, &t);
    if (*data && t.rank == 4 && t.dim[1] == RETINA_CHANNELS[part] * w->d->anchor_count[l] && t.dim[2] == rows &&
        t.dim[3] == cols)
        return FW_OK;
    return fw_fail(e, FW_EFAIL, "run detector '%s': output %d has another shape than %d x %d cells of %d pixels",
                   w->d->name, i, cols, rows, w->d->level_stride[l]);
}

static bool face_finite(const fw_face *f)
{
    float sum = f->score;
    for (int i = 0; i < 4; i++) sum += f->box[i];
    for (int i = 0; i < 10; i++) sum += f->landmark[i];
    return isfinite(sum);
}

static void append(fw_detector_worker *w, const fw_face *f)
{
    if (!face_finite(f)) return;
    fw_reserve(&w->found, &w->cap, w->n + 1, sizeof *w->found);
    w->found[w->n++] = *f;
}

/* The anchor of cell 0 covers pixels 0..15 at every level, whatever its stride (the published model was trained so):
 * its centre is 7.5. Sizes are corrected in the logarithm; more than e^4 is no face but a number out of hand. */
static fw_face retina_face(float cx, float cy, float size, float score, const float *box, const float *mark,
                           size_t plane)
{
    const float bx = cx + box[0] * size, by = cy + box[plane] * size;
    const float bw = size * expf(fminf(box[2 * plane], 4)) / 2, bh = size * expf(fminf(box[3 * plane], 4)) / 2;
    fw_face f = {.box = {bx - bw, by - bh, bx + bw, by + bh}, .score = score};
    for (int k = 0; k < 10; k++) f.landmark[k] = (k % 2 ? cy : cx) + mark[(size_t)k * plane] * size;
    return f;
}

static int retina_decode(fw_detector_worker *w, int W, int H, fw_err *e)
{
    const fw_detector *d = w->d;
    for (int l = 0; l < d->levels; l++) {
        const int stride = d->level_stride[l], cols = W / stride, rows = H / stride, A = d->anchor_count[l];
        const size_t plane = (size_t)cols * rows;
        const float *score, *box, *mark;
        FW_TRY(retina_output(w, l, 0, cols, rows, &score, e));
        FW_TRY(retina_output(w, l, 1, cols, rows, &box, e));
        FW_TRY(retina_output(w, l, 2, cols, rows, &mark, e));
        for (int a = 0; a < A; a++)
            for (size_t i = 0; i < plane; i++) {
                const float s = score[(size_t)(A + a) * plane + i];
                if (!(s >= d->opts.threshold)) continue;
                const float cx = 7.5f + (float)((int)(i % (size_t)cols) * stride),
                            cy = 7.5f + (float)((int)(i / (size_t)cols) * stride);
                const fw_face f = retina_face(cx, cy, d->anchor[l][a], s, box + (size_t)(4 * a) * plane + i,
                                              mark + (size_t)(10 * a) * plane + i, plane);
                append(w, &f);
            }
    }
    return FW_OK;
}

static const decoder DECODERS[] = {
    {"retinaface", retina_check, retina_decode},
};

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int find_decoder(fw_detector *d, const fw_modeldesc *desc, fw_err *e)
{
    if (desc->task != FW_TASK_DETECT)
        return fw_fail(e, FW_EUSAGE, "open detector '%s': %s describes no detector (task = detect)", desc->name,
                       desc->path);
    for (size_t i = 0; i < FW_COUNT(DECODERS); i++)
        if (!strcmp(desc->decoder, DECODERS[i].name)) d->dec = &DECODERS[i];
    if (d->dec) return FW_OK;
    return fw_fail(e, FW_EUSAGE, "%s: unknown decoder '%s' for a detector; there is: retinaface", desc->path,
                   desc->decoder);
}

static void set_opts(fw_detector *d, const fw_modeldesc *desc, const fw_detector_opts *opts)
{
    if (opts) d->opts = *opts;
    fw_detector_opts *o = &d->opts;
    if (!o->size) o->size = 640;
    if (!o->second_size) o->second_size = 1280;
    if (o->threshold <= 0) o->threshold = desc->score_threshold;
    if (o->nms_iou <= 0) o->nms_iou = desc->nms_iou;
    if (o->max_faces <= 0) o->max_faces = 256;
}

static void copy_desc(fw_detector *d, const fw_modeldesc *desc)
{
    d->name = fw_strdup(desc->name);
    d->stride = desc->stride;
    d->fixed_w = desc->input_width;
    d->fixed_h = desc->input_height;
    d->levels = desc->levels;
    memcpy(d->level_stride, desc->level_stride, sizeof d->level_stride);
    memcpy(d->anchor_count, desc->anchor_count, sizeof d->anchor_count);
    memcpy(d->anchor, desc->anchor, sizeof d->anchor);
    fw_planar_init(&d->format, desc);
}

int fw_detector_open(fw_runtime *rt, const fw_modeldesc *desc, const fw_detector_opts *opts, fw_detector **out,
                     fw_err *e)
{
    *out = NULL;
    fw_detector *d = FW_NEW(fw_detector);
    int rc = find_decoder(d, desc, e);
    if (!rc) {
        set_opts(d, desc, opts);
        copy_desc(d, desc);
        rc = fw_model_open(rt, desc, d->opts.provider, &d->model, e);
    }
    if (!rc && fw_model_fixed_batch(d->model) > 1)
        rc = fw_fail(e, FW_EUSAGE, "open detector '%s': the network takes %d photos at once, one is needed", d->name,
                     fw_model_fixed_batch(d->model));
    if (!rc) rc = d->dec->check(d, e);
    if (rc)
        fw_detector_close(d);
    else
        *out = d;
    return rc;
}

void fw_detector_close(fw_detector *d)
{
    if (!d) return;
    fw_model_close(d->model);
    fw_free(d->name);
    fw_free(d);
}

int fw_detector_worker_open(fw_detector *d, fw_detector_worker **out, fw_err *e)
{
    fw_detector_worker *w = FW_NEW(fw_detector_worker);
    w->d = d;
    w->planar = d->format;
    int rc = fw_runner_open(d->model, &w->runner, e);
    if (rc) {
        fw_free(w);
        w = NULL;
    }
    *out = w;
    return rc;
}

void fw_detector_worker_close(fw_detector_worker *w)
{
    if (!w) return;
    fw_runner_close(w->runner);
    fw_planar_free(&w->planar);
    fw_free(w->found);
    fw_free(w);
}

/* --- one look ----------------------------------------------------------------------------------------------------- */

static int scaled(int side, double scale)
{
    const int s = (int)lround(side * scale);
    return s < 1 ? 1 : s;
}

static int round_up(int n, int to)
{
    return (n + to - 1) / to * to;
}

/* The photo at `scale` with `border` times its size around it. A network of fixed size gets the photo shrunk to fit. */
static look make_look(const fw_detector *d, const fw_image *img, double scale, double border)
{
    look k = {0};
    if (d->fixed_w) {
        const double room = 1 + 2 * border, fx = d->fixed_w / (img->width * room),
                     fy = d->fixed_h / (img->height * room);
        scale = fmin(scale, fmin(fx, fy));
    }
    k.sw = scaled(img->width, scale);
    k.sh = scaled(img->height, scale);
    k.ox = (int)(k.sw * border);
    k.oy = (int)(k.sh * border);
    k.W = d->fixed_w ? d->fixed_w : round_up(k.sw + 2 * k.ox, d->stride);
    k.H = d->fixed_h ? d->fixed_h : round_up(k.sh + 2 * k.oy, d->stride);
    return k;
}

/* Network pixels to full-size pixels: both pixel-centred, hence the halves. */
static void to_photo(fw_face *f, const look *k, const fw_image *img)
{
    const float size[2] = {(float)img->full_width, (float)img->full_height};
    const float step[2] = {size[0] / (float)k->sw, size[1] / (float)k->sh};
    const float off[2] = {(float)k->ox, (float)k->oy};
    for (int i = 0; i < 4; i++) {
        const int axis = i % 2;
        const float v = (f->box[i] - off[axis] + 0.5f) * step[axis] - 0.5f;
        f->box[i] = fminf(fmaxf(v, 0), size[axis] - 1);
    }
    for (int i = 0; i < 10; i++) f->landmark[i] = (f->landmark[i] - off[i % 2] + 0.5f) * step[i % 2] - 0.5f;
}

/* Best first; then by place, so that equal scores have an order of their own. */
static int by_score(const void *a, const void *b)
{
    const fw_face *p = a, *q = b;
    if (p->score != q->score) return p->score < q->score ? 1 : -1;
    for (int i = 0; i < 4; i++)
        if (p->box[i] != q->box[i]) return p->box[i] < q->box[i] ? -1 : 1;
    return memcmp(p->landmark, q->landmark, sizeof p->landmark);
}

float fw_box_iou(const float a[4], const float b[4])
{
    const float w = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), h = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    if (w <= 0 || h <= 0) return 0;
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h);
}

/* Greedy non-maximum suppression into out[0..max-1]; the number kept. */
static int suppress(const fw_face *found, size_t n, float iou, fw_face *out, int max)
{
    int kept = 0;
    for (size_t i = 0; i < n && kept < max; i++) {
        bool covered = false;
        for (int k = 0; k < kept && !covered; k++) covered = fw_box_iou(found[i].box, out[k].box) > iou;
        if (!covered) out[kept++] = found[i];
    }
    return kept;
}

static bool wanted(const look *k, const fw_face *f, const fw_image *img)
{
    const double w = (double)(f->box[2] - f->box[0]) * img->width / img->full_width;
    const double h = (double)(f->box[3] - f->box[1]) * img->height / img->full_height;
    const double side = w > h ? w : h;
    return w > 0 && h > 0 && side >= k->min_side && side <= k->max_side;
}

static int take_look(fw_detector_worker *w, const fw_image *img, const look *k, fw_face *out, int max, int *n,
                     fw_err *e)
{
    float *input;
    FW_TRY(fw_runner_input(w->runner, 1, k->H, k->W, &input, e));
    fw_planar_place(&w->planar, img->rgb, img->width, img->height, k->sw, k->sh, k->ox, k->oy, 0, input, k->W, k->H);
    FW_TRY(fw_runner_run(w->runner, e));
    w->n = 0;
    FW_TRY(w->d->dec->decode(w, k->W, k->H, e));
    size_t kept = 0;
    for (size_t i = 0; i < w->n; i++) {
        to_photo(&w->found[i], k, img);
        if (wanted(k, &w->found[i], img)) w->found[kept++] = w->found[i];
    }
    w->n = kept;
    if (w->n) qsort(w->found, w->n, sizeof *w->found, by_score);
    *n = suppress(w->found, w->n, w->d->opts.nms_iou, out, max);
    return FW_OK;
}

/* The enlarged look's scale: to second_size, but at most twice the photo; 0 when that is no larger than the first look.
 */
static double enlarged(const fw_detector *d, int side, double first)
{
    const double scale = fmin((double)d->opts.second_size / side, 2);
    return !d->fixed_w && scale > first * 1.2 ? scale : 0;
}

int fw_detect(fw_detector_worker *w, const fw_image *img, fw_face *out, int max, int *n, int *looks, fw_err *e)
{
    const fw_detector *d = w->d;
    const int side = img->width > img->height ? img->width : img->height;
    *n = 0;
    if (looks) *looks = 0;
    if (side < 1) return FW_OK;
    if (max > d->opts.max_faces) max = d->opts.max_faces;
    const double first = fmin(1, (double)d->opts.size / side), larger = enlarged(d, side, first);
    const int shorter = img->width < img->height ? img->width : img->height;
    const struct {
        double scale, border, min_side, max_side;
    } plan[] = {{first, 0, 0, INFINITY}, {first / 2, 0.5, shorter / 2.0, INFINITY}, {larger, 0, 0, SMALL_FACE / first}};
    const int count = d->opts.second_size < 0 ? 1 : larger > 0 ? 3 : 2;
    for (int i = 0; i < count && !*n; i++) {
        look k = make_look(d, img, plan[i].scale, plan[i].border);
        k.min_side = plan[i].min_side;
        k.max_side = plan[i].max_side;
        FW_TRY(take_look(w, img, &k, out, max, n, e));
        if (looks) *looks = i + 1;
    }
    return FW_OK;
}

int fw_target_face(const fw_face *faces, int n, int w, int h)
{
    int best = -1;
    double best_score = -1;
    for (int i = 0; i < n; i++) {
        const float *b = faces[i].box;
        const double dx = (b[0] + b[2]) / 2.0 - (w - 1) / 2.0, dy = (b[1] + b[3]) / 2.0 - (h - 1) / 2.0;
        const double off = fmin(1, sqrt((dx * dx + dy * dy) * 4 / ((double)w * w + (double)h * h)));
        const double score = (double)(b[2] - b[0]) * (b[3] - b[1]) * (1 - off) * (1 - off);
        if (score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}
