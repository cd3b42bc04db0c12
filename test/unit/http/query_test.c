#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/query.h"

static void test_members(void **state)
{
    auto_query *q = query_parse("a=1&b=two+words%21&&flag&c=x=y&a=2&=v&e%3D=%C3%A9");
    (void)state;

    assert_string_equal(query_get(q, "a"), "1");
    assert_string_equal(query_get(q, "b"), "two words!");
    assert_string_equal(query_get(q, "flag"), "");
    assert_string_equal(query_get(q, "c"), "x=y");
    assert_string_equal(query_get(q, ""), "v");
    assert_string_equal(query_get(q, "e="), "\xc3\xa9");
    assert_null(query_get(q, "d"));
    assert_int_equal(query_count(q), 7);
    assert_false(query_is_malformed(q));
}

static void test_malformed(void **state)
{
    static const char *const texts[] = { "a=%", "a=%1", "a=%zz", "a=%00", "%=b", "x=1&%2=2" };
    (void)state;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        auto_query *q = query_parse(texts[i]);
        assert_true(query_is_malformed(q));
        assert_null(query_get(q, "a"));
    }
}

static void test_empty(void **state)
{
    auto_query *q = query_parse("");
    (void)state;

    assert_int_equal(query_count(q), 0);
    assert_null(query_get(q, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
