#include "scorer.h"

#include "planar.h"

#include <math.h>
#include <string.h>

struct fw_scorer {
    fw_model *model;
    char *name;
    fw_planar format;
    int width, height, rows; /* rows: crops per run that the network asks for */
    float range[2];
};

struct fw_scorer_worker {
    fw_scorer *s;
    fw_runner *runner;
};

static int check_desc(const fw_modeldesc *d, fw_err *e)
{
    if (d->task != FW_TASK_QUALITY)
        return fw_fail(e, FW_EUSAGE, "open quality model '%s': %s describes no quality model (task = quality)", d->name,
                       d->path);
    if (strcmp(d->decoder, "score"))
        return fw_fail(e, FW_EUSAGE, "%s: unknown decoder '%s' for a quality model; there is: score", d->path,
                       d->decoder);
    return FW_OK;
}

int fw_scorer_open(fw_runtime *rt, const fw_modeldesc *d, const char *provider, fw_scorer **out, fw_err *e)
{
    *out = NULL;
    FW_TRY(check_desc(d, e));
    fw_scorer *s = FW_NEW(fw_scorer);
    s->name = fw_strdup(d->name);
    s->width = d->input_width;
    s->height = d->input_height;
    memcpy(s->range, d->range, sizeof s->range);
    fw_planar_init(&s->format, d);
    int rc = fw_model_open(rt, d, provider, &s->model, e);
    if (!rc) {
        const int fixed = fw_model_fixed_batch(s->model);
        s->rows = fixed ? fixed : 1;
        *out = s;
    } else {
        fw_scorer_close(s);
    }
    return rc;
}

void fw_scorer_close(fw_scorer *s)
{
    if (!s) return;
    fw_model_close(s->model);
    fw_free(s->name);
    fw_free(s);
}

int fw_scorer_worker_open(fw_scorer *s, fw_scorer_worker **out, fw_err *e)
{
    fw_scorer_worker *w = FW_NEW(fw_scorer_worker);
    w->s = s;
    int rc = fw_runner_open(s->model, &w->runner, e);
    if (rc) {
        fw_free(w);
        w = NULL;
    }
    *out = w;
    return rc;
}

void fw_scorer_worker_close(fw_scorer_worker *w)
{
    if (!w) return;
    fw_runner_close(w->runner);
    fw_free(w);
}

float fw_range_share(const float range[2], float v)
{
    const float share = (v - range[0]) / (range[1] - range[0]);
    return isfinite(share) ? fminf(fmaxf(share, 0), 1) : 0;
}

int fw_score(fw_scorer_worker *w, const uint8_t *crop, float *score, fw_err *e)
{
    const fw_scorer *s = w->s;
    const size_t size = (size_t)s->width * (size_t)s->height * 3;
    float *input;
    FW_TRY(fw_runner_input(w->runner, s->rows, s->height, s->width, &input, e));
    fw_planar_copy(&s->format, crop, s->width, s->height, false, input);
    memset(input + size, 0, size * (size_t)(s->rows - 1) * sizeof *input);
    FW_TRY(fw_runner_run(w->runner, e));
    fw_tensor_info shape;
    const float *result = fw_runner_output(w->runner, 0, &shape);
    int64_t count = 1;
    for (int i = 0; result && i < shape.rank; i++) count *= shape.dim[i];
    if (!result || count != s->rows)
        return fw_fail(e, FW_EUSAGE, "run quality model '%s': its answer is %lld numbers for %d crops, not one each",
                       s->name, result ? (long long)count : 0LL, s->rows);
    *score = fw_range_share(s->range, result[0]);
    return FW_OK;
}
