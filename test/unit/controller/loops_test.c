/* Each loop by itself: nothing to do, one item that fails beside others, many causes at once. */
#include "expect.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "controller/conditions.h"
#include "controller/files.h"
#include "controller/loops.h"
#include "store/apps.h"
#include "store/builds.h"
#include "store/releases.h"
#include "store/repositories.h"
#include "store/sites.h"
#include "store/work.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE };

static const char web[] = "build: {method: dockerfile}\nprocesses:\n  web: {port: 8080}\n";

static void pass(struct world *w, pass_function function)
{
    struct err err = { 0 };
    world_must(function(&w->c, &err), &err, "a full pass");
}

/* Three apps that are live, and nothing to do. Two of them share a build. */
static struct world *make_three(char *ids[3])
{
    static const char *const names[] = { "one", "two", "three" };
    struct world *w = world_new();

    for (size_t i = 0; i < 3; i++)
        ids[i] = world_app(w, names[i], i == 1 ? "{\"build\": {\"args\": {\"A\": \"1\"}}}" : NULL);
    world_push(w, 'a', 'a', web);
    world_run(w, 3 * MINUTE);
    expect(w, "SELECT count(*) FROM apps WHERE live_release_id IS NOT NULL", "3");
    return w;
}

static void end_three(struct world *w, char *ids[3])
{
    for (size_t i = 0; i < 3; i++)
        free(ids[i]);
    world_free(w);
}

/* ---- nothing to do ---- */

static void test_idle_passes_make_no_work(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    auto_free char *before = world_ask(w, "SELECT count(*) FROM events");
    expect(w, "SELECT group_concat(DISTINCT loop) FROM work WHERE subject NOT LIKE 'repository/%'",
           "fetcher"); /* the hour after which the repository is tidied is not over */
    for (size_t i = 0; i < loop_count; i++)
        if (strcmp(loop_table[i].name, "janitor") != 0) /* its pass is its work */
            pass(w, loop_table[i].pass);
    expect(w, "SELECT group_concat(DISTINCT loop) FROM work WHERE subject NOT LIKE 'repository/%'",
           "fetcher");
    size_t steps[WORLD_LOOPS];
    memcpy(steps, w->steps, sizeof steps);
    world_turn(w);
    assert_memory_equal(steps, w->steps, sizeof steps);
    /* steps on what is as it should be change nothing and tell nothing */
    auto_free char *shown = world_show(w);
    for (size_t i = 0; i < loop_count; i++)
        for (size_t n = 0; n < 3; n++)
            world_kick(w, loop_table[i].name, ids[n]);
    world_kick(w, "dispatcher", "queue");
    world_kick(w, "crash_detector", "leases");
    world_kick(w, "janitor", "all");
    world_turn(w);
    auto_free char *after = world_show(w);
    assert_string_equal(shown, after);
    expect(w, "SELECT count(*) FROM events", before);
    end_three(w, ids);
}

static void test_idle_hour_is_a_few_questions(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    size_t calls = w->calls;
    world_run(w, HOUR);
    assert_true(w->calls - calls <= 3 * (HOUR / 180000 + 1)); /* refs of three remotes */
    end_three(w, ids);
}

/* ---- many causes at once ---- */

static void test_storm_is_one_step(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    for (size_t i = 0; i < loop_count; i++) {
        size_t before = w->steps[i];
        for (int n = 0; n < 500; n++)
            world_kick(w, loop_table[i].name, ids[0]);
        world_turn(w);
        /* another loop may have asked for it once more */
        assert_in_range(w->steps[i] - before, 1, 2);
    }
    end_three(w, ids);
}

/* ---- one that fails ---- */

static void test_synchronizer_beside_an_app_that_keeps_ending(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    w->has_builder = false;
    world_push(w, 'b', 'b', web);
    world_run(w, 1000);
    auto_free char *image =
        world_ask(w, "SELECT 'sha256:' || key FROM builds b JOIN apps a ON a.id = "
                     "b.app_id WHERE state = 'queued' AND a.name = 'two'");
    world_image(w, image)->exits = true;
    w->has_builder = true;
    world_kick(w, "dispatcher", "queue");
    world_run(w, 2 * MINUTE);
    expect(w,
           "SELECT group_concat(a.name || r.number) FROM (SELECT * FROM apps ORDER BY name) a JOIN "
           "releases r ON r.id = live_release_id",
           "one2,three2,two1");
    expect(w, "SELECT count(*) FROM releases WHERE state = 'rejected'", "1");
    end_three(w, ids);
}

