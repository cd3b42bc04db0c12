#include "store/builds.h"

#include <stdlib.h>

#include "base/id.h"
#include "base/mem.h"
#include "store/row.h"
#include "store/work.h"

#define TEXT(name)                                 \
    {                                              \
        ROW_TEXT, offsetof(struct build_row, name) \
    }
#define NUMBER(name)                                 \
    {                                                \
        ROW_NUMBER, offsetof(struct build_row, name) \
    }

static const struct row_field fields[] = {
    TEXT(id),          TEXT(key),           TEXT(project_id),
    TEXT(app_id),      TEXT(repository_id), TEXT(sha),
    TEXT(state),       TEXT(reason),        TEXT(message),
    TEXT(cancel),      TEXT(artifact),      NUMBER(attempts),
    NUMBER(queued_at), NUMBER(ended_at),    { ROW_JSON, offsetof(struct build_row, spec) },
};
/* The column `artifact` outlives a build that is made again; what is said of it does not. */
#define ARTIFACT "CASE WHEN state = 'succeeded' THEN artifact END"
#define SELECT                                                                         \
    "SELECT id, key, project_id, app_id, repository_id, sha, state, reason, message, " \
    "cancel, " ARTIFACT ", attempts, "                                                 \
    "queued_at, ended_at, spec FROM builds "

void build_row_done(struct build_row *build)
{
    row_done(fields, countof(fields), build);
}

int store_add_build(struct tx *tx, const struct build_wanted *w, struct build_row *build,
                    struct err *err)
{
    auto_free char *id = id_new(tx_clock(tx));

    if (sql_run(tx, err,
                "INSERT INTO builds (id, key, project_id, app_id, repository_id, sha, spec, state, "
                "queued_at, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
                T(id), T(w->key), T(w->project_id), T(w->app_id), T(w->repository_id), T(w->sha),
                J(w->spec), N(tx_now(tx)), N(tx_now(tx))) ||
        store_add_work(tx, "dispatcher", "queue", 0, err))
        return -1;
    return store_get_build(tx, id, build, err);
}

int store_find_build(struct tx *tx, const char *key, struct build_row *build, struct err *err)
{
    return row_find(tx, err, "build", fields, countof(fields), build, SELECT "WHERE key = ?",
                    ARGS(T(key)));
}

int store_get_build(struct tx *tx, const char *id, struct build_row *build, struct err *err)
{
    return row_find(tx, err, "build", fields, countof(fields), build, SELECT "WHERE id = ?",
                    ARGS(T(id)));
}

#define SHOWN                                                                                      \
    "SELECT b.id, a.name AS app, p.name AS project, b.sha AS \"commit\", b.key, b.state, "         \
    "b.reason, b.message, "                                                                        \
    "CASE WHEN b.state = 'succeeded' THEN b.artifact END AS artifact, b.created_at, b.queued_at, " \
    "b.started_at, b.ended_at, "                                                                   \
    "(SELECT json_group_array(json_object('id', t.id, 'number', t.number, 'builder', t.builder, "  \
    "'state', t.state, "                                                                           \
    "'reason', t.reason, 'log_size', t.log_size, 'started_at', strftime('%Y-%m-%dT%H:%M:%fZ', "    \
    "t.started_at / 1000.0, 'unixepoch'), 'ended_at', strftime('%Y-%m-%dT%H:%M:%fZ', t.ended_at "  \
    "/ 1000.0, 'unixepoch'))) "                                                                    \
    "FROM build_attempts t WHERE t.build_id = b.id) AS \"attempts:json\" "                         \
    "FROM builds b LEFT JOIN apps a ON a.id = b.app_id JOIN projects p ON p.id = b.project_id "

int store_show_build(struct tx *tx, const char *id, json_t **build, struct err *err)
{
    return sql_row(tx, err, build, "build", SHOWN "WHERE b.id = ?", ARGS(T(id)));
}

int store_list_builds(struct tx *tx, const char *project_id, const char *app_id, const char *state,
                      const char *before, int64_t limit, json_t **builds, struct err *err)
{
    const char *last = before ? before : "~";

    if (app_id)
        return sql_rows(tx, err, builds,
                        SHOWN "WHERE b.app_id = ?1 AND b.id < ?2 AND (?3 IS NULL OR b.state = ?3) "
                              "ORDER BY b.id DESC LIMIT ?4",
                        ARGS(T(app_id), T(last), T(state), N(limit)));
    return sql_rows(tx, err, builds,
                    SHOWN "WHERE b.project_id = ?1 AND b.id < ?2 AND (?3 IS NULL OR b.state = ?3) "
                          "ORDER BY b.id DESC LIMIT ?4",
                    ARGS(T(project_id), T(last), T(state), N(limit)));
}

