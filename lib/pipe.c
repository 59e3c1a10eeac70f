#include "pipe.h"

#include <pthread.h>

/* Every tray goes FREE -> FULL -> BUSY -> DONE -> FREE. Counters run over all items; item i sits in tray i % depth.
 * read_next <= write_next + depth, take_next <= read_next, write_next <= take_next. */
enum { FREE, FULL, BUSY, DONE };

typedef struct belt {
    const fw_pipe *spec;
    pthread_mutex_t lock;
    pthread_cond_t changed_full, changed_done, changed_free;
    uint8_t *state;
    uint64_t read_next, take_next, write_next;
    bool read_end, broken; /* broken: an error or a stop; nobody begins anything new */
    fw_err err;
} belt;

typedef struct worker {
    belt *b;
    int number;
    pthread_t thread;
} worker;

static void *tray(const belt *b, uint64_t item)
{
    return (char *)b->spec->trays + (item % b->spec->depth) * b->spec->tray_size;
}

static void wake_all(belt *b)
{
    pthread_cond_broadcast(&b->changed_full);
    pthread_cond_broadcast(&b->changed_done);
    pthread_cond_broadcast(&b->changed_free);
}

/* With the lock held: note an error (or a stop request) and make everyone leave. */
static void give_up(belt *b, const fw_err *e)
{
    if (e->code) fw_fail(&b->err, e->code, "%s", e->msg);
    b->broken = true;
    wake_all(b);
}

static void *read_loop(void *arg)
{
    belt *b = arg;
    pthread_mutex_lock(&b->lock);
    while (!b->broken) {
        if (b->read_next == b->write_next + b->spec->depth) {
            pthread_cond_wait(&b->changed_free, &b->lock);
            continue;
        }
        uint64_t item = b->read_next;
        pthread_mutex_unlock(&b->lock);
        fw_err e = {0};
        int got = fw_check_stop(&e) ? -1 : b->spec->read(b->spec->user, tray(b, item), &e);
        pthread_mutex_lock(&b->lock);
        if (got < 0) give_up(b, &e);
        if (got <= 0) break;
        b->state[item % b->spec->depth] = FULL;
        b->read_next++;
        pthread_cond_signal(&b->changed_full);
    }
    b->read_end = true;
    wake_all(b);
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static void *work_loop(void *arg)
{
    worker *w = arg;
    belt *b = w->b;
    pthread_mutex_lock(&b->lock);
    while (!b->broken) {
        if (b->take_next == b->read_next) {
            if (b->read_end) break;
            pthread_cond_wait(&b->changed_full, &b->lock);
            continue;
        }
        uint64_t item = b->take_next++;
        b->state[item % b->spec->depth] = BUSY;
        pthread_mutex_unlock(&b->lock);
        fw_err e = {0};
        int rc = b->spec->work(b->spec->user, w->number, tray(b, item), &e);
        pthread_mutex_lock(&b->lock);
        if (rc)
            give_up(b, &e);
        else
            b->state[item % b->spec->depth] = DONE;
        if (item == b->write_next) pthread_cond_signal(&b->changed_done);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static void write_loop(belt *b)
{
    pthread_mutex_lock(&b->lock);
    while (!b->broken) {
        if (b->read_end && b->write_next == b->read_next) break;
        if (b->write_next == b->read_next || b->state[b->write_next % b->spec->depth] != DONE) {
            pthread_cond_wait(&b->changed_done, &b->lock);
            continue;
        }
        uint64_t item = b->write_next;
        pthread_mutex_unlock(&b->lock);
        fw_err e = {0};
        int rc = b->spec->write(b->spec->user, tray(b, item), &e);
        if (!rc) rc = fw_check_stop(&e);
        pthread_mutex_lock(&b->lock);
        if (rc) give_up(b, &e);
        b->state[item % b->spec->depth] = FREE;
        b->write_next++;
        pthread_cond_signal(&b->changed_free);
    }
    pthread_mutex_unlock(&b->lock);
}

int fw_pipe_run(const fw_pipe *p, fw_err *e)
{
    belt b = {.spec = p};
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.changed_full, NULL);
    pthread_cond_init(&b.changed_done, NULL);
    pthread_cond_init(&b.changed_free, NULL);
    b.state = FW_ARRAY(uint8_t, p->depth);
    worker *crew = FW_ARRAY(worker, (size_t)p->workers);
    pthread_t reader;
    bool reading = !pthread_create(&reader, NULL, read_loop, &b);
    int hired = 0;
    for (; reading && hired < p->workers; hired++) {
        crew[hired] = (worker){.b = &b, .number = hired};
        if (pthread_create(&crew[hired].thread, NULL, work_loop, &crew[hired])) break;
    }
    if (!reading || !hired) {
        pthread_mutex_lock(&b.lock);
        give_up(&b, &(fw_err){.code = FW_EAGAIN, .msg = "start threads: the system refused; lower run.threads"});
        pthread_mutex_unlock(&b.lock);
    }
    write_loop(&b);
    if (reading) pthread_join(reader, NULL);
    for (int i = 0; i < hired; i++) pthread_join(crew[i].thread, NULL);
    pthread_cond_destroy(&b.changed_full);
    pthread_cond_destroy(&b.changed_done);
    pthread_cond_destroy(&b.changed_free);
    pthread_mutex_destroy(&b.lock);
    fw_free(crew);
    fw_free(b.state);
    return b.err.code ? fw_fail(e, b.err.code, "%s", b.err.msg) : FW_OK;
}
