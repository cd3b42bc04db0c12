/* The way of a push to live, and what leads off it: the loops together, in a world of tables. */
#include "expect.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "controller/conditions.h"
#include "store/apps.h"
#include "store/sites.h"

#define WEB(more) \
    "app: hello\nbuild: {method: dockerfile}\nprocesses:\n  web: {port: 8080" more "}\n"
#define HOST "hello.localhost"
#define LIVE_NUMBER                                                                           \
    "SELECT l.number FROM apps a JOIN releases l ON l.id = a.live_release_id WHERE a.name = " \
    "'hello'"

enum { MINUTE = 60000 };

static void expect_condition_(struct world *w, const char *type, const char *expected,
                              const char *file, int line)
{
    auto_free char *sql = xasprintf(
        "SELECT status || ' ' || reason FROM conditions JOIN apps ON id = app_id WHERE name = "
        "'hello' AND type = '%s'",
        type);
    expect_(w, sql, expected, file, line);
}
#define expect_condition(w, type, expected) expect_condition_(w, type, expected, __FILE__, __LINE__)

static size_t count_of(struct world *w, const char *release)
{
    size_t count = 0;

    for (size_t i = 0; i < w->container_count; i++)
        count += strstr(w->containers[i].name, release) != NULL;
    return count;
}

/* An app `hello` whose v1 is live. */
static struct world *make_live(char **id, const char *yaml)
{
    struct world *w = world_new();

    w->must_serve = HOST;
    *id = world_app(w, "hello", NULL);
    world_push(w, 'a', 'a', yaml);
    world_run(w, MINUTE);
    expect(w, LIVE_NUMBER, "1");
    assert_true(w->has_served);
    return w;
}

static void test_push_to_live(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    (void)state;

    for (size_t i = 0; condition_chain[i]; i++) {
        auto_free char *sql =
            xasprintf("SELECT status FROM conditions WHERE type = '%s'", condition_chain[i]);
        expect(w, sql, "true");
    }
    assert_int_equal(world_serving(w, HOST), 1);
    world_push(w, 'b', 'b', WEB(""));
    world_run(w, MINUTE);
    expect(w, LIVE_NUMBER, "2");
    assert_int_equal(world_serving(w, HOST), 1);
    assert_int_equal(w->container_count, 1); /* the old one is gone */
    expect(w, "SELECT count(*) FROM instances", "1");
    expect(w, "SELECT group_concat(state) FROM releases", "retired,live");
    world_free(w);
}

static void test_replicas(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(", replicas: 3"));
    (void)state;

    assert_int_equal(world_serving(w, HOST), 3);
    world_push(w, 'b', 'a', WEB(", replicas: 1"));
    world_run(w, MINUTE);
    assert_int_equal(world_serving(w, HOST), 1);
    assert_int_equal(w->container_count, 1);
    expect(w, "SELECT count(*) FROM builds", "1"); /* the same tree: nothing was built */
    world_free(w);
}

static void test_back_to_an_earlier_commit_builds_nothing(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    (void)state;

    world_push(w, 'b', 'b', WEB(""));
    world_run(w, MINUTE);
    world_push(w, 'a', 'a', WEB(""));
    world_run(w, MINUTE);
    expect(w, LIVE_NUMBER, "1"); /* v1 itself, not a copy of it */
    expect(w, "SELECT count(*) FROM build_attempts", "2");
    expect(w, "SELECT count(*) FROM releases", "2");
    expect(w, "SELECT group_concat(state) FROM rollouts", "live,live,live");
    world_free(w);
}

static void test_rejected_release_keeps_the_old_one(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB("") "deploy: {timeout: 30s}\n");
    (void)state;

    w->start_ms = 10 * MINUTE; /* nothing new becomes ready */
    world_push(w, 'b', 'b', WEB("") "deploy: {timeout: 30s}\n");
    world_run(w, 2 * MINUTE);
    expect(w, LIVE_NUMBER, "1");
    expect(w, "SELECT state || ' ' || reason FROM releases WHERE number = 2",
           "rejected ProbeFailing");
    expect(w, "SELECT evidence ->> 'instances' ->> 0 ->> 'probe' FROM releases WHERE number = 2",
           "GET /: refused");
    expect_condition(w, CONVERGED, "false Rejected");
    assert_int_equal(count_of(w, "-v2-"), 0);
    assert_int_equal(world_serving(w, HOST), 1);
    /* pushed again it fails from memory */
    size_t calls = w->calls;
    world_push(w, 'c', 'b', WEB("") "deploy: {timeout: 30s}\n");
    world_run(w, 2 * MINUTE);
    expect(w, "SELECT count(*) FROM rollouts WHERE state = 'failed'", "1");
    assert_int_equal(count_of(w, "-v2-"), 0);
    assert_true(w->calls - calls < 40);
    world_free(w);
}

