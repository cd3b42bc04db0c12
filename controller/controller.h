/* The controller: the store, the world behind interfaces, and the loops that bring one to the
 * other.
 *
 * A step function gets this struct and a subject; it may run on any worker thread, several at once
 * for different subjects, never two for the same subject of one loop. */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"
#include "controller/backend/backend.h"
#include "controller/config.h"
#include "controller/router/router.h"
#include "controller/source.h"
#include "store/store.h"

struct builders;
struct feeds;
struct loops;

struct controller {
    const struct controller_config *config;
    const struct clock *clock;
    struct store *store;
    struct backend *backend;
    struct router *router;
    struct source *source;
    struct builders *builders; /* which builders are linked, and what they hold */
    struct feeds *feeds;       /* who follows events, logs, sites */
    struct loops *loops;
    struct loop *loop; /* of the program; NULL in the simulator */
};

/* Looks at one subject. *again_ms is -1 at the call: leave it to be done, set it to be called again
 * after that time. A failure comes back with growing delay (the loop logs it). */
typedef int (*step_function)(struct controller *c, const char *subject, int64_t *again_ms,
                             struct err *err);

/* Finds what differs and adds it to the work queue; never walks what agrees. */
typedef int (*pass_function)(struct controller *c, struct err *err);

/* The loops, one file each. */
int fetcher_step(struct controller *c, const char *repository_id, int64_t *again_ms,
                 struct err *err);
int fetcher_pass(struct controller *c, struct err *err);
int registrar_step(struct controller *c, const char *app_id, int64_t *again_ms, struct err *err);
int registrar_pass(struct controller *c, struct err *err);
int dispatcher_step(struct controller *c, const char *subject, int64_t *again_ms, struct err *err);
int dispatcher_pass(struct controller *c, struct err *err);
int crash_detector_step(struct controller *c, const char *subject, int64_t *again_ms,
                        struct err *err);
int crash_detector_pass(struct controller *c, struct err *err);
int synchronizer_step(struct controller *c, const char *app_id, int64_t *again_ms, struct err *err);
int synchronizer_pass(struct controller *c, struct err *err);
/* Subjects of the janitor: "all", an app whose releases changed, a project's network to remove, a
 * repository that got commits (an hour later, for many at once) or that was removed. */
#define JANITOR_NETWORK "network/"
enum { JANITOR_TIDY_MS = 3600000 };
int janitor_want_repository(struct tx *tx, const char *repository_id, int64_t delay_ms,
                            struct err *err);
int janitor_step(struct controller *c, const char *subject, int64_t *again_ms, struct err *err);
int janitor_pass(struct controller *c, struct err *err);

/* A running controller on the loop of its program. *program is set even when the start fails, for
 * controller_stop and controller_free. */
struct controller_program;
int controller_start(struct loop *loop, const struct controller_config *config,
                     struct controller_program **program, struct err *err);
/* Ends links, steps, threads; loop thread. What is left is freed by controller_free, once the loop
 * has run out. NULL is fine. */
void controller_stop(struct controller_program *program);
void controller_free(struct controller_program *program);

/* One-shot commands of evenkeel-controller. */
int controller_migrate(const struct controller_config *config, struct err *err);
/* Ends and removes every instance and network of this installation; data stays. */
int controller_stop_all(const struct controller_config *config, struct err *err);

#endif
