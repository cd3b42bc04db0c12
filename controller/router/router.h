/* What takes requests to instances and sites: HAProxy here. Worker threads; an implementation is
 * thread-safe.
 *
 * The unit of change is one app: all its routes and upstreams at once, numbered by a generation
 * that only grows. Applied means acknowledged: the running router has it, and a restart of the
 * router alone comes back to it. A route that the router refuses is left out and reported; it never
 * takes others down, and no change to one app touches a connection of another. */
#ifndef CONTROLLER_ROUTER_ROUTER_H
#define CONTROLLER_ROUTER_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct upstream {
    const char *instance; /* name, unique */
    const char *process;
    const char *address; /* IPv4 */
    uint16_t port;
    bool draining; /* no new requests; those in flight go on */
};

struct app_route {
    const char *host, *path;
    const char *process; /* to the upstreams of this process, or NULL: */
    const char *site;    /* digest of a site archive, served by ssgen */
    bool spa;
};

struct app_routes {
    const char *app_id;
    int64_t generation;
    const struct app_route *routes; /* none and no upstreams: the app leaves the router */
    size_t route_count;
    const struct upstream *upstreams;
    size_t upstream_count;
};

struct router {
    /* Makes it so. Cheap when nothing differs. On success the generation is acknowledged.
     * ERR_UNAVAILABLE: the router is away; what was there serves on. */
    int (*apply)(void *self, const struct app_routes *want, struct err *err);
    /* The last acknowledged generation of an app; 0: none. */
    int64_t (*acknowledged)(void *self, const char *app_id);
    /* Requests and connections now on an instance, by the router's own count; 0 when it does not
     * know it. */
    int (*in_flight)(void *self, const char *app_id, const char *instance, int64_t *count,
                     struct err *err);
    /* Is the running router the one that acknowledged? After its restart from an older state
     * everything is put back. The full pass calls it. */
    int (*check)(void *self, struct err *err);
    void (*close)(void *self);
    void *self;
};

#endif
