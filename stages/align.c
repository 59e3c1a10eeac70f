/* align: bring the target face into the reference frame (arcface112), by a similarity transform from its five landmarks
 * (lib/frame.h). That frame is what people see and what quality is measured in, whatever the embedder; a model that
 * wants another one has the photo warped again by embed. */
#include "align.h"
#include "../lib/detector.h"
#include "../lib/frame.h"
#include "../lib/jpeg.h"
#include "../lib/landmarks.h"
#include "stage.h"

#include <string.h>

enum { IN_STATUS, IN_SIZE, IN_LANDMARK, IN_TARGET, IN_BOX, IN_POINTS };
enum { STATUS, MATRIX, CROP };

static const char *const inputs[] = {"detect.status", "detect.size", "detect.landmark", "detect.target", "detect.box",
                                     "detect.points", NULL};
static const fw_output outputs[] = {
    [STATUS] = {"align.status", FW_U8, 1, FW_ONE,
                "enum fw_align_status: 0 none, 1 landmarks, 2 mirrored, 3 centre, 4 as is, 5 box"},
    [MATRIX] = {"align.matrix", FW_F32, 6, FW_ONE, "photo pixels to crop pixels, two rows of three"},
    [CROP] = {"align.crop", FW_U8, 1, FW_BLOB, "the crop as JPEG, for people to look at"},
    {0}};

typedef struct state {
    fw_frame frame;
    bool as_is, centre;
    fw_buf *jpeg; /* by worker */
} state;

static void close_align(fw_task *t)
{
    state *s = t->state;
    if (!s) return;
    for (int i = 0; s->jpeg && i < t->workers; i++) fw_buf_free(&s->jpeg[i]);
    fw_free(s->jpeg);
    fw_free(s);
}

static int open_align(fw_task *t, fw_err *e)
{
    FW_UNUSED(e);
    state *s = t->state = FW_NEW(state);
    const fw_template *ref = fw_template_find(FW_ALIGN_FRAME);
    s->frame = (fw_frame){.width = ref->width, .height = ref->height};
    memcpy(s->frame.point, ref->point, sizeof s->frame.point);
    s->as_is = !strcmp(t->conf->align_mode, "none");
    s->centre = !strcmp(t->conf->align_missing, "centre") || !strcmp(t->conf->align_mode, "centre");
    s->jpeg = FW_ARRAY(fw_buf, (size_t)t->workers);
    return FW_OK;
}

/* The target face, or one with landmark NULL. */
typedef struct target {
    const float *landmark, *box;
    bool seen; /* the landmarks are the detector's */
} target;

static target find_target(fw_task *t, fw_item *it)
{
    size_t faces;
    const int32_t *at = fw_in(t, it, IN_TARGET, NULL);
    const float *landmark = fw_in(t, it, IN_LANDMARK, &faces), *box = fw_in(t, it, IN_BOX, NULL);
    const uint8_t *points = fw_in(t, it, IN_POINTS, NULL);
    if (*at < 0 || (size_t)*at >= faces) return (target){0};
    return (target){landmark + 10 * *at, box + 4 * *at, points[*at] != FW_POINTS_NONE};
}

static enum fw_align_status fit_face(const state *s, const int32_t size[2], target face, float m[6])
{
    float points[10];
    if (face.seen && !fw_landmarks_check(face.box, face.landmark) &&
        fw_frame_face(&s->frame, size, NULL, face.landmark, m) == FW_FIT_OK)
        return FW_ALIGN_LANDMARKS;
    fw_landmarks_of_box(face.box, points);
    return fw_frame_face(&s->frame, size, NULL, points, m) == FW_FIT_DEGENERATE ? FW_ALIGN_NONE : FW_ALIGN_BOX;
}

static enum fw_align_status find_matrix(const state *s, enum fw_img_status seen, const int32_t size[2], target face,
                                        float m[6])
{
    if (seen == FW_IMG_UNREADABLE || seen == FW_IMG_UNSUPPORTED || size[0] <= 0)
        return FW_ALIGN_NONE; /* 0: an embedding */
    if (s->as_is) return fw_frame_whole(&s->frame, size, 0, m), FW_ALIGN_AS_IS;
    if (face.landmark) {
        enum fw_align_status status = fit_face(s, size, face, m);
        if (status != FW_ALIGN_NONE) return status;
    }
    return s->centre ? (fw_frame_whole(&s->frame, size, FW_ALIGN_BORDER, m), FW_ALIGN_CENTRE) : FW_ALIGN_NONE;
}

static int image_align(fw_task *t, fw_item *it, fw_err *e)
{
    state *s = t->state;
    const uint8_t *seen = fw_in(t, it, IN_STATUS, NULL);
    const int32_t *size = fw_in(t, it, IN_SIZE, NULL);
    uint8_t *status = fw_out(t, it, STATUS, 1);
    float *m = fw_out(t, it, MATRIX, 1);
    *status = (uint8_t)find_matrix(s, *seen, size, find_target(t, it), m);
    if (*status == FW_ALIGN_NONE) return FW_OK;
    const uint8_t *crop = fw_item_crop(it, m, s->frame.width, s->frame.height);
    if (!crop) { /* readable when it was detected, and no longer: the photo changed under us */
        *status = FW_ALIGN_NONE;
        return FW_OK;
    }
    fw_buf *jpeg = &s->jpeg[it->worker];
    jpeg->len = 0;
    FW_TRY(fw_jpeg_encode(crop, s->frame.width, s->frame.height, (int)t->conf->align_jpeg, jpeg, e));
    fw_out_blob(t, it, CROP, jpeg->data, jpeg->len);
    return FW_OK;
}

bool fw_align_matrix(const fw_frame *f, enum fw_align_status status, const int32_t size[2], const float *box,
                     const float *landmark, float m[6])
{
    float points[10];
    if (status == FW_ALIGN_AS_IS || status == FW_ALIGN_CENTRE) {
        fw_frame_whole(f, size, status == FW_ALIGN_CENTRE ? FW_ALIGN_BORDER : 0, m);
        return true;
    }
    if (!box || !landmark) return false;
    if (status == FW_ALIGN_BOX) fw_landmarks_of_box(box, points), landmark = points;
    return fw_frame_face(f, size, box, landmark, m) != FW_FIT_DEGENERATE;
}

const fw_stage fw_stage_align = {
    .name = "align",
    .summary = "warp the target face to the reference frame",
    .version = 3,
    .scope = FW_SCOPE_SHARD,
    .outputs = outputs,
    .inputs = inputs,
    .settings = (const char *const[]){"align.", "image.", NULL},
    .open = open_align,
    .image = image_align,
    .close = close_align,
};
