/* join: scores of many pairs of rows at once, and the few best of them per row. The inside of knn.c.
 *
 * A *pack* holds rows in the form that a kernel reads: groups of `nr` rows (a panel), and in a panel, word after word,
 * the nr rows' 32-bit words side by side. A word is one float, two bf16 or four int8. A kernel multiplies a block of
 * rows A (panels of `mr` rows) with one panel of columns B and reports the pairs whose score reaches the smaller of the
 * row's and the column's threshold. A kernel with a `step` wants the words of a row of A side by side, and the number of
 * words a multiple of step (zeros fill up).
 *
 * A score is an upper bound of the pair's true similarity sim (fw_dot of the fp16 rows): the product of the rounded
 * rows plus what both rows can have lost, by Cauchy-Schwarz from a row's rounding error err and its length `rest`
 * outside of the scored subspace: |sim - product| <= err_i norm_j + (norm_i + err_i) err_j + rest_i rest_j + rounding
 * of the two sums <= loss_i + loss_j. So what is dropped with score <= t has sim <= t, and a row whose k-th sim exceeds
 * t is certified.
 */
#ifndef FW_JOIN_H
#define FW_JOIN_H

#include "vectors.h"

/* Rows of a block of A: a multiple of every kernel's mr and nr; 480 rows of 512 bf16 are half of a 1 MB L2. */
#define FW_JOIN_ROWS 480
/* Lists of candidates that share a lock: divides FW_JOIN_ROWS; a multiple of every kernel's nr. */
#define FW_JOIN_LOCKED 96

enum fw_word { FW_WORD_F32, FW_WORD_BF16, FW_WORD_INT8 };

/* One call of a kernel: `panels` panels of A against one panel of B. Outputs are written as hits in order of rows;
 * room for panels * mr * nr + 16 of them. */
typedef struct fw_strip {
    const uint32_t *a;    /* panels x words x mr, or with a step panels x mr x words */
    const int32_t *bias;  /* int8: starting value per row of A (cancels the +128 of B); else unused */
    const float *row_min; /* threshold per row of A */
    const float *row_scale, *row_loss;
    size_t panels, words;
    const uint32_t *b;    /* words x nr */
    const float *col_min; /* nr thresholds; +inf: the row's alone counts */
    const float *col_scale, *col_loss;
    uint32_t *where; /* out: row << 16 | column */
    float *score;    /* out: sum * row_scale * col_scale + row_loss + col_loss; NaN (padding) is never a hit */
    float *scratch;  /* FW_JOIN_ROWS x nr floats, aligned to 64 bytes, for kernels that need them */
} fw_strip;

typedef struct fw_kernel {
    const char *name;
    enum fw_word word;
    int mr, nr, step;                   /* step 0: A lies word by word */
    size_t (*strip)(const fw_strip *s); /* returns the number of hits */
    bool (*usable)(void);               /* may this CPU run it? */
} fw_kernel;

/* The named kernel, or the best usable one for NULL; NULL if there is none of that name or the CPU lacks it. */
const fw_kernel *fw_kernel_find(const char *name);
const fw_kernel *fw_kernel_at(size_t i); /* i-th of all kernels, best first; NULL past the end */

/* How rows become words: int8 rotates into the subspace that the data span. */
typedef struct fw_quant {
    const fw_kernel *kern;
    int dim, dims;      /* input components; components that are scored */
    float *rotation;    /* dims x dim, orthonormal rows; NULL: identity */
    double energy_lost; /* mean share of the squared length outside of the subspace, on the sample */
} fw_quant;

/* Choose the rotation from a sample of the rows `row` (n of them). */
fw_quant *fw_quant_new(const fw_vectors *v, const uint32_t *row, size_t n, const fw_kernel *kern, uint64_t seed);
void fw_quant_free(fw_quant *q);

typedef struct fw_pack {
    const fw_quant *q;
    size_t n, panels, words;
    uint32_t *word;           /* panels x words x nr; int8 with 128 added to every byte */
    float *scale, *loss;      /* panels x nr; scale 0 and loss NaN where rows fill up the last panel */
    float *norm, *err, *rest; /* per row: length, rounding error, length outside of the subspace (upper bounds) */
    float norm_max, err_max, rest_max;
} fw_pack;

