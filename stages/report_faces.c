/* report_faces: the numbered faces of the report, their data and their thumbnails. */
#include "../lib/file.h"
#include "../lib/sprite.h"
#include "report.h"

#include <math.h>
#include <string.h>

/* 82: JPEG artefacts stay invisible at 112 pixels; 90 would make the sheets a third larger. */
enum { SHEET_QUALITY = 82, SHEETS_AT_ONCE = 16 };

uint32_t fw_rp_number(fw_rp *r, size_t set, size_t row)
{
    uint32_t *no = &r->set[set].number[row];
    if (*no != FW_RP_NONE || r->faces >= r->face_limit) return *no;
    fw_reserve(&r->face, &r->face_cap, r->faces + 1, sizeof *r->face);
    r->face[r->faces] = (fw_rp_face){(uint32_t)set, (uint32_t)row};
    *no = (uint32_t)r->faces++;
    if (!set) fw_rp_identity(r, r->v->label[row]);
    return *no;
}

/* ---- data ------------------------------------------------------------------------------------------------------ */

typedef struct columns {
    json_t *path, *hex, *set, *row, *id, *hash, *status, *why, *p, *sim, *other, *other_sim, *verdict, *flags, *to,
        *person, *also, *faces, *det, *quality, *brightness, *sharpness, *yaw, *pitch, *roll, *size, *box, *landmark;
} columns;

static void put(json_t *column, json_t *value)
{
    json_array_append_new(column, value);
}

static json_t *rounded(const float *x, int n)
{
    json_t *a = json_array();
    for (int i = 0; i < n; i++) put(a, json_integer(lrintf(x[i])));
    return a;
}

static json_t *known_identity(const fw_rp *r, uint32_t label)
{
    uint32_t no = label == FW_NO_LABEL ? FW_RP_NONE : r->id_no[label];
    return json_integer(no == FW_RP_NONE ? -1 : (json_int_t)no);
}

/* What is known of an image of any set. */
static void put_picture(const fw_rp_set *s, size_t row, size_t index, columns *c)
{
    size_t n, faces;
    const char *path = fw_view_path(s->v, row, &n);
    put(c->path, fw_rp_text(path, n, c->hex, index));
    uint8_t status = *(const uint8_t *)fw_col_row(s->status, row);
    const int32_t *size = fw_col_row(s->size, row);
    int target = fw_rp_target(s, row, &faces);
    const char *why = fw_col_many(s->why, row, &n);
    char key[24];
    snprintf(key, sizeof key, "%zu", index);
    if (n) json_object_set_new(c->why, key, fw_rp_text(why, n, NULL, 0));
    put(c->status, json_integer(status));
    put(c->faces, json_integer((json_int_t)faces));
    put(c->size, json_pack("[i,i]", size[0], size[1]));
    put(c->box, target < 0 ? json_null() : rounded((const float *)fw_col_many(s->box, row, &faces) + 4 * target, 4));
    put(c->landmark,
        target < 0 ? json_null() : rounded((const float *)fw_col_many(s->landmark, row, &faces) + 10 * target, 10));
}

static void put_quality(const fw_rp_set *s, size_t row, columns *c)
{
    const float *m = fw_col_row(s->measures, row);
    bool measured = m[0] != 0 || m[1] != 0 || m[4] != 0; /* all zero: there was no crop */
    json_t **to[] = {&c->sharpness, &c->brightness, NULL, NULL, &c->det, &c->yaw, &c->pitch, &c->roll};
    for (int i = 0; i < 8; i++)
        if (to[i]) put(*to[i], measured ? fw_rp_real(m[i]) : json_null());
    put(c->quality, measured ? fw_rp_real(*(const float *)fw_col_row(s->quality, row)) : json_null());
}

/* Another label of the report under which the photo stands a second time, or -1. */
static json_t *also_under(const fw_rp *r, uint32_t row)
{
    uint32_t g = r->dup_group[row];
    for (size_t k = g == FW_NO_LABEL ? 1 : r->copies.begin[g]; g != FW_NO_LABEL && k < r->copies.begin[g + 1]; k++) {
        uint32_t label = r->v->label[r->copies.row[k]];
        if (label != r->v->label[row] && label != FW_NO_LABEL && r->id_no[label] != FW_RP_NONE)
            return known_identity(r, label);
    }
    return json_integer(-1);
}