static void test_instance_that_keeps_ending_is_rejected(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB("") "deploy: {timeout: 1h}\n");
    (void)state;

    w->has_builder = false;
    world_push(w, 'b', 'b', WEB("") "deploy: {timeout: 1h}\n");
    world_run(w, 1000);
    auto_free char *key =
        world_ask(w, "SELECT 'sha256:' || key FROM builds WHERE state = 'queued'");
    world_image(w, key)->exits = true;
    w->has_builder = true;
    world_kick(w, "registrar", id);
    world_run(w, 10 * MINUTE);
    expect(w, "SELECT state || ' ' || reason FROM releases WHERE number = 2", "rejected Exited");
    expect(w, LIVE_NUMBER, "1");
    assert_int_equal(w->container_count, 1);
    world_free(w);
}

static void test_live_instance_that_ended_is_started_again(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    (void)state;

    w->must_serve = NULL;
    w->containers[0].state = INSTANCE_EXITED;
    world_kick(w, "synchronizer", id); /* the backend's event */
    world_run(w, 5000);
    assert_int_equal(world_serving(w, HOST), 1);
    expect(w, "SELECT restarts FROM instances", "1");
    expect(w, "SELECT count(*) FROM events WHERE reason = 'Exited'", "1");
    w->container_count = 0; /* removed by hand */
    world_kick(w, "synchronizer", id);
    world_run(w, 5000);
    assert_int_equal(world_serving(w, HOST), 1);
    world_free(w);
}

static void test_spec_that_is_broken(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    (void)state;

    world_push(w, 'b', 'b', "app: hello\nprocesess: {}\n");
    world_run(w, MINUTE);
    expect_condition(w, SPEC_VALID, "false SpecInvalid");
    expect(w, LIVE_NUMBER, "1");
    expect(w, "SELECT wanted_sha LIKE 'bbb%' FROM apps", "1");
    world_push(w, 'c', 'c', WEB(""));
    world_run(w, MINUTE);
    expect_condition(w, SPEC_VALID, "true SpecValid");
    expect(w, LIVE_NUMBER, "2");
    world_free(w);
}

static void test_ref_that_is_missing(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    (void)state;

    world_run(w, 1000);
    expect_condition(w, SOURCE_READY, "false RefNotFound");
    world_push(w, 'a', 'a', WEB(""));
    world_run(w, MINUTE);
    expect(w, LIVE_NUMBER, "1");
    world_set_ref(w, "main", 0); /* the branch is deleted: what is live stays */
    world_run(w, 10 * MINUTE);
    expect_condition(w, SOURCE_READY, "false RefNotFound");
    assert_int_equal(world_serving(w, HOST), 1);
    world_free(w);
}

static void test_host_that_is_taken(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    free(world_app(w, "other", "{\"routes\": [{\"host\": \"" HOST "\"}]}"));
    (void)state;

    world_run(w, 5 * MINUTE);
    expect(w,
           "SELECT reason FROM conditions c JOIN apps a ON a.id = c.app_id WHERE a.name = "
           "'other' AND type = 'SpecValid'",
           "HostTaken");
    assert_int_equal(world_serving(w, HOST), 1);
    world_free(w);
}

/* ---- draining ---- */

static void test_draining_waits_for_requests(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB("") "deploy: {drain: 40s}\n");
    (void)state;

    w->in_flight = 1;
    world_push(w, 'b', 'b', WEB("") "deploy: {drain: 40s}\n");
    world_run(w, 20000);
    expect(w, LIVE_NUMBER, "2");
    assert_int_equal(count_of(w, "-v1-"), 1);
    assert_int_equal(world_serving(w, HOST), 1); /* the draining one is not counted */
    w->in_flight = 0;
    world_run(w, 1000);
    assert_int_equal(count_of(w, "-v1-"), 0);
    world_free(w);
}

