#include "modeldesc.h"

#include <ctype.h>
#include <ini.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* One key: its name and how its text goes into the description. A setter returns NULL, or what is wrong with the value.
 */
typedef struct key {
    const char *name;
    const char *(*set)(fw_modeldesc *d, void *field, const char *text);
    size_t offset;
} key;

/* What the INI reader carries from line to line. */
typedef struct reader {
    fw_modeldesc *d;
    fw_err *e;
    float anchor_base;
    unsigned seen; /* bit per key of the table, to refuse a second one */
    FILE *stream;
    int line;   /* of the last line read, from 1 */
    bool whole; /* that line was read to its end */
} reader;

static bool parse_float(const char *text, float *out)
{
    char *end;
    *out = strtof(text, &end);
    while (isspace((unsigned char)*end)) end++;
    return end != text && !*end && isfinite(*out);
}

/* "a,b,c" into at most `max` numbers; the count, or -1. Cuts `text` up. */
static int parse_list(char *text, float *out, int max)
{
    int n = 0;
    char *save = NULL;
    for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save))
        if (n == max || !parse_float(p, &out[n++])) return -1;
    return n;
}

static const char *set_text(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    if (!*text) return "is empty";
    fw_free(*(char **)field);
    *(char **)field = fw_strdup(text);
    return NULL;
}

static const char *set_sha(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    if (strlen(text) != FW_SHA256_HEX - 1 || strspn(text, "0123456789abcdefABCDEF") != FW_SHA256_HEX - 1)
        return "is not 64 hex digits";
    for (int i = 0; i < FW_SHA256_HEX; i++) ((char *)field)[i] = (char)tolower((unsigned char)text[i]);
    return NULL;
}

static const char *set_task(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    enum fw_model_task *task = field;
    *task = !strcmp(text, "embed") ? FW_TASK_EMBED : !strcmp(text, "detect") ? FW_TASK_DETECT : FW_TASK_NONE;
    return *task ? NULL : "is neither embed nor detect";
}

static const char *set_int(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    float f;
    if (!parse_float(text, &f) || f < 0 || f > 16384 || f != floorf(f)) return "is not a whole number from 0 to 16384";
    *(int *)field = (int)f;
    return NULL;
}

static const char *set_layout(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    *(bool *)field = !strcmp(text, "nhwc");
    return *(bool *)field || !strcmp(text, "nchw") ? NULL : "is neither nchw nor nhwc";
}

static const char *set_channels(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    *(bool *)field = !strcmp(text, "bgr");
    return *(bool *)field || !strcmp(text, "rgb") ? NULL : "is neither rgb nor bgr";
}

static const char *set_bool(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    *(bool *)field = !strcmp(text, "yes");
    return *(bool *)field || !strcmp(text, "no") ? NULL : "is neither yes nor no";
}

static const char *set_scale(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    return parse_float(text, field) && *(float *)field > 0 ? NULL : "is not a number above 0";
}

static const char *set_unit(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    float *f = field;
    return parse_float(text, f) && *f > 0 && *f < 1 ? NULL : "is not a number between 0 and 1";
}

static const char *set_margin(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    return parse_float(text, field) && *(float *)field >= 0 ? NULL : "is not a number of 0 or more";
}

static const char *set_points(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    char *copy = fw_strdup(text);
    const int n = parse_list(copy, field, 10);
    fw_free(copy);
    return n == 10 ? NULL : "is not ten numbers";
}

static const char *set_mean(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    float *mean = field;
    char *copy = fw_strdup(text);
    int n = parse_list(copy, mean, 3);
    fw_free(copy);
    if (n == 1) mean[1] = mean[2] = mean[0];
    return n == 1 || n == 3 ? NULL : "is not one number or three";
}

/* The number of levels is stated twice, by strides and by anchors; whichever comes second must agree. */
static const char *set_levels(fw_modeldesc *d, int n)
{
    if (d->levels && d->levels != n) return "has another number of levels than strides or anchors above";
    d->levels = n;
    return NULL;
}

static const char *set_strides(fw_modeldesc *d, void *field, const char *text)
{
    float f[FW_LEVELS];
    char *copy = fw_strdup(text);
    int n = parse_list(copy, f, FW_LEVELS);
    fw_free(copy);
    for (int i = 0; i < n; i++) {
        if (f[i] < 1 || f[i] > 256 || f[i] != floorf(f[i])) return "has a stride that is not a whole number, 1 to 256";
        ((int *)field)[i] = (int)f[i];
    }
    return n > 0 ? set_levels(d, n) : "is not a list of at most 5 numbers";
}

