#include "model.h"

#include "denormal.h"
#include "half.h"
#include "onnxfile.h"

#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fw_runtime {
    const OrtApi *api;
    OrtEnv *env;
    OrtMemoryInfo *cpu;
};

struct fw_model {
    fw_runtime *rt;
    OrtSession *session;
    char *name;
    bool nhwc;
    fw_tensor_info input;
    int outputs;
    fw_tensor_info *output;
    const char **output_names;
};

/* Inputs and outputs of one thread. Outputs are allocated by the library on the first run of a shape and handed back to
 * it on later ones, so that they are written in place. */
struct fw_runner {
    fw_model *m;
    int batch, height, width; /* current shape; batch 0: none yet */
    float *buffer;
    size_t cap; /* floats in buffer */
    uint16_t *half;
    size_t count, half_cap;
    OrtValue *in;
    OrtValue **out;
    float **wide; /* by output: float16 made float32 */
    size_t *wide_cap;
};

/* Turn the library's status into an error with a context; frees the status. */
static int ort_check(const OrtApi *api, OrtStatus *st, fw_err *e, const char *what, const char *subject)
{
    if (!st) return FW_OK;
    int rc = fw_fail(e, FW_EFAIL, "%s '%s': %s", what, subject, api->GetErrorMessage(st));
    api->ReleaseStatus(st);
    return rc;
}

/* --- runtime ------------------------------------------------------------------------------------------------------ */

/* One arena for all models of the process, with the library's defaults: no limit, blocks that double (0,
 * kNextPowerOfTwo). Blocks as large as asked for would fit no later request of a photo of another size: a detector that
 * saw 60 shapes grew to 381 MB with them, to 269 MB with doubling. Without an arena it is 178 MB and 8 % slower. */
static int register_arena(fw_runtime *rt, fw_err *e)
{
    const OrtApi *api = rt->api;
    FW_TRY(ort_check(api, api->CreateMemoryInfo("Cpu", OrtArenaAllocator, 0, OrtMemTypeDefault, &rt->cpu), e, "start",
                     "ONNX Runtime"));
    OrtArenaCfg *cfg = NULL;
    FW_TRY(ort_check(api, api->CreateArenaCfg(0, 0, -1, -1, &cfg), e, "start", "ONNX Runtime arena"));
    OrtStatus *st = api->CreateAndRegisterAllocator(rt->env, rt->cpu, cfg);
    api->ReleaseArenaCfg(cfg);
    return ort_check(api, st, e, "start", "ONNX Runtime arena");
}

int fw_runtime_open(fw_runtime **out, fw_err *e)
{
    *out = NULL;
    const OrtApi *api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (!api)
        return fw_fail(e, FW_EFAIL,
                       "start ONNX Runtime: library %s is older than its header (API %d); run `make setup`",
                       fw_runtime_version(), ORT_API_VERSION);
    /* Some builds of the library make a device id and a telemetry database in $HOME as soon as an environment exists,
     * before DisableTelemetryEvents can be called: nothing that a nightly job on other people's photos should do. */
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    fw_runtime *rt = FW_NEW(fw_runtime);
    rt->api = api;
    /* whatever fails comes back as a status too: nothing of it is lost by not printing it a second time */
    int rc = ort_check(api, api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "facewash", &rt->env), e, "start", "ONNX Runtime");
    if (!rc) rc = ort_check(api, api->DisableTelemetryEvents(rt->env), e, "start", "ONNX Runtime");
    if (!rc) rc = register_arena(rt, e);
    if (rc)
        fw_runtime_close(rt);
    else
        *out = rt;
    return rc;
}

void fw_runtime_close(fw_runtime *rt)
{
    if (!rt) return;
    if (rt->cpu) rt->api->ReleaseMemoryInfo(rt->cpu);
    if (rt->env) rt->api->ReleaseEnv(rt->env);
    fw_free(rt);
}

const char *fw_runtime_version(void)
{
    return OrtGetApiBase()->GetVersionString();
}

/* --- opening a model ---------------------------------------------------------------------------------------------- */

