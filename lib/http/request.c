/* A request, from its first line to the end of its answer.
 *
 *              head handler: false              body read            handler
 *   ATHEAD ─────────────────────────► COLLECTING ───────► (all read) ───────► waiting ── reply ──►
 * answered │  true: handler                                                           ▲ ├────
 * waiting ── http_request_stream_body ──► STREAMING ───────► (all read)┘ └──── waiting ── reply ──►
 * answered, the body is not read
 *
 * MHD calls request_go_on again and again: at the head, for each piece of the body, and at its end.
 * While it waits for somebody of ours (the handler's answer, a consumer of the body that has no
 * room) the connection is suspended. MHD repeats the call when it is resumed, so each call looks at
 * the state and does what is possible. MHD takes an answer only at the head and at the end of the
 * body. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/query.h"
#include "http/server_internal.h"

enum {
    DISCARD_MAX =
        8 << 20, /* bytes of a body that nobody wants which are read for the client's sake */
    REPLY_BYTES_PER_MS = 16, /* a client that takes its answer slower than this is dropped */
};

enum request_state { ATHEAD, COLLECTING, STREAMING };

struct http_request {
    struct http_server *server;
    struct peer *peer;
    char *path, *query;
    const char *method; /* MHD's, as long as the request */
    enum request_state state;
    bool is_streamed, is_head_seen, is_handled; /* handled: the handler was called */
    bool is_too_big, is_body_over, is_resume_asked;
    char *body;
    size_t len, size, discarded;
    struct http_body_events events;
    bool has_events;
    bool is_answered; /* by the handler; the request is no longer its own */
    unsigned status;
    struct MHD_Response *answer; /* until MHD has taken it */
    size_t answer_len;
    void (*gone)(void *arg);
    void *gone_arg, *arg;
    struct query *parsed; /* of the query, when asked for the first time */
};

void *request_begin(void *cls, const char *uri, struct MHD_Connection *conn)
{
    struct http_server *server = cls;
    struct http_request *r = xcalloc(1, sizeof *r);
    size_t len = strcspn(uri, "?");

    r->server = server;
    r->peer = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    r->path = xstrndup(uri, len);
    r->query = xstrdup(uri[len] == '?' ? uri + len + 1 : "");
    r->method = "";
    peer_set_deadline(r->peer, server->config.request_timeout_s * 1000ULL);
    return r;
}

/* ---- the head ---- */

struct framing {
    unsigned lengths, hosts;
    bool is_bad;
};

static bool is_token(const char *name)
{
    size_t len = strspn(
        name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

    return len > 0 && name[len] == '\0';
}

static enum MHD_Result look_at_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    struct framing *f = cls;
    bool is_encoding = strcasecmp(name, "Transfer-Encoding") == 0;

    (void)kind;
    f->lengths += is_encoding || strcasecmp(name, "Content-Length") == 0;
    f->hosts += strcasecmp(name, "Host") == 0;
    f->is_bad |= !is_token(name) || (is_encoding && (!value || strcasecmp(value, "chunked") != 0));
    return MHD_YES;
}

/* Where this body ends must be beyond doubt, or somebody in front of us may see another request in
 * it than we do (RFC 9112, 6.3 and 11.2). */
static bool is_clear(const struct http_request *r, const char *version)
{
    struct framing f = { .lengths = 0 };

    MHD_get_connection_values(r->peer->conn, MHD_HEADER_KIND, look_at_header, &f);
    bool is_old = strcmp(version, "HTTP/1.1") != 0;
    return !f.is_bad && f.lengths <= 1 && f.hosts <= 1 &&
           !(is_old && http_request_header(r, "Transfer-Encoding"));
}

/* A client that asks before it sends too much is told at once. */
static bool is_announced_too_big(const struct http_request *r)
{
    const char *length = http_request_header(r, "Content-Length");
    int64_t bytes;

    return http_request_header(r, "Expect") && length && text_int(length, &bytes) &&
           (uint64_t)bytes > r->server->config.body_max;
}

/* ---- going on ---- */

static enum MHD_Result send_answer(struct http_request *r)
{
    struct MHD_Response *answer = take(&r->answer);

    peer_set_deadline(r->peer, r->server->config.idle_timeout_s * 1000ULL +
                                   r->answer_len / REPLY_BYTES_PER_MS);
    enum MHD_Result ok = MHD_queue_response(r->peer->conn, r->status, answer);
    MHD_destroy_response(answer);
    return ok;
}

/* For somebody of ours: no deadline, that is theirs to have. */
static enum MHD_Result wait_for_us(struct http_request *r)
{
    peer_set_deadline(r->peer, 0);
    peer_suspend(r->peer);
    return MHD_YES;
}

static void handle(struct http_request *r)
{
    r->is_handled = true;
    peer_set_deadline(r->peer, 0);
    r->server->config.handler(r, r->server->config.arg);
}

static void refuse_too_big(struct http_request *r)
{
    const struct http_server_config *config = &r->server->config;

    if (config->too_big)
        config->too_big(r, config->arg);
    else
        http_reply(r, MHD_HTTP_CONTENT_TOO_LARGE, NULL, NULL, NULL, 0);
}

static enum MHD_Result at_head(struct http_request *r)
{
    const struct http_server_config *config = &r->server->config;

    if (!r->is_head_seen) {
        r->is_head_seen = true;
        r->is_streamed = config->head && config->head(r, config->arg);
        if (r->is_streamed)
            handle(r);
        else if (is_announced_too_big(r))
            refuse_too_big(r);
    }
    if (r->answer)
        return send_answer(r);
    if (r->is_streamed && !r->has_events)
        return wait_for_us(r);
    r->state = r->is_streamed ? STREAMING : COLLECTING;
    return MHD_YES;
}

