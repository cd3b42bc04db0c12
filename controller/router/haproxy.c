/* The wanted state is in memory and in files; the running HAProxy is brought to it by commands that
 * touch no connection.
 *
 * A change: files first (a HAProxy that starts now starts there), then servers added and ready,
 * then map entries, then old servers drained or removed. So at no instant does an entry lead to a
 * slot whose instances are not there yet.
 *
 * Is the running HAProxy the one that was told everything? A mark that is in no file, only in the
 * running map ("!mark"), says so: it is gone after a restart or reload, is different when this
 * controller is a new one, and is forgotten here when a command fails. Without the mark everything
 * is read from HAProxy and compared, once; with it, a change costs what it changes.
 * The mark's value names no backend, so a request for the host "!mark" is one for an unknown host.
 *
 * A server goes only when it has no connections, idle ones included; until then it stays in
 * maintenance and its slot is `leftover`: tried again with each change and check, and not given to
 * another app. */
#include "controller/router/haproxy.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/work.h"
#include "controller/router/admin.h"
#include "controller/router/change.h"
#include "controller/router/files.h"
#include "controller/router/state.h"

static const char mark_key[] = "!mark";

enum { RELOAD_TIMEOUT_MS = 30000, RELOAD_POLL_MS = 50 };

struct haproxy {
    struct haproxy_config config;
    char *admin, *master, *map, *mark;
    pthread_mutex_t
        lock;       /* guards: (held across commands on purpose, it is the order of changes) */
    bool is_synced; /* every command since the mark was set succeeded */
    struct state state;
};
/* ---- the running HAProxy, whole ---- */

static int check_mark(struct haproxy *h, bool *is_there, struct err *err)
{
    auto_free char *command = xasprintf("get map %s %s", h->map, mark_key);
    auto_free char *value = xasprintf("value=\"%s\"", h->mark);
    auto_free char *answer = NULL;

    if (admin_ask(h->admin, command, &answer, err))
        return -1;
    *is_there = strstr(answer, value) != NULL;
    return 0;
}

/* Asks the master for new workers and waits until they answer. Connections stay with the old ones
 * until they end. */
static int reload(struct haproxy *h, const char *layout, struct err *err)
{
    int64_t until = clock_mono_ms(clock_system()) + RELOAD_TIMEOUT_MS;
    bool is_new = false;

    if (admin_run(h->master, "", err, "reload"))
        return err_prefix(err, "reloading HAProxy");
    while (clock_mono_ms(clock_system()) < until && work_sleep(RELOAD_POLL_MS)) {
        struct err not_yet = { 0 };
        if (admin_has_layout(h->admin, layout, &is_new, &not_yet) == 0 && is_new)
            return 0;
    }
    return err_set(err, ERR_UNAVAILABLE,
                   "HAProxy did not take up its new configuration within %d s",
                   RELOAD_TIMEOUT_MS / 1000);
}

/* The backends that the state needs are there; else a reload lays them out. */
static int ensure_layout(struct haproxy *h, struct err *err)
{
    auto_free char *layout = files_layout(&h->config, &h->state);
    bool has = false;

    if (admin_has_layout(h->admin, layout, &has, err))
        return -1;
    return has ? 0 : reload(h, layout, err);
}

/* Slots in use, and those where HAProxy has servers. */
static size_t list_slots(const struct haproxy *h, const struct seen_servers *seen, unsigned *slots)
{
    size_t count = 0, at = 0;

    for (unsigned number = 1; number <= h->state.slot_max; number++) {
        while (at < seen->count && seen->items[at].slot < number)
            at++;
        bool has_servers = at < seen->count && seen->items[at].slot == number;
        if (has_servers || h->state.slots[number] || h->state.is_leftover[number])
            slots[count++] = number;
    }
    return count;
}

static int sync_all(struct haproxy *h, struct err *err)
{
    auto_free unsigned *slots = xcalloc(h->state.slot_max, sizeof *slots);
    auto_seen_servers seen = { 0 };
    auto_pairs *has = NULL, *wants = NULL;

    h->is_synced = false;
    if (ensure_layout(h, err) || admin_servers(h->admin, 0, &seen, err) ||
        pairs_read(h->admin, h->map, &has, err))
        return -1;
    for (struct routed_app *app = h->state.apps; app; app = app->hh.next)
        pairs_add_app(&wants, app);
    pairs_add(&wants, mark_key, h->mark);
    struct change change = { h->admin, h->map, &h->state, slots, list_slots(h, &seen, slots),
                             has,      wants };
    if (change_run(&change, err))
        return err_prefix(err, "bringing HAProxy to the state");
    for (struct routed_app *app = h->state.apps; app; app = app->hh.next)
        app->acknowledged = app->generation;
    h->is_synced = true;
    log_info("router brought to its state", I("apps", HASH_COUNT(h->state.apps)),
             I("routes", HASH_COUNT(wants) - 1));
    return 0;
}

static int ensure_synced(struct haproxy *h, struct err *err)
{
    bool is_there = false;

    if (check_mark(h, &is_there, err)) {
        h->is_synced = false;
        return -1;
    }
    return is_there && h->is_synced ? 0 : sync_all(h, err);
}

/* ---- one app ---- */

static size_t add_slots(unsigned *slots, size_t count, const struct routed_app *app)
{
    for (size_t i = 0; app && i < app->slot_count; i++) {
        size_t at = 0;
        while (at < count && slots[at] != app->slots[i].number)
            at++;
        if (at == count)
            slots[count++] = app->slots[i].number;
    }
    return count;
}

/* From `old` to what the state has now. Fails half way: the next change or check compares
 * everything. */
