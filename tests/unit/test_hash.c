#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/hash.h"
#include "../../lib/sha256.h"
#include "scratch.h"

/* XXH3-128 of the empty input, seed 0, as published with xxHash. */
static void empty_input(void **state)
{
    FW_UNUSED(state);
    char hex[33];
    fw_hash_hex(fw_hash_bytes("", 0), hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
}

static void pieces_give_the_same_as_the_whole(void **state)
{
    FW_UNUSED(state);
    char text[5000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 31);
    fw_hash whole = fw_hash_bytes(text, sizeof text);
    fw_hasher *h = fw_hasher_new();
    for (size_t at = 0, step = 1; at < sizeof text; step = step * 3 + 1) {
        size_t n = step < sizeof text - at ? step : sizeof text - at;
        fw_hasher_add(h, text + at, n);
        at += n;
    }
    assert_true(fw_hash_equal(whole, fw_hasher_finish(h)));
    text[4999] ^= 1;
    assert_false(fw_hash_equal(whole, fw_hash_bytes(text, sizeof text)));
}

static fw_hash of_texts(const char *a, const char *b)
{
    fw_hasher *h = fw_hasher_new();
    fw_hasher_text(h, a);
    fw_hasher_text(h, b);
    return fw_hasher_finish(h);
}

static void texts_are_told_apart_where_they_are_cut(void **state)
{
    FW_UNUSED(state);
    assert_false(fw_hash_equal(of_texts("ab", "c"), of_texts("a", "bc")));
    assert_true(fw_hash_equal(of_texts("ab", "c"), of_texts("ab", "c")));
}

static void hex_round_trip(void **state)
{
    FW_UNUSED(state);
    fw_hash h = {0x0123456789abcdefu, 0xfedcba9876543210u}, back;
    char hex[33];
    fw_hash_hex(h, hex);
    assert_string_equal(hex, "0123456789abcdeffedcba9876543210");
    assert_true(fw_hash_parse(hex, &back));
    assert_true(fw_hash_equal(h, back));
    assert_false(fw_hash_parse("0123", &back));
    assert_false(fw_hash_parse("0123456789ABCDEFfedcba9876543210", &back));
    assert_false(fw_hash_parse("0123456789abcdeffedcba98765432100", &back));
}

/* FIPS 180-2's examples. */
static void sha256_of_the_standard(void **state)
{
    FW_UNUSED(state);
    char hex[FW_SHA256_HEX];
    fw_err e = {0};
    assert_int_equal(fw_sha256_bytes("abc", 3, hex, &e), FW_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(fw_sha256_bytes("", 0, hex, &e), FW_OK);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void sha256_of_a_file(void **state)
{
    FW_UNUSED(state);
    char *dir = scratch_new(), *path = scratch_path(dir, "f"), hex[FW_SHA256_HEX];
    fw_err e = {0};
    scratch_put(dir, "f", "abc");
    assert_int_equal(fw_sha256_file(path, hex, &e), FW_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    fw_free(path);
    path = scratch_path(dir, "none");
    assert_int_equal(fw_sha256_file(path, hex, &e), FW_EFAIL);
    assert_non_null(strstr(e.msg, "none"));
    fw_free(path);
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_input),
        cmocka_unit_test(pieces_give_the_same_as_the_whole),
        cmocka_unit_test(texts_are_told_apart_where_they_are_cut),
        cmocka_unit_test(hex_round_trip),
        cmocka_unit_test(sha256_of_the_standard),
        cmocka_unit_test(sha256_of_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
