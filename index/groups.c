/* groups: average link inside each label, fragments re-joined, and which group is the main one (judge.h, steps 2 and
 * 3). */
#include "judge.h"

#include <stdlib.h>
#include <string.h>

#define LINK_MAX    1024 /* rows agglomerated at once: 4 MB of similarities per thread */
#define CANDIDATES  4    /* largest groups of a label that may become its main one */
#define ALTERNATIVE 0.4  /* a foreign main group gives way to another of at least this share of its size */

/* ---- 2 groups --------------------------------------------------------------------------------------------------- */

typedef struct scratch {
    float *x;          /* LINK_MAX x dim */
    float *sim;        /* LINK_MAX x LINK_MAX */
    float *sum;        /* LINK_MAX x dim */
    uint32_t *cluster; /* LINK_MAX */
    uint32_t *size;    /* LINK_MAX */
} scratch;

static void scratch_open(scratch *s, int dim)
{
    s->x = fw_alloc_aligned((size_t)LINK_MAX * (size_t)dim, sizeof(float));
    s->sum = fw_alloc_aligned((size_t)LINK_MAX * (size_t)dim, sizeof(float));
    s->sim = fw_alloc_aligned((size_t)LINK_MAX * LINK_MAX, sizeof(float));
    s->cluster = FW_ARRAY(uint32_t, LINK_MAX);
    s->size = FW_ARRAY(uint32_t, LINK_MAX);
}

static void scratch_close(scratch *s)
{
    fw_free(s->x);
    fw_free(s->sum);
    fw_free(s->sim);
    fw_free(s->cluster);
    fw_free(s->size);
}

/* Sums of k groups of rows given by `at` (FW_NONE skipped) into s->sum, sizes into s->size; then unit length. */
static void group_centres(const fw_judge *j, const uint32_t *rows, size_t m, const uint32_t *at, size_t k, scratch *s)
{
    size_t dim = (size_t)j->v->dim;
    memset(s->sum, 0, k * dim * sizeof *s->sum);
    memset(s->size, 0, k * sizeof *s->size);
    float *x = s->x;
    for (size_t i = 0; i < m; i++) {
        if (at[i] >= k) continue;
        fw_vectors_get(j->v, rows[i], x);
        float *sum = s->sum + at[i] * dim;
        for (size_t d = 0; d < dim; d++) sum[d] += x[d];
        s->size[at[i]]++;
    }
    for (size_t c = 0; c < k; c++) fw_normalise(s->sum + c * dim, j->v->dim);
}

/* Fragments whose centroids are likelier one person's than two people's become one group: average link again, on log
 * likelihood ratios, so that large fragments must agree better than single photos. */
static size_t join_groups(const fw_judge *j, size_t k, scratch *s, uint32_t *map)
{
    fw_gram(s->sum, k, j->v->dim, s->sim);
    for (size_t a = 0; a < k; a++)
        for (size_t b = 0; b <= a; b++)
            s->sim[a * k + b] = s->sim[b * k + a] =
                (float)fw_calib_llr_centres(&j->a->calib, s->sim[a * k + b], s->size[a], s->size[b], 1);
    return fw_average_link(s->sim, k, 0, map);
}

/* Renumber groups by size, largest first (ties: the group of the earliest row). Returns how many. */
static void order_groups(uint32_t *at, size_t m, size_t k)
{
    uint32_t *size = FW_ARRAY(uint32_t, k), *rank = FW_ARRAY(uint32_t, k), *start = FW_ARRAY(uint32_t, m + 2);
    for (size_t i = 0; i < m; i++)
        if (at[i] != FW_NONE) size[at[i]]++;
    for (size_t c = 0; c < k; c++) start[m - size[c] + 1]++; /* counting sort by falling size, stable in id */
    for (size_t i = 0; i <= m; i++) start[i + 1] += start[i];
    for (size_t c = 0; c < k; c++) rank[c] = start[m - size[c]]++;
    for (size_t i = 0; i < m; i++)
        if (at[i] != FW_NONE) at[i] = rank[at[i]];
    fw_free(size);
    fw_free(rank);
    fw_free(start);
}