static void test_draining_ends_at_its_limit(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB("") "deploy: {drain: 40s}\n");
    (void)state;

    w->in_flight = 1;
    world_push(w, 'b', 'b', WEB("") "deploy: {drain: 40s}\n");
    world_run(w, 35000);
    assert_int_equal(count_of(w, "-v1-"), 1);
    world_run(w, 10000);
    assert_int_equal(count_of(w, "-v1-"), 0);
    world_free(w);
}

static void test_nothing_ends_before_the_router_acknowledges(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    (void)state;

    w->router_away = true;
    world_push(w, 'b', 'b', WEB(""));
    world_run(w, 5 * MINUTE);
    expect(w, LIVE_NUMBER, "1");
    expect_condition(w, ROUTE_ACKED, "false RouterNotAcked");
    assert_int_equal(count_of(w, "-v1-"), 1);
    w->router_away = false;
    w->router_refuses = true;
    world_run(w, 5 * MINUTE);
    expect_condition(w, ROUTE_ACKED, "false RouteRefused");
    assert_int_equal(count_of(w, "-v1-"), 1);
    w->router_refuses = false;
    world_run(w, 10 * MINUTE);
    expect(w, LIVE_NUMBER, "2");
    assert_int_equal(count_of(w, "-v1-"), 0);
    world_free(w);
}

#define MOVED WEB("") "routes:\n  - {host: " HOST "}\n  - {host: new.localhost}\n"

static void test_release_that_the_router_refuses_is_rejected(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    (void)state;

    w->refused_host = "new.localhost";
    world_push(w, 'b', 'b', MOVED);
    world_run(w, 4 * MINUTE);
    expect_condition(w, ROUTE_ACKED, "false RouteRefused");
    expect_condition(w, CONVERGED, "false RollingOut");
    expect(w, "SELECT step || ': ' || message FROM rollouts WHERE state = 'running'",
           "refused: router: new.localhost is refused");
    expect(w, "SELECT count(*) FROM events WHERE reason = 'RouteRefused'", "1");
    assert_int_equal(world_container(w, "default-hello-web-v1-1")->state, INSTANCE_READY);
    assert_false(world_entry(w, id)->upstreams[0].draining); /* between two tries v1 serves */
    world_run(w, 2 * MINUTE);
    expect(w, "SELECT state || ' ' || reason FROM releases WHERE number = 2",
           "rejected RouteRefused");
    expect(w, "SELECT evidence ->> 'message' FROM releases WHERE number = 2",
           "router: new.localhost is refused");
    expect(w, LIVE_NUMBER, "1");
    expect_condition(w, CONVERGED, "false Rejected");
    expect_condition(w, ROUTE_ACKED, "true Acknowledged");
    assert_int_equal(count_of(w, "-v2-"), 0);
    assert_int_equal(world_serving(w, HOST), 1);
    /* remembered: the same again is not tried */
    world_push(w, 'c', 'b', MOVED);
    world_run(w, 2 * MINUTE);
    expect(w, "SELECT count(*) FROM rollouts WHERE state = 'failed'", "1");
    world_free(w);
}

static void test_first_release_that_the_router_refuses(void **state)
{
    struct world *w = world_new();
    auto_free char *id = world_app(w, "hello", NULL);
    (void)state;

    w->refused_host = "new.localhost";
    world_push(w, 'a', 'a', MOVED);
    world_run(w, 10 * MINUTE);
    expect(w, "SELECT state || ' ' || reason FROM releases", "rejected RouteRefused");
    assert_int_equal(w->container_count, 0);
    assert_int_equal(world_entry(w, id)->route_count, 0);
    world_free(w);
}

/* The time for which the router is away is not the release's. */
static void test_router_away_rejects_nothing(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB("") "deploy: {timeout: 30s}\n");
    (void)state;

    w->router_away = true;
    world_push(w, 'b', 'b', WEB("") "deploy: {timeout: 30s}\n");
    world_run(w, 24 * 60 * MINUTE);
    expect_condition(w, ROUTE_ACKED, "false RouterNotAcked");
    expect(w, "SELECT state FROM releases WHERE number = 2", "pending");
    expect(w, "SELECT step || ' ' || (elapsed_ms < 15000) FROM rollouts WHERE state = 'running'",
           "waiting 1");
    w->router_away = false;
    world_run(w, 10 * MINUTE);
    expect(w, LIVE_NUMBER, "2");
    world_free(w);
}