/* Does the installed library have it? Most builds of ONNX Runtime are for CPUs only. */
static int check_provider(const OrtApi *api, const char *wanted, const char *name, fw_err *e)
{
    char **list = NULL;
    int n = 0;
    bool found = false;
    fw_buf all = {0};
    FW_TRY(ort_check(api, api->GetAvailableProviders(&list, &n), e, "list the providers for model", name));
    for (int i = 0; i < n; i++) {
        found |= !strcmp(list[i], wanted);
        fw_buf_printf(&all, "%s%s", i ? ", " : "", list[i]);
    }
    int rc = ort_check(api, api->ReleaseAvailableProviders(list, n), e, "list the providers for model", name);
    if (!rc && !found)
        rc = fw_fail(
            e, FW_EUSAGE,
            "open model '%s': ONNX Runtime %s as installed has no %s (it has: %s); install a build that has it, or "
            "use --provider cpu",
            name, fw_runtime_version(), wanted, all.data ? all.data : "none");
    fw_buf_free(&all);
    return rc;
}

static int add_provider(const OrtApi *api, OrtSessionOptions *o, const char *provider, const char *name, fw_err *e)
{
    if (!provider || !strcmp(provider, "cpu")) return FW_OK;
    if (strcmp(provider, "cuda"))
        return fw_fail(e, FW_EUSAGE, "open model '%s': unknown provider '%s'; there are cpu and cuda", name, provider);
    FW_TRY(check_provider(api, "CUDAExecutionProvider", name, e));
    OrtCUDAProviderOptionsV2 *cuda = NULL;
    FW_TRY(ort_check(api, api->CreateCUDAProviderOptions(&cuda), e, "use CUDA for model", name));
    OrtStatus *st = api->SessionOptionsAppendExecutionProvider_CUDA_V2(o, cuda);
    api->ReleaseCUDAProviderOptions(cuda);
    if (!st) return FW_OK;
    /* the npm and Debian builds list CUDA, but the part that does it is a library of its own */
    int rc = fw_fail(e, FW_EUSAGE,
                     "open model '%s' with CUDA: the installed ONNX Runtime %s has no working CUDA provider (%.200s); "
                     "install libonnxruntime_providers_cuda.so of that version, or use --provider cpu",
                     name, fw_runtime_version(), api->GetErrorMessage(st));
    api->ReleaseStatus(st);
    return rc;
}

static int set_options(const OrtApi *api, OrtSessionOptions *o, const char *name, fw_err *e)
{
    FW_TRY(ort_check(api, api->SetIntraOpNumThreads(o, 1), e, "set up model", name));
    FW_TRY(ort_check(api, api->SetInterOpNumThreads(o, 1), e, "set up model", name));
    FW_TRY(ort_check(api, api->SetSessionExecutionMode(o, ORT_SEQUENTIAL), e, "set up model", name));
    FW_TRY(ort_check(api, api->SetSessionGraphOptimizationLevel(o, ORT_ENABLE_ALL), e, "set up model", name));
    FW_TRY(
        ort_check(api, api->AddSessionConfigEntry(o, "session.intra_op.allow_spinning", "0"), e, "set up model", name));
    FW_TRY(ort_check(api, api->AddSessionConfigEntry(o, "session.use_env_allocators", "1"), e, "set up model", name));
    return FW_OK;
}

static int read_info(fw_model *m, OrtTypeInfo *type, fw_tensor_info *info, fw_err *e)
{
    const OrtApi *api = m->rt->api;
    const OrtTensorTypeAndShapeInfo *t = NULL;
    ONNXTensorElementDataType elem = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    FW_TRY(ort_check(api, api->CastTypeInfoToTensorInfo(type, &t), e, "inspect model", m->name));
    if (t) FW_TRY(ort_check(api, api->GetTensorElementType(t, &elem), e, "inspect model", m->name));
    info->half = elem == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    if (elem != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && !info->half)
        return fw_fail(e, FW_EFAIL,
                       "open model '%s': '%s' is not a float32 or float16 tensor; convert the model to float32",
                       m->name, info->name);
    FW_TRY(ort_check(api, api->GetDimensionsCount(t, &rank), e, "inspect model", m->name));
    if (rank > FW_RANK)
        return fw_fail(e, FW_EFAIL, "open model '%s': '%s' has %zu dimensions, at most %d are read", m->name,
                       info->name, rank, FW_RANK);
    info->rank = (int)rank;
    return ort_check(api, api->GetDimensions(t, info->dim, rank), e, "inspect model", m->name);
}

