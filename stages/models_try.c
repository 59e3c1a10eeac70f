#include "models_try.h"
#include "../index/vectors.h"
#include "../lib/detector.h"
#include "../lib/embedder.h"
#include "../lib/file.h"
#include "../lib/landmarks.h"
#include "../lib/paths.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PEOPLE = 40, PER_PERSON = 20, FACES = 64, FOLDS = 10 };

#define ALL(x)                                                                                                         \
    {                                                                                                                  \
        x, x, x                                                                                                        \
    }
#define IMAGENET                                                                                                       \
    {123.675f, 116.28f, 103.53f}, 1,                                                                                   \
    {                                                                                                                  \
        58.395f, 57.12f, 57.375f                                                                                       \
    }
#define IMAGEBGR                                                                                                       \
    {103.53f, 116.28f, 123.675f}, 1,                                                                                   \
    {                                                                                                                  \
        57.375f, 57.12f, 58.395f                                                                                       \
    }
const fw_variant fw_variants[] = {
    {"(x - 127.5) / 128", false, ALL(127.5f), 0.0078125f, ALL(1)},
    {"(x - 127.5) / 128", true, ALL(127.5f), 0.0078125f, ALL(1)},
    {"x / 255", false, ALL(0), 1 / 255.0f, ALL(1)},
    {"x / 255", true, ALL(0), 1 / 255.0f, ALL(1)},
    {"ImageNet mean, std", false, IMAGENET},
    {"ImageNet mean, std", true, IMAGEBGR},
    {"x, 0..255", false, ALL(0), 1, ALL(1)},
    {"x, 0..255", true, ALL(0), 1, ALL(1)},
};
const size_t fw_variant_count = FW_COUNT(fw_variants);

/* ---- faces ------------------------------------------------------------------------------------------------------ */

/* What finds the faces: the first detector of detect.model. */
typedef struct finder {
    fw_detector *detector;
    fw_detector_worker *worker;
    fw_image image;
} finder;

static void finder_close(finder *f)
{
    fw_detector_worker_close(f->worker);
    fw_detector_close(f->detector);
    fw_image_free(&f->image);
}

static int finder_open(const fw_conf *c, fw_runtime *rt, finder *f, fw_err *e)
{
    char *name = fw_conf_item(c, "detect.model", 0), *ini = name ? fw_model_ini(name, e) : NULL,
         *models = fw_models_dir();
    fw_modeldesc *d = NULL;
    fw_detector_opts opts = {.provider = c->run_provider};
    int rc = ini ? fw_modeldesc_read(ini, models, &d, e) : fw_fail(e, FW_EUSAGE, "detect.model names no detector");
    if (!rc) rc = fw_detector_open(rt, d, &opts, &f->detector, e);
    if (!rc) rc = fw_detector_worker_open(f->detector, &f->worker, e);
    fw_modeldesc_free(d);
    fw_free(models);
    fw_free(ini);
    fw_free(name);
    return rc;
}

static void add_crop(fw_faces *out, const fw_image *im, const float m[6], uint32_t label)
{
    const size_t size = (size_t)out->frame.width * (size_t)out->frame.height * 3;
    if (out->n == out->cap) {
        out->cap = out->cap ? 2 * out->cap : 64;
        out->crop = fw_realloc(out->crop, out->cap, size);
        out->label = fw_realloc(out->label, out->cap, sizeof *out->label);
    }
    const fw_affine a = {{m[0], m[1], m[2], m[3], m[4], m[5]}};
    fw_warp(im, &a, out->frame.width, out->frame.height, out->crop + out->n * size);
    out->label[out->n++] = label;
}