/* What the audit and the decision say; a benchmark's images are not judged. */
static void put_judgement(const fw_rp *r, const fw_rp_face *f, columns *c)
{
    size_t i = f->row;
    if (f->set) {
        put(c->id, json_integer(-1));
        put(c->p, json_integer(-1));
        put(c->sim, json_null());
        put(c->other, json_integer(-1));
        put(c->other_sim, json_null());
        put(c->verdict, json_null());
        put(c->flags, json_integer(0));
        put(c->to, json_integer(-1));
        put(c->person, json_integer(1));
        put(c->also, json_integer(-1));
        return;
    }
    bool valid = fw_vectors_valid(r->vec, i);
    put(c->id, known_identity(r, r->v->label[i]));
    put(c->p, valid && r->v->label[i] != FW_NO_LABEL ? fw_rp_real(r->p[i]) : json_integer(-1));
    bool alone = r->v->label[i] == FW_NO_LABEL || r->id_images[r->v->label[i]] < 2; /* nothing to be similar to */
    put(c->sim, valid && !alone ? fw_rp_real(r->sim[i]) : json_null());
    put(c->other, known_identity(r, r->other[i]));
    put(c->other_sim, valid ? fw_rp_real(r->other_sim[i]) : json_null());
    put(c->verdict, json_integer(r->verdict[i]));
    put(c->flags, json_integer(r->flags[i]));
    put(c->to, known_identity(r, r->new_label[i]));
    put(c->person, json_integer(r->person[i]));
    put(c->also, also_under(r, f->row));
}

static void put_hash(const fw_rp *r, const fw_rp_face *f, columns *c)
{
    const fw_view *v = r->set[f->set].v;
    size_t s = fw_view_shard(v, f->row);
    const uint64_t *h = (const uint64_t *)v->shard[s]->hash.data + 2 * (f->row - v->base[s]);
    char hex[33];
    fw_hash_hex((fw_hash){h[0], h[1]}, hex);
    put(c->hash, json_string(hex));
}

static json_t *new_chunk(columns *c)
{
    json_t *o = json_object();
    struct {
        const char *name;
        json_t **to;
    } all[] = {{"path", &c->path},
               {"set", &c->set},
               {"row", &c->row},
               {"id", &c->id},
               {"hash", &c->hash},
               {"status", &c->status},
               {"p", &c->p},
               {"sim", &c->sim},
               {"other", &c->other},
               {"other_sim", &c->other_sim},
               {"verdict", &c->verdict},
               {"flags", &c->flags},
               {"to", &c->to},
               {"person", &c->person},
               {"also", &c->also},
               {"faces", &c->faces},
               {"det", &c->det},
               {"quality", &c->quality},
               {"brightness", &c->brightness},
               {"sharpness", &c->sharpness},
               {"yaw", &c->yaw},
               {"pitch", &c->pitch},
               {"roll", &c->roll},
               {"size", &c->size},
               {"box", &c->box},
               {"landmark", &c->landmark}};
    for (size_t i = 0; i < FW_COUNT(all); i++) fw_rp_column(o, all[i].name, all[i].to);
    json_object_set_new(o, "hex", c->hex = json_object());
    json_object_set_new(o, "why", c->why = json_object());
    return o;
}

int fw_rp_write_faces(fw_rp *r, fw_err *e)
{
    for (size_t first = 0; first < r->faces; first += FW_RP_CHUNK) {
        columns c = {0};
        json_t *o = new_chunk(&c);
        for (size_t k = first; k < r->faces && k < first + FW_RP_CHUNK; k++) {
            const fw_rp_face *f = &r->face[k];
            put(c.set, json_integer(f->set));
            put(c.row, json_integer(f->row));
            put_picture(&r->set[f->set], f->row, k - first, &c);
            put_hash(r, f, &c);
            put_judgement(r, f, &c);
            put_quality(&r->set[f->set], f->row, &c);
        }
        char *name = fw_format("faces_%04zu", first / FW_RP_CHUNK);
        int rc = fw_rp_put(r, name, o, e);
        fw_free(name);
        FW_TRY(rc);
        FW_TRY(fw_check_stop(e));
    }
    return FW_OK;
}

