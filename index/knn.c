#include "knn.h"

#include "ivf.h"
#include "vecindex.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_K 2048

/* Options with every default filled in. */
static int effective(const fw_knn_opts *in, fw_knn_opts *o, fw_err *e)
{
    *o = in ? *in : (fw_knn_opts){0};
    if (!o->method) o->method = "auto";
    if (!o->k) o->k = 64;
    if (!o->memory) o->memory = (size_t)4 << 30;
    if (o->recall_floor == 0) o->recall_floor = 0.99;
    if (o->k < 1 || o->k > MAX_K) return fw_fail(e, FW_EUSAGE, "knn: k = %d is not within 1..%d", o->k, MAX_K);
    if (!(o->recall_floor > 0 && o->recall_floor <= 1))
        return fw_fail(e, FW_EUSAGE, "knn: recall floor %g is not within 0..1", o->recall_floor);
    return FW_OK;
}

const char *const *fw_knn_kernels(void)
{
    static _Thread_local const char *name[16];
    size_t n = 0;
    const fw_kernel *k;
    for (size_t i = 0; (k = fw_kernel_at(i)) && n + 1 < FW_COUNT(name); i++)
        if (k->usable()) name[n++] = k->name;
    name[n] = NULL;
    return name;
}

static int find_kernel(const char *name, const fw_kernel **k, fw_err *e)
{
    *k = fw_kernel_find(name);
    return *k ? FW_OK : fw_fail(e, FW_EUSAGE, "knn: kernel '%s': unknown, or this CPU cannot run it", name);
}

/* Valid, finite and not all zero? */
static bool row_usable(const fw_vectors *v, size_t row)
{
    if (!fw_vectors_valid(v, row)) return false;
    const uint16_t *h = fw_vectors_half(v, row);
    unsigned any = 0, odd = 0;
    for (int i = 0; i < v->dim; i++) {
        any |= h[i] & 0x7FFFu;
        odd |= (h[i] & 0x7C00u) == 0x7C00u; /* infinity or NaN */
    }
    return any && !odd;
}

static uint32_t *usable_rows(const fw_vectors *v, size_t *count)
{
    uint8_t *ok = FW_ARRAY(uint8_t, v->n);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < v->n; i++) ok[i] = row_usable(v, i);
    uint32_t *row = FW_ARRAY(uint32_t, v->n);
    *count = 0;
    for (size_t i = 0; i < v->n; i++)
        if (ok[i]) row[(*count)++] = (uint32_t)i;
    fw_free(ok);
    return row;
}

static int check_vectors(const fw_vectors *v, fw_err *e)
{
    if (v->n > UINT32_MAX - 1) return fw_fail(e, FW_EUSAGE, "knn: %zu rows; ids are 32 bits wide", v->n);
    if (v->dim < 1 || v->dim > 4096) return fw_fail(e, FW_EUSAGE, "knn: %d dimensions; 1..4096 are possible", v->dim);
    return FW_OK;
}

/* A graph whose usable rows have room for `width` neighbours each. */
static void graph_room(fw_search *s, size_t n, const uint32_t *row, size_t rows, size_t width)
{
    uint64_t *off = FW_ARRAY(uint64_t, n + 1);
    for (size_t i = 0; i < rows; i++) off[row[i] + 1] = width;
    for (size_t i = 0; i < n; i++) off[i + 1] += off[i];
    s->off = off;
    s->id = FW_ARRAY(uint32_t, rows * width);
    s->sim = FW_ARRAY(float, rows *width);
}

/* Can the symmetric join have its lists? If need be with fewer candidates, down to the usual number: to redo some rows is
 * cheaper than to score every pair twice. */
static bool fit_lists(fw_search *s, size_t memory)
{
    const uint32_t wanted = s->keep, usual = fw_search_keep(s->gallery->q->kern, s->k);
    while (s->keep > usual && fw_search_symmetric_bytes(s) > memory) s->keep--;
    if (fw_search_symmetric_bytes(s) <= memory) return true;
    s->keep = wanted;
    return false;
}

