#include "links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/work.h"
#include "controller/api/api.h"
#include "controller/api/resources.h"
#include "controller/builders.h"
#include "controller/feeds.h"

enum { LIMIT_MS = 60000, LOOK_MS = 2, THREADS = 3, QUEUE_MAX = 256 };

struct links {
    struct world *w;
    struct loop *loop;
    struct thread *thread;
    struct pool *pool, *bulk;
    struct rpc_server *server;
    struct rpc_client *person, *builder;
    char *path, *address;
};

static void pause_ms(long ms)
{
    const struct timespec span = { 0, ms * 1000000 };
    nanosleep(&span, NULL);
}

/* ---- on the loop thread ---- */

static void stop_asked(void *arg)
{
    (void)arg;
}

static void run_loop(void *arg)
{
    loop_run(((struct links *)arg)->loop);
}

static void on_closed(void *arg, struct rpc_session *session)
{
    struct controller *c = arg;

    builders_remove(c->builders, session);
}

static void start_server(void *arg)
{
    struct links *l = arg;
    struct err err = { 0 };
    const struct rpc_server_config config = { .unix_path = l->path,
                                              .methods = api_methods,
                                              .method_count = api_method_count,
                                              .arg = &l->w->c,
                                              .pool = l->pool,
                                              .bulk = l->bulk,
                                              .closed = on_closed };
    world_must(rpc_server_start(l->loop, &config, &l->server, &err), &err, "listening");
}

static void start_client(struct links *l, enum rpc_kind kind, const char *name,
                         struct rpc_client **client)
{
    struct err err = { 0 };
    const struct rpc_client_config config = { .address = l->address, .kind = kind, .name = name };
    world_must(rpc_client_start(l->loop, &config, client, &err), &err, "dialling");
}

static void start_person(void *arg)
{
    struct links *l = arg;
    start_client(l, RPC_CLI, "person", &l->person);
}

static void start_builder(void *arg)
{
    struct links *l = arg;
    start_client(l, RPC_BUILDER, "b1", &l->builder);
}

static void stop_builder(void *arg)
{
    struct links *l = arg;
    if (l->builder)
        rpc_client_stop(take(&l->builder));
}

static void stop_all(void *arg)
{
    struct links *l = arg;
    stop_builder(l);
    rpc_client_stop(l->person);
    rpc_server_stop(l->server);
    loop_stop(l->loop);
}

struct task {
    struct links *l;
    void (*fn)(void *arg);
    _Atomic bool is_done;
};

static void run_task(void *arg)
{
    struct task *task = arg;
    task->fn(task->l);
    task->is_done = true;
}

static void on_loop(struct links *l, void (*fn)(void *arg))
{
    struct task task = { .l = l, .fn = fn };

    loop_post(l->loop, run_task, &task);
    while (!task.is_done)
        pause_ms(LOOK_MS);
}

/* ---- on the thread of the test ---- */

struct links *links_start(struct world *w)
{
    struct links *l = xcalloc(1, sizeof *l);

    l->w = w;
    l->path = xasprintf("%s/link", w->dir);
    l->address = xasprintf("unix:%s", l->path);
    l->loop = loop_new(stop_asked, NULL);
    l->pool = pool_start(THREADS, QUEUE_MAX);
    l->bulk = pool_start(THREADS, QUEUE_MAX);
    w->c.loop = l->loop;
    w->c.feeds = feeds_new(l->pool, l->loop);
    l->thread = thread_start(run_loop, l);
    on_loop(l, start_server);
    on_loop(l, start_person);
    return l;
}

void links_stop(struct links *l)
{
    loop_post(l->loop, stop_all, l);
    thread_join(l->thread);
    pool_stop(l->pool);
    pool_stop(l->bulk);
    api_logs_end(&l->w->c);
    feeds_free(l->w->c.feeds);
    l->w->c.feeds = NULL;
    builders_free(l->w->c.builders); /* the calls that it holds need the loop */
    l->w->c.builders = NULL;
    loop_free(l->loop);
    free(l->path);
    free(l->address);
    free(l);
}

int links_ask(struct links *l, const char *method, json_t *params, json_t **result, struct err *err)
{
    json_auto_t *taken = params;
    return rpc_client_call(l->person, method, taken, LIMIT_MS, result, err);
}

struct rpc_exchange *links_open(struct links *l, const char *method, json_t *params)
{
    json_auto_t *taken = params;
    struct rpc_exchange *x = NULL;
    struct err err = { 0 };

    world_must(rpc_client_open(l->person, method, taken, LIMIT_MS, &x, &err), &err, method);
    return x;
}

static void link_builder(struct links *l)
{
    json_auto_t *hello = json_pack("{s:i, s:[]}", "slots", 1, "attempts");
    struct err err = { 0 };

    if (l->builder)
        return;
    on_loop(l, start_builder);
    world_must(rpc_client_call(l->builder, "builder.hello", hello, LIMIT_MS, NULL, &err), &err,
               "saying hello");
}

int links_build(struct links *l, const char *method, json_t *params, json_t **result,
                struct err *err)
{
    json_auto_t *taken = params;

    link_builder(l);
    return rpc_client_call(l->builder, method, taken, LIMIT_MS, result, err);
}

struct rpc_exchange *links_upload(struct links *l, const char *method, const json_t *params)
{
    struct rpc_exchange *x = NULL;
    struct err err = { 0 };

    link_builder(l);
    world_must(rpc_client_open(l->builder, method, params, LIMIT_MS, &x, &err), &err, method);
    return x;
}

struct rpc_exchange *links_lease(struct links *l)
{
    json_auto_t *params = json_object();
    struct rpc_exchange *x = NULL;
    struct err err = { 0 };

    link_builder(l);
    world_run(l->w, 0); /* what the hello brought */
    world_must(rpc_client_open(l->builder, "build.lease", params, LIMIT_MS, &x, &err), &err,
               "asking for a lease");
    links_wait(l, "SELECT count(*) FROM work WHERE loop = 'dispatcher'");
    return x;
}

void links_lose_builder(struct links *l)
{
    on_loop(l, stop_builder);
    while (builders_count(l->w->c.builders) > 0)
        pause_ms(LOOK_MS);
    world_kick(l->w, "crash_detector", "leases");
}

void links_wait(struct links *l, const char *sql)
{
    for (int i = 0; i < LIMIT_MS / LOOK_MS; i++) {
        auto_free char *answer = world_ask(l->w, sql);
        if (*answer && strcmp(answer, "0") != 0)
            return;
        pause_ms(LOOK_MS);
    }
    fprintf(stderr, "waited for: %s\n", sql);
    abort();
}
