/* A controller in a world made of tables: the real store, loops and API over a backend, a router
 * and a source that only remember what they were told, and a clock that is turned by hand. One
 * thread, and the same course every time: what a test does not set does not vary. Ids and secrets
 * are random, but nothing depends on them.
 *
 * Faults are fields. `fail` makes one single call to the outside go wrong, the others stay so until
 * they are cleared. */
#ifndef FAKE_WORLD_H
#define FAKE_WORLD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/config.h"
#include "controller/controller.h"
#include "store/apps.h"

enum { WORLD_LOOPS = 6, WORLD_MAX = 64 };

/* What git has. */
struct world_commit {
    char sha[GIT_SHA_LEN + 1], tree[GIT_SHA_LEN + 1];
    const char *yaml; /* its evenkeel.yaml, or NULL; a Dockerfile is always there */
    bool is_here;     /* fetched */
};
struct world_ref {
    char name[64];
    char sha[GIT_SHA_LEN + 1];
    bool cannot_be_fetched; /* the fault of one ref */
};

/* What Docker has. */
struct world_container {
    char name[96], app_id[32], release_id[32], process[24], image[96];
    int64_t index, started_ms;
    enum instance_state state;
};
struct world_image { /* how an image behaves; those not listed start and stay */
    char ref[96];
    bool is_missing, cannot_start, is_never_ready, exits;
};

/* What HAProxy has. */
struct world_route {
    char host[96], path[64], process[24], site[96];
};
struct world_upstream {
    char instance[96];
    bool draining;
};
struct world_entry { /* an app */
    char app_id[32];
    int64_t generation;
    struct world_route routes[8];
    size_t route_count;
    struct world_upstream upstreams[16];
    size_t upstream_count;
};

struct world {
    struct controller c;
    struct controller_config config;
    struct clock clock;
    struct backend backend;
    struct router router;
    struct source source;
    char *dir;
    _Atomic int64_t now_ms; /* threads of links.h read it */

    struct world_commit commits[WORLD_MAX];
    struct world_ref refs[WORLD_MAX], published[WORLD_MAX];
    struct world_container containers[WORLD_MAX];
    struct world_image images[WORLD_MAX];
    struct world_entry entries[WORLD_MAX];
    size_t commit_count, ref_count, published_count, container_count, image_count, entry_count;

    /* faults */
    bool backend_away, router_away, router_refuses, remote_away;
    bool image_in_use;        /* no image can be removed */
    const char *unremovable;  /* the container that cannot be removed */
    const char *refused_host; /* left out of what the router takes, as HAProxy does it */
    int64_t start_ms;         /* until an instance is ready */
    int64_t in_flight;        /* requests on every instance */
    size_t calls;             /* to the outside, so far */
    void (*meanwhile)(struct world *w, const char *call); /* what others do during a call */
    struct {
        size_t at;            /* which call; 0: none */
        bool is_after;        /* it took effect, only its answer is lost */
        enum err_class class; /* ERR_STOPPED: as if the program had ended there */
    } fail;

    /* plays builder */
    bool has_builder;
    const char *build_fails; /* reason; NULL: builds succeed */
    bool rebuilds_differ;    /* the same build made again has other bytes */

    /* what was seen */
    size_t starts;             /* of containers, also those that failed */
    size_t tidied;             /* repositories */
    size_t steps[WORLD_LOOPS]; /* by loop, in the order of loop_table */
    const char
        *must_serve; /* host: from its first ready instance on it is served after every step */
    bool has_served;
    char wrong[256]; /* the first thing that must never happen */
};

struct world *world_new(void);
void world_free(struct world *w); /* aborts when something went wrong that nobody looked at */

/* Everything that is due within `ms`, in the order of time. */
void world_run(struct world *w, int64_t ms);
/* Until nothing of these loops is due now; the clock stands still. */
void world_turn(struct world *w);
size_t world_steps(const struct world *w, const char *loop);

/* A repository at https://example/NAME and an app on its branch main. The id is borrowed, the name
 * stays the caller's. */
char *world_app(struct world *w, const char *name, const char *overlay);
/* A commit `sha` made of one letter; other trees are other builds. Moves main of every remote there
 * and has the fetchers look. */
void world_push(struct world *w, char sha, char tree, const char *yaml);
void world_set_ref(struct world *w, const char *name, char sha);
struct world_commit *world_commit(struct world *w, char sha, char tree, const char *yaml);
void world_kick(struct world *w, const char *loop, const char *subject);
struct world_image *world_image(struct world *w, const char *ref);
struct world_container *world_container(struct world *w, const char *name);
struct world_entry *world_entry(struct world *w, const char *app_id);

/* Ready instances and sites that requests for the host reach now. */
size_t world_serving(struct world *w, const char *host);

/* How it stands: apps, releases, builds, containers, routes. Without times, ids and generations, so
 * that two courses with the same end give the same text. */
char *world_show(struct world *w);

/* One number or text from the store, for tests that look closer; "" when there is no row. The
 * caller's to free. */
char *world_ask(struct world *w, const char *sql);

/* Aborts with the text of the error. */
void world_must(int rc, const struct err *err, const char *doing);

#endif
