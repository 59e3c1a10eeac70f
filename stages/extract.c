/* extract: one pass over the images for all shard stages that have work.
 *
 * A `job` is one shard with the stages whose result is missing there. The reader opens a job at its first image (maps
 * the inputs that exist already, makes staging folders), fetches bytes and puts them on trays; workers run the stages
 * one after the other on a tray; the writer appends what they made to the columns in row order and commits the job
 * behind its last image. At a shard's edge two jobs are open, never more than the trays can span.
 * An image whose content the workspace knows already is neither read nor worked on: its rows are copied (known.h).
 */
#include "../lib/file.h"
#include "../lib/kv.h"
#include "../lib/log.h"
#include "../lib/pipe.h"
#include "../lib/warp.h"
#include "known.h"
#include "look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SLOTS FW_COLUMNS /* columns that one pass touches */

/* A column that some stage of this pass reads or writes. */
typedef struct slot {
    const fw_output *decl;
    size_t stage; /* registry row of its producer */
    int width;
} slot;

/* One image's rows of one slot: made by a stage (owned buffer) or lying in a mapped column. */
typedef struct cell {
    const void *data;
    size_t rows;
    char *own;
    size_t cap;
    bool set;
} cell;

/* A slot of one shard: mapped when its result exists, written when it is being made. */
typedef struct channel {
    bool make;
    fw_column values, offsets;
    fw_column_writer *out, *out_off;
    fw_kv_writer *blobs;
    uint64_t at; /* FW_MANY: values written so far */
} channel;

typedef struct job {
    int shard;
    uint64_t mask; /* bit i: task i makes its result here */
    bool open;
    channel ch[MAX_SLOTS];
    fw_staging **staging; /* by task */
} job;

/* A worker's scratch; what is cached belongs to the image it holds at the moment. */
typedef struct scratch {
    fw_image image;
    bool decoded;
    enum fw_img_status status;
    char why[FW_IMG_WHY];
    bool has_crop;
    float matrix[6];
    int crop_w, crop_h;
    uint8_t *crop;
    size_t crop_cap;
    double *spent; /* seconds in each task; decoding counts for the first stage that asks for pixels */
} scratch;

typedef struct pass {
    fw_run *run;
    size_t first;
    size_t tasks;
    fw_task *task;
    uint64_t opened; /* tasks whose open was called */
    slot slot[MAX_SLOTS];
    int slots, status; /* status: the slot of detect.status, -1: none */
    int *in, *out;     /* [task * MAX_SLOTS + i] -> slot */
    job *jobs;
    size_t njobs, read_job, read_row;
    scratch *scratch;
    fw_image_limits limits;
    fw_known *known; /* NULL: nothing was seen before */
    uint64_t total, done, bad, copied;
} pass;

struct fw_tray {
    fw_item item;
    pass *pass;
    job *job;
    char *bytes;
    size_t nbytes;
    char why[FW_IMG_WHY]; /* the file could not be read, or what decoding said */
    enum fw_img_status status;
    bool looked; /* some stage asked for the pixels */
    bool known;  /* the rows are there: nothing to do */
    cell cell[MAX_SLOTS];
};

/* ---- what stages call ------------------------------------------------------------------------------------------ */

static scratch *scratch_of(const fw_item *it)
{
    return &it->tray->pass->scratch[it->worker];
}

static void decode(fw_item *it, scratch *s)
{
    struct fw_tray *t = it->tray;
    s->decoded = t->looked = true;
    if (!t->bytes)
        s->status = t->status, memcpy(s->why, t->why, sizeof s->why);
    else if (fw_vector_record(t->bytes, t->nbytes, NULL))
        s->status = FW_IMG_OK, s->why[0] = 0, s->decoded = true;
    else
        s->status = fw_image_decode(t->bytes, t->nbytes, &t->pass->limits, &s->image, s->why);
    t->status = s->status;
    memcpy(t->why, s->why, sizeof t->why);
}

const fw_image *fw_item_image(fw_item *it, enum fw_img_status *status, const char **why)
{
    scratch *s = scratch_of(it);
    if (!s->decoded) decode(it, s);
    if (status) *status = s->status;
    if (why) *why = s->why;
    return s->status == FW_IMG_OK && !fw_item_vector(it, NULL) ? &s->image : NULL;
}

