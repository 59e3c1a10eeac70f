#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/pipe.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

typedef struct job {
    uint64_t items, next, written, fail_read, fail_work, fail_write, stop_at;
    uint64_t sum;
    bool ordered;
    atomic_int busy[16]; /* by worker: catches two threads with one number */
    atomic_bool shared;
    atomic_ulong worked;
} job;

typedef struct cell {
    uint64_t item, square;
} cell;

static int read_cell(void *user, void *tray, fw_err *e)
{
    job *j = user;
    if (j->next == j->items) return 0;
    if (j->fail_read && j->next == j->fail_read) return fw_fail(e, FW_EFAIL, "reading broke"), -1;
    ((cell *)tray)->item = j->next++;
    return 1;
}

static int work_cell(void *user, int worker, void *tray, fw_err *e)
{
    job *j = user;
    cell *c = tray;
    if (atomic_exchange(&j->busy[worker], 1)) atomic_store(&j->shared, true);
    if (c->item % 7 == 0) usleep(300); /* let others overtake */
    c->square = c->item * c->item;
    atomic_store(&j->busy[worker], 0);
    atomic_fetch_add(&j->worked, 1);
    return j->fail_work && c->item == j->fail_work ? fw_fail(e, FW_EBADIMG, "working broke") : FW_OK;
}

static int write_cell(void *user, void *tray, fw_err *e)
{
    job *j = user;
    const cell *c = tray;
    if (c->item != j->written++) j->ordered = false;
    j->sum += c->square;
    if (j->stop_at && c->item == j->stop_at) fw_stop_request();
    return j->fail_write && c->item == j->fail_write ? fw_fail(e, FW_EAGAIN, "writing broke") : FW_OK;
}

static int run(job *j, int workers, size_t depth, fw_err *e)
{
    cell *trays = FW_ARRAY(cell, depth);
    j->ordered = true;
    int rc = fw_pipe_run(&(fw_pipe){.workers = workers,
                                    .depth = depth,
                                    .trays = trays,
                                    .tray_size = sizeof *trays,
                                    .user = j,
                                    .read = read_cell,
                                    .work = work_cell,
                                    .write = write_cell},
                         e);
    fw_free(trays);
    return rc;
}

static void everything_once_and_in_order(void **state)
{
    FW_UNUSED(state);
    static const struct {
        int workers;
        size_t depth;
    } shapes[] = {{1, 1}, {1, 3}, {4, 2}, {4, 6}, {8, 100}};
    for (size_t i = 0; i < FW_COUNT(shapes); i++) {
        job j = {.items = 3000};
        fw_err e = {0};
        assert_int_equal(run(&j, shapes[i].workers, shapes[i].depth, &e), FW_OK);
        assert_int_equal(j.written, 3000);
        assert_true(j.ordered);
        assert_false(j.shared);
        assert_true(j.sum == (uint64_t)2999 * 3000 * 5999 / 6);
    }
}

static void nothing_to_do(void **state)
{
    FW_UNUSED(state);
    job j = {0};
    fw_err e = {0};
    assert_int_equal(run(&j, 3, 5, &e), FW_OK);
    assert_int_equal(j.written, 0);
}

static void a_failing_reader(void **state)
{
    FW_UNUSED(state);
    job j = {.items = 1000, .fail_read = 500};
    fw_err e = {0};
    assert_int_equal(run(&j, 3, 8, &e), FW_EFAIL);
    assert_string_equal(e.msg, "reading broke");
    assert_true(j.ordered && j.written <= 500);
}

static void a_failing_worker(void **state)
{
    FW_UNUSED(state);
    job j = {.items = 1000000, .fail_work = 300};
    fw_err e = {0};
    assert_int_equal(run(&j, 4, 8, &e), FW_EBADIMG);
    assert_string_equal(e.msg, "working broke");
    assert_true(j.ordered);
    assert_true(j.written <= 300);                  /* what failed is not written */
    assert_true(atomic_load(&j.worked) < 300 + 20); /* and the others stop at the next tray */
}

static void a_failing_writer(void **state)
{
    FW_UNUSED(state);
    job j = {.items = 1000000, .fail_write = 200};
    fw_err e = {0};
    assert_int_equal(run(&j, 4, 8, &e), FW_EAGAIN);
    assert_string_equal(e.msg, "writing broke");
    assert_int_equal(j.written, 201);
}

static void a_stop_request(void **state)
{
    FW_UNUSED(state);
    job j = {.items = 1000000, .stop_at = 100};
    fw_err e = {0};
    assert_int_equal(run(&j, 4, 8, &e), FW_ESTOP);
    assert_int_equal(j.written, 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_once_and_in_order),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(a_failing_reader),
        cmocka_unit_test(a_failing_worker),
        cmocka_unit_test(a_failing_writer),
        cmocka_unit_test(a_stop_request), /* last */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
