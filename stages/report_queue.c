/* report_queue: what is worth a curator's time.
 *
 * worth = how likely an answer is to change the result x how many images it moves. For a statement that the machine
 * holds with probability s that is (1 - |2s - 1|), highest where it is least sure, plus a floor so that of equally sure
 * ones those that move more images come first.
 *
 *   queue        a                b
 *   mislabeled   dataset row
 *   outlier      dataset row
 *   duplicate    group
 *   merge        label            the label that it goes into
 *   split        label
 *   overlap      finding
 *   quality      dataset row
 *   unreadable   dataset row
 *   sample       dataset row      the label that it is kept under; in the order of the draw
 */
#include "claims.h"
#include "report.h"
#include "sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const fw_rp_queue_names[FW_QUEUES] = {"mislabeled", "outlier", "duplicate",  "merge", "split",
                                                  "overlap",    "quality", "unreadable", "sample"};

static double doubt(double s)
{
    return isfinite(s) ? 1 - fabs(2 * s - 1) : 0;
}

static int by_worth(const void *x, const void *y)
{
    const fw_rp_row *a = x, *b = y;
    if (a->worth != b->worth) return a->worth > b->worth ? -1 : 1;
    return a->a < b->a ? -1 : a->a > b->a;
}

/* Keep the best `want` rows: when twice as many are there, sort and cut. Memory stays small, all rows are seen. */
static void cut(fw_rp_list *q, size_t want)
{
    if (q->n) qsort(q->row, q->n, sizeof *q->row, by_worth);
    if (q->n > want) q->n = want;
}

static void add(fw_rp *r, int queue, size_t a, size_t b, double worth)
{
    fw_rp_list *q = &r->queue[queue];
    size_t want = (size_t)r->run->conf->report_queue;
    q->total++;
    if (q->n >= 2 * want) cut(q, want);
    fw_reserve(&q->row, &q->cap, q->n + 1, sizeof *q->row);
    q->row[q->n++] = (fw_rp_row){(uint32_t)a, (uint32_t)b, (float)worth};
}

static void find_in_images(fw_rp *r)
{
    for (size_t i = 0; i < r->v->n; i++) {
        if (!r->v->alive[i]) continue;
        uint8_t status = *(const uint8_t *)fw_col_row(r->set[0].status, i);
        unsigned f = r->flags[i];
        if (f & FW_FLAG_MISLABELED) add(r, FW_Q_MISLABELED, i, 0, doubt(r->p[i]) + 0.01);
        if (f & FW_FLAG_OUTLIER) add(r, FW_Q_OUTLIER, i, 0, doubt(r->p[i]) + 0.01);
        if (f & FW_FLAG_LOW_QUALITY) add(r, FW_Q_QUALITY, i, 0, 1 - *(const float *)fw_col_row(r->set[0].quality, i));
        /* a photo without a face may hold one that the detector missed; a broken file stays broken */
        if (f & (FW_FLAG_NO_FACE | FW_FLAG_UNREADABLE))
            add(r, FW_Q_UNREADABLE, i, 0, status == FW_IMG_NO_FACE ? 1 : status == FW_IMG_UNREADABLE ? 0.1 : 0.05);
    }
}

/* The label that a label's photos end up under; a circle of merges ends where it began to turn. */
static uint32_t merged(const fw_rp *r, uint32_t label)
{
    for (int steps = 0; label != FW_NO_LABEL && steps < 100; steps++) {
        if (r->id_action[label] != FW_ID_MERGE || r->id_other[label] == FW_NO_LABEL) break;
        label = r->id_other[label];
    }
    return label;
}

/* People that a group stands for: 1, or 2 for several, of which one at most is right. No label names nobody. */
static uint32_t people_in(const fw_rp *r, size_t g)
{
    uint32_t first = FW_NO_LABEL;
    for (size_t k = r->copies.begin[g]; k < r->copies.begin[g + 1]; k++) {
        uint32_t label = merged(r, r->v->label[r->copies.row[k]]);
        if (label == FW_NO_LABEL) continue;
        if (first != FW_NO_LABEL && label != first) return 2;
        first = label;
    }
    return 1;
}

