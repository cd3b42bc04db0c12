/* Projects, routes, releases, conditions, events, sites, refs, instances. */
#include "store_fixture.h"

static int64_t add_project(struct fixture *f, struct tx *tx, const char *name, char **id)
{
    auto_project project = { 0 };
    ok(f, store_add_project(tx, name, 4, &project, &f->err));
    if (id)
        *id = take(&project.id);
    return project.network;
}

static void test_lowest_free_network(void **state)
{
    struct fixture *f = *state;
    auto_free char *middle = NULL;
    auto_project project = { 0 };

    auto_tx *tx = begin(f, TX_WRITE);
    assert_int_equal(add_project(f, tx, "a", &middle), 1); /* 0 is the default project's */
    assert_int_equal(add_project(f, tx, "b", NULL), 2);
    ok(f, store_remove_project(tx, middle, &f->err));
    assert_int_equal(add_project(f, tx, "c", NULL), 1);
    assert_int_equal(add_project(f, tx, "d", NULL), 3);
    refused(f, store_add_project(tx, "e", 4, &project, &f->err), ERR_EXHAUSTED);
    refused(f, store_add_project(tx, "d", 16, &project, &f->err), ERR_EXISTS);
    refused(f, store_remove_project(tx, f->project, &f->err), ERR_CONFLICT); /* it has an app */
}

static void test_routes_belong_to_one_app(void **state)
{
    struct fixture *f = *state;
    json_auto_t *spec = json_pack("{s:[{s:s, s:s}]}", "routes", "host", "h", "path", "/a");
    const struct release_wanted wanted = { f->app, "k", "d", "sha", 1, spec };
    auto_release release = { 0 };
    bool is_new;

    auto_tx *tx = begin(f, TX_WRITE);
    auto_free char *other = add_app(f, tx, f->project, "other");
    ok(f, store_claim_route(tx, f->app, "h", "/a", &f->err));
    ok(f, store_claim_route(tx, f->app, "h", "/a", &f->err));
    ok(f, store_claim_route(tx, f->app, "h", "/b", &f->err));
    assert_int_equal(store_claim_route(tx, other, "h", "/a", &f->err), -1);
    assert_string_equal(f->err.field, "routes");
    assert_non_null(strstr(f->err.text, "h/a"));
    refused(f, -1, ERR_EXISTS);
    ok(f, store_claim_route(tx, other, "h", "/c", &f->err)); /* one host, two paths, two apps */
    ok(f, store_want_release(tx, &wanted, &release, &is_new, &f->err));
    ok(f, store_set_wanted(tx, f->app, 1, NULL, NULL, release.id, &f->err));
    ok(f, store_release_routes(tx, f->app, &f->err));
    ok(f, store_claim_route(tx, other, "h", "/b", &f->err));
    refused(f, store_claim_route(tx, other, "h", "/a", &f->err), ERR_EXISTS);
    ok(f, store_set_wanted(tx, f->app, 1, NULL, NULL, NULL, &f->err));
    ok(f, store_release_routes(tx, f->app, &f->err));
    ok(f, store_claim_route(tx, other, "h", "/a", &f->err));
    ok(f, store_remove_app(tx, other, &f->err));
    ok(f, store_claim_route(tx, f->app, "h", "/a", &f->err));
}

static int64_t want(struct fixture *f, struct tx *tx, const char *key, bool expected_new)
{
    json_auto_t *spec = json_pack("{s:s}", "key", key);
    const struct release_wanted wanted = { f->app, key, key, "sha", 1, spec };
    auto_release release = { 0 };
    bool is_new;

    ok(f, store_want_release(tx, &wanted, &release, &is_new, &f->err));
    assert_int_equal(is_new, expected_new);
    assert_string_equal(json_string_value(json_object_get(release.spec, "key")), key);
    return release.number;
}

