#include "store/repositories.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/id.h"
#include "base/mem.h"
#include "store/row.h"

static const struct row_field fields[] = {
    { ROW_TEXT, offsetof(struct repository_row, id) },
    { ROW_TEXT, offsetof(struct repository_row, project_id) },
    { ROW_TEXT, offsetof(struct repository_row, name) },
    { ROW_TEXT, offsetof(struct repository_row, url) },
    { ROW_TEXT, offsetof(struct repository_row, user) },
    { ROW_TEXT, offsetof(struct repository_row, password) },
    { ROW_TEXT, offsetof(struct repository_row, webhook_secret) },
};
#define COLUMNS "id, project_id, name, url, username, password, webhook_secret"

static const struct row_field ref_fields[] = {
    { ROW_TEXT, offsetof(struct ref_row, name) },
    { ROW_TEXT, offsetof(struct ref_row, sha) },
    { ROW_TEXT, offsetof(struct ref_row, published) },
};

void repository_row_done(struct repository_row *repository)
{
    if (repository->password)
        explicit_bzero(repository->password, strlen(repository->password));
    if (repository->webhook_secret)
        explicit_bzero(repository->webhook_secret, strlen(repository->webhook_secret));
    row_done(fields, countof(fields), repository);
}

void ref_row_done(struct ref_row *ref)
{
    row_done(ref_fields, countof(ref_fields), ref);
}

void ref_list_done(struct ref_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        ref_row_done(&list->items[i]);
    free(list->items);
}

int store_add_repository(struct tx *tx, const struct repository_row *wanted,
                         struct repository_row *repository, struct err *err)
{
    auto_free char *id = id_new(tx_clock(tx));
    auto_wipe char *secret = secret_new("whs_");

    if (sql_run(tx, err,
                "INSERT INTO repositories (" COLUMNS
                ", created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                T(id), T(wanted->project_id), T(wanted->name), T(wanted->url), T(wanted->user),
                T(wanted->password), T(secret), N(tx_now(tx))))
        return err->class == ERR_EXISTS
                   ? err_set(err, ERR_EXISTS, "there is a repository %s already", wanted->name)
                   : -1;
    return store_get_repository(tx, id, repository, err);
}

int store_get_repository(struct tx *tx, const char *id, struct repository_row *repository,
                         struct err *err)
{
    return row_find(tx, err, "repository", fields, countof(fields), repository,
                    "SELECT " COLUMNS " FROM repositories WHERE id = ?", ARGS(T(id)));
}

int store_find_repository(struct tx *tx, const char *project_id, const char *name,
                          struct repository_row *repository, struct err *err)
{
    return row_find(tx, err, "repository", fields, countof(fields), repository,
                    "SELECT " COLUMNS " FROM repositories WHERE project_id = ? AND name = ?",
                    ARGS(T(project_id), T(name)));
}

int store_remove_repository(struct tx *tx, const char *id, struct err *err)
{
    int64_t used;

    if (sql_find_number(tx, err, 0, &used, "SELECT count(*) FROM apps WHERE repository_id = ?",
                        ARGS(T(id))))
        return -1;
    if (used)
        return err_set(err, ERR_CONFLICT, "%lld app(s) are built from this repository",
                       (long long)used);
    return sql_run(tx, err, "DELETE FROM repositories WHERE id = ?", T(id));
}

#define SHOWN                                                                                   \
    "r.id, r.name, p.name AS project, r.url, r.url IS NULL AS hosted, r.polled_at, "            \
    "r.error_reason, "                                                                          \
    "r.error_message, r.created_at, (SELECT json_group_array(json_object('name', f.name, "      \
    "'commit', f.sha, "                                                                         \
    "'seen_at', strftime('%Y-%m-%dT%H:%M:%fZ', f.seen_at / 1000.0, 'unixepoch'))) FROM refs f " \
    "WHERE f.repository_id = r.id) AS \"refs:json\" "                                           \
    "FROM repositories r JOIN projects p ON p.id = r.project_id "

int store_list_repositories(struct tx *tx, const char *project_id, const char *after, int64_t limit,
                            json_t **list, struct err *err)
{
    return sql_rows(tx, err, list,
                    "SELECT " SHOWN "WHERE r.project_id = ? AND r.name > ? ORDER BY r.name LIMIT ?",
                    ARGS(T(project_id), T(after ? after : ""), N(limit)));
}

int store_show_repository(struct tx *tx, const char *id, json_t **repository, struct err *err)
{
    return sql_row(tx, err, repository, "repository", "SELECT " SHOWN "WHERE r.id = ?",
                   ARGS(T(id)));
}

