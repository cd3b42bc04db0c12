/* The methods of the test server, and the threads around it. */
#include "rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
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

/* ---- the methods ---- */

static struct rig *rig_of(const struct rpc_call *call)
{
    return rpc_call_arg(call);
}

static size_t size_param(const json_t *params, const char *name)
{
    return (size_t)json_integer_value(json_object_get(params, name));
}

static int count(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    size_t n = size_param(params, "n");

    for (size_t i = 0; i < n; i++)
        if (rpc_call_send(call, json_pack("{s:i}", "seq", (int)i), err))
            return -1;
    *result = json_pack("{s:i}", "sent", (int)n);
    return 0;
}

static int down(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    size_t left = size_param(params, "bytes"), piece = size_param(params, "piece");
    auto_free unsigned char *data = xcalloc(piece, 1);
    auto_sha256 *sha = sha256_new();

    for (unsigned char seed = 1; left; seed++) {
        size_t n = left < piece ? left : piece;
        for (size_t i = 0; i < n; i++)
            data[i] = (unsigned char)(seed * 31 + i);
        sha256_add(sha, data, n);
        if (rpc_call_write(call, data, n, err)) {
            counter_add(&rig_of(call)->gone, 1);
            return -1;
        }
        left -= n;
    }
    auto_free char *hex = sha256_end(sha);
    *result = json_pack("{s:s}", "sha256", hex);
    return 0;
}

static int echo(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    (void)call;
    (void)err;
    *result = json_deep_copy(params);
    return 0;
}

static int errors(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    (void)call;
    (void)params;
    (void)result;
    err_set(err, ERR_NOT_FOUND, "no app %s", "shop");
    memcpy(err->field, "app", 4);
    return err_hint(err, "create it first");
}

static int internal(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    (void)call;
    (void)params;
    (void)result;
    return err_set(err, ERR_INTERNAL, "the disk of the database is full");
}

/* Sums up what comes, on the loop. */
struct items {
    struct rpc_call *call;
    size_t bytes, values;
};

static void on_item(void *arg, struct rpc_item *item)
{
    struct items *items = arg;

    if (!item) {
        rpc_call_end(items->call, json_pack("{s:i, s:i}", "bytes", (int)items->bytes, "values",
                                            (int)items->values));
        rpc_call_unref(items->call);
        free(items);
        return;
    }
    items->values += item->json != NULL;
    items->bytes += item->bytes ? item->len : 0;
    rpc_call_consumed(items->call, item->len);
    rpc_item_done(item);
}

static void drop_items(void *arg)
{
    struct items *items = arg;

    rpc_call_unref(items->call);
    free(items);
}

static int items(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct items *sum = xcalloc(1, sizeof *sum);
    (void)params;
    (void)result;
    (void)err;

    sum->call = rpc_call_ref(call);
    rpc_call_on_gone(call, drop_items, sum);
    rpc_call_on_item(call, on_item, sum);
    return RPC_LATER;
}

static void on_gone(void *arg)
{
    struct rig *r = arg;

    counter_add(&r->gone, 1);
}

/* Held until rig->held is taken by the test, or it is gone. */
static int hold(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct rig *r = rig_of(call);
    (void)params;
    (void)result;
    (void)err;

    pthread_mutex_lock(&r->begun.lock);
    struct rpc_call *before = r->held;
    r->held = rpc_call_ref(call);
    pthread_mutex_unlock(&r->begun.lock);
    rpc_call_unref(before);
    rpc_call_on_gone(call, on_gone, r);
    counter_add(&r->begun, 1);
    return RPC_LATER;
}

static int drop(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    (void)call;
    (void)params;
    (void)result;
    (void)err;
    return RPC_LATER;
}

/* Reads until it is gone; says so. */
static int wait_gone(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct rig *r = rig_of(call);
    struct rpc_item item;
    (void)params;
    (void)result;

    counter_add(&r->begun, 1);
    int rc = rpc_call_read(call, LIMIT_MS, &item, err);
    if (rc == 0) /* the caller has no data: wait for it to go */
        while (!rpc_call_is_gone(call))
            work_sleep(5);
    if (rc == 0 || (rc == -1 && err->class == ERR_STOPPED))
        counter_add(&r->gone, 1);
    return err_set(err, ERR_STOPPED, "gone");
}

/* Sends from the loop whenever there is room. */
struct pump {
    struct rpc_call *call;
    size_t next, count;
};

static void pump_more(void *arg)
{
    struct pump *p = arg;

    while (p->next < p->count) {
        if (!rpc_call_try_send(p->call, json_pack("{s:i}", "seq", (int)p->next)))
            return;
        p->next++;
    }
    rpc_call_end(p->call, NULL);
    rpc_call_unref(p->call);
    free(p);
}

static int pump(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct pump *p = xcalloc(1, sizeof *p);
    (void)result;
    (void)err;

    *p = (struct pump){ rpc_call_ref(call), 0, size_param(params, "n") };
    rpc_call_on_writable(call, pump_more, p);
    loop_post(rig_of(call)->side.loop, pump_more, p);
    return RPC_LATER;
}

static int up(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_sha256 *sha = sha256_new();
    size_t bytes = 0, values = 0;
    struct rpc_item item;
    int rc;

    counter_add(&rig_of(call)->begun, 1);
    while ((rc = rpc_call_read(call, LIMIT_MS, &item, err)) == 1) {
        if (json_object_get(params, "slowly"))
            work_sleep(1);
        values += item.json != NULL;
        bytes += item.bytes ? item.len : 0;
        if (item.bytes)
            sha256_add(sha, item.bytes, item.len);
        rpc_item_done(&item);
    }
    if (rc) {
        counter_add(&rig_of(call)->gone, 1);
        return -1;
    }
    auto_free char *hex = sha256_end(sha);
    *result = json_pack("{s:s, s:I, s:i}", "sha256", hex, "bytes", (json_int_t)bytes, "values",
                        (int)values);
    return 0;
}

static int large(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    size_t n = size_param(params, "bytes");
    auto_free char *text = xcalloc(n + 1, 1);
    (void)call;
    (void)err;

    memset(text, 'x', n);
    *result = json_pack("{s:s}", "text", text);
    return 0;
}

static const struct rpc_method methods[] = {
    { "test.count", RPC_CLI, RPC_ON_POOL, count },
    { "test.down", RPC_CLI, RPC_ON_BULK, down },
    { "test.drop", RPC_CLI, RPC_ON_POOL, drop },
    { "test.echo", RPC_CLI | RPC_BUILDER, RPC_ON_POOL, echo },
    { "test.errors", RPC_CLI, RPC_ON_POOL, errors },
    { "test.gateway", RPC_GATEWAY, RPC_ON_POOL, echo },
    { "test.hold", RPC_CLI, RPC_ON_POOL, hold },
    { "test.internal", RPC_CLI, RPC_ON_POOL, internal },
    { "test.items", RPC_CLI, RPC_ON_POOL, items },
    { "test.large", RPC_CLI, RPC_ON_POOL, large },
    { "test.pump", RPC_CLI, RPC_ON_POOL, pump },
    { "test.up", RPC_CLI, RPC_ON_BULK, up },
    { "test.wait_gone", RPC_CLI, RPC_ON_BULK, wait_gone },
};

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
    r->config.methods = methods;
    r->config.method_count = countof(methods);
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