static uint32_t kept_of(const fw_rp *r, size_t g)
{
    for (size_t k = r->copies.begin[g]; k < r->copies.begin[g + 1]; k++)
        if (r->dup_kept[r->copies.row[k]]) return r->copies.row[k];
    return r->copies.row[r->copies.begin[g]];
}

/* One photo under two names is a wrong label for certain, so these come before what is left to doubt of the others. */
static void find_duplicates(fw_rp *r)
{
    for (size_t g = 0; g < r->copies.keys; g++) {
        size_t from = r->copies.begin[g], to = r->copies.begin[g + 1];
        if (to - from < 2) continue;
        double worth = people_in(r, g) > 1 ? 1 : 0;
        r->across += worth > 0;
        for (size_t k = from; k < to; k++) {
            uint32_t row = r->copies.row[k];
            worth += r->dup_kind[row] == FW_DUP_NEAR ? 1.01 - r->dup_sim[row] : 0.001;
        }
        add(r, FW_Q_DUPLICATE, g, 0, worth);
    }
}

static void find_in_identities(fw_rp *r)
{
    for (size_t l = 0; l < r->v->labels; l++) {
        if (!r->id_images[l]) continue;
        double images = r->id_images[l];
        bool merge = r->id_action[l] == FW_ID_MERGE || r->id_action[l] == FW_ID_REVIEW; /* review: no longer sure */
        if (merge && r->id_other[l] != FW_NO_LABEL)
            add(r, FW_Q_MERGE, l, r->id_other[l], (doubt(r->id_score[l]) + 0.05) * images);
        if (r->id_action[l] == FW_ID_SPLIT) add(r, FW_Q_SPLIT, l, 0, (doubt(r->id_score[l]) + 0.05) * images);
    }
}

typedef struct drawn {
    fw_hash hash;
    size_t at;
} drawn;

static int by_hash(const void *pa, const void *pb)
{
    const drawn *a = pa, *b = pb;
    return memcmp(&a->hash, &b->hash, sizeof a->hash);
}

static uint32_t kept_label(const fw_rp *r, size_t i)
{
    return r->new_label[i] != FW_NO_LABEL && r->person[i] < 2 ? r->new_label[i] : r->v->label[i];
}

/* A label is looked for where the photo is now: its own, or the one that it was given. */
static uint32_t label_named(const fw_rp *r, size_t i, const char *name)
{
    const uint32_t known[] = {kept_label(r, i), r->v->label[i]};
    for (size_t k = 0; k < FW_COUNT(known); k++)
        if (known[k] != FW_NO_LABEL && !strcmp(r->v->label_name[known[k]], name)) return known[k];
    return FW_NO_LABEL;
}

/* Photos of the draw that are still here, one row each; worth keeps the order of the draw. */
static void find_sample(fw_rp *r)
{
    fw_sample s;
    fw_err none = {0};
    if (fw_sample_read(r->run, &s, &none) || !s.n) return; /* a damaged file costs the report this queue only */
    drawn *d = FW_ARRAY(drawn, s.n);
    uint8_t *done = FW_ARRAY(uint8_t, s.n);
    r->sample_population = s.population;
    for (size_t k = 0; k < s.n; k++) d[k] = (drawn){s.hash[k], k};
    qsort(d, s.n, sizeof *d, by_hash);
    for (size_t i = 0; i < r->v->n; i++) {
        drawn key = {fw_view_hash(r->v, i), 0}, *found = bsearch(&key, d, s.n, sizeof *d, by_hash);
        if (!found || !r->v->alive[i] || done[found->at]) continue;
        uint32_t label = label_named(r, i, s.label[found->at]);
        if (label == FW_NO_LABEL) continue;
        done[found->at] = 1;
        add(r, FW_Q_SAMPLE, i, label, 1 - (double)found->at / (double)s.n);
    }
    fw_free(d);
    fw_free(done);
    fw_sample_free(&s);
}

void fw_rp_find(fw_rp *r)
{
    find_in_images(r);
    find_sample(r);
    find_duplicates(r);
    find_in_identities(r);
    for (size_t k = 0; k < r->findings; k++)
        if (r->o_bench[k] + 1 < r->sets) add(r, FW_Q_OVERLAP, k, 0, doubt(r->o_score[k]) + 0.05);
    for (int q = 0; q < FW_QUEUES; q++) cut(&r->queue[q], (size_t)r->run->conf->report_queue);
}

