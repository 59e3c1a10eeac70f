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
    uint64_t seen; /* bit per key of the table, to refuse a second one */
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
    static const char *const names[] = {"", "embed", "detect", "landmarks", "quality"};
    *task = FW_TASK_NONE;
    for (size_t i = 1; i < FW_COUNT(names); i++)
        if (!strcmp(text, names[i])) *task = (enum fw_model_task)i;
    return *task ? NULL : "is none of embed, detect, landmarks, quality";
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

static const char *set_flip(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    enum fw_model_flip *flip = field;
    *flip = !strcmp(text, "sum") ? FW_FLIP_SUM : !strcmp(text, "concat") ? FW_FLIP_CONCAT : FW_FLIP_NONE;
    return *flip || !strcmp(text, "none") ? NULL : "is none of none, sum, concat";
}

static const char *set_pair(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    float *pair = field;
    char *copy = fw_strdup(text);
    const int n = parse_list(copy, pair, 2);
    fw_free(copy);
    return n == 2 && pair[0] != pair[1] ? NULL : "is not two different numbers";
}

static const char *set_thresholds(fw_modeldesc *d, void *field, const char *text)
{
    FW_UNUSED(d);
    float *at = field;
    char *copy = fw_strdup(text);
    const int n = parse_list(copy, at, 2);
    fw_free(copy);
    return n == 2 && at[0] > 0 && at[0] < 1 && at[1] > 0 && at[1] < 1 ? NULL : "is not two numbers between 0 and 1";
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

static const char *set_std(fw_modeldesc *d, void *field, const char *text)
{
    const char *wrong = set_mean(d, field, text);
    for (int i = 0; !wrong && i < 3; i++)
        if (((float *)field)[i] <= 0) wrong = "is not above 0";
    return wrong;
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
    {"file2", set_text, FIELD(part[0].file)},
    {"sha256_2", set_sha, FIELD(part[0].sha256)},
    {"file3", set_text, FIELD(part[1].file)},
    {"sha256_3", set_sha, FIELD(part[1].sha256)},
    {"thresholds", set_thresholds, FIELD(thresholds)},
    {"pyramid", set_unit, FIELD(pyramid)},
    {"min_face", set_int, FIELD(min_face)},
    {"std", set_std, FIELD(std)},
    {"output", set_text, FIELD(output)},
    {"get", set_text, FIELD(get)},
    {"flip", set_flip, FIELD(flip)},
    {"norm_range", set_pair, FIELD(norm_range)},
    {"range", set_pair, FIELD(range)},
    {"five", set_text, FIELD(five)},
};
_Static_assert(FW_COUNT(KEYS) <= 64, "reader.seen has a bit per key");

static int set_key(reader *r, const char *name, const char *value)
{
    int line = r->line;
    const char *path = r->d->path;
    for (size_t i = 0; i < FW_COUNT(KEYS); i++) {
        if (strcmp(name, KEYS[i].name)) continue;
        if (r->seen >> i & 1) return fw_fail(r->e, FW_EUSAGE, "%s:%d: '%s' is set twice", path, line, name);
        r->seen |= (uint64_t)1 << i;
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

/* Replace *file by where it really is. */
static int find_file(const fw_modeldesc *d, char **file, const char *models_dir, fw_err *e)
{
    if (**file == '/') {
        if (readable(*file)) return FW_OK;
        return fw_fail_errno(e, "model '%s' (%s): open '%s'", d->name, d->path, *file);
    }
    const char *slash = strrchr(d->path, '/');
    char *beside = slash ? fw_format("%.*s/%s", (int)(slash - d->path), d->path, *file) : fw_strdup(*file);
    char *shelf = models_dir ? fw_format("%s/%s", models_dir, *file) : NULL;
    char **found = readable(beside) ? &beside : shelf && readable(shelf) ? &shelf : NULL;
    int rc = FW_OK;
    if (found) {
        fw_free(*file);
        *file = *found;
        *found = NULL;
    } else {
        rc = fw_fail(e, FW_EFAIL, "model '%s' (%s): no readable file '%s'%s%s%s; run `%s`", d->name, d->path, beside,
                     shelf ? " or '" : "", shelf ? shelf : "", shelf ? "'" : "", *d->get ? d->get : "make models");
    }
    fw_free(beside);
    fw_free(shelf);
    return rc;
}

static int find_files(fw_modeldesc *d, const char *models_dir, fw_err *e)
{
    FW_TRY(find_file(d, &d->file, models_dir, e));
    for (int i = 0; i < FW_NETS - 1; i++)
        if (d->part[i].file) FW_TRY(find_file(d, &d->part[i].file, models_dir, e));
    return FW_OK;
}

static int missing(const fw_modeldesc *d, const char *what, fw_err *e)
{
    return fw_fail(e, FW_EUSAGE, "%s: '%s' is missing (lib/modeldesc.h says what it means)", d->path, what);
}

static int check_cascade(const fw_modeldesc *d, fw_err *e)
{
    static const char *const names[] = {"file2 and sha256_2", "file3 and sha256_3"};
    for (int i = 0; i < 2; i++)
        if (!d->part[i].file || !d->part[i].sha256[0]) return missing(d, names[i], e);
    if (!(d->thresholds[0] > 0)) return missing(d, "thresholds", e);
    if (d->min_face < 12) return fw_fail(e, FW_EUSAGE, "%s: min_face %d: at least 12 is needed", d->path, d->min_face);
    return FW_OK;
}

static int check_detect(const fw_modeldesc *d, fw_err *e)
{
    if (!strcmp(d->decoder, "mtcnn")) return check_cascade(d, e);
    if (!d->level_stride[0]) return missing(d, "strides", e);
    if (!d->anchor_count[0] && !strcmp(d->decoder, "retinaface")) return missing(d, "anchors", e);
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
    if (!d->input_width || !d->input_height) return missing(d, "input_width and input_height", e);
    if (d->task == FW_TASK_LANDMARKS) return *d->five ? FW_OK : missing(d, "five", e);
    if (d->task == FW_TASK_QUALITY && d->range[0] == d->range[1]) return missing(d, "range", e);
    if (!d->crop_template) return missing(d, "template", e);
    if (!strcmp(d->crop_template, "points") && !d->point[0] && !d->point[2]) return missing(d, "points", e);
    return d->dim || d->task == FW_TASK_QUALITY ? FW_OK : missing(d, "dim", e);
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
    if (!d->get) d->get = fw_strdup("");
    if (!d->five) d->five = fw_strdup("");
    if (d->task == FW_TASK_LANDMARKS && d->range[0] == d->range[1]) d->range[1] = 1;
    if (!d->crop_template && (d->task == FW_TASK_DETECT || d->task == FW_TASK_LANDMARKS))
        d->crop_template = fw_strdup("");
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
    d->pyramid = 0.709f;
    d->min_face = 20;
    float anchor_base = 16;
    int rc = read_ini(d, &anchor_base, e);
    if (!rc) complete(d, anchor_base);
    if (!rc) rc = check(d, e);
    if (!rc) rc = find_files(d, models_dir, e);
    if (rc)
        fw_modeldesc_free(d);
    else
        *out = d;
    return rc;
}

static int verify(const fw_modeldesc *d, const char *file, const char *sha256, fw_err *e)
{
    char hex[FW_SHA256_HEX];
    FW_TRY(fw_sha256_file(file, hex, e));
    if (!strcmp(hex, sha256)) return FW_OK;
    return fw_fail(e, FW_EFAIL,
                   "model '%s': '%s' is not the file that %s describes (SHA-256 %.12s..., expected %.12s...); "
                   "run `%s`, or correct sha256 if you changed the model",
                   d->name, file, d->path, hex, sha256, d->get && *d->get ? d->get : "make models");
}

int fw_modeldesc_verify(const fw_modeldesc *d, fw_err *e)
{
    FW_TRY(verify(d, d->file, d->sha256, e));
    for (int i = 0; i < FW_NETS - 1; i++)
        if (d->part[i].file) FW_TRY(verify(d, d->part[i].file, d->part[i].sha256, e));
    return FW_OK;
}

void fw_modeldesc_free(fw_modeldesc *d)
{
    if (!d) return;
    char *texts[] = {d->path,          d->name,         d->file,         d->source, d->licence, d->decoder,
                     d->crop_template, d->part[0].file, d->part[1].file, d->output, d->get,     d->five};
    for (size_t i = 0; i < FW_COUNT(texts); i++) fw_free(texts[i]);
    fw_free(d);
}