int fw_item_vector(const fw_item *it, float *out)
{
    return it->tray->bytes ? fw_vector_record(it->tray->bytes, it->tray->nbytes, out) : 0;
}

const uint8_t *fw_item_crop(fw_item *it, const float matrix[6], int w, int h)
{
    scratch *s = scratch_of(it);
    if (s->has_crop && s->crop_w == w && s->crop_h == h && !memcmp(s->matrix, matrix, sizeof s->matrix)) return s->crop;
    const fw_image *im = fw_item_image(it, NULL, NULL);
    if (!im) return NULL;
    /* full-size pixel centres to decoded pixel centres: X = (x + .5) * sx - .5 */
    double sx = (double)im->full_width / im->width, sy = (double)im->full_height / im->height;
    fw_affine a;
    for (int r = 0; r < 2; r++) {
        double mx = matrix[3 * r], my = matrix[3 * r + 1];
        a.m[3 * r] = mx * sx;
        a.m[3 * r + 1] = my * sy;
        a.m[3 * r + 2] = matrix[3 * r + 2] + mx * (sx - 1) / 2 + my * (sy - 1) / 2;
    }
    fw_reserve(&s->crop, &s->crop_cap, (size_t)w * (size_t)h * 3, 1);
    fw_warp(im, &a, w, h, s->crop);
    memcpy(s->matrix, matrix, sizeof s->matrix);
    s->crop_w = w;
    s->crop_h = h;
    s->has_crop = true;
    return s->crop;
}

static int task_index(const pass *p, const fw_task *t)
{
    return (int)(t - p->task);
}

const void *fw_in(fw_task *t, fw_item *it, int i, size_t *rows)
{
    pass *p = it->tray->pass;
    cell *c = &it->tray->cell[p->in[task_index(p, t) * MAX_SLOTS + i]];
    if (rows) *rows = c->rows;
    return c->rows ? c->data : NULL;
}

static char *make_room(cell *c, size_t bytes)
{
    fw_reserve(&c->own, &c->cap, bytes + 1, 1);
    memset(c->own, 0, bytes);
    c->data = c->own;
    c->set = true;
    return c->own;
}

void *fw_out(fw_task *t, fw_item *it, int i, size_t rows)
{
    pass *p = it->tray->pass;
    int s = p->out[task_index(p, t) * MAX_SLOTS + i];
    cell *c = &it->tray->cell[s];
    c->rows = rows;
    return make_room(c, rows * (size_t)p->slot[s].width * fw_dtype_size(p->slot[s].decl->type));
}

void fw_out_blob(fw_task *t, fw_item *it, int i, const void *bytes, size_t n)
{
    pass *p = it->tray->pass;
    cell *c = &it->tray->cell[p->out[task_index(p, t) * MAX_SLOTS + i]];
    c->rows = n;
    memcpy(make_room(c, n), bytes, n);
}

/* ---- jobs ------------------------------------------------------------------------------------------------------ */

static int map_channel(pass *p, job *j, int s, fw_err *e)
{
    const slot *sl = &p->slot[s];
    const fw_shard *sh = &p->run->store->shard[j->shard];
    if (sl->decl->arity == FW_BLOB) return FW_OK; /* blobs are for people: no stage reads them */
    if (!fw_run_done(p->run, sl->stage, j->shard))
        return fw_fail(e, FW_EUSAGE, "shard %d has no result of stage '%s' yet; run that first", j->shard,
                       fw_stages[sl->stage]->name);
    char *dir = fw_run_result(p->run, sl->stage, j->shard), *path = fw_format("%s/%s", dir, sl->decl->name);
    channel *c = &j->ch[s];
    int rc = fw_column_open_as(path, sl->decl->type, sl->decl->width, &c->values, e);
    if (!rc && sl->decl->arity == FW_MANY) {
        char *off = fw_format("%s.off", path);
        rc = fw_column_open_as(off, FW_U64, 1, &c->offsets, e);
        fw_free(off);
        if (!rc && !fw_column_offsets_fit(&c->offsets, c->values.rows, sh->rows))
            rc = fw_fail(e, FW_EFAIL, "column '%s.off': damaged, or of another shard", path);
    } else if (!rc && c->values.rows != sh->rows) {
        rc = fw_fail(e, FW_EFAIL, "column '%s': %zu rows for %zu images", path, c->values.rows, sh->rows);
    }
    if (rc == FW_EFAIL) fw_context(e, "result '%s' is damaged; remove that folder and run again", dir);
    fw_free(path);
    fw_free(dir);
    return rc;
}

