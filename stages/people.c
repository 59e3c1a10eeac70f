#include "people.h"
#include "../lib/file.h"
#include "decide.h"
#include "inventory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- settings of a gallery ----------------------------------------------------------------------------------------
 */

/* "name = value" of a recipe becomes a setting, unless the user gave one, or this program does not have it. */
static void adopt_line(fw_conf *c, const char *line, size_t n)
{
    const char *eq = memmem(line, n, " = ", 3);
    if (!eq || !memchr(line, '.', (size_t)(eq - line)) || memchr(line, ' ', (size_t)(eq - line))) return;
    char *name = fw_format("%.*s", (int)(eq - line), line),
         *value = fw_format("%.*s", (int)(line + n - eq - 3), eq + 3);
    char *origin = fw_strdup(c->origin);
    fw_err unknown = {0};
    if (!fw_conf_given(c, name) && !fw_conf_set(c, name, value, "the gallery", &unknown)) {
        fw_free(c->origin); /* not the user's: another gallery's value may replace it */
        c->origin = origin;
    } else {
        fw_free(origin);
    }
    fw_free(name);
    fw_free(value);
}

static void adopt(fw_conf *c, const char *recipe)
{
    for (const char *line = recipe; *line;) {
        size_t n = strcspn(line, "\n");
        adopt_line(c, line, n);
        line += n + (line[n] == '\n');
    }
}

static char *newest_result(const char *work, const char *stage)
{
    char *dir = fw_format("%s/out/%s", work, stage), *best = NULL;
    fw_names names = {0};
    struct stat st;
    struct timespec when = {0};
    fw_err none = {0};
    if (fw_list_dir(dir, &names, &none)) names.n = 0;
    for (size_t i = 0; i < names.n; i++) {
        char *path = fw_format("%s/%s/MANIFEST", dir, names.name[i]);
        bool newer = !stat(path, &st) && (!best || st.st_mtim.tv_sec > when.tv_sec ||
                                          (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec > when.tv_nsec));
        if (newer) {
            fw_free(best);
            best = fw_strdup(path);
            when = st.st_mtim;
        }
        fw_free(path);
    }
    fw_names_free(&names);
    fw_free(dir);
    return best;
}

int fw_people_adopt(const fw_args *a, const char *work, fw_err *e)
{
    FW_UNUSED(e);
    for (size_t i = 0; fw_stages[i]; i++) {
        char *path = newest_result(work, fw_stages[i]->name);
        json_t *j = path ? json_load_file(path, 0, NULL) : NULL;
        const char *recipe = json_string_value(json_object_get(j, "recipe"));
        if (recipe) adopt(a->conf, recipe);
        json_decref(j);
        fw_free(path);
    }
    return FW_OK;
}

/* ---- is it embedded as the settings say? --------------------------------------------------------------------------
 */

/* What makes a face's embedding with the present settings. */
static char *recipe_now(const fw_conf *c, fw_err *e)
{
    static const char *const names[] = {"detect", "align", "embed"};
    fw_run r = {.conf = c};
    fw_buf all = {0};
    for (size_t i = 0; i < FW_COUNT(names); i++) {
        char *one = fw_run_recipe(&r, fw_stage_row(names[i]), e);
        if (one) fw_buf_puts(&all, one);
        fw_free(one);
    }
    if (!e->code) return all.data;
    fw_buf_free(&all);
    return NULL;
}

static bool has_line(const char *text, const char *line, size_t n)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (strcspn(text, "\n") == n && !memcmp(text, line, n)) return true;
    return false;
}

/* Embeddings compare when the embedders are the same: another detector or size of photo only finds other faces. */
static bool matters(const char *line)
{
    return !strncmp(line, "embed.", 6) || !strncmp(line, "model embed.", 12) || !strncmp(line, "stage embed ", 12);
}

/* Why embeddings that were made with `line` of a recipe do not compare with this command's. */
static int refuse(const char *root, const char *line, size_t n, fw_err *e)
{
    if (!strncmp(line, "stage ", 6))
        return fw_fail(
            e, FW_EUSAGE,
            "gallery '%s' was embedded by another version of facewash, whose embeddings do not compare ('%.*s' "
            "is not this one's); enrol its people anew, into a new gallery: `facewash enrol PHOTOS --gallery NEW`",
            root, (int)n, line);
    return fw_fail(e, FW_EUSAGE,
                   "gallery '%s' was embedded with other models or settings: it has '%.*s', and this command has not; "
                   "leave --model and --set away, or enrol its people anew",
                   root, (int)n, line);
}

