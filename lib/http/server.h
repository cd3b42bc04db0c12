/* HTTP/1.1 server on the program's loop (libmicrohttpd underneath): whole requests, later replies,
 * event streams, and raw exchanges for CGI. Everything on the loop thread. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

struct http_server;
struct http_request;
struct http_stream;

/* The head is read, the body not yet. Return true when the body shall be given in pieces to
 * http_body_events (bounded memory: hosted git), false to have it collected up to `body_max`. May
 * be NULL.
 *
 * With true, the handler is called at once, and nothing of the body is read until it, or somebody
 * later, has called http_request_stream_body. A reply before that is sent without reading the body,
 * and closes the connection if there is one; a reply in the middle of the body is sent after what
 * still comes, up to 8 MiB; more closes the connection. */
typedef bool (*http_head_handler)(struct http_request *request, void *arg);

/* The whole request is read (or its streamed body has begun). Answer now or later with exactly one
 * of http_reply, http_stream_start; then `request` is gone. */
typedef void (*http_handler)(struct http_request *request, void *arg);

struct http_server_config {
    const char *host;          /* address to listen on, e.g. 127.0.0.1 */
    uint16_t port;             /* 0: any; see http_server_port */
    size_t head_max;           /* bytes of request line and headers */
    size_t body_max;           /* bytes of a collected body; more is answered 413 */
    size_t stream_backlog_max; /* bytes waiting on one event stream; a client that reads slower is
                                  dropped */
    unsigned conns_max;
    unsigned request_timeout_s; /* from the first byte to the last of a request that is collected */
    unsigned idle_timeout_s;
    http_head_handler head;
    http_handler handler;
    http_handler too_big; /* answers at once, with 413; NULL: an answer without a body */
    void *arg;
};

int http_server_start(struct loop *loop, const struct http_server_config *config,
                      struct http_server **server, struct err *err);
uint16_t http_server_port(const struct http_server *server);
/* Ends the streams, answers nothing more, closes; frees itself when its handles are closed. Not
 * from a callback of the server's. */
void http_server_stop(struct http_server *server);

const char *http_request_method(const struct http_request *request);
const char *http_request_path(
    const struct http_request *request); /* decoded by no one: as sent, without the query */
const char *http_request_header(const struct http_request *request,
                                const char *name); /* NULL when absent */
const char *http_request_query(const struct http_request *request,
                               const char *name); /* decoded; NULL when absent */
const char *http_request_query_string(
    const struct http_request *request); /* raw, after '?'; "" when absent */
const char *http_request_peer(const struct http_request *request); /* address of the client */
const char *http_request_body(const struct http_request *request, size_t *len); /* NUL-terminated */
void http_request_set_arg(struct http_request *request, void *arg); /* the handler's own */
void *http_request_arg(const struct http_request *request);

/* The client went away before the reply: called once, instead of any use of `request` afterwards.
 */
void http_request_on_gone(struct http_request *request, void (*gone)(void *arg), void *arg);

struct http_header {
    const char *name, *value;
};

/* `headers` ends with a NULL name; may be NULL. `type` NULL: no content type. Bytes are copied. */
void http_reply(struct http_request *request, unsigned status, const char *type,
                const struct http_header *headers, const void *body, size_t len);

/* A streamed body. `data` returns how many bytes it took; fewer pauses reading until
 * http_request_resume_body. */
struct http_body_events {
    size_t (*data)(void *arg, const void *data, size_t len);
    void (*end)(void *arg);
    void *arg;
};
/* Once, for a request for which the head handler said true. */
void http_request_stream_body(struct http_request *request, const struct http_body_events *events);
void http_request_resume_body(struct http_request *request);

struct http_stream_events {
    void (*drained)(void *arg); /* what was written is on its way: room again. May be NULL */
    void (*closed)(void *arg);  /* peer gone or server stopping; the stream is freed after */
    void *arg;
};

/* Answers with a body that is written as it comes (chunked). */
struct http_stream *http_stream_start(struct http_request *request, unsigned status,
                                      const char *type, const struct http_header *headers,
                                      const struct http_stream_events *events);
bool http_stream_write(struct http_stream *stream, const void *data,
                       size_t len); /* false: over the backlog; nothing was taken */
size_t http_stream_backlog(const struct http_stream *stream);
/* Closes at once, what waits is lost: for a client that is over the backlog. `closed` comes later,
 * from the loop. */
void http_stream_drop(struct http_stream *stream);
void http_stream_end(struct http_stream *stream); /* after what is written; `closed` still comes */

#endif
