/* Reading: libuv hands over what has come; through TLS if there is any, it ends in `in`, and whole
 * frames are taken from there. Reading buffers live for one callback only, so an idle link costs
 * little more than its handle.
 *
 * Writing: one buffer per link_write, encrypted as a whole, given to libuv, which tries to write at
 * once. A peer that does not read is cut off at QUEUE_MAX; the layer above stops sending data long
 * before, so that only a peer which goes on asking meets this. */
#include "rpc/link.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "rpc/rpc.h"

enum { READ_SIZE = 64 * 1024, QUEUE_MAX = 16 << 20 };

struct link {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } uv;
    uv_connect_t connect;
    struct tls *tls; /* NULL: plain */
    const struct link_events *events;
    void *arg;
    struct buffer in; /* plain bytes, not yet a whole frame */
    size_t payload_max;
    bool is_dialling, is_ready, is_closing;
};

struct write {
    uv_write_t req;
    struct link *link;
    struct buffer wire;
    size_t plain_len;
};

static struct link *new_link(struct tls *tls)
{
    struct link *link = xcalloc(1, sizeof *link);

    link->tls = tls;
    link->payload_max = LINK_HELLO_MAX;
    return link;
}

static void on_closed(uv_handle_t *handle)
{
    struct link *link = container_of(handle, struct link, uv.handle);

    if (link->events)
        link->events->closed(link->arg);
    tls_free(link->tls);
    buffer_done(&link->in);
    free(link);
}

void link_close(struct link *link)
{
    if (link->is_closing)
        return;
    link->is_closing = true;
    uv_close(&link->uv.handle, on_closed);
}

static void fail(struct link *link, const struct err *why)
{
    if (link->is_closing)
        return;
    uv_read_stop(&link->uv.stream);
    link->events->failed(link->arg, why);
}

static void fail_uv(struct link *link, int status, const char *what)
{
    struct err err = { 0 };

    if (status == UV_EOF)
        err_set(&err, ERR_UNAVAILABLE, "closed by the peer");
    else
        err_set(&err, ERR_UNAVAILABLE, "%s: %s", what, uv_strerror(status));
    fail(link, &err);
}

static void on_written(uv_write_t *req, int status)
{
    struct write *w = container_of(req, struct write, req);
    struct link *link = w->link;

    if (status < 0)
        fail_uv(link, status, "writing");
    else if (w->plain_len && !link->is_closing)
        link->events->written(link->arg, w->plain_len);
    buffer_done(&w->wire);
    free(w);
}

static void write_wire(struct link *link, struct buffer *wire, size_t plain_len)
{
    struct write *w = xcalloc(1, sizeof *w);

    *w = (struct write){ .link = link, .wire = *wire, .plain_len = plain_len };
    *wire = (struct buffer){ 0 };
    uv_buf_t buf = uv_buf_init((char *)w->wire.data, (unsigned)w->wire.len);
    int rc = uv_write(&w->req, &link->uv.stream, &buf, 1, on_written);
    if (rc < 0) {
        buffer_done(&w->wire);
        free(w);
        fail_uv(link, rc, "writing");
    } else if (uv_stream_get_write_queue_size(&link->uv.stream) > QUEUE_MAX) {
        struct err err = { 0 };
        err_set(&err, ERR_EXHAUSTED, "the peer does not read what it asked for");
        fail(link, &err);
    }
}

static void flush_tls(struct link *link, size_t plain_len)
{
    auto_buffer wire = { 0 };

    tls_flush(link->tls, &wire);
    if (wire.len)
        write_wire(link, &wire, plain_len);
}

void link_write(struct link *link, struct buffer *frames)
{
    struct err err = { 0 };
    size_t len = frames->len;

    if (link->is_closing) {
        buffer_done(frames);
    } else if (!link->tls) {
        write_wire(link, frames, len);
    } else {
        int rc = tls_put(link->tls, frames->data, len, &err);
        buffer_done(frames);
        if (rc)
            fail(link, &err);
        else
            flush_tls(link, len);
    }
}

