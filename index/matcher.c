#include "matcher.h"
#include "person.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct part {
    fw_vecindex *x;
    const fw_vectors *v;
    const uint32_t *label;
    size_t first; /* number of its row 0 among all rows */
} part;

struct fw_matcher {
    part *part;
    size_t parts, cap, rows, images, people, labels;
    size_t *off;    /* by label: where its rows begin in `row` */
    size_t *row;    /* rows, numbered through the parts, by label */
    uint32_t *rank; /* by label, scratch of a search: 1 + its place in the candidates, 0: none */
    int64_t *id;    /* scratch of a search */
    float *sim;
    size_t id_cap, sim_cap;
    fw_match *found;
    size_t found_cap;
};

fw_matcher *fw_matcher_new(void)
{
    return FW_NEW(fw_matcher);
}

void fw_matcher_free(fw_matcher *m)
{
    if (!m) return;
    for (size_t i = 0; i < m->parts; i++) fw_vecindex_free(m->part[i].x);
    void *owned[] = {m->part, m->off, m->row, m->rank, m->id, m->sim, m->found};
    for (size_t i = 0; i < FW_COUNT(owned); i++) fw_free(owned[i]);
    fw_free(m);
}

/* One list of an IVF index is a cell of the space; a probe's mates may lie in a neighbouring one. */
static int tune(fw_vecindex *x, fw_err *e)
{
    char params[32];
    size_t lists = fw_vecindex_lists(x), rows = fw_vecindex_count(x);
    if (!lists || !rows) return FW_OK;
    size_t probes = (size_t)ceil((double)lists * fmax(1.0 / 16, (double)FW_MATCH_SCAN / (double)rows));
    snprintf(params, sizeof params, "nprobe=%zu", probes < lists ? probes : lists);
    return fw_vecindex_tune(x, params, e);
}

static int prepare(const fw_matcher *m, fw_vecindex **x, const fw_vectors *v, fw_err *e)
{
    if (m->parts && m->part[0].v->dim != v->dim)
        return fw_fail(e, FW_EUSAGE, "embeddings of %d and of %d dimensions cannot be compared", m->part[0].v->dim,
                       v->dim);
    if (!*x) FW_TRY(fw_vecindex_build(v, NULL, x, e));
    if (fw_vecindex_count(*x) > v->n || fw_vecindex_dim(*x) != v->dim)
        return fw_fail(e, FW_EFAIL, "the index holds %zu rows of %d dimensions, its vectors are %zu of %d",
                       fw_vecindex_count(*x), fw_vecindex_dim(*x), v->n, v->dim);
    FW_TRY(fw_vecindex_add(*x, v, fw_vecindex_count(*x), e));
    return tune(*x, e);
}

int fw_matcher_add(fw_matcher *m, fw_vecindex *x, const fw_vectors *v, const uint32_t *label, fw_err *e)
{
    int rc = prepare(m, &x, v, e);
    if (rc) {
        fw_vecindex_free(x);
        return rc;
    }
    fw_reserve(&m->part, &m->cap, m->parts + 1, sizeof *m->part);
    m->part[m->parts++] = (part){x, v, label, m->rows};
    m->rows += v->n;
    return FW_OK;
}

static bool matched(const part *p, size_t row)
{
    return p->label[row] != FW_NONE && fw_vectors_valid(p->v, row);
}

void fw_matcher_ready(fw_matcher *m, size_t labels)
{
    m->labels = labels;
    m->off = FW_ARRAY(size_t, labels + 2);
    m->rank = FW_ARRAY(uint32_t, labels);
    for (size_t k = 0; k < m->parts; k++)
        for (size_t i = 0; i < m->part[k].v->n; i++)
            if (matched(&m->part[k], i)) m->off[m->part[k].label[i] + 2]++, m->images++;
    for (size_t l = 0; l < labels; l++) {
        m->people += m->off[l + 2] > 0;
        m->off[l + 2] += m->off[l + 1];
    }
    m->row = FW_ARRAY(size_t, m->images);
    for (size_t k = 0; k < m->parts; k++)
        for (size_t i = 0; i < m->part[k].v->n; i++)
            if (matched(&m->part[k], i)) m->row[m->off[m->part[k].label[i] + 1]++] = m->part[k].first + i;
}

size_t fw_matcher_images(const fw_matcher *m)
{
    return m->images;
}

size_t fw_matcher_people(const fw_matcher *m)
{
    return m->people;
}

int fw_matcher_dim(const fw_matcher *m)
{
    return m->parts ? m->part[0].v->dim : 0;
}

static const part *part_of(const fw_matcher *m, size_t row)
{
    size_t k = m->parts - 1;
    while (m->part[k].first > row) k--;
    return &m->part[k];
}

/* ---- candidates ------------------------------------------------------------------------------------------------- */

/* By the row itself: a large index holds it rounded. */
static float true_sim(const part *p, size_t row, const float *probe, float *x)
{
    fw_vectors_get(p->v, row, x);
    return fw_dot(probe, x, p->v->dim);
}

