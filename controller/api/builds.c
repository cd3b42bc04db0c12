/* builds.*: what people ask of builds. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/api/log_tail.h"
#include "controller/api/resources.h"
#include "controller/builders.h"
#include "controller/conditions.h"
#include "controller/feeds.h"
#include "controller/files.h"
#include "store/builds.h"

static int check_state(const char *state, struct err *err)
{
    static const char *const states[] = { "queued", "running", "succeeded", "failed", "cancelled" };

    for (size_t i = 0; state && i < countof(states); i++)
        if (strcmp(state, states[i]) == 0)
            return 0;
    return state ? err_field(err, "state", "queued, running, succeeded, failed or cancelled",
                             "no build has the state `%s`", state)
                 : 0;
}

int builds_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    const char *name, *state;
    json_t *rows;

    if (api_text(params, "app", false, &name, err) ||
        api_text(params, "state", false, &state, err) || check_state(state, err) ||
        (name ? api_app(call, params, TX_READ, &caller, &tx, &app, err)
              : api_project(call, params, TX_READ, &caller, &tx, &project, err)) ||
        store_list_builds(tx, project.id, app.id, state, api_cursor(params), api_limit(params) + 1,
                          &rows, err))
        return -1;
    *result = api_page(rows, api_limit(params), "id");
    return 0;
}

/* A build is made once for all who want its key: those who want it now see it, too. */
static int may_see(struct tx *tx, const struct caller *caller, const struct build_row *build,
                   struct err *err)
{
    auto_id_list apps = { 0 };
    bool wants = false;

    if (!caller->project_id || strcmp(caller->project_id, build->project_id) == 0)
        return 0;
    if (store_apps_of_build(tx, build->id, &apps, err))
        return -1;
    for (size_t i = 0; i < apps.count && !wants; i++) {
        auto_app app = { 0 };
        if (store_get_app(tx, apps.items[i], &app, err))
            return -1;
        wants = strcmp(app.project_id, caller->project_id) == 0;
    }
    return wants ? 0 : err_set(err, ERR_NOT_FOUND, "no such build");
}

static int find(struct rpc_call *call, const json_t *params, enum tx_mode mode,
                struct caller *caller, struct tx **tx, struct build_row *build, struct err *err)
{
    const char *id;

    if (api_caller(call, params, caller, err) || api_text(params, "build", true, &id, err) ||
        tx_begin(api_controller(call)->store, mode, tx, err) ||
        store_get_build(*tx, id, build, err))
        return -1;
    return may_see(*tx, caller, build, err);
}

int builds_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_build build = { 0 };
    auto_tx *tx = NULL;

    if (find(call, params, TX_READ, &caller, &tx, &build, err))
        return -1;
    return store_show_build(tx, build.id, result, err);
}

int builds_cancel(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_caller caller = { 0 };
    auto_build build = { 0 };
    auto_attempt attempt = { 0 };
    auto_tx *tx = NULL;

    if (find(call, params, TX_WRITE, &caller, &tx, &build, err))
        return -1;
    auto_free char *why = xasprintf("cancelled by %s", caller.name);
    bool is_queued = strcmp(build.state, "queued") == 0,
         is_running = strcmp(build.state, "running") == 0;
    if (!is_queued && !is_running)
        return err_set(err, ERR_CONFLICT, "build %s has ended: %s", build.id, build.state);
    if (store_cancel_build(tx, build.id, why, err) ||
        (is_queued &&
         (store_end_build(tx, build.id, "cancelled", "BuildCancelled", why, NULL, err) ||
          note_build_end(tx, &build, "BuildCancelled", why, err))) ||
        (is_running && store_last_attempt(tx, build.id, &attempt, err)) ||
        store_show_build(tx, build.id, result, err) || tx_commit(&tx, err))
        return -1;
    if (is_running)
        builders_cancel(c->builders, attempt.id, why);
    return 0;
}

/* ---- the log ---- */

struct follow_log {
    struct controller *c;
    char *build_id;
    struct log_tail tail;
    bool follow;
};

static void follow_log_done(void *arg)
{
    struct follow_log *f = arg;

    free(f->build_id);
    free(f);
}

static bool has_ended(const char *state)
{
    return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

/* The state is read before the log: what a build that has ended wrote is all there. */
static enum pump_result pump_log(struct rpc_call *call, void *arg)
{
    struct follow_log *f = arg;
    auto_build build = { 0 };
    auto_attempt attempt = { 0 };
    auto_tx *tx = NULL;
    struct err err = { 0 };

    if (tx_begin(f->c->store, TX_READ, &tx, &err) ||
        store_get_build(tx, f->build_id, &build, &err)) {
        rpc_call_fail(call, &err);
        return PUMP_END;
    }
    bool has_attempt = store_last_attempt(tx, f->build_id, &attempt, &err) == 0;
    tx_rollback(&tx);
    if (has_attempt && !log_tail_send(f->c, &f->tail, f->build_id, attempt.number, call))
        return PUMP_FULL;
    if (f->follow && !has_ended(build.state))
        return PUMP_WAIT;
    rpc_call_end(call, json_pack("{s:s, s:s?, s:s?}", "state", build.state, "reason", build.reason,
                                 "message", build.message));
    return PUMP_END;
}

int builds_log(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_caller caller = { 0 };
    auto_build build = { 0 };
    auto_tx *tx = NULL;
    (void)result;

    if (find(call, params, TX_READ, &caller, &tx, &build, err))
        return -1;
    struct follow_log *f = xcalloc(1, sizeof *f);
    *f = (struct follow_log){ .c = c,
                              .build_id = xstrdup(build.id),
                              .follow = json_is_true(json_object_get(params, "follow")),
                              .tail = { .offset = api_number(params, "offset", 0, 0, INT64_MAX) } };
    feeds_add(c->feeds, call, build.id, pump_log, f, follow_log_done);
    return RPC_LATER;
}
