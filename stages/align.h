/* align.h: what align.status says, and the frame that align.matrix leads to. Shared by the stages that read them. */
#ifndef FW_ALIGN_H
#define FW_ALIGN_H

#define FW_ALIGN_FRAME "arcface112" /* a template of lib/warp.h */
/* Of each side left away where no face was found: what is usually around the face in datasets that were cropped by a
 * detector's box. */
#define FW_ALIGN_BORDER 0.0625

enum fw_align_status {
    FW_ALIGN_NONE = 0,  /* no crop: nothing after align looks at this image */
    FW_ALIGN_LANDMARKS, /* the usual case */
    FW_ALIGN_MIRRORED,  /* up to version 2: landmarks that fit a mirrored face better; now FW_ALIGN_BOX */
    FW_ALIGN_CENTRE,    /* no face; centre crop (align.missing = centre) */
    FW_ALIGN_AS_IS,     /* the photo is an aligned crop already (align.mode = none) */
    FW_ALIGN_BOX        /* the mean face of the box (lib/landmarks.h): the detector knows no landmarks, or what it says
                           cannot be a face's: mirrored, eyes in one point, eyes below the mouth */
};

#include "../lib/frame.h"

/* The transform to another frame, of a face that align brought into its own: `box` and `landmark` are the target face's
 * (NULL: none). False: they say nothing in that frame. */
bool fw_align_matrix(const fw_frame *f, enum fw_align_status status, const int32_t size[2], const float *box,
                     const float *landmark, float m[6]);

#endif
