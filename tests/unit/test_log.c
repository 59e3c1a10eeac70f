#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What `body` writes to stderr. */
static void capture(void (*body)(void), char *out, size_t size)
{
    int saved = dup(STDERR_FILENO), ends[2];
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    body();
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = read(ends[0], out, size - 1); /* 0 when nothing was written: the last writer is closed */
    out[n < 0 ? 0 : n] = 0;
    close(ends[0]);
}

static void all_levels(void)
{
    fw_log(FW_ERROR, "e %d", 1);
    fw_log(FW_WARN, "w");
    fw_log(FW_INFO, "i");
    fw_log(FW_DEBUG, "d");
}

static void levels_and_prefixes(void **state)
{
    FW_UNUSED(state);
    char got[400];
    capture(all_levels, got, sizeof got);
    assert_string_equal(got, "facewash: error: e 1\nfacewash: warning: w\ni\n");
    fw_log_level(FW_ERROR);
    capture(all_levels, got, sizeof got);
    assert_string_equal(got, "facewash: error: e 1\n");
    fw_log_level(FW_INFO);
}

static void long_line(void)
{
    char big[5000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    fw_log(FW_INFO, "%s", big);
}

static void long_lines_are_cut_and_end(void **state)
{
    FW_UNUSED(state);
    char got[6000];
    capture(long_line, got, sizeof got);
    size_t n = strlen(got);
    assert_in_range(n, 1000, 2048);
    assert_int_equal(got[n - 1], '\n');
}

static void quick_progress(void)
{
    fw_progress_start("step", "images", 10);
    for (uint64_t i = 1; i <= 10; i++) fw_progress_tick(i);
    fw_progress_end();
}

static void no_bar_without_a_terminal(void **state)
{
    FW_UNUSED(state);
    char got[400];
    capture(quick_progress, got, sizeof got);
    assert_string_equal(got, ""); /* a plain line only every ten seconds */
}

static void shows(const char *in, const char *want)
{
    char out[200];
    assert_string_equal(fw_printable(in, out, sizeof out), want);
}

static void printable_text(void **state)
{
    FW_UNUSED(state);
    shows("plain 'name'.jpg", "plain 'name'.jpg");
    shows("a\nb\x1b[31m", "a\\x0Ab\\x1B[31m");
    shows("M\xc3\xbcller \xe6\x9d\x8e \xf0\x9f\x98\x80", "M\xc3\xbcller \xe6\x9d\x8e \xf0\x9f\x98\x80");
    shows("\xff\xc3(", "\\xFF\\xC3(");
    shows("\xc0\xaf", "\\xC0\\xAF");                   /* overlong '/' */
    shows("\xed\xa0\x80", "\\xED\\xA0\\x80");          /* half a surrogate pair */
    shows("\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80"); /* above U+10FFFF */
    shows("\xe6\x9d", "\\xE6\\x9D");                   /* cut off */
    shows("\x7f", "\\x7F");
}

static void printable_text_fits(void **state)
{
    FW_UNUSED(state);
    char out[12];
    fw_printable("\n\n\n\n\n\n\n\n", out, sizeof out);
    assert_true(strlen(out) < sizeof out);
    assert_int_equal(strlen(out) % 4, 0); /* no half escape */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_and_prefixes),       cmocka_unit_test(long_lines_are_cut_and_end),
        cmocka_unit_test(no_bar_without_a_terminal), cmocka_unit_test(printable_text),
        cmocka_unit_test(printable_text_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
