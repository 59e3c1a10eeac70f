/* command: what main.c shares with the files behind the subcommands. */
#ifndef FW_COMMAND_H
#define FW_COMMAND_H

#include "run.h"

typedef struct fw_args {
    fw_conf *conf;
    const char *input, *work, *export_dir, *out, *format, *pairs;
    const char *gallery, *truth; /* identify, enrol, eval; eval clustering */
    char *inputs;                /* several --input joined, a line each; what `input` points to then */
    const char **benchmark;      /* "NAME=SRC" */
    size_t benchmarks;
    const char **decisions; /* files to import */
    size_t decision_files;
    size_t sample; /* review: draw so many kept images; 0: none */
    uint64_t seed; /* of that draw */
    size_t top;    /* identify: people listed per probe */
    double fpir;   /* identify: share of strangers that may match */
    int models;    /* how many --model were given */
    int shard;     /* -1: all */
    bool all, force, json, quiet, dry, faces;
    bool raw, exit_code, without_overlap;
    bool cleaned; /* eval identification: the people of the cleaned set */
    char **rest;  /* positional arguments behind the subcommand */
    int nrest;
} fw_args;

typedef struct fw_command {
    const char *name, *usage, *summary;
    int (*run)(const fw_args *a, fw_err *e);
    int words; /* positional arguments at most */
} fw_command;

int fw_cmd_run(const fw_args *a, fw_err *e);
int fw_cmd_ingest(const fw_args *a, fw_err *e);
int fw_cmd_stage(const fw_args *a, const char *stage, fw_err *e);
int fw_cmd_status(const fw_args *a, fw_err *e);
int fw_cmd_gc(const fw_args *a, fw_err *e);
int fw_cmd_export(const fw_args *a, fw_err *e);
int fw_cmd_diff(const fw_args *a, fw_err *e);
int fw_cmd_report(const fw_args *a, fw_err *e);
int fw_cmd_eval(const fw_args *a, fw_err *e);
int fw_cmd_verify(const fw_args *a, fw_err *e);
int fw_cmd_identify(const fw_args *a, fw_err *e);
int fw_cmd_enrol(const fw_args *a, fw_err *e);
int fw_cmd_selftest(const fw_args *a, fw_err *e);
int fw_cmd_review(const fw_args *a, fw_err *e);
int fw_cmd_apply(const fw_args *a, fw_err *e);
int fw_cmd_models(const fw_args *a, fw_err *e);
int fw_cmd_doctor(const fw_args *a, fw_err *e);

/* Open the workspace of --work and plan. `create`, lock: see lib/store.h. */
typedef enum { FW_LOCK_NONE, FW_LOCK_SHARED, FW_LOCK_EXCLUSIVE } fw_lock_kind;
int fw_open_run(const fw_args *a, bool create, fw_lock_kind lock, fw_store **s, fw_run **r, fw_err *e);
void fw_close_run(fw_store *s, fw_run *r);

/* Write the export files of the design's contract into `dir` (atomically: into a fresh folder beside it first). */
int fw_export(fw_run *r, const fw_args *a, const char *dir, fw_err *e);
/* WORK/report/index.html; prints the path. */
int fw_report(fw_run *r, fw_err *e);

#endif
