/* report_overview: counts, histograms before and after the cleaning, thresholds, and the record of the run. */
#include "../lib/modeldesc.h"
#include "report.h"
#include "sample.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { BINS_MOST = 70, SIZE_BINS = 10 };

/* 200,000 pairs of each kind: the height of a bin that holds 1 % is then known to 2 %. */
enum { PAIRS = 200000, SIM_BINS = 70 };
#define SIM_FROM (-0.4)
#define SIM_TO   1.0

typedef struct histogram {
    double from, to;
    int bins;
    uint64_t before[BINS_MOST], after[BINS_MOST];
} histogram;

static void count_in(histogram *h, double x, bool stays)
{
    if (!isfinite(x)) return;
    int bin = (int)floor((x - h->from) / (h->to - h->from) * h->bins);
    bin = bin < 0 ? 0 : bin >= h->bins ? h->bins - 1 : bin; /* the outer bins hold what lies beyond */
    h->before[bin]++;
    h->after[bin] += stays;
}

static json_t *counts_json(const uint64_t *n, int bins)
{
    json_t *a = json_array();
    for (int i = 0; i < bins; i++) json_array_append_new(a, json_integer((json_int_t)n[i]));
    return a;
}

/* Total variation distance of the shares, 0..1. */
static double shift_of(const histogram *h)
{
    double before = 0, after = 0, sum = 0;
    for (int i = 0; i < h->bins; i++) {
        before += (double)h->before[i];
        after += (double)h->after[i];
    }
    for (int i = 0; before > 0 && after > 0 && i < h->bins; i++)
        sum += fabs((double)h->before[i] / before - (double)h->after[i] / after);
    return sum / 2;
}

static json_t *histogram_json(const histogram *h, const char *key, const char *title, const char *unit)
{
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:o, s:o, s:f}", "key", key, "title", title, "unit", unit, "from",
                     h->from, "to", h->to, "before", counts_json(h->before, h->bins), "after",
                     counts_json(h->after, h->bins), "shift", shift_of(h));
}

static bool stays(const fw_rp *r, size_t row)
{
    return r->verdict[row] == FW_KEEP || r->verdict[row] == FW_RELABEL;
}

/* ---- counts ---------------------------------------------------------------------------------------------------- */

static json_t *counts(const fw_rp *r)
{
    uint64_t status[4] = {0}, verdict[4] = {0}, images = 0, multi = 0, identities = 0, left = 0;
    for (size_t i = 0; i < r->v->n; i++) {
        if (!r->v->alive[i]) continue;
        images++;
        status[*(const uint8_t *)fw_col_row(r->set[0].status, i) & 3]++;
        verdict[r->verdict[i] & 3]++;
        multi += (r->flags[i] & FW_FLAG_MULTI_FACE) != 0;
    }
    for (size_t l = 0; l < r->v->labels; l++) {
        identities += r->id_images[l] > 0;
        left += r->id_kept[l] > 0;
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "images", (json_int_t)images,
                     "with_face", (json_int_t)status[FW_IMG_OK], "no_face", (json_int_t)status[FW_IMG_NO_FACE],
                     "unreadable", (json_int_t)status[FW_IMG_UNREADABLE], "unsupported",
                     (json_int_t)status[FW_IMG_UNSUPPORTED], "multi_face", (json_int_t)multi, "identities",
                     (json_int_t)identities, "identities_kept", (json_int_t)left, "kept", (json_int_t)verdict[FW_KEEP],
                     "removed", (json_int_t)verdict[FW_REMOVE], "relabel", (json_int_t)verdict[FW_RELABEL], "review",
                     (json_int_t)verdict[FW_REVIEW]);
}

/* ---- distributions --------------------------------------------------------------------------------------------- */

static int size_bin(uint32_t n)
{
    int bin = 0;
    while (n > 1 && bin + 1 < SIZE_BINS) n = (n + 1) / 2, bin++; /* 1, 2, 3-4, 5-8, ... */
    return bin;
}

static json_t *sizes(const fw_rp *r)
{
    histogram h = {.bins = SIZE_BINS};
    json_t *names = json_array();
    for (size_t l = 0; l < r->v->labels; l++) {
        if (r->id_images[l]) h.before[size_bin(r->id_images[l])]++;
        if (r->id_kept[l]) h.after[size_bin(r->id_kept[l])]++;
    }
    for (int i = 0; i < SIZE_BINS; i++) {
        unsigned low = i < 2 ? (unsigned)i + 1 : (1u << (i - 1)) + 1, high = 1u << i;
        json_array_append_new(names, i + 1 == SIZE_BINS ? json_sprintf("%u+", low)
                                     : low == high      ? json_sprintf("%u", low)
                                                        : json_sprintf("%u–%u", low, high));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:f}", "key", "sizes", "title", "Images per identity", "names", names,
                     "before", counts_json(h.before, SIZE_BINS), "after", counts_json(h.after, SIZE_BINS), "shift",
                     shift_of(&h));
}

