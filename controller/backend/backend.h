/* What runs apps: the Docker daemon here, a Kubernetes cluster later. It speaks in whole apps, so
 * that a cluster can do its own rollouts; the steps that concern traffic stay with the
 * synchronizer. Worker threads; an implementation is thread-safe for different apps. What it is
 * told to remove it removes; nothing else. */
#ifndef CONTROLLER_BACKEND_BACKEND_H
#define CONTROLLER_BACKEND_BACKEND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* One release that should have all its instances. */
struct release_want {
    const char *id;
    int64_t number;     /* v7 */
    const char *image;  /* reference by digest, or an image id of the local daemon */
    const json_t *spec; /* the release's frozen full spec (model/spec.h) */
    const json_t
        *env; /* object of strings: spec env plus what Evenkeel sets (PORT is added per process) */
    bool replace_broken; /* an exited or unready instance may be started anew now (back-off is the
                            synchronizer's) */
};

struct app_want {
    const char *project_id, *project, *subnet; /* subnet "10.224.3.0/24" of the project's network */
    const char *app_id, *app;
    const struct release_want
        *releases; /* these run, whole; the others are left alone until named in `gone` */
    size_t release_count;
    const char *const
        *gone; /* names of instances that end now: SIGTERM, stop_ms, SIGKILL, removed */
    size_t gone_count;
    const int64_t *gone_stop_ms;
};

enum instance_state {
    INSTANCE_MISSING,
    INSTANCE_CREATED,
    INSTANCE_RUNNING,
    INSTANCE_READY,
    INSTANCE_EXITED
};

struct instance_seen {
    char *name; /* PROJECT-APP-PROCESS-vN-I, after the prefix of the backend's configuration */
    char *process;
    int64_t index;
    enum instance_state state;
    char *address;      /* IPv4 on the project's network, or NULL */
    int64_t port;       /* 0: none */
    int64_t started_ms; /* Unix time; 0: never */
    bool start_failed;  /* it was made, but does not start */
    int64_t exit_code;
    bool oom_killed;
    char *probe; /* the last probe in words: "GET /healthz: 503 in 4 ms"; or NULL */
    char *log;   /* last lines, when it exited or is not ready; valid UTF-8; or NULL */
};

enum release_stage {
    RELEASE_NO_IMAGE, /* could not be pulled: reason says why */
    RELEASE_STARTING, /* instances are made, started, probed */
    RELEASE_READY,    /* all of them are ready */
    RELEASE_BROKEN,   /* an instance exited, or cannot be made */
};

struct release_seen {
    enum release_stage stage;
    char reason[40]; /* ImageMissing, NameTaken, ProbeFailing, Exited, OutOfMemory, … or "" */
    char *message;   /* or NULL */
    struct instance_seen *instances; /* those that should be, in order of process and index */
    size_t instance_count;
};

struct app_seen {
    struct release_seen *releases; /* parallel to want->releases */
    size_t release_count;
    size_t gone_left; /* of want->gone: how many are still there */
};
void instance_seen_done(struct instance_seen *instance);
void app_seen_done(struct app_seen *seen);
#define auto_app_seen __attribute__((__cleanup__(app_seen_done))) struct app_seen

/* An object of ours in the world, for the full pass and the janitor. */
struct owned {
    char *name, *app_id, *release_id; /* ids from its labels, to be checked against the database */
    bool is_running;                  /* and can be reached */
};
struct owned_list {
    struct owned *items;
    size_t count;
};
void owned_list_done(struct owned_list *list);

struct backend {
    /* One bounded piece of the way from what is to what is wanted (a few hundred ms; images may
     * take longer); call again while a stage is RELEASE_STARTING or gone_left > 0. ERR_UNAVAILABLE:
     * the daemon is away, nothing is known. */
    int (*converge)(void *self, const struct app_want *want, struct app_seen *seen,
                    struct err *err);
    /* Every instance with this installation's label. */
    int (*list_owned)(void *self, struct owned_list *list, struct err *err);
    /* Ends and removes one instance by name, whatever its state. Absent is fine. */
    int (*remove)(void *self, const char *name, int64_t stop_ms, struct err *err);
    /* Removes the network of a project (nothing may be attached), and an image that Evenkeel made.
     * Absent is fine. */
    int (*remove_network)(void *self, const char *project, struct err *err);
    int (*remove_image)(void *self, const char *image, struct err *err);
    /* Writes the instance's log: the last `tail` lines (-1: all) since `since_ms`, and with
     * `follow` goes on until `write` returns non-zero or *cancelled. Lines are whole, with RFC 3339
     * time in front, valid UTF-8. */
    int (*logs)(void *self, const char *instance, int64_t tail, int64_t since_ms, bool follow,
                const bool *cancelled, int (*write)(void *arg, const char *line, size_t len),
                void *arg, struct err *err);
    /* Starts a reader thread that calls changed(arg, app_id) for each container event of ours, and
     * changed(arg, NULL) when the daemon went away or came back (events may have been missed). Ends
     * with `close`. */
    int (*watch)(void *self, void (*changed)(void *arg, const char *app_id), void *arg,
                 struct err *err);
    void (*close)(void *self);
    void *self;
};

#endif
