#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Four threads keep photos, decisions and polls of several curators from waiting for each other. */
enum { THREADS = 4, CONNECTIONS = 256, IDLE_SECONDS = 30 };

struct fw_http {
    struct MHD_Daemon *daemon;
    unsigned port;
    size_t max_body;
    fw_http_handler handler;
    void *user;
};

struct fw_http_query {
    struct MHD_Connection *connection;
};

typedef struct pending { /* one request under way */
    fw_buf body;
    bool too_large;
} pending;

uint64_t fw_http_query_number(const fw_http_request *q, const char *name, uint64_t fallback)
{
    const char *text = MHD_lookup_connection_value(q->query->connection, MHD_GET_ARGUMENT_KIND, name);
    size_t n = text ? strlen(text) : 0;
    if (!n || n > 18 || strspn(text, "0123456789") != n) return fallback;
    return strtoull(text, NULL, 10);
}

bool fw_same_secret(const char *given, size_t n, const char *secret)
{
    size_t want = strlen(secret);
    unsigned differ = n != want;
    for (size_t i = 0; i < want; i++) differ |= (unsigned char)secret[i] ^ (unsigned char)(i < n ? given[i] : 0);
    return !differ;
}

static enum MHD_Result answer(struct MHD_Connection *c, fw_http_reply *r)
{
    static const char *const headers[][2] = {{"X-Content-Type-Options", "nosniff"},
                                             {"Cache-Control", "no-store"},
                                             {"Referrer-Policy", "no-referrer"},
                                             {"X-Frame-Options", "DENY"},
                                             {"Cross-Origin-Resource-Policy", "same-origin"},
                                             {"Content-Security-Policy",
                                              "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
                                              "data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                                              "frame-ancestors 'none'"}};
    struct MHD_Response *m = MHD_create_response_from_buffer(r->body.len, r->body.data, MHD_RESPMEM_MUST_FREE);
    if (!m) {
        fw_buf_free(&r->body);
        return MHD_NO;
    }
    for (size_t i = 0; i < FW_COUNT(headers); i++) MHD_add_response_header(m, headers[i][0], headers[i][1]);
    MHD_add_response_header(m, "Content-Type", r->type ? r->type : "text/plain; charset=utf-8");
    enum MHD_Result ok = MHD_queue_response(c, (unsigned)r->status, m);
    MHD_destroy_response(m);
    return ok;
}

static enum MHD_Result refuse(struct MHD_Connection *c, int status, const char *why)
{
    fw_http_reply r = {.status = status};
    fw_buf_puts(&r.body, why);
    return answer(c, &r);
}

static bool is_this_server(const fw_http *h, const char *host)
{
    char numeric[32], name[32];
    snprintf(numeric, sizeof numeric, "127.0.0.1:%u", h->port);
    snprintf(name, sizeof name, "localhost:%u", h->port);
    return host && (!strcmp(host, numeric) || !strcmp(host, name));
}

/* NULL, or why the request is not for us. */
static const char *foreign(const fw_http *h, struct MHD_Connection *c, bool post)
{
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin");
    if (!is_this_server(h, host)) return "this server answers to 127.0.0.1 only\n";
    if (post && origin && (strncmp(origin, "http://", 7) || !is_this_server(h, origin + 7)))
        return "requests of other sites are refused\n";
    return NULL;
}

static void collect(pending *p, size_t max, const char *data, size_t *n)
{
    if (p->body.len + *n > max) {
        p->too_large = true;
        fw_buf_free(&p->body);
        p->body = (fw_buf){0};
    }
    if (!p->too_large) fw_buf_add(&p->body, data, *n);
    *n = 0;
}

static enum MHD_Result respond(fw_http *h, struct MHD_Connection *c, const char *path, bool post, pending *p)
{
    const char *type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type"), *why = foreign(h, c, post);
    if (why) return refuse(c, 403, why);
    if (p->too_large) return refuse(c, 413, "the body is too large\n");
    struct fw_http_query query = {c};
    fw_http_request q = {.method = post ? "POST" : "GET",
                         .path = path,
                         .type = type ? type : "",
                         .body = p->body.data ? p->body.data : "",
                         .body_n = p->body.len,
                         .query = &query};
    fw_http_reply r = {.status = 404};
    h->handler(h->user, &q, &r);
    return answer(c, &r);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n, void **state)
{
    FW_UNUSED(version);
    fw_http *h = user;
    bool post = !strcmp(method, "POST");
    if (!*state) {
        *state = FW_NEW(pending);
        return MHD_YES; /* the body, if any, comes with the next calls */
    }
    if (*n) return collect(*state, h->max_body, data, n), MHD_YES;
    if (!post && strcmp(method, "GET") && strcmp(method, "HEAD")) return refuse(c, 405, "GET and POST only\n");
    return respond(h, c, url, post, *state);
}

/* %00 would end the path early and hide what follows: it becomes another control byte, which no name here has. */
static size_t unescape(void *user, struct MHD_Connection *c, char *text)
{
    FW_UNUSED(user);
    FW_UNUSED(c);
    for (char *at = text; (at = strstr(at, "%00")); at += 3) at[2] = '1';
    return MHD_http_unescape(text);
}

static void on_end(void *user, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
    FW_UNUSED(user);
    FW_UNUSED(c);
    FW_UNUSED(code);
    pending *p = *state;
    if (p) fw_buf_free(&p->body);
    fw_free(p);
    *state = NULL;
}

fw_http *fw_http_start(unsigned port, size_t max_body, fw_http_handler handler, void *user, fw_err *e)
{
    fw_http *h = FW_NEW(fw_http);
    *h = (fw_http){.max_body = max_body, .handler = handler, .user = user};
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0 || bind(s, (struct sockaddr *)&at, size) || listen(s, 64) ||
        getsockname(s, (struct sockaddr *)&at, &size)) {
        fw_fail(e, errno == EADDRINUSE ? FW_EAGAIN : FW_EFAIL, "listen on 127.0.0.1:%u: %s", port, strerror(errno));
        if (s >= 0) close(s);
        fw_free(h);
        return NULL;
    }
    h->port = ntohs(at.sin_port);
    h->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, on_request, h,
                                 MHD_OPTION_LISTEN_SOCKET, s, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
                                 MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
    if (h->daemon) return h;
    fw_fail(e, FW_EFAIL, "start the server on 127.0.0.1:%u: libmicrohttpd refused", h->port);
    close(s);
    fw_free(h);
    return NULL;
}

unsigned fw_http_port(const fw_http *h)
{
    return h->port;
}

void fw_http_stop(fw_http *h)
{
    if (!h) return;
    MHD_stop_daemon(h->daemon);
    fw_free(h);
}