static void test_release_is_found_by_its_key(void **state)
{
    struct fixture *f = *state;
    auto_release first = { 0 }, rejected = { 0 }, forgotten = { 0 }, previous = { 0 };
    json_auto_t *evidence = json_object();
    bool was_rejected;

    auto_tx *tx = begin(f, TX_WRITE);
    assert_int_equal(want(f, tx, "A", true), 1);
    assert_int_equal(want(f, tx, "B", true), 2);
    assert_int_equal(want(f, tx, "A", false), 1);
    assert_int_equal(want(f, tx, "C", true), 3);
    ok(f, store_find_release(tx, f->app, 1, &first, &f->err));
    assert_null(first.ref); /* there is no such artifact */
    ok(f, store_reject_release(tx, first.id, "Exited", "it ended", evidence, &f->err));
    assert_int_equal(want(f, tx, "A", false), 1); /* and stays rejected */
    ok(f, store_get_release(tx, first.id, &rejected, &f->err));
    assert_string_equal(rejected.state, "rejected");
    ok(f, store_forget_rejection(tx, first.id, &was_rejected, &f->err));
    assert_true(was_rejected);
    ok(f, store_get_release(tx, first.id, &forgotten, &f->err));
    assert_string_equal(forgotten.state, "pending");
    refused(f, store_previous_release(tx, f->app, &previous, &f->err), ERR_NOT_FOUND);
    ok(f, store_set_release_state(tx, first.id, "live", &f->err));
    ok(f, store_set_release_state(tx, first.id, "retired", &f->err));
    ok(f, store_previous_release(tx, f->app, &previous, &f->err));
    assert_int_equal(previous.number, 1);
}

static void test_one_rollout_at_a_time(void **state)
{
    struct fixture *f = *state;
    auto_release release = { 0 };
    auto_rollout first = { 0 }, second = { 0 }, stepped = { 0 };

    auto_tx *tx = begin(f, TX_WRITE);
    want(f, tx, "A", true);
    ok(f, store_find_release(tx, f->app, 1, &release, &f->err));
    ok(f, store_start_rollout(tx, f->app, release.id, NULL, &first, &f->err));
    refused(f, store_start_rollout(tx, f->app, release.id, NULL, &second, &f->err), ERR_EXISTS);
    ok(f, tx_commit(&tx, &f->err));
    /* a long pause counts as its limit, a clock that went back as nothing */
    static const int64_t jumps[] = { 3000, 3600000, -7200000 };
    for (size_t i = 0; i < countof(jumps); i++) {
        f->now_ms += jumps[i];
        tx = begin(f, TX_WRITE);
        ok(f, store_step_rollout(tx, &first, "starting", NULL, 10000, false, &f->err));
        ok(f, tx_commit(&tx, &f->err));
    }
    tx = begin(f, TX_WRITE);
    ok(f, store_find_rollout(tx, f->app, &stepped, &f->err));
    assert_int_equal(stepped.elapsed_ms, 13000);
    ok(f, store_end_rollout(tx, first.id, "live", NULL, &f->err));
    ok(f, store_start_rollout(tx, f->app, release.id, release.id, &second, &f->err));
}

static void set(struct fixture *f, enum condition_status status, const char *reason,
                const char *message, bool expected)
{
    bool changed;
    auto_tx *tx = begin(f, TX_OBSERVE);
    ok(f,
       store_set_condition(tx, f->app, "Type", status, reason, message, 5000, &changed, &f->err));
    assert_int_equal(changed, expected);
    ok(f, tx_commit(&tx, &f->err));
    f->now_ms += 1000;
}

static void expect_since(struct fixture *f, const char *since, const char *message)
{
    json_auto_t *list = NULL;
    auto_tx *tx = begin(f, TX_READ);
    ok(f, store_list_conditions(tx, f->app, &list, &f->err));
    const json_t *one = json_array_get(list, 0);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_value(json_object_get(one, "since")), since);
    assert_string_equal(json_string_value(json_object_get(one, "message")), message);
}

