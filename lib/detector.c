#include "detector_impl.h"
#include "landmarks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pixels in the first look. Of LFW faces pasted into other photos the first look finds 5 % of those of 16 pixels, 63 %
 * of 24, 82 % of 28, 95 % of 32 and all 60 of 40; the enlarged look is for the rest, with a margin. What it finds
 * larger than that the first look has seen at a better size and rejected: without this limit it took parts of faces (35
 * of 60 crops at 640 pixels) and dogs for faces. */
static const double SMALL_FACE = 48;

static const fw_decoder *const DECODERS[] = {&fw_decoder_retinaface, &fw_decoder_scrfd, &fw_decoder_yunet,
                                             &fw_decoder_mtcnn};

/* --- for the decoders --------------------------------------------------------------------------------------------- */

static bool face_finite(const fw_face *f)
{
    float sum = f->score;
    for (int i = 0; i < 4; i++) sum += f->box[i];
    for (int i = 0; i < 10; i++) sum += f->landmark[i];
    return isfinite(sum);
}

void fw_detector_append(fw_detector_worker *w, const fw_face *f)
{
    if (!face_finite(f)) return;
    fw_reserve(&w->found, &w->cap, w->n + 1, sizeof *w->found);
    w->found[w->n++] = *f;
}

const float *fw_detector_rows(fw_detector_worker *w, int i, size_t rows, int width)
{
    fw_tensor_info t;
    const float *data = fw_runner_output(w->runner[0], i, &t);
    size_t n = 1;
    for (int k = 0; data && k < t.rank; k++) n *= t.dim[k] > 0 ? (size_t)t.dim[k] : 0;
    return data && t.rank && t.dim[t.rank - 1] == width && n == rows * (size_t)width ? data : NULL;
}

bool fw_detector_map(const fw_detector_worker *w, int i, fw_map *out)
{
    if (w->fast) {
        const fw_fastnet_result r = fw_fastnet_output(w->fast, i);
        *out = (fw_map){r.data, r.channels, r.height, r.width, 1, r.pixel};
        return true;
    }
    fw_tensor_info t;
    const float *data = fw_runner_output(w->runner[0], i, &t);
    if (!data || t.rank != 4 || t.dim[0] != 1) return false;
    *out = (fw_map){data, (int)t.dim[1], (int)t.dim[2], (int)t.dim[3], (size_t)(t.dim[2] * t.dim[3]), 1};
    return true;
}

static int by_score(const void *a, const void *b)
{
    const fw_face *p = a, *q = b;
    if (p->score != q->score) return p->score < q->score ? 1 : -1;
    for (int i = 0; i < 4; i++)
        if (p->box[i] != q->box[i]) return p->box[i] < q->box[i] ? -1 : 1;
    return memcmp(p->landmark, q->landmark, sizeof p->landmark);
}

void fw_faces_sort(fw_face *f, size_t n)
{
    if (n) qsort(f, n, sizeof *f, by_score);
}

static float common_area(const float a[4], const float b[4])
{
    const float w = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), h = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    return w > 0 && h > 0 ? w * h : 0;
}

static float area(const float a[4])
{
    return (a[2] - a[0]) * (a[3] - a[1]);
}

float fw_box_iou(const float a[4], const float b[4])
{
    const float common = common_area(a, b);
    return common > 0 ? common / (area(a) + area(b) - common) : 0;
}

static float overlap(const float a[4], const float b[4], bool smaller)
{
    const float common = common_area(a, b);
    return !smaller ? fw_box_iou(a, b) : common > 0 ? common / fminf(area(a), area(b)) : 0;
}

