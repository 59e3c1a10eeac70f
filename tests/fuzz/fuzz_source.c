/* libFuzzer target for the readers of lib/source_*.c, one at a time: the program's name says which (fuzz_rec, fuzz_tar,
 * fuzz_zip, fuzz_tsv, fuzz_bin, fuzz_npy, fuzz_feat, fuzz_list; `make fuzz` links them all to this one).
 *
 * An input is a file and up to two that lie beside it:
 *
 *   options u8 | size of the second u16 | size of the third u16 | first, second, third file
 *
 *            first        second (option 1: there is one)    third (option 2)    further options
 *   rec      .rec         .idx                               .labels
 *   tar      archive      another one, for a pattern         -                   4: labels from field "who.id"
 *   zip      the same
 *   tsv      .tsv         -                                  -                   4: columns 1,2 as key, 3 the image
 *   bin      pickle       -                                  -
 *   npy      array        labels                             -
 *   feat     matrix       .meta                              -
 *   list     list         a TSV whose keys it names          -                   4: as one of several, n=list:FILE
 *
 * The walk must end, and every key that it gives, and a few that it does not, must be readable or fail with a message;
 * what a key gives must be the same in a second source that never walked, and in a third that reads along. A walk that
 * names more than 200 records is cut: small inputs cannot hold so many, compressed ones can. Start from the seeds of
 * tests/fuzz/seeds.py.
 */
#include "lib/log.h"
#include "lib/source.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t max);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x)) abort();                                                                                             \
    } while (0)

#define MAX  ((size_t)1 << 20)
#define HEAD 5
enum { SECOND = 1, THIRD = 2, OTHER = 4 };

static const struct reader {
    const char *name, *end, *second, *third; /* how the names of the files end */
} readers[] = {{"rec", ".rec", ".idx", ".labels"}, {"tar", "-1.tar", "-2.tar", NULL}, {"zip", "-1.zip", "-2.zip", NULL},
               {"tsv", ".tsv", NULL, NULL},        {"bin", ".bin", NULL, NULL},       {"npy", ".npy", ".txt", NULL},
               {"feat", ".bin", ".meta", NULL},    {"list", ".lst", ".tsv", NULL}};
static const struct reader *reader;
static locale_t kept; /* so that every archive does not read it from the disk again */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = strrchr((*argv)[0], '_');
    FW_UNUSED(argc);
    for (size_t i = 0; name && i < FW_COUNT(readers); i++)
        if (!strcmp(readers[i].name, name + 1)) reader = &readers[i];
    if (!reader) fprintf(stderr, "run me as fuzz_rec, fuzz_tar ... (see fuzz_source.c)\n"), exit(2);
    fw_log_level(FW_ERROR);
    kept = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return 0;
}

/* ---- an input as files ------------------------------------------------------------------------------------------- */

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
}

/* Where the three files begin and end inside the input: at[i]..at[i + 1]. */
static void split(const uint8_t *data, size_t n, size_t at[4])
{
    size_t rest = n - HEAD, second = (data[1] | (size_t)data[2] << 8) % (rest + 1),
           third = (data[3] | (size_t)data[4] << 8) % (rest - second + 1);
    at[0] = HEAD;
    at[1] = n - second - third;
    at[2] = n - third;
    at[3] = n;
}

