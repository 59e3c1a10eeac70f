/* The graph by inverted lists: each row looks for neighbours in its nearest lists only (join_lists.c), or in all. */
#include "ivf.h"

#include <omp.h>

/* Rows that are answered together: the more, the fuller the blocks that meet a list, and the more rows share a
 * candidate whose true similarity is wanted. 1 M rows, 25,000 lists, before rows met everybody, seconds of two threads:
 * 82.6 to score and 39.6 to rank by tasks of 2,048, 76.3 and 32.1 by 8,192. Fewer where that would take too much memory:
 * candidates take 28 bytes each, with room to grow and to be ranked, visits (a row and a list) 8: 117 and 268 MB of all
 * threads, or more where there are more than eight. */
#define TASK         8192
#define CANDIDATES   ((size_t)1 << 22)
#define VISITS       ((size_t)1 << 25)
#define THREAD_LEAST ((size_t)1 << 19) /* candidates of one thread, however many threads there are */

/* One run of the search. Positions are in list order: rows of one list lie side by side. */
typedef struct ivf_run {
    const fw_ivf_plan *plan;
    fw_search *s;
    size_t *first; /* positions of list l: first[l] .. first[l + 1] - 1 */
    fw_pack *pack, *centres;
    uint32_t *order, *home; /* by position: dataset row, list */
    uint8_t *bin, *open;    /* by position: class; not certified */
    uint32_t *got;          /* by dataset row */
    size_t task;
} ivf_run;

/* One thread's workspace, and its task: `count` rows at pos, which visit list[off[i]] .. list[off[i + 1] - 1]. */
typedef struct ivf_desk {
    fw_visit visit;
    fw_near near;
    fw_rank rank;
    uint32_t *sure; /* candidates of a row whose similarity is wanted in any case */
    const uint32_t *pos;
    size_t count, *off;
    uint32_t *list;
    size_t room; /* of list, which is kept from task to task */
} ivf_desk;

static void desk_init(ivf_desk *d, const ivf_run *r)
{
    const fw_search *s = r->s;
    fw_visit_init(&d->visit, s, r->first, r->plan->lists, r->task, s->keep);
    fw_near_init(&d->near, s, r->centres);
    fw_rank_init(&d->rank, s, r->task, r->task * s->keep);
    d->sure = FW_ARRAY(uint32_t, r->task);
    d->off = FW_ARRAY(size_t, r->task + 1);
}

static void desk_free(ivf_desk *d)
{
    fw_free(d->sure), fw_free(d->off), fw_free(d->list);
    fw_rank_free(&d->rank);
    fw_near_free(&d->near);
    fw_visit_free(&d->visit);
}

/* The nearest lists of the task's rows of class `bin`. By score: to know for certain which list is the 200th took two
 * fifths of the time of a graph of 1 M, and recall@10 is the same .9921 without. All int8 kernels of a CPU agree on it;
 * another CPU may look into another list at the margin. */
static void lists_of_bin(const ivf_run *r, ivf_desk *d, size_t bin)
{
    uint32_t *pos = FW_ARRAY(uint32_t, d->count);
    size_t *at = FW_ARRAY(size_t, d->count), n = 0;
    for (size_t i = 0; i < d->count; i++)
        if (r->bin[d->pos[i]] == bin) {
            pos[n] = d->pos[i];
            at[n++] = d->off[i];
        }
    fw_near_lists(&d->near, pos, n, r->plan->probes[bin], at, d->list);
    fw_free(pos), fw_free(at);
}

/* The own list is always among those that a row visits, if need be instead of the furthest. */
static void visit_home(const ivf_run *r, ivf_desk *d, size_t i)
{
    const uint32_t own = r->home[d->pos[i]];
    for (size_t k = d->off[i]; k < d->off[i + 1]; k++)
        if (d->list[k] == own) return;
    d->list[d->off[i + 1] - 1] = own;
}

static void begin_task(const ivf_run *r, ivf_desk *d, const uint32_t *pos, size_t count)
{
    d->pos = pos;
    d->count = count;
    for (size_t i = 0; i < count; i++) d->off[i + 1] = d->off[i] + r->plan->probes[r->bin[pos[i]]];
    fw_ivf_room(&d->list, &d->room, d->off[count]);
    for (size_t b = 0; b < FW_IVF_BINS; b++) lists_of_bin(r, d, b);
    for (size_t i = 0; i < count; i++) visit_home(r, d, i);
    fw_visit_rows(&d->visit, pos, count);
}

