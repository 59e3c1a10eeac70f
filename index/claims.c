/* claims: one photo under several labels (judge.h).
 *
 * It shows one person, so at most one of the labels is right, unless two of them are one person. With o the odds that a
 * label is right on the evidence of its own people, P(right) = o / (1 + sum of all o). A photo that fits one label and
 * no other keeps its score; one that fits two is even between them, and a person has to look.
 */
#include "judge.h"

enum { CLAIMS = 16 }; /* labels weighed against each other; a photo under more of them is no portrait of anybody */

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

/* Scores of the ring of row i, of which i is the first. */
static void weigh_claims(fw_judge *j, uint32_t i, float *x)
{
    uint32_t row[CLAIMS];
    double odds[CLAIMS];
    size_t n = 0;
    for (uint32_t k = i;; k = j->ring[k]) {
        if (n == CLAIMS) return;
        odds[n] = (1 - (double)j->a->score[k]) / fmax(j->a->score[k], 1e-6);
        row[n++] = k;
        if (j->ring[k] == i) break;
    }
    for (size_t k = 0; k < n; k++) {
        double all = 1 + odds[k];
        for (size_t o = 0; o < n; o++)
            if (o != k && !one_person(j, row[k], row[o], x)) all += odds[o];
        j->torn[row[k]] = j->a->score[row[k]] <= 0.5f;
        j->a->score[row[k]] = (float)(1 - odds[k] / all);
        j->torn[row[k]] &= j->a->score[row[k]] <= fw_policy_over(FW_CONSERVATIVE);
    }
}

void fw_judge_claims(fw_judge *j)
{
    if (!j->ring) return;
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, 3 * (size_t)j->v->dim);
#pragma omp for schedule(dynamic, 1024)
        for (size_t i = 0; i < j->v->n; i++) {
            uint32_t k = j->ring[i];
            while (k > i) k = j->ring[k];
            if (k == i && j->ring[i] != i) weigh_claims(j, (uint32_t)i, x); /* each ring by its first row */
        }
        fw_free(x);
    }
}