static int create_channel(pass *p, job *j, int s, fw_err *e)
{
    const slot *sl = &p->slot[s];
    channel *c = &j->ch[s];
    const fw_staging *g = j->staging[sl->stage - p->first];
    char *path = fw_format("%s/%s", fw_staging_dir(g), sl->decl->name);
    c->make = true;
    if (sl->decl->arity == FW_BLOB)
        c->blobs = fw_kv_create(path, e);
    else
        c->out = fw_column_create(path, sl->decl->type, sl->width, e);
    if (sl->decl->arity == FW_MANY && !e->code) {
        char *off = fw_format("%s.off", path);
        c->out_off = fw_column_create(off, FW_U64, 1, e);
        if (c->out_off) fw_column_append(c->out_off, &c->at, 1);
        fw_free(off);
    }
    fw_free(path);
    return e->code;
}

static int open_job(pass *p, job *j, fw_err *e)
{
    j->staging = FW_ARRAY(fw_staging *, p->tasks);
    j->open = true;
    for (size_t t = 0; t < p->tasks; t++) {
        if (!(j->mask >> t & 1)) continue;
        size_t st = p->first + t;
        j->staging[t] =
            fw_staging_begin(p->run->store, fw_stages[st]->name, j->shard, p->run->shard_key[st][j->shard], e);
        if (!j->staging[t]) return e->code;
    }
    for (int s = 0; s < p->slots; s++) {
        size_t t = p->slot[s].stage - p->first; /* huge for producers outside of the pass */
        if (t < p->tasks && (j->mask >> t & 1))
            FW_TRY(create_channel(p, j, s, e));
        else
            FW_TRY(map_channel(p, j, s, e));
    }
    return FW_OK;
}

static int finish_channel(channel *c, fw_err *e)
{
    int rc = FW_OK;
    if (c->out) rc = fw_column_finish(c->out, NULL, e);
    c->out = NULL;
    if (!rc && c->out_off) {
        rc = fw_column_finish(c->out_off, NULL, e);
        c->out_off = NULL;
    }
    if (!rc && c->blobs) {
        rc = fw_kv_finish(c->blobs, e);
        c->blobs = NULL;
    }
    return rc;
}

static int commit_job(pass *p, job *j, fw_err *e)
{
    for (int s = 0; s < p->slots; s++)
        if (j->ch[s].make) FW_TRY(finish_channel(&j->ch[s], e));
    for (size_t t = 0; t < p->tasks; t++) {
        if (!j->staging[t]) continue;
        char *recipe = fw_run_recipe(p->run, p->first + t, e);
        if (!recipe) return e->code;
        fw_staging *g = j->staging[t];
        j->staging[t] = NULL;
        int rc = fw_staging_commit(g, recipe, e);
        fw_free(recipe);
        FW_TRY(rc);
    }
    return FW_OK;
}

static void close_job(pass *p, job *j)
{
    if (!j->open) return;
    for (int s = 0; s < p->slots; s++) {
        channel *c = &j->ch[s];
        fw_column_close(&c->values);
        fw_column_close(&c->offsets);
        fw_column_abandon(c->out);
        fw_column_abandon(c->out_off);
        fw_kv_abandon(c->blobs);
    }
    for (size_t t = 0; t < p->tasks; t++) fw_staging_abandon(j->staging[t]);
    fw_free(j->staging);
    j->open = false;
}

/* ---- the pipeline's three callbacks ---------------------------------------------------------------------------- */

static size_t set_of(const fw_run *r, const fw_shard *sh)
{
    size_t i = 0;
    while (i < r->sets && strcmp(r->set[i], sh->set)) i++;
    return i;
}

static void map_cells(struct fw_tray *t)
{
    const pass *p = t->pass;
    size_t row = t->item.row;
    for (int s = 0; s < p->slots; s++) {
        cell *c = &t->cell[s];
        const channel *ch = &t->job->ch[s];
        c->set = false;
        c->rows = 0;
        c->data = NULL;
        if (ch->make || !ch->values.map) continue;
        size_t size = fw_dtype_size(ch->values.type) * (size_t)ch->values.width, at = row;
        c->rows = 1;
        if (p->slot[s].decl->arity == FW_MANY) {
            const uint64_t *off = ch->offsets.data;
            at = off[row];
            c->rows = off[row + 1] - off[row];
        }
        c->data = (const char *)ch->values.data + at * size;
    }
}

