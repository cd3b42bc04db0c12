/* A rollout: from a release that is wanted to one that is live, or rejected.
 *
 *     starting ── all instances ready ──► routing ── router acknowledged ──► live
 *        │  │                               │  │
 *        │  └─ image missing ──► waiting,   │  └─ router away ──► waiting: the time stands still
 *        │                       while it   │
 *        │                       is built   └─ refused ──► the live one's routes again, another try
 *        │
 *        └──── deploy.timeout, or an instance that ended three times ──► rejected: remembered with
 * evidence, the live one never stopped serving
 *
 * deploy.timeout is for the whole way, but counts only what the release can be blamed for: time
 * between two steps, at most STEP_MAX_MS of it (so no downtime of this program), and none while the
 * router is away or the image is built again.
 *
 * Nothing is kept in memory between steps: where it stands is derived from what the backend and the
 * router say. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/sync.h"
#include "model/spec.h"
#include "store/builds.h"
#include "store/work.h"

enum {
    STEP_MAX_MS = 10000,
    LOOK_MIN_MS = 50,
    LOOK_MAX_MS = 1000,
    REFUSED_MIN_MS = 1000,
    RESTARTS_MAX = 3
};

static int start(struct sync *s, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_WRITE, &tx, err) ||
        store_start_rollout(tx, s->app.id, s->wanted.id, s->live.id, &s->rollout, err) ||
        note_event(tx, &s->app, "rollout", "RolloutStarted", NULL, err, "v%lld is rolling out",
                   (long long)s->wanted.number))
        return -1;
    return tx_commit(&tx, err);
}

int sync_supersede(struct sync *s, const char *why, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_WRITE, &tx, err) ||
        store_end_rollout(tx, s->rollout.id, "superseded", why, err) ||
        note_event(tx, &s->app, "rollout", "RolloutSuperseded", NULL, err, "the rollout ended: %s",
                   why) ||
        tx_commit(&tx, err))
        return -1;
    rollout_row_done(&s->rollout);
    s->rollout = (struct rollout_row){ 0 };
    return 0;
}

/* ---- live ---- */

static int note_live(struct tx *tx, struct sync *s, struct err *err)
{
    auto_free char *message = xasprintf("v%lld is live", (long long)s->wanted.number);
    const struct finding finding = { CONVERGED, CONDITION_TRUE, "Live", message, 0, NULL };
    return find_condition(tx, &s->app, &finding, err);
}

static int go_live(struct sync *s, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_WRITE, &tx, err) ||
        store_set_live(tx, s->app.id, s->wanted.id, err) ||
        (s->live.id && store_set_release_state(tx, s->live.id, "retired", err)) ||
        store_set_release_state(tx, s->wanted.id, "live", err) ||
        store_end_rollout(tx, s->rollout.id, "live", NULL, err) ||
        store_release_routes(tx, s->app.id, err) || note_live(tx, s, err) ||
        note_event(tx, &s->app, "rollout", "RolloutLive", NULL, err, "v%lld is live",
                   (long long)s->wanted.number) ||
        (s->app.repository_id && store_add_work(tx, "fetcher", s->app.repository_id, 0, err)) ||
        store_add_work(tx, "janitor", s->app.id, 60000, err))
        return -1;
    sync_again(s, 0); /* the old ones drain */
    return tx_commit(&tx, err);
}

/* ---- rejected ---- */

static json_t *evidence_of(const struct running *run)
{
    json_t *list = json_array();

    for (size_t i = 0; run->seen && i < run->seen->instance_count; i++) {
        const struct instance_seen *one = &run->seen->instances[i];
        json_array_append_new(list, json_pack("{s:s, s:i, s:I, s:b, s:s?, s:s?}", "instance",
                                              one->name, "state", (int)one->state, "exit_code",
                                              one->exit_code, "oom_killed", one->oom_killed,
                                              "probe", one->probe, "log", one->log));
    }
    return json_pack("{s:s, s:s?, s:o}", "reason", run->reason ? run->reason : "", "message",
                     run->message, "instances", list);
}

