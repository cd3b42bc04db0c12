/* One container: looking at it, making it, ending it. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/backend/docker/body.h"
#include "controller/backend/docker/internal.h"

int docker_inspect(struct docker *docker, const char *name, const char *network,
                   struct container *container, struct err *err)
{
    auto_free char *escaped = text_url_escape(name);
    struct err failed = { .class = ERR_NONE };
    json_t *json = NULL;

    *container = (struct container){ .status = CONTAINER_ABSENT };
    if (engine_get(docker->engine, &json, &failed, "/containers/%s/json", escaped) == 0)
        return container_read(json, network, container, err);
    return docker_except(&failed, ERR_NOT_FOUND, err);
}

int docker_except(const struct err *failed, enum err_class fine, struct err *err)
{
    if (failed->class == fine)
        return 0;
    *err = *failed;
    return -1;
}

bool docker_is_ours(const struct docker *docker, const struct container *container)
{
    return strcmp(container_label(container, LABEL_INSTALLATION), docker->installation) == 0;
}

bool docker_is_away(const struct err *err)
{
    return err->class == ERR_UNAVAILABLE || err->class == ERR_TIMEOUT ||
           err->class == ERR_STOPPED || err->class == ERR_UNIMPLEMENTED;
}

/* ---- making ---- */

/* A permit of `creating`, for which nobody waits past the end of the program. */
static int take_permit(struct docker *docker, struct err *err)
{
    struct timespec until;

    while (!work_stopping) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        if (sem_timedwait(&docker->creating, &until) == 0)
            return 0;
    }
    return err_set(err, ERR_STOPPED, "this program is stopping");
}

int docker_create(struct docker *docker, const char *name, const json_t *body, struct err *err)
{
    auto_free char *escaped = text_url_escape(name);

    if (take_permit(docker, err))
        return -1;
    int rc = engine_post(docker->engine, body, NULL, err, "/containers/create?name=%s", escaped);
    sem_post(&docker->creating);
    return rc ? err_prefix(err, "creating %s", name) : 0;
}

int docker_start(struct docker *docker, const char *name, struct err *err)
{
    auto_free char *escaped = text_url_escape(name);

    if (take_permit(docker, err))
        return -1;
    int rc = engine_probe(docker->engine, err) ||
             engine_post(docker->engine, NULL, NULL, err, "/containers/%s/start", escaped);
    sem_post(&docker->creating);
    return rc ? err_prefix(err, "starting %s", name) : 0;
}

/* ---- ending ---- */

/* Away at once, running or not. */
static int delete_now(struct docker *docker, const struct container *container, bool *is_gone,
                      struct err *err)
{
    struct err failed = { .class = ERR_NONE };
    int rc = engine_delete(docker->engine, &failed, "/containers/%s?v=1&force=1", container->id);

    if (rc && failed.class == ERR_CONFLICT) /* its removal is under way already */
        return 0;
    if (rc && docker_except(&failed, ERR_NOT_FOUND, err))
        return err_prefix(err, "removing a container");
    notes_drop(docker->notes, container->id);
    *is_gone = true;
    return 0;
}

static int kill_with(struct docker *docker, const struct container *container, const char *signal,
                     struct err *err)
{
    auto_free char *escaped = text_url_escape(signal);

    return engine_post(docker->engine, NULL, NULL, err, "/containers/%s/kill?signal=%s",
                       container->id, escaped);
}

/* The stop signal is the image's wish; one that the daemon refuses means SIGTERM. */
static int send_stop(struct docker *docker, const struct container *container, struct err *err)
{
    struct err failed = { .class = ERR_NONE };
    int rc =
        container->stop_signal ? kill_with(docker, container, container->stop_signal, &failed) : -1;

    if (rc && !docker_is_away(&failed))
        rc = kill_with(docker, container, "SIGTERM", &failed);
    if (rc == 0 || failed.class == ERR_CONFLICT) /* or it ended by itself */
        return 0;
    return docker_except(&failed, ERR_NOT_FOUND, err) ? err_prefix(err, "stopping a container") : 0;
}

int docker_end(struct docker *docker, const struct container *container, int64_t stop_ms,
               bool *is_gone, struct err *err)
{
    int64_t now = clock_mono_ms(docker->clock);

    *is_gone = container->status == CONTAINER_ABSENT;
    if (*is_gone || container->status == CONTAINER_LEAVING)
        return 0;
    if (container->status != CONTAINER_RUNNING)
        return delete_now(docker, container, is_gone, err);
    struct note note = notes_get(docker->notes, container->id);
    if (note.stopping_ms == 0) {
        note.stopping_ms = now ? now : 1;
        notes_set(docker->notes, container->id, &note);
        return stop_ms > 0 ? send_stop(docker, container, err)
                           : delete_now(docker, container, is_gone, err);
    }
    if (now - note.stopping_ms < stop_ms)
        return 0;
    log_info("container did not end in time", S("container", container->id), I("ms", stop_ms));
    return delete_now(docker, container, is_gone, err);
}
