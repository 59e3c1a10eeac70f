/* knn: the k-nearest-neighbour graph of all embeddings, and the nearest gallery rows of probes.
 *
 * What is computed. sim(i, j) is fw_dot() of the two fp16 rows widened to fp32: one fixed order of operations, so the
 * number is the same on every machine and for (i, j) and (j, i). A row's neighbours are the k rows with the highest
 * sim, ties by ascending id. Rows that are invalid, all zero or not finite take part in nothing: they are nobody's
 * neighbour and have none. With fewer than k other usable rows a row gets them all.
 *
 * Methods.
 *   exact  Certified. All pairs are scored once with the cheapest arithmetic of the CPU (int8 dot products inside the
 *          subspace that the data really span, else bf16, else fp32), every score is pushed to both rows, the best k
 *          plus a few are scored again with sim(). A row is certified when its k-th sim exceeds the highest score that
 *          was dropped by more than the Cauchy-Schwarz bound on the scores' error; other rows are redone with that
 *          bound as a fixed margin. So the result is the true graph, whatever arithmetic found it.
 *   ivf    Spherical k-means lists; each row looks into its nearest lists only, into how many depends on its similarity
 *          to its own centre (join_probes.c): as few as reach `recall_floor`, by two standard errors, on a sample of rows whose true
 *          neighbours are computed; a second sample, not used to choose, gives the reported recall. Queries are grouped
 *          by list and a list is multiplied as a matrix; rows that would need very many lists meet all rows. Inside the lists the answer is exact and certified as above.
 *          (Inverted lists: Jegou, Douze, Schmid 2011, "Product quantization for nearest neighbor search".)
 *   faiss  Any FAISS index_factory string (index/vecindex.h), re-scored with sim(). Where it has inverted lists, nprobe
 *          is doubled until a sample reaches `recall_floor`.
 *   auto   exact up to FW_KNN_AUTO_EXACT usable rows, ivf above.
 *
 * Same bytes for every thread count; exact also for every CPU (ivf may look into another list at the margin). Threads:
 * omp_get_max_threads(). A stop request (fw_stopping) is honoured within 100 ms; the functions then return FW_ESTOP and leave *out NULL.
 */
#ifndef FW_KNN_H
#define FW_KNN_H

#include "graph.h"
#include "vectors.h"

/* Where `auto` goes over from exact to ivf. Seconds of CPU on faces with LFW's covariance: 250 k exact 40, ivf 25; 500 k
 * ivf 97, exact 160 by its square. Up to here the true graph costs less than half a minute more. */
#define FW_KNN_AUTO_EXACT 300000

typedef struct fw_knn_opts {
    const char *method;  /* "auto" (also NULL), "exact", "ivf" or "faiss" */
    int k;               /* neighbours per row; 0: 64. 1..2048 */
    size_t memory;       /* bytes that may be used besides the input; 0: 4 GiB */
    const char *factory; /* method faiss: index_factory string, e.g. "IVF1024,Flat"; NULL: chosen by size */
    double recall_floor; /* method ivf: recall@10 to reach; 0: .99 */
    uint64_t seed;       /* for samples, k-means and rotations */
    const char *kernel;  /* NULL: the CPU's best; else a name of fw_knn_kernels(), e.g. for tests and benchmarks */
    bool uncertified;    /* exact: skip the redoing of uncertified rows (their candidates are still re-scored) */
} fw_knn_opts;

typedef struct fw_knn_report {
    const char *method; /* what ran (static string) */
    char why[200];      /* why, in a sentence for the log */
    const char *kernel; /* arithmetic that found the candidates (static string) */
    size_t rows;        /* usable rows */
    size_t certified;   /* rows certified by the first pass; the others were redone */
    size_t sampled;     /* rows behind recall10 (ivf, faiss) */
    double recall10;    /* recall@10 of the graph; 1 for exact; ivf: as by lists ranked by similarity, see join_ivf.c */
    bool floor_met;     /* recall10 reaches recall_floor */
    int dims_used;      /* dimensions of the subspace that was scored */
    double energy_lost; /* share of the squared length outside of it, mean over rows */
    size_t lists, probes; /* ivf, faiss: number of lists, and of those looked into per row (ivf: on average) */
    double seconds;
} fw_knn_report;

/* Graph of v's rows with themselves. `r` may be NULL. Free *out with fw_graph_free. */
FW_MUST_USE int fw_knn_build(const fw_vectors *v, const fw_knn_opts *o, fw_graph **out, fw_knn_report *r, fw_err *e);

/* Centres of `lists` inverted lists for v's rows, by the k-means of method ivf: lists x dim floats of unit length,
 * owned by the caller. FW_EUSAGE: fewer usable rows than lists. */
FW_MUST_USE int fw_knn_centres(const fw_vectors *v, size_t lists, uint64_t seed, float **out, fw_err *e);

/* For every row of `probe` its k best rows of `gallery` (exact, certified): a graph with probe->n rows whose ids are
 * gallery rows. Both must have the same dim. Only o->k, kernel and seed are looked at. */
FW_MUST_USE int fw_knn_cross(const fw_vectors *probe, const fw_vectors *gallery, const fw_knn_opts *o, fw_graph **out,
                             fw_err *e);

/* Names of the kernels that this CPU can run, best first, NULL at the end. */
const char *const *fw_knn_kernels(void);

#endif
