/* One wanted instance. The act follows from what is seen, never from what was done before:
 *
 *     absent ───────────────────────► create
 *     created, as wanted ───────────► start      (StartFailed when it was tried before)
 *     paused ───────────────────────► unpause
 *     exited ───────────────────────► none       (Exited, OutOfMemory)
 *     running, unready past grace ──► none       (ProbeFailing)
 *     not as wanted any more ───────► replace    (one that serves waits its turn: converge.c)
 *     somebody else's ──────────────► none ever  (NameTaken)
 *
 * With replace_broken, StartFailed, Exited, OutOfMemory and ProbeFailing are reported and replaced
 * in one call. Replacing is ending (SIGTERM, time, SIGKILL, removal, over several calls) and
 * then creating: a fresh file system every time. */
#include "controller/backend/docker/slot.h"

#include <string.h>

#include "base/mem.h"
#include "controller/backend/docker/body.h"
#include "controller/backend/docker/probe.h"

/* ---- planning ---- */

static void slot_init(struct slot *slot)
{
    struct body_want want = { .prefix = slot->docker->prefix,
                              .installation = slot->docker->installation,
                              .app = slot->app,
                              .release = slot->release,
                              .process = &slot->process,
                              .index = slot->index };

    slot->name = body_container_name(&want);
    slot->network = body_network_name(want.prefix, slot->app->project);
    slot->body = body_container(&want);
}

static void slot_done(struct slot *slot)
{
    free(slot->name);
    free(slot->network);
    free(slot->message);
    if (slot->ended)
        instance_seen_done(slot->ended);
    free(slot->ended);
    json_decref(slot->body);
    container_done(&slot->container);
}

void slots_init(struct slots *slots, struct docker *docker, const struct app_want *app,
                const struct release_want *release)
{
    struct process_spec process;
    struct deploy_spec deploy;

    *slots = (struct slots){ .count = 0 };
    spec_deploy(release->spec, &deploy);
    for (size_t p = 0; p < spec_process_count(release->spec); p++) {
        spec_process(release->spec, p, &process);
        size_t more = process.replicas > 0 ? (size_t)process.replicas : 0;
        slots->items = xreallocarray(slots->items, slots->count + more + 1, sizeof *slots->items);
        for (size_t i = 1; i <= more; i++) {
            struct slot *slot = &slots->items[slots->count++];
            *slot = (struct slot){ .docker = docker,
                                   .app = app,
                                   .release = release,
                                   .process = process,
                                   .index = (int64_t)i,
                                   .stop_ms = deploy.stop_ms };
            slot_init(slot);
        }
    }
}

void slots_done(struct slots *slots)
{
    for (size_t i = 0; i < slots->count; i++)
        slot_done(&slots->items[i]);
    free(slots->items);
    *slots = (struct slots){ .count = 0 };
}

/* ---- looking ---- */

static void trouble(struct slot *slot, const char *reason, char *message)
{
    free(slot->message);
    slot->reason = reason;
    slot->message = message;
}

bool slot_is_ready(const struct slot *slot)
{
    return slot->container.status == CONTAINER_RUNNING && slot->note.is_ready &&
           slot->note.stopping_ms == 0;
}

/* Without an address (cut off from its network) it is never probed, and serves nobody. */
bool slot_may_serve(const struct slot *slot)
{
    bool is_cut_off = slot->process.port > 0 && !slot->container.address;

    return !is_cut_off && slot->container.status == CONTAINER_RUNNING &&
           slot->note.stopping_ms == 0 &&
           (slot->note.is_ready || slot->note.failures < FAILURES_MAX);
}

static bool is_past_grace(const struct slot *slot)
{
    int64_t age = clock_now_ms(slot->docker->clock) - slot->container.started_ms;

    return slot->note.failures >= FAILURES_MAX && !slot->note.is_ready &&
           age >= slot->process.check.grace_ms;
}

static void note_exit(struct slot *slot)
{
    const struct container *c = &slot->container;
    long long mib = slot->process.memory >> 20;

    if (c->is_oom_killed && c->exit_code != 0)
        trouble(slot, "OutOfMemory",
                xasprintf("%s was killed: it needed more than its %lld MiB of memory", slot->name,
                          mib));
    else
        trouble(slot, "Exited",
                xasprintf("%s exited with code %lld", slot->name, (long long)c->exit_code));
}

