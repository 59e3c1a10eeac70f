#include "vecindex.h"

#include "join.h"
#include "knn.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes" /* FAISS's headers are C++ at heart */
#include <AutoTune_c.h>
#include <error_c.h>
#include <Index_c.h>
#include <index_factory_c.h>
#include <index_io_c.h>
#include <IndexIVF_c.h>
#pragma GCC diagnostic pop

/* Rows that are widened to fp32 at a time: 16 MB at 512 dimensions. */
#define BLOCK 8192
/* Rows that an index holds as fp16: FAISS grows by doubling, so that what it holds may take twice as much, and three
 * times for a moment. 10 M rows of 512 took 16 GB. */
#define HALF        ((size_t)4 << 30)
#define TRAIN_BYTES ((size_t)256 << 20)
/* FAISS's k-means warns below 39 points per list and samples down to 256; a value between, not tuned. */
#define TRAIN_PER_LIST 64
/* Rows that are ranked anew per row that is asked for. 1 M rows, mates at cosine .50: see README. */
#define REFINE "k_factor_rf=16"

struct fw_vecindex {
    FaissIndex *faiss;
};

static int faiss_fail(fw_err *e, const char *what, const char *subject)
{
    const char *text = faiss_get_last_error();
    char line[360];
    snprintf(line, sizeof line, "%s", text && *text ? text : "unknown FAISS error");
    for (char *p = line; *p; p++)
        if (*p == '\n') *p = ' ';
    return fw_fail(e, FW_EFAIL, "%s '%s': FAISS: %s", what, subject, line);
}

/* Into how many parts a row is cut for its code of 4 bits each: a divisor of dim, 128 of them (64 bytes a row) or a
 * quarter of the dimensions where that is more. 0: no divisor is near. */
static size_t code_parts(int dim)
{
    size_t d = (size_t)dim, most = d / 4 > 128 ? d / 4 : 128, parts = most < d ? most : d;
    while (d % parts) parts--;
    return parts * 2 >= (most < d ? most : d) ? parts : 0;
}

const char *fw_vecindex_default(size_t n, int dim, char *out, size_t room)
{
    size_t parts = code_parts(dim);
    if (n < FW_VECINDEX_FLAT)
        snprintf(out, room, "Flat");
    else if (parts)
        snprintf(out, room, "PQ%zux4fs,Refine(%s)", parts,
                 n * (size_t)dim * sizeof(uint16_t) > HALF ? "SQ8" : "SQfp16");
    else
        snprintf(out, room, "SQfp16");
    return out;
}

/* Rows to train on: enough for every list of the factory string, spread evenly, valid ones only. */
static size_t training_rows(const fw_vectors *v, const char *factory, float *x, size_t room)
{
    const char *ivf = strstr(factory, "IVF");
    size_t lists = 1024, count = 0;
    if (ivf) sscanf(ivf + 3, "%zu", &lists);
    size_t want = lists * TRAIN_PER_LIST < room ? lists * TRAIN_PER_LIST : room;
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < want; i++) {
        size_t row = want < v->n ? (size_t)((double)i * (double)v->n / (double)want) : i;
        if (row >= v->n) break;
        if (row == last || !fw_vectors_valid(v, row)) continue;
        fw_vectors_get(v, last = row, x + count++ * (size_t)v->dim);
    }
    return count;
}

/* FAISS's k-means takes 25 rounds in fp32, ours four in bf16 or int8: index stage at 125,000 rows 29.5 s of CPU against
 * 9.8 s when they were five. So an index whose factory string begins with its lists is given their centres; FAISS then trains only the
 * codes.
 */
static int give_centres(fw_vecindex *x, const fw_vectors *v, const char *factory, fw_err *e)
{
    enum { SEED = 1 };
    size_t lists;
    float *centre;
    fw_err own = {0};
    FaissIndexIVF *ivf = faiss_IndexIVF_cast(x->faiss);
    FaissIndex *quantizer = ivf ? faiss_IndexIVF_quantizer(ivf) : NULL;
    if (!quantizer || strncmp(factory, "IVF", 3) || !faiss_Index_is_trained(quantizer)) return FW_OK;
    lists = faiss_IndexIVF_nlist(ivf);
    int rc = faiss_Index_ntotal(quantizer) ? FW_EUSAGE : fw_knn_centres(v, lists, SEED, &centre, &own);
    if (rc == FW_EUSAGE) return FW_OK; /* too few rows: FAISS says what it thinks of it */
    if (rc) return fw_fail(e, own.code, "%s", own.msg);
    int bad = faiss_Index_add(quantizer, (idx_t)lists, centre);
    fw_free(centre);
    return bad ? faiss_fail(e, "set lists", factory) : FW_OK;
}

/* Codes are 128 k-means of 4096 points each: so little at a time that threads wait more than they work (13,000 rows on two
 * busy cores: 22 to 32 s with both, 3 to 4 s with one). */
static int train_codes(fw_vecindex *x, const char *factory, const float *sample, size_t count)
{
    bool alone = !strncmp(factory, "PQ", 2);
    int threads = omp_get_max_threads(), blas = alone ? fw_blas_threads(1) : 0;
    if (alone) omp_set_num_threads(1);
    int bad = faiss_Index_train(x->faiss, (idx_t)count, sample);
    omp_set_num_threads(threads);
    if (alone) fw_blas_threads(blas);
    return bad;
}

static int train(fw_vecindex *x, const fw_vectors *v, const char *factory, fw_err *e)
{
    if (faiss_Index_is_trained(x->faiss)) return FW_OK;
    FW_TRY(give_centres(x, v, factory, e));
    size_t room = TRAIN_BYTES / sizeof(float) / (size_t)v->dim;
    if (room > v->n) room = v->n;
    float *sample = fw_alloc(room * (size_t)v->dim, sizeof *sample);
    size_t count = training_rows(v, factory, sample, room);
    int bad = train_codes(x, factory, sample, count);
    fw_free(sample);
    return bad ? faiss_fail(e, "train index", factory) : FW_OK;
}

