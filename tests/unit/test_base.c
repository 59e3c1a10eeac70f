#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/base.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void first_error_wins(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    assert_int_equal(fw_fail(&e, FW_EUSAGE, "open '%s'", "x"), FW_EUSAGE);
    assert_int_equal(fw_fail(&e, FW_EFAIL, "later"), FW_EFAIL);
    assert_string_equal(e.msg, "open 'x'");
    assert_int_equal(e.code, FW_EUSAGE);
    assert_int_equal(fw_fail(NULL, FW_EAGAIN, "dropped"), FW_EAGAIN);
}

static void errno_is_named_and_disk_full_is_try_again(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    errno = ENOENT;
    assert_int_equal(fw_fail_errno(&e, "open '%s'", "y"), FW_EFAIL);
    assert_string_equal(e.msg, "open 'y': No such file or directory");
    static const int passing[] = {ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE};
    for (size_t i = 0; i < FW_COUNT(passing); i++) {
        fw_err full = {0};
        errno = passing[i];
        assert_int_equal(fw_fail_errno(&full, "write"), FW_EAGAIN);
    }
}

static void context_goes_in_front_and_long_texts_are_cut(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    fw_fail(&e, FW_EFAIL, "why");
    assert_int_equal(fw_context(&e, "shard %d", 7), FW_EFAIL);
    assert_string_equal(e.msg, "shard 7: why");
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    fw_err cut = {0};
    fw_fail(&cut, FW_EFAIL, "%s", big);
    assert_int_equal(strlen(cut.msg), sizeof cut.msg - 1);
    fw_context(&cut, "%s", big); /* must stay inside the buffer */
    assert_int_equal(strlen(cut.msg), sizeof cut.msg - 1);
}

static int leave_early(fw_err *e)
{
    FW_TRY(fw_fail(e, FW_EBADIMG, "stop"));
    return FW_OK;
}

static void try_returns_the_code(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    assert_int_equal(leave_early(&e), FW_EBADIMG);
}

static void memory_is_zeroed_and_aligned(void **state)
{
    FW_UNUSED(state);
    unsigned char *p = fw_alloc(1000, 3);
    for (int i = 0; i < 3000; i++) assert_int_equal(p[i], 0);
    fw_free(p);
    float *q = fw_alloc_aligned(17, sizeof *q);
    assert_int_equal((uintptr_t)q % 64, 0);
    for (int i = 0; i < 17; i++) assert_true(q[i] == 0);
    fw_free(q);
    fw_free(fw_alloc(0, 8)); /* at least a byte, never NULL */
}

/* Overflow of count * size must end the process with 75 instead of handing out a small block. */
static void overflow_exits_75(void **state)
{
    FW_UNUSED(state);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        close(2);
        volatile size_t many = SIZE_MAX / 4;
        fw_alloc(many, 8);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), FW_EAGAIN);
}

static void reserve_keeps_contents(void **state)
{
    FW_UNUSED(state);
    int *v = NULL;
    size_t cap = 0;
    for (int i = 0; i < 1000; i++) {
        fw_reserve(&v, &cap, (size_t)i + 1, sizeof *v);
        v[i] = i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(v[i], i);
    assert_true(cap >= 1000 && cap < 4000);
    fw_free(v);
}

static void buffers_grow_and_end_with_nul(void **state)
{
    FW_UNUSED(state);
    fw_buf b = {0};
    for (int i = 0; i < 500; i++) fw_buf_printf(&b, "%03d,", i);
    fw_buf_puts(&b, "end");
    fw_buf_add(&b, "\0z", 2);
    assert_int_equal(b.len, 500 * 4 + 3 + 2);
    assert_int_equal(b.data[b.len], 0);
    assert_memory_equal(b.data + 499 * 4, "499,end\0z", 9);
    fw_buf_free(&b);
    assert_null(b.data);
}

/* Reference values of splitmix64 with seed 1234567 (the test vector of its description). */
static void generator_gives_the_published_numbers(void **state)
{
    FW_UNUSED(state);
    static const uint64_t want[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                    4593380528125082431u, 16408922859458223821u};
    fw_rng r = {1234567};
    for (size_t i = 0; i < FW_COUNT(want); i++) assert_true(fw_rng_next(&r) == want[i]);
}

static void draws_have_the_right_range_and_mean(void **state)
{
    FW_UNUSED(state);
    fw_rng r = {1};
    double sum = 0, squares = 0, unit = 0;
    size_t count[7] = {0};
    const int n = 70000;
    for (int i = 0; i < n; i++) {
        count[fw_rng_below(&r, 7)]++;
        double u = fw_rng_unit(&r), g = fw_rng_normal(&r);
        assert_true(u >= 0 && u < 1);
        unit += u;
        sum += g;
        squares += g * g;
    }
    for (int i = 0; i < 7; i++) assert_in_range(count[i], 9600, 10400); /* 10000 +- 4 sigma */
    assert_true(fabs(unit / n - 0.5) < 0.005);
    assert_true(fabs(sum / n) < 0.02);
    assert_true(fabs(squares / n - 1) < 0.03);
}

static void clocks_run(void **state)
{
    FW_UNUSED(state);
    double t = fw_now(), c = fw_cpu();
    volatile double x = 0;
    for (int i = 0; i < 2000000; i++) x += i;
    assert_true(fw_now() > t);
    assert_true(fw_cpu() > c);
    assert_true(fw_peak_rss() > 100000);
}

static void stop_is_seen(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    assert_int_equal(fw_check_stop(&e), FW_OK);
    fw_stop_request();
    assert_true(fw_stopping());
    assert_int_equal(fw_check_stop(&e), FW_ESTOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_error_wins),
        cmocka_unit_test(errno_is_named_and_disk_full_is_try_again),
        cmocka_unit_test(context_goes_in_front_and_long_texts_are_cut),
        cmocka_unit_test(try_returns_the_code),
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(overflow_exits_75),
        cmocka_unit_test(reserve_keeps_contents),
        cmocka_unit_test(buffers_grow_and_end_with_nul),
        cmocka_unit_test(generator_gives_the_published_numbers),
        cmocka_unit_test(draws_have_the_right_range_and_mean),
        cmocka_unit_test(clocks_run),
        cmocka_unit_test(stop_is_seen), /* last: the flag stays */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
