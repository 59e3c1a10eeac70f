/* libFuzzer target for lib/decisions.h: any bytes as a decisions file. Every line goes in or is refused with its place,
 * a second import adds nothing, the log that results has no damaged line and reads the same, and the server's way in
 * takes exactly what the import takes whole. `make fuzz`. */
#include "lib/decisions.h"
#include "lib/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x)) abort();                                                                                             \
    } while (0)

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
}

static void count(void *user, const char *file, size_t line, const char *why)
{
    CHECK(file && line > 0 && why && *why);
    ++*(size_t *)user;
}

static fw_import import(const char *dir, const char *log, const char *file)
{
    fw_import got;
    fw_err e = {0};
    size_t refused = 0;
    CHECK(fw_decisions_import(dir, log, file, count, &refused, &got, &e) == FW_OK);
    CHECK(refused == got.refused);
    return got;
}

static void check_claims(const fw_decisions *d)
{
    for (size_t i = 0; i < d->n; i++) {
        const fw_claim *c = &d->claim[i];
        CHECK(c->decision < d->standing);
        CHECK((c->kind == FW_CLAIM_IS || c->kind == FW_CLAIM_LABELS) == (c->label != NULL));
        CHECK((c->kind == FW_CLAIM_LABELS) == (c->into != NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char dir[64], log[96], file[96], other[96];
    snprintf(dir, sizeof dir, "/dev/shm/fuzz-decisions.%ld", (long)getpid());
    snprintf(log, sizeof log, "%s/decisions", dir);
    snprintf(file, sizeof file, "%s/saved", dir);
    snprintf(other, sizeof other, "%s/other", dir);
    CHECK(fw_mkdirs(dir, NULL) == FW_OK);
    put(file, data, n);
    fw_import first = import(dir, log, file), again = import(dir, log, file);
    CHECK(again.added == 0 && again.known == first.added + first.known && again.refused == first.refused);
    fw_decisions d;
    fw_err e = {0};
    CHECK(fw_decisions_read(dir, &d, &e) == FW_OK && d.damaged == 0 && d.standing <= first.added);
    check_claims(&d);
    fw_decisions_free(&d);
    size_t added;
    int rc = fw_decisions_append(other, (const char *)data, n, &added, &(fw_err){0});
    if (!memchr(data, '\r', n)) CHECK((rc == FW_OK) == (first.refused == 0));
    CHECK(rc == FW_OK || !fw_exists(other)); /* whole or not at all */
    unlink(log);
    unlink(file);
    unlink(other);
    rmdir(dir);
    return 0;
}
