#include "store/projects.h"

#include <stdlib.h>

#include "base/id.h"
#include "base/mem.h"
#include "store/row.h"

static const struct row_field project_fields[] = {
    { ROW_TEXT, offsetof(struct project_row, id) },
    { ROW_TEXT, offsetof(struct project_row, name) },
    { ROW_NUMBER, offsetof(struct project_row, network) },
};

static const struct row_field token_fields[] = {
    { ROW_TEXT, offsetof(struct token_row, id) },
    { ROW_TEXT, offsetof(struct token_row, name) },
    { ROW_TEXT, offsetof(struct token_row, project_id) },
    { ROW_NUMBER, offsetof(struct token_row, last_used_at) },
};

void project_row_done(struct project_row *project)
{
    row_done(project_fields, countof(project_fields), project);
}

void token_row_done(struct token_row *token)
{
    row_done(token_fields, countof(token_fields), token);
}

int store_add_project(struct tx *tx, const char *name, int64_t network_max,
                      struct project_row *project, struct err *err)
{
    auto_free char *id = id_new(tx_clock(tx));
    int64_t network;

    if (sql_find_number(
            tx, err, 0, &network,
            "SELECT min(n) FROM (SELECT 0 AS n UNION ALL SELECT network + 1 FROM projects) "
            "WHERE n NOT IN (SELECT network FROM projects)",
            ARGS()))
        return -1;
    if (network >= network_max)
        return err_set(err, ERR_EXHAUSTED, "all %lld networks of the configured range are taken",
                       (long long)network_max);
    if (sql_run(tx, err, "INSERT INTO projects (id, name, network, created_at) VALUES (?, ?, ?, ?)",
                T(id), T(name), N(network), N(tx_now(tx))))
        return err->class == ERR_EXISTS
                   ? err_set(err, ERR_EXISTS, "there is a project %s already", name)
                   : -1;
    return store_get_project(tx, id, project, err);
}

int store_find_project(struct tx *tx, const char *name, struct project_row *project,
                       struct err *err)
{
    return row_find(tx, err, "project", project_fields, countof(project_fields), project,
                    "SELECT id, name, network FROM projects WHERE name = ?", ARGS(T(name)));
}

int store_get_project(struct tx *tx, const char *id, struct project_row *project, struct err *err)
{
    return row_find(tx, err, "project", project_fields, countof(project_fields), project,
                    "SELECT id, name, network FROM projects WHERE id = ?", ARGS(T(id)));
}

int store_remove_project(struct tx *tx, const char *id, struct err *err)
{
    int64_t used;

    if (sql_find_number(tx, err, 0, &used,
                        "SELECT (SELECT count(*) FROM apps WHERE project_id = ?1) + "
                        "(SELECT count(*) FROM repositories WHERE project_id = ?1) + (SELECT "
                        "count(*) FROM builds WHERE state = 'running' AND project_id = ?1)",
                        ARGS(T(id))))
        return -1;
    if (used) {
        err_set(err, ERR_CONFLICT, "the project still has apps, repositories or running builds");
        return err_hint(err, "destroy its apps and remove its repositories first");
    }
    return sql_run(tx, err, "DELETE FROM projects WHERE id = ?", T(id));
}

int store_list_projects(struct tx *tx, const char *only_id, const char *after, int64_t limit,
                        json_t **projects, struct err *err)
{
    return sql_rows(
        tx, err, projects,
        "SELECT id, name, created_at, (SELECT count(*) FROM apps WHERE project_id = projects.id) "
        "AS apps "
        "FROM projects WHERE (?1 IS NULL OR id = ?1) AND name > ?2 ORDER BY name LIMIT ?3",
        ARGS(T(only_id), T(after ? after : ""), N(limit)));
}

int store_show_project(struct tx *tx, const char *id, json_t **project, struct err *err)
{
    return sql_row(tx, err, project, "project",
                   "SELECT id, name, created_at, (SELECT count(*) FROM apps WHERE project_id = "
                   "projects.id) AS apps "
                   "FROM projects WHERE id = ?",
                   ARGS(T(id)));
}