static void take_image(fw_matcher *m, size_t k, size_t row, float sim, size_t *n)
{
    const part *p = &m->part[k];
    uint32_t *rank = &m->rank[p->label[row]];
    if (!*rank) {
        fw_reserve(&m->found, &m->found_cap, *n + 1, sizeof *m->found);
        m->found[*n] = (fw_match){.label = p->label[row], .part = k, .row = row, .sim = sim};
        *rank = (uint32_t)++ * n;
    } else if (sim > m->found[*rank - 1].sim) {
        fw_match *f = &m->found[*rank - 1];
        f->part = k, f->row = row, f->sim = sim;
    }
}

/* The `k` nearest images of every part, by person; *all: no part has more. */
static int gather(fw_matcher *m, const float *probe, size_t k, size_t *n, bool *all, fw_err *e)
{
    *n = 0;
    *all = true;
    fw_reserve(&m->id, &m->id_cap, k, sizeof *m->id);
    fw_reserve(&m->sim, &m->sim_cap, k, sizeof *m->sim);
    float *x = FW_ARRAY(float, (size_t)fw_matcher_dim(m));
    int rc = FW_OK;
    for (size_t i = 0; i < m->parts && !rc; i++) {
        rc = fw_vecindex_search(m->part[i].x, probe, 1, (int)k, m->id, m->sim, e);
        if (rc) break;
        for (size_t j = 0; j < k && m->id[j] >= 0; j++) {
            const size_t row = (size_t)m->id[j];
            if (matched(&m->part[i], row)) take_image(m, i, row, true_sim(&m->part[i], row, probe, x), n);
        }
        if (m->id[k - 1] >= 0) *all = false;
    }
    fw_free(x);
    for (size_t i = 0; i < *n; i++) m->rank[m->found[i].label] = 0;
    return rc;
}

static int by_similarity(const void *a, const void *b)
{
    const fw_match *x = a, *y = b;
    if (x->sim != y->sim) return x->sim < y->sim ? 1 : -1;
    return (x->label > y->label) - (x->label < y->label);
}

/* ---- P(match) --------------------------------------------------------------------------------------------------- */

static double evidence(const fw_matcher *m, const fw_calib *c, const float *probe, uint32_t label)
{
    int dim = fw_matcher_dim(m);
    size_t first = m->off[label], n = m->off[label + 1] - first;
    if (n > FW_MATCH_CENTRE) n = FW_MATCH_CENTRE;
    float *x = FW_ARRAY(float, (size_t)dim * 2), *sum = x + dim;
    for (size_t i = 0; i < n; i++) {
        const part *p = part_of(m, m->row[first + i]);
        fw_vectors_get(p->v, m->row[first + i] - p->first, x);
        for (int d = 0; d < dim; d++) sum[d] += x[d];
    }
    fw_normalise(sum, dim);
    double llr = fw_calib_llr(c, fw_dot(sum, probe, dim), (double)n);
    fw_free(x);
    return llr;
}

static void weigh(const fw_matcher *m, const fw_calib *c, const float *probe, size_t n)
{
    double each = log(FW_MATCH_PRIOR / (double)m->people), none = log(1 - FW_MATCH_PRIOR), top = none, sum = 0;
    for (size_t i = 0; i < n; i++) {
        m->found[i].p = each + evidence(m, c, probe, m->found[i].label);
        top = fmax(top, m->found[i].p);
    }
    for (size_t i = 0; i < n; i++) sum += m->found[i].p = exp(m->found[i].p - top);
    sum += exp(none - top);
    for (size_t i = 0; i < n; i++) m->found[i].p /= sum;
}

/* ---- searching -------------------------------------------------------------------------------------------------- */

/* Images asked for at first, per person wanted: most people in a face set have a handful near each other. */
enum { PER_PERSON = 8, AT_MOST = 4096 };

int fw_matcher_search(fw_matcher *m, const fw_calib *c, const float *probe, size_t top, fw_match *out, size_t *n,
                      fw_err *e)
{
    size_t found = 0;
    bool all = !m->parts;
    for (size_t k = PER_PERSON * (top + 1); !all && found < top; k *= 4) {
        if (k > AT_MOST) k = AT_MOST;
        FW_TRY(gather(m, probe, k, &found, &all, e));
        if (k == AT_MOST) break;
    }
    qsort(m->found, found, sizeof *m->found, by_similarity);
    *n = found < top ? found : top;
    if (c && found) weigh(m, c, probe, found);
    for (size_t i = 0; i < *n; i++) {
        out[i] = m->found[i];
        if (!c) out[i].p = NAN;
    }
    return FW_OK;
}

double fw_match_threshold(const fw_calib *c, double fpir, size_t images)
{
    if (!images) return 1;
    return fw_calib_threshold(c, -expm1(log1p(-fpir) / (double)images));
}
