/* The life of a call: opened, over, forgotten; and what the loop thread is told about it. */
#include "rpc/stream.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "rpc/mux.h"

void stream_init(struct stream *s, void (*release)(struct stream *s))
{
    pthread_condattr_t attr;

    s->release = release;
    s->refs = 1;
    s->deadline_ms = INT64_MAX;
    TAILQ_INIT(&s->items);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
}

void rpc_item_done(struct rpc_item *item)
{
    json_decref(item->json);
    free(item->bytes);
    *item = (struct rpc_item){ 0 };
}

void stream_drop_items(struct stream *s)
{
    struct item *i;

    while ((i = TAILQ_FIRST(&s->items))) {
        TAILQ_REMOVE(&s->items, i, link);
        rpc_item_done(&i->item);
        free(i);
    }
}

void stream_done(struct stream *s)
{
    stream_drop_items(s);
    json_decref(s->result);
    pthread_cond_destroy(&s->wake);
}

struct stream *stream_ref(struct stream *s)
{
    mux_lock(s->mux);
    s->refs++;
    mux_unlock(s->mux);
    return s;
}

void stream_set_over(struct stream *s, const struct err *why)
{
    if (s->is_over)
        return;
    s->is_over = true;
    if (why)
        s->why = *why;
    if (s->mux->is_serving) /* the calling side may still read what came before the end */
        stream_drop_items(s);
    HASH_DELETE(hh, s->mux->streams, s);
    s->mux->stream_count--;
    pthread_cond_broadcast(&s->wake);
}

/* Locked. */
static void add_error(struct stream *s, const struct err *why)
{
    size_t len;
    auto_free char *text = error_text(why, &len);

    frame_add_value(&s->mux->outbox, "end", s->number, "error", text, len);
}

/* The last reference went without an end. Locked. */
static void abandon(struct stream *s)
{
    struct err why = { 0 };

    if (s->mux->is_serving) {
        err_set(&why, ERR_INTERNAL, "the call was dropped unanswered");
        add_error(s, &why);
    } else {
        err_set(&why, ERR_STOPPED, "nobody waits for the end");
        frame_add_verb(&s->mux->outbox, "cancel", s->number);
    }
    stream_set_over(s, &why);
}

void stream_unref(struct stream *s)
{
    struct mux *mux = s->mux;

    if (!mux) { /* never opened: known to one thread only */
        s->release(s);
        return;
    }
    mux_lock(mux);
    bool is_last = s->refs == 1;
    if (is_last && !s->is_over)
        abandon(s);
    s->refs--;
    mux_unlock(mux);
    if (!is_last)
        return;
    s->release(s);
    mux_unref(mux);
}

bool stream_end(struct stream *s, const json_t *result, struct err *err)
{
    auto_free char *text = NULL;
    size_t len;

    if (value_text(result, &text, &len, err))
        return stream_fail(s, err);
    mux_lock(s->mux);
    bool is_first = !s->is_over;
    if (is_first) {
        frame_add_value(&s->mux->outbox, "end", s->number, "result", text, len);
        stream_set_over(s, NULL);
    }
    mux_unlock(s->mux);
    return is_first;
}

bool stream_fail(struct stream *s, const struct err *why)
{
    mux_lock(s->mux);
    bool is_first = !s->is_over;
    if (is_first) {
        add_error(s, why);
        stream_set_over(s, why);
    }
    mux_unlock(s->mux);
    return is_first;
}

void stream_cancel_locked(struct stream *s, const struct err *why)
{
    if (s->is_over)
        return;
    frame_add_verb(&s->mux->outbox, "cancel", s->number);
    stream_set_over(s, why);
}

void stream_cancel(struct stream *s, const struct err *why)
{
    mux_lock(s->mux);
    stream_cancel_locked(s, why);
    mux_unlock(s->mux);
}

void stream_finish_locked(struct stream *s)
{
    if (s->finished || s->is_over)
        return;
    s->finished = true;
    frame_add_verb(&s->mux->outbox, "finish", s->number);
}

void stream_finish(struct stream *s)
{
    mux_lock(s->mux);
    stream_finish_locked(s);
    mux_unlock(s->mux);
}

/* ---- hooks ---- */

void stream_notify_over(struct stream *s)
{
    mux_lock(s->mux);
    struct hook hook = s->is_over ? s->on_over : (struct hook){ 0 };
    if (s->is_over)
        s->on_over = s->on_room = (struct hook){ 0 };
    mux_unlock(s->mux);
    if (hook.fn)
        hook.fn(hook.arg);
}

void stream_notify_room(struct stream *s)
{
    mux_lock(s->mux);
    bool has = s->wants_room && !s->is_over && stream_has_room(s, STREAM_PIECE);
    struct hook hook = has ? s->on_room : (struct hook){ 0 };
    if (has) {
        s->wants_room = !hook.fn && s->wants_room;
        pthread_cond_broadcast(&s->wake);
    }
    mux_unlock(s->mux);
    if (hook.fn)
        hook.fn(hook.arg);
}

/* Locked: what the item hook is to be called with next. */
static bool next_item(struct stream *s, struct item_hook *hook, struct rpc_item *item, bool *is_end)
{
    *hook = s->on_item;
    if (!hook->fn || (s->is_over && s->mux->is_serving))
        return false;
    if (stream_pop(s, item))
        return true;
    *is_end = s->peer_finished && !s->is_over;
    if (*is_end)
        s->on_item = (struct item_hook){ 0 };
    return *is_end;
}

void stream_notify_items(struct stream *s)
{
    for (;;) {
        struct item_hook hook;
        struct rpc_item item;
        bool is_end = false;
        mux_lock(s->mux);
        bool is_due = next_item(s, &hook, &item, &is_end);
        mux_unlock(s->mux);
        if (!is_due)
            return;
        hook.fn(hook.arg, is_end ? NULL : &item);
    }
}

static void notify_later(void *arg)
{
    struct stream *s = arg;

    stream_notify_items(s);
    stream_notify_room(s);
    stream_notify_over(s);
    stream_unref(s);
}

/* Posts when the hook has missed something. Locked on entry, unlocked on return. */
static void catch_up(struct stream *s, bool has_missed)
{
    if (has_missed)
        s->refs++;
    mux_unlock(s->mux);
    if (has_missed)
        loop_post(s->mux->loop, notify_later, s);
}

void stream_hook_over(struct stream *s, struct hook hook)
{
    mux_lock(s->mux);
    bool is_gone = s->is_over && s->why.class != ERR_NONE;
    s->on_over = is_gone || !s->is_over ? hook : (struct hook){ 0 };
    catch_up(s, hook.fn && is_gone);
}

void stream_hook_room(struct stream *s, struct hook hook)
{
    mux_lock(s->mux);
    s->on_room = hook;
    catch_up(s, hook.fn && s->wants_room);
}

void stream_hook_item(struct stream *s, struct item_hook hook)
{
    mux_lock(s->mux);
    s->on_item = hook;
    catch_up(s, hook.fn && (!TAILQ_EMPTY(&s->items) || s->peer_finished));
}