static json_t *distributions(const fw_rp *r)
{
    enum { P, QUALITY, YAW, PITCH, BRIGHTNESS, EYES, ALL };
    static const struct {
        const char *key, *title, *unit;
        double from, to;
        int bins, measure;
    } what[ALL] = {[P] = {"p", "P(label is wrong)", "", 0, 1, 40, -1},
                   [QUALITY] = {"quality", "Quality", "combined score", 0, 1, 40, -1},
                   [YAW] = {"yaw", "Yaw", "degrees", -60, 60, 40, 5},
                   [PITCH] = {"pitch", "Pitch", "degrees", -60, 60, 40, 6},
                   [BRIGHTNESS] = {"brightness", "Brightness", "mean luma of the crop", 0, 255, 51, 1},
                   [EYES] = {"eyes", "Eye distance", "pixels of the photo", 0, 160, 40, 3}};
    histogram h[ALL] = {0};
    for (int k = 0; k < ALL; k++) h[k].from = what[k].from, h[k].to = what[k].to, h[k].bins = what[k].bins;
    for (size_t i = 0; i < r->v->n; i++) {
        if (!r->v->alive[i] || !fw_vectors_valid(r->vec, i)) continue;
        const float *m = fw_col_row(r->set[0].measures, i);
        bool s = stays(r, i);
        if (r->v->label[i] != FW_NO_LABEL) count_in(&h[P], r->p[i], s);
        count_in(&h[QUALITY], *(const float *)fw_col_row(r->set[0].quality, i), s);
        for (int k = YAW; k < ALL; k++) count_in(&h[k], m[what[k].measure], s);
    }
    json_t *a = json_array();
    for (int k = 0; k < ALL; k++)
        json_array_append_new(a, histogram_json(&h[k], what[k].key, what[k].title, what[k].unit));
    if (r->v->labels) json_array_append_new(a, sizes(r));
    return a;
}

/* ---- similarity of random pairs -------------------------------------------------------------------------------- */

static double similarity(const fw_rp *r, size_t a, size_t b, float *x, float *y)
{
    fw_vectors_get(r->vec, a, x);
    fw_vectors_get(r->vec, b, y);
    return fw_dot(x, y, r->vec->dim);
}

/* A random other member of a row's label, or the row itself. */
static size_t companion(const fw_rp *r, fw_rng *g, size_t row)
{
    uint32_t l = r->v->label[row];
    size_t n = l == FW_NO_LABEL ? 0 : r->id_images[l];
    return n ? r->members.row[r->members.begin[l] + fw_rng_below(g, n)] : row;
}

/* Same label and different label, of all labels as they were given; the seed is fixed. */
static json_t *similarities(const fw_rp *r, json_t *marks)
{
    histogram same = {SIM_FROM, SIM_TO, SIM_BINS, {0}, {0}}, other = same;
    fw_rng g = {20260101};
    size_t n = r->v->n;
    float *x = FW_ARRAY(float, (size_t)r->vec->dim), *y = FW_ARRAY(float, (size_t)r->vec->dim);
    for (size_t k = 0; n > 1 && k < PAIRS; k++) {
        size_t a = fw_rng_below(&g, n), b = fw_rng_below(&g, n), c = companion(r, &g, a);
        if (!fw_vectors_valid(r->vec, a) || !r->v->alive[a] || r->v->label[a] == FW_NO_LABEL) continue;
        if (fw_vectors_valid(r->vec, b) && r->v->label[a] != r->v->label[b])
            count_in(&other, similarity(r, a, b, x, y), false);
        if (c != a && fw_vectors_valid(r->vec, c)) count_in(&same, similarity(r, a, c, x, y), false);
    }
    fw_free(x);
    fw_free(y);
    return json_pack("{s:f, s:f, s:o, s:o, s:o}", "from", SIM_FROM, "to", SIM_TO, "genuine",
                     counts_json(same.before, SIM_BINS), "impostor", counts_json(other.before, SIM_BINS), "marks",
                     marks);
}

/* ---- findings of the stages ------------------------------------------------------------------------------------ */

