/* Inside of the calling side: the link that is kept up, and how calls get onto it. */
#ifndef RPC_CLIENT_H
#define RPC_CLIENT_H

#include <pthread.h>
#include <sys/queue.h>
#include <uv.h>

#include "rpc/mux.h"
#include "rpc/rpc.h"
#include "rpc/tls.h"

enum {
    CLIENT_WAIT_MS = 10000, /* for the link, when a call has no limit of its own */
    CLIENT_DIAL_MS = 10000, /* from dialling to the answer to hello */
};

TAILQ_HEAD(asyncs, rpc_async);

/*
 *   DOWN ── timer ──► RESOLVING ──► DIALLING ── hello answered ──► UP
 *    ▲                    │             │                           │
 *    └──── back-off ──────┴─────────────┴───────────────────────────┘      any ── stop ──► STOPPED
 *
 * It waits for the timer in DOWN, the resolver in RESOLVING (skipped for unix sockets), the peer in
 * DIALLING and UP. */
enum client_state { CLIENT_DOWN, CLIENT_RESOLVING, CLIENT_DIALLING, CLIENT_UP, CLIENT_STOPPED };

struct rpc_client {
    struct loop *loop;
    struct rpc_client_config config; /* without its texts: */
    char *unix_path, *host, *port;   /* unix_path, or the other two */
    char *name, *token, *address;
    struct tls_context *tls;
    enum client_state state; /* this and up to the lock: loop thread */
    uv_timer_t retry;
    uv_getaddrinfo_t resolve;
    unsigned handles; /* timer, resolver, links not yet detached */
    unsigned attempts;
    int64_t up_since_ms;
    struct mux *mux; /* DIALLING, UP; borrowed: it lives until detached */
    struct asyncs asyncs;
    pthread_mutex_t lock; /* guards: */
    unsigned refs;        /* the client itself, and each thread that waits for the link */
    pthread_cond_t moved;
    struct mux *up; /* counted; NULL while down */
    bool is_stopped;
    struct err why; /* it is down */
};

/* address.c: "unix:/path" or "tls://host:port" into the client's fields. */
int client_read_address(struct rpc_client *client, const char *address, struct err *err);

/* The link, or NULL while it is down. Borrowed: loop thread. */
struct mux *client_link(struct rpc_client *client);
/* Why it is down. Any thread. */
void client_say_down(struct rpc_client *client, struct err *err);
/* Waits for the link until then. Not on the loop thread. */
struct mux *client_wait_link(struct rpc_client *client, int64_t until_ms, struct err *err);

/* async.c, on the loop thread. */
void async_link_is_up(struct rpc_client *client);
void async_stop_all(struct rpc_client *client);

#endif