int store_note_poll(struct tx *tx, const char *id, const char *reason, const char *message,
                    struct err *err)
{
    return sql_run(
        tx, err,
        "UPDATE repositories SET polled_at = CASE WHEN ?2 IS NULL THEN ?1 ELSE polled_at END, "
        "error_reason = ?2, error_message = ?3 WHERE id = ?4",
        N(tx_now(tx)), T(reason), T(message), T(id));
}

int store_add_missing_polls(struct tx *tx, struct err *err)
{
    return sql_run(
        tx, err,
        "INSERT INTO work (loop, subject, due_at) SELECT 'fetcher', id, ? FROM repositories "
        "WHERE url IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM work w WHERE w.loop = 'fetcher' AND w.subject = repositories.id)",
        N(tx_now(tx)));
}

int store_wanted_refs(struct tx *tx, const char *repository_id, struct ref_list *list,
                      struct err *err)
{
    auto_ref_list found = { 0 };
    auto_sql *q = NULL;
    int rc;

    if (sql_open(tx, err, &q,
                 "SELECT followed.ref, f.sha, f.published FROM (SELECT DISTINCT ref FROM apps "
                 "WHERE repository_id = ?1) followed LEFT JOIN refs f ON f.repository_id = ?1 AND "
                 "f.name = followed.ref ORDER BY followed.ref",
                 T(repository_id)))
        return -1;
    while ((rc = sql_next(q, err)) > 0) {
        found.items = xreallocarray(found.items, found.count + 1, sizeof *found.items);
        row_load(q, ref_fields, countof(ref_fields), &found.items[found.count++]);
    }
    if (rc < 0)
        return -1;
    *list = found;
    found = (struct ref_list){ 0 };
    return 0;
}

int store_get_ref(struct tx *tx, const char *repository_id, const char *name, struct ref_row *ref,
                  struct err *err)
{
    return row_find(tx, err, "ref", ref_fields, countof(ref_fields), ref,
                    "SELECT name, sha, published FROM refs WHERE repository_id = ? AND name = ?",
                    ARGS(T(repository_id), T(name)));
}

int store_set_ref(struct tx *tx, const char *repository_id, const char *name, const char *sha,
                  bool *moved, struct err *err)
{
    int64_t same;

    if (sql_find_number(tx, err, 0, &same,
                        "SELECT 1 FROM refs WHERE repository_id = ? AND name = ? AND sha IS ?",
                        ARGS(T(repository_id), T(name), T(sha))))
        return -1;
    *moved = !same;
    return sql_run(tx, err,
                   "INSERT INTO refs (repository_id, name, sha, seen_at) VALUES (?, ?, ?, ?) "
                   "ON CONFLICT (repository_id, name) DO UPDATE SET sha = excluded.sha, seen_at = "
                   "excluded.seen_at",
                   T(repository_id), T(name), T(sha), N(tx_now(tx)));
}

int store_publish_ref(struct tx *tx, const char *repository_id, const char *name, const char *sha,
                      struct err *err)
{
    return sql_run(tx, err, "UPDATE refs SET published = ? WHERE repository_id = ? AND name = ?",
                   T(sha), T(repository_id), T(name));
}

int store_add_commit(struct tx *tx, const char *repository_id, const char *sha, const char *author,
                     const char *message, int64_t authored_at, struct err *err)
{
    return sql_run(tx, err,
                   "INSERT INTO commits (repository_id, sha, author, message, authored_at) VALUES "
                   "(?, ?, ?, ?, ?) "
                   "ON CONFLICT DO NOTHING",
                   T(repository_id), T(sha), T(author), T(message), N(authored_at));
}

int store_forget_commits(struct tx *tx, const char *repository_id, int64_t limit,
                         struct id_list *shas, struct err *err)
{
    return row_ids(
        tx, shas, err,
        "DELETE FROM commits WHERE repository_id = ?1 AND sha IN (SELECT sha FROM commits WHERE "
        "repository_id = ?1 EXCEPT SELECT sha FROM refs WHERE repository_id = ?1 EXCEPT SELECT "
        "published FROM refs WHERE repository_id = ?1 EXCEPT SELECT wanted_sha FROM apps WHERE "
        "repository_id = ?1 EXCEPT SELECT r.sha FROM apps a JOIN releases r ON r.app_id = a.id "
        "WHERE a.repository_id = ?1 EXCEPT SELECT sha FROM builds WHERE state = 'queued' EXCEPT "
        "SELECT sha FROM builds WHERE state = 'running' LIMIT ?2) RETURNING sha",
        ARGS(T(repository_id), N(limit)));
}
