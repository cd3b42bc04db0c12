/* A server on a loop thread of its own, with a few paths that the tests ask for, and raw sockets to
 * ask with. */
#ifndef TEST_HTTP_FIXTURE_H
#define TEST_HTTP_FIXTURE_H

#include <stdatomic.h>
#include <stddef.h>

#include "http/server.h"

struct fixture {
    struct http_server_config config;
    struct loop *loop;
    struct thread *thread;
    struct http_server *server;
    struct http_stream *stream; /* loop thread: of /firehose, /silent or /ticks */
    uint16_t port;
    /* Counted on the loop thread, read by the test. */
    atomic_int requests, gone, closed, refused;
    atomic_size_t taken, piece_max;
    atomic_bool may_take; /* does /slow-upload have room? */
};

/* What a test does not set in config gets a small default. */
void fixture_start(struct fixture *f);
void fixture_stop(struct fixture *f);

/* Runs fn(fixture) on the loop thread and waits for it. */
void fixture_run(struct fixture *f, void (*fn)(struct fixture *f));

/* Waits until *counter is at least `n`, five seconds at most; returns what it is then. */
int wait_for(atomic_int *counter, int n);

struct raw_answer {
    int status; /* 0: the connection ended before a whole answer */
    char *head, *body;
    size_t len;
};
void raw_answer_done(struct raw_answer *answer);

int raw_connect(const struct fixture *f);
void raw_send(int fd, const char *text);
/* The next answer on the connection: its head, and as much body as its head says (none with
 * `is_head`). */
struct raw_answer raw_read(int fd, bool is_head);
/* One request on a new connection that is closed after. */
struct raw_answer raw_ask(const struct fixture *f, const char *request);
/* Everything until the other side closes (or five seconds of silence, then *is_closed is false). */
char *raw_read_all(int fd, size_t *len, bool *is_closed);

#endif
