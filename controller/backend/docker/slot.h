/* The place of one wanted instance, during one converge: what should be, what is, what to do. */
#ifndef CONTROLLER_BACKEND_DOCKER_SLOT_H
#define CONTROLLER_BACKEND_DOCKER_SLOT_H

#include "controller/backend/docker/internal.h"
#include "model/spec.h"

enum { FAILURES_MAX = 3 }; /* probes in a row, before a ready instance counts as unready */

enum slot_act {
    SLOT_LEAVE,   /* nothing to do, or nothing that can be done */
    SLOT_CREATE,  /* there is no container */
    SLOT_START,   /* it was created but not started */
    SLOT_UNPAUSE, /* somebody paused it */
    SLOT_REPLACE, /* end it; once it is gone, SLOT_CREATE */
};

struct slot {
    struct docker *docker;
    const struct app_want *app;
    const struct release_want *release;
    struct process_spec process;
    int64_t index, stop_ms;
    char *name, *network;
    json_t *body;
    struct container container;
    bool is_drifted;
    struct note note;
    enum slot_act act;
    /* Why it cannot be as wanted: a reason code and the words; NULL: no trouble. */
    const char *reason;
    char *message;
    struct instance_seen *ended; /* one that was replaced in this call, as it was; or NULL */
    struct err err;              /* class set: the daemon is away, converge fails */
};

/* The places of a release, in order of process and index. */
struct slots {
    struct slot *items;
    size_t count;
};
void slots_init(struct slots *slots, struct docker *docker, const struct app_want *app,
                const struct release_want *release);
void slots_done(struct slots *slots);

/* Looks at the container and its note, and chooses the act. -1: the daemon is away. */
int slot_look(struct slot *slot, struct err *err);

/* Whether it serves: running, ready, not being ended. */
bool slot_is_ready(const struct slot *slot);

/* Whether it serves as far as is known: it runs, and probes have not found otherwise. */
bool slot_may_serve(const struct slot *slot);

/* Does the act, then looks again. Outcome in reason and err. */
void slot_do(struct slot *slot);

/* Probes it if it runs and it is time to. */
void slot_probe(struct slot *slot);

/* What is seen now. */
void slot_seen(struct slot *slot, struct instance_seen *seen);

#endif
