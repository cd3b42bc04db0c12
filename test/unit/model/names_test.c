#include "unit.h"

static void test_names(void **state)
{
    static const struct {
        const char *name, *field;
        size_t max;
        bool good;
    } cases[] = {
        { "a", "project", 30, true },     { "shop-2", "app", 40, true },
        { "git", "project", 30, true },   { "git", "app", 40, false },
        { "api", "app", 40, false },      { "", "app", 40, false },
        { "-a", "app", 40, false },       { "a-", "app", 40, false },
        { "A", "app", 40, false },        { "a.b", "app", 40, false },
        { "a\nb", "app", 40, false },     { "abc", "process", 2, false },
        { "\xc3\xa4", "app", 40, false },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct err err = { 0 };
        bool good = !spec_check_name(cases[i].name, cases[i].field, cases[i].max, &err);
        assert_int_equal(good, cases[i].good);
        assert_string_equal(err.field, good ? "" : cases[i].field);
    }
}

static void test_hosts(void **state)
{
    static const char *const good[] = { "a.b",           "localhost", "shop.example.org",
                                        "1.2.3.example", "x--y.z",    "0.a",
                                        "a.0b" };
    static const char *const bad[] = { "",      ".",      "a.",    ".a",    "a..b",     "A.b",
                                       "a_b.c", "-a.b",   "a-.b",  "*.a.b", "10.0.0.1", "1",
                                       "0x7f",  "1.0x7f", "a:80",  "a/b",   "http://a", "\xc3\xa4",
                                       "a b",   "a\n",    "[::1]", "a.1" };
    struct err err = { 0 };
    char long_label[80] = "", long_host[300] = "";

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        if (spec_check_host(good[i], "host", &err))
            fail_msg("%s: %s", good[i], err.text);
    for (size_t i = 0; i < countof(bad); i++)
        if (!spec_check_host(bad[i], "host", &err))
            fail_msg("accepted: %s", bad[i]);
    memset(long_label, 'a', 64);
    for (size_t i = 0; i < 254; i++)
        long_host[i] = i % 2 ? '.' : 'a';
    long_host[254] = 'a';
    assert_int_equal(spec_check_host(long_label, "host", &err), -1);
    assert_int_equal(spec_check_host(long_label + 1, "host", &err), 0);
    assert_int_equal(spec_check_host(long_host, "host", &err), -1);
    assert_int_equal(spec_check_host(long_host + 2, "host", &err), 0);
}

static void test_refs(void **state)
{
    static const char *const good[] = {
        "main", "feature/a-b", "v1.2.3", "refs/heads/main", "a@b",    "HEAD", "a.lockb",
        "@a",   "{a}",         "a/-b",   "\xc3\xa4",        "a'b\"c",
    };
    static const char *const bad[] = {
        "",         "/",
        "a/",       "/a",
        "a//b",     ".a",
        "a/.b",     "a.",
        "a..b",     "a.lock",
        "a.lock/b", "a b",
        "a~",       "a^",
        "a:b",      "a?",
        "a*",       "a[",
        "a\\b",     "a@{b",
        "@",        "a\tb",
        "a\x7f",    "-a",
        "a\nb",     "--upload-pack=x",
    };
    struct err err = { 0 };
    char long_ref[300];

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        if (spec_check_ref(good[i], &err))
            fail_msg("%s: %s", good[i], err.text);
    for (size_t i = 0; i < countof(bad); i++)
        if (!spec_check_ref(bad[i], &err))
            fail_msg("accepted: %s", bad[i]);
    memset(long_ref, 'a', sizeof long_ref);
    long_ref[256] = '\0';
    assert_int_equal(spec_check_ref(long_ref, &err), -1);
    assert_int_equal(spec_check_ref(long_ref + 1, &err), 0);
}

static void test_good_urls(void **state)
{
    static const char *const good[] = {
        "https://example.org/a.git",
        "http://127.0.0.1:3000/default/a",
        "ssh://git@example.org/a/b.git",
        "ssh://git@example.org:2222/~a/b",
        "https://[::1]:80/a",
        "https://example.org/a%20b",
        "https://example.org/@a/b:c",
    };
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        if (spec_check_url(good[i], &err))
            fail_msg("%s: %s", good[i], err.text);
}

