/* Threads that do blocking work: a ticker, a bounded "for each", and a pool. Nothing else in a
 * program starts threads, except for the reader of a live source (a log, an event stream), by
 * work_thread().
 *
 * Threads meet only at loop_post, ticker_kick, work_each, pool_run, and the store. */
#ifndef BASE_WORK_H
#define BASE_WORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Set once, at shutdown, by work_stop(). Blocking calls look at it and give up within a second. */
extern atomic_bool work_stopping;

struct ticker; /* runs one function again and again, never twice at once */

/* `run` is called at once, then when kicked, or at the latest after the number of milliseconds that
 * it returned (INT64_MAX: only when kicked). */
struct ticker *ticker_start(const char *name, int64_t (*run)(void *arg), void *arg);
void ticker_kick(
    struct ticker *ticker); /* run soon; kicks during a run become one more run. Any thread */
void ticker_stop(struct ticker *ticker); /* waits for a run under way, frees; NULL is fine */

/* fn(item, arg) for every item on at most `threads` threads, this one included; returns when all
 * are done. Once work_stopping is set the items not begun are left out. */
void work_each(void **items, size_t count, unsigned threads, void (*fn)(void *item, void *arg),
               void *arg);

struct pool; /* a fixed number of threads and a bounded queue */

struct pool *pool_start(unsigned threads, size_t queue_max);
/* false: the queue is full, nothing was queued. Any thread. */
bool pool_run(struct pool *pool, void (*fn)(void *arg), void *arg);
void pool_stop(struct pool *pool); /* runs what is queued, joins, frees; NULL is fine */

struct thread; /* one reader of a live source; `main` watches work_stopping or the fd that its owner
                  closes */

struct thread *thread_start(void (*main)(void *arg), void *arg);
void thread_join(struct thread *thread); /* frees; NULL is fine */

/* Waits, at most so long, and not past work_stopping: false when stopping. For back-off in reader
 * threads. */
bool work_sleep(int64_t ms);

/* Sets work_stopping and wakes every work_sleep. Async-signal-unsafe: call it from the loop. */
void work_stop(void);

#endif
