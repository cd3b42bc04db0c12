#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "controller/backend/docker/body.h"

struct sample {
    struct process_spec process;
    struct release_want release;
    struct app_want app;
    struct body_want want;
    json_t *env;
};

static void fill(struct sample *s)
{
    *s = (struct sample){
        .process = { .name = "web",
                     .replicas = 2,
                     .port = 3000,
                     .memory = 256 << 20,
                     .cpus_milli = 500,
                     .pids = 200 },
        .release = { .id = "R", .number = 7, .image = "sha256:abc" },
        .app = { .project = "acme", .subnet = "10.224.3.0/24", .app_id = "A", .app = "shop" },
        .want = { .prefix = "", .installation = "I", .index = 2 },
        .env = json_pack("{s:s, s:s, s:s}", "B", "2", "A", "1", "PORT", "9"),
    };
    s->release.env = s->env;
    s->want.app = &s->app;
    s->want.release = &s->release;
    s->want.process = &s->process;
}

static const char *label(const json_t *body, const char *name)
{
    return json_string_value(json_object_get(json_object_get(body, "Labels"), name));
}

static const json_t *host(const json_t *body, const char *name)
{
    return json_object_get(json_object_get(body, "HostConfig"), name);
}

static const char *text_in(const json_t *array, size_t i)
{
    return json_string_value(json_array_get(array, i));
}

static void names_are_made(void **state)
{
    struct sample s;

    (void)state;
    fill(&s);
    auto_free char *name = body_container_name(&s.want);
    assert_string_equal(name, "acme-shop-web-v7-2");
    s.want.prefix = "t-";
    auto_free char *prefixed = body_container_name(&s.want);
    assert_string_equal(prefixed, "t-acme-shop-web-v7-2");
    auto_free char *network = body_network_name("t-", "acme");
    assert_string_equal(network, "t-evenkeel-acme");
    json_decref(s.env);
}

static void limits_labels_and_names_are_there(void **state)
{
    struct sample s;

    (void)state;
    fill(&s);
    json_auto_t *body = body_container(&s.want);
    assert_string_equal(label(body, LABEL_INSTALLATION), "I");
    assert_string_equal(label(body, LABEL_APP), "A");
    assert_string_equal(label(body, LABEL_RELEASE), "R");
    assert_string_equal(label(body, LABEL_PROCESS), "web");
    assert_string_equal(label(body, LABEL_INDEX), "2");
    assert_int_equal(strlen(label(body, LABEL_SPEC)), 64);
    assert_int_equal(json_integer_value(host(body, "Memory")), 256 << 20);
    assert_int_equal(json_integer_value(host(body, "MemorySwap")), 256 << 20);
    assert_int_equal(json_integer_value(host(body, "NanoCpus")), 500000000);
    assert_int_equal(json_integer_value(host(body, "PidsLimit")), 200);
    assert_string_equal(text_in(host(body, "CapDrop"), 0), "ALL");
    assert_string_equal(text_in(host(body, "SecurityOpt"), 0), "no-new-privileges");
    assert_null(host(body, "PortBindings"));
    assert_null(json_object_get(body, "Entrypoint"));
    assert_null(json_object_get(body, "Cmd"));
    const json_t *endpoints =
        json_object_get(json_object_get(body, "NetworkingConfig"), "EndpointsConfig");
    const json_t *aliases = json_object_get(json_object_get(endpoints, "evenkeel-acme"), "Aliases");
    assert_string_equal(text_in(aliases, 0), "web.shop");
    assert_string_equal(text_in(aliases, 1), "shop");
    json_decref(s.env);
}

static void the_environment_is_sorted_and_has_the_port(void **state)
{
    struct sample s;

    (void)state;
    fill(&s);
    json_auto_t *body = body_container(&s.want);
    const json_t *env = json_object_get(body, "Env");
    assert_int_equal(json_array_size(env), 3);
    assert_string_equal(text_in(env, 0), "A=1");
    assert_string_equal(text_in(env, 1), "B=2");
    assert_string_equal(text_in(env, 2), "PORT=3000");
    s.process.port = 0;
    json_auto_t *worker = body_container(&s.want);
    assert_string_equal(text_in(json_object_get(worker, "Env"), 2), "PORT=9");
    json_decref(s.env);
}

static void exec_is_put_before_simple_commands_only(void **state)
{
    static const struct {
        const char *command, *text;
    } cases[] = {
        { "node server.js", "exec node server.js" },
        { "  bin/run --port $PORT > /dev/null", "exec bin/run --port $PORT > /dev/null" },
        { "exec node x", "exec node x" },
        { "cd web && node x", "cd web && node x" },
        { "cd web", "cd web" },
        { "A=1 node x", "A=1 node x" },
        { "a; b", "a; b" },
        { "a | b", "a | b" },
        { "a $(b)", "a $(b)" },
        { "if x\nthen y\nfi", "if x\nthen y\nfi" },
        { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct sample s;
        fill(&s);
        s.process.command = cases[i].command;
        json_auto_t *body = body_container(&s.want);
        assert_string_equal(text_in(json_object_get(body, "Entrypoint"), 0), "/bin/sh");
        assert_string_equal(text_in(json_object_get(body, "Entrypoint"), 1), "-c");
        assert_string_equal(text_in(json_object_get(body, "Cmd"), 0), cases[i].text);
        json_decref(s.env);
    }
}

static void the_hash_follows_what_is_wanted(void **state)
{
    struct sample s;

    (void)state;
    fill(&s);
    json_auto_t *body = body_container(&s.want), *same = body_container(&s.want);
    assert_string_equal(label(body, LABEL_SPEC), label(same, LABEL_SPEC));
    s.process.memory++;
    json_auto_t *other = body_container(&s.want);
    assert_string_not_equal(label(body, LABEL_SPEC), label(other, LABEL_SPEC));
    json_decref(s.env);
}

static void a_network_has_its_subnet(void **state)
{
    struct sample s;

    (void)state;
    fill(&s);
    json_auto_t *body = body_network("", "I", &s.app);
    const json_t *config = json_object_get(json_object_get(body, "IPAM"), "Config");
    assert_string_equal(json_string_value(json_object_get(json_array_get(config, 0), "Subnet")),
                        "10.224.3.0/24");
    assert_string_equal(label(body, LABEL_INSTALLATION), "I");
    json_decref(s.env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_made),
        cmocka_unit_test(limits_labels_and_names_are_there),
        cmocka_unit_test(the_environment_is_sorted_and_has_the_port),
        cmocka_unit_test(exec_is_put_before_simple_commands_only),
        cmocka_unit_test(the_hash_follows_what_is_wanted),
        cmocka_unit_test(a_network_has_its_subnet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
