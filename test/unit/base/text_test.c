/* Text helpers: tables of inputs and what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static void test_starts_and_ends(void **state)
{
    (void)state;
    assert_true(text_starts("refs/heads/main", "refs/heads/"));
    assert_false(text_starts("ref", "refs"));
    assert_true(text_ends("shop.git", ".git"));
    assert_true(text_ends("x", ""));
    assert_false(text_ends("git", ".git"));
}

static void test_labels(void **state)
{
    (void)state;
    assert_true(text_is_label("a", 63));
    assert_true(text_is_label("shop-2", 63));
    static const char *const wrong[] = { "",    "-a",       "a-",  "A",    "a_b", "a.b",
                                         "a b", "\xc3\xa4", "a/b", "../x", "a\n" };
    for (size_t i = 0; i < countof(wrong); i++)
        assert_false(text_is_label(wrong[i], 63));
    assert_true(text_is_label("abc", 3));
    assert_false(text_is_label("abcd", 3));
}

static void test_utf8_is_made_valid(void **state)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } cases[] = {
        { "plain", 5, "plain" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "a\0b", 3,
          "a\xef\xbf\xbd"
          "b" },
        { "\xff", 1, "\xef\xbf\xbd" },
        { "\xc3", 1, "\xef\xbf\xbd" },
        { "\xc0\x80", 2, "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xf4\x90\x80\x80", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd" },
        { "", 0, "" },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        /* a copy of the exact size, so that AddressSanitizer sees a read past it */
        auto_free char *in = xmemdup(cases[i].in, cases[i].len);
        auto_free char *out = text_utf8(in, cases[i].len);
        assert_string_equal(out, cases[i].out);
    }
}

static void test_numbers(void **state)
{
    int64_t n = 77;
    (void)state;

    assert_true(text_int("-12", &n));
    assert_int_equal(n, -12);
    assert_true(text_int("9223372036854775807", &n));
    assert_true(n == INT64_MAX);
    n = 77;
    static const char *const wrong[] = { "",     " 1",  "+1",
                                         "1 ",   "1x",  "-",
                                         "0x10", "1.5", "9223372036854775808" };
    for (size_t i = 0; i < countof(wrong); i++)
        assert_false(text_int(wrong[i], &n));
    assert_false(text_int(NULL, &n));
    assert_int_equal(n, 77);
}

static void test_durations_and_sizes(void **state)
{
    int64_t n = 77;
    (void)state;

    assert_true(text_duration_ms("250ms", &n) && n == 250);
    assert_true(text_duration_ms("30s", &n) && n == 30000);
    assert_true(text_duration_ms("15m", &n) && n == 900000);
    assert_true(text_duration_ms("7d", &n) && n == 604800000);
    assert_true(text_size("512", &n) && n == 512);
    assert_true(text_size("256Mi", &n) && n == 256 << 20);
    n = 77;
    static const char *const wrong[] = { "",    "s",    "30",
                                         "-1s", "1.5h", "30 s",
                                         "30S", "1w",   "9999999999999999s" };
    for (size_t i = 0; i < countof(wrong); i++)
        assert_false(text_duration_ms(wrong[i], &n));
    assert_false(text_duration_ms("999999999999999d", &n)); /* overflows */
    assert_false(text_size("1M", &n));
    assert_false(text_size("1GB", &n));
    assert_false(text_size(NULL, &n));
    assert_int_equal(n, 77);
}

static void test_nearest(void **state)
{
    static const char *const words[] = { "build", "processes", "routes", "volumes", NULL };
    (void)state;

    assert_string_equal(text_nearest("proceses", words), "processes");
    assert_string_equal(text_nearest("biuld", words), "build");
    assert_null(text_nearest("kubernetes", words));
    assert_null(text_nearest("zzz", words));
    char longer[200];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    const char *const longs[] = { longer, NULL };
    assert_string_equal(text_nearest(longer, longs), longer);
}

static void test_base64(void **state)
{
    /* RFC 4648, section 10 */
    static const char *const cases[][2] = { { "", "" },
                                            { "f", "Zg==" },
                                            { "fo", "Zm8=" },
                                            { "foo", "Zm9v" },
                                            { "foob", "Zm9vYg==" },
                                            { "fooba", "Zm9vYmE=" },
                                            { "foobar", "Zm9vYmFy" } };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        size_t len = 99;
        auto_free char *out = text_base64(cases[i][0], strlen(cases[i][0]));
        assert_string_equal(out, cases[i][1]);
        auto_free char *back = text_unbase64(out, strlen(out), &len);
        assert_string_equal(back, cases[i][0]);
        assert_int_equal(len, strlen(cases[i][0]));
    }
    auto_free char *url = text_base64url("\xfb\xff\xfe\xff", 4);
    assert_string_equal(url, "-__-_w");
    size_t len;
    auto_free char *unpadded = text_unbase64("Zm8", 3, &len);
    assert_string_equal(unpadded, "fo");
    static const char *const wrong[] = { "Z", "Zm9v!", "Zm 9v", "Z=g=", "Zm9vY", "-_-_" };
    for (size_t i = 0; i < countof(wrong); i++)
        assert_null(text_unbase64(wrong[i], strlen(wrong[i]), &len));
    assert_null(text_unbase64("Zg\0=", 4, &len));
}

static void test_hex_and_url(void **state)
{
    (void)state;

    auto_free char *hex = text_hex("\x00\xab\xff", 3);
    assert_string_equal(hex, "00abff");
    auto_free char *url = text_url_escape("a b/\xc3\xa4~-._%");
    assert_string_equal(url, "a%20b%2F%C3%A4~-._%25");
    auto_free char *back = text_url_unescape(url, strlen(url));
    assert_string_equal(back, "a b/\xc3\xa4~-._%");
    static const char *const wrong[] = { "%", "%4", "%zz", "a%00b", "%%41" };
    for (size_t i = 0; i < countof(wrong); i++) {
        auto_free char *copy = xmemdup(wrong[i], strlen(wrong[i]));
        assert_null(text_url_unescape(copy, strlen(wrong[i])));
    }
}

static void test_time(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = { { 0, "1970-01-01T00:00:00.000Z" },
                  { INT64_C(1769846400007), "2026-01-31T08:00:00.007Z" },
                  { -1, "1969-12-31T23:59:59.999Z" },
                  { -1000, "1969-12-31T23:59:59.000Z" },
                  { INT64_MAX, "9999-12-31T23:59:59.999Z" },
                  { INT64_MIN, "0000-01-01T00:00:00.000Z" } };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *text = text_time(cases[i].ms);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_and_ends),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_utf8_is_made_valid),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_durations_and_sizes),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_hex_and_url),
        cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
