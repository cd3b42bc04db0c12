/* synchronizer: the wanted release of every app → instances, routes, and in the end one live
 * release.
 *
 * A step looks at one app in this order, so that a stop anywhere leaves nothing half done:
 *   1. the router takes requests to the live release; what should not run is marked draining, and
 * may end once the router has acknowledged that;
 *   2. the backend is asked for one piece of the way to the instances that should run;
 *   3. a wanted release that is ready goes live; one that cannot be is rejected.
 * It comes back soon while something is on its way, and not at all when everything is as it should
 * be: then events (a container that died), the store (a spec that changed) or the full pass bring
 * it here. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "controller/sync.h"
#include "controller/wanted.h"
#include "model/spec.h"
#include "store/builds.h"
#include "store/sites.h"
#include "store/work.h"

static void sync_done(struct sync *s)
{
    app_row_done(&s->app);
    release_row_done(&s->wanted);
    release_row_done(&s->live);
    rollout_row_done(&s->rollout);
    instance_list_done(&s->instances);
    for (size_t i = 0; i < s->run_count; i++)
        free(s->run[i].message);
    app_seen_done(&s->seen);
    free(s->gone);
    free(s->gone_stop_ms);
}
#define auto_sync __attribute__((__cleanup__(sync_done))) struct sync

static int load(struct sync *s, const char *app_id, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_READ, &tx, err) || store_get_app(tx, app_id, &s->app, err) ||
        (s->app.wanted_release_id &&
         store_get_release(tx, s->app.wanted_release_id, &s->wanted, err)) ||
        (s->app.live_release_id && store_get_release(tx, s->app.live_release_id, &s->live, err)) ||
        store_app_instances(tx, app_id, &s->instances, err))
        return -1;
    if (store_find_rollout(tx, app_id, &s->rollout, err) && err->class != ERR_NOT_FOUND)
        return -1;
    return 0;
}

static void run(struct sync *s, const struct release_row *release)
{
    s->run[s->run_count++] = (struct running){ .release = release,
                                               .is_site = spec_is_site(release->spec),
                                               .stage = RELEASE_STARTING,
                                               .reason = "" };
}

static bool is_rolling_out(const struct sync *s)
{
    return s->app.running && s->wanted.id &&
           (!s->live.id || strcmp(s->wanted.id, s->live.id) != 0) &&
           strcmp(s->wanted.state, "rejected") != 0;
}

/* What should run: the live release, and beside it the wanted one until it is live itself. */
static void decide(struct sync *s)
{
    if (s->app.running && s->live.id)
        run(s, &s->live);
    if (is_rolling_out(s))
        run(s, &s->wanted);
}

static int end_stale_rollout(struct sync *s, struct err *err)
{
    if (!s->rollout.id || (is_rolling_out(s) && strcmp(s->rollout.release_id, s->wanted.id) == 0))
        return 0;
    return sync_supersede(s, s->app.running ? "another release is wanted" : "the app was stopped",
                          err);
}

/* ---- conditions ---- */

static int find_instances(struct tx *tx, struct sync *s, const struct running *run, struct err *err)
{
    bool is_ready = run->stage == RELEASE_READY;
    auto_free char *message = xasprintf("v%lld: %s", (long long)run->release->number,
                                        is_ready       ? "every process is healthy"
                                        : run->message ? run->message
                                                       : "instances are starting");
    const char *reason = is_ready                      ? "Healthy"
                         : run->reason && *run->reason ? run->reason
                                                       : "Starting";
    const struct finding finding = {
        INSTANCES_READY, is_ready ? CONDITION_TRUE : CONDITION_FALSE, reason, message, 0, NULL
    };
    return find_condition(tx, &s->app, &finding, err);
}

static int find_image(struct tx *tx, struct sync *s, const struct running *run, struct err *err)
{
    bool is_missing =
        run->stage == RELEASE_NO_IMAGE || (run->is_site && run->stage != RELEASE_READY);
    const struct finding finding = { IMAGE_PRESENT,
                                     is_missing ? CONDITION_FALSE : CONDITION_TRUE,
                                     !is_missing    ? "Present"
                                     : run->is_site ? "SiteNotServed"
                                                    : "ImageMissing",
                                     is_missing && run->message ? run->message
                                                                : run->release->artifact,
                                     0,
                                     NULL };
    return find_condition(tx, &s->app, &finding, err);
}

static int find_converged(struct tx *tx, struct sync *s, struct err *err)
{
    auto_free char *live = s->live.id ? xasprintf("v%lld is live", (long long)s->live.number)
                                      : xstrdup("nothing is live yet");
    auto_free char *behind = xasprintf("%s; what is wanted is not built", live);
    bool is_rejected = s->wanted.id && strcmp(s->wanted.state, "rejected") == 0;
    const struct finding stopped = { CONVERGED, CONDITION_TRUE, "Stopped", "the app is stopped",
                                     0,         "app" };
    const struct finding rejected = {
        CONVERGED,  CONDITION_FALSE,
        "Rejected", s->wanted.message ? s->wanted.message : "rejected",
        0,          NULL
    };
    const struct finding waiting = { CONVERGED, CONDITION_FALSE, "NotBuilt", behind, 0, NULL };
    const struct finding good = { CONVERGED, CONDITION_TRUE, "Live", live, 0, NULL };

    if (!s->app.running)
        return find_condition(tx, &s->app, &stopped, err);
    if (is_rejected)
        return find_condition(tx, &s->app, &rejected, err);
    bool is_live;
    if (wanted_is_live(tx, &s->app, NULL, &is_live, err))
        return -1;
    bool is_good = is_live || (s->app.hold && s->live.id);
    return find_condition(tx, &s->app, is_good ? &good : &waiting, err);
}