static int search_exact(fw_search *s, const fw_knn_opts *o, fw_knn_report *r, fw_err *e)
{
    s->keep = fw_search_pilot(s);
    bool fits = s->self && fit_lists(s, o->memory);
    int rc = fits ? fw_search_symmetric(s, e) : fw_search_blocks(s, NULL, s->probe->n, e);
    if (r) r->certified = s->probe->n - s->open_count;
    if (!rc && !o->uncertified) rc = fw_search_redo(s, e);
    return rc;
}

static int finish_graph(fw_search *s, size_t n, int rc, fw_graph **out)
{
    if (!rc) {
        *out = fw_graph_new(n, (uint64_t *)s->off, s->id, s->sim);
    } else {
        fw_free((void *)s->off);
        fw_free(s->id);
        fw_free(s->sim);
    }
    fw_free(s->open);
    return rc;
}

static int build_exact(const fw_vectors *v, const fw_knn_opts *o, const uint32_t *row, size_t rows, fw_graph **out,
                       fw_knn_report *r, fw_err *e)
{
    const fw_kernel *kern;
    FW_TRY(find_kernel(o->kernel, &kern, e));
    size_t width = rows <= (size_t)o->k ? (rows ? rows - 1 : 0) : (size_t)o->k;
    fw_quant *q = fw_quant_new(v, row, rows, kern, o->seed);
    fw_pack *p = fw_pack_new(v, row, rows, q);
    fw_pack_meet(p, p);
    fw_search s = {.probe_v = v, .gallery_v = v, .probe_row = row, .gallery_row = row, .probe = p, .gallery = p};
    s.self = true;
    s.k = (uint32_t)width;
    graph_room(&s, v->n, row, rows, width);
    r->kernel = kern->name;
    r->dims_used = q->dims;
    r->energy_lost = q->energy_lost;
    int rc = width ? search_exact(&s, o, r, e) : FW_OK;
    fw_pack_free(p);
    fw_quant_free(q);
    return finish_graph(&s, v->n, rc, out);
}

int fw_knn_cross(const fw_vectors *probe, const fw_vectors *gallery, const fw_knn_opts *opts, fw_graph **out, fw_err *e)
{
    fw_knn_opts o;
    const fw_kernel *kern;
    size_t probes, rows;
    *out = NULL;
    FW_TRY(effective(opts, &o, e));
    FW_TRY(check_vectors(probe, e));
    FW_TRY(check_vectors(gallery, e));
    FW_TRY(find_kernel(o.kernel, &kern, e));
    if (probe->dim != gallery->dim)
        return fw_fail(e, FW_EUSAGE, "knn: probes have %d dimensions, the gallery %d", probe->dim, gallery->dim);
    uint32_t *prow = usable_rows(probe, &probes), *grow = usable_rows(gallery, &rows);
    size_t width = rows < (size_t)o.k ? rows : (size_t)o.k;
    int blas = fw_blas_threads(1);
    fw_quant *q = fw_quant_new(gallery, grow, rows, kern, o.seed);
    fw_pack *p = fw_pack_new(probe, prow, probes, q), *g = fw_pack_new(gallery, grow, rows, q);
    fw_pack_meet(p, g);
    fw_search s = {
        .probe_v = probe, .gallery_v = gallery, .probe_row = prow, .gallery_row = grow, .probe = p, .gallery = g};
    s.k = (uint32_t)width;
    graph_room(&s, probe->n, prow, probes, width);
    int rc = width ? search_exact(&s, &o, NULL, e) : FW_OK;
    fw_pack_free(p), fw_pack_free(g);
    fw_quant_free(q);
    fw_blas_threads(blas);
    fw_free(prow), fw_free(grow);
    return finish_graph(&s, probe->n, rc, out);
}

/* Close the gaps that rows with fewer than `width` neighbours leave. */
static void squeeze(fw_search *s, size_t n, const uint32_t *got)
{
    uint64_t *off = (uint64_t *)s->off, at = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t from = off[i];
        off[i] = at;
        memmove(s->id + at, s->id + from, got[i] * sizeof *s->id);
        memmove(s->sim + at, s->sim + from, got[i] * sizeof *s->sim);
        at += got[i];
    }
    off[n] = at;
}

