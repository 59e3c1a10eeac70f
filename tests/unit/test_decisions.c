/* The log of decisions: what stands, what is refused, what a crash leaves behind, several writers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/decisions.h"
#include "../../lib/file.h"

#define A "0123456789abcdef0123456789abcdef"
#define B "ffffffffffffffff0000000000000001"

static char folder[] = "/tmp/fw_decisions_XXXXXX";
static char *log_path;

static int make_folder(void **state)
{
    FW_UNUSED(state);
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    log_path = fw_format("%s/decisions", folder);
    return 0;
}

static int drop_folder(void **state)
{
    FW_UNUSED(state);
    fw_free(log_path);
    return fw_remove_tree(folder, NULL);
}

static char *line(const char *id, const char *item, const char *answer, const char *claims)
{
    return fw_format("{\"format\":\"facewash-decision-1\",\"id\":\"%s\",\"when\":\"x\",\"who\":\"anna\",\"queue\":"
                     "\"q\",\"item\":\"%s\","
                     "\"answer\":\"%s\",\"claims\":[%s]}\n",
                     id, item, answer, claims);
}

static int add(const char *text, fw_err *e)
{
    size_t n;
    return fw_decisions_append(log_path, text, strlen(text), &n, e);
}

static void add_line(const char *item, const char *answer, const char *claims)
{
    fw_err e = {0};
    char *text = line("i", item, answer, claims);
    assert_int_equal(add(text, &e), FW_OK);
    fw_free(text);
}

static fw_decisions read_all(void)
{
    fw_err e = {0};
    fw_decisions d;
    assert_int_equal(fw_decisions_read(folder, &d, &e), FW_OK);
    return d;
}

static void five_kinds_of_claims(void **state)
{
    FW_UNUSED(state);
    add_line("1", "y", "{\"face\":\"" A "\",\"label\":\"Ann\",\"is\":false}");
    add_line("2", "y", "{\"face\":\"" A "\",\"use\":true}");
    add_line("3", "n", "{\"faces\":[\"" A "\",\"" B "\"],\"same_person\":false}");
    add_line("4", "y", "{\"images\":[\"" A "\",\"" B "\"],\"same_image\":true}");
    add_line("5", "r", "{\"labels\":[{\"hex\":\"636166e9\"},\"Bob\"],\"same_person\":true}");
    fw_decisions d = read_all();
    assert_int_equal(d.n, 5);
    assert_int_equal(d.standing, 5);
    assert_int_equal(d.damaged, 0);
    assert_int_equal(d.claim[0].kind, FW_CLAIM_IS);
    assert_string_equal(d.claim[0].label, "Ann");
    assert_false(d.claim[0].yes);
    assert_true(d.claim[1].kind == FW_CLAIM_USE && d.claim[1].yes);
    assert_true(d.claim[2].kind == FW_CLAIM_FACES && !d.claim[2].yes);
    assert_true(d.claim[3].kind == FW_CLAIM_IMAGES && d.claim[3].b.lo == 1);
    assert_string_equal(d.claim[4].label, "caf\xe9");
    assert_string_equal(d.claim[4].into, "Bob");
    fw_decisions_free(&d);
}

static void the_last_answer_stands(void **state)
{
    FW_UNUSED(state);
    add_line("1", "y", "{\"face\":\"" A "\",\"use\":false}");
    add_line("2", "y", "{\"face\":\"" B "\",\"use\":false}");
    add_line("1", "n", "{\"face\":\"" A "\",\"use\":true}");
    add_line("2", "u", "");
    fw_decisions d = read_all();
    assert_int_equal(d.n, 1);
    assert_true(d.claim[0].yes);
    fw_decisions_free(&d);
}

static void saved_files_count_too(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    char *path = fw_format("%s/from_anna.jsonl", folder), *other = fw_format("%s/notes.txt", folder);
    char *text = line("i", "9", "y", "{\"face\":\"" A "\",\"use\":false}");
    assert_int_equal(fw_file_write(path, text, strlen(text), &e), FW_OK);
    assert_int_equal(fw_file_write(other, text, strlen(text), &e), FW_OK);
    fw_decisions d = read_all();
    assert_int_equal(d.standing, 1);
    fw_decisions_free(&d);
    fw_free(path);
    fw_free(other);
    fw_free(text);
}

static void bad_lines_are_refused_whole(void **state)
{
    FW_UNUSED(state);
    static const char *const claims[] = {"{}",
                                         "1",
                                         "{\"face\":\"" A "\"}",
                                         "{\"face\":\"short\",\"use\":true}",
                                         "{\"face\":\"" A "\",\"use\":1}",
                                         "{\"faces\":[\"" A "\"],\"same_person\":true}",
                                         "{\"face\":\"" A "\",\"label\":{\"hex\":\"6\"},\"is\":true}",
                                         "{\"face\":\"" A "\",\"label\":{\"hex\":\"00\"},\"is\":true}",
                                         "{\"labels\":[\"a\",1],\"same_person\":true}"};
    char *good = line("i", "1", "y", "{\"face\":\"" A "\",\"use\":true}");
    for (size_t i = 0; i < FW_COUNT(claims); i++) {
        fw_err e = {0};
        char *bad = line("i", "2", "y", claims[i]), *both = fw_format("%s%s", good, bad);
        assert_int_equal(add(both, &e), FW_EUSAGE);
        assert_non_null(strstr(e.msg, "decision 2"));
        fw_free(bad);
        fw_free(both);
    }
    fw_err e = {0};
    char *answer = line("i", "1", "x", ""), *item = line("i", "", "y", "");
    assert_int_equal(add(answer, &e), FW_EUSAGE);
    assert_int_equal(add(item, &e), FW_EUSAGE);
    assert_int_equal(add("null\n", &e), FW_EUSAGE);
    assert_false(fw_exists(log_path));
    fw_free(answer);
    fw_free(item);
    fw_free(good);
}

static void a_torn_line_harms_no_other(void **state)
{
    FW_UNUSED(state);
    fw_err e = {0};
    add_line("1", "y", "{\"face\":\"" A "\",\"use\":true}");
    FILE *f = fopen(log_path, "ab");
    fputs("{\"format\":\"facewash-dec", f);
    fclose(f);
    add_line("2", "y", "{\"face\":\"" B "\",\"use\":true}");
    fw_decisions d = read_all();
    assert_int_equal(d.standing, 2);
    assert_int_equal(d.damaged, 1);
    fw_decisions_free(&d);
    fw_buf whole = {0}, rest = {0};
    assert_int_equal(fw_decisions_tail(log_path, 0, &whole, &e), FW_OK);
    assert_int_equal(fw_decisions_tail(log_path, whole.len - 10, &rest, &e), FW_OK);
    assert_int_equal(rest.len, 10);
    rest.len = 0;
    assert_int_equal(fw_decisions_tail(log_path, whole.len + 1000, &rest, &e), FW_OK);
    assert_int_equal(rest.len, 0);
    fw_buf_free(&whole);
    fw_buf_free(&rest);
}

static void many_writers_lose_nothing(void **state)
{
    FW_UNUSED(state);
    enum { WRITERS = 6, EACH = 20 };
    for (int w = 0; w < WRITERS; w++)
        if (fork() == 0) {
            for (int k = 0; k < EACH; k++) {
                char item[32];
                snprintf(item, sizeof item, "%d.%d", w, k);
                char *text = line("i", item, "y", "{\"face\":\"" A "\",\"use\":true}");
                fw_err e = {0};
                if (add(text, &e)) _exit(1);
                fw_free(text);
            }
            _exit(0);
        }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    fw_decisions d = read_all();
    assert_int_equal(d.standing, WRITERS * EACH);
    assert_int_equal(d.damaged, 0);
    fw_decisions_free(&d);
}

/* Bytes of a good log changed at random: reading never fails, and every line either stands or is counted. */
static void damage_is_counted(void **state)
{
    FW_UNUSED(state);
    fw_rng g = {7};
    fw_buf good = {0};
    char *a = line("i", "1", "y",
                   "{\"labels\":[{\"hex\":\"ff\"},\"B\"],\"same_person\":true},{\"faces\":[\"" A "\",\"" B
                   "\"],\"same_person\":true}");
    for (int k = 0; k < 3; k++) fw_buf_puts(&good, a);
    for (int round = 0; round < 3000; round++) {
        char *bytes = fw_alloc(good.len + 1, 1);
        memcpy(bytes, good.data, good.len);
        for (uint64_t k = 1 + fw_rng_below(&g, 4); k; k--)
            bytes[fw_rng_below(&g, good.len)] = (char)fw_rng_below(&g, 256);
        FILE *f = fopen(log_path, "wb");
        fwrite(bytes, 1, good.len, f);
        fclose(f);
        fw_decisions d = read_all();
        assert_true(d.standing <= 3 && d.n <= 6 && (d.standing >= 1 || d.damaged >= 1));
        fw_decisions_free(&d);
        size_t n;
        fw_err e = {0};
        assert_int_not_equal(fw_decisions_append("/dev/null/x", bytes, good.len, &n, &e),
                             FW_OK); /* parsed, never kept */
        fw_free(bytes);
    }
    fw_buf_free(&good);
    fw_free(a);
}