/* Candidates become results in steps, each for all rows of the task: the best by score get their true similarity, then
 * who can still be better than those. */
static void ask_best(const fw_search *s, ivf_desk *d)
{
    fw_cand *c = &d->visit.c;
    for (size_t i = 0; i < d->count; i++) {
        fw_cand_cut(c, i);
        d->sure[i] = (uint32_t)fw_finish_best(s, c->key + i * c->cap, c->len[i]);
        for (size_t j = i * c->cap; j < i * c->cap + d->sure[i]; j++) fw_rank_ask(&d->rank, c->key[j], j);
    }
    fw_rank_run(&d->rank, c->key, c->cap);
}

static void ask_hopeful(const fw_search *s, ivf_desk *d)
{
    fw_cand *c = &d->visit.c;
    for (size_t i = 0; i < d->count; i++) {
        const size_t at = i * c->cap, sure = d->sure[i];
        c->len[i] = (uint32_t)fw_finish_hopeful(s, c->key + at, sure, c->len[i]);
        for (size_t j = at + sure; j < at + c->len[i]; j++) fw_rank_ask(&d->rank, c->key[j], j);
    }
    fw_rank_run(&d->rank, c->key, c->cap);
}

static void answer(const ivf_run *r, ivf_desk *d)
{
    const fw_search *s = r->s;
    fw_cand *c = &d->visit.c;
    fw_visit_keep(&d->visit, s->keep);
    fw_visit_score(&d->visit, d->off, d->list, r->home[d->pos[0]]);
    if (fw_stopping()) return;
    fw_rank_rows(&d->rank, d->pos, d->count);
    ask_best(s, d);
    ask_hopeful(s, d);
    for (size_t i = 0; i < d->count && !fw_stopping(); i++) {
        const size_t p = d->pos[i];
        r->got[s->probe_row[p]] = c->len[i] < s->k ? c->len[i] : s->k;
        r->open[p] = !fw_finish_write(s, p, c->key + i * c->cap, c->len[i], c->min[i]);
    }
}

/* Rows that were not certified: now all members count whose score, an upper bound, reaches the k-th similarity known so
 * far, and each is judged by its true similarity. There is such a similarity: a row is open when something was dropped,
 * so its list was full, which is longer than k. And its lists are the same as before, as every kernel gives a pair one
 * score; should BLAS not, the answer that is there stays. */
static void answer_again(const ivf_run *r, ivf_desk *d)
{
    const fw_search *s = r->s;
    fw_cand *c = &d->visit.c;
    fw_visit_keep(&d->visit, s->k);
    for (size_t i = 0; i < d->count; i++) c->min[i] = s->sim[s->off[s->probe_row[d->pos[i]]] + s->k - 1];
    fw_visit_verify(&d->visit, d->off, d->list, r->home[d->pos[0]]);
    for (size_t i = 0; i < d->count && !fw_stopping(); i++) {
        uint64_t *key = c->key + i * c->cap;
        fw_cand_cut(c, i);
        if (c->len[i] < s->k) continue;
        fw_key_sort(key, s->k);
        fw_search_write(s, d->pos[i], key, s->k);
    }
}

/* Where each task of the rows at pos[0..n-1] begins, and n; *tasks: how many, four for each thread at least, of a block
 * of rows each. */
static size_t *share_out(const ivf_run *r, const uint32_t *pos, size_t n, size_t *tasks)
{
    const size_t threads = (size_t)omp_get_max_threads(), most = VISITS / threads, quarter = n / (4 * threads);
    const size_t fair = quarter > FW_JOIN_ROWS ? quarter : FW_JOIN_ROWS, rows = fair < r->task ? fair : r->task;
    size_t *start = FW_ARRAY(size_t, n + 1), visits = 0;
    *tasks = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t own = r->plan->probes[r->bin[pos[i]]];
        if (!*tasks || visits + own > most || i - start[*tasks - 1] == rows) start[(*tasks)++] = i, visits = 0;
        visits += own;
    }
    start[*tasks] = n;
    return start;
}

static size_t task_rows(uint32_t keep)
{
    size_t share = CANDIDATES / (size_t)omp_get_max_threads();
    if (share < THREAD_LEAST) share = THREAD_LEAST;
    return share / keep < TASK ? share / keep : TASK;
}

typedef void give_answer(const ivf_run *r, ivf_desk *d);

