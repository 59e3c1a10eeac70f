/* MTCNN: K. Zhang, Z. Zhang, Z. Li, Y. Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
 * Networks", IEEE Signal Processing Letters 23(10), 2016. A pyramid of the photo, each level `pyramid` times the one
 * before; P-Net proposes windows of 12 x 12 pixels at every second pixel of each level, R-Net looks at what they show
 * at 24 x 24, O-Net at 48 x 48 and adds the landmarks. Every net corrects the windows that it lets pass; between nets
 * they are made squares.
 *
 * The arithmetic is that of the authors' published code: boxes are whole numbers, count from 1 and include their last
 * pixel; what lies outside of the photo is black; pictures shrink by area. Networks: scripts/prepare_mtcnn.py. */
#include "detector_impl.h"

#include <math.h>
#include <string.h>

enum { CELL = 12, STEP = 2, WINDOWS = 16 };
/* Suppression by the authors' code: within a level, between levels and after R-Net, after O-Net (of the smaller box).
 */
static const float IOU_LEVEL = 0.5f, IOU = 0.7f, IOU_LAST = 0.7f;
/* Proposals kept per level. Group photos of LFW and dlib leave 20 to 400; the limit is for pictures made to hurt. */
enum { MOST = 4096 };

static int check_net(const fw_detector *d, int net, const char *const *name, int outputs, fw_err *e)
{
    const fw_model *m = d->model[net];
    bool good = fw_model_outputs(m) == outputs;
    for (int i = 0; i < outputs; i++) good = good && !strcmp(fw_model_output(m, i)->name, name[i]);
    if (good) return FW_OK;
    return fw_fail(e, FW_EUSAGE, "open detector '%s': network %d has other outputs than decoder mtcnn reads (%s, %s%s)",
                   d->name, net + 1, name[0], name[1], outputs > 2 ? ", points" : "");
}

static int check(const fw_detector *d, fw_err *e)
{
    static const char *const name[] = {"face", "box", "points"};
    for (int net = 0; net < 3; net++) FW_TRY(check_net(d, net, name, net == 2 ? 3 : 2, e));
    return FW_OK;
}

/* Output i of a net's last run, checked to hold `count` values. */
static int values(fw_detector_worker *w, int net, int i, size_t count, const float **out, fw_err *e)
{
    fw_tensor_info t;
    size_t n = 1;
    *out = fw_runner_output(w->runner[net], i, &t);
    for (int k = 0; *out && k < t.rank; k++) n *= t.dim[k] > 0 ? (size_t)t.dim[k] : 0;
    if (*out && n == count) return FW_OK;
    return fw_fail(e, FW_EFAIL, "run detector '%s': output %d of network %d has not %zu values", w->d->name, i, net + 1,
                   count);
}

static void keep(fw_detector_worker *w, const fw_face *f)
{
    fw_reserve(&w->part, &w->part_cap, w->npart + 1, sizeof *w->part);
    w->part[w->npart++] = *f;
}

/* Published boxes hold their last pixel: lengthened by one they have the area that suppression compares. */
static void suppress(fw_detector_worker *w, size_t from, float iou, bool smaller)
{
    fw_face *f = w->part + from;
    const size_t n = w->npart - from;
    for (size_t i = 0; i < n; i++) f[i].box[2]++, f[i].box[3]++;
    fw_faces_sort(f, n);
    const size_t left = fw_faces_suppress(f, n, iou, smaller, MOST);
    for (size_t i = 0; i < left; i++) f[i].box[2]--, f[i].box[3]--;
    w->npart = from + left;
}

/* The sides move by `by` times the box's size; `one`: counted with its last pixel. */
static void correct(float box[4], const float by[4], float one)
{
    const float size[2] = {box[2] - box[0] + one, box[3] - box[1] + one};
    for (int i = 0; i < 4; i++) box[i] += by[i] * size[i % 2];
}

