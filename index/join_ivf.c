/* Inverted lists: each row looks for neighbours in its nearest lists only. Every multiplication, k-means included, goes
 * through the certified search, so lists and graph are the same on every CPU. */
#include "join.h"

#include <math.h>
#include <string.h>

/* k-means: rows per list to learn from, and rounds. Usual values, not tuned here. */
#define LEARN_PER_LIST 32
#define ROUNDS         5
/* Rows whose true neighbours are computed: half to choose the number of probes, half to report. 10,000 neighbours in
 * each half give recall .99 a standard error of about .001. */
#define JUDGES 2000
#define DEPTH  10
/* Rows that are answered together: their lists of candidates (some 2 KB each) belong to one thread. */
#define TASK 8192

static size_t list_count(size_t rows)
{
    size_t lists = (size_t)(4 * sqrt((double)rows));
    return lists < 1 ? 1 : lists > rows ? rows : lists;
}

/* `count` of the usable rows at random places, one from each equal stretch. */
static uint32_t *sample_of(const uint32_t *row, size_t rows, size_t count, uint64_t seed)
{
    fw_rng rng = {seed};
    uint32_t *pick = FW_ARRAY(uint32_t, count);
    for (size_t i = 0; i < count; i++) {
        size_t lo = i * rows / count, hi = (i + 1) * rows / count;
        pick[i] = row[lo + fw_rng_below(&rng, hi - lo)];
    }
    return pick;
}

static uint32_t *iota(size_t n)
{
    uint32_t *x = FW_ARRAY(uint32_t, n);
    for (size_t i = 0; i < n; i++) x[i] = (uint32_t)i;
    return x;
}

/* Members of each list, in ascending order: first[list] .. first[list + 1] - 1 of the result. */
static uint32_t *invert(const uint32_t *list, size_t n, size_t lists, size_t *first)
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

int fw_ivf_centres(const fw_vectors *v, const uint32_t *row, size_t rows, const fw_kernel *kern, uint64_t seed,
                   fw_ivf_plan *plan, fw_err *e)
{
    plan->centre_half = fw_alloc(plan->lists * (size_t)v->dim, sizeof(uint16_t));
    plan->centre = fw_vectors_wrap(plan->centre_half, plan->lists, v->dim, NULL);
    size_t lists = plan->lists, dim = (size_t)v->dim, n = lists * LEARN_PER_LIST < rows ? lists * LEARN_PER_LIST : rows;
    uint32_t *pick = sample_of(row, rows, n, seed), *every = iota(lists), *list = NULL;
    size_t *first = FW_ARRAY(size_t, lists + 1);
    int rc = FW_OK;
    for (size_t l = 0; l < lists; l++)
        memcpy(plan->centre_half + l * dim, fw_vectors_half(v, pick[l * n / lists]), dim * sizeof(uint16_t));
    for (int round = 0; round < ROUNDS && !rc; round++) {
        rc = fw_search_nearest(v, pick, n, plan->centre, every, lists, kern, 1, false, &list, e);
        uint32_t *member = rc ? NULL : invert(list, n, lists, first);
#pragma omp parallel for schedule(dynamic, 16) if (!rc)
        for (size_t l = 0; l < lists; l++)
            if (!rc)
                move_centre(v, pick, member + first[l], first[l + 1] - first[l],
                            pick[(l * 2654435761u + (size_t)round) % n], plan->centre_half + l * dim);
        fw_free(member), fw_free(list);
    }
    fw_free(pick), fw_free(every), fw_free(first);
    return rc;
}

/* rank_count[r]: how many true neighbours lie in the list that is r-th nearest to their row, over rows `from`..`to`-1.
 */
static void count_ranks(const fw_ivf_plan *plan, const uint32_t *home_of_row, const uint32_t *near,
                        const uint32_t *truth, size_t depth, size_t from, size_t to, size_t *rank_count)
{
    uint32_t *rank = FW_ARRAY(uint32_t, plan->lists);
    for (size_t i = from; i < to; i++) {
        for (size_t r = 0; r < plan->lists; r++) rank[near[i * plan->lists + r]] = (uint32_t)r;
        for (size_t d = 0; d < depth; d++) rank_count[rank[home_of_row[truth[i * depth + d]]]]++;
    }
    fw_free(rank);
}

static size_t probes_for(const size_t *rank_count, size_t lists, size_t total, double wanted)
{
    size_t found = 0;
    for (size_t r = 0; r < lists; r++) {
        found += rank_count[r];
        if ((double)found >= wanted * (double)total) return r + 1;
    }
    return lists;
}