static void test_since_moves_on_change_alone(void **state)
{
    struct fixture *f = *state;

    set(f, CONDITION_FALSE, "A", "one", true);
    set(f, CONDITION_FALSE, "A", "two", false);
    expect_since(f, "2023-11-14T22:13:20.000Z", "two");
    set(f, CONDITION_FALSE, "B", "three", true);
    expect_since(f, "2023-11-14T22:13:22.000Z", "three");
    set(f, CONDITION_TRUE, "B", "four", true);
    expect_since(f, "2023-11-14T22:13:23.000Z", "four");
}

static void test_events(void **state)
{
    struct fixture *f = *state;
    json_auto_t *last = NULL, *after = NULL, *all = NULL;
    int64_t seq = 0, newest = 0;

    auto_tx *tx = begin(f, TX_WRITE);
    for (int i = 0; i < 10; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", i);
        const struct event event = { f->project, i % 2 ? f->app : NULL, "app", "Test", text, NULL };
        ok(f, store_add_event(tx, &event, &f->err));
    }
    ok(f, store_list_events(tx, NULL, f->app, -1, 2, &last, &f->err));
    assert_int_equal(json_array_size(last), 2); /* the newest two, in order */
    assert_string_equal(json_string_value(json_object_get(json_array_get(last, 1), "message")),
                        "9");
    assert_string_equal(json_string_value(json_object_get(json_array_get(last, 0), "message")),
                        "7");
    ok(f, store_last_event(tx, &seq, &f->err));
    ok(f, store_list_events(tx, f->project, NULL, seq - 3, 10, &after, &f->err));
    assert_int_equal(json_array_size(after), 3);
    ok(f, store_trim_events(tx, 4, &f->err));
    ok(f, store_list_events(tx, NULL, NULL, 0, 100, &all, &f->err));
    assert_int_equal(json_array_size(all), 4);
    ok(f, store_last_event(tx, &newest, &f->err));
    assert_int_equal(newest, seq); /* numbers are never given twice */
}

static void expect_sites(struct fixture *f, struct tx *tx, int64_t after, size_t count, bool more)
{
    json_auto_t *answer = NULL;
    ok(f, store_list_sites(tx, after, 2, &answer, &f->err));
    assert_int_equal(json_array_size(json_object_get(answer, "sites")), count);
    assert_int_equal(json_is_true(json_object_get(answer, "more")), more);
}

static void test_revisions_of_sites(void **state)
{
    struct fixture *f = *state;
    bool changed;
    int64_t revision = 0;
    json_auto_t *answer = NULL;

    auto_tx *tx = begin(f, TX_WRITE);
    static const char *const digests[] = { "a", "b", "c" };
    for (size_t i = 0; i < countof(digests); i++)
        ok(f, store_want_site(tx, digests[i], true, &changed, &f->err));
    ok(f, store_want_site(tx, "a", true, &changed, &f->err));
    assert_false(changed);
    expect_sites(f, tx, 0, 2, true);
    expect_sites(f, tx, 2, 1, false);
    ok(f, store_want_site(tx, "a", false, &changed, &f->err));
    assert_true(changed);
    ok(f, store_sites_revision(tx, &revision, &f->err));
    assert_int_equal(revision, 4);
    expect_sites(f, tx, 3, 1, false);
    ok(f, store_list_sites(tx, 77, 2, &answer, &f->err)); /* of another database: from the start */
    assert_int_equal(json_integer_value(json_object_get(answer, "revision")), 0);
    assert_true(json_is_true(json_object_get(answer, "more")));
}

static void test_sites_that_are_served(void **state)
{
    struct fixture *f = *state;
    auto_free char *problem = NULL;
    int64_t count = 0;

    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_note_served(tx, "d", "s1", "BadArchive", "torn", &f->err));
    ok(f, store_count_served(tx, "d", &count, &problem, &f->err));
    assert_int_equal(count, 0);
    assert_string_equal(problem, "BadArchive: torn");
    ok(f, store_note_served(tx, "d", "s1", NULL, NULL, &f->err));
    ok(f, store_note_served(tx, "d", "s2", NULL, NULL, &f->err));
    ok(f, store_note_served(tx, "e", "s1", NULL, NULL, &f->err));
    ok(f, store_count_served(tx, "d", &count, NULL, &f->err));
    assert_int_equal(count, 2);
    ok(f, store_forget_served(tx, NULL, "s1", &f->err));
    ok(f, store_count_served(tx, "d", &count, NULL, &f->err));
    assert_int_equal(count, 1);
    ok(f, store_count_served(tx, "e", &count, NULL, &f->err));
    assert_int_equal(count, 0);
}

