/* sequence: one pass when asked in order or nearly so, rewinds otherwise, damage is met once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/sequence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reel {
    uint64_t at, items, bad, broken; /* item `bad` cannot be had; the stream is damaged at `broken` */
    size_t bytes;
    int rewinds, steps, closed, *closed_to;
} reel;

static int to_start(void *user, fw_err *e)
{
    reel *r = user;
    FW_UNUSED(e);
    r->at = 0;
    r->rewinds++;
    return FW_OK;
}

static int one(void *user, bool want, char **bytes, size_t *n, fw_err *bad, fw_err *e)
{
    reel *r = user;
    r->steps++;
    if (r->at == r->broken) return fw_fail(e, FW_EFAIL, "damaged"), -1;
    if (r->at == r->items) return 0;
    uint64_t i = r->at++;
    if (i == r->bad)
        fw_fail(bad, FW_EFAIL, "too long");
    else if (want) {
        *bytes = calloc(1, r->bytes + 1);
        *n = r->bytes;
        memcpy(*bytes, &i, sizeof i);
    }
    return 1;
}

static void closed(void *user)
{
    (*((reel *)user)->closed_to)++;
}

static fw_sequence *begin(reel *r)
{
    r->closed_to = &r->closed;
    if (!r->bytes) r->bytes = 16;
    return fw_sequence_new(&(fw_sequence_ops){to_start, one, closed}, r);
}

static void gives(fw_sequence *s, uint64_t i)
{
    char *bytes = NULL;
    size_t n;
    fw_err e = {0};
    if (fw_sequence_read(s, i, SIZE_MAX, &bytes, &n, &e)) fail_msg("item %d: %s", (int)i, e.msg);
    assert_memory_equal(bytes, &i, sizeof i);
    free(bytes);
}

static void fails(fw_sequence *s, uint64_t i, size_t max, const char *why)
{
    char *bytes;
    size_t n;
    fw_err e = {0};
    assert_int_not_equal(fw_sequence_read(s, i, max, &bytes, &n, &e), FW_OK);
    if (!strstr(e.msg, why)) fail_msg("'%s' does not say '%s'", e.msg, why);
}

static void nearly_in_order_is_one_pass(void **state)
{
    FW_UNUSED(state);
    reel r = {.items = 20000, .bad = UINT64_MAX, .broken = UINT64_MAX};
    fw_sequence *s = begin(&r);
    for (uint64_t i = 0; i < 20000; i += 100)
        for (uint64_t k = 0; k < 100; k++) gives(s, i + (k * 37) % 100); /* every block in a mixed order */
    assert_int_equal(r.rewinds, 1);
    assert_int_equal(r.steps, 20000);
    fw_sequence_free(s);
    assert_int_equal(r.closed, 1);
}

static void other_orders_rewind(void **state)
{
    FW_UNUSED(state);
    reel r = {.items = 10000, .bad = UINT64_MAX, .broken = UINT64_MAX};
    fw_sequence *s = begin(&r);
    gives(s, 9000);
    gives(s, 8990); /* still on the shelf */
    assert_int_equal(r.rewinds, 1);
    gives(s, 8990); /* taken: once more from the beginning */
    assert_int_equal(r.rewinds, 2);
    gives(s, 0);
    assert_int_equal(r.rewinds, 3);
    fails(s, 10000, 100, "ends before item 10000");
    gives(s, 9999);
    fw_sequence_free(s);
}

/* The shelf is bounded by bytes: of items of 64 MB four fit. */
static void the_shelf_is_bounded(void **state)
{
    FW_UNUSED(state);
    reel r = {.items = 12, .bad = UINT64_MAX, .broken = UINT64_MAX, .bytes = FW_SEQUENCE_BYTES / 4};
    fw_sequence *s = begin(&r);
    gives(s, 9);
    gives(s, 8);
    gives(s, 5);
    assert_int_equal(r.rewinds, 1);
    gives(s, 1);
    assert_int_equal(r.rewinds, 2);
    fw_sequence_free(s);
}

static void bad_items_and_damage(void **state)
{
    FW_UNUSED(state);
    reel r = {.items = 100, .bad = 7, .broken = 50};
    fw_sequence *s = begin(&r);
    fails(s, 7, 100, "too long");
    gives(s, 8);
    fails(s, 3, 15, "16 bytes, more than the limit of 15");
    fails(s, 60, 100, "damaged");
    int steps = r.steps;
    for (uint64_t i = 50; i < 100; i++) fails(s, i, 100, "damaged"); /* nobody looks again */
    assert_int_equal(r.steps, steps);
    gives(s, 49);
    fw_sequence_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nearly_in_order_is_one_pass),
                                       cmocka_unit_test(other_orders_rewind), cmocka_unit_test(the_shelf_is_bounded),
                                       cmocka_unit_test(bad_items_and_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