/* Pack rows row[0..n-1] of v in that order. Parallel. Before a search the pack must meet the one that it is searched
 * in. */
fw_pack *fw_pack_new(const fw_vectors *v, const uint32_t *row, size_t n, const fw_quant *q);
/* Set the losses for a search of p in g (the same: for a search in itself). */
void fw_pack_meet(fw_pack *p, fw_pack *g);
void fw_pack_free(fw_pack *p);
/* The best `keep` of all candidates that were offered to a row, kept lazily: a list of up to `cap` keys is cut back to
 * `keep` when it is full, and its threshold is then the worst key kept. What was dropped has a score <= threshold.
 * Ordered by (score descending, id ascending), so the result does not depend on the order of the offers. */
typedef struct fw_cand {
    size_t n;
    uint32_t keep, cap;
    uint64_t *key; /* n x cap */
    uint32_t *len;
    float *min; /* threshold, -inf until something was dropped */
} fw_cand;

void fw_cand_init(fw_cand *c, size_t n, uint32_t keep, uint32_t cap);
void fw_cand_reset(fw_cand *c, size_t n);
void fw_cand_free(fw_cand *c);
void fw_cand_cut(fw_cand *c, size_t row);

/* (score, id) as one number: larger is better. */
static inline uint64_t fw_key(float score, uint32_t id)
{
    union {
        float f;
        uint32_t u;
    } x = {score};
    x.u ^= x.u >> 31 ? 0xFFFFFFFFu : 0x80000000u;
    return (uint64_t)x.u << 32 | (uint32_t)~id;
}
static inline uint32_t fw_key_id(uint64_t key)
{
    return ~(uint32_t)key;
}
static inline float fw_key_score(uint64_t key)
{
    union {
        uint32_t u;
        float f;
    } x = {(uint32_t)(key >> 32)};
    x.u ^= x.u >> 31 ? 0x80000000u : 0xFFFFFFFFu;
    return x.f;
}
static inline void fw_cand_offer(fw_cand *c, size_t row, float score, uint32_t id)
{
    if (!(score >= c->min[row])) return;
    c->key[row * c->cap + c->len[row]++] = fw_key(score, id);
    if (c->len[row] == c->cap) fw_cand_cut(c, row);
}
/* Move the k largest of n keys to the front (any order); returns the smallest of them. 0 < k <= n; keys differ. */
uint64_t fw_key_select(uint64_t *key, size_t n, size_t k);
/* Largest first. */
void fw_key_sort(uint64_t *key, size_t n);

/* The true similarities of row `row` of v to rows `id` of w: out[i] == fw_dot(v[row], w[id[i]]). `query` holds dim
 * 2 floats of scratch. */
void fw_rank_dots(const fw_vectors *v, size_t row, const fw_vectors *w, const uint32_t *id, size_t n, float *query,
                  float *out);

/* How many threads BLAS may use from now on; returns the old number. 1 while our own threads call it, because two pools
 * of threads fight for the cores; back to the old number afterwards, because FAISS's flat search leaves its threads to
 * BLAS. A setting of the whole process: not to be changed while another thread multiplies. */
int fw_blas_threads(int n);
/* C (m x n) = A (m x k) B^T (n x k), all row-major: the only door to BLAS. */
void fw_gemm_nt(size_t m, size_t n, size_t k, const float *a, const float *b, float *c);
/* C (m x n) = A^T B with A k x m and B k x n. */
void fw_gemm_tn(size_t m, size_t n, size_t k, const float *a, const float *b, float *c);
/* Eigenvectors (row i of a, in place) and eigenvalues, ascending, of the symmetric n x n matrix a. 0, or LAPACK's info.
 */
int fw_eigen(int n, double *a, double *value);

/* Offer every pair of p's rows to both rows' lists in c (ids: positions in p). Parallel. */
FW_MUST_USE int fw_join_self(const fw_pack *p, fw_cand *c, fw_err *e);

