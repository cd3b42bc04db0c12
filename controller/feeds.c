#include "controller/feeds.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"

/* References: one for the list while the call lives, one for each pump that is queued or runs. The
 * last one posts the end to the loop thread: the call's hooks run there, and one of them may be
 * under way. */
struct follower {
    LIST_ENTRY(follower) link;
    struct feeds *feeds;
    struct rpc_call *call;
    char *topic;
    pump_function pump;
    void *arg;
    void (*done)(void *);
    int references;
    bool is_listed, is_running, is_kicked;
};

struct feeds {
    struct pool *pool;
    struct loop *loop;
    pthread_mutex_t lock; /* guards all followers: */
    LIST_HEAD(, follower) followers;
    int readers;
};

struct feeds *feeds_new(struct pool *pool, struct loop *loop)
{
    struct feeds *f = xcalloc(1, sizeof *f);

    f->pool = pool;
    f->loop = loop;
    pthread_mutex_init(&f->lock, NULL);
    LIST_INIT(&f->followers);
    return f;
}

static void free_follower(void *arg)
{
    struct follower *w = arg;

    w->done(w->arg);
    rpc_call_unref(w->call);
    free(w->topic);
    free(w);
}

void feeds_free(struct feeds *f)
{
    struct follower *w;

    if (!f)
        return;
    while ((w = LIST_FIRST(&f->followers))) {
        LIST_REMOVE(w, link);
        free_follower(w);
    }
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* With the lock held; the caller frees when true, after unlocking. */
static bool drop(struct follower *w)
{
    return --w->references == 0;
}

static bool unlist(struct follower *w)
{
    if (!w->is_listed)
        return false;
    w->is_listed = false;
    LIST_REMOVE(w, link);
    return drop(w);
}

static void pump_main(void *arg);

/* With the lock held. */
static void schedule(struct follower *w)
{
    w->is_kicked = true;
    if (w->is_running || !w->is_listed)
        return;
    w->is_running = true;
    w->references++;
    if (!pool_run(w->feeds->pool, pump_main, w)) {
        w->is_running = false; /* the queue is full: the next kick tries again */
        w->references--;
    }
}

static void pump_main(void *arg)
{
    struct follower *w = arg;
    struct feeds *f = w->feeds;
    enum pump_result result = PUMP_WAIT;
    bool again = true, is_last = false;

    while (again) {
        pthread_mutex_lock(&f->lock);
        w->is_kicked = false;
        pthread_mutex_unlock(&f->lock);
        result = rpc_call_is_gone(w->call) ? PUMP_END : w->pump(w->call, w->arg);
        pthread_mutex_lock(&f->lock);
        again = w->is_kicked && result != PUMP_END;
        if (!again) {
            w->is_running = false;
            if (result == PUMP_END)
                unlist(w);
            is_last = drop(w);
        }
        pthread_mutex_unlock(&f->lock);
    }
    if (is_last)
        loop_post(f->loop, free_follower, w);
}

static void on_writable(void *arg)
{
    struct follower *w = arg;

    pthread_mutex_lock(&w->feeds->lock);
    schedule(w);
    pthread_mutex_unlock(&w->feeds->lock);
}

static void on_gone(void *arg)
{
    struct follower *w = arg;

    pthread_mutex_lock(&w->feeds->lock);
    bool is_last = unlist(w);
    pthread_mutex_unlock(&w->feeds->lock);
    if (is_last)
        loop_post(w->feeds->loop, free_follower, w);
}

void feeds_add(struct feeds *f, struct rpc_call *call, const char *topic, pump_function pump,
               void *arg, void (*done)(void *arg))
{
    struct follower *w = xcalloc(1, sizeof *w);

    *w = (struct follower){ .feeds = f,
                            .call = rpc_call_ref(call),
                            .topic = topic ? xstrdup(topic) : NULL,
                            .pump = pump,
                            .arg = arg,
                            .done = done,
                            .references = 2,
                            .is_listed = true };
    pthread_mutex_lock(&f->lock);
    LIST_INSERT_HEAD(&f->followers, w, link);
    schedule(w);
    pthread_mutex_unlock(&f->lock);
    rpc_call_on_writable(call, on_writable, w);
    rpc_call_on_gone(call, on_gone, w);
    pthread_mutex_lock(&f->lock);
    bool is_last = drop(w);
    pthread_mutex_unlock(&f->lock);
    if (is_last)
        loop_post(f->loop, free_follower, w);
}

bool feeds_take_reader(struct feeds *f)
{
    pthread_mutex_lock(&f->lock);
    bool may = f->readers < FEEDS_READERS_MAX;
    f->readers += may;
    pthread_mutex_unlock(&f->lock);
    return may;
}

void feeds_give_reader(struct feeds *f)
{
    pthread_mutex_lock(&f->lock);
    f->readers--;
    pthread_mutex_unlock(&f->lock);
}

int feeds_readers(struct feeds *f)
{
    pthread_mutex_lock(&f->lock);
    int readers = f->readers;
    pthread_mutex_unlock(&f->lock);
    return readers;
}

void feeds_kick(struct feeds *f, const char *topic)
{
    struct follower *w;

    pthread_mutex_lock(&f->lock);
    LIST_FOREACH(w, &f->followers, link)
        if (!topic || (w->topic && strcmp(w->topic, topic) == 0))
            schedule(w);
    pthread_mutex_unlock(&f->lock);
}
