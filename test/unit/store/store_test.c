/* Opening, migrating, transactions. */
#include "store_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "store/connection.h"
#include "store/sql.h"

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_migrated(void **state)
{
    struct fixture *f = *state;
    int version = 0;

    ok(f, store_version(f->store, &version, &f->err));
    assert_int_equal(version, store_migrations[store_migration_count - 1].version);
    ok(f, store_migrate(f->store, &f->err)); /* again: nothing to do */
    ok(f, store_check(f->store, &f->err));
}

static void test_newer_version_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *newer = NULL;

    store_close(take(&f->store));
    run_sql(f->path, "PRAGMA user_version = 999");
    assert_int_equal(store_open(f->path, &f->clock, &newer, &f->err), -1);
    assert_int_equal(f->err.class, ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "schema version 999"));
    assert_non_null(strstr(f->err.hint, "restore the backup"));
    assert_null(newer);
}

/* Version 0 is the oldest there is; what a failed migration did is not there. */
static void test_older_version(void **state)
{
    struct fixture *f = *state;
    struct store *old = NULL;
    int version = -1;

    auto_free char *path = fs_join(f->dir, "old.db");
    run_sql(path, "CREATE TABLE tokens (id TEXT)"); /* in the way of the first migration */
    ok(f, store_open(path, &f->clock, &old, &f->err));
    refused(f, store_migrate(old, &f->err), ERR_INTERNAL);
    ok(f, store_version(old, &version, &f->err));
    assert_int_equal(version, 0);
    store_close(old);
    run_sql(path, "DROP TABLE tokens; CREATE TABLE other (id TEXT)");
    ok(f, store_open(path, &f->clock, &old, &f->err));
    ok(f, store_migrate(old, &f->err)); /* no table of the first try is left */
    store_close(old);
}

