/* Builds: whose turn it is, leases, artifacts that nothing keeps. */
#include "store_fixture.h"

static char *add_build(struct fixture *f, struct tx *tx, const char *key, const char *project,
                       const char *app)
{
    json_auto_t *spec = json_object();
    const struct build_wanted wanted = { key, project, app, NULL, "sha", spec };
    auto_build build = { 0 };

    f->now_ms++;
    ok(f, store_add_build(tx, &wanted, &build, &f->err));
    return take(&build.id);
}

static void lease(struct fixture *f, struct tx *tx, const char *expected)
{
    auto_build build = { 0 };
    auto_attempt attempt = { 0 };

    ok(f, store_next_build(tx, &build, &f->err));
    assert_string_equal(build.key, expected);
    ok(f, store_add_attempt(tx, &build, "b1", "hash", &attempt, &f->err));
    assert_int_equal(attempt.number, 1);
}

static void test_turns_are_fair(void **state)
{
    struct fixture *f = *state;
    auto_project busy = { 0 }, calm = { 0 };

    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_add_project(tx, "busy", 16, &busy, &f->err));
    ok(f, store_add_project(tx, "calm", 16, &calm, &f->err));
    for (int i = 0; i < 4; i++) {
        char key[8];
        snprintf(key, sizeof key, "busy%d", i);
        free(add_build(f, tx, key, busy.id, f->app));
    }
    free(add_build(f, tx, "calm0", calm.id, f->app));
    free(add_build(f, tx, "calm1", calm.id, f->app));
    /* a transaction's time stands still, so each turn is one of its own */
    static const char *const order[] = { "busy0", "calm0", "busy1", "calm1", "busy2", "busy3" };
    for (size_t i = 0; i < countof(order); i++) {
        ok(f, tx_commit(&tx, &f->err));
        f->now_ms += 10;
        tx = begin(f, TX_WRITE);
        lease(f, tx, order[i]);
    }
    auto_build none = { 0 };
    refused(f, store_next_build(tx, &none, &f->err), ERR_NOT_FOUND);
}

static void test_key_is_unique(void **state)
{
    struct fixture *f = *state;
    json_auto_t *spec = json_object();
    const struct build_wanted wanted = { "key", f->project, f->app, NULL, NULL, spec };
    auto_build build = { 0 };

    auto_tx *tx = begin(f, TX_WRITE);
    free(add_build(f, tx, "key", f->project, f->app));
    refused(f, store_add_build(tx, &wanted, &build, &f->err), ERR_EXISTS);
}

static void test_requeued_build_keeps_its_count(void **state)
{
    struct fixture *f = *state;
    auto_build first = { 0 }, again = { 0 };

    auto_tx *tx = begin(f, TX_WRITE);
    auto_free char *id = add_build(f, tx, "key", f->project, f->app);
    lease(f, tx, "key");
    ok(f, store_count_attempt(tx, id, &f->err));
    ok(f, store_requeue_build(tx, id, &f->err));
    ok(f, store_get_build(tx, id, &first, &f->err));
    assert_int_equal(first.attempts, 1);
    assert_string_equal(first.sha, "sha");
    assert_string_equal(first.state, "queued");
    auto_app app = { 0 };
    ok(f, store_get_app(tx, f->app, &app, &f->err));
    ok(f, store_retry_build(tx, id, &app, "newer", &f->err));
    ok(f, store_get_build(tx, id, &again, &f->err));
    assert_int_equal(again.attempts, 0);
    assert_string_equal(again.sha, "newer");
}

static void test_only_unwanted_queued_builds_are_dropped(void **state)
{
    struct fixture *f = *state;
    bool dropped = true;

    auto_tx *tx = begin(f, TX_WRITE);
    auto_free char *id = add_build(f, tx, "key", f->project, f->app);
    ok(f, store_set_wanted(tx, f->app, 1, "sha", id, NULL, &f->err));
    ok(f, store_drop_unwanted_build(tx, id, &dropped, &f->err));
    assert_false(dropped);
    ok(f, store_set_wanted(tx, f->app, 1, "sha", NULL, NULL, &f->err));
    ok(f, store_drop_unwanted_build(tx, id, &dropped, &f->err));
    assert_true(dropped);
    ok(f, store_requeue_build(tx, id, &f->err));
    lease(f, tx, "key");
    ok(f, store_drop_unwanted_build(tx, id, &dropped, &f->err));
    assert_false(dropped); /* it runs */
}

/* ---- artifacts and builds that may go ---- */

