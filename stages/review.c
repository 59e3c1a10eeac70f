/* review: `facewash review --work W [PORT]` serves the report to this machine's browsers and writes decisions to the
 * workspace at once; with --sample N it draws a random sample of the kept images first (sample.h).
 *
 *   /TOKEN/                      the report: index.html, app/ vendor/ data/ sheets/
 *   /TOKEN/photo/SET/ROW/HASH    an original photo
 *   /TOKEN/decisions             GET ?after=BYTES: the log from there on; POST: JSON lines to append (lib/decisions.h)
 *
 * TOKEN is 128 random bits made at the start: who does not have the address gets 404 for everything. A photo is served
 * only when its bytes are those that were ingested (same hash): no link, no swapped file and no path leads to anything
 * else. Files of the report are opened one component at a time without following links, and only plain names pass.
 */
#include "../lib/decisions.h"
#include "../lib/file.h"
#include "../lib/http.h"
#include "../lib/log.h"
#include "command.h"
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A fixed port keeps the browser's settings (name, theme) from one day to the next; any other when it is taken.
 * 8 MB of body is 30,000 decisions at once. */
enum { USUAL_PORT = 8717, BODY_MOST = 8 << 20, FILE_MOST = 64 << 20 };

typedef struct review {
    char token[33];
    char *report, *log; /* paths */
    size_t max_photo;
    size_t sets;
    const fw_view **view; /* by set */
    const fw_source **source;
} review;

/* ---- answers --------------------------------------------------------------------------------------------------- */

static void say(fw_http_reply *r, int status, const char *text)
{
    r->status = status;
    r->type = "text/plain; charset=utf-8";
    r->body.len = 0;
    fw_buf_puts(&r->body, text);
}

