/* enrol: put people into a gallery for identify. SRC is any source of photos (or of embeddings); the label of a photo
 * is the person. The target face of each photo is embedded with the models of the gallery (people.h).
 *
 * Rows are sealed as segments (index/gallery.h), one per FW_GALLERY_SEGMENT photos and one at the end or when the
 * command is interrupted: what is sealed is enrolled, whatever comes after. Photos that stand under the same label and
 * path already are passed over, so the same command goes on where it was.
 */
#include "../lib/log.h"
#include "../lib/pipe.h"
#include "look.h"
#include "people.h"
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct tray {
    char *key, *shown, *label;
    fw_sight sight;
} tray;

typedef struct enrol {
    const fw_args *args;
    char *root;
    fw_probe probe;
    fw_look *look;
    fw_intern known; /* "label NUL path" of what is enrolled, as text "label\npath" */
    fw_gallery_batch *batch;
    size_t photos, enrolled, before, unlabelled, faceless, bad;
} enrol;

static bool is_new(enrol *w, const char *label, const char *path)
{
    size_t had = w->known.n;
    char *both = fw_format("%s\n%s", label, path);
    fw_intern_get(&w->known, both, strlen(both));
    fw_free(both);
    return w->known.n > had;
}

static int load_known(enrol *w, fw_err *e)
{
    fw_gallery *g;
    FW_TRY(fw_gallery_open(w->root, &g, e));
    for (size_t i = 0; i < fw_gallery_rows(g); i++) {
        size_t n, m;
        const char *label = fw_gallery_label(g, i, &n), *path = fw_gallery_path(g, i, &m);
        char *both = fw_format("%.*s\n%.*s", (int)n, label, (int)m, path);
        fw_intern_get(&w->known, both, strlen(both));
        fw_free(both);
    }
    fw_gallery_close(g);
    return FW_OK;
}

static int read_tray(void *user, void *item, fw_err *e)
{
    enrol *w = user;
    tray *t = item;
    const char *key, *shown, *label;
    for (int got; (got = fw_probe_next(&w->probe, &key, &shown, &label, e)) != 0;) {
        if (got < 0) return -1;
        w->photos++;
        if (!*label)
            w->unlabelled++;
        else if (!is_new(w, label, shown))
            w->before++;
        else {
            fw_free(t->key), fw_free(t->shown), fw_free(t->label);
            t->key = fw_strdup(key), t->shown = fw_strdup(shown), t->label = fw_strdup(label);
            return 1;
        }
    }
    return 0;
}

static int work_tray(void *user, int worker, void *item, fw_err *e)
{
    enrol *w = user;
    tray *t = item;
    return fw_look_at(w->look, worker, w->probe.source, t->key, false, &t->sight, e);
}

static int write_tray(void *user, void *item, fw_err *e)
{
    enrol *w = user;
    tray *t = item;
    const float *vec = fw_sight_vec(w->look, &t->sight, t->sight.target);
    char shown[512];
    if (vec) {
        fw_gallery_batch_add(w->batch, t->shown, t->label, vec);
        w->enrolled++;
        return fw_gallery_batch_rows(w->batch) < FW_GALLERY_SEGMENT ? FW_OK : fw_gallery_batch_seal(w->batch, e);
    }
    bool faceless = t->sight.status == FW_IMG_OK || t->sight.status == FW_IMG_NO_FACE;
    *(faceless ? &w->faceless : &w->bad) += 1;
    if (w->faceless + w->bad <= (size_t)w->args->conf->run_log_bad)
        fw_log(FW_WARN, "enrol: '%s' is passed over: %s", fw_printable(t->shown, shown, sizeof shown),
               faceless ? "no face" : t->sight.why);
    return FW_OK;
}

static int look_at_all(enrol *w, int workers, fw_err *e)
{
    size_t depth = (size_t)workers * 4 + 4;
    tray *trays = FW_ARRAY(tray, depth);
    int rc = fw_pipe_run(&(fw_pipe){.workers = workers,
                                    .depth = depth,
                                    .trays = trays,
                                    .tray_size = sizeof *trays,
                                    .user = w,
                                    .read = read_tray,
                                    .work = work_tray,
                                    .write = write_tray},
                         e);
    for (size_t i = 0; i < depth; i++) {
        fw_free(trays[i].key), fw_free(trays[i].shown), fw_free(trays[i].label);
        fw_sight_free(&trays[i].sight);
    }
    fw_free(trays);
    fw_err last = {0}; /* interrupted or failed: what was embedded until then is kept */
    int sealed = fw_gallery_batch_seal(w->batch, rc ? &last : e);
    return rc ? rc : sealed;
}

static int refresh(const enrol *w, fw_err *e)
{
    fw_gallery *g;
    FW_TRY(fw_gallery_open(w->root, &g, e));
    int rc = fw_gallery_refresh_index(g, e);
    if (!rc)
        printf("enrolled %zu of %zu photos; passed over: %zu enrolled before, %zu without a label, %zu without a face, "
               "%zu unreadable; the gallery holds %zu\n",
               w->enrolled, w->photos, w->before, w->unlabelled, w->faceless, w->bad, fw_gallery_rows(g));
    fw_gallery_close(g);
    return rc;
}

static int enrol_all(enrol *w, const char *recipe, fw_err *e)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int workers = w->args->conf->run_threads ? (int)w->args->conf->run_threads : cores > 0 ? (int)cores : 1;
    FW_TRY(fw_probe_open(w->args->conf, w->args->rest[0], false, &w->probe, e));
    FW_TRY(fw_look_open(w->args->conf, w->probe.source, workers, &w->look, e));
    FW_TRY(fw_gallery_create(w->root, recipe, e));
    FW_TRY(load_known(w, e));
    w->batch = fw_gallery_batch_new(w->root, fw_look_dim(w->look));
    FW_TRY(look_at_all(w, workers, e));
    return refresh(w, e);
}

int fw_cmd_enrol(const fw_args *a, fw_err *e)
{
    if (a->nrest != 1 || !a->gallery)
        return fw_fail(e, FW_EUSAGE, "enrol: expected `facewash enrol SRC --gallery DIR`");
    enrol w = {.args = a};
    char *recipe = NULL;
    int rc = fw_people_place(a, a->gallery, &w.root, &recipe, e);
    if (!rc) rc = enrol_all(&w, recipe, e);
    fw_gallery_batch_free(w.batch);
    fw_look_close(w.look);
    fw_probe_close(&w.probe);
    fw_intern_free(&w.known);
    fw_free(recipe);
    fw_free(w.root);
    return rc;
}
