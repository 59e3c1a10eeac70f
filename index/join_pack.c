/* From fp16 rows to the words that kernels read: rotation, rounding, and how much each row lost by it. */
#include "join.h"

#include <math.h>
#include <string.h>

#define FP_EPS 0x1p-24f /* unit roundoff of fp32 */

/* Rows that the rotation is computed from. Not tuned: 16 per dimension at 512; what other rows lose outside
 * of the subspace is measured row by row and enters their bound, so a poor sample costs time, never exactness. */
#define SAMPLE 8192

/* Share of the squared length that may lie outside of the subspace, mean over rows. It enters the bound as the product
 * of two rows' rests, 1e-4 at the mean, 1 % of the rounding error of int8. */
#define ENERGY_LOST 1e-4

static float *sample_rows(const fw_vectors *v, const uint32_t *row, size_t n, size_t *count)
{
    size_t s = n < SAMPLE ? n : SAMPLE;
    float *x = fw_alloc(s * (size_t)v->dim, sizeof *x);
    for (size_t i = 0; i < s; i++) fw_vectors_get(v, row[i * n / s], x + i * (size_t)v->dim);
    *count = s;
    return x;
}

/* Orthonormal rows by Gram-Schmidt, twice for full accuracy. */
static void orthonormalise(double *m, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++)
        for (int pass = 0; pass < 2; pass++) {
            double *x = m + i * cols, norm = 0;
            for (size_t j = 0; j < i; j++) {
                double *y = m + j * cols, d = 0;
                for (size_t c = 0; c < cols; c++) d += x[c] * y[c];
                for (size_t c = 0; c < cols; c++) x[c] -= d * y[c];
            }
            for (size_t c = 0; c < cols; c++) norm += x[c] * x[c];
            for (size_t c = 0; c < cols; c++) x[c] /= sqrt(norm);
        }
}

/* A random rotation spreads each row's length evenly over the components: its largest one, which sets the row's step,
 * is then about 2.7 times the mean one, where along the principal axes it is the first, many times the mean. */
static double *random_rotation(size_t n, uint64_t seed)
{
    fw_rng rng = {seed ^ 0x726F74u};
    double *m = fw_alloc(n * n, sizeof *m);
    for (size_t i = 0; i < n * n; i++) m[i] = fw_rng_normal(&rng);
    orthonormalise(m, n, n);
    return m;
}

/* Smallest multiple of 32 dimensions that loses no more than ENERGY_LOST; all of them when that saves under a tenth. */
static int choose_dims(const double *value, int dim, double *lost)
{
    double total = 0, gone = 0;
    for (int i = 0; i < dim; i++) total += value[i];
    int drop = 0;
    while (drop < dim && gone + value[drop] <= ENERGY_LOST * total) gone += value[drop++];
    int dims = (dim - drop + 31) / 32 * 32;
    if (dims > dim - dim / 10) dims = dim;
    gone = 0;
    for (int i = 0; i < dim - dims; i++) gone += value[i];
    *lost = total > 0 ? fmax(gone / total, 0) : 0;
    return dims;
}

/* q->rotation = random rotation x leading eigenvectors of the second moments (not centred: dot products are not); where
 * all are kept, a random rotation alone does the same. */
static void find_rotation(fw_quant *q, const float *x, size_t count, uint64_t seed)
{
    size_t dim = (size_t)q->dim;
    float *moment = fw_alloc(dim * dim, sizeof *moment);
    double *vec = fw_alloc(dim * dim, sizeof *vec), *value = FW_ARRAY(double, dim);
    fw_gemm_tn(dim, dim, count, x, x, moment);
    for (size_t i = 0; i < dim * dim; i++) vec[i] = moment[i];
    if (fw_eigen(q->dim, vec, value)) { /* no convergence: keep all axes */
        memset(vec, 0, dim * dim * sizeof *vec);
        for (size_t i = 0; i < dim; i++) value[i] = vec[i * dim + i] = 1;
    }
    q->dims = choose_dims(value, q->dim, &q->energy_lost);
    size_t dims = (size_t)q->dims, skip = dim - dims;
    double *spin = random_rotation(dims, seed), *sum = FW_ARRAY(double, dim);
    q->rotation = fw_alloc(dims * dim, sizeof *q->rotation);
    if (skip) orthonormalise(vec + skip * dim, dims, dim);
    for (size_t i = 0; i < dims; i++) {
        memset(sum, 0, dim * sizeof *sum);
        for (size_t j = 0; skip && j < dims; j++)
            for (size_t c = 0; c < dim; c++) sum[c] += spin[i * dims + j] * vec[(skip + j) * dim + c];
        for (size_t c = 0; c < dim; c++) q->rotation[i * dim + c] = (float)(skip ? sum[c] : spin[i * dim + c]);
    }
    fw_free(moment), fw_free(vec), fw_free(value), fw_free(spin), fw_free(sum);
}

