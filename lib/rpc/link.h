/* One socket, unix or TLS over TCP, that carries frames. Loop thread only.
 *
 * A link is made by accepting or dialling, says nothing until link_start, and from then on calls
 * its events. After a failure, or link_close, no event but `closed` comes any more; the link frees
 * itself right after that. */
#ifndef RPC_LINK_H
#define RPC_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "base/err.h"
#include "rpc/frame.h"
#include "rpc/tls.h"

struct link;

struct link_events {
    void (*ready)(void *arg); /* connected, TLS agreed: frames may be written */
    int (*frame)(void *arg, const struct frame *frame,
                 struct err *err);                    /* -1: this was malformed */
    void (*written)(void *arg, size_t len);           /* so much of what link_write took has left */
    void (*failed)(void *arg, const struct err *why); /* call link_close now */
    void (*closed)(void *arg);
};

/* NULL with err when it cannot begin. `tls` NULL: plain. `host`: whose certificate is expected. */
struct link *link_accept(uv_stream_t *listener, const struct tls_context *tls, struct err *err);
struct link *link_dial_unix(uv_loop_t *loop, const char *path);
struct link *link_dial_tcp(uv_loop_t *loop, const struct sockaddr *address,
                           const struct tls_context *tls, const char *host, struct err *err);

void link_start(struct link *link, const struct link_events *events, void *arg);

/* Frames with a larger payload are malformed; until this is called, more than LINK_HELLO_MAX. */
enum { LINK_HELLO_MAX = 16 * 1024 };
void link_allow(struct link *link, size_t payload_max);

/* Takes whole frames. The last thing its caller does: it may fail the link. */
void link_write(struct link *link, struct buffer *frames);

/* Is the other end a process of this user or of root, on this machine? */
bool link_peer_is_trusted(const struct link *link);

void link_close(struct link *link); /* idempotent */

#endif
