#include "overlap.h"
#include "hashpairs.h"
#include "reliability.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Photos that stand for a large identity (evenly spread), and rounds of leaving out what does not fit. */
enum { SAMPLE = 64, TRIMS = 2, IMAGE_NEIGHBOURS = 4 };

/* Photos that teach how much a photo can say: beyond so many the answer no longer changes. */
enum { TEACHERS = 16384 };

/* Memory for the centroids of a benchmark's people: 131,072 of 512 dimensions. */
static const size_t CENTRES_MAX = (size_t)256 << 20;

/* Photos under the 1e-3 point to their identity's centroid are not counted in it. */
static const double TRIM_FAR = 1e-3;

/* Two identities are compared when a pair of photos reaches the similarity that this many unrelated ones would. */
static const double CANDIDATES = 3;

/* Likeness that more photos add: see excess(). */
static const double RHO = 0.55, RISE = 0.4;

/* Pairs are judged among their like: by the fewer photos of the two, 1, 2-3, 4 and more. */
enum { CLASSES = 3 };
static const size_t CLASS_FROM[CLASSES + 1] = {1, 2, 4, SIZE_MAX};

/* fdr is the rate under the calibration, which knows no relatives, look-alikes and people under two names: on LFW
 * halves nine in ten findings above chance are of that kind, so a nominal .001 ends near one in a hundred, and what is
 * lost against .005 is under .2 % of the true ones. */
fw_overlap_opts fw_overlap_defaults(void)
{
    return (fw_overlap_opts){.fdr = .001, .stray = 0.0005, .names = false};
}

/* One side's identities: rows by identity and, on demand, trimmed centroids. */
typedef struct people {
    const fw_overlap_side *side;
    uint32_t *of; /* row -> identity: the label, or labels + k for the k-th unlabelled face; none without a face */
    size_t count;
    fw_groups groups;
    double trim;
    float *weight; /* of every photo in its person's centroid; NULL: all alike */
    float *centre; /* of everybody, all photos: count x dim; NULL: too many, found when needed */
} people;

static people people_new(const fw_overlap_side *side, double trim)
{
    people p = {.side = side, .of = FW_ARRAY(uint32_t, side->vectors->n), .count = side->labels, .trim = trim};
    for (size_t i = 0; i < side->vectors->n; i++) {
        p.of[i] = side->label ? side->label[i] : FW_OVERLAP_NONE;
        if (p.of[i] == FW_OVERLAP_NONE && fw_vectors_valid(side->vectors, i)) p.of[i] = (uint32_t)p.count++;
    }
    fw_groups_build(&p.groups, side->vectors, p.of, p.count);
    return p;
}

static void people_free(people *p)
{
    fw_groups_free(&p->groups);
    fw_free(p->weight);
    fw_free(p->centre);
    fw_free(p->of);
}

static void mean_of(const float *x, const float *weight, const uint8_t *fits, size_t n, int dim, float *out)
{
    memset(out, 0, (size_t)dim * sizeof *out);
    for (size_t i = 0; i < n; i++)
        for (int d = 0; fits[i] && d < dim; d++) out[d] += weight[i] * x[i * (size_t)dim + (size_t)d];
    fw_normalise(out, dim);
}

/* Unit-length centroid into `out` (dim), without row `but` (SIZE_MAX: with all). Photos that do not fit are left out;
 * if none fits, all count. */
static void find_centre(const people *p, uint32_t who, size_t but, float *out)
{
    const fw_vectors *v = p->side->vectors;
    size_t first = p->groups.off[who], n = p->groups.off[who + 1] - first, take = n < SAMPLE ? n : SAMPLE;
    float *x = FW_ARRAY(float, take *(size_t)v->dim);
    uint8_t fits[SAMPLE] = {0};
    float weight[SAMPLE];
    for (size_t i = 0; i < take; i++) {
        size_t row = p->groups.row[first + i * n / take];
        fits[i] = row != but;
        weight[i] = p->weight ? p->weight[row] : 1;
        if (fits[i]) fw_vectors_get(v, row, x + i * (size_t)v->dim); /* else zeros, which never fit */
    }
    mean_of(x, weight, fits, take, v->dim, out);
    for (int round = 0; round < TRIMS && take > 2; round++) {
        size_t fit = 0;
        for (size_t i = 0; i < take; i++) fit += fits[i] = fw_dot(out, x + i * (size_t)v->dim, v->dim) >= p->trim;
        if (!fit) break;
        mean_of(x, weight, fits, take, v->dim, out);
    }
    fw_free(x);
}

