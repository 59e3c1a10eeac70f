#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum type { INT, REAL, BOOL, TEXT, CHOICE, SIZE };

typedef struct entry {
    enum type type;
    const char *name, *preset;
    double min, max;
    const char *hint, *help; /* hint: the choices of CHOICE, else the unit */
    size_t at;               /* offset of the field in fw_conf */
} entry;

static const entry table[] = {
#define SETTING(type, field, name, preset, min, max, hint, help)                                                       \
    {type, name, preset, min, max, hint, help, offsetof(fw_conf, field)},
#include "settings.def"
#undef SETTING
};

static const entry *find(const char *name)
{
    for (size_t i = 0; i < FW_COUNT(table); i++)
        if (!strcmp(table[i].name, name)) return &table[i];
    return NULL;
}

/* Edit distance, to suggest the name that was meant; names are short, so the O(n*m) table on the stack is enough. */
static int distance(const char *a, const char *b)
{
    int row[65];
    int n = (int)strnlen(b, 64);
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1] && i <= 64; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

/* The setting that was meant, by its whole name or what stands behind the dot; NULL: half of it would be another. */
static const char *nearest(const char *name)
{
    const char *best = NULL;
    int least = (int)strlen(name) / 2 + 1;
    for (size_t i = 0; i < FW_COUNT(table); i++) {
        int d = distance(name, table[i].name), behind = distance(name, strchr(table[i].name, '.') + 1);
        if (behind < d) d = behind;
        if (d < least) least = d, best = table[i].name;
    }
    return best;
}

static bool in_choices(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *p = choices; n && *p; p += strcspn(p, "|"), p += *p == '|')
        if (strcspn(p, "|") == n && !strncmp(p, value, n)) return true;
    return false;
}

static bool parse_bool(const char *v, bool *out)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};
    for (size_t i = 0; i < FW_COUNT(yes); i++) {
        if (!strcasecmp(v, yes[i])) return *out = true, true;
        if (!strcasecmp(v, no[i])) return *out = false, true;
    }
    return false;
}

/* A number with nothing behind it, but for K/M/G (2^10, 2^20, 2^30) where `suffix` allows one. */
static bool parse_number(const char *v, bool suffix, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(v, &end);
    if (end == v || errno) return false;
    if (suffix && *end) {
        static const char letters[] = "KMGT";
        const char *at = strchr(letters, *end & ~32);
        if (!at || end[1]) return false;
        for (const char *p = letters; p <= at; p++) *out *= 1024;
        end++;
    }
    return !*end && *out == *out;
}

static int bad_value(const entry *t, const char *value, const char *from, fw_err *e)
{
    static const char *const what[] = {"a whole number", "a number", "yes or no",
                                       "a text",         "one of",   "a size such as 512M"};
    char bounds[80] = "";
    if (t->type == CHOICE)
        snprintf(bounds, sizeof bounds, " %s", t->hint);
    else if (t->max > 0)
        snprintf(bounds, sizeof bounds, " from %g to %g", t->min, t->max);
    else if (t->type == SIZE && t->min > 0)
        snprintf(bounds, sizeof bounds, " of at least %.0fM", t->min / (1 << 20));
    else if (t->min > 0)
        snprintf(bounds, sizeof bounds, " of at least %g", t->min);
    return fw_fail(e, FW_EUSAGE, "%s: %s = '%s': must be %s%s", from, t->name, value, what[t->type], bounds);
}

static int set_entry(fw_conf *c, const entry *t, const char *value, const char *from, fw_err *e)
{
    void *field = (char *)c + t->at;
    double number = 0;
    bool ok = true, flag = false;
    if (t->type == TEXT || t->type == CHOICE) {
        if (t->type == CHOICE && !in_choices(t->hint, value)) return bad_value(t, value, from, e);
        char **text = field;
        char *copy = fw_strdup(value);
        fw_free(*text);
        *text = copy;
        return FW_OK;
    }
    if (t->type == BOOL)
        ok = parse_bool(value, &flag);
    else
        ok = parse_number(value, t->type == SIZE, &number);
    if (ok && t->type == INT) ok = number == (double)(int64_t)number;
    if (ok && t->type != BOOL && (t->min != 0 || t->max > 0))
        ok = number >= t->min && (t->max <= 0 || number <= t->max);
    if (ok && t->type == SIZE) ok = number >= 0 && number < 0x1p63;
    if (!ok) return bad_value(t, value, from, e);
    if (t->type == BOOL)
        *(bool *)field = flag;
    else if (t->type == INT)
        *(int64_t *)field = (int64_t)number;
    else if (t->type == REAL)
        *(double *)field = number;
    else
        *(uint64_t *)field = (uint64_t)number;
    return FW_OK;
}

fw_conf *fw_conf_new(void)
{
    fw_conf *c = FW_NEW(fw_conf);
    fw_err e = {0};
    for (size_t i = 0; i < FW_COUNT(table); i++)
        if (set_entry(c, &table[i], table[i].preset, "defaults", &e)) {
            fprintf(stderr, "facewash: settings.def is wrong: %s\n", e.msg); /* the unit tests load every default */
            abort();
        }
    c->origin = fw_strdup("");
    return c;
}

void fw_conf_free(fw_conf *c)
{
    if (!c) return;
    for (size_t i = 0; i < FW_COUNT(table); i++)
        if (table[i].type == TEXT || table[i].type == CHOICE) fw_free(*(char **)(void *)((char *)c + table[i].at));
    fw_free(c->origin);
    fw_free(c);
}

