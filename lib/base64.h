/* base64: RFC 4648, the standard alphabet with padding, as TSV datasets carry their images. */
#ifndef FW_BASE64_H
#define FW_BASE64_H

#include "base.h"

/* Bytes that `n` characters stand for, at most. */
size_t fw_base64_room(size_t n);
/* Decode `n` characters to `to` (room as above; may be the same place). False: something that is not base64, or a
 * length that cannot be. Missing padding is fine. */
bool fw_base64_decode(const char *text, size_t n, char *to, size_t *bytes);
/* Append the text of `n` bytes. */
void fw_base64_encode(fw_buf *out, const void *bytes, size_t n);

#endif
