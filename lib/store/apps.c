#include "store/apps.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "store/row.h"
#include "store/work.h"

#define TEXT(name)                               \
    {                                            \
        ROW_TEXT, offsetof(struct app_row, name) \
    }
#define NUMBER(name)                               \
    {                                              \
        ROW_NUMBER, offsetof(struct app_row, name) \
    }

static const struct row_field fields[] = {
    TEXT(id),
    TEXT(project_id),
    TEXT(project),
    TEXT(name),
    TEXT(repository_id),
    TEXT(ref),
    NUMBER(network),
    NUMBER(generation),
    NUMBER(observed_generation),
    NUMBER(running),
    NUMBER(deleting),
    NUMBER(router_generation),
    TEXT(wanted_sha),
    TEXT(wanted_build_id),
    TEXT(wanted_release_id),
    TEXT(live_release_id),
    TEXT(router_hash),
    { ROW_JSON, offsetof(struct app_row, hold) },
    { ROW_JSON, offsetof(struct app_row, overlay) },
};
#define SELECT                                                                                     \
    "SELECT a.id, a.project_id, p.name, a.name, a.repository_id, a.ref, p.network, a.generation, " \
    "a.observed_generation, a.running, a.deleting, a.router_generation, a.wanted_sha, "            \
    "a.wanted_build_id, "                                                                          \
    "a.wanted_release_id, a.live_release_id, a.router_hash, a.hold, s.overlay FROM apps a JOIN "   \
    "projects p ON "                                                                               \
    "p.id = a.project_id "                                                                         \
    "JOIN app_specs s ON s.app_id = a.id AND s.generation = a.generation "

void app_row_done(struct app_row *app)
{
    row_done(fields, countof(fields), app);
}

static int add_overlay(struct tx *tx, const char *id, int64_t generation, const json_t *overlay,
                       const char *author, struct err *err)
{
    return sql_run(tx, err,
                   "INSERT INTO app_specs (app_id, generation, overlay, author, created_at) VALUES "
                   "(?, ?, ?, ?, ?)",
                   T(id), N(generation), J(overlay), T(author), N(tx_now(tx)));
}

/* Instances are named PROJECT-APP-PROCESS-…: an app of another project whose names could be read as
 * those of this one's instances would stand in its way, so one of them cannot be. */
static int check_ambiguous(struct tx *tx, const char *project_id, const char *name, struct err *err)
{
    int64_t others;

    if (sql_find_number(
            tx, err, 0, &others,
            "WITH mine(project, full) AS (SELECT name, name || '-' || ?2 || '-' FROM projects "
            "WHERE id = ?1) SELECT 1 FROM mine m JOIN projects p ON substr(m.project || '-', 1, "
            "length(p.name) + 1) = p.name || '-' OR substr(p.name || '-', 1, length(m.project) + "
            "1) = m.project || '-' JOIN apps a ON a.project_id = p.id WHERE p.id <> ?1 AND "
            "(substr(m.full, 1, length(p.name) + length(a.name) + 2) = p.name || '-' || a.name || "
            "'-' OR substr(p.name || '-' || a.name || '-', 1, length(m.full)) = m.full) LIMIT 1",
            ARGS(T(project_id), T(name))))
        return -1;
    if (!others)
        return 0;
    err_field(err, "app", "choose another name",
              "instances of %s would be named like those of an app in another project", name);
    err->class = ERR_EXISTS;
    return -1;
}

int store_add_app(struct tx *tx, const char *project_id, const char *name,
                  const char *repository_id, const char *ref, const json_t *overlay,
                  const char *author, char **id, struct err *err)
{
    auto_free char *made = id_new(tx_clock(tx));

    if (check_ambiguous(tx, project_id, name, err))
        return -1;
    if (sql_run(tx, err,
                "INSERT INTO apps (id, project_id, name, repository_id, ref, created_at) VALUES "
                "(?, ?, ?, ?, ?, ?)",
                T(made), T(project_id), T(name), T(repository_id), T(ref), N(tx_now(tx))))
        return err->class == ERR_EXISTS
                   ? err_set(err, ERR_EXISTS, "there is an app %s already", name)
                   : -1;
    if (add_overlay(tx, made, 1, overlay, author, err) ||
        store_add_work(tx, "registrar", made, 0, err))
        return -1;
    *id = take(&made);
    return 0;
}

int store_get_app(struct tx *tx, const char *id, struct app_row *app, struct err *err)
{
    return row_find(tx, err, "app", fields, countof(fields), app, SELECT "WHERE a.id = ?",
                    ARGS(T(id)));
}

int store_find_app(struct tx *tx, const char *project_id, const char *name, struct app_row *app,
                   struct err *err)
{
    return row_find(tx, err, "app", fields, countof(fields), app,
                    SELECT "WHERE a.project_id = ? AND a.name = ?", ARGS(T(project_id), T(name)));
}

