#include "decisions.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A split of an identity into many groups is the longest honest decision: a few KB. */
enum { LINE_MOST = 64 << 10, TEXT_MOST = 4096, WHO_MOST = 80, CLAIMS_MOST = 1000, TAIL_MOST = 4 << 20 };
#define LOG_MOST ((size_t)1 << 30)
#define FORMAT   "facewash-decision-1"

/* ---- one claim ------------------------------------------------------------------------------------------------- */

static int hex_digit(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* A label as text or {"hex": digits}; the caller frees; NULL when it is neither. */
static char *label_of(const json_t *j)
{
    if (json_is_string(j))
        return strlen(json_string_value(j)) == json_string_length(j) ? fw_strdup(json_string_value(j)) : NULL;
    const char *hex = json_string_value(json_object_get(j, "hex"));
    size_t n = hex ? strlen(hex) : 1;
    if (n % 2) return NULL;
    char *bytes = fw_alloc(n / 2 + 1, 1);
    for (size_t i = 0; i < n / 2; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0 || !(high | low)) return fw_free(bytes), NULL;
        bytes[i] = (char)(high << 4 | low);
    }
    return bytes;
}

static bool hash_of(const json_t *j, fw_hash *out)
{
    return json_is_string(j) && json_string_length(j) == 32 && fw_hash_parse(json_string_value(j), out);
}

static bool pair_of(const json_t *j, fw_hash *a, fw_hash *b)
{
    return json_array_size(j) == 2 && hash_of(json_array_get(j, 0), a) && hash_of(json_array_get(j, 1), b);
}

static void free_claim(fw_claim *c)
{
    fw_free(c->label);
    fw_free(c->into);
}

static bool truth(const json_t *j, const char *key, bool *out)
{
    const json_t *v = json_object_get(j, key);
    *out = json_is_true(v);
    return json_is_boolean(v);
}

/* False when it is none of the five; then *c owns nothing. */
static bool parse_claim(const json_t *j, fw_claim *c)
{
    *c = (fw_claim){0};
    const json_t *face = json_object_get(j, "face"), *labels = json_object_get(j, "labels");
    if (face && json_object_get(j, "label")) {
        c->kind = FW_CLAIM_IS;
        return hash_of(face, &c->a) && truth(j, "is", &c->yes) && (c->label = label_of(json_object_get(j, "label")));
    }
    if (face) return c->kind = FW_CLAIM_USE, hash_of(face, &c->a) && truth(j, "use", &c->yes);
    if (json_object_get(j, "faces"))
        return c->kind = FW_CLAIM_FACES,
               pair_of(json_object_get(j, "faces"), &c->a, &c->b) && truth(j, "same_person", &c->yes);
    if (json_object_get(j, "images"))
        return c->kind = FW_CLAIM_IMAGES,
               pair_of(json_object_get(j, "images"), &c->a, &c->b) && truth(j, "same_image", &c->yes);
    c->kind = FW_CLAIM_LABELS;
    if (json_array_size(labels) != 2 || !truth(j, "same_person", &c->yes)) return false;
    c->label = label_of(json_array_get(labels, 0));
    c->into = label_of(json_array_get(labels, 1));
    if (c->label && c->into) return true;
    free_claim(c);
    *c = (fw_claim){0};
    return false;
}

/* ---- one line -------------------------------------------------------------------------------------------------- */

static bool text_within(const json_t *j, const char *key, size_t most)
{
    const json_t *v = json_object_get(j, key);
    return json_is_string(v) && json_string_length(v) > 0 && json_string_length(v) <= most;
}

/* NULL, or what is wrong with it. */
static const char *fault_of(const json_t *j)
{
    const char *format = json_string_value(json_object_get(j, "format")),
               *answer = json_string_value(json_object_get(j, "answer"));
    const json_t *claims = json_object_get(j, "claims");
    if (!format || strcmp(format, FORMAT)) return "format is not " FORMAT;
    if (!text_within(j, "id", 64) || !text_within(j, "who", WHO_MOST) || !text_within(j, "item", TEXT_MOST))
        return "id, who or item is missing or too long";
    if (!answer || strlen(answer) != 1 || !strchr("ynru", answer[0])) return "answer is none of y, n, r, u";
    if (!json_is_array(claims) || json_array_size(claims) > CLAIMS_MOST) return "claims is not a list";
    for (size_t i = 0; i < json_array_size(claims); i++) {
        fw_claim c;
        bool ok = parse_claim(json_array_get(claims, i), &c);
        free_claim(&c);
        if (!ok) return "a claim is none that is known";
    }
    return NULL;
}

