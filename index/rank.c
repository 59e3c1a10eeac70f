#include "rank.h"
#include "../lib/interval.h"
#include "matcher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows compared at a time: 256 x 512 sums stay in a core's cache. */
enum { PROBES = 64, GALLERY = 512 };

typedef struct probe {
    float own, other; /* nearest of its person; of the others. -2: none */
    uint32_t rank;    /* 0: its person is not in the gallery */
} probe;

typedef struct job {
    const fw_vectors *v;
    const uint32_t *label;
    uint32_t *gallery, *probe; /* rows; gallery rows by label */
    size_t galleries, probes, people;
    probe *found;
} job;

static size_t label_end(const job *j, size_t first)
{
    size_t end = first + 1;
    while (end < j->galleries && j->label[j->gallery[end]] == j->label[j->gallery[first]]) end++;
    return end;
}

static void gather(const job *j, const uint32_t *row, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++) fw_vectors_get(j->v, row[i], x + i * (size_t)j->v->dim);
}

/* Similarities of `n` probes to the whole gallery: n x galleries. */
static void compare(const job *j, const uint32_t *row, size_t n, float *px, float *gx, float *block, float *sim)
{
    gather(j, row, n, px);
    for (size_t first = 0; first < j->galleries; first += GALLERY) {
        size_t count = j->galleries - first < GALLERY ? j->galleries - first : GALLERY;
        gather(j, j->gallery + first, count, gx);
        fw_products(px, n, gx, count, j->v->dim, block);
        for (size_t i = 0; i < n; i++) memcpy(sim + i * j->galleries + first, block + i * count, count * sizeof *sim);
    }
}

/* By person: the nearest image counts. */
static probe judge(const job *j, uint32_t label, const float *sim)
{
    probe p = {.own = -2, .other = -2};
    for (size_t g = 0, end; g < j->galleries; g = end) {
        end = label_end(j, g);
        float best = sim[g];
        for (size_t i = g + 1; i < end; i++) best = fmaxf(best, sim[i]);
        if (j->label[j->gallery[g]] == label)
            p.own = best;
        else
            p.other = fmaxf(p.other, best);
    }
    if (p.own == -2) return p;
    p.rank = 1;
    for (size_t g = 0, end; g < j->galleries; g = end) {
        end = label_end(j, g);
        bool above = false;
        for (size_t i = g; i < end; i++) above = above || sim[i] >= p.own;
        p.rank += above && j->label[j->gallery[g]] != label;
    }
    return p;
}

static int search(job *j, fw_err *e)
{
    size_t dim = (size_t)j->v->dim;
#pragma omp parallel
    {
        float *px = FW_ARRAY(float, PROBES *dim), *gx = FW_ARRAY(float, GALLERY *dim);
        float *block = FW_ARRAY(float, PROBES *GALLERY), *sim = FW_ARRAY(float, PROBES * j->galleries);
#pragma omp for schedule(dynamic, 1)
        for (size_t first = 0; first < j->probes; first += PROBES) {
            size_t n = j->probes - first < PROBES ? j->probes - first : PROBES;
            if (fw_stopping()) continue;
            compare(j, j->probe + first, n, px, gx, block, sim);
            for (size_t i = 0; i < n; i++)
                j->found[first + i] = judge(j, j->label[j->probe[first + i]], sim + i * j->galleries);
        }
        fw_free(px);
        fw_free(gx);
        fw_free(block);
        fw_free(sim);
    }
    return fw_check_stop(e);
}

/* ---- from searches to figures -------------------------------------------------------------------------------------
 */

static void count_cmc(const job *j, fw_ranks *out)
{
    size_t hits[FW_CMC] = {0};
    for (size_t i = 0; i < j->probes; i++) {
        out->mated += j->found[i].rank > 0;
        for (size_t k = j->found[i].rank; k > 0 && k <= FW_CMC; k++) hits[k - 1]++;
    }
    for (size_t k = 0; k < FW_CMC; k++) {
        out->cmc[k] = out->mated ? (double)hits[k] / (double)out->mated : 0;
        fw_clopper_pearson(hits[k], out->mated, 0.95, &out->low[k], &out->high[k]);
    }
}

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static size_t first_above(const job *j, double threshold)
{
    size_t hits = 0;
    for (size_t i = 0; i < j->probes; i++) hits += j->found[i].rank == 1 && (double)j->found[i].own >= threshold;
    return hits;
}