static void collect(struct http_request *r, const char *data, size_t len)
{
    if (len > r->server->config.body_max - r->len) {
        r->is_too_big = true;
        return;
    }
    if (r->len + len + 1 > r->size) {
        r->size = (r->len + len + 1) * 2;
        r->body = xreallocarray(r->body, r->size, 1);
    }
    memcpy(r->body + r->len, data, len);
    r->len += len;
    r->body[r->len] = '\0';
}

/* Returns what is left. */
static size_t give(struct http_request *r, const char *data, size_t len)
{
    do {
        r->is_resume_asked = false;
        size_t n = r->events.data(r->events.arg, data, len);
        assert(n <= len);
        data += n;
        len -= n;
    } while (len > 0 && r->is_resume_asked && !r->is_answered);
    return len;
}

static enum MHD_Result at_body(struct http_request *r, const char *data, size_t *len)
{
    if (r->is_answered || r->is_too_big) {
        r->discarded += *len;
        *len = 0;
        return r->discarded <= DISCARD_MAX ? MHD_YES : MHD_NO;
    }
    if (r->state == COLLECTING) {
        collect(r, data, *len);
        *len = 0;
        return MHD_YES;
    }
    peer_set_deadline(r->peer, r->server->config.idle_timeout_s * 1000ULL);
    *len = give(r, data, *len);
    if (*len > 0 && !r->is_answered)
        return wait_for_us(r);
    r->discarded += *len;
    *len = 0;
    return MHD_YES;
}

static enum MHD_Result at_end(struct http_request *r)
{
    if (!r->is_body_over) {
        r->is_body_over = true;
        peer_set_deadline(r->peer, 0);
        if (r->state == STREAMING && !r->is_answered)
            r->events.end(r->events.arg);
        else if (r->is_too_big)
            refuse_too_big(r);
        else if (r->state == COLLECTING)
            handle(r);
    }
    return r->answer ? send_answer(r) : wait_for_us(r);
}

enum MHD_Result request_go_on(void *cls, struct MHD_Connection *conn, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **context)
{
    struct http_request *r = *context;

    (void)cls;
    (void)conn;
    (void)url;
    if (r->server->is_stopping || r->peer->is_gone)
        return MHD_NO;
    if (r->state == ATHEAD) {
        r->method = method;
        return is_token(method) && is_clear(r, version) ? at_head(r) : MHD_NO;
    }
    return *upload_len ? at_body(r, upload, upload_len) : at_end(r);
}

void request_completed(void *cls, struct MHD_Connection *conn, void **context,
                       enum MHD_RequestTerminationCode why)
{
    struct http_request *r = take((struct http_request **)context);

    (void)cls;
    (void)conn;
    (void)why;
    if (!r)
        return;
    peer_set_deadline(r->peer, r->server->config.idle_timeout_s * 1000ULL);
    if (r->is_handled && !r->is_answered && r->gone)
        r->gone(r->gone_arg);
    if (r->answer)
        MHD_destroy_response(r->answer);
    query_free(r->parsed);
    free(r->body);
    free(r->path);
    free(r->query);
    free(r);
}

/* ---- answering ---- */

struct peer *request_peer(struct http_request *request)
{
    return request->peer;
}

void request_answer(struct http_request *request, unsigned status, struct MHD_Response *answer)
{
    assert(!request->is_answered);
    request->is_answered = true;
    request->status = status;
    request->answer = answer;
    /* For the rest of a body that is still to come; sending sets its own. */
    peer_set_deadline(request->peer, request->server->config.request_timeout_s * 1000ULL);
    peer_resume(request->peer);
}

/* A header that MHD refuses (a line break in it) is left out. */
void response_add_headers(struct MHD_Response *answer, const char *type,
                          const struct http_header *headers)
{
    if (type)
        MHD_add_response_header(answer, "Content-Type", type);
    for (const struct http_header *h = headers; h && h->name; h++)
        MHD_add_response_header(answer, h->name, h->value);
}

void http_reply(struct http_request *request, unsigned status, const char *type,
                const struct http_header *headers, const void *body, size_t len)
{
    /* MHD takes a const body for itself to keep when told to copy, whatever its prototype says. */
    struct MHD_Response *answer =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);

    if (!answer)
        abort();
    response_add_headers(answer, type, headers);
    request->answer_len = len;
    request_answer(request, status, answer);
}

void http_request_stream_body(struct http_request *request, const struct http_body_events *events)
{
    assert(request->is_streamed && !request->has_events);
    request->events = *events;
    request->has_events = true;
    peer_resume(request->peer);
}

void http_request_resume_body(struct http_request *request)
{
    request->is_resume_asked = true;
    peer_resume(request->peer);
}

void http_request_on_gone(struct http_request *request, void (*gone)(void *arg), void *arg)
{
    request->gone = gone;
    request->gone_arg = arg;
}

/* ---- reading ---- */

const char *http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path;
}

const char *http_request_query_string(const struct http_request *request)
{
    return request->query;
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    struct http_request *r =
        (struct http_request *)(uintptr_t)request; /* the cache is no part of its value */

    if (!r->parsed)
        r->parsed = query_parse(r->query);
    return query_get(r->parsed, name);
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->peer->conn, MHD_HEADER_KIND, name);
}

const char *http_request_peer(const struct http_request *request)
{
    return request->peer->address;
}

const char *http_request_body(const struct http_request *request, size_t *len)
{
    *len = request->len;
    return request->body ? request->body : "";
}

void http_request_set_arg(struct http_request *request, void *arg)
{
    request->arg = arg;
}

void *http_request_arg(const struct http_request *request)
{
    return request->arg;
}
