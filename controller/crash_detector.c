/* crash_detector: leased attempts → their builders are there, or the build is queued again.
 *
 * A builder's link that closes (at once when it dies, after ten silent seconds when its machine
 * does) makes its attempts `away`. One that comes back within the grace and names its leases keeps
 * them. After a restart of the controller every attempt is away until its builder has come back, so
 * the grace is longer then. Time is monotonic: a clock that jumps loses no build. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "controller/builders.h"
#include "controller/conditions.h"
#include "controller/controller.h"
#include "store/builds.h"
#include "store/work.h"

static int note_lost(struct tx *tx, const struct build_row *build,
                     const struct attempt_row *attempt, bool again, struct err *err)
{
    auto_id_list apps = { 0 };

    if (store_apps_of_build(tx, build->id, &apps, err))
        return -1;
    for (size_t i = 0; i < apps.count; i++) {
        auto_app app = { 0 };
        if (store_get_app(tx, apps.items[i], &app, err) ||
            note_event(tx, &app, "build", "BuilderLost", NULL, err,
                       "builder %s was lost in attempt %lld of build %s; %s", attempt->builder,
                       (long long)attempt->number, build->id,
                       again ? "it is queued again" : "it failed"))
            return -1;
    }
    return 0;
}

/* Takes the lease away. Idempotent: an attempt that ended meanwhile is left alone. */
static int lose(struct controller *c, const char *attempt_id, struct err *err)
{
    auto_attempt attempt = { 0 };
    auto_build build = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_WRITE, &tx, err) ||
        store_get_attempt(tx, attempt_id, &attempt, err) ||
        store_get_build(tx, attempt.build_id, &build, err))
        return -1;
    if (strcmp(attempt.state, "running") == 0) {
        bool again = !build.cancel && build.attempts + 1 < BUILD_ATTEMPTS_MAX;
        if (store_end_attempt(tx, attempt_id, "lost", "BuilderLost", "the builder's link is gone",
                              attempt.log_size, err) ||
            store_count_attempt(tx, build.id, err) || note_lost(tx, &build, &attempt, again, err) ||
            (again
                 ? store_requeue_build(tx, build.id, err)
                 : store_end_build(tx, build.id, build.cancel ? "cancelled" : "failed",
                                   build.cancel ? "BuildCancelled" : "BuilderLost",
                                   build.cancel ? build.cancel : "its builder was lost three times",
                                   NULL, err)))
            return -1;
    }
    if (tx_commit(&tx, err))
        return -1;
    builders_drop(c->builders, attempt_id);
    return 0;
}

int crash_detector_step(struct controller *c, const char *subject, int64_t *again_ms,
                        struct err *err)
{
    auto_id_list running = { 0 };
    auto_tx *tx = NULL;
    (void)subject;

    if (tx_begin(c->store, TX_READ, &tx, err) || store_running_attempts(tx, &running, err))
        return -1;
    tx_rollback(&tx);
    for (size_t i = 0; i < running.count; i++) {
        int64_t left = builders_left_ms(c->builders, running.items[i], c->config->lease_grace_ms);
        if (left == INT64_MAX)
            continue;
        if (left <= 0) {
            if (lose(c, running.items[i], err))
                return -1;
        } else if (*again_ms < 0 || left < *again_ms) {
            *again_ms = left;
        }
    }
    return 0;
}

int crash_detector_pass(struct controller *c, struct err *err)
{
    auto_id_list running = { 0 };
    auto_tx *tx = NULL;

    builders_forget_old(c->builders);
    if (tx_begin(c->store, TX_OBSERVE, &tx, err) || store_running_attempts(tx, &running, err) ||
        (running.count && store_add_work(tx, "crash_detector", "leases", 0, err)))
        return -1;
    return tx_commit(&tx, err);
}
