/* What the peer says, one frame at a time, on the loop thread. Returning -1 anywhere here closes
 * the link: the peer broke the protocol and nothing it says later can be trusted. */
#include "rpc/mux.h"

#include "base/mem.h"

/* Locked. 0 with *s, or NULL when that call is over; -1 when there never was one. */
static int find(struct mux *mux, uint32_t number, struct stream **s, struct err *err)
{
    if (number == 0 || number > mux->last_number)
        return err_set(err, ERR_INVALID, "a message for call %u, which was never opened", number);
    HASH_FIND(hh, mux->streams, &number, sizeof number, *s);
    if (*s)
        (*s)->refs++;
    return 0;
}

/* Locks, and finds with a reference. */
static int look_up(struct mux *mux, uint32_t number, struct stream **s, struct err *err)
{
    mux_lock(mux);
    int rc = find(mux, number, s, err);
    if (rc || !*s)
        mux_unlock(mux);
    return rc;
}

static int take_call(struct mux *mux, const struct message *m, struct err *err)
{
    mux_lock(mux);
    bool is_next = m->number > mux->last_number;
    if (is_next)
        mux->last_number = m->number;
    mux_unlock(mux);
    if (!is_next)
        return err_set(err, ERR_INVALID, "call %u after call %u", m->number, mux->last_number);
    return mux->events->call(mux->arg, m, err);
}

static int take_cancel(struct mux *mux, const struct message *m, struct err *err)
{
    struct err why = { 0 };
    struct stream *s = NULL;

    if (look_up(mux, m->number, &s, err))
        return -1;
    if (!s)
        return 0;
    err_set(&why, ERR_STOPPED, "the caller cancelled");
    stream_set_over(s, &why);
    mux_unlock(mux);
    stream_notify_over(s);
    stream_unref(s);
    return 0;
}

static int take_finish(struct mux *mux, const struct message *m, struct err *err)
{
    struct stream *s = NULL;

    if (look_up(mux, m->number, &s, err))
        return -1;
    if (!s)
        return 0;
    bool was_finished = s->peer_finished;
    s->peer_finished = true;
    pthread_cond_broadcast(&s->wake);
    mux_unlock(mux);
    stream_notify_items(s);
    stream_unref(s);
    return was_finished ? err_set(err, ERR_INVALID, "call %u finished twice", m->number) : 0;
}

static int take_data(struct mux *mux, const struct message *m, size_t cost, struct err *err)
{
    struct stream *s = NULL;

    if (look_up(mux, m->number, &s, err))
        return -1;
    if (!s)
        return 0;
    int rc = stream_take_value(s, message_take(m, "value"), cost, err);
    mux_unlock(mux);
    stream_notify_items(s);
    stream_unref(s);
    return rc;
}

static int take_bytes(struct mux *mux, const struct frame *f, struct err *err)
{
    struct stream *s = NULL;

    if (look_up(mux, f->call, &s, err))
        return -1;
    if (!s)
        return 0;
    int rc = stream_take_bytes(s, f->data, f->len, err);
    mux_unlock(mux);
    stream_notify_items(s);
    stream_unref(s);
    return rc;
}

static int take_end(struct mux *mux, const struct message *m, struct err *err)
{
    struct stream *s = NULL;
    struct err why = { 0 };

    if (look_up(mux, m->number, &s, err))
        return -1;
    if (!s)
        return 0;
    if (m->error)
        error_from(m->error, &why);
    else
        s->result = message_take(m, "result");
    stream_set_over(s, m->error ? &why : NULL);
    mux_unlock(mux);
    stream_notify_over(s);
    stream_unref(s);
    return 0;
}

static int take_window(struct mux *mux, const struct message *m, struct err *err)
{
    struct stream *s = NULL;

    if (look_up(mux, m->number, &s, err))
        return -1;
    if (!s)
        return 0;
    bool is_right = m->bytes <= s->under_way;
    if (is_right)
        s->under_way -= m->bytes;
    mux_unlock(mux);
    stream_notify_room(s);
    stream_unref(s);
    return is_right ? 0
                    : err_set(err, ERR_INVALID, "call %u: more window than was taken", m->number);
}

static int take_ping(struct mux *mux, const struct message *m, struct err *err)
{
    (void)err;
    mux_lock(mux);
    frame_add_verb(&mux->outbox, "pong", m->number);
    mux_unlock(mux);
    return 0;
}

static int take_pong(struct mux *mux, const struct message *m, struct err *err)
{
    (void)mux; /* having heard it is all */
    (void)m;
    (void)err;
    return 0;
}

/* By enum message_type; who may send it. Data is apart, because it needs the size of its frame. */
static const struct {
    bool to_serving, to_calling;
    int (*run)(struct mux *mux, const struct message *m, struct err *err);
} takers[MESSAGE_TYPES] = {
    [MESSAGE_CALL] = { true, false, take_call },
    [MESSAGE_CANCEL] = { true, false, take_cancel },
    [MESSAGE_DATA] = { true, true, NULL },
    [MESSAGE_END] = { false, true, take_end },
    [MESSAGE_FINISH] = { true, false, take_finish },
    [MESSAGE_PING] = { true, true, take_ping },
    [MESSAGE_PONG] = { true, true, take_pong },
    [MESSAGE_WINDOW] = { true, true, take_window },
};

int mux_take_frame(void *arg, const struct frame *frame, struct err *err)
{
    struct mux *mux = arg;
    struct message m = { 0 };

    mux_lock(mux);
    mux->heard_ms = mux_now_ms();
    mux_unlock(mux);
    if (frame->kind == FRAME_BYTES)
        return take_bytes(mux, frame, err);
    if (message_parse(frame->data, frame->len, &m, err))
        return -1;
    int rc;
    if (!(mux->is_serving ? takers[m.type].to_serving : takers[m.type].to_calling))
        rc = err_set(err, ERR_INVALID, "a message that this side does not take");
    else if (m.type == MESSAGE_DATA)
        rc = take_data(mux, &m, frame->len, err);
    else
        rc = takers[m.type].run(mux, &m, err);
    message_done(&m);
    return rc;
}
