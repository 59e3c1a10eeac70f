#include "calibration.h"
#include "../lib/file.h"
#include "../lib/log.h"
#include "../lib/modeldesc.h"
#include "../lib/paths.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool number(const json_t *j, const char *key, double *out)
{
    const json_t *v = json_object_get(j, key);
    if (!json_is_number(v)) return false;
    *out = json_number_value(v);
    return true;
}

static bool read_impostor(const json_t *j, fw_calib *c)
{
    double pairs;
    if (!number(j, "pairs", &pairs) || !number(j, "q0", &c->q0) || !number(j, "q1", &c->q1)) return false;
    c->pairs = (size_t)pairs;
    return number(j, "q2", &c->q2) && number(j, "left", &c->left) && c->q1 > 0 && c->q2 >= 0 && c->left > 0;
}

static bool read_genuine(const json_t *j, fw_calib *c)
{
    double images;
    const json_t *parts = json_object_get(j, "components");
    if (!number(j, "images", &images) || !number(j, "rho", &c->rho) || json_array_size(parts) != FW_CALIB_PARTS)
        return false;
    c->genuine = (size_t)images;
    for (size_t k = 0; k < FW_CALIB_PARTS; k++) {
        const json_t *p = json_array_get(parts, k);
        if (!number(p, "weight", &c->weight[k]) || !number(p, "atanh_mean", &c->mean[k]) ||
            !number(p, "atanh_sd", &c->sd[k]) || c->sd[k] <= 0 || c->weight[k] <= 0)
            return false;
    }
    return c->rho > 0 && c->rho <= 1;
}

static int read_calib(const char *path, json_t **keep, fw_calib *c, fw_err *e)
{
    json_error_t why;
    json_t *j = json_load_file(path, 0, &why);
    memset(c, 0, sizeof *c);
    for (int k = 0; k < FW_CALIB_KNOTS; k++) c->scale[k] = 1; /* of quality: nothing is said */
    bool good = j && read_impostor(json_object_get(j, "impostor"), c) && read_genuine(json_object_get(j, "genuine"), c);
    int rc = FW_OK;
    if (!j)
        rc = fw_fail(e, FW_EFAIL, "calibration '%s' line %d: %s", path, why.line, why.text);
    else if (!good)
        rc = fw_fail(e, FW_EFAIL, "calibration '%s': a value is missing or out of range", path);
    if (keep && !rc)
        *keep = j;
    else
        json_decref(j);
    return rc;
}

static bool enough(const fw_calib *c)
{
    return c->pairs >= FW_CALIBRATION_PAIRS && c->genuine >= FW_CALIBRATION_IMAGES;
}

static int of_work(fw_run *r, fw_calibration *out, fw_err *e)
{
    fw_task t = fw_run_reader(r);
    fw_err gone = {0};
    char *path = fw_task_file_of(&t, "audit", "audit.json", &gone);
    if (!path) return FW_OK;
    int rc = read_calib(path, NULL, &out->calib, e);
    fw_free(path);
    if (rc || !enough(&out->calib)) return rc;
    out->there = true;
    out->from =
        fw_format("the workspace (%zu impostor pairs, %zu genuine images)", out->calib.pairs, out->calib.genuine);
    return FW_OK;
}

/* The description of the only model of embed.model; *d NULL: there are several, or none. */
static int only_model(const fw_conf *c, fw_modeldesc **d, fw_err *e)
{
    char *second = fw_conf_item(c, "embed.model", 1), *first = fw_conf_item(c, "embed.model", 0);
    fw_task t = {.conf = c};
    *d = NULL;
    int rc = first && !second ? fw_task_modeldesc(&t, "embed.model", 0, d, e) : FW_OK;
    fw_free(first);
    fw_free(second);
    return rc;
}

static char *beside(const fw_modeldesc *d)
{
    size_t n = strlen(d->path);
    if (n > 4 && !strcmp(d->path + n - 4, ".ini")) n -= 4;
    return fw_format("%.*s.calibration.json", (int)n, d->path);
}

static int of_model(const fw_conf *c, fw_calibration *out, fw_err *e)
{
    fw_modeldesc *d;
    FW_TRY(only_model(c, &d, e));
    if (!d) return FW_OK;
    char *path = beside(d);
    json_t *j = NULL;
    int rc = fw_exists(path) ? read_calib(path, &j, &out->calib, e) : FW_OK;
    const char *sha = json_string_value(json_object_get(j, "sha256"));
    const char *made = json_string_value(json_object_get(j, "made_from"));
    if (j && (!sha || strcmp(sha, d->sha256)))
        fw_log(FW_WARN, "calibration '%s' is of another network file, and is left aside", path);
    else if (j) {
        out->there = true;
        out->from = fw_format("the model %s (made from %s)", d->name, made ? made : "an unnamed set");
    }
    json_decref(j);
    fw_free(path);
    fw_modeldesc_free(d);
    return rc;
}

int fw_calibration_find(fw_run *r, const fw_conf *c, fw_calibration *out, fw_err *e)
{
    *out = (fw_calibration){0};
    int rc = r ? of_work(r, out, e) : FW_OK;
    if (!rc && !out->there) rc = of_model(c, out, e);
    if (!rc && !out->there) out->from = fw_strdup("none");
    return rc;
}

void fw_calibration_free(fw_calibration *c)
{
    fw_free(c->from);
    *c = (fw_calibration){0};
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static json_t *copy(const json_t *from, const char *const *keys)
{
    json_t *to = json_object();
    for (; *keys; keys++) json_object_set(to, *keys, json_object_get(from, *keys));
    return to;
}

static json_t *compose(const char *path, const fw_modeldesc *d, const char *made)
{
    static const char *const impostor[] = {"pairs", "q0", "q1", "q2", "left", NULL}, *const genuine[] = {
                                                                                         "images", "rho", "components",
                                                                                         NULL};
    json_t *audit = json_load_file(path, 0, NULL);
    json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:o}", "model", d->name, "sha256", d->sha256, "made_from", made,
                          "impostor", copy(json_object_get(audit, "impostor"), impostor), "genuine",
                          copy(json_object_get(audit, "genuine"), genuine));
    json_decref(audit);
    return j;
}

int fw_calibration_print(fw_run *r, fw_err *e)
{
    fw_task t = fw_run_reader(r);
    const fw_view *v = fw_task_view(&t, "", e);
    char *path = v ? fw_task_file_of(&t, "audit", "audit.json", e) : NULL;
    fw_modeldesc *d = NULL;
    fw_calib c;
    if (!path || read_calib(path, NULL, &c, e) || only_model(r->conf, &d, e)) return fw_free(path), e->code;
    int rc = FW_OK;
    if (!d) rc = fw_fail(e, FW_EUSAGE, "eval calibration: embed.model must name one model");
    if (!rc && !enough(&c))
        rc = fw_fail(e, FW_EUSAGE,
                     "eval calibration: rests on %zu impostor pairs and %zu genuine images; %d and %d are needed",
                     c.pairs, c.genuine, FW_CALIBRATION_PAIRS, FW_CALIBRATION_IMAGES);
    const char *spec = fw_store_source(r->store, ""), *slash = strrchr(spec, '/');
    char *made = fw_format("%s, %zu images of %zu labels", slash ? slash + 1 : spec, v->n, v->labels);
    json_t *j = rc ? NULL : compose(path, d, made);
    if (j) json_dumpf(j, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)), puts("");
    json_decref(j);
    fw_free(made);
    fw_modeldesc_free(d);
    fw_free(path);
    return rc;
}
