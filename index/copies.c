#include "copies.h"

#include <stdlib.h>
#include <string.h>

typedef struct mark {
    uint64_t sum;
    uint32_t row;
} mark;

static int by_sum(const void *a, const void *b)
{
    const mark *x = a, *y = b;
    return x->sum != y->sum ? (x->sum > y->sum) - (x->sum < y->sum) : (x->row > y->row) - (x->row < y->row);
}

/* Any mixing sum will do: rows with equal ones are compared in full. */
static uint64_t sum_of(const uint16_t *x, int dim)
{
    uint64_t s = 0;
    for (int d = 0; d < dim; d++) s = (s ^ x[d]) * 0x9E3779B97F4A7C15u;
    return s;
}

static bool same_bits(const fw_vectors *v, uint32_t a, uint32_t b)
{
    return !memcmp(fw_vectors_half(v, a), fw_vectors_half(v, b), (size_t)v->dim * sizeof(uint16_t));
}

static size_t copies_of_label(const fw_vectors *v, const uint32_t *rows, size_t m, mark *marks, uint32_t *first)
{
    size_t found = 0;
    for (size_t i = 0; i < m; i++) marks[i] = (mark){sum_of(fw_vectors_half(v, rows[i]), v->dim), rows[i]};
    qsort(marks, m, sizeof *marks, by_sum);
    for (size_t i = 1; i < m; i++) {
        uint32_t before = marks[i - 1].row, row = marks[i].row;
        if (marks[i].sum != marks[i - 1].sum || !same_bits(v, before, row)) continue;
        first[row] = first[before];
        found++;
    }
    return found;
}

size_t fw_copies_find(const fw_vectors *v, const uint32_t *label, size_t labels, uint32_t *first)
{
    fw_groups g;
    size_t found = 0, most = 0;
    fw_groups_build(&g, v, label, labels);
    for (size_t i = 0; i < v->n; i++) first[i] = (uint32_t)i;
    for (size_t l = 0; l < labels; l++)
        if (g.off[l + 1] - g.off[l] > most) most = g.off[l + 1] - g.off[l];
#pragma omp parallel reduction(+ : found)
    {
        mark *marks = FW_ARRAY(mark, most + 1);
#pragma omp for schedule(dynamic, 256)
        for (size_t l = 0; l < labels; l++)
            found += copies_of_label(v, g.row + g.off[l], g.off[l + 1] - g.off[l], marks, first);
        fw_free(marks);
    }
    fw_groups_free(&g);
    return found;
}

size_t fw_copies_across(const fw_vectors *v, const uint32_t *label, uint32_t *next)
{
    size_t n = 0, found = 0;
    mark *marks = FW_ARRAY(mark, v->n + 1);
    for (size_t i = 0; i < v->n; i++) {
        next[i] = (uint32_t)i;
        if (label[i] != FW_NONE && fw_vectors_valid(v, i)) marks[n++].row = (uint32_t)i;
    }
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++) marks[i].sum = sum_of(fw_vectors_half(v, marks[i].row), v->dim);
    qsort(marks, n, sizeof *marks, by_sum);
    for (size_t i = 1, first = 0; i < n; i++) {
        uint32_t before = marks[i - 1].row, row = marks[i].row;
        if (marks[i].sum != marks[i - 1].sum || !same_bits(v, before, row)) {
            first = i;
            continue;
        }
        found += i == first + 1 ? 2 : 1;
        next[row] = next[before]; /* back to the first */
        next[before] = row;
    }
    fw_free(marks);
    return found;
}
