/* rec: MXNet RecordIO with the layout of InsightFace's training sets (lib/recordio.h).
 *
 *   train.rec     images 1..n, one identity after the other; then one record per identity with the range of its images;
 *                 record 0 says where the identity records lie
 *   train.idx     number TAB offset         train.lst     number TAB label number TAB path
 *   train.labels  label number TAB name     property      identities,height,width
 *
 * Labels are 32-bit floats there, exact to 16.7 million; so are the ranges, which beyond that are not.
 */
#include "../lib/image.h"
#include "../lib/recordio.h"
#include "../lib/text.h"
#include "export_set.h"

#include <string.h>

typedef struct rec {
    fw_outfile *rec, *idx, *lst;
    uint64_t at, number; /* offset and number of the next record */
    uint64_t *first;     /* by identity: its first image's number */
    uint32_t seen;
    size_t cap;
    int width, height; /* of the first image */
    fw_buf record;
} rec;

static bool is_mine(const char *name, bool folder)
{
    return !folder && (!strncmp(name, "train.", 6) || !strcmp(name, "property"));
}

static fw_outfile *create(const fw_set *s, const char *name, fw_err *e)
{
    char *path = fw_format("%s/%s", s->dir, name);
    fw_outfile *o = fw_out_open(path, e);
    fw_free(path);
    return o;
}

static int begin(fw_set *s, fw_err *e)
{
    rec *r = s->state = FW_NEW(rec);
    r->number = 1;
    r->rec = create(s, "train.rec", e);
    r->idx = e->code ? NULL : create(s, "train.idx", e);
    r->lst = e->code ? NULL : create(s, "train.lst", e);
    return e->code;
}

static int put_record(rec *r, const float *label, uint32_t labels, uint64_t number, const void *bytes, size_t n,
                      fw_err *e)
{
    r->record.len = 0;
    FW_TRY(fw_rec_encode(&r->record, label, labels, number, bytes, n, e));
    fw_out_printf(r->idx, "%llu\t%llu\n", (unsigned long long)number, (unsigned long long)r->at);
    fw_out_write(r->rec, r->record.data, r->record.len);
    r->at += r->record.len;
    return FW_OK;
}

static int put(fw_set *s, const fw_set_image *im, fw_err *e)
{
    rec *r = s->state;
    fw_reserve(&r->first, &r->cap, (size_t)im->identity + 1, sizeof *r->first);
    if (im->identity == r->seen) r->first[r->seen++] = r->number; /* identities come one after the other */
    enum fw_img_format format;
    if (!r->width && fw_image_probe(im->bytes, im->n, &r->width, &r->height, &format) != FW_IMG_OK)
        r->width = r->height = 0;
    FW_TRY(put_record(r, &(float){(float)im->identity}, 1, r->number, im->bytes, im->n, e));
    fw_buf line = {0};
    fw_buf_printf(&line, "%llu\t%u\t", (unsigned long long)r->number++, im->identity);
    fw_text_list(&line, im->key, strlen(im->key));
    fw_buf_puts(&line, "\n");
    fw_out_write(r->lst, line.data, line.len);
    fw_buf_free(&line);
    return FW_OK;
}

static int put_ranges(fw_set *s, fw_err *e)
{
    rec *r = s->state;
    uint64_t end = r->number, number = end;
    for (uint32_t i = 0; i < s->identities; i++) {
        uint64_t next = i + 1 < s->identities ? r->first[i + 1] : end;
        FW_TRY(put_record(r, (float[]){(float)r->first[i], (float)next}, 2, number++, "", 0, e));
    }
    return put_record(r, (float[]){(float)end, (float)number}, 2, 0, "", 0, e);
}

static int put_texts(const fw_set *s, fw_err *e)
{
    const rec *r = s->state;
    fw_outfile *o = create(s, "train.labels", e);
    if (!o) return e->code;
    fw_buf line = {0};
    for (uint32_t i = 0; i < s->identities; i++) {
        line.len = 0;
        fw_buf_printf(&line, "%u\t", i);
        fw_text_list(&line, s->name[i], strlen(s->name[i]));
        fw_buf_puts(&line, "\n");
        fw_out_write(o, line.data, line.len);
    }
    fw_buf_free(&line);
    FW_TRY(fw_out_close(o, e));
    o = create(s, "property", e);
    if (!o) return e->code;
    fw_out_printf(o, "%u,%d,%d\n", s->identities, r->height ? r->height : 112, r->width ? r->width : 112);
    return fw_out_close(o, e);
}

static void free_rec(fw_set *s, fw_err *e)
{
    rec *r = s->state;
    if (!r) return;
    fw_outfile *all[] = {r->rec, r->idx, r->lst};
    for (size_t i = 0; i < FW_COUNT(all); i++)
        if (all[i] && fw_out_close(all[i], e)) {
        } /* the error stays in *e; the others must be closed all the same */
    fw_buf_free(&r->record);
    fw_free(r->first);
    fw_free(r);
    s->state = NULL;
}

static int finish(fw_set *s, fw_err *e)
{
    int rc = put_ranges(s, e);
    if (!rc) rc = put_texts(s, e);
    free_rec(s, e);
    return e->code ? e->code : rc;
}

static void abandon(fw_set *s)
{
    fw_err ignored = {0};
    free_rec(s, &ignored);
}

const fw_set_format fw_set_rec = {.name = "rec",
                                  .bytes = true,
                                  .grouped = true,
                                  .mine = is_mine,
                                  .begin = begin,
                                  .put = put,
                                  .finish = finish,
                                  .abandon = abandon};
