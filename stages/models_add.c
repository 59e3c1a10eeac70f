/* models add: make a description for a network file that somebody brings. The file says its input's size and layout and
 * its outputs; what it does not say (channel order, scale, template) is found by trying the likely ways on photos of
 * people. */
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/sha256.h"
#include "models_try.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Below this share of pairs in the right order the output is no face embedding, or the input was made in the wrong way:
 * a network trained on faces has .99 and more here, one for other pictures (colours, textures) about .6 to .75. */
static const double SEPARATES = 0.9;

enum { DETECTOR_NONE, DETECTOR_SCRFD, DETECTOR_YUNET };

typedef struct proposal {
    fw_modeldesc d;
    int width, height; /* of the network's input; -1: any */
    int detector;
    size_t outputs;
    char *file, *name;
} proposal;

static void release(proposal *p)
{
    fw_free(p->file);
    fw_free(p->name);
    fw_free(p->d.output);
}

/* Values per row of an output, 0 when that is not fixed or no vector. */
static int64_t row_values(const fw_tensor_info *t)
{
    int64_t n = 1;
    for (int i = 1; i < t->rank; i++) n *= t->dim[i] > 0 && t->dim[i] <= FW_VECTOR_MAX ? t->dim[i] : 0;
    return t->rank >= 2 && n <= FW_VECTOR_MAX ? n : 0;
}

static int detector_of(const fw_model *m)
{
    const int n = fw_model_outputs(m);
    bool lists = n == 6 || n == 9;
    for (int i = 0; i < n && lists; i++) {
        const fw_tensor_info *t = fw_model_output(m, i);
        const int64_t last = t->rank ? t->dim[t->rank - 1] : 0;
        lists = last == (int[]){1, 4, 10}[i / 3];
    }
    if (lists) return DETECTOR_SCRFD;
    return n == 12 && fw_model_find_output(m, "cls_8") >= 0 && fw_model_find_output(m, "kps_32") >= 0 ? DETECTOR_YUNET
                                                                                                      : DETECTOR_NONE;
}

/* The output that holds the embedding: the first of 64..4096 values a row. */
static int choose_output(proposal *p, const fw_model *m, fw_err *e)
{
    for (int i = 0; i < fw_model_outputs(m); i++) {
        const fw_tensor_info *t = fw_model_output(m, i);
        const int64_t n = row_values(t);
        if (n < 64) continue;
        p->d.dim = (int)n;
        if (fw_model_outputs(m) > 1) p->d.output = fw_strdup(t->name);
        return FW_OK;
    }
    const fw_tensor_info *t = fw_model_output(m, 0);
    return fw_fail(
        e, FW_EUSAGE,
        "models add '%s': none of its %d outputs has 64 to %d values a row (the first, '%s', has %lld), and it is "
        "no detector of a known kind (scrfd, yunet)",
        p->file, fw_model_outputs(m), FW_VECTOR_MAX, t->name, (long long)row_values(t));
}

/* By the input's size, as in the README's table; other squares are taken for relatives of ArcFace. */
static void choose_template(fw_modeldesc *d)
{
    const fw_template *arc = fw_template_find("arcface112");
    const int w = d->input_width, h = d->input_height;
    if (w == arc->width && h == arc->height) {
        d->crop_template = (char *)"arcface112";
    } else if (w == 96 && h == 112) {
        d->crop_template = (char *)"sphereface";
    } else if (w == 160 && h == 160) {
        d->crop_template = (char *)"box";
        d->box_margin = 32;
    } else {
        d->crop_template = (char *)"points";
        for (int i = 0; i < 10; i++)
            d->point[i] =
                (arc->point[i] + 0.5f) * (float)(i % 2 ? h : w) / (float)(i % 2 ? arc->height : arc->width) - 0.5f;
    }
}

