#include "export_place.h"
#include "../lib/file.h"
#include "../lib/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOVING ".moving"
#define GONE   ".gone" /* in MOVING: names of files that the new export does not have, one a line */

static int remove_file(const char *dir, const char *name, fw_err *e)
{
    char *path = fw_format("%s/%s", dir, name);
    int rc = unlink(path) && errno != ENOENT ? fw_fail_errno(e, "remove '%s'", path) : FW_OK;
    fw_free(path);
    return rc;
}

static int remove_gone(const char *moving, const char *dir, fw_err *e)
{
    char *path = fw_format("%s/" GONE, moving), *text = NULL, *rest = NULL;
    size_t n;
    int rc = fw_exists(path) ? fw_file_read(path, 1 << 16, &text, &n, e) : FW_OK;
    for (char *name = text ? strtok_r(text, "\n", &rest) : NULL; name && !rc; name = strtok_r(NULL, "\n", &rest))
        rc = remove_file(dir, name, e);
    free(text);
    fw_free(path);
    return rc;
}

static int move_file(const char *from, const char *to, const char *name, fw_err *e)
{
    char *a = fw_format("%s/%s", from, name), *b = fw_format("%s/%s", to, name);
    int rc = fw_is_dir(b) ? fw_remove_tree(b, e) : FW_OK;
    if (!rc && rename(a, b)) rc = fw_fail_errno(e, "move '%s' to '%s'", a, b);
    fw_free(a);
    fw_free(b);
    return rc;
}

/* May be done again at any point: names to remove are none of those that are moved. */
static int finish(const char *dir, fw_err *e)
{
    char *moving = fw_format("%s/" MOVING, dir);
    fw_names names = {0};
    int rc = remove_gone(moving, dir, e);
    if (!rc) rc = fw_list_dir(moving, &names, e);
    for (size_t i = 0; !rc && i < names.n; i++)
        if (strcmp(names.name[i], GONE)) rc = move_file(moving, dir, names.name[i], e);
    if (!rc) rc = fw_fsync_path(dir, e);
    if (!rc) rc = fw_remove_tree(moving, e);
    fw_names_free(&names);
    fw_free(moving);
    return rc;
}

static int list_gone(const char *staging, const char *const *mine, fw_err *e)
{
    fw_buf text = {0};
    char *path = fw_format("%s/" GONE, staging);
    fw_buf_puts(&text, "");
    for (; mine && *mine; mine++) {
        char *file = fw_format("%s/%s", staging, *mine);
        if (!fw_exists(file)) fw_buf_printf(&text, "%s\n", *mine);
        fw_free(file);
    }
    int rc = fw_file_write(path, text.data, text.len, e);
    fw_buf_free(&text);
    fw_free(path);
    return rc;
}

static int check_free(const char *staging, const char *dir, fw_err *e)
{
    fw_names names;
    FW_TRY(fw_list_dir(staging, &names, e));
    for (size_t i = 0; !e->code && i < names.n; i++) {
        char *path = fw_format("%s/%s", dir, names.name[i]);
        if (fw_exists(path)) fw_fail(e, FW_EUSAGE, "export: '%s' exists already; --force replaces it", path);
        fw_free(path);
    }
    fw_names_free(&names);
    return e->code;
}

int fw_place_commit(const char *staging, const char *dir, const char *const *mine, bool force, fw_err *e)
{
    if (!force) FW_TRY(check_free(staging, dir, e));
    FW_TRY(list_gone(staging, mine, e));
    FW_TRY(fw_fsync_path(staging, e));
    char *moving = fw_format("%s/" MOVING, dir);
    int rc = rename(staging, moving) ? fw_fail_errno(e, "move '%s' to '%s'", staging, moving) : fw_fsync_path(dir, e);
    fw_free(moving);
    return rc ? rc : finish(dir, e);
}

/* .writing.PID of a process that is no more: another export may be at work in the same folder. */
static bool is_left_over(const char *name)
{
    if (strncmp(name, ".writing.", 9)) return false;
    const long pid = strtol(name + 9, NULL, 10);
    return pid <= 0 || pid == (long)getpid() || (kill((pid_t)pid, 0) && errno == ESRCH);
}

int fw_place_recover(const char *dir, fw_err *e)
{
    fw_names names;
    FW_TRY(fw_list_dir(dir, &names, e));
    int rc = FW_OK;
    for (size_t i = 0; !rc && i < names.n; i++) {
        char *path = fw_format("%s/%s", dir, names.name[i]);
        if (!strcmp(names.name[i], MOVING)) {
            fw_log(FW_INFO, "export: finishing the one in '%s' that was interrupted while it was moved there", dir);
            rc = finish(dir, e);
        } else if (is_left_over(names.name[i])) {
            rc = fw_remove_tree(path, e);
        }
        fw_free(path);
    }
    fw_names_free(&names);
    return rc;
}
