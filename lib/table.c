#include "table.h"
#include "file.h"
#include "text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fw_table {
    fw_outfile *csv, *json;
    const char *const *columns;
    int at;
    fw_buf line, object;
};

fw_table *fw_table_open(const char *dir, const char *name, const char *const *columns, bool json, fw_err *e)
{
    fw_table *t = FW_NEW(fw_table);
    char *csv = fw_format("%s/%s.csv", dir, name), *lines = fw_format("%s/%s.jsonl", dir, name);
    t->columns = columns;
    t->csv = fw_out_open(csv, e);
    if (t->csv && json) t->json = fw_out_open(lines, e);
    fw_free(csv);
    fw_free(lines);
    if (e->code) {
        if (t->csv)
            (void)!fw_table_close(t, e);
        else
            fw_free(t);
        return NULL;
    }
    for (int i = 0; columns[i]; i++) fw_out_printf(t->csv, "%s%s", i ? "," : "", columns[i]);
    fw_out_puts(t->csv, "\r\n");
    return t;
}

/* Begin a cell: the separators, and the key in JSON. */
static void begin(fw_table *t)
{
    if (t->at) fw_buf_puts(&t->line, ",");
    if (t->json) fw_buf_printf(&t->object, "%s\"%s\": ", t->at ? ", " : "{", t->columns[t->at]);
    t->at++;
}

void fw_cell_text(fw_table *t, const char *s, size_t n)
{
    begin(t);
    fw_text_csv(&t->line, s, n);
    if (!t->json) return;
    fw_buf utf8 = {0};
    fw_buf_puts(&utf8, "");
    fw_text_utf8(&utf8, s, n);
    json_t *value = json_stringn(utf8.data, utf8.len);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    fw_buf_puts(&t->object, text);
    free(text);
    json_decref(value);
    fw_buf_free(&utf8);
}

void fw_cell_word(fw_table *t, const char *s)
{
    fw_cell_text(t, s, strlen(s));
}

void fw_cell_int(fw_table *t, int64_t v)
{
    begin(t);
    fw_buf_printf(&t->line, "%" PRId64, v);
    if (t->json) fw_buf_printf(&t->object, "%" PRId64, v);
}

void fw_cell_real(fw_table *t, double v, int decimals)
{
    if (v != v) {
        fw_cell_none(t);
        return;
    }
    begin(t);
    fw_buf_printf(&t->line, "%.*f", decimals, v);
    if (t->json) fw_buf_printf(&t->object, "%.*f", decimals, v);
}

void fw_cell_none(fw_table *t)
{
    begin(t);
    if (t->json) fw_buf_puts(&t->object, "null");
}

void fw_row_end(fw_table *t)
{
    fw_buf_puts(&t->line, "\r\n");
    fw_out_write(t->csv, t->line.data, t->line.len);
    t->line.len = 0;
    if (t->json) {
        fw_buf_puts(&t->object, "}\n");
        fw_out_write(t->json, t->object.data, t->object.len);
        t->object.len = 0;
    }
    t->at = 0;
}

int fw_table_close(fw_table *t, fw_err *e)
{
    int rc = fw_out_close(t->csv, e);
    if (t->json && fw_out_close(t->json, e) && !rc) rc = e->code;
    fw_buf_free(&t->line);
    fw_buf_free(&t->object);
    fw_free(t);
    return rc;
}
