/* The link between programs: calls with streams over framed JSON (schema/link.md), on a unix socket
 * or TLS 1.3.
 *
 * The controller serves (struct rpc_server), gateway, builders and ssgens dial (struct rpc_client).
 * Only the dialling side opens calls; data flows both ways inside a call. The first call on a link
 * is `link.hello`, handled here: {version, kind, name, token}; over a unix socket a peer of this
 * user or root needs no token.
 *
 * Sockets are touched by the loop thread only; everything declared here may be used from the thread
 * its comment names. JSON values handed in are borrowed unless the comment says "takes". */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/work.h"

enum {
    RPC_FRAME_MAX = 1 << 20, /* bytes of payload in one frame */
    RPC_WINDOW = 256 * 1024, /* bytes that may be under way on one call in one direction */
    RPC_CALLS_MAX = 1024,    /* open calls on one link */
};

/* Kinds of agents; a method names those who may call it. */
enum rpc_kind { RPC_GATEWAY = 1, RPC_BUILDER = 2, RPC_SSGEN = 4, RPC_CLI = 8 };

/* ---- serving ---- */

struct rpc_server;
struct rpc_session; /* one link, from hello until it closes */
struct rpc_call;    /* one call being answered; counted references */

enum rpc_run {
    RPC_ON_POOL, /* short: store reads and writes. The request pool */
    RPC_ON_BULK, /* may wait for the peer's bytes: artifacts, sources. A pool of its own */
};

/* Returns 0 with *result set (takes; NULL is {}), -1 with err, or RPC_LATER: the handler kept a
 * reference and will call rpc_call_end or rpc_call_fail. Runs top to bottom on a pool thread.
 * `params` is an object. */
enum { RPC_LATER = 1 };
typedef int (*rpc_handler)(struct rpc_call *call, const json_t *params, json_t **result,
                           struct err *err);

struct rpc_method {
    const char *name; /* "build.lease"; the table is sorted by it */
    unsigned who;     /* enum rpc_kind, or-ed */
    enum rpc_run run;
    rpc_handler handler;
};

struct rpc_server_config {
    const char *unix_path; /* NULL: none. Mode 0600 */
    const char *tcp_host;  /* an address, v4 or v6; NULL: none. TLS 1.3 with: */
    uint16_t tcp_port;
    const char *cert_file, *key_file; /* PEM */
    const struct rpc_method *methods;
    size_t method_count;
    void *arg; /* rpc_call_arg() of every call */
    struct pool *pool, *bulk;
    unsigned sessions_max; /* 0: 1000 */
    unsigned idle_ms; /* a link that says nothing for so long is closed; 0: 10000. The peer pings at
                         a third */
    /* Is this token that of an agent of this kind and name? Constant-time; pool thread. Unix peers
     * of this user skip it. */
    bool (*authenticate)(void *arg, enum rpc_kind kind, const char *name, const char *token);
    /* Loop thread; must not block. NULL is fine. */
    void (*opened)(void *arg, struct rpc_session *session);
    void (*closed)(void *arg, struct rpc_session *session);
};

/* Starts listening. Loop thread. The config's strings must live until the call returns, the method
 * table for ever. */
int rpc_server_start(struct loop *loop, const struct rpc_server_config *config,
                     struct rpc_server **server, struct err *err);
/* Closes every link (their calls fail with ERR_STOPPED) and frees itself once all handles are
 * closed. Loop thread. */
void rpc_server_stop(struct rpc_server *server);

/* Any thread, while a call of the session is held or between opened and closed. */
enum rpc_kind rpc_session_kind(const struct rpc_session *session);
const char *rpc_session_name(const struct rpc_session *session);
uint64_t rpc_session_id(const struct rpc_session *session); /* unique in this process */
int64_t rpc_session_heard_ms(
    const struct rpc_session *session); /* monotonic time of the last frame from the peer */

/* Any thread that holds a reference. */
void *rpc_call_arg(const struct rpc_call *call);
struct rpc_session *rpc_call_session(const struct rpc_call *call);
struct rpc_call *rpc_call_ref(struct rpc_call *call);
void rpc_call_unref(struct rpc_call *call); /* NULL is fine; a call not ended when its last
                                               reference goes ends with ERR_INTERNAL */
int64_t rpc_call_deadline_ms(const struct rpc_call *call); /* monotonic; INT64_MAX: none */
bool rpc_call_is_gone(
    const struct rpc_call *call); /* cancelled, its link closed, its deadline passed, or ended */

/* Ends the call, once; later ends are ignored. Any thread. `result` is taken; NULL is {}. What is
 * larger than a frame is answered `resource_exhausted`. The text of an ERR_INTERNAL goes to the
 * log, the caller sees an id. */
void rpc_call_end(struct rpc_call *call, json_t *result);
void rpc_call_fail(struct rpc_call *call, const struct err *err);

/* Called on the loop thread, once, when the call is gone for any reason but rpc_call_end/fail; soon
 * if it already is. Not called any more after rpc_call_end/fail on the loop thread; when these run
 * on another thread it may be under way at that moment. */
void rpc_call_on_gone(struct rpc_call *call, void (*gone)(void *arg), void *arg);

/* Sends one JSON value (taken) as data of the call, if the window has room: false when it has not,
 * and then `writable` (set by rpc_call_on_writable, loop thread) is called when there is. Never
 * blocks. Any thread. True also when the call is over, and when the value is larger than a frame,
 * which fails the call with ERR_EXHAUSTED: there is no use in trying again. */
