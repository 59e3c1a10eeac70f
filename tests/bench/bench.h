/* bench: our side of the speed table. The program answers requests on stdin, one line each, so that bench.py can let
 * the two sides of a ratio take turns on a machine that others use too.
 *
 *   STEP  ->  {"wall":seconds, "cpu":seconds of all threads, ...}     set-up is done before the clock starts
 */
#ifndef FW_BENCH_H
#define FW_BENCH_H

#include "lib/base.h"

typedef struct bench {
    size_t rows;        /* of the k-NN steps */
    const char *like;   /* file of N x 512 fp16 whose second moments synthetic rows are drawn with; "-": isotropic */
    const char *kernel; /* of the k-NN graph; NULL: the best of this CPU */
    const char *photos; /* file with a photo's path per line */
    const char *models, *conf; /* folders of .onnx and of .ini files */
    const char *published;     /* folder of the models as published */
    const char *embeddings;    /* where step `embeddings` writes */
    double wall, cpu;          /* of the step that runs */
    struct faces *faces;
    struct knn *knn;
} bench;

typedef struct step {
    const char *name, *help;
    void (*run)(bench *b);
} step;
extern const step bench_faces_steps[], bench_knn_steps[], bench_peak_steps[]; /* end with name NULL */

void bench_start(bench *b);
void bench_stop(bench *b);                        /* times between the two add up */
void bench_field(const char *name, double value); /* one more field of the answer */
void bench_text(const char *name, const char *value);
/* Multiply-adds of words (32 bits: 4 int8, 2 bf16, 1 float) by the instruction of that k-NN kernel, on registers; their
 * number grows with `rounds` and is returned, 0: the kernel is not of this CPU's kind. */
size_t bench_multiply(const char *kernel, size_t rounds);
void bench_must(int rc, const fw_err *e); /* ends the program with the message */

#endif
