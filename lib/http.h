/* http: a small HTTP/1.1 server for one machine. The only user of libmicrohttpd.
 *
 * It listens on 127.0.0.1 alone. Before a request reaches the handler it must name this server in `Host` (so a web page
 * that points its own name at 127.0.0.1 gets nothing), and a POST that carries `Origin` must come from this server's
 * own pages. Bodies over the limit are answered 413 without being kept; slow clients are cut off.
 *
 * The handler is called from several threads at once. Every answer says: do not guess the type, do not store, do not
 * show in a frame, send no referrer.
 */
#ifndef FW_HTTP_H
#define FW_HTTP_H

#include "base.h"

typedef struct fw_http_request {
    const char *method; /* "GET" (HEAD arrives as GET) or "POST"; others are answered 405 */
    const char *path;   /* decoded, begins with '/'; bytes from outside, not to be trusted */
    const char *type;   /* Content-Type, "" without one */
    const char *body;   /* body_n bytes, NUL behind */
    size_t body_n;
    const struct fw_http_query *query; /* private; see fw_http_query_number */
} fw_http_request;

typedef struct fw_http_reply {
    int status;       /* 200, 400, 404 ... */
    const char *type; /* Content-Type; a constant */
    fw_buf body;      /* ownership passes */
} fw_http_reply;

typedef void (*fw_http_handler)(void *user, const fw_http_request *q, fw_http_reply *r);

typedef struct fw_http fw_http;
/* Start on `port` (0: any free one). FW_EAGAIN when the port is taken. */
fw_http *fw_http_start(unsigned port, size_t max_body, fw_http_handler handler, void *user, fw_err *e);
unsigned fw_http_port(const fw_http *h);
void fw_http_stop(fw_http *h); /* waits for requests under way; NULL is fine */

/* A whole number out of the query string: ?NAME=123. `fallback` when it is absent or not one. */
uint64_t fw_http_query_number(const fw_http_request *q, const char *name, uint64_t fallback);
/* Equal, in a time that depends on the length of `secret` only. */
bool fw_same_secret(const char *given, size_t n, const char *secret);

#endif
