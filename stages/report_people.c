/* report_people: the identities of the report. All that a queue shows are in its table; those whose images change most
 * have pages as far as there is room. */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A table of more than this many names would take long to load and search in a browser (100,000 are 10 MB). */
enum { TABLE_MOST = 100000 };

int64_t fw_rp_identity(fw_rp *r, uint32_t label)
{
    if (label == FW_NO_LABEL) return -1;
    if (r->id_no[label] != FW_RP_NONE) return r->id_no[label];
    size_t no = r->ids++;
    fw_reserve(&r->id_label, &r->id_cap, no + 1, sizeof *r->id_label);
    fw_reserve(&r->best, &r->best_cap, no + 1, sizeof *r->best);
    fw_reserve(&r->id_page, &r->page_cap, no + 1, 1);
    memset(r->best[no], 0xFF, sizeof r->best[no]);
    r->id_page[no] = 0;
    r->id_label[no] = label;
    return r->id_no[label] = (uint32_t)no;
}

/* Its faces nearest to the centre of its main person, of those that stay under the label. */
static size_t best_rows(const fw_rp *r, uint32_t label, uint32_t out[FW_RP_BEST])
{
    size_t n = 0;
    for (int pass = 0; pass < 2 && !n; pass++) /* an identity of which nothing stays shows what it has */
        for (size_t k = r->members.begin[label]; k < r->members.begin[label + 1]; k++) {
            uint32_t row = r->members.row[k];
            if (!fw_vectors_valid(r->vec, row) || (!pass && (r->verdict[row] != FW_KEEP || r->audit_person[row] > 1)))
                continue;
            size_t at = n < FW_RP_BEST ? n++ : FW_RP_BEST;
            while (at > 0 && r->sim[row] > r->sim[out[at - 1]]) {
                if (at < FW_RP_BEST) out[at] = out[at - 1];
                at--;
            }
            if (at < FW_RP_BEST) out[at] = row;
        }
    return n;
}

void fw_rp_show_identity(fw_rp *r, uint32_t label)
{
    int64_t no = fw_rp_identity(r, label);
    if (no < 0 || r->best[no][0] != FW_RP_NONE) return;
    uint32_t row[FW_RP_BEST];
    size_t n = best_rows(r, label, row);
    for (size_t k = 0; k < n; k++) {
        uint32_t f = fw_rp_number(r, 0, row[k]); /* may move r->best */
        r->best[no][k] = f;
        if (f == FW_RP_NONE) break;
    }
}

/* ---- pages ----------------------------------------------------------------------------------------------------- */

typedef struct doubtful {
    float p;
    uint32_t row;
} doubtful;

static int by_p(const void *x, const void *y)
{
    const doubtful *a = x, *b = y;
    if (a->p != b->p) return a->p > b->p ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Rows of a label by falling P(wrong), at most FW_RP_PERSON; the caller frees. */
static doubtful *rows_by_p(const fw_rp *r, uint32_t label, size_t *n)
{
    size_t from = r->members.begin[label], count = r->members.begin[label + 1] - from;
    doubtful *d = FW_ARRAY(doubtful, count);
    for (size_t k = 0; k < count; k++) {
        uint32_t row = r->members.row[from + k];
        d[k] = (doubtful){fw_vectors_valid(r->vec, row) && isfinite(r->p[row]) ? r->p[row] : -1, row};
    }
    if (count) qsort(d, count, sizeof *d, by_p);
    *n = count < FW_RP_PERSON ? count : FW_RP_PERSON;
    return d;
}

static bool take_person(fw_rp *r, uint32_t label)
{
    size_t n;
    if (r->faces + FW_RP_BEST >= r->face_limit) return false;
    fw_rp_show_identity(r, label);
    doubtful *d = rows_by_p(r, label, &n);
    for (size_t k = 0; k < n; k++) fw_rp_number(r, 0, d[k].row);
    fw_free(d);
    r->id_page[r->id_no[label]] = 1;
    return true;
}

static uint32_t lost(const fw_rp *r, uint32_t label)
{
    return r->id_images[label] > r->id_kept[label] ? r->id_images[label] - r->id_kept[label] : 0;
}

typedef struct ranked {
    uint32_t label, lost, images;
} ranked;

static int by_change(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->lost != b->lost) return a->lost > b->lost ? -1 : 1;
    if (a->images != b->images) return a->images > b->images ? -1 : 1;
    return a->label < b->label ? -1 : a->label > b->label;
}

void fw_rp_take_people(fw_rp *r)
{
    bool room = true;
    for (size_t no = 0; room && no < r->ids; no++) room = take_person(r, r->id_label[no]);
    size_t n = 0;
    ranked *rest = FW_ARRAY(ranked, r->v->labels);
    for (uint32_t l = 0; l < r->v->labels; l++)
        if (r->id_images[l] && r->id_no[l] == FW_RP_NONE) rest[n++] = (ranked){l, lost(r, l), r->id_images[l]};
    if (n) qsort(rest, n, sizeof *rest, by_change);
    for (size_t k = 0; k < n && r->ids < TABLE_MOST; k++) {
        if (room) room = take_person(r, rest[k].label);
        if (!room) fw_rp_identity(r, rest[k].label);
    }
    fw_free(rest);
}

static void base64(fw_buf *out, const uint8_t *b, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) | (i + 2 < n ? b[i + 2] : 0);
        char four[4] = {digit[x >> 18], digit[x >> 12 & 63], i + 1 < n ? digit[x >> 6 & 63] : '=',
                        i + 2 < n ? digit[x & 63] : '='};
        fw_buf_add(out, four, 4);
    }
}

