/* remember: the settings of a workspace's last `run`, in WORK/settings.json.
 *
 * `run` with --input does what its line says and leaves it there. Whoever comes later without --input (export, status,
 * gc, a stage, `run` that goes on) means the same results, and has not to say it all again: what its own line does not
 * give is taken from there. Settings of run.* are of a machine and an hour, and are not kept.
 */
#ifndef FW_REMEMBER_H
#define FW_REMEMBER_H

#include "command.h"

/* Of `conf`, what differs from the defaults. */
FW_MUST_USE int fw_remember(const fw_conf *conf, const char *work, fw_err *e);
/* Nothing without --work, with --input, or before the first run. */
FW_MUST_USE int fw_recall(const fw_args *a, fw_err *e);

#endif
