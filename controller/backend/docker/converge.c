/* One piece of the way from what is to what is wanted.
 *
 * Nothing is remembered of earlier calls but the notes on probes: each call looks at every wanted
 * name (slot.c), acts on at most ACTS_MAX of them, probes those that run, and reports. So it is the
 * same after a restart, and a second call beside a finished state does nothing but look.
 *
 * An instance that serves but is not as wanted any more is only replaced when all of its release
 * are ready, one at a time, so that a changed format of the create body (a new version of this
 * program) does not take an app down. One whose readiness is not known yet, because this program
 * just started, may serve: it is probed first. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "controller/backend/docker/slot.h"

enum { ACTS_MAX = 4, PROBES_MAX = 16, GONE_MAX = 4 };

/* ---- instances that end ---- */

struct leaver {
    struct docker *docker;
    const char *name;
    int64_t stop_ms;
    bool is_gone;
    struct err err;
};

static void end_leaver(void *item, void *arg)
{
    struct leaver *leaver = item;
    struct docker *docker = leaver->docker;
    auto_container container = { .json = NULL };

    (void)arg;
    if (docker_inspect(docker, leaver->name, NULL, &container, &leaver->err))
        return;
    if (container.status != CONTAINER_ABSENT && !docker_is_ours(docker, &container)) {
        log_warn("not ending a container of somebody else", S("container", leaver->name));
        leaver->is_gone = true;
        return;
    }
    docker_end(docker, &container, leaver->stop_ms, &leaver->is_gone, &leaver->err);
}

static int end_gone(struct docker *docker, const struct app_want *want, size_t *left,
                    struct err *err)
{
    auto_free struct leaver *leavers = xcalloc(want->gone_count + 1, sizeof *leavers);
    auto_free void **items = xcalloc(want->gone_count + 1, sizeof *items);

    for (size_t i = 0; i < want->gone_count; i++) {
        leavers[i] = (struct leaver){ .docker = docker,
                                      .name = want->gone[i],
                                      .stop_ms = want->gone_stop_ms[i] };
        items[i] = &leavers[i];
    }
    work_each(items, want->gone_count, GONE_MAX, end_leaver, NULL);
    *left = 0;
    for (size_t i = 0; i < want->gone_count; i++) {
        if (leavers[i].err.class && docker_is_away(&leavers[i].err)) {
            *err = leavers[i].err;
            return -1;
        }
        if (leavers[i].err.class)
            log_warn("ending instance", S("instance", want->gone[i]), E(&leavers[i].err));
        *left += !leavers[i].is_gone;
    }
    return 0;
}

/* ---- choosing ---- */

static size_t count_ready(const struct slots *slots)
{
    size_t ready = 0;

    for (size_t i = 0; i < slots->count; i++)
        ready += slot_is_ready(&slots->items[i]);
    return ready;
}

static size_t count_drifted(const struct slots *slots)
{
    size_t drifted = 0;

    for (size_t i = 0; i < slots->count; i++)
        drifted += slots->items[i].is_drifted;
    return drifted;
}

/* See the head of this file: leaves the acts that may be done now, at most ACTS_MAX. */
static size_t choose_acts(struct slots *slots, void **chosen)
{
    bool may_take_one = count_ready(slots) == slots->count;
    size_t count = 0;

    for (size_t i = 0; i < slots->count; i++) {
        struct slot *slot = &slots->items[i];
        if (slot->act == SLOT_LEAVE || count == ACTS_MAX)
            continue;
        if (slot->act == SLOT_REPLACE && slot_may_serve(slot)) {
            if (!may_take_one)
                continue;
            may_take_one = false;
        }
        chosen[count++] = slot;
    }
    return count;
}

static bool will_create(void **chosen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct slot *slot = chosen[i];
        if (slot->act == SLOT_CREATE || slot->act == SLOT_REPLACE)
            return true;
    }
    return false;
}

/* ---- stages ---- */

static void set_stage(struct release_seen *seen, enum release_stage stage, const char *reason,
                      const char *message)
{
    seen->stage = stage;
    snprintf(seen->reason, sizeof seen->reason, "%s", reason);
    seen->message = message ? xstrdup(message) : NULL;
}

static void set_probing(const struct slots *slots, struct release_seen *seen)
{
    for (size_t i = 0; i < slots->count; i++) {
        const struct slot *slot = &slots->items[i];
        if (slot->note.failures < FAILURES_MAX || slot->note.is_ready)
            continue;
        auto_free char *message = xasprintf("%s is not ready: %s", slot->name, slot->note.probe);
        set_stage(seen, RELEASE_STARTING, "ProbeFailing", message);
        return;
    }
    set_stage(seen, RELEASE_STARTING, "", NULL);
}

