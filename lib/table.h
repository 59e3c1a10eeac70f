/* table: rows written as CSV (RFC 4180, CRLF, header row, UTF-8) and, on request, the same rows as JSON lines.
 *
 * Call order: open, then per row one fw_cell_* call per column and fw_row_end, then close. Errors stick and come out of
 * close. A missing value is an empty CSV field and null in JSON.
 */
#ifndef FW_TABLE_H
#define FW_TABLE_H

#include "base.h"

typedef struct fw_table fw_table;

/* DIR/NAME.csv and, with `json`, DIR/NAME.jsonl. `columns` is NULL-terminated and borrowed until close. */
fw_table *fw_table_open(const char *dir, const char *name, const char *const *columns, bool json, fw_err *e);
void fw_cell_text(fw_table *t, const char *s, size_t n); /* any bytes, see lib/text.h */
void fw_cell_word(fw_table *t, const char *s);           /* a NUL-terminated name */
void fw_cell_int(fw_table *t, int64_t v);
void fw_cell_real(fw_table *t, double v, int decimals);
void fw_cell_none(fw_table *t);
void fw_row_end(fw_table *t);
int fw_table_close(fw_table *t, fw_err *e) FW_MUST_USE;

#endif