/* A benchmark's person is compared with many of the training set's. */
static void keep_centres(people *p)
{
    const size_t dim = (size_t)p->side->vectors->dim;
    if (p->count * dim * sizeof(float) > CENTRES_MAX) return;
    float *centre = fw_alloc(p->count * dim, sizeof *centre);
#pragma omp parallel for schedule(dynamic, 64)
    for (size_t i = 0; i < p->count; i++)
        if (!fw_stopping()) find_centre(p, (uint32_t)i, SIZE_MAX, centre + i * dim);
    p->centre = centre;
}

/* The same, or its own computation in `room` (dim). */
static const float *centre_of(const people *p, uint32_t who, float *room)
{
    if (p->centre) return p->centre + who * (size_t)p->side->vectors->dim;
    find_centre(p, who, SIZE_MAX, room);
    return room;
}

/* atanh of every photo's similarity to the rest of its person, for labels of the training set that are taken evenly. */
static float *teach(const people *p)
{
    const fw_vectors *v = p->side->vectors;
    float *target = FW_ARRAY(float, v->n);
    size_t every = v->n / TEACHERS + 1;
    for (size_t i = 0; i < v->n; i++) target[i] = NAN;
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, v->dim), *centre = FW_ARRAY(float, v->dim);
#pragma omp for schedule(dynamic, 64)
        for (size_t l = 0; l < p->side->labels; l += every)
            for (size_t k = p->groups.off[l]; p->groups.off[l + 1] - p->groups.off[l] > 1 && k < p->groups.off[l + 1];
                 k++) {
                if (fw_stopping()) break;
                size_t row = p->groups.row[k];
                fw_vectors_get(v, row, x);
                find_centre(p, (uint32_t)l, row, centre);
                double s = (double)fw_dot(x, centre, v->dim);
                if (s >= p->trim) target[row] = (float)atanh(fmin(s, 0.999));
            }
        fw_free(x);
        fw_free(centre);
    }
    return target;
}

/* Blurred and turned photos say less, and count for less in their person's centroid, on both sides. Degraded LFW,
 * halves that share 305 of 1,957 people: best F1 .970 and .969 without, .979 and .976 with it (weights from the quality
 * measures alone make it .958). Too few photos to learn from: all count alike. */
static void weigh(people *train, people *bench)
{
    fw_reliability r;
    float *target = teach(train);
    const fw_reliability_in in = {train->side->vectors, train->of, train->count, target, NULL};
    if (fw_reliability_learn(&r, &in)) {
        float *value = fw_reliability_foretell(&r, bench->side->vectors, NULL);
        train->weight = fw_reliability_weights(r.value, train->side->vectors->n);
        bench->weight = fw_reliability_weights(value, bench->side->vectors->n);
        fw_free(value);
        fw_reliability_free(&r);
    }
    fw_free(target);
}

typedef struct match {
    uint32_t who, bench; /* identities */
    uint32_t row, bench_row;
    float best;     /* cosine of that closest photo pair */
    float cosine;   /* of the centroids */
    float evidence; /* cosine less what is owed to many photos */
    float score;    /* 1 - false discovery rate */
    int class;
} match;

typedef struct matches {
    match *m;
    size_t count, cap;
} matches;

static int by_people(const void *x, const void *y)
{
    const match *p = x, *q = y;
    if (p->who != q->who) return p->who < q->who ? -1 : 1;
    if (p->bench != q->bench) return p->bench < q->bench ? -1 : 1;
    if (p->best != q->best) return p->best > q->best ? -1 : 1;
    if (p->row != q->row) return p->row < q->row ? -1 : 1;
    return (p->bench_row > q->bench_row) - (p->bench_row < q->bench_row);
}

