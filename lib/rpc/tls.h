/* TLS 1.3 without sockets: bytes of the wire in, plain bytes out, and the other way round. Loop
 * thread. */
#ifndef RPC_TLS_H
#define RPC_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "rpc/buffer.h"

struct tls_context; /* certificates and rules; shared by the connections of a server or client */

struct tls_context *tls_context_serve(const char *cert_file, const char *key_file, struct err *err);
struct tls_context *tls_context_dial(const char *ca_file, struct err *err);
void tls_context_free(
    struct tls_context *context); /* NULL is fine; connections keep what they need */

struct tls; /* one connection */

/* `host`: whose certificate is expected, a name or an address; NULL: this is the server. */
struct tls *tls_new(const struct tls_context *context, const char *host, struct err *err);
void tls_free(struct tls *tls);

/* Takes bytes from the wire, or with `len` 0 begins; appends what they contain to `plain`.
 * ERR_UNAVAILABLE at the peer's orderly end. */
int tls_take(struct tls *tls, const void *data, size_t len, struct buffer *plain, struct err *err);
bool tls_is_ready(const struct tls *tls); /* the handshake is done */
int tls_put(struct tls *tls, const void *data, size_t len, struct err *err);
/* Moves what must go to the wire now. */
void tls_flush(struct tls *tls, struct buffer *wire);

#endif
