/* Many calls on one link: numbers, the table of open calls, the outbox, pings.
 *
 * The socket belongs to the loop thread; everything that threads share is behind one lock per link,
 * held only to look and to note. What is to be sent is appended to `outbox` under it, whatever the
 * thread, so frames leave in the order in which the state behind them changed; mux_unlock posts one
 * flush to the loop for all that has gathered. */
#ifndef RPC_MUX_H
#define RPC_MUX_H

#include <pthread.h>
#include <uv.h>

#include "base/loop.h"
#include "rpc/buffer.h"
#include "rpc/link.h"
#include "rpc/stream.h"

enum {
    MUX_UNSENT_MAX = 1 << 20,    /* bytes waiting for the socket; above it data waits for room */
    MUX_RETURN = RPC_WINDOW / 4, /* consumed bytes that are given back at the latest */
};

/* Loop thread, but `released`. */
struct mux_events {
    void (*ready)(void *arg);
    /* The peer opens a call (serving side only): add it with mux_add. -1: it must not. */
    int (*call)(void *arg, const struct message *message, struct err *err);
    void (*closed)(void *arg, const struct err *why); /* soon after mux_close; calls are over */
    void (*detached)(void *arg);                      /* its handles are closed */
    void (*released)(void *arg);                      /* nobody refers to it; any thread */
};

struct mux {
    struct loop *loop;
    const struct mux_events *events;
    void *arg;
    bool is_serving;
    struct link *link; /* this and up to the lock: loop thread */
    uv_timer_t ping, deadline;
    unsigned handles;
    unsigned idle_ms;
    uint32_t ping_number;
    int64_t deadline_ms;  /* the timer is set for */
    pthread_mutex_t lock; /* guards: */
    unsigned refs;
    bool is_closed, flush_posted, closes_when_sent, is_full;
    struct err why; /* is_closed */
    int64_t heard_ms;
    struct buffer outbox;
    size_t counted; /* of the outbox: what is in `unsent` already */
    size_t unsent;  /* in the outbox and in the link */
    struct stream *streams;
    unsigned stream_count;
    uint32_t last_number; /* of a call opened on this link */
};

/* Takes the link. Starts it; the first ping is due when mux_set_idle is called, until when the link
 * must have got so far within `idle_ms`. One reference, given up by the mux when it is closed. */
struct mux *mux_new(struct loop *loop, struct link *link, bool is_serving, unsigned idle_ms,
                    const struct mux_events *events, void *arg);
void mux_start(struct mux *mux);
void mux_set_idle(struct mux *mux, unsigned idle_ms); /* pings from now on */
struct mux *mux_ref(struct mux *mux);
void mux_unref(struct mux *mux);

void mux_lock(struct mux *mux);
void mux_unlock(struct mux *mux);

/* Calls fail with `why`, the link is closed. Loop thread; idempotent. */
void mux_close(struct mux *mux, const struct err *why);
/* The same once what is in the outbox has left. */
void mux_close_when_sent(struct mux *mux, const struct err *why);

/* Serving: the stream of a call that `call` got. False: too many are open, but it is added and must
 * be ended. Loop thread. */
bool mux_add(struct mux *mux, struct stream *stream, const struct message *message);
/* Calling: false when the link is closed: nothing was sent. `params` is JSON text. Any thread. */
bool mux_open(struct mux *mux, struct stream *stream, const char *method, const char *params,
              bool is_finished);

/* One frame from the peer (demux.c). */
int mux_take_frame(void *mux, const struct frame *frame, struct err *err);
/* Locked: is the link too far behind for more data? Remembers that someone asked. */
bool mux_is_full(struct mux *mux);

int64_t mux_now_ms(void); /* monotonic */

#endif