/* As when Docker is shutting down: each try makes events, and each event a step. */
static void test_what_does_not_start_is_tried_with_growing_delay(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    struct world_container *one = world_container(w, "default-two-web-v1-1");
    (void)state;

    world_image(w, one->image)->cannot_start = true;
    one->state = INSTANCE_EXITED;
    size_t before = w->starts;
    for (int i = 0; i < 300; i++) {
        world_kick(w, "synchronizer", ids[1]);
        world_run(w, 100);
    }
    assert_in_range(w->starts - before, 4, 7); /* in 30 s: after 0, 1, 2, 4, 8 s */
    world_image(w, one->image)->cannot_start = false;
    world_run(w, MINUTE);
    assert_int_equal(world_serving(w, "two.localhost"), 1);
    end_three(w, ids);
}

static void test_full_pass_finds_what_was_lost(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    struct world_container *one = world_container(w, "default-two-web-v1-1");
    *one = w->containers[--w->container_count];
    pass(w, synchronizer_pass);
    expect(w, "SELECT count(*) FROM work WHERE loop = 'synchronizer'", "1");
    world_run(w, 5000);
    assert_int_equal(world_serving(w, "two.localhost"), 1);
    end_three(w, ids);
}

static void test_backend_that_is_away_is_said_and_waited_for(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    w->backend_away = true;
    world_kick(w, "synchronizer", ids[0]);
    world_run(w, MINUTE);
    expect(w,
           "SELECT status || ' ' || reason FROM conditions c JOIN apps a ON a.id = c.app_id WHERE "
           "a.name = 'one' AND type = 'InstancesReady'",
           "unknown BackendUnavailable");
    assert_int_equal(world_serving(w, "one.localhost"), 1); /* what is there serves on */
    w->backend_away = false;
    world_run(w, 6 * MINUTE);
    expect(w, "SELECT count(*) FROM conditions WHERE type = 'InstancesReady' AND status = 'true'",
           "3");
    end_three(w, ids);
}

static void test_defect_is_put_aside(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    w->fail.class = ERR_INTERNAL;
    world_kick(w, "synchronizer", ids[0]);
    for (int i = 0; i < 5; i++) { /* whatever its first call is, it fails */
        w->fail.at = w->calls + 1;
        world_kick(w, "synchronizer", ids[0]);
        world_turn(w);
    }
    auto_free char *sql =
        xasprintf("SELECT due_at - %lld FROM work WHERE loop = 'synchronizer' AND attempts = 5",
                  (long long)w->now_ms);
    expect(w, sql, "3600000");
    auto_free char *said = xasprintf("SELECT status || ' ' || reason || ' ' || (next_try_at - "
                                     "%lld) FROM conditions WHERE type = 'Quarantined'",
                                     (long long)w->now_ms);
    expect(w, said, "true UnexpectedFailure 3600000");
    expect(w,
           "SELECT message LIKE 'the synchronizer failed 5 times in a row: %goes wrong%' FROM "
           "conditions WHERE type = 'Quarantined'",
           "1");
    expect(w, "SELECT count(*) FROM events WHERE reason = 'UnexpectedFailure'", "1");
    w->fail.at = 0;
    world_kick(w, "synchronizer", ids[0]); /* a cause ends that */
    world_turn(w);
    expect(w, "SELECT count(*) FROM work WHERE loop = 'synchronizer'", "0");
    expect(w, "SELECT count(*) FROM conditions WHERE type = 'Quarantined'", "0");
    end_three(w, ids);
}

static void fail_five_times(struct world *w, const char *loop, const char *subject)
{
    w->fail.class = ERR_INTERNAL;
    for (int i = 0; i < 5; i++) {
        w->fail.at = w->calls + 1;
        world_kick(w, loop, subject);
        world_turn(w);
    }
    w->fail.at = 0;
}