static int pass(const ivf_run *r, const uint32_t *pos, size_t n, give_answer *give, fw_err *e)
{
    size_t tasks, *start = share_out(r, pos, n, &tasks);
#pragma omp parallel if (n > 0)
    {
        ivf_desk d = {0};
        desk_init(&d, r);
#pragma omp for schedule(dynamic, 1)
        for (size_t t = 0; t < tasks; t++) {
            if (fw_stopping()) continue;
            begin_task(r, &d, pos + start[t], start[t + 1] - start[t]);
            if (!fw_stopping()) give(r, &d);
        }
        desk_free(&d);
    }
    fw_free(start);
    return fw_check_stop(e);
}

static void run_init(ivf_run *r, const uint32_t *row, size_t rows, const fw_quant *q)
{
    const fw_ivf_plan *plan = r->plan;
    r->first = FW_ARRAY(size_t, plan->lists + 1);
    r->order = fw_invert(plan->home, rows, plan->lists, r->first);
    r->home = FW_ARRAY(uint32_t, rows);
    r->bin = FW_ARRAY(uint8_t, rows);
    r->open = FW_ARRAY(uint8_t, rows);
    for (size_t i = 0; i < rows; i++) {
        r->home[i] = plan->home[r->order[i]];
        r->bin[i] = plan->bin[r->order[i]];
        r->order[i] = row[r->order[i]];
    }
    r->pack = fw_pack_new(r->s->probe_v, r->order, rows, q);
    r->s->probe = r->s->gallery = r->pack;
    r->s->probe_row = r->s->gallery_row = r->order;
}

static void run_free(ivf_run *r)
{
    r->s->probe = r->s->gallery = NULL;
    r->s->probe_row = r->s->gallery_row = NULL;
    fw_free(r->s->open); /* positions of this run */
    r->s->open = NULL, r->s->open_count = 0;
    fw_pack_free(r->pack), fw_pack_free(r->centres);
    fw_free(r->order), fw_free(r->first), fw_free(r->home), fw_free(r->bin), fw_free(r->open);
}

/* Rows of classes that visit lists, and again those of them that were not certified. */
static int visit_lists(ivf_run *r, uint32_t *pos, size_t n, size_t *open, fw_err *e)
{
    const fw_ivf_plan *plan = r->plan;
    uint32_t *every = fw_iota(plan->lists);
    r->centres = fw_pack_new(plan->centre, every, plan->lists, r->pack->q);
    fw_free(every);
    fw_pack_meet(r->pack, r->centres);
    fw_pack_meet(r->pack, r->pack); /* centres are told apart by score, and nothing is concluded from their losses */
    FW_TRY(pass(r, pos, n, answer, e));
    *open = 0;
    for (size_t i = 0; i < n; i++)
        if (r->open[pos[i]]) pos[(*open)++] = pos[i];
    return pass(r, pos, *open, answer_again, e);
}

/* Rows of classes that look into all lists meet everybody, panel by panel. */
static int scan_all(ivf_run *r, const uint32_t *pos, size_t n, size_t *open, fw_err *e)
{
    fw_search *s = r->s;
    const size_t others = s->probe->n - 1;
    FW_TRY(fw_search_blocks(s, pos, n, e));
    for (size_t i = 0; i < n; i++) r->got[s->probe_row[pos[i]]] = others < s->k ? (uint32_t)others : s->k;
    *open = s->open_count;
    return fw_search_redo(s, e);
}

/* Positions of rows that look into all lists (or that do not), in order; returns how many. */
static size_t rows_that_scan(const ivf_run *r, size_t rows, bool scan, uint32_t *pos)
{
    size_t n = 0;
    for (size_t p = 0; p < rows; p++)
        if ((r->plan->probes[r->bin[p]] == r->plan->lists) == scan) pos[n++] = (uint32_t)p;
    return n;
}

int fw_ivf_search(const fw_ivf_plan *plan, fw_search *s, const uint32_t *row, size_t rows, const fw_quant *q,
                  uint32_t *got, size_t *certified, fw_err *e)
{
    ivf_run r = {.plan = plan, .s = s, .got = got};
    size_t open = 0, more = 0;
    run_init(&r, row, rows, q);
    fw_pack_meet(r.pack, r.pack);
    s->keep = fw_search_pilot(s);
    r.task = task_rows(s->keep);
    uint32_t *pos = FW_ARRAY(uint32_t, rows);
    int rc = scan_all(&r, pos, rows_that_scan(&r, rows, true, pos), &open, e);
    if (!rc) rc = visit_lists(&r, pos, rows_that_scan(&r, rows, false, pos), &more, e);
    *certified = rows - open - more;
    fw_free(pos);
    run_free(&r);
    return rc;
}
