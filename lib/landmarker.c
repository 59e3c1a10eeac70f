#include "landmarker.h"

#include "landmarks.h"
#include "planar.h"
#include "warp.h"

#include <math.h>
#include <string.h>

struct fw_landmarker {
    fw_model *model;
    char *name;
    fw_planar format;
    int width, height, rows, points;
    float low, span, margin;
    fw_five five;
};

struct fw_landmarker_worker {
    fw_landmarker *m;
    fw_runner *runner;
    uint8_t *crop;
    float *point;
};

static int check(fw_landmarker *m, const fw_modeldesc *d, fw_err *e)
{
    const fw_tensor_info *t = fw_model_output(m->model, 0);
    const int fixed = fw_model_fixed_batch(m->model);
    int64_t n = 1;
    for (int i = 1; i < t->rank; i++) n *= t->dim[i] > 0 ? t->dim[i] : 0;
    m->rows = fixed ? fixed : 1;
    m->points = (int)(n / 2);
    if (t->rank < 2 || n < 10 || n > 4096 || n % 2)
        return fw_fail(e, FW_EUSAGE,
                       "open landmark model '%s': its output '%s' has %lld values a face, not x and y of points",
                       m->name, t->name, (long long)n);
    if (fw_five_parse(d->five, m->points, &m->five)) return FW_OK;
    return fw_fail(e, FW_EUSAGE, "%s: five = '%s': must be five groups of points below %d, like 36-41;42-47;30;48;54",
                   d->path, d->five, m->points);
}

int fw_landmarker_open(fw_runtime *rt, const fw_modeldesc *d, const char *provider, fw_landmarker **out, fw_err *e)
{
    *out = NULL;
    if (d->task != FW_TASK_LANDMARKS || strcmp(d->decoder, "points"))
        return fw_fail(e, FW_EUSAGE, "open landmark model '%s': %s describes none (task = landmarks, decoder = points)",
                       d->name, d->path);
    fw_landmarker *m = FW_NEW(fw_landmarker);
    m->name = fw_strdup(d->name);
    m->width = d->input_width;
    m->height = d->input_height;
    m->low = d->range[0];
    m->span = d->range[1] - d->range[0];
    m->margin = d->box_margin;
    fw_planar_init(&m->format, d);
    int rc = fw_model_open(rt, d, provider, &m->model, e);
    if (!rc) rc = check(m, d, e);
    if (rc)
        fw_landmarker_close(m);
    else
        *out = m;
    return rc;
}

void fw_landmarker_close(fw_landmarker *m)
{
    if (!m) return;
    fw_model_close(m->model);
    fw_free(m->name);
    fw_free(m);
}

int fw_landmarker_worker_open(fw_landmarker *m, fw_landmarker_worker **out, fw_err *e)
{
    fw_landmarker_worker *w = FW_NEW(fw_landmarker_worker);
    w->m = m;
    w->crop = fw_alloc((size_t)m->width * 3, (size_t)m->height);
    w->point = FW_ARRAY(float, (size_t)m->points * 2);
    int rc = fw_runner_open(m->model, &w->runner, e);
    if (rc) {
        fw_landmarker_worker_close(w);
        w = NULL;
    }
    *out = w;
    return rc;
}

void fw_landmarker_worker_close(fw_landmarker_worker *w)
{
    if (!w) return;
    fw_runner_close(w->runner);
    fw_free(w->crop);
    fw_free(w->point);
    fw_free(w);
}

/* The square around the box: full-size pixels to input pixels, one scale and a shift each. */
static void square(const fw_landmarker *m, const float box[4], double scale[2], double shift[2])
{
    const double w = box[2] - box[0], h = box[3] - box[1], longer = w > h ? w : h;
    const double side = m->margin < 1 ? longer * (1 + m->margin) : longer + m->margin;
    for (int axis = 0; axis < 2; axis++) {
        const double size = axis ? m->height : m->width;
        scale[axis] = size / (side > 1 ? side : 1);
        shift[axis] = size / 2 - (box[axis] + box[2 + axis]) / 2 * scale[axis];
    }
}

static int run(fw_landmarker_worker *w, fw_err *e)
{
    const fw_landmarker *m = w->m;
    const size_t size = (size_t)m->width * (size_t)m->height * 3;
    float *input;
    FW_TRY(fw_runner_input(w->runner, m->rows, m->height, m->width, &input, e));
    fw_planar_copy(&m->format, w->crop, m->width, m->height, false, input);
    memset(input + size, 0, size * (size_t)(m->rows - 1) * sizeof *input);
    FW_TRY(fw_runner_run(w->runner, e));
    const float *out = fw_runner_output(w->runner, 0, NULL);
    if (!out) return fw_fail(e, FW_EFAIL, "run landmark model '%s': no output", m->name);
    memcpy(w->point, out, (size_t)m->points * 2 * sizeof *out);
    return FW_OK;
}

int fw_landmarker_find(fw_landmarker_worker *w, const fw_image *img, fw_face *f, fw_err *e)
{
    const fw_landmarker *m = w->m;
    const double full[2] = {(double)img->full_width / img->width, (double)img->full_height / img->height};
    double scale[2], shift[2];
    float five[10], sum = 0;
    square(m, f->box, scale, shift);
    fw_affine a = {{0}};
    for (int axis = 0; axis < 2; axis++) { /* from decoded pixels: x_full = (x + .5) * full - .5 */
        a.m[4 * axis] = scale[axis] * full[axis];
        a.m[2 + 3 * axis] = shift[axis] + scale[axis] * (full[axis] - 1) / 2;
    }
    fw_warp(img, &a, m->width, m->height, w->crop);
    FW_TRY(run(w, e));
    fw_five_take(&m->five, w->point, five);
    for (int i = 0; i < 10; i++) {
        const int axis = i % 2, size = axis ? m->height : m->width;
        five[i] = (float)(((five[i] - m->low) / m->span * (float)size - shift[axis]) / scale[axis]);
        sum += five[i];
    }
    if (!isfinite(sum)) return FW_OK;
    memcpy(f->landmark, five, sizeof five);
    f->points = FW_POINTS_MODEL;
    return FW_OK;
}