/* The lowest threshold with at most a share f of the strangers' searches at or above it: just above the first that must
 * not pass. */
static void count_dir(const job *j, fw_ranks *out)
{
    float *stranger = FW_ARRAY(float, j->probes);
    for (size_t i = 0; i < j->probes; i++) stranger[i] = j->found[i].other;
    qsort(stranger, j->probes, sizeof *stranger, descending);
    for (int k = 0; k < FW_FPIRS; k++) {
        fw_dir *d = &out->dir[k];
        d->fpir = pow(10, -1 - k);
        d->measurable = d->fpir * (double)j->probes >= 1 - 1e-9;
        size_t may = (size_t)(d->fpir * (double)j->probes + 1e-9);
        d->threshold = (double)nextafterf(stranger[may < j->probes ? may : j->probes - 1], 2);
        size_t hits = first_above(j, d->threshold);
        d->dir = out->mated ? (double)hits / (double)out->mated : 0;
        fw_clopper_pearson(hits, out->mated, 0.95, &d->low, &d->high);
    }
    fw_free(stranger);
}

static void count_stated(const job *j, const fw_calib *c, fw_ranks *out)
{
    out->calibrated = true;
    for (int k = 0; k < FW_FPIRS; k++) {
        fw_stated *s = &out->stated[k];
        s->threshold = fw_match_threshold(c, pow(10, -1 - k), j->galleries);
        size_t hits = first_above(j, s->threshold), strangers = 0;
        for (size_t i = 0; i < j->probes; i++) strangers += (double)j->found[i].other >= s->threshold;
        s->fpir = (double)strangers / (double)j->probes;
        fw_clopper_pearson(strangers, j->probes, 0.95, &s->fpir_low, &s->fpir_high);
        s->dir = out->mated ? (double)hits / (double)out->mated : 0;
        fw_clopper_pearson(hits, out->mated, 0.95, &s->low, &s->high);
    }
}

/* Rows of both roles; the gallery's by label, through fw_groups. */
static void choose(job *j, const uint8_t *role, size_t labels)
{
    fw_groups g;
    fw_groups_build(&g, j->v, j->label, labels);
    j->gallery = FW_ARRAY(uint32_t, g.off[labels]);
    j->probe = FW_ARRAY(uint32_t, g.off[labels]);
    for (size_t l = 0; l < labels; l++) {
        size_t before = j->galleries;
        for (size_t i = g.off[l]; i < g.off[l + 1]; i++) {
            if (role[g.row[i]] == FW_ROLE_GALLERY) j->gallery[j->galleries++] = g.row[i];
            if (role[g.row[i]] == FW_ROLE_PROBE) j->probe[j->probes++] = g.row[i];
        }
        j->people += j->galleries > before;
    }
    fw_groups_free(&g);
}

int fw_rank_all(const fw_vectors *v, const uint32_t *label, const uint8_t *role, size_t labels, const fw_calib *c,
                fw_ranks *out, fw_err *e)
{
    job j = {.v = v, .label = label};
    *out = (fw_ranks){0};
    choose(&j, role, labels);
    j.found = FW_ARRAY(probe, j.probes);
    out->probes = j.probes;
    out->gallery = j.galleries;
    out->people = j.people;
    int rc = j.galleries && j.probes
                 ? search(&j, e)
                 : fw_fail(e, FW_EUSAGE, "identification: %zu gallery images and %zu probes; both are needed",
                           j.galleries, j.probes);
    if (!rc) count_cmc(&j, out);
    if (!rc) count_dir(&j, out);
    if (!rc && c) count_stated(&j, c, out);
    if (!rc && !out->mated)
        rc = fw_fail(e, FW_EUSAGE, "identification: of %zu probes none is of a person in the gallery", j.probes);
    fw_free(j.found);
    fw_free(j.gallery);
    fw_free(j.probe);
    return rc;
}
