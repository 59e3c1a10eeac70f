#include "frame.h"

#include <string.h>

int fw_frame_of(const fw_modeldesc *d, fw_frame *out, fw_err *e)
{
    *out = (fw_frame){.width = d->input_width, .height = d->input_height};
    if (!strcmp(d->crop_template, "box")) {
        const int least = out->width > out->height ? out->width : out->height;
        out->box = true;
        out->margin = d->box_margin;
        out->size = d->box_size ? d->box_size : least;
        if (out->size < least)
            return fw_fail(e, FW_EUSAGE, "%s: box_size %d is smaller than the input", d->path, out->size);
        return FW_OK;
    }
    if (!strcmp(d->crop_template, "points")) {
        memcpy(out->point, d->point, sizeof out->point);
        return FW_OK;
    }
    const fw_template *t = fw_template_find(d->crop_template);
    if (!t)
        return fw_fail(e, FW_EUSAGE, "%s: unknown template '%s'; there are: arcface112, sphereface, points, box",
                       d->path, d->crop_template);
    if (t->width != out->width || t->height != out->height)
        return fw_fail(e, FW_EUSAGE, "%s: template %s is for an input of %d x %d, not %d x %d; give its `points`",
                       d->path, t->name, t->width, t->height, out->width, out->height);
    memcpy(out->point, t->point, sizeof out->point);
    return FW_OK;
}

/* Scales x0..x1, y0..y1 (pixel edges: pixel i lies between i and i + 1) to w x h. */
static void scale_to(const double at[4], double w, double h, float m[6])
{
    const double sx = w / (at[2] - at[0]), sy = h / (at[3] - at[1]);
    m[0] = (float)sx;
    m[1] = 0;
    m[2] = (float)((0.5 - at[0]) * sx - 0.5);
    m[3] = 0;
    m[4] = (float)sy;
    m[5] = (float)((0.5 - at[1]) * sy - 0.5);
}

void fw_frame_whole(const fw_frame *f, const int32_t size[2], double border, float m[6])
{
    const double x = size[0] * border, y = size[1] * border;
    scale_to((double[4]){x, y, size[0] - x, size[1] - y}, f->width, f->height, m);
}

static enum fw_fit cut_box(const fw_frame *f, const int32_t size[2], const float box[4], float m[6])
{
    double at[4];
    for (int axis = 0; axis < 2; axis++) {
        const double side = box[2 + axis] - box[axis];
        const double grow = (f->margin < 1 ? f->margin * side : f->margin) / 2;
        at[axis] = box[axis] - grow > 0 ? box[axis] - grow : 0;
        at[2 + axis] = box[2 + axis] + grow < size[axis] ? box[2 + axis] + grow : size[axis];
        if (!(at[2 + axis] - at[axis] >= 1)) return FW_FIT_DEGENERATE;
    }
    scale_to(at, f->size, f->size, m);
    m[2] -= (float)(f->size - f->width) / 2;
    m[5] -= (float)(f->size - f->height) / 2;
    return FW_FIT_OK;
}

enum fw_fit fw_frame_face(const fw_frame *f, const int32_t size[2], const float box[4], const float landmark[10],
                          float m[6])
{
    if (f->box) return cut_box(f, size, box, m);
    fw_affine a;
    enum fw_fit fit = fw_similarity(landmark, f->point, &a);
    for (int i = 0; fit != FW_FIT_DEGENERATE && i < 6; i++) m[i] = (float)a.m[i];
    return fit;
}
