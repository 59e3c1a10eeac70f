#include "log.h"
#include "text.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The one place with process-wide state in lib/: there is one terminal. Guarded by `lock`. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum fw_level shown = FW_INFO;
static struct {
    bool on, tty;
    char what[48], unit[24];
    uint64_t total, done;
    double start, drawn;
} bar;

void fw_log_level(enum fw_level most)
{
    shown = most;
}

static void put(const char *text, size_t n)
{
    while (n) {
        ssize_t w = write(STDERR_FILENO, text, n);
        if (w <= 0) return; /* nowhere left to complain to */
        text += w;
        n -= (size_t)w;
    }
}

static void clock_text(double seconds, char *out, size_t size)
{
    unsigned long s = seconds < 0 ? 0 : (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%lu:%02lu", s / 60, s % 60);
}

static void draw(double now)
{
    char line[256], left[32] = "", count[64];
    double spent = now - bar.start, rate = spent > 0 ? (double)bar.done / spent : 0;
    unsigned long done = (unsigned long)bar.done, total = (unsigned long)bar.total;
    if (total && rate > 0) clock_text((double)(total - done) / rate, left, sizeof left);
    int percent = total ? (int)(100.0 * (double)done / (double)total) : 0;
    const char *glue = *left ? ", left " : "";
    int n;
    if (!bar.tty) {
        if (total)
            snprintf(count, sizeof count, "%lu of %lu", done, total);
        else
            snprintf(count, sizeof count, "%lu", done); /* nobody knows yet how many there are */
        n = snprintf(line, sizeof line, "%s: %s %s, %.0f/s%s%s\n", bar.what, count, bar.unit, rate, glue, left);
    } else if (!total) {
        n = snprintf(line, sizeof line, "\r\x1b[K%-9s %lu %s, %.0f/s", bar.what, done, bar.unit, rate);
    } else {
        char track[25] = "........................";
        memset(track, '#', (size_t)(percent * 24 / 100));
        n = snprintf(line, sizeof line, "\r\x1b[K%-9s [%s] %3d%% %lu/%lu %s, %.0f/s%s%s", bar.what, track, percent,
                     done, total, bar.unit, rate, glue, left);
    }
    put(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
    bar.drawn = now;
}

void fw_log(enum fw_level level, const char *fmt, ...)
{
    static const char *const prefix[] = {"facewash: error: ", "facewash: warning: ", "", "debug: "};
    if (level > shown) return;
    char line[2048];
    int at = snprintf(line, sizeof line, "%s", prefix[level]);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line + at, sizeof line - (size_t)at - 1, fmt, ap);
    va_end(ap);
    size_t len = (size_t)at + (n < 0 ? 0 : (size_t)n);
    if (len > sizeof line - 2) len = sizeof line - 2;
    line[len++] = '\n';
    pthread_mutex_lock(&lock);
    if (bar.on && bar.tty) put("\r\x1b[K", 4);
    put(line, len);
    if (bar.on && bar.tty) draw(fw_now());
    pthread_mutex_unlock(&lock);
}

void fw_progress_start(const char *what, const char *unit, uint64_t total)
{
    pthread_mutex_lock(&lock);
    bar.on = shown >= FW_INFO;
    bar.tty = isatty(STDERR_FILENO);
    snprintf(bar.what, sizeof bar.what, "%s", what);
    snprintf(bar.unit, sizeof bar.unit, "%s", unit);
    bar.total = total;
    bar.done = 0;
    bar.start = bar.drawn = fw_now();
    pthread_mutex_unlock(&lock);
}

void fw_progress_tick(uint64_t done)
{
    double now = fw_now();
    pthread_mutex_lock(&lock);
    bar.done = done;
    if (bar.on && now - bar.drawn > (bar.tty ? 0.1 : 10.0)) draw(now);
    pthread_mutex_unlock(&lock);
}

void fw_progress_end(void)
{
    pthread_mutex_lock(&lock);
    if (bar.on && bar.tty) put("\r\x1b[K", 4);
    bar.on = false;
    pthread_mutex_unlock(&lock);
}

const char *fw_printable(const char *s, char *out, size_t size)
{
    size_t at = 0;
    while (*s && at + 5 < size) {
        const unsigned char *u = (const unsigned char *)s;
        int n = fw_utf8_length(s, strnlen(s, 4));
        if (n == 0 || u[0] < 0x20 || u[0] == 0x7F) {
            at += (size_t)snprintf(out + at, size - at, "\\x%02X", u[0]);
            s++;
            continue;
        }
        memcpy(out + at, s, (size_t)n);
        at += (size_t)n;
        s += n;
    }
    out[at] = 0;
    return out;
}
