/* intern: texts to dense numbers 0.., in order of first appearance; the same text, the same number. */
#ifndef FW_INTERN_H
#define FW_INTERN_H

#include "base.h"

/* Zero-initialise; fw_intern_free when done. */
typedef struct fw_intern {
    char **text; /* n, owned */
    size_t n, cap;
    uint32_t *slot; /* hash table of number + 1, private */
    size_t slots;
} fw_intern;

uint32_t fw_intern_get(fw_intern *t, const char *text, size_t n); /* n bytes, adds what is new */
void fw_intern_free(fw_intern *t);

#endif