static int read_network(fw_runtime *rt, proposal *p, fw_model **m, fw_err *e)
{
    fw_err first = {0};
    p->d.any_size = true;
    if (!fw_model_open(rt, &p->d, NULL, m, &first)) return FW_OK;
    p->d.nhwc = true;
    if (first.code == FW_EUSAGE && !fw_model_open(rt, &p->d, NULL, m, e)) return FW_OK;
    if (first.code != FW_EUSAGE) return *e = first, first.code;
    e->code = FW_OK;
    return fw_fail(e, FW_EUSAGE, "models add '%s': its input is not one image of 3 channels (nchw or nhwc)", p->file);
}

static int inspect(fw_runtime *rt, const char *file, proposal *p, fw_err *e)
{
    char full[PATH_MAX];
    fw_model *m = NULL;
    if (!realpath(file, full)) return fw_fail_errno(e, "models add '%s'", file);
    const char *slash = strrchr(full, '/'), *dot = strrchr(slash, '.');
    p->file = fw_strdup(full);
    p->name = fw_format("%.*s", (int)(dot ? dot - slash - 1 : (long)strlen(slash + 1)), slash + 1);
    p->d = (fw_modeldesc){.path = p->file, .name = p->name, .file = p->file, .scale = 1, .stride = 32};
    p->d.decoder = (char *)"embedding";
    p->d.get = (char *)"";
    p->d.task = FW_TASK_EMBED;
    FW_TRY(fw_sha256_file(full, p->d.sha256, e));
    FW_TRY(read_network(rt, p, &m, e));
    const fw_tensor_info *in = fw_model_input(m);
    const int h = p->d.nhwc ? 1 : 2;
    p->height = (int)in->dim[h];
    p->width = (int)in->dim[h + 1];
    p->outputs = (size_t)fw_model_outputs(m);
    p->d.input_width = p->width > 0 ? p->width : 112;
    p->d.input_height = p->height > 0 ? p->height : 112;
    p->detector = detector_of(m);
    int rc = p->detector ? FW_OK : choose_output(p, m, e);
    if (!rc && !p->detector && (p->d.input_width > 1024 || p->d.input_height > 1024))
        rc = fw_fail(e, FW_EUSAGE, "models add '%s': an input of %d x %d pixels is no face crop", p->file,
                     p->d.input_width, p->d.input_height);
    fw_model_close(m);
    choose_template(&p->d);
    return rc;
}

static void put_list(fw_buf *b, const char *key, const float *v, int n)
{
    fw_buf_printf(b, "%s = ", key);
    for (int i = 0; i < n; i++) fw_buf_printf(b, "%s%.7g", i ? "," : "", (double)v[i]);
    fw_buf_puts(b, "\n");
}

static void put_input(fw_buf *b, const fw_modeldesc *d, bool bgr, const float mean[3], float scale, const float std[3])
{
    fw_buf_printf(b, "layout = %s\nchannels = %s\n", d->nhwc ? "nhwc" : "nchw", bgr ? "bgr" : "rgb");
    put_list(b, "mean", mean, 3);
    fw_buf_printf(b, "scale = %.9g\n", (double)scale);
    if (std[0] != 1) put_list(b, "std", std, 3);
}

static void describe(const proposal *p, const fw_variant *v, const fw_trial *t, fw_buf *b)
{
    const fw_modeldesc *d = &p->d;
    fw_buf_printf(
        b,
        "; Proposed by `facewash models add` from what the network file says and from trials on photos: verification\n"
        "; accuracy %.2f %%, AUC %.4f. What it cannot know (licence, source) is left to you.\n",
        100 * t->accuracy, t->auc);
    fw_buf_printf(b, "[model]\ntask = embed\nfile = %s\nsha256 = %s\ninput_width = %d\ninput_height = %d\n", d->file,
                  d->sha256, d->input_width, d->input_height);
    put_input(b, d, v->bgr, v->mean, v->scale, v->std);
    fw_buf_printf(b, "decoder = embedding\ntemplate = %s\n", d->crop_template);
    if (!strcmp(d->crop_template, "points")) put_list(b, "points", d->point, 10);
    if (!strcmp(d->crop_template, "box")) fw_buf_printf(b, "box_margin = %g\n", (double)d->box_margin);
    if (d->output) fw_buf_printf(b, "output = %s\n", d->output);
    fw_buf_printf(b, "dim = %d\n", d->dim);
}

