#include "vectors.h"

#include <math.h>
#include <string.h>

static size_t chunk_of(const fw_vectors *v, size_t row)
{
    size_t lo = 0, hi = v->chunks;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->base[mid] <= row)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

const uint16_t *fw_vectors_half(const fw_vectors *v, size_t row)
{
    size_t c = chunk_of(v, row);
    return v->chunk[c] + (row - v->base[c]) * (size_t)v->dim;
}

static void take_centre(const fw_vectors *v, size_t row, float *x)
{
    if (!v->centre || !fw_vectors_valid(v, row)) return;
    const float *c = v->centre + v->bin[row] * (size_t)v->dim;
    for (int d = 0; d < v->dim; d++) x[d] -= c[d];
    fw_normalise(x, v->dim);
}

void fw_vectors_get(const fw_vectors *v, size_t row, float *out)
{
    fw_half_to_float(fw_vectors_half(v, row), out, (size_t)v->dim);
    take_centre(v, row, out);
}

void fw_vectors_block(const fw_vectors *v, size_t first, size_t count, float *out)
{
    while (count) {
        size_t c = chunk_of(v, first), left = v->base[c + 1] - first, take = count < left ? count : left;
        fw_half_to_float(fw_vectors_half(v, first), out, take * (size_t)v->dim);
        for (size_t k = 0; v->centre && k < take; k++) take_centre(v, first + k, out + k * (size_t)v->dim);
        out += take * (size_t)v->dim;
        first += take;
        count -= take;
    }
}

bool fw_vectors_valid(const fw_vectors *v, size_t row)
{
    return !v->valid || v->valid[row];
}

size_t fw_vectors_usable(const fw_vectors *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++) n += fw_vectors_valid(v, i);
    return n;
}

void fw_vectors_prefetch(const fw_vectors *v, size_t row)
{
    fw_prefetch_half(fw_vectors_half(v, row), v->dim);
}

fw_vectors *fw_vectors_chunks(const uint16_t *const *chunk, const size_t *rows, size_t chunks, int dim,
                              const uint8_t *valid)
{
    fw_vectors *v = FW_NEW(fw_vectors);
    v->dim = dim;
    v->valid = valid;
    v->chunk = FW_ARRAY(const uint16_t *, chunks);
    v->base = FW_ARRAY(size_t, chunks + 1);
    for (size_t c = 0; c < chunks; c++) {
        if (!rows[c]) continue; /* empty chunks would break the search for a row's chunk */
        v->chunk[v->chunks] = chunk[c];
        v->base[++v->chunks] = v->n += rows[c];
    }
    return v;
}

fw_vectors *fw_vectors_wrap(const uint16_t *half, size_t n, int dim, const uint8_t *valid)
{
    return fw_vectors_chunks(&half, &n, 1, dim, valid);
}

fw_vectors *fw_vectors_centred(const fw_vectors *v, const uint8_t *bin, const float *centre)
{
    size_t *rows = FW_ARRAY(size_t, v->chunks + 1);
    for (size_t c = 0; c < v->chunks; c++) rows[c] = v->base[c + 1] - v->base[c];
    fw_vectors *out = fw_vectors_chunks(v->chunk, rows, v->chunks, v->dim, v->valid);
    out->bin = bin;
    out->centre = centre;
    fw_free(rows);
    return out;
}

void fw_vectors_free(fw_vectors *v)
{
    if (!v) return;
    fw_free((void *)v->chunk);
    fw_free(v->base);
    fw_free(v);
}

/* Eight partial sums in a fixed order: the same bytes whatever the compiler's vector width. */
float fw_dot(const float *a, const float *b, int dim)
{
    float s[8] = {0};
    int i = 0;
    for (; i + 8 <= dim; i += 8)
        for (int j = 0; j < 8; j++) s[j] += a[i + j] * b[i + j];
    for (; i < dim; i++) s[0] += a[i] * b[i];
    return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

float fw_normalise(float *v, int dim)
{
    float norm = sqrtf(fw_dot(v, v, dim));
    if (norm > 0)
        for (int i = 0; i < dim; i++) v[i] /= norm;
    return norm;
}
