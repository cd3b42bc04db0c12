#include "builder/ignore.h"

#include <time.h>

#include "support.h"

static const struct {
    const char *rules, *path;
    bool is_ignored;
} cases[] = {
    { "", "a", false },
    { "# a\n", "a", false },
    { "#a\n", "#a", false },
    { "a\n", "a", true },
    { "/a\n", "a", true },
    { "a/\n", "a/b", true },
    { "./a/./b\n", "a/b/c", true },
    { "a\n", "ab", false },
    { "a\n", "b/a", false },
    { "*/a\n", "b/a", true },
    { "*/a\n", "c/b/a", false },
    { "*.log\n", "x.log", true },
    { "*.log\n", "d/x.log", false },
    { "**/*.log\n", "x.log", true },
    { "**/*.log\n", "d/e/x.log", true },
    { "**/*.log\n", "d/e/x.logs", false },
    { "a/**\n", "a/b/c", true },
    { "a/**/z\n", "a/z", true },
    { "a/**/z\n", "a/b/c/z", true },
    { "a/**/z\n", "a/bz", false },
    { "**\n", "anything/at/all", true },
    { "*\n", "d/file", true },
    { "?.c\n", "a.c", true },
    { "?.c\n", "ab.c", false },
    { "a?b\n", "a/b", false },
    { "[a-c]x\n", "bx", true },
    { "[^a-c]x\n", "bx", false },
    { "[^a-c]x\n", "zx", true },
    { "[]x\n", "[]x", true },
    { "[x\n", "[x", true },
    { "\\*\n", "*", true },
    { "\\*\n", "x", false },
    { "*\n!keep\n", "keep", false },
    { "*\n!keep\n", "other", true },
    { "*\n!keep\nkeep/bad\n", "keep/bad", true },
    { "*\n!keep\nkeep/bad\n", "keep/good", false },
    { "a\n!a/b\n", "a/b", false },
    { "a\n! a/b\n", "a/b", false },
    { "  a  \r\n", "a", true },
    { "node_modules\n.git\n", "node_modules/x/y", true },
    { "\xef\xbb\xbf"
      "a\n",
      "a", true },
    { "!\n/\n.\n", "a", false },
    { "..\n../a\n", "a", false },
};

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        auto_ignore *ignore = NULL;
        struct err err = { 0 };
        assert_int_equal(ignore_parse(cases[i].rules, strlen(cases[i].rules), &ignore, &err), 0);
        if (ignore_matches(ignore, cases[i].path) != cases[i].is_ignored)
            fail_msg("case %zu: \"%s\" and \"%s\"", i, cases[i].rules, cases[i].path);
    }
    assert_false(ignore_matches(NULL, "a"));
}

/* A pattern that makes a backtracking matcher take for ever. */
static void test_time_is_bounded(void **state)
{
    auto_free char *rules = xcalloc(1000, 1);
    auto_free char *path = xcalloc(4001, 1);
    auto_ignore *ignore = NULL;
    struct err err = { 0 };
    struct timespec from, to;
    (void)state;

    for (int i = 0; i < 300; i++)
        memcpy(rules + (size_t)i * 3, i % 2 ? "**a" : "*ab", 3);
    memset(path, 'a', 4000);
    assert_int_equal(ignore_parse(rules, strlen(rules), &ignore, &err), 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_false(ignore_matches(ignore, path));
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(to.tv_sec - from.tv_sec < 5);
}

static void test_bounds(void **state)
{
    auto_free char *rules = NULL;
    size_t len;
    struct ignore *ignore = NULL;
    struct err err = { 0 };
    FILE *out = xmemstream(&rules, &len);
    (void)state;

    for (int i = 0; i < 1001; i++)
        fputs("a\n", out);
    fclose(out);
    assert_int_equal(ignore_parse(rules, len, &ignore, &err), -1);
    assert_int_equal(err.class, ERR_EXHAUSTED);
    memset(rules, 'x', 1100);
    assert_int_equal(ignore_parse(rules, 1100, &ignore, &err), -1);
    assert_null(ignore);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_time_is_bounded),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
