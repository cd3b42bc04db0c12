/* One call on a link, seen from either side: its windows, the data that has come, how it ended.
 *
 * References are counted. All that is below `refs` is guarded by the lock of the mux (taken with
 * mux_lock, given back with mux_unlock, which also sees to what was added to the outbox). The
 * functions here take it themselves unless their comment says "locked". Hooks run on the loop
 * thread without it. */
#ifndef RPC_STREAM_H
#define RPC_STREAM_H

#include <pthread.h>
#include <sys/queue.h>
#include <uthash.h>

#include "rpc/rpc.h"

struct mux;

struct item {
    TAILQ_ENTRY(item) link;
    struct rpc_item item;
    size_t room; /* of item.bytes */
};

TAILQ_HEAD(items, item);

struct hook {
    void (*fn)(void *arg);
    void *arg;
};

struct item_hook {
    void (*fn)(void *arg, struct rpc_item *item); /* takes the item; NULL: the peer has finished */
    void *arg;
};

struct stream {
    struct mux *mux; /* counted; NULL until it is opened */
    uint32_t number;
    int64_t deadline_ms;               /* monotonic; INT64_MAX: none */
    void (*release)(struct stream *s); /* frees it, at the last reference */
    unsigned refs;
    UT_hash_handle hh; /* mux->streams, while not over */
    pthread_cond_t wake;
    bool is_over;       /* nothing more is sent or taken in */
    struct err why;     /* it is over, unless by a result */
    json_t *result;     /* the calling side's */
    bool peer_finished; /* the dialling side sends no more data */
    bool finished;      /* the same, when this is the dialling side */
    bool is_discarding; /* nobody will read what comes */
    bool wants_room;    /* a sender found none */
    size_t under_way;   /* sent and not given back by the peer */
    size_t held;        /* received and not given back to the peer */
    size_t consumed;    /* of these: what the reader is done with */
    struct items items;
    struct hook on_over, on_room;
    struct item_hook on_item;
};

void stream_init(struct stream *s, void (*release)(struct stream *s)); /* one reference */
struct stream *stream_ref(struct stream *s);
void stream_unref(struct stream *s); /* at the last, a call not over is ended or cancelled */
void stream_done(struct stream *s);  /* for `release`: what is in it */

/* Over: out of the table, waiting threads woken. `why` NULL: by an end. Locked. */
void stream_set_over(struct stream *s, const struct err *why);

/* The answering side. Once; false when it was over before. `result` is borrowed. */
bool stream_end(struct stream *s, const json_t *result, struct err *err);
bool stream_fail(struct stream *s, const struct err *why);
/* The calling side: ends it for `why`. */
void stream_cancel(struct stream *s, const struct err *why);
void stream_finish(struct stream *s);
/* Waits for its end, throwing away what comes. */
int stream_wait(struct stream *s, json_t **result, struct err *err);

/* Blocking; see rpc_call_write, rpc_call_send, rpc_call_read. */
int stream_write(struct stream *s, const void *data, size_t len, struct err *err);
int stream_send(struct stream *s, const json_t *value, struct err *err);
int stream_read(struct stream *s, int64_t timeout_ms, struct rpc_item *item, struct err *err);

bool stream_try_send(struct stream *s, const json_t *value, struct err *err);
void stream_give_back(struct stream *s, size_t len);

/* Any thread; what the hook has missed comes soon. */
void stream_hook_over(struct stream *s, struct hook hook);
void stream_hook_room(struct stream *s, struct hook hook);
void stream_hook_item(struct stream *s, struct item_hook hook);

/* Loop thread, without the lock: calls hooks as far as there is something to say. */
void stream_notify_over(struct stream *s);
void stream_notify_room(struct stream *s);
void stream_notify_items(struct stream *s);

/* Between stream.c and transfer.c. Locked. */
enum { STREAM_PIECE = 32 * 1024 }; /* of a long write; senders wake when there is room for one */
bool stream_has_room(struct stream *s, size_t cost);
bool stream_pop(struct stream *s, struct rpc_item *item);
void stream_drop_items(struct stream *s);
void stream_cancel_locked(struct stream *s, const struct err *why);
void stream_finish_locked(struct stream *s);

/* For the mux. Locked: -1 when the peer overran the window. Takes the value, copies bytes. */
int stream_take_value(struct stream *s, json_t *value, size_t cost, struct err *err);
int stream_take_bytes(struct stream *s, const void *data, size_t len, struct err *err);

#endif
