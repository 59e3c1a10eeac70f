#include "audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LINK_MAX   1024 /* rows agglomerated at once: 4 MB of similarities per thread */
#define CANDIDATES 4    /* largest groups of a label that may become its main one */
#define OTHERS     6    /* other identities weighed per image, those with most of its neighbours */
#define ROUNDS     4
/* Share of right labels whose photo resembles nobody, not even its own person: profiles, hands before the face, the
 * wrong face of two detected. It cannot be told from a stranger, and no dataset shows it by itself; LFW, looked at by
 * eye, has 4 to 9 such photos in 5,985. It keeps a nearly clean dataset from losing exactly these. */
#define ODD_PHOTO   0.0015
#define GROUPS      8    /* largest groups of a label that are judged as a whole */
#define STRAY_PART  0.05 /* of the photos of a second person, this share resembles none of the others */
#define SIZES       6    /* label size classes of the noise prior: 1, 2, 3-4, 5-9, 10-39, 40+ */
#define ALTERNATIVE 0.4  /* a foreign main group gives way to another of at least this share of its size */

typedef struct group {
    uint32_t size;
    uint32_t id;
} group;

typedef struct judge {
    fw_audit *a;
    const fw_audit_in *in;
    const fw_audit_opt *opt;
    const fw_vectors *v;
    fw_groups g;
    uint32_t *sub;                       /* n: group of a row inside its label, 0 the largest; FW_NONE: left over */
    float *norm;                         /* L: length of the sum of the members */
    float *own_llr;                      /* n */
    float *group_sim;                    /* n: centre of the row's group to the main centre without it */
    uint32_t *group_n, *main_n;          /* n: photos behind the two; group_n 0: no group of its own */
    float *other_llr;                    /* n: of the best other identity; very negative: none */
    uint8_t *lone;                       /* n: 1 if no other rejected image of the label looks like this one */
    float *rank;                         /* n: quality rank 0..1, -1: unknown */
    double *wrong, *stray;               /* L: expected wrong labels, and of these lone strangers */
    double base[SIZES], strength[SIZES]; /* wrong labels by label size: mean, concentration (beta prior) */
    double stray_base[SIZES], stray_strength[SIZES]; /* lone strangers likewise */
} judge;

static int size_class(size_t m)
{
    return m < 2 ? 0 : m < 3 ? 1 : m < 5 ? 2 : m < 10 ? 3 : m < 40 ? 4 : 5;
}

static const uint32_t *label_rows(const judge *j, size_t l, size_t *m)
{
    *m = j->g.off[l + 1] - j->g.off[l];
    return j->g.row + j->g.off[l];
}

