/* Into how many of its nearest lists a row looks.
 *
 * A photo near the centre of its list has its neighbours there and in one or two more; one far from every centre (a
 * lone or a bad photo) has them scattered over hundreds. So the number depends on the similarity to the own centre, in
 * FW_IVF_BINS classes of equal size, and is learned from a sample of rows whose true neighbours are computed: all begin
 * with LEAST, and of all longer numbers of all classes the one that finds most neighbours per list more is taken, until
 * the sample's recall reaches what is wanted. All lists cost as much as a twelfth of them (FW_IVF_SCAN), so who would need
 * more than that looks into all. (An early termination that is learned: Li, Zhang, Andersen, He, "Improving Approximate
 * Nearest Neighbor Search through Learned Adaptive Early Termination", SIGMOD 2020, who learn it query by query.)
 * 250 k faces with LFW's covariance, in 8,000 lists: 46 lists on average, where one number for all would be 194.
 *
 * Recall needs no search: a true neighbour is found if and only if its home is among the lists looked into. */
#include "ivf.h"
#include "person.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows whose true neighbours are computed: half to choose, half to report. */
#define JUDGES 8000
#define DEPTH  10
/* Nobody looks into fewer lists: the neighbours behind the tenth are wanted too, though no floor is set for them. */
#define LEAST 16
#define STEPS 40 /* of the numbers of lists that are tried: 1, 2, 3, 4, 6, 8, 12 .. */

typedef struct judges {
    size_t n, depth;
    uint32_t *row, *truth; /* truth: n x depth dataset rows */
    uint32_t *rank;        /* n x depth: the neighbour's home is the judge's rank-th nearest list, 0 the nearest */
    float *own;            /* similarity to the nearest centre */
} judges;

/* Judges that meet the centres together, CENTRES at a time: each centre is read and widened once for all of them. 8,000
 * judges of 10 M rows one by one read 250,000 centres 8,000 times: 2 TB. */
enum { BLOCK = 32, CENTRES = 256 };

typedef struct desk {
    float *query, *centre, *sim; /* BLOCK x dim, CENTRES x dim, BLOCK x CENTRES */
    uint64_t home[BLOCK][DEPTH]; /* key of the list where the neighbour is at home */
} desk;

/* Similarities of judges to their own list and to those of their true neighbours. */
static void meet_homes(judges *j, const uint32_t *home_of_row, const fw_ivf_plan *plan, size_t first, size_t n, desk *d)
{
    const int dim = plan->centre->dim;
    for (size_t i = 0; i < n; i++) {
        uint32_t list[DEPTH + 1] = {home_of_row[j->row[first + i]]};
        for (size_t t = 0; t < j->depth; t++) list[t + 1] = home_of_row[j->truth[(first + i) * j->depth + t]];
        for (size_t t = 0; t <= j->depth; t++) fw_vectors_get(plan->centre, list[t], d->centre + t * (size_t)dim);
        fw_products(d->query + i * (size_t)dim, 1, d->centre, j->depth + 1, dim, d->sim);
        j->own[first + i] = d->sim[0];
        for (size_t t = 0; t < j->depth; t++) d->home[i][t] = fw_key(d->sim[t + 1], list[t + 1]);
    }
}

/* Centres from..from+count-1 that are nearer than those lists. */
static void meet_centres(judges *j, const fw_ivf_plan *plan, size_t first, size_t n, size_t from, size_t count, desk *d)
{
    fw_vectors_block(plan->centre, from, count, d->centre);
    fw_products(d->query, n, d->centre, count, plan->centre->dim, d->sim);
    for (size_t i = 0; i < n; i++) {
        uint64_t key[CENTRES];
        for (size_t l = 0; l < count; l++) key[l] = fw_key(d->sim[i * count + l], (uint32_t)(from + l));
        for (size_t t = 0; t < j->depth; t++) {
            uint32_t nearer = 0;
            for (size_t l = 0; l < count; l++) nearer += key[l] > d->home[i][t];
            j->rank[(first + i) * j->depth + t] += nearer;
        }
    }
}

