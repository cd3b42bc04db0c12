/* What people and builders say, through the real server, to loops that run in a world of tables. */
#include "expect.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "controller/feeds.h"
#include "controller/files.h"
#include "links.h"
#include "store/builds.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE };

static const char web[] = "build: {method: dockerfile}\nprocesses:\n  web: {port: 8080}\n"
                          "deploy: {timeout: 20s}\n";

#define LIVE_NUMBER                                                                           \
    "SELECT l.number FROM apps a JOIN releases l ON l.id = a.live_release_id WHERE a.name = " \
    "'hello'"

struct scene {
    struct world *w;
    struct links *l;
    char *id;
    struct err err;
};

static int set_up(void **state)
{
    struct scene *s = xcalloc(1, sizeof *s);

    s->w = world_new();
    s->l = links_start(s->w);
    s->id = world_app(s->w, "hello", NULL);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;

    links_stop(s->l);
    world_free(s->w);
    free(s->id);
    free(s);
    return 0;
}

static void say(struct scene *s, const char *method, json_t *params)
{
    json_object_set_new(params, "app", json_string("hello"));
    world_must(links_ask(s->l, method, params, NULL, &s->err), &s->err, method);
}

static void refuse(struct scene *s, const char *method, json_t *params, enum err_class class)
{
    json_object_set_new(params, "app", json_string("hello"));
    assert_int_equal(links_ask(s->l, method, params, NULL, &s->err), -1);
    assert_int_equal(s->err.class, class);
    s->err = (struct err){ 0 };
}

static void push(struct scene *s, char sha, const char *yaml)
{
    world_push(s->w, sha, sha, yaml);
    world_run(s->w, MINUTE);
}

/* ---- people ---- */

static void test_rollback_and_resume(void **state)
{
    struct scene *s = *state;

    push(s, 'a', web);
    push(s, 'b', web);
    say(s, "apps.rollback", json_object());
    world_run(s->w, MINUTE);
    expect(s->w, LIVE_NUMBER, "1");
    expect(s->w, "SELECT reason FROM conditions WHERE type = 'Held'", "RolledBack");
    world_run(s->w, HOUR); /* the loops do not undo it */
    expect(s->w, LIVE_NUMBER, "1");
    say(s, "apps.resume", json_object());
    world_run(s->w, MINUTE);
    expect(s->w, LIVE_NUMBER, "2");
    say(s, "apps.rollback", json_pack("{s:i}", "release", 1));
    world_run(s->w, MINUTE);
    push(s, 'c', web); /* a newer commit goes on */
    expect(s->w, LIVE_NUMBER, "3");
    expect(s->w, "SELECT count(*) FROM conditions WHERE type = 'Held'", "0");
    refuse(s, "apps.rollback", json_pack("{s:i}", "release", 9), ERR_INVALID);
}

static void test_hold(void **state)
{
    struct scene *s = *state;

    push(s, 'a', web);
    say(s, "apps.hold", json_object());
    push(s, 'b', web);
    expect(s->w, LIVE_NUMBER, "1");
    expect(s->w, "SELECT count(*) FROM builds", "1");
    say(s, "apps.resume", json_object());
    world_run(s->w, MINUTE);
    expect(s->w, LIVE_NUMBER, "2");
}

static void test_rollback_needs_its_hosts_and_its_artifact(void **state)
{
    static const char moved[] = "build: {method: dockerfile}\nprocesses:\n  web: {port: 8080}\n"
                                "routes:\n  - {host: new.localhost}\n";
    struct scene *s = *state;

    push(s, 'a', web);
    push(s, 'b', moved); /* gives up hello.localhost */
    auto_free char *other =
        world_app(s->w, "other", "{\"routes\": [{\"host\": \"hello.localhost\"}]}");
    (void)other;
    world_run(s->w, 5 * MINUTE);
    expect(s->w,
           "SELECT name FROM routes r JOIN apps a ON a.id = app_id WHERE host = "
           "'hello.localhost'",
           "other");
    refuse(s, "apps.rollback", json_object(), ERR_EXISTS);
    expect(s->w, LIVE_NUMBER, "2");
    for (char at = 'c'; at <= 'i'; at++)
        push(s, at, moved);
    world_run(s->w, 2 * HOUR);
    world_kick(s->w, "janitor", "all");
    world_run(s->w, 1000);
    refuse(s, "apps.rollback", json_pack("{s:i}", "release", 2), ERR_CONFLICT); /* not kept */
}

