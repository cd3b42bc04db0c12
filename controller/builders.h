/* The builders that are linked: their free slots (held `build.lease` calls) and the attempts that
 * they hold. Memory only: what is leased stands in the store, this says whether its holder is still
 * there. Any thread. */
#ifndef CONTROLLER_BUILDERS_H
#define CONTROLLER_BUILDERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "rpc/rpc.h"

struct builders;

struct builders *builders_new(const struct clock *clock);
void builders_free(struct builders *builders);

/* A builder said hello; the same session again only changes its slots. */
void builders_add(struct builders *builders, struct rpc_session *session, int64_t slots);
/* Its link closed: its waiting calls are dropped, its attempts are away from now. False: it was no
 * builder. */
bool builders_remove(struct builders *builders, struct rpc_session *session);

/* A free slot: the call is kept (referenced) until it is taken or gone. False when the session said
 * no hello. */
bool builders_offer(struct builders *builders, struct rpc_call *call);
/* The free slot of the builder with the fewest attempts, or NULL. The reference is the caller's.
 * *name is copied. */
struct rpc_call *builders_take(struct builders *builders, char **name);

/* The attempt is with this session (again). */
void builders_hold(struct builders *builders, const char *attempt_id, struct rpc_session *session);
void builders_drop(struct builders *builders, const char *attempt_id);
/* Its builder says that it does not have it any more: it counts as lost from now on. */
void builders_expire(struct builders *builders, const char *attempt_id);
/* The `build.attempt` call of an attempt, by which it can be cancelled; referenced until dropped.
 */
void builders_attach(struct builders *builders, const char *attempt_id, struct rpc_call *call);
/* Tells the holder to stop; false when it is not linked just now. */
bool builders_cancel(struct builders *builders, const char *attempt_id, const char *why);

/* How long (ms) until an attempt counts as lost: INT64_MAX while its holder is linked; 0 or less
 * when it was away for longer than the grace. One never heard of may have outlived a restart of the
 * controller: its builder gets RESTART_GRACE_MS from this question on. A linked one that has not
 * opened `build.attempt` ATTACH_MS after it got the attempt never heard of it: the answer to its
 * build.lease crossed with its giving up. */
enum { RESTART_GRACE_MS = 10000, ATTACH_MS = 30000 };
int64_t builders_left_ms(struct builders *builders, const char *attempt_id, int64_t grace_ms);

/* Lets go of attempts whose holder was away for a day: what ended while it was asked for. */
void builders_forget_old(struct builders *builders);

int64_t builders_count(struct builders *builders);
json_t *builders_list(struct builders *builders); /* [{name, slots, busy, connected}] */

#endif
