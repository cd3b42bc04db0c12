#include "rpc/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/work.h"

enum rpc_kind rpc_session_kind(const struct rpc_session *session)
{
    return session->kind;
}

const char *rpc_session_name(const struct rpc_session *session)
{
    return session->name;
}

uint64_t rpc_session_id(const struct rpc_session *session)
{
    return session->id;
}

int64_t rpc_session_heard_ms(const struct rpc_session *session)
{
    mux_lock(session->mux);
    int64_t heard_ms = session->mux->heard_ms;
    mux_unlock(session->mux);
    return heard_ms;
}

static int compare_names(const void *name, const void *method)
{
    return strcmp(name, ((const struct rpc_method *)method)->name);
}

static const struct rpc_method *find_method(const struct session_config *config, const char *name)
{
    return bsearch(name, config->methods, config->method_count, sizeof *config->methods,
                   compare_names);
}

/* On a pool thread. */
static void run_call(void *arg)
{
    struct rpc_call *call = arg;
    json_t *result = NULL;
    struct err err = { 0 };

    if (!rpc_call_is_gone(call)) {
        int rc = call->method->handler(call, call->params, &result, &err);
        if (rc == 0)
            rpc_call_end(call, result);
        else if (rc == -1)
            rpc_call_fail(call, &err);
    }
    rpc_call_unref(call);
}

/* Hands the reference on to a pool thread, or ends the call. */
static void dispatch(struct rpc_call *call, bool has_room)
{
    const struct session_config *config = &call->session->config;
    struct err err = { 0 };

    call->method = find_method(config, call->method_name);
    if (!call->method)
        err_set(&err, ERR_UNIMPLEMENTED, "there is no method %s", call->method_name);
    else if (!(call->method->who & call->session->kind))
        err_set(&err, ERR_DENIED, "%s is not for agents of this kind", call->method_name);
    else if (!has_room)
        err_set(&err, ERR_EXHAUSTED, "%d calls are open on this link", RPC_CALLS_MAX);
    else if (pool_run(call->method->run == RPC_ON_BULK ? config->bulk : config->pool, run_call,
                      call))
        return;
    else
        err_set(&err, ERR_EXHAUSTED, "too many requests at once");
    rpc_call_fail(call, &err);
    rpc_call_unref(call);
}

static int on_call(void *arg, const struct message *message, struct err *err)
{
    struct rpc_session *session = arg;
    bool is_hello = strcmp(message->method, "link.hello") == 0;

    if (session->state != (is_hello ? SESSION_NEW : SESSION_OPEN))
        return err_set(err, ERR_INVALID,
                       is_hello ? "a second hello" : "a call before hello was answered");
    struct rpc_call *call = call_new(session, message);
    bool has_room = mux_add(session->mux, &call->stream, message);
    if (!is_hello) {
        dispatch(call, has_room);
        return 0;
    }
    session->state = SESSION_GREETING;
    hello_take(call);
    return 0;
}

static json_t *greeting(const struct rpc_session *session)
{
    return json_pack("{s:I, s:i}", "session", (json_int_t)session->id, "ping_ms",
                     (int)(session->config.idle_ms / 3));
}

void session_greeted(struct rpc_call *hello, enum rpc_kind kind, const char *name)
{
    struct rpc_session *session = hello->session;

    if (session->state != SESSION_GREETING)
        return; /* lost meanwhile */
    session->state = SESSION_OPEN;
    session->kind = kind;
    session->name = xstrdup(name);
    mux_set_idle(session->mux, session->config.idle_ms);
    log_debug("agent connected", S("name", name), I("session", session->id));
    if (session->config.opened)
        session->config.opened(session->config.arg, session);
    rpc_call_end(hello, greeting(session));
}

void session_refused(struct rpc_call *hello, const struct err *why)
{
    struct rpc_session *session = hello->session;

    if (session->state != SESSION_GREETING)
        return;
    session->state = SESSION_CLOSED;
    log_warn("refusing an agent", E(why));
    rpc_call_fail(hello, why);
    mux_close_when_sent(session->mux, why);
}

static void on_closed(void *arg, const struct err *why)
{
    struct rpc_session *session = arg;
    bool was_open = session->state == SESSION_OPEN;

    if (session->state == SESSION_CLOSED)
        return; /* refused, and said so */
    session->state = SESSION_CLOSED;
    if (why->class == ERR_INVALID || why->class == ERR_EXHAUSTED)
        log_warn("closing a link", S("name", was_open ? session->name : "unknown"), E(why));
    else
        log_debug("link closed", S("name", was_open ? session->name : "unknown"), E(why));
    if (was_open && session->config.closed)
        session->config.closed(session->config.arg, session);
}

static void on_detached(void *arg)
{
    struct rpc_session *session = arg;

    session->config.detached(session->config.server, session);
}

static void on_released(void *arg)
{
    struct rpc_session *session = arg;

    free(session->name);
    free(session);
}

static const struct mux_events events = {
    .call = on_call,
    .closed = on_closed,
    .detached = on_detached,
    .released = on_released,
};

struct rpc_session *session_start(struct loop *loop, struct link *link,
                                  const struct session_config *config)
{
    struct rpc_session *session = xcalloc(1, sizeof *session);

    session->config = *config;
    session->is_trusted = link_peer_is_trusted(link);
    random_bytes(&session->id, sizeof session->id);
    session->id &= (UINT64_C(1) << 53) - 1; /* exact in every JSON reader */
    session->mux = mux_new(loop, link, true, config->idle_ms, &events, session);
    return session;
}
