/* base: what every other file may use: errors, checked memory, small helpers.
 *
 * Errors. A function that can fail returns an int code (FW_OK is 0) and fills the `fw_err` it was given. The first
 * error wins: fw_fail() on an err that already holds one keeps the old message, so unwinding code need not care.
 * Texts are copied at once; an err owns nothing and needs no freeing. Messages name the operation, the quoted subject,
 * the cause and, where there is one, what to do:  "open model 'x.onnx': no such file; run `make models`".
 * A bad image is not an error: it is a status in a column (see lib/image.h).
 *
 * Memory. fw_alloc and friends check count*size for overflow, zero the block and never return NULL: a process that
 * runs out of memory prints one line and exits 75; nothing is lost because results only appear by rename (lib/store.h).
 * Whoever allocates frees, with fw_free (plain free works too), unless a header says "ownership passes".
 */
#ifndef FW_BASE_H
#define FW_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FW_VERSION "0.1.0"

/* Codes double as exit codes of the program where the design says so (0, 1, 2, 3, 75). */
enum fw_code {
    FW_OK = 0,
    FW_EFAIL = 1,   /* the operation failed (I/O, damaged workspace, library error) */
    FW_EUSAGE = 2,  /* bad command line, setting or model description */
    FW_EBADIMG = 3, /* finished, but with more bad images than --max-bad allows */
    FW_EAGAIN = 75, /* try again: lock held, disk full, out of memory, files or maps */
    FW_ESTOP = 130  /* interrupted; running again resumes */
};

typedef struct fw_err {
    int code;
    char msg[500];
} fw_err;

/* Record an error and return its code, so that `return fw_fail(e, FW_EFAIL, "read '%s': %s", path, why);` works.
 * Keeps an error that is already there. `e` may be NULL (the text is dropped, the code returned). */
int fw_fail(fw_err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Same, with ": strerror(errno)" appended; what the machine lacks now (disk, memory, open files) becomes FW_EAGAIN. */
int fw_fail_errno(fw_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int fw_errno_code(int number); /* FW_EAGAIN or FW_EFAIL */
/* Put a context in front of the message: "commit shard 7: <old message>". Returns e->code. */
int fw_context(fw_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Leave the function when `expr` fails. Only where nothing has to be released. */
#define FW_TRY(expr)                                                                                                   \
    do {                                                                                                               \
        int fw_try_rc_ = (expr);                                                                                       \
        if (fw_try_rc_) return fw_try_rc_;                                                                             \
    } while (0)

#define FW_MUST_USE  __attribute__((warn_unused_result))
#define FW_UNUSED(x) ((void)(x))
#define FW_COUNT(a)  (sizeof(a) / sizeof((a)[0]))

/* Zeroed memory for `count` elements of `size` bytes, at least one byte. Never NULL. */
void *fw_alloc(size_t count, size_t size);
#define FW_NEW(type)          ((type *)fw_alloc(1, sizeof(type)))
#define FW_ARRAY(type, count) ((type *)fw_alloc((count), sizeof(type)))
/* realloc; new bytes are not zeroed. Never NULL. */
void *fw_realloc(void *p, size_t count, size_t size);
void fw_free(void *p);
/* 64-byte aligned, zeroed; free with fw_free. For vectors and pixel rows. */
void *fw_alloc_aligned(size_t count, size_t size);
char *fw_strdup(const char *s);
/* printf into a fresh string; the caller frees. */
char *fw_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Grow `*p` (capacity `*cap` elements of `size` bytes) so that at least `need` fit; doubles. */
void fw_reserve(void *p, size_t *cap, size_t need, size_t size);

/* A growable byte buffer. Zero-initialise; fw_buf_free when done. `data` is always NUL-terminated after an append. */
typedef struct fw_buf {
    char *data;
    size_t len, cap;
} fw_buf;
void fw_buf_add(fw_buf *b, const void *bytes, size_t n);
void fw_buf_puts(fw_buf *b, const char *s);
void fw_buf_printf(fw_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fw_buf_free(fw_buf *b);

/* xoshiro256**-like small generator, for sampling with a stated seed: same seed, same numbers, on every machine.
 * Reference: S. Vigna, splitmix64 (public domain description at prng.di.unimi.it). */
typedef struct fw_rng {
    uint64_t state;
} fw_rng;
uint64_t fw_rng_next(fw_rng *r);
/* uniform in [0, n), n > 0, without modulo bias worth speaking of (128-bit multiply) */
uint64_t fw_rng_below(fw_rng *r, uint64_t n);
double fw_rng_unit(fw_rng *r); /* [0, 1) */
double fw_rng_normal(fw_rng *r);

/* A sum over many items must not depend on the number of threads: the items are shared out to FW_PARTS parts, each part
 * is summed in order, and so are the parts. Part i of n items: fw_part(n, i) .. fw_part(n, i + 1) - 1. */
#define FW_PARTS ((size_t)64)
static inline size_t fw_part(size_t n, size_t i)
{
    return n * i / FW_PARTS;
}

double fw_now(void);      /* seconds, monotonic */
double fw_cpu(void);      /* CPU seconds of this process so far */
size_t fw_peak_rss(void); /* peak resident bytes of this process */

/* True once the process was asked to stop (SIGINT/SIGTERM). Long loops look at it at least every 100 ms. */
bool fw_stopping(void);
void fw_stop_request(void);   /* async-signal-safe */
int fw_check_stop(fw_err *e); /* FW_OK, or FW_ESTOP with a message */

#endif