static const char *type_of(const char *name)
{
    static const char *const known[][2] = {{".html", "text/html; charset=utf-8"},
                                           {".js", "text/javascript; charset=utf-8"},
                                           {".css", "text/css; charset=utf-8"},
                                           {".jpg", "image/jpeg"},
                                           {".LICENSE", "text/plain; charset=utf-8"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < FW_COUNT(known); i++)
        if (!strcmp(dot, known[i][0])) return known[i][1];
    return NULL;
}

/* ---- the report ------------------------------------------------------------------------------------------------ */

/* "name.ext" or "folder/name.ext" of letters, digits, _ and single dots; nothing hidden, nothing above. */
static bool plain_name(const char *p)
{
    int slashes = 0;
    for (const char *c = p; *c; c++) {
        bool first = c == p || c[-1] == '/';
        if (*c == '/' && (first || ++slashes > 1)) return false;
        if (*c == '.' && (first || c[-1] == '.')) return false;
        bool usual = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z') || *c == '_';
        if (!usual && *c != '/' && *c != '.') return false;
    }
    return *p && type_of(p);
}

static int open_plain(const char *root, const char *name)
{
    int at = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *slash = strchr(name, '/');
    if (slash && at >= 0) {
        char folder[64];
        int below = -1;
        if ((size_t)(slash - name) < sizeof folder) {
            memcpy(folder, name, (size_t)(slash - name));
            folder[slash - name] = 0;
            below = openat(at, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        close(at);
        at = below;
        name = slash + 1;
    }
    int fd = at < 0 ? -1 : openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (at >= 0) close(at);
    return fd;
}

static void serve_file(const review *v, const char *name, fw_http_reply *r)
{
    struct stat st;
    int fd = plain_name(name) ? open_plain(v->report, name) : -1;
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > FILE_MOST) {
        if (fd >= 0) close(fd);
        return say(r, 404, "not found\n");
    }
    size_t want = (size_t)st.st_size;
    char block[65536];
    for (ssize_t k; want && (k = read(fd, block, sizeof block)) > 0; want -= (size_t)k) {
        if ((size_t)k > want) k = (ssize_t)want;
        fw_buf_add(&r->body, block, (size_t)k);
    }
    close(fd);
    if (want) return say(r, 500, "the file could not be read\n");
    r->status = 200;
    r->type = type_of(name);
}

/* ---- originals ------------------------------------------------------------------------------------------------- */

static const char *image_type(const void *bytes, size_t n)
{
    switch (fw_image_format(bytes, n)) {
    case FW_FMT_JPEG:
        return "image/jpeg";
    case FW_FMT_PNG:
        return "image/png";
    case FW_FMT_WEBP:
        return "image/webp";
    case FW_FMT_BMP:
        return "image/bmp";
    default:
        return NULL;
    }
}

/* "SET/ROW/HASH" */
static bool parse_photo(const review *v, const char *text, size_t *set, size_t *row, fw_hash *hash)
{
    char *end;
    if (*text < '0' || *text > '9') return false;
    *set = strtoul(text, &end, 10);
    if (*end != '/' || end[1] < '0' || end[1] > '9') return false;
    *row = strtoul(end + 1, &end, 10);
    return *end == '/' && strlen(end + 1) == 32 && fw_hash_parse(end + 1, hash) && *set < v->sets && v->view[*set] &&
           *row < v->view[*set]->n;
}

static void serve_photo(const review *v, const char *text, fw_http_reply *r)
{
    size_t set, row, n;
    fw_hash want;
    if (!parse_photo(v, text, &set, &row, &want) || !v->source[set]) return say(r, 404, "not found\n");
    const fw_view *view = v->view[set];
    const fw_shard *sh = view->shard[fw_view_shard(view, row)];
    const uint64_t *sealed = (const uint64_t *)sh->hash.data + 2 * (row - view->base[fw_view_shard(view, row)]);
    if (!fw_hash_equal((fw_hash){sealed[0], sealed[1]}, want)) return say(r, 404, "not found\n");
    const char *at = fw_view_path(view, row, &n);
    char *path = fw_format("%.*s", (int)n, at), *bytes = NULL;
    fw_err gone = {0};
    int rc = fw_source_read(v->source[set], path, v->max_photo, &bytes, &n, &gone);
    const char *type = rc ? NULL : image_type(bytes, n);
    if (type && fw_hash_equal(fw_hash_bytes(bytes, n), want)) {
        fw_buf_add(&r->body, bytes, n);
        r->status = 200;
        r->type = type;
    } else
        say(r, 404, "the photo is not what it was when the dataset was read\n");
    fw_free(bytes);
    fw_free(path);
}

/* ---- decisions ------------------------------------------------------------------------------------------------- */

static void serve_decisions(const review *v, const fw_http_request *q, fw_http_reply *r)
{
    fw_err e = {0};
    size_t n;
    if (!strcmp(q->method, "GET")) {
        if (fw_decisions_tail(v->log, fw_http_query_number(q, "after", 0), &r->body, &e))
            return say(r, 500, "the log cannot be read\n");
        r->status = 200;
        r->type = "application/jsonl; charset=utf-8";
        return;
    }
    /* a type that no plain form of another site can send */
    if (strncmp(q->type, "application/jsonl", 17)) return say(r, 415, "send application/jsonl\n");
    if (fw_decisions_append(v->log, q->body, q->body_n, &n, &e)) {
        if (e.code != FW_EUSAGE) fw_log(FW_ERROR, "%s", e.msg);
        return say(r, e.code == FW_EUSAGE ? 400 : 500, e.msg);
    }
    say(r, 200, "kept\n");
}

/* ---- the server ------------------------------------------------------------------------------------------------ */

static void handle(void *user, const fw_http_request *q, fw_http_reply *r)
{
    const review *v = user;
    const char *token = q->path + 1, *rest = token + strcspn(token, "/");
    if (!fw_same_secret(token, (size_t)(rest - token), v->token) || *rest != '/') return say(r, 404, "not found\n");
    rest++;
    if (!strcmp(rest, "decisions")) return serve_decisions(v, q, r);
    if (strcmp(q->method, "GET")) return say(r, 405, "GET only\n");
    if (!strncmp(rest, "photo/", 6)) return serve_photo(v, rest + 6, r);
    serve_file(v, *rest ? rest : "index.html", r);
}

static int make_token(char token[33], fw_err *e)
{
    unsigned char bits[16];
    if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits) return fw_fail_errno(e, "draw a token");
    for (size_t i = 0; i < sizeof bits; i++) snprintf(token + 2 * i, 3, "%02x", bits[i]);
    return FW_OK;
}

static int open_review(review *v, fw_run *run, fw_err *e)
{
    fw_task t = fw_run_reader(run);
    char *folder = fw_format("%s/review", run->store->root),
         *index = fw_format("%s/report/index.html", run->store->root);
    v->report = fw_format("%s/report", run->store->root);
    v->log = fw_format("%s/decisions", folder);
    v->max_photo = (size_t)run->conf->image_max_bytes;
    v->view = FW_ARRAY(const fw_view *, run->sets);
    v->source = FW_ARRAY(const fw_source *, run->sets);
    v->sets = run->sets;
    int rc = make_token(v->token, e);
    if (!rc && !fw_exists(index))
        rc = fw_fail(e, FW_EUSAGE, "review: '%s' is missing; `facewash run` or `facewash report` writes it", index);
    if (!rc) rc = fw_mkdirs(folder, e);
    for (size_t i = 0; !rc && i < v->sets; i++) {
        if (!(v->view[i] = fw_task_view(&t, run->set[i], e))) rc = e->code;
        fw_err gone = {0}; /* a source that is not there now shows no originals */
        v->source[i] = fw_task_source(&t, run->set[i], &gone);
    }
    fw_free(folder);
    fw_free(index);
    return rc;
}

static int port_of(const fw_args *a, unsigned *port, fw_err *e)
{
    *port = USUAL_PORT;
    if (!a->nrest) return FW_OK;
    char *end;
    long n = strtol(a->rest[0], &end, 10);
    if (end == a->rest[0] || *end || n < 0 || n > 65535)
        return fw_fail(e, FW_EUSAGE, "review: port '%s': must be 0 (any) to 65535", a->rest[0]);
    *port = (unsigned)n;
    return FW_OK;
}

static int serve(review *v, const fw_args *a, fw_err *e)
{
    unsigned port;
    FW_TRY(port_of(a, &port, e));
    fw_err taken = {0};
    fw_http *h = fw_http_start(port, BODY_MOST, handle, v, a->nrest ? e : &taken);
    if (!h && !a->nrest) h = fw_http_start(0, BODY_MOST, handle, v, e);
    if (!h) return e->code;
    printf("http://127.0.0.1:%u/%s/\n", fw_http_port(h), v->token);
    fflush(stdout);
    fw_log(FW_INFO, "review: open this address in a browser on this machine; decisions go to %s; Ctrl-C ends", v->log);
    while (!fw_stopping()) nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    fw_http_stop(h);
    return FW_OK;
}

int fw_cmd_review(const fw_args *a, fw_err *e)
{
    fw_store *s;
    fw_run *r;
    review v = {0};
    int rc = fw_open_run(a, false, FW_LOCK_NONE, &s, &r, e);
    if (!rc && a->sample) rc = fw_sample_draw(r, a->sample, a->seed, e);
    if (!rc && a->sample) rc = fw_report(r, e);
    if (!rc) rc = open_review(&v, r, e);
    if (!rc) rc = serve(&v, a, e);
    fw_free(v.report);
    fw_free(v.log);
    fw_free((void *)v.view);
    fw_free((void *)v.source);
    fw_close_run(s, r);
    return rc;
}
