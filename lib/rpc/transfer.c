/* Windows. A side may have RPC_WINDOW bytes of data under way on a call; the reader gives bytes
 * back when it is done with them, in lots of MUX_RETURN, so a slow reader stops its writer and
 * nobody else. A frame larger than the window passes while no more than MUX_RETURN is under way: a
 * reader that is done with everything may still owe that much. So a call holds at most the window
 * and one frame. */
#include "rpc/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/work.h"
#include "rpc/mux.h"

enum {
    LOOK_MS = 500, /* how often a waiting thread looks at work_stopping */
    MERGE_MAX = 64 * 1024,
};

/* Locked: waits for any change; false when `until_ms` or the end of the program has come. */
static bool wait_change(struct stream *s, int64_t until_ms)
{
    int64_t now = mux_now_ms(), left = until_ms - now;
    struct timespec t;

    if (left <= 0 || work_stopping)
        return false;
    if (left > LOOK_MS)
        left = LOOK_MS;
    t.tv_sec = (now + left) / 1000;
    t.tv_nsec = (now + left) % 1000 * 1000000;
    pthread_mutex_t *lock = &s->mux->lock;
    pthread_cond_timedwait(&s->wake, lock, &t);
    return true;
}

static int64_t until(const struct stream *s, int64_t timeout_ms)
{
    int64_t now = mux_now_ms();
    int64_t end = timeout_ms < INT64_MAX - now ? now + timeout_ms : INT64_MAX;

    return end < s->deadline_ms ? end : s->deadline_ms;
}

/* Why a wait ended early. Locked. On the calling side the time of a call is counted here; on the
 * serving side by the mux. */
static int give_up(struct stream *s, struct err *err)
{
    struct err late = { 0 };

    if (work_stopping)
        return err_set(err, ERR_STOPPED, "this program is stopping");
    if (mux_now_ms() >= s->deadline_ms) {
        if (s->mux->is_serving)
            return err_set(err, ERR_STOPPED, "the time of the call is over");
        err_set(&late, ERR_TIMEOUT, "no answer within the time of the call");
        stream_cancel_locked(s, &late);
    }
    return err_set(err, ERR_TIMEOUT, "nothing came within the time");
}

/* A serving thread only needs to know that it may stop. Locked. */
static int say_over(const struct stream *s, struct err *err)
{
    if (s->mux->is_serving || s->why.class == ERR_NONE)
        return err_set(err, ERR_STOPPED, "%s",
                       s->why.class == ERR_NONE ? "the call has ended" : s->why.text);
    *err = s->why;
    return -1;
}

/* ---- sending ---- */

bool stream_has_room(struct stream *s, size_t cost)
{
    return (s->under_way + cost <= RPC_WINDOW || s->under_way <= MUX_RETURN) &&
           !mux_is_full(s->mux);
}

/* Locked. */
static int wait_room(struct stream *s, size_t cost, struct err *err)
{
    for (;;) {
        if (s->is_over)
            return say_over(s, err);
        if (s->finished)
            return err_set(err, ERR_INTERNAL, "sending on a call after finishing it");
        if (stream_has_room(s, cost))
            return 0;
        s->wants_room = true;
        if (!wait_change(s, s->deadline_ms) && !s->is_over)
            return give_up(s, err);
    }
}

int stream_write(struct stream *s, const void *data, size_t len, struct err *err)
{
    const unsigned char *p = data;

    while (len) {
        size_t n = len < STREAM_PIECE ? len : STREAM_PIECE;
        mux_lock(s->mux);
        int rc = wait_room(s, n, err);
        if (rc == 0) {
            frame_add_bytes(&s->mux->outbox, s->number, p, n);
            s->under_way += n;
        }
        mux_unlock(s->mux);
        if (rc)
            return -1;
        p += n;
        len -= n;
    }
    return 0;
}

int stream_send(struct stream *s, const json_t *value, struct err *err)
{
    auto_free char *text = NULL;
    size_t len;

    if (value_text(value, &text, &len, err))
        return -1;
    mux_lock(s->mux);
    int rc = wait_room(s, frame_data_cost(s->number, len), err);
    if (rc == 0)
        s->under_way += frame_add_value(&s->mux->outbox, "data", s->number, "value", text, len);
    mux_unlock(s->mux);
    return rc;
}

bool stream_try_send(struct stream *s, const json_t *value, struct err *err)
{
    auto_free char *text = NULL;
    size_t len;

    if (value_text(value, &text, &len, err)) {
        stream_fail(s, err);
        return true;
    }
    mux_lock(s->mux);
    bool is_sent = s->is_over || stream_has_room(s, frame_data_cost(s->number, len));
    if (!is_sent)
        s->wants_room = true;
    else if (!s->is_over)
        s->under_way += frame_add_value(&s->mux->outbox, "data", s->number, "value", text, len);
    mux_unlock(s->mux);
    return is_sent;
}

