/* probe: photos named on a command line: a file, or any source (folder, list, archive ...), one after the other. */
#ifndef FW_PROBE_H
#define FW_PROBE_H

#include "stage.h"

typedef struct fw_probe {
    fw_source *source;
    char *file;       /* a single photo: its key in `source`; NULL: walk */
    const char *name; /* as it was given; borrowed */
    bool done;
} fw_probe;

/* `photo`: whatever it is, it is meant to be a single photo. FW_EUSAGE, FW_EFAIL: not a source. A file that is not
 * there is a probe all the same: looking at it says so. */
int fw_probe_open(const fw_conf *c, const char *name, bool photo, fw_probe *out, fw_err *e) FW_MUST_USE;
/* 1: *key and *shown (what to call it) and *label are the next photo's, valid until the next call; 0: the end; -1. */
int fw_probe_next(fw_probe *p, const char **key, const char **shown, const char **label, fw_err *e);
void fw_probe_close(fw_probe *p);

#endif
