/* Rows as structs, by one table per struct that names each column's member. Private to lib/store.
 */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include <stddef.h>

#include "base/err.h"
#include "store/sql.h"
#include "store/store.h"

struct row_field {
    enum { ROW_TEXT, ROW_NUMBER, ROW_JSON } kind; /* char *, int64_t, json_t * */
    size_t offset;
};

/* The current row's columns, in the order of the fields, into zeroed memory. */
void row_load(struct sql *q, const struct row_field *fields, size_t count, void *row);
void row_done(const struct row_field *fields, size_t count, void *row);

/* The first row of a query; ERR_NOT_FOUND "no such WHAT". */
int row_find(struct tx *tx, struct err *err, const char *what, const struct row_field *fields,
             size_t count, void *row, const char *sql, const struct sql_arg *args);

/* The first column of every row, for statements that answer with ids. */
int row_ids(struct tx *tx, struct id_list *list, struct err *err, const char *sql,
            const struct sql_arg *args);

#endif
