/* apps.logs: what instances print. Each instance has a reader thread (a live source blocks), which
 * ends with the instance. While the caller follows, the feed starts readers for instances that
 * appear, and anew for those that were started again under their name, so a `logs -f` goes on over
 * restarts and deploys. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/api/resources.h"
#include "controller/feeds.h"
#include "store/instances.h"

enum { TAIL_DEFAULT = 100 };

struct logs;

struct reader {
    LIST_ENTRY(reader) link;
    struct logs *logs;
    char *instance;
    int64_t tail, since_ms;
    int64_t started_ms;    /* which start of the instance is read */
    bool is_running;       /* until its thread was joined */
    struct thread *thread; /* NULL: not running */
};

/* References: one of the feed, one of each reader under way. */
struct logs {
    struct controller *c;
    struct rpc_call *call;
    char *app_id, *process, *only;
    int64_t tail, since_ms;
    bool follow;
    bool cancelled;       /* atomic by builtin: the backend looks at it */
    pthread_mutex_t lock; /* guards: */
    LIST_HEAD(, reader) readers;
    int references, running;
};

static void free_reader(struct reader *r)
{
    LIST_REMOVE(r, link);
    free(r->instance);
    free(r);
}

static void drop(struct logs *l)
{
    pthread_mutex_lock(&l->lock);
    bool is_last = --l->references == 0;
    pthread_mutex_unlock(&l->lock);
    if (!is_last)
        return;
    while (LIST_FIRST(&l->readers))
        free_reader(LIST_FIRST(&l->readers));
    rpc_call_unref(l->call);
    pthread_mutex_destroy(&l->lock);
    free(l->app_id);
    free(l->process);
    free(l->only);
    free(l);
}

static void feed_done(void *arg)
{
    struct logs *l = arg;

    __atomic_store_n(&l->cancelled, true, __ATOMIC_SEQ_CST);
    drop(l);
}

static int write_line(void *arg, const char *line, size_t len)
{
    struct reader *r = arg;
    auto_free char *text = text_utf8(line, len);
    struct err err = { 0 };

    return rpc_call_send(r->logs->call,
                         json_pack("{s:s, s:s}", "instance", r->instance, "line", text), &err);
}

/* Ends the thread's own bookkeeping on the loop thread, where it can be joined. The feed runs again
 * after it: the instance may have been started anew meanwhile. */
static void join_reader(void *arg)
{
    struct reader *r = arg;
    struct logs *l = r->logs;

    pthread_mutex_lock(&l->lock);
    struct thread *thread = r->thread; /* under the lock: its starter may not have written it yet */
    r->thread = NULL;
    pthread_mutex_unlock(&l->lock);
    thread_join(thread);
    pthread_mutex_lock(&l->lock);
    r->is_running = false;
    l->running--;
    pthread_mutex_unlock(&l->lock);
    feeds_give_reader(l->c->feeds);
    feeds_kick(l->c->feeds, l->app_id);
    drop(l);
}

static void read_main(void *arg)
{
    struct reader *r = arg;
    struct logs *l = r->logs;
    struct err err = { 0 };

    if (l->c->backend->logs(l->c->backend->self, r->instance, r->tail, r->since_ms, l->follow,
                            &l->cancelled, write_line, r, &err) &&
        err.class != ERR_STOPPED && err.class != ERR_NOT_FOUND)
        log_warn("reading the log of an instance", S("instance", r->instance), E(&err));
    loop_post(l->c->loop, join_reader, r);
}

static struct reader *find_reader(struct logs *l, const char *instance)
{
    struct reader *r;

    LIST_FOREACH(r, &l->readers, link)
        if (strcmp(r->instance, instance) == 0)
            return r;
    return NULL;
}

/* With the lock held. */
static void start_reader(struct logs *l, struct reader *r, const struct instance_row *row)
{
    if (!feeds_take_reader(l->c->feeds))
        return; /* the next run of the feed tries again */
    r->started_ms = row->started_at;
    r->is_running = true;
    l->references++;
    l->running++;
    r->thread = thread_start(read_main, r);
}

