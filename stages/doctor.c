/* doctor: is everything there that a run needs? One line per check: ok, warn (it will work, but), or FAIL; what is not
 * ok says what to do. Libraries are looked at through the modules that own them or, where a module has no need to know
 * its library's version, through the name of the shared object that the loader has mapped. */
#include "../index/knn.h"
#include "../index/vecindex.h"
#include "../lib/file.h"
#include "../lib/model.h"
#include "../lib/paths.h"
#include "command.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

typedef enum { OK, WARN, FAIL } grade;

typedef struct tally {
    size_t count[3];
} tally;

static void __attribute__((format(printf, 4, 5))) line(tally *t, grade g, const char *what, const char *fmt, ...)
{
    static const char *const word[] = {"ok", "warn", "FAIL"};
    printf("%-5s %-12s ", word[g], what);
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    t->count[g]++;
}

/* ---- libraries -------------------------------------------------------------------------------------------------- */

/* libjpeg.so.62 -> libjpeg.so.62.3.0: the file that the name leads to carries the version. */
static int note_library(struct dl_phdr_info *info, size_t size, void *user)
{
    static const char *const ours[] = {"libjpeg",       "libpng",     "libwebp.",  "libexif",   "libxxhash",
                                       "libcrypto",     "libjansson", "libinih",   "liblmdb",   "libopenblas",
                                       "libmicrohttpd", "libarchive", "libfaiss.", "libfaiss_c"};
    FW_UNUSED(size);
    const char *base = strrchr(info->dlpi_name, '/');
    for (size_t i = 0; base && i < FW_COUNT(ours); i++) {
        if (strncmp(base + 1, ours[i], strlen(ours[i]))) continue;
        char *real = realpath(info->dlpi_name, NULL), *name = real ? strrchr(real, '/') : NULL;
        fw_buf *b = user;
        fw_buf_printf(b, "%s%s", b->len ? " " : "", name ? name + 1 : base + 1);
        free(real);
    }
    return 0;
}

/* FAISS tells no version through its C API: see whether it finds what it was given. */
static int try_faiss(fw_err *e)
{
    enum { DIM = 64, ROWS = 8 };
    uint16_t half[ROWS * DIM] = {0};
    float query[DIM] = {[5] = 1}, sim;
    int64_t id;
    for (int i = 0; i < ROWS; i++) half[i * DIM + i] = 0x3C00; /* 1.0 */
    fw_vectors *v = fw_vectors_wrap(half, ROWS, DIM, NULL);
    fw_vecindex *x = NULL;
    int rc = fw_vecindex_build(v, "Flat", &x, e);
    if (!rc) rc = fw_vecindex_search(x, query, 1, 1, &id, &sim, e);
    if (!rc && id != 5) rc = fw_fail(e, FW_EFAIL, "a search found row %lld instead of 5", (long long)id);
    fw_vecindex_free(x);
    fw_vectors_free(v);
    return rc;
}

static void check_libraries(tally *t)
{
    fw_err e = {0};
    fw_buf names = {0};
    fw_runtime *rt = NULL;
    if (fw_runtime_open(&rt, &e))
        line(t, FAIL, "ONNX Runtime", "%s", e.msg);
    else
        line(t, OK, "ONNX Runtime", "%s", fw_runtime_version());
    fw_runtime_close(rt);
    e.code = 0;
    if (try_faiss(&e))
        line(t, FAIL, "FAISS", "%s", e.msg);
    else
        line(t, OK, "FAISS", "builds an index and finds a row in it");
    dl_iterate_phdr(note_library, &names);
    line(t, OK, "libraries", "%s", names.len ? names.data : "all linked statically");
    fw_buf_free(&names);
}

/* ---- models ----------------------------------------------------------------------------------------------------- */

static void check_model(tally *t, const char *setting, const char *name)
{
    fw_err e = {0};
    fw_modeldesc *d = NULL;
    char *ini = fw_model_ini(name, &e), *models = fw_models_dir();
    int rc = ini ? fw_modeldesc_read(ini, models, &d, &e) : e.code;
    if (!rc) rc = fw_modeldesc_verify(d, &e);
    if (rc)
        line(t, FAIL, setting, "%s", e.msg);
    else
        line(t, OK, setting, "%s is intact (%s)", d->name, d->file);
    fw_modeldesc_free(d);
    fw_free(models);
    fw_free(ini);
}

static void check_models(tally *t, const fw_conf *c, const char *setting, const char *what)
{
    char *name;
    for (size_t i = 0; (name = fw_conf_item(c, setting, i)); i++) {
        check_model(t, what, name);
        fw_free(name);
    }
}

/* ---- the machine ------------------------------------------------------------------------------------------------ */

static void check_cpu(tally *t)
{
    struct utsname u;
    fw_buf kernels = {0};
    uname(&u);
    for (const char *const *k = fw_knn_kernels(); *k; k++) fw_buf_printf(&kernels, "%s%s", kernels.len ? ", " : "", *k);
    line(t, OK, "CPU", "%s, %ld cores; k-NN kernels, best first: %s", u.machine, sysconf(_SC_NPROCESSORS_ONLN),
         kernels.len ? kernels.data : "none");
    fw_buf_free(&kernels);
}