/* The sum of a tar header is right again after a mutation; else nothing behind it would ever be looked at. */
static void mend_tar(uint8_t *tar, size_t n)
{
    for (uint8_t *head = tar; n >= 512 && (size_t)(head - tar) <= n - 512; head += 512) {
        unsigned sum = 8 * ' ';
        char text[8];
        if (memcmp(head + 257, "ustar", 5)) continue;
        for (int i = 0; i < 512; i++)
            if (i < 148 || i >= 156) sum += head[i];
        snprintf(text, sizeof text, "%06o", sum);
        memcpy(head + 148, text, 7);
        head[155] = ' ';
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed)
{
    n = LLVMFuzzerMutate(data, n, max);
    size_t at[4];
    if (n < HEAD || strcmp(reader->name, "tar") || seed % 8 == 0) return n;
    split(data, n, at);
    mend_tar(data + at[0], at[1] - at[0]);
    mend_tar(data + at[1], at[2] - at[1]);
    return n;
}

/* ---- what is asked of a source ----------------------------------------------------------------------------------- */

/* Both agree on what lies under a key; the bytes go to *out, or NULL where there are none. */
static void read_both(const fw_source *walked, const fw_source *fresh, const char *key, char **out, size_t *n)
{
    char *a = NULL, *b = NULL;
    size_t an = 0, bn = 0;
    fw_err ea = {0}, eb = {0};
    int ra = fw_source_read(walked, key, MAX, &a, &an, &ea), rb = fw_source_read(fresh, key, MAX, &b, &bn, &eb);
    CHECK((ra == 0) == (ea.msg[0] == 0) && (rb == 0) == (eb.msg[0] == 0));
    if (ra == FW_OK) CHECK(rb == FW_OK && an == bn && an <= MAX && !memcmp(a, b, an) && a[an] == 0);
    if (rb == FW_OK) free(b);
    *out = ra == FW_OK ? a : NULL;
    *n = an;
}

/* A walk that reads along gives the same record, and bytes that are the same where it has some. */
static void walk_along(fw_source *along, const fw_record *want, const char *bytes, size_t n)
{
    fw_record r;
    fw_err e = {0};
    char *a = NULL;
    size_t an = 0;
    CHECK(fw_source_next(along, &r, &e) == 1);
    CHECK(!strcmp(r.path, want->path) && !strcmp(r.label, want->label) && r.bytes == want->bytes);
    if (!fw_source_take(along, &a, &an)) return;
    CHECK(bytes && an == n && !memcmp(a, bytes, n));
    free(a);
}

static void ask_about(const fw_source *s, const char *key)
{
    uint64_t bytes;
    int64_t mtime;
    (void)!fw_source_find(s, key, &bytes, &mtime, NULL);
    char *place = fw_source_locate(s, key), *file = fw_source_file(s, key);
    CHECK(place);
    fw_free(place);
    fw_free(file);
}

static void exercise(const char *spec, const fw_source_opts *o)
{
    fw_err e = {0}, ef = {0};
    fw_source *s = fw_source_open(spec, o, &e), *fresh = fw_source_open(spec, o, &ef), *along;
    CHECK(!s == !fresh);
    CHECK(!s == (e.code != 0));
    if (!s) return;
    CHECK((along = fw_source_open(spec, o, &(fw_err){0})));
    fw_source_along(along);
    static const char *const odd[] = {"", "1", "4294967296", "-1", "n/1"};
    fw_record r;
    int got = 0;
    for (int i = 0; i < 200 && (got = fw_source_next(s, &r, &e)) > 0; i++) {
        char *bytes;
        size_t n;
        read_both(s, fresh, r.path, &bytes, &n);
        walk_along(along, &r, bytes, n);
        free(bytes);
        if (i < 3) ask_about(s, r.path); /* a compressed source begins again for it */
    }
    CHECK((got < 0) == (e.code != 0));
    for (size_t i = 0; i < FW_COUNT(odd); i++) {
        char *bytes;
        size_t n;
        read_both(s, fresh, odd[i], &bytes, &n);
        free(bytes);
    }
    fw_source_close(s);
    fw_source_close(fresh);
    fw_source_close(along);
}

/* How a source of these files is named. */
static char *spec_of(unsigned options, const char *base)
{
    const char *name = reader->name;
    bool two = options & SECOND && reader->second;
    if (!strcmp(name, "tar") || !strcmp(name, "zip"))
        return two ? fw_format("%s:%s-*.%s", name, base, name) : fw_format("%s:%s%s", name, base, reader->end);
    if (!strcmp(name, "npy") || !strcmp(name, "feat"))
        return two ? fw_format("%s:%s%s,%s%s", name, base, reader->end, base, reader->second)
                   : fw_format("%s:%s%s", name, base, reader->end);
    if (!strcmp(name, "list"))
        return fw_format("%slist:%s.lst%s%s%s", options & OTHER ? "n=" : "", base, two ? "@tsv:" : "", two ? base : "",
                         two ? ".tsv" : "");
    return fw_format("%s:%s%s", name, base, reader->end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *end[3] = {reader->end, reader->second, reader->third};
    char base[64];
    size_t at[4];
    if (n < HEAD) return 0;
    split(data, n, at);
    snprintf(base, sizeof base, "/dev/shm/fuzz-%s.%ld", reader->name, (long)getpid());
    for (int i = 0; i < 3; i++) {
        char *path = end[i] && (!i || data[0] & 1 << (i - 1)) ? fw_format("%s%s", base, end[i]) : NULL;
        if (path) put(path, data + at[i], at[i + 1] - at[i]);
        fw_free(path);
    }
    bool other = data[0] & OTHER, keys = other || !strcmp(reader->name, "list");
    char *spec = spec_of(data[0], base);
    exercise(spec, &(fw_source_opts){.tar_field = other ? "who.id" : NULL,
                                     .tsv_key = keys ? "1,2" : NULL,
                                     .tsv_image = keys ? 3 : 0,
                                     .tsv_label = keys ? -1 : 0});
    fw_free(spec);
    for (int i = 0; i < 3; i++) {
        char *path = end[i] ? fw_format("%s%s", base, end[i]) : NULL;
        if (path) unlink(path);
        fw_free(path);
    }
    return 0;
}