static void test_stop_start_delete(void **state)
{
    struct scene *s = *state;

    push(s, 'a', web);
    say(s, "apps.update", json_pack("{s:b}", "running", 0));
    world_run(s->w, MINUTE);
    assert_int_equal(s->w->container_count, 0);
    say(s, "apps.update", json_pack("{s:b}", "running", 1));
    world_run(s->w, MINUTE);
    assert_int_equal(world_serving(s->w, "hello.localhost"), 1);
    say(s, "apps.delete", json_object());
    world_run(s->w, MINUTE);
    expect(s->w, "SELECT count(*) FROM apps", "0");
    assert_int_equal(s->w->container_count, 0);
    refuse(s, "apps.get", json_object(), ERR_NOT_FOUND);
}

static void test_a_retry_forgets_the_rejection(void **state)
{
    struct scene *s = *state;

    s->w->start_ms = HOUR;
    push(s, 'a', web);
    expect(s->w, "SELECT state FROM releases", "rejected");
    s->w->start_ms = 300;
    say(s, "apps.deploy", json_pack("{s:b}", "retry", 1));
    world_run(s->w, MINUTE);
    expect(s->w, LIVE_NUMBER, "1");
}

static void test_what_is_put_aside_is_explained(void **state)
{
    struct scene *s = *state;
    json_auto_t *found = NULL;

    push(s, 'a', web);
    s->w->fail.class = ERR_INTERNAL;
    for (int i = 0; i < 5; i++) {
        s->w->fail.at = s->w->calls + 1;
        world_kick(s->w, "synchronizer", s->id);
        world_turn(s->w);
    }
    world_must(links_ask(s->l, "apps.explain", json_pack("{s:s}", "app", "hello"), &found, &s->err),
               &s->err, "explaining");
    const json_t *first = json_object_get(found, "first");
    assert_string_equal(json_string_value(json_object_get(first, "name")), "Quarantined");
    assert_true(json_is_false(json_object_get(first, "holds")));
    assert_true(json_is_string(json_object_get(first, "next_try_at")));
}

static void test_settings_there_and_back(void **state)
{
    struct scene *s = *state;

    push(s, 'a', web);
    say(s, "env.set", json_pack("{s:{s:s}}", "set", "LEVEL", "high"));
    world_run(s->w, MINUTE);
    expect(s->w, LIVE_NUMBER, "2");
    say(s, "env.set", json_pack("{s:{s:n}}", "set", "LEVEL"));
    world_run(s->w, MINUTE);
    expect(s->w, LIVE_NUMBER, "1"); /* the first release itself */
    expect(s->w, "SELECT count(*) FROM build_attempts", "1");
}

/* ---- logs ---- */

static void expect_line(struct scene *s, struct rpc_exchange *x, const char *expected)
{
    struct rpc_item item = { 0 };

    feeds_kick(s->w->c.feeds, NULL); /* the program does that after each commit */
    assert_int_equal(rpc_exchange_read(x, 20000, &item, &s->err), 1);
    const char *line = json_string_value(json_object_get(item.json, "line"));
    assert_non_null(line);
    assert_string_equal(line, expected);
    rpc_item_done(&item);
}

static void wait_for_readers(struct scene *s)
{
    while (feeds_readers(s->w->c.feeds) > 0)
        links_wait(s->l, "SELECT 1");
}

static void test_following_logs_over_restarts_and_deploys(void **state)
{
    struct scene *s = *state;

    push(s, 'a', web);
    auto_rpc_exchange *x = links_open(
        s->l, "apps.logs", json_pack("{s:s, s:i, s:b}", "app", "hello", "tail", 7, "follow", 1));
    expect_line(s, x, "default-hello-web-v1-1, tail 7, since 0");
    wait_for_readers(s);
    feeds_kick(s->w->c.feeds, NULL); /* nothing new: no line */
    s->w->containers[0].state = INSTANCE_EXITED;
    world_kick(s->w, "synchronizer", s->id);
    world_run(s->w, MINUTE);
    auto_free char *again = world_ask(
        s->w, "SELECT name || ', tail -1, since ' || started_at FROM instances WHERE restarts = 1");
    expect_line(s, x, again);
    wait_for_readers(s);
    push(s, 'b', web);
    expect_line(s, x, "default-hello-web-v2-1, tail 7, since 0");
    wait_for_readers(s);
}

static void test_logs_end_when_nobody_follows(void **state)
{
    struct scene *s = *state;

    push(s, 'a', web);
    auto_rpc_exchange *x =
        links_open(s->l, "apps.logs", json_pack("{s:s, s:i}", "app", "hello", "tail", 7));
    expect_line(s, x, "default-hello-web-v1-1, tail 7, since 0");
    world_must(rpc_exchange_result(x, NULL, &s->err), &s->err, "reading logs");
}

/* ---- a push to a repository here ---- */

