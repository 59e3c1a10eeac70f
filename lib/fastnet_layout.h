/* fastnet_layout: a network of fastnet laid out for one size of input: sizes of all values, where they lie, and in
 * which steps they are made.
 *
 * Layers that form a chain, each the only reader of the one before, are a group, and a large group is computed in
 * strips: some lines of its last value at a time, with the lines of the others that those need. What lies between the
 * layers then never leaves the second-level cache, and takes the memory of a strip: such a value `rolls`, its buffer
 * holds a window of lines that moves down. (Shipped detector at 256 x 256: the first 10 layers pass 10 MB between each
 * other.)
 */
#ifndef FW_FASTNET_LAYOUT_H
#define FW_FASTNET_LAYOUT_H

#include "fastnet_net.h"

/* Where a value lies; a slice lies in its whole. */
typedef struct fw_spot {
    int height, width;
    size_t pitch;  /* pixels from line to line */
    int lines;     /* that the buffer holds, the border's too */
    bool rolls;    /* these are not all */
    int group;     /* that makes it */
    int until;     /* the last group that reads it */
    size_t offset; /* in the arena, bytes */
} fw_spot;

typedef struct fw_group {
    int first, last; /* layers; -1: the input, whose "layer" is laying it out */
    int strip;       /* lines of the last one's result at a time */
} fw_group;

/* Memory for values of one shape, one after the other; so their border is always the same zeros. */
typedef struct fw_buffer {
    int value; /* the first one, whose shape they all have */
    int busy;  /* last group that reads the present one */
    size_t offset, bytes;
} fw_buffer;

typedef struct fw_layout {
    int height, width;
    fw_spot *spot; /* of each value */
    fw_group *group;
    fw_buffer *buffer;
    int groups, buffers;
    size_t bytes;   /* of all buffers */
    size_t scratch; /* bytes for Winograd's algorithm, behind them */
} fw_layout;

/* FW_EUSAGE: a layer cannot do this size; *p needs fw_layout_free in any case. */
int fw_layout_make(const fw_fastnet *n, int height, int width, fw_layout *p, fw_err *e) FW_MUST_USE;
void fw_layout_free(fw_layout *p);

/* The value that layer i makes; 0 for -1. */
int fw_layer_result(const fw_fastnet *n, int i);
/* First line of layer i's source that its result needs from line y on; the border's lines are -1 and less. */
int fw_layer_from(const fw_fastnet *n, int i, int y);
/* How many lines (of the picture) of its source layer i needs for `lines` of its result. */
int fw_layer_needs(const fw_fastnet *n, const fw_layout *p, int i, int lines);
/* Bytes of a channel of a value, and bytes from its buffer's begin to line `slot`, pixel x (which may be a border's).
 */
size_t fw_value_size(const fw_fastnet *n, int value);
size_t fw_value_at(const fw_fastnet *n, const fw_layout *p, int value, int slot, int x);

#endif
