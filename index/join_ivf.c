/* The graph by inverted lists: each row looks for neighbours in its nearest lists only (join_lists.c). */
#include "join.h"

#include <math.h>
#include <string.h>

/* Rows that are answered together: their lists of candidates belong to one thread. Fewer when lists are long, so that a
 * thread's candidates stay under PAIRS (28 bytes each, with room to grow and to be ranked): 15 MB. */
#define TASK  2048
#define PAIRS ((size_t)1 << 19)
/* Bytes of nearest lists that are kept at a time, twice for a moment; a task's at least. */
#define NEAR ((size_t)128 << 20)

/* One run of the search. Positions are in list order: rows of one list lie side by side. */
typedef struct ivf_run {
    const fw_ivf_plan *plan;
    fw_search *s;
    const size_t *first; /* positions of list l: first[l] .. first[l + 1] - 1 */
    fw_pack *pack, *centres;
    const uint32_t *every; /* 0 .. lists - 1 */
    const uint32_t *home;  /* by position, as bin */
    const uint8_t *bin;
    uint32_t *got; /* by dataset row */
    size_t certified, task;
    /* of this batch, positions from batch on: the lists near row i are near[off[i - batch]] .. */
    size_t batch, *off;
    uint32_t *near;
} ivf_run;

/* One thread's workspace. */
typedef struct ivf_desk {
    fw_block b;
    fw_cand c;
    fw_rows rows;
    fw_rank rank;
    uint32_t *sure; /* candidates of a row whose similarity is wanted in any case */
} ivf_desk;

static void desk_init(ivf_desk *d, const fw_search *s, size_t task)
{
    fw_block_init(&d->b, s->gallery);
    fw_cand_init(&d->c, task, s->keep, fw_list_cap(s->keep));
    fw_rows_init(&d->rows, s->probe, task);
    fw_rank_init(&d->rank, s, task, task * s->keep);
    d->sure = FW_ARRAY(uint32_t, task);
}

static void desk_free(ivf_desk *d)
{
    fw_free(d->sure);
    fw_rank_free(&d->rank);
    fw_rows_free(&d->rows);
    fw_cand_free(&d->c);
    fw_block_free(&d->b);
}

/* Rows `pick` (positions) against the members of one list. */
static void score_list(const ivf_run *r, ivf_desk *d, const uint32_t *pick, size_t count, size_t list)
{
    const fw_search *s = r->s;
    fw_block *b = &d->b;
    fw_cand *c = &d->c;
    size_t nr = (size_t)s->gallery->q->kern->nr, begin = r->first[list], end = r->first[list + 1];
    const size_t task_first = d->rows.first;
    if (begin == end) return;
    fw_block_load_rows(b, s->probe, &d->rows, pick, count);
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
    fw_cand c;
    fw_cand_init(&c, 1, s->k, 2 * s->k + 8);
    for (size_t l = r->off[p - r->batch]; l < r->off[p - r->batch + 1]; l++)
        fw_search_offer_true(s, &c, query, p, r->first[r->near[l]], r->first[r->near[l] + 1]);
    fw_cand_cut(&c, 0);
    fw_key_sort(c.key, c.len[0]);
    for (size_t i = 0; i < c.len[0]; i++) {
        s->id[s->off[s->probe_row[p]] + i] = fw_key_id(c.key[i]);
        s->sim[s->off[s->probe_row[p]] + i] = fw_key_score(c.key[i]);
    }
    fw_cand_free(&c);
}

/* All pairs of a row of the task and a list that it looks into, list by list, beginning with the rows' own lists: they
 * hold the nearest, so that little of what follows is worth a place. */
