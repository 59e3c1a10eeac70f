/* eval identification: 1:N on the people of a workspace. Gallery: the first image of each person that has a face, or
 * the paths of --gallery LIST; probes: all other images. Labels are those of the dataset as it was read, or with
 * --cleaned those that identify matches by default: wrong photos left out, others relabelled, identities merged and split
 * (stages/people.h). Next to what is the best threshold in hindsight stands what the one that identify states in advance
 * gives (index/rank.h).
 */
#include "../index/rank.h"
#include "calibration.h"
#include "eval.h"
#include "people.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int from_list(const fw_args *a, const fw_view *v, uint8_t *role, fw_err *e)
{
    fw_eval_list list;
    FW_TRY(fw_eval_list_read(a->gallery, &list, e));
    for (size_t i = 0; i < v->n; i++) {
        size_t n;
        const char *path = fw_view_path(v, i, &n);
        role[i] = fw_eval_list_find(&list, path, n) ? FW_ROLE_GALLERY : FW_ROLE_PROBE;
    }
    fw_eval_list_free(&list);
    return FW_OK;
}

/* Whose image each row is, by the labels as read or of the cleaned set; FW_NONE: it takes no part. */
typedef struct whose {
    fw_intern names; /* of the cleaned set */
    uint32_t *label;
    size_t labels;
} whose;

static int take_people(const fw_args *a, fw_task *t, const fw_view *v, whose *w, fw_err *e)
{
    *w = (whose){.label = FW_ARRAY(uint32_t, v->n), .labels = v->labels};
    memcpy(w->label, v->label, v->n * sizeof *w->label); /* FW_NO_LABEL is FW_NONE */
    if (!a->cleaned) return FW_OK;
    if (a->benchmarks)
        return fw_fail(e, FW_EUSAGE, "eval: --cleaned is for the dataset; a benchmark is taken as it is");
    if (fw_people_cleaned(t, v, &w->names, w->label, e)) return fw_context(e, "the cleaned set");
    w->labels = w->names.n;
    return FW_OK;
}

static void first_images(const fw_view *v, const fw_vectors *x, const whose *w, uint8_t *role)
{
    uint8_t *seen = FW_ARRAY(uint8_t, w->labels);
    for (size_t i = 0; i < v->n; i++) {
        if (w->label[i] == FW_NONE || !fw_vectors_valid(x, i)) continue;
        role[i] = seen[w->label[i]] ? FW_ROLE_PROBE : FW_ROLE_GALLERY;
        seen[w->label[i]] = 1;
    }
    fw_free(seen);
}

static void print_dir(const fw_ranks *r, int k)
{
    const fw_dir *d = &r->dir[k];
    const fw_stated *s = &r->stated[k];
    printf("DIR at FPIR %-4g ", d->fpir);
    if (d->measurable)
        printf("%.2f %%, 95 %% interval %.2f .. %.2f (threshold %.4f)\n", 100 * d->dir, 100 * d->low, 100 * d->high,
               d->threshold);
    else
        printf("not measurable: %zu searches are fewer than 1 / %g\n", r->probes, d->fpir);
    if (r->calibrated)
        printf("  stated %-8g FPIR %.4f, 95 %% interval %.4f .. %.4f; DIR %.2f %%, %.2f .. %.2f (threshold %.4f)\n",
               d->fpir, s->fpir, s->fpir_low, s->fpir_high, 100 * s->dir, 100 * s->low, 100 * s->high, s->threshold);
}