/* ---- groups ---------------------------------------------------------------------------------------------------- */

/* Members of a duplicate group to show: the kept one, those under other labels, the others; returns how many. */
static size_t copies_of(const fw_rp *r, size_t g, uint32_t *out)
{
    size_t n = 0;
    out[n++] = kept_of(r, g);
    for (int own = 0; own < 2; own++)
        for (size_t k = r->copies.begin[g]; k < r->copies.begin[g + 1] && n < FW_RP_MEMBERS; k++) {
            uint32_t row = r->copies.row[k];
            if (row != out[0] && (r->v->label[row] == r->v->label[out[0]]) == own) out[n++] = row;
        }
    return n;
}

/* Faces of the k-th person of a label (1: the main one), closest to the main person first for 1, in order for others;
 * the size of the whole part is *total. */
static size_t part_of(const fw_rp *r, uint32_t label, uint32_t person, uint32_t *out, size_t *total)
{
    size_t n = 0;
    *total = 0;
    for (size_t k = r->members.begin[label]; k < r->members.begin[label + 1]; k++) {
        uint32_t row = r->members.row[k];
        if (!fw_vectors_valid(r->vec, row) || r->audit_person[row] != person) continue;
        if (person == 1 && r->verdict[row] == FW_REMOVE) continue; /* strangers do not show who the main person is */
        ++*total;
        if (n < FW_RP_MEMBERS) out[n++] = row;
    }
    return n;
}

static uint32_t people_of(const fw_rp *r, uint32_t label)
{
    uint32_t most = 1;
    for (size_t k = r->members.begin[label]; k < r->members.begin[label + 1]; k++)
        if (r->audit_person[r->members.row[k]] > most) most = r->audit_person[r->members.row[k]];
    return most;
}

/* ---- taking rows into the report ------------------------------------------------------------------------------- */

static bool take_all(fw_rp *r, const uint32_t *row, size_t n)
{
    bool ok = true;
    for (size_t i = 0; i < n; i++) ok = fw_rp_number(r, 0, row[i]) != FW_RP_NONE && ok;
    return ok;
}

static bool take_split(fw_rp *r, uint32_t label)
{
    uint32_t rows[FW_RP_MEMBERS], people = people_of(r, label);
    bool ok = true;
    for (uint32_t p = 1; p <= people; p++) {
        size_t total, n = part_of(r, label, p, rows, &total);
        ok = take_all(r, rows, n) && ok;
    }
    return ok;
}

