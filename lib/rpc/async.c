/* Calls of the loop thread. One lives until `done` or the cancel; its timer, then its close
 * callback, frees it. It is in the client's list all that time, so that a link coming up begins it
 * and the client's stop ends it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/client.h"

struct rpc_async {
    TAILQ_ENTRY(rpc_async) link; /* while client is set */
    struct rpc_client *client;
    struct rpc_async_events events;
    char *method, *params;
    int64_t timeout_ms, begun_ms;
    struct stream *stream; /* counted; NULL while it waits for the link */
    uv_timer_t timer;
    struct err failure; /* known at the start, told by the timer */
    bool is_done;
};

static void release(struct stream *s)
{
    stream_done(s);
    free(s);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct rpc_async *a = container_of(handle, struct rpc_async, timer);

    free(a->method);
    free(a->params);
    free(a);
}

/* Nothing calls back any more; the memory goes soon. */
static void detach(struct rpc_async *a)
{
    struct err why = { 0 };

    a->is_done = true;
    if (a->client)
        TAILQ_REMOVE(&a->client->asyncs, a, link);
    a->client = NULL;
    if (a->stream) {
        struct stream *s = take(&a->stream);
        mux_lock(s->mux);
        s->on_over = (struct hook){ 0 };
        s->on_item = (struct item_hook){ 0 };
        mux_unlock(s->mux);
        err_set(&why, ERR_STOPPED, "cancelled");
        stream_cancel(s, &why);
        stream_unref(s);
    }
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

static void finish(struct rpc_async *a, const json_t *result, const struct err *err)
{
    struct rpc_async_events events = a->events;

    if (a->is_done)
        return;
    detach(a);
    events.done(events.arg, result, err);
}

static void on_item(void *arg, struct rpc_item *item)
{
    struct rpc_async *a = arg;
    struct stream *s = stream_ref(a->stream);

    if (item->json && a->events.data)
        a->events.data(a->events.arg, item->json); /* may cancel: `a` is not touched after it */
    stream_give_back(s, item->len);
    rpc_item_done(item);
    stream_unref(s);
}

static void on_over(void *arg)
{
    struct rpc_async *a = arg;
    struct err why = a->stream->why;
    json_auto_t *result = take(&a->stream->result);

    finish(a, result, result ? NULL : &why);
}

static void on_timer(uv_timer_t *timer)
{
    struct rpc_async *a = container_of(timer, struct rpc_async, timer);
    struct err err = { 0 };

    if (a->failure.class)
        err = a->failure;
    else if (a->stream)
        err_set(&err, ERR_TIMEOUT, "no answer to %s within %lld ms", a->method,
                (long long)a->timeout_ms);
    else
        client_say_down(a->client, &err);
    finish(a, NULL, &err);
}

/* Puts the call on the link, if there is one. */
static void begin(struct rpc_async *a)
{
    struct mux *mux = client_link(a->client);

    if (!mux)
        return;
    struct stream *s = xcalloc(1, sizeof *s);
    stream_init(s, release);
    s->on_over = (struct hook){ on_over, a };
    s->on_item = (struct item_hook){ on_item, a };
    if (a->timeout_ms > 0)
        s->deadline_ms = a->begun_ms + a->timeout_ms;
    if (!mux_open(mux, s, a->method, a->params, true)) {
        stream_unref(s);
        return;
    }
    a->stream = s;
    if (a->timeout_ms <= 0)
        uv_timer_stop(&a->timer);
}

void async_link_is_up(struct rpc_client *client)
{
    struct rpc_async *a;

    TAILQ_FOREACH(a, &client->asyncs, link)
        if (!a->stream && !a->failure.class)
            begin(a);
}

void async_stop_all(struct rpc_client *client)
{
    struct rpc_async *a;
    struct err why = { 0 };

    err_set(&why, ERR_STOPPED, "the link to %s is stopped", client->address);
    while ((a = TAILQ_FIRST(&client->asyncs)))
        finish(a, NULL, &why);
}

struct rpc_async *rpc_client_start_call(struct rpc_client *client, const char *method,
                                        const json_t *params, int64_t timeout_ms,
                                        const struct rpc_async_events *events)
{
    struct rpc_async *a = xcalloc(1, sizeof *a);
    int64_t wait_ms = timeout_ms > 0 ? timeout_ms : CLIENT_WAIT_MS;
    size_t len;

    a->events = *events;
    a->method = xstrdup(method);
    a->timeout_ms = timeout_ms;
    a->begun_ms = mux_now_ms();
    uv_timer_init(loop_uv(client->loop), &a->timer);
    if (!method_is_valid(method))
        err_set(&a->failure, ERR_UNIMPLEMENTED, "%s is no name of a method", method);
    else if (client->state == CLIENT_STOPPED)
        err_set(&a->failure, ERR_STOPPED, "the link to %s is stopped", client->address);
    else if (!params)
        a->params = xstrdup("{}");
    else
        value_text(params, &a->params, &len, &a->failure);
    uv_timer_start(&a->timer, on_timer, a->failure.class ? 0 : (uint64_t)wait_ms, 0);
    if (client->state != CLIENT_STOPPED) {
        a->client = client;
        TAILQ_INSERT_TAIL(&client->asyncs, a, link);
    }
    if (!a->failure.class)
        begin(a);
    return a;
}

void rpc_async_cancel(struct rpc_async *a)
{
    if (a && !a->is_done)
        detach(a);
}
