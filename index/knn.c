#include "knn.h"

#include "join.h"
#include "vecindex.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
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

/* How many candidates to re-score for k results. A row is certified when the k-th similarity lies more than the bound above
 * the worst candidate kept; the longer the list, the more rows are certified, the more is re-scored. */
static uint32_t candidates(const fw_kernel *kern, uint32_t k)
{
    const char *override = getenv("FW_EXTRA");
    if (override) return k + (uint32_t)atoi(override);
    switch (kern->word) {
    case FW_WORD_INT8: return 2 * k + 32;
    case FW_WORD_BF16: return k + k / 4 + 8;
    default: return k + 8;
    }
}

/* A graph whose usable rows have room for `width` neighbours each. */
static void graph_room(fw_search *s, size_t n, const uint32_t *row, size_t rows, size_t width)
{
    uint64_t *off = FW_ARRAY(uint64_t, n + 1);
    for (size_t i = 0; i < rows; i++) off[row[i] + 1] = width;
    for (size_t i = 0; i < n; i++) off[i + 1] += off[i];
    s->off = off;
    s->id = FW_ARRAY(uint32_t, rows * width);
    s->sim = FW_ARRAY(float, rows * width);
}

static int search_exact(fw_search *s, const fw_knn_opts *o, fw_knn_report *r, fw_err *e)
{
    bool fits = s->self && fw_search_symmetric_bytes(s) <= o->memory;
    int rc = fits ? fw_search_symmetric(s, e) : fw_search_blocks(s, e);
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
    double t0=fw_now();
    fw_quant *q = fw_quant_new(v, row, rows, kern, o->seed);
    double t1=fw_now();
    fw_pack *p = fw_pack_new(v, row, rows, q);
    if(getenv("FW_TRACE"))fprintf(stderr,"quant %.3f pack %.3f err_max %.5f rest_max %.5f\n",t1-t0,fw_now()-t1,p->err_max,p->rest_max);
    fw_search s = {.probe_v = v, .gallery_v = v, .probe_row = row, .gallery_row = row, .probe = p, .gallery = p};
    s.self = true;
    s.k = (uint32_t)width;
    s.keep = candidates(kern, (uint32_t)o->k);
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
    fw_quant *q = fw_quant_new(gallery, grow, rows, kern, o.seed);
    fw_pack *p = fw_pack_new(probe, prow, probes, q), *g = fw_pack_new(gallery, grow, rows, q);
    fw_search s = {.probe_v = probe, .gallery_v = gallery, .probe_row = prow, .gallery_row = grow, .probe = p, .gallery = g};
    s.k = (uint32_t)width;
    s.keep = candidates(kern, (uint32_t)o.k);
    graph_room(&s, probe->n, prow, probes, width);
    int rc = width ? search_exact(&s, &o, NULL, e) : FW_OK;
    fw_pack_free(p), fw_pack_free(g);
    fw_quant_free(q);
    fw_free(prow), fw_free(grow);
    return finish_graph(&s, probe->n, rc, out);
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
    int rc = build_exact(v, &o, row, rows, out, r, e);
    fw_free(row);
    r->seconds = fw_now() - start;
    return rc;
}