/* The nearest lists of each judge, all of them, nearest first. */
static uint32_t *all_lists_by_rank(const fw_vectors *v, const uint32_t *judge, size_t n, const fw_ivf_plan *plan)
{
    uint32_t *near = FW_ARRAY(uint32_t, n * plan->lists);
#pragma omp parallel
    {
        float *query = FW_ARRAY(float, 2 * (size_t)v->dim), *sim = FW_ARRAY(float, plan->lists);
        uint64_t *key = FW_ARRAY(uint64_t, plan->lists);
        uint32_t *every = iota(plan->lists);
#pragma omp for schedule(dynamic, 8)
        for (size_t i = 0; i < n; i++) {
            fw_rank_dots(v, judge[i], plan->centre, every, plan->lists, query, sim);
            for (size_t l = 0; l < plan->lists; l++) key[l] = fw_key(sim[l], (uint32_t)l);
            fw_key_sort(key, plan->lists);
            for (size_t l = 0; l < plan->lists; l++) near[i * plan->lists + l] = fw_key_id(key[l]);
        }
        fw_free(query), fw_free(sim), fw_free(key), fw_free(every);
    }
    return near;
}

/* Recall at p probes needs no search: a true neighbour is found if and only if its list is among the p nearest. */
static int choose_probes(const fw_vectors *v, const uint32_t *row, size_t rows, const fw_kernel *kern, uint64_t seed,
                         double floor, fw_ivf_plan *plan, fw_err *e)
{
    size_t n = rows < JUDGES ? rows : JUDGES, depth = rows - 1 < DEPTH ? rows - 1 : DEPTH;
    uint32_t *judge = sample_of(row, rows, n, seed + 1), *truth = NULL;
    uint32_t *home_of_row = FW_ARRAY(uint32_t, v->n);
    for (size_t i = 0; i < rows; i++) home_of_row[row[i]] = plan->home[i];
    int rc = fw_search_nearest(v, judge, n, v, row, rows, kern, (uint32_t)depth, true, &truth, e);
    if (!rc) {
        uint32_t *near = all_lists_by_rank(v, judge, n, plan);
        size_t *a = FW_ARRAY(size_t, plan->lists), *b = FW_ARRAY(size_t, plan->lists), found = 0;
        count_ranks(plan, home_of_row, near, truth, depth, 0, n / 2, a);
        count_ranks(plan, home_of_row, near, truth, depth, n / 2, n, b);
        double margin = (1 - floor) * 0.1; /* about one standard error of the sample, so that the other half agrees */
        plan->probes = probes_for(a, plan->lists, n / 2 * depth, floor + margin);
        for (size_t r = 0; r < plan->probes; r++) found += b[r];
        plan->sampled = n - n / 2;
        plan->recall10 = plan->sampled ? (double)found / (double)(plan->sampled * depth) : 1;
        fw_free(near), fw_free(a), fw_free(b);
    }
    fw_free(judge), fw_free(truth), fw_free(home_of_row);
    return rc;
}

int fw_ivf_plan_make(const fw_vectors *v, const uint32_t *row, size_t rows, const fw_kernel *kern, uint64_t seed,
                     double floor, fw_ivf_plan *plan, fw_err *e)
{
    *plan = (fw_ivf_plan){.lists = list_count(rows)};
    FW_TRY(fw_ivf_centres(v, row, rows, kern, seed, plan, e));
    uint32_t *every = iota(plan->lists);
    int rc = fw_search_nearest(v, row, rows, plan->centre, every, plan->lists, kern, 1, false, &plan->home, e);
    fw_free(every);
    return rc ? rc : choose_probes(v, row, rows, kern, seed, floor, plan, e);
}

void fw_ivf_plan_free(fw_ivf_plan *plan)
{
    fw_vectors_free(plan->centre);
    fw_free(plan->centre_half);
    fw_free(plan->home);
    *plan = (fw_ivf_plan){0};
}

/* One run of the search. Positions are in list order: rows of one list lie side by side. */
typedef struct ivf_run {
    const fw_ivf_plan *plan;
    fw_search *s;
    const size_t *first;  /* positions of list l: first[l] .. first[l + 1] - 1 */
    const uint32_t *near; /* TASK rows x probes: nearest lists of the rows of this batch */
    size_t near_first;    /* position of near's first row */
    uint32_t *got;        /* by dataset row */
    size_t certified;
} ivf_run;

/* Rows `pick` (positions) against the members of one list. */
static void score_list(const ivf_run *r, fw_block *b, fw_cand *c, size_t task_first, const uint32_t *pick, size_t count,
                       size_t list)
{
    const fw_search *s = r->s;
    size_t nr = (size_t)s->gallery->q->kern->nr, begin = r->first[list], end = r->first[list + 1];
    if (begin == end) return;
    fw_block_load(b, s->probe, pick, count);
    for (size_t i = 0; i < count; i++) b->row_min[i] = c->min[pick[i] - task_first];
    for (size_t panel = begin / nr; panel * nr < end; panel++) {
        size_t hits = fw_block_score(b, s->gallery, panel);
        for (size_t h = 0; h < hits; h++) {
            size_t i = fw_hit_row(b, h), col = panel * nr + fw_hit_col(b, h);
            if (col < begin || col >= end || col == pick[i]) continue;
            fw_cand_offer(c, pick[i] - task_first, b->strip.score[h], (uint32_t)col);
            b->row_min[i] = c->min[pick[i] - task_first];
        }
    }
}

