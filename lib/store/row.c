#include "store/row.h"

#include <stdlib.h>
#include <string.h>

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