/* Pairs of identity `who` with a photo pair at `least` or above, each once, with its closest photo pair. */
static void candidates_of(const people *t, const people *b, const fw_graph *cross, double least, size_t who,
                          matches *out)
{
    const size_t old = out->count;
    size_t n = old;
    for (size_t k = t->groups.off[who]; k < t->groups.off[who + 1]; k++) {
        const uint32_t i = t->groups.row[k];
        for (uint64_t j = cross->off[i]; j < cross->off[i + 1] && cross->sim[j] >= least; j++) {
            fw_reserve(&out->m, &out->cap, out->count + 1, sizeof *out->m);
            out->m[out->count++] =
                (match){(uint32_t)who, b->of[cross->id[j]], i, cross->id[j], cross->sim[j], 0, 0, 0, 0};
        }
    }
    if (out->count > old) qsort(out->m + old, out->count - old, sizeof *out->m, by_people);
    for (size_t i = old; i < out->count; i++)
        if (n == old || out->m[n - 1].bench != out->m[i].bench) out->m[n++] = out->m[i];
    out->count = n;
}

/* Of all identities, in their order. */
static void candidates(const people *t, const people *b, const fw_graph *cross, double least, matches *out)
{
    matches part[FW_PARTS] = {0};
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t p = 0; p < FW_PARTS; p++)
        for (size_t who = fw_part(t->count, p); who < fw_part(t->count, p + 1) && !fw_stopping(); who++)
            candidates_of(t, b, cross, least, who, &part[p]);
    for (size_t p = 0; p < FW_PARTS; p++) out->cap += part[p].count;
    out->m = FW_ARRAY(match, out->cap);
    for (size_t p = 0; p < FW_PARTS; p++) {
        if (part[p].count) memcpy(out->m + out->count, part[p].m, part[p].count * sizeof *out->m);
        out->count += part[p].count;
        fw_free(part[p].m);
    }
}

/* Two centroids of one person come closer with every photo, rho f(n)^2 with f(n)^2 = n / (1 + (n-1) rho), up to 1;
 * those of look-alikes do not. What a pair with more than two photos a side lacks of that gain counts against it. LFW:
 * pairs like Jennifer Lopez and Angelina Jolie, .49 with ten photos each, where one person has .8 and more. */
static double excess(size_t photos)
{
    if (photos <= 2) return 0;
    double f = fw_size_factor(RHO, (double)photos), two = fw_size_factor(RHO, 2);
    return RISE * RHO * (f * f - two * two);
}

static size_t photos_of(const people *p, uint32_t who)
{
    return p->groups.off[who + 1] - p->groups.off[who];
}

static int class_of(size_t photos)
{
    int k = 0;
    while (photos >= CLASS_FROM[k + 1]) k++;
    return k;
}

static void compare_people(const people *t, const people *b, matches *l)
{
    int dim = t->side->vectors->dim;
#pragma omp parallel
    {
        float *x = FW_ARRAY(float, dim), *y = FW_ARRAY(float, dim);
        uint32_t held = UINT32_MAX;
#pragma omp for schedule(dynamic, 64)
        for (size_t i = 0; i < l->count; i++) {
            if (fw_stopping()) continue;
            match *m = &l->m[i];
            size_t nt = photos_of(t, m->who), nb = photos_of(b, m->bench);
            if (held != m->who) find_centre(t, held = m->who, SIZE_MAX, x);
            m->cosine = fw_dot(x, centre_of(b, m->bench, y), dim);
            m->evidence = m->cosine - (float)excess(nt < nb ? nt : nb);
            m->class = class_of(nt < nb ? nt : nb);
        }
        fw_free(x);
        fw_free(y);
    }
}

/* Identities of at least `photos` photos. */
static double at_least(const people *p, size_t photos)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) n += photos_of(p, (uint32_t)i) >= photos;
    return (double)n;
}

/* By falling evidence; of equal ones in the order of people, in which the matches lie. */
static int by_evidence(const void *x, const void *y)
{
    const match *p = *(const match *const *)x, *q = *(const match *const *)y;
    if (p->evidence != q->evidence) return p->evidence > q->evidence ? -1 : 1;
    return (p > q) - (p < q);
}

/* False discovery rate of each pair: of the pairs of its class that are at least as alike, the share that chance
 * explains (Benjamini and Hochberg 1995, with the null distribution from the calibration). Made monotone from below. */