static void rank_homes(judges *j, const fw_vectors *v, const uint32_t *home_of_row, const fw_ivf_plan *plan)
{
    const size_t dim = (size_t)v->dim, lists = plan->lists;
#pragma omp parallel
    {
        desk d = {FW_ARRAY(float, BLOCK *dim), FW_ARRAY(float, CENTRES *dim), FW_ARRAY(float, BLOCK *CENTRES), {{0}}};
#pragma omp for schedule(dynamic, 1)
        for (size_t first = 0; first < j->n; first += BLOCK) {
            const size_t n = j->n - first < BLOCK ? j->n - first : BLOCK;
            for (size_t i = 0; i < n; i++) fw_vectors_get(v, j->row[first + i], d.query + i * dim);
            meet_homes(j, home_of_row, plan, first, n, &d);
            for (size_t from = 0; from < lists && !fw_stopping(); from += CENTRES)
                meet_centres(j, plan, first, n, from, lists - from < CENTRES ? lists - from : CENTRES, &d);
        }
        fw_free(d.query), fw_free(d.centre), fw_free(d.sim);
    }
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void set_edges(fw_ivf_plan *plan, const judges *j)
{
    float *own = memcpy(FW_ARRAY(float, j->n), j->own, j->n * sizeof *own);
    qsort(own, j->n, sizeof *own, ascending);
    for (size_t b = 1; b < FW_IVF_BINS; b++) plan->edge[b - 1] = own[b * j->n / FW_IVF_BINS];
    fw_free(own);
}

static size_t bin_of(const fw_ivf_plan *plan, float own)
{
    size_t b = 0;
    while (b + 1 < FW_IVF_BINS && own >= plan->edge[b]) b++;
    return b;
}

/* What judges find: found[class][step], and how many judges a class has. */
typedef struct tally {
    double found[FW_IVF_BINS][STEPS], members[FW_IVF_BINS];
    uint32_t lists[STEPS];
    size_t steps;
} tally;

/* In lists visited. */
static double cost_of(const tally *t, size_t step)
{
    return step + 1 < t->steps ? t->lists[step] : (double)t->lists[step] / FW_IVF_SCAN;
}

static void set_steps(tally *t, size_t lists)
{
    size_t n = 1;
    for (t->steps = 0; t->steps < STEPS && n * FW_IVF_SCAN < lists; t->steps++) {
        t->lists[t->steps] = (uint32_t)n;
        n += n < 3 ? 1 : n & (n - 1) ? n / 3 : n / 2;
    }
    if (t->steps == STEPS) t->steps--;
    t->lists[t->steps++] = (uint32_t)lists;
}

static void count_found(tally *t, const judges *j, const fw_ivf_plan *plan, size_t to)
{
    for (size_t i = 0; i < to; i++) {
        size_t b = bin_of(plan, j->own[i]);
        t->members[b]++;
        for (size_t s = 0; s < t->steps; s++)
            for (size_t d = i * j->depth; d < (i + 1) * j->depth; d++) t->found[b][s] += j->rank[d] < t->lists[s];
    }
}

/* Of all classes and longer steps the one that finds most per list more; false: there is none. */
static bool best_step(const tally *t, const size_t *now, size_t *bin, size_t *step)
{
    double best = 0;
    for (size_t b = 0; b < FW_IVF_BINS; b++)
        for (size_t s = now[b] + 1; s < t->steps; s++) {
            double more = t->found[b][s] - t->found[b][now[b]];
            double gain = more / ((cost_of(t, s) - cost_of(t, now[b])) * fmax(t->members[b], 1));
            if (gain > best) best = gain, *bin = b, *step = s;
        }
    return best > 0;
}

static void spend(const tally *t, double wanted, fw_ivf_plan *plan)
{
    size_t now[FW_IVF_BINS] = {0}, bin, step;
    double found = 0;
    for (size_t b = 0; b < FW_IVF_BINS; b++) {
        while (now[b] + 1 < t->steps && t->lists[now[b]] < LEAST) now[b]++;
        found += t->found[b][now[b]];
    }
    while (found < wanted && best_step(t, now, &bin, &step)) {
        found += t->found[bin][step] - t->found[bin][now[bin]];
        now[bin] = step;
    }
    for (size_t b = 0; b < FW_IVF_BINS; b++) plan->probes[b] = t->lists[now[b]];
}

/* Mean recall of the judges from..to-1 and its standard error. */
static double recall_of(const judges *j, const fw_ivf_plan *plan, size_t from, size_t to, double *error)
{
    double sum = 0, square = 0, n = (double)(to - from);
    for (size_t i = from; i < to; i++) {
        double found = 0;
        for (size_t d = i * j->depth; d < (i + 1) * j->depth; d++)
            found += j->rank[d] < plan->probes[bin_of(plan, j->own[i])];
        found /= (double)j->depth;
        sum += found, square += found * found;
    }
    *error = n > 0 ? sqrt(fmax(square / n - sum / n * sum / n, 0) / n) : 0;
    return n > 0 ? sum / n : 1;
}

/* The floor and two standard errors above it: the other half, of the same error, then agrees in nine of ten graphs. (One
 * error of half as many judges, 1 M rows of two seeds: .9918 and .9882 reported.) */
static void choose(const judges *j, double floor, fw_ivf_plan *plan)
{
    size_t half = j->n / 2;
    double error = 0, all = (double)(half * j->depth);
    tally *t = FW_NEW(tally);
    set_edges(plan, j);
    set_steps(t, plan->lists);
    count_found(t, j, plan, half);
    spend(t, floor * all, plan);
    recall_of(j, plan, 0, half, &error);
    spend(t, fmin(floor + 2 * error, 1) * all, plan);
    plan->sampled = j->n - half;
    plan->recall10 = recall_of(j, plan, half, j->n, &error);
    fw_free(t);
}

/* Every row's class, and the mean number of lists. */
static void sort_rows(fw_ivf_plan *plan, const fw_vectors *v, const uint32_t *row, size_t rows)
{
    size_t probes = 0, visits = 0; /* whole numbers: the same for any number of threads */
    plan->bin = FW_ARRAY(uint8_t, rows);
#pragma omp parallel reduction(+ : probes, visits)
    {
        float *query = FW_ARRAY(float, 2 * (size_t)v->dim), own;
#pragma omp for schedule(static)
        for (size_t i = 0; i < rows; i++) {
            if (fw_stopping()) continue;
            fw_rank_dots(v, row[i], plan->centre, &plan->home[i], 1, query, &own);
            plan->bin[i] = (uint8_t)bin_of(plan, own);
            const size_t own_probes = plan->probes[plan->bin[i]];
            probes += own_probes;
            visits += own_probes == plan->lists ? plan->lists / FW_IVF_SCAN : own_probes;
        }
        fw_free(query);
    }
    plan->mean_probes = (double)probes / (double)rows;
    plan->mean_visits = (double)visits / (double)rows;
}

/* A row is compared with its own list, which may be one huge one, and with other lists of mean size. */
static void count_members(fw_ivf_plan *plan, size_t rows)
{
    double square = 0, each = (double)rows / (double)plan->lists;
    size_t *size = FW_ARRAY(size_t, plan->lists);
    for (size_t i = 0; i < rows; i++) size[plan->home[i]]++;
    for (size_t l = 0; l < plan->lists; l++) square += (double)size[l] * (double)size[l];
    plan->mean_members = square / (double)rows + fmax(plan->mean_visits - 1, 0) * each;
    fw_free(size);
}

/* Every second judge first: those that choose and those that report are then spread over the whole set alike, whose
 * order often means something (people by name, sources one after the other). */
static uint32_t *alternate(uint32_t *row, size_t n)
{
    uint32_t *out = FW_ARRAY(uint32_t, n);
    for (size_t i = 0; i < n; i++) out[i % 2 ? n - 1 - i / 2 : i / 2] = row[i];
    fw_free(row);
    return out;
}

int fw_ivf_choose_probes(const fw_vectors *v, const uint32_t *row, fw_pack *all, uint64_t seed, double floor,
                         fw_ivf_plan *plan, fw_err *e)
{
    size_t rows = all->n;
    judges j = {.n = rows < JUDGES ? rows : JUDGES, .depth = rows - 1 < DEPTH ? rows - 1 : DEPTH};
    uint32_t *home_of_row = FW_ARRAY(uint32_t, v->n);
    for (size_t i = 0; i < rows; i++) home_of_row[row[i]] = plan->home[i];
    j.row = alternate(fw_sample_rows(row, rows, j.n, seed + 1), j.n);
    j.rank = FW_ARRAY(uint32_t, j.n * j.depth);
    j.own = FW_ARRAY(float, j.n);
    fw_pack *p = fw_pack_new(v, j.row, j.n, all->q);
    fw_pack_meet(p, all);
    int rc = fw_search_nearest(
        &(fw_nearest){
            .v = v, .w = v, .row = j.row, .wrow = row, .p = p, .g = all, .k = (uint32_t)j.depth, .self = true},
        &j.truth, e);
    if (!rc) {
        rank_homes(&j, v, home_of_row, plan);
        choose(&j, floor, plan);
        sort_rows(plan, v, row, rows);
        count_members(plan, rows);
        rc = fw_check_stop(e);
    }
    fw_pack_free(p);
    fw_free(home_of_row), fw_free(j.row), fw_free(j.truth), fw_free(j.rank), fw_free(j.own);
    return rc;
}