static int quantise(float x, float inv)
{
    float y = rintf(x * inv);
    return (int)(y < -127 ? -127 : y > 127 ? 127 : y);
}

fw_quant *fw_quant_new(const fw_vectors *v, const uint32_t *row, size_t n, const fw_kernel *kern, uint64_t seed)
{
    fw_quant *q = FW_NEW(fw_quant);
    *q = (fw_quant){.kern = kern, .dim = v->dim, .dims = v->dim};
    if (kern->word != FW_WORD_INT8 || !n) return q;
    size_t count;
    float *x = sample_rows(v, row, n, &count);
    find_rotation(q, x, count, seed);
    fw_free(x);
    return q;
}

void fw_quant_free(fw_quant *q)
{
    if (!q) return;
    fw_free(q->rotation);
    fw_free(q);
}

static uint16_t to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (uint16_t)((u + 0x7FFFu + (u >> 16 & 1u)) >> 16);
}

static float from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static float largest(const float *x, size_t n)
{
    float m = 0;
    for (size_t i = 0; i < n; i++) m = fabsf(x[i]) > m ? fabsf(x[i]) : m;
    return m;
}

/* One row y (dims floats) into words at w, nr apart; sets the value of one unit, returns the squared rounding error. */
static double encode(const fw_quant *q, const float *y, uint32_t *w, size_t nr, float *unit)
{
    double lost = 0;
    size_t dims = (size_t)q->dims;
    *unit = 1;
    if (q->kern->word == FW_WORD_F32) {
        for (size_t c = 0; c < dims; c++) memcpy(w + c * nr, y + c, sizeof *w);
    } else if (q->kern->word == FW_WORD_BF16) {
        for (size_t c = 0; c < dims; c++) {
            uint16_t h = to_bf16(y[c]);
            double d = (double)y[c] - (double)from_bf16(h);
            w[c / 2 * nr] |= (uint32_t)h << 16 * (c & 1);
            lost += d * d;
        }
    } else {
        float top = largest(y, dims), step = top > 0 ? top / 127 : 1, inv = 1 / step;
        *unit = step;
        for (size_t c = 0; c < dims; c++) {
            int s = quantise(y[c], inv);
            double d = (double)y[c] - (double)step * s;
            w[c / 4 * nr] ^= (uint32_t)(uint8_t)s << 8 * (c & 3);
            lost += d * d;
        }
    }
    return lost;
}

static double square(const float *x, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++) s += (double)x[i] * x[i];
    return s;
}

/* What row i lost. The slack covers the fp32 rotation: `dim` roundings in each of `dims` sums, and the rotation's own.
 */
static void account(fw_pack *p, size_t i, double x2, double y2, double lost)
{
    const fw_quant *q = p->q;
    double norm = sqrt(x2), slack = q->rotation ? norm * FP_EPS * sqrt(q->dims) * (q->dim + 4) : 0;
    double out = fmax(x2 - y2, 0) + 2 * slack * norm;
    p->norm[i] = (float)(norm * 1.000001);
    p->err[i] = (float)((sqrt(lost) + slack) * 1.00001);
    p->rest[i] = q->rotation && q->dims < q->dim ? (float)(sqrt(out) * 1.00001) : 0;
}