/* One photo, decoded in full: its pixels are those that landmarks speak of. */
static int add_photo(finder *f, const char *bytes, size_t n, uint32_t label, fw_faces *out, fw_err *e)
{
    char why[FW_IMG_WHY];
    fw_face face[FACES];
    int found = 0;
    float m[6], points[10];
    if (fw_image_decode(bytes, n, NULL, &f->image, why) != FW_IMG_OK) return out->without++, FW_OK;
    FW_TRY(fw_detect(f->worker, &f->image, face, FACES, &found, NULL, e));
    const int at = fw_target_face(face, found, f->image.full_width, f->image.full_height);
    const int32_t size[2] = {f->image.full_width, f->image.full_height};
    if (at >= 0) {
        memcpy(points, face[at].landmark, sizeof points);
        if (fw_landmarks_check(face[at].box, points)) fw_landmarks_of_box(face[at].box, points);
    }
    if (at < 0 || fw_frame_face(&out->frame, size, face[at].box, points, m) == FW_FIT_DEGENERATE)
        return out->without++, FW_OK;
    add_crop(out, &f->image, m, label);
    return FW_OK;
}

static int walk_photos(fw_source *src, finder *f, fw_faces *out, fw_err *e)
{
    fw_record r;
    char *last = NULL, *bytes;
    size_t n, of_label = 0;
    int more, rc = FW_OK;
    while (!rc && (more = fw_source_next(src, &r, e)) > 0) {
        if (!last || strcmp(last, r.label)) {
            if (out->labels == PEOPLE) break;
            fw_free(last);
            last = fw_strdup(r.label);
            out->labels++;
            of_label = 0;
        }
        if (of_label++ >= PER_PERSON) continue;
        rc = fw_source_read(src, r.path, (size_t)1 << 28, &bytes, &n, e);
        if (!rc) rc = add_photo(f, bytes, n, (uint32_t)out->labels - 1, out, e);
        if (!rc) free(bytes);
        if (!rc) rc = fw_check_stop(e);
    }
    fw_free(last);
    return rc ? rc : e->code;
}

static char *photos_of(const fw_args *a, fw_err *e)
{
    if (a->input) return fw_strdup(a->input);
    char *models = fw_models_dir(), *demo = fw_format("%s/../demo-photos/johns", models);
    const bool there = fw_is_dir(demo);
    char *spec = there ? fw_format("dir:%s", demo) : NULL;
    if (!there)
        fw_fail(e, FW_EUSAGE,
                "no photos to try the network on: neither '%s' (`scripts/setup.sh demo`) nor --input FOLDER, one "
                "sub-folder per person",
                demo);
    fw_free(models);
    fw_free(demo);
    return spec;
}

int fw_faces_load(const fw_args *a, fw_runtime *rt, const fw_modeldesc *d, fw_faces *out, fw_err *e)
{
    finder f = {0};
    *out = (fw_faces){0};
    char *spec = photos_of(a, e);
    fw_source *src = spec ? fw_source_open(spec, &(fw_source_opts){0}, e) : NULL;
    int rc = src ? fw_frame_of(d, &out->frame, e) : e->code;
    if (!rc) rc = finder_open(a->conf, rt, &f, e);
    if (!rc) rc = walk_photos(src, &f, out, e);
    finder_close(&f);
    fw_source_close(src);
    fw_free(spec);
    if (rc) fw_faces_free(out);
    return rc;
}

void fw_faces_free(fw_faces *f)
{
    fw_free(f->label);
    fw_free(f->crop);
    *f = (fw_faces){0};
}

/* ---- one trial -------------------------------------------------------------------------------------------------- */

static int embed_all(fw_runtime *rt, const fw_modeldesc *d, const fw_faces *f, float **vec, uint8_t *ok, int *dim,
                     fw_err *e)
{
    fw_embedder *m = NULL;
    fw_embedder_worker *w = NULL;
    int rc = fw_embedder_open(rt, d, NULL, &m, e);
    if (!rc) rc = fw_embedder_worker_open(m, &w, e);
    if (!rc) {
        *dim = fw_embedder_dim(m);
        *vec = fw_alloc(f->n * (size_t)*dim, sizeof **vec);
        rc = fw_embed(w, f->crop, (int)f->n, *vec, ok, e);
    }
    fw_embedder_worker_close(w);
    fw_embedder_close(m);
    return rc;
}

