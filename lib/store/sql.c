#include "store/sql.h"

#include <assert.h>
#include <sqlite3.h>
#include <string.h>
#include <uthash.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/connection.h"

/* Prepared once, kept until the connection closes. A statement that is in use (a query inside a
 * query of the same text) is prepared a second time. */
struct statement {
    const char *sql;
    sqlite3_stmt *stmt;
    bool in_use;
    UT_hash_handle hh;
};

struct sql {
    struct tx *tx;
    sqlite3_stmt *stmt;
    struct statement *cached; /* NULL: ours to finalize */
};

void connection_free(struct connection *c)
{
    struct statement *s, *next;

    if (!c)
        return;
    HASH_ITER(hh, c->statements, s, next) {
        HASH_DEL(c->statements, s);
        sqlite3_finalize(s->stmt);
        free(s);
    }
    sqlite3_close(c->db);
    free(c);
}

static int fail(struct tx *tx, struct err *err, const char *sql)
{
    sqlite3 *db = tx->connection->db;
    int code = sqlite3_extended_errcode(db);

    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
        return err_set(err, ERR_EXISTS, "database: %s", sqlite3_errmsg(db));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_UNAVAILABLE, "database: %s", sqlite3_errmsg(db));
    case SQLITE_FULL:
        return err_set(err, ERR_EXHAUSTED, "database: %s", sqlite3_errmsg(db));
    default:
        return err_set(err, ERR_INTERNAL, "database: %s (%d) in: %.120s", sqlite3_errmsg(db), code,
                       sql);
    }
}

static int prepare(struct sql *q, const char *sql, struct err *err)
{
    struct connection *c = q->tx->connection;
    struct statement *s;

    HASH_FIND_PTR(c->statements, &sql, s);
    if (s && !s->in_use) {
        s->in_use = true;
        q->cached = s;
        q->stmt = s->stmt;
        return 0;
    }
    if (sqlite3_prepare_v3(c->db, sql, -1, s ? 0 : SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL) !=
        SQLITE_OK)
        return fail(q->tx, err, sql);
    if (s)
        return 0;
    s = xcalloc(1, sizeof *s);
    *s = (struct statement){ .sql = sql, .stmt = q->stmt, .in_use = true };
    HASH_ADD_PTR(c->statements, sql, s);
    q->cached = s;
    return 0;
}

static void bind(sqlite3_stmt *stmt, int i, const struct sql_arg *arg)
{
    if (arg->kind == SQL_NUMBER)
        sqlite3_bind_int64(stmt, i, arg->number);
    else if (arg->kind == SQL_TEXT && arg->text)
        sqlite3_bind_text(stmt, i, arg->text, -1, SQLITE_TRANSIENT);
    else if (arg->kind == SQL_JSON && arg->json)
        sqlite3_bind_text(stmt, i, json_dumps(arg->json, JSON_COMPACT | JSON_ENCODE_ANY), -1, free);
    else
        sqlite3_bind_null(stmt, i);
}

int sql_begin(struct tx *tx, struct err *err, struct sql **query, const char *sql,
              const struct sql_arg *args)
{
    auto_sql *q = xcalloc(1, sizeof *q);
    int count = 0;

    q->tx = tx;
    if (prepare(q, sql, err))
        return -1;
    for (; args[count].kind != SQL_END; count++)
        bind(q->stmt, count + 1, &args[count]);
    assert(count == sqlite3_bind_parameter_count(q->stmt));
    *query = take(&q);
    return 0;
}

int sql_next(struct sql *q, struct err *err)
{
    int rc = sqlite3_step(q->stmt);

    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fail(q->tx, err, sqlite3_sql(q->stmt));
}

void sql_close(struct sql **query)
{
    struct sql *q = *query;

    if (!q)
        return;
    if (q->cached) {
        sqlite3_reset(q->stmt);
        sqlite3_clear_bindings(q->stmt);
        q->cached->in_use = false;
    } else {
        sqlite3_finalize(q->stmt);
    }
    free(q);
    *query = NULL;
}