/* Every whole frame of `in`; what is left stays there. */
static int take_frames(struct link *link, struct err *err)
{
    size_t done = 0;

    while (!link->is_closing) {
        struct frame frame;
        int rc =
            frame_parse(link->in.data + done, link->in.len - done, link->payload_max, &frame, err);
        if (rc <= 0 || link->events->frame(link->arg, &frame, err)) {
            buffer_drop(&link->in, done);
            return rc == 0 ? 0 : -1;
        }
        done += frame.size;
        if (done == link->in.len)
            break;
    }
    buffer_drop(&link->in, done);
    return 0;
}

static void become_ready(struct link *link)
{
    link->is_ready = true;
    link->events->ready(link->arg);
}

static void take_bytes(struct link *link, const void *data, size_t len)
{
    struct err err = { 0 };
    int rc = 0;

    if (link->tls) {
        rc = tls_take(link->tls, data, len, &link->in, &err);
        flush_tls(link, 0); /* also when it failed: the alert says why */
        if (rc == 0 && !link->is_ready && tls_is_ready(link->tls) && !link->is_closing)
            become_ready(link);
    } else {
        buffer_add(&link->in, data, len);
    }
    if (!link->is_closing && link->in.len && take_frames(link, &err))
        rc = -1;
    if (rc)
        fail(link, &err);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(xreallocarray(NULL, READ_SIZE, 1), READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct link *link = container_of(stream, struct link, uv.stream);
    auto_free char *data = buf->base;

    if (n < 0)
        fail_uv(link, (int)n, "reading");
    else if (n > 0 && !link->is_closing)
        take_bytes(link, data, (size_t)n);
}

static void begin(struct link *link)
{
    int rc = uv_read_start(&link->uv.stream, give_buffer, on_read);

    if (rc < 0)
        fail_uv(link, rc, "reading");
    else if (!link->tls)
        become_ready(link);
    else
        take_bytes(link, NULL, 0);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct link *link = container_of(req, struct link, connect);

    if (link->is_closing)
        return;
    link->is_dialling = false;
    if (status < 0)
        fail_uv(link, status, "connecting");
    else if (link->events)
        begin(link);
}

struct link *link_accept(uv_stream_t *listener, const struct tls_context *context, struct err *err)
{
    struct tls *tls = context ? tls_new(context, NULL, err) : NULL;

    if (context && !tls)
        return NULL;
    struct link *link = new_link(tls);
    int rc;
    if (listener->type == UV_NAMED_PIPE) {
        rc = uv_pipe_init(listener->loop, &link->uv.pipe, 0);
    } else {
        rc = uv_tcp_init(listener->loop, &link->uv.tcp);
    }
    if (rc == 0)
        rc = uv_accept(listener, &link->uv.stream);
    if (rc == 0 && listener->type == UV_TCP)
        uv_tcp_nodelay(&link->uv.tcp, 1);
    if (rc == 0)
        return link;
    link_close(link);
    err_set(err, ERR_UNAVAILABLE, "accepting: %s", uv_strerror(rc));
    return NULL;
}

struct link *link_dial_unix(uv_loop_t *loop, const char *path)
{
    struct link *link = new_link(NULL);

    uv_pipe_init(loop, &link->uv.pipe, 0);
    link->is_dialling = true;
    uv_pipe_connect(&link->connect, &link->uv.pipe, path, on_connected);
    return link;
}

struct link *link_dial_tcp(uv_loop_t *loop, const struct sockaddr *address,
                           const struct tls_context *context, const char *host, struct err *err)
{
    struct tls *tls = tls_new(context, host, err);

    if (!tls)
        return NULL;
    struct link *link = new_link(tls);
    uv_tcp_init(loop, &link->uv.tcp);
    uv_tcp_nodelay(&link->uv.tcp, 1);
    link->is_dialling = true;
    int rc = uv_tcp_connect(&link->connect, &link->uv.tcp, address, on_connected);
    if (rc == 0)
        return link;
    link_close(link);
    err_set(err, ERR_UNAVAILABLE, "connecting: %s", uv_strerror(rc));
    return NULL;
}

void link_start(struct link *link, const struct link_events *events, void *arg)
{
    link->events = events;
    link->arg = arg;
    if (!link->is_dialling)
        begin(link);
}

void link_allow(struct link *link, size_t payload_max)
{
    link->payload_max = payload_max;
}

bool link_peer_is_trusted(const struct link *link)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    int fd;

    if (link->uv.handle.type != UV_NAMED_PIPE || uv_fileno(&link->uv.handle, &fd) ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}