#define SHOWN                                                                                     \
    "SELECT a.id, a.name, p.name AS project, r.name AS repository, r.url, a.ref, a.generation, "  \
    "a.observed_generation, "                                                                     \
    "a.running, a.deleting AS is_deleting, a.hold AS \"hold:json\", a.wanted_sha AS "             \
    "wanted_commit, "                                                                             \
    "w.number AS wanted_release, w.state AS wanted_state, l.number AS live_release, l.sha AS "    \
    "live_commit, "                                                                               \
    "l.artifact AS live_artifact, l.live_at, a.created_at, s.overlay AS \"overlay:json\", "       \
    "ifnull(l.spec, w.spec) AS \"spec:json\" FROM apps a JOIN projects p ON p.id = a.project_id " \
    "JOIN app_specs s ON s.app_id = a.id AND s.generation = a.generation "                        \
    "LEFT JOIN repositories r ON r.id = a.repository_id LEFT JOIN releases w ON w.id = "          \
    "a.wanted_release_id "                                                                        \
    "LEFT JOIN releases l ON l.id = a.live_release_id "

int store_show_app(struct tx *tx, const char *id, json_t **app, struct err *err)
{
    return sql_row(tx, err, app, "app", SHOWN "WHERE a.id = ?", ARGS(T(id)));
}

int store_list_apps(struct tx *tx, const char *project_id, const char *after, int64_t limit,
                    json_t **apps, struct err *err)
{
    return sql_rows(tx, err, apps,
                    SHOWN "WHERE a.project_id = ? AND a.name > ? ORDER BY a.name LIMIT ?",
                    ARGS(T(project_id), T(after ? after : ""), N(limit)));
}

int store_set_overlay(struct tx *tx, const char *id, const json_t *overlay, const char *author,
                      int64_t *generation, struct err *err)
{
    int64_t last;

    if (sql_find_number(tx, err, 0, &last, "SELECT generation FROM apps WHERE id = ?",
                        ARGS(T(id))) ||
        add_overlay(tx, id, last + 1, overlay, author, err) ||
        sql_run(tx, err, "UPDATE apps SET generation = ? WHERE id = ?", N(last + 1), T(id)))
        return -1;
    *generation = last + 1;
    return store_add_work(tx, "registrar", id, 0, err);
}

int store_trim_specs(struct tx *tx, int64_t keep, struct err *err)
{
    return sql_run(tx, err,
                   "DELETE FROM app_specs WHERE generation <= (SELECT a.generation - ? FROM apps a "
                   "WHERE a.id = app_specs.app_id)",
                   N(keep));
}

int store_set_running(struct tx *tx, const char *id, bool running, struct err *err)
{
    if (sql_run(tx, err, "UPDATE apps SET running = ? WHERE id = ?", N(running), T(id)))
        return -1;
    return store_add_work(tx, "synchronizer", id, 0, err);
}

int store_set_app_ref(struct tx *tx, const char *id, const char *ref, struct err *err)
{
    if (sql_run(tx, err, "UPDATE apps SET ref = ? WHERE id = ?", T(ref), T(id)))
        return -1;
    return store_add_work(tx, "registrar", id, 0, err);
}

int store_set_hold(struct tx *tx, const char *id, const json_t *hold, struct err *err)
{
    return sql_run(tx, err, "UPDATE apps SET hold = ? WHERE id = ?", J(hold), T(id));
}

int store_set_deleting(struct tx *tx, const char *id, struct err *err)
{
    if (sql_run(tx, err, "UPDATE apps SET deleting = 1, running = 0 WHERE id = ?", T(id)))
        return -1;
    return store_add_work(tx, "synchronizer", id, 0, err);
}

int store_set_wanted(struct tx *tx, const char *id, int64_t generation, const char *sha,
                     const char *build_id, const char *release_id, struct err *err)
{
    return sql_run(tx, err,
                   "UPDATE apps SET observed_generation = ?, wanted_sha = ?, wanted_build_id = ?, "
                   "wanted_release_id = ? WHERE id = ?",
                   N(generation), T(sha), T(build_id), T(release_id), T(id));
}

int store_set_live(struct tx *tx, const char *id, const char *release_id, struct err *err)
{
    return sql_run(tx, err, "UPDATE apps SET live_release_id = ? WHERE id = ?", T(release_id),
                   T(id));
}

int store_set_router_hash(struct tx *tx, const char *id, const char *hash, struct err *err)
{
    return sql_run(tx, err, "UPDATE apps SET router_hash = ? WHERE id = ?", T(hash), T(id));
}

int store_next_router_generation(struct tx *tx, const char *id, int64_t *generation,
                                 struct err *err)
{
    if (sql_run(tx, err, "UPDATE apps SET router_generation = router_generation + 1 WHERE id = ?",
                T(id)))
        return -1;
    return sql_find_number(tx, err, 0, generation,
                           "SELECT router_generation FROM apps WHERE id = ?", ARGS(T(id)));
}

