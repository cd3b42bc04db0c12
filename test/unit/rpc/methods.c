/* The methods of the test server. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

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

const struct rpc_method test_methods[] = {
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

const size_t test_method_count = countof(test_methods);