static void print_text(const fw_args *a, const fw_ranks *r, const char *calibration)
{
    printf("people           %s\n",
           a->cleaned ? "of the cleaned set" : "by the labels as read (--cleaned: of the cleaned set)");
    printf("gallery          %zu images of %zu people\n", r->gallery, r->people);
    printf("probes           %zu, of which %zu are of people in the gallery\n", r->probes, r->mated);
    for (int k = 1; k <= FW_CMC; k = k == 1 ? 5 : k * 2)
        printf("rank-%-2d          %.2f %%, 95 %% interval %.2f .. %.2f\n", k, 100 * r->cmc[k - 1], 100 * r->low[k - 1],
               100 * r->high[k - 1]);
    for (int k = 0; k < FW_FPIRS; k++) print_dir(r, k);
    printf("stated by        %s\n", calibration);
}

static json_t *stated_json(const fw_stated *s)
{
    return json_pack("{s:f, s:f, s:[f,f], s:f, s:[f,f]}", "threshold", s->threshold, "fpir", s->fpir, "fpir_interval95",
                     s->fpir_low, s->fpir_high, "dir", s->dir, "interval95", s->low, s->high);
}

static json_t *dir_json(const fw_ranks *r, int k)
{
    const fw_dir *d = &r->dir[k];
    json_t *j = d->measurable ? json_pack("{s:f, s:f, s:[f,f], s:f}", "fpir", d->fpir, "dir", d->dir, "interval95",
                                          d->low, d->high, "threshold", d->threshold)
                              : json_pack("{s:f, s:n}", "fpir", d->fpir, "dir");
    json_object_set_new(j, "stated", r->calibrated ? stated_json(&r->stated[k]) : json_null());
    return j;
}

static json_t *as_json(const fw_args *a, const fw_ranks *r, const char *calibration)
{
    json_t *cmc = json_array(), *dir = json_array();
    for (int k = 0; k < FW_CMC; k++)
        json_array_append_new(cmc, json_pack("{s:i, s:f, s:[f,f]}", "rank", k + 1, "share", r->cmc[k], "interval95",
                                             r->low[k], r->high[k]));
    for (int k = 0; k < FW_FPIRS; k++) json_array_append_new(dir, dir_json(r, k));
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:f, s:[f,f], s:o, s:o, s:s, s:s}", "cleaned", a->cleaned,
                     "gallery_images", (json_int_t)r->gallery, "gallery_people", (json_int_t)r->people, "probes",
                     (json_int_t)r->probes, "mated", (json_int_t)r->mated, "rank1", r->cmc[0], "rank1_interval95",
                     r->low[0], r->high[0], "cmc", cmc, "open_set", dir, "calibration", calibration, "intervals",
                     "Clopper-Pearson, probes taken as independent");
}

static int rank_people(const fw_args *a, const fw_view *v, const fw_vectors *x, const whose *w, const fw_calibration *c,
                       fw_err *e)
{
    fw_ranks ranks;
    uint8_t *role = FW_ARRAY(uint8_t, v->n);
    int rc = a->gallery ? from_list(a, v, role, e) : FW_OK;
    if (!a->gallery) first_images(v, x, w, role);
    if (!rc) rc = fw_rank_all(x, w->label, role, w->labels, c->there ? &c->calib : NULL, &ranks, e);
    fw_free(role);
    if (rc) return rc;
    if (a->json) return fw_eval_print(as_json(a, &ranks, c->from), e);
    print_text(a, &ranks, c->from);
    return FW_OK;
}

int fw_eval_identification(const fw_args *a, fw_run *r, fw_err *e)
{
    fw_task t = fw_run_reader(r);
    const char *set = fw_eval_set(a, &t, e);
    const fw_view *v = set ? fw_task_view(&t, set, e) : NULL;
    const fw_vectors *x = v ? fw_task_vectors(&t, set, e) : NULL;
    whose w;
    fw_calibration c = {0};
    if (!x) return e->code;
    int rc = take_people(a, &t, v, &w, e);
    if (!rc) rc = fw_calibration_find(r, a->conf, &c, e);
    if (!rc) rc = rank_people(a, v, x, &w, &c, e);
    fw_calibration_free(&c);
    fw_intern_free(&w.names);
    fw_free(w.label);
    return rc;
}
