/* store: the workspace of one dataset: sealed shards, committed results, the lock.
 *
 *   WORKSPACE                      JSON: format, shard size, the source of each set
 *   shards/000042/                 sealed columns of one shard (below) + MANIFEST
 *   shards/removed                 rows whose image has left the dataset ("shard row" lines), replaced atomically
 *   out/STAGE/SHARD-KEY/           what a stage made of one shard;  out/STAGE/all-KEY/ of the whole dataset
 *   tmp/                           staging folders; only a crash leaves anything here
 *
 * A result is done when its folder exists: it is built in tmp/, every file is written and fsynced, MANIFEST last, then
 * the folder is renamed and the parent fsynced. Nothing is ever overwritten. If two processes build the same result,
 * the second rename fails and its work is dropped: both have the same bytes.
 *
 * Sets. The dataset itself is the set "". Each benchmark is a set of its own, with its own shards, named as on the
 * command line. A shard belongs to one set and never changes.
 */
#ifndef FW_STORE_H
#define FW_STORE_H

#include "base.h"
#include "column.h"
#include "hash.h"

#define FW_NO_LABEL UINT32_MAX /* label id of an unlabelled image */

typedef struct fw_shard {
    unsigned number;
    char set[64];
    size_t rows;
    fw_hash key;                     /* over all sealed bytes */
    fw_column path, path_off;        /* u8 / u64: paths relative to the set's source */
    fw_column label;                 /* u32 into the shard's own label table, FW_NO_LABEL: none */
    fw_column label_name, label_off; /* u8 / u64: the label table */
    fw_column bytes, mtime;          /* u64, i64 */
    fw_column hash;                  /* u64 x 2: XXH3-128 of the content, 0 0: unreadable */
    uint8_t *removed;                /* rows bytes, 1: the image has left the dataset; NULL: none */
} fw_shard;

typedef struct fw_store {
    char *root;
    size_t shard_size;
    fw_shard *shard;
    size_t shards, cap;
    int lock_fd;
    void *json; /* WORKSPACE as parsed; private */
} fw_store;

/* Open a workspace; `create` makes a new one with this shard size where there is none. */
fw_store *fw_store_open(const char *root, bool create, size_t shard_size, fw_err *e);
void fw_store_close(fw_store *s);
/* Look at the shards again: call it once the lock is held, others may have sealed some meanwhile. */
int fw_store_reload(fw_store *s, fw_err *e);

/* Take the workspace for this process: exclusive to ingest or collect garbage, shared to run single shard tasks.
 * Held by someone else: FW_EAGAIN naming host, process and since when, or wait. Released by close or death. */
int fw_store_lock(fw_store *s, bool exclusive, bool wait, fw_err *e);

/* Source of a set as remembered ("" unless known), and remember it. */
const char *fw_store_source(const fw_store *s, const char *set);
int fw_store_set_source(fw_store *s, const char *set, const char *spec, fw_err *e);
/* Names of the benchmark sets, in order of first use. Free with fw_names_free (lib/file.h). */
struct fw_names;
void fw_store_sets(const fw_store *s, struct fw_names *out);

/* Path of row `row`: pointer into the map, not NUL-terminated, length in *n. */
const char *fw_shard_path(const fw_shard *sh, size_t row, size_t *n);
/* Label of a row as text in the map; NULL when unlabelled. */
const char *fw_shard_label(const fw_shard *sh, size_t row, size_t *n);

/* Collects the rows of one shard, then seals it. */
typedef struct fw_shard_builder fw_shard_builder;
fw_shard_builder *fw_shard_builder_new(void);
void fw_shard_builder_add(fw_shard_builder *b, const char *path, const char *label, uint64_t bytes, int64_t mtime,
                          fw_hash content);
size_t fw_shard_builder_rows(const fw_shard_builder *b);
/* Write, commit and load it as the next shard of `set`; empties the builder. */
int fw_shard_builder_seal(fw_shard_builder *b, fw_store *s, const char *set, fw_err *e);
void fw_shard_builder_free(fw_shard_builder *b);

/* Replace the removed list: `gone(user, shard, row)` tells for every row. Returns through the shards' `removed`. */
int fw_store_write_removed(fw_store *s, bool (*gone)(void *user, const fw_shard *sh, size_t row), void *user,
                           fw_err *e);
/* Digest of the removed rows of a set, part of the key of whole-dataset stages. */
fw_hash fw_store_removed_key(const fw_store *s, const char *set);

/* Folder of a result: STAGE is the stage's name, shard -1 the whole dataset. The caller frees. */
char *fw_store_result(const fw_store *s, const char *stage, int shard, fw_hash key);

/* A result in the making. */
typedef struct fw_staging fw_staging;
fw_staging *fw_staging_begin(fw_store *s, const char *stage, int shard, fw_hash key, fw_err *e);
const char *fw_staging_dir(const fw_staging *g);
/* MANIFEST (every file with size and digest, then `recipe`, a text that says what went into the key), fsync, rename. */
int fw_staging_commit(fw_staging *g, const char *recipe, fw_err *e);
void fw_staging_abandon(fw_staging *g);

/* Does DIR/file still have the size and digest that DIR's MANIFEST says? FW_EFAIL names the file and what to do. Reads
 * the file once (seconds per 10 GB), so it is for results of the whole dataset, whose values are used as indexes. */
int fw_result_verify(const char *dir, const char *file, fw_err *e) FW_MUST_USE;

/* Remove what crashed processes left in tmp/. Needs the exclusive lock. */
int fw_store_clean_tmp(fw_store *s, fw_err *e);

#endif