static const char *set_anchors(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(field);
    char *copy = fw_strdup(text), *save = NULL;
    int levels = 0, n = 0;
    for (char *p = strtok_r(copy, ";", &save); p && n >= 0; p = strtok_r(NULL, ";", &save)) {
        n = levels < FW_LEVELS ? parse_list(p, d->anchor[levels], FW_ANCHORS) : -1;
        for (int i = 0; i < n; i++)
            if (d->anchor[levels][i] <= 0) n = -1;
        if (n > 0) d->anchor_count[levels++] = n;
    }
    fw_free(copy);
    return n > 0 ? set_levels(d, levels) : "is not lists like 32,16;8,4;2,1 (at most 5 levels of 4 positive numbers)";
}

#define FIELD(f) offsetof(fw_modeldesc, f)
static const key KEYS[] = {
    {"name", set_text, FIELD(name)},
    {"task", set_task, FIELD(task)},
    {"file", set_text, FIELD(file)},
    {"sha256", set_sha, FIELD(sha256)},
    {"source", set_text, FIELD(source)},
    {"source_sha256", set_sha, FIELD(source_sha256)},
    {"licence", set_text, FIELD(licence)},
    {"input_width", set_int, FIELD(input_width)},
    {"input_height", set_int, FIELD(input_height)},
    {"stride", set_int, FIELD(stride)},
    {"layout", set_layout, FIELD(nhwc)},
    {"channels", set_channels, FIELD(bgr)},
    {"mean", set_mean, FIELD(mean)},
    {"scale", set_scale, FIELD(scale)},
    {"decoder", set_text, FIELD(decoder)},
    {"template", set_text, FIELD(crop_template)},
    {"points", set_points, FIELD(point)},
    {"box_margin", set_margin, FIELD(box_margin)},
    {"box_size", set_int, FIELD(box_size)},
    {"dim", set_int, FIELD(dim)},
    {"normalised", set_bool, FIELD(normalised)},
    {"strides", set_strides, FIELD(level_stride)},
    {"anchors", set_anchors, FIELD(anchor)},
    {"anchor_base", NULL, 0}, /* kept in the reader: it scales the anchors once all is read */
    {"score_threshold", set_unit, FIELD(score_threshold)},
    {"nms_iou", set_unit, FIELD(nms_iou)},
};

static int set_key(reader *r, const char *name, const char *value)
{
    int line = r->line;
    const char *path = r->d->path;
    for (size_t i = 0; i < FW_COUNT(KEYS); i++) {
        if (strcmp(name, KEYS[i].name)) continue;
        if (r->seen >> i & 1) return fw_fail(r->e, FW_EUSAGE, "%s:%d: '%s' is set twice", path, line, name);
        r->seen |= 1u << i;
        const char *wrong = KEYS[i].set ? KEYS[i].set(r->d, (char *)r->d + KEYS[i].offset, value)
                                        : set_scale(r->d, &r->anchor_base, value);
        if (!wrong) return FW_OK;
        return fw_fail(r->e, FW_EUSAGE, "%s:%d: %s = '%s': the value %s", path, line, name, value, wrong);
    }
    return fw_fail(r->e, FW_EUSAGE, "%s:%d: unknown key '%s' (lib/modeldesc.h lists the keys)", path, line, name);
}

/* Hands inih one line at a time and counts them, because its callback is not told the line number. */
static char *next_line(char *buf, int size, void *stream)
{
    reader *r = stream;
    if (!fgets(buf, size, r->stream)) return NULL;
    if (r->whole) r->line++;
    r->whole = strchr(buf, '\n') != NULL;
    return buf;
}

/* inih's callback. 0 only marks the line as bad; reading goes on, so later lines are ignored once there is an error. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
    reader *r = user;
    if (r->e->code) return 0;
    if (strcmp(section, "model"))
        fw_fail(r->e, FW_EUSAGE, "%s:%d: '%s' is in section [%s]; a model description has only [model]", r->d->path,
                r->line, name, section);
    else
        set_key(r, name, value);
    return !r->e->code;
}

static bool readable(const char *path)
{
    return access(path, R_OK) == 0;
}

/* Replace d->file by where it really is. */
static int find_file(fw_modeldesc *d, const char *models_dir, fw_err *e)
{
    if (d->file[0] == '/') {
        if (readable(d->file)) return FW_OK;
        return fw_fail_errno(e, "model '%s' (%s): open '%s'", d->name, d->path, d->file);
    }
    const char *slash = strrchr(d->path, '/');
    char *beside = slash ? fw_format("%.*s/%s", (int)(slash - d->path), d->path, d->file) : fw_strdup(d->file);
    char *shelf = models_dir ? fw_format("%s/%s", models_dir, d->file) : NULL;
    char **found = readable(beside) ? &beside : shelf && readable(shelf) ? &shelf : NULL;
    int rc = FW_OK;
    if (found) {
        fw_free(d->file);
        d->file = *found;
        *found = NULL;
    } else {
        rc = fw_fail(e, FW_EFAIL, "model '%s' (%s): no readable file '%s'%s%s%s; run `make models`", d->name, d->path,
                     beside, shelf ? " or '" : "", shelf ? shelf : "", shelf ? "'" : "");
    }
    fw_free(beside);
    fw_free(shelf);
    return rc;
}

