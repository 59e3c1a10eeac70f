#include "intern.h"
#include "hash.h"

#include <string.h>

static size_t probe(const fw_intern *t, const char *text, size_t n)
{
    size_t i = fw_hash_bytes(text, n).lo & (t->slots - 1);
    for (; t->slot[i]; i = (i + 1) & (t->slots - 1)) {
        const char *have = t->text[t->slot[i] - 1];
        if (!strncmp(have, text, n) && !have[n]) break;
    }
    return i;
}

static void grow(fw_intern *t)
{
    t->slots = t->slots ? 2 * t->slots : 1024;
    fw_free(t->slot);
    t->slot = FW_ARRAY(uint32_t, t->slots);
    for (size_t i = 0; i < t->n; i++) t->slot[probe(t, t->text[i], strlen(t->text[i]))] = (uint32_t)i + 1;
}

uint32_t fw_intern_get(fw_intern *t, const char *text, size_t n)
{
    if (2 * (t->n + 1) > t->slots) grow(t);
    size_t at = probe(t, text, n);
    if (t->slot[at]) return t->slot[at] - 1;
    fw_reserve(&t->text, &t->cap, t->n + 1, sizeof *t->text);
    t->text[t->n] = fw_format("%.*s", (int)n, text);
    t->slot[at] = (uint32_t)++t->n;
    return (uint32_t)t->n - 1;
}

void fw_intern_free(fw_intern *t)
{
    for (size_t i = 0; i < t->n; i++) fw_free(t->text[i]);
    fw_free(t->text);
    fw_free(t->slot);
    *t = (fw_intern){0};
}