typedef struct pairs {
    fw_pair *pair;
    size_t n, cap, genuine, impostor;
} pairs;

static void add_pair(pairs *p, const float *a, const float *b, int dim, bool same)
{
    fw_reserve(&p->pair, &p->cap, p->n + 1, sizeof *p->pair);
    size_t *count = same ? &p->genuine : &p->impostor;
    p->pair[p->n++] = (fw_pair){.sim = fw_dot(a, b, dim), .same = same, .fold = (uint32_t)((*count)++ % FOLDS)};
}

/* All genuine pairs, and impostor pairs at even steps so that there are about as many: accuracy .5 is chance. */
static void make_pairs(const fw_faces *f, const float *vec, const uint8_t *ok, int dim, pairs *p)
{
    size_t same = 0, other = 0, seen = 0;
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j < i; j++) *(f->label[i] == f->label[j] ? &same : &other) += ok[i] && ok[j];
    const size_t step = same && other > same ? other / same : 1;
    for (size_t i = 0; i < f->n; i++)
        for (size_t j = 0; j < i; j++) {
            const bool genuine = f->label[i] == f->label[j];
            if (!ok[i] || !ok[j] || (!genuine && seen++ % step)) continue;
            add_pair(p, vec + i * (size_t)dim, vec + j * (size_t)dim, dim, genuine);
        }
}

static double apart(const pairs *p)
{
    double sum[2] = {0}, square[2] = {0}, count[2] = {0};
    for (size_t i = 0; i < p->n; i++) {
        const double s = p->pair[i].sim;
        const int k = p->pair[i].same;
        sum[k] += s;
        square[k] += s * s;
        count[k]++;
    }
    const double a = sum[0] / count[0], b = sum[1] / count[1];
    const double var = (square[0] / count[0] - a * a + square[1] / count[1] - b * b) / 2;
    return (b - a) / sqrt(var > 1e-12 ? var : 1e-12);
}

static int judge(const pairs *p, fw_trial *out, fw_err *e)
{
    fw_verification v;
    if (p->genuine < FOLDS || p->impostor < FOLDS)
        return fw_fail(e, FW_EUSAGE,
                       "too few faces to judge a network: %zu pairs of one person and %zu of two, 10 are needed; give "
                       "--input FOLDER with a sub-folder per person",
                       p->genuine, p->impostor);
    FW_TRY(fw_verify_pairs(p->pair, p->n, FOLDS, &v, e));
    out->accuracy = v.accuracy;
    out->auc = v.auc;
    out->apart = apart(p);
    return FW_OK;
}

int fw_try(fw_runtime *rt, const fw_modeldesc *d, const fw_variant *v, const fw_faces *f, fw_trial *out, fw_err *e)
{
    fw_modeldesc own = *d;
    float *vec = NULL;
    int dim = 0;
    pairs p = {0};
    *out = (fw_trial){0};
    if (v) {
        own.bgr = v->bgr;
        own.scale = v->scale;
        memcpy(own.mean, v->mean, sizeof own.mean);
        memcpy(own.std, v->std, sizeof own.std);
    }
    uint8_t *ok = fw_alloc(f->n, 1);
    int rc = embed_all(rt, &own, f, &vec, ok, &dim, e);
    for (size_t i = 0; i < f->n; i++) out->unusable += !ok[i];
    /* a network that answers nothing usable in this way is a result, not an error */
    const bool empty = !rc && out->unusable * 2 > f->n;
    if (!rc && !empty) make_pairs(f, vec, ok, dim, &p);
    if (!rc && !empty) rc = judge(&p, out, e);
    fw_free(p.pair);
    fw_free(vec);
    fw_free(ok);
    return rc;
}

/* AUC first; where both are as good as perfect, or equal to half a percent, the distance of the means says more: by 3 %
 * of it, which is more than another sample of 55 faces changes. */
bool fw_trial_better(const fw_trial *a, const fw_trial *b)
{
    if (fabs(a->auc - b->auc) > 0.005) return a->auc > b->auc;
    return a->apart > b->apart * 1.03;
}