static json_t *parse_line(const char *line, size_t n)
{
    return n <= LINE_MOST ? json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

typedef struct reader {
    fw_decisions *out;
    json_t *item; /* item -> the decision that stands (or was taken back), in order of insertion */
} reader;

/* Browsers write milliseconds, the server does not: seconds are compared. */
static int compare_when(const json_t *a, const json_t *b)
{
    const char *x = json_string_value(json_object_get(a, "when")), *y = json_string_value(json_object_get(b, "when"));
    return strncmp(x ? x : "", y ? y : "", sizeof "2026-01-31T12:00:00" - 1);
}

static void take_line(reader *r, const char *line, size_t n)
{
    json_t *j = parse_line(line, n);
    const char *fault = j ? fault_of(j) : "";
    if (fault)
        r->out->damaged++;
    else {
        const char *item = json_string_value(json_object_get(j, "item"));
        const json_t *old = json_object_get(r->item, item);
        if (!old || compare_when(old, j) <= 0) {
            json_object_del(r->item, item); /* a later decision takes its place at the end */
            json_object_set(r->item, item, j);
        }
    }
    json_decref(j);
}

/* Every line of a file that is not empty, with its number. */
static int each_line(const char *path, void (*take)(void *user, const char *line, size_t n, size_t number), void *user,
                     fw_err *e)
{
    char *text;
    size_t n, number = 0;
    FW_TRY(fw_file_read(path, LOG_MOST, &text, &n, e));
    for (char *at = text, *end = text + n; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at)), *next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        size_t length = (size_t)(stop - at);
        if (length && at[length - 1] == '\r') length--; /* a file that an editor of another system saved */
        number++;
        if (length) take(user, at, length, number);
        at = next;
    }
    fw_free(text);
    return FW_OK;
}

static void read_line(void *user, const char *line, size_t n, size_t number)
{
    FW_UNUSED(number);
    take_line(user, line, n);
}

/* The number of a curator's name, given now if it has none; `numbers` remembers. */
static uint32_t number_of(fw_decisions *d, json_t *numbers, const char *who)
{
    const json_t *known = json_object_get(numbers, who);
    if (known) return (uint32_t)json_integer_value(known);
    fw_reserve(&d->who, &d->who_cap, d->curators + 1, sizeof *d->who);
    d->who[d->curators] = fw_strdup(who);
    json_object_set_new(numbers, who, json_integer((json_int_t)d->curators));
    return (uint32_t)d->curators++;
}

static void collect(reader *r)
{
    const char *key;
    json_t *decision, *numbers = json_object();
    json_object_foreach(r->item, key, decision)
    {
        fw_decisions *d = r->out;
        json_t *claims = json_object_get(decision, "claims");
        if (json_string_value(json_object_get(decision, "answer"))[0] == 'u') continue;
        uint32_t who = number_of(d, numbers, json_string_value(json_object_get(decision, "who")));
        for (size_t i = 0; i < json_array_size(claims); i++) {
            fw_reserve(&d->claim, &d->cap, d->n + 1, sizeof *d->claim);
            fw_claim *c = &d->claim[d->n];
            if (!parse_claim(json_array_get(claims, i), c)) continue;
            c->decision = d->standing;
            c->who = who;
            d->n++;
        }
        d->standing++;
    }
    json_decref(numbers);
}

static bool is_log(const char *name)
{
    size_t n = strlen(name);
    return !strcmp(name, "decisions") || (n > 6 && !strcmp(name + n - 6, ".jsonl"));
}

static int each_log(const char *folder, void (*take)(void *user, const char *line, size_t n, size_t number), void *user,
                    fw_err *e)
{
    fw_names names = {0};
    if (!fw_is_dir(folder)) return FW_OK;
    FW_TRY(fw_list_dir(folder, &names, e));
    int rc = FW_OK;
    for (size_t i = 0; !rc && i < names.n; i++) {
        if (!is_log(names.name[i])) continue;
        char *path = fw_format("%s/%s", folder, names.name[i]);
        rc = each_line(path, take, user, e);
        fw_free(path);
    }
    fw_names_free(&names);
    return rc;
}

int fw_decisions_read(const char *folder, fw_decisions *out, fw_err *e)
{
    *out = (fw_decisions){0};
    reader r = {.out = out, .item = json_object()};
    int rc = each_log(folder, read_line, &r, e);
    if (!rc) collect(&r);
    json_decref(r.item);
    return rc;
}

