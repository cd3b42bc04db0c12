#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oci/internal.h"

static int count(void *arg, const json_t *line, struct err *err)
{
    int64_t *sum = arg;

    (void)err;
    *sum += json_integer_value(json_object_get(line, "n"));
    return 0;
}

static int feed(const char *text, size_t piece, int64_t *sum, struct err *failed, struct err *err)
{
    struct lines lines = { .line = count, .arg = sum };
    int rc = 0;

    for (size_t at = 0, len = strlen(text); at < len && rc == 0; at += piece)
        rc = lines_add(&lines, text + at, len - at < piece ? len - at : piece, err);
    if (rc == 0)
        rc = lines_end(&lines, err);
    *failed = lines.failed;
    lines_done(&lines);
    return rc;
}

static void lines_come_whole_whatever_the_pieces(void **state)
{
    const char *text = "{\"n\":1}\r\n\n{\"n\":20}\n{\"n\":300}";

    (void)state;
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct err err = { .class = ERR_NONE }, failed;
        int64_t sum = 0;
        assert_int_equal(feed(text, piece, &sum, &failed, &err), 0);
        assert_int_equal(sum, 321);
        assert_int_equal(failed.class, ERR_NONE);
    }
}

static void an_error_under_status_200_is_kept(void **state)
{
    static const struct {
        const char *text;
        enum err_class class;
    } cases[] = {
        { "{\"error\":\"manifest for a:b not found\"}\n{\"n\":1}", ERR_NOT_FOUND },
        { "{\"error\":\"pull access denied for a\"}\n{\"n\":1}", ERR_NOT_FOUND },
        { "{\"error\":\"write: no space left on device\"}\n{\"n\":1}", ERR_EXHAUSTED },
        { "{\"error\":\"The command '/bin/sh -c x' returned 1\"}\n{\"n\":1}", ERR_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct err err = { .class = ERR_NONE }, failed;
        int64_t sum = 0;
        assert_int_equal(feed(cases[i].text, 5, &sum, &failed, &err), 0);
        assert_int_equal(sum, 1);
        assert_int_equal(failed.class, cases[i].class);
    }
}

static void what_is_no_json_is_refused(void **state)
{
    struct err err = { .class = ERR_NONE }, failed;
    int64_t sum = 0;

    (void)state;
    assert_int_equal(feed("{\"n\":1}\n<html>\n", 3, &sum, &failed, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    assert_int_equal(feed("{\"n\":1", 3, &sum, &failed, &err), -1);
}

static void a_line_without_end_is_refused(void **state)
{
    struct lines lines = { .line = count };
    struct err err = { .class = ERR_NONE };
    auto_free char *block = xcalloc(1, 1 << 20);
    int blocks = 0;

    (void)state;
    memset(block, ' ', 1 << 20);
    while (lines_add(&lines, block, 1 << 20, &err) == 0 && blocks < 100)
        blocks++;
    assert_int_equal(blocks, ENGINE_LINE_MAX >> 20);
    lines_done(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole_whatever_the_pieces),
        cmocka_unit_test(an_error_under_status_200_is_kept),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(a_line_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