/* The lines that a person needs to see why: each unready instance's last probe and last log lines,
 * as events. */
static int note_evidence(struct tx *tx, struct sync *s, const struct running *run, struct err *err)
{
    for (size_t i = 0; run->seen && i < run->seen->instance_count; i++) {
        const struct instance_seen *one = &run->seen->instances[i];
        if (one->state == INSTANCE_READY)
            continue;
        if (one->probe && note_event(tx, &s->app, "instance", "Probe", NULL, err, "%s: %s",
                                     one->name, one->probe))
            return -1;
        if (one->state != INSTANCE_EXITED && one->log && *one->log && /* else said at its end */
            note_event(tx, &s->app, "instance", "LastLines", NULL, err, "%s last said:\n%s",
                       one->name, one->log))
            return -1;
    }
    return 0;
}

static int reject(struct sync *s, const struct running *run, const char *why, struct err *err)
{
    /* An instance that ended may have been started again just now: then its end is the trouble. */
    const char *trouble = run->message ? run->message : s->rollout.message;
    auto_free char *message = xasprintf("v%lld was rejected: %s%s%s", (long long)s->wanted.number,
                                        why, trouble ? ": " : "", trouble ? trouble : "");
    const char *reason = run->reason && *run->reason ? run->reason : "NotReadyInTime";
    const struct finding finding = { CONVERGED, CONDITION_FALSE, "Rejected", message, 0, NULL };
    json_auto_t *evidence = evidence_of(run);
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_WRITE, &tx, err) ||
        store_reject_release(tx, s->wanted.id, reason, message, evidence, err) ||
        store_end_rollout(tx, s->rollout.id, "failed", message, err) ||
        find_condition(tx, &s->app, &finding, err) || note_evidence(tx, s, run, err) ||
        note_event(tx, &s->app, "rollout", "Rejected", NULL, err, "%s%s", message,
                   s->live.id ? "; the release before it goes on serving" : ""))
        return -1;
    sync_again(s, 0); /* its instances go */
    return tx_commit(&tx, err);
}

/* ---- on the way ---- */

static int note_rebuild(struct tx *tx, struct sync *s, const struct running *run,
                        const struct build_row *build, bool is_building, struct err *err)
{
    auto_free char *message =
        xasprintf("%s; build %s, which made it, %s%s%s", run->message ? run->message : "gone",
                  build->id, is_building ? "runs again" : "did not make it again",
                  build->message ? ": " : "", build->message ? build->message : "");
    const struct finding finding = { IMAGE_PRESENT, CONDITION_FALSE, "ImageMissing", message, 0,
                                     NULL };
    return find_condition(tx, &s->app, &finding, err);
}

/* An image of this daemon alone that is gone cannot be pulled: the build that made it runs again,
 * also for an app that is held (that says "not past this", not "without this") or whose newer
 * release was rejected. A build that then fails is not repeated. */
int sync_rebuild(struct sync *s, const struct running *run, bool *is_building, struct err *err)
{
    const struct release_row *release = run->release;
    auto_build build = { 0 };
    auto_tx *tx = NULL;

    *is_building = false;
    if (!release->ref || !text_starts(release->ref, "sha256:"))
        return 0;
    if (tx_begin(s->c->store, TX_WRITE, &tx, err) ||
        store_find_build_of(tx, release->artifact, &build, err))
        return err->class == ERR_NOT_FOUND ? 0 : -1;
    bool is_new = strcmp(build.state, "succeeded") == 0;
    bool is_under_way = strcmp(build.state, "queued") == 0 || strcmp(build.state, "running") == 0;
    if (is_new &&
        (store_rebuild(tx, build.id, &s->app, release->sha, err) ||
         note_event(tx, &s->app, "build", "ImageMissing", NULL, err,
                    "the image of v%lld is gone; it is built again", (long long)release->number) ||
         store_add_work(tx, "registrar", s->app.id, 0, err)))
        return -1;
    if (note_rebuild(tx, s, run, &build, is_new || is_under_way, err) || tx_commit(&tx, err))
        return -1;
    *is_building = is_new || is_under_way;
    return 0;
}

