/* One attempt at a build: what was leased, where it works, how it ended.
 *
 *      lease ──► source ──► method ──► artifact ──► log sent ──► settle
 *                   └─────────┴───────────┴── stopped: cancelled, time over, log full, lease gone,
 *                                              program ends
 *
 * The slot's thread runs it from top to bottom (attempt_run). Others only stop it (attempt_stop):
 * the first cause wins, the engine's calls look at `is_stopped` and end. */
#ifndef BUILDER_ATTEMPT_H
#define BUILDER_ATTEMPT_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "builder/build_log.h"
#include "model/spec.h"

struct builder;
struct method;

enum stop_cause {
    STOP_NONE,
    STOP_CANCELLED, /* by the controller */
    STOP_TIMEOUT,
    STOP_LOG_FULL,
    STOP_LEASE_GONE, /* the attempt is somebody else's by now: nothing is settled */
    STOP_SHUTDOWN,
};

/* What came of it. `reason` is one of schema/methods.md's, static. */
struct outcome {
    const char *kind; /* "image" or "site"; NULL: none */
    char *digest, *ref;
    int64_t size;
    const char *reason;
    struct err err;
};

struct attempt {
    /* constant */
    struct builder *builder;
    json_t *answer; /* of build.lease; the rest borrows from it */
    const char *id, *lease, *project, *app, *tag;
    const json_t *registry; /* {address, user, password} or NULL */
    struct build_spec build;
    const struct method *method;
    int64_t timeout_ms, deadline_ms, log_max; /* the deadline is monotonic */
    char *dir;
    /* of the slot's thread */
    struct build_log *log;
    struct outcome outcome;
    int source; /* the source's tar, or -1 */
    /* shared */
    pthread_mutex_t lock; /* guards: */
    enum stop_cause cause;
    char *cause_text;
    bool is_stopped;  /* atomically; the engine looks at it without the lock */
    bool is_ended;    /* the method is done: from now on only a lease that is gone matters */
    bool is_given_up; /* the log need not be sent any more */
};

/* Reads a lease's answer (taken). ERR_INVALID when it cannot be understood. */
int attempt_new(struct builder *builder, json_t *answer, struct attempt **attempt, struct err *err);
void attempt_free(struct attempt *attempt);

/* All of it, until it is settled or somebody else's. The slot's thread. */
void attempt_run(struct attempt *attempt);

/* Any thread. `text` may be NULL. */
void attempt_stop(struct attempt *attempt, enum stop_cause cause, const char *text);
enum stop_cause attempt_cause(struct attempt *attempt);
bool attempt_is_stopped(const struct attempt *attempt);

/* Lets the sender end without the controller; any thread. */
void attempt_give_up(struct attempt *attempt);
bool attempt_is_given_up(struct attempt *attempt);

/* {attempt, lease}: the params of every build.* call. */
json_t *attempt_params(const struct attempt *attempt);

/* Notes why the method failed and returns -1. The text of `err` is what the user reads. */
int attempt_fail(struct attempt *attempt, const char *reason, const struct err *err);
int attempt_fail_text(struct attempt *attempt, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
