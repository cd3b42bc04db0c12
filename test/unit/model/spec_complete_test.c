#include "unit.h"

static void is_full(const char *yaml, const char *want)
{
    json_auto_t *full = full_of(yaml);
    auto_free char *text = json_dumps(full, JSON_SORT_KEYS | JSON_COMPACT);

    assert_string_equal(text, want);
}

#define WEB                                                                           \
    "{\"check\":{\"grace\":30000,\"interval\":5000,\"timeout\":2000},\"cpus\":\"1\"," \
    "\"memory\":536870912,\"pids\":512,\"port\":8080,\"protocol\":\"http\",\"replicas\":1}"
#define DEPLOY "{\"drain\":30000,\"keep\":5,\"stop\":30000,\"timeout\":300000}"
#define LIMITS "\"cpus\":\"2\",\"dockerfile\":\"Dockerfile\",\"memory\":1073741824,"

static void test_defaults(void **state)
{
    (void)state;
    is_full("build: {method: dockerfile}",
            "{\"app\":\"shop\",\"build\":{\"args\":{},\"context\":\".\"," LIMITS
            "\"method\":\"dockerfile\",\"output\":\"image\",\"spa\":false,\"timeout\":900000,"
            "\"watch\":[]},\"deploy\":" DEPLOY ",\"env\":{},\"processes\":{\"web\":" WEB "},"
            "\"routes\":[{\"host\":\"shop.example.org\",\"path\":\"/\",\"process\":\"web\"}]}");
    is_full("build: {method: static}",
            "{\"app\":\"shop\",\"build\":{\"context\":\".\",\"cpus\":\"2\",\"memory\":1073741824,"
            "\"method\":\"static\",\"output\":\"site\",\"site\":\".\",\"spa\":false,"
            "\"timeout\":900000,\"watch\":[]},\"deploy\":" DEPLOY ",\"env\":{},\"processes\":{},"
            "\"routes\":[{\"host\":\"shop.example.org\",\"path\":\"/\"}]}");
}

static void test_reading(void **state)
{
    json_auto_t *full = full_of(
        "build: {method: command, base: node:20, run: make, output: image, cpus: 0.5, args: {A: "
        "b}}\n"
        "env: {LOG: info}\n"
        "processes:\n"
        "  web: {command: node a, replicas: 3, cpus: 1.25, memory: 64Mi, check: {path: /up}}\n"
        "  api: {port: 3000, pids: 99}\n"
        "  worker: {replicas: 0}\n"
        "routes: [{path: /api/, process: api}, {host: b.example.org}]\n"
        "deploy: {drain: 1m}\n");
    struct build_spec build;
    struct process_spec web, worker;
    struct route_spec api, other;
    struct deploy_spec deploy;

    (void)state;
    spec_build(full, &build);
    assert_string_equal(build.method, "command");
    assert_string_equal(build.output, "image");
    assert_string_equal(build.base, "node:20");
    assert_string_equal(build.run, "make");
    assert_null(build.dockerfile);
    assert_int_equal(build.cpus_milli, 500);
    assert_int_equal(build.timeout_ms, 900000);
    assert_string_equal(json_string_value(json_object_get(build.args, "A")), "b");
    assert_int_equal(spec_process_count(full), 3);
    spec_process(full, 0, &web);
    assert_string_equal(web.name, "web");
    assert_string_equal(web.command, "node a");
    assert_string_equal(web.check.path, "/up");
    assert_int_equal(web.replicas, 3);
    assert_int_equal(web.port, 8080);
    assert_int_equal(web.cpus_milli, 1250);
    assert_int_equal(web.memory, 64 << 20);
    spec_process(full, 2, &worker);
    assert_string_equal(worker.name, "worker");
    assert_null(worker.command);
    assert_int_equal(worker.replicas, 0);
    assert_int_equal(worker.port, 0);
    assert_int_equal(worker.check.grace_ms, 30000);
    assert_int_equal(spec_route_count(full), 2);
    spec_route(full, 0, &api);
    assert_string_equal(api.host, "shop.example.org");
    assert_string_equal(api.path, "/api");
    assert_string_equal(api.process, "api");
    spec_route(full, 1, &other);
    assert_string_equal(other.host, "b.example.org");
    assert_string_equal(other.path, "/");
    assert_string_equal(other.process, "web");
    spec_deploy(full, &deploy);
    assert_int_equal(deploy.drain_ms, 60000);
    assert_int_equal(deploy.keep, 5);
    assert_string_equal(json_string_value(json_object_get(spec_env(full), "LOG")), "info");
    assert_false(spec_is_site(full));
}