static void every_claim_knows_whose_it_is(void **state)
{
    FW_UNUSED(state);
    static const char *const who[] = {"zoe", "anna", "zoe", "bob"};
    fw_err e = {0};
    for (size_t i = 0; i < FW_COUNT(who); i++) {
        char *text =
            fw_format("{\"format\":\"facewash-decision-1\",\"id\":\"i\",\"when\":\"x\",\"who\":\"%s\",\"queue\":\"q\","
                      "\"item\":\"%zu\",\"answer\":\"%s\",\"claims\":[{\"face\":\"" A "\",\"use\":true}]}\n",
                      who[i], i, i == 3 ? "u" : "y");
        assert_int_equal(add(text, &e), FW_OK);
        fw_free(text);
    }
    fw_decisions d;
    assert_int_equal(fw_decisions_read(folder, &d, &e), FW_OK);
    assert_int_equal(d.curators, 2); /* bob took his back */
    assert_int_equal(d.n, 3);
    for (size_t i = 0; i < 3; i++) assert_string_equal(d.who[d.claim[i].who], who[i]);
    fw_decisions_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(five_kinds_of_claims, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(the_last_answer_stands, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(saved_files_count_too, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(bad_lines_are_refused_whole, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_torn_line_harms_no_other, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(many_writers_lose_nothing, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(damage_is_counted, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(every_claim_knows_whose_it_is, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