static uint64_t meminfo(const char *name)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char text[160];
    unsigned long long kb = 0;
    size_t n = strlen(name);
    while (f && !kb && fgets(text, sizeof text, f))
        if (!strncmp(text, name, n) && text[n] == ':') kb = strtoull(text + n + 1, NULL, 10);
    if (f) fclose(f);
    return kb * 1024;
}

static void check_memory(tally *t, const fw_conf *c)
{
    uint64_t total = meminfo("MemTotal"), free_now = meminfo("MemAvailable");
    if (!total)
        line(t, WARN, "memory", "cannot be told");
    else if (free_now < c->run_memory)
        line(t, WARN, "memory",
             "%.1f GB of %.1f GB free, but run.memory = %.1f GB; lower it with --memory for large datasets",
             (double)free_now / 1e9, (double)total / 1e9, (double)c->run_memory / 1e9);
    else
        line(t, OK, "memory", "%.1f GB of %.1f GB free", (double)free_now / 1e9, (double)total / 1e9);
}

/* A run keeps up to MAPS columns of every shard mapped (24,700 at 2,446 shards after knn alone, not more than 65,530 at the
 * end), whose files stay open for a moment only, the crops of each shard open, and a few dozen files. */
enum { MAPS = 26 };

static void check_files(tally *t, const fw_conf *c)
{
    struct rlimit l;
    const rlim_t wanted = 1024;
    getrlimit(RLIMIT_NOFILE, &l);
    if (l.rlim_cur != RLIM_INFINITY && l.rlim_cur < wanted)
        line(t, WARN, "open files", "at most %llu; raise it with `ulimit -n %llu`", (unsigned long long)l.rlim_cur,
             (unsigned long long)wanted);
    else
        line(t, OK, "open files", "at most %llu, enough for %.1f M images", (unsigned long long)l.rlim_cur,
             (double)l.rlim_cur * (double)c->ingest_shard_size / 1e6);
}

static void check_maps(tally *t, const fw_conf *c)
{
    unsigned long maps = 0;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    const bool known = f && fscanf(f, "%lu", &maps) == 1;
    if (f) fclose(f);
    if (known)
        line(t, OK, "mapped files",
             "at most %lu, enough for %.1f M images; more with `sysctl vm.max_map_count=N` or larger shards", maps,
             (double)maps / MAPS * (double)c->ingest_shard_size / 1e6);
}

/* The workspace may not exist yet: its nearest existing parent lies on the same disk. */
static void check_disk(tally *t, const char *work)
{
    char *path = fw_strdup(work);
    struct statvfs fs;
    while (statvfs(path, &fs)) {
        char *slash = strrchr(path, '/');
        if (!slash || slash == path) {
            fw_free(path);
            path = fw_strdup(slash ? "/" : ".");
            if (statvfs(path, &fs)) memset(&fs, 0, sizeof fs);
            break;
        }
        *slash = 0;
    }
    double room = (double)fs.f_bavail * (double)fs.f_frsize;
    /* measured on LFW: 11 kB an image, most of it the aligned crop (5 kB), the signature and the embedding (2 kB and 1
     * kB as a column, 2 kB in the index) */
    double images = room / 11000;
    if (!fw_is_dir(path))
        line(t, FAIL, "disk", "'%s' is not a folder; choose another --work", path);
    else if (access(path, W_OK))
        line(t, FAIL, "disk", "'%s' cannot be written to; choose another --work", path);
    else
        line(t, room < 1e9 ? WARN : OK, "disk", "%.1f GB free at '%s', about %.1f million images%s", room / 1e9, path,
             images / 1e6, room < 1e9 ? "; little, choose another --work" : "");
    fw_free(path);
}

static void check_program_files(tally *t)
{
    fw_err e = {0};
    char *share = fw_share_dir(&e);
    if (share)
        line(t, OK, "own files", "%s", share);
    else
        line(t, FAIL, "own files", "%s", e.msg);
    fw_free(share);
}

int fw_cmd_doctor(const fw_args *a, fw_err *e)
{
    tally t = {{0}};
    printf("facewash %s\n", FW_VERSION);
    check_program_files(&t);
    check_libraries(&t);
    check_models(&t, a->conf, "detect.model", "detector");
    check_models(&t, a->conf, "embed.model", "embedder");
    check_models(&t, a->conf, "detect.landmarks", "landmarks");
    check_models(&t, a->conf, "quality.model", "quality");
    check_cpu(&t);
    check_memory(&t, a->conf);
    check_files(&t, a->conf);
    check_maps(&t, a->conf);
    check_disk(&t, a->work ? a->work : ".");
    printf("%zu ok, %zu warnings, %zu failed\n", t.count[OK], t.count[WARN], t.count[FAIL]);
    return t.count[FAIL] ? fw_fail(e, FW_EFAIL, "doctor: %zu checks failed", t.count[FAIL]) : FW_OK;
}
