/* Sending what a build's log has beyond an offset. */
#ifndef CONTROLLER_API_LOG_TAIL_H
#define CONTROLLER_API_LOG_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/controller.h"
#include "rpc/rpc.h"

struct log_tail {
    int64_t attempt; /* the one that `offset` is in; 0: none yet */
    int64_t offset;
};

/* Reads whole pieces from the log of an attempt and gives them to `send`, which returns false when
 * it can take no more just now (the offset then stays before the piece). A new attempt begins at 0.
 * False: not all was sent. */
bool log_tail_read(struct controller *c, struct log_tail *tail, const char *build_id,
                   int64_t attempt, bool (*send)(void *arg, int64_t offset, const char *text),
                   void *arg);

/* As data {offset, text} of a call. */
bool log_tail_send(struct controller *c, struct log_tail *tail, const char *build_id,
                   int64_t attempt, struct rpc_call *call);

#endif
