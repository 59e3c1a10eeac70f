/* models: which model descriptions there are, and whether their network files are there and intact. */
#include "../lib/file.h"
#include "../lib/modeldesc.h"
#include "../lib/paths.h"
#include "command.h"

#include <stdio.h>
#include <string.h>

static const char *task_name(enum fw_model_task t)
{
    static const char *const names[] = {"?", "embed", "detect", "landmarks", "quality"};
    return names[t];
}

/* One line per description; with `check` the digest is compared too. Counts what is wrong. */
static void show(const char *ini, const char *name, const char *models, bool check, size_t *bad)
{
    fw_modeldesc *d = NULL;
    fw_err e = {0};
    int rc = fw_modeldesc_read(ini, models, &d, &e);
    if (!rc && check) rc = fw_modeldesc_verify(d, &e);
    if (d)
        printf("%-20s %-7s %-9s %s\n", d->name, task_name(d->task),
               rc      ? "damaged"
               : check ? "intact"
                       : "there",
               d->file);
    else
        printf("%-20s %-7s %-9s\n", name, "-", "missing");
    if (d && *d->source)
        printf("%20s   from %s, licence: %s\n", "", d->source, *d->licence ? d->licence : "not stated");
    if (rc) printf("%20s   %s\n", "", e.msg);
    *bad += rc != FW_OK;
    fw_modeldesc_free(d);
}

static int show_all(const char *folder, bool check, fw_err *e)
{
    fw_names names;
    size_t bad = 0, shown = 0;
    FW_TRY(fw_list_dir(folder, &names, e));
    char *models = fw_models_dir();
    for (size_t i = 0; i < names.n; i++) {
        size_t n = strlen(names.name[i]);
        if (n < 5 || strcmp(names.name[i] + n - 4, ".ini")) continue;
        char *ini = fw_format("%s/%s", folder, names.name[i]);
        names.name[i][n - 4] = 0;
        show(ini, names.name[i], models, check, &bad);
        shown++;
        fw_free(ini);
    }
    printf("descriptions: %s\nnetwork files: %s\n", folder, models);
    fw_free(models);
    fw_names_free(&names);
    if (bad && check)
        return fw_fail(e, FW_EFAIL,
                       "models: %zu of %zu are missing or damaged; `scripts/setup.sh models` fetches the default ones",
                       bad, shown);
    return FW_OK;
}

int fw_cmd_models(const fw_args *a, fw_err *e)
{
    bool check = a->nrest && !strcmp(a->rest[0], "check");
    if (a->nrest > 1 || (a->nrest && !check && strcmp(a->rest[0], "list")))
        return fw_fail(e, FW_EUSAGE, "models: expected `facewash models [list|check]`");
    char *share = fw_share_dir(e);
    if (!share) return e->code;
    char *folder = fw_format("%s/configs/models", share);
    int rc = show_all(folder, check, e);
    fw_free(folder);
    fw_free(share);
    return rc;
}
