/* report.h: private to report*.c. How a report is made, in the order of the files:
 *
 *   report_facts.c     gather what the stages found: columns, members of identities
 *   report_queue.c     candidates of each queue, ordered by what a decision is worth
 *   report_faces.c     number the faces of the report, write their data and thumbnails
 *   report_people.c    the table of identities, and the pages of single ones
 *   report_overview.c  counts, histograms, thresholds, the record of the run
 *   report.c           the folder: budget, files, rename
 *
 * What the files hold is in reports/DATA.md. Memory: a few arrays of one small value per image; queues and faces are
 * bounded by report.queue and report.max_bytes, whatever the size of the dataset.
 */
#ifndef FW_REPORT_H
#define FW_REPORT_H

#include "command.h"
#include "decide.h"

#include <jansson.h>

enum {
    FW_RP_CELL = 112,  /* side of a thumbnail: the crop as it is, nothing is lost */
    FW_RP_COLUMNS = 8, /* 8 x 8 faces are one sheet of about 230 KB: a screen of a queue needs two or three */
    FW_RP_SHEET = 64,
    FW_RP_CHUNK = 500,  /* faces per data file, about 200 KB */
    FW_RP_PEOPLE = 64,  /* identities per data file */
    FW_RP_BEST = 6,     /* best faces shown of an identity */
    FW_RP_MAP = 48,     /* faces in a similarity map */
    FW_RP_PERSON = 240, /* faces shown of one identity */
    FW_RP_MEMBERS = 8   /* members shown of a duplicate group or of a part of a split */
};
#define FW_RP_NONE UINT32_MAX

typedef struct fw_rp_face {
    uint32_t set, row; /* set 0: the dataset; i: benchmark i - 1 */
} fw_rp_face;

/* One row of a queue: what it is about. Meaning of a, b by queue: see report_queue.c. */
typedef struct fw_rp_row {
    uint32_t a, b;
    float worth;
} fw_rp_row;

enum fw_rp_queue {
    FW_Q_MISLABELED,
    FW_Q_OUTLIER,
    FW_Q_DUPLICATE,
    FW_Q_MERGE,
    FW_Q_SPLIT,
    FW_Q_OVERLAP,
    FW_Q_QUALITY,
    FW_Q_UNREADABLE,
    FW_Q_SAMPLE,
    FW_QUEUES
};
extern const char *const fw_rp_queue_names[FW_QUEUES];

typedef struct fw_rp_list {
    fw_rp_row *row;
    size_t total, n, cap; /* found; kept as candidates (the most valuable); */
    size_t shown;         /* of these, what fits into the report */
} fw_rp_list;

/* Rows per key: rows of key k are row[begin[k] .. begin[k + 1]). */
typedef struct fw_rp_groups {
    size_t keys;
    size_t *begin;
    uint32_t *row;
} fw_rp_groups;

/* What is read of one set of images. */
typedef struct fw_rp_set {
    const char *name;
    const fw_view *v;
    const fw_source *source; /* NULL: it has gone */
    fw_cols *status, *size, *box, *det, *landmark, *target, *why, *crop, *measures, *quality;
    uint32_t *number; /* v->n: face number in the report, FW_RP_NONE */
} fw_rp_set;

typedef struct fw_rp {
    fw_run *run;
    fw_task task;
    char *dir;      /* where the report is being written */
    uint64_t bytes; /* written so far */
    fw_rp_set *set;
    size_t sets;
    const fw_view *v; /* of the dataset */
    const fw_vectors *vec;
    /* columns of whole stages, by dataset row or label (see decide.h) */
    const uint8_t *verdict, *dup_kind, *dup_kept, *dup_why, *id_action;
    const uint16_t *flags;
    const float *p, *sim, *other_sim, *dup_sim, *id_cohesion, *id_score;
    const uint32_t *new_label, *person, *audit_person, *other, *dup_group, *id_other, *id_kept;
    const uint32_t *o_label, *o_row, *o_bench, *o_bench_row;
    const float *o_sim, *o_score;
    const uint8_t *o_rule;
    size_t findings;
    fw_rp_groups members, copies; /* by label; by duplicate group */
    uint32_t *id_images;          /* per label: alive images */
    /* the report */
    fw_rp_list queue[FW_QUEUES];
    uint64_t sample_population; /* 0: no sample was drawn */
    size_t across;              /* duplicate groups that stand for several people */
    fw_rp_face *face;
    size_t faces, face_cap, face_limit, thumbs;
    uint32_t *id_no;    /* label -> identity number, FW_RP_NONE */
    uint32_t *id_label; /* identity number -> label */
    size_t ids, id_cap;
    uint32_t (*best)[FW_RP_BEST]; /* identity number -> face numbers */
    size_t best_cap;
    uint8_t *id_page; /* identity number -> has a page */
    size_t page_cap;
} fw_rp;

/* report_facts.c */
int fw_rp_load(fw_rp *r, fw_err *e);
void fw_rp_release(fw_rp *r);
/* Target face of an image: index into its faces, or -1. */
int fw_rp_target(const fw_rp_set *s, size_t row, size_t *faces);

/* report_queue.c */
void fw_rp_find(fw_rp *r);
/* Number the faces that row k of a queue shows; false when the report has no room for them. */
bool fw_rp_take_row(fw_rp *r, int queue, size_t k);
int fw_rp_write_queue(fw_rp *r, int queue, fw_err *e);

/* report_faces.c */
/* Number of a face in the report, given now if it has none (its identity gets one with it); FW_RP_NONE when there is
 * no room. */
uint32_t fw_rp_number(fw_rp *r, size_t set, size_t row);
int fw_rp_write_faces(fw_rp *r, fw_err *e);
int fw_rp_write_sheets(fw_rp *r, fw_err *e);
/* Data and thumbnail of a face as they lie in the files, for planning: 2,960 bytes on all of LFW, and room for sharper
 * crops. */
enum { FW_RP_FACE_BYTES = 3600 };

/* report_people.c */
/* Identity number of a label, given now if it has none (FW_NO_LABEL: -1). */
int64_t fw_rp_identity(fw_rp *r, uint32_t label);
/* The same, and its best faces get numbers too. */
void fw_rp_show_identity(fw_rp *r, uint32_t label);
/* Give pages to as many identities as there is room for. */
void fw_rp_take_people(fw_rp *r);
int fw_rp_write_people(fw_rp *r, fw_err *e);
int fw_rp_write_identities(fw_rp *r, fw_err *e);

/* report_overview.c */
int fw_rp_write_overview(fw_rp *r, fw_err *e);

/* report.c: data/NAME.js; takes over `value`. */
int fw_rp_put(fw_rp *r, const char *name, json_t *value, fw_err *e);
/* A name of the dataset as JSON text; bytes that are no UTF-8 are escaped, and stand in `hex` (may be NULL) under
 * `index`. */
json_t *fw_rp_text(const char *s, size_t n, json_t *hex, size_t index);
json_t *fw_rp_real(double x);                                         /* null for NaN */
void fw_rp_column(json_t *object, const char *name, json_t **column); /* a fresh array in the object */

#endif
