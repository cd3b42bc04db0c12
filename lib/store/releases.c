#include "store/releases.h"

#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "store/row.h"

#define TEXT(name)                                   \
    {                                                \
        ROW_TEXT, offsetof(struct release_row, name) \
    }
#define NUMBER(name)                                   \
    {                                                  \
        ROW_NUMBER, offsetof(struct release_row, name) \
    }

static const struct row_field fields[] = {
    TEXT(id),
    TEXT(app_id),
    TEXT(key),
    TEXT(artifact),
    TEXT(sha),
    TEXT(state),
    TEXT(reason),
    TEXT(message),
    TEXT(kind),
    TEXT(ref),
    NUMBER(number),
    NUMBER(generation),
    { ROW_JSON, offsetof(struct release_row, spec) },
};
#define SELECT                                                                                \
    "SELECT r.id, r.app_id, r.key, r.artifact, r.sha, r.state, r.reason, r.message, f.kind, " \
    "f.ref, r.number, "                                                                       \
    "r.generation, r.spec FROM releases r LEFT JOIN artifacts f ON f.digest = r.artifact "

void release_row_done(struct release_row *release)
{
    row_done(fields, countof(fields), release);
}

int store_want_release(struct tx *tx, const struct release_wanted *w, struct release_row *release,
                       bool *is_new, struct err *err)
{
    auto_free char *id = id_new(tx_clock(tx));

    if (sql_run(tx, err,
                "INSERT INTO releases (id, app_id, number, key, artifact, sha, generation, spec, "
                "state, created_at) "
                "VALUES (?1, ?2, 1 + (SELECT ifnull(max(number), 0) FROM releases WHERE app_id = "
                "?2), ?3, ?4, ?5, ?6, ?7, "
                "'pending', ?8) ON CONFLICT (app_id, key) DO NOTHING",
                T(id), T(w->app_id), T(w->key), T(w->artifact), T(w->sha), N(w->generation),
                J(w->spec), N(tx_now(tx))))
        return -1;
    *is_new = sql_changes(tx) > 0;
    return row_find(tx, err, "release", fields, countof(fields), release,
                    SELECT "WHERE r.app_id = ? AND r.key = ?", ARGS(T(w->app_id), T(w->key)));
}

int store_get_release(struct tx *tx, const char *id, struct release_row *release, struct err *err)
{
    return row_find(tx, err, "release", fields, countof(fields), release, SELECT "WHERE r.id = ?",
                    ARGS(T(id)));
}

int store_find_release(struct tx *tx, const char *app_id, int64_t number,
                       struct release_row *release, struct err *err)
{
    return row_find(tx, err, "release", fields, countof(fields), release,
                    SELECT "WHERE r.app_id = ? AND r.number = ?", ARGS(T(app_id), N(number)));
}

int store_previous_release(struct tx *tx, const char *app_id, struct release_row *release,
                           struct err *err)
{
    return row_find(tx, err, "earlier release", fields, countof(fields), release,
                    SELECT
                    "WHERE r.app_id = ? AND r.state = 'retired' ORDER BY r.live_at DESC LIMIT 1",
                    ARGS(T(app_id)));
}

int store_set_release_state(struct tx *tx, const char *id, const char *state, struct err *err)
{
    return sql_run(tx, err,
                   "UPDATE releases SET state = ?1, live_at = CASE WHEN ?1 = 'live' THEN ?2 ELSE "
                   "live_at END WHERE id = ?3",
                   T(state), N(tx_now(tx)), T(id));
}

int store_reject_release(struct tx *tx, const char *id, const char *reason, const char *message,
                         const json_t *evidence, struct err *err)
{
    return sql_run(tx, err,
                   "UPDATE releases SET state = 'rejected', reason = ?, message = ?, evidence = ? "
                   "WHERE id = ?",
                   T(reason), T(message), J(evidence), T(id));
}

int store_forget_rejection(struct tx *tx, const char *id, bool *forgotten, struct err *err)
{
    if (sql_run(
            tx, err,
            "UPDATE releases SET state = 'pending', reason = NULL, message = NULL, evidence = NULL "
            "WHERE id = ? AND state = 'rejected'",
            T(id)))
        return -1;
    *forgotten = sql_changes(tx) > 0;
    return 0;
}

#define SHOWN                                                                             \
    "SELECT r.number, r.artifact, r.sha AS \"commit\", r.generation, r.state, r.reason, " \
    "r.message, r.created_at, r.live_at"

int store_show_release(struct tx *tx, const char *app_id, int64_t number, json_t **release,
                       struct err *err)
{
    return sql_row(
        tx, err, release, "release",
        SHOWN ", r.spec AS \"spec:json\", r.evidence AS \"evidence:json\", r.key FROM releases r "
              "WHERE r.app_id = ? AND r.number = ?",
        ARGS(T(app_id), N(number)));
}

int store_list_releases(struct tx *tx, const char *app_id, int64_t before, int64_t limit,
                        json_t **releases, struct err *err)
{
    return sql_rows(
        tx, err, releases,
        SHOWN " FROM releases r WHERE r.app_id = ? AND r.number < ? ORDER BY r.number DESC LIMIT ?",
        ARGS(T(app_id), N(before), N(limit)));
}

/* The number of a release that is made next is one above the highest, so that one stays. Who was
 * live is counted apart: many pushes that were rejected leave those one may want to go back to. */
