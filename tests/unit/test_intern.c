#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/intern.h"

#include <stdio.h>
#include <string.h>

static void numbers_follow_first_appearance(void **state)
{
    FW_UNUSED(state);
    fw_intern t = {0};
    char name[32];
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 5000; i++) {
            int n = snprintf(name, sizeof name, "n%u, and what is cut off", i);
            n = (int)(strchr(name, ',') - name);
            assert_int_equal(fw_intern_get(&t, name, (size_t)n), i);
        }
    assert_int_equal(t.n, 5000);
    assert_string_equal(t.text[4999], "n4999");
    assert_int_equal(fw_intern_get(&t, "n", 1), 5000); /* a beginning of others is a text of its own */
    assert_int_equal(fw_intern_get(&t, "", 0), 5001);
    assert_int_equal(fw_intern_get(&t, "", 0), 5001);
    fw_intern_free(&t);
    assert_int_equal(t.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_follow_first_appearance)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