/* The next image of the pass on the tray; false behind the last. */
static bool next_image(pass *p, struct fw_tray *t)
{
    while (p->read_job < p->njobs && p->read_row == p->run->store->shard[p->jobs[p->read_job].shard].rows)
        p->read_job++, p->read_row = 0;
    if (p->read_job == p->njobs) return false;
    t->pass = p;
    t->job = &p->jobs[p->read_job];
    t->item = (fw_item){.shard = &p->run->store->shard[t->job->shard], .row = p->read_row++, .tray = t};
    t->status = FW_IMG_OK;
    t->why[0] = 0;
    t->looked = t->known = false;
    free(t->bytes);
    t->bytes = NULL;
    return true;
}

/* Copies all that this job makes of an image from where its content was seen. False: it must be looked at again. */
static bool copy_known(pass *p, struct fw_tray *t, fw_seen where, fw_err *e)
{
    for (int i = 0; i < p->slots; i++) {
        const slot *sl = &p->slot[i];
        cell *c = &t->cell[i];
        const void *data;
        if (!t->job->ch[i].make) continue;
        if (fw_known_get(p->known, where, i, sl->decl, sl->width, &data, &c->rows, e)) return false;
        if (i == p->status && *(const uint8_t *)data == FW_IMG_UNREADABLE) return false;
        const size_t size = sl->decl->arity == FW_BLOB ? 1 : (size_t)sl->width * fw_dtype_size(sl->decl->type);
        if (data) memcpy(make_room(c, c->rows * size), data, c->rows * size);
    }
    return true;
}

/* A damaged donor costs a second look, nothing more. */
static bool take_known(pass *p, struct fw_tray *t)
{
    fw_seen where;
    fw_err e = {0};
    if (!p->known || !fw_known_find(p->known, ((const fw_hash *)t->item.shard->hash.data)[t->item.row], &where))
        return false;
    if (copy_known(p, t, where, &e)) return t->known = true;
    if (e.code) fw_log(FW_DEBUG, "looking again at an image that was seen before: %s", e.msg);
    map_cells(t);
    return false;
}

/* A photo that cannot be read is a status; that the machine lacks something is none, and passes. */
static int unreadable(struct fw_tray *t, const fw_err *why, fw_err *e)
{
    if (why->code == FW_EAGAIN) return fw_fail(e, why->code, "%s", why->msg);
    t->status = FW_IMG_UNREADABLE;
    snprintf(t->why, sizeof t->why, "%.150s", why->msg);
    return FW_OK;
}

static int read_bytes(pass *p, struct fw_tray *t, fw_err *e)
{
    const fw_source *src;
    FW_TRY(fw_run_source(p->run, set_of(p->run, t->item.shard), &src, e));
    size_t n;
    const char *bytes = fw_shard_path(t->item.shard, t->item.row, &n);
    char *path = fw_format("%.*s", (int)n, bytes);
    fw_err bad = {0};
    int rc = fw_source_read(src, path, p->run->conf->image_max_bytes, &t->bytes, &t->nbytes, &bad);
    fw_free(path);
    return rc ? unreadable(t, &bad, e) : FW_OK;
}

static int read_tray(void *user, void *tray, fw_err *e)
{
    pass *p = user;
    struct fw_tray *t = tray;
    if (!next_image(p, t)) return 0;
    if (!t->job->open && open_job(p, t->job, e)) return -1;
    map_cells(t);
    if (!take_known(p, t) && read_bytes(p, t, e)) return -1;
    return 1;
}

static int work_tray(void *user, int worker, void *tray, fw_err *e)
{
    pass *p = user;
    struct fw_tray *t = tray;
    scratch *s = &p->scratch[worker];
    s->decoded = s->has_crop = false;
    t->item.worker = worker;
    for (size_t i = 0; !t->known && i < p->tasks; i++) {
        if (!(t->job->mask >> i & 1)) continue;
        double start = fw_now();
        int rc = fw_stages[p->first + i]->image(&p->task[i], &t->item, e);
        s->spent[i] += fw_now() - start;
        if (rc) {
            size_t n;
            const char *path = fw_shard_path(t->item.shard, t->item.row, &n);
            return fw_context(e, "stage '%s', image '%.*s'", fw_stages[p->first + i]->name, (int)n, path);
        }
    }
    return FW_OK;
}

