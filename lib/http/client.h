/* HTTP client (libcurl underneath): blocking, over TCP or a unix socket, with time limits and the
 * stop flag. A client is one connection cache and belongs to one thread at a time. Proxies named in
 * the environment are not used. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct http_client;

/* `unix_path` NULL: TCP. */
struct http_client *http_client_new(const char *unix_path);
void http_client_free(struct http_client *client);

struct http_call {
    const char *method, *url;
    const char *const *headers; /* "Name: value", NULL-ended; may be NULL */
    const void *body;
    size_t body_len;
    /* A body that is read as it goes (chunked): returns bytes put, 0 at the end, -1 to give up
     * (with err). */
    int64_t (*read)(void *arg, void *buffer, size_t size, struct err *err);
    int64_t read_len; /* what `read` will give in all, sent as Content-Length; 0: not known */
    /* The answer's body as it comes, instead of collecting it; non-zero ends the call (with err).
     * Only called for 2xx. */
    int (*write)(void *arg, const void *data, size_t len, struct err *err);
    void *arg;
    int64_t timeout_ms;    /* of the whole call; 0: none (streams) */
    int64_t idle_ms;       /* without any byte; 0: none */
    size_t answer_max;     /* bytes collected; 0: 16 MiB. More is ERR_EXHAUSTED */
    bool follow_redirects; /* of GET and HEAD only; at most 5, same scheme or http→https */
    /* Basic auth. Neither this nor an Authorization or Cookie header goes to another host after a
     * redirect. */
    const char *user, *password;
    const bool *cancelled; /* looked at several times a second, may be NULL; set by another thread
                              atomically */
};

struct http_answer {
    long status;
    char *body; /* NUL-terminated */
    size_t len;
    char *content_type; /* NULL when absent */
    char *url;          /* the one that answered, after redirects */
    char *head;         /* headers as "Name: value" lines; see http_answer_header */
};

/* 0 when an answer came, whatever its status. ERR_UNAVAILABLE (refused, reset, resolve),
 * ERR_TIMEOUT, ERR_STOPPED, or the callback's error. */
int http_client_run(struct http_client *client, const struct http_call *call,
                    struct http_answer *answer, struct err *err);
void http_answer_done(struct http_answer *answer);

/* The value of the answer's first header of that name, the caller's to free; NULL when absent. */
char *http_answer_header(const struct http_answer *answer, const char *name);

static inline void http_client_freep(struct http_client **client)
{
    http_client_free(*client);
}
#define auto_http_client __attribute__((__cleanup__(http_client_freep))) struct http_client
#define auto_http_answer __attribute__((__cleanup__(http_answer_done))) struct http_answer

#endif
