/* inventory: what results lie in a workspace, and which of them the plan of this moment reaches.
 *
 * A result is a folder out/STAGE/SHARD-KEY or out/STAGE/all-KEY (lib/store.h). The plan of a run (fw_run_plan) names
 * the folders that should be there; everything else is left over from other settings, other models, images that have
 * gone, or an older program. `status` explains the difference, `gc` removes it. Nothing here writes or locks.
 */
#ifndef FW_INVENTORY_H
#define FW_INVENTORY_H

#include "run.h"

typedef struct fw_found {
    char *path;     /* of the folder */
    size_t stage;   /* registry row, SIZE_MAX: a stage that this program does not have */
    int shard;      /* -1: the whole dataset, or not to be told */
    bool reached;   /* the plan names it */
    uint64_t bytes; /* of its files */
    double when;    /* its last change, seconds since the epoch */
} fw_found;

typedef struct fw_inventory {
    fw_found *item;
    size_t n, cap;
} fw_inventory;

/* Look through out/. On success the caller frees with fw_inventory_free. */
int fw_inventory_take(const fw_run *r, fw_inventory *out, fw_err *e) FW_MUST_USE;
void fw_inventory_free(fw_inventory *inv);

/* Bytes of all files in a folder (0 when there is none); links are not followed. */
uint64_t fw_tree_bytes(const char *path);
/* "12.3 MB", decimal units, into `out`; returns it. */
const char *fw_bytes_text(uint64_t bytes, char *out, size_t size);

/* Why the plan's result of a stage for a shard (-1: the dataset) is missing, in words for a table: what differs between
 * the recipe of the newest result that is there and the one that the plan wants. The caller frees. */
char *fw_inventory_why(const fw_run *r, const fw_inventory *inv, size_t stage, int shard);

#endif