/* One block of at most LINK_MAX rows: average link, numbers from `base` on; returns how many groups. */
static size_t link_block(const fw_judge *j, const uint32_t *rows, size_t m, uint32_t *at, uint32_t base, scratch *s)
{
    for (size_t i = 0; i < m; i++) fw_vectors_get(j->v, rows[i], s->x + i * (size_t)j->v->dim);
    fw_gram(s->x, m, j->v->dim, s->sim);
    size_t k = fw_average_link(s->sim, m, (float)(j->opt->off & FW_OFF_JOIN ? j->a->t_in : j->a->t_person), s->cluster);
    for (size_t i = 0; i < m; i++) at[i] = base + s->cluster[i];
    return k;
}

/* Groups of one label. A label over LINK_MAX images is cut into blocks; the LINK_MAX largest groups of all blocks are
 * joined by centroid, smaller ones are left over (step 4 still judges their images one by one). */
static void group_label(fw_judge *j, size_t l, scratch *s)
{
    size_t m, k = 0;
    const uint32_t *rows = fw_judge_rows(j, l, &m);
    if (!m) return;
    uint32_t *at = FW_ARRAY(uint32_t, m), *map = FW_ARRAY(uint32_t, LINK_MAX);
    for (size_t b = 0; b < m; b += LINK_MAX) {
        size_t take = m - b < LINK_MAX ? m - b : LINK_MAX;
        k += link_block(j, rows + b, take, at + b, (uint32_t)k, s);
    }
    if (m > LINK_MAX) {
        order_groups(at, m, k);
        for (size_t i = 0; i < m; i++)
            if (at[i] >= LINK_MAX) at[i] = FW_NONE;
        if (k > LINK_MAX) k = LINK_MAX;
    }
    if (k > 1 && !(j->opt->off & FW_OFF_JOIN)) {
        group_centres(j, rows, m, at, k, s);
        k = join_groups(j, k, s, map);
        for (size_t i = 0; i < m; i++)
            if (at[i] != FW_NONE) at[i] = map[at[i]];
    }
    order_groups(at, m, k);
    for (size_t i = 0; i < m; i++) j->sub[rows[i]] = at[i];
    fw_free(at);
    fw_free(map);
}

/* ---- 3 main groups ---------------------------------------------------------------------------------------------- */

/* Sum of the members of label l into `sum`; returns how many. */
static uint32_t member_sum(const fw_judge *j, size_t l, float *sum, float *x)
{
    size_t m, dim = (size_t)j->v->dim;
    const uint32_t *rows = fw_judge_rows(j, l, &m);
    uint32_t count = 0;
    memset(sum, 0, dim * sizeof *sum);
    for (size_t i = 0; i < m; i++) {
        if (!j->a->member[rows[i]]) continue;
        fw_vectors_get(j->v, rows[i], x);
        for (size_t d = 0; d < dim; d++) sum[d] += x[d];
        count++;
    }
    return count;
}

void fw_judge_set_centre(fw_judge *j, size_t l, float *sum, float *x)
{
    fw_audit *a = j->a;
    a->id_members[l] = member_sum(j, l, sum, x);
    j->norm[l] = fw_normalise(sum, j->v->dim);
    fw_float_to_half(sum, a->id_centre + l * (size_t)j->v->dim, (size_t)j->v->dim);
}

/* Images of the label that look more like group `c` (unit centre in s->sum) than like strangers; marks them in `in`. */
static uint32_t supporters(const fw_judge *j, const uint32_t *rows, size_t m, const float *sum, uint32_t size,
                           uint32_t c, const uint32_t *at, uint8_t *in, float *x)
{
    uint32_t count = 0;
    double norm = size * sqrt((1 + (size - 1.0) * j->a->calib.rho) / size);
    for (size_t i = 0; i < m; i++) {
        fw_vectors_get(j->v, rows[i], x);
        double dot = fw_dot(x, sum, j->v->dim);
        bool inside = at[i] == c;
        if (inside && size < 2)
            in[i] = 1;
        else if (inside)
            in[i] = fw_calib_llr(&j->a->calib, fw_judge_without_self(dot, norm), size - 1) > 0;
        else
            in[i] = fw_calib_llr(&j->a->calib, dot, size) > 0;
        count += in[i];
    }
    return count;
}

