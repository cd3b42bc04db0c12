/* apps.create, list, get, update, delete, deploy, restart, rollback, hold, resume; env.* */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/api/app_view.h"
#include "controller/api/resources.h"
#include "controller/builders.h"
#include "controller/conditions.h"
#include "controller/wanted.h"
#include "model/spec.h"
#include "store/builds.h"
#include "store/releases.h"
#include "store/sites.h"
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

/* For what changes an app: one that is being destroyed is left alone. */
static int app_to_change(struct rpc_call *call, const json_t *params, struct caller *caller,
                         struct tx **tx, struct app_row *app, struct err *err)
{
    if (api_app(call, params, TX_WRITE, caller, tx, app, err))
        return -1;
    return app->deleting ? err_set(err, ERR_CONFLICT, "%s is being destroyed", app->name) : 0;
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

/* An overlay that stands alone must make a whole spec; one over a repository is checked against the
 * repository when there is a commit. */
static int check_overlay(struct controller *c, const char *project, const char *name,
                         const json_t *overlay, bool has_repository, struct err *err)
{
    const struct app_row app = { .project = (char *)(uintptr_t)project,
                                 .name = (char *)(uintptr_t)name,
                                 .overlay = (json_t *)(uintptr_t)overlay };
    json_auto_t *full = NULL;

    return has_repository ? 0 : wanted_spec(c, &app, NULL, NULL, &full, NULL, err);
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
        check_overlay(c, project.name, name, overlay, repository.id, err) ||
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

/* What a change is about, in names alone: values of env may be secrets, and the journal is kept
 * long and read by many. */
static json_t *name_change(const json_t *change)
{
    json_t *names = json_array(), *value;
    const char *name, *inner;

    json_object_foreach((json_t *)(uintptr_t)change, name, value)
        if (json_is_object(value))
            for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at)) {
                inner = json_object_iter_key(at);
                json_array_append_new(names, json_sprintf("%s.%s", name, inner));
            }
        else
            json_array_append_new(names, json_string(name));
    return names;
}

/* The overlay with the change on top. What results must be a valid spec together with the commit
 * that is wanted. */
static int change_overlay(struct controller *c, struct tx *tx, struct app_row *app,
                          const json_t *change, const char *author, int64_t *generation,
                          struct err *err)
{
    json_auto_t *checked = NULL;

    if (spec_check(change, &checked, err))
        return -1;
    json_t *merged = spec_merge(app->overlay, checked);
    json_decref(app->overlay);
    app->overlay = merged;
    if (!app->repository_id && check_overlay(c, app->project, app->name, merged, false, err))
        return -1;
    if (store_set_overlay(tx, app->id, merged, author, generation, err))
        return -1;
    json_auto_t *data =
        json_pack("{s:I, s:o}", "generation", *generation, "changed", name_change(change));
    return note_event(tx, app, "app", "SpecChanged", data, err, "generation %lld by %s",
                      (long long)*generation, author);
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
    if ((spec && change_overlay(c, tx, &app, spec, caller.name, &generation, err)) ||
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

/* ---- env ---- */

int env_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;

    if (api_app(call, params, TX_READ, &caller, &tx, &app, err))
        return -1;
    const json_t *env = json_object_get(app.overlay, "env");
    *result = json_pack("{s:o, s:I}", "env", env ? json_deep_copy(env) : json_object(),
                        "generation", app.generation);
    return 0;
}

static int check_env(const json_t *set, struct err *err)
{
    const char *name;
    json_t *value;

    if (!json_is_object(set) || json_object_size(set) == 0)
        return err_field(err, "set", "send {\"set\": {\"NAME\": \"value\"}}; null unsets",
                         "`set` must be an object with at least one member");
    json_object_foreach((json_t *)(uintptr_t)set, name, value)
        if (spec_check_env_name(name, err) ||
            (!json_is_string(value) && !json_is_null(value) &&
             err_field(err, "set", NULL, "the value of %s must be text", name)))
            return -1;
    return 0;
}

int env_set(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    const json_t *set = json_object_get(params, "set");
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    int64_t generation;

    if (api_caller(call, params, &caller, err) || check_env(set, err) ||
        app_to_change(call, params, &caller, &tx, &app, err))
        return -1;
    json_auto_t *change = json_pack("{s:O}", "env", set);
    if (change_overlay(c, tx, &app, change, caller.name, &generation, err) || tx_commit(&tx, err))
        return -1;
    const json_t *env = json_object_get(app.overlay, "env");
    *result = json_pack("{s:o, s:I}", "env", env ? json_deep_copy(env) : json_object(),
                        "generation", generation);
    return 0;
}

/* ---- deploy, rollback, hold ---- */

static int retry_if_failed(struct tx *tx, const struct app_row *app, const struct build_row *build,
                           const char *sha, struct err *err)
{
    bool has_failed = strcmp(build->state, "failed") == 0 || strcmp(build->state, "cancelled") == 0;
    return has_failed ? store_retry_build(tx, build->id, app, sha, err) : 0;
}

/* A build that did not make again what a release needs. */
static int retry_rebuild(struct tx *tx, const struct app_row *app, const char *release_id,
                         struct err *err)
{
    auto_release release = { 0 };
    auto_build build = { 0 };

