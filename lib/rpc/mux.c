#include "rpc/mux.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

int64_t mux_now_ms(void)
{
    return clock_mono_ms(clock_system());
}

void mux_lock(struct mux *mux)
{
    pthread_mutex_lock(&mux->lock);
}

static void flush(void *arg)
{
    struct mux *mux = arg;
    struct buffer out;

    mux_lock(mux);
    mux->flush_posted = false;
    out = mux->outbox;
    mux->outbox = (struct buffer){ 0 };
    mux->counted = 0;
    bool is_closed = mux->is_closed;
    pthread_mutex_unlock(&mux->lock);
    if (is_closed)
        buffer_done(&out);
    else if (out.len)
        link_write(mux->link, &out);
    mux_unref(mux);
}

void mux_unlock(struct mux *mux)
{
    mux->unsent += mux->outbox.len - mux->counted;
    mux->counted = mux->outbox.len;
    bool must_post = mux->outbox.len && !mux->flush_posted && !mux->is_closed;

    if (must_post) {
        mux->flush_posted = true;
        mux->refs++;
    }
    pthread_mutex_unlock(&mux->lock);
    if (must_post)
        loop_post(mux->loop, flush, mux);
}

struct mux *mux_ref(struct mux *mux)
{
    mux_lock(mux);
    mux->refs++;
    pthread_mutex_unlock(&mux->lock);
    return mux;
}

void mux_unref(struct mux *mux)
{
    mux_lock(mux);
    bool is_last = --mux->refs == 0;
    pthread_mutex_unlock(&mux->lock);
    if (!is_last)
        return;
    if (mux->events->released)
        mux->events->released(mux->arg);
    pthread_mutex_destroy(&mux->lock);
    buffer_done(&mux->outbox);
    free(mux);
}

bool mux_is_full(struct mux *mux)
{
    if (mux->unsent < MUX_UNSENT_MAX)
        return false;
    mux->is_full = true;
    return true;
}

/* Every open stream, each with a reference: so that hooks can be called without the lock. Locked.
 */
static struct stream **all_streams(struct mux *mux, size_t *count)
{
    struct stream **all = xcalloc(mux->stream_count, sizeof *all), *s, *next;
    size_t n = 0;

    HASH_ITER(hh, mux->streams, s, next) {
        s->refs++;
        all[n++] = s;
    }
    *count = n;
    return all;
}

/* The link has caught up: whoever found it full may go on. */
static void wake_senders(struct mux *mux)
{
    size_t count;

    mux_lock(mux);
    mux->is_full = false;
    auto_free struct stream **all = all_streams(mux, &count);
    mux_unlock(mux);
    for (size_t i = 0; i < count; i++) {
        stream_notify_room(all[i]);
        stream_unref(all[i]);
    }
}

static void on_written(void *arg, size_t len)
{
    struct mux *mux = arg;

    mux_lock(mux);
    mux->unsent = mux->unsent > len ? mux->unsent - len : 0;
    bool must_wake = mux->is_full && mux->unsent < MUX_UNSENT_MAX / 2;
    bool must_close = mux->closes_when_sent && mux->outbox.len == 0 && !mux->flush_posted;
    struct err why = mux->why;
    mux_unlock(mux);
    if (must_close)
        mux_close(mux, &why);
    else if (must_wake)
        wake_senders(mux);
}

static void on_ready(void *arg)
{
    struct mux *mux = arg;

    if (mux->events->ready)
        mux->events->ready(mux->arg);
}

static void on_failed(void *arg, const struct err *why)
{
    mux_close(arg, why);
}

static void handle_closed(struct mux *mux)
{
    if (--mux->handles)
        return;
    mux->events->detached(mux->arg);
    mux_unref(mux);
}

