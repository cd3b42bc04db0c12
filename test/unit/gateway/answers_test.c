/* What goes out: problems, tags, events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/problem.h"
#include "gateway/rest.h"
#include "gateway/sse.h"

static void test_problem(void **state)
{
    struct err err = { .class = ERR_NONE };
    (void)state;

    err_field(&err, "processes.web.port", "between 1 and 65535", "the port 0 is not one");
    json_auto_t *problem = problem_json(400, &err, "ID");
    auto_free char *text = json_dumps(problem, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "{\"code\":\"invalid_argument\",\"detail\":\"the port 0 is not "
                              "one\",\"field\":\"processes.web.port\","
                              "\"hint\":\"between 1 and "
                              "65535\",\"id\":\"ID\",\"status\":400,\"title\":\"Invalid request\","
                              "\"type\":\"urn:evenkeel:problem:invalid_argument\"}");
}

static void test_internal_is_not_told(void **state)
{
    struct err err = { .class = ERR_NONE };
    (void)state;

    err_set(&err, ERR_INTERNAL, "opening /var/lib/secret");
    json_auto_t *problem = problem_json(500, &err, "ID");
    auto_free char *text = json_dumps(problem, JSON_COMPACT);
    assert_null(strstr(text, "secret"));
    assert_non_null(strstr(text, "\"id\":\"ID\""));
}

static void test_cut_text_is_made_valid(void **state)
{
    struct err err = { .class = ERR_NONE };
    (void)state;

    err_set(&err, ERR_INVALID, "caf\xc3");
    json_auto_t *problem = problem_json(400, &err, "ID");
    assert_string_equal(json_string_value(json_object_get(problem, "detail")), "caf\xef\xbf\xbd");
}

static void test_status(void **state)
{
    static const struct {
        enum err_class class;
        unsigned status;
    } cases[] = {
        { ERR_INTERNAL, 500 }, { ERR_INVALID, 400 },   { ERR_NOT_FOUND, 404 },
        { ERR_EXISTS, 409 },   { ERR_CONFLICT, 409 },  { ERR_UNAUTHENTICATED, 401 },
        { ERR_DENIED, 403 },   { ERR_EXHAUSTED, 429 }, { ERR_UNAVAILABLE, 503 },
        { ERR_TIMEOUT, 504 },  { ERR_STOPPED, 503 },   { ERR_UNIMPLEMENTED, 501 },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++)
        assert_int_equal(problem_status(cases[i].class), cases[i].status);
}

static void test_etag(void **state)
{
    static const struct {
        const char *json, *etag;
    } cases[] = {
        { "{}", NULL },
        { "{\"etag\":\"7\"}", "\"7\"" },
        { "{\"etag\":7}", "\"7\"" },
        { "{\"etag\":\"\\\"7\\\"\"}", "\"7\"" },
        { "{\"etag\":\"\"}", NULL },
        { "{\"etag\":null}", NULL },
        { "[1]", NULL },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        json_auto_t *result = json_loads(cases[i].json, 0, NULL);
        auto_free char *etag = rest_etag(result);
        if (!cases[i].etag)
            assert_null(etag);
        else
            assert_string_equal(etag, cases[i].etag);
    }
}

static void test_event(void **state)
{
    json_auto_t *value = json_pack("{s:i, s:s}", "seq", 5, "line", "a\nb\r\n\ndata: c");
    auto_free char *data = sse_event(NULL, "seq", value);
    auto_free char *end = sse_event("end", NULL, NULL);
    auto_free char *other = sse_event("x", "offset", value);
    (void)state;

    assert_string_equal(data, "id: 5\ndata: {\"seq\":5,\"line\":\"a\\nb\\r\\n\\ndata: c\"}\n\n");
    assert_string_equal(end, "event: end\ndata: {}\n\n");
    assert_null(strstr(other, "id:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problem),
        cmocka_unit_test(test_internal_is_not_told),
        cmocka_unit_test(test_cut_text_is_made_valid),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_etag),
        cmocka_unit_test(test_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