static json_t *findings_of(fw_rp *r, const char *stage)
{
    fw_err none = {0};
    char *file = fw_format("%s.json", stage), *path = fw_task_file_of(&r->task, stage, file, &none);
    json_t *j = path ? json_load_file(path, 0, NULL) : NULL;
    fw_free(path);
    fw_free(file);
    return j;
}

/* Every {"value": number, "found": text} of a stage's findings is a threshold, named by where it stands. */
static void add_thresholds(const char *name, json_t *j, json_t *out)
{
    const char *key;
    json_t *value, *number = json_object_get(j, "value"), *found = json_object_get(j, "found");
    if (json_is_number(number)) {
        json_array_append_new(out, json_pack("{s:s, s:f, s:s}", "name", name, "value", json_number_value(number), "how",
                                             json_is_string(found) ? json_string_value(found) : ""));
        return;
    }
    json_object_foreach(j, key, value)
    {
        char *longer = !strcmp(key, "thresholds") ? fw_strdup(name) : fw_format("%s %s", name, key);
        for (char *c = longer; *c; c++)
            if (*c == '_') *c = ' ';
        if (json_is_object(value)) add_thresholds(longer, value, out);
        fw_free(longer);
    }
}

static json_t *noise_of(json_t *audit)
{
    json_t *n = json_object_get(audit, "noise_rate"), *rate = json_object_get(n, "estimate"),
           *within = json_object_get(n, "interval95");
    if (!json_is_number(rate) || json_array_size(within) != 2) return json_null();
    return json_pack("{s:O, s:O, s:O}", "rate", rate, "low", json_array_get(within, 0), "high",
                     json_array_get(within, 1));
}

/* Thresholds on the cosine between two faces are drawn into the plot of similarities: those of the audit. */
static json_t *marks_of(json_t *thresholds)
{
    json_t *marks = json_array(), *t;
    size_t i;
    json_array_foreach(thresholds, i, t)
    {
        const char *name = json_string_value(json_object_get(t, "name"));
        double value = json_number_value(json_object_get(t, "value"));
        if (!strncmp(name, "audit ", 6) && value > SIM_FROM && value < SIM_TO && json_array_size(marks) < 4)
            json_array_append_new(marks, json_pack("{s:s, s:f}", "name", name + 6, "value", value));
    }
    return marks;
}

/* ---- the record of the run ------------------------------------------------------------------------------------- */

static json_t *stages_of(const fw_run *run)
{
    json_t *a = json_array();
    for (size_t i = 0; i < run->stages; i++)
        json_array_append_new(a, json_pack("{s:s, s:i, s:f, s:s}", "name", fw_stages[i]->name, "version",
                                           fw_stages[i]->version, "seconds", run->seconds[i], "summary",
                                           fw_stages[i]->summary));
    return a;
}

static json_t *text(const char *s)
{
    return fw_rp_text(s, strlen(s), NULL, 0);
}

static void add_models(fw_rp *r, const char *stage, const char *setting, json_t *a)
{
    for (size_t at = 0;; at++) {
        fw_modeldesc *d = NULL;
        fw_err none = {0};
        if (fw_task_modeldesc(&r->task, setting, at, &d, &none) || !d) return;
        json_array_append_new(a, json_pack("{s:o, s:s, s:o, s:s}", "name", text(d->name), "task", stage, "licence",
                                           text(d->licence), "sha256", d->sha256));
        fw_modeldesc_free(d);
    }
}

static json_t *models_of(fw_rp *r)
{
    json_t *a = json_array();
    for (size_t i = 0; fw_stages[i]; i++)
        for (size_t k = 0; fw_stages[i]->models && fw_stages[i]->models[k]; k++)
            add_models(r, fw_stages[i]->name, fw_stages[i]->models[k], a);
    return a;
}

static void add_setting(void *user, const char *name, const char *value)
{
    json_object_set_new(user, name, text(value));
}

static json_t *settings_of(const fw_conf *c)
{
    json_t *now = json_object(), *usual = json_object(), *a = json_array(), *value;
    const char *name;
    fw_conf *defaults = fw_conf_new();
    fw_conf_each(c, add_setting, now);
    fw_conf_each(defaults, add_setting, usual);
    json_object_foreach(now, name, value)
        json_array_append_new(a, json_pack("[s,O,b]", name, value, !json_equal(value, json_object_get(usual, name))));
    fw_conf_free(defaults);
    json_decref(now);
    json_decref(usual);
    return a;
}