static void test_router_away_while_an_app_stops(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    auto_tx *tx = NULL;
    struct err err = { 0 };
    (void)state;

    w->must_serve = NULL;
    w->router_away = true;
    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) || store_set_deleting(tx, id, &err) ||
                   tx_commit(&tx, &err),
               &err, "deleting");
    world_run(w, 10 * MINUTE);
    assert_int_equal(w->container_count, 1);
    w->router_away = false;
    world_run(w, 10 * MINUTE);
    assert_int_equal(w->container_count, 0);
    expect(w, "SELECT count(*) FROM apps", "0");
    expect(w, "SELECT count(*) FROM routes", "0");
    expect(w, "SELECT count(*) FROM instances", "0");
    assert_int_equal(world_entry(w, id)->route_count, 0);
    world_free(w);
}

static void set_running(struct world *w, const char *id, bool running)
{
    auto_tx *tx = NULL;
    struct err err = { 0 };

    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                   store_set_running(tx, id, running, &err) || tx_commit(&tx, &err),
               &err, "stopping or starting");
}

static void test_stop_and_start(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    (void)state;

    w->must_serve = NULL;
    set_running(w, id, false);
    world_run(w, MINUTE);
    assert_int_equal(w->container_count, 0);
    expect_condition(w, CONVERGED, "true Stopped");
    world_push(w, 'b', 'b', WEB("")); /* seen, built, but not rolled out */
    world_run(w, MINUTE);
    assert_int_equal(w->container_count, 0);
    set_running(w, id, true);
    world_run(w, MINUTE);
    expect(w, LIVE_NUMBER, "2");
    assert_int_equal(world_serving(w, HOST), 1);
    world_free(w);
}

static void test_destroyed_app_leaves_no_build_behind(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    auto_tx *tx = NULL;
    struct err err = { 0 };
    (void)state;

    w->has_builder = false;
    w->must_serve = NULL;
    world_push(w, 'b', 'b', WEB(""));
    world_run(w, 1000);
    expect(w, "SELECT count(*) FROM builds WHERE state = 'queued'", "1");
    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) || store_set_deleting(tx, id, &err) ||
                   tx_commit(&tx, &err),
               &err, "deleting");
    world_run(w, MINUTE);
    expect(w, "SELECT count(*) FROM apps", "0");
    expect(w, "SELECT count(*) FROM builds WHERE state = 'queued'", "0");
    world_free(w);
}

/* ---- builds ---- */

static void test_superseded_build_is_dropped(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    (void)state;

    w->has_builder = false;
    world_push(w, 'a', 'a', WEB(""));
    world_run(w, 1000);
    world_push(w, 'b', 'b', WEB(""));
    world_run(w, 1000);
    expect(w,
           "SELECT group_concat(state || ifnull(reason, '')) FROM (SELECT * FROM builds ORDER BY "
           "sha)",
           "cancelledSuperseded,queued");
    world_push(w, 'c', 'c', "nonsense: 1\n"); /* not valid: nothing is wanted */
    world_run(w, 1000);
    expect(w, "SELECT count(*) FROM builds WHERE state = 'queued'", "0");
    world_push(w, 'a', 'a', WEB("")); /* wanted again */
    world_run(w, 1000);
    expect(w, "SELECT count(*) FROM builds WHERE state = 'queued'", "1");
    w->has_builder = true;
    world_run(w, MINUTE);
    expect(w, LIVE_NUMBER, "1");
    world_free(w);
}

static void test_failed_build_is_remembered(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    (void)state;

    w->build_fails = "BuildFailed";
    world_push(w, 'b', 'b', WEB(""));
    world_run(w, MINUTE);
    expect_condition(w, BUILD_READY, "false BuildFailed");
    expect_condition(w, CONVERGED, "false NotBuilt");
    world_push(w, 'c', 'b', WEB(""));
    world_run(w, MINUTE);
    expect(w, "SELECT count(*) FROM build_attempts", "2"); /* the same key is not tried again */
    assert_int_equal(world_serving(w, HOST), 1);
    world_free(w);
}

