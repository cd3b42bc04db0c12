/* Error values: classes, codes on the wire, chains that never overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static void test_set_replaces_everything(void **state)
{
    struct err err = { 0 };
    (void)state;

    assert_int_equal(err_field(&err, "processes.web.port", "use a number", "port %s", "x"), -1);
    assert_int_equal(err.class, ERR_INVALID);
    assert_string_equal(err.text, "port x");
    assert_string_equal(err.field, "processes.web.port");
    assert_string_equal(err.hint, "use a number");
    assert_int_equal(err_set(&err, ERR_CONFLICT, "moved to %d", 3), -1);
    assert_string_equal(err.text, "moved to 3");
    assert_string_equal(err.field, "");
    assert_string_equal(err.hint, "");
    assert_int_equal(err_hint(&err, "look again"), -1);
    assert_int_equal(err.class, ERR_CONFLICT);
    assert_string_equal(err.hint, "look again");
}

static void test_prefix_makes_a_chain(void **state)
{
    struct err err = { 0 };
    (void)state;

    err_set(&err, ERR_UNAVAILABLE, "connection refused");
    err_prefix(&err, "pulling %s", "image");
    err_prefix(&err, "app shop");
    assert_string_equal(err.text, "app shop: pulling image: connection refused");
    assert_int_equal(err.class, ERR_UNAVAILABLE);
}

static void test_long_texts_are_cut(void **state)
{
    char longer[sizeof((struct err *)0)->text * 2];
    struct err err = { 0 };
    (void)state;

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    err_set(&err, ERR_INTERNAL, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_prefix(&err, "a");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "a: xxx", 6);
    err_prefix(&err, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_errno(&err, ENOENT, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_field(&err, longer, longer, "%s", longer);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
    assert_int_equal(strlen(err.hint), sizeof err.hint - 1);
}

static void test_errno_gives_the_class(void **state)
{
    static const struct {
        int errnum;
        enum err_class class;
    } cases[] = { { ENOENT, ERR_NOT_FOUND },         { EEXIST, ERR_EXISTS },
                  { ENOSPC, ERR_EXHAUSTED },         { EMFILE, ERR_EXHAUSTED },
                  { ECONNREFUSED, ERR_UNAVAILABLE }, { EPIPE, ERR_UNAVAILABLE },
                  { ETIMEDOUT, ERR_TIMEOUT },        { EIO, ERR_INTERNAL } };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        struct err err = { 0 };
        assert_int_equal(err_errno(&err, cases[i].errnum, "opening x"), -1);
        assert_int_equal(err.class, cases[i].class);
    }
    struct err err = { 0 };
    err_errno(&err, ENOENT, "opening %s", "x");
    assert_string_equal(err.text, "opening x: No such file or directory");
}

static void test_codes_go_both_ways(void **state)
{
    (void)state;

    for (int class = ERR_INTERNAL; class <= ERR_UNIMPLEMENTED; class ++)
        assert_int_equal(err_class_of(err_code((enum err_class) class)), class);
    assert_string_equal(err_code(ERR_CONFLICT), "failed_precondition");
    assert_int_equal(err_class_of("out_of_range"), ERR_INTERNAL);
    assert_int_equal(err_class_of("ok"), ERR_INTERNAL);
    assert_int_equal(err_class_of(NULL), ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_replaces_everything),
        cmocka_unit_test(test_prefix_makes_a_chain),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_errno_gives_the_class),
        cmocka_unit_test(test_codes_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
