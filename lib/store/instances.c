#include "store/instances.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/row.h"

#define TEXT(name)                                    \
    {                                                 \
        ROW_TEXT, offsetof(struct instance_row, name) \
    }
#define NUMBER(name)                                    \
    {                                                   \
        ROW_NUMBER, offsetof(struct instance_row, name) \
    }

static const struct row_field fields[] = {
    TEXT(name),         TEXT(app_id),     TEXT(release_id),   TEXT(process),     TEXT(state),
    TEXT(address),      NUMBER(number),   NUMBER(port),       NUMBER(exit_code), NUMBER(restarts),
    NUMBER(restart_at), NUMBER(drain_at), NUMBER(started_at),
};

void instance_list_done(struct instance_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        row_done(fields, countof(fields), &list->items[i]);
    free(list->items);
}

int store_app_instances(struct tx *tx, const char *app_id, struct instance_list *list,
                        struct err *err)
{
    auto_instance_list found = { 0 };
    auto_sql *q = NULL;
    int rc;

    if (sql_open(tx, err, &q,
                 "SELECT name, app_id, release_id, process, state, address, number, port, "
                 "exit_code, restarts, "
                 "restart_at, ifnull(drain_at, 0), started_at FROM instances WHERE app_id = ? "
                 "ORDER BY name",
                 T(app_id)))
        return -1;
    while ((rc = sql_next(q, err)) > 0) {
        found.items = xreallocarray(found.items, found.count + 1, sizeof *found.items);
        found.items[found.count] = (struct instance_row){ 0 };
        row_load(q, fields, countof(fields), &found.items[found.count++]);
    }
    if (rc < 0)
        return -1;
    *list = found;
    found = (struct instance_list){ 0 };
    return 0;
}

int store_put_instance(struct tx *tx, const struct instance_row *i, struct err *err)
{
    sql_note_events(tx); /* who follows logs reads those of this one, too */
    if (sql_run(
            tx, err,
            "INSERT INTO instances (name, app_id, release_id, process, state, address, number, "
            "port, "
            "exit_code, "
            "restarts, restart_at, drain_at, started_at, observed_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), ?, ?) ON CONFLICT (name) DO "
            "UPDATE "
            "SET "
            "release_id = excluded.release_id, process = excluded.process, state = excluded.state, "
            "address = excluded.address, number = excluded.number, port = excluded.port, "
            "exit_code = excluded.exit_code, restarts = excluded.restarts, restart_at = "
            "excluded.restart_at, "
            "drain_at = excluded.drain_at, started_at = excluded.started_at, observed_at = "
            "excluded.observed_at WHERE app_id = excluded.app_id",
            T(i->name), T(i->app_id), T(i->release_id), T(i->process), T(i->state), T(i->address),
            N(i->number), N(i->port), N(i->exit_code), N(i->restarts), N(i->restart_at),
            N(i->drain_at), N(i->started_at), N(tx_now(tx))))
        return -1;
    return sql_changes(tx)
               ? 0
               : err_set(err, ERR_EXISTS, "the name %s is that of another app's instance", i->name);
}

int store_remove_instance(struct tx *tx, const char *name, struct err *err)
{
    return sql_run(tx, err, "DELETE FROM instances WHERE name = ?", T(name));
}

int store_count_instances(struct tx *tx, int64_t *count, struct err *err)
{
    return sql_find_number(tx, err, 0, count, "SELECT count(*) FROM instances", ARGS());
}

int store_instance_app(struct tx *tx, const char *name, char **app_id, struct err *err)
{
    static const struct row_field field = { ROW_TEXT, 0 };
    return row_find(tx, err, "instance", &field, 1, app_id,
                    "SELECT app_id FROM instances WHERE name = ?", ARGS(T(name)));
}

int store_add_work_for_lost_instances(struct tx *tx, const json_t *names, int64_t *count,
                                      struct err *err)
{
    if (sql_run(tx, err,
                "INSERT INTO work (loop, subject, due_at) SELECT DISTINCT 'synchronizer', app_id, "
                "?1 FROM instances "
                "WHERE name NOT IN (SELECT value FROM json_each(?2)) ON CONFLICT (loop, subject) "
                "DO UPDATE SET "
                "due_at = min(due_at, excluded.due_at), revision = revision + 1",
                N(tx_now(tx)), J(names)))
        return -1;
    *count = sql_changes(tx);
    sql_note_work(tx, "synchronizer");
    return 0;
}

int store_list_instances(struct tx *tx, const char *app_id, json_t **instances, struct err *err)
{
    return sql_rows(tx, err, instances,
                    "SELECT i.name, i.process, i.number AS \"index\", r.number AS release, "
                    "CASE WHEN i.drain_at IS NULL THEN i.state ELSE 'draining' END AS state, "
                    "i.address, i.port, "
                    "i.exit_code, i.restarts, nullif(i.started_at, 0) AS started_at, i.observed_at "
                    "FROM instances i LEFT JOIN releases r ON r.id = i.release_id WHERE i.app_id = "
                    "? ORDER BY i.name",
                    ARGS(T(app_id)));
}
