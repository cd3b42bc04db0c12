/* One link to the server: hello, who the peer is, its calls. Made and ended on the loop thread;
 * calls refer to it from any. */
#ifndef RPC_SESSION_H
#define RPC_SESSION_H

#include <sys/queue.h>

#include "rpc/mux.h"
#include "rpc/rpc.h"

/* What sessions need of their server, and calls for as long as they live. */
struct session_config {
    const struct rpc_method *methods;
    size_t method_count;
    void *arg;
    struct pool *pool, *bulk;
    unsigned idle_ms;
    bool (*authenticate)(void *arg, enum rpc_kind kind, const char *name, const char *token);
    void (*opened)(void *arg, struct rpc_session *session);
    void (*closed)(void *arg, struct rpc_session *session);
    void (*detached)(struct rpc_server *server, struct rpc_session *session);
    struct rpc_server *server; /* for `detached` only */
};

/*
 *   SESSION_NEW ── link.hello ──► SESSION_GREETING ── accepted ──► SESSION_OPEN
 *        │                              │ refused, lost                  │ lost, stopped
 *        └────────── lost ──────────────┴───────► SESSION_CLOSED ◄───────┘
 *
 * It waits for the peer in NEW and OPEN, for the pool in GREETING. */
enum session_state { SESSION_NEW, SESSION_GREETING, SESSION_OPEN, SESSION_CLOSED };

struct rpc_session {
    LIST_ENTRY(rpc_session) link; /* the server's, until detached */
    struct session_config config;
    struct mux *mux;
    enum session_state state; /* loop thread */
    bool is_trusted;
    /* set before the first call is handed to a thread, then constant */
    uint64_t id;
    enum rpc_kind kind;
    char *name;
};

struct rpc_call {
    struct stream stream;            /* first: they are cast into each other */
    struct rpc_session *session;     /* lives as long as stream.mux */
    const struct rpc_method *method; /* NULL: link.hello */
    char *method_name;
    json_t *params;
};

/* Takes the link. */
struct rpc_session *session_start(struct loop *loop, struct link *link,
                                  const struct session_config *config);

struct rpc_call *call_new(struct rpc_session *session, const struct message *message);

/* hello.c: checks the parameters of link.hello and goes on to session_greeted or session_refused.
 */
void hello_take(struct rpc_call *call);
void session_greeted(struct rpc_call *hello, enum rpc_kind kind, const char *name);
void session_refused(struct rpc_call *hello, const struct err *why);

#endif
