/* export_set: a dataset written out again, as a whole, in one of several forms (--format dir|rec|tar|tsv|list).
 *
 *   export_set.c   which images, under which label; reading them in parallel; a staging folder that is moved into place
 *   export_rec.c, export_tar.c, export_dir.c, export_text.c   one form each, behind fw_set_format
 *
 * The bytes of an image go out as they came in. An image that cannot be read is left out and counted. Calls of a
 * format: begin, put for every image in order from one thread, then finish or, after any error, abandon; both free its
 * state.
 */
#ifndef FW_EXPORT_SET_H
#define FW_EXPORT_SET_H

#include "../lib/file.h"
#include "command.h"

typedef struct fw_set_image {
    uint64_t number;   /* 0, 1, 2 ... of the images written */
    const char *key;   /* in the source */
    const char *label; /* "": none */
    uint32_t identity; /* number of the label, from 0 without gaps in order of first writing; FW_NO_LABEL: none */
    const char *bytes; /* NULL when the format does not ask for them */
    size_t n;
    const char *ext;   /* "jpg": by content, "bin" when that tells nothing, "" without bytes */
    const char *place; /* absolute path of a file of its own, else the key */
    const char *file;  /* the same, or NULL when the image lies inside another file */
} fw_set_image;

typedef struct fw_set {
    const fw_conf *conf;
    const char *dir;   /* the staging folder */
    const char **name; /* of the identities seen so far */
    uint32_t identities;
    uint64_t images; /* written so far */
    void *state;
} fw_set;

typedef struct fw_set_format {
    const char *name;
    bool bytes;                                  /* wants the image's bytes */
    bool grouped;                                /* wants one identity after the other, and no image without a label */
    bool (*mine)(const char *name, bool folder); /* does a file of this name in the target belong to such a set? */
    int (*begin)(fw_set *s, fw_err *e);
    int (*put)(fw_set *s, const fw_set_image *im, fw_err *e);
    int (*finish)(fw_set *s, fw_err *e);
    void (*abandon)(fw_set *s);
} fw_set_format;

extern const fw_set_format fw_set_rec, fw_set_tar, fw_set_dir, fw_set_tsv, fw_set_list;

/* NULL: not the name of one. */
const fw_set_format *fw_set_format_find(const char *name);
/* Write the cleaned dataset (with a->all: every image under its original label) into folder `dir`. What is there
 * already is left alone, or replaced with a->force. */
int fw_export_set(fw_run *r, const fw_args *a, const fw_set_format *format, const char *dir, fw_err *e);

#endif
