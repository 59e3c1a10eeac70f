/* libFuzzer target for the readers of lib/source_*.c. The first byte of the input picks the format, the rest is the
 * file (rec: its first two bytes say how much of the end is the .idx). The walk must end, and every key that it gives,
 * and a few that it does not, must be readable or fail with a message; what a key gives must be the same in a second
 * source that never walked.
 *
 * Build with clang -fsanitize=fuzzer,address,undefined and
 * lib/{base,file,text,log,hash,archive,base64,recordio,sequence, source*}.c -larchive -ljansson -lxxhash; run with
 * -max_len=8192 -timeout=20 -malloc_limit_mb=300. Start from the files that tests/make_sources.py writes, with the byte
 * of their format in front (tests/fuzz/seeds.py).
 *
 * A walk that names more than 200 records is cut: small inputs cannot hold so many, compressed ones can.
 */
#include "lib/log.h"
#include "lib/source.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x)) abort();                                                                                             \
    } while (0)

#define MAX ((size_t)1 << 20)

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
}

/* Both agree on what lies under a key. */
static void read_both(const fw_source *walked, const fw_source *fresh, const char *key)
{
    char *a = NULL, *b = NULL;
    size_t an = 0, bn = 0;
    fw_err ea = {0}, eb = {0};
    int ra = fw_source_read(walked, key, MAX, &a, &an, &ea), rb = fw_source_read(fresh, key, MAX, &b, &bn, &eb);
    CHECK((ra == 0) == (ea.msg[0] == 0) && (rb == 0) == (eb.msg[0] == 0));
    if (ra == FW_OK) {
        CHECK(rb == FW_OK && an == bn && an <= MAX && !memcmp(a, b, an) && a[an] == 0);
        free(a);
    }
    if (rb == FW_OK) free(b);
}

static void exercise(const char *spec, const fw_source_opts *o)
{
    fw_err e = {0}, ef = {0};
    fw_source *s = fw_source_open(spec, o, &e), *fresh = fw_source_open(spec, o, &ef);
    CHECK(!s == !fresh);
    CHECK(!s == (e.code != 0));
    if (!s) return;
    static const char *const odd[] = {"", "0", "1", "2", "4294967296", "-1", "x", "a/1.jpg"};
    fw_record r;
    int got = 0;
    for (int i = 0; i < 200 && (got = fw_source_next(s, &r, &e)) > 0; i++) {
        char *key = strdup(r.path);
        uint64_t bytes;
        int64_t mtime;
        read_both(s, fresh, key);
        if (i < 20) (void)!fw_source_find(s, key, &bytes, &mtime, NULL);
        free(key);
    }
    CHECK((got < 0) == (e.code != 0));
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) read_both(s, fresh, odd[i]);
    fw_source_close(s);
    fw_source_close(fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const scheme[] = {"rec", "rec", "tar", "zip", "tsv", "tsv", "bin", "npy", "feat"};
    static const char *const ext[] = {"rec", "rec", "tar", "zip", "tsv", "tsv", "bin", "npy", "bin"};
    char dir[64], file[128], side[128], spec[320];
    if (n < 4) return 0;
    fw_log_level(FW_ERROR);
    size_t kind = data[0] % 9, cut = n - 3;
    snprintf(dir, sizeof dir, "/dev/shm/fuzz.%ld", (long)getpid());
    snprintf(file, sizeof file, "%s.%s", dir, ext[kind]);
    snprintf(side, sizeof side, "%s.idx", dir);
    if (kind == 0 || kind >= 7) cut -= (data[1] | (size_t)data[2] << 8) % (n - 2); /* the rest: .idx, labels */
    put(file, data + 3, cut);
    unlink(side);
    if (kind != 1) put(side, data + 3 + cut, n - 3 - cut);
    snprintf(spec, sizeof spec, kind >= 7 ? "%s:%s,%s" : "%s:%s", scheme[kind], file, side);
    exercise(spec, &(fw_source_opts){.tsv_key = kind == 5 ? "1,2" : NULL, .tsv_image = kind == 5 ? 3 : 0});
    unlink(file);
    unlink(side);
    return 0;
}
