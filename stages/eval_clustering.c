/* eval clustering: the clusters of the unlabelled view (clusters.csv) against the labels of the dataset, or those of
 * --truth LIST (path TAB label); and the cleaned labels (keep.lst) against the same, where a truth list is given:
 * against the labels themselves they would only say how much was changed. Counted are images with a face and a true
 * label; an image that is alone is a cluster of its own. */
#include "../index/clusterscore.h"
#include "../lib/intern.h"
#include "decide.h"
#include "eval.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct scoring {
    const fw_view *v;
    const fw_vectors *x;
    uint32_t *truth;            /* by row; FW_NO_LABEL: unknown */
    uint32_t *cluster, *person; /* of the items that count */
    size_t n, out_of;           /* items; rows with a true label */
} scoring;

static int true_labels(const fw_args *a, scoring *s, fw_err *e)
{
    fw_eval_list list = {0};
    fw_intern names = {0};
    if (a->truth) FW_TRY(fw_eval_list_read(a->truth, &list, e));
    for (size_t i = 0; i < s->v->n; i++) {
        size_t n;
        const char *path = fw_view_path(s->v, i, &n);
        const struct fw_eval_line *line = a->truth ? fw_eval_list_find(&list, path, n) : NULL;
        s->truth[i] = !a->truth              ? s->v->label[i]
                      : line && *line->label ? fw_intern_get(&names, line->label, strlen(line->label))
                                             : FW_NO_LABEL;
        if (!s->v->alive[i]) s->truth[i] = FW_NO_LABEL;
        s->out_of += s->truth[i] != FW_NO_LABEL;
    }
    fw_intern_free(&names);
    fw_eval_list_free(&list);
    return s->out_of ? FW_OK : fw_fail(e, FW_EUSAGE, "eval clustering: no image has a true label");
}

static void take(scoring *s, size_t row, uint32_t cluster)
{
    s->cluster[s->n] = cluster;
    s->person[s->n++] = s->truth[row];
}

/* Alone: numbers above all clusters. */
static int take_clusters(scoring *s, fw_task *t, fw_err *e)
{
    const fw_column *c = fw_task_whole(t, "cluster.id", e);
    if (!c) return e->code;
    const int32_t *id = c->data;
    uint32_t alone = 1u << 31;
    for (size_t i = 0; i < s->v->n; i++)
        if (s->truth[i] != FW_NO_LABEL && fw_vectors_valid(s->x, i)) take(s, i, id[i] < 0 ? alone++ : (uint32_t)id[i]);
    return FW_OK;
}

static int take_cleaned(scoring *s, fw_task *t, fw_err *e)
{
    const fw_column *c[] = {fw_task_whole(t, "decide.verdict", e), fw_task_whole(t, "decide.new_label", e),
                            fw_task_whole(t, "decide.person", e)};
    if (!c[0] || !c[1] || !c[2]) return e->code;
    const uint8_t *verdict = c[0]->data;
    const uint32_t *label = c[1]->data, *person = c[2]->data;
    fw_intern names = {0};
    s->n = 0;
    for (size_t i = 0; i < s->v->n; i++) {
        bool moved = label[i] != FW_NO_LABEL;
        uint32_t l = moved ? label[i] : s->v->label[i];
        if (s->truth[i] == FW_NO_LABEL || !fw_vectors_valid(s->x, i) || l == FW_NO_LABEL ||
            (verdict[i] != FW_KEEP && verdict[i] != FW_RELABEL))
            continue;
        char *text = fw_format("%s#%u", s->v->label_name[l], moved && person[i] > 1 ? person[i] : 1);
        take(s, i, fw_intern_get(&names, text, strlen(text)));
        fw_free(text);
    }
    fw_intern_free(&names);
    return FW_OK;
}

static void print_text(const char *what, const scoring *s, const fw_clusterscore *c)
{
    printf("%-18s %zu in %zu groups, of %zu people; %zu images are left out\n", what, c->items, c->clusters, c->people,
           s->out_of - c->items);
    for (int k = 0; k < FW_SCORES; k++)
        printf("%-18s %.4f, 95 %% interval %.4f .. %.4f\n", fw_score_names[k], c->value[k], c->low[k], c->high[k]);
}

static json_t *as_json(const scoring *s, const fw_clusterscore *c)
{
    static const char *const keys[FW_SCORES] = {
        "pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_precision", "bcubed_recall", "bcubed_f", "nmi"};
    json_t *j = json_pack("{s:I, s:I, s:I, s:I}", "images", (json_int_t)c->items, "left_out",
                          (json_int_t)(s->out_of - c->items), "groups", (json_int_t)c->clusters, "people",
                          (json_int_t)c->people);
    for (int k = 0; k < FW_SCORES; k++)
        json_object_set_new(j, keys[k],
                            json_pack("{s:f, s:[f,f]}", "value", c->value[k], "interval95", c->low[k], c->high[k]));
    return j;
}

static int score_all(const fw_args *a, scoring *s, fw_task *t, fw_err *e)
{
    fw_clusterscore c;
    json_t *j = a->json ? json_object() : NULL;
    int rc = take_clusters(s, t, e);
    if (!rc) fw_cluster_score(s->cluster, s->person, s->n, &c);
    if (!rc && j) json_object_set_new(j, "clusters", as_json(s, &c));
    if (!rc && !j) print_text("clusters", s, &c);
    if (!rc && a->truth) rc = take_cleaned(s, t, e);
    if (!rc && a->truth) {
        fw_cluster_score(s->cluster, s->person, s->n, &c);
        if (j) json_object_set_new(j, "cleaned", as_json(s, &c));
        if (!j) puts(""), print_text("cleaned labels", s, &c);
    }
    if (j && !rc) {
        json_object_set_new(j, "intervals", json_string("delete-a-group jackknife over people"));
        return fw_eval_print(j, e);
    }
    json_decref(j);
    return rc;
}

int fw_eval_clustering(const fw_args *a, fw_run *r, fw_err *e)
{
    fw_task t = fw_run_reader(r);
    scoring s = {.v = fw_task_view(&t, "", e)};
    s.x = s.v ? fw_task_vectors(&t, "", e) : NULL;
    if (!s.x) return e->code;
    s.truth = FW_ARRAY(uint32_t, s.v->n);
    s.cluster = FW_ARRAY(uint32_t, s.v->n);
    s.person = FW_ARRAY(uint32_t, s.v->n);
    int rc = true_labels(a, &s, e);
    if (!rc) rc = score_all(a, &s, &t, e);
    fw_free(s.truth);
    fw_free(s.cluster);
    fw_free(s.person);
    return rc;
}
