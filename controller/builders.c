#include "controller/builders.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"

enum { FORGET_MS = 24 * 3600 * 1000 };

struct offer {
    TAILQ_ENTRY(offer) link;
    struct rpc_call *call;
};

struct builder {
    LIST_ENTRY(builder) link;
    uint64_t session;
    char *name;
    int64_t slots;
    TAILQ_HEAD(, offer) offers;
};

/* An attempt under way, with whom, since when, and since when that one is away (monotonic; 0: it is
 * linked). */
struct held {
    LIST_ENTRY(held) link;
    char *attempt;
    uint64_t session;
    int64_t held_since_ms, away_since_ms;
    bool is_attached; /* its builder has opened build.attempt in this session */
    struct rpc_call *call;
};

struct builders {
    const struct clock *clock;
    pthread_mutex_t lock; /* guards: */
    LIST_HEAD(, builder) builders;
    LIST_HEAD(, held) held;
};

struct builders *builders_new(const struct clock *clock)
{
    struct builders *b = xcalloc(1, sizeof *b);

    b->clock = clock;
    pthread_mutex_init(&b->lock, NULL);
    LIST_INIT(&b->builders);
    LIST_INIT(&b->held);
    return b;
}

static void free_builder(struct builder *b)
{
    struct offer *o;

    while ((o = TAILQ_FIRST(&b->offers))) {
        TAILQ_REMOVE(&b->offers, o, link);
        rpc_call_unref(o->call);
        free(o);
    }
    LIST_REMOVE(b, link);
    free(b->name);
    free(b);
}

static void free_held(struct held *h)
{
    LIST_REMOVE(h, link);
    rpc_call_unref(h->call);
    free(h->attempt);
    free(h);
}