static int write_cell(const slot *sl, channel *ch, cell *c, uint64_t row, fw_err *e)
{
    if (sl->decl->arity == FW_BLOB) return c->set ? fw_kv_put(ch->blobs, row, c->data, c->rows, e) : FW_OK;
    if (sl->decl->arity == FW_ONE && !c->set) {
        c->rows = 1; /* an output that the stage had nothing to say about is zero */
        make_room(c, (size_t)sl->width * fw_dtype_size(sl->decl->type));
    }
    fw_column_append(ch->out, c->data, c->rows);
    ch->at += c->rows;
    if (ch->out_off) fw_column_append(ch->out_off, &ch->at, 1);
    return FW_OK;
}

static void note_bad(pass *p, const struct fw_tray *t)
{
    if (!t->looked || t->status == FW_IMG_OK) return;
    if (p->bad++ >= (uint64_t)p->run->conf->run_log_bad) return;
    size_t n;
    const char *bytes = fw_shard_path(t->item.shard, t->item.row, &n);
    char *path = fw_format("%.*s", (int)n, bytes), shown[512];
    fw_log(FW_WARN, "'%s' is %s: %s", fw_printable(path, shown, sizeof shown), fw_img_status_name(t->status), t->why);
    fw_free(path);
}

static int write_tray(void *user, void *tray, fw_err *e)
{
    pass *p = user;
    struct fw_tray *t = tray;
    job *j = t->job;
    for (int s = 0; s < p->slots; s++)
        if (j->ch[s].make) FW_TRY(write_cell(&p->slot[s], &j->ch[s], &t->cell[s], t->item.row, e));
    note_bad(p, t);
    p->copied += t->known;
    fw_progress_tick(++p->done);
    if (t->item.row + 1 < t->item.shard->rows) return FW_OK;
    FW_TRY(commit_job(p, j, e));
    close_job(p, j);
    return FW_OK;
}

/* ---- setting up ------------------------------------------------------------------------------------------------ */

static int find_slot(const pass *p, const char *column)
{
    for (int s = 0; s < p->slots; s++)
        if (!strcmp(p->slot[s].decl->name, column)) return s;
    return -1;
}

static int slot_of(pass *p, const char *column, fw_err *e)
{
    const int known = find_slot(p, column);
    if (known >= 0) return known;
    const fw_output *decl = NULL;
    size_t stage = fw_producer(column, &decl);
    if (p->slots == MAX_SLOTS || !decl) {
        fw_fail(e, FW_EFAIL, "column '%s': unknown, or more than %d columns in one pass", column, MAX_SLOTS);
        return -1;
    }
    p->slot[p->slots] = (slot){decl, stage, decl->width};
    return p->slots++;
}

static uint64_t missing_mask(const pass *p, int shard)
{
    uint64_t mask = 0;
    for (size_t t = 0; t < p->tasks; t++)
        if (!fw_run_done(p->run, p->first + t, shard)) mask |= (uint64_t)1 << t;
    return mask;
}

static uint64_t collect_jobs(pass *p, int only_shard)
{
    uint64_t needed = 0;
    p->jobs = FW_ARRAY(job, p->run->store->shards);
    for (size_t n = 0; n < p->run->store->shards; n++) {
        const fw_shard *sh = &p->run->store->shard[n];
        if (!fw_run_shard_used(p->run, sh) || (only_shard >= 0 && (size_t)only_shard != n)) continue;
        uint64_t mask = missing_mask(p, (int)n);
        if (!mask) continue;
        needed |= mask;
        p->jobs[p->njobs++] = (job){.shard = (int)n, .mask = mask};
        p->total += sh->rows;
    }
    return needed;
}

