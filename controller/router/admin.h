/* HAProxy's runtime socket and the socket of its master process: one command per connection (0.1 ms
 * on this kind of socket), so that a HAProxy that restarted in between is never talked to half.
 * Blocking; any thread.
 *
 * Commands are built from words that passed names.h; nothing else may be put into them. */
#ifndef CONTROLLER_ROUTER_ADMIN_H
#define CONTROLLER_ROUTER_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Sends one command; the answer is the caller's to free. ERR_UNAVAILABLE when nobody listens or
 * answers in time. */
int admin_ask(const char *socket_path, const char *command, char **answer, struct err *err);

/* The same for a command whose success is an answer that starts with `expected` ("": nothing but
 * white space). */
int admin_run(const char *socket_path, const char *expected, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A server as the running HAProxy has it. */
struct seen_server {
    unsigned slot;
    char *name, *address;
    unsigned port;
    bool is_ready, is_draining;
};
struct seen_servers { /* ordered by slot */
    struct seen_server *items;
    size_t count;
};
/* Those of one slot, or of all with slot 0. */
int admin_servers(const char *socket_path, unsigned slot, struct seen_servers *seen,
                  struct err *err);
void seen_servers_done(struct seen_servers *seen);
#define auto_seen_servers __attribute__((__cleanup__(seen_servers_done))) struct seen_servers

/* Sessions and queued requests of a server; 0 when there is no such server. */
int admin_sessions(const char *socket_path, unsigned slot, const char *server, long long *count,
                   struct err *err);

/* Is `word` the description of the running configuration? */
int admin_has_layout(const char *socket_path, const char *word, bool *has, struct err *err);

#endif
