/* What the files of this folder share. */
#ifndef CONTROLLER_BACKEND_DOCKER_INTERNAL_H
#define CONTROLLER_BACKEND_DOCKER_INTERNAL_H

#include <semaphore.h>

#include "base/work.h"
#include "controller/backend/docker/container.h"
#include "controller/backend/docker/docker.h"
#include "controller/backend/docker/notes.h"
#include "oci/engine.h"

enum {
    IN_FLIGHT_MAX = 4, /* creations at once: the daemon gains nothing from more */
    LOG_TAIL = 20,     /* lines kept of an instance that is in trouble */
};

struct firewall {
    char *chain, *range;
    int64_t *ports;
    size_t port_count;
};

struct docker {
    struct backend backend;
    struct engine *engine;
    struct notes *notes;
    const struct clock *clock;
    char *prefix, *installation;
    char *registry, *registry_user, *registry_password; /* NULL: none */
    sem_t creating;                                     /* IN_FLIGHT_MAX permits */
    struct firewall *firewall;                          /* NULL: not wanted */

    /* The event reader; see events.c. */
    struct thread *watcher;
    bool closing; /* set atomically by close, read by the event reader */
    void (*changed)(void *arg, const char *app_id);
    void *changed_arg;
};

/* ---- instance.c: one container by name ---- */

/* Absent is success, with status CONTAINER_ABSENT. */
int docker_inspect(struct docker *docker, const char *name, const char *network,
                   struct container *container, struct err *err);

bool docker_is_ours(const struct docker *docker, const struct container *container);

/* 0 when `failed` is of the class that is fine here, else -1 with it as the error. */
int docker_except(const struct err *failed, enum err_class fine, struct err *err);

/* Whether an error means that nothing is known, rather than that the daemon said no. */
bool docker_is_away(const struct err *err);

/* One step of SIGTERM, wait, SIGKILL, removal; never waits. *is_gone when nothing is left. */
int docker_end(struct docker *docker, const struct container *container, int64_t stop_ms,
               bool *is_gone, struct err *err);

/* POST create, POST start. ERR_NOT_FOUND from create: no such image; ERR_CONFLICT: the name is
 * taken. The second one also for a container that is there. */
int docker_create(struct docker *docker, const char *name, const json_t *body, struct err *err);
int docker_start(struct docker *docker, const char *name, struct err *err);

/* ---- one file each ---- */

int docker_converge(void *self, const struct app_want *want, struct app_seen *seen,
                    struct err *err);

int docker_logs(void *self, const char *instance, int64_t tail, int64_t since_ms, bool follow,
                const bool *cancelled, int (*write)(void *arg, const char *line, size_t len),
                void *arg, struct err *err);
/* The last lines as one text; NULL when there are none or they cannot be had. */
char *docker_last_lines(struct docker *docker, const char *container_id);

/* ERR_CONFLICT: something else has the name or the subnet. */
int docker_ensure_network(struct docker *docker, const struct app_want *want, struct err *err);
int docker_remove_network(void *self, const char *project, struct err *err);

/* Present, or pulled. ERR_NOT_FOUND: it cannot be had, and why. */
int docker_ensure_image(struct docker *docker, const char *image, struct err *err);
int docker_remove_image(void *self, const char *image, struct err *err);

int docker_watch(void *self, void (*changed)(void *arg, const char *app_id), void *arg,
                 struct err *err);
/* The app of an event that matters; NULL for the others. Borrows from the event. */
const char *docker_event_app(const json_t *event);

struct firewall *firewall_new(const struct docker_config *config);
void firewall_free(struct firewall *firewall);
int firewall_apply(const struct firewall *firewall, struct err *err);
int firewall_remove(const struct firewall *firewall, struct err *err);

#endif
