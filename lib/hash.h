/* hash: XXH3-128 for content hashes, keys and manifests (not for security; model files use SHA-256, lib/sha256.h). */
#ifndef FW_HASH_H
#define FW_HASH_H

#include "base.h"

typedef struct fw_hash {
    uint64_t hi, lo;
} fw_hash;

fw_hash fw_hash_bytes(const void *p, size_t n);
bool fw_hash_equal(fw_hash a, fw_hash b);
/* 32 hex digits and a NUL. */
void fw_hash_hex(fw_hash h, char out[33]);
bool fw_hash_parse(const char *hex, fw_hash *out);

/* Incremental form. Ownership: free by finish. */
typedef struct fw_hasher fw_hasher;
fw_hasher *fw_hasher_new(void);
void fw_hasher_add(fw_hasher *h, const void *p, size_t n);
void fw_hasher_text(fw_hasher *h, const char *s); /* with its NUL, so that "ab","c" differs from "a","bc" */
fw_hash fw_hasher_finish(fw_hasher *h);

#endif