static int check_recipe(const char *root, const char *kept, const char *now, fw_err *e)
{
    for (const char *line = kept; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t n = strcspn(line, "\n");
        if (!matters(line) || has_line(now, line, n)) continue;
        return refuse(root, line, n, e);
    }
    return FW_OK;
}

static int open_gallery(const fw_args *a, const char *root, fw_gallery **g, fw_err *e)
{
    FW_TRY(fw_gallery_open(root, g, e));
    adopt(a->conf, fw_gallery_recipe(*g));
    char *now = recipe_now(a->conf, e);
    int rc = now ? check_recipe(root, fw_gallery_recipe(*g), now, e) : e->code;
    fw_free(now);
    if (!rc) return FW_OK;
    fw_gallery_close(*g);
    *g = NULL;
    return rc;
}

static bool is_workspace(const char *dir)
{
    char *path = fw_format("%s/WORKSPACE", dir);
    bool there = fw_exists(path);
    fw_free(path);
    return there;
}

/* The embeddings of the plan must be those that are there. */
static int check_workspace(fw_run *r, const char *dir, fw_err *e)
{
    size_t embed = fw_stage_row("embed");
    if (!r->store->shards) return fw_fail(e, FW_EUSAGE, "gallery '%s': the workspace is empty", dir);
    for (size_t i = 0; i < r->store->shards; i++) {
        if (strcmp(r->store->shard[i].set, "") || fw_run_done(r, embed, (int)i)) continue;
        fw_inventory inv;
        FW_TRY(fw_inventory_take(r, &inv, e));
        char *why = fw_inventory_why(r, &inv, embed, (int)i);
        fw_fail(e, FW_EUSAGE, "gallery '%s' was embedded otherwise than this command would (%s); %s", dir, why,
                "leave --model and --set away, or bring it up to date with `facewash run`");
        fw_free(why);
        fw_inventory_free(&inv);
        return e->code;
    }
    return FW_OK;
}

/* ---- a workspace's people -----------------------------------------------------------------------------------------
 */

static const void *whole(fw_task *t, const char *name, fw_err *e)
{
    const fw_column *c = e->code ? NULL : fw_task_whole(t, name, e);
    return c ? c->data : NULL;
}

static uint32_t name_of(fw_intern *names, const char *label, uint32_t person)
{
    char *text = person > 1 ? fw_format("%s#%u", label, person) : fw_strdup(label);
    uint32_t id = fw_intern_get(names, text, strlen(text));
    fw_free(text);
    return id;
}

/* As keep.lst has them: what is kept, under its final label. */
int fw_people_cleaned(fw_task *t, const fw_view *v, fw_intern *names, uint32_t *out, fw_err *e)
{
    const uint8_t *verdict = whole(t, "decide.verdict", e);
    const uint32_t *label = whole(t, "decide.new_label", e), *person = whole(t, "decide.person", e);
    if (e->code) return e->code;
    for (size_t i = 0; i < v->n; i++) {
        bool moved = label[i] != FW_NO_LABEL;
        uint32_t l = moved ? label[i] : v->label[i];
        out[i] = FW_NONE;
        if (!v->alive[i] || l == FW_NO_LABEL || (verdict[i] != FW_KEEP && verdict[i] != FW_RELABEL)) continue;
        out[i] = name_of(names, v->label_name[l], moved ? person[i] : 1);
    }
    return FW_OK;
}

static void raw_labels(fw_people *p, const fw_view *v)
{
    for (size_t i = 0; i < v->n; i++)
        p->label[0][i] =
            v->alive[i] && v->label[i] != FW_NO_LABEL ? name_of(&p->names, v->label_name[v->label[i]], 1) : FW_NONE;
}

static int load_index(fw_task *t, fw_vecindex **x, fw_err *e)
{
    *x = NULL;
    if (!fw_run_done(t->run, fw_stage_row("index"), -1)) return FW_OK; /* the matcher makes its own */
    char *path = fw_task_file_of(t, "index", "index.faiss", e);
    int rc = path ? fw_vecindex_load(path, x, e) : e->code;
    fw_free(path);
    return rc;
}

static int add_workspace(fw_people *p, const char *dir, bool raw, fw_err *e)
{
    FW_TRY(check_workspace(p->run, dir, e));
    fw_task t = fw_run_reader(p->run);
    const fw_view *v = fw_task_view(&t, "", e);
    const fw_vectors *x = v ? fw_task_vectors(&t, "", e) : NULL;
    fw_vecindex *index;
    if (!x) return e->code;
    p->label[0] = FW_ARRAY(uint32_t, v->n);
    if (raw)
        raw_labels(p, v);
    else if (fw_people_cleaned(&t, v, &p->names, p->label[0], e))
        return fw_context(e, "the cleaned set (--raw matches the original one)");
    if (!v->n) return FW_OK;
    FW_TRY(load_index(&t, &index, e));
    FW_TRY(fw_matcher_add(p->matcher, index, x, p->label[0], e));
    p->work = 0;
    return FW_OK;
}