static void test_image_that_is_gone_is_built_again(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    auto_free char *key = world_ask(w, "SELECT 'sha256:' || key FROM builds");
    (void)state;

    world_push(w, 'b', 'b', WEB(""));
    world_run(w, MINUTE);
    world_image(w, key)->is_missing = true;
    world_push(w, 'a', 'a', WEB(""));
    world_run(w, MINUTE);
    expect(w, LIVE_NUMBER, "1");
    expect(w, "SELECT count(*) FROM build_attempts", "3");
    expect(w, "SELECT count(*) FROM events WHERE reason = 'ImageMissing'", "1");
    world_free(w);
}

/* The live release's instance is gone, and so is its image: the app heals all the same. */
static void test_image_of_the_live_release_is_gone(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    auto_free char *key = world_ask(w, "SELECT 'sha256:' || key FROM builds");
    (void)state;

    w->must_serve = NULL;
    world_image(w, key)->is_missing = true;
    w->container_count = 0;
    world_kick(w, "synchronizer", id);
    world_run(w, MINUTE);
    expect(w, "SELECT count(*) FROM build_attempts", "2");
    assert_int_equal(world_serving(w, HOST), 1);
    world_free(w);
}

static void hold(struct world *w, const char *id)
{
    json_auto_t *hold = json_pack("{s:s, s:s, s:s, s:b}", "sha", "a", "reason", "Held", "message",
                                  "held", "is_manual", 1);
    auto_tx *tx = NULL;
    struct err err = { 0 };

    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) || store_set_hold(tx, id, hold, &err) ||
                   tx_commit(&tx, &err),
               &err, "holding");
    world_kick(w, "registrar", id);
}

/* A hold keeps it where it is; there it is healed, whatever the bytes that come out. */
static void test_image_of_a_held_release_is_gone(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    auto_free char *image = world_ask(w, "SELECT ref FROM artifacts");
    (void)state;

    w->must_serve = NULL;
    hold(w, id);
    world_push(w, 'b', 'b', WEB(""));
    world_run(w, MINUTE);
    w->has_builder = false;
    w->rebuilds_differ = true;
    world_image(w, image)->is_missing = true;
    w->container_count = 0;
    world_kick(w, "synchronizer", id);
    world_run(w, MINUTE);
    expect_condition(w, IMAGE_PRESENT, "false ImageMissing");
    expect(w,
           "SELECT message LIKE 'there is no image %; build %, which made it, runs again%' FROM "
           "conditions WHERE type = 'ImagePresent'",
           "1");
    w->has_builder = true;
    world_kick(w, "dispatcher", "queue");
    world_run(w, MINUTE);
    expect_condition(w, IMAGE_PRESENT, "true Present");
    expect(w, LIVE_NUMBER, "1");
    expect(w, "SELECT count(*) FROM releases", "1");
    expect(w, "SELECT count(*) FROM artifacts", "1");
    expect(w, "SELECT count(*) FROM events WHERE reason = 'ImageMissing'", "1");
    assert_int_equal(world_serving(w, HOST), 1);
    assert_non_null(strstr(w->containers[0].image, "-again"));
    world_free(w);
}

static void test_image_that_cannot_be_built_again(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    auto_free char *image = world_ask(w, "SELECT ref FROM artifacts");
    (void)state;

    w->must_serve = NULL;
    hold(w, id);
    w->build_fails = "SourceUnavailable";
    world_image(w, image)->is_missing = true;
    w->container_count = 0;
    world_kick(w, "synchronizer", id);
    world_run(w, 10 * MINUTE);
    expect(w,
           "SELECT reason || message LIKE 'ImageMissing%did not make it again: it broke' FROM "
           "conditions WHERE type = 'ImagePresent'",
           "1");
    expect(w, "SELECT count(*) FROM build_attempts", "2"); /* once more, and no more */
    world_free(w);
}

/* The build takes longer than deploy.timeout, which is not for builds. */
static void test_image_that_takes_long_to_build_again(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB("") "deploy: {timeout: 30s}\n");
    auto_free char *image = world_ask(w, "SELECT ref FROM artifacts");
    (void)state;

    world_push(w, 'b', 'b', WEB("") "deploy: {timeout: 30s}\n");
    world_run(w, MINUTE);
    w->has_builder = false;
    w->rebuilds_differ = true;
    world_image(w, image)->is_missing = true;
    world_push(w, 'a', 'a', "");
    world_run(w, 10 * MINUTE);
    expect(w, LIVE_NUMBER, "2");
    expect(w, "SELECT step FROM rollouts WHERE state = 'running'", "waiting");
    w->has_builder = true;
    world_kick(w, "dispatcher", "queue");
    world_run(w, MINUTE);
    expect(w, LIVE_NUMBER, "1"); /* v1 itself */
    expect(w, "SELECT count(*) FROM releases", "2");
    world_free(w);
}

