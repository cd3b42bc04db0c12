/* A stream of events, from the request to the end of the connection.
 *
 *   WAITING ── first data, result, or START_MS without an error ──► STREAMING ── end of the call
 * ──► ENDING │ error: problem                                               │ link lost: the call
 * is begun again after the last id ▼                                                              │
 * over the backlog: dropped (answered)                                                       ▼
 *                                                                 client gone
 *
 * Waiting a moment lets an error of the call (not found, no token) be a status of its own rather
 * than an event of a 200. The same timer then sends a comment when nothing else was sent for
 * HEARTBEAT_MS, so that everything on the way keeps the connection.
 *
 * In every state the client may go away, which cancels the call. The memory is freed when the
 * timer's handle is closed. */
#include "gateway/sse.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/mem.h"
#include "gateway/problem.h"
#include "gateway/rest.h"

enum {
    START_MS = 300,
    HEARTBEAT_MS = 15000,
    RETRIES_MAX =
        5, /* of a call whose link was lost, without an event in between; each waits for the link */
};

struct sse {
    struct gateway *gateway;
    const struct route *route;
    struct http_request *request; /* WAITING */
    struct http_stream *stream;   /* STREAMING and ENDING */
    struct rpc_async *rpc;        /* while the call is under way */
    json_t *params;
    uv_timer_t timer;
    unsigned retries;
};

static void on_timer_closed(uv_handle_t *handle)
{
    struct sse *sse = container_of((uv_timer_t *)handle, struct sse, timer);

    json_decref(sse->params);
    free(sse);
}

/* The client is gone or answered: nothing of it may be used any more. */
static void finish(struct sse *sse)
{
    if (sse->rpc)
        rpc_async_cancel(take(&sse->rpc));
    sse->request = NULL;
    sse->stream = NULL;
    if (!uv_is_closing((uv_handle_t *)&sse->timer))
        uv_close((uv_handle_t *)&sse->timer, on_timer_closed);
}

static void on_client_gone(void *arg)
{
    finish(arg);
}

/* ---- writing ---- */

static void add_line(FILE *out, const char *field, const char *text)
{
    fprintf(out, "%s: %s\n", field, text);
}

char *sse_event(const char *name, const char *id_member, const json_t *value)
{
    auto_free char *data =
        value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("{}");
    const json_t *id = id_member ? json_object_get(value, id_member) : NULL;
    char *text = NULL;
    size_t len;
    FILE *out = xmemstream(&text, &len);

    if (!data)
        abort();
    if (name)
        add_line(out, "event", name);
    if (json_is_integer(id))
        fprintf(out, "id: %lld\n", (long long)json_integer_value(id));
    add_line(out, "data", data); /* compact JSON has no line breaks */
    fputc('\n', out);
    fclose(out);
    return text;
}

static void start_stream(struct sse *sse)
{
    const struct http_stream_events events = { .closed = on_client_gone, .arg = sse };
    static const struct http_header buffering[] = { { "X-Accel-Buffering", "no" }, { NULL, NULL } };
    auto_free struct http_header *headers = api_headers_with(buffering);

    if (sse->stream)
        return;
    sse->stream =
        http_stream_start(take(&sse->request), 200, "text/event-stream", headers, &events);
}

static void write_text(struct sse *sse, const char *text)
{
    start_stream(sse);
    uv_timer_again(&sse->timer);
    if (http_stream_write(sse->stream, text, strlen(text)))
        return;
    http_stream_drop(sse->stream); /* too slow; it may come back and resume */
    if (sse->rpc)
        rpc_async_cancel(take(&sse->rpc));
}

static void on_timer(uv_timer_t *timer)
{
    struct sse *sse = container_of(timer, struct sse, timer);

    if (!sse->stream && !rpc_client_is_up(sse->gateway->rpc)) {
        uv_timer_start(timer, on_timer, START_MS,
                       HEARTBEAT_MS); /* the call still waits for its link */
        return;
    }
    write_text(sse, ": still here\n\n");
}

/* ---- the call ---- */

static void start_call(struct sse *sse);

static void on_data(void *arg, const json_t *value)
{
    struct sse *sse = arg;
    const json_t *id = sse->route->event_id ? json_object_get(value, sse->route->event_id) : NULL;
    auto_free char *text = sse_event(NULL, sse->route->event_id, value);

    if (json_is_integer(id)) {
        const char *resume =
            strcmp(sse->route->event_id, "seq") == 0 ? "after" : sse->route->event_id;
        json_object_set_new(sse->params, resume, json_integer(json_integer_value(id)));
    }
    sse->retries = 0;
    write_text(sse, text);
}

static void end_with(struct sse *sse, const char *name, const json_t *value)
{
    auto_free char *text = sse_event(name, NULL, value);

    write_text(sse, text);
    http_stream_end(sse->stream);
}

static void end_with_error(struct sse *sse, const struct err *err)
{
    if (!sse->stream) {
        problem_reply(take(&sse->request), 0, err, NULL);
        finish(sse);
        return;
    }
    json_auto_t *problem = problem_new(err);
    end_with(sse, "error", problem);
}

static void on_done(void *arg, const json_t *result, const struct err *err)
{
    struct sse *sse = arg;

    sse->rpc = NULL;
    if (err && err->class == ERR_UNAVAILABLE && sse->route->event_id &&
        sse->retries < RETRIES_MAX && sse->stream) {
        sse->retries++;
        start_call(sse);
    } else if (err) {
        end_with_error(sse, err);
    } else {
        end_with(sse, "end", result);
    }
}

static void start_call(struct sse *sse)
{
    const struct rpc_async_events events = { .data = on_data, .done = on_done, .arg = sse };

    sse->rpc = rpc_client_start_call(sse->gateway->rpc, sse->route->rpc, sse->params, 0, &events);
}

void sse_serve(struct gateway *gateway, struct http_request *request, const struct route *route,
               const json_t *members)
{
    struct err err = { .class = ERR_NONE };
    json_t *params;
    unsigned status;

    if (rest_params(request, route, members, &params, &status, &err)) {
        problem_reply(request, status, &err, NULL);
        return;
    }
    struct sse *sse = xcalloc(1, sizeof *sse);
    sse->gateway = gateway;
    sse->route = route;
    sse->request = request;
    sse->params = params;
    uv_timer_init(loop_uv(gateway->loop), &sse->timer);
    uv_timer_start(&sse->timer, on_timer, START_MS, HEARTBEAT_MS);
    http_request_on_gone(request, on_client_gone, sse);
    start_call(sse);
}