/* One thread's workspace for scoring a block of rows against panels. */
typedef struct fw_block {
    size_t count; /* rows of the block */
    uint32_t *a;  /* A panels */
    int32_t *bias;
    float row_min[FW_JOIN_ROWS], row_scale[FW_JOIN_ROWS], row_loss[FW_JOIN_ROWS], col_min[64];
    fw_strip strip;
    float *query; /* 2 x dim, for fw_rank_dots */
} fw_block;
void fw_block_init(fw_block *b, const fw_pack *p);
void fw_block_free(fw_block *b);
/* Load rows pick[0..count-1] of p; thresholds start at -inf. */
void fw_block_load(fw_block *b, const fw_pack *p, const uint32_t *pick, size_t count);
/* Rows that are loaded again and again, out of their panels: words of a row side by side, and its bias. */
typedef struct fw_rows {
    const uint32_t *pos; /* positions of the pack, the caller's */
    uint32_t *word;      /* a row's words side by side */
    int32_t *bias;
} fw_rows;
void fw_rows_init(fw_rows *r, const fw_pack *p, size_t room);
void fw_rows_take(fw_rows *r, const fw_pack *p, const uint32_t *pos, size_t count);
void fw_rows_free(fw_rows *r);
/* As fw_block_load, for the rows r->pos[pick[i]]. */
void fw_block_load_rows(fw_block *b, const fw_pack *p, const fw_rows *r, const uint32_t *pick, size_t count);
/* Score against panel `panel` of g; returns the number of hits in b->strip.where / score. */
size_t fw_block_score(fw_block *b, const fw_pack *g, size_t panel);
static inline size_t fw_hit_row(const fw_block *b, size_t hit)
{
    return b->strip.where[hit] >> 16;
}
static inline size_t fw_hit_col(const fw_block *b, size_t hit)
{
    return b->strip.where[hit] & 0xFFFFu;
}

#define FW_JOIN_KEEP_MAX 16384 /* longest list that is re-scored */

/* A search of probes in a gallery (for the self-graph both are the same). Results go straight into the arrays of a
 * graph: probe p's at off[probe_row[p]]. */
typedef struct fw_search {
    const fw_vectors *probe_v, *gallery_v;
    const uint32_t *probe_row, *gallery_row; /* dataset row of each position of the packs */
    const fw_pack *probe, *gallery;
    bool self;        /* a row does not find itself */
    uint32_t k, keep; /* results per probe; candidates re-scored per probe */
    const uint64_t *off;
    uint32_t *id;
    float *sim;
    uint32_t *open; /* probes whose first answer is not certified */
    size_t open_count;
} fw_search;

/* Fill results by the symmetric join (self only; lists of all rows in memory), or block by block those of the probes at
 * positions probes[0..n-1] (NULL: 0 .. n-1). Both leave the uncertified probes in s->open, a fresh table that the caller
 * frees; fw_search_redo then answers those exactly. */
FW_MUST_USE int fw_search_symmetric(fw_search *s, fw_err *e);
FW_MUST_USE int fw_search_blocks(fw_search *s, const uint32_t *probes, size_t n, fw_err *e);
FW_MUST_USE int fw_search_redo(fw_search *s, fw_err *e);
size_t fw_search_symmetric_bytes(const fw_search *s);
/* Re-score the candidates key[0..len-1] (gallery positions) of probe p and write its results; true if certified, given
 * that dropped candidates scored at most `min`. The keys are overwritten. */
bool fw_search_finish(const fw_search *s, float *query, size_t p, uint64_t *key, size_t len, float min);

/* The same in parts, for who ranks many probes at once: the candidates that come first and get their true similarity;
 * those behind them that can still matter, [sure, end), which get it too; then the results. */
size_t fw_finish_best(const fw_search *s, uint64_t *key, size_t len);
size_t fw_finish_hopeful(const fw_search *s, uint64_t *key, size_t sure, size_t len);
bool fw_finish_write(const fw_search *s, size_t p, uint64_t *key, size_t end, float min);

/* True similarities of the rows of a task, which lie near each other, and their candidates. Of vectors without a centre
 * (fw_vectors_centred). */
