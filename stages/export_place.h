/* export_place: a finished export of several files goes to where an older one lies.
 *
 * They cannot all appear in one step. So the staging folder, once complete, is renamed to DIR/.moving: from then on the
 * new export exists, and whoever comes next and finds it half moved, after a crash, moves the rest.
 */
#ifndef FW_EXPORT_PLACE_H
#define FW_EXPORT_PLACE_H

#include "../lib/base.h"

/* Move all files and folders of `staging`, which lies in `dir`, to `dir`, over older ones; without `force` FW_EUSAGE, and
 * nothing moved, when one is there already. Of the names `mine` (ended by NULL; NULL: none), files that an older export
 * left and this one does not have are removed: they would tell of other images. */
FW_MUST_USE int fw_place_commit(const char *staging, const char *dir, const char *const *mine, bool force, fw_err *e);
/* Finish what was interrupted in `dir`, and remove staging folders (.writing.PID) of exports that were killed. */
FW_MUST_USE int fw_place_recover(const char *dir, fw_err *e);

#endif