static int open_tasks(pass *p, uint64_t needed, fw_err *e)
{
    for (size_t t = 0; t < p->tasks; t++) {
        const fw_stage *st = fw_stages[p->first + t];
        p->task[t] = (fw_task){
            .stage = st, .conf = p->run->conf, .store = p->run->store, .workers = p->run->workers, .run = p->run};
        if (!(needed >> t & 1)) continue;
        p->opened |= (uint64_t)1 << t;
        if (st->open && st->open(&p->task[t], e)) return fw_context(e, "stage '%s'", st->name);
        int s;
        for (int i = 0; st->inputs && st->inputs[i]; i++) {
            if ((s = slot_of(p, st->inputs[i], e)) < 0) return e->code;
            p->in[t * MAX_SLOTS + (size_t)i] = s;
        }
        for (int i = 0; st->outputs[i].name; i++) {
            if ((s = slot_of(p, st->outputs[i].name, e)) < 0) return e->code;
            if (!p->slot[s].width) p->slot[s].width = p->task[t].width;
            p->out[t * MAX_SLOTS + (size_t)i] = s;
        }
    }
    return FW_OK;
}

static void free_pass(pass *p, struct fw_tray *trays, size_t depth)
{
    for (size_t i = 0; i < depth; i++) {
        free(trays[i].bytes);
        for (int s = 0; s < MAX_SLOTS; s++) fw_free(trays[i].cell[s].own);
    }
    fw_free(trays);
    for (size_t i = 0; i < p->njobs; i++) close_job(p, &p->jobs[i]);
    fw_known_free(p->known);
    for (size_t t = 0; t < p->tasks; t++)
        if ((p->opened >> t & 1) && fw_stages[p->first + t]->close) fw_stages[p->first + t]->close(&p->task[t]);
    for (int w = 0; w < p->run->workers; w++) {
        fw_image_free(&p->scratch[w].image);
        fw_free(p->scratch[w].crop);
        fw_free(p->scratch[w].spent);
    }
    fw_free(p->scratch);
    fw_free(p->jobs);
    fw_free(p->task);
    fw_free(p->in);
    fw_free(p->out);
}

/* The last line of the pass; a stage's seconds are its workers' mean. */
static void tell(const pass *p, double wall)
{
    fw_run *r = p->run;
    for (size_t t = 0; t < p->tasks; t++)
        for (int w = 0; w < r->workers; w++) r->seconds[p->first + t] += p->scratch[w].spent[t] / r->workers;
    fw_log(FW_INFO, "extract: %llu images in %.1f s (%.0f/s), %llu of them bad", (unsigned long long)p->done, wall,
           wall > 0 ? (double)p->done / wall : 0, (unsigned long long)p->bad);
    if (p->copied) fw_log(FW_INFO, "extract: %llu of them were known by their content", (unsigned long long)p->copied);
    for (size_t t = 0; p->done && t < p->tasks; t++)
        fw_log(FW_DEBUG, "  %s: %.3f ms an image", fw_stages[p->first + t]->name,
               1e3 * r->seconds[p->first + t] * r->workers / (double)p->done);
}

int fw_extract(fw_run *r, size_t first, size_t last, int only_shard, fw_err *e)
{
    pass p = {.run = r, .first = first, .tasks = last - first + 1};
    size_t depth = (size_t)r->workers * 8 + 8; /* enough to ride out one slow photo, small enough for big ones */
    p.task = FW_ARRAY(fw_task, p.tasks);
    p.in = FW_ARRAY(int, p.tasks *MAX_SLOTS);
    p.out = FW_ARRAY(int, p.tasks *MAX_SLOTS);
    p.scratch = FW_ARRAY(scratch, (size_t)r->workers);
    p.limits = (fw_image_limits){.max_pixels = r->conf->image_max_pixels,
                                 .max_scans = (int)r->conf->image_max_scans,
                                 .decode_side = (int)r->conf->image_decode_side};
    for (int w = 0; w < r->workers; w++) p.scratch[w].spent = FW_ARRAY(double, p.tasks);
    struct fw_tray *trays = FW_ARRAY(struct fw_tray, depth);
    uint64_t needed = collect_jobs(&p, only_shard);
    int rc = needed ? open_tasks(&p, needed, e) : FW_OK;
    if (needed && !rc) {
        double start = fw_now();
        p.known = fw_known_new(r, first, last);
        p.status = find_slot(&p, "detect.status");
        fw_progress_start("extract", "images", p.total);
        rc = fw_pipe_run(&(fw_pipe){.workers = r->workers,
                                    .depth = depth,
                                    .trays = trays,
                                    .tray_size = sizeof *trays,
                                    .user = &p,
                                    .read = read_tray,
                                    .work = work_tray,
                                    .write = write_tray},
                         e);
        fw_progress_end();
        r->images_done += p.done;
        tell(&p, fw_now() - start);
    }
    free_pass(&p, trays, depth);
    return rc;
}

