/* Statements of this folder: bound parameters, prepared once per connection. Private to lib/store.
 */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct tx;
struct sqlite3_stmt;

struct sql_arg {
    enum { SQL_END, SQL_TEXT, SQL_NUMBER, SQL_JSON, SQL_NULLNUM } kind;
    const char *text;
    int64_t number;
    const json_t *json;
};
#define T(v) ((struct sql_arg){ .kind = SQL_TEXT, .text = (v) }) /* NULL pointer: NULL */
#define N(v) ((struct sql_arg){ .kind = SQL_NUMBER, .number = (v) })
#define J(v) ((struct sql_arg){ .kind = SQL_JSON, .json = (v) }) /* NULL pointer: NULL */
#define ARGS(...) ((const struct sql_arg[]){ __VA_ARGS__ __VA_OPT__(, ){ .kind = SQL_END } })

/* Runs a statement that returns no rows. `sql` must be a string literal: it is the key of the
 * statement cache. A violated UNIQUE or CHECK is ERR_EXISTS, a busy or locked database
 * ERR_UNAVAILABLE, a full disk ERR_EXHAUSTED. */
int sql_exec(struct tx *tx, struct err *err, const char *sql, const struct sql_arg *args);
#define sql_run(tx, err, sql, ...) sql_exec(tx, err, sql, ARGS(__VA_ARGS__))
int64_t sql_changes(struct tx *tx);

/* Rows: `auto_sql *q = NULL; if (sql_open(tx, err, &q, "SELECT …", T(id))) …; while ((rc =
 * sql_next(q, err)) > 0) …` */
struct sql;
int sql_begin(struct tx *tx, struct err *err, struct sql **q, const char *sql,
              const struct sql_arg *args);
#define sql_open(tx, err, q, sql, ...) sql_begin(tx, err, q, sql, ARGS(__VA_ARGS__))
int sql_next(struct sql *q, struct err *err); /* 1 a row, 0 the end, -1 */
void sql_close(struct sql **q);
#define auto_sql __attribute__((__cleanup__(sql_close))) struct sql

const char *sql_text(struct sql *q, int column); /* borrowed until the next call; NULL for NULL */
char *sql_dup(struct sql *q, int column);        /* NULL for NULL */
int64_t sql_number(struct sql *q, int column);   /* 0 for NULL */
bool sql_is_null(struct sql *q, int column);
json_t *sql_json(struct sql *q, int column); /* NULL for NULL or what is no JSON */

/* One number, or `fallback` when there is no row. */
int sql_find_number(struct tx *tx, struct err *err, int64_t fallback, int64_t *number,
                    const char *sql, const struct sql_arg *args);

/* Rows as an array of objects named by the columns. A name that ends in `_at` becomes RFC 3339
 * text, `is_…`, `running` and `hosted` booleans, one that ends in `:json` is parsed (and loses the
 * ending); NULL becomes null. */
int sql_rows(struct tx *tx, struct err *err, json_t **rows, const char *sql,
             const struct sql_arg *args);
/* The first row, or ERR_NOT_FOUND with "no such WHAT". */
int sql_row(struct tx *tx, struct err *err, json_t **row, const char *what, const char *sql,
            const struct sql_arg *args);

/* Notes for store_on_commit. `loop` must be a string literal. */
void sql_note_events(struct tx *tx);
void sql_note_work(struct tx *tx, const char *loop);

#endif