static void judge(const struct slots *slots, struct release_seen *seen)
{
    for (size_t i = 0; i < slots->count; i++) {
        const struct slot *slot = &slots->items[i];
        if (!slot->reason)
            continue;
        bool has_no_image = strcmp(slot->reason, "ImageMissing") == 0;
        set_stage(seen, has_no_image ? RELEASE_NO_IMAGE : RELEASE_BROKEN, slot->reason,
                  slot->message);
        return;
    }
    if (count_ready(slots) < slots->count)
        set_probing(slots, seen);
    else if (count_drifted(slots) > 0)
        set_stage(seen, RELEASE_STARTING, "Replacing", "an instance that was changed is replaced");
    else
        set_stage(seen, RELEASE_READY, "", NULL);
}

static void report(struct slots *slots, struct release_seen *seen)
{
    seen->instance_count = slots->count;
    seen->instances = xcalloc(slots->count + 1, sizeof *seen->instances);
    for (size_t i = 0; i < slots->count; i++)
        slot_seen(&slots->items[i], &seen->instances[i]);
}

/* ---- one release ---- */

static void do_slot(void *item, void *arg)
{
    (void)arg;
    slot_do(item);
}

static void probe_slot(void *item, void *arg)
{
    (void)arg;
    slot_probe(item);
}

static int first_error(const struct slots *slots, struct err *err)
{
    for (size_t i = 0; i < slots->count; i++)
        if (slots->items[i].err.class) {
            *err = slots->items[i].err;
            return -1;
        }
    return work_stopping ? err_set(err, ERR_STOPPED, "this program is stopping") : 0;
}

/* What instances need before they are made; what the daemon refuses becomes the stage. */
static int prepare(struct docker *docker, const struct app_want *app,
                   const struct release_want *release, struct release_seen *seen, struct err *err)
{
    enum release_stage stage = RELEASE_READY;
    struct err refusal = { .class = ERR_NONE };

    if (docker_ensure_image(docker, release->image, &refusal))
        stage = RELEASE_NO_IMAGE;
    else if (docker_ensure_network(docker, app, &refusal))
        stage = RELEASE_BROKEN;
    if (docker_is_away(&refusal)) {
        *err = refusal;
        return -1;
    }
    set_stage(seen, stage,
              stage == RELEASE_NO_IMAGE ? "ImageMissing"
              : stage == RELEASE_BROKEN ? "NetworkConflict"
                                        : "",
              stage == RELEASE_READY ? NULL : refusal.text);
    return 0;
}

static int probe_all(struct slots *slots, struct err *err)
{
    auto_free void **items = xcalloc(slots->count + 1, sizeof *items);

    for (size_t i = 0; i < slots->count; i++)
        items[i] = &slots->items[i];
    work_each(items, slots->count, PROBES_MAX, probe_slot, NULL);
    return first_error(slots, err);
}

static int look_all(struct slots *slots, struct err *err)
{
    for (size_t i = 0; i < slots->count; i++)
        if (slot_look(&slots->items[i], err))
            return -1;
    return 0;
}

static int step(struct slots *slots, struct docker *docker, const struct app_want *app,
                const struct release_want *release, struct release_seen *seen, struct err *err)
{
    void *chosen[ACTS_MAX];

    if (look_all(slots, err))
        return -1;
    size_t count = choose_acts(slots, chosen);
    seen->stage = RELEASE_READY;
    if (will_create(chosen, count) && prepare(docker, app, release, seen, err))
        return -1;
    bool is_prepared = seen->stage == RELEASE_READY;
    if (is_prepared)
        work_each(chosen, count, ACTS_MAX, do_slot, NULL);
    if (first_error(slots, err) || probe_all(slots, err))
        return -1;
    if (is_prepared)
        judge(slots, seen);
    report(slots, seen);
    return 0;
}

static int converge_release(struct docker *docker, const struct app_want *app,
                            const struct release_want *release, struct release_seen *seen,
                            struct err *err)
{
    struct slots slots;

    slots_init(&slots, docker, app, release);
    int rc = step(&slots, docker, app, release, seen, err);
    slots_done(&slots);
    return rc ? err_prefix(err, "release v%lld of %s/%s", (long long)release->number, app->project,
                           app->app)
              : 0;
}

int docker_converge(void *self, const struct app_want *want, struct app_seen *seen, struct err *err)
{
    auto_app_seen now = { .release_count = 0 };
    struct docker *docker = self;

    if (end_gone(docker, want, &now.gone_left, err))
        return -1;
    now.releases = xcalloc(want->release_count + 1, sizeof *now.releases);
    now.release_count = want->release_count; /* zeroed ones are fine to free */
    for (size_t i = 0; i < want->release_count; i++)
        if (converge_release(docker, want, &want->releases[i], &now.releases[i], err))
            return -1;
    *seen = now;
    now = (struct app_seen){ .release_count = 0 };
    return 0;
}