/* Each row's loss, given the largest values on either side. */
static void losses(fw_pack *p, float norm, float err, float rest)
{
    /* fw_dot adds dim / 8 + 3 times, a float kernel dim times in two roundings; then the score's own few operations */
    double sums = FP_EPS * (2.2 * p->q->dim + 24) * (norm + err) * (norm + err) / 2;
    for (size_t i = 0; i < p->n; i++) {
        double l = p->err[i] * ((double)norm + err) + (double)p->rest[i] * rest / 2 + sums;
        p->loss[i] = (float)(l * 1.00001);
    }
    for (size_t i = p->n; i < p->panels * (size_t)p->q->kern->nr; i++) p->loss[i] = NAN;
}

void fw_pack_meet(fw_pack *p, fw_pack *g)
{
    float norm = fmaxf(p->norm_max, g->norm_max), err = fmaxf(p->err_max, g->err_max);
    float rest = fmaxf(p->rest_max, g->rest_max);
    losses(p, norm, err, rest);
    if (p != g) losses(g, norm, err, rest);
}

static void pack_panel(fw_pack *p, const fw_vectors *v, const uint32_t *row, size_t panel, float *x, float *y)
{
    const fw_quant *q = p->q;
    size_t nr = (size_t)q->kern->nr, dim = (size_t)q->dim, dims = (size_t)q->dims, first = panel * nr;
    size_t count = p->n - first < nr ? p->n - first : nr;
    uint32_t *w = p->word + panel * p->words * nr;
    for (size_t i = 0; i < count; i++) fw_vectors_get(v, row[first + i], x + i * dim);
    if (q->rotation)
        fw_gemm_nt(count, dims, dim, x, q->rotation, y);
    else
        y = x;
    if (q->kern->word == FW_WORD_INT8)
        for (size_t i = 0; i < p->words * nr; i++) w[i] = 0x80808080u; /* +128: the columns' bytes are unsigned */
    for (size_t i = 0; i < count; i++) {
        double lost = encode(q, y + i * dims, w + i, nr, &p->scale[first + i]);
        account(p, first + i, square(x + i * dim, dim), square(y + i * dims, dims), lost);
    }
}

fw_pack *fw_pack_new(const fw_vectors *v, const uint32_t *row, size_t n, const fw_quant *q)
{
    fw_pack *p = FW_NEW(fw_pack);
    size_t nr = (size_t)q->kern->nr, per = q->kern->word == FW_WORD_INT8 ? 4 : q->kern->word == FW_WORD_BF16 ? 2 : 1;
    size_t step = q->kern->step ? (size_t)q->kern->step : 1, words = ((size_t)q->dims + per - 1) / per;
    *p = (fw_pack){.q = q, .n = n, .panels = (n + nr - 1) / nr, .words = (words + step - 1) / step * step};
    p->word = fw_alloc_aligned(p->panels * nr * p->words, sizeof *p->word);
    p->scale = FW_ARRAY(float, p->panels *nr);
    p->loss = FW_ARRAY(float, p->panels *nr);
    p->norm = FW_ARRAY(float, n);
    p->err = FW_ARRAY(float, n);
    p->rest = FW_ARRAY(float, n);
#pragma omp parallel
    {
        float *x = fw_alloc(nr * (size_t)q->dim, sizeof *x), *y = fw_alloc(nr * (size_t)q->dims, sizeof *y);
#pragma omp for schedule(dynamic, 16)
        for (size_t i = 0; i < p->panels; i++) pack_panel(p, v, row, i, x, y);
        fw_free(x), fw_free(y);
    }
    p->norm_max = largest(p->norm, n);
    p->err_max = largest(p->err, n);
    p->rest_max = largest(p->rest, n);
    for (size_t i = 0; i < p->panels * nr; i++) p->loss[i] = NAN; /* until it has met somebody nothing is certified */
    return p;
}

void fw_pack_free(fw_pack *p)
{
    if (!p) return;
    fw_free(p->word);
    fw_free(p->scale);
    fw_free(p->loss);
    fw_free(p->norm), fw_free(p->err), fw_free(p->rest);
    fw_free(p);
}

