/* quality: how good a face's picture is for recognition, as eight plain measures and one score.
 *
 * It ranks and filters: which of several near-duplicates to keep, which faces are too poor to train on. It needs no
 * network, so it also works where the embedding itself cannot be trusted. Measures are of the 112 x 112 aligned crop
 * ("arcface112"), in the part that shows the face and not its surroundings or a black border: columns 20..91, rows
 * 28..107. Luma is 0.299 R + 0.587 G + 0.114 B, 0..255.
 */
#ifndef FW_QUALITY_H
#define FW_QUALITY_H

#include "warp.h"

typedef struct fw_quality {
    float sharpness;  /* see below; 20 is a typical press photo, 7.5 a face that was 28 pixels wide */
    float brightness; /* mean luma, 0..255 */
    float contrast;   /* standard deviation of luma, 0..127.5 */
    float eyes;       /* distance of the eyes in pixels of the full-size photo */
    float det_score;  /* the detector's, 0..1 */
    fw_pose pose;     /* degrees, from the landmarks */
} fw_quality;

/* Measure a 112 x 112 RGB crop. `landmarks` are those that it was cut with (full-size pixels).
 *
 * sharpness = variance of the 4-neighbour Laplacian / standard deviation, both of luma, the Laplacian on 2 x 2 block
 * means. The blocks take out most sensor noise and JPEG ringing, which the Laplacian of single pixels takes for detail;
 * dividing takes out contrast and light. Chosen on 350 LFW faces and one degraded copy of each (face width cut to 112,
 * 64, 40 or 28 pixels and enlarged again, noise to sigma 8, JPEG quality 60-95, a bar over the eyes of one in ten). AUC
 * is for telling originals from copies of 28 (40) pixels; rho is Spearman's, over copies without a bar, with the cosine
 * between the embeddings of copy and original:
 *     Laplacian variance, single pixels  AUC .833 (.701)  rho .474     on 2 x 2 blocks  AUC .938 (.737)  rho .650
 *     the latter / variance              AUC .936 (.787)  rho .605     / std (this one) AUC .964 (.796)  rho .694
 * It does not see occlusion: a bar over the eyes has sharp edges and scores well, although it costs the embedding more
 * (median cosine .59) than 28 pixels do (.83). */
fw_quality fw_quality_measure(const uint8_t *crop, const float landmarks[10], float det_score);

/* All measures as one number, 0..1, higher is better: the product of one factor per measure, so a single bad one is
 * enough. Every factor is strictly monotone and is 1/2 at a stated "half" point; with rise(x, h) = x^2 / (x^2 + h^2)
 * and fall(x, h) = h^2 / (x^2 + h^2):
 *     rise(sharpness, 7.5)       median of LFW faces that had been 28 pixels wide
 *     rise(eyes, 12)             the crop is enlarged 3 times: no detail left
 *     rise(contrast, 8)          below all of LFW (minimum 19): fog, or a flat surface
 *     rise(brightness, 25)       below all of LFW (minimum 46)
 *     rise(255 - brightness, 20) burnt out
 *     rise(det_score, 0.5) * 1.25, so that 1 gives 1
 *     fall(yaw, 50) fall(pitch, 40)    beyond these half of the face is hidden
 *     fall(roll, 90)             alignment undoes roll: only a sign of wrong landmarks
 * Better means: larger, but brightness is best in the middle (factors on both sides) and angles are best at 0. Not
 * finite counts as worst. */
float fw_quality_score(const fw_quality *q);

#endif
