#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/work.h"

/* ---- the paths ---- */

struct later {
    uv_timer_t timer;
    struct http_request *request; /* NULL: gone */
    struct fixture *fixture;
};

static void on_later_closed(uv_handle_t *handle)
{
    free(container_of((uv_timer_t *)handle, struct later, timer));
}

static void on_later(uv_timer_t *timer)
{
    struct later *later = container_of(timer, struct later, timer);

    if (later->request)
        http_reply(later->request, 200, "text/plain", NULL, "later", 5);
    uv_close((uv_handle_t *)timer, on_later_closed);
}

static void on_later_gone(void *arg)
{
    struct later *later = arg;

    later->request = NULL;
    later->fixture->gone++;
}

static void answer_later(struct fixture *f, struct http_request *request)
{
    struct later *later = xcalloc(1, sizeof *later);
    const char *ms = http_request_query(request, "ms");
    int64_t wait = 50;

    if (ms)
        text_int(ms, &wait);
    later->request = request;
    later->fixture = f;
    http_request_on_gone(request, on_later_gone, later);
    uv_timer_init(loop_uv(f->loop), &later->timer);
    uv_timer_start(&later->timer, on_later, (uint64_t)wait, 0);
}

static void answer_echo(struct fixture *f, struct http_request *request)
{
    size_t len;
    const char *body = http_request_body(request, &len);
    const struct http_header headers[] = { { "X-Method", http_request_method(request) },
                                           { "X-Peer", http_request_peer(request) },
                                           { "X-Bad", "a\r\nX-Forged: 1" },
                                           { NULL, NULL } };
    (void)f;
    http_reply(request, 200, "text/plain", headers, body, len);
}

/* What the request looks like from here. */
static void answer_look(struct fixture *f, struct http_request *request)
{
    const char *a = http_request_query(request, "a"),
               *auth = http_request_header(request, "authorization");
    const char *type = http_request_header(request, "content-type");
    auto_free char *text =
        xasprintf("%s|%s|%s|%s|%s", http_request_path(request), http_request_query_string(request),
                  a ? a : "-", auth ? auth : "-", type ? type : "-");
    (void)f;
    http_reply(request, 200, "text/plain", NULL, text, strlen(text));
}

static void answer_big(struct fixture *f, struct http_request *request)
{
    const char *n = http_request_query(request, "n");
    int64_t len = 0;

    (void)f;
    if (n)
        text_int(n, &len);
    auto_free char *body = xcalloc((size_t)len + 1, 1);
    memset(body, 'x', (size_t)len);
    http_reply(request, 200, "text/plain", NULL, body, (size_t)len);
}

static void answer_status(struct fixture *f, struct http_request *request)
{
    const char *n = http_request_query(request, "code"), *to = http_request_query(request, "to");
    const struct http_header headers[] = { { to ? "Location" : NULL, to }, { NULL, NULL } };
    int64_t code = 500;

    (void)f;
    if (n)
        text_int(n, &code);
    http_reply(request, (unsigned)code, code == 204 ? NULL : "text/plain", headers,
               code == 204 ? "" : "why", code == 204 ? 0 : 3);
}

static void answer_loop(struct fixture *f, struct http_request *request)
{
    static const struct http_header headers[] = { { "Location", "/loop" }, { NULL, NULL } };

    (void)f;
    http_reply(request, 302, NULL, headers, NULL, 0);
}

static void on_never_gone(void *arg)
{
    ((struct fixture *)arg)->gone++;
}

static void answer_never(struct fixture *f, struct http_request *request)
{
    http_request_on_gone(request, on_never_gone, f);
}

static void on_stream_closed(void *arg)
{
    struct fixture *f = arg;

    f->stream = NULL;
    f->closed++;
}

static void answer_silent(struct fixture *f, struct http_request *request)
{
    const struct http_stream_events events = { .closed = on_stream_closed, .arg = f };

    f->stream = http_stream_start(request, 200, "text/event-stream", NULL, &events);
}

/* As much as fits, then dropped or left alone. */
static void pour(void *arg)
{
    struct fixture *f = arg;
    static const char block[8192];

    while (f->stream && http_stream_write(f->stream, block, sizeof block))
        f->taken += sizeof block;
    f->refused++;
}

static void answer_firehose(struct fixture *f, struct http_request *request)
{
    const struct http_stream_events events = { .drained = pour,
                                               .closed = on_stream_closed,
                                               .arg = f };

    f->stream = http_stream_start(request, 200, "application/octet-stream", NULL, &events);
    pour(f);
    if (http_request_query(request, "drop"))
        http_stream_drop(f->stream);
}

