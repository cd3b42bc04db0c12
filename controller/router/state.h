/* What the router should have: apps with their entries (host and path → target) and slots (one
 * HAProxy backend per process that takes requests). Kept as state.json, which decides when the
 * controller or HAProxy starts. One thread at a time: the owner's lock. */
#ifndef CONTROLLER_ROUTER_STATE_H
#define CONTROLLER_ROUTER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "base/err.h"
#include "controller/router/router.h"

struct server {
    char *name, *address;
    uint16_t port;
    bool is_draining;
};

struct slot {
    char *process;
    unsigned number; /* backend "sNUMBER", from 1; 0: not given out yet */
    struct server *servers;
    size_t server_count;
};

struct entry {
    char *key;     /* "shop.example.org/api/" */
    char *process; /* or NULL: */
    char *site;    /* "sites.DIGEST" or "sites.DIGEST.spa" */
    struct routed_app *app;
    UT_hash_handle hh; /* state.entries */
};

struct routed_app {
    char *id;
    int64_t generation, acknowledged;
    struct slot *slots;
    size_t slot_count;
    struct entry *entries;
    size_t entry_count;
    UT_hash_handle hh; /* state.apps */
};

struct state {
    unsigned slot_max;   /* backends laid out */
    struct slot **slots; /* by number, 0 unused; NULL: free */
    bool *is_leftover;   /* by number: the running HAProxy may still have servers there that should
                            not be */
    struct routed_app *apps;
    struct entry *entries;
};

void state_init(struct state *state, unsigned slot_max);
void state_done(struct state *state);

/* From the file; nothing changes when there is none. A file that cannot be understood is an error:
 * guessing would cut routes. */
int state_load(struct state *state, const char *path, struct err *err);
char *state_json(const struct state *state);

/* The app as it should be, with the slots it has already. What may not be said to HAProxy, or
 * belongs to another app, is left out, and `refused` says so. NULL when nothing is left of it and
 * nothing was there. */
struct routed_app *state_build(const struct state *state, const struct app_routes *want,
                               struct err *refused);
void routed_app_free(struct routed_app *app); /* NULL is fine; it must not be in a state */
bool routed_app_equals(const struct routed_app *a,
                       const struct routed_app *b); /* generation included */

/* Gives numbers to the app's new slots; more backends are laid out when they are used up. */
void state_assign_slots(struct state *state, struct routed_app *app);

struct routed_app *state_find(const struct state *state, const char *app_id);
/* Puts `next` (owned by the state from now on; NULL removes) in the place of what was there, which
 * it returns to the caller. */
struct routed_app *state_replace(struct state *state, const char *app_id, struct routed_app *next);

/* "s12" or "sites.…"; the caller's to free. */
char *entry_target(const struct entry *entry);

#endif