static void rate(const people *t, const people *b, const fw_calib *c, matches *l)
{
    match **of = FW_ARRAY(match *, l->count);
    for (int k = 0; k < CLASSES; k++) {
        double pairs = at_least(t, CLASS_FROM[k]) * at_least(b, CLASS_FROM[k]);
        if (k + 1 < CLASSES) pairs -= at_least(t, CLASS_FROM[k + 1]) * at_least(b, CLASS_FROM[k + 1]);
        size_t n = 0;
        for (size_t i = 0; i < l->count; i++)
            if (l->m[i].class == k) of[n++] = &l->m[i];
        if (n) qsort(of, n, sizeof *of, by_evidence);
        for (size_t i = 0; i < n; i++) {
            double fdr = pairs * fw_calib_far(c, (double)of[i]->evidence) / (double)(i + 1);
            of[i]->score = (float)(fdr < 1 ? 1 - fdr : 0);
        }
        for (size_t i = n; i-- > 1;)
            if (of[i - 1]->score < of[i]->score) of[i - 1]->score = of[i]->score;
    }
    fw_free(of);
}

static void emit(fw_overlap *o, fw_overlap_row r)
{
    fw_reserve(&o->row, &o->cap, o->count + 1, sizeof *o->row);
    o->row[o->count++] = r;
}

static uint32_t label_of(const people *p, uint32_t who)
{
    return who < p->side->labels ? who : FW_OVERLAP_NONE;
}

static void emit_identities(const people *t, const matches *l, double least, uint8_t *hit, fw_overlap *o)
{
    for (size_t i = 0; i < l->count; i++) {
        const match *m = &l->m[i];
        if ((double)m->score < least) continue;
        hit[m->who] = 1;
        if (!o->cosine || (double)m->cosine < o->cosine) o->cosine = (double)m->cosine;
        emit(o, (fw_overlap_row){label_of(t, m->who), m->row, m->bench_row, m->cosine, m->score, FW_OVERLAP_FACE});
    }
}

/* A photo of an identity that is not flagged: foreign to its own centroid, and at home with a benchmark person. */
static bool stray(const people *t, const people *b, const fw_calib *c, const fw_graph *cross, size_t row, double most,
                  fw_overlap_row *out)
{
    const fw_vectors *v = t->side->vectors;
    float *x = FW_ARRAY(float, 2 * (size_t)v->dim);
    float *centre = x + v->dim;
    bool found = false;
    fw_vectors_get(v, row, x);
    find_centre(t, t->of[row], row, centre);
    if ((double)fw_dot(x, centre, v->dim) < t->trim) {
        uint32_t hit = cross->id[cross->off[row]];
        float cosine = fw_dot(x, centre_of(b, b->of[hit], centre), v->dim);
        double expected = (double)b->count * fw_calib_far(c, (double)cosine);
        found = expected <= most;
        *out =
            (fw_overlap_row){FW_OVERLAP_NONE, (uint32_t)row, hit, cosine, (float)(1 / (1 + expected)), FW_OVERLAP_FACE};
    }
    fw_free(x);
    return found;
}

static void emit_strays(const people *t, const people *b, const fw_calib *c, const fw_graph *cross, double most,
                        double least, const uint8_t *hit, fw_overlap *o)
{
#pragma omp parallel for schedule(dynamic, 256)
    for (size_t i = 0; i < cross->n; i++) {
        fw_overlap_row r;
        if (fw_stopping()) continue;
        if (cross->off[i] == cross->off[i + 1] || hit[t->of[i]] || (double)cross->sim[cross->off[i]] < least) continue;
        if (photos_of(t, t->of[i]) < 2 || !stray(t, b, c, cross, i, most, &r)) continue;
#pragma omp critical(stray) /* in any order: the rows are sorted in the end */
        emit(o, r);
    }
}