/* An uncertified row: the true similarity of every member of its lists. */
static void redo_row(const ivf_run *r, size_t p, float *query)
{
    const fw_search *s = r->s;
    uint32_t id[64];
    float sim[64];
    fw_cand c;
    fw_cand_init(&c, 1, s->k, 2 * s->k + 8);
    const uint32_t *near = r->near + (p - r->near_first) * r->plan->probes;
    for (size_t l = 0; l < r->plan->probes; l++)
        for (size_t at = r->first[near[l]], end = r->first[near[l] + 1]; at < end;) {
            size_t n = 0;
            for (; at < end && n < FW_COUNT(id); at++)
                if (at != p) id[n++] = s->gallery_row[at];
            fw_rank_dots(s->probe_v, s->probe_row[p], s->gallery_v, id, n, query, sim);
            for (size_t i = 0; i < n; i++) fw_cand_offer(&c, 0, sim[i], id[i]);
        }
    fw_cand_cut(&c, 0);
    fw_key_sort(c.key, c.len[0]);
    for (size_t i = 0; i < c.len[0]; i++) {
        s->id[s->off[s->probe_row[p]] + i] = fw_key_id(c.key[i]);
        s->sim[s->off[s->probe_row[p]] + i] = fw_key_score(c.key[i]);
    }
    fw_cand_free(&c);
}

/* Answer positions first..first+count-1: group them by the lists they look into, then list by list. */
static size_t run_task(const ivf_run *r, fw_block *b, fw_cand *c, size_t first, size_t count)
{
    const fw_search *s = r->s;
    size_t probes = r->plan->probes, lists = r->plan->lists, certified = 0;
    size_t *start = FW_ARRAY(size_t, lists + 1);
    uint32_t *pair = invert(r->near + (first - r->near_first) * probes, count * probes, lists, start),
             pick[FW_JOIN_ROWS];
    fw_cand_reset(c, count);
    for (size_t l = 0; l < lists && !fw_stopping(); l++)
        for (size_t at = start[l]; at < start[l + 1];) {
            size_t n = 0;
            for (; at < start[l + 1] && n < FW_JOIN_ROWS; at++) pick[n++] = (uint32_t)(first + pair[at] / probes);
            score_list(r, b, c, first, pick, n, l);
        }
    for (size_t i = 0; i < count && !fw_stopping(); i++) {
        fw_cand_cut(c, i);
        r->got[s->probe_row[first + i]] = c->len[i] < s->k ? c->len[i] : s->k;
        if (fw_search_finish(s, b->query, first + i, c->key + i * c->cap, c->len[i], c->min[i]))
            certified++;
        else
            redo_row(r, first + i, b->query);
    }
    fw_free(pair), fw_free(start);
    return certified;
}

static int run_batch(ivf_run *r, size_t first, size_t count, fw_err *e)
{
    const fw_search *s = r->s;
    uint32_t *every = iota(r->plan->lists), *near = NULL;
    int rc = fw_search_nearest(s->probe_v, s->probe_row + first, count, r->plan->centre, every, r->plan->lists,
                               s->probe->q->kern, (uint32_t)r->plan->probes, false, &near, e);
    size_t certified = 0;
    if (rc) count = 0;
    r->near = near;
    r->near_first = first;
#pragma omp parallel reduction(+ : certified)
    {
        fw_block b;
        fw_cand c;
        fw_block_init(&b, s->gallery);
        fw_cand_init(&c, TASK, s->keep, s->keep + s->keep / 2 + 8);
#pragma omp for schedule(dynamic, 1)
        for (size_t at = 0; at < count; at += TASK)
            certified += run_task(r, &b, &c, first + at, count - at < TASK ? count - at : TASK);
        fw_cand_free(&c);
        fw_block_free(&b);
    }
    r->certified += certified;
    fw_free(every), fw_free(near);
    return rc ? rc : fw_check_stop(e);
}

int fw_ivf_search(const fw_ivf_plan *plan, fw_search *s, const uint32_t *row, size_t rows, const fw_kernel *kern,
                  uint32_t *got, size_t *certified, fw_err *e)
{
    size_t *first = FW_ARRAY(size_t, plan->lists + 1), batch = (size_t)256 << 20;
    uint32_t *order = invert(plan->home, rows, plan->lists, first);
    for (size_t i = 0; i < rows; i++) order[i] = row[order[i]];
    fw_quant *q = fw_quant_new(s->probe_v, order, rows, kern, 0);
    fw_pack *p = fw_pack_new(s->probe_v, order, rows, q);
    s->probe = s->gallery = p;
    s->probe_row = s->gallery_row = order;
    ivf_run r = {.plan = plan, .s = s, .first = first, .got = got};
    batch = batch / 8 / plan->probes / TASK * TASK; /* 256 MB of nearest lists at a time */
    if (batch < 4 * TASK) batch = 4 * TASK;
    int rc = FW_OK;
    for (size_t at = 0; at < rows && !rc; at += batch) rc = run_batch(&r, at, rows - at < batch ? rows - at : batch, e);
    *certified = r.certified;
    fw_pack_free(p);
    fw_quant_free(q);
    fw_free(order), fw_free(first);
    s->probe = s->gallery = NULL;
    return rc;
}
