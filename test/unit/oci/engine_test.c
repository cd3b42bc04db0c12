#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/text.h"
#include "oci/internal.h"

static void the_oldest_common_version_is_spoken(void **state)
{
    static const struct {
        const char *newest, *oldest;
        int64_t minor; /* 0: refused */
    } cases[] = {
        { "1.41", "1.12", 41 }, { "1.50", "1.24", 41 }, { "1.52", "1.44", 44 },
        { "1.40", "1.12", 0 },  { "2.0", "1.12", 0 },   { "1.x", "1.12", 0 },
        { "1.41", "", 41 },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        json_auto_t *answer = json_pack("{s:s, s:s}", "ApiVersion", cases[i].newest,
                                        "MinAPIVersion", cases[i].oldest);
        struct err err = { .class = ERR_NONE };
        int64_t minor = 0;
        assert_int_equal(engine_choose_version(answer, &minor, &err), cases[i].minor ? 0 : -1);
        assert_int_equal(minor, cases[i].minor);
    }
}

static void a_status_has_a_class(void **state)
{
    static const struct {
        long status;
        enum err_class class;
    } cases[] = {
        { 200, ERR_NONE },     { 204, ERR_NONE },        { 304, ERR_NONE },
        { 400, ERR_INVALID },  { 404, ERR_NOT_FOUND },   { 409, ERR_CONFLICT },
        { 500, ERR_INTERNAL }, { 503, ERR_UNAVAILABLE },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char body[] = "{\"message\":\"so it is\"}";
        struct http_answer answer = { .status = cases[i].status,
                                      .body = body,
                                      .len = strlen(body) };
        struct err err = { .class = ERR_NONE };
        assert_int_equal(engine_check(&answer, &err), cases[i].class ? -1 : 0);
        assert_int_equal(err.class, cases[i].class);
        if (err.class)
            assert_true(text_starts(err.text, "so it is"));
    }
}

static void times_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        { "1970-01-01T00:00:01Z", 1000 },
        { "2026-01-31T08:00:00.123456789Z", 1769846400123 },
        { "2026-01-31T08:00:00.5Z", 1769846400500 },
        { "0001-01-01T00:00:00Z", 0 },
        { "yesterday", 0 },
        { "2026-01-31T08:00:00+02:00", 0 },
        { "", 0 },
        { NULL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++)
        assert_int_equal(engine_time_ms(cases[i].text), cases[i].ms);
}

static void filters_are_escaped(void **state)
{
    auto_free char *text = engine_filters(json_pack("{s:[s]}", "label", "a=b&c"));

    (void)state;
    assert_string_equal(text, "%7B%22label%22%3A%5B%22a%3Db%26c%22%5D%7D");
}

static void credentials_are_padded(void **state)
{
    (void)state;
    for (const char *password = "secret"; *password; password++) {
        struct engine_auth auth = { .user = "u", .password = password, .server = "h" };
        auto_free char *value = engine_auth_header(&auth);
        assert_int_equal(strlen(value) % 4, 0);
        assert_null(strpbrk(value, "+/"));
    }
}

static void a_daemon_that_is_away_is_unavailable(void **state)
{
    auto_engine *engine = engine_new("/nonexistent/docker.sock");
    struct err err = { .class = ERR_NONE };

    (void)state;
    assert_int_equal(engine_get(engine, NULL, &err, "/info"), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "/nonexistent/docker.sock"));
}

static void an_image_id_cannot_be_pulled(void **state)
{
    auto_engine *engine = engine_new("/nonexistent/docker.sock");
    struct err err = { .class = ERR_NONE };

    (void)state;
    assert_int_equal(engine_pull(engine,
                                 "sha256:"
                                 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                                 NULL, 1000, NULL, &err),
                     -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_common_version_is_spoken),
        cmocka_unit_test(a_status_has_a_class),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(filters_are_escaped),
        cmocka_unit_test(credentials_are_padded),
        cmocka_unit_test(a_daemon_that_is_away_is_unavailable),
        cmocka_unit_test(an_image_id_cannot_be_pulled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
