/* The threads around the test server and its client. */
#include "rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"

struct rig rig;
struct dialler dialler;

void assert_ok_(int rc, const struct err *err, const char *file, int line)
{
    if (rc == 0)
        return;
    print_error("%s: %s\n", err_code(err->class), err->text);
    _fail(file, line);
}

/* ---- counters ---- */

void counter_init(struct counter *c)
{
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->moved, NULL);
    c->value = 0;
}

void counter_add(struct counter *c, int n)
{
    pthread_mutex_lock(&c->lock);
    c->value += n;
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
}

int counter_get(struct counter *c)
{
    pthread_mutex_lock(&c->lock);
    int value = c->value;
    pthread_mutex_unlock(&c->lock);
    return value;
}

void counter_wait(struct counter *c, int at_least)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LIMIT_MS / 1000;
    pthread_mutex_lock(&c->lock);
    while (c->value < at_least && rc == 0)
        rc = pthread_cond_timedwait(&c->moved, &c->lock, &until);
    int value = c->value;
    pthread_mutex_unlock(&c->lock);
    if (value < at_least)
        fail_msg("%d has not come to %d", value, at_least);
}

/* ---- loops ---- */

static void ignore_stop(void *arg)
{
    (void)arg;
}

static void run_side(void *arg)
{
    loop_run(((struct side *)arg)->loop);
}

void side_start(struct side *side)
{
    side->loop = loop_new(ignore_stop, NULL);
    side->thread = thread_start(run_side, side);
}

struct task {
    void (*fn)(void *);
    void *arg;
    struct counter done;
};

static void run_task(void *arg)
{
    struct task *task = arg;

    task->fn(task->arg);
    counter_add(&task->done, 1);
}

void side_do(struct side *side, void (*fn)(void *arg), void *arg)
{
    struct task task = { .fn = fn, .arg = arg };

    counter_init(&task.done);
    loop_post(side->loop, run_task, &task);
    counter_wait(&task.done, 1);
}

static void stop_loop(void *arg)
{
    loop_stop(((struct side *)arg)->loop);
}

void side_stop(struct side *side)
{
    loop_post(side->loop, stop_loop, side);
    thread_join(side->thread);
}

/* ---- the server ---- */

static void on_opened(void *arg, struct rpc_session *session)
{
    struct rig *r = arg;
    (void)session;
    counter_add(&r->opened, 1);
}

static void on_closed(void *arg, struct rpc_session *session)
{
    struct rig *r = arg;
    (void)session;
    counter_add(&r->closed, 1);
}

static void start_server(void *arg)
{
    struct rig *r = arg;
    struct err err = { 0 };

    if (rpc_server_start(r->side.loop, &r->config, &r->server, &err)) {
        print_error("%s\n", err.text);
        abort();
    }
}

static void make_dir(struct rig *r)
{
    r->dir = xstrdup("/tmp/rpc_test.XXXXXX");
    if (!mkdtemp(r->dir))
        abort();
    r->path = fs_join(r->dir, "sock");
    r->address = xasprintf("unix:%s", r->path);
    counter_init(&r->opened);
    counter_init(&r->closed);
    counter_init(&r->gone);
    counter_init(&r->begun);
}

void rig_start(struct rig *r)
{
    if (!r->dir)
        make_dir(r);
    side_start(&r->side);
    r->pool = pool_start(4, 256);
    r->bulk = pool_start(8, 256);
    r->config.unix_path = r->path;
    r->config.methods = test_methods;
    r->config.method_count = test_method_count;
    r->config.arg = r;
    r->config.pool = r->pool;
    r->config.bulk = r->bulk;
    r->config.opened = on_opened;
    r->config.closed = on_closed;
    side_do(&r->side, start_server, r);
}

static void stop_server(void *arg)
{
    rpc_server_stop(((struct rig *)arg)->server);
}

void rig_kill(struct rig *r)
{
    side_do(&r->side, stop_server, r);
    side_stop(&r->side);
    pool_stop(r->pool);
    pool_stop(r->bulk);
    rpc_call_unref(take(&r->held));
    loop_free(r->side.loop);
}

void rig_stop(struct rig *r)
{
    struct err err = { 0 };

    rig_kill(r);
    fs_remove_tree(r->dir, &err);
    free(r->dir);
    free(r->path);
    free(r->address);
    *r = (struct rig){ 0 };
}

/* ---- the client ---- */

static void on_up(void *arg)
{
    counter_add(&((struct dialler *)arg)->ups, 1);
}

static void on_down(void *arg)
{
    counter_add(&((struct dialler *)arg)->downs, 1);
}

static void start_client(void *arg)
{
    struct dialler *d = arg;
    struct err err = { 0 };

    if (rpc_client_start(d->side.loop, &d->config, &d->client, &err)) {
        print_error("%s\n", err.text);
        abort();
    }
}

void dialler_start(struct dialler *d, const char *address)
{
    counter_init(&d->ups);
    counter_init(&d->downs);
    side_start(&d->side);
    d->config.address = address;
    if (!d->config.kind)
        d->config.kind = RPC_CLI;
    d->config.name = "test";
    d->config.up = on_up;
    d->config.down = on_down;
    d->config.arg = d;
    side_do(&d->side, start_client, d);
}

static void stop_client(void *arg)
{
    rpc_client_stop(((struct dialler *)arg)->client);
}

void dialler_stop(struct dialler *d)
{
    side_do(&d->side, stop_client, d);
    side_stop(&d->side);
    loop_free(d->side.loop);
    *d = (struct dialler){ 0 };
}

int start_both(void **state)
{
    (void)state;
    rig_start(&rig);
    dialler_start(&dialler, rig.address);
    return 0;
}

int stop_both(void **state)
{
    (void)state;
    dialler_stop(&dialler);
    rig_stop(&rig);
    return 0;
}