/* ---- thumbnails ------------------------------------------------------------------------------------------------ */

/* The crop; without one the whole photo, made small. */
static void draw_face(const fw_rp *r, const fw_rp_face *f, fw_sheet *sheet, int cell)
{
    const fw_rp_set *s = &r->set[f->set];
    size_t n;
    const void *crop = fw_col_blob(s->crop, f->row, &n);
    if (crop) {
        fw_sheet_put(sheet, cell, crop, n);
        return;
    }
    uint8_t status = *(const uint8_t *)fw_col_row(s->status, f->row);
    if (!s->source || (status != FW_IMG_OK && status != FW_IMG_NO_FACE)) return;
    const char *text = fw_view_path(s->v, f->row, &n);
    char *path = fw_format("%.*s", (int)n, text), *bytes = NULL;
    fw_err gone = {0};
    if (!fw_source_read(s->source, path, (size_t)r->run->conf->image_max_bytes, &bytes, &n, &gone))
        fw_sheet_put(sheet, cell, bytes, n);
    fw_free(bytes);
    fw_free(path);
}

static int make_sheet(const fw_rp *r, size_t sheet, fw_buf *out, fw_err *e)
{
    fw_sheet s;
    size_t first = sheet * FW_RP_SHEET, n = r->faces - first < FW_RP_SHEET ? r->faces - first : FW_RP_SHEET;
    fw_sheet_init(&s, FW_RP_COLUMNS, FW_RP_SHEET / FW_RP_COLUMNS, FW_RP_CELL);
    for (size_t k = 0; k < n; k++) draw_face(r, &r->face[first + k], &s, (int)k);
    int rc = fw_sheet_encode(&s, (int)n, SHEET_QUALITY, out, e);
    fw_sheet_free(&s);
    return rc;
}

static int write_sheet(fw_rp *r, size_t sheet, const fw_buf *b, fw_err *e)
{
    char *path = fw_format("%s/sheets/%04zu.jpg", r->dir, sheet);
    fw_outfile *o = fw_out_open(path, e);
    int rc = o ? FW_OK : e->code;
    if (o) {
        fw_out_write(o, b->data, b->len);
        rc = fw_out_close(o, e);
    }
    r->bytes += b->len;
    r->thumbs = (sheet + 1) * FW_RP_SHEET < r->faces ? (sheet + 1) * FW_RP_SHEET : r->faces;
    fw_free(path);
    return rc;
}

/* Sheets are made several at a time and written in order, until the report is full. */
int fw_rp_write_sheets(fw_rp *r, fw_err *e)
{
    size_t sheets = (r->faces + FW_RP_SHEET - 1) / FW_RP_SHEET;
    bool full = false;
    for (size_t first = 0; first < sheets && !full; first += SHEETS_AT_ONCE) {
        size_t n = sheets - first < SHEETS_AT_ONCE ? sheets - first : SHEETS_AT_ONCE;
        fw_buf made[SHEETS_AT_ONCE] = {0};
        fw_err err[SHEETS_AT_ONCE] = {0};
#pragma omp parallel for schedule(dynamic) num_threads(r->run->workers)
        for (size_t k = 0; k < n; k++) make_sheet(r, first + k, &made[k], &err[k]);
        int rc = fw_check_stop(e);
        for (size_t k = 0; k < n; k++) {
            if (!rc && err[k].code) rc = fw_fail(e, err[k].code, "%s", err[k].msg);
            if (!rc && r->bytes + made[k].len > r->run->conf->report_max_bytes) full = true;
            if (!rc && !full) rc = write_sheet(r, first + k, &made[k], e);
            fw_buf_free(&made[k]);
        }
        FW_TRY(rc);
    }
    return FW_OK;
}
