/* The portable kernel, and the only user of BLAS. */
#include "join.h"

#include <cblas.h>

int fw_blas_threads(int n)
{
#ifdef OPENBLAS_VERSION
    int was = openblas_get_num_threads();
    openblas_set_num_threads(n);
    return was;
#else
    return n;
#endif
}

void fw_gemm_nt(size_t m, size_t n, size_t k, const float *a, const float *b, float *c)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, 1, a, (int)k, b, (int)k, 0, c, (int)n);
}

void fw_gemm_tn(size_t m, size_t n, size_t k, const float *a, const float *b, float *c)
{
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1, a, (int)m, b, (int)n, 0, c, (int)n);
}

/* LAPACK comes inside OpenBLAS; Debian ships no header with it. Eigenvectors by divide and conquer. */
extern void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
                    double *work, const int *lwork, int *iwork, const int *liwork, int *info);

int fw_eigen(int n, double *a, double *value)
{
    int lwork = 1 + 6 * n + 2 * n * n, liwork = 3 + 5 * n, info = 0;
    double *work = FW_ARRAY(double, (size_t)lwork);
    int *iwork = FW_ARRAY(int, (size_t)liwork);
    dsyevd_("V", "U", &n, a, &n, value, work, &lwork, iwork, &liwork, &info);
    fw_free(work);
    fw_free(iwork);
    return info;
}

#define COLS 32

/* A's one panel is a words x FW_JOIN_ROWS matrix, B's a words x COLS one. */
static size_t strip_blas(const fw_strip *s)
{
    size_t hits = 0;
    fw_gemm_tn(FW_JOIN_ROWS, COLS, s->words, (const float *)s->a, (const float *)s->b, s->scratch);
    for (size_t r = 0; r < FW_JOIN_ROWS; r++)
        for (size_t c = 0; c < COLS; c++) {
            float x = s->scratch[r * COLS + c] * s->row_scale[r] * s->col_scale[c] + (s->row_loss[r] + s->col_loss[c]);
            float low = s->row_min[r] < s->col_min[c] ? s->row_min[r] : s->col_min[c];
            s->where[hits] = (uint32_t)(r << 16 | c);
            s->score[hits] = x;
            hits += x >= low;
        }
    return hits;
}

static bool always(void)
{
    return true;
}

extern const fw_kernel fw_kernel_blas;
const fw_kernel fw_kernel_blas = {"portable", FW_WORD_F32, FW_JOIN_ROWS, COLS, 0, strip_blas, always};
