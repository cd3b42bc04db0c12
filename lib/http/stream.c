/* A body written as it comes. Bytes wait in `buffer` until MHD asks for them, which it does when it
 * has sent what it took before; with nothing to give the connection is suspended, and the buffer
 * freed, so that an idle stream costs almost nothing. */
#include <string.h>

#include "base/mem.h"
#include "http/server_internal.h"

enum { BLOCK_SIZE = 1024 }; /* only used for clients without chunked encoding */

struct http_stream {
    LIST_ENTRY(http_stream) link;
    struct peer *peer;
    struct http_stream_events events;
    char *buffer;
    size_t begin, end, size; /* buffer[begin..end) waits */
    bool is_ending, is_dropped;
    bool has_written; /* since `drained` was called */
};

/* A client that takes nothing for so long, while something waits, is dropped by the sweep. */
static void expect_progress(struct http_stream *stream)
{
    peer_set_deadline(stream->peer, stream->peer->server->config.idle_timeout_s * 1000ULL);
}

static size_t take_bytes(struct http_stream *stream, char *out, size_t max)
{
    size_t n = http_stream_backlog(stream);

    if (n > max)
        n = max;
    if (n > 0) {
        memcpy(out, stream->buffer + stream->begin, n);
        stream->begin += n;
        expect_progress(stream);
    }
    return n;
}

static ssize_t on_read(void *cls, uint64_t pos, char *out, size_t max)
{
    struct http_stream *stream = cls;
    bool is_over = stream->peer->is_gone || stream->is_dropped;
    size_t n = is_over ? 0 : take_bytes(stream, out, max);

    (void)pos;
    if (n == 0 && stream->has_written && !is_over && !stream->is_ending && stream->events.drained) {
        stream->has_written = false;
        stream->events.drained(stream->events.arg);
        n = take_bytes(stream, out, max);
    }
    if (n > 0)
        return (ssize_t)n;
    if (is_over || stream->is_dropped)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (stream->is_ending || stream->peer->server->is_stopping)
        return MHD_CONTENT_READER_END_OF_STREAM;
    free(take(&stream->buffer));
    stream->begin = stream->end = stream->size = 0;
    peer_set_deadline(stream->peer, 0);
    peer_suspend(stream->peer);
    return 0;
}

static void on_freed(void *cls)
{
    struct http_stream *stream = cls;

    LIST_REMOVE(stream, link);
    if (stream->events.closed)
        stream->events.closed(stream->events.arg);
    free(stream->buffer);
    free(stream);
}

struct http_stream *http_stream_start(struct http_request *request, unsigned status,
                                      const char *type, const struct http_header *headers,
                                      const struct http_stream_events *events)
{
    struct http_stream *stream = xcalloc(1, sizeof *stream);

    stream->peer = request_peer(request);
    stream->events = *events;
    LIST_INSERT_HEAD(&stream->peer->server->streams, stream, link);
    struct MHD_Response *answer =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, on_read, stream, on_freed);
    if (!answer)
        abort();
    response_add_headers(answer, type, headers);
    request_answer(request, status, answer);
    return stream;
}

static void make_room(struct http_stream *stream, size_t len)
{
    size_t waiting = http_stream_backlog(stream);

    if (len <= stream->size - stream->end)
        return;
    if (waiting > 0 && stream->begin > 0)
        memmove(stream->buffer, stream->buffer + stream->begin, waiting);
    stream->begin = 0;
    stream->end = waiting;
    if (waiting + len > stream->size) {
        stream->size = waiting + len + waiting / 2;
        stream->buffer = xreallocarray(stream->buffer, stream->size, 1);
    }
}

bool http_stream_write(struct http_stream *stream, const void *data, size_t len)
{
    size_t waiting = http_stream_backlog(stream),
           max = stream->peer->server->config.stream_backlog_max;

    if (stream->is_ending || stream->is_dropped || waiting > max || len > max - waiting)
        return false;
    if (len == 0)
        return true;
    make_room(stream, len);
    memcpy(stream->buffer + stream->end, data, len);
    stream->end += len;
    stream->has_written = true;
    if (waiting == 0)
        expect_progress(stream);
    peer_resume(stream->peer);
    return true;
}

size_t http_stream_backlog(const struct http_stream *stream)
{
    return stream->end - stream->begin;
}

void http_stream_drop(struct http_stream *stream)
{
    stream->is_dropped = true;
    shutdown(stream->peer->fd, SHUT_RDWR);
    peer_resume(stream->peer);
}

void http_stream_end(struct http_stream *stream)
{
    stream->is_ending = true;
    expect_progress(stream);
    peer_resume(stream->peer);
}
