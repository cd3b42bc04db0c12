#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/params.h"

#define AS "\"as\":{\"token\":null},\"peer\":\"\""

static void test_params(void **state)
{
    static const struct {
        struct params_input in;
        const char *params; /* sorted by name */
    } cases[] = {
        { { .query = "" }, "{" AS "}" },
        { { .query = "limit=5&cursor=7&follow&tail=0&since_ms=-1" },
          "{\"as\":{\"token\":null},\"cursor\":\"7\",\"follow\":true,\"limit\":5,\"peer\":\"\","
          "\"since_ms\":-1,\"tail\":0}" },
        { { .query = "follow=false" }, "{\"as\":{\"token\":null},\"follow\":false,\"peer\":\"\"}" },
        { { .body = "{\"a\":{\"b\":[1]},\"c\":null}" },
          "{\"a\":{\"b\":[1]},\"as\":{\"token\":null},\"c\":null,\"peer\":\"\"}" },
        { { .body = " \r\n" }, "{" AS "}" },
        { { .token = "t", .peer = "1.2.3.4" }, "{\"as\":{\"token\":\"t\"},\"peer\":\"1.2.3.4\"}" },
        /* nobody chooses who he is, or where he comes from */
        { { .body = "{\"as\":{\"token\":\"x\"},\"peer\":\"x\"}", .query = "as=y&peer=y" },
          "{" AS "}" },
        { { .if_match = "\"12\"" },
          "{\"as\":{\"token\":null},\"if_generation\":12,\"peer\":\"\"}" },
        { { .if_match = "W/\"12\"" },
          "{\"as\":{\"token\":null},\"if_generation\":12,\"peer\":\"\"}" },
        { { .if_match = "*" }, "{" AS "}" },
        { { .idempotency_key = "k 1" },
          "{\"as\":{\"token\":null},\"idempotency_key\":\"k 1\",\"peer\":\"\"}" },
        { { .last_event_id = "9" }, "{" AS "}" },
        { { .last_event_id = "9", .resume = "after", .query = "after=3" },
          "{\"after\":9,\"as\":{\"token\":null},\"peer\":\"\"}" },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        struct params_input in = cases[i].in;
        struct err err = { .class = ERR_NONE };
        json_auto_t *members = json_object(), *params = NULL;
        in.members = members;
        in.body_len = in.body ? strlen(in.body) : 0;
        if (params_make(&in, &params, &err))
            fail_msg("%zu: %s", i, err.text);
        auto_free char *text = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(text, cases[i].params);
    }
}

static void test_path_wins(void **state)
{
    struct params_input in = { .query = "app=q",
                               .body = "{\"app\":\"b\",\"release\":\"x\"}",
                               .body_len = 27 };
    struct err err = { .class = ERR_NONE };
    json_auto_t *members = json_pack("{s:s, s:s}", "app", "p", "release", "4"), *params = NULL;
    (void)state;

    in.members = members;
    in.body_len = strlen(in.body);
    assert_int_equal(params_make(&in, &params, &err), 0);
    assert_string_equal(json_string_value(json_object_get(params, "app")), "p");
    assert_int_equal(json_integer_value(json_object_get(params, "release")), 4);
}

static void test_wrong(void **state)
{
    static const struct {
        struct params_input in;
        const char *field;
    } cases[] = {
        { { .query = "limit=five" }, "limit" },
        { { .query = "limit=" }, "limit" },
        { { .query = "limit=99999999999999999999" }, "limit" },
        { { .query = "follow=maybe" }, "follow" },
        { { .query = "a=1&a=2" }, "a" },
        { { .query = "a=%ff" }, "a" },
        { { .query = "%ff=a" }, "" },
        { { .query = "a=%0" }, "" },
        { { .body = "[1]" }, "" },
        { { .body = "{" }, "" },
        { { .body = "{} x" }, "" },
        { { .body = "{\"a\":1,\"a\":2}" }, "" },
        { { .body = "\"text\"" }, "" },
        { { .body = "{\"a\":\"\xff\"}" }, "" },
        { { .if_match = "\"abc\"" }, "If-Match" },
        { { .if_match = "\"1\", \"2\"" }, "If-Match" },
        { { .last_event_id = "x", .resume = "after" }, "after" },
        { { .idempotency_key = "\xff" }, "idempotency_key" },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        struct params_input in = cases[i].in;
        struct err err = { .class = ERR_NONE };
        json_auto_t *members = json_object();
        json_t *params = NULL;
        in.members = members;
        in.body_len = in.body ? strlen(in.body) : 0;
        if (params_make(&in, &params, &err) != -1 || params)
            fail_msg("%zu was accepted", i);
        assert_int_equal(err.class, ERR_INVALID);
        assert_string_equal(err.field, cases[i].field);
    }
}

static void test_body_with_nul(void **state)
{
    struct params_input in = { .body = "{}\0{}", .body_len = 5 };
    struct err err = { .class = ERR_NONE };
    json_auto_t *members = json_object();
    json_t *params = NULL;
    (void)state;

    in.members = members;
    assert_int_equal(params_make(&in, &params, &err), -1);
}

static void test_token(void **state)
{
    static const struct {
        const char *header, *token;
    } cases[] = {
        { NULL, NULL },          { "", NULL },
        { "Bearer", NULL },      { "Bearer ", NULL },
        { "Bearer abc", "abc" }, { "bearer  abc", "abc" },
        { "Basic dTpw", "p" },   { "basic dTpwOnE=", "p:q" },
        { "Basic dTo=", NULL },  { "Basic dXA=", NULL },
        { "Basic !!", NULL },    { "Basic dTpwAHE=", NULL }, /* a NUL in it */
        { "Digest abc", NULL },  { "Bearerx abc", NULL },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *token = params_token(cases[i].header);
        if (!cases[i].token)
            assert_null(token);
        else
            assert_string_equal(token, cases[i].token);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params), cmocka_unit_test(test_path_wins),
        cmocka_unit_test(test_wrong),  cmocka_unit_test(test_body_with_nul),
        cmocka_unit_test(test_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
