/* apps.create, list, get, update, delete. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/api/app_change.h"
#include "controller/api/app_view.h"
#include "controller/api/resources.h"
#include "controller/builders.h"
#include "controller/conditions.h"
#include "controller/wanted.h"
#include "model/spec.h"
#include "store/builds.h"
#include "store/releases.h"
#include "store/work.h"

enum { NAME_MAX_LEN = 40 };
#define BUILD_UNWANTED "nothing wants it any more"

int apps_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_tx *tx = NULL;
    json_t *rows, *row;
    size_t i;

    if (api_project(call, params, TX_READ, &caller, &tx, &project, err) ||
        store_list_apps(tx, project.id, api_cursor(params), api_limit(params) + 1, &rows, err))
        return -1;
    json_array_foreach(rows, i, row)
        if (app_view_finish(api_controller(call), tx, row, err)) {
            json_decref(rows);
            return -1;
        }
    *result = api_page(rows, api_limit(params), "name");
    return 0;
}

int apps_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;

    if (api_app(call, params, TX_READ, &caller, &tx, &app, err))
        return -1;
    return app_view(api_controller(call), tx, app.id, result, err);
}

/* ---- create ---- */

/* The repository that is named, or a hosted one under the app's name; none for an app of method
 * `image`. */
static int choose_repository(struct controller *c, struct tx *tx, const struct project_row *project,
                             const char *app, const char *named, const json_t *overlay,
                             struct repository_row *repository, struct err *err)
{
    const char *method =
        json_string_value(json_object_get(json_object_get(overlay, "build"), "method"));

    if (named)
        return store_find_repository(tx, project->id, named, repository, err)
                   ? err_field(err, "repository", "make it first: evenkeel repos add",
                               "there is no repository %s", named)
                   : 0;
    if (method && strcmp(method, "image") == 0)
        return 0;
    if (store_find_repository(tx, project->id, app, repository, err) == 0)
        return 0;
    return api_add_repository(c, tx, project, app, NULL, NULL, NULL, repository, err);
}

int apps_create(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    const json_t *spec = json_object_get(params, "spec");
    json_auto_t *overlay = NULL, *checked = NULL;
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_repository repository = { 0 };
    auto_app app = { 0 };
    auto_free char *id = NULL;
    auto_tx *tx = NULL;
    const char *name, *named, *ref;

    if (api_caller(call, params, &caller, err) || api_text(params, "app", true, &name, err) ||
        api_text(params, "repository", false, &named, err) ||
        api_text(params, "ref", false, &ref, err) ||
        spec_check_name(name, "app", NAME_MAX_LEN, err) || (ref && spec_check_ref(ref, err)) ||
        (spec && spec_check(spec, &checked, err)))
        return -1;
    overlay = spec_merge(NULL, checked);
    if (api_project(call, params, TX_WRITE, &caller, &tx, &project, err) ||
        choose_repository(c, tx, &project, name, named, overlay, &repository, err) ||
        app_check_overlay(c, project.name, name, overlay, repository.id, err) ||
        store_add_app(tx, project.id, name, repository.id, ref ? ref : "main", overlay, caller.name,
                      &id, err) ||
        store_get_app(tx, id, &app, err) ||
        note_event(tx, &app, "app", "Created", NULL, err, "%s was created by %s", name,
                   caller.name) ||
        (repository.url && store_add_work(tx, "fetcher", repository.id, 0, err)) ||
        app_view(c, tx, id, result, err))
        return -1;
    return tx_commit(&tx, err);
}

/* ---- update ---- */

static int check_generation(const json_t *params, const struct app_row *app, struct err *err)
{
    const json_t *expected = json_object_get(params, "if_generation");
    int64_t number = -1;

    if (!expected || json_is_null(expected))
        return 0;
    if (json_is_integer(expected))
        number = json_integer_value(expected);
    else
        text_int(json_string_value(expected), &number);
    if (number == app->generation)
        return 0;
    err_set(err, ERR_CONFLICT, "%s is at generation %lld by now", app->name,
            (long long)app->generation);
    return err_hint(
        err, "read it again, make the change on what it is now, and send it with the new ETag");
}

static int set_running(struct tx *tx, struct app_row *app, bool running, const char *author,
                       struct err *err)
{
    if (store_set_running(tx, app->id, running, err) ||
        (app->repository_id && /* a push waits for apps that run */
         store_add_work(tx, "fetcher", app->repository_id, 0, err)))
        return -1;
    return note_event(tx, app, "app", running ? "Started" : "StopAsked", NULL, err, "%s by %s",
                      running ? "started" : "stopped", author);
}

int apps_update(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    const json_t *spec = json_object_get(params, "spec"),
                 *running = json_object_get(params, "running");
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    const char *ref;
    int64_t generation;

    if (api_caller(call, params, &caller, err) || api_text(params, "ref", false, &ref, err) ||
        (ref && spec_check_ref(ref, err)) || app_to_change(call, params, &caller, &tx, &app, err) ||
        check_generation(params, &app, err))
        return -1;
    if ((spec && app_change(c, tx, &app, spec, caller.name, &generation, err)) ||
        (json_is_boolean(running) &&
         set_running(tx, &app, json_is_true(running), caller.name, err)) ||
        (ref &&
         (store_set_app_ref(tx, app.id, ref, err) ||
          (app.repository_id && store_add_work(tx, "fetcher", app.repository_id, 0, err)))) ||
        app_view(c, tx, app.id, result, err))
        return -1;
    return tx_commit(&tx, err);
}

/* The build that only this app wants is not needed any more. *attempt is the one to stop, or NULL.
 */
static int drop_build(struct tx *tx, const struct app_row *app, char **attempt_id, struct err *err)
{
    auto_attempt attempt = { 0 };
    auto_build build = { 0 };
    auto_id_list others = { 0 };
    bool dropped;

    if (!app->wanted_build_id)
        return 0;
    if (store_set_wanted(tx, app->id, app->generation, NULL, NULL, app->wanted_release_id, err) ||
        store_drop_unwanted_build(tx, app->wanted_build_id, &dropped, err) ||
        store_get_build(tx, app->wanted_build_id, &build, err) ||
        store_apps_of_build(tx, build.id, &others, err))
        return -1;
    if (others.count || strcmp(build.state, "running") != 0)
        return 0;
    if (store_cancel_build(tx, build.id, BUILD_UNWANTED, err) ||
        store_last_attempt(tx, build.id, &attempt, err))
        return -1;
    *attempt_id = take(&attempt.id);
    return 0;
}

int apps_delete(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_free char *attempt = NULL;
    auto_tx *tx = NULL;
    (void)result;

    if (api_app(call, params, TX_WRITE, &caller, &tx, &app, err))
        return -1;
    if (app.deleting)
        return 0;
    if (store_set_deleting(tx, app.id, err) || drop_build(tx, &app, &attempt, err) ||
        note_event(tx, &app, "app", "DestroyAsked", NULL, err, "destroyed by %s", caller.name) ||
        tx_commit(&tx, err))
        return -1;
    if (attempt)
        builders_cancel(api_controller(call)->builders, attempt, BUILD_UNWANTED);
    return 0;
}
