/* The Docker backend against the real Docker daemon. Each test starts from an app without
 * containers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/work.h"
#include "docker_world.h"

#define SERVE "\"command\":\"httpd -f -p $PORT -h /www\",\"port\":3000"
#define CHECK "\"check\":{\"path\":\"/\",\"interval\":\"100ms\",\"grace\":\"500ms\"}"
#define WEB "{\"web\":{" SERVE "," CHECK "}}"
#define TWO_WEBS "{\"web\":{" SERVE "," CHECK ",\"replicas\":2}}"

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_system());
}

static struct world *fresh(void **state)
{
    struct world *world = *state;

    world_clear(world);
    return world;
}

static const json_t *at(const json_t *json, const char *a, const char *b)
{
    return json_object_get(json_object_get(json, a), b);
}

/* ---- the way up ---- */

static void replicas_become_ready(void **state)
{
    struct world *world = fresh(state);
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, TWO_WEBS);
    world_reach(world, RELEASE_READY, &seen);
    assert_int_equal(seen.releases[0].instance_count, 2);
    for (int i = 0; i < 2; i++) {
        const struct instance_seen *one = &seen.releases[0].instances[i];
        auto_free char *name = xasprintf(WORLD_PREFIX "p-shop-web-v1-%d", i + 1);
        assert_string_equal(one->name, name);
        assert_string_equal(one->process, "web");
        assert_int_equal(one->index, i + 1);
        assert_int_equal(one->state, INSTANCE_READY);
        assert_int_equal(strncmp(one->address, "10.213.7.", 9), 0);
        assert_int_equal(one->port, 3000);
        assert_true(one->started_ms > 0);
        assert_non_null(strstr(one->probe, "GET /: 2"));
    }
}

static void an_instance_has_few_rights(void **state)
{
    struct world *world = fresh(state);
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, WEB);
    world_reach(world, RELEASE_READY, &seen);
    json_auto_t *json = world_inspect(world, WORLD_PREFIX "p-shop-web-v1-1");
    assert_string_equal(json_string_value(json_array_get(at(json, "HostConfig", "CapDrop"), 0)),
                        "ALL");
    assert_true(json_is_true(at(json, "HostConfig", "Init")));
    assert_int_equal(json_object_size(at(json, "HostConfig", "PortBindings")), 0);
    assert_true(json_integer_value(at(json, "HostConfig", "Memory")) > 0);
    assert_true(json_integer_value(at(json, "HostConfig", "PidsLimit")) > 0);
    assert_string_equal(json_string_value(at(json, "Config", "Image")), world->image);
    const json_t *endpoint =
        json_object_get(at(json, "NetworkSettings", "Networks"), WORLD_PREFIX "evenkeel-p");
    const json_t *aliases = json_object_get(endpoint, "Aliases");
    assert_string_equal(json_string_value(json_array_get(aliases, 0)), "web.shop");
    assert_string_equal(json_string_value(json_array_get(aliases, 1)), "shop");
}

static void a_worker_is_ready_when_it_lives_on(void **state)
{
    struct world *world = fresh(state);
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, "{\"worker\":{\"command\":\"sleep 1000\",\"check\":{\"grace\":\"400ms\"}}}");
    world_step(world, &seen);
    assert_int_equal(seen.releases[0].stage, RELEASE_STARTING);
    assert_int_equal(seen.releases[0].instances[0].state, INSTANCE_RUNNING);
    world_reach(world, RELEASE_READY, &seen);
    assert_int_equal(seen.releases[0].instances[0].port, 0);
}

static void a_second_backend_sees_the_same(void **state)
{
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 }, again = { .release_count = 0 };

    world_want(world, TWO_WEBS);
    world_reach(world, RELEASE_READY, &seen);
    auto_free char *id = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
    struct backend *other = docker_backend_new(&world->config, &err);
    assert_int_equal(other->converge(other->self, &world->app, &again, &err), 0);
    other->close(other->self);
    assert_int_equal(again.releases[0].stage, RELEASE_READY);
    auto_free char *same = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
    assert_string_equal(same, id);
}