/* Candidate photo pairs (train row, train rows + benchmark row): close neighbours and close hashes. */
static void image_candidates(const fw_overlap_side *t, const fw_overlap_side *b, const fw_graph *cross, double least,
                             fw_pairs *out)
{
    size_t nt = t->vectors->n, nb = b->vectors->n, n = 0;
    fw_hash_row *h = FW_ARRAY(fw_hash_row, nt + nb);
    uint8_t *pictured = FW_ARRAY(uint8_t, nt + nb);
#pragma omp parallel for schedule(static) /* signatures are long: they come from the disk or at least from memory */
    for (size_t i = 0; i < nt + nb; i++) {
        const fw_signature *s = i < nt ? t->signature(t->context, i) : b->signature(b->context, i - nt);
        if (!s || !(s->flags & FW_SIG_HAS_IMAGE) || (s->flags & FW_SIG_FLAT)) continue;
        pictured[i] = 1;
        h[i] = (fw_hash_row){{s->phash[0], s->phash[1]}, (uint32_t)i};
    }
    for (size_t i = 0; i < nt + nb; i++)
        if (pictured[i]) h[n++] = h[i];
    fw_pairs near = {0};
    fw_hash_pairs(h, n, 10, &near);
    for (size_t i = 0; i < near.count; i++)
        if (near.pair[i].a < nt && near.pair[i].b >= nt) fw_pairs_add(out, near.pair[i].a, near.pair[i].b);
    for (size_t i = 0; i < nt; i++)
        for (uint64_t j = cross->off[i]; j < cross->off[i + 1] && j < cross->off[i] + IMAGE_NEIGHBOURS; j++)
            if ((double)cross->sim[j] >= least) fw_pairs_add(out, (uint32_t)i, (uint32_t)(nt + cross->id[j]));
    fw_pairs_unique(out);
    fw_free(near.pair);
    fw_free(h), fw_free(pictured);
}

static double photo_cosine(const fw_overlap_side *t, const fw_overlap_side *b, size_t row, size_t bench)
{
    if (!fw_vectors_valid(t->vectors, row) || !fw_vectors_valid(b->vectors, bench)) return NAN;
    float x[4096], y[4096];
    fw_vectors_get(t->vectors, row, x);
    fw_vectors_get(b->vectors, bench, y);
    return (double)fw_dot(x, y, t->vectors->dim);
}

static void emit_images(const fw_overlap_side *t, const fw_overlap_side *b, const fw_graph *cross, double least,
                        fw_overlap *o)
{
    fw_pairs p = {0};
    image_candidates(t, b, cross, least, &p);
    float *margin = FW_ARRAY(float, p.count), *ncc = FW_ARRAY(float, p.count);
#pragma omp parallel for schedule(dynamic, 32)
    for (size_t i = 0; i < p.count; i++) {
        size_t row = p.pair[i].a, bench = p.pair[i].b - t->vectors->n;
        margin[i] = (float)fw_dup_margin(t->signature(t->context, row), b->signature(b->context, bench),
                                         photo_cosine(t, b, row, bench), &ncc[i]);
    }
    for (size_t i = 0; i < p.count; i++) {
        if (margin[i] <= 0) continue;
        uint32_t row = p.pair[i].a, bench = (uint32_t)(p.pair[i].b - t->vectors->n);
        uint32_t label = t->label ? t->label[row] : FW_OVERLAP_NONE;
        emit(o, (fw_overlap_row){label, row, bench, ncc[i], ncc[i], FW_OVERLAP_IMAGE});
    }
    fw_free(margin);
    fw_free(ncc);
    fw_free(p.pair);
}

bool fw_overlap_name(const char *name, char *out)
{
    int letters = 0;
    for (; *name; name++) {
        unsigned char ch = (unsigned char)*name;
        if (ch < 0x80 && !isalnum(ch)) continue;
        letters += ch >= 0x80 || isalpha(ch);
        *out++ = (char)(ch < 0x80 ? tolower(ch) : ch);
    }
    *out = 0;
    return letters >= 4;
}

typedef struct named {
    char *name;
    uint32_t who;
} named;

static int by_name(const void *x, const void *y)
{
    const named *p = x, *q = y;
    int d = strcmp(p->name, q->name);
    return d ? d : (p->who > q->who) - (p->who < q->who);
}

