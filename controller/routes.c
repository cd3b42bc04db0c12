/* The router's part of a step: requests go to the release that is to be live; what should not run
 * any more gets none and drains. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "controller/sync.h"
#include "model/spec.h"

enum { DRAIN_LOOK_MS = 100 };

struct routes {
    struct app_route *routes;
    struct upstream *upstreams;
    size_t route_count, upstream_count;
};

static void routes_done(struct routes *r)
{
    free(r->routes);
    free(r->upstreams);
}
#define auto_routes __attribute__((__cleanup__(routes_done))) struct routes

static void add_routes(struct routes *r, const struct release_row *release)
{
    struct build_spec build;

    spec_build(release->spec, &build);
    r->route_count = spec_route_count(release->spec);
    r->routes = xcalloc(r->route_count, sizeof *r->routes);
    for (size_t i = 0; i < r->route_count; i++) {
        struct route_spec route;
        spec_route(release->spec, i, &route);
        r->routes[i] = (struct app_route){ .host = route.host,
                                           .path = route.path,
                                           .process = route.process,
                                           .site = route.process ? NULL : release->artifact,
                                           .spa = build.spa };
    }
}

static bool is_ready(const struct instance_row *row)
{
    return strcmp(row->state, "ready") == 0;
}

/* Ready instances take requests. When none of a process is ready, those that at least run do: an
 * answer that may fail is better than none. */
static bool takes_requests(const struct sync *s, const struct instance_row *row)
{
    bool any_ready = false;

    if (!row->address || !row->port)
        return false;
    for (size_t i = 0; i < s->instances.count; i++) {
        const struct instance_row *other = &s->instances.items[i];
        any_ready =
            any_ready || (is_ready(other) && strcmp(other->release_id, row->release_id) == 0 &&
                          strcmp(other->process, row->process) == 0);
    }
    return any_ready ? is_ready(row) : strcmp(row->state, "running") == 0;
}

static void add_upstreams(struct routes *r, const struct sync *s, const struct release_row *release)
{
    r->upstreams = xcalloc(s->instances.count, sizeof *r->upstreams);
    for (size_t i = 0; i < s->instances.count; i++) {
        const struct instance_row *row = &s->instances.items[i];
        bool is_wanted = release && strcmp(row->release_id, release->id) == 0;
        bool drains = !is_wanted && row->drain_at && row->address && row->port;
        bool ends = !is_wanted && !row->drain_at && row->address && row->port &&
                    s->app.live_release_id && strcmp(row->release_id, s->app.live_release_id) == 0;
        if (!(is_wanted && takes_requests(s, row)) && !drains && !ends)
            continue;
        r->upstreams[r->upstream_count++] =
            (struct upstream){ row->name, row->process, row->address, (uint16_t)row->port,
                               !is_wanted };
    }
}

static char *hash_routes(const struct routes *r)
{
    auto_sha256 *sha = sha256_new();
    auto_free char *text = NULL;
    size_t len;
    FILE *f = xmemstream(&text, &len);

    for (size_t i = 0; i < r->route_count; i++)
        fprintf(f, "%s %s %s %s %d\n", r->routes[i].host, r->routes[i].path,
                r->routes[i].process ? r->routes[i].process : "-",
                r->routes[i].site ? r->routes[i].site : "-", r->routes[i].spa);
    for (size_t i = 0; i < r->upstream_count; i++)
        fprintf(f, "%s %s %s %d %d\n", r->upstreams[i].instance, r->upstreams[i].process,
                r->upstreams[i].address, r->upstreams[i].port, r->upstreams[i].draining);
    fclose(f);
    sha256_add(sha, text, len);
    return sha256_end(sha);
}

bool sync_is_refusal(const struct err *failure)
{
    return failure->class == ERR_INVALID || failure->class == ERR_CONFLICT;
}

/* What the router has after a refusal is not what was asked for, nor what was there before: the
 * hash is one that no routes have. */
static int note_refused(struct sync *s, const struct err *failure, struct err *err)
{
    bool is_refusal = sync_is_refusal(failure);
    const struct finding finding = {
        ROUTE_ACKED, CONDITION_FALSE, is_refusal ? "RouteRefused" : "RouterNotAcked", failure->text,
        1000,        "rollout"
    };
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_OBSERVE, &tx, err) || find_condition(tx, &s->app, &finding, err) ||
        (is_refusal && store_set_router_hash(tx, s->app.id, "refused", err)))
        return -1;
    if (is_refusal) {
        free(s->app.router_hash);
        s->app.router_hash = xstrdup("refused");
    }
    return tx_commit(&tx, err);
}

static int next_generation(struct sync *s, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_WRITE, &tx, err) ||
        store_next_router_generation(tx, s->app.id, &s->app.router_generation, err))
        return -1;
    return tx_commit(&tx, err);
}

