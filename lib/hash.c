#include "hash.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static fw_hash from_xxh(XXH128_hash_t x)
{
    return (fw_hash){x.high64, x.low64};
}

fw_hash fw_hash_bytes(const void *p, size_t n)
{
    return from_xxh(XXH3_128bits(p, n));
}

bool fw_hash_equal(fw_hash a, fw_hash b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

void fw_hash_hex(fw_hash h, char out[33])
{
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}

bool fw_hash_parse(const char *hex, fw_hash *out)
{
    uint64_t part[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        const char *digits = "0123456789abcdef", *at = hex[i] ? strchr(digits, hex[i]) : NULL;
        if (!at) return false;
        part[i / 16] = part[i / 16] << 4 | (uint64_t)(at - digits);
    }
    *out = (fw_hash){part[0], part[1]};
    return hex[32] == 0;
}

struct fw_hasher {
    XXH3_state_t *state;
};

fw_hasher *fw_hasher_new(void)
{
    fw_hasher *h = FW_NEW(fw_hasher);
    h->state = XXH3_createState();
    XXH3_128bits_reset(h->state);
    return h;
}

void fw_hasher_add(fw_hasher *h, const void *p, size_t n)
{
    XXH3_128bits_update(h->state, p, n);
}

void fw_hasher_text(fw_hasher *h, const char *s)
{
    fw_hasher_add(h, s, strlen(s) + 1);
}

fw_hash fw_hasher_finish(fw_hasher *h)
{
    fw_hash out = from_xxh(XXH3_128bits_digest(h->state));
    XXH3_freeState(h->state);
    fw_free(h);
    return out;
}
