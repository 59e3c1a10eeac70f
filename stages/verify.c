/* verify: are two photos of one person? All faces of both are compared; the target faces (the most central large ones)
 * decide. `same` means: more alike than all but a share audit.target_far of impostor pairs. P(same) is the posterior at
 * even odds, by the calibration that is named (calibration.h).
 *
 * With --exit-code the decision is the exit code: 0 same, FW_DIFFERENT different, FW_UNDECIDED a face is missing.
 */
#include "../lib/log.h"
#include "../lib/text.h"
#include "calibration.h"
#include "look.h"
#include "people.h"
#include "probe.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not 1: that is a failure of the program, as everywhere else. */
enum { FW_DIFFERENT = 10, FW_UNDECIDED = 11 };

typedef struct verify {
    const fw_args *args;
    fw_look *look;
    fw_calibration calibration;
    double threshold; /* NAN: no calibration */
    fw_sight sight[2];
} verify;

static double similarity(const verify *v, int a, int b)
{
    const float *x = fw_sight_vec(v->look, &v->sight[0], a), *y = fw_sight_vec(v->look, &v->sight[1], b);
    return x && y ? (double)fw_dot(x, y, fw_look_dim(v->look)) : NAN;
}

static double p_same(const verify *v, double sim)
{
    return v->calibration.there ? 1 / (1 + exp(-fw_calib_llr(&v->calibration.calib, sim, 1))) : NAN;
}

static const char *decision(const verify *v, double sim)
{
    if (isnan(sim) || isnan(v->threshold)) return "unknown";
    return sim >= v->threshold ? "same" : "different";
}

/* ---- text ---------------------------------------------------------------------------------------------------------
 */

static void print_photo(const char *which, const char *name, const fw_sight *s)
{
    char shown[512];
    printf("%s  %s  %d x %d  %s%s%s\n", which, fw_printable(name, shown, sizeof shown), s->width, s->height,
           fw_img_status_name(s->status), *s->why ? ": " : "", s->why);
    for (int i = 0; i < s->faces; i++)
        printf("   %c face %d  box %.0f %.0f %.0f %.0f  score %.3f%s\n", i == s->target ? '*' : ' ', i,
               (double)s->face[i].box[0], (double)s->face[i].box[1], (double)s->face[i].box[2],
               (double)s->face[i].box[3], (double)s->face[i].score, s->face[i].valid ? "" : "  no embedding");
}

static void print_pair(const verify *v, int a, int b)
{
    double sim = similarity(v, a, b), p = p_same(v, sim);
    if (isnan(sim)) return;
    bool target = a == v->sight[0].target && b == v->sight[1].target;
    printf(" %c %6d %6d %11.4f", target ? '*' : ' ', a, b, sim);
    if (isnan(p))
        printf(" %9s", "-");
    else
        printf(" %9.6f", p);
    printf("  %s\n", decision(v, sim));
}

static void print_text(const verify *v, double sim)
{
    print_photo("A", v->args->rest[0], &v->sight[0]);
    print_photo("B", v->args->rest[1], &v->sight[1]);
    if (v->sight[0].faces && v->sight[1].faces) printf("   %6s %6s %11s %9s\n", "A", "B", "similarity", "P(same)");
    for (int a = 0; a < v->sight[0].faces; a++)
        for (int b = 0; b < v->sight[1].faces; b++) print_pair(v, a, b);
    printf("decision     %s", decision(v, sim));
    if (!isnan(v->threshold))
        printf(" (threshold %.4f, which a share of %g of impostor pairs exceeds)", v->threshold,
               v->args->conf->audit_target_far);
    printf("\ncalibration  %s\n", v->calibration.from);
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------
 */

static json_t *real(double x)
{
    return isnan(x) ? json_null() : json_real(x);
}

static json_t *photo_json(const char *name, const fw_sight *s)
{
    json_t *faces = json_array();
    fw_buf text = {0};
    fw_text_utf8(&text, name, strlen(name));
    for (int i = 0; i < s->faces; i++) {
        const float *b = s->face[i].box;
        json_array_append_new(faces, json_pack("{s:[f,f,f,f], s:f, s:b}", "box", (double)b[0], (double)b[1],
                                               (double)b[2], (double)b[3], "score", (double)s->face[i].score,
                                               "embedding", (int)s->face[i].valid));
    }
    json_t *j = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:o}", "path", text.data ? text.data : "", "status",
                          fw_img_status_name(s->status), "why", s->why, "width", s->width, "height", s->height,
                          "target", s->target, "faces", faces);
    fw_buf_free(&text);
    return j;
}

