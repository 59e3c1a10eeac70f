/* model: run a neural network. The only user of ONNX Runtime (https://onnxruntime.ai).
 *
 *   fw_runtime   one per process: the library's environment (logging). Outlives every model.
 *   fw_model     one per network: weights, checked and optimised once. Read-only, shared by all threads.
 *   fw_runner    one per thread: the input and output tensors, reused from run to run.
 *
 * Threads. A model is ONE session without threads of its own (intra-op = inter-op = 1, no spinning): a run computes on
 * the thread that calls it, and any number of runners may run at once. facewash's parallelism is over images, so a
 * network never competes with it; all threads share one copy of the weights (a session per thread would copy them,
 * packed and unpacked); and since no sum is split over threads, the bytes of a result do not depend on the thread
 * count.
 *
 * Memory. Activations come from one arena of the process. It keeps what it has grown to, the largest concurrent need,
 * so that runs in steady state do not call malloc; the library plans one block per input shape ("memory pattern").
 * Measured, one thread, shipped detector: 43 MB before, 100 MB after 600 photos of random sizes up to 640 x 640, 269 MB
 * after photos without a face, whose enlarged looks are 1280 x 1280. Inputs and outputs are the runner's own, reused
 * while the shape stays.
 *
 * Types. Float32 in and out for the caller; a network that takes or gives float16 is converted to on the way. One
 * input; all outputs are computed, or the one that the description names (`output`), which then is output 0.
 *
 * Files. A network is one file, whose digest the description states: weights that lie in other files ("external data")
 * are refused, because nothing would notice when they change, and because their paths may point anywhere.
 */
#ifndef FW_MODEL_H
#define FW_MODEL_H

#include "modeldesc.h"

#define FW_RANK 6 /* dimensions of a tensor, at most */

typedef struct fw_runtime fw_runtime;
typedef struct fw_model fw_model;
typedef struct fw_runner fw_runner;

typedef struct fw_tensor_info {
    char *name;
    int rank;
    int64_t dim[FW_RANK]; /* -1: any */
    bool half;            /* float16 inside the network */
} fw_tensor_info;

int fw_runtime_open(fw_runtime **out, fw_err *e) FW_MUST_USE;
void fw_runtime_close(fw_runtime *rt); /* after its models; NULL is fine */
const char *fw_runtime_version(void);  /* of the ONNX Runtime library, e.g. "1.21.0"; static */

/* Check the file's SHA-256 against the description, load and optimise it. `provider`: "cpu" or "cuda" (where this build
 * of ONNX Runtime has it and the machine a GPU); NULL means "cpu". `d` is only read during the call. FW_EFAIL: wrong
 * digest, not a readable network, external data, or inputs and outputs that are no floats; FW_EUSAGE: unknown provider,
 * one that the installed library lacks, no output of the name that the description gives, or an input shape that
 * contradicts the description. On failure *out is NULL. */
int fw_model_open(fw_runtime *rt, const fw_modeldesc *d, const char *provider, fw_model **out, fw_err *e) FW_MUST_USE;
void fw_model_close(fw_model *m); /* after its runners; NULL is fine */

const fw_tensor_info *fw_model_input(const fw_model *m);
int fw_model_outputs(const fw_model *m); /* how many */
const fw_tensor_info *fw_model_output(const fw_model *m, int i);
/* Index of the output whose name is `name`, or -1. */
int fw_model_find_output(const fw_model *m, const char *name);
/* Rows per run that the network asks for: 0 when any number goes. Callers loop, and pad the last round with zeros. */
int fw_model_fixed_batch(const fw_model *m);

int fw_runner_open(fw_model *m, fw_runner **out, fw_err *e) FW_MUST_USE;
void fw_runner_close(fw_runner *r); /* NULL is fine */

/* The input tensor, shaped batch x 3 x height x width (nchw) or batch x height x width x 3 (nhwc), for the caller to
 * fill completely. The buffer is 64-byte aligned, belongs to the runner, and keeps its values while the shape stays the
 * same; it is valid until the next call. FW_EUSAGE when the network has a fixed shape and this is another one. */
int fw_runner_input(fw_runner *r, int batch, int height, int width, float **data, fw_err *e) FW_MUST_USE;

/* Compute. FW_EFAIL with the library's own message. */
int fw_runner_run(fw_runner *r, fw_err *e) FW_MUST_USE;

/* Output i of the last run: row-major values and their shape (`shape` may be NULL). Valid until the next run. */
const float *fw_runner_output(const fw_runner *r, int i, fw_tensor_info *shape);

#endif
