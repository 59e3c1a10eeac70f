/* sha256: SHA-256 digests as lower-case hex, for checking that a model file is the one its description means.
 * (Content identity of images is XXH3-128, see lib/hash.h; SHA-256 is for files that come from outside.)
 * The only user of OpenSSL. */
#ifndef FW_SHA256_H
#define FW_SHA256_H

#include "base.h"

#define FW_SHA256_HEX 65 /* 64 hex digits and a NUL */

/* Digest of a whole file, streamed (1 MiB buffer). FW_EFAIL when it cannot be read. */
int fw_sha256_file(const char *path, char hex[FW_SHA256_HEX], fw_err *e) FW_MUST_USE;
/* Digest of n bytes. FW_EFAIL only when OpenSSL itself refuses. */
int fw_sha256_bytes(const void *bytes, size_t n, char hex[FW_SHA256_HEX], fw_err *e) FW_MUST_USE;

#endif
