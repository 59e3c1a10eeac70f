#include "paths.h"
#include "file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FW_SHARE
#define FW_SHARE "/usr/local/share/facewash"
#endif
#ifndef FW_MODELS_DEFAULT
#define FW_MODELS_DEFAULT FW_SHARE "/models"
#endif

/* Folder of the running program without its last component, "" when unknown: PREFIX/bin/facewash -> PREFIX. */
static char *program_prefix(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) return fw_strdup("");
    path[n] = 0;
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(path, '/');
        if (slash) *slash = 0;
    }
    return fw_strdup(path);
}

static char *if_has(char *dir, const char *what)
{
    char *probe = fw_format("%s/%s", dir, what);
    bool there = fw_exists(probe);
    fw_free(probe);
    if (there) return dir;
    fw_free(dir);
    return NULL;
}

char *fw_share_dir(fw_err *e)
{
    const char *env = getenv("FACEWASH_SHARE");
    if (env) return fw_strdup(env);
    char *prefix = program_prefix(), *up = fw_format("%s/..", prefix); /* up: build/tests/x */
    char *found = if_has(fw_strdup(prefix), "configs/models");
    if (!found)
        found = if_has(up, "configs/models");
    else
        fw_free(up);
    if (!found) found = if_has(fw_format("%s/share/facewash", prefix), "configs/models");
    if (!found) found = if_has(fw_strdup(FW_SHARE), "configs/models");
    fw_free(prefix);
    if (!found)
        fw_fail(e, FW_EFAIL, "find the program's configs folder: not beside the program nor in %s; set FACEWASH_SHARE",
                FW_SHARE);
    return found;
}

char *fw_models_dir(void)
{
    const char *env = getenv("FACEWASH_MODELS");
    if (env) return fw_strdup(env);
    char *prefix = program_prefix(), *installed = fw_format("%s/share/facewash/models", prefix);
    fw_free(prefix);
    if (fw_is_dir(installed)) return installed;
    fw_free(installed);
    return fw_strdup(FW_MODELS_DEFAULT);
}

char *fw_model_ini(const char *name, fw_err *e)
{
    size_t n = strlen(name);
    if (strchr(name, '/') || (n > 4 && !strcmp(name + n - 4, ".ini"))) return fw_strdup(name);
    char *share = fw_share_dir(e);
    if (!share) return NULL;
    char *ini = fw_format("%s/configs/models/%s.ini", share, name);
    if (!fw_exists(ini)) {
        fw_fail(e, FW_EUSAGE, "find model '%s': no file '%s'; `facewash models` lists what there is", name, ini);
        fw_free(ini);
        ini = NULL;
    }
    fw_free(share);
    return ini;
}
