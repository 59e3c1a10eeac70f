/* source_bin: InsightFace's verification sets (lfw.bin, cfp_fp.bin, agedb_30.bin): a Python pickle of (images, same),
 * images a list of 2 N byte strings (encoded files), same a list of N booleans; images 2i and 2i + 1 are pair i.
 *
 * A pickle is a program. This reader is no pickle machine: it accepts the few opcodes that such a tuple of two lists
 * needs, in protocols 2 to 5, and refuses all others by name and offset, above all those that import or call something.
 * Records are images by number, without labels.
 */
#ifndef FW_SOURCE_BIN_H
#define FW_SOURCE_BIN_H

#include "base.h"

typedef struct fw_bin_image {
    uint64_t offset, bytes;
} fw_bin_image;

typedef struct fw_bin {
    fw_bin_image *image; /* 2 * pairs, where they lie in the file */
    uint8_t *same;       /* pairs: 1 same person */
    size_t pairs;
} fw_bin;

/* The index of a file: 16 bytes per image, however long the images. */
int fw_bin_read(const char *path, fw_bin *out, fw_err *e);
void fw_bin_free(fw_bin *b);

/* For `eval verification --pairs bin:FILE` on a dataset read from the same file (run --input bin:FILE): the keys of
 * pair i in the workspace are the numbers 2i and 2i + 1 in decimal, and same[i] says whether they are one person. */

#endif
