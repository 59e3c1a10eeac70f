/* text: names are bytes; tables are UTF-8. How one becomes the other.
 *
 * A name that is valid UTF-8 stands in CSV and JSON as it is (quoted where the format asks for it). One that is not is
 * written with \xNN for every byte that does not belong to a valid sequence and \\ for a backslash, so nothing is lost
 * and every table stays readable. In .lst files, whose fields end at TAB and newline, control characters and
 * backslashes are escaped the same way; list: sources (lib/source.h) undo it.
 */
#ifndef FW_TEXT_H
#define FW_TEXT_H

#include "base.h"

/* Length of the well-formed UTF-8 sequence at s (n bytes left), 0 if it is none (overlong, surrogate, beyond U+10FFFF).
 */
int fw_utf8_length(const char *s, size_t n);
bool fw_utf8_valid(const char *s, size_t n);

/* Append `s` as valid UTF-8: unchanged when it is, else escaped as above. */
void fw_text_utf8(fw_buf *out, const char *s, size_t n);
/* One field of a .lst file. */
void fw_text_list(fw_buf *out, const char *s, size_t n);
/* Undo fw_text_list in place; other backslashes stay. */
void fw_text_unlist(char *s);
/* One CSV field (RFC 4180): quoted when it holds a quote, comma, CR, LF, or begins or ends with a space. */
void fw_text_csv(fw_buf *out, const char *s, size_t n);

#endif
