#include "gateway/params.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/query.h"

/* Members of a query or path that are not text. Sorted. */
static const struct {
    const char *name;
    bool is_int; /* or else true and false */
} typed[] = {
    { "after", true },   { "follow", false }, { "limit", true },    { "offset", true },
    { "release", true }, { "retry", false },  { "since_ms", true }, { "tail", true },
};

static int set_text(json_t *params, const char *name, const char *value, struct err *err)
{
    if (json_object_set_new(params, name, json_string(value)))
        return err_field(err, name, NULL, "not valid UTF-8");
    return 0;
}

static int set_int(json_t *params, const char *name, const char *value, struct err *err)
{
    int64_t number;

    if (!text_int(value, &number))
        return err_field(err, name, NULL, "not a whole number");
    json_object_set_new(params, name, json_integer(number));
    return 0;
}

static int set_bool(json_t *params, const char *name, const char *value, struct err *err)
{
    bool is_true = !*value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;

    if (!is_true && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return err_field(err, name, NULL, "neither true nor false");
    json_object_set_new(params, name, json_boolean(is_true));
    return 0;
}

static int set_typed(json_t *params, const char *name, const char *value, struct err *err)
{
    for (size_t i = 0; i < countof(typed); i++)
        if (strcmp(typed[i].name, name) == 0)
            return typed[i].is_int ? set_int(params, name, value, err)
                                   : set_bool(params, name, value, err);
    return set_text(params, name, value, err);
}

static int add_body(json_t *params, const char *body, size_t len, struct err *err)
{
    json_error_t where;

    if (!body || strspn(body, " \t\r\n") == len)
        return 0;
    json_auto_t *value = json_loadb(body, len, JSON_REJECT_DUPLICATES, &where);
    if (!value)
        return err_set(err, ERR_INVALID, "reading the body as JSON, line %d column %d: %s",
                       where.line, where.column, where.text);
    if (!json_is_object(value))
        return err_set(err, ERR_INVALID, "the body is JSON, but not an object");
    json_object_update(params, value);
    return 0;
}

static int add_query(json_t *params, const char *text, struct err *err)
{
    auto_query *query = query_parse(text ? text : "");
    json_auto_t *seen = json_object();
    const char *name, *value;

    if (query_is_malformed(query))
        return err_set(err, ERR_INVALID, "the query is not well formed");
    for (size_t i = 0; i < query_count(query); i++) {
        query_at(query, i, &name, &value);
        if (json_object_get(seen, name))
            return err_field(err, name, NULL, "given twice in the query");
        if (json_object_set_new(seen, name, json_true()))
            return err_set(err, ERR_INVALID, "the query is not valid UTF-8");
        if (set_typed(params, name, value, err))
            return -1;
    }
    return 0;
}

/* "7", 7 and W/"7" are generation 7; * is any. */
static int add_if_match(json_t *params, const char *etag, struct err *err)
{
    int64_t generation;

    if (strcmp(etag, "*") == 0)
        return 0;
    if (text_starts(etag, "W/"))
        etag += 2;
    size_t len = strlen(etag);
    bool is_quoted = len >= 2 && etag[0] == '"' && etag[len - 1] == '"';
    auto_free char *bare = is_quoted ? xstrndup(etag + 1, len - 2) : xstrdup(etag);
    if (!text_int(bare, &generation))
        return err_field(err, "If-Match", "send the ETag of the answer that you changed",
                         "not an ETag of this API");
    json_object_set_new(params, "if_generation", json_integer(generation));
    return 0;
}

static int add_headers(json_t *params, const struct params_input *in, struct err *err)
{
    if (in->if_match && add_if_match(params, in->if_match, err))
        return -1;
    if (in->idempotency_key && set_text(params, "idempotency_key", in->idempotency_key, err))
        return -1;
    if (in->resume && in->last_event_id && *in->last_event_id)
        return set_int(params, in->resume, in->last_event_id, err);
    return 0;
}

static int add_members(json_t *params, const json_t *members, struct err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)members, name,
                        value) /* jansson's macro takes no const */
        if (set_typed(params, name, json_string_value(value), err))
            return -1;
    return 0;
}

int params_make(const struct params_input *in, json_t **out, struct err *err)
{
    json_auto_t *params = json_object();

    if (add_body(params, in->body, in->body_len, err) || add_query(params, in->query, err) ||
        add_headers(params, in, err) || add_members(params, in->members, err))
        return -1;
    json_t *token = in->token ? json_string(in->token) : json_null();
    json_object_set_new(params, "as", json_pack("{s:o}", "token", token ? token : json_null()));
    json_object_set_new(params, "peer", json_string(in->peer ? in->peer : ""));
    *out = json_incref(params);
    return 0;
}

static char *basic_password(const char *encoded)
{
    size_t len;
    auto_wipe char *pair = text_unbase64(encoded, strlen(encoded), &len);
    const char *colon = pair && strlen(pair) == len ? strchr(pair, ':') : NULL;

    return colon && colon[1] ? xstrdup(colon + 1) : NULL;
}

char *params_token(const char *authorization)
{
    size_t scheme = authorization ? strcspn(authorization, " ") : 0;
    const char *rest = authorization ? authorization + scheme : "";

    rest += strspn(rest, " ");
    if (!*rest)
        return NULL;
    if (scheme == 6 && strncasecmp(authorization, "Bearer", 6) == 0)
        return xstrdup(rest);
    if (scheme == 5 && strncasecmp(authorization, "Basic", 5) == 0)
        return basic_password(rest);
    return NULL;
}