typedef struct choice {
    uint32_t support[CANDIDATES];
    uint32_t count; /* candidates */
    uint32_t now;   /* chosen */
} choice;

/* Which of the largest groups do most images of the label support? Fragments of one person each gather the whole
 * person, so a person that fell apart still wins over a smaller, tighter second one. */
static void choose_main(fw_judge *j, size_t l, choice *pick, scratch *s)
{
    size_t m, dim = (size_t)j->v->dim;
    const uint32_t *rows = fw_judge_rows(j, l, &m);
    *pick = (choice){0};
    if (!m) return;
    uint32_t *at = FW_ARRAY(uint32_t, m);
    uint8_t *in = FW_ARRAY(uint8_t, m);
    for (size_t i = 0; i < m; i++) at[i] = j->sub[rows[i]];
    group_centres(j, rows, m, at, CANDIDATES, s);
    uint32_t best = 0;
    for (uint32_t c = 0; c < CANDIDATES && s->size[c]; c++) {
        pick->count = c + 1;
        pick->support[c] = s->size[c];
        if (!(j->opt->off & FW_OFF_SUPPORT))
            pick->support[c] = supporters(j, rows, m, s->sum + c * dim, s->size[c], c, at, in, s->x);
        if (pick->support[c] > pick->support[best]) best = c;
    }
    pick->now = best;
    fw_free(at);
    fw_free(in);
}

/* Members of label l := those who support group c. */
static void gather_main(fw_judge *j, size_t l, uint32_t c, scratch *s)
{
    size_t m;
    const uint32_t *rows = fw_judge_rows(j, l, &m);
    if (!m) return;
    uint32_t *at = FW_ARRAY(uint32_t, m);
    uint8_t *in = FW_ARRAY(uint8_t, m);
    for (size_t i = 0; i < m; i++) at[i] = j->sub[rows[i]];
    group_centres(j, rows, m, at, CANDIDATES, s);
    supporters(j, rows, m, s->sum + c * (size_t)j->v->dim, s->size[c], c, at, in, s->x);
    for (size_t i = 0; i < m; i++)
        j->a->member[rows[i]] = (j->opt->off & FW_OFF_GATHER) ? at[i] == c : in[i] || (at[i] == c && s->size[c] <= 2);
    fw_judge_set_centre(j, l, s->sum, s->x);
    fw_free(at);
    fw_free(in);
}

size_t fw_near_labels(const fw_audit *a, const fw_audit_in *in, const uint32_t *rows, size_t count, uint32_t self,
                      uint32_t *out, size_t room)
{
    enum { SEEN = 64, LOOK = 256 }; /* bounded: a few hundred members speak for a label of any size */
    uint32_t seen[SEEN], votes[SEEN];
    size_t known = 0, step = count > LOOK ? count / LOOK : 1;
    if (!in->knn) return 0;
    for (size_t k = 0; k < count; k += step) {
        for (uint64_t t = in->knn->off[rows[k]]; t < in->knn->off[rows[k] + 1]; t++) {
            uint32_t r = in->knn->id[t], l = in->label[r];
            if (l == self || l == FW_NONE || !a->member[r]) continue;
            size_t p = 0;
            while (p < known && seen[p] != l) p++;
            if (p == SEEN) continue;
            if (p == known) {
                seen[known] = l;
                votes[known++] = 0;
            }
            votes[p]++;
        }
    }
    size_t n = 0;
    for (; n < room && n < known; n++) {
        size_t top = n;
        for (size_t p = n + 1; p < known; p++)
            if (votes[p] > votes[top] || (votes[p] == votes[top] && seen[p] < seen[top])) top = p;
        uint32_t l = seen[top], w = votes[top];
        seen[top] = seen[n], votes[top] = votes[n];
        seen[n] = l, votes[n] = w;
        out[n] = l;
    }
    return n;
}