struct side {
    struct world *world;
    struct app_want app;
    bool is_ready;
};

static void go(void *item, void *arg)
{
    struct side *side = item;
    struct backend *b = side->world->backend;

    (void)arg;
    for (int i = 0; i < 200 && !side->is_ready; i++) {
        struct err err = { .class = ERR_NONE };
        auto_app_seen seen = { .release_count = 0 };
        if (b->converge(b->self, &side->app, &seen, &err))
            return;
        side->is_ready = seen.releases[0].stage == RELEASE_READY;
        world_sleep(50);
    }
}

/* They race for the network, which is not there yet. */
static void apps_of_a_project_start_side_by_side(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d" };
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    struct side sides[countof(names)];
    void *items[countof(names)];

    world_check(world->backend->remove_network(world->backend->self, "p", &err), &err, "network");
    world_want(world, WEB);
    for (size_t i = 0; i < countof(names); i++) {
        sides[i] = (struct side){ .world = world, .app = world->app };
        sides[i].app.app = sides[i].app.app_id = names[i];
        items[i] = &sides[i];
    }
    work_each(items, countof(items), countof(items), go, NULL);
    for (size_t i = 0; i < countof(names); i++)
        assert_true(sides[i].is_ready);
    json_auto_t *list = NULL;
    auto_free char *filters = engine_filters(json_pack("{s:[s]}", "name", WORLD_PREFIX));
    world_check(engine_get(world->engine, &list, &err, "/networks?filters=%s", filters), &err,
                "networks");
    assert_int_equal(json_array_size(list), 1);
}

/* ---- what goes wrong ---- */

static void a_killed_one_is_seen_and_comes_back(void **state)
{
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, "{\"web\":{\"command\":\"echo so far; exec httpd -f -p $PORT -h /www\","
                      "\"port\":3000," CHECK ",\"replicas\":2}}");
    world_reach(world, RELEASE_READY, &seen);
    world_check(engine_post(world->engine, NULL, NULL, &err,
                            "/containers/" WORLD_PREFIX "p-shop-web-v1-2/kill?signal=KILL"),
                &err, "kill");
    world_reach(world, RELEASE_BROKEN, &seen);
    assert_string_equal(seen.releases[0].reason, "Exited");
    assert_int_equal(seen.releases[0].instances[1].state, INSTANCE_EXITED);
    assert_int_equal(seen.releases[0].instances[1].exit_code, 137);
    assert_non_null(strstr(seen.releases[0].instances[1].log, "so far"));
    assert_int_equal(seen.releases[0].instances[0].state, INSTANCE_READY);
    world_step(world, &seen);
    assert_int_equal(seen.releases[0].stage, RELEASE_BROKEN);
    world->release.replace_broken = true;
    world_step(world, &seen); /* replaces it, and says once more why */
    assert_int_equal(seen.releases[0].stage, RELEASE_BROKEN);
    assert_int_equal(seen.releases[0].instances[1].state, INSTANCE_EXITED);
    assert_non_null(strstr(seen.releases[0].instances[1].log, "so far"));
    json_auto_t *again = world_inspect(world, WORLD_PREFIX "p-shop-web-v1-2");
    assert_string_equal(json_string_value(at(again, "State", "Status")), "running");
    world_reach(world, RELEASE_READY, &seen);
}

static void memory_that_runs_out_is_named(void **state)
{
    struct world *world = fresh(state);
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, "{\"worker\":{\"memory\":\"16Mi\","
                      "\"command\":\"exec sh -c 'x=a; while true; do x=$x$x$x$x; done'\"}}");
    world_reach(world, RELEASE_BROKEN, &seen);
    assert_string_equal(seen.releases[0].reason, "OutOfMemory");
    assert_true(seen.releases[0].instances[0].oom_killed);
}