static json_t *receive(struct scene *s, char sha, const char *yaml)
{
    auto_free char *id = world_ask(s->w, "SELECT id FROM repositories WHERE url IS NULL");
    auto_free char *moved = xasprintf("SELECT count(*) FROM refs WHERE sha LIKE '%c%%'", sha);
    char text[GIT_SHA_LEN + 1] = "";
    json_t *result = NULL;

    memset(text, sha, GIT_SHA_LEN);
    world_commit(s->w, sha, sha, yaml)->is_here = true;
    auto_rpc_exchange *x =
        links_open(s->l, "git.received",
                   json_pack("{s:s, s:s, s:s, s:s}", "repository", id, "ref", "refs/heads/main",
                             "old", "0000000000000000000000000000000000000000", "new", text));
    links_wait(s->l, moved);
    world_run(s->w, 2 * MINUTE);
    feeds_kick(s->w->c.feeds, NULL); /* the program does that after each commit */
    world_must(rpc_exchange_result(x, &result, &s->err), &s->err, "pushing");
    return result;
}

static void test_push_ends_when_it_is_live(void **state)
{
    struct scene *s = *state;

    world_must(links_ask(s->l, "apps.create", json_pack("{s:s}", "app", "here"), NULL, &s->err),
               &s->err, "creating");
    json_auto_t *good = receive(s, 'd', web);
    assert_true(json_is_true(json_object_get(good, "ok")));
    assert_int_equal(s->w->published_count, 1);
    assert_int_equal(s->w->published[0].sha[0], 'd');
    assert_int_equal(world_serving(s->w, "here.localhost"), 1);
    s->w->start_ms = HOUR;
    json_auto_t *bad = receive(s, 'e', web);
    assert_false(json_is_true(json_object_get(bad, "ok")));
    assert_int_equal(s->w->published[0].sha[0], 'd'); /* the branch stays */
    assert_int_equal(world_serving(s->w, "here.localhost"), 1);
}

/* ---- builders ---- */

static json_t *lease(struct scene *s)
{
    auto_rpc_exchange *x = links_lease(s->l);
    json_t *result = NULL;

    world_run(s->w, 100);
    world_must(rpc_exchange_result(x, &result, &s->err), &s->err, "leasing");
    return result;
}

static int settle(struct scene *s, const json_t *leased, json_t *more)
{
    json_object_set(more, "attempt", json_object_get(leased, "attempt"));
    json_object_set(more, "lease", json_object_get(leased, "lease"));
    return links_build(s->l, "build.settle", more, NULL, &s->err);
}

static json_t *success(void)
{
    return json_pack("{s:s, s:{s:s, s:s+, s:s, s:i}}", "state", "succeeded", "artifact", "kind",
                     "image", "digest", "sha256:00000000000000000000000000000000",
                     "00000000000000000000000000000000", "ref", "sha256:0", "size", 1);
}

static void queue_one(struct scene *s)
{
    s->w->has_builder = false;
    push(s, 'a', web);
    expect(s->w, "SELECT reason FROM conditions WHERE type = 'BuildReady'", "NoBuilder");
}

static void test_lease_and_result(void **state)
{
    struct scene *s = *state;

    queue_one(s);
    json_auto_t *leased = lease(s);
    expect(s->w, "SELECT state FROM builds", "running");
    json_auto_t *forged = json_deep_copy(leased);
    json_object_set_new(forged, "lease", json_string("guess"));
    assert_int_equal(settle(s, forged, success()), -1);
    assert_int_equal(s->err.class, ERR_CONFLICT);
    world_must(settle(s, leased, success()), &s->err, "settling");
    world_must(settle(s, leased, success()), &s->err, "saying it again");
    world_run(s->w, MINUTE);
    expect(s->w, LIVE_NUMBER, "1");
}

static void store_archive(struct scene *s, const json_t *leased, const char *hex)
{
    json_auto_t *params =
        json_pack("{s:O, s:O, s:s, s:i}", "attempt", json_object_get(leased, "attempt"), "lease",
                  json_object_get(leased, "lease"), "sha256", hex, "size", 3);
    auto_rpc_exchange *x = links_upload(s->l, "build.site", params);

    world_must(rpc_exchange_write(x, "tar", 3, &s->err) || rpc_exchange_finish(x, &s->err) ||
                   rpc_exchange_result(x, NULL, &s->err),
               &s->err, "storing an archive");
}

