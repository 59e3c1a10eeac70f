/* landmarks: five points that are missing or cannot be true. Points are as in lib/detector.h: x, y of the left eye, the
 * right eye, the nose, the left and the right mouth corner as seen in the photo, pixel-centred. */
#ifndef FW_LANDMARKS_H
#define FW_LANDMARKS_H

#include "base.h"

/* Where the points of a face usually lie in a detector's box: what a detector without landmarks is completed with, and
 * what stands in for landmarks that are not sane. The alignment is then as good as the box: no rotation, no pose. */
void fw_landmarks_of_box(const float box[4], float out[10]);

/* Why five points cannot be those of a face: */
enum fw_landmark_fault {
    FW_LANDMARKS_SANE = 0,
    FW_LANDMARKS_EYES,   /* the eyes are (nearly) one point: no direction to turn to */
    FW_LANDMARKS_UPSIDE, /* the eyes lie below the mouth, seen along the line from eye to eye: left and right, or up and
                            down, were taken for each other (a face that stands on its head has both, and is sane) */
    FW_LANDMARKS_ODD     /* not finite, or far outside of the box */
};
enum fw_landmark_fault fw_landmarks_check(const float box[4], const float landmark[10]);

/* Groups of a larger set of points that make the five, as in a model description: "36-41;42-47;30;48;54". */
typedef struct fw_five {
    int first[5], last[5];
} fw_five;
/* False when the text is not five groups of numbers below `points`. */
bool fw_five_parse(const char *text, int points, fw_five *out);
/* `point`: x, y of each. */
void fw_five_take(const fw_five *five, const float *point, float out[10]);

#endif