/* ---- receiving ---- */

bool stream_pop(struct stream *s, struct rpc_item *item)
{
    struct item *i = TAILQ_FIRST(&s->items);

    if (!i)
        return false;
    TAILQ_REMOVE(&s->items, i, link);
    *item = i->item;
    free(i);
    return true;
}

/* Locked. */
static void give_back(struct stream *s, size_t len)
{
    assert(len <= s->held - s->consumed);
    s->consumed += len;
    if (s->is_over || s->consumed < MUX_RETURN)
        return;
    frame_add_window(&s->mux->outbox, s->number, s->consumed);
    s->held -= s->consumed;
    s->consumed = 0;
}

void stream_give_back(struct stream *s, size_t len)
{
    mux_lock(s->mux);
    give_back(s, len);
    mux_unlock(s->mux);
}

/* Locked. */
static bool may_take(struct stream *s, size_t cost, struct err *err)
{
    if (s->peer_finished)
        err_set(err, ERR_INVALID, "call %u: data after its finish", s->number);
    else if (s->held + cost > RPC_WINDOW && s->held > MUX_RETURN)
        err_set(err, ERR_INVALID, "call %u: data beyond the window", s->number);
    else {
        s->held += cost;
        return true;
    }
    return false;
}

static void add_item(struct stream *s, struct rpc_item item, size_t room)
{
    struct item *i = xcalloc(1, sizeof *i);

    i->item = item;
    i->room = room;
    TAILQ_INSERT_TAIL(&s->items, i, link);
    pthread_cond_broadcast(&s->wake);
}

int stream_take_value(struct stream *s, json_t *value, size_t cost, struct err *err)
{
    if (!may_take(s, cost, err)) {
        json_decref(value);
        return -1;
    }
    if (s->is_discarding) {
        json_decref(value);
        give_back(s, cost);
    } else {
        add_item(s, (struct rpc_item){ .json = value, .len = cost }, 0);
    }
    return 0;
}

int stream_take_bytes(struct stream *s, const void *data, size_t len, struct err *err)
{
    if (!may_take(s, len, err))
        return -1;
    if (s->is_discarding) {
        give_back(s, len);
        return 0;
    }
    /* many small frames become few items, so that memory stays near what the window counts */
    struct item *last = TAILQ_LAST(&s->items, items);
    if (!last || last->item.json || last->item.len + len > MERGE_MAX) {
        add_item(s, (struct rpc_item){ .bytes = xmemdup(data, len), .len = len }, len);
        return 0;
    }
    if (last->item.len + len > last->room) {
        last->room = 2 * (last->item.len + len);
        last->item.bytes = xreallocarray(last->item.bytes, last->room, 1);
    }
    memcpy((char *)last->item.bytes + last->item.len, data, len);
    last->item.len += len;
    return 0;
}

/* 1, 0 or -1 as rpc_call_read; 2: wait. Locked. */
static int try_read(struct stream *s, struct rpc_item *item, struct err *err)
{
    if (s->is_over && s->mux->is_serving)
        return say_over(s, err);
    if (stream_pop(s, item)) {
        give_back(s, item->len);
        return 1;
    }
    return s->is_over || s->peer_finished ? 0 : 2;
}

int stream_read(struct stream *s, int64_t timeout_ms, struct rpc_item *item, struct err *err)
{
    int64_t until_ms = until(s, timeout_ms);
    int rc;

    mux_lock(s->mux);
    while ((rc = try_read(s, item, err)) == 2) {
        if (wait_change(s, until_ms))
            continue;
        rc = give_up(s, err);
        if (s->is_over && !s->mux->is_serving)
            rc = 0; /* its time was over: stream_wait says so */
        break;
    }
    mux_unlock(s->mux);
    return rc;
}

int stream_wait(struct stream *s, json_t **result, struct err *err)
{
    int rc = 0;

    mux_lock(s->mux);
    stream_finish_locked(s);
    s->is_discarding = true;
    for (const struct item *i = TAILQ_FIRST(&s->items); i; i = TAILQ_NEXT(i, link))
        give_back(s, i->item.len);
    stream_drop_items(s);
    while (!s->is_over && rc == 0)
        if (!wait_change(s, s->deadline_ms))
            rc = give_up(s, err);
    if (s->is_over && s->why.class)
        rc = say_over(s, err);
    else if (s->is_over && result)
        *result = s->result ? take(&s->result) : json_object(); /* given once, and given away */
    mux_unlock(s->mux);
    return rc;
}
