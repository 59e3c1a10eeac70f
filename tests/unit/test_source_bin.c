/* bin: verification sets as Python 2 and 3 pickle them; everything else is refused, and nothing runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/source_bin.h"
#include "scratch.h"
#include "sources.h"

static void what_python_writes(void **state)
{
    FW_UNUSED(state);
    static const char *const name[] = {"p3.bin", "p4.bin", "p5.bin", "python2.bin"};
    char *dir = made_by_python("bin"), big[76800];
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)i;
    for (size_t k = 0; k < FW_COUNT(name); k++) {
        fw_err e = {0};
        fw_bin set;
        fw_source *s = open_in("bin", dir, name[k], NULL, &e);
        if (!s) fail_msg("%s", e.msg);
        walks_as(s, "0||50 1||63 2||76 3||89 4||102 5||115 6||128 7||76800 ");
        for (int i = 6; i >= 0; i--) {
            char key[16];
            snprintf(key, sizeof key, "%d", i);
            reads_image(s, key, i);
        }
        reads_bytes(s, "7", big, sizeof big);
        read_fails(s, "8", 100, "no record");
        read_fails(s, "7", 100, "limit");
        fw_source_close(s);
        char *path = scratch_path(dir, name[k]);
        assert_int_equal(fw_bin_read(path, &set, &e), FW_OK);
        assert_int_equal(set.pairs, 4);
        assert_true(set.same[0] && !set.same[1] && !set.same[2] && set.same[3]);
        fw_bin_free(&set);
        fw_free(path);
    }
    scratch_done(dir);
}

static void many_and_shared(void **state)
{
    FW_UNUSED(state);
    char *dir = made_by_python("bin");
    fw_err e = {0};
    fw_source *s = open_in("bin", dir, "many.bin", NULL, &e);
    if (!s) fail_msg("%s", e.msg);
    reads_bytes(s, "5999", "5999", 4);
    reads_bytes(s, "1000", "1000", 4);
    fw_source_close(s);
    s = open_in("bin", dir, "shared.bin", NULL, &e); /* one object four times, numbers for booleans */
    if (!s) fail_msg("%s", e.msg);
    walks_as(s, "0||1 1||1 2||1 3||1 ");
    fw_source_close(s);
    scratch_done(dir);
}

static void refused(void **state)
{
    FW_UNUSED(state);
    static const char *const cases[][2] = {{"evil", "offset"},
                                           {"evil_inside", "offset"},
                                           {"global2", "would import or call"},
                                           {"text0", "offset 2"},
                                           {"odd", "3 images for 1"},
                                           {"strings", "does not belong"},
                                           {"dict", "does not belong"},
                                           {"swapped", "must hold byte strings"},
                                           {"list", "without the tuple"},
                                           {"nested", "second list must hold booleans"},
                                           {"three", "offset"},
                                           {"empty", "offset 0: cut off"},
                                           {"nopairs", "0 images"},
                                           {"huge", "behind the end"},
                                           {"huge32", "behind the end"},
                                           {"marks", "nested too deep"},
                                           {"memo", "out of order"},
                                           {"recall", "not remembered"},
                                           {"loop", "must hold byte strings"},
                                           {"cut", "behind the end"},
                                           {"marktuple", "must be a tuple"}};
    char *dir = made_by_python("bin");
    for (size_t i = 0; i < FW_COUNT(cases); i++) {
        char *name = fw_format("bad_%s.bin", cases[i][0]);
        open_fails("bin", dir, name, NULL, cases[i][1]);
        fw_free(name);
    }
    assert_false(scratch_has(dir, "PWNED"));
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_python_writes), cmocka_unit_test(many_and_shared),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
