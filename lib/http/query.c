#include "http/query.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"

struct pair {
    char *name, *value;
};

struct query {
    struct pair *pairs;
    size_t count;
    bool is_malformed;
};

static char *decode(const char *text, size_t len)
{
    auto_free char *spaced = xstrndup(text, len);

    for (char *p = spaced; (p = strchr(p, '+'));)
        *p = ' ';
    return text_url_unescape(spaced, strlen(spaced));
}

static void add(struct query *query, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;
    auto_free char *name = decode(text, name_len);
    auto_free char *value = equals ? decode(equals + 1, len - name_len - 1) : xstrdup("");

    if (!name || !value) {
        query->is_malformed = true;
        return;
    }
    query->pairs = xreallocarray(query->pairs, query->count + 1, sizeof *query->pairs);
    query->pairs[query->count++] = (struct pair){ .name = take(&name), .value = take(&value) };
}

struct query *query_parse(const char *text)
{
    struct query *query = xcalloc(1, sizeof *query);

    while (*text) {
        size_t len = strcspn(text, "&");
        if (len > 0)
            add(query, text, len);
        text += len;
        text += *text == '&';
    }
    return query;
}

void query_free(struct query *query)
{
    if (!query)
        return;
    for (size_t i = 0; i < query->count; i++) {
        free(query->pairs[i].name);
        free(query->pairs[i].value);
    }
    free(query->pairs);
    free(query);
}

const char *query_get(const struct query *query, const char *name)
{
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->pairs[i].name, name) == 0)
            return query->pairs[i].value;
    return NULL;
}

size_t query_count(const struct query *query)
{
    return query->count;
}

void query_at(const struct query *query, size_t index, const char **name, const char **value)
{
    *name = query->pairs[index].name;
    *value = query->pairs[index].value;
}

bool query_is_malformed(const struct query *query)
{
    return query->is_malformed;
}