    if (!release_id)
        return 0;
    if (store_get_release(tx, release_id, &release, err))
        return -1;
    if (store_find_build_of(tx, release.artifact, &build, err))
        return err->class == ERR_NOT_FOUND ? 0 : -1;
    return retry_if_failed(tx, app, &build, release.sha, err);
}

/* A new try of what failed: the build goes back into the queue, the rejection is forgotten. */
static int forget_failures(struct tx *tx, struct app_row *app, struct err *err)
{
    bool forgotten;

    if (app->wanted_build_id) {
        auto_build build = { 0 };
        if (store_get_build(tx, app->wanted_build_id, &build, err) ||
            retry_if_failed(tx, app, &build, app->wanted_sha, err))
            return -1;
    }
    if (retry_rebuild(tx, app, app->live_release_id, err) ||
        retry_rebuild(tx, app, app->wanted_release_id, err))
        return -1;
    return app->wanted_release_id
               ? store_forget_rejection(tx, app->wanted_release_id, &forgotten, err)
               : 0;
}

int apps_deploy(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    int64_t seq;

    if (app_to_change(call, params, &caller, &tx, &app, err) || store_last_event(tx, &seq, err) ||
        (json_is_true(json_object_get(params, "retry")) && forget_failures(tx, &app, err)) ||
        (app.repository_id && store_add_work(tx, "fetcher", app.repository_id, 0, err)) ||
        store_add_work(tx, "registrar", app.id, 0, err) ||
        store_add_work(tx, "synchronizer", app.id, 0, err) ||
        note_event(tx, &app, "app", "DeployAsked", NULL, err, "deploy asked for by %s",
                   caller.name) ||
        tx_commit(&tx, err))
        return -1;
    *result = json_pack("{s:s, s:s?, s:I}", "app", app.name, "commit", app.wanted_sha, "seq", seq);
    return 0;
}

/* Only what runs as it is wanted can be restarted: elsewhere the new release would not go live. */
static int check_restart(struct tx *tx, const struct app_row *app, struct err *err)
{
    auto_release live = { 0 };

    if (app->deleting)
        return err_set(err, ERR_CONFLICT, "%s is being destroyed", app->name);
    if (!app->running || !app->live_release_id) {
        err_set(err, ERR_CONFLICT, "%s %s: there is nothing to restart", app->name,
                app->running ? "is not live" : "is stopped");
        return err_hint(err, app->running ? "`evenkeel explain` says why" : "`evenkeel start`");
    }
    if (app->hold) {
        err_set(err, ERR_CONFLICT, "%s is held where it is", app->name);
        return err_hint(err, "`evenkeel resume` ends the hold");
    }
    if (store_get_release(tx, app->live_release_id, &live, err))
        return -1;
    return spec_is_site(live.spec)
               ? err_set(err, ERR_CONFLICT, "%s is a site: nothing of it runs", app->name)
               : 0;
}

/* Another number in deploy.restart makes another release of the same artifact, which goes live as
 * any other: no instance stops before its successor serves. */
int apps_restart(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    int64_t seq, generation;

    if (api_app(call, params, TX_WRITE, &caller, &tx, &app, err) || check_restart(tx, &app, err) ||
        store_last_event(tx, &seq, err) ||
        note_event(tx, &app, "app", "RestartAsked", NULL, err, "restart asked for by %s",
                   caller.name))
        return -1;
    json_auto_t *change = json_pack("{s:{s:I}}", "deploy", "restart", app.generation + 1);
    if (change_overlay(api_controller(call), tx, &app, change, caller.name, &generation, err) ||
        tx_commit(&tx, err))
        return -1;
    *result = json_pack("{s:s, s:s?, s:I}", "app", app.name, "commit", app.wanted_sha, "seq", seq);
    return 0;
}

static int place_hold(struct tx *tx, struct app_row *app, const char *reason, bool is_manual,
                      const char *message, struct err *err)
{
    auto_ref ref = { 0 };
    struct err none = { 0 };

    if (app->repository_id && store_get_ref(tx, app->repository_id, app->ref, &ref, &none) &&
        none.class != ERR_NOT_FOUND) {
        *err = none;
        return -1;
    }
    json_auto_t *hold =
        json_pack("{s:s?, s:I, s:s, s:b, s:s, s:I}", "sha", ref.sha, "generation", app->generation,
                  "reason", reason, "is_manual", is_manual, "message", message, "at", tx_now(tx));
    const struct finding finding = { HELD, CONDITION_TRUE, reason, message, 0, NULL };
    if (store_set_hold(tx, app->id, hold, err) || find_condition(tx, app, &finding, err) ||
        store_add_work(tx, "registrar", app->id, 0, err))
        return -1;
    return note_event(tx, app, "app", reason, NULL, err, "%s", message);
}

/* What an earlier release needs may be gone since: its artifact by the keep policy, its hosts to
 * other apps. What the registrar does for a release that becomes wanted is done here. */
static int take_back(struct tx *tx, const struct app_row *app, const struct release_row *release,
                     struct err *err)
{
    auto_build build = { 0 };
    struct err gone = { 0 };
    bool changed;

