/* libFuzzer target for the review server. The first byte says how the rest comes in: as bytes on a connection (odd),
 * where libmicrohttpd, lib/http.c and the handler all see them, or as path, newline, body of a request that the handler
 * gets alone (even: GET, or POST when the second bit is set). @ stands for the token.
 *
 * Whatever comes: no answer of 500, nothing of a file outside the report, a refused body leaves the log as it was, and
 * an accepted one leaves no damaged line. `make fuzz`. */
#include "../../stages/review.c" /* the handler is the file's own */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x)) abort();                                                                                             \
    } while (0)

#define SECRET "outside-of-the-report"
static const char token[] = "0123456789abcdef0123456789abcdef";

static void put_file(const char *root, const char *name, const char *text)
{
    char *path = fw_format("%s/%s", root, name);
    CHECK(fw_file_write(path, text, strlen(text), NULL) == FW_OK);
    fw_free(path);
}

/* A workspace that is one report of three files, a neighbour that nobody may see, and links that lead there. */
static review *make_review(void)
{
    review *v = FW_NEW(review);
    char *root = fw_format("/dev/shm/fuzz-review.%ld", (long)getpid()), *data = fw_format("%s/report/data", root);
    char *folder = fw_format("%s/review", root), *link = fw_format("%s/link.js", data);
    fw_log_level(FW_ERROR);
    CHECK(!fw_mkdirs(data, NULL) && !fw_mkdirs(folder, NULL));
    put_file(root, "secret.js", SECRET);
    put_file(root, "report/index.html", "<html>");
    put_file(data, "overview.js", "fw.data()");
    (void)!symlink("../../secret.js", link);
    memcpy(v->token, token, sizeof token);
    v->report = fw_format("%s/report", root);
    v->log = fw_format("%s/decisions", folder);
    fw_free(root);
    fw_free(data);
    fw_free(folder);
    fw_free(link);
    return v;
}

static char *with_token(const char *text, size_t n, size_t *out)
{
    fw_buf b = {0};
    fw_buf_puts(&b, "");
    for (size_t i = 0; i < n; i++) fw_buf_add(&b, text[i] == '@' ? token : text + i, text[i] == '@' ? 32 : 1);
    *out = b.len;
    return b.data;
}

static uint64_t log_size(const review *v)
{
    struct stat st;
    return stat(v->log, &st) ? 0 : (uint64_t)st.st_size;
}

static void check_log(const review *v)
{
    fw_decisions d;
    char *folder = fw_strdup(v->log);
    *strrchr(folder, '/') = 0;
    CHECK(fw_decisions_read(folder, &d, NULL) == FW_OK && !d.damaged);
    fw_decisions_free(&d);
    fw_free(folder);
    unlink(v->log);
}

static void ask_handler(review *v, bool post, char *text, size_t n)
{
    char *line = memchr(text, '\n', n), *body = line ? line + 1 : text + n;
    if (line) *line = 0;
    if (*text != '/') return; /* lib/http.c hands on nothing else */
    uint64_t before = log_size(v);
    struct fw_http_query *none = NULL;
    fw_http_request q = {post ? "POST" : "GET", text, "application/jsonl", body, (size_t)(text + n - body), none};
    if (!post && strstr(text, "/decisions")) return; /* its query needs a connection */
    fw_http_reply r = {.status = 404};
    handle(v, &q, &r);
    CHECK(r.status >= 200 && r.status < 500);
    CHECK(!r.body.data || !memmem(r.body.data, r.body.len, SECRET, strlen(SECRET)));
    CHECK(r.status == 200 || log_size(v) == before);
    fw_buf_free(&r.body);
}

static void ask_server(const fw_http *h, const char *text, size_t n)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)fw_http_port(h)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[65536];
    size_t got = 0;
    CHECK(s >= 0);
    if (connect(s, (struct sockaddr *)&at, sizeof at)) { /* thousands a second use up the ports of this machine */
        CHECK(errno == EADDRNOTAVAIL || errno == EAGAIN);
        close(s);
        return;
    }
    CHECK(!setsockopt(s, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger))); /* close at once */
    (void)!send(s, text, n, MSG_NOSIGNAL);
    shutdown(s, SHUT_WR);
    for (ssize_t k; got < sizeof answer && (k = recv(s, answer + got, sizeof answer - got, 0)) > 0;) got += (size_t)k;
    close(s);
    CHECK(!memmem(answer, got, SECRET, strlen(SECRET)));
    /* 501 and 505 are libmicrohttpd's words for what HTTP/1.1 does not have */
    CHECK(got < 12 || memcmp(answer, "HTTP/1.1 500", 12));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static review *v;
    static fw_http *h;
    if (!v) {
        v = make_review();
        CHECK((h = fw_http_start(0, 4096, handle, v, NULL)));
    }
    if (n < 2) return 0;
    char *port = fw_format("%u", fw_http_port(h));
    size_t m;
    char *text = with_token((const char *)data + 1, n - 1, &m);
    if (data[0] & 1) {
        fw_buf b = {0}; /* ~ stands for the port: Host must name it */
        for (size_t i = 0; i < m; i++)
            fw_buf_add(&b, text[i] == '~' ? port : text + i, text[i] == '~' ? strlen(port) : 1);
        ask_server(h, b.data, b.len);
        fw_buf_free(&b);
    } else {
        ask_handler(v, data[0] & 2, text, m);
    }
    check_log(v);
    fw_free(text);
    fw_free(port);
    return 0;
}
