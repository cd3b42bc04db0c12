/* One request, one call. The call waits while the controller restarts; a reading call whose link is
 * lost is made once more, so that a short absence of the controller is not seen from outside. A
 * client that goes away cancels its call. */
#include "gateway/rest.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "gateway/hooks.h"
#include "gateway/params.h"
#include "gateway/problem.h"

enum {
    CALL_MS = 30000,
    LINK_WAIT_MS = 10000,              /* for the controller to come back */
    PARAMS_MAX = RPC_FRAME_MAX - 1024, /* they travel in one frame, with the call around them */
};

struct call {
    struct gateway *gateway;
    struct http_request *request;
    const struct route *route;
    json_t *params;
    struct rpc_async *rpc; /* while under way */
    bool is_repeated;
};

static void call_free(struct call *call)
{
    json_decref(call->params);
    free(call);
}

/* ---- the answer ---- */

char *rest_etag(const json_t *result)
{
    const json_t *etag = json_object_get(result, "etag");

    if (json_is_integer(etag))
        return xasprintf("\"%lld\"", (long long)json_integer_value(etag));
    const char *text = json_string_value(etag);
    if (!text || !*text)
        return NULL;
    return text_starts(text, "\"") || text_starts(text, "W/") ? xstrdup(text)
                                                              : xasprintf("\"%s\"", text);
}

static void reply_result(struct call *call, const json_t *result)
{
    auto_free char *etag = rest_etag(result);
    const struct http_header tag[] = { { etag ? "ETag" : NULL, etag }, { NULL, NULL } };
    auto_free struct http_header *headers = api_headers_with(tag);

    if (call->route->status == 204) {
        http_reply(call->request, 204, NULL, headers, NULL, 0);
        return;
    }
    auto_free char *text =
        result ? json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("{}");
    if (!text)
        abort();
    http_reply(call->request, call->route->status, "application/json", headers, text, strlen(text));
}

static void reply_error(struct call *call, const struct err *err)
{
    bool is_condition =
        err->class == ERR_CONFLICT && http_request_header(call->request, "If-Match");

    problem_reply(call->request, is_condition ? 412 : 0, err, NULL);
}

/* ---- the call ---- */

static void start(struct call *call);

/* Reading, or only saying "look there": twice is as good as once. */
static bool may_repeat(const struct call *call)
{
    return !call->is_repeated &&
           (strcmp(call->route->method, "GET") == 0 || (call->route->flags & ROUTE_HOOK));
}

static void on_done(void *arg, const json_t *result, const struct err *err)
{
    struct call *call = arg;

    call->rpc = NULL;
    if (err && err->class == ERR_UNAVAILABLE && may_repeat(call)) {
        call->is_repeated = true;
        start(call);
        return;
    }
    if (err)
        reply_error(call, err);
    else
        reply_result(call, result);
    call_free(call);
}

static void on_gone(void *arg)
{
    struct call *call = arg;

    rpc_async_cancel(call->rpc);
    call_free(call);
}

static void start(struct call *call)
{
    const struct rpc_async_events events = { .done = on_done, .arg = call };
    int64_t limit_ms =
        !call->is_repeated && rpc_client_is_up(call->gateway->rpc) ? CALL_MS : LINK_WAIT_MS;

    call->rpc = rpc_client_start_call(call->gateway->rpc, call->route->rpc, call->params, limit_ms,
                                      &events);
}

/* ---- the request ---- */

static int api_params(struct http_request *request, const struct route *route,
                      const json_t *members, json_t **params, struct err *err)
{
    auto_wipe char *token = params_token(http_request_header(request, "Authorization"));
    bool is_seq = route->event_id && strcmp(route->event_id, "seq") == 0;
    struct params_input input = {
        .members = members,
        .query = http_request_query_string(request),
        .token = token,
        .peer = http_request_peer(request),
        .if_match = http_request_header(request, "If-Match"),
        .idempotency_key = http_request_header(request, "Idempotency-Key"),
        .last_event_id = http_request_header(request, "Last-Event-ID"),
        .resume = is_seq ? "after" : route->event_id,
    };

    if (!token && !(route->flags & ROUTE_OPEN)) {
        err_set(err, ERR_UNAUTHENTICATED, "this needs a token");
        return err_hint(err, "send the header Authorization: Bearer TOKEN");
    }
    input.body = http_request_body(request, &input.body_len);
    return params_make(&input, params, err);
}

int rest_params(struct http_request *request, const struct route *route, const json_t *members,
                json_t **out, unsigned *status, struct err *err)
{
    json_auto_t *params = NULL;
    int rc = route->flags & ROUTE_HOOK ? hook_params(request, members, &params, err)
                                       : api_params(request, route, members, &params, err);

    *status = 0;
    if (rc)
        return -1;
    if (json_dumpb(params, NULL, 0, JSON_COMPACT) > PARAMS_MAX) {
        *status = 413;
        return err_set(err, ERR_EXHAUSTED, "the request is above %d bytes", PARAMS_MAX);
    }
    *out = json_incref(params);
    return 0;
}

void rest_serve(struct gateway *gateway, struct http_request *request, const struct route *route,
                const json_t *members)
{
    struct err err = { .class = ERR_NONE };
    json_t *params;
    unsigned status;

    if (rest_params(request, route, members, &params, &status, &err)) {
        problem_reply(request, status, &err, NULL);
        return;
    }
    struct call *call = xcalloc(1, sizeof *call);
    *call =
        (struct call){ .gateway = gateway, .request = request, .route = route, .params = params };
    http_request_on_gone(request, on_gone, call);
    start(call);
}
