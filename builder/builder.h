/* The builder: a link to the controller, and a thread per slot that takes one attempt after the
 * other.
 *
 * After every (re)connect the greeter says builder.hello with the attempts still worked on; those
 * that the controller does not keep are stopped. Slots lease only in between hello and the next
 * loss of the link. The ticker looks after time limits while attempts run. */
#ifndef BUILDER_BUILDER_H
#define BUILDER_BUILDER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/work.h"
#include "builder/attempt.h"
#include "builder/cgroup.h"
#include "builder/config.h"
#include "oci/engine.h"
#include "rpc/rpc.h"

struct builder {
    /* constant after builder_start */
    const struct builder_config *config;
    struct loop *loop;
    struct rpc_client *client;
    struct engine *engine;
    struct cgroup *cgroup; /* NULL: no limit could be set */
    int lock_fd;           /* of the work folder */
    struct ticker *greeter, *watcher;
    struct thread **slots, *stopper;
    /* shared */
    pthread_mutex_t lock; /* guards: */
    pthread_cond_t changed;
    bool is_greeted, is_stopping;
    unsigned
        links; /* counts losses, so that an answer to an old hello is not taken for a new one */
    unsigned slots_running;
    int64_t stop_at_ms;
    struct attempt **attempts;
    size_t attempt_count;
};

/* Loop thread. The config must outlive the builder. */
int builder_start(struct loop *loop, const struct builder_config *config, struct builder **builder,
                  struct err *err);
/* Gives running attempts back, then lets loop_run return; at most about 10 s. Loop thread. */
void builder_stop(struct builder *builder);
void builder_free(struct builder *builder); /* after loop_run */

/* Waits, at most so long, for the link to be greeted; false: it is not. Any thread. */
bool builder_wait_link(struct builder *builder, int64_t wait_ms);
bool builder_is_stopping(struct builder *builder);

#endif
