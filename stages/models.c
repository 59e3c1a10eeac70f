/* models: which model descriptions there are, whether their network files are there and intact, and whether what they
 * say of the input is right. */
#include "../lib/file.h"
#include "../lib/modeldesc.h"
#include "../lib/paths.h"
#include "models_try.h"

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
    const bool extra = rc && strstr(e.msg, "models-extra"); /* its `get`: not part of the default set-up */
    if (!rc && check) rc = fw_modeldesc_verify(d, &e);
    if (d)
        printf("%-20s %-7s %-9s %s\n", d->name, task_name(d->task),
               rc      ? "damaged"
               : check ? "intact"
                       : "there",
               d->file);
    else
        printf("%-20s %-7s %-9s\n", name, "-", extra ? "not here" : "missing");
    if (d && *d->source)
        printf("%20s   from %s, licence: %s\n", "", d->source, *d->licence ? d->licence : "not stated");
    if (rc) printf("%20s   %s\n", "", extra ? "`scripts/setup.sh models-extra` fetches it" : e.msg);
    *bad += rc != FW_OK && !extra;
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

/* The embedders of embed.model, or those that --model names. */
static int check_faces(const fw_args *a, fw_err *e)
{
    char *name;
    int rc = FW_OK;
    for (size_t i = 0; !rc && (name = fw_conf_item(a->conf, "embed.model", i)); i++) {
        fw_modeldesc *d = NULL;
        char *ini = fw_model_ini(name, e), *models = fw_models_dir();
        rc = ini ? fw_modeldesc_read(ini, models, &d, e) : e->code;
        if (!rc) rc = fw_models_check_faces(a, d, e);
        fw_modeldesc_free(d);
        fw_free(models);
        fw_free(ini);
        fw_free(name);
    }
    return rc;
}

int fw_cmd_models(const fw_args *a, fw_err *e)
{
    const char *what = a->nrest ? a->rest[0] : "list";
    const bool check = !strcmp(what, "check");
    if (a->nrest == 2 && !strcmp(what, "add")) return fw_models_add(a, a->rest[1], e);
    if (a->nrest > 1 || (!check && strcmp(what, "list")))
        return fw_fail(e, FW_EUSAGE, "models: expected `facewash models [list|check [--faces]|add FILE]`");
    if (check && a->faces) return check_faces(a, e);
    char *share = fw_share_dir(e);
    if (!share) return e->code;
    char *folder = fw_format("%s/configs/models", share);
    int rc = show_all(folder, check, e);
    fw_free(folder);
    fw_free(share);
    return rc;
}
