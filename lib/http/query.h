/* A query string, "a=1&b=two+words&flag", decoded. Pure functions. */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

struct query;

struct query *query_parse(const char *text);
void query_free(struct query *query);

/* The first value of that name ("" when it has none), NULL when absent. */
const char *query_get(const struct query *query, const char *name);

/* One after the other, for index 0 to count. */
size_t query_count(const struct query *query);
void query_at(const struct query *query, size_t index, const char **name, const char **value);

/* Was anything malformed (a wrong escape, a NUL)? Such members are left out. */
bool query_is_malformed(const struct query *query);

static inline void query_freep(struct query **query)
{
    query_free(*query);
}
#define auto_query __attribute__((__cleanup__(query_freep))) struct query

#endif
