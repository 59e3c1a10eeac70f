/* look: one photo at a time through detect, align and embed, outside of any workspace: what verify, identify and enrol
 * see. The stages themselves run (extract.c holds the tray they work on), with the settings they have in a run, so a
 * photo's embedding has the same bytes here and in a workspace, whatever models and settings there are.
 *
 * Threads: one fw_look, `workers` of them may look at once, each with its own number and its own fw_sight.
 */
#ifndef FW_LOOK_H
#define FW_LOOK_H

#include "stage.h"

typedef struct fw_look fw_look;

typedef struct fw_sight_face {
    float box[4]; /* x0 y0 x1 y1 in photo pixels; the whole photo where no detector was asked */
    float score;  /* detector's, 0..1; 0 where none was asked */
    bool valid;   /* there is an embedding */
} fw_sight_face;

/* Zero-initialise once, reuse, fw_sight_free at the end. */
typedef struct fw_sight {
    enum fw_img_status status;
    char why[FW_IMG_WHY]; /* why it is unreadable or unsupported; else "" */
    int width, height;    /* of the upright photo; 0 0 if unreadable */
    int faces, target;    /* target: the face that the photo is about, -1: none */
    fw_sight_face *face;  /* best detector score first */
    float *vec;           /* faces x dim, unit length, of those that are valid */
    size_t face_cap, vec_cap;
} fw_sight;

/* Loads the models. `photos` says what kind of source the photos come from (a source of embeddings needs no model); it
 * is borrowed and must outlive the look. FW_EUSAGE, FW_EFAIL: as the stages say. */
int fw_look_open(const fw_conf *c, const fw_source *photos, int workers, fw_look **out, fw_err *e) FW_MUST_USE;
void fw_look_close(fw_look *l); /* NULL is fine */
int fw_look_dim(const fw_look *l);

/* Look at the record `key` of `src`. `all`: embed every face, else the target alone. A photo that cannot be read is a
 * status, not an error. */
int fw_look_at(fw_look *l, int worker, const fw_source *src, const char *key, bool all, fw_sight *out,
               fw_err *e) FW_MUST_USE;
/* The embedding of a face (dim floats), NULL when it has none or `face` is -1. */
const float *fw_sight_vec(const fw_look *l, const fw_sight *s, int face);
void fw_sight_free(fw_sight *s);

#endif