/* ---- enrolled people ----------------------------------------------------------------------------------------------
 */

static int add_gallery(fw_people *p, fw_err *e)
{
    size_t rows = fw_gallery_rows(p->gallery), covered, n;
    if (!rows) return FW_OK;
    p->label[1] = FW_ARRAY(uint32_t, rows);
    for (size_t i = 0; i < rows; i++) {
        const char *label = fw_gallery_label(p->gallery, i, &n);
        p->label[1][i] = fw_intern_get(&p->names, label, n);
    }
    fw_vecindex *x = NULL;
    char *path = fw_gallery_index(p->gallery, &covered);
    int rc = path ? fw_vecindex_load(path, &x, e) : FW_OK;
    fw_free(path);
    if (!rc) rc = fw_matcher_add(p->matcher, x, fw_gallery_vectors(p->gallery), p->label[1], e);
    p->enrolled = p->work + 1;
    return rc;
}

static int open_parts(const fw_args *a, const char *dir, bool raw, fw_people *p, fw_err *e)
{
    bool work = is_workspace(dir);
    char *root = work ? fw_format("%s/gallery", dir) : fw_strdup(dir);
    fw_args in = *a; /* the workspace is the gallery, whatever --work says */
    in.work = dir;
    int rc = FW_OK;
    if (!work && !fw_gallery_there(root))
        rc = fw_fail(e, FW_EUSAGE, "gallery '%s': neither a workspace nor a gallery; `facewash enrol` makes one", dir);
    if (!rc && work) rc = fw_people_adopt(a, dir, e);
    if (!rc && work) rc = fw_open_run(&in, false, FW_LOCK_NONE, &p->store, &p->run, e);
    if (!rc && work) rc = add_workspace(p, dir, raw, e);
    if (!rc && fw_gallery_there(root)) rc = open_gallery(a, root, &p->gallery, e);
    if (!rc && p->gallery) rc = add_gallery(p, e);
    fw_free(root);
    return rc;
}

int fw_people_open(const fw_args *a, const char *dir, bool raw, fw_people *out, fw_err *e)
{
    *out = (fw_people){.matcher = fw_matcher_new(), .work = -1, .enrolled = -1};
    int rc = open_parts(a, dir, raw, out, e);
    if (!rc) fw_matcher_ready(out->matcher, out->names.n);
    if (!rc && !fw_matcher_images(out->matcher))
        rc = fw_fail(e, FW_EUSAGE, "gallery '%s': no image with a label and a face is there to match", dir);
    if (!rc) rc = fw_calibration_find(out->run, a->conf, &out->calibration, e);
    if (rc) fw_people_close(out);
    return rc;
}

void fw_people_close(fw_people *p)
{
    fw_matcher_free(p->matcher);
    fw_gallery_close(p->gallery);
    fw_close_run(p->store, p->run);
    fw_intern_free(&p->names);
    fw_free(p->label[0]);
    fw_free(p->label[1]);
    fw_calibration_free(&p->calibration);
    *p = (fw_people){0};
}

const char *fw_people_path(fw_people *p, size_t part, size_t row, size_t *n)
{
    if ((int)part == p->enrolled) return fw_gallery_path(p->gallery, row, n);
    fw_task t = fw_run_reader(p->run);
    return fw_view_path(fw_task_view(&t, "", NULL), row, n);
}

int fw_people_place(const fw_args *a, const char *dir, char **root, char **recipe, fw_err *e)
{
    bool work = is_workspace(dir);
    fw_gallery *g = NULL;
    *root = work ? fw_format("%s/gallery", dir) : fw_strdup(dir);
    *recipe = NULL;
    int rc = work ? fw_people_adopt(a, dir, e) : FW_OK;
    if (!rc && work) {
        fw_args in = *a;
        fw_store *s;
        fw_run *r;
        in.work = dir;
        rc = fw_open_run(&in, false, FW_LOCK_NONE, &s, &r, e);
        if (!rc) rc = check_workspace(r, dir, e);
        fw_close_run(s, r);
    }
    if (!rc && fw_gallery_there(*root)) rc = open_gallery(a, *root, &g, e);
    if (!rc && !(*recipe = recipe_now(a->conf, e))) rc = e->code;
    fw_gallery_close(g);
    return rc;
}
