/* Drives controller/router for test_router.py: a JSON command per line on standard input, a JSON
 * answer per line.
 *
 *     router-driver DIR PORT SLOTS [SITE_SERVER]
 *
 * {"do": "apply", "app", "generation", "routes": [{host, path, process|site, spa}], "upstreams":
 * [{instance, process, address, port, draining}]} · {"do": "acknowledged", "app"} · {"do":
 * "in_flight", "app", "instance"} · {"do": "check"} */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/router/haproxy.h"

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int64_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static int apply(const struct router *router, const json_t *in, struct err *err)
{
    const json_t *routes = json_object_get(in, "routes"),
                 *upstreams = json_object_get(in, "upstreams"), *item;
    auto_free struct app_route *route = xcalloc(json_array_size(routes) + 1, sizeof *route);
    auto_free struct upstream *upstream = xcalloc(json_array_size(upstreams) + 1, sizeof *upstream);
    size_t i;

    json_array_foreach(routes, i, item)
        route[i] = (struct app_route){ .host = text_of(item, "host"),
                                       .path = text_of(item, "path"),
                                       .process = text_of(item, "process"),
                                       .site = text_of(item, "site"),
                                       .spa = json_is_true(json_object_get(item, "spa")) };
    json_array_foreach(upstreams, i, item)
        upstream[i] =
            (struct upstream){ .instance = text_of(item, "instance"),
                               .process = text_of(item, "process"),
                               .address = text_of(item, "address"),
                               .port = (uint16_t)number_of(item, "port"),
                               .draining = json_is_true(json_object_get(item, "draining")) };
    const struct app_routes want = { .app_id = text_of(in, "app"),
                                     .generation = number_of(in, "generation"),
                                     .routes = route,
                                     .route_count = json_array_size(routes),
                                     .upstreams = upstream,
                                     .upstream_count = json_array_size(upstreams) };
    return router->apply(router->self, &want, err);
}

static int run(const struct router *router, const json_t *in, int64_t *value, struct err *err)
{
    const char *verb = text_of(in, "do");

    if (strcmp(verb, "apply") == 0)
        return apply(router, in, err);
    if (strcmp(verb, "check") == 0)
        return router->check(router->self, err);
    if (strcmp(verb, "in_flight") == 0)
        return router->in_flight(router->self, text_of(in, "app"), text_of(in, "instance"), value,
                                 err);
    *value = router->acknowledged(router->self, text_of(in, "app"));
    return 0;
}

static void answer(int rc, int64_t value, const struct err *err)
{
    json_auto_t *out =
        json_pack("{s:b, s:I, s:s, s:s}", "ok", rc == 0, "value", (json_int_t)value, "class",
                  rc ? err_code(err->class) : "", "text", rc ? err->text : "");
    json_dumpf(out, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    auto_free char *line = NULL;
    struct router router;
    struct err err = { 0 };
    int64_t port = 0, slots = 0;
    size_t room = 0;

    if (argc < 4 || !text_int(argv[2], &port) || !text_int(argv[3], &slots))
        return 2;
    const struct haproxy_config config = { .dir = argv[1],
                                           .http_host = "127.0.0.1",
                                           .http_port = (uint16_t)port,
                                           .slots = (unsigned)slots,
                                           .site_server = argc > 4 ? argv[4] : NULL,
                                           .maxconn = 1000 };
    int rc = haproxy_router_new(&config, &router, &err);
    answer(rc, 0, &err);
    while (rc == 0 && getline(&line, &room, stdin) > 0) {
        json_auto_t *in = json_loads(line, 0, NULL);
        struct err why = { 0 };
        int64_t value = 0;
        int done = run(&router, in, &value, &why);
        answer(done, value, &why);
    }
    if (rc == 0)
        router.close(router.self);
    return rc ? 1 : 0;
}
