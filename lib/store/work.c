#include "store/work.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/row.h"

static const struct row_field fields[] = {
    { ROW_TEXT, offsetof(struct work, subject) },
    { ROW_NUMBER, offsetof(struct work, revision) },
    { ROW_NUMBER, offsetof(struct work, attempts) },
    { ROW_TEXT, offsetof(struct work, reason) },
    { ROW_NUMBER, offsetof(struct work, due_ms) },
};

void work_list_done(struct work_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        row_done(fields, countof(fields), &list->items[i]);
    free(list->items);
}

int store_add_work(struct tx *tx, const char *loop, const char *subject, int64_t delay_ms,
                   struct err *err)
{
    sql_note_work(tx, loop);
    return sql_run(
        tx, err,
        "INSERT INTO work (loop, subject, due_at) VALUES (?, ?, ?) ON CONFLICT (loop, subject) DO "
        "UPDATE SET due_at = min(due_at, excluded.due_at), revision = revision + 1",
        T(loop), T(subject), N(tx_now(tx) + delay_ms));
}

int store_hurry_work(struct tx *tx, const char *loop, struct err *err)
{
    sql_note_work(tx, loop);
    return sql_run(tx, err,
                   "UPDATE work SET due_at = min(due_at, ?), revision = revision + 1 WHERE loop = "
                   "? AND attempts > 0",
                   N(tx_now(tx)), T(loop));
}

int store_next_work(struct tx *tx, const char *loop, size_t limit, struct work_list *list,
                    struct err *err)
{
    auto_work_list found = { .items = xcalloc(limit, sizeof *found.items) };
    auto_sql *q = NULL;
    int rc;

    if (sql_open(tx, err, &q,
                 "SELECT subject, revision, attempts, reason, due_at - ? FROM work WHERE loop = ? "
                 "ORDER BY due_at LIMIT ?",
                 N(tx_now(tx)), T(loop), N((int64_t)limit)))
        return -1;
    while ((rc = sql_next(q, err)) > 0)
        row_load(q, fields, countof(fields), &found.items[found.count++]);
    if (rc < 0)
        return -1;
    *list = found;
    found = (struct work_list){ 0 };
    return 0;
}

int store_finish_work(struct tx *tx, const char *loop, const struct work *work, int64_t again_ms,
                      struct err *err)
{
    if (again_ms < 0)
        return sql_run(tx, err, "DELETE FROM work WHERE loop = ? AND subject = ? AND revision = ?",
                       T(loop), T(work->subject), N(work->revision));
    return sql_run(tx, err,
                   "UPDATE work SET due_at = ?, attempts = 0, reason = NULL "
                   "WHERE loop = ? AND subject = ? AND revision = ?",
                   N(tx_now(tx) + again_ms), T(loop), T(work->subject), N(work->revision));
}

int store_fail_work(struct tx *tx, const char *loop, const struct work *work, int64_t delay_ms,
                    const char *reason, struct err *err)
{
    return sql_run(
        tx, err,
        "UPDATE work SET attempts = attempts + 1, reason = ?, "
        "due_at = CASE WHEN revision = ? THEN ? ELSE due_at END WHERE loop = ? AND subject = ?",
        T(reason), N(work->revision), N(tx_now(tx) + delay_ms), T(loop), T(work->subject));
}