static int note_conditions(struct sync *s, bool is_routed, struct err *err)
{
    const struct running *last = s->run_count ? &s->run[s->run_count - 1] : NULL;
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_OBSERVE, &tx, err))
        return -1;
    if (is_routed && sync_find_routed(tx, s, err))
        return -1;
    if (last && (find_image(tx, s, last, err) || find_instances(tx, s, last, err)))
        return -1;
    if (!s->app.running && (store_clear_condition(tx, s->app.id, IMAGE_PRESENT, err) ||
                            store_clear_condition(tx, s->app.id, INSTANCES_READY, err)))
        return -1;
    if (!is_rolling_out(s) && find_converged(tx, s, err))
        return -1;
    return tx_commit(&tx, err);
}

/* The backend is away: nothing is known, so nothing is touched. */
static int note_unknown(struct sync *s, const struct err *failure, struct err *err)
{
    const struct finding finding = { INSTANCES_READY,
                                     CONDITION_UNKNOWN,
                                     failure->class == ERR_UNAVAILABLE ? "BackendUnavailable"
                                     : failure->class == ERR_EXISTS    ? "NameTaken"
                                                                       : "BackendFailed",
                                     failure->text,
                                     1000,
                                     "instance" };
    return note_condition(s->c, &s->app, &finding, err);
}

/* ---- the step ---- */

/* A deleted app whose instances and routes are gone leaves the store. */
static int remove_app(struct sync *s, struct err *err)
{
    auto_tx *tx = NULL;
    const struct event event = { s->app.project_id, NULL, "app", "Deleted", s->app.name, NULL };
    bool dropped;

    if (!s->app.deleting || s->instances.count)
        return 0;
    if (tx_begin(s->c->store, TX_WRITE, &tx, err) || store_remove_app(tx, s->app.id, err) ||
        (s->app.wanted_build_id &&
         store_drop_unwanted_build(tx, s->app.wanted_build_id, &dropped, err)) ||
        store_add_event(tx, &event, err) || store_add_work(tx, "janitor", "all", 0, err))
        return -1;
    s->again_ms = -1;
    return tx_commit(&tx, err);
}

static int observe(struct sync *s, struct err *err)
{
    struct err failure = { 0 };

    if (sync_observe(s, &failure) == 0)
        return 0;
    if (failure.class != ERR_STOPPED && note_unknown(s, &failure, err))
        return -1;
    *err = failure;
    return -1;
}

/* Live instances that are not all ready are looked at again soon; the back-off of a restart has its
 * own time. */
static int watch_live(struct sync *s, struct err *err)
{
    enum { STARTING_MS = 250, BROKEN_MS = 2000 };
    const struct running *live = sync_find(s, s->live.id);
    bool is_building;

    if (live && live->stage == RELEASE_STARTING)
        sync_again(s, STARTING_MS);
    else if (live && live->stage != RELEASE_READY)
        sync_again(s, BROKEN_MS);
    return live && live->stage == RELEASE_NO_IMAGE ? sync_rebuild(s, live, &is_building, err) : 0;
}

int synchronizer_step(struct controller *c, const char *app_id, int64_t *again_ms, struct err *err)
{
    auto_sync s = { .c = c, .again_ms = -1 };
    struct err route_failure = { 0 };

    if (load(&s, app_id, err))
        return err->class == ERR_NOT_FOUND ? 0 : -1;
    if (end_stale_rollout(&s, err))
        return -1;
    decide(&s);
    if (sync_mark_draining(&s, err))
        return -1;
    const struct release_row *routed = s.app.running && s.live.id ? &s.live : NULL;
    bool is_routed = sync_route(&s, routed, &route_failure) == 0;
    if (is_routed)
        sync_drain(&s);
    if (observe(&s, err) || note_conditions(&s, is_routed, err))
        return -1;
    if (is_routed && sync_route(&s, routed, &route_failure)) /* as the instances are now */
        is_routed = false;
    /* a refused live release is no reason to keep back the one that may mend it */
    if (!is_routed && !(is_rolling_out(&s) && sync_is_refusal(&route_failure))) {
        *err = route_failure;
        return -1;
    }
    if (watch_live(&s, err) || (is_rolling_out(&s) && sync_roll_out(&s, err)) ||
        remove_app(&s, err))
        return -1;
    *again_ms = s.again_ms;
    return 0;
}

/* One listing of what runs, compared by name with what is written down: apps that miss an instance
 * are looked at, each by its own step, which asks the backend again. See janitor.c for the other
 * direction: what runs and is not written down. */
static int list_running(struct controller *c, json_t *names, struct err *err)
{
    struct owned_list owned = { 0 };

    if (c->backend->list_owned(c->backend->self, &owned, err))
        return -1;
    for (size_t i = 0; i < owned.count; i++)
        if (owned.items[i].is_running)
            json_array_append_new(names, json_string(owned.items[i].name));
    owned_list_done(&owned);
    return 0;
}

/* With the backend away no instance is seen to run: each of their apps is looked at, and says so.
 */
int synchronizer_pass(struct controller *c, struct err *err)
{
    struct err failure = { 0 };
    json_auto_t *names = json_array();
    auto_tx *tx = NULL;
    int64_t lost;

    if (c->router->check(c->router->self, err))
        log_warn("checking the router", E(err));
    /* Whatever the listing failed of (a daemon that is killed cuts connections in more than one
     * way), each app's step looks again and says what it finds. */
    list_running(c, names, &failure);
    if (tx_begin(c->store, TX_OBSERVE, &tx, err) || store_add_moving(tx, err) ||
        store_add_work_for_lost_instances(tx, names, &lost, err) || tx_commit(&tx, err))
        return -1;
    *err = failure;
    return failure.class ? -1 : 0;
}
