/* One step of the synchronizer over one app: what it loaded, what it decided should run, what it
 * saw. Shared by synchronizer.c (the order of things), observe.c (instances), rollout.c (from
 * wanted to live), routes.c (the router). */
#ifndef CONTROLLER_SYNC_H
#define CONTROLLER_SYNC_H

#include "controller/conditions.h"
#include "controller/controller.h"
#include "store/instances.h"
#include "store/releases.h"

/* A release that should run now, and how it stands. */
struct running {
    const struct release_row *release;
    bool is_site;
    const struct release_seen *seen; /* NULL for a site */
    enum release_stage stage;
    char *message; /* why it is not ready, or NULL */
    const char *reason;
};

struct sync {
    struct controller *c;
    struct app_row app;
    struct release_row wanted, live; /* id NULL: none */
    struct rollout_row rollout;      /* id NULL: none is running */
    struct instance_list instances;
    struct running run[2]; /* live, then wanted when it is another */
    size_t run_count;
    struct app_seen seen;
    const char **gone; /* names of instances that may end now; borrowed from `instances` */
    int64_t *gone_stop_ms;
    size_t gone_count;
    int64_t again_ms; /* -1: nothing to wait for */
};

/* Comes back at the latest after `ms`. */
static inline void sync_again(struct sync *s, int64_t ms)
{
    if (s->again_ms < 0 || ms < s->again_ms)
        s->again_ms = ms;
}

struct running *sync_find(struct sync *s, const char *release_id);

/* observe.c: asks the backend for one piece of the way and the store for sites, fills `seen` and
 * the stages, records the instances. */
int sync_observe(struct sync *s, struct err *err);

/* routes.c: the router takes requests to `release` (NULL: to nothing). Cheap when it does already.
 */
int sync_route(struct sync *s, const struct release_row *release, struct err *err);

/* routes.c: is the failure of a sync_route about what was asked for, and not about a router that is
 * away? */
bool sync_is_refusal(const struct err *failure);

/* routes.c: the condition after a sync_route that succeeded, also one that found the routes there:
 * the answer to the step before may have been lost. */
int sync_find_routed(struct tx *tx, struct sync *s, struct err *err);

/* routes.c: instances that should not run get no new requests from the next sync_route on. */
int sync_mark_draining(struct sync *s, struct err *err);

/* routes.c: which of those may end now. Only after a sync_route that succeeded: until the router
 * has acknowledged, nothing is stopped. */
void sync_drain(struct sync *s);

/* rollout.c: one step from wanted to live. */
int sync_roll_out(struct sync *s, struct err *err);
/* rollout.c: an image that is nowhere any more is built again; *is_building: that is under way. */
int sync_rebuild(struct sync *s, const struct running *run, bool *is_building, struct err *err);
/* rollout.c: ends a rollout that is not wanted any more. */
int sync_supersede(struct sync *s, const char *why, struct err *err);

#endif