int store_add_token(struct tx *tx, const char *name, const char *hash, const char *project_id,
                    struct token_row *token, struct err *err)
{
    auto_free char *id = id_new(tx_clock(tx));

    if (sql_run(
            tx, err,
            "INSERT INTO tokens (id, name, hash, project_id, created_at) VALUES (?, ?, ?, ?, ?)",
            T(id), T(name), T(hash), T(project_id), N(tx_now(tx))))
        return err->class == ERR_EXISTS
                   ? err_set(err, ERR_EXISTS, "there is a token %s already", name)
                   : -1;
    return store_find_token(tx, hash, token, err);
}

int store_find_token(struct tx *tx, const char *hash, struct token_row *token, struct err *err)
{
    return row_find(tx, err, "token", token_fields, countof(token_fields), token,
                    "SELECT id, name, project_id, last_used_at FROM tokens WHERE hash = ?",
                    ARGS(T(hash)));
}

int store_touch_token(struct tx *tx, const char *id, struct err *err)
{
    return sql_run(tx, err, "UPDATE tokens SET last_used_at = ? WHERE id = ?", N(tx_now(tx)),
                   T(id));
}

int store_remove_token(struct tx *tx, const char *id, struct err *err)
{
    if (sql_run(tx, err, "DELETE FROM tokens WHERE id = ?", T(id)))
        return -1;
    return sql_changes(tx) ? 0 : err_set(err, ERR_NOT_FOUND, "no such token");
}

int store_list_tokens(struct tx *tx, const char *after, int64_t limit, json_t **tokens,
                      struct err *err)
{
    return sql_rows(
        tx, err, tokens,
        "SELECT t.id, t.name, p.name AS project, t.created_at, t.last_used_at FROM tokens t "
        "LEFT JOIN projects p ON p.id = t.project_id WHERE t.name > ? ORDER BY t.name LIMIT ?",
        ARGS(T(after ? after : ""), N(limit)));
}

static int find_text(struct tx *tx, struct err *err, char **value, const char *what,
                     const char *sql, const struct sql_arg *args)
{
    static const struct row_field field = { ROW_TEXT, 0 };
    return row_find(tx, err, what, &field, 1, value, sql, args);
}

int store_agent_hash(struct tx *tx, const char *kind, const char *name, char **hash,
                     struct err *err)
{
    return find_text(tx, err, hash, "agent",
                     "SELECT token_hash FROM agents WHERE kind = ? AND name = ?",
                     ARGS(T(kind), T(name)));
}

int store_set_agent(struct tx *tx, const char *kind, const char *name, const char *hash,
                    struct err *err)
{
    return sql_run(tx, err,
                   "INSERT INTO agents (kind, name, token_hash, created_at) VALUES (?, ?, ?, ?) "
                   "ON CONFLICT (kind, name) DO UPDATE SET token_hash = excluded.token_hash",
                   T(kind), T(name), T(hash), N(tx_now(tx)));
}

int store_remove_agent(struct tx *tx, const char *kind, const char *name, struct err *err)
{
    if (sql_run(tx, err, "DELETE FROM agents WHERE kind = ? AND name = ?", T(kind), T(name)))
        return -1;
    return sql_changes(tx) ? 0 : err_set(err, ERR_NOT_FOUND, "no such agent");
}

int store_list_agents(struct tx *tx, json_t **agents, struct err *err)
{
    return sql_rows(tx, err, agents,
                    "SELECT kind, name, created_at FROM agents ORDER BY kind, name", ARGS());
}

int store_get_setting(struct tx *tx, const char *name, char **value, struct err *err)
{
    return find_text(tx, err, value, "setting", "SELECT value FROM settings WHERE name = ?",
                     ARGS(T(name)));
}

int store_set_setting(struct tx *tx, const char *name, const char *value, struct err *err)
{
    return sql_run(tx, err,
                   "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE "
                   "SET value = excluded.value",
                   T(name), T(value));
}