void builders_free(struct builders *b)
{
    if (!b)
        return;
    while (LIST_FIRST(&b->builders))
        free_builder(LIST_FIRST(&b->builders));
    while (LIST_FIRST(&b->held))
        free_held(LIST_FIRST(&b->held));
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* With the lock held. */
static struct builder *find(struct builders *b, uint64_t session)
{
    struct builder *one;

    LIST_FOREACH(one, &b->builders, link)
        if (one->session == session)
            return one;
    return NULL;
}

static struct held *find_held(struct builders *b, const char *attempt)
{
    struct held *h;

    LIST_FOREACH(h, &b->held, link)
        if (strcmp(h->attempt, attempt) == 0)
            return h;
    return NULL;
}

static int64_t busy(struct builders *b, uint64_t session)
{
    struct held *h;
    int64_t count = 0;

    LIST_FOREACH(h, &b->held, link)
        count += h->session == session && h->away_since_ms == 0;
    return count;
}

void builders_add(struct builders *b, struct rpc_session *session, int64_t slots)
{
    pthread_mutex_lock(&b->lock);
    struct builder *one = find(b, rpc_session_id(session));
    if (!one) {
        one = xcalloc(1, sizeof *one);
        one->session = rpc_session_id(session);
        one->name = xstrdup(rpc_session_name(session));
        TAILQ_INIT(&one->offers);
        LIST_INSERT_HEAD(&b->builders, one, link);
    }
    one->slots = slots;
    pthread_mutex_unlock(&b->lock);
}

bool builders_remove(struct builders *b, struct rpc_session *session)
{
    struct held *h;

    pthread_mutex_lock(&b->lock);
    struct builder *one = find(b, rpc_session_id(session));
    if (one) {
        LIST_FOREACH(h, &b->held, link)
            if (h->session == one->session && h->away_since_ms == 0)
                h->away_since_ms = clock_mono_ms(b->clock);
        free_builder(one);
    }
    pthread_mutex_unlock(&b->lock);
    return one != NULL;
}

bool builders_offer(struct builders *b, struct rpc_call *call)
{
    pthread_mutex_lock(&b->lock);
    struct builder *one = find(b, rpc_session_id(rpc_call_session(call)));
    if (one) {
        struct offer *o = xcalloc(1, sizeof *o);
        o->call = rpc_call_ref(call);
        TAILQ_INSERT_TAIL(&one->offers, o, link);
    }
    pthread_mutex_unlock(&b->lock);
    return one != NULL;
}

/* The first offer that is still open; those that are gone are dropped on the way. */
static struct offer *open_offer(struct builder *one)
{
    struct offer *o;

    while ((o = TAILQ_FIRST(&one->offers)) && rpc_call_is_gone(o->call)) {
        TAILQ_REMOVE(&one->offers, o, link);
        rpc_call_unref(o->call);
        free(o);
    }
    return o;
}

struct rpc_call *builders_take(struct builders *b, char **name)
{
    struct builder *one, *best = NULL;
    struct rpc_call *call = NULL;

    pthread_mutex_lock(&b->lock);
    LIST_FOREACH(one, &b->builders, link)
        if (open_offer(one) && (!best || busy(b, one->session) < busy(b, best->session)))
            best = one;
    if (best) {
        struct offer *o = TAILQ_FIRST(&best->offers);
        TAILQ_REMOVE(&best->offers, o, link);
        call = o->call;
        free(o);
        *name = xstrdup(best->name);
    }
    pthread_mutex_unlock(&b->lock);
    return call;
}

/* With the lock held. */
static struct held *hold(struct builders *b, const char *attempt)
{
    struct held *h = find_held(b, attempt);

    if (!h) {
        h = xcalloc(1, sizeof *h);
        h->attempt = xstrdup(attempt);
        LIST_INSERT_HEAD(&b->held, h, link);
    }
    return h;
}

void builders_hold(struct builders *b, const char *attempt_id, struct rpc_session *session)
{
    pthread_mutex_lock(&b->lock);
    struct held *h = hold(b, attempt_id);
    h->session = rpc_session_id(session);
    h->held_since_ms = clock_mono_ms(b->clock);
    h->is_attached = false;
    /* the link may have closed between the answer and this */
    h->away_since_ms = find(b, h->session) ? 0 : clock_mono_ms(b->clock);
    pthread_mutex_unlock(&b->lock);
}

void builders_drop(struct builders *b, const char *attempt_id)
{
    pthread_mutex_lock(&b->lock);
    struct held *h = find_held(b, attempt_id);
    if (h)
        free_held(h);
    pthread_mutex_unlock(&b->lock);
}

void builders_expire(struct builders *b, const char *attempt_id)
{
    pthread_mutex_lock(&b->lock);
    struct held *h = hold(b, attempt_id);
    h->away_since_ms = INT64_MIN / 2; /* long ago, whatever the grace */
    pthread_mutex_unlock(&b->lock);
}

void builders_attach(struct builders *b, const char *attempt_id, struct rpc_call *call)
{
    pthread_mutex_lock(&b->lock);
    struct held *h = find_held(b, attempt_id);
    struct rpc_call *before = h ? h->call : NULL;
    if (h) {
        h->call = rpc_call_ref(call);
        h->is_attached = true;
    }
    pthread_mutex_unlock(&b->lock);
    rpc_call_unref(before);
}

bool builders_cancel(struct builders *b, const char *attempt_id, const char *why)
{
    pthread_mutex_lock(&b->lock);
    struct held *h = find_held(b, attempt_id);
    struct rpc_call *call = h && h->call ? rpc_call_ref(h->call) : NULL;
    pthread_mutex_unlock(&b->lock);
    bool sent = call && rpc_call_try_send(call, json_pack("{s:s}", "cancel", why));
    rpc_call_unref(call);
    return sent;
}

int64_t builders_left_ms(struct builders *b, const char *attempt_id, int64_t grace_ms)
{
    int64_t now = clock_mono_ms(b->clock), left = INT64_MAX;

    pthread_mutex_lock(&b->lock);
    struct held *h = find_held(b, attempt_id);
    if (!h) {
        h = hold(b, attempt_id);
        h->away_since_ms = now + RESTART_GRACE_MS - grace_ms;
    }
    if (h->away_since_ms)
        left = h->away_since_ms + grace_ms - now;
    else if (!h->is_attached)
        left = h->held_since_ms + ATTACH_MS - now;
    pthread_mutex_unlock(&b->lock);
    return left;
}

void builders_forget_old(struct builders *b)
{
    int64_t now = clock_mono_ms(b->clock);
    struct held *h, *next;

    pthread_mutex_lock(&b->lock);
    for (h = LIST_FIRST(&b->held); h; h = next) {
        next = LIST_NEXT(h, link);
        if (h->away_since_ms && now - h->away_since_ms > FORGET_MS)
            free_held(h);
    }
    pthread_mutex_unlock(&b->lock);
}

int64_t builders_count(struct builders *b)
{
    struct builder *one;
    int64_t count = 0;

    pthread_mutex_lock(&b->lock);
    LIST_FOREACH(one, &b->builders, link)
        count++;
    pthread_mutex_unlock(&b->lock);
    return count;
}

json_t *builders_list(struct builders *b)
{
    json_t *list = json_array();
    struct builder *one;

    pthread_mutex_lock(&b->lock);
    LIST_FOREACH(one, &b->builders, link)
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:b}", "name", one->name, "slots",
                                              one->slots, "busy", busy(b, one->session),
                                              "connected", true));
    pthread_mutex_unlock(&b->lock);
    return list;
}
