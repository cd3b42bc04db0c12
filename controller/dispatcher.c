/* dispatcher: queued builds + free slots of builders → leased attempts.
 *
 * Fair between projects: the one with the fewest running builds is next, then the one unserved the
 * longest. The lease is committed before the builder hears of it; if it never does, its link is
 * gone, and the crash detector takes the attempt back. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "controller/builders.h"
#include "controller/conditions.h"
#include "controller/controller.h"
#include "store/builds.h"
#include "store/projects.h"
#include "store/work.h"

enum { WAITING_NOTED = 50 };

static json_t *make_job(struct controller *c, struct tx *tx, const struct build_row *build,
                        struct err *err)
{
    auto_project project = { 0 };
    auto_app app = { 0 };
    auto_free char *installation = NULL;

    if (store_get_project(tx, build->project_id, &project, err) ||
        store_get_setting(tx, "installation", &installation, err))
        return NULL;
    const char *name = store_get_app(tx, build->app_id, &app, err) ? "gone" : app.name;
    auto_free char *tag = xasprintf("evenkeel/%s/%s:%.12s", project.name, name, build->key);
    const json_t *memory = json_object_get(build->spec, "memory"),
                 *cpus = json_object_get(build->spec, "cpus");
    return json_pack("{s:s, s:s, s:s, s:s, s:O?, s:I, s:{s:O?, s:O?}, s:s, s:O, s:n}",
                     "installation", installation, "project", project.name, "app", name, "commit",
                     build->sha ? build->sha : "", "timeout_ms",
                     json_object_get(build->spec, "timeout"), "log_max", c->config->log_max,
                     "limits", "memory", memory, "cpus_milli", cpus, "tag", tag, "build",
                     build->spec, "registry");
}

static int note_started(struct tx *tx, const struct build_row *build,
                        const struct attempt_row *attempt, struct err *err)
{
    auto_id_list apps = { 0 };
    json_auto_t *data = json_pack("{s:s, s:I}", "build", build->id, "attempt", attempt->number);

    if (store_apps_of_build(tx, build->id, &apps, err))
        return -1;
    for (size_t i = 0; i < apps.count; i++) {
        auto_app app = { 0 };
        if (store_get_app(tx, apps.items[i], &app, err) ||
            note_event(tx, &app, "build", "BuildStarted", data, err, "build %s runs on %s",
                       build->id, attempt->builder))
            return -1;
    }
    return 0;
}

/* 1: nothing is queued. The answer for the builder in *job. */
static int lease_next(struct controller *c, const char *builder, char **attempt_id, json_t **job,
                      struct err *err)
{
    auto_wipe char *lease = secret_new("");
    auto_free char *hash = sha256_hex(lease, strlen(lease));
    auto_build build = { 0 };
    auto_attempt attempt = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_WRITE, &tx, err))
        return -1;
    if (store_next_build(tx, &build, err))
        return err->class == ERR_NOT_FOUND ? 1 : -1;
    json_t *details = make_job(c, tx, &build, err);
    if (!details)
        return -1;
    if (store_add_attempt(tx, &build, builder, hash, &attempt, err) ||
        note_started(tx, &build, &attempt, err) || tx_commit(&tx, err)) {
        json_decref(details);
        return -1;
    }
    *job = json_pack("{s:s, s:s, s:s, s:o}", "attempt", attempt.id, "lease", lease, "build",
                     build.id, "job", details);
    *attempt_id = take(&attempt.id);
    return 0;
}

/* Says on the apps whose builds wait why they do. */
static int note_waiting(struct controller *c, struct err *err)
{
    bool has_builder = builders_count(c->builders) > 0;
    auto_id_list queued = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
        store_queued_builds(tx, WAITING_NOTED, &queued, err))
        return -1;
    for (size_t i = 0; i < queued.count; i++) {
        auto_free char *message = xasprintf(
            has_builder ? "build %s waits for a free slot; place %zu in the queue"
                        : "build %s waits, but no builder is connected; place %zu in the queue",
            queued.items[i], i + 1);
        const struct finding finding = {
            BUILD_READY, CONDITION_FALSE, has_builder ? "BuildQueued" : "NoBuilder", message, 0,
            NULL
        };
        auto_id_list apps = { 0 };
        if (store_apps_of_build(tx, queued.items[i], &apps, err))
            return -1;
        for (size_t a = 0; a < apps.count; a++) {
            auto_app app = { 0 };
            if (store_get_app(tx, apps.items[a], &app, err) ||
                find_condition(tx, &app, &finding, err))
                return -1;
        }
    }
    return tx_commit(&tx, err);
}

int dispatcher_step(struct controller *c, const char *subject, int64_t *again_ms, struct err *err)
{
    (void)subject;
    (void)again_ms;
    for (;;) {
        auto_free char *builder = NULL, *attempt = NULL;
        json_t *job = NULL;
        struct rpc_call *call = builders_take(c->builders, &builder);
        if (!call)
            return note_waiting(c, err);
        int rc = lease_next(c, builder, &attempt, &job, err);
        if (rc == 0) {
            builders_hold(c->builders, attempt, rpc_call_session(call));
            rpc_call_end(call, job);
        } else {
            builders_offer(c->builders, call);
        }
        rpc_call_unref(call);
        if (rc)
            return rc < 0 ? -1 : 0;
    }
}

int dispatcher_pass(struct controller *c, struct err *err)
{
    int64_t queued, running;
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
        store_count_builds(tx, &queued, &running, err) ||
        (queued && store_add_work(tx, "dispatcher", "queue", 0, err)))
        return -1;
    return tx_commit(&tx, err);
}
