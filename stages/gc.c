/* gc: remove the results that the plan of this moment does not reach, and what crashed processes left in tmp/.
 *
 * The plan depends on the settings, so gc must be given the same --config and --set as the run whose results are to
 * stay. Forgetting them must not cost a week of work: when results of the plan are missing, which is what wrong
 * settings look like, gc refuses unless --force is given.
 */
#include "../lib/file.h"
#include "../lib/log.h"
#include "command.h"
#include "inventory.h"

#include <stdio.h>
#include <string.h>

static size_t count_missing(const fw_run *r)
{
    size_t missing = 0;
    for (size_t s = 0; s < r->stages; s++) {
        if (fw_stages[s]->scope == FW_SCOPE_WHOLE) {
            missing += !fw_run_done(r, s, -1);
            continue;
        }
        for (size_t n = 0; n < r->store->shards; n++)
            missing += fw_run_shard_used(r, &r->store->shard[n]) && !fw_run_done(r, s, (int)n);
    }
    return missing;
}

static int remove_one(const char *root, const char *path, uint64_t bytes, bool dry, fw_err *e)
{
    char size[32];
    printf("%s %s (%s)\n", dry ? "would remove" : "removed", path + strlen(root) + 1,
           fw_bytes_text(bytes, size, sizeof size));
    return dry ? FW_OK : fw_remove_tree(path, e);
}

static int collect_results(const fw_run *r, const fw_inventory *inv, bool dry, uint64_t *freed, fw_err *e)
{
    for (size_t i = 0; i < inv->n; i++) {
        if (inv->item[i].reached) continue;
        FW_TRY(remove_one(r->store->root, inv->item[i].path, inv->item[i].bytes, dry, e));
        *freed += inv->item[i].bytes;
    }
    return FW_OK;
}

static int collect_tmp(const fw_run *r, bool dry, uint64_t *freed, fw_err *e)
{
    char *tmp = fw_format("%s/tmp", r->store->root);
    fw_names names;
    int rc = fw_list_dir(tmp, &names, e);
    for (size_t i = 0; !rc && i < names.n; i++) {
        char *path = fw_format("%s/%s", tmp, names.name[i]);
        uint64_t bytes = fw_tree_bytes(path);
        rc = remove_one(r->store->root, path, bytes, dry, e);
        *freed += bytes;
        fw_free(path);
    }
    fw_names_free(&names);
    fw_free(tmp);
    return rc;
}

static int collect(const fw_run *r, const fw_args *a, fw_err *e)
{
    fw_inventory inv;
    uint64_t freed = 0;
    char size[32];
    size_t missing = count_missing(r);
    if (missing && !a->force && !a->dry)
        return fw_fail(
            e, FW_EUSAGE,
            "gc: %zu results of this plan are missing, so other ones may be wanted; give the --config and --set of "
            "your run, run it to its end first, look with --dry-run, or use --force",
            missing);
    FW_TRY(fw_inventory_take(r, &inv, e));
    int rc = collect_results(r, &inv, a->dry, &freed, e);
    if (!rc) rc = collect_tmp(r, a->dry, &freed, e);
    fw_inventory_free(&inv);
    printf("%s %s (%llu bytes)\n", a->dry ? "would free" : "freed", fw_bytes_text(freed, size, sizeof size),
           (unsigned long long)freed);
    return rc;
}

int fw_cmd_gc(const fw_args *a, fw_err *e)
{
    fw_store *s;
    fw_run *r;
    int rc = fw_open_run(a, false, a->dry ? FW_LOCK_NONE : FW_LOCK_EXCLUSIVE, &s, &r, e);
    if (!rc) rc = collect(r, a, e);
    fw_close_run(s, r);
    return rc;
}
