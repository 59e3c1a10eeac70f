#include "embedder.h"

#include "fastnet.h"
#include "planar.h"

#include <math.h>
#include <string.h>

struct fw_embedder {
    fw_model *model;
    fw_fastnet *fast; /* instead of the model, where it can run it */
    char *name;
    fw_planar format;
    int width, height;
    int dim;     /* of the network's answer; the embedding's is twice that with flip = concat */
    int batch;   /* crops per run */
    bool padded; /* the network takes exactly `batch` rows */
    enum fw_model_flip flip;
};

struct fw_embedder_worker {
    fw_embedder *m;
    fw_runner *runner;
    fw_fastnet_worker *fast;
    float *input; /* of fast */
};

static int check_desc(const fw_modeldesc *d, fw_err *e)
{
    if (d->task != FW_TASK_EMBED)
        return fw_fail(e, FW_EUSAGE, "open embedder '%s': %s describes no embedding model (task = embed)", d->name,
                       d->path);
    if (strcmp(d->decoder, "embedding"))
        return fw_fail(e, FW_EUSAGE, "%s: unknown decoder '%s' for an embedding model; there is: embedding", d->path,
                       d->decoder);
    return FW_OK;
}

/* The first output must hold `dim` values per row. */
static int check_output(const fw_embedder *m, fw_err *e)
{
    const fw_tensor_info *t = fw_model_output(m->model, 0);
    int64_t per_row = 1;
    for (int i = 1; i < t->rank; i++) per_row *= t->dim[i];
    if (t->rank >= 1 && t->dim[0] == m->dim && t->rank == 1 && fw_model_fixed_batch(m->model) == 1) return FW_OK;
    if (t->rank >= 2 && (per_row == m->dim || per_row <= 0)) return FW_OK;
    return fw_fail(e, FW_EUSAGE, "open embedder '%s': the network's output '%s' has %lld values per row, dim is %d",
                   m->name, t->name, t->rank < 2 ? 1LL : (long long)per_row, m->dim);
}

/* On a CPU one crop per run is as fast as many and needs the least memory (shipped network, CPU time per face: 3.6 ms
 * alone, 3.7, 3.6 and 3.9 in batches of 2, 4 and 8). */
static void choose_batch(fw_embedder *m, const fw_embedder_opts *o)
{
    const int fixed = fw_model_fixed_batch(m->model);
    const bool cpu = !o || !o->provider || !strcmp(o->provider, "cpu");
    m->padded = fixed > 0;
    m->batch = fixed ? fixed : o && o->batch > 0 ? o->batch : cpu ? 1 : 32;
}

/* fastnet where it can run this network on this CPU, else ONNX Runtime; bf16 must be possible. Times as fast as the
 * published network in ONNX Runtime, one thread, taking turns: the prepared one there 2.9, here 3.5 in fp32 and 6 in
 * bf16. ONNX Runtime has opened the same file: its digest and shapes are checked. */
static int open_fast(fw_embedder *m, const fw_modeldesc *d, const fw_embedder_opts *o, fw_err *e)
{
    const bool bf16 = o && o->bf16, cpu = !o || !o->provider || !strcmp(o->provider, "cpu");
    fw_err why = {0};
    int rc = d->nhwc || !cpu ? fw_fail(&why, FW_EUSAGE, "only nchw networks on a CPU can do that")
                             : fw_fastnet_open(d->file, bf16, &m->fast, &why);
    if (!rc) rc = fw_fastnet_fits(m->fast, m->height, m->width, &why);
    if (!rc && (fw_fastnet_outputs(m->fast) != 1 || fw_fastnet_channels(m->fast, 0) != m->dim))
        rc = fw_fail(&why, FW_EUSAGE, "its output is not %d wide", m->dim);
    if (!rc) return FW_OK;
    fw_fastnet_close(m->fast);
    m->fast = NULL;
    if (!bf16) return FW_OK;
    return fw_fail(e, rc, "open embedder '%s' in bf16: %s; use embed.precision = fp32", m->name, why.msg);
}

int fw_embedder_open(fw_runtime *rt, const fw_modeldesc *d, const fw_embedder_opts *opts, fw_embedder **out, fw_err *e)
{
    *out = NULL;
    FW_TRY(check_desc(d, e));
    fw_embedder *m = FW_NEW(fw_embedder);
    m->name = fw_strdup(d->name);
    m->width = d->input_width;
    m->height = d->input_height;
    m->dim = d->dim;
    m->flip = d->flip ? d->flip : opts && opts->flip ? FW_FLIP_SUM : FW_FLIP_NONE;
    fw_planar_init(&m->format, d);
    int rc = fw_model_open(rt, d, opts ? opts->provider : NULL, &m->model, e);
    if (!rc) rc = check_output(m, e);
    if (!rc) choose_batch(m, opts);
    if (!rc) rc = open_fast(m, d, opts, e);
    if (rc)
        fw_embedder_close(m);
    else
        *out = m;
    return rc;
}

void fw_embedder_close(fw_embedder *m)
{
    if (!m) return;
    fw_fastnet_close(m->fast);
    fw_model_close(m->model);
    fw_free(m->name);
    fw_free(m);
}

int fw_embedder_dim(const fw_embedder *m)
{
    return m->flip == FW_FLIP_CONCAT ? 2 * m->dim : m->dim;
}

int fw_embedder_width(const fw_embedder *m)
{
    return m->width;
}

