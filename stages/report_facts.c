/* report_facts: gather what the stages found. Everything is mapped or borrowed but the two groupings. */
#include "report.h"

#include <string.h>

static const void *whole(fw_rp *r, const char *name, size_t rows, fw_err *e)
{
    const fw_column *c = e->code ? NULL : fw_task_whole(&r->task, name, e);
    if (c && c->rows != rows) fw_fail(e, FW_EFAIL, "column '%s': %zu rows, expected %zu", name, c->rows, rows);
    return c && !e->code ? c->data : NULL;
}

static int load_images(fw_rp *r, fw_err *e)
{
    size_t n = r->v->n;
    r->verdict = whole(r, "decide.verdict", n, e);
    r->flags = whole(r, "decide.flags", n, e);
    r->p = whole(r, "decide.score", n, e);
    r->new_label = whole(r, "decide.new_label", n, e);
    r->person = whole(r, "decide.person", n, e);
    r->dup_kept = whole(r, "decide.dup_kept", n, e);
    r->audit_person = whole(r, "confirm.person", n, e);
    r->sim = whole(r, "confirm.sim", n, e);
    r->other = whole(r, "confirm.other", n, e);
    r->other_sim = whole(r, "confirm.other_sim", n, e);
    r->dup_group = whole(r, "decide.dup_group", n, e);
    r->dup_kind = whole(r, "decide.dup_kind", n, e);
    r->dup_sim = whole(r, "decide.dup_sim", n, e);
    r->dup_why = whole(r, "decide.dup_why", n, e);
    return e->code;
}

static int load_identities(fw_rp *r, fw_err *e)
{
    size_t labels = r->v->labels;
    r->id_kept = whole(r, "decide.id_kept", labels, e);
    r->id_action = whole(r, "confirm.id_action", labels, e);
    r->id_other = whole(r, "confirm.id_other", labels, e);
    r->id_cohesion = whole(r, "confirm.id_cohesion", labels, e);
    r->id_score = whole(r, "confirm.id_score", labels, e);
    return e->code;
}

static int load_overlap(fw_rp *r, fw_err *e)
{
    const fw_column *rows = fw_task_whole(&r->task, "overlap.row", e);
    if (!rows) return e->code;
    size_t m = r->findings = rows->rows;
    r->o_row = rows->data;
    r->o_label = whole(r, "overlap.label", m, e);
    r->o_bench = whole(r, "overlap.bench", m, e);
    r->o_bench_row = whole(r, "overlap.bench_row", m, e);
    r->o_sim = whole(r, "overlap.sim", m, e);
    r->o_score = whole(r, "overlap.score", m, e);
    r->o_rule = whole(r, "overlap.rule", m, e);
    return e->code;
}

static int load_set(fw_rp *r, fw_rp_set *s, const char *name, fw_err *e)
{
    struct {
        fw_cols **to;
        const char *column;
    } wanted[] = {{&s->status, "detect.status"}, {&s->size, "detect.size"},         {&s->box, "detect.box"},
                  {&s->det, "detect.score"},     {&s->landmark, "detect.landmark"}, {&s->target, "detect.target"},
                  {&s->why, "detect.why"},       {&s->crop, "align.crop"},          {&s->measures, "quality.measures"},
                  {&s->quality, "quality.score"}};
    s->name = name;
    s->v = fw_task_view(&r->task, name, e);
    for (size_t i = 0; s->v && i < FW_COUNT(wanted); i++)
        if (!(*wanted[i].to = fw_task_cols(&r->task, wanted[i].column, name, e))) return e->code;
    if (!s->v) return e->code;
    fw_err gone = {0}; /* a source that has gone costs the report its originals only */
    s->source = fw_task_source(&r->task, name, &gone);
    s->number = FW_ARRAY(uint32_t, s->v->n);
    memset(s->number, 0xFF, s->v->n * sizeof *s->number);
    return FW_OK;
}

/* Counting sort of the living rows by key (FW_NO_LABEL: in no group). */
static fw_rp_groups group_rows(const fw_view *v, const uint32_t *key, size_t keys)
{
    fw_rp_groups g = {.keys = keys, .begin = FW_ARRAY(size_t, keys + 1)};
    for (size_t i = 0; i < v->n; i++)
        if (v->alive[i] && key[i] != FW_NO_LABEL) g.begin[key[i] + 1]++;
    for (size_t k = 0; k < keys; k++) g.begin[k + 1] += g.begin[k];
    g.row = FW_ARRAY(uint32_t, g.begin[keys]);
    size_t *at = FW_ARRAY(size_t, keys);
    if (keys) memcpy(at, g.begin, keys * sizeof *at);
    for (size_t i = 0; i < v->n; i++)
        if (v->alive[i] && key[i] != FW_NO_LABEL) g.row[at[key[i]]++] = (uint32_t)i;
    fw_free(at);
    return g;
}

static void group_all(fw_rp *r)
{
    size_t groups = 0;
    for (size_t i = 0; i < r->v->n; i++)
        if (r->dup_group[i] != FW_NO_LABEL && r->dup_group[i] >= groups) groups = (size_t)r->dup_group[i] + 1;
    r->members = group_rows(r->v, r->v->label, r->v->labels);
    r->copies = group_rows(r->v, r->dup_group, groups);
    r->id_images = FW_ARRAY(uint32_t, r->v->labels);
    for (size_t l = 0; l < r->v->labels; l++)
        r->id_images[l] = (uint32_t)(r->members.begin[l + 1] - r->members.begin[l]);
    r->id_no = FW_ARRAY(uint32_t, r->v->labels);
    memset(r->id_no, 0xFF, r->v->labels * sizeof *r->id_no);
}

int fw_rp_load(fw_rp *r, fw_err *e)
{
    const char *const *bench;
    size_t benchmarks = fw_task_benchmarks(&r->task, &bench);
    r->set = FW_ARRAY(fw_rp_set, benchmarks + 1);
    r->sets = benchmarks + 1;
    for (size_t i = 0; i < r->sets; i++) FW_TRY(load_set(r, &r->set[i], i ? bench[i - 1] : "", e));
    r->v = r->set[0].v;
    r->vec = fw_task_vectors(&r->task, "", e);
    if (!r->vec) return e->code;
    FW_TRY(load_images(r, e));
    FW_TRY(load_identities(r, e));
    FW_TRY(load_overlap(r, e));
    group_all(r);
    return FW_OK;
}

void fw_rp_release(fw_rp *r)
{
    for (size_t i = 0; i < r->sets; i++) fw_free(r->set[i].number);
    for (int q = 0; q < FW_QUEUES; q++) fw_free(r->queue[q].row);
    void *all[] = {r->set,  r->members.begin, r->members.row, r->copies.begin, r->copies.row, r->id_images,
                   r->face, r->id_no,         r->id_label,    r->best,         r->id_page,    r->dir};
    for (size_t i = 0; i < FW_COUNT(all); i++) fw_free(all[i]);
}

int fw_rp_target(const fw_rp_set *s, size_t row, size_t *faces)
{
    int32_t t = *(const int32_t *)fw_col_row(s->target, row);
    fw_col_many(s->det, row, faces);
    return t >= 0 && (size_t)t < *faces ? t : -1;
}
