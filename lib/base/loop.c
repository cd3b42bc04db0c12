#include "base/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <uv.h>

#include "base/mem.h"

struct post {
    STAILQ_ENTRY(post) link;
    void (*fn)(void *);
    void *arg;
};

STAILQ_HEAD(posts, post);

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_signal_t term, interrupt;
    void (*stop)(void *);
    void *arg;
    bool stop_called, stopped;
    uv_mutex_t lock; /* guards: */
    struct posts posts;
};

static void run_posts(struct loop *loop)
{
    struct posts batch = STAILQ_HEAD_INITIALIZER(batch);
    struct post *p;

    uv_mutex_lock(&loop->lock);
    STAILQ_CONCAT(&batch, &loop->posts);
    uv_mutex_unlock(&loop->lock);
    while ((p = STAILQ_FIRST(&batch))) {
        STAILQ_REMOVE_HEAD(&batch, link);
        p->fn(p->arg);
        free(p);
    }
}

static void on_wake(uv_async_t *wake)
{
    run_posts(container_of(wake, struct loop, wake));
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct loop *loop = signal->data;
    (void)number;

    if (loop->stop_called)
        return;
    loop->stop_called = true;
    loop->stop(loop->arg);
}

static void watch_signal(struct loop *loop, uv_signal_t *handle, int number)
{
    uv_signal_init(&loop->uv, handle);
    handle->data = loop;
    uv_signal_start(handle, on_signal, number);
}

struct loop *loop_new(void (*stop)(void *arg), void *arg)
{
    struct loop *loop = xcalloc(1, sizeof *loop);

    signal(SIGPIPE, SIG_IGN);
    loop->stop = stop;
    loop->arg = arg;
    STAILQ_INIT(&loop->posts);
    if (uv_loop_init(&loop->uv) || uv_mutex_init(&loop->lock) ||
        uv_async_init(&loop->uv, &loop->wake, on_wake))
        abort();
    watch_signal(loop, &loop->term, SIGTERM);
    watch_signal(loop, &loop->interrupt, SIGINT);
    return loop;
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct post *p = xcalloc(1, sizeof *p);
    *p = (struct post){ .fn = fn, .arg = arg };

    uv_mutex_lock(&loop->lock);
    STAILQ_INSERT_TAIL(&loop->posts, p, link);
    uv_mutex_unlock(&loop->lock);
    uv_async_send(&loop->wake);
}

void loop_drain(struct loop *loop)
{
    run_posts(loop);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    if (loop->stopped)
        return;
    loop->stopped = true;
    uv_unref((uv_handle_t *)&loop->wake); /* posts still run while others are open */
    uv_unref((uv_handle_t *)&loop->term);
    uv_unref((uv_handle_t *)&loop->interrupt);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    loop_stop(loop);
    run_posts(loop);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->term, NULL);
    uv_close((uv_handle_t *)&loop->interrupt, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    run_posts(loop);
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0); /* a handle was left open */
    (void)rc;
    uv_mutex_destroy(&loop->lock);
    free(loop);
}