/* Name and shape of input (or output) i. */
static int inspect(fw_model *m, bool input, size_t i, fw_tensor_info *info, fw_err *e)
{
    const OrtApi *api = m->rt->api;
    OrtAllocator *alloc = NULL;
    OrtTypeInfo *type = NULL;
    char *name = NULL;
    FW_TRY(ort_check(api, api->GetAllocatorWithDefaultOptions(&alloc), e, "inspect model", m->name));
    OrtStatus *st = input ? api->SessionGetInputName(m->session, i, alloc, &name)
                          : api->SessionGetOutputName(m->session, i, alloc, &name);
    FW_TRY(ort_check(api, st, e, "inspect model", m->name));
    info->name = fw_strdup(name);
    st = api->AllocatorFree(alloc, name);
    FW_TRY(ort_check(api, st, e, "inspect model", m->name));
    st = input ? api->SessionGetInputTypeInfo(m->session, i, &type)
               : api->SessionGetOutputTypeInfo(m->session, i, &type);
    FW_TRY(ort_check(api, st, e, "inspect model", m->name));
    int rc = read_info(m, type, info, e);
    api->ReleaseTypeInfo(type);
    return rc;
}

/* Output number i, unless another one is wanted. */
static int inspect_output(fw_model *m, size_t i, const char *wanted, fw_err *e)
{
    const OrtApi *api = m->rt->api;
    OrtAllocator *alloc = NULL;
    char *name = NULL;
    FW_TRY(ort_check(api, api->GetAllocatorWithDefaultOptions(&alloc), e, "inspect model", m->name));
    FW_TRY(ort_check(api, api->SessionGetOutputName(m->session, i, alloc, &name), e, "inspect model", m->name));
    const bool skip = wanted && strcmp(name, wanted);
    FW_TRY(ort_check(api, api->AllocatorFree(alloc, name), e, "inspect model", m->name));
    if (skip) return FW_OK;
    fw_tensor_info *info = &m->output[m->outputs++];
    FW_TRY(inspect(m, false, i, info, e));
    m->output_names[m->outputs - 1] = info->name;
    return FW_OK;
}

static int inspect_all(fw_model *m, const fw_modeldesc *d, fw_err *e)
{
    const OrtApi *api = m->rt->api;
    size_t inputs = 0, outputs = 0;
    FW_TRY(ort_check(api, api->SessionGetInputCount(m->session, &inputs), e, "inspect model", m->name));
    FW_TRY(ort_check(api, api->SessionGetOutputCount(m->session, &outputs), e, "inspect model", m->name));
    if (inputs != 1 || !outputs)
        return fw_fail(e, FW_EFAIL, "open model '%s': it has %zu inputs and %zu outputs; one input is needed", m->name,
                       inputs, outputs);
    FW_TRY(inspect(m, true, 0, &m->input, e));
    m->output = FW_ARRAY(fw_tensor_info, outputs);
    m->output_names = FW_ARRAY(const char *, outputs);
    for (size_t i = 0; i < outputs; i++) FW_TRY(inspect_output(m, i, d->output, e));
    if (!m->outputs)
        return fw_fail(e, FW_EUSAGE, "open model '%s': none of its %zu outputs is named '%s', as %s says", m->name,
                       outputs, d->output, d->path);
    return FW_OK;
}

/* Does the network take what the description says? */
static int check_input(const fw_model *m, const fw_modeldesc *d, fw_err *e)
{
    const int64_t *dim = m->input.dim;
    int h = d->nhwc ? 1 : 2, c = d->nhwc ? 3 : 1;
    if (m->input.rank != 4 || (dim[c] != 3 && dim[c] != -1))
        return fw_fail(e, FW_EUSAGE, "open model '%s': its input is not an %s image with 3 channels, as %s says",
                       m->name, d->nhwc ? "nhwc" : "nchw", d->path);
    const int want[2] = {d->input_height, d->input_width};
    for (int i = 0; i < 2 && !d->any_size; i++)
        if (dim[h + i] != -1 && dim[h + i] != want[i])
            return fw_fail(e, FW_EUSAGE, "open model '%s': the network's input %s is %lld, %s says %d", m->name,
                           i ? "width" : "height", (long long)dim[h + i], d->path, want[i]);
    return FW_OK;
}