static int build_ivf(const fw_vectors *v, const fw_knn_opts *o, const uint32_t *row, size_t rows, fw_graph **out,
                     fw_knn_report *r, fw_err *e)
{
    const fw_kernel *kern;
    fw_ivf_plan plan;
    FW_TRY(find_kernel(o->kernel, &kern, e));
    fw_quant *q = fw_quant_new(v, row, rows, kern, o->seed);
    int rc = fw_ivf_plan_make(v, row, rows, q, o->seed, o->recall_floor, &plan, e);
    /* The symmetric join scores each pair once, where a scan of all rows would twice, but tells both rows of it. Where the
     * two cost about the same, the true graph is better. */
    bool cheaper = plan.mean_members > .7 * (double)rows / FW_IVF_SCAN;
    if (rc || cheaper) {
        snprintf(r->why, sizeof r->why, "%.0f of %zu lists would be needed for recall@10 %g, so exact is cheaper",
                 plan.mean_probes, plan.lists, o->recall_floor);
        fw_ivf_plan_free(&plan);
        fw_quant_free(q);
        return rc ? rc : build_exact(v, o, row, rows, out, r, e);
    }
    fw_search s = {.probe_v = v, .gallery_v = v, .self = true, .k = (uint32_t)o->k};
    graph_room(&s, v->n, row, rows, s.k);
    uint32_t *got = FW_ARRAY(uint32_t, v->n);
    rc = fw_ivf_search(&plan, &s, row, rows, q, got, &r->certified, e);
    fw_quant_free(q);
    if (!rc) squeeze(&s, v->n, got);
    fw_free(got);
    r->method = "ivf";
    r->kernel = kern->name;
    r->lists = plan.lists, r->probes = (size_t)lrint(plan.mean_probes);
    r->recall10 = plan.recall10, r->sampled = plan.sampled;
    r->floor_met = plan.recall10 >= o->recall_floor;
    fw_ivf_plan_free(&plan);
    return finish_graph(&s, v->n, rc, out);
}

#define FAISS_BATCH 1024

/* What FAISS found for rows row[0..count-1], re-scored: ids of usable rows other than the row itself. */
static void take_faiss(fw_search *s, const uint8_t *usable, const uint32_t *row, size_t count, const int64_t *id,
                       size_t width, uint32_t *got)
{
#pragma omp parallel
    {
        float *query = FW_ARRAY(float, 2 * (size_t)s->probe_v->dim), *sim = FW_ARRAY(float, width);
        uint32_t *good = FW_ARRAY(uint32_t, width);
        uint64_t *key = FW_ARRAY(uint64_t, width);
#pragma omp for schedule(static)
        for (size_t i = 0; i < count; i++) {
            size_t n = 0, take;
            for (size_t j = 0; j < width; j++)
                if (id[i * width + j] >= 0 && id[i * width + j] != row[i] && usable[id[i * width + j]])
                    good[n++] = (uint32_t)id[i * width + j];
            fw_rank_dots(s->probe_v, row[i], s->gallery_v, good, n, query, sim);
            for (size_t j = 0; j < n; j++) key[j] = fw_key(sim[j], good[j]);
            fw_key_sort(key, n);
            got[row[i]] = (uint32_t)(take = n < s->k ? n : s->k);
            for (size_t j = 0; j < take; j++) {
                s->id[s->off[row[i]] + j] = fw_key_id(key[j]);
                s->sim[s->off[row[i]] + j] = fw_key_score(key[j]);
            }
        }
        fw_free(query), fw_free(sim), fw_free(good), fw_free(key);
    }
}

static int search_faiss(fw_search *s, const fw_vecindex *x, const uint32_t *row, size_t rows, uint32_t *got, fw_err *e)
{
    size_t dim = (size_t)s->probe_v->dim, width = s->k + 1;
    float *query = FW_ARRAY(float, FAISS_BATCH *dim), *sim = FW_ARRAY(float, FAISS_BATCH *width);
    int64_t *id = FW_ARRAY(int64_t, FAISS_BATCH * width);
    uint8_t *usable = FW_ARRAY(uint8_t, s->probe_v->n);
    int rc = FW_OK;
    for (size_t i = 0; i < s->probe_v->n; i++) usable[i] = row_usable(s->probe_v, i);
    for (size_t at = 0; at < rows && !rc; at += FAISS_BATCH) {
        size_t count = rows - at < FAISS_BATCH ? rows - at : FAISS_BATCH;
        for (size_t i = 0; i < count; i++) fw_vectors_get(s->probe_v, row[at + i], query + i * dim);
        rc = fw_vecindex_search(x, query, count, (int)width, id, sim, e);
        if (!rc) take_faiss(s, usable, row + at, count, id, width, got);
        if (!rc) rc = fw_check_stop(e);
    }
    fw_free(query), fw_free(sim), fw_free(id), fw_free(usable);
    return rc;
}

