#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/routes.h"

static void test_found(void **state)
{
    static const struct {
        const char *method, *path, *rpc, *members;
        unsigned status;
        bool wants_events;
    } cases[] = {
        { "GET", "/api/v1/projects", "projects.list", "{}", 200, false },
        { "HEAD", "/api/v1/projects", "projects.list", "{}", 200, false },
        { "POST", "/api/v1/projects", "projects.create", "{}", 201, false },
        { "GET", "/api/v1/projects/p", "projects.get", "{\"project\":\"p\"}", 200, false },
        { "PATCH", "/api/v1/projects/p/apps/a", "apps.update", "{\"project\":\"p\",\"app\":\"a\"}",
          200, false },
        { "POST", "/api/v1/projects/p/apps/a/deploy", "apps.deploy",
          "{\"project\":\"p\",\"app\":\"a\"}", 202, false },
        { "POST", "/api/v1/projects/p/apps/a/restart", "apps.restart",
          "{\"project\":\"p\",\"app\":\"a\"}", 202, false },
        { "PUT", "/api/v1/projects/p/apps/a/hold", "apps.hold", "{\"project\":\"p\",\"app\":\"a\"}",
          200, false },
        { "DELETE", "/api/v1/projects/p/apps/a/hold", "apps.resume",
          "{\"project\":\"p\",\"app\":\"a\"}", 200, false },
        { "GET", "/api/v1/projects/p/apps/a/events", "events.list",
          "{\"project\":\"p\",\"app\":\"a\"}", 200, false },
        { "GET", "/api/v1/projects/p/apps/a/events", "events.follow",
          "{\"project\":\"p\",\"app\":\"a\"}", 200, true },
        { "GET", "/api/v1/projects/p/apps/a/logs", "apps.logs", "{\"project\":\"p\",\"app\":\"a\"}",
          200, false },
        { "GET", "/api/v1/projects/p/apps/a/releases/3", "releases.get",
          "{\"project\":\"p\",\"app\":\"a\",\"release\":\"3\"}", 200, false },
        { "GET", "/api/v1/builds/b%2Fc", "builds.get", "{\"build\":\"b/c\"}", 200, false },
        { "POST", "/api/v1/hooks/r", "hooks.receive", "{\"repository\":\"r\"}", 202, false },
        { "DELETE", "/api/v1/tokens/t", "tokens.delete", "{\"id\":\"t\"}", 204, false },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        const struct route *route = NULL;
        json_auto_t *members = NULL;
        char *allow = NULL;
        assert_int_equal(route_find(cases[i].method, cases[i].path, cases[i].wants_events, &route,
                                    &members, &allow),
                         ROUTE_FOUND);
        auto_free char *text = json_dumps(members, JSON_COMPACT);
        assert_string_equal(route->rpc, cases[i].rpc);
        assert_string_equal(text, cases[i].members);
        assert_int_equal(route->status, cases[i].status);
        assert_null(allow);
    }
}

static void test_denied(void **state)
{
    static const char *const paths[] = {
        "",
        "/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/projects",
        "/api/v1/projects/",
        "/api/v1/projects//apps",
        "/api/v1/projects/p/apps/",
        "/api/v1/projects/p/apps/a/",
        "/api/v1/projects/p/apps/a/deploy/x",
        "/api/v1/projects/p/apps/a/deplo",
        "/api/v1/projects/%00",
        "/api/v1/projects/%ff",
        "/api/v1/projects/%zz",
        "/api/v1/Projects",
        "api/v1/projects",
        "http://x/api/v1/projects",
    };
    (void)state;

    for (size_t i = 0; i < countof(paths); i++) {
        const struct route *route = NULL;
        json_auto_t *members = NULL;
        char *allow = NULL;
        if (route_find("GET", paths[i], true, &route, &members, &allow) != ROUTE_NO_PATH ||
            members || allow)
            fail_msg("%s was found", paths[i]);
    }
}

static void test_wrong_method(void **state)
{
    static const struct {
        const char *method, *path, *allow;
    } cases[] = {
        { "PUT", "/api/v1/projects", "GET, POST" },
        { "get", "/api/v1/projects", "GET, POST" },
        { "POST", "/api/v1/projects/p/apps/a", "DELETE, GET, PATCH" },
        { "DELETE", "/api/v1/projects/p/apps/a/events", "GET" },
        { "HEAD", "/api/v1/projects/p/apps/a/logs", "GET" },
        { "GET", "/api/v1/hooks/r", "POST" },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        const struct route *route = NULL;
        json_auto_t *members = NULL;
        auto_free char *allow = NULL;
        assert_int_equal(
            route_find(cases[i].method, cases[i].path, false, &route, &members, &allow),
            ROUTE_NO_METHOD);
        assert_string_equal(allow, cases[i].allow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_wrong_method),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