/* ---- streamed bodies ---- */

struct upload {
    struct fixture *fixture;
    struct http_request *request;
    uv_timer_t timer;
    size_t total;
};

static void on_upload_closed(uv_handle_t *handle)
{
    free(container_of((uv_timer_t *)handle, struct upload, timer));
}

static size_t on_upload_data(void *arg, const void *data, size_t len)
{
    struct upload *u = arg;

    (void)data;
    if (!u->fixture->may_take)
        return 0;
    if (len > u->fixture->piece_max)
        u->fixture->piece_max = len;
    size_t n = len > 5000 ? 5000 : len; /* never all of a big piece */
    u->total += n;
    u->fixture->taken += n;
    return n;
}

static void on_upload_end(void *arg)
{
    struct upload *u = arg;
    auto_free char *text = xasprintf("%zu", u->total);

    http_reply(u->request, 200, "text/plain", NULL, text, strlen(text));
    uv_close((uv_handle_t *)&u->timer, on_upload_closed);
}

static void on_upload_timer(uv_timer_t *timer)
{
    http_request_resume_body(container_of(timer, struct upload, timer)->request);
}

static void on_upload_gone(void *arg)
{
    struct upload *u = arg;

    u->fixture->gone++;
    uv_close((uv_handle_t *)&u->timer, on_upload_closed);
}

static void take_upload(struct fixture *f, struct http_request *request)
{
    struct upload *u = xcalloc(1, sizeof *u);
    const struct http_body_events events = { .data = on_upload_data,
                                             .end = on_upload_end,
                                             .arg = u };

    u->fixture = f;
    u->request = request;
    uv_timer_init(loop_uv(f->loop), &u->timer);
    uv_timer_start(&u->timer, on_upload_timer, 1, 1);
    http_request_on_gone(request, on_upload_gone, u);
    http_request_stream_body(request, &events);
}

static void refuse_upload(struct fixture *f, struct http_request *request)
{
    (void)f;
    http_reply(request, 401, "text/plain", NULL, "no", 2);
}

static size_t on_half_data(void *arg, const void *data, size_t len)
{
    (void)data;
    http_reply(arg, 403, "text/plain", NULL, "enough", 6);
    return len / 2;
}

static void on_half_end(void *arg)
{
    (void)arg;
    abort(); /* not after the reply */
}

static void take_half(struct fixture *f, struct http_request *request)
{
    const struct http_body_events events = { .data = on_half_data,
                                             .end = on_half_end,
                                             .arg = request };

    (void)f;
    http_request_stream_body(request, &events);
}

/* Answers later, and only then. */
static void refuse_upload_later(struct fixture *f, struct http_request *request)
{
    answer_later(f, request);
}

static const struct {
    const char *path;
    void (*answer)(struct fixture *f, struct http_request *request);
    bool is_streamed;
} paths[] = {
    { "/big", answer_big, false },
    { "/echo", answer_echo, false },
    { "/firehose", answer_firehose, false },
    { "/later", answer_later, false },
    { "/look", answer_look, false },
    { "/loop", answer_loop, false },
    { "/never", answer_never, false },
    { "/silent", answer_silent, false },
    { "/status", answer_status, false },
    { "/upload", take_upload, true },
    { "/upload-half", take_half, true },
    { "/upload-refused", refuse_upload, true },
    { "/upload-refused-later", refuse_upload_later, true },
};

static bool on_head(struct http_request *request, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < countof(paths); i++)
        if (strcmp(paths[i].path, http_request_path(request)) == 0)
            return paths[i].is_streamed;
    return false;
}

static void on_request(struct http_request *request, void *arg)
{
    struct fixture *f = arg;

    f->requests++;
    for (size_t i = 0; i < countof(paths); i++)
        if (strcmp(paths[i].path, http_request_path(request)) == 0) {
            paths[i].answer(f, request);
            return;
        }
    answer_look(f, request);
}

/* ---- starting and stopping ---- */

static void run(void *arg)
{
    loop_run(((struct fixture *)arg)->loop);
}

static void on_signal(void *arg)
{
    (void)arg;
}

