/* align.h: what align.status says. Shared by the stages that read it. */
#ifndef FW_ALIGN_H
#define FW_ALIGN_H

enum fw_align_status {
    FW_ALIGN_NONE = 0,  /* no crop: nothing after align looks at this image */
    FW_ALIGN_LANDMARKS, /* the usual case */
    FW_ALIGN_MIRRORED,  /* landmarks fit a mirrored face better (extreme profile): the best rotation was taken */
    FW_ALIGN_CENTRE,    /* no face; centre crop (align.missing = centre) */
    FW_ALIGN_AS_IS      /* the photo is an aligned crop already (align.mode = none) */
};

#endif
