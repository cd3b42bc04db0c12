#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/connection.h"
#include "store/sql.h"

enum { READERS_MAX = 8, BUSY_MS = 5000 };

struct store {
    char *path;
    const struct clock *clock;
    store_committed committed;
    void *committed_arg;
    pthread_mutex_t write_lock; /* guards: */
    struct connection *writer;
    pthread_mutex_t lock; /* guards: */
    pthread_cond_t reader_free;
    SLIST_HEAD(, connection) readers;
    int reader_count;
};

static void init_pragmas(struct connection *c)
{
    sqlite3_busy_timeout(c->db, BUSY_MS);
    sqlite3_exec(c->db,
                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                 "PRAGMA trusted_schema=OFF; PRAGMA cache_size=-2048; PRAGMA temp_store=MEMORY",
                 NULL, NULL, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
}

static int connect(const char *path, bool read_only, struct connection **connection,
                   struct err *err)
{
    struct connection *c = xcalloc(1, sizeof *c);
    int flags = SQLITE_OPEN_NOMUTEX |
                (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);

    if (sqlite3_open_v2(path, &c->db, flags, NULL) != SQLITE_OK) {
        err_set(err, ERR_INTERNAL, "opening %s: %s", path, sqlite3_errmsg(c->db));
        connection_free(c);
        return -1;
    }
    init_pragmas(c);
    *connection = c;
    return 0;
}

int store_open(const char *path, const struct clock *clock, struct store **store, struct err *err)
{
    struct store *s = xcalloc(1, sizeof *s);

    s->path = xstrdup(path);
    s->clock = clock;
    pthread_mutex_init(&s->write_lock, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->reader_free, NULL);
    SLIST_INIT(&s->readers);
    int version, newest = store_migrations[store_migration_count - 1].version;
    if (connect(path, false, &s->writer, err) || store_version(s, &version, err)) {
        store_close(s);
        return -1;
    }
    if (version > newest) {
        store_close(s);
        err_set(err, ERR_CONFLICT, "%s has schema version %d, this program knows up to %d", path,
                version, newest);
        return err_hint(
            err, "start the newer Evenkeel that wrote it, or restore the backup from before");
    }
    *store = s;
    return 0;
}

void store_close(struct store *s)
{
    struct connection *c;

    if (!s)
        return;
    while ((c = SLIST_FIRST(&s->readers))) {
        SLIST_REMOVE_HEAD(&s->readers, link);
        connection_free(c);
    }
    connection_free(s->writer);
    pthread_cond_destroy(&s->reader_free);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->write_lock);
    free(s->path);
    free(s);
}

void store_on_commit(struct store *s, store_committed committed, void *arg)
{
    s->committed = committed;
    s->committed_arg = arg;
}

int store_version(struct store *s, int *version, struct err *err)
{
    sqlite3_stmt *stmt = NULL;

    pthread_mutex_lock(&s->write_lock);
    bool ok =
        sqlite3_prepare_v2(s->writer->db, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW;
    if (ok)
        *version = sqlite3_column_int(stmt, 0);
    else
        err_set(err, ERR_INTERNAL, "reading %s: %s", s->path, sqlite3_errmsg(s->writer->db));
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->write_lock);
    return ok ? 0 : -1;
}