static size_t count_unkept(struct fixture *f, struct tx *tx)
{
    auto_id_list list = { 0 };
    ok(f, store_unkept_artifacts(tx, NULL, 100, &list, &f->err));
    return list.count;
}

static char *add_release(struct fixture *f, struct tx *tx, const char *key, const char *artifact)
{
    json_auto_t *spec = json_pack("{s:{s:i}}", "deploy", "keep", 2);
    const struct release_wanted wanted = { f->app, key, artifact, "sha", 1, spec };
    auto_release release = { 0 };
    bool is_new;

    ok(f, store_want_release(tx, &wanted, &release, &is_new, &f->err));
    assert_true(is_new);
    return take(&release.id);
}

static void test_unkept_artifacts(void **state)
{
    struct fixture *f = *state;
    char *releases[5];

    auto_tx *tx = begin(f, TX_WRITE);
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%d", i);
        ok(f, store_add_artifact(tx, name, "image", name, 1, &f->err));
        releases[i] = add_release(f, tx, name, name);
    }
    ok(f, store_add_artifact(tx, "loose", "image", "loose", 1, &f->err));
    for (int i = 0; i < 5; i++) { /* each was live in its turn; the last one is */
        ok(f, tx_commit(&tx, &f->err));
        f->now_ms += 1000;
        tx = begin(f, TX_WRITE);
        ok(f, store_set_release_state(tx, releases[i], "live", &f->err));
        if (i > 0)
            ok(f, store_set_release_state(tx, releases[i - 1], "retired", &f->err));
    }
    ok(f, store_set_live(tx, f->app, releases[4], &f->err));
    assert_int_equal(count_unkept(f, tx), 0); /* too young */
    ok(f, tx_commit(&tx, &f->err));
    f->now_ms += 3600000;
    tx = begin(f, TX_WRITE);
    assert_int_equal(count_unkept(f, tx), 3); /* d0, d1 and the loose one */
    ok(f, store_set_wanted(tx, f->app, 1, NULL, NULL, releases[0], &f->err));
    assert_int_equal(count_unkept(f, tx), 2);
    for (int i = 0; i < 5; i++)
        free(releases[i]);
}

static void test_retired_artifact(void **state)
{
    struct fixture *f = *state;
    auto_artifact kept = { 0 };
    auto_build build = { 0 };
    bool retired;

    auto_tx *tx = begin(f, TX_WRITE);
    auto_free char *id = add_build(f, tx, "key", f->project, f->app);
    ok(f, store_add_artifact(tx, "d", "image", "d", 1, &f->err));
    ok(f, store_end_build(tx, id, "succeeded", "Built", NULL, "d", &f->err));
    ok(f, store_remove_retired_artifact(tx, "d", &f->err));
    ok(f, store_get_artifact(tx, "d", &kept, &f->err)); /* it is not retired */
    ok(f, store_retire_artifact(tx, "d", &retired, &f->err));
    assert_false(retired); /* too young */
    ok(f, tx_commit(&tx, &f->err));
    f->now_ms += 3600001;
    tx = begin(f, TX_WRITE);
    ok(f, store_retire_artifact(tx, "d", &retired, &f->err));
    assert_true(retired);
    ok(f, store_get_build(tx, id, &build, &f->err));
    assert_null(build.artifact);
    ok(f, store_remove_retired_artifact(tx, "d", &f->err));
    auto_artifact gone = { 0 };
    refused(f, store_get_artifact(tx, "d", &gone, &f->err), ERR_NOT_FOUND);
}

static void test_old_builds(void **state)
{
    struct fixture *f = *state;
    auto_id_list none = { 0 }, old = { 0 };

    auto_tx *tx = begin(f, TX_WRITE);
    for (int i = 0; i < 5; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        auto_free char *id = add_build(f, tx, key, f->project, f->app);
        ok(f, store_end_build(tx, id, "failed", "BuildFailed", NULL, NULL, &f->err));
    }
    ok(f, store_old_builds(tx, 5, 100, &none, &f->err));
    assert_int_equal(none.count, 0);
    ok(f, store_old_builds(tx, 3, 100, &old, &f->err));
    assert_int_equal(old.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(test_turns_are_fair),
        with_store(test_key_is_unique),
        with_store(test_requeued_build_keeps_its_count),
        with_store(test_only_unwanted_queued_builds_are_dropped),
        with_store(test_unkept_artifacts),
        with_store(test_retired_artifact),
        with_store(test_old_builds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
