/* identify: who of a gallery is on these photos? A row per probe and candidate, CSV or (--json) a JSON object per probe
 * on a line, in the order of the probes and while they come. By default the target face of a photo is the probe, with
 * --all every face.
 *
 * `decision` is match when the similarity reaches the threshold, which is chosen so that a share --fpir of
 * probes of people outside the gallery get any match (index/matcher.h). Photos that cannot be used have a row that says
 * why.
 */
#include "../lib/log.h"
#include "../lib/pipe.h"
#include "../lib/text.h"
#include "look.h"
#include "people.h"
#include "probe.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct tray {
    char *key, *shown;
    const fw_source *source;
    fw_sight sight;
} tray;

typedef struct identify {
    const fw_args *args;
    fw_people people;
    fw_look *look;
    fw_probe *probe; /* by argument */
    int at;
    double threshold; /* NAN: no calibration */
    fw_match *match;  /* args->top */
    fw_buf row;
    size_t probes, matched, faceless;
    double searching; /* seconds */
    size_t searches;
} identify;

/* ---- one candidate --------------------------------------------------------------------------------------------------
 */

static const char *decision(const identify *w, const fw_match *m)
{
    return isnan(w->threshold) ? "unknown" : (double)m->sim >= w->threshold ? "match" : "reject";
}

static void csv_start(identify *w, const tray *t, int face)
{
    const fw_sight *s = &t->sight;
    fw_buf utf = {0};
    fw_text_utf8(&utf, t->shown, strlen(t->shown));
    w->row.len = 0;
    fw_text_csv(&w->row, utf.data ? utf.data : "", utf.len);
    fw_buf_free(&utf);
    fw_buf_printf(&w->row, ",%s,", fw_img_status_name(s->status));
    if (face < 0) {
        fw_buf_puts(&w->row, ",,,,,");
        return;
    }
    const float *b = s->face[face].box;
    fw_buf_printf(&w->row, "%d,%.1f,%.1f,%.1f,%.1f,", face, (double)b[0], (double)b[1], (double)b[2], (double)b[3]);
}

static void csv_text(identify *w, const char *s, size_t n)
{
    fw_buf utf = {0};
    fw_text_utf8(&utf, s, n);
    fw_text_csv(&w->row, utf.data ? utf.data : "", utf.len);
    fw_buf_free(&utf);
}

static void csv_match(identify *w, const tray *t, int face, size_t rank, const fw_match *m)
{
    size_t n;
    csv_start(w, t, face);
    fw_buf_printf(&w->row, "%zu,", rank);
    csv_text(w, w->people.names.text[m->label], strlen(w->people.names.text[m->label]));
    fw_buf_printf(&w->row, ",%.4f,", (double)m->sim);
    if (!isnan(m->p)) fw_buf_printf(&w->row, "%.6f", m->p);
    fw_buf_printf(&w->row, ",%s,", decision(w, m));
    const char *path = fw_people_path(&w->people, m->part, m->row, &n);
    csv_text(w, path, n);
    printf("%s,\r\n", w->row.data);
}

static void csv_nothing(identify *w, const tray *t, int face)
{
    csv_start(w, t, face);
    fw_buf_puts(&w->row, ",,,,,,");
    csv_text(w, t->sight.why, strlen(t->sight.why));
    printf("%s\r\n", w->row.data);
}

static json_t *text_json(const char *s, size_t n)
{
    fw_buf utf = {0};
    fw_text_utf8(&utf, s, n);
    json_t *j = json_string(utf.data ? utf.data : "");
    fw_buf_free(&utf);
    return j;
}

static json_t *match_json(identify *w, const fw_match *m)
{
    size_t n;
    const char *path = fw_people_path(&w->people, m->part, m->row, &n), *label = w->people.names.text[m->label];
    return json_pack("{s:o, s:f, s:o, s:s, s:o}", "label", text_json(label, strlen(label)), "similarity",
                     (double)m->sim, "p_match", isnan(m->p) ? json_null() : json_real(m->p), "decision", decision(w, m),
                     "image", text_json(path, n));
}

/* ---- one photo ------------------------------------------------------------------------------------------------------
 */

static int search_face(identify *w, const tray *t, int face, size_t *n, fw_err *e)
{
    double start = fw_now();
    const fw_calib *c = w->people.calibration.there ? &w->people.calibration.calib : NULL;
    FW_TRY(
        fw_matcher_search(w->people.matcher, c, fw_sight_vec(w->look, &t->sight, face), w->args->top, w->match, n, e));
    w->searching += fw_now() - start;
    w->searches++;
    w->matched += *n && !isnan(w->threshold) && (double)w->match[0].sim >= w->threshold;
    return FW_OK;
}

static int put_face(identify *w, const tray *t, int face, json_t *faces, fw_err *e)
{
    size_t n = 0;
    FW_TRY(search_face(w, t, face, &n, e));
    if (!faces) {
        for (size_t i = 0; i < n; i++) csv_match(w, t, face, i + 1, &w->match[i]);
        if (!n) csv_nothing(w, t, face);
        return FW_OK;
    }
    json_t *all = json_array();
    const float *b = t->sight.face[face].box;
    for (size_t i = 0; i < n; i++) json_array_append_new(all, match_json(w, &w->match[i]));
    json_array_append_new(faces, json_pack("{s:i, s:[f,f,f,f], s:o}", "face", face, "box", (double)b[0], (double)b[1],
                                           (double)b[2], (double)b[3], "candidates", all));
    return FW_OK;
}

