#include "kv.h"
#include "file.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Address space only: the file grows as it is written. 64 GiB holds 4096 crops of 16 MB, far above any shard. */
#define MAP_SIZE ((size_t)1 << 36)
/* Of a reader, who may have thousands of them open (an address has 47 bits): raised to what the file holds. */
#define LEAST_MAP ((size_t)1 << 16)
/* A commit every so many puts keeps the dirty pages of one transaction small. */
#define PUTS_PER_TXN 1024

struct fw_kv_writer {
    char *path, *build;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    size_t pending;
};

/* LMDB calls a short write EIO, and a short write is what the last bytes of a full disk look like. */
static bool disk_is_full(const char *path)
{
    struct statvfs fs;
    return !statvfs(path, &fs) && (uint64_t)fs.f_bavail * fs.f_frsize < (1u << 20);
}

static int lmdb_fail(fw_err *e, const char *what, const char *path, int rc)
{
    if (rc == EIO && disk_is_full(path)) rc = ENOSPC;
    const int code = rc == MDB_MAP_FULL ? FW_EAGAIN : fw_errno_code(rc);
    return fw_fail(e, code, "%s '%s': %s", what, path, mdb_strerror(rc));
}

static int begin(fw_kv_writer *w)
{
    int rc = mdb_txn_begin(w->env, NULL, 0, &w->txn);
    if (!rc) rc = mdb_dbi_open(w->txn, NULL, MDB_INTEGERKEY, &w->dbi);
    return rc;
}

fw_kv_writer *fw_kv_create(const char *path, fw_err *e)
{
    fw_kv_writer *w = FW_NEW(fw_kv_writer);
    w->path = fw_strdup(path);
    w->build = fw_format("%s.build", path);
    int rc = mdb_env_create(&w->env);
    if (!rc) rc = mdb_env_set_mapsize(w->env, MAP_SIZE);
    /* NOSYNC: the build file is thrown away; only the finished copy is synced */
    if (!rc) rc = mdb_env_open(w->env, w->build, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOLOCK, 0666);
    if (!rc) rc = begin(w);
    if (!rc) return w;
    lmdb_fail(e, "create crop store", path, rc);
    fw_kv_abandon(w);
    return NULL;
}

int fw_kv_put(fw_kv_writer *w, uint64_t key, const void *bytes, size_t n, fw_err *e)
{
    size_t row = key;
    MDB_val k = {sizeof row, &row}, v = {n, (void *)bytes};
    int rc = mdb_put(w->txn, w->dbi, &k, &v, MDB_APPEND);
    if (!rc && ++w->pending == PUTS_PER_TXN) {
        w->pending = 0;
        rc = mdb_txn_commit(w->txn);
        w->txn = NULL;
        if (!rc) rc = begin(w);
    }
    return rc ? lmdb_fail(e, "write crop store", w->build, rc) : FW_OK;
}

void fw_kv_abandon(fw_kv_writer *w)
{
    if (!w) return;
    if (w->txn) mdb_txn_abort(w->txn);
    if (w->env) mdb_env_close(w->env);
    unlink(w->build);
    fw_free(w->path);
    fw_free(w->build);
    fw_free(w);
}

int fw_kv_finish(fw_kv_writer *w, fw_err *e)
{
    int rc = mdb_txn_commit(w->txn);
    w->txn = NULL;
    if (!rc) rc = mdb_env_copy2(w->env, w->path, MDB_CP_COMPACT);
    int code = rc ? lmdb_fail(e, "finish crop store", w->build, rc) : fw_fsync_path(w->path, e);
    fw_kv_abandon(w);
    return code;
}

struct fw_kv {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    pthread_mutex_t lock; /* a transaction belongs to one thread at a time */
};

/* Pages behind the end of a file that was cut off would kill the process when they are touched. */
static bool is_whole(MDB_env *env, const char *path)
{
    MDB_envinfo info;
    MDB_stat stat_db;
    struct stat st;
    if (mdb_env_info(env, &info) || mdb_env_stat(env, &stat_db) || stat(path, &st)) return false;
    return (uint64_t)st.st_size >= ((uint64_t)info.me_last_pgno + 1) * stat_db.ms_psize;
}

fw_kv *fw_kv_open(const char *path, fw_err *e)
{
    fw_kv *kv = FW_NEW(fw_kv);
    pthread_mutex_init(&kv->lock, NULL);
    int rc = mdb_env_create(&kv->env);
    if (!rc)
        rc = mdb_env_set_mapsize(kv->env, LEAST_MAP); /* LMDB maps all that is written; 2,048 x MAP_SIZE is too much */
    if (!rc) rc = mdb_env_open(kv->env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0666);
    if (!rc && !is_whole(kv->env, path)) rc = MDB_CORRUPTED;
    if (!rc) rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &kv->txn);
    if (!rc) rc = mdb_dbi_open(kv->txn, NULL, MDB_INTEGERKEY, &kv->dbi);
    if (!rc) return kv;
    lmdb_fail(e, "open crop store", path, rc);
    fw_kv_close(kv);
    return NULL;
}

const void *fw_kv_get(fw_kv *kv, uint64_t key, size_t *n)
{
    size_t row = key;
    MDB_val k = {sizeof row, &row}, v;
    pthread_mutex_lock(&kv->lock);
    int rc = mdb_get(kv->txn, kv->dbi, &k, &v);
    pthread_mutex_unlock(&kv->lock);
    if (rc) return NULL;
    *n = v.mv_size;
    return v.mv_data;
}

void fw_kv_close(fw_kv *kv)
{
    if (!kv) return;
    if (kv->txn) mdb_txn_abort(kv->txn);
    if (kv->env) mdb_env_close(kv->env);
    pthread_mutex_destroy(&kv->lock);
    fw_free(kv);
}