/* What is put aside may be a repository, or nothing that an app has to do with. */
static void test_quarantine_of_what_is_no_app(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    auto_free char *repository = world_ask(w, "SELECT repository_id FROM apps WHERE name = 'two'");
    (void)state;

    fail_five_times(w, "fetcher", repository);
    expect(w,
           "SELECT group_concat(name || message) LIKE 'twothe fetcher failed%' FROM conditions "
           "JOIN apps ON id = app_id WHERE type = 'Quarantined'",
           "1");
    world_kick(w, "fetcher", repository);
    world_turn(w);
    expect(w, "SELECT count(*) FROM conditions WHERE type = 'Quarantined'", "0");
    fail_five_times(w, "janitor", "network/gone");
    expect(w, "SELECT count(*) FROM conditions WHERE type = 'Quarantined'", "0");
    expect(w,
           "SELECT count(*) FROM events WHERE reason = 'UnexpectedFailure' AND kind = 'system' AND "
           "message LIKE '%network/gone%'",
           "1");
    end_three(w, ids);
}

static char *follow_another_ref(struct world *w, const char *name, const char *ref)
{
    auto_free char *repository = world_ask(w, "SELECT id FROM repositories LIMIT 1"),
                   *project = world_ask(w, "SELECT id FROM projects LIMIT 1");
    json_auto_t *overlay = json_object();
    auto_tx *tx = NULL;
    struct err err = { 0 };
    char *id = NULL;

    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                   store_add_app(tx, project, name, repository, ref, overlay, "test", &id, &err) ||
                   store_add_work(tx, "fetcher", repository, 0, &err) || tx_commit(&tx, &err),
               &err, "adding an app");
    return id;
}

static void test_fetcher_goes_on_past_a_ref_that_fails(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    auto_free char *other = NULL;
    (void)state;

    world_commit(w, 'b', 'b', web);
    world_set_ref(w, "main", 'a');
    world_set_ref(w, "zoo", 'b');
    w->refs[0].cannot_be_fetched = true;
    other = follow_another_ref(w, "other", "zoo");
    world_push(w, 'a', 'a', web);
    world_run(w, MINUTE);
    expect(w, "SELECT group_concat(name) FROM apps WHERE live_release_id IS NOT NULL", "other");
    expect(w,
           "SELECT group_concat(name || ' ' || reason) FROM conditions JOIN apps ON id = app_id "
           "WHERE type = 'SourceReady' AND status = 'false'",
           "hello RemoteUnreachable");
    w->refs[0].cannot_be_fetched = false;
    world_run(w, 6 * MINUTE);
    expect(w, "SELECT count(*) FROM apps WHERE live_release_id IS NOT NULL", "2");
    world_free(w);
}

static void test_remote_that_is_away(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    w->remote_away = true;
    world_push(w, 'b', 'b', web);
    world_run(w, MINUTE);
    expect(w,
           "SELECT count(*) FROM conditions WHERE type = 'SourceReady' AND reason = "
           "'RemoteUnreachable' AND next_try_at IS NOT NULL",
           "3");
    expect(w, "SELECT DISTINCT error_reason FROM repositories", "RemoteUnreachable");
    w->remote_away = false;
    world_run(w, 6 * MINUTE);
    expect(w,
           "SELECT count(*) FROM apps a JOIN releases r ON r.id = live_release_id WHERE number = 2",
           "3");
    end_three(w, ids);
}

static void test_mirror_that_was_lost_is_fetched_again(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    w->commits[0].is_here = false;
    world_kick(w, "registrar", ids[0]);
    world_run(w, 1000);
    assert_true(w->commits[0].is_here);
    expect(w, "SELECT count(*) FROM conditions WHERE type = 'SpecValid' AND status = 'true'", "3");
    end_three(w, ids);
}

static void test_registrar_beside_a_broken_spec(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    auto_tx *tx = NULL;
    struct err err = { 0 };
    int64_t generation;
    json_auto_t *bad = json_pack("{s:[{s:s}]}", "routes", "host", "one.localhost");
    (void)state;

    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                   store_set_overlay(tx, ids[1], bad, "test", &generation, &err) ||
                   tx_commit(&tx, &err),
               &err, "taking another's host");
    world_push(w, 'b', 'b', web);
    world_run(w, MINUTE);
    expect(w,
           "SELECT group_concat(name || ' ' || reason) FROM conditions JOIN apps ON id = app_id "
           "WHERE type = 'SpecValid' AND status = 'false'",
           "two HostTaken");
    expect(w,
           "SELECT count(*) FROM apps a JOIN releases r ON r.id = live_release_id WHERE number = 2",
           "2");
    end_three(w, ids);
}