    /* one that the janitor has retired and is about to remove is gone already */
    if (store_find_build_of(tx, release->artifact, &build, &gone) && gone.class != ERR_NOT_FOUND)
        return *err = gone, -1;
    if (gone.class) {
        err_set(err, ERR_CONFLICT, "what was built for v%lld is not kept any more",
                (long long)release->number);
        return err_hint(err, "push its commit again, or raise deploy.keep for the next time");
    }
    for (size_t i = 0; i < spec_route_count(release->spec); i++) {
        struct route_spec route;
        spec_route(release->spec, i, &route);
        if (store_claim_route(tx, app->id, route.host, route.path, err))
            return -1;
    }
    return spec_is_site(release->spec) ? store_want_site(tx, release->artifact, true, &changed, err)
                                       : 0;
}

static int roll_back(struct tx *tx, struct app_row *app, const struct release_row *release,
                     const char *author, struct err *err)
{
    auto_free char *message =
        xasprintf("rolled back to v%lld by %s; a newer commit or `evenkeel resume` goes on",
                  (long long)release->number, author);
    bool forgotten;

    if (take_back(tx, app, release, err) ||
        place_hold(tx, app, "RolledBack", false, message, err) ||
        store_forget_rejection(tx, release->id, &forgotten, err) ||
        store_set_wanted(tx, app->id, app->generation, release->sha, NULL, release->id, err) ||
        store_release_routes(tx, app->id, err))
        return -1;
    return store_add_work(tx, "synchronizer", app->id, 0, err);
}

int apps_rollback(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    int64_t number = 0, seq;
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_release release = { 0 };
    auto_tx *tx = NULL;

    if (api_release(params, false, &number, err) ||
        app_to_change(call, params, &caller, &tx, &app, err) || store_last_event(tx, &seq, err))
        return -1;
    if (number ? store_find_release(tx, app.id, number, &release, err)
               : store_previous_release(tx, app.id, &release, err)) {
        if (err->class == ERR_NOT_FOUND && number)
            err_field(err, "release", "`evenkeel releases` shows them", "%s has no release v%lld",
                      app.name, (long long)number);
        else if (err->class == ERR_NOT_FOUND)
            err_set(err, ERR_CONFLICT, "%s has no earlier release to go back to", app.name);
        return -1;
    }
    if (roll_back(tx, &app, &release, caller.name, err) || tx_commit(&tx, err))
        return -1;
    *result =
        json_pack("{s:I, s:s?, s:I}", "release", release.number, "commit", release.sha, "seq", seq);
    return 0;
}

int apps_hold(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    const char *message;

    if (api_caller(call, params, &caller, err) ||
        api_text(params, "message", false, &message, err) ||
        app_to_change(call, params, &caller, &tx, &app, err))
        return -1;
    auto_free char *text =
        xasprintf("held by %s%s%.200s", caller.name, message ? ": " : "", message ? message : "");
    if (place_hold(tx, &app, "Held", true, text, err) ||
        app_view(api_controller(call), tx, app.id, result, err))
        return -1;
    return tx_commit(&tx, err);
}

int apps_resume(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;

    if (app_to_change(call, params, &caller, &tx, &app, err) ||
        store_set_hold(tx, app.id, NULL, err) || store_clear_condition(tx, app.id, HELD, err) ||
        store_add_work(tx, "registrar", app.id, 0, err) ||
        note_event(tx, &app, "app", "Resumed", NULL, err, "resumed by %s", caller.name) ||
        app_view(api_controller(call), tx, app.id, result, err))
        return -1;
    return tx_commit(&tx, err);
}
