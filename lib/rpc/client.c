/* Keeping one link up. Everything but client_link and client_wait_link is on the loop thread. A
 * loss is logged once, and so is the link being back; tries in between are silent. */
#include "rpc/client.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/work.h"

enum {
    RETRY_MIN_MS = 50,
    RETRY_MAX_MS = 5000,
    STEADY_MS = 1000, /* a link that held so long begins the back-off anew */
    LOOK_MS = 500,
};

static void free_client(struct rpc_client *c)
{
    tls_context_free(c->tls);
    free(c->unix_path);
    free(c->host);
    free(c->port);
    free(c->name);
    wipe_free(c->token);
    free(c->address);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->moved);
    free(c);
}

static void unref(struct rpc_client *c)
{
    pthread_mutex_lock(&c->lock);
    bool is_last = --c->refs == 0;
    pthread_mutex_unlock(&c->lock);
    if (is_last)
        free_client(c);
}

static void handle_closed(struct rpc_client *c)
{
    if (--c->handles == 0)
        unref(c);
}

/* ---- the link, for calls ---- */

struct mux *client_link(struct rpc_client *c)
{
    pthread_mutex_lock(&c->lock);
    struct mux *mux = c->up;
    pthread_mutex_unlock(&c->lock);
    return mux;
}

bool rpc_client_is_up(const struct rpc_client *client)
{
    return client_link((struct rpc_client *)(uintptr_t)client) != NULL;
}

void client_say_down(struct rpc_client *c, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    if (c->is_stopped)
        err_set(err, ERR_STOPPED, "the link to %s is stopped", c->address);
    else
        err_set(err, ERR_UNAVAILABLE, "the link to %s is down%s%s", c->address,
                *c->why.text ? ": " : "", c->why.text);
    pthread_mutex_unlock(&c->lock);
}

/* Locked. */
static void wait_moved(struct rpc_client *c, int64_t until_ms)
{
    int64_t now = mux_now_ms(), end = until_ms < now + LOOK_MS ? until_ms : now + LOOK_MS;
    struct timespec t = { .tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000 };

    pthread_cond_timedwait(&c->moved, &c->lock, &t);
}

struct mux *client_wait_link(struct rpc_client *c, int64_t until_ms, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    c->refs++;
    while (!c->up && !c->is_stopped && !work_stopping && mux_now_ms() < until_ms)
        wait_moved(c, until_ms);
    struct mux *mux = work_stopping ? NULL : c->up;
    if (mux)
        mux_ref(mux); /* its lock inside this one: only here, and never the other way round */
    pthread_mutex_unlock(&c->lock);
    if (!mux && work_stopping)
        err_set(err, ERR_STOPPED, "this program is stopping");
    else if (!mux)
        client_say_down(c, err);
    unref(c);
    return mux;
}

/* ---- keeping it up ---- */

/* Between half and all of 50 ms, 100 ms, … 5 s, so that agents do not all come back at once. */
static uint64_t next_delay_ms(struct rpc_client *c)
{
    unsigned delay = RETRY_MIN_MS << (c->attempts < 7 ? c->attempts : 7);
    uint16_t jitter;

    c->attempts++;
    if (delay > RETRY_MAX_MS)
        delay = RETRY_MAX_MS;
    random_bytes(&jitter, sizeof jitter);
    return delay / 2 + jitter % (delay / 2 + 1);
}

static void on_retry(uv_timer_t *timer);

static void go_down(struct rpc_client *c, const struct err *why)
{
    bool was_up = c->state == CLIENT_UP;

    pthread_mutex_lock(&c->lock);
    bool is_news = was_up || strcmp(c->why.text, why->text) != 0;
    struct mux *up = take(&c->up);
    c->why = *why;
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
    if (up)
        mux_unref(up);
    c->mux = NULL;
    if (c->state != CLIENT_STOPPED) {
        if (is_news)
            log_warn(was_up ? "link lost" : "link not up", S("address", c->address), E(why));
        if (was_up && mux_now_ms() - c->up_since_ms >= STEADY_MS)
            c->attempts = 0;
        c->state = CLIENT_DOWN;
        uv_timer_start(&c->retry, on_retry, next_delay_ms(c), 0);
    }
    if (was_up && c->config.down)
        c->config.down(c->config.arg);
}

static void go_up(struct rpc_client *c, struct mux *mux, unsigned ping_ms)
{
    c->state = CLIENT_UP;
    c->up_since_ms = mux_now_ms();
    mux_set_idle(mux, 3 * ping_ms);
    mux_ref(mux);
    pthread_mutex_lock(&c->lock);
    c->up = mux;
    c->why = (struct err){ 0 };
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
    log_info("link up", S("address", c->address));
    if (c->config.up)
        c->config.up(c->config.arg);
    if (c->state == CLIENT_UP)
        async_link_is_up(c);
}

static void release_hello(struct stream *s)
{
    stream_done(s);
    free(s);
}

struct hello {
    struct stream stream;
    struct rpc_client *client;
};

/* The answer to hello, or the loss of the link before it. */
static void on_hello_over(void *arg)
{
    struct hello *h = arg;
    struct rpc_client *c = h->client;
    struct mux *mux = h->stream.mux;
    json_int_t ping_ms = json_integer_value(json_object_get(h->stream.result, "ping_ms"));
    struct err why = h->stream.why;

    if (c->state != CLIENT_DIALLING || c->mux != mux) {
        stream_unref(&h->stream);
        return;
    }
    if (!why.class && (ping_ms < 1 || ping_ms > 3600000))
        err_set(&why, ERR_INVALID, "the answer to hello has no ping_ms");
    if (!why.class) {
        go_up(c, mux, (unsigned)ping_ms);
    } else {
        err_prefix(&why, "saying hello");
        mux_close(mux, &why);
    }
    stream_unref(&h->stream);
}

