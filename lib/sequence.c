#include "sequence.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct kept {
    uint64_t item;
    char *bytes; /* NULL: taken, or it could not be had */
    size_t n;
} kept;

struct fw_sequence {
    fw_sequence_ops ops;
    void *user;
    pthread_mutex_t lock;
    uint64_t at; /* item that the next step gives */
    bool started;
    uint64_t end; /* item where the stream ends or is damaged, once that was met: nobody has to look again */
    fw_err end_err;
    kept shelf[FW_SEQUENCE_ITEMS]; /* item i lies at i % FW_SEQUENCE_ITEMS */
    uint64_t oldest;
    size_t held;
};

fw_sequence *fw_sequence_new(const fw_sequence_ops *ops, void *user)
{
    fw_sequence *s = FW_NEW(fw_sequence);
    s->ops = *ops;
    s->user = user;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void drop(fw_sequence *s, kept *k)
{
    if (k->bytes) s->held -= k->n;
    free(k->bytes);
    *k = (kept){0};
}

static void clear(fw_sequence *s)
{
    for (size_t i = 0; i < FW_SEQUENCE_ITEMS; i++) drop(s, &s->shelf[i]);
    s->oldest = s->at = 0;
}

void fw_sequence_free(fw_sequence *s)
{
    if (!s) return;
    clear(s);
    s->ops.close(s->user);
    pthread_mutex_destroy(&s->lock);
    fw_free(s);
}

static void keep(fw_sequence *s, uint64_t item, char *bytes, size_t n)
{
    kept *k = &s->shelf[item % FW_SEQUENCE_ITEMS];
    drop(s, k);
    *k = (kept){item, bytes, n};
    if (bytes) s->held += n;
    while (s->held > FW_SEQUENCE_BYTES && s->oldest < item) drop(s, &s->shelf[s->oldest++ % FW_SEQUENCE_ITEMS]);
}

static bool take(fw_sequence *s, uint64_t item, char **bytes, size_t *n)
{
    kept *k = &s->shelf[item % FW_SEQUENCE_ITEMS];
    if (!k->bytes || k->item != item) return false;
    *bytes = k->bytes;
    *n = k->n;
    s->held -= k->n;
    *k = (kept){0};
    return true;
}

static int restart(fw_sequence *s, fw_err *e)
{
    clear(s);
    s->started = false;
    FW_TRY(s->ops.rewind(s->user, e));
    s->started = true;
    return FW_OK;
}

static int wind_to(fw_sequence *s, uint64_t item, char **bytes, size_t *n, fw_err *e)
{
    if (s->end_err.code && item >= s->end) return fw_fail(e, s->end_err.code, "%s", s->end_err.msg);
    if (!s->started || item < s->at) FW_TRY(restart(s, e));
    for (;;) {
        fw_err bad = {0};
        bool near =
            item - s->at < FW_SEQUENCE_ITEMS / 2; /* further ahead: a jump, nobody will ask for what lies between */
        *bytes = NULL;
        int got = s->ops.step(s->user, near, bytes, n, &bad, e);
        if (got <= 0) {
            if (!got) fw_fail(e, FW_EFAIL, "the stream ends before item %llu", (unsigned long long)item);
            s->started = false;
            s->end = s->at;
            s->end_err = *e;
            return e->code;
        }
        if (s->at++ == item) return *bytes ? FW_OK : fw_fail(e, FW_EFAIL, "%s", bad.msg[0] ? bad.msg : "not wanted");
        if (near) keep(s, s->at - 1, *bytes, *n);
    }
}

int fw_sequence_read(fw_sequence *s, uint64_t item, size_t max, char **bytes, size_t *n, fw_err *e)
{
    fw_err local = {0}; /* step's -1 needs a place for its reason even if the caller wants none */
    pthread_mutex_lock(&s->lock);
    int rc = take(s, item, bytes, n) ? FW_OK : wind_to(s, item, bytes, n, &local);
    pthread_mutex_unlock(&s->lock);
    if (rc) return fw_fail(e, rc, "%s", local.msg);
    if (*n <= max) return FW_OK;
    free(*bytes);
    return fw_fail(e, FW_EFAIL, "%zu bytes, more than the limit of %zu", *n, max);
}