/* ---- what comes while the registrar reads ---- */

static char *victim;

static void roll_back_meanwhile(struct world *w, const char *call)
{
    json_auto_t *hold =
        json_pack("{s:s, s:s, s:s, s:b}", "sha", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                  "reason", "RolledBack", "message", "rolled back", "is_manual", 0);
    auto_release first = { 0 };
    auto_tx *tx = NULL;
    struct err err = { 0 };

    if (strcmp(call, "source.read_file") != 0)
        return;
    w->meanwhile = NULL;
    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                   store_find_release(tx, victim, 1, &first, &err) ||
                   store_set_hold(tx, victim, hold, &err) ||
                   store_set_wanted(tx, victim, 1, first.sha, NULL, first.id, &err) ||
                   tx_commit(&tx, &err),
               &err, "rolling back");
}

static void test_rollback_while_the_registrar_reads_is_not_undone(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    world_push(w, 'b', 'b', web);
    world_run(w, MINUTE);
    victim = ids[0];
    w->meanwhile = roll_back_meanwhile;
    world_kick(w, "registrar", ids[0]);
    world_kick(w, "synchronizer", ids[0]);
    world_run(w, MINUTE);
    assert_null(w->meanwhile);
    expect(w,
           "SELECT r.number FROM apps a JOIN releases r ON r.id = wanted_release_id WHERE a.name "
           "= 'one'",
           "1");
    expect(w, "SELECT hold ->> 'reason' FROM apps WHERE name = 'one'", "RolledBack");
    end_three(w, ids);
}

/* ---- janitor ---- */

static void clean(struct world *w)
{
    world_kick(w, "janitor", "all");
    world_run(w, 1000);
}

static void add_orphans(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct world_container *one = &w->containers[w->container_count++];
        *one = (struct world_container){ .state = INSTANCE_READY };
        snprintf(one->name, sizeof one->name, "default-gone-web-v1-%zu", i + 1);
    }
}

static void test_orphans_go(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    add_orphans(w, 2);
    w->unremovable = "default-gone-web-v1-1";
    clean(w);
    assert_int_equal(w->container_count, 4); /* the other one went all the same */
    assert_non_null(world_container(w, "default-gone-web-v1-1"));
    w->unremovable = NULL;
    world_run(w, HOUR);
    assert_int_equal(w->container_count, 3);
    end_three(w, ids);
}

static void test_too_many_orphans_are_left_alone(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    (void)state;

    add_orphans(w, 3);
    clean(w);
    assert_int_equal(w->container_count, 6);
    expect(w, "SELECT count(*) FROM events WHERE reason = 'TooManyOrphans'", "1");
    add_orphans(w, 34); /* 37 of 40: still */
    clean(w);
    assert_int_equal(w->container_count, 40);
    end_three(w, ids);
}

/* A tenth of what runs may be strangers. */
static void test_a_tenth_may_go(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    (void)state;

    world_push(
        w, 'a', 'a',
        "build: {method: dockerfile}\nprocesses:\n  a: {replicas: 14}\n  b: {replicas: 14}\n");
    world_run(w, MINUTE);
    assert_int_equal(w->container_count, 28);
    add_orphans(w, 4); /* of 32: more than three */
    clean(w);
    assert_int_equal(w->container_count, 32);
    w->container_count--; /* of 31: three */
    clean(w);
    assert_int_equal(w->container_count, 28);
    world_free(w);
}

