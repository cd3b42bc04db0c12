#include "controller/api/api.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/text.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 200, TOUCH_MS = 60000 };

void caller_done(struct caller *caller)
{
    free(caller->name);
    free(caller->project_id);
}

/* At most once a minute, so that a busy token costs nothing. */
static int touch_token(struct controller *c, const char *id, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) || store_touch_token(tx, id, err))
        return -1;
    return tx_commit(&tx, err);
}

static int find_token(struct controller *c, const char *token, struct caller *caller,
                      struct err *err)
{
    auto_free char *hash = sha256_hex(token, strlen(token));
    auto_token row = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err))
        return -1;
    if (store_find_token(tx, hash, &row, err)) {
        if (err->class != ERR_NOT_FOUND)
            return -1;
        err_set(err, ERR_UNAUTHENTICATED, "the token is not valid");
        return err_hint(err, "log in again: evenkeel login");
    }
    tx_rollback(&tx);
    if (clock_now_ms(c->clock) - row.last_used_at > TOUCH_MS && touch_token(c, row.id, err))
        return -1;
    caller->name = take(&row.name);
    caller->project_id = take(&row.project_id);
    caller->is_admin = !caller->project_id;
    return 0;
}

int api_caller(struct rpc_call *call, const json_t *params, struct caller *caller, struct err *err)
{
    const char *token = json_string_value(json_object_get(json_object_get(params, "as"), "token"));

    if (caller->name)
        return 0;
    if (token)
        return find_token(api_controller(call), token, caller, err);
    if (rpc_session_kind(rpc_call_session(call)) == RPC_CLI) {
        caller->name = xstrdup("local");
        caller->is_admin = true;
        return 0;
    }
    err_set(err, ERR_UNAUTHENTICATED, "this needs an API token");
    return err_hint(err, "send it as `Authorization: Bearer …`, or run: evenkeel login");
}

int api_admin(const struct caller *caller, struct err *err)
{
    return caller->is_admin
               ? 0
               : err_set(err, ERR_DENIED, "a token of a single project may not do this");
}

int api_may_see(const struct caller *caller, const char *project_id, const char *what,
                struct err *err)
{
    if (!caller->project_id || strcmp(caller->project_id, project_id) == 0)
        return 0;
    return err_set(err, ERR_NOT_FOUND, "no such %s", what);
}

int api_project(struct rpc_call *call, const json_t *params, enum tx_mode mode,
                struct caller *caller, struct tx **tx, struct project_row *project, struct err *err)
{
    const char *name = NULL;

    if (api_caller(call, params, caller, err) || api_text(params, "project", false, &name, err) ||
        tx_begin(api_controller(call)->store, mode, tx, err))
        return -1;
    if (store_find_project(*tx, name ? name : "default", project, err)) {
        if (err->class == ERR_NOT_FOUND)
            err_set(err, ERR_NOT_FOUND, "no such project: %s", name ? name : "default");
        return -1;
    }
    return api_may_see(caller, project->id, "project", err);
}

int api_app(struct rpc_call *call, const json_t *params, enum tx_mode mode, struct caller *caller,
            struct tx **tx, struct app_row *app, struct err *err)
{
    auto_project project = { 0 };
    const char *name;

    if (api_project(call, params, mode, caller, tx, &project, err) ||
        api_text(params, "app", true, &name, err))
        return -1;
    if (store_find_app(*tx, project.id, name, app, err) == 0)
        return 0;
    if (err->class == ERR_NOT_FOUND) {
        err_set(err, ERR_NOT_FOUND, "no such app: %s", name);
        err_hint(err, "`evenkeel apps list` shows them; `evenkeel apps create %s` makes it", name);
    }
    return -1;
}

int api_repository(struct rpc_call *call, const json_t *params, enum tx_mode mode,
                   struct caller *caller, struct tx **tx, struct project_row *project,
                   struct repository_row *repository, struct err *err)
{
    const char *name;

    if (api_project(call, params, mode, caller, tx, project, err) ||
        api_text(params, "repository", true, &name, err))
        return -1;
    if (store_find_repository(*tx, project->id, name, repository, err) == 0)
        return 0;
    return err->class == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "no such repository: %s", name)
                                       : -1;
}

int api_text(const json_t *params, const char *name, bool is_required, const char **text,
             struct err *err)
{
    const json_t *value = json_object_get(params, name);

    if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value)) {
        *text = json_string_value(value);
        return 0;
    }
    if (value && !json_is_null(value))
        return err_field(err, name, NULL, "`%s` must be text", name);
    if (is_required)
        return err_field(err, name, NULL, "`%s` is missing", name);
    *text = NULL;
    return 0;
}

int64_t api_number(const json_t *params, const char *name, int64_t fallback, int64_t min,
                   int64_t max)
{
    const json_t *value = json_object_get(params, name);
    int64_t number = json_is_integer(value) ? json_integer_value(value) : fallback;

    return number < min ? min : number > max ? max : number;
}

int api_release(const json_t *params, bool is_required, int64_t *number, struct err *err)
{
    const json_t *value = json_object_get(params, "release");
    const char *text = json_string_value(value);
    int64_t found = json_integer_value(value);

    if (!is_required && (!value || json_is_null(value))) {
        *number = 0;
        return 0;
    }
    if ((text && !text_int(*text == 'v' ? text + 1 : text, &found)) || found < 1)
        return err_field(err, "release", "a number: 7 or v7",
                         "`release` is no number of a release");
    *number = found;
    return 0;
}

int64_t api_limit(const json_t *params)
{
    return api_number(params, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX);
}

const char *api_cursor(const json_t *params)
{
    const char *cursor = json_string_value(json_object_get(params, "cursor"));
    return cursor && *cursor ? cursor : NULL;
}

json_t *api_page(json_t *rows, int64_t limit, const char *key)
{
    json_t *next = json_null();

    if ((int64_t)json_array_size(rows) > limit) {
        json_array_remove(rows, (size_t)limit);
        const json_t *last = json_object_get(json_array_get(rows, (size_t)limit - 1), key);
        next = json_is_integer(last) ? json_sprintf("%lld", (long long)json_integer_value(last))
                                     : json_string(json_string_value(last));
    }
    return json_pack("{s:o, s:o}", "items", rows, "next_cursor", next);
}