static int apply(struct store *s, const struct migration *m, struct err *err)
{
    auto_free char *sql =
        xasprintf("BEGIN IMMEDIATE;\n%s\n;PRAGMA user_version=%d;COMMIT;", m->sql, m->version);
    char *message = NULL;

    if (sqlite3_exec(s->writer->db, sql, NULL, NULL, &message) == SQLITE_OK) {
        log_info("migrated the database", I("version", m->version));
        return 0;
    }
    err_set(err, ERR_INTERNAL, "migrating %s to version %d: %s", s->path, m->version,
            message ? message : "?");
    sqlite3_free(message);
    sqlite3_exec(s->writer->db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

int store_migrate(struct store *s, struct err *err)
{
    int version, rc = store_version(s, &version, err);

    pthread_mutex_lock(&s->write_lock);
    for (size_t i = 0; rc == 0 && i < store_migration_count; i++)
        if (store_migrations[i].version > version)
            rc = apply(s, &store_migrations[i], err);
    pthread_mutex_unlock(&s->write_lock);
    return rc;
}

int store_check(struct store *s, struct err *err)
{
    sqlite3_stmt *stmt = NULL;

    pthread_mutex_lock(&s->write_lock);
    bool ok =
        sqlite3_prepare_v2(s->writer->db, "PRAGMA quick_check(1)", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW &&
        strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0;
    if (!ok)
        err_set(err, ERR_INTERNAL, "%s is damaged: %s", s->path,
                stmt && sqlite3_column_count(stmt) && sqlite3_column_text(stmt, 0)
                    ? (const char *)sqlite3_column_text(stmt, 0)
                    : sqlite3_errmsg(s->writer->db));
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->write_lock);
    return ok ? 0 : -1;
}

/* ---- transactions ---- */

static int take_reader(struct store *s, struct connection **connection, struct err *err)
{
    pthread_mutex_lock(&s->lock);
    while (SLIST_EMPTY(&s->readers) && s->reader_count == READERS_MAX)
        pthread_cond_wait(&s->reader_free, &s->lock);
    struct connection *c = SLIST_FIRST(&s->readers);
    if (c)
        SLIST_REMOVE_HEAD(&s->readers, link);
    else
        s->reader_count++;
    pthread_mutex_unlock(&s->lock);
    if (!c && connect(s->path, true, &c, err)) {
        pthread_mutex_lock(&s->lock);
        s->reader_count--;
        pthread_mutex_unlock(&s->lock);
        return -1;
    }
    *connection = c;
    return 0;
}

static void give_back(struct store *s, struct connection *c)
{
    if (c == s->writer) {
        pthread_mutex_unlock(&s->write_lock);
        return;
    }
    pthread_mutex_lock(&s->lock);
    SLIST_INSERT_HEAD(&s->readers, c, link);
    pthread_cond_signal(&s->reader_free);
    pthread_mutex_unlock(&s->lock);
}

static int take_writer(struct store *s, enum tx_mode mode, struct connection **connection)
{
    pthread_mutex_lock(&s->write_lock);
    if (s->writer->mode != (int)mode) {
        const char *pragma =
            mode == TX_WRITE ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL";
        sqlite3_exec(s->writer->db, pragma, NULL, NULL, NULL);
        s->writer->mode = (int)mode;
    }
    *connection = s->writer;
    return 0;
}

int tx_begin(struct store *s, enum tx_mode mode, struct tx **tx, struct err *err)
{
    struct connection *c;

    if (mode == TX_READ ? take_reader(s, &c, err) : take_writer(s, mode, &c))
        return -1;
    struct tx *t = xcalloc(1, sizeof *t);
    *t = (struct tx){ .store = s, .connection = c, .now_ms = clock_now_ms(s->clock) };
    if (sql_run(t, err, mode == TX_READ ? "BEGIN" : "BEGIN IMMEDIATE")) {
        give_back(s, c);
        free(t);
        return -1;
    }
    *tx = t;
    return 0;
}

int tx_commit(struct tx **tx, struct err *err)
{
    struct tx *t = *tx;
    struct store *s = t->store;

    if (sql_run(t, err, "COMMIT")) {
        tx_rollback(tx);
        return -1;
    }
    give_back(s, t->connection);
    if (s->committed && (t->has_events || t->loops[0]))
        s->committed(s->committed_arg, t->has_events, t->loops);
    free(t);
    *tx = NULL;
    return 0;
}

void tx_rollback(struct tx **tx)
{
    struct tx *t = *tx;
    struct err ignored = { 0 };

    if (!t)
        return;
    if (!sqlite3_get_autocommit(t->connection->db))
        sql_run(t, &ignored, "ROLLBACK");
    give_back(t->store, t->connection);
    free(t);
    *tx = NULL;
}

int64_t tx_now(const struct tx *tx)
{
    return tx->now_ms;
}

const struct clock *tx_clock(const struct tx *tx)
{
    return tx->store->clock;
}