static void score_task(const ivf_run *r, ivf_desk *d, size_t first, size_t count)
{
    const size_t lists = r->plan->lists, *off = r->off + (first - r->batch), pairs = off[count] - off[0];
    size_t *start = FW_ARRAY(size_t, lists + 1);
    uint32_t *pair = fw_invert(r->near + off[0], pairs, lists, start), *owner = FW_ARRAY(uint32_t, pairs);
    uint32_t pick[FW_JOIN_ROWS];
    for (size_t i = 0; i < count; i++)
        for (size_t k = off[i]; k < off[i + 1]; k++) owner[k - off[0]] = (uint32_t)(first + i);
    for (size_t step = 0; step < lists && !fw_stopping(); step++) {
        size_t l = (r->home[first] + step) % lists;
        for (size_t at = start[l]; at < start[l + 1];) {
            size_t n = 0;
            for (; at < start[l + 1] && n < FW_JOIN_ROWS; at++) pick[n++] = owner[pair[at]];
            score_list(r, d, pick, n, l);
        }
    }
    fw_free(pair), fw_free(owner), fw_free(start);
}

/* Candidates become results in steps, each for all rows of the task: the best by score get their true similarity, then
 * who can still be better than those. */
static void ask_best(const fw_search *s, ivf_desk *d, size_t count)
{
    fw_cand *c = &d->c;
    for (size_t i = 0; i < count; i++) {
        fw_cand_cut(c, i);
        d->sure[i] = (uint32_t)fw_finish_best(s, c->key + i * c->cap, c->len[i]);
        for (size_t j = i * c->cap; j < i * c->cap + d->sure[i]; j++) fw_rank_ask(&d->rank, c->key[j], j);
    }
    fw_rank_run(&d->rank, c->key, c->cap);
}

static void ask_hopeful(const fw_search *s, ivf_desk *d, size_t count)
{
    fw_cand *c = &d->c;
    for (size_t i = 0; i < count; i++) {
        const size_t at = i * c->cap, sure = d->sure[i];
        c->len[i] = (uint32_t)fw_finish_hopeful(s, c->key + at, sure, c->len[i]);
        for (size_t j = at + sure; j < at + c->len[i]; j++) fw_rank_ask(&d->rank, c->key[j], j);
    }
    fw_rank_run(&d->rank, c->key, c->cap);
}

/* Answer positions first..first+count-1; returns how many were certified at once. */
static size_t run_task(const ivf_run *r, ivf_desk *d, size_t first, size_t count)
{
    const fw_search *s = r->s;
    fw_cand *c = &d->c;
    size_t certified = 0;
    fw_cand_reset(c, count);
    fw_rows_take(&d->rows, s->probe, first, count);
    fw_rank_rows(&d->rank, first, count);
    score_task(r, d, first, count);
    if (fw_stopping()) return 0;
    ask_best(s, d, count);
    ask_hopeful(s, d, count);
    for (size_t i = 0; i < count && !fw_stopping(); i++) {
        r->got[s->probe_row[first + i]] = c->len[i] < s->k ? c->len[i] : s->k;
        if (fw_finish_write(s, first + i, c->key + i * c->cap, c->len[i], c->min[i]))
            certified++;
        else
            redo_row(r, first + i, d->b.query);
    }
    return certified;
}

/* The nearest lists of the rows of class `bin` among positions batch .. batch + count - 1. By score: to know for certain
 * which list is the 200th took two fifths of the time of a graph of 1 M, and recall@10 is the same .9921 without. All int8
 * kernels of a CPU agree on it; another CPU may look into another list at the margin. The own list is always among them.
 */
static int lists_of_bin(ivf_run *r, size_t count, size_t bin, fw_err *e)
{
    size_t n = 0, probes = r->plan->probes[bin];
    uint32_t *pick = FW_ARRAY(uint32_t, count), *near = NULL;
    for (size_t i = 0; i < count; i++)
        if (r->bin[r->batch + i] == bin) pick[n++] = (uint32_t)(r->batch + i);
    int rc = fw_search_nearest(&(fw_nearest){.v = r->s->probe_v,
                                             .w = r->plan->centre,
                                             .row = r->s->probe_row,
                                             .wrow = r->every,
                                             .p = r->pack,
                                             .g = r->centres,
                                             .pick = pick,
                                             .count = n,
                                             .k = (uint32_t)probes,
                                             .by_score = true,
                                             .guess = r->home},
                               &near, e);
    for (size_t i = 0; i < n && !rc; i++) {
        uint32_t *to = memcpy(r->near + r->off[pick[i] - r->batch], near + i * probes, probes * sizeof *near);
        bool home = false;
        for (size_t k = 0; k < probes; k++) home |= to[k] == r->home[pick[i]];
        if (!home) to[probes - 1] = r->home[pick[i]];
    }
    fw_free(pick), fw_free(near);
    return rc;
}