void fw_decisions_free(fw_decisions *d)
{
    for (size_t i = 0; i < d->n; i++) free_claim(&d->claim[i]);
    for (size_t i = 0; i < d->curators; i++) fw_free(d->who[i]);
    fw_free(d->claim);
    fw_free(d->who);
    *d = (fw_decisions){0};
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* One line, written anew so that it is one line and carries our time, appended to `out`. */
static int copy_line(const char *line, size_t n, const char *when, size_t number, fw_buf *out, fw_err *e)
{
    json_t *j = parse_line(line, n);
    const char *fault = j ? fault_of(j) : "not JSON, or too long";
    char *text = NULL;
    if (!fault) {
        json_object_set_new(j, "when", json_string(when));
        text = json_dumps(j, JSON_COMPACT);
        if (text && strlen(text) > LINE_MOST) fault = "too long";
    }
    if (!fault && text) {
        fw_buf_puts(out, text);
        fw_buf_puts(out, "\n");
    }
    free(text);
    json_decref(j);
    return fault ? fw_fail(e, FW_EUSAGE, "decision %zu: %s", number, fault) : FW_OK;
}

/* The log ends in the middle of a line after a crash in mid-write: ours must not be glued to that. */
static bool ends_open(int fd)
{
    char last = '\n';
    off_t size = lseek(fd, 0, SEEK_END);
    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

static int append(const char *path, const fw_buf *b, fw_err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666), rc = FW_OK;
    if (fd < 0) return fw_fail_errno(e, "open '%s'", path);
    if (flock(fd, LOCK_EX)) rc = fw_fail_errno(e, "lock '%s'", path);
    off_t before = lseek(fd, 0, SEEK_END);
    if (!rc && ends_open(fd) && write(fd, "\n", 1) != 1) rc = fw_fail_errno(e, "write '%s'", path);
    ssize_t done = rc ? 0 : write(fd, b->data, b->len);
    if (!rc && done != (ssize_t)b->len) {
        rc = fw_fail(e, FW_EAGAIN, "write '%s': %s", path, done < 0 ? strerror(errno) : "the disk is full");
        if (ftruncate(fd, before))
            done = -1; /* all or nothing; what remains is a damaged line, which readers pass over */
    }
    if (!rc && fsync(fd)) rc = fw_fail_errno(e, "sync '%s'", path);
    close(fd);
    return rc;
}

int fw_decisions_append(const char *path, const char *lines, size_t bytes, size_t *n, fw_err *e)
{
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fw_buf out = {0};
    int rc = FW_OK;
    *n = 0;
    for (const char *at = lines, *end = lines + bytes; !rc && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        if (stop > at) rc = copy_line(at, (size_t)(stop - at), when, ++*n, &out, e);
        at = stop + 1;
    }
    if (!rc && out.len) rc = append(path, &out, e);
    if (rc) *n = 0;
    fw_buf_free(&out);
    return rc;
}

/* ---- putting logs together ------------------------------------------------------------------------------------- */

typedef struct importer {
    json_t *known; /* id -> true */
    const char *file;
    fw_refuse refuse;
    void *user;
    fw_import *count;
    fw_buf out;
} importer;

static void know_line(void *user, const char *line, size_t n, size_t number)
{
    FW_UNUSED(number);
    importer *m = user;
    json_t *j = parse_line(line, n);
    if (j && !fault_of(j)) json_object_set_new(m->known, json_string_value(json_object_get(j, "id")), json_true());
    json_decref(j);
}

static void import_line(void *user, const char *line, size_t n, size_t number)
{
    importer *m = user;
    json_t *j = parse_line(line, n);
    const char *fault = j ? fault_of(j) : n > LINE_MOST ? "longer than 64 KB" : "not JSON";
    const char *id = fault ? NULL : json_string_value(json_object_get(j, "id"));
    if (fault) {
        m->count->refused++;
        m->refuse(m->user, m->file, number, fault);
    } else if (json_object_get(m->known, id)) {
        m->count->known++;
    } else {
        char *text = json_dumps(j, JSON_COMPACT); /* one line, whatever stood there */
        fw_buf_puts(&m->out, text);
        fw_buf_puts(&m->out, "\n");
        free(text);
        json_object_set_new(m->known, id, json_true());
        m->count->added++;
    }
    json_decref(j);
}

int fw_decisions_import(const char *folder, const char *path, const char *file, fw_refuse refuse, void *user,
                        fw_import *out, fw_err *e)
{
    *out = (fw_import){0};
    importer m = {.known = json_object(), .file = file, .refuse = refuse, .user = user, .count = out};
    int rc = each_log(folder, know_line, &m, e);
    if (!rc) rc = each_line(file, import_line, &m, e);
    if (!rc && m.out.len) rc = append(path, &m.out, e);
    fw_buf_free(&m.out);
    json_decref(m.known);
    return rc;
}

int fw_decisions_tail(const char *path, uint64_t after, fw_buf *out, fw_err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return errno == ENOENT ? FW_OK : fw_fail_errno(e, "open '%s'", path);
    struct stat st;
    if (fstat(fd, &st)) return fw_fail_errno(e, "read '%s'", path), close(fd), e->code;
    uint64_t size = (uint64_t)st.st_size, room = size > after ? size - after : 0;
    size_t want = room < TAIL_MOST ? (size_t)room : (size_t)TAIL_MOST, got = 0;
    char *text = fw_alloc(want + 1, 1);
    while (got < want) {
        ssize_t k = pread(fd, text + got, want - got, (off_t)(after + got));
        if (k <= 0) break;
        got += (size_t)k;
    }
    close(fd);
    char *last = got ? memrchr(text, '\n', got) : NULL;
    if (last) fw_buf_add(out, text, (size_t)(last - text) + 1);
    fw_free(text);
    return FW_OK;
}