static void one_removed_by_hand_is_made_again(void **state)
{
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, TWO_WEBS);
    world_reach(world, RELEASE_READY, &seen);
    auto_free char *kept = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
    world_check(
        engine_delete(world->engine, &err, "/containers/" WORLD_PREFIX "p-shop-web-v1-2?force=1"),
        &err, "remove");
    world_step(world, &seen);
    world_reach(world, RELEASE_READY, &seen);
    auto_free char *same = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
    assert_string_equal(same, kept);
}

static void one_changed_by_hand_is_replaced(void **state)
{
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };
    json_auto_t *update = json_pack("{s:i, s:i}", "Memory", 300 << 20, "MemorySwap", 300 << 20);

    world_want(world, WEB);
    world_reach(world, RELEASE_READY, &seen);
    auto_free char *before = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
    world_check(engine_post(world->engine, update, NULL, &err,
                            "/containers/" WORLD_PREFIX "p-shop-web-v1-1/update"),
                &err, "update");
    world_step(world, &seen);
    assert_int_equal(seen.releases[0].stage, RELEASE_STARTING);
    world_reach(world, RELEASE_READY, &seen);
    auto_free char *after = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
    assert_string_not_equal(after, before);
}

static void one_paused_by_hand_goes_on(void **state)
{
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, WEB);
    world_reach(world, RELEASE_READY, &seen);
    world_check(engine_post(world->engine, NULL, NULL, &err,
                            "/containers/" WORLD_PREFIX "p-shop-web-v1-1/pause"),
                &err, "pause");
    world_step(world, &seen);
    json_auto_t *json = world_inspect(world, WORLD_PREFIX "p-shop-web-v1-1");
    assert_string_equal(json_string_value(at(json, "State", "Status")), "running");
}

/* Two that differ from what is wanted never go at the same time; not even when the controller has
 * just started and knows nothing of their readiness. */
static void drifted_ones_go_one_by_one(void **state)
{
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, TWO_WEBS);
    world_reach(world, RELEASE_READY, &seen);
    world->backend->close(world->backend->self);
    world->backend = docker_backend_new(&world->config, &err);
    world_want(world, "{\"web\":{" SERVE "," CHECK ",\"replicas\":2,\"memory\":\"200Mi\"}}");
    world_step(world, &seen); /* which finds out that both are ready */
    do {
        world_step(world, &seen);
        assert_true(seen.releases[0].instances[0].state == INSTANCE_READY ||
                    seen.releases[0].instances[1].state == INSTANCE_READY);
        world_sleep(50);
    } while (seen.releases[0].stage != RELEASE_READY);
    for (int i = 1; i <= 2; i++) {
        auto_free char *name = xasprintf(WORLD_PREFIX "p-shop-web-v1-%d", i);
        json_auto_t *json = world_inspect(world, name);
        assert_int_equal(json_integer_value(at(json, "HostConfig", "Memory")), 200 << 20);
    }
}

static void a_taken_name_is_left_alone(void **state)
{
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };
    json_auto_t *body = json_pack("{s:s, s:[s,s]}", "Image", world->image, "Cmd", "sleep", "1000");

    world_check(engine_post(world->engine, body, NULL, &err,
                            "/containers/create?name=" WORLD_PREFIX "p-shop-web-v1-1"),
                &err, "create");
    auto_free char *before = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
    world_want(world, WEB);
    world->release.replace_broken = true;
    world_step(world, &seen);
    assert_int_equal(seen.releases[0].stage, RELEASE_BROKEN);
    assert_string_equal(seen.releases[0].reason, "NameTaken");
    assert_int_equal(seen.releases[0].instances[0].state, INSTANCE_MISSING);

    const char *gone[] = { WORLD_PREFIX "p-shop-web-v1-1" };
    int64_t stop_ms[] = { 0 };
    world->app.gone = gone;
    world->app.gone_stop_ms = stop_ms;
    world->app.gone_count = 1;
    world->app.release_count = 0;
    world_step(world, &seen);
    auto_free char *after = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
    assert_string_equal(after, before);
    assert_int_equal(world->backend->remove(world->backend->self, gone[0], 0, &err), -1);
    assert_int_equal(err.class, ERR_DENIED);
}