static int nearest_lists(ivf_run *r, size_t count, fw_err *e)
{
    int rc = FW_OK;
    r->off = FW_ARRAY(size_t, count + 1);
    for (size_t i = 0; i < count; i++) r->off[i + 1] = r->off[i] + r->plan->probes[r->bin[r->batch + i]];
    r->near = FW_ARRAY(uint32_t, r->off[count]);
    fw_pack_meet(r->pack, r->centres);
    for (size_t b = 0; b < FW_IVF_BINS && !rc; b++) rc = lists_of_bin(r, count, b, e);
    fw_pack_meet(r->pack, r->pack);
    return rc;
}

static int run_batch(ivf_run *r, size_t first, size_t count, fw_err *e)
{
    const fw_search *s = r->s;
    r->batch = first;
    int rc = nearest_lists(r, count, e);
    size_t certified = 0;
    if (rc) count = 0;
#pragma omp parallel reduction(+ : certified)
    {
        ivf_desk d;
        desk_init(&d, s, r->task);
#pragma omp for schedule(dynamic, 1)
        for (size_t at = 0; at < count; at += r->task)
            certified += run_task(r, &d, first + at, count - at < r->task ? count - at : r->task);
        desk_free(&d);
    }
    r->certified += certified;
    fw_free(r->near), fw_free(r->off);
    return rc ? rc : fw_check_stop(e);
}

/* Rows from `at` on whose nearest lists fill NEAR: whole tasks. */
static size_t batch_at(const ivf_run *r, size_t at, size_t rows)
{
    size_t end = at;
    for (size_t bytes = 0; end < rows && (bytes < NEAR || (end - at) % r->task); end++)
        bytes += r->plan->probes[r->bin[end]] * sizeof *r->near;
    return end - at;
}

int fw_ivf_search(const fw_ivf_plan *plan, fw_search *s, const uint32_t *row, size_t rows, const fw_quant *q,
                  uint32_t *got, size_t *certified, fw_err *e)
{
    size_t *first = FW_ARRAY(size_t, plan->lists + 1);
    uint32_t *order = fw_invert(plan->home, rows, plan->lists, first), *every = fw_iota(plan->lists);
    uint32_t *home = FW_ARRAY(uint32_t, rows);
    uint8_t *bin = FW_ARRAY(uint8_t, rows);
    for (size_t i = 0; i < rows; i++) {
        home[i] = plan->home[order[i]];
        bin[i] = plan->bin[order[i]];
        order[i] = row[order[i]];
    }
    ivf_run r = {.plan = plan, .s = s, .first = first, .got = got, .every = every, .home = home, .bin = bin};
    s->probe = s->gallery = r.pack = fw_pack_new(s->probe_v, order, rows, q);
    s->probe_row = s->gallery_row = order;
    r.centres = fw_pack_new(plan->centre, every, plan->lists, q);
    fw_pack_meet(r.pack, r.pack);
    s->keep = fw_search_pilot(s);
    r.task = PAIRS / s->keep < TASK ? PAIRS / s->keep : TASK;
    int rc = FW_OK;
    for (size_t at = 0, count; at < rows && !rc; at += count) {
        count = batch_at(&r, at, rows);
        rc = run_batch(&r, at, count, e);
    }
    *certified = r.certified;
    fw_pack_free(r.pack), fw_pack_free(r.centres);
    fw_free(order), fw_free(first), fw_free(every), fw_free(home), fw_free(bin);
    s->probe = s->gallery = NULL;
    return rc;
}
