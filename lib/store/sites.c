#include "store/sites.h"

#include "base/mem.h"
#include "store/row.h"

int store_want_site(struct tx *tx, const char *digest, bool wanted, bool *changed, struct err *err)
{
    if (sql_run(tx, err,
                "INSERT INTO sites (digest, wanted, revision) VALUES (?1, ?2, 1 + (SELECT "
                "ifnull(max(revision), 0) FROM sites)) "
                "ON CONFLICT (digest) DO UPDATE SET wanted = excluded.wanted, revision = "
                "excluded.revision "
                "WHERE wanted <> excluded.wanted",
                T(digest), N(wanted)))
        return -1;
    *changed = sql_changes(tx) > 0;
    if (*changed)
        sql_note_events(tx);
    return 0;
}

int store_list_sites(struct tx *tx, int64_t after, int64_t limit, json_t **answer, struct err *err)
{
    json_auto_t *rows = NULL;
    int64_t newest;

    if (sql_rows(tx, err, &rows,
                 "SELECT s.digest, ifnull(f.size, 0) AS size, s.wanted AS is_wanted, s.revision "
                 "FROM sites s "
                 "LEFT JOIN artifacts f ON f.digest = s.digest WHERE s.revision > ? ORDER BY "
                 "s.revision LIMIT ?",
                 ARGS(N(after), N(limit))) ||
        sql_find_number(tx, err, 0, &newest, "SELECT max(revision) FROM sites", ARGS()))
        return -1;
    size_t i;
    json_t *row;
    int64_t last = after;
    json_array_foreach(rows, i, row) {
        last = json_integer_value(json_object_get(row, "revision"));
        json_object_set(row, "wanted", json_object_get(row, "is_wanted"));
        json_object_del(row, "is_wanted");
    }
    if (after > newest) /* the agent knows a database that is gone: begin anew */
        last = 0;
    *answer = json_pack("{s:O, s:I, s:b}", "sites", rows, "revision", last, "more", last < newest);
    return 0;
}

int store_sites_revision(struct tx *tx, int64_t *revision, struct err *err)
{
    return sql_find_number(tx, err, 0, revision, "SELECT max(revision) FROM sites", ARGS());
}

int store_unneeded_sites(struct tx *tx, int64_t limit, json_t **digests, struct err *err)
{
    return sql_rows(tx, err, digests,
                    "SELECT s.digest FROM sites s WHERE s.wanted AND NOT EXISTS (SELECT 1 FROM "
                    "releases r JOIN apps a "
                    "ON a.id = r.app_id WHERE r.artifact = s.digest AND (r.id IN "
                    "(a.live_release_id, a.wanted_release_id) "
                    "OR EXISTS (SELECT 1 FROM rollouts o WHERE o.app_id = a.id AND o.release_id = "
                    "r.id AND o.state = 'running'))) LIMIT ?",
                    ARGS(N(limit)));
}

/* The newest row stays: revisions never go back. */
int store_remove_old_sites(struct tx *tx, int64_t limit, struct err *err)
{
    return sql_run(tx, err,
                   "DELETE FROM sites WHERE digest IN (SELECT digest FROM sites s WHERE NOT wanted "
                   "AND NOT EXISTS (SELECT 1 FROM sites_served v WHERE v.digest = s.digest) AND "
                   "NOT EXISTS (SELECT 1 FROM artifacts f WHERE f.digest = s.digest) AND revision "
                   "< (SELECT max(revision) FROM sites) LIMIT ?)",
                   N(limit));
}

int store_note_served(struct tx *tx, const char *digest, const char *agent, const char *reason,
                      const char *message, struct err *err)
{
    return sql_run(
        tx, err,
        "INSERT INTO sites_served (digest, agent, reason, message, seen_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (digest, agent) DO UPDATE SET reason = excluded.reason, message = "
        "excluded.message, "
        "seen_at = excluded.seen_at",
        T(digest), T(agent), T(reason), T(message), N(tx_now(tx)));
}

int store_forget_served(struct tx *tx, const char *digest, const char *agent, struct err *err)
{
    return sql_run(tx, err,
                   "DELETE FROM sites_served WHERE agent = ?1 AND (?2 IS NULL OR digest = ?2)",
                   T(agent), T(digest));
}

int store_trim_served(struct tx *tx, struct err *err)
{
    return sql_run(tx, err,
                   "DELETE FROM sites_served WHERE NOT EXISTS (SELECT 1 FROM artifacts f WHERE "
                   "f.digest = sites_served.digest)");
}

int store_count_served(struct tx *tx, const char *digest, int64_t *count, char **problem,
                       struct err *err)
{
    static const struct row_field field = { ROW_TEXT, 0 };
    struct err none = { 0 };

    if (sql_find_number(tx, err, 0, count,
                        "SELECT count(*) FROM sites_served WHERE digest = ? AND reason IS NULL",
                        ARGS(T(digest))))
        return -1;
    if (problem) {
        *problem = NULL;
        row_find(tx, &none, "problem", &field, 1, problem,
                 "SELECT reason || ': ' || ifnull(message, '') FROM sites_served WHERE digest = ? "
                 "AND reason IS NOT NULL "
                 "ORDER BY seen_at DESC LIMIT 1",
                 ARGS(T(digest)));
    }
    return 0;
}

int store_add_work_for_site(struct tx *tx, const char *digest, struct err *err)
{
    sql_note_work(tx, "synchronizer");
    return sql_run(tx, err,
                   "INSERT INTO work (loop, subject, due_at) SELECT DISTINCT 'synchronizer', "
                   "app_id, ? FROM releases r JOIN apps a "
                   "ON a.id = r.app_id WHERE r.artifact = ? AND r.id IN (a.live_release_id, "
                   "a.wanted_release_id) "
                   "ON CONFLICT (loop, subject) DO UPDATE SET due_at = min(due_at, "
                   "excluded.due_at), revision = revision + 1",
                   N(tx_now(tx)), T(digest));
}