static void read_instance(struct logs *l, const struct instance_row *row)
{
    pthread_mutex_lock(&l->lock);
    struct reader *r = find_reader(l, row->name);
    if (!r) {
        r = xcalloc(1, sizeof *r);
        *r = (struct reader){ .logs = l,
                              .instance = xstrdup(row->name),
                              .tail = l->tail,
                              .since_ms = l->since_ms,
                              .started_ms = -1 };
        LIST_INSERT_HEAD(&l->readers, r, link);
    } else if (l->follow && !r->is_running && r->started_ms >= 0 &&
               row->started_at > r->started_ms) { /* all that it says since this start */
        r->tail = -1;
        r->since_ms = row->started_at;
        r->started_ms = -1;
    }
    if (r->started_ms < 0)
        start_reader(l, r, row);
    pthread_mutex_unlock(&l->lock);
}

/* Readers that ended, of instances that are gone. */
static void forget_gone(struct logs *l, const struct instance_list *list)
{
    struct reader *r, *next;

    pthread_mutex_lock(&l->lock);
    for (r = LIST_FIRST(&l->readers); r; r = next) {
        bool is_there = r->is_running;
        next = LIST_NEXT(r, link);
        for (size_t i = 0; i < list->count; i++)
            is_there = is_there || strcmp(list->items[i].name, r->instance) == 0;
        if (!is_there)
            free_reader(r);
    }
    pthread_mutex_unlock(&l->lock);
}

static enum pump_result pump(struct rpc_call *call, void *arg)
{
    struct logs *l = arg;
    auto_instance_list list = { 0 };
    auto_tx *tx = NULL;
    struct err err = { 0 };

    if (tx_begin(l->c->store, TX_READ, &tx, &err) ||
        store_app_instances(tx, l->app_id, &list, &err)) {
        rpc_call_fail(call, &err);
        return PUMP_END;
    }
    tx_rollback(&tx);
    for (size_t i = 0; i < list.count; i++) {
        const struct instance_row *row = &list.items[i];
        bool is_wanted = (!l->process || strcmp(l->process, row->process) == 0) &&
                         (!l->only || strcmp(l->only, row->name) == 0);
        if (is_wanted && strcmp(row->state, "missing") != 0 && strcmp(row->state, "created") != 0)
            read_instance(l, row);
    }
    forget_gone(l, &list);
    pthread_mutex_lock(&l->lock);
    bool is_over = !l->follow && l->running == 0;
    pthread_mutex_unlock(&l->lock);
    if (!is_over)
        return PUMP_WAIT;
    rpc_call_end(call, NULL);
    return PUMP_END;
}

int apps_logs(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    const char *process, *instance;
    (void)result;

    if (api_text(params, "process", false, &process, err) ||
        api_text(params, "instance", false, &instance, err) ||
        api_app(call, params, TX_READ, &caller, &tx, &app, err))
        return -1;
    tx_rollback(&tx);
    if (feeds_readers(api_controller(call)->feeds) >= FEEDS_READERS_MAX)
        return err_set(err, ERR_EXHAUSTED, "%d logs are being read already", FEEDS_READERS_MAX);
    struct logs *l = xcalloc(1, sizeof *l);
    *l = (struct logs){ .c = api_controller(call),
                        .call = rpc_call_ref(call),
                        .app_id = xstrdup(app.id),
                        .process = process ? xstrdup(process) : NULL,
                        .only = instance ? xstrdup(instance) : NULL,
                        .tail = api_number(params, "tail", TAIL_DEFAULT, -1, 100000),
                        .since_ms = api_number(params, "since_ms", 0, 0, INT64_MAX),
                        .follow = json_is_true(json_object_get(params, "follow")),
                        .references = 1 };
    pthread_mutex_init(&l->lock, NULL);
    LIST_INIT(&l->readers);
    feeds_add(l->c->feeds, call, app.id, pump, l, feed_done);
    return RPC_LATER;
}

void api_logs_end(struct controller *c)
{
    while (feeds_readers(c->feeds) > 0) {
        loop_drain(c->loop);
        usleep(1000);
    }
}
