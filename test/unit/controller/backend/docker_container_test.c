#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "controller/backend/docker/container.h"

/* What the daemon answers, as far as it is read. */
static json_t *sample(const char *status)
{
    return json_pack("{s:s, s:{s:s, s:s, s:i, s:b, s:s}, s:{s:{s:s}, s:s},"
                     " s:{s:i, s:i, s:{s:s}, s:s}, s:{s:{s:{s:s}}}}",
                     "Id", "abc", "State", "Status", status, "Error", "", "ExitCode", 3,
                     "OOMKilled", 0, "StartedAt", "1970-01-01T00:00:02.5Z", "Config", "Labels",
                     "sh.evenkeel.spec", "H", "StopSignal", "SIGQUIT", "HostConfig", "Memory", 100,
                     "PidsLimit", 0, "RestartPolicy", "Name", "no", "CpusetCpus", "",
                     "NetworkSettings", "Networks", "net", "IPAddress", "10.0.0.2");
}

static json_t *body(void)
{
    return json_pack("{s:{s:s}, s:{s:s, s:i, s:i}}", "Labels", "sh.evenkeel.spec", "H",
                     "HostConfig", "NetworkMode", "net", "Memory", 100, "PidsLimit", 5);
}

static void a_container_is_read(void **state)
{
    auto_container c = { .json = NULL };
    struct err err = { .class = ERR_NONE };

    (void)state;
    assert_int_equal(container_read(sample("exited"), "net", &c, &err), 0);
    assert_int_equal(c.status, CONTAINER_EXITED);
    assert_string_equal(c.id, "abc");
    assert_string_equal(c.address, "10.0.0.2");
    assert_string_equal(c.stop_signal, "SIGQUIT");
    assert_int_equal(c.exit_code, 3);
    assert_int_equal(c.started_ms, 2500);
    assert_null(c.failure);
    assert_string_equal(container_label(&c, "sh.evenkeel.spec"), "H");
    assert_string_equal(container_label(&c, "none"), "");
}

/* Docker's words for it, as far as they differ: one goes by itself, the other does not. */
static void a_removal_may_be_under_way_or_failed(void **state)
{
    auto_container leaving = { .json = NULL }, dead = { .json = NULL };
    struct err err = { .class = ERR_NONE };

    (void)state;
    assert_int_equal(container_read(sample("removing"), NULL, &leaving, &err), 0);
    assert_int_equal(leaving.status, CONTAINER_LEAVING);
    assert_int_equal(container_read(sample("dead"), NULL, &dead, &err), 0);
    assert_int_equal(dead.status, CONTAINER_DEAD);
}

static void a_failed_start_is_remembered(void **state)
{
    auto_container c = { .json = NULL };
    struct err err = { .class = ERR_NONE };
    json_t *json = sample("created");

    (void)state;
    json_object_set_new(json_object_get(json, "State"), "Error", json_string("no such file"));
    assert_int_equal(container_read(json, NULL, &c, &err), 0);
    assert_string_equal(c.failure, "no such file");
    assert_null(c.address);
}

static void nonsense_is_refused(void **state)
{
    json_t *wrong[] = { json_object(), json_array(), json_pack("{s:s}", "Id", "x"),
                        sample("levitating"),
                        json_pack("{s:i, s:{s:s}}", "Id", 1, "State", "Status", "running") };

    (void)state;
    for (size_t i = 0; i < countof(wrong); i++) {
        auto_container c = { .json = NULL };
        struct err err = { .class = ERR_NONE };
        assert_int_equal(container_read(wrong[i], NULL, &c, &err), -1);
        assert_int_equal(err.class, ERR_UNAVAILABLE);
    }
}

/* Sets a member to a value and says whether that is drift. */
static bool drifts(const char *object, const char *key, json_t *value)
{
    auto_container c = { .json = NULL };
    struct err err = { .class = ERR_NONE };
    json_t *json = sample("running");
    json_auto_t *wanted = body();

    json_object_set_new(json_object_get(json, object), key, value);
    assert_int_equal(container_read(json, NULL, &c, &err), 0);
    return container_is_drifted(&c, wanted);
}

static void changes_by_hand_are_seen(void **state)
{
    (void)state;
    assert_false(drifts("HostConfig", "Unrelated", json_integer(1)));
    assert_true(drifts("HostConfig", "Memory", json_integer(200)));
    assert_true(drifts("HostConfig", "CpuQuota", json_integer(1000)));
    assert_true(drifts("HostConfig", "CpusetCpus", json_string("0")));
    assert_true(drifts("HostConfig", "RestartPolicy", json_pack("{s:s}", "Name", "always")));
    assert_true(drifts("Config", "Labels", json_pack("{s:s}", "sh.evenkeel.spec", "other")));
    assert_true(drifts("NetworkSettings", "Networks", json_object()));
}

static void what_the_kernel_cannot_limit_is_no_change(void **state)
{
    (void)state;
    assert_false(drifts("HostConfig", "MemorySwap", json_integer(-1)));
    assert_false(drifts("HostConfig", "PidsLimit", json_null()));
    assert_false(drifts("HostConfig", "NanoCpus", json_integer(0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_container_is_read),
        cmocka_unit_test(a_removal_may_be_under_way_or_failed),
        cmocka_unit_test(a_failed_start_is_remembered),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(changes_by_hand_are_seen),
        cmocka_unit_test(what_the_kernel_cannot_limit_is_no_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
