/* Hashes against the published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/text.h"

/* FIPS 180-4: SHA-256 of "abc" */
static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static void test_sha256(void **state)
{
    (void)state;

    auto_free char *whole = sha256_hex("abc", 3);
    assert_string_equal(whole, abc);
    auto_free char *empty = sha256_hex("", 0);
    assert_string_equal(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    auto_sha256 *sha = sha256_new();
    sha256_add(sha, "a", 1);
    sha256_add(sha, NULL, 0);
    sha256_add(sha, "bc", 2);
    auto_free char *pieces = sha256_end(sha);
    assert_string_equal(pieces, abc);
    sha256_free(NULL);
}

static void test_hmac(void **state)
{
    (void)state;

    /* RFC 4231, test case 2 */
    auto_free char *hmac = hmac_sha256_hex("Jefe", 4, "what do ya want for nothing?", 28);
    assert_string_equal(hmac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    auto_free char *empty = hmac_sha256_hex("", 0, "", 0);
    assert_string_equal(empty, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_secrets(void **state)
{
    (void)state;

    auto_wipe char *one = secret_new("ek_"), *two = secret_new("ek_");
    assert_true(text_starts(one, "ek_"));
    assert_int_equal(strlen(one), 3 + 43);
    assert_string_not_equal(one, two);
    assert_true(secret_equal(one, one));
    assert_false(secret_equal(one, two));
    assert_false(secret_equal("abc", "abcd"));
    assert_true(secret_equal("", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
