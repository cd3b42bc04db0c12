/* What idle loops and the next build ask stays cheap when the tables are large: no plan walks a
 * table that grows with use, other than by an index of just the rows that are meant. */
#include "store_fixture.h"

#include <sqlite3.h>

#include "store/connection.h"

/* Asks everything that is asked when nothing happens, and once per step. */
static void ask(struct fixture *f, struct tx *tx)
{
    json_auto_t *sites = NULL;
    auto_id_list queued = { 0 }, running = { 0 }, apps = { 0 }, of_subject = { 0 }, on_ref = { 0 };
    auto_work_list work = { 0 };
    auto_ref_list refs = { 0 };
    auto_build build = { 0 };
    auto_app app = { 0 };
    auto_instance_list instances = { 0 };
    auto_rollout rollout = { 0 };
    int64_t a, b;
    bool dropped;

    ok(f, store_next_work(tx, "fetcher", 5, &work, &f->err));
    ok(f, store_add_unobserved(tx, &f->err));
    ok(f, store_add_moving(tx, &f->err));
    ok(f, store_count_builds(tx, &a, &b, &f->err));
    ok(f, store_queued_builds(tx, 50, &queued, &f->err));
    ok(f, store_running_attempts(tx, &running, &f->err));
    ok(f, store_add_missing_polls(tx, &f->err));
    ok(f, store_wanted_refs(tx, "r", &refs, &f->err));
    ok(f, store_apps_on_ref(tx, "r", "main", &on_ref, &f->err));
    ok(f, store_apps_of_build(tx, "b", &apps, &f->err));
    ok(f, store_add_work_for_build(tx, "registrar", "b", &f->err));
    ok(f, store_add_work_for_site(tx, "d", &f->err));
    ok(f, store_drop_unwanted_build(tx, "b", &dropped, &f->err));
    ok(f, store_note_poll(tx, "r", NULL, NULL, &f->err));
    refused(f, store_next_build(tx, &build, &f->err), ERR_NOT_FOUND);
    ok(f, store_get_app(tx, f->app, &app, &f->err));
    ok(f, store_app_instances(tx, f->app, &instances, &f->err));
    refused(f, store_find_rollout(tx, f->app, &rollout, &f->err), ERR_NOT_FOUND);
    ok(f, store_unneeded_sites(tx, 100, &sites, &f->err));
    ok(f, store_retire_artifact(tx, "d", &dropped, &f->err));
    ok(f, store_remove_retired_artifact(tx, "d", &f->err));
    refused(f, store_find_build_of(tx, "d", &build, &f->err), ERR_NOT_FOUND);
    ok(f, store_rebuild(tx, "b", &app, NULL, &f->err));
    ok(f, store_end_build(tx, "b", "succeeded", NULL, NULL, "d", &f->err));
    ok(f, store_apps_of_subject(tx, "r", &of_subject, &f->err));
    ok(f, store_remove_build(tx, "b", &f->err));
    ok(f, store_last_event(tx, &a, &f->err));
}

/* Indexes that hold only rows that are waiting for something. */
static bool is_partial(const char *plan)
{
    static const char *const names[] = { "builds_queued", "builds_waiting",  "builds_running",
                                         "apps_moving",   "apps_unobserved", "attempts_running",
                                         "sites_wanted" };
    for (size_t i = 0; i < countof(names); i++)
        if (strstr(plan, names[i]))
            return true;
    return false;
}

static void check(sqlite3 *db, const char *sql)
{
    /* and the names that statements give them */
    static const char *const growing[] = { "apps",  "builds",    "b",       "releases",
                                           "r",     "events",    "a",       "build_attempts",
                                           "sites", "s",         "commits", "rollouts",
                                           "o",     "artifacts", "f" };
    auto_free char *question = xasprintf("EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *stmt = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, question, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *plan = (const char *)sqlite3_column_text(stmt, 3);
        for (size_t i = 0; i < countof(growing); i++) {
            auto_free char *scan = xasprintf("SCAN %s", growing[i]);
            size_t len = strlen(scan);
            bool hits = strncmp(plan, scan, len) == 0 && (plan[len] == ' ' || plan[len] == '\0');
            if (hits && !is_partial(plan))
                fail_msg("%s\nin: %s", plan, sql);
        }
        if (strstr(plan, "TEMP B-TREE") && strstr(sql, "builds WHERE state = 'queued' ORDER"))
            fail_msg("the whole queue is sorted: %s", sql);
    }
    sqlite3_finalize(stmt);
}

static void test_no_plan_walks_a_table(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;

    store_close(f->store); /* with what making the fixture asked */
    ok(f, store_open(f->path, &f->clock, &f->store, &f->err));
    auto_tx *tx = begin(f, TX_WRITE);
    ask(f, tx);
    for (sqlite3_stmt *s = sqlite3_next_stmt(tx->connection->db, NULL); s;
         s = sqlite3_next_stmt(tx->connection->db, s)) {
        const char *sql = sqlite3_sql(s);
        if (strncmp(sql, "BEGIN", 5) != 0 && strncmp(sql, "PRAGMA", 6) != 0 && ++count)
            check(tx->connection->db, sql);
    }
    assert_true(count > 20);
}

/* Foreign keys: removing a row looks for its children, by an index or by walking the table. */
static void test_every_foreign_key_has_an_index(void **state)
{
    struct fixture *f = *state;
    sqlite3_stmt *stmt = NULL;

    auto_tx *tx = begin(f, TX_READ);
    assert_int_equal(
        sqlite3_prepare_v2(
            tx->connection->db,
            "SELECT m.name || '.' || k.\"from\" FROM sqlite_master m, "
            "pragma_foreign_key_list(m.name) "
            "k WHERE m.type = 'table' AND m.name <> 'tokens' AND NOT EXISTS (SELECT 1 FROM "
            "pragma_index_list(m.name) i, pragma_index_info(i.name) c WHERE NOT i.partial AND "
            "c.seqno = 0 AND c.name = k.\"from\")",
            -1, &stmt, NULL),
        SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        fail_msg("%s has no index", sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(test_no_plan_walks_a_table),
        with_store(test_every_foreign_key_has_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