typedef struct fw_rank {
    const fw_search *s;
    uint16_t *own; /* the task's rows, side by side */
    fw_vectors *rows;
    uint64_t *pair, *spare; /* candidate's position << 32 | place of its key */
    size_t n;
    float *query, *sim;
    uint32_t *id;
} fw_rank;
/* For tasks of at most `rows` probes and rounds of at most `pairs` pairs. */
void fw_rank_init(fw_rank *r, const fw_search *s, size_t rows, size_t pairs);
void fw_rank_free(fw_rank *r);
void fw_rank_rows(fw_rank *r, const uint32_t *pos, size_t count); /* a task: the probes at these positions */
/* Ask for the pair whose key (a gallery position by score) lies at `place` of the task's lists, which are `room` long. */
static inline void fw_rank_ask(fw_rank *r, uint64_t key, size_t place)
{
    r->pair[r->n++] = (uint64_t)fw_key_id(key) << 32 | (uint32_t)place;
}
/* What was asked for becomes keys of true similarity and dataset row, as by fw_true_keys. */
void fw_rank_run(fw_rank *r, uint64_t *key, size_t room);

/* Tables of numbers, owned by the caller: 0 .. n-1; `count` of the usable rows at random places, one from each equal
 * stretch; the members of each list in ascending order, member[first[l]] .. member[first[l + 1] - 1], where `first` has
 * room for lists + 1. */
uint32_t *fw_iota(size_t n);
uint32_t *fw_sample_rows(const uint32_t *row, size_t rows, size_t count, uint64_t seed);
uint32_t *fw_invert(const uint32_t *list, size_t n, size_t lists, size_t *first);
/* The nearest as sets: which k rows of w are nearest to each row of p. */
typedef struct fw_nearest {
    const fw_vectors *v, *w;
    const uint32_t *row, *wrow; /* dataset row of each position of the packs */
    const fw_pack *p, *g;       /* v's and w's; they have met */
    uint32_t k;                 /* at most w's rows, one less with self */
    bool self;                  /* a row does not find itself */
} fw_nearest;
/* *id: p's rows x k rows of w, in no order, owned by the caller. */
FW_MUST_USE int fw_search_nearest(const fw_nearest *n, uint32_t **id, fw_err *e);
/* Parts of a search, for those that go their own ways. The probes at positions pick[0..count-1], FW_JOIN_ROWS at most,
 * against the whole gallery; lists 0..count-1 of c are theirs. */
void fw_search_scan(const fw_search *s, fw_block *b, fw_cand *c, const uint32_t *pick, size_t count);
/* n keys (gallery positions by score) become keys of true similarity and dataset row; n <= FW_JOIN_KEEP_MAX. */
void fw_true_keys(const fw_search *s, float *query, size_t p, uint64_t *key, size_t n);
/* A second look. Hits of the block's rows and a panel, gallery positions begin .. end - 1 of it, get their true similarity and are offered as dataset rows: block row
 * r is probe pos[pick[r]] and has list pick[r] of c (pick NULL: r). c.min is set before, and b->row_min follows it. */
void fw_search_verify(const fw_search *s, fw_block *b, fw_cand *c, const uint32_t *pos, const uint32_t *pick,
                      size_t panel, size_t hits, size_t begin, size_t end);
/* Put keys of true similarity and dataset row, best first, among the results of probe p. */
void fw_search_write(const fw_search *s, size_t p, const uint64_t *key, size_t len);
/* May probe p be answered with gallery position c? */
static inline bool fw_admissible(const fw_search *s, size_t p, size_t c)
{
    return !(s->self && s->gallery_row[c] == s->probe_row[p]);
}
/* Room of a list that keeps `keep`. */
uint32_t fw_list_cap(uint32_t keep);
/* Candidates to re-score for k results of this kernel, as usual. */
uint32_t fw_search_keep(const fw_kernel *kern, uint32_t k);
/* The same for this search (its keep is not read): as many as certify nearly all of a sample of its probes; as usual where
 * there are few. Parallel. */
uint32_t fw_search_pilot(const fw_search *s);

#endif
