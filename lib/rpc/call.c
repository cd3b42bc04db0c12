/* What handlers see of a call: rpc_call_* over the stream. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/session.h"

static void release(struct stream *s)
{
    struct rpc_call *call = container_of(s, struct rpc_call, stream);

    stream_done(s);
    json_decref(call->params);
    free(call->method_name);
    free(call);
}

struct rpc_call *call_new(struct rpc_session *session, const struct message *message)
{
    struct rpc_call *call = xcalloc(1, sizeof *call);

    stream_init(&call->stream, release);
    call->session = session;
    call->method_name = xstrdup(message->method);
    call->params = message->params ? message_take(message, "params") : json_object();
    return call;
}

void *rpc_call_arg(const struct rpc_call *call)
{
    return call->session->config.arg;
}

struct rpc_session *rpc_call_session(const struct rpc_call *call)
{
    return call->session;
}

struct rpc_call *rpc_call_ref(struct rpc_call *call)
{
    stream_ref(&call->stream);
    return call;
}

void rpc_call_unref(struct rpc_call *call)
{
    if (call)
        stream_unref(&call->stream);
}

int64_t rpc_call_deadline_ms(const struct rpc_call *call)
{
    return call->stream.deadline_ms;
}

bool rpc_call_is_gone(const struct rpc_call *call)
{
    mux_lock(call->stream.mux);
    bool is_over = call->stream.is_over;
    mux_unlock(call->stream.mux);
    return is_over || mux_now_ms() >= call->stream.deadline_ms;
}

void rpc_call_end(struct rpc_call *call, json_t *result)
{
    json_auto_t *object = result ? result : json_object();
    struct err err = { 0 };

    stream_hook_over(&call->stream, (struct hook){ 0 });
    if (!json_is_object(object)) {
        err_set(&err, ERR_INTERNAL, "the result is no object");
        rpc_call_fail(call, &err);
    } else if (!stream_end(&call->stream, object, &err) || err.class) {
        log_debug("an answer came too late or was too large", S("method", call->method_name),
                  E(&err));
    }
}

void rpc_call_fail(struct rpc_call *call, const struct err *err)
{
    struct err shown = *err;

    stream_hook_over(&call->stream, (struct hook){ 0 });
    if (shown.class == ERR_INTERNAL || shown.class == ERR_NONE) {
        auto_free char *id = id_new(clock_system());
        log_error("answering a call", S("method", call->method_name), S("id", id), E(err));
        err_set(&shown, ERR_INTERNAL, "internal error %s, see the log of the controller", id);
    }
    stream_fail(&call->stream, &shown);
}

void rpc_call_on_gone(struct rpc_call *call, void (*gone)(void *arg), void *arg)
{
    stream_hook_over(&call->stream, (struct hook){ gone, arg });
}

bool rpc_call_try_send(struct rpc_call *call, json_t *data)
{
    json_auto_t *value = data;
    struct err err = { 0 };

    return stream_try_send(&call->stream, value, &err);
}

void rpc_call_on_writable(struct rpc_call *call, void (*writable)(void *arg), void *arg)
{
    stream_hook_room(&call->stream, (struct hook){ writable, arg });
}

int rpc_call_send(struct rpc_call *call, json_t *data, struct err *err)
{
    json_auto_t *value = data;

    return stream_send(&call->stream, value, err);
}

int rpc_call_write(struct rpc_call *call, const void *data, size_t len, struct err *err)
{
    return stream_write(&call->stream, data, len, err);
}

int rpc_call_read(struct rpc_call *call, int64_t timeout_ms, struct rpc_item *item, struct err *err)
{
    return stream_read(&call->stream, timeout_ms, item, err);
}

void rpc_call_on_item(struct rpc_call *call, void (*on_item)(void *arg, struct rpc_item *item),
                      void *arg)
{
    stream_hook_item(&call->stream, (struct item_hook){ on_item, arg });
}

void rpc_call_consumed(struct rpc_call *call, size_t len)
{
    stream_give_back(&call->stream, len);
}