/* ---- one photo at a time (look.h) -------------------------------------------------------------------------------
 * A pass without shards: a tray per worker, whose cells are read instead of written to columns. */

struct fw_look {
    fw_run run;
    char dataset[1], *set[1]; /* the one set, "" */
    fw_source *source[1];     /* borrowed */
    pass pass;
    job job; /* has no channels */
    struct fw_tray *tray;
    size_t task[3]; /* detect, align, embed */
    int dim;
};

enum { LOOK_DETECT, LOOK_ALIGN, LOOK_EMBED };

/* Every output of a stage as "nothing to say", as the writer of a run puts it. */
static void clear_outputs(fw_look *l, struct fw_tray *t, size_t task)
{
    const fw_stage *st = fw_stages[l->pass.first + task];
    for (int i = 0; st->outputs[i].name; i++) {
        int s = l->pass.out[task * MAX_SLOTS + (size_t)i];
        const slot *sl = &l->pass.slot[s];
        t->cell[s].rows = sl->decl->arity == FW_ONE;
        make_room(&t->cell[s], (size_t)sl->width * fw_dtype_size(sl->decl->type));
    }
}

static int look_task(fw_look *l, struct fw_tray *t, int which, fw_err *e)
{
    size_t task = l->task[which];
    clear_outputs(l, t, task);
    return fw_stages[l->pass.first + task]->image(&l->pass.task[task], &t->item, e);
}

static cell *look_cell(fw_look *l, struct fw_tray *t, const char *column)
{
    const int s = find_slot(&l->pass, column);
    return s < 0 ? NULL : &t->cell[s]; /* fw_look_open has checked those that are asked for */
}

static int check_columns(fw_look *l, fw_err *e)
{
    static const char *const needed[] = {"detect.status", "detect.size", "detect.box",  "detect.score",
                                         "detect.target", "detect.why",  "embed.valid", "embed.vec"};
    for (size_t i = 0; i < FW_COUNT(needed); i++)
        if (!look_cell(l, &l->tray[0], needed[i])) return fw_fail(e, FW_EFAIL, "look: no column '%s'", needed[i]);
    return FW_OK;
}

static int open_look(fw_look *l, fw_err *e)
{
    static const char *const names[] = {"detect", "align", "embed"};
    pass *p = &l->pass;
    uint64_t needed = 0;
    p->first = fw_stage_row(names[LOOK_DETECT]);
    p->tasks = fw_stage_row(names[LOOK_EMBED]) - p->first + 1;
    p->task = FW_ARRAY(fw_task, p->tasks);
    p->in = FW_ARRAY(int, p->tasks *MAX_SLOTS);
    p->out = FW_ARRAY(int, p->tasks *MAX_SLOTS);
    p->scratch = FW_ARRAY(scratch, (size_t)l->run.workers);
    p->limits = (fw_image_limits){.max_pixels = l->run.conf->image_max_pixels,
                                  .max_scans = (int)l->run.conf->image_max_scans,
                                  .decode_side = (int)l->run.conf->image_decode_side};
    for (size_t i = 0; i < FW_COUNT(names); i++) {
        l->task[i] = fw_stage_row(names[i]) - p->first;
        needed |= (uint64_t)1 << l->task[i];
    }
    FW_TRY(open_tasks(p, needed, e));
    FW_TRY(check_columns(l, e));
    l->dim = p->task[l->task[LOOK_EMBED]].width;
    return FW_OK;
}

int fw_look_open(const fw_conf *c, const fw_source *photos, int workers, fw_look **out, fw_err *e)
{
    fw_look *l = *out = FW_NEW(fw_look);
    l->set[0] = l->dataset;
    l->source[0] = (fw_source *)(uintptr_t)photos; /* only asked what it holds */
    l->run = (fw_run){.conf = c, .workers = workers, .set = l->set, .sets = 1, .source = l->source};
    l->pass.run = &l->run;
    l->tray = FW_ARRAY(struct fw_tray, (size_t)workers);
    for (int w = 0; w < workers; w++) {
        l->tray[w] = (struct fw_tray){.pass = &l->pass, .job = &l->job};
        l->tray[w].item = (fw_item){.worker = w, .tray = &l->tray[w]};
    }
    int rc = open_look(l, e);
    if (!rc) return FW_OK;
    fw_look_close(l);
    *out = NULL;
    return rc;
}