#define OLD_RELEASES                                                                             \
    "SELECT o.id FROM (SELECT r.id, r.app_id, r.number, row_number() OVER (PARTITION BY "        \
    "r.app_id, r.state = 'retired' ORDER BY ifnull(r.live_at, r.created_at) DESC, r.number "     \
    "DESC) AS place FROM releases r WHERE r.app_id IN (SELECT app_id FROM releases GROUP BY "    \
    "app_id HAVING count(*) > ?1)) o JOIN apps a ON a.id = o.app_id WHERE o.place > ?1 AND "     \
    "o.id IS NOT a.live_release_id AND o.id IS NOT a.wanted_release_id AND NOT EXISTS (SELECT "  \
    "1 FROM rollouts WHERE app_id = a.id AND state = 'running' AND release_id = o.id) AND NOT "  \
    "EXISTS (SELECT 1 FROM instances WHERE app_id = a.id AND release_id = o.id) AND o.number < " \
    "(SELECT max(number) FROM releases WHERE app_id = a.id) LIMIT ?2"

#define OLD_ROLLOUTS                                                                             \
    "SELECT id FROM (SELECT id, state, row_number() OVER (PARTITION BY app_id ORDER BY id DESC)" \
    " AS place FROM rollouts WHERE app_id IN (SELECT app_id FROM rollouts GROUP BY app_id "      \
    "HAVING count(*) > ?1)) WHERE place > ?1 AND state <> 'running' LIMIT ?2"

int store_trim_releases(struct tx *tx, int64_t keep, int64_t limit, bool *more, struct err *err)
{
    if (sql_run(tx, err, "DELETE FROM releases WHERE id IN (" OLD_RELEASES ")", N(keep), N(limit)))
        return -1;
    bool more_releases = sql_changes(tx) >= limit;
    if (sql_run(tx, err, "DELETE FROM rollouts WHERE id IN (" OLD_ROLLOUTS ")", N(keep), N(limit)))
        return -1;
    *more = more_releases || sql_changes(tx) >= limit;
    return 0;
}

/* ---- rollouts ---- */

static const struct row_field rollout_fields[] = {
    { ROW_TEXT, offsetof(struct rollout_row, id) },
    { ROW_TEXT, offsetof(struct rollout_row, app_id) },
    { ROW_TEXT, offsetof(struct rollout_row, release_id) },
    { ROW_TEXT, offsetof(struct rollout_row, from_id) },
    { ROW_TEXT, offsetof(struct rollout_row, state) },
    { ROW_TEXT, offsetof(struct rollout_row, step) },
    { ROW_TEXT, offsetof(struct rollout_row, message) },
    { ROW_NUMBER, offsetof(struct rollout_row, elapsed_ms) },
    { ROW_NUMBER, offsetof(struct rollout_row, stepped_at) },
    { ROW_NUMBER, offsetof(struct rollout_row, failures) },
};

void rollout_row_done(struct rollout_row *rollout)
{
    row_done(rollout_fields, countof(rollout_fields), rollout);
}

int store_find_rollout(struct tx *tx, const char *app_id, struct rollout_row *rollout,
                       struct err *err)
{
    return row_find(tx, err, "running rollout", rollout_fields, countof(rollout_fields), rollout,
                    "SELECT id, app_id, release_id, from_id, state, step, message, elapsed_ms, "
                    "stepped_at, failures FROM rollouts "
                    "WHERE app_id = ? AND state = 'running'",
                    ARGS(T(app_id)));
}

int store_start_rollout(struct tx *tx, const char *app_id, const char *release_id,
                        const char *from_id, struct rollout_row *rollout, struct err *err)
{
    auto_free char *id = id_new(tx_clock(tx));

    if (sql_run(tx, err,
                "INSERT INTO rollouts (id, app_id, release_id, from_id, state, step, stepped_at, "
                "started_at) "
                "VALUES (?1, ?2, ?3, ?4, 'running', 'starting', ?5, ?5)",
                T(id), T(app_id), T(release_id), T(from_id), N(tx_now(tx))))
        return -1;
    return store_find_rollout(tx, app_id, rollout, err);
}

int store_step_rollout(struct tx *tx, const struct rollout_row *rollout, const char *step,
                       const char *message, int64_t delta_max_ms, bool has_failed, struct err *err)
{
    return sql_run(tx, err,
                   "UPDATE rollouts SET step = ?1, message = ifnull(?2, message), elapsed_ms = "
                   "elapsed_ms + max(0, "
                   "min(?3, ?4 - stepped_at)), "
                   "stepped_at = ?4, failures = failures + ?5 WHERE id = ?6",
                   T(step), T(message), N(delta_max_ms), N(tx_now(tx)), N(has_failed),
                   T(rollout->id));
}

int store_end_rollout(struct tx *tx, const char *id, const char *state, const char *message,
                      struct err *err)
{
    return sql_run(tx, err, "UPDATE rollouts SET state = ?, message = ?, ended_at = ? WHERE id = ?",
                   T(state), T(message), N(tx_now(tx)), T(id));
}

int store_list_rollouts(struct tx *tx, const char *app_id, const char *before, int64_t limit,
                        json_t **rollouts, struct err *err)
{
    return sql_rows(
        tx, err, rollouts,
        "SELECT o.id, r.number AS release, f.number AS \"from\", o.state, o.step, o.message, "
        "o.elapsed_ms, "
        "o.started_at, o.ended_at FROM rollouts o JOIN releases r ON r.id = o.release_id "
        "LEFT JOIN releases f ON f.id = o.from_id WHERE o.app_id = ? AND o.id < ? ORDER BY o.id "
        "DESC LIMIT ?",
        ARGS(T(app_id), T(before ? before : "~"), N(limit)));
}