/* Is there a rollout whose routes the router did not take? Then that is what the condition says,
 * although the routes of the live release are there. */
static bool is_waiting(const struct sync *s)
{
    const char *step = s->rollout.step;
    return step && (strcmp(step, "refused") == 0 || strcmp(step, "waiting") == 0);
}

int sync_find_routed(struct tx *tx, struct sync *s, struct err *err)
{
    auto_free char *message =
        xasprintf("generation %lld is acknowledged", (long long)s->app.router_generation);
    const struct finding finding = {
        ROUTE_ACKED, CONDITION_TRUE, "Acknowledged", message, 0, NULL
    };
    return s->app.router_hash && !is_waiting(s) ? find_condition(tx, &s->app, &finding, err) : 0;
}

static int note_acknowledged(struct sync *s, const char *hash, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(s->c->store, TX_OBSERVE, &tx, err) ||
        store_set_router_hash(tx, s->app.id, hash, err))
        return -1;
    free(s->app.router_hash);
    s->app.router_hash = xstrdup(hash);
    return sync_find_routed(tx, s, err) ? -1 : tx_commit(&tx, err);
}

int sync_route(struct sync *s, const struct release_row *release, struct err *err)
{
    struct router *router = s->c->router;
    auto_routes r = { 0 };
    struct err failure = { 0 };

    if (release)
        add_routes(&r, release);
    add_upstreams(&r, s, release);
    if (!s->app.router_hash && !r.route_count && !r.upstream_count)
        return 0; /* the router never heard of it */
    auto_free char *hash = hash_routes(&r);
    bool is_known = s->app.router_hash && strcmp(s->app.router_hash, hash) == 0;
    if (is_known && router->acknowledged(router->self, s->app.id) == s->app.router_generation)
        return 0;
    if (!is_known && next_generation(s, err))
        return -1;
    const struct app_routes want = { s->app.id,   s->app.router_generation, r.routes, r.route_count,
                                     r.upstreams, r.upstream_count };
    if (router->apply(router->self, &want, &failure)) {
        *err = failure;
        struct err ignored = { 0 };
        note_refused(s, &failure, &ignored);
        return err_prefix(err, "router");
    }
    return note_acknowledged(s, hash, err);
}

/* ---- draining ---- */

int sync_mark_draining(struct sync *s, struct err *err)
{
    auto_tx *tx = NULL;

    for (size_t i = 0; i < s->instances.count; i++) {
        struct instance_row *row = &s->instances.items[i];
        if (row->drain_at || sync_find(s, row->release_id))
            continue;
        row->drain_at = clock_now_ms(s->c->clock);
        if ((!tx && tx_begin(s->c->store, TX_OBSERVE, &tx, err)) ||
            store_put_instance(tx, row, err))
            return -1;
    }
    return tx ? tx_commit(&tx, err) : 0;
}

static void let_go(struct sync *s, const struct instance_row *row, int64_t stop_ms)
{
    s->gone = xreallocarray(s->gone, s->gone_count + 1, sizeof *s->gone);
    s->gone_stop_ms = xreallocarray(s->gone_stop_ms, s->gone_count + 1, sizeof *s->gone_stop_ms);
    s->gone[s->gone_count] = row->name;
    s->gone_stop_ms[s->gone_count++] = stop_ms;
}

/* The limits of the release that the instance belongs to; of a release that is gone, the defaults
 * of the live one or none. */
static void limits_of(const struct sync *s, struct deploy_spec *deploy)
{
    const json_t *spec = s->live.id ? s->live.spec : s->wanted.id ? s->wanted.spec : NULL;

    *deploy = (struct deploy_spec){ .drain_ms = 30000, .stop_ms = 30000 };
    if (spec)
        spec_deploy(spec, deploy);
}

static void drain_one(struct sync *s, const struct instance_row *row,
                      const struct deploy_spec *deploy)
{
    int64_t in_flight = 0, waited = clock_now_ms(s->c->clock) - row->drain_at;
    struct err unknown = { 0 };

    bool is_over = waited < 0 || waited >= deploy->drain_ms;
    if (!is_over &&
        s->c->router->in_flight(s->c->router->self, s->app.id, row->name, &in_flight, &unknown))
        in_flight = 1; /* not known: as if there were some, until the time is over */
    if (is_over || in_flight == 0)
        let_go(s, row, deploy->stop_ms);
    sync_again(s, DRAIN_LOOK_MS);
}

void sync_drain(struct sync *s)
{
    struct deploy_spec deploy;

    limits_of(s, &deploy);
    for (size_t i = 0; i < s->instances.count; i++) {
        struct instance_row *row = &s->instances.items[i];
        if (!sync_find(s, row->release_id))
            drain_one(s, row, &deploy);
    }
}
