/* What of an app runs: the backend's instances and the site agents, as the synchronizer sees them
 * in one step. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/network.h"
#include "controller/sync.h"
#include "model/spec.h"
#include "store/builds.h"
#include "store/sites.h"
#include "store/work.h"

/* An instance that ran for so long before it ended begins its back-off anew. */
enum { STEADY_MS = 60000, RESTART_MS = 1000, RESTART_MAX_MS = 300000 };

static const char *const state_names[] = {
    [INSTANCE_MISSING] = "missing", [INSTANCE_CREATED] = "created", [INSTANCE_RUNNING] = "running",
    [INSTANCE_READY] = "ready",     [INSTANCE_EXITED] = "exited",
};

struct running *sync_find(struct sync *s, const char *release_id)
{
    for (size_t i = 0; release_id && i < s->run_count; i++)
        if (strcmp(s->run[i].release->id, release_id) == 0)
            return &s->run[i];
    return NULL;
}

static struct instance_row *find_instance(struct sync *s, const char *name)
{
    for (size_t i = 0; i < s->instances.count; i++)
        if (strcmp(s->instances.items[i].name, name) == 0)
            return &s->instances.items[i];
    return NULL;
}

static json_t *make_env(const struct sync *s, const struct release_row *release)
{
    json_t *env = json_copy((json_t *)(uintptr_t)spec_env(release->spec));

    json_object_set_new(env, "EVENKEEL_APP", json_string(s->app.name));
    json_object_set_new(env, "EVENKEEL_PROJECT", json_string(s->app.project));
    json_object_set_new(env, "EVENKEEL_RELEASE", json_sprintf("v%lld", (long long)release->number));
    json_object_set_new(env, "EVENKEEL_COMMIT", json_string(release->sha ? release->sha : ""));
    return env;
}

/* May instances that exited, or did not start, be started again now? Not before the back-off of
 * each is over. */
static bool may_restart(struct sync *s, const char *release_id)
{
    int64_t now = clock_now_ms(s->c->clock);
    bool may = true;

    for (size_t i = 0; i < s->instances.count; i++) {
        const struct instance_row *row = &s->instances.items[i];
        if (strcmp(row->release_id, release_id) != 0 || row->restart_at <= now)
            continue;
        may = false;
        if (strcmp(row->state, "exited") == 0 || strcmp(row->state, "created") == 0)
            sync_again(s, row->restart_at - now);
    }
    return may;
}

/* ---- recording ---- */

static int64_t restart_delay(int64_t restarts)
{
    int64_t ms = (int64_t)RESTART_MS << (restarts < 10 ? restarts - 1 : 9);
    return ms < RESTART_MAX_MS ? ms : RESTART_MAX_MS;
}

/* A start that the row does not know of is a restart: it is counted, and the next one has to wait
 * longer. So is one that failed, if it was due; else it is an earlier one that is still there. */
static void count_restart(struct sync *s, struct instance_row *row,
                          const struct instance_row *before, const struct instance_seen *seen)
{
    int64_t now = clock_now_ms(s->c->clock);

    row->restarts = before->restarts;
    row->restart_at = before->restart_at;
    if (seen->start_failed && before->restart_at <= now) {
        row->restarts = before->restarts + 1;
        row->restart_at = now + restart_delay(row->restarts);
    }
    if (!before->started_at || !seen->started_ms || seen->started_ms <= before->started_at)
        return;
    row->restarts = seen->started_ms - before->started_at > STEADY_MS ? 1 : before->restarts + 1;
    row->restart_at = now + restart_delay(row->restarts);
}

static bool differs(const struct instance_row *a, const struct instance_row *b)
{
    return strcmp(a->state, b->state) != 0 ||
           strcmp(a->address ? a->address : "", b->address ? b->address : "") != 0 ||
           a->restarts != b->restarts || a->started_at != b->started_at ||
           a->exit_code != b->exit_code || a->drain_at != b->drain_at ||
           strcmp(a->release_id, b->release_id) != 0;
}

static int note_exit(struct tx *tx, struct sync *s, const struct instance_row *before,
                     const struct instance_seen *seen, struct err *err)
{
    if (seen->state != INSTANCE_EXITED || (before && strcmp(before->state, "exited") == 0))
        return 0;
    json_auto_t *data = json_pack("{s:s, s:I, s:b}", "instance", seen->name, "exit_code",
                                  seen->exit_code, "oom_killed", seen->oom_killed);
    if (note_event(tx, &s->app, "instance", seen->oom_killed ? "OutOfMemory" : "Exited", data, err,
                   "%s ended with exit code %lld%s", seen->name, (long long)seen->exit_code,
                   seen->oom_killed ? " (out of memory: raise its memory)" : ""))
        return -1;
    return seen->log && *seen->log ? note_event(tx, &s->app, "instance", "LastLines", NULL, err,
                                                "%s last said:\n%s", seen->name, seen->log)
                                   : 0;
}

