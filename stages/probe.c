#include "probe.h"
#include "../lib/file.h"

#include <string.h>

/* A photo by its path is a key of its folder; of "/" where there is no such folder: it will not be there either. */
static char *folder_of(const char *path, const char **key)
{
    const char *slash = strrchr(path, '/');
    *key = slash ? slash + 1 : path;
    char *folder = slash ? fw_format("%.*s", (int)(slash - path) + (slash == path), path) : fw_strdup(".");
    if (fw_is_dir(folder)) return folder;
    fw_free(folder);
    *key = path + strspn(path, "/");
    return fw_strdup("/");
}

static fw_source_opts options(const fw_conf *c)
{
    return (fw_source_opts){.outside_links = c->ingest_outside_links,
                            .tar_field = c->ingest_tar_field,
                            .tsv_key = c->ingest_tsv_key,
                            .tsv_label = (int)c->ingest_tsv_label,
                            .tsv_image = (int)c->ingest_tsv_image};
}

int fw_probe_open(const fw_conf *c, const char *name, bool photo, fw_probe *out, fw_err *e)
{
    fw_source_opts o = options(c);
    *out = (fw_probe){.name = name};
    const bool named = photo; /* not one of many, of which some may be missing */
    photo = photo || (!fw_source_has_scheme(name) && !fw_is_dir(name) && (fw_image_name(name) || !fw_exists(name)));
    if (named && !fw_exists(name)) {
        fw_fail(e, FW_EUSAGE, "'%s': no such photo", name);
    } else if (photo) {
        const char *key;
        char *folder = folder_of(name, &key), *spec = fw_format("dir:%s", folder);
        out->source = fw_source_open(spec, &o, e);
        out->file = fw_strdup(key);
        fw_free(spec);
        fw_free(folder);
    } else {
        out->source = fw_source_open(name, &o, e);
    }
    if (out->source) return FW_OK;
    fw_probe_close(out);
    return e->code;
}

int fw_probe_next(fw_probe *p, const char **key, const char **shown, const char **label, fw_err *e)
{
    fw_record r;
    *label = "";
    if (p->file) {
        if (p->done) return 0;
        p->done = true;
        *key = p->file;
        *shown = p->name;
        return 1;
    }
    int got = fw_source_next(p->source, &r, e);
    if (got == 1) *key = *shown = r.path, *label = r.label;
    return got;
}

void fw_probe_close(fw_probe *p)
{
    fw_source_close(p->source);
    fw_free(p->file);
    *p = (fw_probe){0};
}