/* The janitor wants to remove an archive that nobody keeps, just when it was stored again. */
static void test_archive_that_is_stored_again_stays(void **state)
{
    struct scene *s = *state;
    auto_free char *hex = sha256_hex("tar", 3), *digest = xasprintf("sha256:%s", hex),
                   *path = files_site(&s->w->config, digest);
    auto_tx *tx = NULL;

    world_must(fs_write(path, "tar", 3, 0600, &s->err) ||
                   tx_begin(s->w->c.store, TX_WRITE, &tx, &s->err) ||
                   store_add_artifact(tx, digest, "site", digest, 3, &s->err) ||
                   tx_commit(&tx, &s->err),
               &s->err, "an archive of long ago");
    s->w->now_ms += 2 * HOUR;
    s->w->has_builder = false;
    push(s, 'a', "build: {method: static}\n");
    json_auto_t *leased = lease(s);
    store_archive(s, leased, hex);
    world_kick(s->w, "janitor", "all");
    world_run(s->w, 100);
    assert_true(fs_exists(path));
    json_t *result = json_pack("{s:s, s:{s:s, s:s, s:s, s:i}}", "state", "succeeded", "artifact",
                               "kind", "site", "digest", digest, "ref", digest, "size", 3);
    world_must(settle(s, leased, result), &s->err, "settling");
    world_run(s->w, 2 * HOUR);
    assert_true(fs_exists(path)); /* wanted by now */
}

/* Stored, but its build never ends well: it goes like any other. */
static void test_archive_of_a_build_that_failed_goes(void **state)
{
    struct scene *s = *state;
    auto_free char *hex = sha256_hex("tar", 3), *digest = xasprintf("sha256:%s", hex),
                   *path = files_site(&s->w->config, digest);

    s->w->has_builder = false;
    push(s, 'a', "build: {method: static}\n");
    json_auto_t *leased = lease(s);
    store_archive(s, leased, hex);
    world_must(
        settle(s, leased, json_pack("{s:s, s:s}", "state", "failed", "reason", "BuildFailed")),
        &s->err, "settling");
    assert_true(fs_exists(path));
    world_run(s->w, 2 * HOUR);
    world_kick(s->w, "janitor", "all");
    world_run(s->w, 100);
    assert_false(fs_exists(path));
    expect(s->w, "SELECT count(*) FROM artifacts", "0");
}

static void test_builder_that_is_lost_three_times(void **state)
{
    struct scene *s = *state;

    queue_one(s);
    json_auto_t *first = lease(s);
    for (int i = 1; i <= 3; i++) {
        json_auto_t *leased = i > 1 ? lease(s) : NULL;
        (void)leased;
        links_lose_builder(s->l);
        world_run(s->w, 500); /* within the grace it may come back */
        expect(s->w, "SELECT state FROM builds", "running");
        world_run(s->w, 1500);
        expect(s->w, "SELECT state FROM builds", i < 3 ? "queued" : "failed");
    }
    expect(s->w, "SELECT reason FROM conditions WHERE type = 'BuildReady'", "BuilderLost");
    assert_int_equal(settle(s, first, success()), -1); /* late: its lease is over */
    assert_int_equal(s->err.class, ERR_CONFLICT);
}

static void test_infrastructure_failures_are_tried_again(void **state)
{
    struct scene *s = *state;

    queue_one(s);
    for (int i = 1; i <= 3; i++) {
        json_auto_t *leased = lease(s);
        world_must(
            settle(s, leased,
                   json_pack("{s:s, s:s, s:s, s:b}", "state", "failed", "reason",
                             "DockerUnavailable", "message", "it is away", "is_infrastructure", 1)),
            &s->err, "settling");
        world_run(s->w, 100);
        expect(s->w, "SELECT state FROM builds", i < 3 ? "queued" : "failed");
    }
    expect(s->w, "SELECT count(*) FROM build_attempts WHERE state = 'failed'", "3");
}

static void test_failure_of_the_code_is_final(void **state)
{
    struct scene *s = *state;

    queue_one(s);
    json_auto_t *leased = lease(s);
    world_must(
        settle(s, leased, json_pack("{s:s, s:s}", "state", "failed", "reason", "BuildFailed")),
        &s->err, "settling");
    world_run(s->w, MINUTE);
    expect(s->w, "SELECT state FROM builds", "failed");
    expect(s->w, "SELECT count(*) FROM build_attempts", "1");
}

int main(void)
{
#define in_scene(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        in_scene(test_rollback_and_resume),
        in_scene(test_hold),
        in_scene(test_rollback_needs_its_hosts_and_its_artifact),
        in_scene(test_stop_start_delete),
        in_scene(test_a_retry_forgets_the_rejection),
        in_scene(test_what_is_put_aside_is_explained),
        in_scene(test_settings_there_and_back),
        in_scene(test_following_logs_over_restarts_and_deploys),
        in_scene(test_logs_end_when_nobody_follows),
        in_scene(test_push_ends_when_it_is_live),
        in_scene(test_lease_and_result),
        in_scene(test_archive_that_is_stored_again_stays),
        in_scene(test_archive_of_a_build_that_failed_goes),
        in_scene(test_builder_that_is_lost_three_times),
        in_scene(test_infrastructure_failures_are_tried_again),
        in_scene(test_failure_of_the_code_is_final),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
