/* events.list, events.follow: the journal. */
#include <stdlib.h>

#include "base/mem.h"
#include "controller/api/resources.h"
#include "controller/feeds.h"
#include "store/events.h"

enum { BATCH = 100 };

struct scope {
    char *project_id, *app_id;
};

static void scope_done(struct scope *scope)
{
    free(scope->project_id);
    free(scope->app_id);
}
#define auto_scope __attribute__((__cleanup__(scope_done))) struct scope

/* `app` given: that app; else the project. */
static int find_scope(struct rpc_call *call, const json_t *params, struct tx **tx,
                      struct scope *scope, struct err *err)
{
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_app app = { 0 };
    const char *name;

    if (api_text(params, "app", false, &name, err) ||
        (name ? api_app(call, params, TX_READ, &caller, tx, &app, err)
              : api_project(call, params, TX_READ, &caller, tx, &project, err)))
        return -1;
    scope->app_id = take(&app.id);
    scope->project_id = take(&project.id);
    return 0;
}

int events_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_scope scope = { 0 };
    auto_tx *tx = NULL;
    json_t *rows;

    if (find_scope(call, params, &tx, &scope, err) ||
        store_list_events(tx, scope.project_id, scope.app_id,
                          api_number(params, "after", -1, -1, INT64_MAX), api_limit(params), &rows,
                          err))
        return -1;
    *result = json_pack("{s:o}", "items", rows);
    return 0;
}

struct follow {
    struct controller *c;
    struct scope scope;
    int64_t after;
};

static void follow_done(void *arg)
{
    struct follow *f = arg;

    scope_done(&f->scope);
    free(f);
}

static int read_batch(struct follow *f, json_t **rows, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(f->c->store, TX_READ, &tx, err))
        return -1;
    return store_list_events(tx, f->scope.project_id, f->scope.app_id, f->after, BATCH, rows, err);
}

static enum pump_result pump(struct rpc_call *call, void *arg)
{
    struct follow *f = arg;
    size_t count = BATCH;

    while (count == BATCH) {
        json_auto_t *rows = NULL;
        struct err err = { 0 };
        json_t *row;
        size_t i;
        if (read_batch(f, &rows, &err)) {
            rpc_call_fail(call, &err);
            return PUMP_END;
        }
        count = json_array_size(rows);
        json_array_foreach(rows, i, row) {
            if (!rpc_call_try_send(call, json_incref(row)))
                return PUMP_FULL;
            f->after = json_integer_value(json_object_get(row, "seq"));
        }
    }
    return PUMP_WAIT;
}

int events_follow(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_scope scope = { 0 };
    auto_tx *tx = NULL;
    int64_t last;
    (void)result;

    if (find_scope(call, params, &tx, &scope, err) || store_last_event(tx, &last, err))
        return -1;
    struct follow *f = xcalloc(1, sizeof *f);
    *f = (struct follow){ .c = c,
                          .scope = scope,
                          .after = api_number(params, "after", last, 0, INT64_MAX) };
    scope = (struct scope){ 0 };
    feeds_add(c->feeds, call, NULL, pump, f, follow_done);
    return RPC_LATER;
}