static void test_artifacts_go_and_come_back(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    (void)state;

    w->config.builds_keep = 50;
    for (char at = 'a'; at <= 'h'; at++) {
        world_push(w, at, at, web);
        world_run(w, MINUTE);
    }
    w->image_in_use = true;
    world_run(w, HOUR);
    clean(w);
    expect(w, "SELECT count(*) FROM artifacts", "8"); /* none is forgotten while it cannot go */
    w->image_in_use = false;
    clean(w);
    expect(w, "SELECT count(*) FROM artifacts", "6"); /* live, and five to go back to */
    expect(w, "SELECT count(*) FROM builds WHERE artifact IS NULL AND sha < 'c'", "2");
    auto_free char *key = world_ask(w, "SELECT 'sha256:' || key FROM builds WHERE sha LIKE 'aaa%'");
    assert_true(world_image(w, key)->is_missing);
    world_push(w, 'a', 'a', web); /* wanted again: built again */
    world_run(w, MINUTE);
    expect(w, "SELECT number FROM apps a JOIN releases r ON r.id = live_release_id", "1");
    world_push(w, 'i', 'i',
               "build: {method: dockerfile}\nprocesses:\n  web: {port: 8080}\ndeploy: {keep: 2}\n");
    world_run(w, HOUR);
    clean(w);
    expect(w, "SELECT count(*) FROM artifacts", "3");
    world_free(w);
}

static void test_site_archives_go(void **state)
{
    struct world *w = world_new();
    auto_free char *digest = xasprintf("sha256:%064d", 7), *path = files_site(&w->config, digest);
    auto_tx *tx = NULL;
    struct err err = { 0 };
    bool changed;
    (void)state;

    world_must(fs_write(path, "x", 1, 0600, &err) || tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                   store_add_artifact(tx, digest, "site", digest, 1, &err) ||
                   store_want_site(tx, digest, true, &changed, &err) || tx_commit(&tx, &err),
               &err, "adding a site");
    clean(w);
    expect(w, "SELECT wanted FROM sites", "0"); /* no release needs it: it need not be unpacked */
    assert_true(fs_exists(path));
    w->now_ms += HOUR;
    clean(w);
    assert_false(fs_exists(path));
    expect(w, "SELECT count(*) FROM artifacts", "0");
    world_free(w);
}

static void test_old_builds_and_events_go(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    struct err err = { 0 };
    (void)state;

    w->build_fails = "BuildFailed";
    world_push(w, 'a', 'a', web);
    world_run(w, MINUTE);
    auto_free char *first = world_ask(w, "SELECT id FROM builds"),
                   *logs = files_log_dir(&w->config, first);
    world_must(fs_make_dirs(logs, 0700, &err), &err, "making a log");
    for (char at = 'b'; at <= 'f'; at++) {
        world_push(w, at, at, web);
        world_run(w, MINUTE);
    }
    w->config.events_keep = 5;
    clean(w);
    expect(w, "SELECT count(*) FROM builds", "3");
    expect(w, "SELECT count(*) FROM events", "5");
    assert_false(fs_exists(logs));
    world_free(w);
}

/* Three pushes within the hour are one tidying, after it. A release that is remembered keeps its
 * commit; the one whose build failed is forgotten, and fetched when a push brings it back. */
static void test_commits_go_and_come_back(void **state)
{
    struct world *w = world_new();
    auto_free char *id = world_app(w, "hello", NULL);
    (void)state;
    (void)id;

    world_push(w, 'a', 'a', web);
    world_run(w, MINUTE);
    w->build_fails = "BuildFailed";
    world_push(w, 'b', 'b', web);
    world_run(w, MINUTE);
    w->build_fails = NULL;
    world_push(w, 'c', 'c', web);
    world_run(w, MINUTE);
    expect(w, "SELECT count(*) FROM commits", "3");
    assert_int_equal(w->tidied, 0);
    world_run(w, HOUR);
    assert_int_equal(w->tidied, 1);
    expect(w, "SELECT group_concat(substr(sha, 1, 1), '') FROM commits", "ac");
    assert_false(w->commits[1].is_here);

    world_push(w, 'b', 'b', web);
    world_run(w, MINUTE);
    world_push(w, 'a', 'a', web);
    world_run(w, MINUTE);
    expect(w, "SELECT group_concat(substr(sha, 1, 1), '') FROM commits", "abc");
    world_free(w);
}

static void test_uploads_that_became_nothing_go(void **state)
{
    static const char *const names[] = {
        "7777777777777777777777777777777777777777777777777777777777777777.tar.gz",
        "7777777777777777777777777777777777777777777777777777777777777777.tar.gz.incoming-a1b2c3",
    };
    struct world *w = world_new();
    struct err err = { 0 };
    (void)state;

    for (size_t i = 0; i < countof(names); i++) {
        auto_free char *old = xasprintf("%s/sites/%s", w->dir, names[i]);
        const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        world_must(fs_write(old, "x", 1, 0600, &err), &err, "writing");
        clean(w);
        assert_true(fs_exists(old)); /* it may be written to just now */
        assert_int_equal(utimensat(AT_FDCWD, old, times, 0), 0);
        clean(w);
        assert_false(fs_exists(old));
    }
    world_free(w);
}

