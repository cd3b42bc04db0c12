/* apps.deploy, restart, rollback, hold, resume: which release an app should be at, and whether it
 * goes on from there. */
#include <string.h>

#include "base/mem.h"
#include "controller/api/app_change.h"
#include "controller/api/app_view.h"
#include "controller/api/resources.h"
#include "controller/conditions.h"
#include "model/spec.h"
#include "store/builds.h"
#include "store/releases.h"
#include "store/sites.h"
#include "store/work.h"

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
    if (app_change(api_controller(call), tx, &app, change, caller.name, &generation, err) ||
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