size_t fw_faces_suppress(fw_face *f, size_t n, float share, bool smaller, size_t max)
{
    size_t kept = 0;
    for (size_t i = 0; i < n && kept < max; i++) {
        bool covered = false;
        for (size_t k = 0; k < kept && !covered; k++) covered = overlap(f[i].box, f[k].box, smaller) > share;
        if (!covered) f[kept++] = f[i];
    }
    return kept;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int find_decoder(fw_detector *d, const fw_modeldesc *desc, fw_err *e)
{
    if (desc->task != FW_TASK_DETECT)
        return fw_fail(e, FW_EUSAGE, "open detector '%s': %s describes no detector (task = detect)", desc->name,
                       desc->path);
    for (size_t i = 0; i < FW_COUNT(DECODERS); i++)
        if (!strcmp(desc->decoder, DECODERS[i]->name)) d->dec = DECODERS[i];
    if (d->dec) return FW_OK;
    return fw_fail(e, FW_EUSAGE, "%s: unknown decoder '%s' for a detector; there are: retinaface, scrfd, yunet, mtcnn",
                   desc->path, desc->decoder);
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
    memcpy(d->thresholds, desc->thresholds, sizeof d->thresholds);
    d->pyramid = desc->pyramid;
    d->min_face = desc->min_face;
    fw_planar_init(&d->format, desc);
}

/* Network i of a cascade is described like the first, but for its file and its fixed input. */
static int open_net(fw_runtime *rt, fw_detector *d, const fw_modeldesc *desc, int i, fw_err *e)
{
    fw_modeldesc one = *desc;
    memset(one.part, 0, sizeof one.part);
    if (i) {
        one.file = desc->part[i - 1].file;
        memcpy(one.sha256, desc->part[i - 1].sha256, sizeof one.sha256);
        one.any_size = true;
    }
    return fw_model_open(rt, &one, d->opts.provider, &d->model[i], e);
}

/* fastnet where it can run this network on this CPU, else ONNX Runtime, which has opened the same file: its digest and
 * shapes are checked. One thread, an input of 256 x 256, taking turns, with other work in between: 1.6 ms instead of
 * 2.1; of 1000 LFW photos all 1185 faces are the same, landmarks to 7e-5 pixels and scores to 3e-6. Never in bf16,
 * which takes two thirds of that: 3 of those photos had a face more or less, and of two boxes on one face another was
 * the better one often enough that landmarks moved by 2.6 pixels at the 99th percentile, and the embeddings' cosine
 * fell to .979 at the first. */
static void open_fast(fw_detector *d, const fw_modeldesc *desc)
{
    const bool cpu = !d->opts.provider || !strcmp(d->opts.provider, "cpu");
    fw_err why = {0};
    if (d->opts.plain || !cpu || !d->dec->maps || desc->nhwc) return;
    const int height = d->fixed_h ? d->fixed_h : d->stride, width = d->fixed_w ? d->fixed_w : d->stride;
    int rc = fw_fastnet_open(desc->file, false, &d->fast, &why);
    if (!rc) rc = fw_fastnet_fits(d->fast, height, width, &why);
    if (!rc && fw_fastnet_outputs(d->fast) == fw_model_outputs(d->model[0])) return;
    fw_fastnet_close(d->fast);
    d->fast = NULL;
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
        for (int i = 0; !rc && i < d->dec->nets; i++) rc = open_net(rt, d, desc, i, e);
    }
    if (!rc && fw_model_fixed_batch(d->model[0]) > 1)
        rc = fw_fail(e, FW_EUSAGE, "open detector '%s': the network takes %d photos at once, one is needed", d->name,
                     fw_model_fixed_batch(d->model[0]));
    if (!rc) rc = d->dec->check(d, e);
    if (!rc) open_fast(d, desc);
    if (rc)
        fw_detector_close(d);
    else
        *out = d;
    return rc;
}

void fw_detector_close(fw_detector *d)
{
    if (!d) return;
    fw_fastnet_close(d->fast);
    for (int i = 0; i < FW_NETS; i++) fw_model_close(d->model[i]);
    fw_free(d->name);
    fw_free(d);
}

