/* conf: the settings of one run, from one table (lib/settings.def).
 *
 * Order: defaults, then config files (INI: `[detect]` + `size = 800`), then --set detect.size=800; the last one wins.
 * Every value knows where it came from, so that the effective config can say so. Text values are owned by the conf.
 */
#ifndef FW_CONF_H
#define FW_CONF_H

#include "base.h"

#define FW_C_INT    int64_t
#define FW_C_REAL   double
#define FW_C_BOOL   bool
#define FW_C_TEXT   char *
#define FW_C_CHOICE char *
#define FW_C_SIZE   uint64_t

typedef struct fw_conf {
#define SETTING(type, field, ...) FW_C_##type field;
#include "settings.def"
#undef SETTING
    char *origin; /* owned; one line per value that was set: "name = value  (from)" */
} fw_conf;

fw_conf *fw_conf_new(void);
void fw_conf_free(fw_conf *c);

/* Set one value from text. FW_EUSAGE names the setting, the value, the bounds and the nearest known name. */
int fw_conf_set(fw_conf *c, const char *name, const char *value, const char *from, fw_err *e);
/* "name=value" */
int fw_conf_assign(fw_conf *c, const char *assignment, fw_err *e);
/* Was it set since fw_conf_new, be it to its default? */
bool fw_conf_given(const fw_conf *c, const char *name);
/* A whole INI file; the first bad line is the error: "configs/x.ini:12: ...". */
int fw_conf_file(fw_conf *c, const char *path, fw_err *e);

/* All settings whose name starts with one of the `count` prefixes, as INI-like "name = value" lines in table order. */
void fw_conf_print(const fw_conf *c, const char *const *prefix, size_t count, fw_buf *out);
/* Item i of a TEXT setting that is a list, "a, b": without the blanks around it; the caller frees. NULL behind the
 * last, and for an unknown name. An empty text is a list without items. */
char *fw_conf_item(const fw_conf *c, const char *name, size_t i);
/* Help lines with live defaults and bounds for names starting with `prefix`; returns how many there were. */
int fw_conf_help(const fw_conf *c, const char *prefix, fw_buf *out);
/* Visit every setting as (name, value text): for JSON output and shell completion. */
void fw_conf_each(const fw_conf *c, void (*visit)(void *user, const char *name, const char *value), void *user);

#endif