static void test_default_route(void **state)
{
    json_auto_t *worker = full_of("processes: {worker: {}}");
    json_auto_t *none = full_of("routes: []");
    json_auto_t *sparse = json_object(), *hostless = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(spec_route_count(worker), 0);
    assert_int_equal(spec_route_count(none), 0);
    assert_int_equal(spec_complete(sparse, "shop", NULL, &hostless, &err), 0);
    assert_int_equal(spec_route_count(hostless), 0);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *yaml, *text, *field;
    } cases[] = {
        { "build: {method: command}", "`build.base` is needed by method command", "build.base" },
        { "build: {method: image}", "`build.base` is needed by method image", "build.base" },
        { "build: {method: command, base: a, output: site, site: dist}",
          "`build.run` is needed by method command with output site", "build.run" },
        { "build: {method: command, base: a, output: site, run: make}",
          "`build.site` is needed by method command with output site", "build.site" },
        { "build: {method: dockerfile, output: site}",
          "`build.site` is needed by method dockerfile with output site", "build.site" },
        { "build: {method: static, output: image}",
          "`build.output` is always site with method static", "build.output" },
        { "build: {method: image, base: a, output: site}",
          "`build.output` is always image with method image", "build.output" },
        { "build: {method: dockerfile, run: make}",
          "`build.run` is for method command, and build.method is dockerfile", "build.run" },
        { "build: {base: debian:12}",
          "`build.base` is for method command or image, and build.method is auto", "build.base" },
        { "build: {method: static, dockerfile: a}",
          "`build.dockerfile` is for method dockerfile, and build.method is static",
          "build.dockerfile" },
        { "build: {method: image, base: a, context: b}",
          "`build.context` is for methods that build from the repository, and build.method is "
          "image",
          "build.context" },
        { "build: {method: dockerfile, site: a}",
          "`build.site` is for output site, and the output is image", "build.site" },
        { "build: {method: dockerfile, spa: true}",
          "`build.spa` is for output site, and the output is image", "build.spa" },
        { "build: {method: static}\nprocesses: {web: {}}",
          "`processes` are for output image, and this app is a site", "processes" },
        { "processes: {worker: {check: {path: /}}}",
          "`processes.worker.check.path` needs a port to ask", "processes.worker.check.path" },
        { "routes: [{process: api}]", "`routes[0].process` is api, and there is no such process",
          "routes[0].process" },
        { "processes: {worker: {}}\nroutes: [{process: worker}]",
          "`routes[0].process` is worker, and that process has no port", "routes[0].process" },
        { "processes: {worker: {}}\nroutes: [{path: /}]",
          "`routes[0].process` is web, and there is no such process", "routes[0].process" },
        { "build: {method: static}\nroutes: [{process: web}]",
          "`routes[0].process` is web, but this app is a site and has no processes",
          "routes[0].process" },
        { "routes: [{path: /a}, {path: /b}, {host: shop.example.org, path: /a/}]",
          "`routes[2]` is the same as routes[0]: shop.example.org/a", "routes[2]" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        json_auto_t *sparse = sparse_of(cases[i].yaml);
        struct err err = { 0 };
        json_t *full = NULL;
        if (!spec_complete(sparse, "shop", "shop.example.org", &full, &err))
            fail_msg("accepted: %s", cases[i].yaml);
        assert_null(full);
        assert_string_equal(err.text, cases[i].text);
        assert_string_equal(err.field, cases[i].field);
        assert_true(*err.hint);
    }
}

static void test_route_without_host(void **state)
{
    json_auto_t *sparse = sparse_of("routes: [{path: /}]");
    struct err err = { 0 };
    json_t *full = NULL;

    (void)state;
    assert_int_equal(spec_complete(sparse, "shop", "", &full, &err), -1);
    assert_string_equal(err.text,
                        "`routes[0].host` is missing, and the app has no host of its own");
}

/* A stored document that this program would not accept is refused, whatever is in it. */
static void test_wrong_document(void **state)
{
    static const char *const documents[] = { "[]",
                                             "5",
                                             "{\"build\":5}",
                                             "{\"routes\":{}}",
                                             "{\"processes\":[1]}",
                                             "{\"routes\":[[]]}",
                                             "{\"cron\":[]}" };

    (void)state;
    for (size_t i = 0; i < countof(documents); i++) {
        json_auto_t *document = json_loads(documents[i], JSON_DECODE_ANY, NULL);
        struct err err = { 0 };
        json_t *full = NULL;
        assert_int_equal(spec_complete(document, "shop", "a.b", &full, &err), -1);
        assert_int_equal(err.class, ERR_INVALID);
    }
}

/* What GET answers can be sent back. */
static void test_full_completes_to_itself(void **state)
{
    static const char *const documents[] = {
        "",
        "build: {method: static, spa: true}",
        "build: {method: image, base: 'nginx:1'}\nprocesses: {web: {port: 80}, worker: {}}",
        "build: {method: command, base: a, run: b, output: site, site: dist, cpus: 0.25}",
        "build: {method: dockerfile, args: {A: b}}\nenv: {A: b}\nroutes: []",
    };

    (void)state;
    for (size_t i = 0; i < countof(documents); i++) {
        json_auto_t *full = full_of(documents[i]), *again = NULL;
        struct err err = { 0 };
        if (spec_complete(full, "shop", "other.example.org", &again, &err))
            fail_msg("%s", err.text);
        assert_true(json_equal(full, again));
    }
}

