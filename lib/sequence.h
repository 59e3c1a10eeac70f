/* sequence: items of a stream that can only be read from its beginning, asked for one by one, roughly in order.
 *
 * Like a tape with a shelf beside it. Items that are passed on the way to the wanted one are put on the shelf, since
 * another thread will ask for them in a moment; the shelf holds the last ones, FW_SEQUENCE_ITEMS and
 * FW_SEQUENCE_BYTES at most. Asking for what is neither ahead nor on the shelf rewinds the tape: right, and slow.
 * Reading in order costs one pass. Any thread may ask; they take turns.
 */
#ifndef FW_SEQUENCE_H
#define FW_SEQUENCE_H

#include "base.h"

/* More than the trays of ingest (16 per worker) may span on a machine with 64 threads, of photos of 128 KB. */
#define FW_SEQUENCE_ITEMS 2048
#define FW_SEQUENCE_BYTES ((size_t)256 << 20)

typedef struct fw_sequence_ops {
    int (*rewind)(void *user, fw_err *e);
    /* The next item: 1, with its bytes (malloc) if `want`; 0: the end; -1: the stream is damaged. An item that alone
     * cannot be had leaves *bytes NULL and says why in `bad`. */
    int (*step)(void *user, bool want, char **bytes, size_t *n, fw_err *bad, fw_err *e);
    void (*close)(void *user);
} fw_sequence_ops;

typedef struct fw_sequence fw_sequence;
fw_sequence *fw_sequence_new(const fw_sequence_ops *ops, void *user);
void fw_sequence_free(fw_sequence *s);
/* Item number `i`, from 0; the caller frees *bytes. */
int fw_sequence_read(fw_sequence *s, uint64_t i, size_t max, char **bytes, size_t *n, fw_err *e);

#endif
