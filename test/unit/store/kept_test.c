/* Who has what: hosts and instance names between apps, artifacts between releases, builds between
 * those who want them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/apps.h"
#include "store/builds.h"
#include "store/events.h"
#include "store/instances.h"
#include "store/projects.h"
#include "store/releases.h"
#include "store/repositories.h"
#include "store/sites.h"
#include "store/work.h"

enum { HOUR_MS = 3600000 };

static int64_t now_ms = 1000000000;

static int64_t now(void *self)
{
    (void)self;
    return now_ms;
}

static const struct clock clock = { now, now, NULL };

struct fixture {
    char *dir;
    struct store *store;
    struct tx *tx;
    char *app[3]; /* the first two of project a, the third of project b */
    char *project[2], *repository[2];
};

static char *add_app(struct fixture *f, const char *project, const char *repository,
                     const char *name)
{
    json_auto_t *overlay = json_object();
    struct err err = { 0 };
    char *id = NULL;

    if (store_add_app(f->tx, project, name, repository, "main", overlay, "test", &id, &err))
        fail_msg("%s", err.text);
    return id;
}

static void add_project(struct fixture *f, int i, const char *name)
{
    auto_project project = { 0 };
    auto_repository repository = { 0 };
    struct err err = { 0 };

    assert_int_equal(store_add_project(f->tx, name, 100, &project, &err), 0);
    const struct repository_row wanted = { .project_id = project.id,
                                           .name = (char *)(uintptr_t) "r" };
    assert_int_equal(store_add_repository(f->tx, &wanted, &repository, &err), 0);
    f->project[i] = take(&project.id);
    f->repository[i] = take(&repository.id);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct err err = { 0 };

    f->dir = xstrdup("/tmp/store-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    auto_free char *path = xasprintf("%s/db", f->dir);
    assert_int_equal(store_open(path, &clock, &f->store, &err), 0);
    assert_int_equal(store_migrate(f->store, &err), 0);
    assert_int_equal(tx_begin(f->store, TX_WRITE, &f->tx, &err), 0);
    add_project(f, 0, "a");
    add_project(f, 1, "b");
    f->app[0] = add_app(f, f->project[0], f->repository[0], "one");
    f->app[1] = add_app(f, f->project[0], f->repository[0], "two");
    f->app[2] = add_app(f, f->project[1], f->repository[1], "three");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    auto_free char *command = xasprintf("rm -r '%s'", f->dir);

    tx_rollback(&f->tx);
    store_close(f->store);
    for (int i = 0; i < 3; i++)
        free(f->app[i]);
    for (int i = 0; i < 2; i++) {
        free(f->project[i]);
        free(f->repository[i]);
    }
    assert_int_equal(system(command), 0);
    free(f->dir);
    free(f);
    return 0;
}

/* The transaction ends, and the next one is later. */
static void later(struct fixture *f, int64_t ms)
{
    struct err err = { 0 };

    now_ms += ms;
    assert_int_equal(tx_commit(&f->tx, &err), 0);
    assert_int_equal(tx_begin(f->store, TX_WRITE, &f->tx, &err), 0);
}

static char *release(struct fixture *f, int app, const char *artifact, const char *host)
{
    json_auto_t *spec = json_pack("{s:{s:i}, s:[{s:s, s:s}]}", "deploy", "keep", 2, "routes",
                                  "host", host, "path", "/");
    const struct release_wanted wanted = { f->app[app], artifact, artifact, "s", 1, spec };
    auto_release row = { 0 };
    struct err err = { 0 };
    bool is_new;

    if (store_want_release(f->tx, &wanted, &row, &is_new, &err) ||
        store_set_wanted(f->tx, f->app[app], 1, "s", NULL, row.id, &err))
        fail_msg("%s", err.text);
    return take(&row.id);
}

static void go_live(struct fixture *f, int app, const char *before, const char *id)
{
    struct err err = { 0 };

    if (before)
        assert_int_equal(store_set_release_state(f->tx, before, "retired", &err), 0);
    assert_int_equal(store_set_release_state(f->tx, id, "live", &err), 0);
    assert_int_equal(store_set_live(f->tx, f->app[app], id, &err), 0);
}

static bool has_work(struct fixture *f, const char *loop, const char *subject)
{
    auto_work_list list = { 0 };
    struct err err = { 0 };
    bool found = false;

    assert_int_equal(store_next_work(f->tx, loop, 50, &list, &err), 0);
    for (size_t i = 0; i < list.count; i++)
        found = found || strcmp(list.items[i].subject, subject) == 0;
    return found;
}

static void finish_work(struct fixture *f, const char *loop)
{
    auto_work_list list = { 0 };
    struct err err = { 0 };

    assert_int_equal(store_next_work(f->tx, loop, 50, &list, &err), 0);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(store_finish_work(f->tx, loop, &list.items[i], -1, &err), 0);
}

static void a_host_belongs_to_one_project(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    assert_int_equal(store_claim_route(f->tx, f->app[0], "shop.test", "/", &err), 0);
    assert_int_equal(store_claim_route(f->tx, f->app[0], "shop.test", "/", &err), 0);
    assert_int_equal(store_claim_route(f->tx, f->app[1], "shop.test", "/cart", &err), 0);
    assert_int_equal(store_claim_route(f->tx, f->app[1], "shop.test", "/", &err), -1);
    assert_int_equal(err.class, ERR_EXISTS);
    assert_int_equal(store_claim_route(f->tx, f->app[2], "shop.test", "/login", &err), -1);
    assert_int_equal(err.class, ERR_EXISTS);
    assert_int_equal(store_claim_route(f->tx, f->app[2], "other.test", "/", &err), 0);
}

/* A host that is given up wakes those who were refused it, and what is live or wanted keeps its. */
static void claims_end_with_their_releases(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    auto_free char *v1 = release(f, 0, "sha256:1", "first.test");
    go_live(f, 0, NULL, v1);
    free(release(f, 0, "sha256:2", "second.test"));
    assert_int_equal(store_claim_route(f->tx, f->app[0], "first.test", "/", &err), 0);
    assert_int_equal(store_claim_route(f->tx, f->app[0], "second.test", "/", &err), 0);
    assert_int_equal(store_claim_route(f->tx, f->app[0], "third.test", "/", &err), 0);
    assert_int_equal(store_set_condition(f->tx, f->app[2], "SpecValid", CONDITION_FALSE,
                                         "HostTaken", "", -1, NULL, &err),
                     0);
    finish_work(f, "registrar");
    assert_int_equal(store_release_routes(f->tx, f->app[0], &err), 0);
    assert_true(has_work(f, "registrar", f->app[2]));
    assert_int_equal(store_claim_route(f->tx, f->app[2], "third.test", "/", &err), 0);
    assert_int_equal(store_claim_route(f->tx, f->app[2], "first.test", "/", &err), -1);
    assert_int_equal(store_claim_route(f->tx, f->app[2], "second.test", "/", &err), -1);

    finish_work(f, "registrar");
    assert_int_equal(store_release_routes(f->tx, f->app[0], &err), 0);
    assert_false(has_work(f, "registrar", f->app[2])); /* nothing was given up */
    assert_int_equal(store_remove_app(f->tx, f->app[0], &err), 0);
    assert_true(has_work(f, "registrar", f->app[2]));
    assert_int_equal(store_claim_route(f->tx, f->app[2], "second.test", "/", &err), 0);
}

/* a-one-web-x-v1-1 may be app `one`, process `web-x`, or app `one-web`, process `x`. */
static void an_instance_stays_with_its_app(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    auto_instance_list list = { 0 };
    struct instance_row row = { .name = (char *)(uintptr_t) "a-one-web-x-v1-1",
                                .app_id = f->app[0],
                                .release_id = (char *)(uintptr_t) "r1",
                                .process = (char *)(uintptr_t) "web-x",
                                .state = (char *)(uintptr_t) "ready" };

    assert_int_equal(store_put_instance(f->tx, &row, &err), 0);
    row.state = (char *)(uintptr_t) "exited";
    assert_int_equal(store_put_instance(f->tx, &row, &err), 0);
    row.app_id = f->app[2];
    row.release_id = (char *)(uintptr_t) "r2";
    assert_int_equal(store_put_instance(f->tx, &row, &err), -1);
    assert_int_equal(err.class, ERR_EXISTS);
    assert_int_equal(store_app_instances(f->tx, f->app[0], &list, &err), 0);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].release_id, "r1");
}