static void test_old_releases_go(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    (void)state;

    w->config.releases_keep = 3;
    for (char at = 'a'; at <= 'i'; at++) { /* v1 to v9 */
        world_push(w, at, at, web);
        world_run(w, MINUTE);
    }
    world_push(w, 'b', 'b', web); /* v2 is live again, v9 has the highest number */
    world_run(w, MINUTE);
    w->start_ms = HOUR;
    for (char at = 'j'; at <= 'o'; at++) { /* v10 to v15 are rejected */
        world_push(w, at, at, web);
        world_run(w, 10 * MINUTE);
    }
    clean(w);
    expect(w, "SELECT group_concat(number || state) FROM (SELECT * FROM releases ORDER BY number)",
           "2live,7retired,8retired,9retired,13rejected,14rejected,15rejected");
    expect(w, "SELECT count(*) FROM rollouts", "3");
    w->start_ms = 300;
    world_push(w, 'p', 'p', web);
    world_run(w, MINUTE);
    expect(w, "SELECT number FROM apps a JOIN releases r ON r.id = live_release_id", "16");
    clean(w);
    expect(w, "SELECT group_concat(number || state) FROM (SELECT * FROM releases ORDER BY number)",
           "2retired,8retired,9retired,14rejected,15rejected,16live");
    world_push(w, 'a', 'a', web); /* forgotten: a new one, with a new number */
    world_run(w, MINUTE);
    expect(w, "SELECT number FROM apps a JOIN releases r ON r.id = live_release_id", "17");
    world_free(w);
}

static void test_a_release_on_its_way_stays(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    (void)state;

    w->config.releases_keep = 1;
    for (char at = 'a'; at <= 'd'; at++) {
        world_push(w, at, at, web);
        world_run(w, MINUTE);
    }
    w->start_ms = 10000;
    world_push(w, 'b', 'b', web); /* v2 rolls out beside v4 */
    world_run(w, 1000);
    clean(w);
    expect(w, "SELECT group_concat(number || state) FROM (SELECT * FROM releases ORDER BY number)",
           "2retired,3retired,4live");
    world_run(w, MINUTE);
    expect(w, "SELECT number FROM apps a JOIN releases r ON r.id = live_release_id", "2");
    world_free(w);
}

static void test_old_settings_go(void **state)
{
    char *ids[3];
    struct world *w = make_three(ids);
    auto_tx *tx = NULL;
    struct err err = { 0 };
    int64_t generation = 0;
    json_auto_t *overlay = json_object();
    (void)state;

    w->config.releases_keep = 4;
    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err), &err, "changing settings");
    while (generation < 9)
        world_must(store_set_overlay(tx, ids[0], overlay, "test", &generation, &err), &err,
                   "changing settings");
    world_must(tx_commit(&tx, &err), &err, "changing settings");
    world_run(w, MINUTE);
    clean(w);
    expect(w, "SELECT group_concat(n) FROM (SELECT count(*) AS n FROM app_specs GROUP BY app_id)",
           "4,1,1");
    expect(w, "SELECT max(generation) FROM app_specs", "9");
    end_three(w, ids);
}

static void test_old_attempts_go(void **state)
{
    struct world *w = world_new();
    free(world_app(w, "hello", NULL));
    auto_free char *build = NULL;
    struct err err = { 0 };
    (void)state;

    w->build_fails = "BuildFailed";
    world_push(w, 'a', 'a', web);
    world_run(w, MINUTE);
    build = world_ask(w, "SELECT id FROM builds");
    for (int i = 0; i < 14; i++) {
        auto_tx *tx = NULL;
        world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                       store_requeue_build(tx, build, &err) || tx_commit(&tx, &err),
                   &err, "once more");
        world_run(w, 1000);
        clean(w);
    }
    expect(w, "SELECT count(*) || ' ' || max(number) FROM build_attempts", "10 15");
    world_free(w);
}