int store_requeue_build(struct tx *tx, const char *id, struct err *err)
{
    if (sql_run(tx, err,
                "UPDATE builds SET state = 'queued', reason = NULL, message = NULL, cancel = NULL, "
                "queued_at = ?, started_at = NULL, ended_at = NULL WHERE id = ?",
                N(tx_now(tx)), T(id)))
        return -1;
    return store_add_work(tx, "dispatcher", "queue", 0, err);
}

int store_retry_build(struct tx *tx, const char *id, const struct app_row *app, const char *sha,
                      struct err *err)
{
    if (sql_run(tx, err,
                "UPDATE builds SET project_id = ?, app_id = ?, repository_id = ?, sha = ?, "
                "attempts = 0 WHERE id = ?",
                T(app->project_id), T(app->id), T(app->repository_id), T(sha), T(id)))
        return -1;
    return store_requeue_build(tx, id, err);
}

/* What was made again keeps the name under which releases know it, also when other bytes came out:
 * it runs as what was made last. */
static int rename_artifact(struct tx *tx, const char *build_id, const char *made, struct err *err)
{
    if (sql_run(tx, err,
                "UPDATE artifacts SET (ref, size, created_at) = (SELECT ref, size, created_at FROM "
                "artifacts WHERE digest = ?1) WHERE digest <> ?1 AND digest = (SELECT artifact "
                "FROM builds WHERE id = ?2)",
                T(made), T(build_id)))
        return -1;
    return sql_changes(tx) ? store_remove_retired_artifact(tx, made, err) : 0;
}

int store_end_build(struct tx *tx, const char *id, const char *state, const char *reason,
                    const char *message, const char *artifact, struct err *err)
{
    if (sql_run(tx, err,
                "UPDATE builds SET state = ?, reason = ?, message = ?, artifact = ifnull(artifact, "
                "?), ended_at = ? WHERE id = ?",
                T(state), T(reason), T(message), T(artifact), N(tx_now(tx)), T(id)) ||
        (artifact && rename_artifact(tx, id, artifact, err)))
        return -1;
    return store_add_work_for_build(tx, "registrar", id, err);
}

int store_count_attempt(struct tx *tx, const char *id, struct err *err)
{
    return sql_run(tx, err, "UPDATE builds SET attempts = attempts + 1 WHERE id = ?", T(id));
}

int store_cancel_build(struct tx *tx, const char *id, const char *why, struct err *err)
{
    return sql_run(tx, err,
                   "UPDATE builds SET cancel = ? WHERE id = ? AND state IN ('queued', 'running')",
                   T(why), T(id));
}

int store_drop_unwanted_build(struct tx *tx, const char *id, bool *dropped, struct err *err)
{
    if (sql_run(tx, err,
                "UPDATE builds SET state = 'cancelled', reason = 'Superseded', message = 'nothing "
                "wants it any more', "
                "ended_at = ? WHERE id = ? AND state = 'queued' AND NOT EXISTS "
                "(SELECT 1 FROM apps WHERE wanted_build_id = builds.id)",
                N(tx_now(tx)), T(id)))
        return -1;
    *dropped = sql_changes(tx) > 0;
    return 0;
}

/* The projects in the queue are found by skipping through the index, so the cost is in projects,
 * not in queued builds. */
#define NEXT_PROJECT                                                                              \
    "WITH RECURSIVE q(project_id) AS (SELECT min(project_id) FROM builds WHERE state = 'queued' " \
    "UNION ALL "                                                                                  \
    "SELECT (SELECT min(project_id) FROM builds WHERE state = 'queued' AND project_id > "         \
    "q.project_id) FROM q "                                                                       \
    "WHERE q.project_id IS NOT NULL) "                                                            \
    "SELECT q.project_id FROM q JOIN projects p ON p.id = q.project_id ORDER BY "                 \
    "(SELECT count(*) FROM builds r WHERE r.state = 'running' AND r.project_id = q.project_id), " \
    "p.leased_at LIMIT 1"

int store_next_build(struct tx *tx, struct build_row *build, struct err *err)
{
    return row_find(tx, err, "queued build", fields, countof(fields), build,
                    SELECT "WHERE state = 'queued' AND project_id = (" NEXT_PROJECT
                           ") ORDER BY queued_at LIMIT 1",
                    ARGS());
}

int store_count_builds(struct tx *tx, int64_t *queued, int64_t *running, struct err *err)
{
    if (sql_find_number(tx, err, 0, queued, "SELECT count(*) FROM builds WHERE state = 'queued'",
                        ARGS()))
        return -1;
    return sql_find_number(tx, err, 0, running,
                           "SELECT count(*) FROM builds WHERE state = 'running'", ARGS());
}

int store_queued_builds(struct tx *tx, int64_t limit, struct id_list *list, struct err *err)
{
    return row_ids(tx, list, err,
                   "SELECT id FROM builds WHERE state = 'queued' ORDER BY queued_at LIMIT ?",
                   ARGS(N(limit)));
}

