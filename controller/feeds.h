/* Calls that follow something: events, a build's log, an app until it is live. Each is a follower
 * with a pump: a function that sends what is new since it last ran. A kick runs the pumps on the
 * request pool, each at most once at a time; kicks meanwhile become one more run. */
#ifndef CONTROLLER_FEEDS_H
#define CONTROLLER_FEEDS_H

#include "base/loop.h"
#include "base/work.h"
#include "rpc/rpc.h"

struct feeds;

#define SITES_TOPIC "sites"
#define LOGS_TOPIC "logs" /* any build */

enum pump_result {
    PUMP_WAIT, /* all is sent; run again at the next kick */
    PUMP_FULL, /* the reader is slow: run again when the window opens */
    PUMP_END,  /* the call was ended */
};
/* Pool thread. Sends with rpc_call_try_send; what did not fit is sent at the next run. */
typedef enum pump_result (*pump_function)(struct rpc_call *call, void *arg);

struct feeds *feeds_new(struct pool *pool, struct loop *loop);
void feeds_free(struct feeds *feeds); /* no pump runs any more: the pool is stopped */

/* Keeps the call and pumps it until it ends or is gone; `arg` is then freed with `done`. `topic` is
 * copied: the build whose log it follows, or NULL. The handler returns RPC_LATER after this. */
void feeds_add(struct feeds *feeds, struct rpc_call *call, const char *topic, pump_function pump,
               void *arg, void (*done)(void *arg));

/* Threads that read a live source (the log of an instance) for a feed: so many at the same time, of
 * all callers together, because each takes a thread and a connection to the daemon. false: not now.
 * Any thread. */
enum { FEEDS_READERS_MAX = 200 };
bool feeds_take_reader(struct feeds *feeds);
void feeds_give_reader(struct feeds *feeds);
int feeds_readers(struct feeds *feeds);

/* Something happened; topic NULL: events, for all; else only those on that topic. Any thread. */
void feeds_kick(struct feeds *feeds, const char *topic);

#endif
