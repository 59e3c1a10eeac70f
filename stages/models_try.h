/* models_try: does an embedding network tell people apart when its input is made in this way or that? A wrong channel
 * order or scale costs accuracy without any error, so it is measured: on labelled photos, by the similarities of pairs.
 */
#ifndef FW_MODELS_TRY_H
#define FW_MODELS_TRY_H

#include "../index/verification.h"
#include "../lib/frame.h"
#include "../lib/model.h"
#include "command.h"

/* Crops of labelled faces in one frame, packed RGB. */
typedef struct fw_faces {
    fw_frame frame;
    size_t n, cap, without; /* faces; photos in which no face was found */
    uint32_t *label;
    size_t labels;
    uint8_t *crop;
} fw_faces;

/* The target face of each photo of `--input`, or of the demo photos, at most 20 of each of the first 40 identities, cut
 * out as `d` says. FW_EUSAGE when there are fewer than two identities with two faces. */
int fw_faces_load(const fw_args *a, fw_runtime *rt, const fw_modeldesc *d, fw_faces *out, fw_err *e);
void fw_faces_free(fw_faces *f);

/* One way to make the input. */
typedef struct fw_variant {
    const char *pixels; /* the part of a description, for people: "(x - 127.5) / 128" */
    bool bgr;
    float mean[3], scale, std[3];
} fw_variant;
extern const fw_variant fw_variants[];
extern const size_t fw_variant_count;

typedef struct fw_trial {
    double accuracy, auc; /* over all genuine pairs and as many impostor pairs, 10 folds */
    double apart;         /* distance of the two means in standard deviations (pooled): tells two perfect AUC apart */
    size_t unusable;      /* faces whose answer was zeros, infinities or NaN */
} fw_trial;

/* Runs the network of `d` over the faces, its input made as `v` says (NULL: as `d` says). */
int fw_try(fw_runtime *rt, const fw_modeldesc *d, const fw_variant *v, const fw_faces *f, fw_trial *out, fw_err *e);
/* Is `a` better than `b` by more than chance would make it? */
bool fw_trial_better(const fw_trial *a, const fw_trial *b);

/* models_add.c */
int fw_models_add(const fw_args *a, const char *file, fw_err *e);
int fw_models_check_faces(const fw_args *a, const fw_modeldesc *d, fw_err *e);

#endif
