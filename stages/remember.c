#include "remember.h"
#include "../lib/file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void collect(void *user, const char *name, const char *value)
{
    if (strncmp(name, "run.", 4)) json_object_set_new(user, name, json_string(value));
}

static char *changed(const fw_conf *conf)
{
    json_t *now = json_object(), *preset = json_object(), *value;
    fw_conf *fresh = fw_conf_new();
    const char *name;
    fw_conf_each(conf, collect, now);
    fw_conf_each(fresh, collect, preset);
    json_object_foreach(preset, name, value) if (json_equal(value, json_object_get(now, name)))
        json_object_del(now, name);
    char *json = json_dumps(now, JSON_INDENT(1) | JSON_SORT_KEYS), *text = fw_format("%s\n", json);
    fw_conf_free(fresh);
    json_decref(now), json_decref(preset);
    free(json);
    return text;
}

static char *place(const char *work)
{
    return fw_format("%s/settings.json", work);
}

int fw_remember(const fw_conf *conf, const char *work, fw_err *e)
{
    char *path = place(work), *text = changed(conf), *old = NULL;
    size_t n = 0;
    fw_err none = {0};
    const bool same =
        fw_exists(path) && !fw_file_read(path, 1 << 20, &old, &n, &none) && n == strlen(text) && !memcmp(old, text, n);
    int rc = same ? FW_OK : fw_file_write(path, text, strlen(text), e);
    free(old);
    fw_free(text), fw_free(path);
    return rc;
}

static int take(fw_conf *conf, const json_t *settings, const char *path, fw_err *e)
{
    const char *name;
    json_t *value;
    int rc = FW_OK;
    json_object_foreach((json_t *)(uintptr_t)settings, name, value)
    {
        const char *text = json_string_value(value);
        if (!rc && text && !fw_conf_given(conf, name)) rc = fw_conf_set(conf, name, text, path, e);
    }
    return rc;
}

int fw_recall(const fw_args *a, fw_err *e)
{
    if (!a->work || a->input) return FW_OK;
    char *path = place(a->work);
    json_error_t why;
    json_t *j = fw_exists(path) ? json_load_file(path, 0, &why) : json_object();
    int rc =
        j ? take(a->conf, j, path, e)
          : fw_fail(e, FW_EFAIL, "'%s' is damaged (%s); remove it, and give the run's settings again", path, why.text);
    json_decref(j);
    fw_free(path);
    return rc;
}