static void a_missing_image_is_named(void **state)
{
    static const char *const images[] = {
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "127.0.0.1:1/nobody/nothing:here", /* a registry that is away */
    };
    struct world *world = fresh(state);

    for (size_t i = 0; i < countof(images); i++) {
        auto_app_seen seen = { .release_count = 0 };
        world_want(world, WEB);
        world->release.image = images[i];
        world_step(world, &seen);
        assert_int_equal(seen.releases[0].stage, RELEASE_NO_IMAGE);
        assert_string_equal(seen.releases[0].reason, "ImageMissing");
        assert_non_null(strstr(seen.releases[0].message, images[i]));
        assert_int_equal(seen.releases[0].instances[0].state, INSTANCE_MISSING);
    }
}

static void a_failing_probe_is_explained(void **state)
{
    struct world *world = fresh(state);
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, "{\"web\":{\"command\":\"echo serving 9999; exec httpd -f -p 9999 -h /www\","
                      "\"port\":3000," CHECK "}}");
    for (int i = 0;
         i < 60 && strcmp(seen.release_count ? seen.releases[0].reason : "", "ProbeFailing") != 0;
         i++) {
        world_step(world, &seen);
        world_sleep(50);
    }
    assert_int_equal(seen.releases[0].stage, RELEASE_STARTING);
    assert_string_equal(seen.releases[0].reason, "ProbeFailing");
    assert_non_null(strstr(seen.releases[0].instances[0].probe, "connect"));
    assert_non_null(strstr(seen.releases[0].instances[0].log, "serving 9999"));
    world_sleep(500); /* its grace */
    auto_free char *before = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
    world->release.replace_broken = true;
    for (int i = 0; i < 40; i++) {
        world_step(world, &seen);
        auto_free char *now = world_container_id(world, WORLD_PREFIX "p-shop-web-v1-1");
        if (strcmp(now, before) != 0)
            return;
        world_sleep(50);
    }
    fail_msg("an unready instance was not replaced");
}

/* Ready, then its server ends while the container lives on. */
static void readiness_is_live(void **state)
{
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, "{\"web\":{\"command\":\"httpd -p $PORT -h /www; exec sleep 1000\","
                      "\"port\":3000," CHECK "}}");
    world_reach(world, RELEASE_READY, &seen);
    json_auto_t *exec = NULL;
    json_auto_t *body = json_pack("{s:[s,s,s,s]}", "Cmd", "/bin/busybox", "killall", "-9", "httpd");
    json_auto_t *detach = json_pack("{s:b}", "Detach", 1);
    world_check(engine_post(world->engine, body, &exec, &err,
                            "/containers/" WORLD_PREFIX "p-shop-web-v1-1/exec"),
                &err, "exec");
    world_check(engine_post(world->engine, detach, NULL, &err, "/exec/%s/start",
                            json_string_value(json_object_get(exec, "Id"))),
                &err, "exec start");
    world_reach(world, RELEASE_STARTING, &seen);
    assert_string_equal(seen.releases[0].reason, "ProbeFailing");
    assert_int_equal(seen.releases[0].instances[0].state, INSTANCE_RUNNING);
}

static void a_command_that_is_not_there_is_explained(void **state)
{
    struct world *world = fresh(state);
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, "{\"worker\":{\"command\":\"no-such-program\"}}");
    world_reach(world, RELEASE_BROKEN, &seen);
    assert_string_equal(seen.releases[0].reason, "Exited");
    assert_int_equal(seen.releases[0].instances[0].exit_code, 127);
    assert_non_null(strstr(seen.releases[0].instances[0].log, "no-such-program"));
}

