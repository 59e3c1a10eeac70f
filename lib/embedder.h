/* embedder: turn aligned face crops into embeddings, vectors whose cosine says how alike two faces are.
 *
 * Crops are what lib/warp.h makes for the model's template (fw_modeldesc.crop_template): interleaved RGB bytes of
 * exactly input_width x input_height. Colour order, mean and scale are the description's. Embeddings come out in
 * float32 with unit length (or all zeros, see `ok`), in the order of the crops; a row's bytes do not depend on its
 * neighbours, on n or on the number of threads. Where the description says flip = concat, an embedding is the crop's
 * and the mirrored crop's, one behind the other.
 */
#ifndef FW_EMBEDDER_H
#define FW_EMBEDDER_H

#include "model.h"

typedef struct fw_embedder_opts {
    int batch; /* crops per run of the network; 0: 1 on a CPU, where more gains nothing (see embedder.c), else 32 */
    bool flip; /* flip = none in the description: add the mirrored crop's embedding before normalising: twice the time,
                  a little more accurate */
    const char *provider; /* see fw_model_open; NULL: "cpu" */
    bool bf16;            /* by lib/fastnet.h in bf16: cosine to fp32 above .9995; FW_EUSAGE where it cannot */
} fw_embedder_opts;

typedef struct fw_embedder fw_embedder;               /* shared, read-only */
typedef struct fw_embedder_worker fw_embedder_worker; /* one per thread */

/* `opts` may be NULL. FW_EUSAGE: not an embedding model, or its output is not batch x dim; FW_EFAIL: see fw_model_open.
 */
int fw_embedder_open(fw_runtime *rt, const fw_modeldesc *d, const fw_embedder_opts *opts, fw_embedder **out,
                     fw_err *e) FW_MUST_USE;
void fw_embedder_close(fw_embedder *m); /* after its workers */
int fw_embedder_dim(const fw_embedder *m);
int fw_embedder_width(const fw_embedder *m); /* of a crop, pixels */
int fw_embedder_height(const fw_embedder *m);

int fw_embedder_worker_open(fw_embedder *m, fw_embedder_worker **out, fw_err *e) FW_MUST_USE;
void fw_embedder_worker_close(fw_embedder_worker *w);

/* crops: n x height x width x 3 bytes. out: n x dim floats. ok: n bytes, 1 where the row is an embedding, 0 where the
 * network answered zeros, infinities or NaN; such a row is filled with zeros and takes part in nothing. */
int fw_embed(fw_embedder_worker *w, const uint8_t *crops, int n, float *out, uint8_t *ok, fw_err *e) FW_MUST_USE;
/* The same; norm (n floats) receives the length of each crop's own vector before it was scaled: mean square of the two
 * when the mirrored crop takes part. Of networks trained with a margin that follows it, it says how good the photo is
 * (Q. Meng et al., "MagFace: A Universal Representation for Face Recognition and Quality Assessment", CVPR 2021). */
int fw_embed_norm(fw_embedder_worker *w, const uint8_t *crops, int n, float *out, uint8_t *ok, float *norm,
                  fw_err *e) FW_MUST_USE;

#endif
