#include "base/work.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "base/mem.h"

enum { STACK_SIZE = 512 * 1024 };

atomic_bool work_stopping;

static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stop_wake = PTHREAD_COND_INITIALIZER;

static int start_thread(pthread_t *thread, void *(*main)(void *), void *arg)
{
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int rc = pthread_create(thread, &attr, main, arg);
    pthread_attr_destroy(&attr);
    return rc;
}

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

static struct timespec deadline_after(clockid_t clock, int64_t ms)
{
    struct timespec t;

    if (ms < 0)
        ms = 0;
    clock_gettime(clock, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

bool work_sleep(int64_t ms)
{
    struct timespec until = deadline_after(CLOCK_MONOTONIC, ms);
    int rc = 0;

    pthread_mutex_lock(&stop_lock);
    while (!work_stopping && rc != ETIMEDOUT)
        rc = pthread_cond_clockwait(&stop_wake, &stop_lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&stop_lock);
    return !work_stopping;
}

void work_stop(void)
{
    pthread_mutex_lock(&stop_lock);
    work_stopping = true;
    pthread_cond_broadcast(&stop_wake);
    pthread_mutex_unlock(&stop_lock);
}

struct ticker {
    const char *name;
    int64_t (*run)(void *);
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock; /* guards: */
    pthread_cond_t wake;
    bool kicked, stop;
};

/* With the lock held: until kicked, stopped, or `ms` later. */
static void ticker_wait(struct ticker *t, int64_t ms)
{
    enum { FOREVER_MS = 1000 * 86400 };
    struct timespec until = deadline_after(CLOCK_MONOTONIC, ms < FOREVER_MS ? ms : FOREVER_MS);

    while (!t->stop && !t->kicked)
        if (pthread_cond_timedwait(&t->wake, &t->lock, &until) == ETIMEDOUT)
            return;
}

static void *ticker_main(void *arg)
{
    struct ticker *t = arg;

    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        t->kicked = false;
        pthread_mutex_unlock(&t->lock);
        int64_t ms = t->run(t->arg);
        pthread_mutex_lock(&t->lock);
        ticker_wait(t, ms);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

struct ticker *ticker_start(const char *name, int64_t (*run)(void *arg), void *arg)
{
    struct ticker *t = xcalloc(1, sizeof *t);

    t->name = name;
    t->run = run;
    t->arg = arg;
    pthread_mutex_init(&t->lock, NULL);
    init_cond(&t->wake);
    if (start_thread(&t->thread, ticker_main, t))
        abort();
    return t;
}

void ticker_kick(struct ticker *t)
{
    pthread_mutex_lock(&t->lock);
    t->kicked = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

void ticker_stop(struct ticker *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

struct each {
    void **items;
    size_t count;
    atomic_size_t next;
    void (*fn)(void *, void *);
    void *arg;
};

static void *each_main(void *arg)
{
    struct each *e = arg;
    size_t i;

    while (!work_stopping && (i = atomic_fetch_add(&e->next, 1)) < e->count)
        e->fn(e->items[i], e->arg);
    return NULL;
}

void work_each(void **items, size_t count, unsigned threads, void (*fn)(void *item, void *arg),
               void *arg)
{
    struct each e = { .items = items, .count = count, .fn = fn, .arg = arg };
    unsigned started = 0, others = threads > count ? (unsigned)count : threads;
    auto_free pthread_t *thread = xcalloc(others, sizeof *thread);

    while (started + 1 < others && start_thread(&thread[started], each_main, &e) == 0)
        started++;
    each_main(&e);
    while (started)
        pthread_join(thread[--started], NULL);
}

struct job {
    STAILQ_ENTRY(job) link;
    void (*fn)(void *);
    void *arg;
};

struct pool {
    unsigned count;
    pthread_t *threads;
    size_t queue_max;
    pthread_mutex_t lock; /* guards: */
    pthread_cond_t wake;
    STAILQ_HEAD(, job) queue;
    size_t queued;
    bool stop;
};

static void *pool_main(void *arg)
{
    struct pool *p = arg;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && STAILQ_EMPTY(&p->queue))
            pthread_cond_wait(&p->wake, &p->lock);
        struct job *job = STAILQ_FIRST(&p->queue);
        if (!job)
            break;
        STAILQ_REMOVE_HEAD(&p->queue, link);
        p->queued--;
        pthread_mutex_unlock(&p->lock);
        job->fn(job->arg);
        free(job);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_start(unsigned threads, size_t queue_max)
{
    struct pool *p = xcalloc(1, sizeof *p);

    p->threads = xcalloc(threads, sizeof *p->threads);
    p->queue_max = queue_max;
    pthread_mutex_init(&p->lock, NULL);
    init_cond(&p->wake);
    STAILQ_INIT(&p->queue);
    for (p->count = 0; p->count < threads; p->count++)
        if (start_thread(&p->threads[p->count], pool_main, p))
            abort();
    return p;
}

bool pool_run(struct pool *p, void (*fn)(void *arg), void *arg)
{
    struct job *job = xcalloc(1, sizeof *job);
    *job = (struct job){ .fn = fn, .arg = arg };

    pthread_mutex_lock(&p->lock);
    bool has_room = p->queued < p->queue_max && !p->stop;
    if (has_room) {
        STAILQ_INSERT_TAIL(&p->queue, job, link);
        p->queued++;
        pthread_cond_signal(&p->wake);
    }
    pthread_mutex_unlock(&p->lock);
    if (!has_room)
        free(job);
    return has_room;
}

void pool_stop(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->count; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}

struct thread {
    pthread_t thread;
    void (*main)(void *);
    void *arg;
};

static void *thread_main(void *arg)
{
    struct thread *t = arg;

    t->main(t->arg);
    return NULL;
}

struct thread *thread_start(void (*main)(void *arg), void *arg)
{
    struct thread *t = xcalloc(1, sizeof *t);

    *t = (struct thread){ .main = main, .arg = arg };
    if (start_thread(&t->thread, thread_main, t))
        abort();
    return t;
}

void thread_join(struct thread *t)
{
    if (!t)
        return;
    pthread_join(t->thread, NULL);
    free(t);
}