static int record_instance(struct tx *tx, struct sync *s, const struct release_row *release,
                           const struct instance_seen *seen, struct err *err)
{
    static const struct instance_row none = { .state = "", .release_id = "" };
    const struct instance_row *before = find_instance(s, seen->name);
    struct instance_row row = { .name = seen->name,
                                .app_id = s->app.id,
                                .release_id = release->id,
                                .process = seen->process,
                                .state = (char *)(uintptr_t)state_names[seen->state],
                                .address = seen->address,
                                .number = seen->index,
                                .port = seen->port,
                                .exit_code = seen->exit_code,
                                .started_at = seen->started_ms };

    count_restart(s, &row, before ? before : &none, seen);
    if (seen->state == INSTANCE_MISSING && before)
        row.started_at = before->started_at;
    if (note_exit(tx, s, before, seen, err))
        return -1;
    return differs(&row, before ? before : &none) ? store_put_instance(tx, &row, err) : 0;
}

static int record(struct sync *s, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_OBSERVE, &tx, err))
        return -1;
    for (size_t i = 0; i < s->run_count; i++) {
        const struct release_seen *seen = s->run[i].seen;
        for (size_t n = 0; seen && n < seen->instance_count; n++)
            if (record_instance(tx, s, s->run[i].release, &seen->instances[n], err))
                return -1;
    }
    for (size_t i = 0; s->seen.gone_left == 0 && i < s->gone_count; i++)
        if (store_remove_instance(tx, s->gone[i], err))
            return -1;
    instance_list_done(&s->instances);
    s->instances = (struct instance_list){ 0 };
    if (store_app_instances(tx, s->app.id, &s->instances, err))
        return -1;
    return tx_commit(&tx, err);
}

/* ---- looking ---- */

/* The names are written down before the backend is asked to make them, so that none can be
 * forgotten. */
static int record_intent(struct sync *s, struct err *err)
{
    auto_tx *tx = NULL;
    bool is_new = false;

    for (size_t r = 0; r < s->run_count; r++) {
        const struct running *run = &s->run[r];
        for (size_t p = 0; !run->is_site && p < spec_process_count(run->release->spec); p++) {
            struct process_spec process;
            spec_process(run->release->spec, p, &process);
            for (int64_t i = 1; i <= process.replicas; i++) {
                auto_free char *name = xasprintf(
                    "%s%s-%s-%s-v%lld-%lld", s->c->config->docker_prefix, s->app.project,
                    s->app.name, process.name, (long long)run->release->number, (long long)i);
                if (find_instance(s, name))
                    continue;
                struct instance_row row = { .name = name,
                                            .app_id = s->app.id,
                                            .release_id = run->release->id,
                                            .number = i,
                                            .process = (char *)(uintptr_t)process.name,
                                            .state = (char *)(uintptr_t) "missing" };
                if ((!tx && tx_begin(s->c->store, TX_WRITE, &tx, err)) ||
                    store_put_instance(tx, &row, err))
                    return -1;
                is_new = true;
            }
        }
    }
    return is_new ? tx_commit(&tx, err) : 0;
}

static int look_at_backend(struct sync *s, struct err *err)
{
    json_t *envs[2] = { NULL, NULL };
    struct release_want wants[2];
    struct running *runs[2];
    size_t count = 0;

    for (size_t i = 0; i < s->run_count; i++) {
        struct running *run = &s->run[i];
        if (run->is_site)
            continue;
        envs[count] = make_env(s, run->release);
        runs[count] = run;
        wants[count] =
            (struct release_want){ run->release->id,
                                   run->release->number,
                                   run->release->ref ? run->release->ref : run->release->artifact,
                                   run->release->spec,
                                   envs[count],
                                   may_restart(s, run->release->id) };
        count++;
    }
    auto_free char *subnet = network_subnet(s->c->config->docker_network_range, s->app.network);
    const struct app_want want = { s->app.project_id, s->app.project, subnet, s->app.id,
                                   s->app.name,       wants,          count,  s->gone,
                                   s->gone_count,     s->gone_stop_ms };
    int rc = count || s->gone_count
                 ? s->c->backend->converge(s->c->backend->self, &want, &s->seen, err)
                 : 0;
    for (size_t i = 0; i < count; i++) {
        json_decref(envs[i]);
        if (rc)
            continue;
        runs[i]->seen = &s->seen.releases[i];
        runs[i]->stage = runs[i]->seen->stage;
        runs[i]->reason = runs[i]->seen->reason;
        runs[i]->message = runs[i]->seen->message ? xstrdup(runs[i]->seen->message) : NULL;
    }
    return rc;
}

static int look_at_agents(struct sync *s, struct running *run, struct err *err)
{
    auto_tx *tx = NULL;
    int64_t served;

    if (tx_begin(s->c->store, TX_READ, &tx, err) ||
        store_count_served(tx, run->release->artifact, &served, &run->message, err))
        return -1;
    run->stage = served > 0 ? RELEASE_READY : run->message ? RELEASE_BROKEN : RELEASE_STARTING;
    run->reason = served > 0 ? "" : "SiteNotServed";
    if (!run->message && !served)
        run->message = xstrdup("no site agent serves it yet");
    return 0;
}

int sync_observe(struct sync *s, struct err *err)
{
    if (record_intent(s, err) || look_at_backend(s, err))
        return -1;
    for (size_t i = 0; i < s->run_count; i++)
        if (s->run[i].is_site && look_at_agents(s, &s->run[i], err))
            return -1;
    return record(s, err);
}