static char *hello_params(const struct rpc_client *c)
{
    const char *kind = c->config.kind == RPC_GATEWAY   ? "gateway"
                       : c->config.kind == RPC_BUILDER ? "builder"
                       : c->config.kind == RPC_SSGEN   ? "ssgen"
                                                       : "cli";
    json_auto_t *params = json_pack("{s:i, s:s, s:s, s:s*}", "version", 1, "kind", kind, "name",
                                    c->name, "token", c->token);
    return json_dumps(params, JSON_COMPACT);
}

static void on_ready(void *arg)
{
    struct rpc_client *c = arg;
    struct hello *h = xcalloc(1, sizeof *h);
    auto_wipe char *params = hello_params(c);

    stream_init(&h->stream, release_hello);
    h->client = c;
    h->stream.on_over = (struct hook){ on_hello_over, h };
    if (!params || !mux_open(c->mux, &h->stream, "link.hello", params, true))
        stream_unref(&h->stream);
}

static void on_closed(void *arg, const struct err *why)
{
    go_down(arg, why);
}

static void on_detached(void *arg)
{
    handle_closed(arg);
}

static const struct mux_events events = {
    .ready = on_ready,
    .closed = on_closed,
    .detached = on_detached,
};

static void begin(struct rpc_client *c, struct link *link, const struct err *why)
{
    if (!link) {
        go_down(c, why);
        return;
    }
    c->state = CLIENT_DIALLING;
    c->mux = mux_new(c->loop, link, false, CLIENT_DIAL_MS, &events, c);
    c->handles++;
    mux_start(c->mux);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct rpc_client *c = container_of(req, struct rpc_client, resolve);
    struct err err = { 0 };
    struct link *link = NULL;
    unsigned count = 0;

    if (c->state == CLIENT_STOPPED) {
        uv_freeaddrinfo(list);
        handle_closed(c);
        return;
    }
    c->handles--; /* the timer is another */
    for (const struct addrinfo *a = list; a; a = a->ai_next)
        count++;
    if (status < 0 || count == 0) {
        err_set(&err, ERR_UNAVAILABLE, "looking up %s: %s", c->host, uv_strerror(status));
    } else {
        /* another address at every try: the name may have some that nobody listens on */
        const struct addrinfo *a = list;
        for (unsigned skip = (c->attempts ? c->attempts - 1 : 0) % count; skip; skip--)
            a = a->ai_next;
        link = link_dial_tcp(loop_uv(c->loop), a->ai_addr, c->tls, c->host, &err);
    }
    uv_freeaddrinfo(list);
    begin(c, link, &err);
}

static void on_retry(uv_timer_t *timer)
{
    struct rpc_client *c = container_of(timer, struct rpc_client, retry);
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct err err = { 0 };

    if (c->unix_path) {
        begin(c, link_dial_unix(loop_uv(c->loop), c->unix_path), &err);
        return;
    }
    int rc = uv_getaddrinfo(loop_uv(c->loop), &c->resolve, on_resolved, c->host, c->port, &hints);
    if (rc == 0) {
        c->state = CLIENT_RESOLVING;
        c->handles++;
        return;
    }
    err_set(&err, ERR_UNAVAILABLE, "looking up %s: %s", c->host, uv_strerror(rc));
    go_down(c, &err);
}

/* ---- start and stop ---- */

static void init_shared(struct rpc_client *c)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->moved, &attr);
    pthread_condattr_destroy(&attr);
    c->refs = 1;
}

static int read_config(struct rpc_client *c, const struct rpc_client_config *config,
                       struct err *err)
{
    c->config = *config;
    c->address = xstrdup(config->address);
    c->name = xstrdup(config->name);
    c->token = config->token ? xstrdup(config->token) : NULL;
    c->config.address = c->config.ca_file = c->config.token = c->config.name = NULL;
    if (client_read_address(c, config->address, err))
        return -1;
    if (c->host && !config->ca_file)
        return err_set(err, ERR_INVALID, "%s needs a file of certificate authorities",
                       config->address);
    if (c->host && !(c->tls = tls_context_dial(config->ca_file, err)))
        return -1;
    return 0;
}

int rpc_client_start(struct loop *loop, const struct rpc_client_config *config,
                     struct rpc_client **client, struct err *err)
{
    struct rpc_client *c = xcalloc(1, sizeof *c);

    init_shared(c);
    c->loop = loop;
    TAILQ_INIT(&c->asyncs);
    if (read_config(c, config, err)) {
        free_client(c);
        return -1;
    }
    uv_timer_init(loop_uv(loop), &c->retry);
    c->handles = 1;
    uv_timer_start(&c->retry, on_retry, 0, 0);
    *client = c;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(container_of(handle, struct rpc_client, retry));
}

void rpc_client_stop(struct rpc_client *c)
{
    struct err why = { 0 };

    if (!c || c->state == CLIENT_STOPPED)
        return;
    err_set(&why, ERR_STOPPED, "the link to %s is stopped", c->address);
    if (c->state == CLIENT_RESOLVING)
        uv_cancel((uv_req_t *)&c->resolve);
    struct mux *mux = c->mux;
    bool was_up = c->state == CLIENT_UP;
    c->state = CLIENT_STOPPED;
    pthread_mutex_lock(&c->lock);
    c->is_stopped = true;
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
    if (mux)
        mux_close(mux, &why);
    if (was_up && c->config.down)
        c->config.down(c->config.arg);
    async_stop_all(c);
    uv_close((uv_handle_t *)&c->retry, on_timer_closed);
}
