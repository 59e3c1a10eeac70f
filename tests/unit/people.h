/* people: synthetic embeddings for tests. A photo is unit(person + noise); persons are random directions. */
#ifndef FW_TEST_PEOPLE_H
#define FW_TEST_PEOPLE_H

#include "../../index/vectors.h"

enum { PEOPLE_DIM = 64 };

/* Photo of person `who` into out (PEOPLE_DIM halves). `noise` .5 gives photos of one person a mean cosine of .8. */
static inline void people_photo(uint64_t who, double noise, fw_rng *r, uint16_t *out)
{
    fw_rng p = {who * 0x9E3779B97F4A7C15ull + 1};
    float x[PEOPLE_DIM];
    for (int d = 0; d < PEOPLE_DIM; d++) x[d] = (float)(fw_rng_normal(&p) + noise * fw_rng_normal(r));
    fw_normalise(x, PEOPLE_DIM);
    fw_float_to_half(x, out, PEOPLE_DIM);
}

#endif