void fw_look_close(fw_look *l)
{
    if (!l) return;
    free_pass(&l->pass, l->tray, (size_t)l->run.workers);
    fw_free(l);
}

int fw_look_dim(const fw_look *l)
{
    return l->dim;
}

static void sight_room(fw_look *l, fw_sight *out, int faces)
{
    out->faces = faces;
    fw_reserve(&out->face, &out->face_cap, (size_t)faces, sizeof *out->face);
    fw_reserve(&out->vec, &out->vec_cap, (size_t)faces * (size_t)l->dim, sizeof *out->vec);
}

static void take_vec(fw_look *l, struct fw_tray *t, fw_sight *out, int face)
{
    out->face[face].valid = *(const uint8_t *)look_cell(l, t, "embed.valid")->data;
    if (out->face[face].valid)
        fw_half_to_float(look_cell(l, t, "embed.vec")->data, out->vec + (size_t)face * (size_t)l->dim, (size_t)l->dim);
}

/* What detect found; without a face the photo itself is one, where the settings take it for that. */
static void take_faces(fw_look *l, struct fw_tray *t, fw_sight *out)
{
    const int32_t *size = look_cell(l, t, "detect.size")->data;
    const cell *box = look_cell(l, t, "detect.box"), *why = look_cell(l, t, "detect.why");
    const float *score = look_cell(l, t, "detect.score")->data, *corner = box->data;
    out->status = *(const uint8_t *)look_cell(l, t, "detect.status")->data;
    out->target = *(const int32_t *)look_cell(l, t, "detect.target")->data;
    out->width = size[0];
    out->height = size[1];
    snprintf(out->why, sizeof out->why, "%.*s", (int)why->rows, why->rows ? (const char *)why->data : "");
    sight_room(l, out, (int)box->rows);
    for (int i = 0; i < out->faces; i++) {
        out->face[i] = (fw_sight_face){.score = score[i]};
        memcpy(out->face[i].box, corner + 4 * i, sizeof out->face[i].box);
    }
}

static int embed_faces(fw_look *l, struct fw_tray *t, bool all, fw_sight *out, fw_err *e)
{
    for (int i = 0; i < out->faces; i++) {
        if (!all && i != out->target) continue;
        *(int32_t *)(void *)look_cell(l, t, "detect.target")->own = i;
        FW_TRY(look_task(l, t, LOOK_ALIGN, e));
        FW_TRY(look_task(l, t, LOOK_EMBED, e));
        take_vec(l, t, out, i);
    }
    if (out->faces) return FW_OK;
    FW_TRY(look_task(l, t, LOOK_ALIGN, e));
    FW_TRY(look_task(l, t, LOOK_EMBED, e));
    if (!*(const uint8_t *)look_cell(l, t, "embed.valid")->data) return FW_OK;
    sight_room(l, out, 1);
    out->target = 0;
    out->face[0] = (fw_sight_face){.box = {0, 0, (float)out->width, (float)out->height}};
    take_vec(l, t, out, 0);
    return FW_OK;
}

int fw_look_at(fw_look *l, int worker, const fw_source *src, const char *key, bool all, fw_sight *out, fw_err *e)
{
    struct fw_tray *t = &l->tray[worker];
    fw_err bad = {0};
    l->pass.scratch[worker].decoded = l->pass.scratch[worker].has_crop = false;
    t->status = FW_IMG_OK;
    t->why[0] = 0;
    free(t->bytes);
    t->bytes = NULL;
    if (fw_source_read(src, key, l->run.conf->image_max_bytes, &t->bytes, &t->nbytes, &bad))
        FW_TRY(unreadable(t, &bad, e));
    FW_TRY(look_task(l, t, LOOK_DETECT, e));
    take_faces(l, t, out);
    return embed_faces(l, t, all, out, e);
}

const float *fw_sight_vec(const fw_look *l, const fw_sight *s, int face)
{
    if (face < 0 || face >= s->faces || !s->face[face].valid) return NULL;
    return s->vec + (size_t)face * (size_t)l->dim;
}

void fw_sight_free(fw_sight *s)
{
    fw_free(s->face);
    fw_free(s->vec);
    *s = (fw_sight){0};
}
