#include "export_set.h"
#include "../lib/log.h"
#include "../lib/pipe.h"
#include "decide.h"
#include "export_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const fw_set_format *const formats[] = {&fw_set_dir, &fw_set_rec, &fw_set_tar, &fw_set_tsv, &fw_set_list};

const fw_set_format *fw_set_format_find(const char *name)
{
    for (size_t i = 0; i < FW_COUNT(formats); i++)
        if (!strcmp(formats[i]->name, name)) return formats[i];
    return NULL;
}

/* ---- which images, under which label ---------------------------------------------------------------------------- */

typedef struct writing {
    fw_run *run;
    const fw_set_format *format;
    fw_set set;
    const fw_view *v;
    const fw_source *source;
    uint32_t *final; /* by row: final label, an index into text; FW_NO_LABEL: none */
    char **text;
    size_t texts, text_cap;
    uint32_t *slot; /* text by its hash; index + 1 */
    size_t slots;
    uint32_t *row; /* rows to write, in order */
    size_t rows, at;
    uint32_t *identity; /* by text: its number, once one of its images is written */
    uint64_t bad;
} writing;

static size_t probe(const writing *w, const char *text)
{
    size_t i = fw_hash_bytes(text, strlen(text)).lo & (w->slots - 1);
    while (w->slot[i] && strcmp(w->text[w->slot[i] - 1], text)) i = (i + 1) & (w->slots - 1);
    return i;
}

/* Index of a final label: by its text, since LABEL#2 may be a label of the dataset too. */
static uint32_t text_of(writing *w, const char *text)
{
    if (2 * (w->texts + 1) > w->slots) {
        w->slots = w->slots ? 2 * w->slots : 1024;
        fw_free(w->slot);
        w->slot = FW_ARRAY(uint32_t, w->slots);
        for (size_t i = 0; i < w->texts; i++) w->slot[probe(w, w->text[i])] = (uint32_t)i + 1;
    }
    size_t at = probe(w, text);
    if (w->slot[at]) return w->slot[at] - 1;
    fw_reserve(&w->text, &w->text_cap, w->texts + 1, sizeof *w->text);
    w->text[w->texts] = fw_strdup(text);
    w->slot[at] = (uint32_t)++w->texts;
    return (uint32_t)w->texts - 1;
}

static const void *column(fw_task *t, const char *name, fw_err *e)
{
    const fw_column *c = e->code ? NULL : fw_task_whole(t, name, e);
    return c ? c->data : NULL;
}

/* Rows that are written, with their final labels, as keep.lst has them. */
static int choose(writing *w, bool all, fw_err *e)
{
    fw_task t = fw_run_reader(w->run);
    w->v = fw_task_view(&t, "", e);
    if (!w->v) return e->code;
    const uint8_t *verdict = all ? NULL : column(&t, "decide.verdict", e);
    const uint32_t *label = all ? NULL : column(&t, "decide.new_label", e),
                   *person = all ? NULL : column(&t, "decide.person", e);
    if (e->code) return e->code;
    w->row = FW_ARRAY(uint32_t, w->v->n);
    w->final = FW_ARRAY(uint32_t, w->v->n);
    for (size_t i = 0; i < w->v->n; i++) {
        if (!w->v->alive[i] || (!all && verdict[i] != FW_KEEP && verdict[i] != FW_RELABEL)) continue;
        uint32_t l = all || label[i] == FW_NO_LABEL ? w->v->label[i] : label[i];
        bool split = !all && label[i] != FW_NO_LABEL && person[i] > 1;
        char *text = l == FW_NO_LABEL ? NULL
                     : split          ? fw_format("%s#%u", w->v->label_name[l], person[i])
                                      : fw_strdup(w->v->label_name[l]);
        w->final[i] = text ? text_of(w, text) : FW_NO_LABEL;
        w->row[w->rows++] = (uint32_t)i;
        fw_free(text);
    }
    return w->rows ? FW_OK : fw_fail(e, FW_EUSAGE, "export: no image is left to write");
}

