#include "store/events.h"

#include <string.h>

#include "store/sql.h"

int store_add_event(struct tx *tx, const struct event *e, struct err *err)
{
    sql_note_events(tx);
    return sql_run(tx, err,
                   "INSERT INTO events (at, project_id, app_id, kind, reason, message, data) "
                   "VALUES (?, ?, ?, ?, ?, ?, ?)",
                   N(tx_now(tx)), T(e->project_id), T(e->app_id), T(e->kind), T(e->reason),
                   T(e->message), J(e->data));
}

#define EVENT_COLUMNS                                                                    \
    "e.seq, e.at, p.name AS project, a.name AS app, e.kind, e.reason, e.message, "       \
    "e.data AS \"data:json\" FROM events e LEFT JOIN projects p ON p.id = e.project_id " \
    "LEFT JOIN apps a ON a.id = e.app_id "

int store_list_events(struct tx *tx, const char *project_id, const char *app_id, int64_t after,
                      int64_t limit, json_t **events, struct err *err)
{
    if (app_id && after >= 0)
        return sql_rows(tx, err, events,
                        "SELECT " EVENT_COLUMNS
                        "WHERE e.app_id = ? AND e.seq > ? ORDER BY e.seq LIMIT ?",
                        ARGS(T(app_id), N(after), N(limit)));
    if (app_id)
        return sql_rows(tx, err, events,
                        "SELECT * FROM (SELECT " EVENT_COLUMNS
                        "WHERE e.app_id = ? ORDER BY e.seq DESC LIMIT ?) ORDER BY seq",
                        ARGS(T(app_id), N(limit)));
    if (project_id && after >= 0)
        return sql_rows(tx, err, events,
                        "SELECT " EVENT_COLUMNS
                        "WHERE e.project_id = ? AND e.seq > ? ORDER BY e.seq LIMIT ?",
                        ARGS(T(project_id), N(after), N(limit)));
    if (project_id)
        return sql_rows(tx, err, events,
                        "SELECT * FROM (SELECT " EVENT_COLUMNS
                        "WHERE e.project_id = ? ORDER BY e.seq DESC LIMIT ?) ORDER BY seq",
                        ARGS(T(project_id), N(limit)));
    return sql_rows(tx, err, events,
                    "SELECT " EVENT_COLUMNS "WHERE e.seq > ? ORDER BY e.seq LIMIT ?",
                    ARGS(N(after), N(limit)));
}

int store_last_event(struct tx *tx, int64_t *seq, struct err *err)
{
    return sql_find_number(tx, err, 0, seq, "SELECT max(seq) FROM events", ARGS());
}

int store_trim_events(struct tx *tx, int64_t keep, struct err *err)
{
    return sql_run(tx, err, "DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - ?",
                   N(keep));
}

static const char *const status_names[] = {
    [CONDITION_TRUE] = "true",
    [CONDITION_FALSE] = "false",
    [CONDITION_UNKNOWN] = "unknown",
};

int store_set_condition(struct tx *tx, const char *app_id, const char *type,
                        enum condition_status status, const char *reason, const char *message,
                        int64_t next_try_ms, bool *changed, struct err *err)
{
    int64_t same;

    if (sql_find_number(
            tx, err, 0, &same,
            "SELECT 1 FROM conditions WHERE app_id = ? AND type = ? AND status = ? AND reason = ?",
            ARGS(T(app_id), T(type), T(status_names[status]), T(reason))))
        return -1;
    if (changed)
        *changed = !same;
    if (!same)
        sql_note_events(tx); /* who follows an app decides by its conditions when it is over */
    int64_t now = tx_now(tx);
    return sql_run(
        tx, err,
        "INSERT INTO conditions (app_id, type, status, reason, message, since, observed_at, "
        "next_try_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (app_id, type) DO UPDATE SET "
        "since = CASE WHEN status = excluded.status AND reason = excluded.reason THEN since "
        "ELSE excluded.since END, status = excluded.status, reason = excluded.reason, "
        "message = excluded.message, observed_at = excluded.observed_at, next_try_at = "
        "excluded.next_try_at",
        T(app_id), T(type), T(status_names[status]), T(reason), T(message), N(now), N(now),
        next_try_ms < 0 ? T(NULL) : N(now + next_try_ms));
}

int store_clear_condition(struct tx *tx, const char *app_id, const char *type, struct err *err)
{
    return sql_run(tx, err, "DELETE FROM conditions WHERE app_id = ? AND type = ?", T(app_id),
                   T(type));
}

int store_list_conditions(struct tx *tx, const char *app_id, json_t **conditions, struct err *err)
{
    return sql_rows(tx, err, conditions,
                    "SELECT type, status, reason, message, since, observed_at, next_try_at "
                    "FROM conditions WHERE app_id = ? ORDER BY type",
                    ARGS(T(app_id)));
}
