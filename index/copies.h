/* copies: rows with the very same embedding, bit for bit: the same photo (the same bytes in, the same bytes out) filed
 * twice. Under one label, two copies of a wrong photo would vouch for each other; to the audit they are one photo with
 * one vote. Under two labels, one of the two is wrong, unless both are one person. Re-encoded copies differ in a few
 * bits and are not found here (dup.h finds them).
 */
#ifndef FW_COPIES_H
#define FW_COPIES_H

#include "person.h"

/* first[i]: the first row of i's label with i's embedding; i itself where there is none before it. Returns how many
 * rows have another one before them. Linear in rows, but for a sort of 16 bytes a row inside each label. */
size_t fw_copies_find(const fw_vectors *v, const uint32_t *label, size_t labels, uint32_t *first);

/* Copies under different labels: next[i] is the following row of i's ring of copies, i itself where it is alone. Rows
 * whose label is FW_NONE are left out. Returns how many rows have company. One sort of 16 bytes a row. */
size_t fw_copies_across(const fw_vectors *v, const uint32_t *label, uint32_t *next);

#endif