static void test_bad_urls(void **state)
{
    static const struct {
        const char *url, *text, *hint;
    } cases[] = {
        { "", "`url` must start with https://, http:// or ssh://",
          "write https://HOST/PATH or ssh://git@HOST/PATH" },
        { "ext::sh -c id", "`url` must be visible ASCII characters without blanks",
          "write other characters as %XX" },
        { "ext::sh", "`url` must start with https://, http:// or ssh://",
          "write https://HOST/PATH or ssh://git@HOST/PATH" },
        { "file:///etc", "`url` must start with https://, http:// or ssh://",
          "write https://HOST/PATH or ssh://git@HOST/PATH" },
        { "/srv/git", "`url` must start with https://, http:// or ssh://",
          "write https://HOST/PATH or ssh://git@HOST/PATH" },
        { "HTTPS://a/b", "`url` must start with https://, http:// or ssh://",
          "write https://HOST/PATH or ssh://git@HOST/PATH" },
        { "git://a/b", "`url` must start with https://, http:// or ssh://",
          "write https://HOST/PATH or ssh://git@HOST/PATH" },
        { "git@github.com:a/b.git", "`url` must start with https://, http:// or ssh://",
          "write ssh://USER@HOST/PATH instead of USER@HOST:PATH" },
        { "--upload-pack=x", "`url` must not start with -", "" },
        { "https://a/b\nc", "`url` must be visible ASCII characters without blanks",
          "write other characters as %XX" },
        { "https://a/\xc3\xa4", "`url` must be visible ASCII characters without blanks",
          "write other characters as %XX" },
        { "https://u:p@a/b", "`url` must not contain a user or password",
          "give user and password as members of their own" },
        { "https://u@a/b", "`url` must not contain a user or password",
          "give user and password as members of their own" },
        { "ssh://u:p@a/b", "`url` must not contain a user or password",
          "give user and password as members of their own" },
        { "ssh://-oProxyCommand=x@a/b", "`url` has a user that is not letters, digits and . _ -",
          "" },
        { "ssh://a@b@c/d", "`url` has a user that is not letters, digits and . _ -", "" },
        { "ssh://-oProxyCommand=x/b", "`url` must name a host, and a port only as a number", "" },
        { "https:///b", "`url` must name a host, and a port only as a number", "" },
        { "https://a:b/c", "`url` must name a host, and a port only as a number", "" },
        { "https://a:/c", "`url` must name a host, and a port only as a number", "" },
        { "https://a:99999/c", "`url` must name a host, and a port only as a number", "" },
        { "https://a%00b/c", "`url` has a % that is not followed by the code of a character", "" },
        { "https://a/%0ab", "`url` has a % that is not followed by the code of a character", "" },
        { "https://a/%7F", "`url` has a % that is not followed by the code of a character", "" },
        { "https://a/b%", "`url` has a % that is not followed by the code of a character", "" },
        { "https://a/b?x=y", "`url` must not contain ? # or \\",
          "write only scheme, host and path" },
        { "https://a/b#x", "`url` must not contain ? # or \\", "write only scheme, host and path" },
        { "https://a\\b/c", "`url` must not contain ? # or \\",
          "write only scheme, host and path" },
        { "https://a", "`url` must name the repository after the host", "write https://HOST/PATH" },
        { "https://a/", "`url` must name the repository after the host",
          "write https://HOST/PATH" },
        { "https://[::1/a", "`url` must name a host, and a port only as a number", "" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct err err = { 0 };
        if (!spec_check_url(cases[i].url, &err))
            fail_msg("accepted: %s", cases[i].url);
        assert_string_equal(err.text, cases[i].text);
        assert_string_equal(err.field, "url");
        assert_string_equal(err.hint, cases[i].hint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),    cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_refs),     cmocka_unit_test(test_good_urls),
        cmocka_unit_test(test_bad_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
