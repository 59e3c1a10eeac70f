/* eval identification: 1:N on the people of a workspace. Gallery: the first image of each person that has a face, or
 * the paths of --gallery LIST; probes: all other images. Labels are those of the dataset as it was read (index/rank.h).
 */
#include "../index/rank.h"
#include "eval.h"

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

static void first_images(const fw_view *v, const fw_vectors *x, uint8_t *role)
{
    uint8_t *seen = FW_ARRAY(uint8_t, v->labels);
    for (size_t i = 0; i < v->n; i++) {
        if (v->label[i] == FW_NO_LABEL || !fw_vectors_valid(x, i)) continue;
        role[i] = seen[v->label[i]] ? FW_ROLE_PROBE : FW_ROLE_GALLERY;
        seen[v->label[i]] = 1;
    }
    fw_free(seen);
}

static void print_text(const fw_ranks *r)
{
    printf("gallery          %zu images of %zu people\n", r->gallery, r->people);
    printf("probes           %zu, of which %zu are of people in the gallery\n", r->probes, r->mated);
    for (int k = 1; k <= FW_CMC; k = k == 1 ? 5 : k * 2)
        printf("rank-%-2d          %.2f %%, 95 %% interval %.2f .. %.2f\n", k, 100 * r->cmc[k - 1], 100 * r->low[k - 1],
               100 * r->high[k - 1]);
    for (int k = 0; k < FW_FPIRS; k++) {
        const fw_dir *d = &r->dir[k];
        printf("DIR at FPIR %-4g ", d->fpir);
        if (d->measurable)
            printf("%.2f %%, 95 %% interval %.2f .. %.2f (threshold %.4f)\n", 100 * d->dir, 100 * d->low, 100 * d->high,
                   d->threshold);
        else
            printf("not measurable: %zu searches are fewer than 1 / %g\n", r->probes, d->fpir);
    }
}

static json_t *as_json(const fw_ranks *r)
{
    json_t *cmc = json_array(), *dir = json_array();
    for (int k = 0; k < FW_CMC; k++)
        json_array_append_new(cmc, json_pack("{s:i, s:f, s:[f,f]}", "rank", k + 1, "share", r->cmc[k], "interval95",
                                             r->low[k], r->high[k]));
    for (int k = 0; k < FW_FPIRS; k++) {
        const fw_dir *d = &r->dir[k];
        json_array_append_new(dir, d->measurable ? json_pack("{s:f, s:f, s:[f,f], s:f}", "fpir", d->fpir, "dir", d->dir,
                                                             "interval95", d->low, d->high, "threshold", d->threshold)
                                                 : json_pack("{s:f, s:n}", "fpir", d->fpir, "dir"));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:f, s:[f,f], s:o, s:o, s:s}", "gallery_images", (json_int_t)r->gallery,
                     "gallery_people", (json_int_t)r->people, "probes", (json_int_t)r->probes, "mated",
                     (json_int_t)r->mated, "rank1", r->cmc[0], "rank1_interval95", r->low[0], r->high[0], "cmc", cmc,
                     "open_set", dir, "intervals", "Clopper-Pearson, probes taken as independent");
}

int fw_eval_identification(const fw_args *a, fw_run *r, fw_err *e)
{
    fw_task t = fw_run_reader(r);
    const char *set = fw_eval_set(a, &t, e);
    const fw_view *v = set ? fw_task_view(&t, set, e) : NULL;
    const fw_vectors *x = v ? fw_task_vectors(&t, set, e) : NULL;
    if (!x) return e->code;
    uint8_t *role = FW_ARRAY(uint8_t, v->n);
    fw_ranks ranks;
    int rc = a->gallery ? from_list(a, v, role, e) : FW_OK;
    if (!a->gallery) first_images(v, x, role);
    if (!rc) rc = fw_rank_all(x, v->label, role, v->labels, &ranks, e);
    fw_free(role);
    if (rc) return rc;
    if (a->json) return fw_eval_print(as_json(&ranks), e);
    print_text(&ranks);
    return FW_OK;
}