int fw_vecindex_build(const fw_vectors *v, const char *factory, fw_vecindex **out, fw_err *e)
{
    char own[64];
    *out = NULL;
    if (!factory) factory = fw_vecindex_default(v->n, v->dim, own, sizeof own);
    fw_vecindex *x = FW_NEW(fw_vecindex);
    int rc = FW_OK;
    if (faiss_index_factory(&x->faiss, v->dim, factory, METRIC_INNER_PRODUCT)) {
        x->faiss = NULL;
        rc = faiss_fail(e, "make index", factory);
    }
    if (!rc && (strstr(factory, ",Refine(") || strstr(factory, ",RFlat"))) rc = fw_vecindex_tune(x, REFINE, e);
    if (!rc) rc = train(x, v, factory, e);
    if (!rc) rc = fw_vecindex_add(x, v, 0, e);
    if (rc)
        fw_vecindex_free(x);
    else
        *out = x;
    return rc;
}

int fw_vecindex_add(fw_vecindex *x, const fw_vectors *v, size_t first, fw_err *e)
{
    if (v->dim != fw_vecindex_dim(x))
        return fw_fail(e, FW_EFAIL, "add to index: rows have %d dimensions, the index %d", v->dim, fw_vecindex_dim(x));
    float *block = fw_alloc(BLOCK * (size_t)v->dim, sizeof *block);
    int rc = FW_OK;
    for (size_t row = first; row < v->n && !rc; row += BLOCK) {
        size_t count = v->n - row < BLOCK ? v->n - row : BLOCK;
        fw_vectors_block(v, row, count, block);
        for (size_t i = 0; i < count; i++) /* ids must stay row numbers, so an invalid row is added, as zeros */
            if (!fw_vectors_valid(v, row + i)) memset(block + i * (size_t)v->dim, 0, (size_t)v->dim * sizeof *block);
        if (faiss_Index_add(x->faiss, (idx_t)count, block))
            rc = faiss_fail(e, "add to index", "rows");
        else
            rc = fw_check_stop(e);
    }
    fw_free(block);
    return rc;
}

int fw_vecindex_save(const fw_vecindex *x, const char *path, fw_err *e)
{
    if (!faiss_write_index_fname(x->faiss, path)) return FW_OK;
    const char *text = faiss_get_last_error(); /* all that FAISS says of the reason; long paths cut it off in ours */
    bool full = text && (strstr(text, strerror(ENOSPC)) || strstr(text, strerror(EDQUOT)));
    (void)faiss_fail(e, "write index", path);
    if (full) e->code = FW_EAGAIN;
    return e->code;
}

int fw_vecindex_load(const char *path, fw_vecindex **out, fw_err *e)
{
    FaissIndex *faiss = NULL;
    *out = NULL;
    if (faiss_read_index_fname(path, 0, &faiss)) return faiss_fail(e, "read index", path);
    *out = FW_NEW(fw_vecindex);
    (*out)->faiss = faiss;
    return FW_OK;
}

void fw_vecindex_free(fw_vecindex *x)
{
    if (!x) return;
    if (x->faiss) faiss_Index_free(x->faiss);
    fw_free(x);
}

/* An invalid row is all zeros: its inner product is exactly 0, which it shares with hardly any real row. (In 8 bits a
 * row is not quite zero; see the header.) */
static void place(const int64_t *id, const float *sim, int got, int k, int64_t *out_id, float *out_sim)
{
    int n = 0;
    for (int j = 0; j < got && n < k; j++) {
        if (id[j] < 0 || sim[j] == 0) continue;
        out_id[n] = id[j];
        out_sim[n++] = sim[j];
    }
    for (; n < k; n++) {
        out_id[n] = -1;
        out_sim[n] = -1;
    }
}

int fw_vecindex_search(const fw_vecindex *x, const float *query, size_t count, int k, int64_t *id, float *sim,
                       fw_err *e)
{
    if (k < 1) return fw_fail(e, FW_EUSAGE, "search index: k = %d", k);
    int threads = omp_get_max_threads(); /* FAISS shares out queries: for one, the others would only be waited for */
    if (count == 1) omp_set_num_threads(1);
    int bad = faiss_Index_search(x->faiss, (idx_t)count, query, k, sim, (idx_t *)id);
    omp_set_num_threads(threads);
    if (bad) return faiss_fail(e, "search", "index");
    for (size_t i = 0; i < count; i++) {
        size_t at = i * (size_t)k;
        place(id + at, sim + at, k, k, id + at, sim + at);
    }
    return FW_OK;
}

int fw_vecindex_tune(fw_vecindex *x, const char *params, fw_err *e)
{
    FaissParameterSpace *space = NULL;
    int bad = faiss_ParameterSpace_new(&space);
    if (!bad) bad = faiss_ParameterSpace_set_index_parameters(space, x->faiss, params);
    int rc = bad ? faiss_fail(e, "set search parameters", params) : FW_OK;
    if (space) faiss_ParameterSpace_free(space);
    return rc;
}

size_t fw_vecindex_count(const fw_vecindex *x)
{
    return (size_t)faiss_Index_ntotal(x->faiss);
}

int fw_vecindex_dim(const fw_vecindex *x)
{
    return faiss_Index_d(x->faiss);
}

size_t fw_vecindex_lists(const fw_vecindex *x)
{
    FaissIndexIVF *ivf = faiss_IndexIVF_cast(x->faiss);
    return ivf ? faiss_IndexIVF_nlist(ivf) : 0;
}