static bool keeps_ending(const struct sync *s, const struct running *run)
{
    for (size_t i = 0; i < s->instances.count; i++)
        if (strcmp(s->instances.items[i].release_id, run->release->id) == 0 &&
            s->instances.items[i].restarts >= RESTARTS_MAX)
            return run->stage == RELEASE_BROKEN;
    return false;
}

/* Where it stands now. The time since the step before counts, unless that was waiting. */
static int note_step(struct sync *s, const char *step, const char *what, struct err *err)
{
    int64_t count_ms = strcmp(s->rollout.step, "waiting") == 0 ? 0 : STEP_MAX_MS;
    auto_free char *message = xasprintf("v%lld: %s%s%s", (long long)s->wanted.number, step,
                                        what ? ": " : "", what ? what : "");
    const struct finding finding = { CONVERGED, CONDITION_FALSE, "RollingOut", message, 0, NULL };
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_OBSERVE, &tx, err) ||
        store_step_rollout(tx, &s->rollout, step, what, count_ms, false, err) ||
        find_condition(tx, &s->app, &finding, err) || tx_commit(&tx, err))
        return -1;
    free(s->rollout.step);
    s->rollout.step = xstrdup(step);
    return 0;
}

static int note_stage(struct sync *s, const struct running *run, struct err *err)
{
    static const char *const steps[] = { [RELEASE_NO_IMAGE] = "pulling",
                                         [RELEASE_STARTING] = "starting",
                                         [RELEASE_READY] = "routing",
                                         [RELEASE_BROKEN] = "restarting" };
    return note_step(s, steps[run->stage], run->message, err);
}

/* Often at first, then less: an app that takes a second to start is noticed within 100 ms, one that
 * takes a minute within a second. */
static int64_t look_again_ms(const struct sync *s, int64_t min_ms, int64_t max_ms)
{
    int64_t ms = s->rollout.elapsed_ms / 10;
    return ms < min_ms ? min_ms : ms < max_ms ? ms : max_ms;
}

/* Its instances are ready, but the router did not take its routes. */
static int not_routed(struct sync *s, struct running *run, const struct err *failure,
                      int64_t timeout_ms, struct err *err)
{
    struct err ignored = { 0 };

    if (!sync_is_refusal(failure)) { /* the back-off is the work queue's */
        if (note_step(s, "waiting", failure->text, err))
            return -1;
        *err = *failure;
        return -1;
    }
    if (note_step(s, "refused", failure->text, err))
        return -1;
    sync_route(s, s->live.id ? &s->live : NULL, &ignored); /* else the next step does it */
    if (s->rollout.elapsed_ms < timeout_ms) {
        sync_again(s, look_again_ms(s, REFUSED_MIN_MS, STEP_MAX_MS));
        return 0;
    }
    run->reason = "RouteRefused";
    free(run->message);
    run->message = xstrdup(failure->text);
    return reject(s, run, "the router did not take its routes within deploy.timeout", err);
}

int sync_roll_out(struct sync *s, struct err *err)
{
    struct running *run = sync_find(s, s->wanted.id);
    struct err failure = { 0 };
    struct deploy_spec deploy;

    bool is_building = false;

    if ((!s->rollout.id && start(s, err)) ||
        (run->stage == RELEASE_NO_IMAGE && sync_rebuild(s, run, &is_building, err)))
        return -1;
    if (is_building ? note_step(s, "waiting", run->message, err) : note_stage(s, run, err))
        return -1;
    spec_deploy(s->wanted.spec, &deploy);
    if (run->stage == RELEASE_READY)
        return sync_route(s, &s->wanted, &failure)
                   ? not_routed(s, run, &failure, deploy.timeout_ms, err)
                   : go_live(s, err);
    if (keeps_ending(s, run))
        return reject(s, run, "an instance ended again and again", err);
    if (s->rollout.elapsed_ms >= deploy.timeout_ms && !is_building)
        return reject(s, run, "not every instance was ready within deploy.timeout", err);
    sync_again(s, look_again_ms(s, LOOK_MIN_MS, LOOK_MAX_MS));
    return 0;
}
