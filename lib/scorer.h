/* scorer: a network that says how good a face crop is for recognition, as one number (face image quality assessment:
 * SER-FIQ's, SDD-FIQA's, CR-FIQA's students and their kind). Its answer is mapped to 0..1 by the description's `range`.
 */
#ifndef FW_SCORER_H
#define FW_SCORER_H

#include "model.h"

typedef struct fw_scorer fw_scorer;               /* shared, read-only */
typedef struct fw_scorer_worker fw_scorer_worker; /* one per thread */

/* FW_EUSAGE: not a quality model, or its answer is not one number; FW_EFAIL: see fw_model_open. */
int fw_scorer_open(fw_runtime *rt, const fw_modeldesc *d, const char *provider, fw_scorer **out, fw_err *e) FW_MUST_USE;
void fw_scorer_close(fw_scorer *s); /* after its workers */

int fw_scorer_worker_open(fw_scorer *s, fw_scorer_worker **out, fw_err *e) FW_MUST_USE;
void fw_scorer_worker_close(fw_scorer_worker *w);

/* crop: input_height x input_width x 3 bytes. *score: 0..1; 0 when the network answers no number. */
int fw_score(fw_scorer_worker *w, const uint8_t *crop, float *score, fw_err *e) FW_MUST_USE;

/* `v` as a share of the way from range[0] to range[1], cut to 0..1; 0 for what is no number. */
float fw_range_share(const float range[2], float v);

#endif