#define UPSERT_WORK                                                                               \
    " ON CONFLICT (loop, subject) DO UPDATE SET due_at = min(due_at, excluded.due_at), revision " \
    "= revision + 1"

int store_add_work_on_ref(struct tx *tx, const char *loop, const char *repository_id,
                          const char *ref, struct err *err)
{
    sql_note_work(tx, loop);
    return sql_run(tx, err,
                   "INSERT INTO work (loop, subject, due_at) SELECT ?, id, ? FROM apps "
                   "WHERE repository_id = ? AND ref = ?" UPSERT_WORK,
                   T(loop), N(tx_now(tx)), T(repository_id), T(ref));
}

int store_add_work_for_build(struct tx *tx, const char *loop, const char *build_id, struct err *err)
{
    sql_note_work(tx, loop);
    return sql_run(tx, err,
                   "INSERT INTO work (loop, subject, due_at) SELECT ?, id, ? FROM apps WHERE "
                   "wanted_build_id = ?" UPSERT_WORK,
                   T(loop), N(tx_now(tx)), T(build_id));
}

int store_add_unobserved(struct tx *tx, struct err *err)
{
    return sql_run(tx, err,
                   "INSERT INTO work (loop, subject, due_at) SELECT 'registrar', id, ? FROM apps "
                   "WHERE generation <> observed_generation ON CONFLICT DO NOTHING",
                   N(tx_now(tx)));
}

int store_add_moving(struct tx *tx, struct err *err)
{
    return sql_run(
        tx, err,
        "INSERT INTO work (loop, subject, due_at) SELECT 'synchronizer', id, ? FROM apps "
        "WHERE wanted_release_id IS NOT live_release_id ON CONFLICT DO NOTHING",
        N(tx_now(tx)));
}

int store_apps_on_ref(struct tx *tx, const char *repository_id, const char *ref,
                      struct id_list *list, struct err *err)
{
    return row_ids(tx, list, err,
                   "SELECT id FROM apps WHERE repository_id = ? AND ref = ? ORDER BY id",
                   ARGS(T(repository_id), T(ref)));
}

int store_apps_of_subject(struct tx *tx, const char *subject, struct id_list *list, struct err *err)
{
    return row_ids(tx, list, err,
                   "SELECT id FROM apps WHERE id = ?1 OR repository_id = ?1 ORDER BY id",
                   ARGS(T(subject)));
}

int store_apps_of_build(struct tx *tx, const char *build_id, struct id_list *list, struct err *err)
{
    return row_ids(tx, list, err, "SELECT id FROM apps WHERE wanted_build_id = ? ORDER BY id",
                   ARGS(T(build_id)));
}

int store_claim_route(struct tx *tx, const char *app_id, const char *host, const char *path,
                      struct err *err)
{
    int64_t others;

    if (sql_find_number(tx, err, 0, &others,
                        "SELECT 1 FROM routes r JOIN apps a ON a.id = r.app_id WHERE r.host = ?1 "
                        "AND r.app_id <> ?3 AND (r.path = ?2 OR a.project_id <> (SELECT project_id "
                        "FROM apps WHERE id = ?3))",
                        ARGS(T(host), T(path), T(app_id))))
        return -1;
    if (others) {
        err_field(err, "routes", "choose another host or path, or destroy the app that has it",
                  "%s%s is taken by another app", host, path);
        err->class = ERR_EXISTS;
        return -1;
    }
    return sql_run(
        tx, err, "INSERT INTO routes (host, path, app_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        T(host), T(path), T(app_id));
}

/* Apps that were refused a host have another try: one may be free now. */
static int wake_refused(struct tx *tx, struct err *err)
{
    sql_note_work(tx, "registrar");
    return sql_run(tx, err,
                   "INSERT INTO work (loop, subject, due_at) SELECT 'registrar', app_id, ? FROM "
                   "conditions WHERE reason = 'HostTaken'" UPSERT_WORK,
                   N(tx_now(tx)));
}

int store_release_routes(struct tx *tx, const char *app_id, struct err *err)
{
    if (sql_run(tx, err,
                "DELETE FROM routes WHERE app_id = ?1 AND NOT EXISTS (SELECT 1 FROM apps a JOIN "
                "releases r ON r.id IN (a.live_release_id, a.wanted_release_id), "
                "json_each(r.spec, '$.routes') k WHERE a.id = ?1 AND k.value ->> 'host' = "
                "routes.host AND k.value ->> 'path' = routes.path)",
                T(app_id)))
        return -1;
    return sql_changes(tx) ? wake_refused(tx, err) : 0;
}

int store_remove_app(struct tx *tx, const char *id, struct err *err)
{
    if (sql_run(tx, err, "DELETE FROM apps WHERE id = ?", T(id)))
        return -1;
    return wake_refused(tx, err);
}