static void test_merge(void **state)
{
    /* RFC 7396, appendix A */
    static const char *const cases[][3] = {
        { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
        { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
        { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
        { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
        { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
        { "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
        { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
        { "{\"a\":\"foo\"}", "null", "null" },
        { "{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}" },
        { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
        { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        json_auto_t *under = json_loads(cases[i][0], JSON_DECODE_ANY, NULL);
        json_auto_t *over = json_loads(cases[i][1], JSON_DECODE_ANY, NULL);
        json_auto_t *merged = spec_merge(under, over);
        auto_free char *text = spec_canonical(merged);
        assert_string_equal(text, cases[i][2]);
    }
}

/* ---- auto ---- */

static bool is_listed(void *arg, const char *path)
{
    for (const char *const *files = arg; *files; files++)
        if (strcmp(*files, path) == 0)
            return true;
    return false;
}

static const char *const docker_files[] = { "index.html", "Dockerfile", NULL };
static const char *const other_docker_files[] = { "docker/web", NULL };
static const char *const site_files[] = { "a.css", "index.html", NULL };
static const char *const no_files[] = { "README.md", NULL };

static void test_auto(void **state)
{
    static const struct {
        const char *yaml;
        const char *const *files;
        const char *method, *output, *why;
    } cases[] = {
        { "", docker_files, "dockerfile", "image", "there is a Dockerfile" },
        { "build: {dockerfile: docker/web}", other_docker_files, "dockerfile", "image",
          "there is a docker/web" },
        { "build: {output: site, site: dist}", docker_files, "dockerfile", "site",
          "there is a Dockerfile" },
        { "", site_files, "static", "site", "there is an index.html and no Dockerfile" },
        { "build: {spa: true, site: a}", site_files, "static", "site",
          "there is an index.html and no Dockerfile" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        json_auto_t *sparse = sparse_of(cases[i].yaml), *later = full_of(cases[i].yaml);
        json_auto_t *full = NULL;
        auto_free char *why = NULL, *later_why = NULL;
        void *files = (void *)(uintptr_t)cases[i].files;
        struct err err = { 0 };
        assert_int_equal(spec_resolve_auto(sparse, is_listed, files, &why, &err), 0);
        assert_string_equal(why, cases[i].why);
        assert_int_equal(spec_complete(sparse, "shop", "shop.example.org", &full, &err), 0);
        struct build_spec build;
        spec_build(full, &build);
        assert_string_equal(build.method, cases[i].method);
        assert_string_equal(build.output, cases[i].output);
        /* deciding after completing gives the same keys */
        assert_int_equal(spec_resolve_auto(later, is_listed, files, &later_why, &err), 0);
        auto_free char *key = spec_build_key(full, "t", "", "");
        auto_free char *later_key = spec_build_key(later, "t", "", "");
        assert_string_equal(key, later_key);
        auto_free char *release = spec_release_key(full, "d");
        auto_free char *later_release = spec_release_key(later, "d");
        assert_string_equal(release, later_release);
    }
}

static void test_auto_does_not_know(void **state)
{
    json_auto_t *sparse = sparse_of("build: {context: web}");
    json_auto_t *image = sparse_of("build: {output: image}");
    struct err err = { 0 };
    char *why = NULL;

    (void)state;
    assert_int_equal(spec_resolve_auto(sparse, is_listed, (void *)(uintptr_t)no_files, &why, &err),
                     -1);
    assert_string_equal(err.text, "how to build this is not clear: in the folder web of the "
                                  "repository there is no Dockerfile and no index.html");
    assert_string_equal(err.hint,
                        "add a Dockerfile, or write build.method: command with base and run");
    assert_int_equal(spec_resolve_auto(image, is_listed, (void *)(uintptr_t)site_files, &why, &err),
                     -1);
    assert_string_equal(err.text,
                        "how to build this is not clear: in the folder . of the repository there "
                        "is no Dockerfile, and output image is asked for");
}

static void test_auto_leaves_others(void **state)
{
    json_auto_t *full = full_of("build: {method: image, base: a}");
    json_auto_t *before = json_deep_copy(full);
    struct err err = { 0 };
    char *why = NULL;

    (void)state;
    assert_int_equal(
        spec_resolve_auto(full, is_listed, (void *)(uintptr_t)docker_files, &why, &err), 0);
    assert_null(why);
    assert_true(json_equal(full, before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_default_route),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_route_without_host),
        cmocka_unit_test(test_wrong_document),
        cmocka_unit_test(test_full_completes_to_itself),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_auto),
        cmocka_unit_test(test_auto_does_not_know),
        cmocka_unit_test(test_auto_leaves_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