static void a_daemon_that_is_away_is_unavailable(void **state)
{
    struct world *world = fresh(state);
    struct docker_config config = world->config;
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, WEB);
    config.socket = "/nonexistent/docker.sock";
    struct backend *backend = docker_backend_new(&config, &err);
    assert_non_null(backend);
    assert_int_equal(backend->converge(backend->self, &world->app, &seen, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    struct owned_list list = { .count = 0 };
    assert_int_equal(backend->list_owned(backend->self, &list, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    backend->close(backend->self);
}

/* ---- the way down ---- */

/* Returns how long it took until nothing of `gone` was left. */
static int64_t end_all(struct world *world, const char *const *gone, size_t count, int64_t stop_ms)
{
    int64_t began = now_ms(), longest = 0;
    auto_free int64_t *stops = xcalloc(count, sizeof *stops);
    auto_app_seen seen = { .release_count = 0 };

    for (size_t i = 0; i < count; i++)
        stops[i] = stop_ms;
    world->app.release_count = 0;
    world->app.gone = gone;
    world->app.gone_count = count;
    world->app.gone_stop_ms = stops;
    do {
        int64_t call = now_ms();
        world_step(world, &seen);
        longest = now_ms() - call > longest ? now_ms() - call : longest;
        world_sleep(20);
    } while (seen.gone_left > 0 && now_ms() - began < 20000);
    assert_int_equal(seen.gone_left, 0);
    if (longest >= stop_ms && stop_ms > 0)
        fail_msg("a call took %lld ms", (long long)longest);
    return now_ms() - began;
}

static void one_that_ignores_sigterm_ends_in_time(void **state)
{
    static const char *const gone[] = { WORLD_PREFIX "p-shop-worker-v1-1" };
    struct world *world = fresh(state);
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, "{\"worker\":{\"check\":{\"grace\":\"100ms\"},"
                      "\"command\":\"trap '' TERM; while true; do sleep 1; done\"}}");
    world_reach(world, RELEASE_READY, &seen);
    assert_true(end_all(world, gone, 1, 1500) >= 1500);
    assert_null(world_inspect(world, gone[0]));
}

static void one_that_listens_ends_at_once(void **state)
{
    static const char *const gone[] = { WORLD_PREFIX "p-shop-web-v1-1",
                                        WORLD_PREFIX "p-shop-web-v1-2",
                                        WORLD_PREFIX "p-shop-none-v1-1" };
    struct world *world = fresh(state);
    auto_app_seen seen = { .release_count = 0 };

    world_want(world, TWO_WEBS);
    world_reach(world, RELEASE_READY, &seen);
    assert_true(end_all(world, gone, 3, 10000) < 5000);
}

static void what_is_owned_is_listed_and_removed(void **state)
{
    struct world *world = fresh(state);
    struct backend *b = world->backend;
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };
    struct owned_list list = { .count = 0 };

    world_want(world, WEB);
    world_reach(world, RELEASE_READY, &seen);
    assert_int_equal(b->list_owned(b->self, &list, &err), 0);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].name, WORLD_PREFIX "p-shop-web-v1-1");
    assert_string_equal(list.items[0].app_id, WORLD_APP_ID);
    assert_string_equal(list.items[0].release_id, "01RELEASE");
    assert_true(list.items[0].is_running);
    owned_list_done(&list);

    assert_int_equal(b->remove_network(b->self, "p", &err), -1);
    assert_int_equal(err.class, ERR_CONFLICT);
    assert_int_equal(b->remove_image(b->self, world->image, &err), -1);
    assert_int_equal(err.class, ERR_CONFLICT);

    world_check(b->remove(b->self, WORLD_PREFIX "p-shop-web-v1-1", 1000, &err), &err, "remove");
    world_check(b->remove(b->self, WORLD_PREFIX "p-shop-web-v1-1", 1000, &err), &err,
                "remove again");
    assert_null(world_inspect(world, WORLD_PREFIX "p-shop-web-v1-1"));
    world_check(b->remove_network(b->self, "p", &err), &err, "remove_network");
    world_check(b->remove_network(b->self, "p", &err), &err, "remove_network again");
}