static int write_tray(void *user, void *item, fw_err *e)
{
    identify *w = user;
    const tray *t = item;
    json_t *faces = w->args->json ? json_array() : NULL;
    int used = 0, rc = FW_OK;
    w->probes++;
    for (int i = 0; i < t->sight.faces && !rc; i++) {
        if (!t->sight.face[i].valid || (!w->args->all && i != t->sight.target)) continue;
        rc = put_face(w, t, i, faces, e);
        used++;
    }
    w->faceless += !used;
    if (!used && !faces) csv_nothing(w, t, -1);
    if (!faces || rc) return json_decref(faces), rc;
    json_t *j = json_pack("{s:o, s:s, s:s, s:o}", "probe", text_json(t->shown, strlen(t->shown)), "status",
                          fw_img_status_name(t->sight.status), "why", t->sight.why, "faces", faces);
    json_dumpf(j, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(8));
    puts("");
    json_decref(j);
    return FW_OK;
}

static int read_tray(void *user, void *item, fw_err *e)
{
    identify *w = user;
    tray *t = item;
    const char *key, *shown, *label;
    for (; w->at < w->args->nrest; w->at++) {
        int got = fw_probe_next(&w->probe[w->at], &key, &shown, &label, e);
        if (got < 0) return -1;
        if (!got) continue;
        fw_free(t->key), fw_free(t->shown);
        t->key = fw_strdup(key), t->shown = fw_strdup(shown);
        t->source = w->probe[w->at].source;
        return 1;
    }
    return 0;
}

static int work_tray(void *user, int worker, void *item, fw_err *e)
{
    identify *w = user;
    tray *t = item;
    return fw_look_at(w->look, worker, t->source, t->key, w->args->all, &t->sight, e);
}

/* ---- the command ----------------------------------------------------------------------------------------------------
 */

static int run_probes(identify *w, int workers, fw_err *e)
{
    size_t depth = (size_t)workers * 4 + 4;
    tray *trays = FW_ARRAY(tray, depth);
    if (!w->args->json) printf("probe,status,face,x0,y0,x1,y1,rank,label,similarity,p_match,decision,image,why\r\n");
    int rc = fw_pipe_run(&(fw_pipe){.workers = workers,
                                    .depth = depth,
                                    .trays = trays,
                                    .tray_size = sizeof *trays,
                                    .user = w,
                                    .read = read_tray,
                                    .work = work_tray,
                                    .write = write_tray},
                         e);
    for (size_t i = 0; i < depth; i++) {
        fw_free(trays[i].key), fw_free(trays[i].shown);
        fw_sight_free(&trays[i].sight);
    }
    fw_free(trays);
    if (!rc && (fflush(stdout) || ferror(stdout))) rc = fw_fail_errno(e, "identify: write the results");
    return rc;
}

static int open_probes(identify *w, int workers, fw_err *e)
{
    w->probe = FW_ARRAY(fw_probe, (size_t)w->args->nrest);
    for (int i = 0; i < w->args->nrest; i++)
        FW_TRY(fw_probe_open(w->args->conf, w->args->rest[i], false, &w->probe[i], e));
    FW_TRY(fw_look_open(w->args->conf, w->probe[0].source, workers, &w->look, e));
    int dim = fw_matcher_dim(w->people.matcher);
    if (fw_look_dim(w->look) != dim)
        return fw_fail(e, FW_EUSAGE, "gallery '%s' holds embeddings of %d dimensions, the probes have %d",
                       w->args->gallery, dim, fw_look_dim(w->look));
    return FW_OK;
}

static void say(const identify *w)
{
    const fw_matcher *m = w->people.matcher;
    fw_log(FW_INFO,
           "identify: %zu photos against %zu images of %zu people; %zu without a usable face, %zu searches, "
           "%zu matched; %.2f ms a search",
           w->probes, fw_matcher_images(m), fw_matcher_people(m), w->faceless, w->searches, w->matched,
           w->searches ? 1e3 * w->searching / (double)w->searches : 0);
    if (!isnan(w->threshold))
        fw_log(FW_INFO, "identify: match from similarity %.4f, for a share of %g false positives; calibration: %s",
               w->threshold, w->args->fpir, w->people.calibration.from);
    else
        fw_log(FW_WARN, "identify: there is no calibration for these models: no probabilities, no decisions");
}

int fw_cmd_identify(const fw_args *a, fw_err *e)
{
    if (!a->nrest || !a->gallery)
        return fw_fail(e, FW_EUSAGE, "identify: expected `facewash identify PROBE... --gallery DIR`");
    identify w = {.args = a, .threshold = NAN};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int workers = a->conf->run_threads ? (int)a->conf->run_threads : cores > 0 ? (int)cores : 1;
    FW_TRY(fw_people_open(a, a->gallery, a->raw, &w.people, e));
    if (w.people.calibration.there)
        w.threshold = fw_match_threshold(&w.people.calibration.calib, a->fpir, fw_matcher_images(w.people.matcher));
    w.match = FW_ARRAY(fw_match, a->top);
    int rc = open_probes(&w, workers, e);
    if (!rc) rc = run_probes(&w, workers, e);
    if (!rc) say(&w);
    for (int i = 0; w.probe && i < a->nrest; i++) fw_probe_close(&w.probe[i]);
    fw_look_close(w.look);
    fw_people_close(&w.people);
    fw_buf_free(&w.row);
    fw_free(w.probe);
    fw_free(w.match);
    return rc;
}