static int load(fw_model *m, const fw_modeldesc *d, const char *provider, fw_err *e)
{
    const OrtApi *api = m->rt->api;
    OrtSessionOptions *o = NULL;
    FW_TRY(ort_check(api, api->CreateSessionOptions(&o), e, "set up model", m->name));
    int rc = set_options(api, o, m->name, e);
    if (!rc) rc = add_provider(api, o, provider, m->name, e);
    if (!rc) rc = ort_check(api, api->CreateSession(m->rt->env, d->file, o, &m->session), e, "load model", d->file);
    api->ReleaseSessionOptions(o);
    return rc;
}

int fw_model_open(fw_runtime *rt, const fw_modeldesc *d, const char *provider, fw_model **out, fw_err *e)
{
    *out = NULL;
    FW_TRY(fw_modeldesc_verify(d, e));
    FW_TRY(fw_onnx_check(d->file, e));
    fw_model *m = FW_NEW(fw_model);
    m->rt = rt;
    m->name = fw_strdup(d->name);
    m->nhwc = d->nhwc;
    int rc = load(m, d, provider, e);
    if (!rc) rc = inspect_all(m, d, e);
    if (!rc) rc = check_input(m, d, e);
    if (rc)
        fw_model_close(m);
    else
        *out = m;
    return rc;
}

void fw_model_close(fw_model *m)
{
    if (!m) return;
    if (m->session) m->rt->api->ReleaseSession(m->session);
    for (int i = 0; i < m->outputs; i++) fw_free(m->output[i].name);
    fw_free(m->output);
    fw_free(m->output_names);
    fw_free(m->input.name);
    fw_free(m->name);
    fw_free(m);
}

const fw_tensor_info *fw_model_input(const fw_model *m)
{
    return &m->input;
}

int fw_model_outputs(const fw_model *m)
{
    return m->outputs;
}

const fw_tensor_info *fw_model_output(const fw_model *m, int i)
{
    return &m->output[i];
}

int fw_model_find_output(const fw_model *m, const char *name)
{
    for (int i = 0; i < m->outputs; i++)
        if (!strcmp(m->output[i].name, name)) return i;
    return -1;
}

int fw_model_fixed_batch(const fw_model *m)
{
    return m->input.dim[0] > 0 ? (int)m->input.dim[0] : 0;
}

/* --- running ------------------------------------------------------------------------------------------------------ */

int fw_runner_open(fw_model *m, fw_runner **out, fw_err *e)
{
    FW_UNUSED(e);
    fw_runner *r = FW_NEW(fw_runner);
    r->m = m;
    r->out = FW_ARRAY(OrtValue *, m->outputs);
    r->wide = FW_ARRAY(float *, m->outputs);
    r->wide_cap = FW_ARRAY(size_t, m->outputs);
    *out = r;
    return FW_OK;
}

static void release_values(fw_runner *r)
{
    const OrtApi *api = r->m->rt->api;
    if (r->in) api->ReleaseValue(r->in);
    r->in = NULL;
    for (int i = 0; i < r->m->outputs; i++) {
        if (r->out[i]) api->ReleaseValue(r->out[i]);
        r->out[i] = NULL;
    }
    r->batch = 0;
}

void fw_runner_close(fw_runner *r)
{
    if (!r) return;
    release_values(r);
    for (int i = 0; i < r->m->outputs; i++) fw_free(r->wide[i]);
    fw_free(r->wide);
    fw_free(r->wide_cap);
    fw_free(r->half);
    fw_free(r->buffer);
    fw_free(r->out);
    fw_free(r);
}

