#include "store/row.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void *member(void *row, const struct row_field *field)
{
    return (char *)row + field->offset;
}

void row_load(struct sql *q, const struct row_field *fields, size_t count, void *row)
{
    for (size_t i = 0; i < count; i++) {
        void *to = member(row, &fields[i]);
        if (fields[i].kind == ROW_NUMBER)
            *(int64_t *)to = sql_number(q, (int)i);
        else if (fields[i].kind == ROW_JSON)
            *(json_t **)to = sql_json(q, (int)i);
        else
            *(char **)to = sql_dup(q, (int)i);
    }
}

void row_done(const struct row_field *fields, size_t count, void *row)
{
    for (size_t i = 0; i < count; i++) {
        void *from = member(row, &fields[i]);
        if (fields[i].kind == ROW_JSON)
            json_decref(*(json_t **)from);
        else if (fields[i].kind == ROW_TEXT)
            free(*(char **)from);
    }
}

int row_find(struct tx *tx, struct err *err, const char *what, const struct row_field *fields,
             size_t count, void *row, const char *sql, const struct sql_arg *args)
{
    auto_sql *q = NULL;

    if (sql_begin(tx, err, &q, sql, args))
        return -1;
    int rc = sql_next(q, err);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, "no such %s", what);
    row_load(q, fields, count, row);
    return 0;
}

void id_list_done(struct id_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

int row_ids(struct tx *tx, struct id_list *list, struct err *err, const char *sql,
            const struct sql_arg *args)
{
    auto_id_list found = { 0 };
    auto_sql *q = NULL;
    int rc;

    if (sql_begin(tx, err, &q, sql, args))
        return -1;
    while ((rc = sql_next(q, err)) > 0) {
        found.items = xreallocarray(found.items, found.count + 1, sizeof *found.items);
        found.items[found.count++] = sql_dup(q, 0);
    }
    if (rc < 0)
        return -1;
    *list = found;
    found = (struct id_list){ 0 };
    return 0;
}