static int print_json(const verify *v, double sim, fw_err *e)
{
    json_t *pairs = json_array();
    for (int a = 0; a < v->sight[0].faces; a++)
        for (int b = 0; b < v->sight[1].faces; b++) {
            double s = similarity(v, a, b);
            if (!isnan(s))
                json_array_append_new(pairs, json_pack("{s:i, s:i, s:f, s:o, s:s}", "a", a, "b", b, "similarity", s,
                                                       "p_same", real(p_same(v, s)), "decision", decision(v, s)));
        }
    json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:s}", "a", photo_json(v->args->rest[0], &v->sight[0]),
                          "b", photo_json(v->args->rest[1], &v->sight[1]), "pairs", pairs, "similarity", real(sim),
                          "p_same", real(isnan(sim) ? NAN : p_same(v, sim)), "decision", decision(v, sim), "threshold",
                          real(v->threshold), "calibration", v->calibration.from);
    if (!j) return fw_fail(e, FW_EFAIL, "verify: cannot be put as JSON");
    json_dumpf(j, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(8));
    puts("");
    json_decref(j);
    return FW_OK;
}

/* ---- the command --------------------------------------------------------------------------------------------------
 */

static int look_at(verify *v, int i, fw_err *e)
{
    fw_probe p;
    const char *key, *shown, *label;
    FW_TRY(fw_probe_open(v->args->conf, v->args->rest[i], true, &p, e));
    int rc = FW_OK, got = fw_probe_next(&p, &key, &shown, &label, e);
    if (!rc && got == 1 && !v->look) rc = fw_look_open(v->args->conf, p.source, 1, &v->look, e);
    if (!rc && got == 1) rc = fw_look_at(v->look, 0, p.source, key, true, &v->sight[i], e);
    fw_probe_close(&p);
    return rc;
}

static int calibrate(verify *v, fw_err *e)
{
    fw_store *s = NULL;
    fw_run *r = NULL;
    int rc = FW_OK;
    if (v->args->work) {
        rc = fw_people_adopt(v->args, v->args->work, e);
        if (!rc) rc = fw_open_run(v->args, false, FW_LOCK_NONE, &s, &r, e);
    }
    if (!rc) rc = fw_calibration_find(r, v->args->conf, &v->calibration, e);
    fw_close_run(s, r);
    v->threshold =
        v->calibration.there ? fw_calib_threshold(&v->calibration.calib, v->args->conf->audit_target_far) : NAN;
    return rc;
}

int fw_cmd_verify(const fw_args *a, fw_err *e)
{
    if (a->nrest != 2) return fw_fail(e, FW_EUSAGE, "verify: expected two photos, `facewash verify A B`");
    verify v = {.args = a};
    double sim = NAN;
    int rc = calibrate(&v, e);
    for (int i = 0; i < 2 && !rc; i++) rc = look_at(&v, i, e);
    if (!rc) {
        sim = similarity(&v, v.sight[0].target, v.sight[1].target);
        if (a->json)
            rc = print_json(&v, sim, e);
        else
            print_text(&v, sim);
    }
    const char *said = decision(&v, sim);
    if (!rc && a->exit_code) rc = *said == 's' ? FW_OK : *said == 'd' ? FW_DIFFERENT : FW_UNDECIDED;
    fw_sight_free(&v.sight[0]);
    fw_sight_free(&v.sight[1]);
    fw_look_close(v.look);
    fw_calibration_free(&v.calibration);
    return rc;
}