/* One identity after the other, in order of their first images: a stable counting sort. */
static int group(writing *w, fw_err *e)
{
    size_t *begin = FW_ARRAY(size_t, w->texts + 2), unlabelled = 0;
    uint32_t *row = FW_ARRAY(uint32_t, w->rows);
    for (size_t k = 0; k < w->rows; k++) {
        uint32_t l = w->final[w->row[k]];
        if (l == FW_NO_LABEL)
            unlabelled++;
        else
            begin[l + 1]++;
    }
    for (size_t l = 0; l < w->texts; l++) begin[l + 1] += begin[l];
    for (size_t k = 0; k < w->rows && !unlabelled; k++) row[begin[w->final[w->row[k]]]++] = w->row[k];
    if (!unlabelled) memcpy(w->row, row, w->rows * sizeof *row);
    fw_free(row);
    fw_free(begin);
    return unlabelled ? fw_fail(e, FW_EUSAGE,
                                "export --format %s: %zu images have no label, and this format numbers labels; "
                                "use dir, tar, tsv or list",
                                w->format->name, unlabelled)
                      : FW_OK;
}

/* ---- from the source to the format --------------------------------------------------------------------------------
 */

typedef struct tray {
    uint32_t row;
    char *key, *bytes;
    size_t n;
    fw_err bad;
} tray;

static int read_tray(void *user, void *p, fw_err *e)
{
    writing *w = user;
    tray *t = p;
    size_t n;
    FW_UNUSED(e);
    if (w->at == w->rows) return 0;
    fw_free(t->key);
    free(t->bytes);
    *t = (tray){.row = w->row[w->at++]};
    const char *path = fw_view_path(w->v, t->row, &n);
    t->key = fw_format("%.*s", (int)n, path);
    return 1;
}

static int work_tray(void *user, int worker, void *p, fw_err *e)
{
    writing *w = user;
    tray *t = p;
    FW_UNUSED(worker);
    FW_UNUSED(e);
    if (w->format->bytes) fw_source_read(w->source, t->key, w->run->conf->image_max_bytes, &t->bytes, &t->n, &t->bad);
    return FW_OK;
}

static const char *extension(const tray *t)
{
    switch (fw_image_format(t->bytes, t->n)) {
    case FW_FMT_JPEG:
        return "jpg";
    case FW_FMT_PNG:
        return "png";
    case FW_FMT_WEBP:
        return "webp";
    case FW_FMT_BMP:
        return "bmp";
    default:
        return "bin";
    }
}

static int note_bad(writing *w, const tray *t)
{
    char shown[512];
    if (w->bad++ < (uint64_t)w->run->conf->run_log_bad)
        fw_log(FW_WARN, "export: '%s' is left out: %s", fw_printable(t->key, shown, sizeof shown), t->bad.msg);
    return FW_OK;
}

static int write_tray(void *user, void *p, fw_err *e)
{
    writing *w = user;
    tray *t = p;
    uint32_t text = w->final[t->row];
    if (t->bad.code) return note_bad(w, t);
    if (text != FW_NO_LABEL && w->identity[text] == FW_NO_LABEL) {
        w->identity[text] = w->set.identities;
        w->set.name[w->set.identities++] = w->text[text];
    }
    char *place = fw_source_locate(w->source, t->key), *file = fw_source_file(w->source, t->key);
    fw_set_image im = {.number = w->set.images,
                       .key = t->key,
                       .label = text == FW_NO_LABEL ? "" : w->text[text],
                       .identity = text == FW_NO_LABEL ? FW_NO_LABEL : w->identity[text],
                       .bytes = t->bytes,
                       .n = t->n,
                       .ext = t->bytes ? extension(t) : "",
                       .place = file ? place : t->key,
                       .file = file};
    int rc = w->format->put(&w->set, &im, e);
    fw_progress_tick(++w->set.images);
    fw_free(place);
    fw_free(file);
    free(t->bytes); /* not kept until the tray comes round again */
    t->bytes = NULL;
    return rc;
}