static int64_t pragma(struct tx *tx, const char *sql)
{
    sqlite3_stmt *stmt = NULL;

    assert_int_equal(sqlite3_prepare_v2(tx->connection->db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

static void test_modes(void **state)
{
    enum { NORMAL = 1, FULL = 2 };
    static const struct {
        enum tx_mode mode;
        int64_t synchronous;
    } table[] = { { TX_WRITE, FULL }, { TX_OBSERVE, NORMAL }, { TX_WRITE, FULL } };
    struct fixture *f = *state;

    for (size_t i = 0; i < countof(table); i++) {
        auto_tx *tx = begin(f, table[i].mode);
        assert_int_equal(pragma(tx, "PRAGMA synchronous"), table[i].synchronous);
        assert_int_equal(pragma(tx, "PRAGMA foreign_keys"), 1);
    }
    auto_tx *tx = begin(f, TX_READ); /* cannot write */
    refused(f, store_set_setting(tx, "a", "b", &f->err), ERR_INTERNAL);
}

static void test_scope_exit_rolls_back(void **state)
{
    struct fixture *f = *state;
    char *value = NULL;
    {
        auto_tx *tx = begin(f, TX_WRITE);
        ok(f, store_set_setting(tx, "a", "1", &f->err));
    }
    auto_tx *tx = begin(f, TX_READ);
    refused(f, store_get_setting(tx, "a", &value, &f->err), ERR_NOT_FOUND);
}

static void note_commit(void *arg, bool events, const char *const *loops)
{
    *(int *)arg += 1 + 10 * events;
    for (; *loops; loops++)
        *(int *)arg += 100;
}

static void test_commits_are_told(void **state)
{
    struct fixture *f = *state;
    const struct event event = { NULL, NULL, "system", "Test", "text", NULL };
    int told = 0;

    store_on_commit(f->store, note_commit, &told);
    {
        auto_tx *tx = begin(f, TX_WRITE);
        ok(f, store_set_setting(tx, "a", "1", &f->err));
        ok(f, tx_commit(&tx, &f->err));
        assert_int_equal(told, 0);
        tx = begin(f, TX_WRITE);
        ok(f, store_add_event(tx, &event, &f->err));
        tx_rollback(&tx);
        assert_int_equal(told, 0);
        tx = begin(f, TX_WRITE);
        ok(f, store_add_event(tx, &event, &f->err));
        ok(f, tx_commit(&tx, &f->err));
    }
    assert_int_equal(told, 11);
}

/* ---- threads ---- */

enum { THREADS = 6, TURNS = 60, PARTS = 4 };

/* All parts of the number are written together, so no reader may see two. */
static void *write_all(void *arg)
{
    struct fixture *f = arg;

    for (int i = 0; i < TURNS; i++) {
        struct tx *tx = NULL;
        struct err err = { 0 };
        int64_t value = 0;
        if (tx_begin(f->store, i % 2 ? TX_OBSERVE : TX_WRITE, &tx, &err) ||
            sql_find_number(tx, &err, 0, &value, "SELECT value FROM settings WHERE name = 'n0'",
                            ARGS()))
            abort();
        for (int n = 0; n < PARTS; n++) {
            char name[8], text[24];
            snprintf(name, sizeof name, "n%d", n);
            snprintf(text, sizeof text, "%lld", (long long)value + 1);
            if (store_set_setting(tx, name, text, &err))
                abort();
        }
        if (tx_commit(&tx, &err))
            abort();
    }
    return NULL;
}

static void *read_all(void *arg)
{
    struct fixture *f = arg;
    int64_t last = 0;

    while (last < (int64_t)TURNS * 2) {
        auto_tx *tx = NULL;
        struct err err = { 0 };
        int64_t kinds = 0, value = 0;
        if (tx_begin(f->store, TX_READ, &tx, &err) ||
            sql_find_number(tx, &err, 0, &kinds,
                            "SELECT count(DISTINCT value) FROM settings WHERE name LIKE 'n%'",
                            ARGS()) ||
            sql_find_number(tx, &err, 0, &value, "SELECT value FROM settings WHERE name = 'n3'",
                            ARGS()))
            abort();
        if (kinds > 1 || value < last)
            return "torn";
        last = value;
    }
    return NULL;
}

static void test_writers_beside_readers(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[2 + 2 * THREADS];
    void *result;

    for (size_t i = 0; i < countof(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? write_all : read_all, f), 0);
    for (size_t i = 0; i < countof(threads); i++) {
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

/* ---- bad files ---- */

static void damage(const char *path, off_t from, size_t len)
{
    auto_free char *noise = xcalloc(len, 1);
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

    memset(noise, 0x5a, len);
    assert_int_equal(pwrite(fd, noise, len, from), (ssize_t)len);
}

static void test_damaged_file(void **state)
{
    struct fixture *f = *state;
    struct store *broken = NULL;

    store_close(take(&f->store));
    damage(f->path, 4096 * 3, 4096 * 4);
    ok(f, store_open(f->path, &f->clock, &broken, &f->err));
    assert_int_equal(store_check(broken, &f->err), -1);
    assert_non_null(strstr(f->err.text, "is damaged"));
    store_close(broken);
    damage(f->path, 0, 4096); /* not even a database any more */
    refused(f, store_open(f->path, &f->clock, &broken, &f->err), ERR_INTERNAL);
}

static void test_folder_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct store *none = NULL;

    assert_int_equal(store_open("/nowhere/evenkeel.db", &f->clock, &none, &f->err), -1);
    assert_non_null(strstr(f->err.text, "opening /nowhere/evenkeel.db"));
}

/* A folder that cannot be written to, for root too: /proc is one. Opening succeeds or not; nothing
 * pretends to be stored. */
static void test_file_that_cannot_be_written(void **state)
{
    struct fixture *f = *state;
    auto_free char *uri = xasprintf("%s", "/proc/self/evenkeel.db");
    struct store *none = NULL;

    assert_int_equal(store_open(uri, &f->clock, &none, &f->err), -1);
    assert_int_equal(f->err.class, ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(test_migrated),
        with_store(test_newer_version_is_refused),
        with_store(test_older_version),
        with_store(test_modes),
        with_store(test_scope_exit_rolls_back),
        with_store(test_commits_are_told),
        with_store(test_writers_beside_readers),
        with_store(test_damaged_file),
        with_store(test_folder_that_is_not_there),
        with_store(test_file_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