static void make_square(float box[4])
{
    const float w = box[2] - box[0], h = box[3] - box[1], side = fmaxf(w, h);
    box[0] += (w - side) / 2;
    box[1] += (h - side) / 2;
    box[2] = box[0] + side;
    box[3] = box[1] + side;
    for (int i = 0; i < 4; i++) box[i] = truncf(box[i]);
}

/* One level of the pyramid: `scale` to the decoded photo, with `border` (share of the side) around it. */
static int propose_level(fw_detector_worker *w, const fw_image *img, double scale, double border, fw_err *e)
{
    const fw_detector *d = w->d;
    const int sw = (int)ceil(img->width * scale), sh = (int)ceil(img->height * scale);
    const int ox = (int)(sw * border), oy = (int)(sh * border), W = sw + 2 * ox, H = sh + 2 * oy;
    const int cols = (W - 1) / 2 - 4, rows = (H - 1) / 2 - 4; /* 3x3, pool 2 (rounding up), 3x3, 3x3 */
    float *input;
    const float *face, *by;
    if (cols < 1 || rows < 1) return FW_OK;
    const size_t cells = (size_t)cols * (size_t)rows, from = w->npart;
    FW_TRY(fw_runner_input(w->runner[0], 1, H, W, &input, e));
    fw_reserve(&w->pixels, &w->pixels_cap, (size_t)sw * (size_t)sh * 3, 1);
    fw_image_resize(img->rgb, img->width, img->height, w->pixels, sw, sh);
    fw_planar_place(&w->planar, w->pixels, sw, sh, sw, sh, ox, oy, 0, input, W, H);
    FW_TRY(fw_runner_run(w->runner[0], e));
    FW_TRY(values(w, 0, 0, cells, &face, e));
    FW_TRY(values(w, 0, 1, 4 * cells, &by, e));
    for (size_t i = 0; i < cells; i++) {
        if (!(face[i] >= d->thresholds[0])) continue;
        const int at[2] = {STEP * (int)(i % (size_t)cols) - ox, STEP * (int)(i / (size_t)cols) - oy};
        fw_face f = {.score = face[i]};
        for (int k = 0; k < 4; k++) {
            f.box[k] = (float)trunc((at[k % 2] + (k < 2 ? 1 : CELL)) / scale);
            f.landmark[k] = by[(size_t)k * cells + i]; /* kept there until suppression is done */
        }
        keep(w, &f);
    }
    suppress(w, from, IOU_LEVEL, false);
    return FW_OK;
}

static int propose(fw_detector_worker *w, const fw_image *img, const fw_look *k, fw_err *e)
{
    const double border = (double)k->ox / k->sw;
    const double side = (img->width < img->height ? img->width : img->height) * (1 + 2 * border);
    w->npart = 0;
    for (double s = k->scale * CELL / w->d->min_face; side * s >= CELL; s *= w->d->pyramid)
        FW_TRY(propose_level(w, img, s, border, e));
    suppress(w, 0, IOU, false);
    for (size_t i = 0; i < w->npart; i++) {
        correct(w->part[i].box, w->part[i].landmark, 0);
        make_square(w->part[i].box);
    }
    return FW_OK;
}

/* What a box shows, as network input of side x side; black outside of the photo. False for a box out of hand. */
static bool put_window(fw_detector_worker *w, const fw_image *img, const float box[4], int side, float *out)
{
    const float most = 3.0f * (float)(img->width > img->height ? img->width : img->height);
    for (int i = 0; i < 4; i++)
        if (!(fabsf(box[i]) <= most)) return false;
    const int x0 = (int)box[0] - 1, y0 = (int)box[1] - 1, cols = (int)box[2] - x0, rows = (int)box[3] - y0;
    if (cols < 1 || rows < 1) return false;
    const int left = x0 > 0 ? x0 : 0, right = x0 + cols < img->width ? x0 + cols : img->width;
    const size_t stride = (size_t)cols * 3;
    uint8_t small[48 * 48 * 3];
    fw_reserve(&w->pixels, &w->pixels_cap, stride * (size_t)rows, 1);
    memset(w->pixels, 0, stride * (size_t)rows);
    for (int y = 0; y < rows; y++)
        if (y0 + y >= 0 && y0 + y < img->height && right > left)
            memcpy(w->pixels + stride * (size_t)y + (size_t)(left - x0) * 3,
                   img->rgb + ((size_t)(y0 + y) * (size_t)img->width + (size_t)left) * 3, (size_t)(right - left) * 3);
    fw_image_resize(w->pixels, cols, rows, small, side, side);
    fw_planar_copy(&w->planar, small, side, side, false, out);
    return true;
}

