#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "controller/backend/docker/internal.h"

static void events_that_matter_name_their_app(void **state)
{
    static const struct {
        const char *text;
        const char *app; /* NULL: of no concern */
    } cases[] = {
#define EVENT(type, action, attributes) \
    "{\"Type\":" type ",\"Action\":" action ",\"Actor\":{\"Attributes\":" attributes "}}"
#define OURS "{\"sh.evenkeel.app\":\"A1\"}"
        { EVENT("\"container\"", "\"die\"", OURS), "A1" },
        { EVENT("\"container\"", "\"start\"", OURS), "A1" },
        { EVENT("\"container\"", "\"health_status: unhealthy\"", OURS), "A1" },
        { EVENT("\"container\"", "\"exec_create: /bin/die\"", OURS), NULL },
        { EVENT("\"container\"", "\"diesel\"", OURS), NULL },
        { EVENT("\"container\"", "\"\"", OURS), NULL },
        { EVENT("\"network\"", "\"start\"", OURS), NULL },
        { EVENT("\"container\"", "\"die\"", "{}"), NULL },
        { EVENT("\"container\"", "\"die\"", "{\"sh.evenkeel.app\":\"\"}"), NULL },
        { EVENT("\"container\"", "\"die\"", "{\"sh.evenkeel.app\":7}"), NULL },
        { EVENT("7", "\"die\"", OURS), NULL },
        { EVENT("\"container\"", "null", OURS), NULL },
        { "[]", NULL },
        { "7", NULL },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        json_auto_t *event = json_loads(cases[i].text, JSON_DECODE_ANY, NULL);
        assert_non_null(event);
        const char *app = docker_event_app(event);
        assert_int_equal(!app, !cases[i].app);
        if (app)
            assert_string_equal(app, cases[i].app);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_that_matter_name_their_app),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