static int write_images(writing *w, fw_err *e)
{
    size_t depth = (size_t)w->run->workers * 8 + 8;
    tray *trays = FW_ARRAY(tray, depth);
    int rc = w->format->begin(&w->set, e);
    fw_progress_start("export", "images", w->rows);
    if (!rc)
        rc = fw_pipe_run(&(fw_pipe){.workers = w->run->workers,
                                    .depth = depth,
                                    .trays = trays,
                                    .tray_size = sizeof *trays,
                                    .user = w,
                                    .read = read_tray,
                                    .work = work_tray,
                                    .write = write_tray},
                         e);
    fw_progress_end();
    for (size_t i = 0; i < depth; i++) {
        fw_free(trays[i].key);
        free(trays[i].bytes);
    }
    fw_free(trays);
    if (!rc && !w->set.images) rc = fw_fail(e, FW_EFAIL, "export: none of the %zu images can be read", w->rows);
    if (!rc) return w->format->finish(&w->set, e);
    w->format->abandon(&w->set);
    return rc;
}

/* ---- into place ----------------------------------------------------------------------------------------------------
 */

/* Before an hour of writing: is there such a set already, or the source itself? */
static int check_target(const writing *w, const char *dir, bool force, fw_err *e)
{
    fw_names names;
    char *real = realpath(dir, NULL), *from = fw_source_file(w->source, "");
    size_t n = from ? strlen(from) : 0;
    while (n && from[n - 1] == '/') n--;
    bool inside = real && n && !strncmp(real, from, n) && (real[n] == '/' || !real[n]);
    free(real);
    fw_free(from);
    if (inside) return fw_fail(e, FW_EUSAGE, "export: '%s' lies in the dataset itself; choose another --out", dir);
    FW_TRY(fw_list_dir(dir, &names, e));
    for (size_t i = 0; !force && !e->code && i < names.n; i++) {
        char *path = fw_format("%s/%s", dir, names.name[i]);
        if (names.name[i][0] != '.' && w->format->mine(names.name[i], fw_is_dir(path)))
            fw_fail(e, FW_EUSAGE, "export: '%s' exists already; choose another --out, or --force replaces it", path);
        fw_free(path);
    }
    fw_names_free(&names);
    return e->code;
}

/* Everything of the staging folder's file system onto the disk: one call instead of one per image. */
static int sync_all(const char *dir, fw_err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fw_fail_errno(e, "open '%s'", dir);
    int rc = syncfs(fd) ? fw_fail_errno(e, "sync '%s'", dir) : FW_OK;
    close(fd);
    return rc;
}

static void free_writing(writing *w)
{
    for (size_t i = 0; i < w->texts; i++) fw_free(w->text[i]);
    fw_free(w->text);
    fw_free(w->slot);
    fw_free(w->final);
    fw_free(w->row);
    fw_free(w->identity);
    fw_free((void *)w->set.name);
}

int fw_export_set(fw_run *r, const fw_args *a, const fw_set_format *format, const char *dir, fw_err *e)
{
    double start = fw_now();
    char *staging = fw_format("%s/.writing.%ld", dir, (long)getpid());
    writing w = {.run = r, .format = format, .set = {.conf = r->conf, .dir = staging}};
    int rc = fw_run_source(r, 0, &w.source, e);
    if (!rc) rc = fw_mkdirs(dir, e);
    if (!rc) rc = fw_place_recover(dir, e);
    if (!rc) rc = check_target(&w, dir, a->force, e);
    if (!rc) rc = choose(&w, a->all, e);
    if (!rc && format->grouped) rc = group(&w, e);
    if (!rc) rc = fw_mkdirs(staging, e);
    w.identity = FW_ARRAY(uint32_t, w.texts);
    w.set.name = FW_ARRAY(const char *, w.texts);
    memset(w.identity, 0xff, w.texts * sizeof *w.identity); /* FW_NO_LABEL */
    if (!rc) rc = write_images(&w, e);
    if (!rc) rc = sync_all(staging, e);
    if (!rc) rc = fw_place_commit(staging, dir, NULL, a->force, e);
    if (fw_exists(staging)) fw_remove_tree(staging, NULL);
    if (!rc)
        fw_log(FW_INFO, "export: %llu images of %u identities to '%s' as %s in %.1f s%s",
               (unsigned long long)w.set.images, w.set.identities, dir, format->name, fw_now() - start,
               w.bad ? "" : ", none left out");
    if (!rc && w.bad)
        fw_log(FW_WARN, "export: %llu images could not be read and were left out", (unsigned long long)w.bad);
    free_writing(&w);
    fw_free(staging);
    return rc;
}
