/* log: lines for people on stderr, a progress bar on a terminal.
 *
 * One line is one write(2), so lines of several threads never mix. On a terminal the progress bar is the last line and
 * is redrawn under every log line; elsewhere progress prints a plain line at most every ten seconds.
 */
#ifndef FW_LOG_H
#define FW_LOG_H

#include "base.h"

enum fw_level { FW_ERROR, FW_WARN, FW_INFO, FW_DEBUG };

void fw_log_level(enum fw_level most); /* default FW_INFO */
void fw_log(enum fw_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Progress of one step; one at a time. `total` 0: unknown. Call tick from one thread. */
void fw_progress_start(const char *what, const char *unit, uint64_t total);
void fw_progress_tick(uint64_t done);
void fw_progress_end(void); /* removes the bar; no line of its own */

/* Text safe to show on a terminal: control bytes and invalid UTF-8 as \xNN. Returns `out`. */
const char *fw_printable(const char *s, char *out, size_t size);

#endif