/* An exited, unstartable or unready one: what is wrong with it, and replaced if it may be now. */
static void choose_broken(struct slot *slot)
{
    if (slot->container.status == CONTAINER_EXITED)
        note_exit(slot);
    else if (slot->container.failure)
        trouble(slot, "StartFailed",
                xasprintf("%s cannot be started: %s", slot->name, slot->container.failure));
    if (slot->release->replace_broken)
        slot->act = SLOT_REPLACE;
}

static void choose_ours(struct slot *slot)
{
    enum container_status status = slot->container.status;

    if (slot->note.stopping_ms || slot->is_drifted || status == CONTAINER_DEAD)
        slot->act = SLOT_REPLACE;
    else if (status == CONTAINER_EXITED || slot->container.failure ||
             (status == CONTAINER_RUNNING && is_past_grace(slot)))
        choose_broken(slot);
    else if (status == CONTAINER_CREATED)
        slot->act = SLOT_START;
    else if (status == CONTAINER_PAUSED)
        slot->act = SLOT_UNPAUSE;
}

static bool is_of_this_app(const struct slot *slot)
{
    return docker_is_ours(slot->docker, &slot->container) &&
           strcmp(container_label(&slot->container, LABEL_APP), slot->app->app_id) == 0;
}

static void choose(struct slot *slot)
{
    slot->act = SLOT_LEAVE;
    trouble(slot, NULL, NULL);
    if (slot->container.status == CONTAINER_ABSENT)
        slot->act = SLOT_CREATE;
    else if (slot->container.status == CONTAINER_LEAVING)
        return;
    else if (is_of_this_app(slot))
        choose_ours(slot);
    else
        trouble(slot, "NameTaken",
                xasprintf("a container named %s exists and belongs to something else", slot->name));
}

int slot_look(struct slot *slot, struct err *err)
{
    container_done(&slot->container);
    if (docker_inspect(slot->docker, slot->name, slot->network, &slot->container, err))
        return -1;
    slot->is_drifted = false;
    slot->note = (struct note){ .is_ready = false };
    if (slot->container.status != CONTAINER_ABSENT) {
        slot->note = notes_get(slot->docker->notes, slot->container.id);
        slot->is_drifted = container_is_drifted(&slot->container, slot->body);
    }
    choose(slot);
    return 0;
}

/* ---- reporting ---- */

static enum instance_state state_of(const struct slot *slot)
{
    if (slot->reason && strcmp(slot->reason, "NameTaken") == 0)
        return INSTANCE_MISSING;
    switch (slot->container.status) {
    case CONTAINER_CREATED:
        return INSTANCE_CREATED;
    case CONTAINER_RUNNING:
        return slot_is_ready(slot) ? INSTANCE_READY : INSTANCE_RUNNING;
    case CONTAINER_PAUSED:
        return INSTANCE_RUNNING;
    case CONTAINER_EXITED:
        return INSTANCE_EXITED;
    case CONTAINER_ABSENT:
    case CONTAINER_LEAVING:
    case CONTAINER_DEAD:
        break;
    }
    return INSTANCE_MISSING;
}

/* Last lines are worth a call when something went wrong. */
static char *last_lines(const struct slot *slot, enum instance_state state)
{
    bool is_wrong = state == INSTANCE_EXITED ||
                    (state == INSTANCE_RUNNING && slot->note.failures >= FAILURES_MAX);

    return is_wrong ? docker_last_lines(slot->docker, slot->container.id) : NULL;
}

void slot_seen(struct slot *slot, struct instance_seen *seen)
{
    enum instance_state state = state_of(slot);
    const char *address = slot->container.address, *probe = slot->note.probe;

    if (slot->ended) {
        *seen = *slot->ended;
        *slot->ended = (struct instance_seen){ .name = NULL };
        return;
    }
    *seen = (struct instance_seen){ .name = xstrdup(slot->name),
                                    .process = xstrdup(slot->process.name),
                                    .index = slot->index,
                                    .state = state,
                                    .port = slot->process.port,
                                    .log = last_lines(slot, state) };
    if (state == INSTANCE_MISSING)
        return;
    seen->address = address ? xstrdup(address) : NULL;
    seen->probe = *probe ? xstrdup(probe) : NULL;
    seen->started_ms = slot->container.started_ms;
    seen->start_failed = state == INSTANCE_CREATED && slot->container.failure;
    seen->exit_code = slot->container.exit_code;
    seen->oom_killed = slot->container.is_oom_killed;
}