static int unknown(const char *name, const char *from, fw_err *e)
{
    const char *near = nearest(name);
    if (!near) return fw_fail(e, FW_EUSAGE, "%s: unknown setting '%s'; `facewash help settings` lists all", from, name);
    return fw_fail(e, FW_EUSAGE, "%s: unknown setting '%s'; did you mean '%s'? `facewash help settings` lists all",
                   from, name, near);
}

int fw_conf_set(fw_conf *c, const char *name, const char *value, const char *from, fw_err *e)
{
    const entry *t = find(name);
    if (!t) return unknown(name, from, e);
    FW_TRY(set_entry(c, t, value, from, e));
    char *grown = fw_format("%s%s = %s  (%s)\n", c->origin, name, value, from);
    fw_free(c->origin);
    c->origin = grown;
    return FW_OK;
}

bool fw_conf_given(const fw_conf *c, const char *name)
{
    const size_t n = strlen(name);
    for (const char *line = c->origin; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (!strncmp(line, name, n) && !strncmp(line + n, " = ", 3)) return true;
    return false;
}

int fw_conf_assign(fw_conf *c, const char *assignment, fw_err *e)
{
    const char *eq = strchr(assignment, '=');
    if (!eq || eq == assignment) return fw_fail(e, FW_EUSAGE, "--set '%s': must look like detect.size=800", assignment);
    char *name = fw_strdup(assignment);
    name[eq - assignment] = 0;
    int rc = fw_conf_set(c, name, eq + 1, "--set", e);
    fw_free(name);
    return rc;
}

struct ini_state {
    fw_conf *conf;
    const char *path;
    fw_err *e;
};

static int ini_line(void *user, const char *section, const char *name, const char *value)
{
    struct ini_state *s = user;
    char full[160];
    snprintf(full, sizeof full, "%s%s%s", section, *section ? "." : "", name);
    return fw_conf_set(s->conf, full, value ? value : "", s->path, s->e) == FW_OK;
}

int fw_conf_file(fw_conf *c, const char *path, fw_err *e)
{
    struct ini_state s = {c, path, e};
    int line = ini_parse(path, ini_line, &s);
    if (line == -1) return fw_fail(e, FW_EUSAGE, "read config '%s': %s", path, strerror(errno));
    if (line == 0) return FW_OK;
    if (!e->code)
        fw_fail(e, FW_EUSAGE, "%s:%d: not a 'name = value' line", path, line);
    else
        fw_context(e, "line %d", line);
    return e->code = FW_EUSAGE;
}

static void value_text(const fw_conf *c, const entry *t, char *out, size_t size)
{
    const void *field = (const char *)c + t->at;
    switch (t->type) {
    case INT:
        snprintf(out, size, "%" PRId64, *(const int64_t *)field);
        break;
    case REAL:
        snprintf(out, size, "%.10g", *(const double *)field);
        break;
    case BOOL:
        snprintf(out, size, "%s", *(const bool *)field ? "yes" : "no");
        break;
    case SIZE:
        snprintf(out, size, "%" PRIu64, *(const uint64_t *)field);
        break;
    case TEXT:
    case CHOICE:
        snprintf(out, size, "%s", *(char *const *)field);
        break;
    }
}

void fw_conf_each(const fw_conf *c, void (*visit)(void *user, const char *name, const char *value), void *user)
{
    char text[4096];
    for (size_t i = 0; i < FW_COUNT(table); i++) {
        value_text(c, &table[i], text, sizeof text);
        visit(user, table[i].name, text);
    }
}

void fw_conf_print(const fw_conf *c, const char *const *prefix, size_t count, fw_buf *out)
{
    char text[4096];
    for (size_t i = 0; i < FW_COUNT(table); i++)
        for (size_t p = 0; p < count; p++)
            if (!strncmp(table[i].name, prefix[p], strlen(prefix[p]))) {
                value_text(c, &table[i], text, sizeof text);
                fw_buf_printf(out, "%s = %s\n", table[i].name, text);
                break;
            }
}

static char *item_of(const char *list, size_t i)
{
    for (; i && *list; i--) list += strcspn(list, ","), list += *list == ',';
    size_t n = strcspn(list, ",");
    while (n && isspace((unsigned char)*list)) list++, n--;
    while (n && isspace((unsigned char)list[n - 1])) n--;
    return n ? fw_format("%.*s", (int)n, list) : NULL;
}

char *fw_conf_item(const fw_conf *c, const char *name, size_t i)
{
    for (size_t k = 0; k < FW_COUNT(table); k++)
        if (table[k].type == TEXT && !strcmp(table[k].name, name))
            return item_of(*(char *const *)((const char *)c + table[k].at), i);
    return NULL;
}

int fw_conf_help(const fw_conf *c, const char *prefix, fw_buf *out)
{
    char text[4096], range[100];
    int shown = 0;
    for (size_t i = 0; i < FW_COUNT(table); i++) {
        const entry *t = &table[i];
        if (strncmp(t->name, prefix, strlen(prefix))) continue;
        value_text(c, t, text, sizeof text);
        range[0] = 0;
        if (t->type == CHOICE)
            snprintf(range, sizeof range, ", %s", t->hint);
        else if (t->max > 0)
            snprintf(range, sizeof range, ", %g..%g %s", t->min, t->max, t->hint);
        fw_buf_printf(out, "  %s = %s%s\n      %s\n", t->name, text, range, t->help);
        shown++;
    }
    return shown;
}
