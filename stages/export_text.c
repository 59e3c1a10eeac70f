/* tsv, list: one line per image, in order. Names that hold tabs, line breaks or bytes that are no UTF-8 are escaped as
 * in lib/text.h, and read back.
 *
 *   train.tsv   label TAB path TAB base64       read it with  tsv:train.tsv  (ingest.tsv_key = 2: the paths as keys)
 *   train.lst   path TAB label                  list:train.lst, or list:train.lst@SRC when the images lie inside of
 * files
 */
#include "../lib/base64.h"
#include "../lib/text.h"
#include "export_set.h"

#include <string.h>

typedef struct text {
    fw_outfile *out;
    fw_buf line;
} text;

static int open_text(fw_set *s, const char *name, fw_err *e)
{
    text *t = s->state = FW_NEW(text);
    char *path = fw_format("%s/%s", s->dir, name);
    t->out = fw_out_open(path, e);
    fw_free(path);
    return t->out ? FW_OK : e->code;
}

static int finish(fw_set *s, fw_err *e)
{
    text *t = s->state;
    int rc = t && t->out ? fw_out_close(t->out, e) : FW_OK;
    if (t) fw_buf_free(&t->line);
    fw_free(t);
    s->state = NULL;
    return rc;
}

static void abandon(fw_set *s)
{
    fw_err ignored = {0};
    finish(s, &ignored);
}

static bool is_tsv(const char *name, bool folder)
{
    return !folder && !strcmp(name, "train.tsv");
}

static bool is_list(const char *name, bool folder)
{
    return !folder && !strcmp(name, "train.lst");
}

static int begin_tsv(fw_set *s, fw_err *e)
{
    return open_text(s, "train.tsv", e);
}

static int begin_list(fw_set *s, fw_err *e)
{
    return open_text(s, "train.lst", e);
}

static int put_tsv(fw_set *s, const fw_set_image *im, fw_err *e)
{
    text *t = s->state;
    FW_UNUSED(e);
    t->line.len = 0;
    fw_text_list(&t->line, im->label, strlen(im->label));
    fw_buf_puts(&t->line, "\t");
    fw_text_list(&t->line, im->key, strlen(im->key));
    fw_buf_puts(&t->line, "\t");
    fw_base64_encode(&t->line, im->bytes, im->n);
    fw_buf_puts(&t->line, "\n");
    fw_out_write(t->out, t->line.data, t->line.len);
    return FW_OK;
}

static int put_list(fw_set *s, const fw_set_image *im, fw_err *e)
{
    text *t = s->state;
    FW_UNUSED(e);
    t->line.len = 0;
    fw_text_list(&t->line, im->place, strlen(im->place));
    fw_buf_puts(&t->line, "\t");
    fw_text_list(&t->line, im->label, strlen(im->label));
    fw_buf_puts(&t->line, "\n");
    fw_out_write(t->out, t->line.data, t->line.len);
    return FW_OK;
}

const fw_set_format fw_set_tsv = {.name = "tsv",
                                  .bytes = true,
                                  .mine = is_tsv,
                                  .begin = begin_tsv,
                                  .put = put_tsv,
                                  .finish = finish,
                                  .abandon = abandon};
const fw_set_format fw_set_list = {
    .name = "list", .mine = is_list, .begin = begin_list, .put = put_list, .finish = finish, .abandon = abandon};
