/* people: the gallery that identify matches against, opened from disk.
 *
 * `--gallery DIR` is a workspace or a gallery that `enrol` made. A workspace brings its FAISS index and its people: by
 * default those of the cleaned set (removed images are not matched; relabelled, merged and split ones stand under their
 * final label), with `raw` all images under their original labels; and what was enrolled into it, DIR/gallery.
 *
 * Its settings. A gallery was embedded with certain models. They are taken over from it (from the newest result of each
 * stage of a workspace, from the recipe that a gallery keeps), so nothing need be repeated; a setting that the command
 * line gives explicitly stays, and when it makes other embeddings the gallery is refused, with what differs.
 */
#ifndef FW_PEOPLE_H
#define FW_PEOPLE_H

#include "../index/gallery.h"
#include "../index/matcher.h"
#include "../lib/intern.h"
#include "calibration.h"
#include "command.h"

typedef struct fw_people {
    fw_store *store; /* of a workspace, else NULL */
    fw_run *run;
    fw_gallery *gallery; /* enrolled people, or NULL */
    fw_matcher *matcher;
    fw_intern names;    /* text of a person's label */
    uint32_t *label[2]; /* by row: of the workspace, of the gallery */
    int work, enrolled; /* which part of the matcher they are, -1: none */
    fw_calibration calibration;
} fw_people;

/* Settings of a->conf are changed as said above. Free with fw_people_close. */
int fw_people_open(const fw_args *a, const char *dir, bool raw, fw_people *out, fw_err *e) FW_MUST_USE;
void fw_people_close(fw_people *p);
/* The people of a workspace's cleaned set: label[row] (v->n of them), a number of `names` (LABEL, or LABEL#2 for a second
 * person), FW_NONE for what is not kept. */
int fw_people_cleaned(fw_task *t, const fw_view *v, fw_intern *names, uint32_t *label, fw_err *e) FW_MUST_USE;
/* Key of an image; not NUL-terminated, length in *n. */
const char *fw_people_path(fw_people *p, size_t part, size_t row, size_t *n);

/* Where `enrol` puts people: DIR/gallery in a workspace, else DIR. Settings are taken over as above; *recipe is what
 * the gallery must keep. The caller frees both. */
int fw_people_place(const fw_args *a, const char *dir, char **root, char **recipe, fw_err *e) FW_MUST_USE;
/* Take over the settings of a workspace's newest results alone, for a command that only looks at photos. */
int fw_people_adopt(const fw_args *a, const char *work, fw_err *e) FW_MUST_USE;

#endif