/* Similarities of n rows as bytes, upper triangle. */
static json_t *similarity_map(const fw_rp *r, const uint32_t *row, size_t n)
{
    int dim = r->vec->dim;
    float *x = FW_ARRAY(float, n *(size_t)dim);
    uint8_t *bytes = FW_ARRAY(uint8_t, n * n / 2 + 1);
    fw_buf text = {0};
    size_t m = 0;
    for (size_t i = 0; i < n; i++) fw_vectors_get(r->vec, row[i], x + i * (size_t)dim);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            float s = (fw_dot(x + i * (size_t)dim, x + j * (size_t)dim, dim) + 1) * 127.5f;
            bytes[m++] = (uint8_t)(s < 0 ? 0 : s > 255 ? 255 : lrintf(s));
        }
    base64(&text, bytes, m);
    json_t *j = json_stringn(text.data ? text.data : "", text.len);
    fw_buf_free(&text);
    fw_free(bytes);
    fw_free(x);
    return j;
}

static json_t *page(const fw_rp *r, uint32_t label)
{
    size_t n, mapped = 0;
    uint32_t rows[FW_RP_MAP];
    doubtful *d = rows_by_p(r, label, &n);
    json_t *faces = json_array();
    bool straight = true; /* the map shows the first faces of the list, so it ends where one has no embedding */
    for (size_t k = 0; k < n; k++) {
        uint32_t f = r->set[0].number[d[k].row];
        if (f == FW_RP_NONE) break;
        json_array_append_new(faces, json_integer(f));
        straight = straight && fw_vectors_valid(r->vec, d[k].row);
        if (straight && mapped < FW_RP_MAP) rows[mapped++] = d[k].row;
    }
    fw_free(d);
    return json_pack("{s:o, s:I, s:I, s:o}", "faces", faces, "total", (json_int_t)r->id_images[label], "map_n",
                     (json_int_t)mapped, "map", similarity_map(r, rows, mapped));
}

int fw_rp_write_people(fw_rp *r, fw_err *e)
{
    for (size_t first = 0; first < r->ids; first += FW_RP_PEOPLE) {
        json_t *chunk = json_array();
        bool any = false;
        for (size_t no = first; no < r->ids && no < first + FW_RP_PEOPLE; no++) {
            any = any || r->id_page[no];
            json_array_append_new(chunk, r->id_page[no] ? page(r, r->id_label[no]) : json_null());
        }
        char *name = fw_format("people_%04zu", first / FW_RP_PEOPLE);
        int rc = any ? fw_rp_put(r, name, chunk, e) : FW_OK;
        if (!any) json_decref(chunk);
        fw_free(name);
        FW_TRY(rc);
        FW_TRY(fw_check_stop(e));
    }
    return FW_OK;
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

typedef struct columns {
    json_t *name, *images, *kept, *cohesion, *action, *other, *score, *flagged, *best, *page;
} columns;

static json_int_t flagged(const fw_rp *r, uint32_t label)
{
    json_int_t n = 0;
    for (size_t k = r->members.begin[label]; k < r->members.begin[label + 1]; k++)
        n += (r->flags[r->members.row[k]] & (FW_FLAG_MISLABELED | FW_FLAG_OUTLIER)) != 0;
    return n;
}

static void put_identity(fw_rp *r, columns *c, json_t *hex, size_t no)
{
    uint32_t l = r->id_label[no], other = r->id_other[l];
    json_t *best = json_array();
    for (int k = 0; k < FW_RP_BEST && r->best[no][k] != FW_RP_NONE; k++)
        json_array_append_new(best, json_integer(r->best[no][k]));
    uint32_t to = other == FW_NO_LABEL ? FW_RP_NONE : r->id_no[other];
    json_array_append_new(c->name, fw_rp_text(r->v->label_name[l], strlen(r->v->label_name[l]), hex, no));
    json_array_append_new(c->images, json_integer(r->id_images[l]));
    json_array_append_new(c->kept, json_integer(r->id_kept[l]));
    json_array_append_new(c->cohesion, r->id_images[l] > 1 ? fw_rp_real(r->id_cohesion[l]) : json_null());
    json_array_append_new(c->action, json_integer(r->id_action[l]));
    json_array_append_new(c->other, json_integer(to == FW_RP_NONE ? -1 : (json_int_t)to));
    json_array_append_new(c->score, fw_rp_real(r->id_score[l]));
    json_array_append_new(c->flagged, json_integer(flagged(r, l)));
    json_array_append_new(c->best, best);
    json_array_append_new(c->page, json_integer(r->id_page[no]));
}

int fw_rp_write_identities(fw_rp *r, fw_err *e)
{
    columns c;
    json_t *o = json_object(), *hex = json_object();
    struct {
        const char *name;
        json_t **to;
    } all[] = {{"name", &c.name},     {"images", &c.images}, {"kept", &c.kept},   {"cohesion", &c.cohesion},
               {"action", &c.action}, {"other", &c.other},   {"score", &c.score}, {"flagged", &c.flagged},
               {"best", &c.best},     {"page", &c.page}};
    for (size_t i = 0; i < FW_COUNT(all); i++) fw_rp_column(o, all[i].name, all[i].to);
    for (size_t no = 0; no < r->ids; no++) put_identity(r, &c, hex, no);
    json_object_set_new(o, "hex", hex);
    return fw_rp_put(r, "identities", o, e);
}