/* ---- attempts ---- */

static const struct row_field attempt_fields[] = {
    { ROW_TEXT, offsetof(struct attempt_row, id) },
    { ROW_TEXT, offsetof(struct attempt_row, build_id) },
    { ROW_TEXT, offsetof(struct attempt_row, builder) },
    { ROW_TEXT, offsetof(struct attempt_row, lease_hash) },
    { ROW_TEXT, offsetof(struct attempt_row, state) },
    { ROW_NUMBER, offsetof(struct attempt_row, number) },
    { ROW_NUMBER, offsetof(struct attempt_row, log_size) },
};
#define SELECT_ATTEMPT \
    "SELECT id, build_id, builder, lease_hash, state, number, log_size FROM build_attempts "

void attempt_row_done(struct attempt_row *attempt)
{
    row_done(attempt_fields, countof(attempt_fields), attempt);
}

int store_add_attempt(struct tx *tx, const struct build_row *build, const char *builder,
                      const char *lease_hash, struct attempt_row *attempt, struct err *err)
{
    auto_free char *id = id_new(tx_clock(tx));

    if (sql_run(tx, err, "UPDATE builds SET state = 'running', started_at = ? WHERE id = ?",
                N(tx_now(tx)), T(build->id)) ||
        sql_run(tx, err, "UPDATE projects SET leased_at = ? WHERE id = ?", N(tx_now(tx)),
                T(build->project_id)) ||
        sql_run(
            tx, err,
            "INSERT INTO build_attempts (id, build_id, number, builder, lease_hash, state, "
            "started_at) VALUES (?1, ?2, "
            "1 + (SELECT ifnull(max(number), 0) FROM build_attempts WHERE build_id = ?2), ?3, ?4, "
            "'running', ?5)",
            T(id), T(build->id), T(builder), T(lease_hash), N(tx_now(tx))) ||
        store_add_work_for_build(tx, "registrar", build->id, err))
        return -1;
    return store_get_attempt(tx, id, attempt, err);
}

int store_get_attempt(struct tx *tx, const char *id, struct attempt_row *attempt, struct err *err)
{
    return row_find(tx, err, "attempt", attempt_fields, countof(attempt_fields), attempt,
                    SELECT_ATTEMPT "WHERE id = ?", ARGS(T(id)));
}

int store_last_attempt(struct tx *tx, const char *build_id, struct attempt_row *attempt,
                       struct err *err)
{
    return row_find(tx, err, "attempt", attempt_fields, countof(attempt_fields), attempt,
                    SELECT_ATTEMPT "WHERE build_id = ? ORDER BY number DESC LIMIT 1",
                    ARGS(T(build_id)));
}

int store_end_attempt(struct tx *tx, const char *id, const char *state, const char *reason,
                      const char *message, int64_t log_size, struct err *err)
{
    return sql_run(tx, err,
                   "UPDATE build_attempts SET state = ?, reason = ?, message = ?, log_size = ?, "
                   "ended_at = ? WHERE id = ?",
                   T(state), T(reason), T(message), N(log_size), N(tx_now(tx)), T(id));
}

int store_running_attempts(struct tx *tx, struct id_list *list, struct err *err)
{
    return row_ids(tx, list, err, "SELECT id FROM build_attempts WHERE state = 'running'", ARGS());
}

int store_old_attempts(struct tx *tx, int64_t keep, int64_t limit, struct id_list *list,
                       struct err *err)
{
    return row_ids(tx, list, err,
                   "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY build_id ORDER BY "
                   "number DESC) AS place FROM build_attempts WHERE build_id IN (SELECT build_id "
                   "FROM build_attempts GROUP BY build_id HAVING count(*) > ?1)) WHERE place > ?1 "
                   "LIMIT ?2",
                   ARGS(N(keep), N(limit)));
}

int store_remove_attempt(struct tx *tx, const char *id, struct err *err)
{
    return sql_run(tx, err, "DELETE FROM build_attempts WHERE id = ?", T(id));
}

/* ---- artifacts ---- */

static const struct row_field artifact_fields[] = {
    { ROW_TEXT, offsetof(struct artifact_row, digest) },
    { ROW_TEXT, offsetof(struct artifact_row, kind) },
    { ROW_TEXT, offsetof(struct artifact_row, ref) },
    { ROW_NUMBER, offsetof(struct artifact_row, size) },
};

void artifact_row_done(struct artifact_row *artifact)
{
    row_done(artifact_fields, countof(artifact_fields), artifact);
}