static int32_t byte_sum(uint32_t w)
{
    return (int8_t)w + (int8_t)(w >> 8) + (int8_t)(w >> 16) + (int8_t)(w >> 24);
}

/* Columns carry +128 in every byte, rows do not; a row's bias takes it out again. */
static uint32_t flip_of(const fw_pack *p)
{
    return p->q->kern->word == FW_WORD_INT8 ? 0x80808080u : 0;
}

/* The words of position `pos`, as a row's, `step` apart; returns its bias. */
static int32_t take_row(const fw_pack *p, size_t pos, uint32_t *to, size_t step)
{
    size_t nr = (size_t)p->q->kern->nr;
    const uint32_t *from = p->word + pos / nr * nr * p->words + pos % nr;
    const uint32_t flip = flip_of(p);
    int32_t sum = 0;
    for (size_t w = 0; w < p->words; w++) {
        uint32_t x = from[w * nr] ^ flip;
        to[w * step] = x;
        sum += flip ? byte_sum(x) : 0;
    }
    return -128 * sum;
}

void fw_rows_init(fw_rows *r, const fw_pack *p, size_t room)
{
    *r = (fw_rows){.word = fw_alloc_aligned(room * p->words, sizeof *r->word), .bias = FW_ARRAY(int32_t, room)};
}

void fw_rows_free(fw_rows *r)
{
    fw_free(r->word);
    fw_free(r->bias);
}

void fw_rows_take(fw_rows *r, const fw_pack *p, const uint32_t *pos, size_t count)
{
    r->pos = pos;
    for (size_t i = 0; i < count; i++) r->bias[i] = take_row(p, pos[i], r->word + i * p->words, 1);
}

static void row_limits(fw_block *b, const fw_pack *p, size_t i, size_t pos)
{
    b->row_min[i] = -INFINITY;
    b->row_scale[i] = p->scale[pos];
    b->row_loss[i] = p->loss[pos];
}

/* Room for `count` rows; what fills up their last panel is never a hit. */
static void begin_block(fw_block *b, const fw_pack *p, size_t count)
{
    size_t mr = (size_t)p->q->kern->mr, panels = (count + mr - 1) / mr;
    b->count = count;
    b->strip.panels = panels;
    if (count % mr) memset(b->a + (panels - 1) * mr * p->words, 0, mr * p->words * sizeof *b->a);
    for (size_t i = count; i < panels * mr; i++) {
        b->bias[i] = 0;
        b->row_min[i] = INFINITY;
        b->row_scale[i] = 0;
        b->row_loss[i] = NAN;
    }
    for (size_t i = 0; i < FW_COUNT(b->col_min); i++) b->col_min[i] = INFINITY;
}

/* Where row i of a block begins; its words lie `apart`. */
static uint32_t *block_row(const fw_block *b, const fw_pack *p, size_t i, size_t *apart)
{
    size_t mr = (size_t)p->q->kern->mr;
    *apart = p->q->kern->step ? 1 : mr;
    return p->q->kern->step ? b->a + i * p->words : b->a + i / mr * mr * p->words + i % mr;
}

void fw_block_load(fw_block *b, const fw_pack *p, const uint32_t *pick, size_t count)
{
    begin_block(b, p, count);
    for (size_t i = 0; i < count; i++) {
        size_t apart;
        uint32_t *to = block_row(b, p, i, &apart);
        b->bias[i] = take_row(p, pick[i], to, apart);
        row_limits(b, p, i, pick[i]);
    }
}

void fw_block_load_rows(fw_block *b, const fw_pack *p, const fw_rows *r, const uint32_t *pick, size_t count)
{
    size_t words = p->words;
    begin_block(b, p, count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t *from = r->word + pick[i] * words;
        size_t apart;
        uint32_t *to = block_row(b, p, i, &apart);
        if (apart == 1)
            memcpy(to, from, words * sizeof *to);
        else
            for (size_t w = 0; w < words; w++) to[w * apart] = from[w];
        b->bias[i] = r->bias[pick[i]];
        row_limits(b, p, i, r->pos[pick[i]]);
    }
}
