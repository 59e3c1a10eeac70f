/* contested: one photo under several labels (judge.h).
 *
 * It shows one person, so at most one of the labels is right, unless two of them are one person. With o the odds that a
 * label is right on the evidence of its own people, P(right) = o / (1 + sum of all o). A photo that fits one label and
 * no other keeps its score; one that fits two is even between them, and a person has to look.
 */
#include "judge.h"

/* Photos under more labels are placeholders, not portraits: their labels are not asked whether they name one person. */
enum { PORTRAIT = 16 };

uint32_t fw_judge_copy_in(const fw_judge *j, uint32_t i, uint32_t l)
{
    if (!j->ring) return FW_NONE;
    for (uint32_t k = j->ring[i]; k != i; k = j->ring[k])
        if (j->in->label[k] == l && j->a->member[k]) return k;
    return FW_NONE;
}

/* Main centre of row i's label without the row, unit length, into `out`; returns the photos behind it. */
static uint32_t centre_of_others(const fw_judge *j, uint32_t i, float *x, float *out)
{
    uint32_t l = j->in->label[i], n = j->a->id_members[l];
    fw_half_to_float(fw_judge_centre(j->a, j->v, l), out, (size_t)j->v->dim);
    if (!j->a->member[i]) return n;
    fw_vectors_get(j->v, i, x);
    for (int d = 0; d < j->v->dim; d++) out[d] = out[d] * j->norm[l] - x[d];
    fw_normalise(out, j->v->dim);
    return n - 1;
}

/* Do the labels of two copies name one person, going by their other photos? */
static bool one_person(const fw_judge *j, uint32_t i, uint32_t k, float *x)
{
    size_t dim = (size_t)j->v->dim;
    uint32_t a = centre_of_others(j, i, x, x + dim), b = centre_of_others(j, k, x, x + 2 * dim);
    double rho = j->a->calib.rho;
    if (!a || !b) return false;
    return fw_dot(x + dim, x + 2 * dim, j->v->dim) / (fw_size_factor(rho, a) * fw_size_factor(rho, b)) > j->a->t_person;
}

static size_t ring_of(const fw_judge *j, uint32_t i, uint32_t *row)
{
    size_t n = 0;
    uint32_t k = i;
    do {
        if (row) row[n] = k;
        n++;
    } while ((k = j->ring[k]) != i);
    return n;
}

/* Scores of the ring of row i. */
static void weigh_ring(fw_judge *j, uint32_t i, float *x)
{
    size_t n = ring_of(j, i, NULL);
    uint32_t *row = FW_ARRAY(uint32_t, n);
    double *odds = FW_ARRAY(double, n), sum = 1;
    ring_of(j, i, row);
    for (size_t k = 0; k < n; k++) sum += odds[k] = (1 - (double)j->a->score[row[k]]) / fmax(j->a->score[row[k]], 1e-6);
    for (size_t k = 0; k < n; k++) {
        double all = sum;
        for (size_t o = 0; o < n && n <= PORTRAIT; o++)
            if (o != k && one_person(j, row[k], row[o], x)) all -= odds[o];
        float before = j->a->score[row[k]], now = (float)(1 - odds[k] / all);
        j->torn[row[k]] = before <= 0.5f && now <= fw_policy_over(FW_CONSERVATIVE);
        j->a->score[row[k]] = now;
    }
    fw_free(row);
    fw_free(odds);
}

void fw_judge_contested(fw_judge *j)
{
    if (!j->ring) return;
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, 3 * (size_t)j->v->dim);
#pragma omp for schedule(dynamic, 1024)
        for (size_t i = 0; i < j->v->n; i++) {
            uint32_t k = j->ring[i];
            while (k > i) k = j->ring[k];
            if (k == i && j->ring[i] != i) weigh_ring(j, (uint32_t)i, x); /* each ring by its first row */
        }
        fw_free(x);
    }
}