int store_add_artifact(struct tx *tx, const char *digest, const char *kind, const char *ref,
                       int64_t size, struct err *err)
{
    return sql_run(
        tx, err,
        "INSERT INTO artifacts (digest, kind, ref, size, created_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (digest) DO UPDATE SET ref = excluded.ref, created_at = excluded.created_at",
        T(digest), T(kind), T(ref), N(size), N(tx_now(tx)));
}

int store_get_artifact(struct tx *tx, const char *digest, struct artifact_row *artifact,
                       struct err *err)
{
    return row_find(tx, err, "artifact", artifact_fields, countof(artifact_fields), artifact,
                    "SELECT digest, kind, ref, size FROM artifacts WHERE digest = ?",
                    ARGS(T(digest)));
}

int store_remove_retired_artifact(struct tx *tx, const char *digest, struct err *err)
{
    return sql_run(tx, err,
                   "DELETE FROM artifacts WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM builds "
                   "WHERE artifact = ?1)",
                   T(digest));
}

int store_find_build_of(struct tx *tx, const char *artifact, struct build_row *build,
                        struct err *err)
{
    return row_find(tx, err, "build", fields, countof(fields), build,
                    SELECT "WHERE artifact = ? ORDER BY state IN ('queued', 'running') DESC, id "
                           "DESC LIMIT 1",
                    ARGS(T(artifact)));
}

int store_rebuild(struct tx *tx, const char *id, const struct app_row *app, const char *sha,
                  struct err *err)
{
    if (store_retry_build(tx, id, app, sha, err))
        return -1;
    return sql_run(tx, err,
                   "UPDATE builds SET reason = 'ImageMissing', message = 'the image that it made "
                   "before is gone' WHERE id = ?",
                   T(id));
}

/* An app keeps the artifacts of its live and wanted release, of the build that it wants, and of the
 * last deploy.keep releases that were live before; all keep what is younger than an hour. */
#define UNKEPT                                                                                    \
    "f.created_at < ?1 AND NOT EXISTS (SELECT 1 FROM releases r JOIN apps a ON a.id = r.app_id "  \
    "LEFT JOIN releases l ON l.id = a.live_release_id WHERE r.artifact = f.digest AND (r.id IN "  \
    "(a.live_release_id, a.wanted_release_id) OR (r.state = 'retired' AND (SELECT count(*) FROM " \
    "releases n WHERE n.app_id = r.app_id AND n.state = 'retired' AND n.live_at > r.live_at) < "  \
    "ifnull(l.spec ->> '$.deploy.keep', 5)))) AND NOT EXISTS (SELECT 1 FROM builds b JOIN apps "  \
    "a ON a.wanted_build_id = b.id WHERE b.artifact = f.digest)"

static int64_t an_hour_ago(const struct tx *tx)
{
    return tx_now(tx) - 3600000;
}

int store_unkept_artifacts(struct tx *tx, const char *app_id, int64_t limit, struct id_list *list,
                           struct err *err)
{
    if (app_id)
        return row_ids(tx, list, err,
                       "SELECT DISTINCT f.digest FROM releases o JOIN artifacts f ON f.digest = "
                       "o.artifact WHERE o.app_id = ?2 AND " UNKEPT " LIMIT ?3",
                       ARGS(N(an_hour_ago(tx)), T(app_id), N(limit)));
    return row_ids(tx, list, err, "SELECT f.digest FROM artifacts f WHERE " UNKEPT " LIMIT ?2",
                   ARGS(N(an_hour_ago(tx)), N(limit)));
}

int store_retire_artifact(struct tx *tx, const char *digest, bool *retired, struct err *err)
{
    int64_t is_unkept;

    if (sql_find_number(tx, err, 0, &is_unkept,
                        "SELECT 1 FROM artifacts f WHERE f.digest = ?2 AND " UNKEPT,
                        ARGS(N(an_hour_ago(tx)), T(digest))))
        return -1;
    *retired = is_unkept;
    return is_unkept
               ? sql_run(tx, err, "UPDATE builds SET artifact = NULL WHERE artifact = ?", T(digest))
               : 0;
}

int store_old_builds(struct tx *tx, int64_t keep, int64_t limit, struct id_list *list,
                     struct err *err)
{
    return row_ids(tx, list, err,
                   "SELECT b.id FROM builds b WHERE b.state IN ('succeeded', 'failed', "
                   "'cancelled') AND b.artifact IS NULL AND NOT EXISTS (SELECT 1 FROM apps WHERE "
                   "wanted_build_id = b.id) AND (NOT EXISTS (SELECT 1 FROM apps WHERE id = "
                   "b.app_id) OR (SELECT count(*) FROM builds n WHERE n.app_id = b.app_id AND "
                   "n.id > b.id) >= ?) LIMIT ?",
                   ARGS(N(keep), N(limit)));
}

int store_remove_build(struct tx *tx, const char *id, struct err *err)
{
    return sql_run(tx, err, "DELETE FROM builds WHERE id = ?", T(id));
}
