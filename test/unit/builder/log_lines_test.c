#include "builder/log_lines.h"

#include "support.h"

static char *run(const void *data, size_t len, size_t piece)
{
    auto_free char *out = NULL;
    size_t out_len;
    struct log_lines lines;
    FILE *file = xmemstream(&out, &out_len);

    log_lines_init(&lines, gather, file);
    for (size_t i = 0; i < len; i += piece)
        log_lines_add(&lines, (const char *)data + i, len - i < piece ? len - i : piece);
    log_lines_flush(&lines);
    log_lines_done(&lines);
    fclose(file);
    return take(&out);
}

static void check(const char *in, const char *want)
{
    for (size_t piece = 1; piece < 20; piece += 6) {
        auto_free char *got = run(in, strlen(in), piece);
        assert_string_equal(got, want);
    }
}

static void test_lines(void **state)
{
    (void)state;
    check("", "");
    check("a\nb", "a\nb\n");
    check("a\r\nb\r\n", "a\nb\n");
    check("10%\r50%\r100%\ndone\n", "100%\ndone\n");
    check("50%\r", "50%\n");
    check("\n\n", "\n\n");
}

static void test_terminal_sequences_are_dropped(void **state)
{
    (void)state;
    check("\x1b[31mred\x1b[0m\n", "red\n");
    check("a\x1b]0;title\x07z\n", "a0;titlez\n");
    check("bell\x07 del\x7f tab\tend\n", "bell del tab\tend\n");
    check("cut\x1b[12", "cut\n");
    check("cut\x1b", "cut\n");
}

static void test_bytes_become_utf8(void **state)
{
    (void)state;
    check("gr\xc3\xbc\xc3\x9f\n", "gr\xc3\xbc\xc3\x9f\n");
    check("bad \xff\n", "bad \xef\xbf\xbd\n");
    auto_free char *got = run("a\0b\n", 4, 4);
    assert_string_equal(got, "ab\n");
}

/* The bound holds in bytes of what comes out, and no character is cut in two. */
static void test_long_lines_are_cut(void **state)
{
    static const char *const units[] = { "x", "\xc3\xbc", "\xff" };
    (void)state;

    for (size_t u = 0; u < countof(units); u++) {
        auto_free char *in = NULL;
        size_t len;
        FILE *file = xmemstream(&in, &len);
        for (int i = 0; i < 3 * LINE_MAX_BYTES; i++)
            fputs(units[u], file);
        fputs("\nnext\n", file);
        fclose(file);
        auto_free char *got = run(in, len, 1000);
        size_t cut = strcspn(got, "\n");
        assert_true(cut <= LINE_MAX_BYTES && cut > LINE_MAX_BYTES - 64);
        assert_string_equal(got + cut, "\nnext\n");
        got[cut] = '\0';
        assert_non_null(strstr(got, "(line cut)"));
        auto_free char *again = log_lines_clean(got, strlen(got));
        assert_string_equal(again, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_terminal_sequences_are_dropped),
        cmocka_unit_test(test_bytes_become_utf8),
        cmocka_unit_test(test_long_lines_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
