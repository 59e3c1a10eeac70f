/* pipe: a bounded, ordered pipeline: one reader, several workers, one writer.
 *
 * Like a belt with `depth` trays. The reader (a thread) fills trays in order, any worker takes the next full one, the
 * writer (the calling thread) empties them strictly in order. A tray goes back to the reader only when it is written,
 * so memory is depth trays whatever the number of items. Reading, computing and writing overlap.
 *
 *   read(user, tray, e)    1: filled, 0: no more, -1: error      one thread at a time, in order
 *   work(user, worker, tray, e)   FW_OK or an error              concurrently; worker 0..workers-1 owns its scratch
 *   write(user, tray, e)   FW_OK or an error                     the calling thread, in order of reading
 *
 * The first error wins: everyone stops at the next tray, threads are joined, the error is returned. A stop request
 * (fw_stopping) ends it the same way with FW_ESTOP. Trays after an error are not written, and own nothing that the
 * caller cannot free: the caller owns the tray array and frees what is in it.
 */
#ifndef FW_PIPE_H
#define FW_PIPE_H

#include "base.h"

typedef struct fw_pipe {
    int workers;
    size_t depth; /* trays, at least workers + 2 to keep everyone busy */
    void *trays;  /* depth x tray_size bytes, the caller's */
    size_t tray_size;
    void *user;
    int (*read)(void *user, void *tray, fw_err *e);
    int (*work)(void *user, int worker, void *tray, fw_err *e);
    int (*write)(void *user, void *tray, fw_err *e);
} fw_pipe;

int fw_pipe_run(const fw_pipe *p, fw_err *e);

#endif
