/* detector: find faces and their five landmarks in a photo.
 *
 * A single-shot detector looks at the whole photo once. On a grid of cells of `stride` pixels it scores square
 * "anchors" of fixed sizes and corrects the box and the landmarks of each; overlapping answers are thinned by
 * non-maximum suppression. A cascade proposes windows and looks at each again, closer. One file per family,
 * detector_NAME.c; another one is a file and a row in the decoder table of detector.c:
 *   retinaface  Deng et al., "RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild", CVPR 2020
 *   scrfd, yunet, mtcnn  see their files
 *
 * Looks. First look: the photo shrunk so that its long side is `size` (never enlarged), padded right and below to a
 * multiple of the model's stride with black. Only if that finds no face, further looks are tried in this order, and the
 * first that finds one counts:
 *   1. half the first look's scale with a border of half its size on every side, for a face that overfills the
 *      photo: with surroundings it is one. Only faces of at least half the photo's shorter side count here.
 *      (60 LFW faces cropped to 55 % of their box, 640 pixels: all found, 47 of the boxes right; the first look
 *      finds something in 45, the right box in 6.)
 *   2. larger: the long side at `second_size`, at most twice the photo's size, for small faces; only faces below 48
 *      pixels of the first look count. (60 LFW faces pasted into photos of 640 pixels, right boxes at the first look
 *      and at this one: 24 pixels 36 and 60; 16 pixels 1 and 55; 12 pixels 0 and 32.)
 *
 * A face that just fills the photo needs neither: of 960 crops of 70 % to 130 % of the box at 64 to 1500 pixels, the
 * first look finds 959. So a photo with a face costs one look, and only those without any cost three.
 *
 * Tiles (`tile` pixels; off by default) are for crowds: after the first look, whatever it found, the photo is cut into
 * squares of that side at the size it was decoded at, each of which overlaps the next by a quarter and is looked at as
 * it is. What a tile finds counts if it is no larger than the overlap (then some tile holds it whole) and does not
 * touch an edge where the photo goes on; all answers together are suppressed with the same IoU.
 *
 * Coordinates are those of the FULL-size photo in pixels, whatever size it was decoded at (fw_image.full_width), and
 * pixel-centred as OpenCV's and the alignment templates' are: (0,0) is the centre of the top left pixel.
 *
 * Order: descending score, then box x0, then y0: the same photo gives the same bytes on every run.
 */
#ifndef FW_DETECTOR_H
#define FW_DETECTOR_H

#include "image.h"
#include "model.h"

enum fw_points {
    FW_POINTS_SEEN = 0, /* the detector found the landmarks */
    FW_POINTS_NONE,     /* the detector knows none: they are the mean face of the box (lib/landmarks.h) */
    FW_POINTS_MODEL     /* a landmark model found them (lib/landmarker.h) */
};

typedef struct fw_face {
    float box[4];       /* x0, y0, x1, y1; clipped to the photo */
    float score;        /* probability, 0..1 */
    float landmark[10]; /* x, y of: left eye, right eye, nose, left and right mouth corner, as seen in the photo */
    enum fw_points points;
} fw_face;

typedef struct fw_detector_opts {
    int size;             /* long side of the first look in pixels; 0: 640 */
    int second_size;      /* long side of the enlarged look; 0: 1280; -1: never look a second time */
    float threshold;      /* score from which an answer is a face; 0: the model description's */
    float nms_iou;        /* 0: the model description's */
    int max_faces;        /* faces kept per photo, the best; 0: 256 */
    int tile;             /* side of a tile in decoded pixels; 0: none */
    bool plain;           /* by ONNX Runtime even where lib/fastnet.h could (to compare them) */
    const char *provider; /* see fw_model_open; NULL: "cpu" */
} fw_detector_opts;

typedef struct fw_detector fw_detector;               /* shared, read-only */
typedef struct fw_detector_worker fw_detector_worker; /* one per thread */

/* `opts` may be NULL (all defaults). FW_EUSAGE: not a detector, unknown decoder, or outputs that the decoder cannot
 * read; FW_EFAIL: see fw_model_open. The description is copied as far as needed. */
int fw_detector_open(fw_runtime *rt, const fw_modeldesc *d, const fw_detector_opts *opts, fw_detector **out,
                     fw_err *e) FW_MUST_USE;
void fw_detector_close(fw_detector *d); /* after its workers */

int fw_detector_worker_open(fw_detector *d, fw_detector_worker **out, fw_err *e) FW_MUST_USE;
void fw_detector_worker_close(fw_detector_worker *w);

/* Find faces: fills out[0..*n-1], *n <= max and <= max_faces, best first. No face is not an error (*n == 0).
 * FW_EFAIL only when the network itself fails. `looks` (may be NULL) receives the number of looks taken, 1..3. */
int fw_detect(fw_detector_worker *w, const fw_image *img, fw_face *out, int max, int *n, int *looks,
              fw_err *e) FW_MUST_USE;

/* Which of n faces is the label about? The most central large one: with A a face's box area, c the distance between its
 * centre and the photo's and D half the photo's diagonal, the face with the greatest A * (1 - c/D)^2; of equals the
 * first. Example: a face in the centre wins over one at three quarters of the way to an edge unless that has 2.6 times
 * its area (square photo). w x h is the full-size photo. -1 if n is 0. */
int fw_target_face(const fw_face *faces, int n, int w, int h);

/* Intersection over union of two boxes (x0,y0,x1,y1), 0..1. */
float fw_box_iou(const float a[4], const float b[4]);

#endif