/* Nor can another project make an app whose instances would take such names beforehand. */
static void apps_of_two_projects_are_never_named_alike(void **state)
{
    struct fixture *f = *state;
    json_auto_t *overlay = json_object();
    auto_project project = { 0 };
    auto_free char *id = NULL;
    struct err err = { 0 };

    assert_int_equal(store_add_project(f->tx, "a-one", 100, &project, &err), 0);
    assert_int_equal(store_add_app(f->tx, project.id, "web", NULL, "main", overlay, "", &id, &err),
                     -1);
    assert_int_equal(err.class,
                     ERR_EXISTS); /* a-one-web-…: app `one` of project a has process web */
    assert_int_equal(
        store_add_app(f->tx, f->project[0], "one-web", NULL, "main", overlay, "", &id, &err), 0);
    auto_free char *other = add_app(f, f->project[1], f->repository[1], "a-one");
    assert_non_null(other);
}

static bool is_unkept(struct fixture *f, const char *app, const char *digest)
{
    auto_id_list list = { 0 };
    struct err err = { 0 };
    bool found = false;

    if (store_unkept_artifacts(f->tx, app, 100, &list, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < list.count; i++)
        found = found || strcmp(list.items[i], digest) == 0;
    return found;
}

static void an_app_keeps_as_many_artifacts_as_it_says(void **state)
{
    static const char *const digests[] = { "sha256:1", "sha256:2", "sha256:3", "sha256:4",
                                           "sha256:5" };
    struct fixture *f = *state;
    struct err err = { 0 };
    auto_free char *before = NULL;
    bool removed;

    for (size_t i = 0; i < countof(digests); i++) {
        assert_int_equal(store_add_artifact(f->tx, digests[i], "image", digests[i], 1, &err), 0);
        char *id = release(f, 0, digests[i], "one.test");
        go_live(f, 0, before, id);
        free(before);
        before = id;
        later(f, 1);
    }
    assert_false(is_unkept(f, NULL, digests[0])); /* too young */
    later(f, 2 * HOUR_MS);
    assert_true(
        is_unkept(f, NULL, digests[0])); /* deploy.keep is 2: the live one and two before it */
    assert_true(is_unkept(f, f->app[0], digests[1]));
    assert_false(is_unkept(f, f->app[1], digests[1]));
    assert_false(is_unkept(f, NULL, digests[2]));
    assert_false(is_unkept(f, NULL, digests[3]));
    assert_false(is_unkept(f, NULL, digests[4]));

    /* wanted again between the look and the removal */
    free(release(f, 0, digests[0], "one.test"));
    assert_int_equal(store_retire_artifact(f->tx, digests[0], &removed, &err), 0);
    assert_false(removed);
    assert_int_equal(store_retire_artifact(f->tx, digests[1], &removed, &err), 0);
    assert_true(removed);
}

/* A build is shared by key; who asks again brings the repository that has the commit. */
static void a_build_is_made_for_who_asks_now(void **state)
{
    struct fixture *f = *state;
    json_auto_t *spec = json_object();
    const struct build_wanted wanted = { "key", f->project[0], f->app[0], f->repository[0],
                                         "old", spec };
    auto_build build = { 0 }, again = { 0 };
    auto_app other = { 0 };
    struct err err = { 0 };

    assert_int_equal(store_add_build(f->tx, &wanted, &build, &err), 0);
    assert_int_equal(store_end_build(f->tx, build.id, "cancelled", "Superseded", "", NULL, &err),
                     0);
    assert_int_equal(store_get_app(f->tx, f->app[2], &other, &err), 0);
    assert_int_equal(store_retry_build(f->tx, build.id, &other, "new", &err), 0);
    assert_int_equal(store_get_build(f->tx, build.id, &again, &err), 0);
    assert_string_equal(again.state, "queued");
    assert_string_equal(again.repository_id, f->repository[1]);
    assert_string_equal(again.project_id, f->project[1]);
    assert_string_equal(again.app_id, f->app[2]);
    assert_string_equal(again.sha, "new");
}

static size_t forget(struct fixture *f, const char *expected)
{
    auto_id_list shas = { 0 };
    struct err err = { 0 };

    assert_int_equal(store_forget_commits(f->tx, f->repository[0], 10, &shas, &err), 0);
    if (shas.count)
        assert_string_equal(shas.items[0], expected);
    return shas.count;
}

static void test_commits_are_kept_for_those_who_need_them(void **state)
{
    struct fixture *f = *state;
    static const char *const shas[] = { "ref", "published", "app", "s", "queued", "nobody" };
    struct err err = { 0 };
    bool moved;

    for (size_t i = 0; i < countof(shas); i++)
        assert_int_equal(
            store_add_commit(f->tx, f->repository[0], shas[i], "ada", "words", 1, &err), 0);
    assert_int_equal(store_add_commit(f->tx, f->repository[1], "other", "ada", "words", 1, &err),
                     0);
    assert_int_equal(store_set_ref(f->tx, f->repository[0], "main", "ref", &moved, &err), 0);
    assert_int_equal(store_publish_ref(f->tx, f->repository[0], "main", "published", &err), 0);
    assert_int_equal(store_set_wanted(f->tx, f->app[0], 1, "app", NULL, NULL, &err), 0);
    free(release(f, 1, "image", "two.example"));
    json_auto_t *part = json_object();
    const struct build_wanted wanted = { "key",    f->project[0], f->app[0], f->repository[0],
                                         "queued", part };
    auto_build build = { 0 };
    assert_int_equal(store_add_build(f->tx, &wanted, &build, &err), 0);

    assert_int_equal(forget(f, "nobody"), 1);
    assert_int_equal(forget(f, ""), 0);
    assert_int_equal(store_end_build(f->tx, build.id, "failed", "BuildFailed", NULL, NULL, &err),
                     0);
    assert_int_equal(forget(f, "queued"), 1);
    assert_int_equal(store_set_ref(f->tx, f->repository[0], "main", "published", &moved, &err), 0);
    assert_int_equal(forget(f, "ref"), 1);
    assert_int_equal(forget(f, ""), 0);
}

static void test_sites_are_forgotten_when_no_agent_has_them(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    int64_t revision;
    json_t *answer = NULL;
    bool changed;

    assert_int_equal(store_want_site(f->tx, "old", true, &changed, &err), 0);
    assert_int_equal(store_note_served(f->tx, "old", "ssgen", NULL, NULL, &err), 0);
    assert_int_equal(store_want_site(f->tx, "old", false, &changed, &err), 0);
    assert_int_equal(store_want_site(f->tx, "new", true, &changed, &err), 0);
    assert_int_equal(store_remove_old_sites(f->tx, 10, &err), 0);
    assert_int_equal(store_list_sites(f->tx, 0, 10, &answer, &err), 0);
    assert_int_equal(json_array_size(json_object_get(answer, "sites")), 2);
    json_decref(answer);

    assert_int_equal(store_forget_served(f->tx, "old", "ssgen", &err), 0);
    assert_int_equal(store_want_site(f->tx, "new", false, &changed, &err), 0);
    assert_int_equal(store_remove_old_sites(f->tx, 10, &err), 0);
    assert_int_equal(store_list_sites(f->tx, 0, 10, &answer, &err), 0);
    assert_int_equal(json_array_size(json_object_get(answer, "sites")), 1); /* the newest */
    json_decref(answer);
    assert_int_equal(store_sites_revision(f->tx, &revision, &err), 0);
    assert_int_equal(revision, 4);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_commits_are_kept_for_those_who_need_them),
        CASE(test_sites_are_forgotten_when_no_agent_has_them),
        CASE(a_host_belongs_to_one_project),
        CASE(claims_end_with_their_releases),
        CASE(an_instance_stays_with_its_app),
        CASE(apps_of_two_projects_are_never_named_alike),
        CASE(an_app_keeps_as_many_artifacts_as_it_says),
        CASE(a_build_is_made_for_who_asks_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