int fw_runner_input(fw_runner *r, int batch, int height, int width, float **data, fw_err *e)
{
    *data = r->buffer;
    if (r->batch == batch && r->height == height && r->width == width) return FW_OK;
    release_values(r);
    const fw_model *m = r->m;
    const int64_t shape[4] = {batch, m->nhwc ? height : 3, m->nhwc ? width : height, m->nhwc ? 3 : width};
    size_t count = 1;
    for (int i = 0; i < 4; i++) {
        if (shape[i] < 1 || (m->input.dim[i] > 0 && m->input.dim[i] != shape[i]))
            return fw_fail(e, FW_EUSAGE, "model '%s': input dimension %d is %lld, the network takes %lld", m->name, i,
                           (long long)shape[i], (long long)m->input.dim[i]);
        count *= (size_t)shape[i];
    }
    if (count > r->cap) {
        fw_free(r->buffer);
        r->buffer = fw_alloc_aligned(count, sizeof(float));
        r->cap = count;
    }
    const OrtApi *api = m->rt->api;
    const bool half = m->input.half;
    r->count = count;
    if (half) fw_reserve(&r->half, &r->half_cap, count, sizeof *r->half);
    OrtStatus *st = api->CreateTensorWithDataAsOrtValue(
        m->rt->cpu, half ? (void *)r->half : r->buffer, count * (half ? sizeof *r->half : sizeof *r->buffer), shape, 4,
        half ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &r->in);
    FW_TRY(ort_check(api, st, e, "make the input of model", m->name));
    r->batch = batch;
    r->height = height;
    r->width = width;
    *data = r->buffer;
    return FW_OK;
}

/* The shape of output i, and how many values it has. */
static int shape_of(const fw_runner *r, int i, fw_tensor_info *shape, size_t *count, fw_err *e)
{
    const OrtApi *api = r->m->rt->api;
    OrtTensorTypeAndShapeInfo *t = NULL;
    size_t rank = 0;
    FW_TRY(ort_check(api, api->GetTensorTypeAndShape(r->out[i], &t), e, "read output of", r->m->name));
    int rc = ort_check(api, api->GetDimensionsCount(t, &rank), e, "read output of", r->m->name);
    if (!rc && rank > FW_RANK) rc = fw_fail(e, FW_EFAIL, "read output of '%s': too many dimensions", r->m->name);
    if (!rc) rc = ort_check(api, api->GetDimensions(t, shape->dim, rank), e, "read output of", r->m->name);
    if (!rc) rc = ort_check(api, api->GetTensorShapeElementCount(t, count), e, "read output of", r->m->name);
    api->ReleaseTensorTypeAndShapeInfo(t);
    shape->name = r->m->output[i].name;
    shape->half = r->m->output[i].half;
    shape->rank = (int)rank;
    return rc;
}

static int widen(fw_runner *r, int i, fw_err *e)
{
    const OrtApi *api = r->m->rt->api;
    fw_tensor_info shape;
    size_t count;
    void *data;
    FW_TRY(shape_of(r, i, &shape, &count, e));
    FW_TRY(ort_check(api, api->GetTensorMutableData(r->out[i], &data), e, "read output of", r->m->name));
    fw_reserve(&r->wide[i], &r->wide_cap[i], count, sizeof **r->wide);
    fw_half_to_float(data, r->wide[i], count);
    return FW_OK;
}

int fw_runner_run(fw_runner *r, fw_err *e)
{
    const fw_model *m = r->m;
    const char *input_name = m->input.name;
    if (!r->in) return fw_fail(e, FW_EFAIL, "run model '%s': no input was set", m->name);
    if (m->input.half) fw_float_to_half(r->buffer, r->half, r->count);
    const uint64_t mode = fw_denormals_off(); /* one intra-op thread: this one computes */
    OrtStatus *st = m->rt->api->Run(m->session, NULL, &input_name, (const OrtValue *const *)&r->in, 1, m->output_names,
                                    (size_t)m->outputs, r->out);
    fw_denormals_restore(mode);
    FW_TRY(ort_check(m->rt->api, st, e, "run model", m->name));
    for (int i = 0; i < m->outputs; i++)
        if (m->output[i].half) FW_TRY(widen(r, i, e));
    return FW_OK;
}

const float *fw_runner_output(const fw_runner *r, int i, fw_tensor_info *shape)
{
    const OrtApi *api = r->m->rt->api;
    void *data = NULL;
    size_t count;
    fw_err e = {0};
    if (i < 0 || i >= r->m->outputs || !r->out[i]) return NULL;
    if (r->m->output[i].half)
        data = r->wide[i];
    else if (ort_check(api, api->GetTensorMutableData(r->out[i], &data), &e, "read output of", r->m->name))
        return NULL;
    return shape && shape_of(r, i, shape, &count, &e) ? NULL : data;
}