static void only_our_images_are_removed(void **state)
{
    struct world *world = fresh(state);
    struct backend *b = world->backend;
    struct err err = { .class = ERR_NONE };
    json_auto_t *image = NULL;

    auto_free char *ours = world_import_image(world, "evenkeel/docker-flow/two", "one");
    world_check(engine_post(world->engine, NULL, NULL, &err,
                            "/images/%s/tag?repo=docker-flow-foreign&tag=x", ours),
                &err, "tag");
    world_check(b->remove_image(b->self, "evenkeel/docker-flow/two:one", &err), &err, "remove");
    world_check(engine_inspect_image(world->engine, "docker-flow-foreign:x", &image, &err), &err,
                "the other tag");
    assert_int_equal(b->remove_image(b->self, "docker-flow-foreign:x", &err), -1);
    assert_int_equal(err.class, ERR_DENIED);
    world_check(engine_delete(world->engine, &err, "/images/docker-flow-foreign:x"), &err, "rmi");
    world_check(b->remove_image(b->self, ours, &err), &err, "absent is fine");
}

/* ---- live sources ---- */

struct heard {
    bool came_back, app_changed; /* set atomically by the reader */
};

static void on_changed(void *arg, const char *app_id)
{
    struct heard *heard = arg;

    if (!app_id)
        __atomic_store_n(&heard->came_back, true, __ATOMIC_RELAXED);
    else if (strcmp(app_id, WORLD_APP_ID) == 0)
        __atomic_store_n(&heard->app_changed, true, __ATOMIC_RELAXED);
}

static bool comes_true(const bool *flag)
{
    for (int i = 0; i < 100; i++) {
        if (__atomic_load_n(flag, __ATOMIC_RELAXED))
            return true;
        world_sleep(50);
    }
    return false;
}

static void events_arrive(void **state)
{
    struct world *world = fresh(state);
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };
    struct heard heard = { .came_back = false };

    world_want(world, WEB);
    world_reach(world, RELEASE_READY, &seen);
    struct backend *other = docker_backend_new(&world->config, &err);
    assert_int_equal(other->watch(other->self, on_changed, &heard, &err), 0);
    assert_true(comes_true(&heard.came_back));
    assert_false(__atomic_load_n(&heard.app_changed, __ATOMIC_RELAXED));
    world_check(engine_post(world->engine, NULL, NULL, &err,
                            "/containers/" WORLD_PREFIX "p-shop-web-v1-1/kill?signal=KILL"),
                &err, "kill");
    assert_true(comes_true(&heard.app_changed));
    int64_t began = now_ms();
    other->close(other->self);
    assert_true(now_ms() - began < 2000);
}

/* The daemon is away at first: its socket appears later. */
static void the_daemon_is_found_when_it_comes_back(void **state)
{
    char dir[] = "/tmp/docker-flow-XXXXXX";
    struct world *world = fresh(state);
    struct docker_config config = world->config;
    struct err err = { .class = ERR_NONE };
    struct heard heard = { .came_back = false };

    assert_non_null(mkdtemp(dir));
    auto_free char *socket = xasprintf("%s/docker.sock", dir);
    config.socket = socket;
    struct backend *backend = docker_backend_new(&config, &err);
    assert_int_equal(backend->watch(backend->self, on_changed, &heard, &err), 0);
    assert_int_equal(backend->watch(backend->self, on_changed, &heard, &err), -1);
    assert_true(comes_true(&heard.came_back)); /* that it is away is told, once */
    __atomic_store_n(&heard.came_back, false, __ATOMIC_RELAXED);
    world_sleep(600);
    assert_false(__atomic_load_n(&heard.came_back, __ATOMIC_RELAXED));
    assert_int_equal(symlink(world->config.socket, socket), 0);
    assert_true(comes_true(&heard.came_back));
    backend->close(backend->self);
    unlink(socket);
    rmdir(dir);
}