static int missing(const fw_modeldesc *d, const char *what, fw_err *e)
{
    return fw_fail(e, FW_EUSAGE, "%s: '%s' is missing (lib/modeldesc.h says what it means)", d->path, what);
}

static int check_detect(const fw_modeldesc *d, fw_err *e)
{
    if (!d->level_stride[0]) return missing(d, "strides", e);
    if (!d->anchor_count[0]) return missing(d, "anchors", e);
    for (int l = 0; l < d->levels; l++)
        if (d->stride % d->level_stride[l])
            return fw_fail(e, FW_EUSAGE, "%s: stride %d is not a multiple of the level stride %d", d->path, d->stride,
                           d->level_stride[l]);
    return FW_OK;
}

static int check(const fw_modeldesc *d, fw_err *e)
{
    if (!d->task) return missing(d, "task", e);
    if (!d->file) return missing(d, "file", e);
    if (!d->sha256[0]) return missing(d, "sha256", e);
    if (!d->decoder) return missing(d, "decoder", e);
    if (d->stride < 1) return fw_fail(e, FW_EUSAGE, "%s: stride 0: at least 1 is needed", d->path);
    if (d->task == FW_TASK_DETECT) return check_detect(d, e);
    if (!d->crop_template) return missing(d, "template", e);
    if (!strcmp(d->crop_template, "points") && !d->point[0] && !d->point[2]) return missing(d, "points", e);
    if (!d->input_width || !d->input_height) return missing(d, "input_width and input_height", e);
    return d->dim ? FW_OK : missing(d, "dim", e);
}

/* Defaults that only hold when all lines are read. */
static void complete(fw_modeldesc *d, float anchor_base)
{
    if (!d->name) {
        const char *slash = strrchr(d->path, '/'), *base = slash ? slash + 1 : d->path;
        size_t len = strlen(base);
        d->name = fw_format("%.*s", (int)(len > 4 && !strcmp(base + len - 4, ".ini") ? len - 4 : len), base);
    }
    if (!d->source) d->source = fw_strdup("");
    if (!d->licence) d->licence = fw_strdup("");
    if (!d->crop_template && d->task == FW_TASK_DETECT) d->crop_template = fw_strdup("");
    for (int l = 0; l < d->levels; l++)
        for (int a = 0; a < d->anchor_count[l]; a++) d->anchor[l][a] *= anchor_base;
}

static int read_ini(fw_modeldesc *d, float *anchor_base, fw_err *e)
{
    fw_err own = {0};
    reader r = {.d = d, .e = &own, .anchor_base = 16, .whole = true};
    r.stream = fopen(d->path, "re");
    if (!r.stream) return fw_fail_errno(e, "open model description '%s'", d->path);
    int line = ini_parse_stream(next_line, &r, on_key, &r);
    fclose(r.stream);
    *anchor_base = r.anchor_base;
    if (own.code) return fw_fail(e, own.code, "%s", own.msg);
    if (line > 0) return fw_fail(e, FW_EUSAGE, "%s:%d: neither 'key = value' nor '[model]'", d->path, line);
    return line ? fw_fail(e, FW_EFAIL, "read model description '%s': out of memory", d->path) : FW_OK;
}

int fw_modeldesc_read(const char *ini, const char *models_dir, fw_modeldesc **out, fw_err *e)
{
    fw_modeldesc *d = FW_NEW(fw_modeldesc);
    *out = NULL;
    d->path = fw_strdup(ini);
    d->stride = 32;
    d->scale = 1;
    d->score_threshold = 0.5f;
    d->nms_iou = 0.4f;
    float anchor_base = 16;
    int rc = read_ini(d, &anchor_base, e);
    if (!rc) complete(d, anchor_base);
    if (!rc) rc = check(d, e);
    if (!rc) rc = find_file(d, models_dir, e);
    if (rc)
        fw_modeldesc_free(d);
    else
        *out = d;
    return rc;
}

int fw_modeldesc_verify(const fw_modeldesc *d, fw_err *e)
{
    char hex[FW_SHA256_HEX];
    FW_TRY(fw_sha256_file(d->file, hex, e));
    if (!strcmp(hex, d->sha256)) return FW_OK;
    return fw_fail(e, FW_EFAIL,
                   "model '%s': '%s' is not the file that %s describes (SHA-256 %.12s..., expected %.12s...); "
                   "run `make models`, or correct sha256 if you changed the model",
                   d->name, d->file, d->path, hex, d->sha256);
}

void fw_modeldesc_free(fw_modeldesc *d)
{
    if (!d) return;
    char *texts[] = {d->path, d->name, d->file, d->source, d->licence, d->decoder, d->crop_template};
    for (size_t i = 0; i < FW_COUNT(texts); i++) fw_free(texts[i]);
    fw_free(d);
}
