/* Running kernels: a block of rows against panels, and the symmetric self-join. */
#include "join.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

void fw_block_init(fw_block *b, const fw_pack *p)
{
    size_t nr = (size_t)p->q->kern->nr, hits = FW_JOIN_ROWS * nr + 16;
    *b = (fw_block){0};
    b->a = fw_alloc_aligned(FW_JOIN_ROWS * p->words, sizeof *b->a);
    b->bias = fw_alloc_aligned(FW_JOIN_ROWS, sizeof *b->bias);
    b->query = fw_alloc_aligned(2 * (size_t)p->q->dim, sizeof *b->query);
    b->strip = (fw_strip){.a = b->a, .bias = b->bias, .row_min = b->row_min, .col_min = b->col_min, .words = p->words};
    b->strip.row_scale = b->row_scale;
    b->strip.row_loss = b->row_loss;
    b->strip.where = fw_alloc_aligned(hits, sizeof *b->strip.where);
    b->strip.score = fw_alloc_aligned(hits, sizeof *b->strip.score);
    b->strip.scratch = fw_alloc_aligned(hits, sizeof *b->strip.scratch);
}

void fw_block_free(fw_block *b)
{
    fw_free(b->a);
    fw_free(b->bias);
    fw_free(b->query);
    fw_free(b->strip.where);
    fw_free(b->strip.score);
    fw_free(b->strip.scratch);
}

/* Panels mostly come in order. Of thousands, what belongs to the next one is not in any cache, and too short for the CPU
 * to see where it is going. */
static void ask_next(const float *scale, const float *loss, size_t nr)
{
    for (size_t i = 0; i < nr; i += 16) {
        __builtin_prefetch(scale + nr + i);
        __builtin_prefetch(loss + nr + i);
    }
}

size_t fw_block_score(fw_block *b, const fw_pack *g, size_t panel)
{
    size_t nr = (size_t)g->q->kern->nr;
    b->strip.b = g->word + panel * nr * g->words;
    b->strip.col_scale = g->scale + panel * nr;
    b->strip.col_loss = g->loss + panel * nr;
    ask_next(b->strip.col_scale, b->strip.col_loss, nr);
    return g->q->kern->strip(&b->strip);
}

/* The self-join. A task is a block of rows against a run of panels that do not lie before it. Lists are shared by the
 * threads, so each FW_JOIN_LOCKED of them have a lock, held while thresholds are copied or hits are offered; a panel takes 10^4
 * to 10^5 cycles. Threads at neighbouring tasks share panels, for the caches' sake, and begin at different ones, for the
 * locks'. 100 k rows on two threads: 1.55 times as fast as one thread, so begun 1.8. */
#define RUN     96 /* panels of a task: 96 x 32 rows; small enough that two threads end together at 10 k rows */
#define STAGGER 37 /* of the order of RUN / 2, no divisor in common */

_Static_assert(FW_JOIN_ROWS % FW_JOIN_LOCKED == 0, "a block's lists have their own locks");

typedef struct self_join {
    const fw_pack *p;
    fw_cand *c;
    pthread_mutex_t *lock;
} self_join;

static void copy_thresholds(self_join *j, size_t first, size_t count, float *out)
{
    for (size_t at = 0; at < count; at += FW_JOIN_LOCKED) {
        size_t end = count - at < FW_JOIN_LOCKED ? count : at + FW_JOIN_LOCKED;
        pthread_mutex_t *l = &j->lock[(first + at) / FW_JOIN_LOCKED];
        pthread_mutex_lock(l);
        for (size_t i = at; i < end; i++) out[i] = first + i < j->p->n ? j->c->min[first + i] : INFINITY;
        pthread_mutex_unlock(l);
    }
}

static void offer_rows(self_join *j, const fw_block *b, size_t hits, size_t row0, size_t col0)
{
    for (size_t h = 0; h < hits;) {
        const size_t part = fw_hit_row(b, h) / FW_JOIN_LOCKED;
        pthread_mutex_t *l = &j->lock[row0 / FW_JOIN_LOCKED + part];
        pthread_mutex_lock(l);
        for (; h < hits && fw_hit_row(b, h) / FW_JOIN_LOCKED == part; h++) {
            size_t r = row0 + fw_hit_row(b, h), c = col0 + fw_hit_col(b, h);
            if (r < c) fw_cand_offer(j->c, r, b->strip.score[h], (uint32_t)c);
        }
        pthread_mutex_unlock(l);
    }
}

static void offer_cols(self_join *j, const fw_block *b, size_t hits, size_t row0, size_t col0)
{
    pthread_mutex_t *l = &j->lock[col0 / FW_JOIN_LOCKED];
    pthread_mutex_lock(l);
    for (size_t h = 0; h < hits; h++) {
        size_t r = row0 + fw_hit_row(b, h), c = col0 + fw_hit_col(b, h);
        if (r < c) fw_cand_offer(j->c, c, b->strip.score[h], (uint32_t)r);
    }
    pthread_mutex_unlock(l);
}

static void self_task(self_join *j, fw_block *b, size_t block, size_t first, size_t end)
{
    const fw_pack *p = j->p;
    size_t nr = (size_t)p->q->kern->nr, row0 = block * FW_JOIN_ROWS;
    size_t count = p->n - row0 < FW_JOIN_ROWS ? p->n - row0 : FW_JOIN_ROWS;
    uint32_t pick[FW_JOIN_ROWS];
    if (first < row0 / nr) first = row0 / nr;
    if (first >= end) return;
    for (size_t i = 0; i < count; i++) pick[i] = (uint32_t)(row0 + i);
    fw_block_load(b, p, pick, count);
    for (size_t i = 0; i < end - first && !fw_stopping(); i++) {
        size_t panel = first + (i + block * STAGGER) % (end - first);
        copy_thresholds(j, row0, count, b->row_min);
        copy_thresholds(j, panel * nr, nr, b->col_min);
        size_t hits = fw_block_score(b, p, panel);
        if (!hits) continue;
        offer_rows(j, b, hits, row0, panel * nr);
        offer_cols(j, b, hits, row0, panel * nr);
    }
}

int fw_join_self(const fw_pack *p, fw_cand *c, fw_err *e)
{
    size_t blocks = (p->n + FW_JOIN_ROWS - 1) / FW_JOIN_ROWS, runs = (p->panels + RUN - 1) / RUN;
    size_t locks = blocks * (FW_JOIN_ROWS / FW_JOIN_LOCKED);
    self_join j = {.p = p, .c = c, .lock = FW_ARRAY(pthread_mutex_t, locks)};
    for (size_t i = 0; i < locks; i++) pthread_mutex_init(&j.lock[i], NULL);
#pragma omp parallel
    {
        fw_block b;
        fw_block_init(&b, p);
#pragma omp for schedule(dynamic, 1)
        for (size_t t = 0; t < blocks * runs; t++) { /* neighbouring tasks share panels, not rows */
            size_t run = t / blocks, end = (run + 1) * RUN;
            self_task(&j, &b, t % blocks, run * RUN, end < p->panels ? end : p->panels);
        }
        fw_block_free(&b);
    }
    for (size_t i = 0; i < locks; i++) pthread_mutex_destroy(&j.lock[i]);
    fw_free(j.lock);
    return fw_check_stop(e);
}