static void describe_detector(const proposal *p, fw_buf *b)
{
    const bool scrfd = p->detector == DETECTOR_SCRFD;
    fw_buf_printf(b,
                  "; Proposed by `facewash models add` from the network's outputs.\n[model]\ntask = detect\nfile = %s\n"
                  "sha256 = %s\ninput_width = %d\ninput_height = %d\nstride = 32\n",
                  p->d.file, p->d.sha256, p->width > 0 ? p->width : 0, p->height > 0 ? p->height : 0);
    fw_buf_puts(b, scrfd ? "channels = rgb\nmean = 127.5\nscale = 0.0078125\ndecoder = scrfd\n"
                         : "channels = bgr\nmean = 0\nscale = 1\ndecoder = yunet\n");
    fw_buf_printf(b, "strides = 8,16,32\nscore_threshold = %s\nnms_iou = %s\n", scrfd ? "0.5" : "0.6",
                  scrfd ? "0.4" : "0.3");
}

static int save(const fw_args *a, const fw_buf *text, fw_err *e)
{
    if (!a->out) return printf("\n%s", text->data), FW_OK;
    if (fw_exists(a->out))
        return fw_fail(e, FW_EUSAGE, "models add: '%s' exists already; it is not overwritten", a->out);
    FW_TRY(fw_file_write(a->out, text->data, text->len, e));
    printf("wrote %s; use it with --model %s\n", a->out, a->out);
    return FW_OK;
}

static void tell_input(const proposal *p)
{
    char size[64];
    if (p->width > 0 && p->height > 0)
        snprintf(size, sizeof size, "%d x %d", p->width, p->height);
    else
        snprintf(size, sizeof size, "any size (%d x %d taken)", p->d.input_width, p->d.input_height);
    printf("input      %s, %s\n", p->d.nhwc ? "nhwc" : "nchw", size);
}

/* All variants, a line each; the best into *best. */
static int try_all(fw_runtime *rt, const proposal *p, const fw_faces *f, size_t *best, fw_trial *won, fw_err *e)
{
    printf("%-20s %-4s %9s %7s %6s\n", "pixels", "", "accuracy", "AUC", "apart");
    for (size_t i = 0; i < fw_variant_count; i++) {
        fw_trial t;
        FW_TRY(fw_try(rt, &p->d, &fw_variants[i], f, &t, e));
        FW_TRY(fw_check_stop(e));
        printf("%-20s %-4s %8.2f%% %7.4f %6.2f%s\n", fw_variants[i].pixels, fw_variants[i].bgr ? "bgr" : "rgb",
               100 * t.accuracy, t.auc, t.apart, t.unusable ? "  (some answers are no numbers)" : "");
        if (!i || fw_trial_better(&t, won)) *best = i, *won = t;
    }
    return FW_OK;
}

static int add_embedder(const fw_args *a, fw_runtime *rt, const proposal *p, fw_err *e)
{
    fw_faces f;
    fw_trial won = {0};
    size_t best = 0;
    fw_buf text = {0};
    FW_TRY(fw_faces_load(a, rt, &p->d, &f, e));
    if (p->d.output) printf("output     '%s', the first of %zu that may be an embedding\n", p->d.output, p->outputs);
    printf("embedding  %d values\ntemplate   %s\nfaces      %zu of %zu people, %zu photos without a face\n", p->d.dim,
           p->d.crop_template, f.n, f.labels, f.without);
    int rc = try_all(rt, p, &f, &best, &won, e);
    fw_faces_free(&f);
    if (rc) return rc;
    const fw_variant *v = &fw_variants[best];
    printf("best       %s, %s\n", v->pixels, v->bgr ? "bgr" : "rgb");
    if (won.auc < SEPARATES)
        return fw_fail(e, FW_EFAIL,
                       "models add '%s': in no way tried does the output tell people apart (AUC %.3f; .5 is chance); "
                       "nothing was written. Is it a face embedding, and is its input cut out in another way?",
                       p->file, won.auc);
    printf("it tells people apart\n");
    describe(p, v, &won, &text);
    rc = save(a, &text, e);
    fw_buf_free(&text);
    return rc;
}

