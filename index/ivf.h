/* ivf: the graph by inverted lists, inside knn.c. Rows are shared out to lists by k-means; a row looks for neighbours in
 * the lists that are nearest to it, and how many those are is learned (join_probes.c).
 */
#ifndef FW_IVF_H
#define FW_IVF_H

#include "join.h"

/* Rows of a task meet the members of lists, each row those of the lists that it visits (join_visit.c), but never itself.
 * One thread's workspace; `first` is the owner's. */
typedef struct fw_visit {
    const fw_search *s;  /* a set searched in itself: s->probe is s->gallery */
    const size_t *first; /* positions of list l: first[l] .. first[l + 1] - 1 */
    size_t lists;
    fw_block b;
    fw_rows rows;
    fw_cand c; /* list i: what row i of the task has met */
    const uint32_t *pos;
    size_t count;
    /* Kept from task to task: fresh memory for 16 M visits costs as much as sorting them. */
    uint32_t *row, *end;
    size_t room;
} fw_visit;
/* For tasks of at most `rows` rows that keep at most `keep` candidates each, and make fewer than 2^32 visits. */
void fw_visit_init(fw_visit *v, const fw_search *s, const size_t *first, size_t lists, size_t rows, uint32_t keep);
void fw_visit_free(fw_visit *v);
/* A task: the probes at pos[0..count-1] (the caller's, kept), who have met nobody yet. */
void fw_visit_rows(fw_visit *v, const uint32_t *pos, size_t count);
/* Begin a round of visits, of which each row keeps `keep` candidates, no more than fw_visit_init made room for. */
void fw_visit_keep(fw_visit *v, uint32_t keep);
/* Row i visits lists near[off[i]] .. near[off[i + 1] - 1], list by list from `begin` on, and keeps the best by score, or
 * those of at least c.min[i] by true similarity (keys of dataset rows), which is set before. */
void fw_visit_score(fw_visit *v, const size_t *off, const uint32_t *near, size_t begin);
void fw_visit_verify(fw_visit *v, const size_t *off, const uint32_t *near, size_t begin);

/* Room for exactly `need` numbers; what was in it is lost. */
static inline void fw_ivf_room(uint32_t **p, size_t *room, size_t need)
{
    if (need <= *room) return;
    fw_free(*p);
    *p = FW_ARRAY(uint32_t, need);
    *room = need;
}

/* A list's rows are those whose nearest centre it is. Lists that lie near each other have numbers near each other. */
#define FW_IVF_BINS 16
/* A row that looks into all lists need not be grouped with others by list: it meets everybody, panel by panel, which
 * costs as much as visits to one list in so many. Faces lie in 140 dimensions of like weight, where the nearest strangers
 * of a photo without kin are anywhere: 1 M faces, 20 a person, in 25,000 lists: of the 6 % of rows that are hardest, 1,536
 * lists find .91 of the ten nearest, 3,072 .96. A pair is scored in .4 ns of a thread so (AMX), in 5 to 10 by visits; 1 M
 * rows took 158 s (2 threads) without, 139 with 8; since then, by faster memory, 74 with 8 or 16. */
#define FW_IVF_SCAN 12
/* Fewer rows are not tried: the 16 lists of 16 rows that everybody looks into cost more than the symmetric join. */
#define FW_IVF_LEAST 4400
typedef struct fw_ivf_plan {
    size_t lists;
    float edge[FW_IVF_BINS - 1];  /* classes of rows: by similarity to their centre, edge[i] is where i + 1 begins */
    uint32_t probes[FW_IVF_BINS]; /* lists that rows of a class look into; all: they meet everybody panel by panel */
    double mean_probes;           /* over all rows */
    double mean_visits;           /* the same, but all lists count as what that costs */
    double mean_members;          /* rows that a row meets, about, in visits or what costs as much */
    double recall10;              /* on the second half of the sample */
    size_t sampled;               /* rows of that half */
    uint32_t *home;               /* list of each usable row (by position in `row`) */
    uint8_t *bin;                 /* class of each usable row */
    fw_vectors *centre;           /* the centres, rounded to fp16 */
    uint16_t *centre_half;
} fw_ivf_plan;
/* Only the centres of plan->lists lists, at most `rows`. */
FW_MUST_USE int fw_ivf_centres(const fw_vectors *v, const uint32_t *row, size_t rows, const fw_quant *q, uint64_t seed,
                               fw_ivf_plan *plan, fw_err *e);
/* Part of making a plan, after lists and homes (join_probes.c); `all` packs the rows `row`. */
FW_MUST_USE int fw_ivf_choose_probes(const fw_vectors *v, const uint32_t *row, fw_pack *all, uint64_t seed,
                                     double floor, fw_ivf_plan *plan, fw_err *e);
/* Make lists for the `rows` usable rows and find how many of them must be looked into for a recall@10 of `floor`, by two
 * standard errors of the half of the sample that chooses. */
FW_MUST_USE int fw_ivf_plan_make(const fw_vectors *v, const uint32_t *row, size_t rows, const fw_quant *q,
                                 uint64_t seed, double floor, fw_ivf_plan *plan, fw_err *e);
void fw_ivf_plan_free(fw_ivf_plan *plan);
/* The graph: s->off leaves room for k per row; got[row] is how many each got. */
FW_MUST_USE int fw_ivf_search(const fw_ivf_plan *plan, fw_search *s, const uint32_t *row, size_t rows,
                              const fw_quant *q, uint32_t *got, size_t *certified, fw_err *e);

/* One thread's workspace for finding the lists that are nearest to probes of s, whose pack has met the centres'. */
typedef struct fw_near {
    const fw_search *s;
    const fw_pack *centres;
    fw_block b;
    fw_cand c;
    size_t rows, keys; /* that c has room for */
} fw_near;
void fw_near_init(fw_near *n, const fw_search *s, const fw_pack *centres);
void fw_near_free(fw_near *n);
/* The k nearest lists of the probes at pos[0..count-1], by score, the furthest of them last: list j of the
 * i-th goes to out[at[i] + j]. k is at most the number of lists. */
void fw_near_lists(fw_near *n, const uint32_t *pos, size_t count, uint32_t k, const size_t *at, uint32_t *out);

#endif