int sql_exec(struct tx *tx, struct err *err, const char *sql, const struct sql_arg *args)
{
    auto_sql *q = NULL;

    if (sql_begin(tx, err, &q, sql, args))
        return -1;
    return sql_next(q, err) < 0 ? -1 : 0;
}

int64_t sql_changes(struct tx *tx)
{
    return sqlite3_changes(tx->connection->db);
}

const char *sql_text(struct sql *q, int column)
{
    return (const char *)sqlite3_column_text(q->stmt, column);
}

char *sql_dup(struct sql *q, int column)
{
    const char *text = sql_text(q, column);
    return text ? xstrdup(text) : NULL;
}

int64_t sql_number(struct sql *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}

bool sql_is_null(struct sql *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

json_t *sql_json(struct sql *q, int column)
{
    const char *text = sql_text(q, column);
    return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

int sql_find_number(struct tx *tx, struct err *err, int64_t fallback, int64_t *number,
                    const char *sql, const struct sql_arg *args)
{
    auto_sql *q = NULL;

    if (sql_begin(tx, err, &q, sql, args))
        return -1;
    int rc = sql_next(q, err);
    if (rc < 0)
        return -1;
    *number = rc && !sql_is_null(q, 0) ? sql_number(q, 0) : fallback;
    return 0;
}

static bool is_boolean(const char *name)
{
    return text_starts(name, "is_") || strcmp(name, "running") == 0 || strcmp(name, "hosted") == 0;
}

static bool is_time(const char *name)
{
    return text_ends(name, "_at") || strcmp(name, "at") == 0 || strcmp(name, "since") == 0;
}

static json_t *value_of(struct sql *q, int i, const char *name)
{
    if (sql_is_null(q, i))
        return json_null();
    if (text_ends(name, ":json"))
        return sql_json(q, i);
    if (is_time(name) && sqlite3_column_type(q->stmt, i) == SQLITE_INTEGER) {
        auto_free char *time = text_time(sql_number(q, i));
        return json_string(time);
    }
    if (is_boolean(name))
        return json_boolean(sql_number(q, i));
    if (sqlite3_column_type(q->stmt, i) == SQLITE_INTEGER)
        return json_integer(sql_number(q, i));
    return json_string(sql_text(q, i));
}

static json_t *object_of(struct sql *q)
{
    json_t *row = json_object();

    for (int i = 0; i < sqlite3_column_count(q->stmt); i++) {
        const char *name = sqlite3_column_name(q->stmt, i);
        auto_free char *key =
            text_ends(name, ":json") ? xstrndup(name, strlen(name) - 5) : xstrdup(name);
        json_object_set_new(row, key, value_of(q, i, name));
    }
    return row;
}

int sql_rows(struct tx *tx, struct err *err, json_t **rows, const char *sql,
             const struct sql_arg *args)
{
    json_auto_t *list = json_array();
    auto_sql *q = NULL;
    int rc;

    if (sql_begin(tx, err, &q, sql, args))
        return -1;
    while ((rc = sql_next(q, err)) > 0)
        json_array_append_new(list, object_of(q));
    if (rc < 0)
        return -1;
    *rows = json_incref(list);
    return 0;
}

int sql_row(struct tx *tx, struct err *err, json_t **row, const char *what, const char *sql,
            const struct sql_arg *args)
{
    auto_sql *q = NULL;

    if (sql_begin(tx, err, &q, sql, args))
        return -1;
    int rc = sql_next(q, err);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, "no such %s", what);
    *row = object_of(q);
    return 0;
}

void sql_note_events(struct tx *tx)
{
    tx->has_events = true;
}

void sql_note_work(struct tx *tx, const char *loop)
{
    size_t i = 0;

    while (tx->loops[i] && strcmp(tx->loops[i], loop) != 0)
        i++;
    assert(i < WORK_LOOPS_MAX);
    tx->loops[i] = loop;
}