int fw_detector_worker_open(fw_detector *d, fw_detector_worker **out, fw_err *e)
{
    fw_detector_worker *w = FW_NEW(fw_detector_worker);
    w->d = d;
    w->planar = d->format;
    int rc = FW_OK;
    if (d->fast) w->fast = fw_fastnet_worker_new(d->fast);
    for (int i = 0; !rc && i < d->dec->nets; i++) rc = fw_runner_open(d->model[i], &w->runner[i], e);
    if (rc) {
        fw_detector_worker_close(w);
        w = NULL;
    }
    *out = w;
    return rc;
}

void fw_detector_worker_close(fw_detector_worker *w)
{
    if (!w) return;
    fw_fastnet_worker_free(w->fast);
    fw_free(w->canvas);
    for (int i = 0; i < FW_NETS; i++) fw_runner_close(w->runner[i]);
    fw_planar_free(&w->planar);
    fw_free(w->found);
    fw_free(w->all);
    fw_free(w->pixels);
    fw_free(w->part);
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
static fw_look make_look(const fw_detector *d, const fw_image *img, double scale, double border)
{
    fw_look k = {.max_side = INFINITY};
    if (d->fixed_w) {
        const double room = 1 + 2 * border, fx = d->fixed_w / (img->width * room),
                     fy = d->fixed_h / (img->height * room);
        scale = fmin(scale, fmin(fx, fy));
    }
    k.scale = scale;
    k.sw = scaled(img->width, scale);
    k.sh = scaled(img->height, scale);
    k.ox = (int)(k.sw * border);
    k.oy = (int)(k.sh * border);
    k.W = d->fixed_w ? d->fixed_w : round_up(k.sw + 2 * k.ox, d->stride);
    k.H = d->fixed_h ? d->fixed_h : round_up(k.sh + 2 * k.oy, d->stride);
    return k;
}

/* Canvas pixels to pixels of the decoded photo: both pixel-centred, hence the halves. */
static void to_decoded(fw_face *f, const fw_look *k, const fw_image *img)
{
    const float step[2] = {(float)img->width / (float)k->sw, (float)img->height / (float)k->sh};
    const float off[2] = {(float)k->ox, (float)k->oy};
    for (int i = 0; i < 4; i++) f->box[i] = (f->box[i] - off[i % 2] + 0.5f) * step[i % 2] - 0.5f;
    for (int i = 0; i < 10; i++) f->landmark[i] = (f->landmark[i] - off[i % 2] + 0.5f) * step[i % 2] - 0.5f;
}

static bool wanted(const fw_look *k, const fw_face *f)
{
    const double w = (double)(f->box[2] - f->box[0]), h = (double)(f->box[3] - f->box[1]);
    const double side = w > h ? w : h;
    return w > 0 && h > 0 && side >= k->min_side && side <= k->max_side;
}

/* To the photo, whose outermost pixels' centres are 0 and its full size - 1: in decoded pixels half of one less or
 * more.
 */
static void clip(fw_face *f, const fw_image *img)
{
    const float full[2] = {(float)img->full_width, (float)img->full_height};
    const float step[2] = {full[0] / (float)img->width, full[1] / (float)img->height};
    for (int i = 0; i < 4; i++) {
        const int k = i % 2;
        f->box[i] = fminf(fmaxf(f->box[i], 0.5f / step[k] - 0.5f), (full[k] - 0.5f) / step[k] - 0.5f);
    }
}

/* Where the first net's input goes. */
static int net_input(fw_detector_worker *w, int H, int W, float **input, fw_err *e)
{
    if (!w->fast) return fw_runner_input(w->runner[0], 1, H, W, input, e);
    fw_reserve(&w->canvas, &w->canvas_cap, (size_t)H * (size_t)W * 3, sizeof *w->canvas);
    *input = w->canvas;
    return FW_OK;
}

static int see_canvas(fw_detector_worker *w, const fw_image *img, const fw_look *k, fw_err *e)
{
    float *input;
    FW_TRY(net_input(w, k->H, k->W, &input, e));
    fw_planar_place(&w->planar, img->rgb, img->width, img->height, k->sw, k->sh, k->ox, k->oy, 0, input, k->W, k->H);
    FW_TRY(w->fast ? fw_fastnet_run(w->fast, input, k->H, k->W, e) : fw_runner_run(w->runner[0], e));
    const fw_detector *d = w->d;
    for (int l = 0; l < d->levels; l++)
        FW_TRY(d->dec->level(w, l, k->W / d->level_stride[l], k->H / d->level_stride[l], e));
    for (size_t i = 0; i < w->n; i++) to_decoded(&w->found[i], k, img);
    return FW_OK;
}

/* Fills w->found with what one look finds of the wanted size, in pixels of `img`, cut at its edges. */
static int take_look(fw_detector_worker *w, const fw_image *img, const fw_look *k, fw_err *e)
{
    size_t kept = 0;
    w->n = 0;
    FW_TRY(w->d->dec->see ? w->d->dec->see(w, img, k, e) : see_canvas(w, img, k, e));
    for (size_t i = 0; i < w->n; i++) {
        clip(&w->found[i], img);
        if (wanted(k, &w->found[i])) w->found[kept++] = w->found[i];
    }
    w->n = kept;
    return FW_OK;
}

static void gather(fw_detector_worker *w, const fw_face *f, size_t n)
{
    fw_reserve(&w->all, &w->all_cap, w->nall + n, sizeof *w->all);
    if (n) memcpy(w->all + w->nall, f, n * sizeof *f);
    w->nall += n;
}

/* --- tiles -------------------------------------------------------------------------------------------------------- */

/* Where tile `i` of an axis begins, of tiles that overlap by a quarter and end with the photo's edge. */
static int tile_at(int i, int tile, int side)
{
    const int at = i * (tile - tile / 4);
    return at + tile > side ? (side > tile ? side - tile : 0) : at;
}

static int tiles_of(int tile, int side)
{
    const int step = tile - tile / 4;
    return side <= tile ? 1 : 1 + (side - tile + step - 1) / step;
}

/* Cut where the photo goes on: it is seen whole, or larger, elsewhere. */
static bool cut_off(const fw_face *f, int x, int y, const fw_image *tile, const fw_image *img)
{
    const float edge = 1;
    return (x > 0 && f->box[0] < edge) || (y > 0 && f->box[1] < edge) ||
           (x + tile->width < img->width && f->box[2] > (float)tile->width - 1 - edge) ||
           (y + tile->height < img->height && f->box[3] > (float)tile->height - 1 - edge);
}

static fw_image cut_tile(fw_detector_worker *w, const fw_image *img, int x, int y)
{
    const int side = w->d->opts.tile;
    fw_image t = {.width = img->width < side ? img->width : side, .height = img->height < side ? img->height : side};
    t.full_width = t.width;
    t.full_height = t.height;
    t.rgb = fw_alloc((size_t)t.width * 3, (size_t)t.height);
    for (int row = 0; row < t.height; row++)
        memcpy(t.rgb + (size_t)row * (size_t)t.width * 3,
               img->rgb + ((size_t)(y + row) * (size_t)img->width + (size_t)x) * 3, (size_t)t.width * 3);
    return t;
}

static int see_tile(fw_detector_worker *w, const fw_image *img, int x, int y, fw_err *e)
{
    fw_image tile = cut_tile(w, img, x, y);
    fw_look k = make_look(w->d, &tile, 1, 0);
    k.max_side = w->d->opts.tile / 4.0;
    int rc = take_look(w, &tile, &k, e);
    for (size_t i = 0; !rc && i < w->n; i++) {
        fw_face f = w->found[i];
        if (cut_off(&f, x, y, &tile, img)) continue;
        for (int j = 0; j < 4; j++) f.box[j] += (float)(j % 2 ? y : x);
        for (int j = 0; j < 10; j++) f.landmark[j] += (float)(j % 2 ? y : x);
        gather(w, &f, 1);
    }
    fw_free(tile.rgb);
    return rc;
}

static int see_tiles(fw_detector_worker *w, const fw_image *img, fw_err *e)
{
    const int side = w->d->opts.tile, across = tiles_of(side, img->width), down = tiles_of(side, img->height);
    for (int j = 0; j < down; j++)
        for (int i = 0; i < across; i++)
            FW_TRY(see_tile(w, img, tile_at(i, side, img->width), tile_at(j, side, img->height), e));
    return FW_OK;
}

/* --- all looks ---------------------------------------------------------------------------------------------------- */

/* The enlarged look's scale: to second_size, but at most twice the photo; 0 when that is no larger than the first look.
 */
static double enlarged(const fw_detector *d, int side, double first)
{
    const double scale = fmin((double)d->opts.second_size / side, 2);
    return !d->fixed_w && scale > first * 1.2 ? scale : 0;
}

/* The looks in their order until one finds a face, and the tiles behind the first; fills w->all. */
static int look_until(fw_detector_worker *w, const fw_image *img, int *looks, fw_err *e)
{
    const fw_detector *d = w->d;
    const int side = img->width > img->height ? img->width : img->height;
    const double first = fmin(1, (double)d->opts.size / side), larger = enlarged(d, side, first);
    const int shorter = img->width < img->height ? img->width : img->height;
    const struct {
        double scale, border, min_side, max_side;
    } plan[] = {{first, 0, 0, INFINITY}, {first / 2, 0.5, shorter / 2.0, INFINITY}, {larger, 0, 0, SMALL_FACE / first}};
    const int count = d->opts.second_size < 0 ? 1 : larger > 0 ? 3 : 2;
    w->nall = 0;
    for (int i = 0; i < count && !w->nall; i++) {
        fw_look k = make_look(d, img, plan[i].scale, plan[i].border);
        k.min_side = plan[i].min_side;
        k.max_side = plan[i].max_side;
        FW_TRY(take_look(w, img, &k, e));
        gather(w, w->found, w->n);
        if (!i && d->opts.tile && side > d->opts.tile) FW_TRY(see_tiles(w, img, e));
        *looks = i + 1;
    }
    return FW_OK;
}

static void to_full(fw_face *f, const fw_image *img)
{
    const float full[2] = {(float)img->full_width, (float)img->full_height};
    const float step[2] = {full[0] / (float)img->width, full[1] / (float)img->height};
    const bool same = img->full_width == img->width && img->full_height == img->height;
    for (int i = 0; i < 4 && !same; i++)
        f->box[i] = fminf(fmaxf((f->box[i] + 0.5f) * step[i % 2] - 0.5f, 0), full[i % 2] - 1);
    for (int i = 0; i < 10 && !same; i++) f->landmark[i] = (f->landmark[i] + 0.5f) * step[i % 2] - 0.5f;
    if (f->points == FW_POINTS_NONE) fw_landmarks_of_box(f->box, f->landmark);
}

int fw_detect(fw_detector_worker *w, const fw_image *img, fw_face *out, int max, int *n, int *looks, fw_err *e)
{
    int taken = 0;
    *n = 0;
    if (looks) *looks = 0;
    if (img->width < 1 || img->height < 1) return FW_OK;
    if (max > w->d->opts.max_faces) max = w->d->opts.max_faces;
    FW_TRY(look_until(w, img, &taken, e));
    if (looks) *looks = taken;
    fw_faces_sort(w->all, w->nall);
    *n = (int)fw_faces_suppress(w->all, w->nall, w->d->opts.nms_iou, false, (size_t)(max > 0 ? max : 0));
    for (int i = 0; i < *n; i++) {
        out[i] = w->all[i];
        to_full(&out[i], img);
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