bool fw_rp_take_row(fw_rp *r, int queue, size_t k)
{
    const fw_rp_row *row = &r->queue[queue].row[k];
    uint32_t rows[FW_RP_MEMBERS];
    if (queue == FW_Q_MERGE) {
        fw_rp_show_identity(r, row->a);
        fw_rp_show_identity(r, row->b);
        return r->faces < r->face_limit;
    }
    if (queue == FW_Q_SPLIT) return fw_rp_show_identity(r, row->a), take_split(r, row->a);
    if (queue == FW_Q_DUPLICATE) return take_all(r, rows, copies_of(r, row->a, rows));
    uint32_t image = queue == FW_Q_OVERLAP ? r->o_row[row->a] : row->a;
    bool ok = fw_rp_number(r, 0, image) != FW_RP_NONE;
    if (queue == FW_Q_OVERLAP)
        return fw_rp_number(r, r->o_bench[row->a] + 1, r->o_bench_row[row->a]) != FW_RP_NONE && ok;
    if (queue <= FW_Q_OUTLIER || queue == FW_Q_SAMPLE) {
        fw_rp_show_identity(r, queue == FW_Q_SAMPLE ? row->b : r->v->label[image]);
        fw_rp_show_identity(r, r->new_label[image]);
        fw_rp_show_identity(r, r->other[image]);
    }
    return ok;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static void hash_of(const fw_rp *r, size_t set, size_t row, char hex[33])
{
    const fw_view *v = r->set[set].v;
    size_t s = fw_view_shard(v, row);
    const uint64_t *h = (const uint64_t *)v->shard[s]->hash.data + 2 * (row - v->base[s]);
    fw_hash_hex((fw_hash){h[0], h[1]}, hex);
}

static json_t *face_no(const fw_rp *r, size_t set, size_t row)
{
    uint32_t f = r->set[set].number[row];
    return json_integer(f == FW_RP_NONE ? -1 : (json_int_t)f);
}

static json_t *key_pair(const char *a, const char *b)
{
    return strcmp(a, b) <= 0 ? json_sprintf("%s+%s", a, b) : json_sprintf("%s+%s", b, a);
}

typedef struct columns { /* of a queue file; unused ones stay NULL */
    json_t *f, *id, *p, *to, *worth, *key, *kept, *members, *kind, *sim, *size, *people, *why, *a, *b, *score, *groups,
        *sizes, *bf, *blabel, *rule, *q, *status;
} columns;

static void put_image(fw_rp *r, columns *c, int queue, uint32_t row, uint32_t label)
{
    char hex[33];
    hash_of(r, 0, row, hex);
    json_array_append_new(c->f, face_no(r, 0, row));
    json_array_append_new(c->id, json_integer(fw_rp_identity(r, label)));
    json_array_append_new(c->key, json_string(hex));
    if (queue == FW_Q_QUALITY)
        json_array_append_new(c->q, fw_rp_real(*(const float *)fw_col_row(r->set[0].quality, row)));
    if (queue == FW_Q_UNREADABLE)
        json_array_append_new(c->status, json_integer(*(const uint8_t *)fw_col_row(r->set[0].status, row)));
    if (queue > FW_Q_OUTLIER && queue != FW_Q_SAMPLE) return;
    uint32_t to = r->new_label[row] != FW_NO_LABEL && r->new_label[row] != label ? r->new_label[row] : r->other[row];
    json_array_append_new(c->p, fw_rp_real(r->p[row]));
    json_array_append_new(c->to, json_integer(to == label ? -1 : fw_rp_identity(r, to)));
}

static void put_copies(fw_rp *r, columns *c, uint32_t g)
{
    uint32_t rows[FW_RP_MEMBERS];
    size_t n = copies_of(r, g, rows);
    json_t *members = json_array(), *kind = json_array(), *sim = json_array();
    char hex[33], low[33] = "", high[33] = "";
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(members, face_no(r, 0, rows[i]));
        json_array_append_new(kind, json_integer(i ? r->dup_kind[rows[i]] : 0));
        json_array_append_new(sim, fw_rp_real(r->dup_sim[rows[i]]));
        hash_of(r, 0, rows[i], hex);
        if (!i || strcmp(hex, low) < 0) memcpy(low, hex, sizeof hex);
        if (!i || strcmp(hex, high) > 0) memcpy(high, hex, sizeof hex);
    }
    json_array_append_new(c->kept, face_no(r, 0, rows[0]));
    json_array_append_new(c->members, members);
    json_array_append_new(c->kind, kind);
    json_array_append_new(c->sim, sim);
    json_array_append_new(c->size, json_integer((json_int_t)(r->copies.begin[g + 1] - r->copies.begin[g])));
    json_array_append_new(c->people, json_integer(people_in(r, g)));
    json_array_append_new(c->why, json_integer(r->dup_why[rows[0]]));
    json_array_append_new(c->id, json_integer(fw_rp_identity(r, r->v->label[rows[0]])));
    json_array_append_new(c->key, key_pair(low, high));
}

static void put_split(fw_rp *r, columns *c, uint32_t label)
{
    uint32_t rows[FW_RP_MEMBERS], people = people_of(r, label);
    json_t *groups = json_array(), *sizes = json_array();
    for (uint32_t p = 1; p <= people; p++) {
        size_t total, n = part_of(r, label, p, rows, &total);
        if (!n) continue;
        json_t *group = json_array();
        for (size_t i = 0; i < n; i++) json_array_append_new(group, face_no(r, 0, rows[i]));
        json_array_append_new(groups, group);
        json_array_append_new(sizes, json_integer((json_int_t)total));
    }
    json_array_append_new(c->id, json_integer(fw_rp_identity(r, label)));
    json_array_append_new(c->groups, groups);
    json_array_append_new(c->sizes, sizes);
    json_array_append_new(c->score, fw_rp_real(r->id_score[label]));
}