static int add_detector(const fw_args *a, const proposal *p, fw_err *e)
{
    fw_buf text = {0};
    printf("a detector, by its %zu outputs: %s\n", p->outputs, p->detector == DETECTOR_SCRFD ? "scrfd" : "yunet");
    describe_detector(p, &text);
    int rc = save(a, &text, e);
    fw_buf_free(&text);
    return rc;
}

/* A file from anywhere may ask for any amount of memory while it is opened ("constant folding"): more than run.memory
 * (and what libraries map, 2 GB) is refused by the system instead of taking the machine down. */
static void limit_memory(const fw_conf *c)
{
#ifndef __SANITIZE_ADDRESS__ /* which maps terabytes of its own */
    struct rlimit l = {.rlim_cur = c->run_memory + ((uint64_t)2 << 30)};
    struct rlimit now;
    if (getrlimit(RLIMIT_AS, &now) || now.rlim_cur < l.rlim_cur) return;
    l.rlim_max = now.rlim_max;
    setrlimit(RLIMIT_AS, &l);
#else
    FW_UNUSED(c);
#endif
}

int fw_models_add(const fw_args *a, const char *file, fw_err *e)
{
    fw_runtime *rt = NULL;
    proposal p = {0};
    if (a->out && fw_exists(a->out))
        return fw_fail(e, FW_EUSAGE, "models add: '%s' exists already; it is not overwritten", a->out);
    limit_memory(a->conf);
    int rc = fw_runtime_open(&rt, e);
    if (!rc) rc = inspect(rt, file, &p, e);
    if (!rc) tell_input(&p);
    if (!rc) rc = p.detector ? add_detector(a, &p, e) : add_embedder(a, rt, &p, e);
    release(&p);
    fw_runtime_close(rt);
    return rc;
}

/* One description: is another way to make the input better than the one it states? */
int fw_models_check_faces(const fw_args *a, const fw_modeldesc *d, fw_err *e)
{
    fw_runtime *rt = NULL;
    fw_faces f = {0};
    fw_trial own = {0}, best = {0};
    const fw_variant *other = NULL;
    int rc = fw_runtime_open(&rt, e);
    if (!rc) rc = fw_faces_load(a, rt, d, &f, e);
    if (!rc) rc = fw_try(rt, d, NULL, &f, &own, e);
    best = own;
    for (size_t i = 0; !rc && i < fw_variant_count; i++) {
        fw_trial t;
        rc = fw_try(rt, d, &fw_variants[i], &f, &t, e);
        if (!rc && fw_trial_better(&t, &best)) best = t, other = &fw_variants[i];
    }
    fw_faces_free(&f);
    fw_runtime_close(rt);
    if (rc) return rc;
    printf("%-20s accuracy %.2f %%, AUC %.4f, apart %.2f\n", d->name, 100 * own.accuracy, own.auc, own.apart);
    if (other)
        return fw_fail(e, FW_EFAIL,
                       "model '%s': %s with channels = %s tells people better apart (accuracy %.2f %%, AUC %.4f, apart "
                       "%.2f) than what %s says (%.2f %%, %.4f, %.2f)",
                       d->name, other->pixels, other->bgr ? "bgr" : "rgb", 100 * best.accuracy, best.auc, best.apart,
                       d->path, 100 * own.accuracy, own.auc, own.apart);
    if (own.auc < SEPARATES)
        return fw_fail(e, FW_EFAIL, "model '%s': its output does not tell people apart (AUC %.3f; .5 is chance)",
                       d->name, own.auc);
    return FW_OK;
}
