/* The loop thread of a program: libuv, functions posted to it from other threads, and the stop
 * signals.
 *
 * The loop thread never blocks: no SQLite, no getaddrinfo, no waiting. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>

typedef struct uv_loop_s uv_loop_t;
struct loop;

/* SIGTERM and SIGINT call `stop(arg)` once, on the loop thread; SIGPIPE is ignored. */
struct loop *loop_new(void (*stop)(void *arg), void *arg);

uv_loop_t *loop_uv(struct loop *loop);

/* Runs fn(arg) on the loop thread soon, in the order posted. Any thread, until loop_free. */
void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);

/* Runs until every handle but the loop's own is closed and loop_stop was called. */
void loop_run(struct loop *loop);

/* Runs what is posted, now. Loop thread, when the loop does not run (at the end of a program). */
void loop_drain(struct loop *loop);

/* Lets loop_run return once the other handles are closed. Loop thread. */
void loop_stop(struct loop *loop);

/* Runs what is still posted, closes, frees; NULL is fine. No thread may post any more. */
void loop_free(struct loop *loop);

#endif
