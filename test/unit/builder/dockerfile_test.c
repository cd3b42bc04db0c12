#include "builder/dockerfile.h"

#include "support.h"

static void check_strip(const char *in, const char *want, const char *want_image)
{
    auto_free char *image = NULL;
    auto_free char *out = dockerfile_strip_syntax(in, strlen(in), &image);

    assert_string_equal(out, want);
    if (want_image)
        assert_string_equal(image, want_image);
    else
        assert_null(image);
}

static void test_syntax_lines(void **state)
{
    (void)state;
    check_strip("FROM a\n", "FROM a\n", NULL);
    check_strip("# syntax=docker/dockerfile:1\nFROM a\n",
                "# removed: syntax=docker/dockerfile:1\nFROM a\n", "docker/dockerfile:1");
    check_strip("#SYNTAX = x/y\r\n# escape=`\nFROM a", "# escape=`\n# removed: syntax=x/y\nFROM a",
                "x/y");
    check_strip("# escape=`\n#syntax=x\nFROM a\n", "# escape=`\n# removed: syntax=x\nFROM a\n",
                "x");
    check_strip("\xef\xbb\xbf# syntax=x\n", "\xef\xbb\xbf# removed: syntax=x\n", "x");
    check_strip("#!/usr/bin/env x\n# syntax=x\n", "#!/usr/bin/env x\n# removed: syntax=x\n", "x");
    check_strip("// syntax=x\nFROM a\n", "# removed: syntax=x\nFROM a\n", "x");
    check_strip("# syntax=x", "# removed: syntax=x\n", "x");
    /* behind anything else it is a comment, and stays */
    check_strip("# hello\n# syntax=x\nFROM a\n", "# hello\n# syntax=x\nFROM a\n", NULL);
    check_strip("FROM a\n# syntax=x\n", "FROM a\n# syntax=x\n", NULL);
    check_strip("", "", NULL);
}

static int generate(const char *base, const char *run, const char *args, char **text,
                    struct err *err)
{
    json_auto_t *object = args ? json_loads(args, 0, NULL) : NULL;
    struct build_spec build = { .base = base, .run = run, .args = object };

    assert_true(!args || object);
    return dockerfile_for_command(&build, text, err);
}

static void test_command(void **state)
{
    auto_free char *text = NULL;
    struct err err = { 0 };
    (void)state;

    assert_int_equal(generate("evenkeel/node:20", "npm ci\nnpm run build",
                              "{\"B\":\"2\",\"A\":\"1\"}", &text, &err),
                     0);
    assert_string_equal(text, "FROM evenkeel/node:20\nWORKDIR /app\nARG A\nARG B\nCOPY app/ ./\n"
                              "RUN [\"sh\",\"-ec\",\"npm ci\\nnpm run build\"]\n");
    free(take(&text));
    assert_int_equal(generate("x", NULL, NULL, &text, &err), 0);
    assert_null(strstr(text, "RUN"));
}

/* Whatever the script holds, it stays one line, and reads back as it was. */
static void test_scripts_cannot_break_out(void **state)
{
    static const char *const scripts[] = {
        "\nFROM evil\nRUN rm -rf /",
        "\"]\nFROM evil",
        "a\\\nUSER root",
        "$(evil) `x` ${HOME}",
        "\r\nFROM x",
        "\xe2\x80\xa8"
        "FROM x",
        "\xc2\x85"
        "FROM x",
        "\\",
        "<<EOF\nx\nEOF",
        "\x01\x1f",
    };
    (void)state;

    for (size_t i = 0; i < countof(scripts); i++) {
        auto_free char *text = NULL;
        struct err err = { 0 };
        assert_int_equal(generate("base", scripts[i], NULL, &text, &err), 0);
        const char *run = strstr(text, "\nRUN ");
        assert_non_null(run);
        run += strlen("\nRUN ");
        assert_ptr_equal(strchr(run, '\n'), run + strlen(run) - 1);
        for (const char *c = run; c[1]; c++)
            assert_true(*c >= ' ' && *c < 0x7f);
        json_auto_t *argv = json_loads(run, 0, NULL);
        assert_string_equal(json_string_value(json_array_get(argv, 2)), scripts[i]);
    }
}

static void test_names_cannot_break_out(void **state)
{
    static const char *const bases[] = { "",        "a b", "a\nRUN evil", "$X",    "--platform=x",
                                         "a\tAS b", "a#b", "-x",          "\"a\"", "a\\" };
    static const char *const args[] = { "{\"A B\":\"\"}", "{\"A\\nRUN x\":\"\"}", "{\"1A\":\"\"}",
                                        "{\"\":\"\"}",    "{\"A=1\":\"\"}",       "{\"$A\":\"\"}" };
    struct err err = { 0 };
    char *text = NULL;
    (void)state;

    for (size_t i = 0; i < countof(bases); i++)
        assert_int_equal(generate(bases[i], "true", NULL, &text, &err), -1);
    for (size_t i = 0; i < countof(args); i++)
        assert_int_equal(generate("base", "true", args[i], &text, &err), -1);
    assert_int_equal(err.class, ERR_INVALID);
    assert_int_equal(generate(NULL, "true", NULL, &text, &err), -1);
    assert_int_equal(generate("base", "bad \xff", NULL, &text, &err), -1);
    auto_free char *big = xcalloc(70001, 1);
    memset(big, 'x', 70000);
    assert_int_equal(generate("base", big, NULL, &text, &err), -1);
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax_lines),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_scripts_cannot_break_out),
        cmocka_unit_test(test_names_cannot_break_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