/* ---- doing ---- */

/* The daemon said no, with a reason code for it; or it is away. */
static void refused(struct slot *slot, const char *reason, const struct err *err)
{
    if (docker_is_away(err))
        slot->err = *err;
    else
        trouble(slot, reason, xstrdup(err->text));
}

/* A name that was taken meanwhile is looked at in the next call. */
static bool create(struct slot *slot)
{
    struct err err = { .class = ERR_NONE };

    if (docker_create(slot->docker, slot->name, slot->body, &err) == 0)
        return true;
    if (err.class != ERR_CONFLICT)
        refused(slot, err.class == ERR_NOT_FOUND ? "ImageMissing" : "CreateFailed", &err);
    return false;
}

static void start(struct slot *slot)
{
    struct err err = { .class = ERR_NONE };

    if (docker_start(slot->docker, slot->name, &err))
        refused(slot, "StartFailed", &err);
}

/* A conflict: somebody else was faster. */
static void unpause(struct slot *slot)
{
    struct err err = { .class = ERR_NONE };

    if (engine_post(slot->docker->engine, NULL, NULL, &err, "/containers/%s/unpause",
                    slot->container.id) &&
        err.class != ERR_CONFLICT)
        refused(slot, "UnpauseFailed", &err);
}

static bool end(struct slot *slot)
{
    struct err err = { .class = ERR_NONE };
    bool is_gone = false;

    if (docker_end(slot->docker, &slot->container, slot->stop_ms, &is_gone, &err))
        refused(slot, "RemoveFailed", &err);
    return is_gone;
}

static void act(struct slot *slot)
{
    switch (slot->act) {
    case SLOT_CREATE:
        if (create(slot))
            start(slot);
        break;
    case SLOT_REPLACE:
        if (end(slot) && create(slot))
            start(slot);
        break;
    case SLOT_START:
        start(slot);
        break;
    case SLOT_UNPAUSE:
        unpause(slot);
        break;
    case SLOT_LEAVE:
        break;
    }
}

/* What ended is reported in the call that replaces it, or its exit and last words would be lost. */
static void keep_ended(struct slot *slot)
{
    if (slot->act != SLOT_REPLACE || !slot->reason)
        return;
    struct instance_seen *ended = xcalloc(1, sizeof *ended);
    slot_seen(slot, ended);
    slot->ended = ended;
}

void slot_do(struct slot *slot)
{
    keep_ended(slot);
    act(slot);
    const char *reason = slot->reason;
    auto_free char *message = take(&slot->message);
    if (slot->err.class || slot_look(slot, &slot->err))
        return;
    if (reason)
        trouble(slot, reason, take(&message));
}

/* ---- probing ---- */

static bool is_due(const struct slot *slot)
{
    int64_t age = clock_mono_ms(slot->docker->clock) - slot->note.probed_ms;

    return !slot->note.is_ready || age >= slot->process.check.interval_ms;
}

static bool has_lived(const struct slot *slot, struct note *note)
{
    int64_t age = clock_now_ms(slot->docker->clock) - slot->container.started_ms;

    snprintf(note->probe, sizeof note->probe, "running for %lld ms", (long long)age);
    return age >= slot->process.check.grace_ms;
}

/* A process without a port cannot fail a probe, only exit. */
static void count(struct note *note, bool is_well, bool has_port)
{
    if (is_well)
        note->is_ready = true;
    note->failures = is_well || !has_port ? 0 : note->failures + 1;
    if (note->failures >= FAILURES_MAX)
        note->is_ready = false;
}

void slot_probe(struct slot *slot)
{
    const struct container *c = &slot->container;
    struct note *note = &slot->note;
    bool has_port = slot->process.port > 0, is_well;

    if (c->status != CONTAINER_RUNNING || slot->reason || note->stopping_ms || !is_due(slot) ||
        (has_port && !c->address))
        return;
    is_well = has_port ? probe_instance(c->address, slot->process.port, &slot->process.check,
                                        note->probe, sizeof note->probe)
                       : has_lived(slot, note);
    count(note, is_well, has_port);
    note->probed_ms = clock_mono_ms(slot->docker->clock);
    notes_set(slot->docker->notes, c->id, note);
}