static void test_refs(void **state)
{
    struct fixture *f = *state;
    auto_repository repository = { 0 };
    const struct repository_row wanted = { .project_id = f->project, .name = (char[]){ "r" } };
    bool moved;

    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_add_repository(tx, &wanted, &repository, &f->err));
    ok(f, store_set_ref(tx, repository.id, "main", "a", &moved, &f->err));
    assert_true(moved);
    ok(f, store_set_ref(tx, repository.id, "main", "a", &moved, &f->err));
    assert_false(moved);
    ok(f, store_publish_ref(tx, repository.id, "main", "a", &f->err));
    ok(f, store_set_ref(tx, repository.id, "main", NULL, &moved, &f->err));
    assert_true(moved);
    auto_ref ref = { 0 };
    ok(f, store_get_ref(tx, repository.id, "main", &ref, &f->err));
    assert_null(ref.sha);
    assert_string_equal(ref.published, "a");
    refused(f, store_add_repository(tx, &wanted, &repository, &f->err), ERR_EXISTS);
}

static void test_lost_instances_make_work(void **state)
{
    struct fixture *f = *state;
    const struct instance_row row = { .name = (char[]){ "i1" },
                                      .app_id = f->app,
                                      .release_id = (char[]){ "r" },
                                      .process = (char[]){ "web" },
                                      .state = (char[]){ "ready" } };
    json_auto_t *there = json_pack("[s]", "i1"), *none = json_array();
    int64_t lost = -1;

    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_put_instance(tx, &row, &f->err));
    ok(f, store_add_work_for_lost_instances(tx, there, &lost, &f->err));
    assert_int_equal(lost, 0);
    ok(f, store_add_work_for_lost_instances(tx, none, &lost, &f->err));
    assert_int_equal(lost, 1);
    auto_work_list list = { 0 };
    ok(f, store_next_work(tx, "synchronizer", 5, &list, &f->err));
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].subject, f->app);
}

static void test_overlays_are_kept(void **state)
{
    struct fixture *f = *state;
    json_auto_t *overlay = json_pack("{s:{s:s}}", "env", "A", "1");
    auto_app app = { 0 };
    int64_t generation = 0;

    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_set_overlay(tx, f->app, overlay, "ada", &generation, &f->err));
    assert_int_equal(generation, 2);
    ok(f, store_get_app(tx, f->app, &app, &f->err));
    assert_true(json_equal(app.overlay, overlay));
    assert_int_equal(app.observed_generation, 0);
}

static void test_tokens(void **state)
{
    struct fixture *f = *state;
    auto_token made = { 0 }, found = { 0 }, gone = { 0 };

    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_add_token(tx, "ci", "hash", f->project, &made, &f->err));
    ok(f, store_find_token(tx, "hash", &found, &f->err));
    assert_string_equal(found.project_id, f->project);
    refused(f, store_add_token(tx, "ci", "other", NULL, &gone, &f->err), ERR_EXISTS);
    ok(f, store_remove_token(tx, made.id, &f->err));
    refused(f, store_remove_token(tx, made.id, &f->err), ERR_NOT_FOUND);
    refused(f, store_find_token(tx, "hash", &gone, &f->err), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(test_lowest_free_network),
        with_store(test_routes_belong_to_one_app),
        with_store(test_release_is_found_by_its_key),
        with_store(test_one_rollout_at_a_time),
        with_store(test_since_moves_on_change_alone),
        with_store(test_events),
        with_store(test_revisions_of_sites),
        with_store(test_sites_that_are_served),
        with_store(test_refs),
        with_store(test_lost_instances_make_work),
        with_store(test_overlays_are_kept),
        with_store(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
