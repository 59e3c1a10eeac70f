/* tar: WebDataset shards 000000.tar ... of export.tar_images images: KEY.jpg, KEY.cls (the label's number) and KEY.json
 * (label and path in the source). labels.tsv lists the numbers. */
#include "../lib/archive.h"
#include "../lib/text.h"
#include "export_set.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct tar {
    fw_tar_out *out;
    unsigned shard;
    int64_t in_shard;
} tar;

static bool is_mine(const char *name, bool folder)
{
    const char *dot = strrchr(name, '.');
    return !folder && ((dot && !strcmp(dot, ".tar")) || !strcmp(name, "labels.tsv"));
}

static int begin(fw_set *s, fw_err *e)
{
    FW_UNUSED(e);
    s->state = FW_NEW(tar);
    return FW_OK;
}

static int close_shard(tar *t, fw_err *e)
{
    fw_tar_out *out = t->out;
    t->out = NULL;
    return out ? fw_tar_close(out, e) : FW_OK;
}

static int open_shard(fw_set *s, fw_err *e)
{
    tar *t = s->state;
    FW_TRY(close_shard(t, e));
    char *path = fw_format("%s/%06u.tar", s->dir, t->shard++);
    t->out = fw_tar_create(path, e);
    t->in_shard = 0;
    fw_free(path);
    return t->out ? FW_OK : e->code;
}

static void add(tar *t, uint64_t number, const char *ext, const void *bytes, size_t n)
{
    char name[64];
    snprintf(name, sizeof name, "%09llu.%s", (unsigned long long)number, ext);
    fw_tar_add(t->out, name, bytes, n);
}

/* JSON is UTF-8: other names are written as in the tables (lib/text.h). */
static json_t *json_text(const char *text)
{
    fw_buf b = {0};
    fw_buf_puts(&b, "");
    fw_text_utf8(&b, text, strlen(text));
    json_t *j = json_string(b.data);
    fw_buf_free(&b);
    return j;
}

static int put(fw_set *s, const fw_set_image *im, fw_err *e)
{
    tar *t = s->state;
    if (!t->out || t->in_shard == s->conf->export_tar_images) FW_TRY(open_shard(s, e));
    t->in_shard++;
    add(t, im->number, im->ext, im->bytes, im->n);
    json_t *j =
        json_pack("{s:o, s:o}", "path", json_text(im->key), "label", *im->label ? json_text(im->label) : json_null());
    char *text = json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER);
    add(t, im->number, "json", text, strlen(text));
    free(text);
    json_decref(j);
    if (im->identity == FW_NO_LABEL) return FW_OK;
    char class[16];
    add(t, im->number, "cls", class, (size_t)snprintf(class, sizeof class, "%u", im->identity));
    return FW_OK;
}

static int finish(fw_set *s, fw_err *e)
{
    tar *t = s->state;
    int rc = close_shard(t, e);
    char *path = fw_format("%s/labels.tsv", s->dir);
    fw_outfile *o = rc ? NULL : fw_out_open(path, e);
    fw_buf line = {0};
    for (uint32_t i = 0; o && i < s->identities; i++) {
        line.len = 0;
        fw_buf_printf(&line, "%u\t", i);
        fw_text_list(&line, s->name[i], strlen(s->name[i]));
        fw_buf_puts(&line, "\n");
        fw_out_write(o, line.data, line.len);
    }
    fw_buf_free(&line);
    fw_free(path);
    fw_free(t);
    s->state = NULL;
    return o ? fw_out_close(o, e) : e->code;
}

static void abandon(fw_set *s)
{
    tar *t = s->state;
    fw_err ignored = {0};
    if (t) close_shard(t, &ignored);
    fw_free(t);
    s->state = NULL;
}

const fw_set_format fw_set_tar = {
    .name = "tar", .bytes = true, .mine = is_mine, .begin = begin, .put = put, .finish = finish, .abandon = abandon};