/* Up to 1000 rows and their nearest `depth` others, the truth. */
typedef struct sample {
    size_t n, depth;
    uint32_t *row, *truth;
} sample;

static int take_sample(const fw_search *s, const uint32_t *row, size_t rows, sample *j, fw_err *e)
{
    *j = (sample){.n = rows < 1000 ? rows : 1000, .depth = rows - 1 < 10 ? rows - 1 : 10};
    if (s->k < j->depth) j->depth = s->k;
    j->row = FW_ARRAY(uint32_t, j->n);
    for (size_t i = 0; i < j->n; i++) j->row[i] = row[i * rows / j->n];
    int blas = fw_blas_threads(1);
    fw_quant *q = fw_quant_new(s->probe_v, row, rows, fw_kernel_find(NULL), 0);
    fw_pack *p = fw_pack_new(s->probe_v, j->row, j->n, q), *g = fw_pack_new(s->probe_v, row, rows, q);
    fw_pack_meet(p, g);
    int rc = fw_search_nearest(&(fw_nearest){.v = s->probe_v,
                                             .w = s->probe_v,
                                             .row = j->row,
                                             .wrow = row,
                                             .p = p,
                                             .g = g,
                                             .k = (uint32_t)j->depth,
                                             .self = true},
                               &j->truth, e);
    fw_pack_free(p), fw_pack_free(g);
    fw_quant_free(q);
    fw_blas_threads(blas);
    return rc;
}

/* Recall@10 of the graph on the sample. */
static double judge_faiss(const fw_search *s, const sample *j, const uint32_t *got)
{
    size_t same = 0;
    for (size_t i = 0; i < j->n; i++)
        for (size_t a = 0; a < j->depth; a++)
            for (size_t b = 0; b < j->depth && b < got[j->row[i]]; b++)
                same += j->truth[i * j->depth + a] == s->id[s->off[j->row[i]] + b];
    return (double)same / (double)(j->n * j->depth);
}

/* An index with inverted lists looks into one of them unless told otherwise: as many, in doublings, as reach the floor
 * on every second row of the sample. */
static int tune_faiss(fw_search *s, fw_vecindex *x, const sample *j, double floor, uint32_t *got, size_t *probes,
                      fw_err *e)
{
    sample half = {
        .n = 0, .depth = j->depth, .row = FW_ARRAY(uint32_t, j->n), .truth = FW_ARRAY(uint32_t, j->n * j->depth)};
    size_t lists = fw_vecindex_lists(x);
    int rc = FW_OK;
    for (size_t i = 0; i < j->n; i += 2, half.n++) {
        half.row[half.n] = j->row[i];
        memcpy(half.truth + half.n * j->depth, j->truth + i * j->depth, j->depth * sizeof *j->truth);
    }
    for (size_t p = 1; p <= lists && !rc; p = p < lists && p * 2 > lists ? lists : p * 2) {
        char params[32];
        snprintf(params, sizeof params, "nprobe=%zu", *probes = p);
        rc = fw_vecindex_tune(x, params, e);
        if (!rc) rc = search_faiss(s, x, half.row, half.n, got, e);
        if (!rc && judge_faiss(s, &half, got) >= floor) break;
    }
    fw_free(half.row), fw_free(half.truth);
    return rc;
}

