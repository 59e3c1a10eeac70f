/* npy, feat: matrices that NumPy wrote; rows come normalised, rows of zeros, NaN or infinity are bad images. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"
#include "sources.h"

#include <math.h>

static void reads_row(const fw_source *s, const char *dir, int row, double tolerance)
{
    char *path = scratch_path(dir, "want"), *want, *bytes, key[16];
    float out[FW_VECTOR_MAX], w[8];
    size_t n;
    fw_err e = {0};
    snprintf(key, sizeof key, "%d", row);
    assert_int_equal(fw_file_read(path, 1 << 20, &want, &n, &e), FW_OK);
    if (fw_source_read(s, key, 1 << 20, &bytes, &n, &e)) fail_msg("%s", e.msg);
    assert_int_equal(fw_vector_record(bytes, n, out), 8);
    memcpy(w, want + 32 * row, sizeof w);
    for (int i = 0; i < 8; i++)
        if (!(fabs((double)out[i] - (double)w[i]) <= tolerance))
            fail_msg("row %d: %g instead of %g", row, (double)out[i], (double)w[i]);
    free(bytes);
    free(want);
    fw_free(path);
}

static void matrices(void **state)
{
    FW_UNUSED(state);
    static const struct {
        const char *scheme, *name;
        double tolerance;
        const char *walk;
    } cases[] = {
        {"npy", "float16.npy,%s/labels.txt", 1e-3, "0|ann|48 1|ann|48 2|bob|48 3||48 4|carl|48 5|carl|48 "},
        {"npy", "float32.npy,%s/labels.txt", 1e-6, "0|ann|48 1|ann|48 2|bob|48 3||48 4|carl|48 5|carl|48 "},
        {"npy", "float64.npy", 1e-6, "0||48 1||48 2||48 3||48 4||48 5||48 "},
        {"feat", "f.bin,%s/f.meta", 1e-6, "0|0|48 1|0|48 2|1|48 3|1|48 4|2|48 5|2|48 "},
    };
    char *dir = made_by_python("npy");
    for (size_t i = 0; i < FW_COUNT(cases); i++) {
        const char *rest = strstr(cases[i].name, "%s");
        char *name = rest ? fw_format("%.*s%s%s", (int)(rest - cases[i].name), cases[i].name, dir, rest + 2)
                          : fw_strdup(cases[i].name);
        fw_err e = {0};
        fw_source *s = open_in(cases[i].scheme, dir, name, NULL, &e);
        if (!s) fail_msg("%s", e.msg);
        assert_int_equal(fw_source_dim(s), 8);
        walks_as(s, cases[i].walk);
        reads_row(s, dir, 0, cases[i].tolerance);
        reads_row(s, dir, 1, cases[i].tolerance);
        if (i)
            reads_row(s, dir, 5, cases[i].tolerance); /* 1e-30: below what a half float holds, */
        else
            read_fails(s, "5", 100, "row 5 is all zero"); /* so numpy stored zeros */
        read_fails(s, "2", 100, "row 2 is all zero");
        read_fails(s, "3", 100, "row 3 holds a value that is not finite");
        read_fails(s, "4", 100, "not finite");
        read_fails(s, "6", 100, "no record");
        fw_source_close(s);
        fw_free(name);
    }
    scratch_done(dir);
}

static void refused(void **state)
{
    FW_UNUSED(state);
    static const char *const cases[][2] = {{"fortran.npy", "column by column"}, {"bigendian.npy", "little endian"},
                                           {"ints.npy", "values of type"},      {"flat.npy", "N x D"},
                                           {"wide.npy", "D up to 4096"},        {"objects.npy", "values of type"},
                                           {"cut.npy", "behind the end"},       {"text.npy", "not an .npy"},
                                           {"huge.npy", "behind the end"},      {"overflow.npy", "behind the end"},
                                           {"negative.npy", "N x D"},           {"longhead.npy", "a header of"},
                                           {"missing.npy", "No such file"}};
    char *dir = made_by_python("npy");
    for (size_t i = 0; i < FW_COUNT(cases); i++) open_fails("npy", dir, cases[i][0], NULL, cases[i][1]);
    char *name = fw_format("float32.npy,%s/short.txt", dir);
    open_fails("npy", dir, name, NULL, "2 labels for 6 rows");
    fw_free(name);
    name = fw_format("f.bin,%s/five.meta", dir);
    open_fails("feat", dir, name, NULL, "no float32 matrix of 5 rows");
    open_fails("feat", dir, "f.bin", NULL, "give feat:");
    fw_free(name);
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(matrices), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