static void on_link_closed(void *arg)
{
    handle_closed(arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

void mux_close(struct mux *mux, const struct err *why)
{
    size_t count;

    mux_lock(mux);
    if (mux->is_closed) {
        mux_unlock(mux);
        return;
    }
    mux->is_closed = true;
    mux->why = *why;
    auto_free struct stream **all = all_streams(mux, &count);
    for (size_t i = 0; i < count; i++)
        stream_set_over(all[i], why);
    mux_unlock(mux);
    uv_close((uv_handle_t *)&mux->ping, on_timer_closed);
    uv_close((uv_handle_t *)&mux->deadline, on_timer_closed);
    link_close(mux->link);
    for (size_t i = 0; i < count; i++) {
        stream_notify_over(all[i]);
        stream_unref(all[i]);
    }
    struct err copy = *why; /* the owner may own `why` */
    mux->events->closed(mux->arg, &copy);
}

void mux_close_when_sent(struct mux *mux, const struct err *why)
{
    mux_lock(mux);
    bool is_sent = mux->unsent == 0 && mux->outbox.len == 0;
    if (!is_sent && !mux->is_closed) {
        mux->closes_when_sent = true;
        mux->why = *why;
    }
    mux_unlock(mux);
    if (is_sent)
        mux_close(mux, why);
}

static void on_ping(uv_timer_t *timer)
{
    struct mux *mux = timer->data;
    struct err err = { 0 };

    mux_lock(mux);
    mux->ping_number = mux->ping_number % INT32_MAX + 1;
    bool is_silent = mux_now_ms() - mux->heard_ms > mux->idle_ms;
    if (!is_silent)
        frame_add_verb(&mux->outbox, "ping", mux->ping_number);
    mux_unlock(mux);
    if (!is_silent)
        return;
    err_set(&err, ERR_UNAVAILABLE, "the peer was silent for %u ms", mux->idle_ms);
    mux_close(mux, &err);
}

static void on_late(uv_timer_t *timer)
{
    struct err err = { 0 };

    err_set(&err, ERR_UNAVAILABLE, "no hello within the time");
    mux_close(timer->data, &err);
}

/* Ends what is over its time, and sets the timer for the next. */
static void on_deadline(uv_timer_t *timer)
{
    struct mux *mux = timer->data;
    int64_t now = mux_now_ms(), next = INT64_MAX;
    struct err late = { 0 };
    size_t count;

    err_set(&late, ERR_TIMEOUT, "the time of the call is over");
    mux_lock(mux);
    auto_free struct stream **all = all_streams(mux, &count);
    mux_unlock(mux);
    for (size_t i = 0; i < count; i++) {
        if (all[i]->deadline_ms <= now) {
            if (stream_fail(all[i], &late))
                stream_notify_over(all[i]);
        } else if (all[i]->deadline_ms < next) {
            next = all[i]->deadline_ms;
        }
        stream_unref(all[i]);
    }
    mux->deadline_ms = next;
    if (next < INT64_MAX && !mux->is_closed)
        uv_timer_start(&mux->deadline, on_deadline, (uint64_t)(next - now), 0);
}

bool mux_add(struct mux *mux, struct stream *s, const struct message *message)
{
    enum { DEADLINE_MAX = 1000 * 86400 }; /* more is as good as none */
    int64_t now = mux_now_ms();

    s->number = message->number;
    s->peer_finished = message->is_finished;
    if (message->deadline_ms > 0 && message->deadline_ms < DEADLINE_MAX)
        s->deadline_ms = now + message->deadline_ms;
    mux_lock(mux);
    s->mux = mux;
    mux->refs++;
    HASH_ADD(hh, mux->streams, number, sizeof s->number, s);
    bool has_room = ++mux->stream_count <= RPC_CALLS_MAX;
    mux_unlock(mux);
    if (s->deadline_ms < mux->deadline_ms) {
        mux->deadline_ms = s->deadline_ms;
        uv_timer_start(&mux->deadline, on_deadline, (uint64_t)(s->deadline_ms - now), 0);
    }
    return has_room;
}

bool mux_open(struct mux *mux, struct stream *s, const char *method, const char *params,
              bool is_finished)
{
    int64_t left = s->deadline_ms == INT64_MAX ? 0 : s->deadline_ms - mux_now_ms();

    mux_lock(mux);
    bool is_open = !mux->is_closed && mux->last_number < UINT32_MAX;
    if (is_open) {
        s->mux = mux;
        mux->refs++;
        s->number = ++mux->last_number;
        s->finished = is_finished;
        HASH_ADD(hh, mux->streams, number, sizeof s->number, s);
        mux->stream_count++;
        frame_add_call(&mux->outbox, s->number, method, params,
                       s->deadline_ms == INT64_MAX ? 0
                       : left < 1                  ? 1
                                                   : left,
                       is_finished);
    }
    mux_unlock(mux);
    return is_open;
}

static const struct link_events link_events = {
    .ready = on_ready,
    .frame = mux_take_frame,
    .written = on_written,
    .failed = on_failed,
    .closed = on_link_closed,
};

static void init_timer(struct mux *mux, uv_timer_t *timer)
{
    uv_timer_init(loop_uv(mux->loop), timer);
    timer->data = mux;
    mux->handles++;
}

struct mux *mux_new(struct loop *loop, struct link *link, bool is_serving, unsigned idle_ms,
                    const struct mux_events *events, void *arg)
{
    struct mux *mux = xcalloc(1, sizeof *mux);

    mux->loop = loop;
    mux->events = events;
    mux->arg = arg;
    mux->is_serving = is_serving;
    mux->link = link;
    mux->idle_ms = idle_ms;
    mux->deadline_ms = INT64_MAX;
    mux->refs = 1;
    mux->heard_ms = mux_now_ms();
    mux->handles = 1;
    pthread_mutex_init(&mux->lock, NULL);
    init_timer(mux, &mux->ping);
    init_timer(mux, &mux->deadline);
    return mux;
}

void mux_start(struct mux *mux)
{
    uv_timer_start(&mux->ping, on_late, mux->idle_ms, 0);
    link_start(mux->link, &link_events, mux);
}

void mux_set_idle(struct mux *mux, unsigned idle_ms)
{
    unsigned every_ms = idle_ms / 3 ? idle_ms / 3 : 1;

    mux->idle_ms = idle_ms;
    if (!uv_is_closing((uv_handle_t *)&mux->ping))
        uv_timer_start(&mux->ping, on_ping, every_ms, every_ms);
    link_allow(mux->link, RPC_FRAME_MAX);
}