static const uint16_t *centre_of(const fw_audit *a, const fw_vectors *v, size_t l)
{
    return a->id_centre + l * (size_t)v->dim;
}

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
static void group_centres(const judge *j, const uint32_t *rows, size_t m, const uint32_t *at, size_t k, scratch *s)
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
static size_t join_groups(const judge *j, size_t k, scratch *s, uint32_t *map)
{
    fw_gram(s->sum, k, j->v->dim, s->sim);
    for (size_t a = 0; a < k; a++)
        for (size_t b = 0; b <= a; b++)
            s->sim[a * k + b] = s->sim[b * k + a] =
                (float)fw_calib_llr_centres(&j->a->calib, s->sim[a * k + b], s->size[a], s->size[b]);
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
static size_t link_block(const judge *j, const uint32_t *rows, size_t m, uint32_t *at, uint32_t base, scratch *s)
{
    for (size_t i = 0; i < m; i++) fw_vectors_get(j->v, rows[i], s->x + i * (size_t)j->v->dim);
    fw_gram(s->x, m, j->v->dim, s->sim);
    size_t k = fw_average_link(s->sim, m, (float)(j->opt->off & FW_OFF_JOIN ? j->a->t_in : j->a->t_person), s->cluster);
    for (size_t i = 0; i < m; i++) at[i] = base + s->cluster[i];
    return k;
}

/* Groups of one label. A label over LINK_MAX images is cut into blocks; the LINK_MAX largest groups of all blocks are
 * joined by centroid, smaller ones are left over (step 4 still judges their images one by one). */
static void group_label(judge *j, size_t l, scratch *s)
{
    size_t m, k = 0;
    const uint32_t *rows = label_rows(j, l, &m);
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
static uint32_t member_sum(const judge *j, size_t l, float *sum, float *x)
{
    size_t m, dim = (size_t)j->v->dim;
    const uint32_t *rows = label_rows(j, l, &m);
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

static void set_centre(judge *j, size_t l, float *sum, float *x)
{
    fw_audit *a = j->a;
    a->id_members[l] = member_sum(j, l, sum, x);
    j->norm[l] = fw_normalise(sum, j->v->dim);
    fw_float_to_half(sum, a->id_centre + l * (size_t)j->v->dim, (size_t)j->v->dim);
}

/* Cosine of a unit vector to a sum of length `norm` and unit direction with x.c = dot, x's own part taken out. */
static double without_self(double dot, double norm)
{
    double rest = norm * norm - 2 * norm * dot + 1;
    return rest > 1e-9 ? (norm * dot - 1) / sqrt(rest) : 0;
}

/* Images of the label that look more like group `c` (unit centre in s->sum) than like strangers; marks them in `in`. */
static uint32_t supporters(const judge *j, const uint32_t *rows, size_t m, const float *sum, uint32_t size, uint32_t c,
                           const uint32_t *at, uint8_t *in, float *x)
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
            in[i] = fw_calib_llr(&j->a->calib, without_self(dot, norm), size - 1) > 0;
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
static void choose_main(judge *j, size_t l, choice *pick, scratch *s)
{
    size_t m, dim = (size_t)j->v->dim;
    const uint32_t *rows = label_rows(j, l, &m);
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
static void gather_main(judge *j, size_t l, uint32_t c, scratch *s)
{
    size_t m;
    const uint32_t *rows = label_rows(j, l, &m);
    if (!m) return;
    uint32_t *at = FW_ARRAY(uint32_t, m);
    uint8_t *in = FW_ARRAY(uint8_t, m);
    for (size_t i = 0; i < m; i++) at[i] = j->sub[rows[i]];
    group_centres(j, rows, m, at, CANDIDATES, s);
    supporters(j, rows, m, s->sum + c * (size_t)j->v->dim, s->size[c], c, at, in, s->x);
    for (size_t i = 0; i < m; i++)
        j->a->member[rows[i]] = (j->opt->off & FW_OFF_GATHER) ? at[i] == c : in[i] || (at[i] == c && s->size[c] <= 2);
    set_centre(j, l, s->sum, s->x);
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
    fw_half_to_float(centre_of(a, v, k), x, (size_t)v->dim);
    fw_half_to_float(centre_of(a, v, l), y, (size_t)v->dim);
    return fw_dot(x, y, v->dim);
}

/* Is the main person of label l a larger main group elsewhere? */
static bool is_foreign(const judge *j, size_t l, scratch *s)
{
    const fw_audit *a = j->a;
    size_t m, count = 0;
    const uint32_t *rows = label_rows(j, l, &m);
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
static void switch_mains(judge *j, choice *pick)
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
            for (size_t l = 0; l < labels; l++) foreign[l] = pick[l].count > 1 && is_foreign(j, l, &s);
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

static void find_mains(judge *j)
{
    size_t labels = j->in->labels;
    choice *pick = FW_ARRAY(choice, labels);
#pragma omp parallel
    {
        scratch s;
        scratch_open(&s, j->v->dim);
#pragma omp for schedule(dynamic, 16)
        for (size_t l = 0; l < labels; l++) {
            group_label(j, l, &s);
            choose_main(j, l, &pick[l], &s);
            gather_main(j, l, pick[l].now, &s);
        }
        scratch_close(&s);
    }
    if (!(j->opt->off & FW_OFF_SWITCH)) switch_mains(j, pick);
    fw_free(pick);
}

/* ---- 4 posterior ------------------------------------------------------------------------------------------------ */

/* The best other identity. Flips have one; the sum over all would add nothing but look-alikes. */
static void best_other(judge *j, uint32_t i, const float *x, float *y)
{
    fw_audit *a = j->a;
    uint32_t near[OTHERS];
    size_t n = (j->opt->off & FW_OFF_OTHERS) ? 0 : fw_near_labels(a, j->in, &i, 1, j->in->label[i], near, OTHERS);
    double best = -1e30;
    a->other[i] = FW_NONE;
    a->other_sim[i] = 0;
    for (size_t k = 0; k < n; k++) {
        fw_half_to_float(centre_of(a, j->v, near[k]), y, (size_t)j->v->dim);
        double sim = fw_dot(x, y, j->v->dim), llr = fw_calib_llr(&a->calib, sim, a->id_members[near[k]]);
        if (llr < best || (llr == best && sim <= a->other_sim[i])) continue;
        best = llr;
        a->other[i] = near[k];
        a->other_sim[i] = (float)sim;
    }
}

/* Similarities of every image to its own main centroid and to the best other one. */
static void compare(judge *j)
{
    fw_audit *a = j->a;
    size_t n = j->v->n;
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, (size_t)j->v->dim * 2), *y = x + j->v->dim;
#pragma omp for schedule(dynamic, 256)
        for (size_t i = 0; i < n; i++) {
            uint32_t l = j->in->label[i];
            if (l == FW_NONE || !fw_vectors_valid(j->v, i)) continue;
            fw_vectors_get(j->v, i, x);
            fw_half_to_float(centre_of(a, j->v, l), y, (size_t)j->v->dim);
            double dot = fw_dot(x, y, j->v->dim);
            uint32_t others = a->id_members[l] - a->member[i];
            a->sim[i] = (float)(others ? a->member[i] ? without_self(dot, j->norm[l]) : dot : 0);
            best_other(j, (uint32_t)i, x, y);
        }
        fw_free(x);
    }
}

/* Likelihood ratios of those similarities under the present model. */
static void weigh(judge *j)
{
    fw_audit *a = j->a;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < j->v->n; i++) {
        uint32_t l = j->in->label[i], o = a->other[i];
        j->other_llr[i] = -1e30f;
        j->own_llr[i] = 0;
        if (l == FW_NONE || !fw_vectors_valid(j->v, i)) continue;
        uint32_t others = a->id_members[l] - a->member[i];
        if (others)
            j->own_llr[i] = (float)log(
                (1 - ODD_PHOTO) * exp(fw_calib_llr_of(&a->calib, a->sim[i], others, j->rank[i])) + ODD_PHOTO);
        if (o != FW_NONE)
            j->other_llr[i] = (float)fw_calib_llr_of(&a->calib, a->other_sim[i], a->id_members[o], j->rank[i]);
    }
}

static double sigmoid(double x)
{
    return x > 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static double log_odds(double p)
{
    return log(p / (1 - p));
}

static double shrunk(double base, double strength, double count, double of)
{
    return fmin(fmax((base * strength + count) / (strength + of), 1e-5), 0.95);
}

/* Prior odds that a label is wrong, times how well the best such explanation fits (relative to an impostor's fit): a
 * flip from another identity, or a stranger. Rates are the label's own without this image, shrunk to those of labels of
 * its size. A lone stranger is judged by the rate of lone strangers: one photo that resembles nobody is weak evidence
 * in a clean dataset, two that resemble each other are a second person. */
static double log_against(const judge *j, size_t i)
{
    uint32_t l = j->in->label[i];
    size_t m;
    label_rows(j, l, &m);
    int c = size_class(m);
    double p = j->a->score[i], rest = (double)(m > 1 ? m - 1 : 0),
           labels = (double)(j->in->labels > 1 ? j->in->labels - 1 : 1);
    double wrong = shrunk(j->base[c], j->strength[c], m > 1 ? fmax(j->wrong[l] - p, 0) : 0, rest);
    double stray =
        shrunk(j->stray_base[c], j->stray_strength[c], m > 1 ? fmax(j->stray[l] - j->lone[i] * p, 0) : 0, rest);
    double flip = log(wrong * j->a->flip_share / labels) + j->other_llr[i];
    double out = log(j->lone[i] ? fmin(stray + STRAY_PART * wrong, 0.95) : wrong * (1 - j->a->flip_share));
    double top = fmax(flip, out);
    return top + log(exp(flip - top) + exp(out - top)) - log(1 - wrong);
}

/* If the label is wrong: the probability that another identity explains the image. */
static double flip_part(const judge *j, size_t i)
{
    double labels = (double)(j->in->labels > 1 ? j->in->labels - 1 : 1), flip = j->a->flip_share;
    return sigmoid(log(flip / labels) + j->other_llr[i] - log(1 - flip));
}

/* A label in which no two images agree: either its photos are one person after all and hard (the best pair's likelihood
 * ratio), or at most one is right, each the likelier the less it resembles another identity. */
static void judge_unsupported(judge *j, size_t l)
{
    fw_audit *a = j->a;
    size_t m;
    const uint32_t *rows = label_rows(j, l, &m);
    double pi = fmin(j->base[size_class(m)], 0.5), same = 0, total = 0, best = -FW_LLR_MAX;
    double *right = FW_ARRAY(double, m + 1);
    for (size_t i = 0; i < m; i++) {
        total += right[i] = 1 / (1 + exp(fmin(log_against(j, rows[i]), 600)));
        if (!a->member[rows[i]]) best = fmax(best, j->own_llr[rows[i]]);
    }
    if (m > 1) same = sigmoid(best + log_odds(1 - pi) - log((double)m));
    for (size_t i = 0; i < m; i++) {
        double one = (1 - pi) * right[i] / fmax(total, 1e-9); /* it is the one that is right, if one is */
        a->score[rows[i]] = (float)(m > 1 ? (1 - same) * (1 - one) : fmin(1 - right[i], 0.5));
    }
    fw_free(right);
}

/* A whole group is one person, right or wrong together: its centre is judged in place of its photos. As one photo,
 * though: groups that split off the main one are bad photos of one kind, and do not come nearer with their number
 * (degraded LFW: such groups of right photos lie at .27-.50, second persons' centres at 0 +- .1, both whatever their
 * size). */
static double group_odds(const judge *j, size_t i, size_t m)
{
    double base = j->base[size_class(m)],
           odd = ODD_PHOTO * pow(4, 2 - fmin(j->group_n[i], 20)); /* odd photos rarely come in threes */
    return log_odds(base) - log((1 - odd) * exp(fw_calib_llr(&j->a->calib, j->group_sim[i], j->main_n[i])) + odd);
}

static void judge_label(judge *j, size_t l)
{
    fw_audit *a = j->a;
    size_t m;
    const uint32_t *rows = label_rows(j, l, &m);
    if (a->id_members[l] < 2) {
        judge_unsupported(j, l);
        return;
    }
    for (size_t i = 0; i < m; i++) {
        double odds = log_against(j, rows[i]) - j->own_llr[rows[i]];
        if (j->group_n[rows[i]]) odds = fmax(odds, group_odds(j, rows[i], m));
        a->score[rows[i]] = (float)sigmoid(odds);
    }
}

/* Beta-binomial log likelihood of k wrong of m under mean p and strength s. */
static double beta_binomial(double k, double m, double p, double s)
{
    double a = p * s, b = (1 - p) * s;
    return lgamma(k + a) + lgamma(m - k + b) - lgamma(m + s) - lgamma(a) - lgamma(b) + lgamma(s);
}

/* Beta prior over labels of each size class for counts k[l]: mean, then the concentration that fits best. */
static void fit_beta(const judge *j, const double *k, double *base, double *strength)
{
    static const double grid[] = {0.5, 1, 2, 4, 8, 16, 32, 64, 128};
    double sum[SIZES] = {0}, all[SIZES] = {0}, like[SIZES][FW_COUNT(grid)] = {{0}}, W = 0, A = 0;
    size_t labels = j->in->labels, m;
    for (size_t l = 0; l < labels; l++) {
        label_rows(j, l, &m);
        if (m < 2) continue;
        sum[size_class(m)] += k[l], all[size_class(m)] += (double)m;
        W += k[l], A += (double)m;
    }
    for (int c = 0; c < SIZES; c++) { /* a class with little data leans on the whole: 30 images' worth */
        double whole = (W + 0.1) / (A + 10);
        base[c] = fmin(fmax((sum[c] + 30 * whole) / (all[c] + 30), 1e-5), 0.9);
    }
    base[0] = base[1]; /* single images: as the next larger labels */
    for (size_t l = 0; l < labels; l++) {
        label_rows(j, l, &m);
        int c = size_class(m);
        for (size_t s = 0; m > 1 && s < FW_COUNT(grid); s++)
            like[c][s] += beta_binomial(k[l], (double)m, base[c], grid[s]);
    }
    for (int c = 0; c < SIZES; c++) {
        size_t best = FW_COUNT(grid) - 1;
        for (size_t s = FW_COUNT(grid) - 1; s-- > 0;)
            if (like[c][s] > like[c][best]) best = s;
        strength[c] = grid[best];
    }
}

static void fit_priors(judge *j)
{
    size_t labels = j->in->labels, m;
    for (size_t l = 0; l < labels; l++) {
        const uint32_t *rows = label_rows(j, l, &m);
        j->wrong[l] = j->stray[l] = 0;
        for (size_t i = 0; i < m; i++) {
            j->wrong[l] += j->a->score[rows[i]];
            if (j->lone[rows[i]]) j->stray[l] += j->a->score[rows[i]] * (1 - flip_part(j, rows[i]));
        }
    }
    fit_beta(j, j->wrong, j->base, j->strength);
    fit_beta(j, j->stray, j->stray_base, j->stray_strength);
}

static void fit_flip_share(judge *j)
{
    double flip = 1, all = 2; /* one half before any evidence */
    for (size_t i = 0; i < j->v->n; i++) {
        if (!(j->a->score[i] > 0.01f)) continue;
        flip += j->a->score[i] * flip_part(j, i);
        all += j->a->score[i];
    }
    j->a->flip_share = fmin(fmax(flip / all, 0.02), 0.98);
}

/* Observations for the genuine model: images of labels with a supported main group. */
static void fit_genuine(judge *j, int steps)
{
    fw_audit *a = j->a;
    fw_calib_obs *obs = FW_ARRAY(fw_calib_obs, j->v->n);
    size_t count = 0;
    for (size_t i = 0; i < j->v->n; i++) {
        uint32_t l = j->in->label[i];
        if (l == FW_NONE || !fw_vectors_valid(j->v, i) || a->id_members[l] < 2) continue;
        obs[count++] = (fw_calib_obs){a->sim[i], a->id_members[l] - a->member[i], j->rank[i],
                                      (float)log(exp(fmin(log_against(j, i), 80)) + ODD_PHOTO)};
    }
    fw_calib_genuine(&a->calib, obs, count, steps);
    fw_free(obs);
}

/* rho: mean similarity of two photos of one person, from the lengths of main groups' sums, robustly (weighted median).
 */
static int by_rho(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (x[0] > y[0]) - (x[0] < y[0]);
}

static void fit_rho(judge *j)
{
    size_t n = 0;
    double(*r)[2] = fw_alloc(j->in->labels + 1, sizeof *r), all = 0, at = 0;
    for (size_t l = 0; l < j->in->labels; l++) {
        double m = j->a->id_members[l], len = j->norm[l];
        if (m < 3) continue;
        r[n][0] = (len * len - m) / (m * (m - 1));
        all += r[n++][1] = fmin(m, 20);
    }
    qsort(r, n, sizeof *r, by_rho);
    for (size_t k = 0; k < n; k++)
        if ((at += r[k][1]) >= all / 2) {
            j->a->calib.rho = fmin(fmax(r[k][0], 0.1), 0.95);
            break;
        }
    fw_free(r);
}

static size_t redraw_members(judge *j)
{
    fw_audit *a = j->a;
    size_t moved = 0, labels = j->in->labels;
#pragma omp parallel reduction(+ : moved)
    {
        float *sum = FW_ARRAY(float, (size_t)j->v->dim * 2);
#pragma omp for schedule(dynamic, 64)
        for (size_t l = 0; l < labels; l++) {
            size_t m, here = 0, left = 0;
            const uint32_t *rows = label_rows(j, l, &m);
            if (a->id_members[l] < 2) continue;
            for (size_t i = 0; i < m; i++) left += a->score[rows[i]] <= 0.5f;
            if (left < 2) continue; /* never lose the main group to its own redrawing */
            for (size_t i = 0; i < m; i++) {
                uint8_t in = a->score[rows[i]] <= 0.5f;
                here += in != a->member[rows[i]];
                a->member[rows[i]] = in;
            }
            if (here) set_centre(j, l, sum, sum + j->v->dim);
            moved += here;
        }
        fw_free(sum);
    }
    return moved;
}

/* Which images have no companion among the rejected ones of their group? */
static void find_lone(judge *j)
{
    fw_audit *a = j->a;
    size_t labels = j->in->labels;
#pragma omp parallel for schedule(dynamic, 64)
    for (size_t l = 0; l < labels; l++) {
        size_t m;
        const uint32_t *rows = label_rows(j, l, &m);
        uint32_t *out = FW_ARRAY(uint32_t, m + 1);
        for (size_t i = 0; i < m; i++)
            if (!a->member[rows[i]] && j->sub[rows[i]] != FW_NONE) out[j->sub[rows[i]]]++;
        for (size_t i = 0; i < m; i++) {
            uint32_t g = j->sub[rows[i]], self = !a->member[rows[i]];
            j->lone[rows[i]] = g == FW_NONE || out[g] <= self;
        }
        fw_free(out);
    }
}

/* Groups 0..GROUPS-1 of a label, but the one that most of the main group comes from, against the rest of the main
 * group. */
static void compare_groups(judge *j, size_t l, float *sum)
{
    fw_audit *a = j->a;
    size_t m, dim = (size_t)j->v->dim;
    const uint32_t *rows = label_rows(j, l, &m);
    uint32_t all[GROUPS] = {0}, in[GROUPS] = {0}, home = 0;
    float *x = sum + 2 * GROUPS * dim, *rest = x + dim, *inner = sum + GROUPS * dim;
    for (size_t i = 0; i < m; i++) {
        uint32_t g = j->sub[rows[i]];
        j->group_n[rows[i]] = 0;
        if (g >= GROUPS) continue;
        all[g]++;
        in[g] += a->member[rows[i]];
    }
    for (uint32_t g = 1; g < GROUPS; g++)
        if (in[g] > in[home]) home = g;
    if (a->id_members[l] < 2 || all[1] < 2) return;
    memset(sum, 0, 2 * GROUPS * dim * sizeof *sum);
    for (size_t i = 0; i < m; i++) {
        uint32_t g = j->sub[rows[i]];
        if (g >= GROUPS || g == home || all[g] < 2) continue;
        fw_vectors_get(j->v, rows[i], x);
        for (size_t d = 0; d < dim; d++) sum[g * dim + d] += x[d];
        for (size_t d = 0; a->member[rows[i]] && d < dim; d++) inner[g * dim + d] += x[d];
    }
    float cosine[GROUPS] = {0};
    for (uint32_t g = 0; g < GROUPS; g++) {
        if (g == home || all[g] < 2 || in[g] >= a->id_members[l]) continue;
        fw_half_to_float(centre_of(a, j->v, l), rest, dim);
        for (size_t d = 0; d < dim; d++) rest[d] = rest[d] * j->norm[l] - inner[g * dim + d];
        fw_normalise(rest, j->v->dim);
        fw_normalise(sum + g * dim, j->v->dim);
        cosine[g] = fw_dot(rest, sum + g * dim, j->v->dim);
    }
    for (size_t i = 0; i < m; i++) {
        uint32_t g = j->sub[rows[i]];
        if (g >= GROUPS || g == home || all[g] < 2 || in[g] >= a->id_members[l]) continue;
        j->group_n[rows[i]] = all[g];
        j->main_n[rows[i]] = a->id_members[l] - in[g];
        j->group_sim[rows[i]] = cosine[g];
    }
}

static void compare_all_groups(judge *j)
{
    size_t labels = j->in->labels;
#pragma omp parallel
    {
        float *sum = FW_ARRAY(float, (2 * GROUPS + 2) * (size_t)j->v->dim);
#pragma omp for schedule(dynamic, 64)
        for (size_t l = 0; l < labels; l++) compare_groups(j, l, sum);
        fw_free(sum);
    }
}

static void judge_all(judge *j)
{
    size_t labels = j->in->labels;
#pragma omp parallel for schedule(dynamic, 64)
    for (size_t l = 0; l < labels; l++) judge_label(j, l);
}

/* Ranks by counting over 4,096 levels: linear, and ties share one rank. */
static void rank_quality(judge *j)
{
    enum { LEVELS = 4096 };
    const float *q = j->in->quality;
    size_t n = j->v->n, all = 0, below[LEVELS + 1] = {0};
    for (size_t i = 0; i < n; i++) {
        j->rank[i] = -1;
        if (!q || !fw_vectors_valid(j->v, i) || !(q[i] >= 0 && q[i] <= 1)) continue;
        j->rank[i] = floorf(q[i] * (LEVELS - 1));
        below[(int)j->rank[i] + 1]++;
        all++;
    }
    for (int k = 0; k < LEVELS; k++) below[k + 1] += below[k];
    for (size_t i = 0; i < n; i++) {
        if (j->rank[i] < 0) continue;
        int k = (int)j->rank[i];
        j->rank[i] = (float)((double)(below[k] + below[k + 1]) / 2 / (double)all);
    }
}

static void start_priors(judge *j)
{
    for (int c = 0; c < SIZES; c++) {
        j->base[c] = 0.1, j->stray_base[c] = 0.05;
        j->strength[c] = j->stray_strength[c] = 10;
    }
    for (size_t l = 0; l < j->in->labels; l++) { /* before any posterior: who is outside the main group */
        size_t m;
        const uint32_t *rows = label_rows(j, l, &m);
        for (size_t i = 0; i < m; i++) j->a->score[rows[i]] = j->a->member[rows[i]] ? 0.05f : 0.5f;
    }
    j->a->flip_share = 0.5;
}

static void settle(judge *j)
{
    fw_audit *a = j->a;
    int rounds = (j->opt->off & FW_OFF_ROUNDS) ? 1 : ROUNDS;
    start_priors(j);
    rank_quality(j);
    for (a->rounds = 0; a->rounds < rounds; a->rounds++) {
        fit_rho(j);
        compare(j);
        find_lone(j);
        if (!(j->opt->off & FW_OFF_UNION)) compare_all_groups(j);
        for (int inner = 0; inner < 5; inner++) {
            weigh(j);
            fit_genuine(j, 2);
            weigh(j);
            judge_all(j);
            fit_priors(j);
            fit_flip_share(j);
        }
        judge_all(j);
        if (a->rounds + 1 < rounds && !redraw_members(j)) break;
    }
}

/* ---- 5 verdicts ------------------------------------------------------------------------------------------------- */

enum fw_policy fw_policy_named(const char *name)
{
    return !strcmp(name, "conservative") ? FW_CONSERVATIVE : !strcmp(name, "aggressive") ? FW_AGGRESSIVE : FW_BALANCED;
}

static double flag_over(enum fw_policy p)
{
    return p == FW_CONSERVATIVE ? 0.9 : p == FW_AGGRESSIVE ? 0.2 : 0.5;
}

/* Relabelled when, given that the label is wrong, another identity explains the image with 99 % and no stranger comes
 * as near in 100,000: of LFW's strangers only people who have a second name in LFW, or a wrong one, still pass. */
static void verdict_of(judge *j, size_t i)
{
    fw_audit *a = j->a;
    double p = a->score[i], over = flag_over(j->opt->policy);
    uint32_t l = j->in->label[i];
    a->new_label[i] = FW_NONE;
    a->person[i] = 1;
    if (p <= over) {
        bool alone = a->id_members[l] < 2 && p > 0.25;
        a->verdict[i] = alone ? FW_AUDIT_REVIEW : FW_AUDIT_KEEP;
        return;
    }
    double sure = flip_part(j, i);
    if (sure > 0.99 && a->other_sim[i] > a->t_person) {
        a->verdict[i] = FW_AUDIT_RELABEL;
        a->new_label[i] = a->other[i];
        a->confidence[i] = (float)(sure * p);
    } else {
        a->verdict[i] = FW_AUDIT_REMOVE;
        a->outlier[i] = 1;
    }
}

/* Noise rate: the posteriors' sum. The interval has the posteriors' own variance and that between labels (noise comes
 * by label; ratio estimator, linearised), and on top what no posterior knows: 3 % of the rate for a model that is a
 * little off, and 3 photos in 1,000 that any set has wrong, odd or hard. */
static void noise_rate(judge *j)
{
    size_t labels = j->in->labels, m;
    double wrong = 0, all = 0, var = 0;
    double *k = FW_ARRAY(double, labels + 1);
    for (size_t l = 0; l < labels; l++) {
        const uint32_t *rows = label_rows(j, l, &m);
        for (size_t i = 0; i < m; i++) {
            double p = j->a->score[rows[i]];
            k[l] += p;
            var += p * (1 - p);
        }
        wrong += k[l], all += (double)m;
    }
    double rate = all > 0 ? wrong / all : 0;
    for (size_t l = 0; l < labels; l++) {
        label_rows(j, l, &m);
        double d = k[l] - rate * (double)m;
        var += d * d; /* ratio estimator over labels, linearised */
    }
    double half = all > 0 ? 1.96 * sqrt(var) / all + 0.03 * rate + 0.003 : 0.5;
    j->a->noise = rate;
    j->a->noise_low = fmax(rate - half, 0);
    j->a->noise_high = fmin(rate + half, 1);
    fw_free(k);
}

static void finish_labels(judge *j)
{
    fw_audit *a = j->a;
    for (size_t l = 0; l < j->in->labels; l++) {
        size_t m;
        const uint32_t *rows = label_rows(j, l, &m);
        double sum = 0;
        uint32_t n = 0;
        for (size_t i = 0; i < m; i++) {
            verdict_of(j, rows[i]);
            if (a->member[rows[i]]) sum += a->sim[rows[i]], n++;
        }
        a->id_images[l] = (uint32_t)m;
        a->id_cohesion[l] = n ? (float)(sum / n) : 0;
    }
}

static fw_audit *audit_new(const fw_audit_in *in)
{
    fw_audit *a = FW_NEW(fw_audit);
    size_t n = a->n = in->v->n, L = a->labels = in->labels;
    a->score = FW_ARRAY(float, n);
    a->verdict = FW_ARRAY(uint8_t, n);
    a->new_label = FW_ARRAY(uint32_t, n);
    a->confidence = FW_ARRAY(float, n);
    a->person = FW_ARRAY(uint32_t, n);
    a->outlier = FW_ARRAY(uint8_t, n);
    a->sim = FW_ARRAY(float, n);
    a->other = FW_ARRAY(uint32_t, n);
    a->other_sim = FW_ARRAY(float, n);
    a->member = FW_ARRAY(uint8_t, n);
    a->id_images = FW_ARRAY(uint32_t, L);
    a->id_members = FW_ARRAY(uint32_t, L);
    a->id_cohesion = FW_ARRAY(float, L);
    a->id_action = FW_ARRAY(uint8_t, L);
    a->id_other = FW_ARRAY(uint32_t, L);
    a->id_score = FW_ARRAY(float, L);
    a->id_centre = FW_ARRAY(uint16_t, L * (size_t)in->v->dim);
    for (size_t i = 0; i < n; i++) a->person[i] = 1, a->new_label[i] = a->other[i] = FW_NONE;
    for (size_t l = 0; l < L; l++) a->id_other[l] = FW_NONE;
    return a;
}

void fw_audit_free(fw_audit *a)
{
    if (!a) return;
    void *owned[] = {a->score,       a->verdict,   a->new_label, a->confidence, a->person,    a->outlier,
                     a->sim,         a->other,     a->other_sim, a->member,     a->id_images, a->id_members,
                     a->id_cohesion, a->id_action, a->id_other,  a->id_score,   a->id_centre};
    for (size_t k = 0; k < FW_COUNT(owned); k++) fw_free(owned[k]);
    fw_free(a);
}

static int check_input(const fw_audit_in *in, fw_err *e)
{
    if (in->knn && in->knn->n != in->v->n)
        return fw_fail(e, FW_EFAIL, "audit: the kNN graph has %zu rows, the embeddings %zu; run knn again", in->knn->n,
                       in->v->n);
    for (size_t i = 0; i < in->v->n; i++)
        if (in->label[i] != FW_NONE && in->label[i] >= in->labels)
            return fw_fail(e, FW_EFAIL, "audit: image row %zu has label id %u, but there are %zu labels", i,
                           in->label[i], in->labels);
    return FW_OK;
}

int fw_audit_run(fw_audit **out, const fw_audit_in *in, const fw_audit_opt *opt, fw_err *e)
{
    *out = NULL;
    FW_TRY(check_input(in, e));
    judge j = {.a = audit_new(in), .in = in, .opt = opt, .v = in->v};
    size_t n = in->v->n, L = in->labels;
    j.sub = FW_ARRAY(uint32_t, n);
    j.own_llr = FW_ARRAY(float, n);
    j.other_llr = FW_ARRAY(float, n);
    j.norm = FW_ARRAY(float, L);
    j.lone = FW_ARRAY(uint8_t, n);
    j.group_sim = FW_ARRAY(float, n);
    j.group_n = FW_ARRAY(uint32_t, n);
    j.main_n = FW_ARRAY(uint32_t, n);
    j.rank = FW_ARRAY(float, n);
    j.wrong = FW_ARRAY(double, L);
    j.stray = FW_ARRAY(double, L);
    fw_groups_build(&j.g, in->v, in->label, L);
    fw_calib_impostors(&j.a->calib, in->v, in->label, opt->pairs, opt->seed);
    j.a->t_in = fw_calib_threshold(&j.a->calib, opt->target_far);
    j.a->t_person = fw_calib_threshold(&j.a->calib, 1e-5);
    find_mains(&j);
    settle(&j);
    finish_labels(&j);
    noise_rate(&j);
    int rc = fw_check_stop(e);
    if (!rc) rc = fw_identity_decide(j.a, in, opt, e);
    fw_groups_free(&j.g);
    fw_free(j.sub);
    fw_free(j.own_llr);
    fw_free(j.other_llr);
    fw_free(j.norm);
    fw_free(j.lone);
    fw_free(j.group_sim);
    fw_free(j.group_n);
    fw_free(j.main_n);
    fw_free(j.rank);
    fw_free(j.wrong);
    fw_free(j.stray);
    if (rc)
        fw_audit_free(j.a);
    else
        *out = j.a;
    return rc;
}
