/* Inverted lists: k-means, and which list is a row's home. Every multiplication goes through the certified search, so
 * lists are the same on every CPU. (Which of them a row looks into is not: join_ivf.c.) */
#include "ivf.h"

#include <math.h>
#include <string.h>

/* Lists of a set of n rows: LISTS sqrt(n), and enough that they hold at most MOST rows on average, at least LEAST. A row
 * is compared with all centres and with the members of the lists that it looks into. Many small lists find the same
 * neighbours in far fewer rows: 125 k faces with LFW's covariance, 20 a person, one number of lists for all: recall@10 of
 * .99 needs 16 k rows in 4 sqrt(n) lists, 6.5 k in 8 sqrt(n), 650 in 16 sqrt(n). 500 k of them, whole graph, seconds of
 * CPU: 155 with 4 sqrt(n), 98 with 16, 97 with 24, 92 with 32 (recall@10 .9929, .9903, .9922, .9892). A list must
 * not hold many people: 10 M in 24 sqrt(n) lists of 132 rows have to look into 9,900 of them, 1.3 M rows each; 3 M in lists
 * of 40 rows into 2,600, 105 k rows. */
#define LISTS 24
#define MOST  40
#define LEAST 16

/* k-means: rows per list to learn from, and rounds. Learning from 44 rows in five rounds, 11,313 lists have to be looked
 * into half as often, but learning costs more than that saves at 500 k rows (122 s instead of 98). */
#define LEARN_PER_LIST 16
#define ROUNDS         4

static size_t list_count(size_t rows)
{
    size_t lists = (size_t)(LISTS * sqrt((double)rows)), most = rows / LEAST;
    if (lists < rows / MOST) lists = rows / MOST;
    return lists < most ? lists : most ? most : 1;
}

uint32_t *fw_sample_rows(const uint32_t *row, size_t rows, size_t count, uint64_t seed)
{
    fw_rng rng = {seed};
    uint32_t *pick = FW_ARRAY(uint32_t, count);
    for (size_t i = 0; i < count; i++) {
        size_t lo = i * rows / count, hi = (i + 1) * rows / count;
        pick[i] = row[lo + fw_rng_below(&rng, hi - lo)];
    }
    return pick;
}

uint32_t *fw_iota(size_t n)
{
    uint32_t *x = FW_ARRAY(uint32_t, n);
    for (size_t i = 0; i < n; i++) x[i] = (uint32_t)i;
    return x;
}

uint32_t *fw_invert(const uint32_t *list, size_t n, size_t lists, size_t *first)
{
    uint32_t *member = FW_ARRAY(uint32_t, n);
    memset(first, 0, (lists + 1) * sizeof *first);
    for (size_t i = 0; i < n; i++) first[list[i] + 1]++;
    for (size_t l = 0; l < lists; l++) first[l + 1] += first[l];
    size_t *next = FW_ARRAY(size_t, lists);
    memcpy(next, first, lists * sizeof *next);
    for (size_t i = 0; i < n; i++) member[next[list[i]]++] = (uint32_t)i;
    fw_free(next);
    return member;
}

/* ---- k-means ---------------------------------------------------------------------------------------------------- */

/* The direction of the sum of the members; a list without members starts again from a row of the sample. */
static void move_centre(const fw_vectors *v, const uint32_t *pick, const uint32_t *member, size_t count, uint32_t spare,
                        uint16_t *out)
{
    size_t dim = (size_t)v->dim;
    double *sum = FW_ARRAY(double, dim);
    float *x = FW_ARRAY(float, dim);
    for (size_t i = 0; i < (count ? count : 1); i++) {
        fw_vectors_get(v, count ? pick[member[i]] : spare, x);
        for (size_t c = 0; c < dim; c++) sum[c] += x[c];
    }
    double norm = 0;
    for (size_t c = 0; c < dim; c++) norm += sum[c] * sum[c];
    for (size_t c = 0; c < dim; c++) x[c] = norm > 0 ? (float)(sum[c] / sqrt(norm)) : 0;
    fw_float_to_half(x, out, dim);
    fw_free(sum), fw_free(x);
}

