/* One change of the running HAProxy: the servers of some slots and some map entries, from what they
 * are to what the state wants. The order: servers added and ready, then the map, then old servers
 * drained or removed. One thread at a time: the owner's lock. */
#ifndef CONTROLLER_ROUTER_CHANGE_H
#define CONTROLLER_ROUTER_CHANGE_H

#include <stddef.h>
#include <uthash.h>

#include "base/err.h"
#include "controller/router/state.h"

/* Entries of the running map, or wanted ones; by key. */
struct pair {
    char *key, *target;
    UT_hash_handle hh;
};
void pairs_free(struct pair **pairs);
#define auto_pairs __attribute__((__cleanup__(pairs_free))) struct pair

/* A second value for a key makes its target one that is wanted by nobody. */
void pairs_add(struct pair **pairs, const char *key, const char *target);
void pairs_add_app(struct pair **pairs, const struct routed_app *app); /* NULL is fine */
/* All of the running map, which may hold a key twice. */
int pairs_read(const char *admin, const char *map, struct pair **pairs, struct err *err);

struct change {
    const char *admin, *map; /* the runtime socket; the map's name there */
    struct state *state;     /* is_leftover of the slots is brought up to date */
    const unsigned *slots;
    size_t slot_count;
    struct pair *has, *wants;
};

/* Fails half way when HAProxy does: what it has now is then unknown. */
int change_run(const struct change *change, struct err *err);

#endif