static int sync_app(struct haproxy *h, const struct routed_app *old, struct routed_app *now,
                    struct err *err)
{
    size_t slot_max = (old ? old->slot_count : 0) + (now ? now->slot_count : 0);
    auto_free unsigned *slots = xcalloc(slot_max + 1, sizeof *slots);
    auto_pairs *has = NULL, *wants = NULL;

    pairs_add_app(&has, old);
    pairs_add_app(&wants, now);
    struct change change = { h->admin, h->map, &h->state, slots, 0, has, wants };
    change.slot_count = add_slots(slots, add_slots(slots, 0, now), old);
    if (change_run(&change, err)) {
        h->is_synced = false;
        return -1;
    }
    if (now)
        now->acknowledged = now->generation;
    return 0;
}

/* Takes `next`. On a full disk the state goes back to what it was, and nothing else has happened.
 */
static int change_app(struct haproxy *h, const char *app_id, struct routed_app *next,
                      struct err *err)
{
    struct err away = { 0 };
    bool is_away = ensure_synced(h, &away) != 0;
    unsigned slot_max = h->state.slot_max;

    if (next)
        state_assign_slots(&h->state, next);
    struct routed_app *old = state_replace(&h->state, app_id, next);
    if (files_write(&h->config, &h->state, err)) {
        routed_app_free(state_replace(&h->state, app_id, old));
        return -1;
    }
    int rc = is_away                        ? -1
             : h->state.slot_max > slot_max ? sync_all(h, err)
                                            : sync_app(h, old, next, err);
    if (is_away)
        *err = away;
    routed_app_free(old);
    return rc;
}

static int apply_locked(struct haproxy *h, const struct app_routes *want, struct err *err)
{
    struct err refused = { 0 };
    struct routed_app *next = state_build(&h->state, want, &refused);
    const struct routed_app *now = state_find(&h->state, want->app_id);

    if (routed_app_equals(next, now) && (!now || now->acknowledged == now->generation))
        routed_app_free(next);
    else if (change_app(h, want->app_id, next, err))
        return -1;
    if (refused.class == ERR_NONE)
        return 0;
    *err = refused;
    return -1;
}

static int haproxy_apply(void *self, const struct app_routes *want, struct err *err)
{
    struct haproxy *h = self;

    pthread_mutex_lock(&h->lock);
    int rc = apply_locked(h, want, err);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

static int64_t haproxy_acknowledged(void *self, const char *app_id)
{
    struct haproxy *h = self;

    pthread_mutex_lock(&h->lock);
    const struct routed_app *app = state_find(&h->state, app_id);
    int64_t generation = app ? app->acknowledged : 0;
    pthread_mutex_unlock(&h->lock);
    return generation;
}

static int haproxy_in_flight(void *self, const char *app_id, const char *instance, int64_t *count,
                             struct err *err)
{
    struct haproxy *h = self;
    long long sum = 0, part = 0;
    int rc = 0;

    pthread_mutex_lock(&h->lock);
    const struct routed_app *app = state_find(&h->state, app_id);
    for (size_t i = 0; rc == 0 && app && i < app->slot_count; i++) {
        rc = admin_sessions(h->admin, app->slots[i].number, instance, &part, err);
        sum += rc == 0 ? part : 0;
    }
    pthread_mutex_unlock(&h->lock);
    if (rc == 0)
        *count = sum;
    return rc;
}

static int check_locked(struct haproxy *h, struct err *err)
{
    auto_free unsigned *slots = xcalloc(h->state.slot_max, sizeof *slots);
    struct change change = { .admin = h->admin, .map = h->map, .state = &h->state, .slots = slots };

    if (ensure_synced(h, err))
        return -1;
    for (unsigned number = 1; number <= h->state.slot_max; number++)
        if (h->state.is_leftover[number])
            slots[change.slot_count++] = number;
    if (change_run(&change, err)) {
        h->is_synced = false;
        return -1;
    }
    return 0;
}

static int haproxy_check(void *self, struct err *err)
{
    struct haproxy *h = self;

    pthread_mutex_lock(&h->lock);
    int rc = check_locked(h, err);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

static void haproxy_close(void *self)
{
    struct haproxy *h = self;

    if (!h)
        return;
    state_done(&h->state);
    pthread_mutex_destroy(&h->lock);
    free(h->admin);
    free(h->master);
    free(h->map);
    free(h->mark);
    free(h);
}

static int open_state(const struct haproxy_config *config, struct state *state, struct err *err)
{
    auto_free char *path = NULL;

    if (files_check_config(config, err))
        return -1;
    path = fs_join(config->dir, "state.json");
    state_init(state, config->slots ? config->slots : 256);
    if (state_load(state, path, err) || files_write(config, state, err)) {
        state_done(state);
        return -1;
    }
    return 0;
}

int haproxy_router_new(const struct haproxy_config *config, struct router *router, struct err *err)
{
    struct err away = { 0 };
    struct state state;

    if (open_state(config, &state, err))
        return -1;
    struct haproxy *h = xcalloc(1, sizeof *h);
    h->config = *config;
    h->state = state;
    h->admin = fs_join(config->dir, "admin.sock");
    h->master = fs_join(config->dir, "master.sock");
    h->map = fs_join(config->dir, "routes.map");
    h->mark = secret_new("");
    pthread_mutex_init(&h->lock, NULL);
    if (check_locked(h, &away))
        log_info("router not reached yet", E(&away));
    *router = (struct router){ .apply = haproxy_apply,
                               .acknowledged = haproxy_acknowledged,
                               .in_flight = haproxy_in_flight,
                               .check = haproxy_check,
                               .close = haproxy_close,
                               .self = h };
    return 0;
}
