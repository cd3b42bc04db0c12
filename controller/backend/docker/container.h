/* What the Docker daemon says about one container (GET /containers/NAME/json), read. Pure. */
#ifndef CONTROLLER_BACKEND_DOCKER_CONTAINER_H
#define CONTROLLER_BACKEND_DOCKER_CONTAINER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum container_status {
    CONTAINER_ABSENT,
    CONTAINER_CREATED, /* never started, or its start failed: see `failure` */
    CONTAINER_RUNNING,
    CONTAINER_PAUSED,
    CONTAINER_EXITED,
    CONTAINER_LEAVING, /* its removal is under way */
    CONTAINER_DEAD,    /* its removal failed (its files were busy, say); another try may not */
};

struct container {
    json_t *json; /* owned; what follows borrows from it. NULL: absent */
    enum container_status status;
    const char *id, *address, *stop_signal;
    const char *failure; /* why it could not be started; or NULL */
    int64_t exit_code, started_ms;
    bool is_oom_killed;
};

/* Takes `json` over, also when it fails: ERR_UNAVAILABLE, an answer that makes no sense. `network`
 * is the one on which the address is looked up; may be NULL. */
int container_read(json_t *json, const char *network, struct container *container, struct err *err);
void container_done(struct container *container);

/* "" when it has no such label. */
const char *container_label(const struct container *container, const char *name);

/* Whether it is not what `body` (body.h) would make: made from another one, changed by hand since,
 * or taken off its network. Limits that the kernel does not support are not counted. */
bool container_is_drifted(const struct container *container, const json_t *body);

#define auto_container __attribute__((__cleanup__(container_done))) struct container

#endif