void fixture_start(struct fixture *f)
{
    struct http_server_config *c = &f->config;
    struct err err = { .class = ERR_NONE };

    c->host = "127.0.0.1";
    c->head_max = c->head_max ? c->head_max : 16384;
    c->body_max = c->body_max ? c->body_max : 65536;
    c->stream_backlog_max = c->stream_backlog_max ? c->stream_backlog_max : 65536;
    c->conns_max = c->conns_max ? c->conns_max : 1000;
    c->request_timeout_s = c->request_timeout_s ? c->request_timeout_s : 10;
    c->idle_timeout_s = c->idle_timeout_s ? c->idle_timeout_s : 10;
    c->head = on_head;
    c->handler = on_request;
    c->arg = f;
    f->loop = loop_new(on_signal, NULL);
    if (http_server_start(f->loop, c, &f->server, &err))
        fail_msg("%s", err.text);
    f->port = http_server_port(f->server);
    f->thread = thread_start(run, f);
}

static void stop(void *arg)
{
    struct fixture *f = arg;

    http_server_stop(f->server);
    loop_stop(f->loop);
}

void fixture_stop(struct fixture *f)
{
    loop_post(f->loop, stop, f);
    thread_join(f->thread);
    loop_free(f->loop);
}

struct errand {
    void (*fn)(struct fixture *f);
    struct fixture *fixture;
    atomic_int done;
};

static void run_errand(void *arg)
{
    struct errand *e = arg;

    e->fn(e->fixture);
    e->done = 1;
}

void fixture_run(struct fixture *f, void (*fn)(struct fixture *f))
{
    struct errand e = { .fn = fn, .fixture = f };

    loop_post(f->loop, run_errand, &e);
    assert_int_equal(wait_for(&e.done, 1), 1);
}

int wait_for(atomic_int *counter, int n)
{
    for (int i = 0; i < 3000 && *counter < n; i++)
        usleep(10000);
    return *counter;
}

/* ---- raw sockets ---- */

int raw_connect(const struct fixture *f)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(f->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { .tv_sec = 5 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof address), errno);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

void raw_send(int fd, const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* refused early: what is read tells */
        text += n;
        len -= (size_t)n;
    }
}

void raw_answer_done(struct raw_answer *answer)
{
    free(answer->head);
    free(answer->body);
}

/* One byte at a time, so that nothing of the next answer is taken. */
static char *read_until(int fd, const char *end)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = xmemstream(&text, &len);
    bool is_found = false;
    char c;

    while (!is_found && recv(fd, &c, 1, 0) == 1) {
        fputc(c, out);
        fflush(out);
        is_found = text_ends(text, end);
    }
    fclose(out);
    if (!is_found)
        free(take(&text));
    return text;
}

static char *read_exactly(int fd, size_t len)
{
    auto_free char *data = xcalloc(len + 1, 1);

    for (size_t have = 0; have < len;) {
        ssize_t n = recv(fd, data + have, len - have, 0);
        if (n <= 0)
            return NULL;
        have += (size_t)n;
    }
    return take(&data);
}

static char *read_chunks(int fd, size_t *len)
{
    char *body = NULL;
    FILE *out = xmemstream(&body, len);

    for (;;) {
        auto_free char *line = read_until(fd, "\r\n");
        size_t n = line ? strtoul(line, NULL, 16) : 0;
        auto_free char *chunk = line ? read_exactly(fd, n + 2) : NULL;
        if (chunk)
            fwrite(chunk, 1, n, out);
        if (chunk && n > 0)
            continue;
        fclose(out);
        if (!chunk)
            free(take(&body));
        return body;
    }
}

struct raw_answer raw_read(int fd, bool is_head)
{
    struct raw_answer a = { .head = read_until(fd, "\r\n\r\n") };
    const char *length = a.head ? strcasestr(a.head, "\r\nContent-Length:") : NULL;

    if (!a.head)
        return a;
    if (!is_head && strcasestr(a.head, "\r\nTransfer-Encoding: chunked"))
        a.body = read_chunks(fd, &a.len);
    else {
        a.len = length && !is_head ? strtoul(length + 17, NULL, 10) : 0;
        a.body = read_exactly(fd, a.len);
    }
    if (a.body)
        a.status = (int)strtol(a.head + 9, NULL, 10);
    return a;
}

struct raw_answer raw_ask(const struct fixture *f, const char *request)
{
    auto_fd int fd = raw_connect(f);

    raw_send(fd, request);
    return raw_read(fd, text_starts(request, "HEAD"));
}

char *raw_read_all(int fd, size_t *len, bool *is_closed)
{
    char *all = NULL, buffer[16384];
    FILE *out = xmemstream(&all, len);
    ssize_t n;

    while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
        fwrite(buffer, 1, (size_t)n, out);
    *is_closed = n == 0 || errno == ECONNRESET;
    fclose(out);
    return all;
}