int fw_embedder_height(const fw_embedder *m)
{
    return m->height;
}

int fw_embedder_worker_open(fw_embedder *m, fw_embedder_worker **out, fw_err *e)
{
    fw_embedder_worker *w = FW_NEW(fw_embedder_worker);
    w->m = m;
    if (m->fast) {
        w->fast = fw_fastnet_worker_new(m->fast);
        w->input = FW_ARRAY(float, (size_t)m->width *(size_t)m->height * 3);
    }
    int rc = fw_runner_open(m->model, &w->runner, e);
    if (rc) {
        fw_embedder_worker_close(w);
        w = NULL;
    }
    *out = w;
    return rc;
}

void fw_embedder_worker_close(fw_embedder_worker *w)
{
    if (!w) return;
    fw_runner_close(w->runner);
    fw_fastnet_worker_free(w->fast);
    fw_free(w->input);
    fw_free(w);
}

/* run_once by fastnet, one crop after the other. */
static int run_fast(fw_embedder_worker *w, const uint8_t *crops, int n, bool mirror, float *out, size_t step, fw_err *e)
{
    const fw_embedder *m = w->m;
    const size_t pixels = (size_t)m->width * m->height * 3;
    for (int i = 0; i < n; i++) {
        fw_planar_copy(&m->format, crops + (size_t)i * pixels, m->width, m->height, mirror, w->input);
        FW_TRY(fw_fastnet_run(w->fast, w->input, m->height, m->width, e));
        const float *result = fw_fastnet_output(w->fast, 0).data;
        for (int k = 0; k < m->dim; k++) out[(size_t)i * step + (size_t)k] += result[k];
    }
    return FW_OK;
}

/* One run of the network over n <= batch crops; adds to rows of m->dim values that lie `step` apart from `out` on. */
static int run_once(fw_embedder_worker *w, const uint8_t *crops, int n, bool mirror, float *out, size_t step, fw_err *e)
{
    const fw_embedder *m = w->m;
    const size_t pixels = (size_t)m->width * m->height * 3;
    const int rows = m->padded ? m->batch : n;
    if (w->fast) return run_fast(w, crops, n, mirror, out, step, e);
    float *input;
    FW_TRY(fw_runner_input(w->runner, rows, m->height, m->width, &input, e));
    for (int i = 0; i < n; i++)
        fw_planar_copy(&m->format, crops + (size_t)i * pixels, m->width, m->height, mirror, input + (size_t)i * pixels);
    if (rows > n) memset(input + (size_t)n * pixels, 0, (size_t)(rows - n) * pixels * sizeof *input);
    FW_TRY(fw_runner_run(w->runner, e));
    fw_tensor_info shape;
    const float *result = fw_runner_output(w->runner, 0, &shape);
    int64_t count = 1;
    for (int i = 0; result && i < shape.rank; i++) count *= shape.dim[i];
    if (!result || count != (int64_t)rows * m->dim)
        return fw_fail(e, FW_EFAIL, "run embedder '%s': the output has not %d x %d values", m->name, rows, m->dim);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < m->dim; k++)
            out[(size_t)i * step + (size_t)k] += result[(size_t)i * (size_t)m->dim + (size_t)k];
    return FW_OK;
}

/* To unit length; the length it had, 0 (and zeros) when the row has no direction. The sum is in double: 4096 squares
 * lose nothing. */
static double unit_length(float *v, int dim)
{
    double sum = 0;
    for (int i = 0; i < dim; i++) sum += (double)v[i] * v[i];
    const bool good = isfinite(sum) && sum > 1e-12;
    const double scale = good ? 1 / sqrt(sum) : 0;
    for (int i = 0; i < dim; i++) v[i] = good ? (float)(v[i] * scale) : 0;
    return good ? sqrt(sum) : 0;
}

int fw_embed_norm(fw_embedder_worker *w, const uint8_t *crops, int n, float *out, uint8_t *ok, float *norm, fw_err *e)
{
    const fw_embedder *m = w->m;
    const size_t pixels = (size_t)m->width * m->height * 3, step = (size_t)fw_embedder_dim(m);
    const bool concat = m->flip == FW_FLIP_CONCAT;
    /* the length of one crop's vector, of the sum of two and of two one behind the other */
    static const double share[] = {[FW_FLIP_NONE] = 1, [FW_FLIP_SUM] = 0.5, [FW_FLIP_CONCAT] = 0.70710678118654752};
    memset(out, 0, (size_t)n * step * sizeof *out);
    for (int i = 0; i < n; i += m->batch) {
        const int now = n - i < m->batch ? n - i : m->batch;
        float *rows = out + (size_t)i * step;
        FW_TRY(run_once(w, crops + (size_t)i * pixels, now, false, rows, step, e));
        if (m->flip) FW_TRY(run_once(w, crops + (size_t)i * pixels, now, true, rows + (concat ? m->dim : 0), step, e));
    }
    for (int i = 0; i < n; i++) {
        const double length = unit_length(out + (size_t)i * step, (int)step);
        ok[i] = length > 0;
        if (norm) norm[i] = (float)(length * share[m->flip]);
    }
    return FW_OK;
}

int fw_embed(fw_embedder_worker *w, const uint8_t *crops, int n, float *out, uint8_t *ok, fw_err *e)
{
    return fw_embed_norm(w, crops, n, out, ok, NULL, e);
}