/* ---- claims ---- */

static void want_next_meanwhile(struct world *w, const char *call)
{
    if (strcmp(call, "router.apply") != 0)
        return;
    w->meanwhile = NULL;
    world_push(w, 'c', 'c',
               "build: {method: dockerfile}\nprocesses:\n  web: {port: 8080}\nroutes:\n"
               "  - {host: next.localhost}\n");
    struct err err = { 0 };
    int64_t again_ms = -1;
    auto_free char *repository = world_ask(w, "SELECT id FROM repositories");
    world_must(fetcher_step(&w->c, repository, &again_ms, &err), &err, "fetching");
    world_must(registrar_step(&w->c, victim, &again_ms, &err), &err, "registering");
    auto_free char *key = world_ask(w, "SELECT key FROM builds WHERE sha LIKE 'ccc%'");
    auto_free char *digest = xasprintf("sha256:%s", key);
    auto_free char *build = world_ask(w, "SELECT id FROM builds WHERE sha LIKE 'ccc%'");
    auto_tx *tx = NULL;
    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                   store_add_artifact(tx, digest, "image", digest, 1, &err) ||
                   store_end_build(tx, build, "succeeded", "Built", NULL, digest, &err) ||
                   tx_commit(&tx, &err),
               &err, "building");
    world_must(registrar_step(&w->c, victim, &again_ms, &err), &err, "registering");
    w->router_away = true; /* so that the next rollout does not claim it in passing */
}

static void test_going_live_keeps_the_claims_of_what_is_next(void **state)
{
    struct world *w = world_new();
    auto_free char *id = victim = world_app(w, "hello", NULL);
    (void)state;
    (void)id;

    world_push(w, 'a', 'a', web);
    world_run(w, MINUTE);
    world_push(w, 'b', 'b', web);
    for (int i = 0; i < 1000 && !world_container(w, "default-hello-web-v2-1"); i++)
        world_run(w, 10);
    w->now_ms += 1000;
    w->meanwhile = want_next_meanwhile;
    world_run(w, 5000);
    assert_null(w->meanwhile);
    expect(w, "SELECT count(*) FROM routes WHERE host = 'next.localhost'", "1");
    w->router_away = false;
    world_run(w, 6 * MINUTE);
    assert_int_equal(world_serving(w, "next.localhost"), 1);
    expect(w, "SELECT group_concat(host) FROM routes", "next.localhost");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_passes_make_no_work),
        cmocka_unit_test(test_idle_hour_is_a_few_questions),
        cmocka_unit_test(test_storm_is_one_step),
        cmocka_unit_test(test_synchronizer_beside_an_app_that_keeps_ending),
        cmocka_unit_test(test_what_does_not_start_is_tried_with_growing_delay),
        cmocka_unit_test(test_full_pass_finds_what_was_lost),
        cmocka_unit_test(test_backend_that_is_away_is_said_and_waited_for),
        cmocka_unit_test(test_defect_is_put_aside),
        cmocka_unit_test(test_quarantine_of_what_is_no_app),
        cmocka_unit_test(test_fetcher_goes_on_past_a_ref_that_fails),
        cmocka_unit_test(test_remote_that_is_away),
        cmocka_unit_test(test_mirror_that_was_lost_is_fetched_again),
        cmocka_unit_test(test_registrar_beside_a_broken_spec),
        cmocka_unit_test(test_rollback_while_the_registrar_reads_is_not_undone),
        cmocka_unit_test(test_orphans_go),
        cmocka_unit_test(test_too_many_orphans_are_left_alone),
        cmocka_unit_test(test_a_tenth_may_go),
        cmocka_unit_test(test_artifacts_go_and_come_back),
        cmocka_unit_test(test_site_archives_go),
        cmocka_unit_test(test_old_builds_and_events_go),
        cmocka_unit_test(test_old_releases_go),
        cmocka_unit_test(test_a_release_on_its_way_stays),
        cmocka_unit_test(test_old_settings_go),
        cmocka_unit_test(test_old_attempts_go),
        cmocka_unit_test(test_commits_go_and_come_back),
        cmocka_unit_test(test_uploads_that_became_nothing_go),
        cmocka_unit_test(test_going_live_keeps_the_claims_of_what_is_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