bool rpc_call_try_send(struct rpc_call *call, json_t *data);
void rpc_call_on_writable(struct rpc_call *call, void (*writable)(void *arg), void *arg);

/* Blocking, for pool threads: waits for the window; fails with ERR_STOPPED when the call is gone.
 */
int rpc_call_send(struct rpc_call *call, json_t *data, struct err *err); /* takes */
int rpc_call_write(struct rpc_call *call, const void *data, size_t len, struct err *err);

/* One piece of what the peer sends inside the call. `len` is what it counts for in the window (of
 * bytes: their number). */
struct rpc_item {
    json_t *json; /* or NULL: */
    void *bytes;
    size_t len;
};
void rpc_item_done(struct rpc_item *item);

/* Blocking, for pool threads: 1 and an item; 0 at the peer's end of its side; -1 (ERR_STOPPED, or
 * ERR_TIMEOUT after `timeout_ms`, whereupon one may call again). Reading gives window back to the
 * peer. */
int rpc_call_read(struct rpc_call *call, int64_t timeout_ms, struct rpc_item *item,
                  struct err *err);

/* Instead of rpc_call_read, for calls that are held long and answer later (build.attempt): called
 * on the loop thread with each item (taken by the callee) and with NULL at the peer's end; window
 * is given back when the callee calls rpc_call_consumed with the item's `len`. A call that is over
 * brings no more items: use rpc_call_on_gone to let go of what `arg` holds. */
void rpc_call_on_item(struct rpc_call *call, void (*on_item)(void *arg, struct rpc_item *item),
                      void *arg);
void rpc_call_consumed(struct rpc_call *call, size_t len); /* any thread */

/* ---- calling ---- */

struct rpc_client; /* keeps one link up: dials, says hello, pings, dials again with jittered
                      back-off (50 ms to 5 s) */

struct rpc_client_config {
    const char *address; /* "unix:/path", or "tls://host:port" */
    const char *ca_file; /* for tls: PEM of who may sign the server's certificate */
    const char *token;   /* or NULL */
    enum rpc_kind kind;
    const char *name;
    /* Loop thread; NULL is fine. `up` after every successful hello, `down` after each loss. */
    void (*up)(void *arg);
    void (*down)(void *arg);
    void *arg;
};

int rpc_client_start(struct loop *loop, const struct rpc_client_config *config,
                     struct rpc_client **client, struct err *err);
/* Fails every open call with ERR_STOPPED, closes, frees once handles are closed. Loop thread; no
 * other thread may still use it. */
void rpc_client_stop(struct rpc_client *client);
bool rpc_client_is_up(const struct rpc_client *client); /* any thread */

/* One call, blocking; not on the loop thread. While the link is down it waits for it, within
 * `timeout_ms`; a call whose link is lost before its end fails with ERR_UNAVAILABLE (whether it
 * took effect is not known). `result` may be NULL. `timeout_ms` 0, here and in rpc_client_open: no
 * limit once begun; waiting for the link is then bounded by 10 s. All that block here fail with
 * ERR_STOPPED once work_stopping is set. */
int rpc_client_call(struct rpc_client *client, const char *method, const json_t *params,
                    int64_t timeout_ms, json_t **result, struct err *err);

/* A call with streams, blocking; not on the loop thread, one thread reads and one writes.
 * `timeout_ms` is for the whole call. */
struct rpc_exchange;
int rpc_client_open(struct rpc_client *client, const char *method, const json_t *params,
                    int64_t timeout_ms, struct rpc_exchange **x, struct err *err);
int rpc_exchange_write(struct rpc_exchange *x, const void *data, size_t len, struct err *err);
int rpc_exchange_send(struct rpc_exchange *x, const json_t *data, struct err *err);
int rpc_exchange_finish(struct rpc_exchange *x,
                        struct err *err); /* no more from this side; idempotent */
/* As rpc_call_read; 0 when the call has ended, a lost link included: rpc_exchange_result says how.
 */
int rpc_exchange_read(struct rpc_exchange *x, int64_t timeout_ms, struct rpc_item *item,
                      struct err *err);
/* Finishes this side, throws away what is not read yet, waits for the end. The result is given
 * once. */
int rpc_exchange_result(struct rpc_exchange *x, json_t **result, struct err *err);
void rpc_exchange_close(
    struct rpc_exchange *x); /* cancels the call if it has not ended; frees; NULL is fine */
static inline void rpc_exchange_closep(struct rpc_exchange **x)
{
    rpc_exchange_close(*x);
}
#define auto_rpc_exchange __attribute__((__cleanup__(rpc_exchange_closep))) struct rpc_exchange

/* A call from the loop thread (the gateway). Callbacks run on the loop thread: `data` for each JSON
 * value (borrowed), `done` exactly once (result borrowed and err NULL, or result NULL and err set).
 * While the link is down the call waits, within `timeout_ms` (0: no limit once begun; waiting for
 * the link is then bounded by 10 s). Window is given back after each `data`. */
struct rpc_async;
struct rpc_async_events {
    void (*data)(void *arg, const json_t *value);
    void (*done)(void *arg, const json_t *result, const struct err *err);
    void *arg;
};
struct rpc_async *rpc_client_start_call(struct rpc_client *client, const char *method,
                                        const json_t *params, int64_t timeout_ms,
                                        const struct rpc_async_events *events);
void rpc_async_cancel(struct rpc_async *call); /* `done` is not called any more; frees */

#endif