static double centres_cosine(const fw_audit *a, const fw_vectors *v, size_t k, size_t l, float *x, float *y)
{
    fw_half_to_float(fw_judge_centre(a, v, k), x, (size_t)v->dim);
    fw_half_to_float(fw_judge_centre(a, v, l), y, (size_t)v->dim);
    return fw_dot(x, y, v->dim);
}

/* Is the main person of label l a larger main group elsewhere? */
static bool is_foreign(const fw_judge *j, size_t l, scratch *s)
{
    const fw_audit *a = j->a;
    size_t m, count = 0;
    const uint32_t *rows = fw_judge_rows(j, l, &m);
    uint32_t near[4], *mine = FW_ARRAY(uint32_t, m);
    for (size_t i = 0; i < m; i++)
        if (a->member[rows[i]]) mine[count++] = rows[i];
    size_t n = fw_near_labels(a, j->in, mine, count, (uint32_t)l, near, FW_COUNT(near));
    fw_free(mine);
    for (size_t k = 0; k < n; k++) {
        if (a->id_members[near[k]] <= a->id_members[l]) continue;
        double cosine = centres_cosine(a, j->v, l, near[k], s->x, s->x + j->v->dim);
        double f =
            fw_size_factor(a->calib.rho, a->id_members[l]) * fw_size_factor(a->calib.rho, a->id_members[near[k]]);
        if (cosine / f > a->t_person) return true;
    }
    return false;
}

/* Foreign main groups give way. Two looks: the alternative may be foreign as well. */
static void switch_mains(fw_judge *j, choice *pick)
{
    size_t labels = j->in->labels;
    uint8_t *foreign = FW_ARRAY(uint8_t, labels);
    uint32_t *first = FW_ARRAY(uint32_t, labels);
    for (size_t l = 0; l < labels; l++) first[l] = pick[l].now;
    for (int look = 0; look < 3; look++) {
#pragma omp parallel
        {
            scratch s;
            scratch_open(&s, j->v->dim);
#pragma omp for schedule(dynamic, 16)
            for (size_t l = 0; l < labels; l++)
                foreign[l] = pick[l].count > 1 && !fw_stopping() && is_foreign(j, l, &s);
#pragma omp for schedule(dynamic, 16)
            for (size_t l = 0; l < labels; l++) {
                if (!foreign[l]) continue;
                uint32_t need = (uint32_t)ceil(ALTERNATIVE * pick[l].support[pick[l].now]), best = FW_NONE;
                pick[l].support[pick[l].now] = 0; /* tried */
                for (uint32_t c = 0; c < pick[l].count; c++)
                    if (pick[l].support[c] >= need && (best == FW_NONE || pick[l].support[c] > pick[l].support[best]))
                        best = c;
                pick[l].now = best == FW_NONE ? first[l] : best;
                if (best == FW_NONE) pick[l].count = 0; /* nothing better: back to the first, settled */
                gather_main(j, l, pick[l].now, &s);
            }
            scratch_close(&s);
        }
    }
    fw_free(foreign);
    fw_free(first);
}

void fw_judge_mains(fw_judge *j)
{
    size_t labels = j->in->labels;
    choice *pick = FW_ARRAY(choice, labels);
#pragma omp parallel
    {
        scratch s;
        scratch_open(&s, j->v->dim);
#pragma omp for schedule(dynamic, 16)
        for (size_t l = 0; l < labels; l++) {
            if (fw_stopping()) continue;
            group_label(j, l, &s);
            choose_main(j, l, &pick[l], &s);
            gather_main(j, l, pick[l].now, &s);
        }
        scratch_close(&s);
    }
    if (!(j->opt->off & FW_OFF_SWITCH)) switch_mains(j, pick);
    fw_free(pick);
}
