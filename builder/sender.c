#include "builder/sender.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/work.h"
#include "builder/builder.h"

enum { GATHER_MS = 50, PIECE = 64 * 1024, RETRY_MS = 200, END_WAIT_MS = 5000 };

struct sender {
    struct attempt *attempt;
    struct thread *reader, *writer;
    pthread_mutex_t lock; /* guards: */
    pthread_cond_t changed;
    struct rpc_exchange *exchange; /* while it is open */
    bool is_writing;               /* the writer uses the exchange now: it must not be closed */
    bool is_broken;                /* the writer found it so; cleared with the next one */
    bool is_sent;                  /* all of an ended log, on this exchange */
    bool is_over;                  /* nothing is left to do */
    int64_t sent, sent_at_ms;
};

/* ---- writer ---- */

/* The exchange, to write to until `unuse`; NULL when all is over. */
static struct rpc_exchange *use(struct sender *s, int64_t *offset)
{
    struct rpc_exchange *x = NULL;

    pthread_mutex_lock(&s->lock);
    while (!s->is_over && (!s->exchange || s->is_broken || s->is_sent))
        pthread_cond_wait(&s->changed, &s->lock);
    if (!s->is_over) {
        x = s->exchange;
        *offset = s->sent;
        s->is_writing = true;
    }
    pthread_mutex_unlock(&s->lock);
    return x;
}

static void unuse(struct sender *s, size_t written, bool is_broken, bool is_sent)
{
    pthread_mutex_lock(&s->lock);
    s->is_writing = false;
    s->is_broken = is_broken;
    s->is_sent = is_sent && !is_broken;
    s->sent += (int64_t)written;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void write_piece(struct sender *s, struct rpc_exchange *x, int64_t offset, char *piece)
{
    struct build_log *log = s->attempt->log;
    bool is_ended = build_log_is_ended(log); /* before the read: then nothing can come after it */
    size_t len = build_log_read(log, offset, piece, PIECE);
    bool is_last = is_ended && len == 0;
    struct err err = { 0 };
    int rc = len ? rpc_exchange_write(x, piece, len, &err) : 0;

    if (is_last)
        rc = rpc_exchange_finish(x, &err);
    s->sent_at_ms = clock_mono_ms(clock_system());
    unuse(s, rc == 0 ? len : 0, rc < 0, is_last);
}

/* Nothing to send, or so little so soon that gathering more is better. */
static bool is_early(const struct sender *s, int64_t offset)
{
    struct build_log *log = s->attempt->log;
    int64_t there = build_log_size(log) - offset;

    if (build_log_is_ended(log) || there >= PIECE)
        return false;
    return there <= 0 || clock_mono_ms(clock_system()) - s->sent_at_ms < GATHER_MS;
}

static void wait_for_more(const struct sender *s, int64_t offset)
{
    build_log_wait(s->attempt->log, offset, 1000);
    int64_t since = clock_mono_ms(clock_system()) - s->sent_at_ms;
    if (since < GATHER_MS)
        work_sleep(GATHER_MS - since);
}

static void write_log(void *arg)
{
    struct sender *s = arg;
    auto_free char *piece = xcalloc(PIECE, 1);
    struct rpc_exchange *x;
    int64_t offset;

    while ((x = use(s, &offset))) {
        if (!is_early(s, offset)) {
            write_piece(s, x, offset, piece);
            continue;
        }
        unuse(s, 0, false, false);
        wait_for_more(s, offset);
    }
}

/* ---- reader ---- */

static bool is_done(struct sender *s)
{
    return attempt_is_given_up(s->attempt) || attempt_cause(s->attempt) == STOP_LEASE_GONE;
}

static void publish(struct sender *s, struct rpc_exchange *x)
{
    pthread_mutex_lock(&s->lock);
    s->exchange = x;
    s->is_broken = s->is_sent = false;
    s->sent = 0;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* Takes the exchange away from the writer; was all sent? */
static bool withdraw(struct sender *s)
{
    pthread_mutex_lock(&s->lock);
    s->exchange = NULL;
    while (s->is_writing)
        pthread_cond_wait(&s->changed, &s->lock);
    bool is_sent = s->is_sent;
    pthread_mutex_unlock(&s->lock);
    return is_sent;
}

static bool is_all_sent(struct sender *s)
{
    pthread_mutex_lock(&s->lock);
    bool is_sent = s->is_sent;
    pthread_mutex_unlock(&s->lock);
    return is_sent;
}

static void hear(struct sender *s, struct rpc_item *item)
{
    const char *text = item->json ? json_string_value(json_object_get(item->json, "cancel")) : NULL;

    if (item->json && json_object_get(item->json, "cancel"))
        attempt_stop(s->attempt, STOP_CANCELLED, text);
    rpc_item_done(item);
}

/* Reads until the call ends (true), or the link is lost or nothing is to be waited for (false). */
static bool listen_to(struct sender *s, struct rpc_exchange *x)
{
    int64_t sent_for = 0;

    while (!is_done(s) && sent_for < END_WAIT_MS) {
        struct rpc_item item = { 0 };
        struct err err = { 0 };
        int rc = rpc_exchange_read(x, 250, &item, &err);
        if (rc == 1)
            hear(s, &item);
        else if (rc == 0)
            return true;
        else if (err.class != ERR_TIMEOUT)
            return false;
        sent_for = is_all_sent(s) ? sent_for + 250 : 0;
    }
    return false;
}

/* One exchange, from open to close; true: another one is not needed. */
static bool run_exchange(struct sender *s)
{
    json_auto_t *params = attempt_params(s->attempt);
    auto_rpc_exchange *x = NULL;
    struct err err = { 0 };

    json_object_set_new(params, "offset", json_integer(0));
    /* no time limit of its own: the watcher stops the attempt, the log may take longer */
    if (rpc_client_open(s->attempt->builder->client, "build.attempt", params, 0, &x, &err) < 0)
        return false;
    publish(s, x);
    bool has_ended = listen_to(s, x);
    /* An ended call makes a write that waits for it fail, a closed one as well. */
    bool is_sent = withdraw(s);
    int rc = has_ended ? rpc_exchange_result(x, NULL, &err) : 0;
    if (rc < 0 && (err.class == ERR_CONFLICT || err.class == ERR_NOT_FOUND)) {
        attempt_stop(s->attempt, STOP_LEASE_GONE, err.text);
        return true;
    }
    return is_sent && rc == 0;
}

static void read_cancel(void *arg)
{
    struct sender *s = arg;
    bool is_over = false;

    while (!is_over && !is_done(s)) {
        if (!builder_wait_link(s->attempt->builder, 250))
            continue;
        is_over = run_exchange(s);
        if (!is_over && !is_done(s))
            work_sleep(RETRY_MS);
        if (work_stopping)
            break;
    }
    pthread_mutex_lock(&s->lock);
    s->is_over = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

struct sender *sender_start(struct attempt *attempt)
{
    struct sender *s = xcalloc(1, sizeof *s);

    s->attempt = attempt;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->reader = thread_start(read_cancel, s);
    s->writer = thread_start(write_log, s);
    return s;
}

void sender_finish(struct sender *s)
{
    thread_join(s->reader);
    thread_join(s->writer);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