/* O-Net's five points: x of all, then y, in shares of its window. */
static void set_points(fw_face *f, const float *point)
{
    const float size[2] = {f->box[2] - f->box[0] + 1, f->box[3] - f->box[1] + 1};
    for (int k = 0; k < 10; k++) f->landmark[k] = size[k % 2] * point[k / 2 + 5 * (k % 2)] + f->box[k % 2] - 1;
}

/* R-Net (1) or O-Net (2) looks at windows part[from..]; those that pass are put at part[*kept..]. */
static int look_at(fw_detector_worker *w, int net, const fw_image *img, size_t from, size_t *kept, fw_err *e)
{
    const int side = net == 1 ? 24 : 48;
    const float threshold = net == 1 ? w->d->thresholds[1] : w->d->opts.threshold;
    const size_t size = 3 * (size_t)side * (size_t)side;
    const size_t n = w->npart - from < WINDOWS ? w->npart - from : WINDOWS;
    const float *face, *by, *point = NULL;
    float *input;
    bool seen[WINDOWS] = {false};
    FW_TRY(fw_runner_input(w->runner[net], WINDOWS, side, side, &input, e));
    memset(input, 0, WINDOWS * size * sizeof *input);
    for (size_t i = 0; i < n; i++) seen[i] = put_window(w, img, w->part[from + i].box, side, input + i * size);
    FW_TRY(fw_runner_run(w->runner[net], e));
    FW_TRY(values(w, net, 0, WINDOWS, &face, e));
    FW_TRY(values(w, net, 1, 4 * WINDOWS, &by, e));
    if (net == 2) FW_TRY(values(w, net, 2, 10 * WINDOWS, &point, e));
    for (size_t i = 0; i < n; i++) {
        if (!seen[i] || !(face[i] > threshold)) continue;
        fw_face f = w->part[from + i];
        f.score = face[i];
        if (point)
            set_points(&f, point + 10 * i), correct(f.box, by + 4 * i, 1);
        else
            memcpy(f.landmark, by + 4 * i, 4 * sizeof *by); /* applied once suppression is done */
        w->part[(*kept)++] = f;
    }
    return FW_OK;
}

static int refine(fw_detector_worker *w, int net, const fw_image *img, fw_err *e)
{
    size_t kept = 0;
    for (size_t from = 0; from < w->npart; from += WINDOWS) FW_TRY(look_at(w, net, img, from, &kept, e));
    w->npart = kept;
    suppress(w, 0, net == 1 ? IOU : IOU_LAST, net == 2);
    for (size_t i = 0; net == 1 && i < w->npart; i++) {
        correct(w->part[i].box, w->part[i].landmark, 1);
        make_square(w->part[i].box);
    }
    return FW_OK;
}

static int see(fw_detector_worker *w, const fw_image *img, const fw_look *k, fw_err *e)
{
    FW_TRY(propose(w, img, k, e));
    FW_TRY(refine(w, 1, img, e));
    FW_TRY(refine(w, 2, img, e));
    for (size_t i = 0; i < w->npart; i++) {
        fw_face f = w->part[i];
        f.points = FW_POINTS_SEEN;
        for (int j = 0; j < 4; j++) f.box[j]--; /* from 1 to from 0 */
        fw_detector_append(w, &f);
    }
    return FW_OK;
}

const fw_decoder fw_decoder_mtcnn = {.name = "mtcnn", .nets = 3, .check = check, .see = see};
