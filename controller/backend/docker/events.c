/* The event stream, which only makes things be looked at sooner.
 *
 *     ping ── ok ──► T = now ── changed(NULL) ──► events since T … ── broken ──┐
 *      ▲                                                                       │
 *      └──────────── back-off ◄──────────── changed(NULL) when it was there ◄──┘
 *
 * What happens between T and the first byte of the stream is replayed by the daemon, so after
 * changed(NULL) nothing is missed. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/backend/docker/body.h"
#include "controller/backend/docker/internal.h"

enum { BACK_OFF_MS = 250, BACK_OFF_MAX_MS = 10000, SLICE_MS = 100 };

static const char *const actions[] = { "destroy", "die",   "health_status", "oom",   "pause",
                                       "rename",  "start", "unpause",       "update" };

const char *docker_event_app(const json_t *event)
{
    const char *type = json_string_value(json_object_get(event, "Type"));
    const char *action = json_string_value(json_object_get(event, "Action"));
    const json_t *actor = json_object_get(event, "Actor");
    const json_t *attributes = json_object_get(actor, "Attributes");
    const char *app = json_string_value(json_object_get(attributes, LABEL_APP));

    if (!type || strcmp(type, "container") != 0 || !action || !app || !*app)
        return NULL;
    size_t len = strcspn(action, ":"); /* "health_status: healthy" */
    for (size_t i = 0; i < countof(actions); i++)
        if (strlen(actions[i]) == len && memcmp(actions[i], action, len) == 0)
            return app;
    return NULL;
}

static int on_event(void *arg, const json_t *event, struct err *err)
{
    struct docker *docker = arg;
    const char *app = docker_event_app(event);

    (void)err;
    if (app)
        docker->changed(docker->changed_arg, app);
    return 0;
}

static json_t *filters(const struct docker *docker)
{
    auto_free char *label = xasprintf(LABEL_INSTALLATION "=%s", docker->installation);
    json_t *names = json_array();

    for (size_t i = 0; i < countof(actions); i++)
        json_array_append_new(names, json_string(actions[i]));
    return json_pack("{s:[s], s:[s], s:o}", "type", "container", "label", label, "event", names);
}

static int read_events(struct docker *docker, bool *is_there, struct err *err)
{
    json_auto_t *version = NULL;

    if (engine_get(docker->engine, &version, err, "/version"))
        return -1;
    int64_t since = clock_now_ms(docker->clock);
    log_debug("reading container events");
    *is_there = true;
    docker->changed(docker->changed_arg, NULL);
    auto_free char *escaped = engine_filters(filters(docker));
    auto_free char *path = xasprintf("/events?since=%lld.%03lld&filters=%s",
                                     (long long)since / 1000, (long long)since % 1000, escaped);
    struct engine_stream stream = { .method = "GET",
                                    .path = path,
                                    .line = on_event,
                                    .arg = docker,
                                    .cancelled = &docker->closing };
    return engine_stream(docker->engine, &stream, err);
}

static bool is_closing(const struct docker *docker)
{
    return work_stopping || __atomic_load_n(&docker->closing, __ATOMIC_RELAXED);
}

static void back_off(const struct docker *docker, int64_t ms)
{
    for (; ms > 0 && !is_closing(docker); ms -= SLICE_MS)
        work_sleep(SLICE_MS);
}

/* A daemon that starts again may have flushed nothing of ours, but an administrator or another
 * firewall tool may: so the rules are looked after with each connection. */
static void refresh_firewall(const struct docker *docker)
{
    struct err err = { .class = ERR_NONE };

    if (docker->firewall && firewall_apply(docker->firewall, &err))
        log_warn("containers can reach services of this machine", E(&err));
}

static void watch_main(void *arg)
{
    struct docker *docker = arg;
    int64_t wait_ms = BACK_OFF_MS;
    bool is_there = true; /* not being there is worth saying from the start */

    while (!is_closing(docker)) {
        struct err err = { .class = ERR_NONE };
        int64_t began = clock_mono_ms(docker->clock);
        refresh_firewall(docker);
        int rc = read_events(docker, &is_there, &err);
        if (is_closing(docker))
            return;
        if (is_there)
            docker->changed(docker->changed_arg, NULL);
        is_there = false;
        log_warn("container events ended", rc ? E(&err) : S("error", "the daemon closed them"));
        if (clock_mono_ms(docker->clock) - began > BACK_OFF_MAX_MS)
            wait_ms = BACK_OFF_MS;
        back_off(docker, wait_ms);
        wait_ms = wait_ms * 2 < BACK_OFF_MAX_MS ? wait_ms * 2 : BACK_OFF_MAX_MS;
    }
}

int docker_watch(void *self, void (*changed)(void *arg, const char *app_id), void *arg,
                 struct err *err)
{
    struct docker *docker = self;

    if (docker->watcher)
        return err_set(err, ERR_CONFLICT, "container events are being watched already");
    docker->changed = changed;
    docker->changed_arg = arg;
    docker->watcher = thread_start(watch_main, docker);
    return 0;
}
