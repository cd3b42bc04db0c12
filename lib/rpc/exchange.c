/* Calls of a thread that waits for them. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/client.h"

struct rpc_exchange {
    struct stream stream; /* freed with the last reference; the loop may hold one for a moment */
};

static void release(struct stream *s)
{
    struct rpc_exchange *x = container_of(s, struct rpc_exchange, stream);

    stream_done(s);
    free(x);
}

/* Tries until the call is on a link, or the time is over. */
static int open_on_link(struct rpc_client *client, struct rpc_exchange *x, const char *method,
                        const char *params, bool is_finished, int64_t until_ms, struct err *err)
{
    for (;;) {
        struct mux *mux = client_wait_link(client, until_ms, err);
        if (!mux)
            return -1;
        bool is_open = mux_open(mux, &x->stream, method, params, is_finished);
        mux_unref(mux);
        if (is_open)
            return 0;
    }
}

static int open_call(struct rpc_client *client, const char *method, const json_t *params,
                     int64_t timeout_ms, bool is_finished, struct rpc_exchange **out,
                     struct err *err)
{
    auto_rpc_exchange *x = xcalloc(1, sizeof *x);
    auto_free char *text = NULL;
    int64_t now = mux_now_ms();
    size_t len;

    stream_init(&x->stream, release);
    if (!method_is_valid(method))
        return err_set(err, ERR_UNIMPLEMENTED, "%s is no name of a method", method);
    if (params && value_text(params, &text, &len, err))
        return -1;
    if (timeout_ms > 0 && timeout_ms < INT64_MAX - now)
        x->stream.deadline_ms = now + timeout_ms;
    if (open_on_link(client, x, method, text ? text : "{}", is_finished,
                     timeout_ms > 0 ? x->stream.deadline_ms : now + CLIENT_WAIT_MS, err))
        return -1;
    *out = take(&x);
    return 0;
}

int rpc_client_open(struct rpc_client *client, const char *method, const json_t *params,
                    int64_t timeout_ms, struct rpc_exchange **x, struct err *err)
{
    return open_call(client, method, params, timeout_ms, false, x, err);
}

int rpc_client_call(struct rpc_client *client, const char *method, const json_t *params,
                    int64_t timeout_ms, json_t **result, struct err *err)
{
    auto_rpc_exchange *x = NULL;

    if (open_call(client, method, params, timeout_ms, true, &x, err))
        return -1;
    return rpc_exchange_result(x, result, err);
}

int rpc_exchange_write(struct rpc_exchange *x, const void *data, size_t len, struct err *err)
{
    return stream_write(&x->stream, data, len, err);
}

int rpc_exchange_send(struct rpc_exchange *x, const json_t *data, struct err *err)
{
    return stream_send(&x->stream, data, err);
}

int rpc_exchange_finish(struct rpc_exchange *x, struct err *err)
{
    (void)err; /* a link that is lost shows in the result */
    stream_finish(&x->stream);
    return 0;
}

int rpc_exchange_read(struct rpc_exchange *x, int64_t timeout_ms, struct rpc_item *item,
                      struct err *err)
{
    return stream_read(&x->stream, timeout_ms, item, err);
}

int rpc_exchange_result(struct rpc_exchange *x, json_t **result, struct err *err)
{
    return stream_wait(&x->stream, result, err);
}

void rpc_exchange_close(struct rpc_exchange *x)
{
    struct err why = { 0 };

    if (!x)
        return;
    err_set(&why, ERR_STOPPED, "closed");
    if (x->stream.mux)
        stream_cancel(&x->stream, &why);
    stream_unref(&x->stream);
}