static int build_faiss(const fw_vectors *v, const fw_knn_opts *o, const uint32_t *row, size_t rows, fw_graph **out,
                       fw_knn_report *r, fw_err *e)
{
    if (rows < 2) return build_exact(v, o, row, rows, out, r, e); /* nothing to search for */
    fw_vecindex *x;
    FW_TRY(fw_vecindex_build(v, o->factory, &x, e));
    fw_search s = {.probe_v = v, .gallery_v = v, .self = true, .k = (uint32_t)o->k};
    graph_room(&s, v->n, row, rows, s.k);
    uint32_t *got = FW_ARRAY(uint32_t, v->n);
    sample j;
    int rc = take_sample(&s, row, rows, &j, e);
    r->lists = fw_vecindex_lists(x);
    if (!rc && r->lists) rc = tune_faiss(&s, x, &j, o->recall_floor, got, &r->probes, e);
    if (!rc) rc = search_faiss(&s, x, row, rows, got, e);
    r->method = r->kernel = "faiss";
    r->sampled = j.n;
    r->recall10 = rc ? 0 : judge_faiss(&s, &j, got);
    r->floor_met = r->recall10 >= o->recall_floor;
    if (!rc) squeeze(&s, v->n, got);
    fw_free(got), fw_free(j.row), fw_free(j.truth);
    fw_vecindex_free(x);
    return finish_graph(&s, v->n, rc, out);
}

static const char *choose(const fw_knn_opts *o, size_t rows, fw_knn_report *r)
{
    bool automatic = !strcmp(o->method, "auto"), small = rows <= FW_KNN_AUTO_EXACT;
    const char *m = automatic ? small ? "exact" : "ivf" : o->method;
    if (automatic)
        snprintf(r->why, sizeof r->why, "%zu rows are %s the %d up to which exact is used", rows,
                 small ? "within" : "above", FW_KNN_AUTO_EXACT);
    else
        snprintf(r->why, sizeof r->why, "as set");
    if (!strcmp(m, "ivf") && rows < FW_IVF_LEAST) {
        snprintf(r->why, sizeof r->why, "%zu rows are too few for lists", rows);
        m = "exact";
    }
    return m;
}

int fw_knn_build(const fw_vectors *v, const fw_knn_opts *opts, fw_graph **out, fw_knn_report *report, fw_err *e)
{
    fw_knn_opts o;
    fw_knn_report own;
    fw_knn_report *r = report ? report : &own;
    double start = fw_now();
    *out = NULL;
    *r = (fw_knn_report){.method = "exact", .recall10 = 1, .floor_met = true};
    FW_TRY(effective(opts, &o, e));
    FW_TRY(check_vectors(v, e));
    size_t rows;
    uint32_t *row = usable_rows(v, &rows);
    r->rows = rows;
    const char *m = choose(&o, rows, r);
    int rc, blas = strcmp(m, "faiss") ? fw_blas_threads(1) : 0;
    if (!strcmp(m, "exact"))
        rc = build_exact(v, &o, row, rows, out, r, e);
    else if (!strcmp(m, "ivf"))
        rc = build_ivf(v, &o, row, rows, out, r, e);
    else if (!strcmp(m, "faiss"))
        rc = build_faiss(v, &o, row, rows, out, r, e);
    else
        rc = fw_fail(e, FW_EUSAGE, "knn: method '%s': not one of auto, exact, ivf, faiss", m);
    if (blas) fw_blas_threads(blas);
    fw_free(row);
    r->seconds = fw_now() - start;
    return rc;
}

int fw_knn_centres(const fw_vectors *v, size_t lists, uint64_t seed, float **out, fw_err *e)
{
    size_t rows;
    *out = NULL;
    FW_TRY(check_vectors(v, e));
    uint32_t *row = usable_rows(v, &rows);
    fw_ivf_plan plan = {.lists = lists};
    int blas = fw_blas_threads(1);
    fw_quant *q = fw_quant_new(v, row, rows, fw_kernel_find(NULL), seed);
    int rc = lists && lists <= rows ? fw_ivf_centres(v, row, rows, q, seed, &plan, e)
                                    : fw_fail(e, FW_EUSAGE, "knn: %zu lists for %zu rows", lists, rows);
    if (!rc) {
        *out = FW_ARRAY(float, lists *(size_t)v->dim);
        fw_half_to_float(plan.centre_half, *out, lists * (size_t)v->dim);
    }
    fw_ivf_plan_free(&plan);
    fw_quant_free(q);
    fw_blas_threads(blas);
    fw_free(row);
    return rc;
}