/* The list whose centre is nearest to each row of p. */
static int homes(const fw_vectors *v, const uint32_t *row, fw_pack *p, const fw_ivf_plan *plan, uint32_t **home,
                 fw_err *e)
{
    uint32_t *every = fw_iota(plan->lists);
    fw_pack *g = fw_pack_new(plan->centre, every, plan->lists, p->q);
    fw_pack_meet(p, g);
    int rc = fw_search_nearest(
        &(fw_nearest){.v = v, .w = plan->centre, .row = row, .wrow = every, .p = p, .g = g, .k = 1}, home, e);
    fw_pack_free(g);
    fw_free(every);
    return rc;
}

int fw_ivf_centres(const fw_vectors *v, const uint32_t *row, size_t rows, const fw_quant *q, uint64_t seed,
                   fw_ivf_plan *plan, fw_err *e)
{
    plan->centre_half = fw_alloc(plan->lists * (size_t)v->dim, sizeof(uint16_t));
    plan->centre = fw_vectors_wrap(plan->centre_half, plan->lists, v->dim, NULL);
    size_t lists = plan->lists, dim = (size_t)v->dim, n = lists * LEARN_PER_LIST < rows ? lists * LEARN_PER_LIST : rows;
    uint32_t *pick = fw_sample_rows(row, rows, n, seed), *list = NULL;
    size_t *first = FW_ARRAY(size_t, lists + 1);
    fw_pack *p = fw_pack_new(v, pick, n, q);
    int rc = FW_OK;
    for (size_t l = 0; l < lists; l++)
        memcpy(plan->centre_half + l * dim, fw_vectors_half(v, pick[l * n / lists]), dim * sizeof(uint16_t));
    for (int round = 0; round < ROUNDS && !rc; round++) {
        rc = homes(v, pick, p, plan, &list, e);
        uint32_t *member = rc ? NULL : fw_invert(list, n, lists, first);
#pragma omp parallel for schedule(dynamic, 16) if (!rc)
        for (size_t l = 0; l < lists; l++)
            if (!rc)
                move_centre(v, pick, member + first[l], first[l + 1] - first[l],
                            pick[(l * 2654435761u + (size_t)round) % n], plan->centre_half + l * dim);
        fw_free(member), fw_free(list);
    }
    fw_pack_free(p);
    fw_free(pick), fw_free(first);
    return rc;
}

/* Number the lists anew, by clusters of centres: rows that are looked at together then lie near each other. */
static int order_lists(const fw_quant *q, uint64_t seed, fw_ivf_plan *plan, fw_err *e)
{
    size_t lists = plan->lists, width = (size_t)plan->centre->dim * sizeof(uint16_t);
    fw_ivf_plan over = {.lists = (size_t)sqrt((double)lists)};
    uint32_t *every = fw_iota(lists), *group = NULL;
    fw_pack *p = fw_pack_new(plan->centre, every, lists, q);
    int rc = fw_ivf_centres(plan->centre, every, lists, q, seed, &over, e);
    if (!rc) rc = homes(plan->centre, every, p, &over, &group, e);
    if (!rc) {
        size_t *first = FW_ARRAY(size_t, over.lists + 1);
        uint32_t *order = fw_invert(group, lists, over.lists, first);
        char *old = memcpy(fw_alloc(lists, width), plan->centre_half, lists * width);
        for (size_t l = 0; l < lists; l++) memcpy((char *)plan->centre_half + l * width, old + order[l] * width, width);
        fw_free(first), fw_free(order), fw_free(old);
    }
    fw_pack_free(p);
    fw_free(every), fw_free(group);
    fw_ivf_plan_free(&over);
    return rc;
}

int fw_ivf_plan_make(const fw_vectors *v, const uint32_t *row, size_t rows, const fw_quant *q, uint64_t seed,
                     double floor, fw_ivf_plan *plan, fw_err *e)
{
    *plan = (fw_ivf_plan){.lists = list_count(rows)};
    FW_TRY(fw_ivf_centres(v, row, rows, q, seed, plan, e));
    FW_TRY(order_lists(q, seed, plan, e));
    fw_pack *p = fw_pack_new(v, row, rows, q);
    int rc = homes(v, row, p, plan, &plan->home, e);
    if (!rc) rc = fw_ivf_choose_probes(v, row, p, seed, floor, plan, e);
    fw_pack_free(p);
    return rc;
}

void fw_ivf_plan_free(fw_ivf_plan *plan)
{
    fw_vectors_free(plan->centre);
    fw_free(plan->centre_half);
    fw_free(plan->home);
    fw_free(plan->bin);
    *plan = (fw_ivf_plan){0};
}