struct collected {
    int lines;
    char last[256];
    int stop_after;
};

static int collect(void *arg, const char *line, size_t len)
{
    struct collected *collected = arg;

    collected->lines++;
    snprintf(collected->last, sizeof collected->last, "%.*s", (int)len, line);
    return collected->stop_after && collected->lines >= collected->stop_after;
}

static void logs_are_read_and_followed(void **state)
{
    struct world *world = fresh(state);
    struct backend *b = world->backend;
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };
    struct collected all = { .lines = 0 }, few = { .lines = 0 }, live = { .stop_after = 12 };
    const char *name = WORLD_PREFIX "p-shop-worker-v1-1";

    world_want(world, "{\"worker\":{\"check\":{\"grace\":\"300ms\"},\"command\":"
                      "\"seq 10; i=0; while true; do echo more $((i=i+1)); sleep 0.5; done\"}}");
    world_reach(world, RELEASE_READY, &seen);
    world_check(b->logs(b->self, name, -1, 0, false, NULL, collect, &all, &err), &err, "logs");
    assert_true(all.lines >= 11);
    world_check(b->logs(b->self, name, 2, 0, false, NULL, collect, &few, &err), &err, "tail");
    assert_int_equal(few.lines, 2);
    assert_non_null(strstr(few.last, "Z more "));
    world_check(b->logs(b->self, name, 10, 0, true, NULL, collect, &live, &err), &err, "follow");
    assert_int_equal(live.lines, 12);
    bool cancelled = true;
    world_check(b->logs(b->self, name, 0, 0, true, &cancelled, collect, &few, &err), &err,
                "cancelled");
    assert_int_equal(
        b->logs(b->self, WORLD_PREFIX "p-shop-none-v1-1", 0, 0, false, NULL, collect, &few, &err),
        -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
}

static int set_up(void **state)
{
    static struct world world;

    world_init(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_done(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_become_ready),
        cmocka_unit_test(an_instance_has_few_rights),
        cmocka_unit_test(a_worker_is_ready_when_it_lives_on),
        cmocka_unit_test(a_second_backend_sees_the_same),
        cmocka_unit_test(apps_of_a_project_start_side_by_side),
        cmocka_unit_test(a_killed_one_is_seen_and_comes_back),
        cmocka_unit_test(memory_that_runs_out_is_named),
        cmocka_unit_test(one_removed_by_hand_is_made_again),
        cmocka_unit_test(one_changed_by_hand_is_replaced),
        cmocka_unit_test(one_paused_by_hand_goes_on),
        cmocka_unit_test(drifted_ones_go_one_by_one),
        cmocka_unit_test(a_taken_name_is_left_alone),
        cmocka_unit_test(a_missing_image_is_named),
        cmocka_unit_test(a_failing_probe_is_explained),
        cmocka_unit_test(readiness_is_live),
        cmocka_unit_test(a_command_that_is_not_there_is_explained),
        cmocka_unit_test(a_daemon_that_is_away_is_unavailable),
        cmocka_unit_test(one_that_ignores_sigterm_ends_in_time),
        cmocka_unit_test(one_that_listens_ends_at_once),
        cmocka_unit_test(what_is_owned_is_listed_and_removed),
        cmocka_unit_test(only_our_images_are_removed),
        cmocka_unit_test(events_arrive),
        cmocka_unit_test(the_daemon_is_found_when_it_comes_back),
        cmocka_unit_test(logs_are_read_and_followed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