/* file:///folder/ of a source that lies in a folder, percent-encoded; null when the originals cannot be reached. */
static json_t *base_of(const fw_source *s)
{
    if (!s) return json_null();
    char *at = fw_source_locate(s, "");
    if (at[0] != '/') {
        fw_free(at);
        return json_null();
    }
    fw_buf url = {0};
    fw_buf_puts(&url, "file://");
    for (const char *c = at; *c; c++)
        if (strchr("/-_.~", *c) || (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z'))
            fw_buf_add(&url, c, 1);
        else
            fw_buf_printf(&url, "%%%02X", (unsigned char)*c);
    json_t *j = json_string(url.data);
    fw_buf_free(&url);
    fw_free(at);
    return j;
}

static json_t *sets_of(const fw_rp *r)
{
    json_t *a = json_array();
    for (size_t i = 0; i < r->sets; i++)
        json_array_append_new(a, json_pack("{s:s, s:o, s:o, s:I}", "name", r->set[i].name, "source",
                                           text(fw_store_source(r->run->store, r->set[i].name)), "base",
                                           base_of(r->set[i].source), "images", (json_int_t)r->set[i].v->n));
    return a;
}

static json_t *queues_of(const fw_rp *r)
{
    json_t *a = json_array();
    for (int q = 0; q < FW_QUEUES; q++) {
        if (q == FW_Q_SAMPLE && !r->sample_population) continue;
        json_t *one = json_pack("{s:s, s:I, s:I}", "key", fw_rp_queue_names[q], "total", (json_int_t)r->queue[q].total,
                                "shown", (json_int_t)r->queue[q].shown);
        if (q == FW_Q_DUPLICATE) json_object_set_new(one, "across", json_integer((json_int_t)r->across));
        json_array_append_new(a, one);
    }
    return a;
}

int fw_rp_write_overview(fw_rp *r, fw_err *e)
{
    static const char *const stage[] = {"audit", "dedupe", "overlap", "cluster"};
    json_t *thresholds = json_array(), *noise = NULL, *policies = NULL, *o = json_object();
    for (size_t i = 0; i < FW_COUNT(stage); i++) {
        json_t *j = findings_of(r, stage[i]);
        if (!i) noise = noise_of(j);
        if (!i && json_is_array(json_object_get(j, "policies"))) policies = json_incref(json_object_get(j, "policies"));
        if (j) add_thresholds(stage[i], j, thresholds);
        json_decref(j);
    }
    char made[32], id[33];
    time_t now = time(NULL);
    struct tm utc;
    strftime(made, sizeof made, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    const char *source = fw_store_source(r->run->store, "");
    fw_hash_hex(fw_hash_bytes(source, strlen(source)), id);
    json_object_set_new(o, "similarity", similarities(r, marks_of(thresholds)));
    json_object_set_new(o, "thresholds", thresholds);
    json_object_set_new(o, "noise", noise);
    json_object_set_new(o, "policies", policies ? policies : json_null());
    json_object_set_new(o, "policy", json_string(r->run->conf->audit_policy));
    fw_err none = {0}; /* a damaged sample costs the report these lines only */
    json_t *assess = fw_assess(r->run, &none), *decisions = findings_of(r, "decide");
    json_object_set_new(o, "assess", assess ? assess : json_null());
    json_object_set_new(o, "decisions", decisions ? decisions : json_null());
    json_object_set_new(o, "counts", counts(r));
    json_object_set_new(o, "distributions", distributions(r));
    json_object_set_new(o, "queues", queues_of(r));
    json_object_set_new(o, "sets", sets_of(r));
    json_object_set_new(o, "run",
                        json_pack("{s:o, s:o, s:o}", "stages", stages_of(r->run), "models", models_of(r), "settings",
                                  settings_of(r->run->conf)));
    json_object_set_new(o, "identities",
                        json_pack("{s:I, s:I}", "total", (json_int_t)r->v->labels, "shown", (json_int_t)r->ids));
    json_object_update_new(o,
                           json_pack("{s:i, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:I, s:I}", "format", 1, "version",
                                     FW_VERSION, "workspace", id, "made", made, "chunk", FW_RP_CHUNK, "per_sheet",
                                     FW_RP_SHEET, "cell", FW_RP_CELL, "sheet_columns", FW_RP_COLUMNS, "people_chunk",
                                     FW_RP_PEOPLE, "thumbs", (json_int_t)r->thumbs, "faces", (json_int_t)r->faces));
    return fw_rp_put(r, "overview", o, e);
}