static named *names_of(const fw_overlap_side *s, size_t *n)
{
    named *list = FW_ARRAY(named, s->labels);
    *n = 0;
    for (size_t l = 0; l < s->labels; l++) {
        char *norm = fw_alloc(strlen(s->name[l]) + 1, 1);
        if (fw_overlap_name(s->name[l], norm))
            list[(*n)++] = (named){norm, (uint32_t)l};
        else
            fw_free(norm);
    }
    qsort(list, *n, sizeof *list, by_name);
    return list;
}

/* First row of every label, or UINT32_MAX. */
static uint32_t *first_rows(const fw_overlap_side *s)
{
    uint32_t *first = FW_ARRAY(uint32_t, s->labels);
    memset(first, 0xff, s->labels * sizeof *first);
    for (size_t i = s->vectors->n; i-- > 0;)
        if (s->label[i] != FW_OVERLAP_NONE) first[s->label[i]] = (uint32_t)i;
    return first;
}

static void emit_names(const fw_overlap_side *t, const fw_overlap_side *b, fw_overlap *o)
{
    if (!t->name || !b->name || !t->label || !b->label) return;
    size_t nt, nb;
    named *x = names_of(t, &nt), *y = names_of(b, &nb);
    uint32_t *tr = first_rows(t), *br = first_rows(b);
    for (size_t i = 0, j = 0; i < nt; i++) {
        while (j < nb && strcmp(y[j].name, x[i].name) < 0) j++;
        for (size_t k = j; k < nb && !strcmp(y[k].name, x[i].name); k++)
            if (tr[x[i].who] != UINT32_MAX && br[y[k].who] != UINT32_MAX)
                emit(o, (fw_overlap_row){x[i].who, tr[x[i].who], br[y[k].who], 1, 1, FW_OVERLAP_NAME});
    }
    for (size_t i = 0; i < nt; i++) fw_free(x[i].name);
    for (size_t i = 0; i < nb; i++) fw_free(y[i].name);
    fw_free(x);
    fw_free(y);
    fw_free(tr);
    fw_free(br);
}

static int by_rule(const void *x, const void *y)
{
    const fw_overlap_row *p = x, *q = y;
    if (p->rule != q->rule) return p->rule < q->rule ? -1 : 1;
    if (p->label != q->label) return p->label < q->label ? -1 : 1;
    if (p->row != q->row) return p->row < q->row ? -1 : 1;
    return (p->bench_row > q->bench_row) - (p->bench_row < q->bench_row);
}

/* Where fw_calib_far falls to `far`, i.e. the threshold for two single photos. */
static double far_point(const fw_calib *c, double expected, size_t benchmark)
{
    double far = expected / (double)(benchmark ? benchmark : 1);
    return fw_calib_threshold(c, far < 0.5 ? far : 0.5);
}

int fw_overlap_find(const fw_overlap_side *train, const fw_overlap_side *bench, const fw_graph *cross,
                    const fw_calib *calib, const fw_overlap_opts *o, fw_overlap **out, fw_err *e)
{
    double trim = fw_calib_threshold(calib, TRIM_FAR);
    people t = people_new(train, trim), b = people_new(bench, trim);
    weigh(&t, &b);
    keep_centres(&b);
    fw_overlap *r = FW_NEW(fw_overlap);
    matches l = {0};
    uint8_t *hit = fw_alloc(t.count, 1);
    double least = far_point(calib, CANDIDATES, b.count);
    candidates(&t, &b, cross, least, &l);
    compare_people(&t, &b, &l);
    rate(&t, &b, calib, &l);
    emit_identities(&t, &l, 1 - o->fdr, hit, r);
    emit_strays(&t, &b, calib, cross, o->stray, least, hit, r);
    if (train->signature && bench->signature) emit_images(train, bench, cross, least, r);
    if (o->names) emit_names(train, bench, r);
    if (r->count) qsort(r->row, r->count, sizeof *r->row, by_rule);
    fw_free(hit);
    fw_free(l.m);
    people_free(&t);
    people_free(&b);
    *out = r;
    int rc = fw_check_stop(e);
    if (rc) {
        fw_overlap_free(r);
        *out = NULL;
    }
    return rc;
}

void fw_overlap_free(fw_overlap *o)
{
    if (!o) return;
    fw_free(o->row);
    fw_free(o);
}