/* The commit that was built first may be forgotten by now; that of the release is not. */
static void test_image_is_built_again_from_the_commit_of_the_release(void **state)
{
    auto_free char *id = NULL;
    struct world *w = make_live(&id, WEB(""));
    auto_free char *image = world_ask(w, "SELECT ref FROM artifacts");
    (void)state;

    world_push(w, 'b', 'a', WEB(", replicas: 2")); /* the same tree, another release */
    world_run(w, MINUTE);
    expect(w, LIVE_NUMBER, "2");
    expect(w, "SELECT substr(sha, 1, 1) FROM builds", "a");
    w->must_serve = NULL;
    world_image(w, image)->is_missing = true;
    w->container_count = 0;
    world_kick(w, "synchronizer", id);
    world_run(w, MINUTE);
    expect(w, "SELECT substr(sha, 1, 1) FROM builds", "b");
    assert_int_equal(world_serving(w, HOST), 2);
    world_free(w);
}

/* ---- sites ---- */

static void serve(struct world *w, const char *digest, const char *reason)
{
    auto_tx *tx = NULL;
    struct err err = { 0 };

    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                   store_note_served(tx, digest, "s1", reason, reason, &err) ||
                   store_add_work_for_site(tx, digest, &err) || tx_commit(&tx, &err),
               &err, "serving");
}

static void test_site_waits_for_an_agent(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    (void)state;

    world_push(w, 'a', 'a', "app: hello\nbuild: {method: static}\n");
    world_run(w, 10000);
    expect(w, LIVE_NUMBER, "");
    expect_condition(w, IMAGE_PRESENT, "false SiteNotServed");
    auto_free char *digest = world_ask(w, "SELECT digest FROM sites WHERE wanted");
    assert_int_equal(strlen(digest), 71);
    serve(w, digest, "BadArchive");
    world_run(w, 5000);
    expect(w, LIVE_NUMBER, "");
    serve(w, digest, NULL);
    world_run(w, 5000);
    expect(w, LIVE_NUMBER, "1");
    assert_int_equal(world_serving(w, HOST), 1);
    assert_int_equal(w->container_count, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_to_live),
        cmocka_unit_test(test_replicas),
        cmocka_unit_test(test_back_to_an_earlier_commit_builds_nothing),
        cmocka_unit_test(test_rejected_release_keeps_the_old_one),
        cmocka_unit_test(test_instance_that_keeps_ending_is_rejected),
        cmocka_unit_test(test_live_instance_that_ended_is_started_again),
        cmocka_unit_test(test_spec_that_is_broken),
        cmocka_unit_test(test_ref_that_is_missing),
        cmocka_unit_test(test_host_that_is_taken),
        cmocka_unit_test(test_draining_waits_for_requests),
        cmocka_unit_test(test_draining_ends_at_its_limit),
        cmocka_unit_test(test_nothing_ends_before_the_router_acknowledges),
        cmocka_unit_test(test_release_that_the_router_refuses_is_rejected),
        cmocka_unit_test(test_first_release_that_the_router_refuses),
        cmocka_unit_test(test_router_away_rejects_nothing),
        cmocka_unit_test(test_router_away_while_an_app_stops),
        cmocka_unit_test(test_stop_and_start),
        cmocka_unit_test(test_destroyed_app_leaves_no_build_behind),
        cmocka_unit_test(test_superseded_build_is_dropped),
        cmocka_unit_test(test_failed_build_is_remembered),
        cmocka_unit_test(test_image_that_is_gone_is_built_again),
        cmocka_unit_test(test_image_of_the_live_release_is_gone),
        cmocka_unit_test(test_image_of_a_held_release_is_gone),
        cmocka_unit_test(test_image_that_cannot_be_built_again),
        cmocka_unit_test(test_image_that_takes_long_to_build_again),
        cmocka_unit_test(test_image_is_built_again_from_the_commit_of_the_release),
        cmocka_unit_test(test_site_waits_for_an_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
