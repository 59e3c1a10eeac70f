/* kv: one LMDB file of small blobs keyed by row (the aligned crops of a shard). The only user of LMDB.
 *
 * Keys are uint64 rows (MDB_INTEGERKEY), put in ascending order (MDB_APPEND). LMDB needs a file system with working
 * locks and mmap to write; so the writer builds in `dir`/NAME.build and ends with a compacted copy NAME that no one
 * writes again. Readers open it with MDB_RDONLY | MDB_NOLOCK, which is safe on shared file systems because the file
 * never changes. Reference: lmdb.h, "Caveats".
 */
#ifndef FW_KV_H
#define FW_KV_H

#include "base.h"

typedef struct fw_kv_writer fw_kv_writer;
fw_kv_writer *fw_kv_create(const char *path, fw_err *e);
int fw_kv_put(fw_kv_writer *w, uint64_t key, const void *bytes, size_t n, fw_err *e);
int fw_kv_finish(fw_kv_writer *w, fw_err *e) FW_MUST_USE; /* frees the writer */
void fw_kv_abandon(fw_kv_writer *w);

typedef struct fw_kv fw_kv;
fw_kv *fw_kv_open(const char *path, fw_err *e);
/* Bytes of `key`, or NULL. They lie in the map and stay valid until close. Safe from several threads. */
const void *fw_kv_get(fw_kv *kv, uint64_t key, size_t *n);
void fw_kv_close(fw_kv *kv);

#endif