static void put_overlap(fw_rp *r, columns *c, uint32_t k)
{
    char mine[33], theirs[33];
    size_t set = r->o_bench[k] + 1;
    const fw_view *b = r->set[set].v;
    uint32_t label = b->label[r->o_bench_row[k]];
    const char *name = label == FW_NO_LABEL ? "" : b->label_name[label];
    hash_of(r, 0, r->o_row[k], mine);
    hash_of(r, set, r->o_bench_row[k], theirs);
    json_array_append_new(c->f, face_no(r, 0, r->o_row[k]));
    json_array_append_new(c->bf, face_no(r, set, r->o_bench_row[k]));
    json_array_append_new(c->blabel, fw_rp_text(name, strlen(name), NULL, 0));
    json_array_append_new(c->sim, fw_rp_real(r->o_sim[k]));
    json_array_append_new(c->score, fw_rp_real(r->o_score[k]));
    json_array_append_new(c->rule, json_integer(r->o_rule[k]));
    json_array_append_new(c->id, json_integer(fw_rp_identity(r, r->v->label[r->o_row[k]])));
    json_array_append_new(c->key, json_sprintf("%s+%s", mine, theirs));
}

static void open_columns(json_t *o, columns *c, int queue)
{
    static const char *const wanted[FW_QUEUES] = {
        "f id p to worth key", "f id p to worth key",         "kept members kind sim size people why id worth key",
        "a b score worth",     "id groups sizes score worth", "f bf blabel sim score rule id worth key",
        "f id q worth key",    "f id status worth key",       "f id p to worth key"};
    struct {
        const char *name;
        json_t **to;
    } all[] = {{"f", &c->f},           {"id", &c->id},       {"p", &c->p},          {"to", &c->to},
               {"worth", &c->worth},   {"key", &c->key},     {"kept", &c->kept},    {"members", &c->members},
               {"kind", &c->kind},     {"sim", &c->sim},     {"size", &c->size},    {"people", &c->people},
               {"why", &c->why},       {"a", &c->a},         {"b", &c->b},          {"score", &c->score},
               {"groups", &c->groups}, {"sizes", &c->sizes}, {"bf", &c->bf},        {"blabel", &c->blabel},
               {"rule", &c->rule},     {"q", &c->q},         {"status", &c->status}};
    char *names = fw_strdup(wanted[queue]), *save = NULL;
    for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save))
        for (size_t i = 0; i < FW_COUNT(all); i++)
            if (!strcmp(all[i].name, name)) fw_rp_column(o, name, all[i].to);
    fw_free(names);
}

int fw_rp_write_queue(fw_rp *r, int queue, fw_err *e)
{
    columns c = {0};
    json_t *o = json_object();
    open_columns(o, &c, queue);
    for (size_t k = 0; k < r->queue[queue].shown; k++) {
        const fw_rp_row *row = &r->queue[queue].row[k];
        if (queue == FW_Q_DUPLICATE)
            put_copies(r, &c, row->a);
        else if (queue == FW_Q_SPLIT)
            put_split(r, &c, row->a);
        else if (queue == FW_Q_OVERLAP)
            put_overlap(r, &c, row->a);
        else if (queue == FW_Q_MERGE) {
            json_array_append_new(c.a, json_integer(fw_rp_identity(r, row->a)));
            json_array_append_new(c.b, json_integer(fw_rp_identity(r, row->b)));
            json_array_append_new(c.score, fw_rp_real(r->id_score[row->a]));
        } else
            put_image(r, &c, queue, row->a, queue == FW_Q_SAMPLE ? row->b : r->v->label[row->a]);
        json_array_append_new(c.worth, fw_rp_real(row->worth));
    }
    char *name = fw_format("queue_%s", fw_rp_queue_names[queue]);
    int rc = fw_rp_put(r, name, o, e);
    fw_free(name);
    return rc;
}
