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
#include "base/text.h"
#include "base/work.h"
#include "controller/router/admin.h"
#include "controller/router/files.h"
#include "controller/router/names.h"
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

/* Entries of the running map, or wanted ones. */
struct pair {
    char *key, *target;
    UT_hash_handle hh;
};

static void pairs_free(struct pair **pairs)
{
    struct pair *pair, *next;

    HASH_ITER(hh, *pairs, pair, next) {
        HASH_DEL(*pairs, pair);
        free(pair->key);
        free(pair->target);
        free(pair);
    }
}
#define auto_pairs __attribute__((__cleanup__(pairs_free))) struct pair

/* A second value for a key makes its target one that is wanted by nobody. */
static void add_pair(struct pair **pairs, const char *key, const char *target)
{
    struct pair *pair;

    HASH_FIND_STR(*pairs, key, pair);
    if (pair) {
        pair->target[0] = '\0';
        return;
    }
    pair = xcalloc(1, sizeof *pair);
    pair->key = xstrdup(key);
    pair->target = xstrdup(target);
    HASH_ADD_KEYPTR(hh, *pairs, pair->key, strlen(pair->key), pair);
}

static void add_app_pairs(struct pair **pairs, const struct routed_app *app)
{
    for (size_t i = 0; app && i < app->entry_count; i++) {
        auto_free char *target = entry_target(&app->entries[i]);
        add_pair(pairs, app->entries[i].key, target);
    }
}

/* Lines "0x55… KEY TARGET". */
static int read_map(struct haproxy *h, struct pair **pairs, struct err *err)
{
    auto_free char *command = xasprintf("show map %s", h->map);
    auto_free char *answer = NULL;

    if (admin_ask(h->admin, command, &answer, err))
        return -1;
    for (char *rest = answer, *line; (line = strsep(&rest, "\n"));) {
        const char *ref = strsep(&line, " "), *key = strsep(&line, " "), *target = line;
        if (!target && *ref)
            return err_set(err, ERR_UNAVAILABLE, "HAProxy answers \"%.80s\" to \"%s\"", ref,
                           command);
        if (target)
            add_pair(pairs, key, target);
    }
    return 0;
}

static int change_entry(struct haproxy *h, const struct pair *has, const struct pair *wants,
                        struct err *err)
{
    if (!has)
        return admin_run(h->admin, "", err, "add map %s %s %s", h->map, wants->key, wants->target);
    if (!wants)
        return admin_run(h->admin, "", err, "del map %s %s", h->map, has->key);
    if (strcmp(has->target, wants->target) == 0)
        return 0;
    if (*has->target)
        return admin_run(h->admin, "", err, "set map %s %s %s", h->map, wants->key, wants->target);
    return admin_run(h->admin, "", err, "del map %s %s", h->map, has->key) ||
                   admin_run(h->admin, "", err, "add map %s %s %s", h->map, wants->key,
                             wants->target)
               ? -1
               : 0;
}

static int change_map(struct haproxy *h, struct pair *has, struct pair *wants, struct err *err)
{
    struct pair *found;

    for (struct pair *want = wants; want; want = want->hh.next) {
        HASH_FIND_STR(has, want->key, found);
        if (change_entry(h, found, want, err))
            return -1;
    }
    for (struct pair *old = has; old; old = old->hh.next) {
        HASH_FIND_STR(wants, old->key, found);
        if (!found && change_entry(h, old, NULL, err))
            return -1;
    }
    return 0;
}

static const struct seen_server *find_seen(const struct seen_servers *seen, unsigned slot,
                                           const char *name)
{
    for (size_t i = 0; i < seen->count; i++)
        if (seen->items[i].slot == slot && strcmp(seen->items[i].name, name) == 0)
            return &seen->items[i];
    return NULL;
}

static const struct server *find_wanted(const struct slot *slot, const char *name)
{
    for (size_t i = 0; slot && i < slot->server_count; i++)
        if (strcmp(slot->servers[i].name, name) == 0)
            return &slot->servers[i];
    return NULL;
}

/* Makes one wanted server take requests. One of that name may be there with the address of an
 * earlier life. */
static int ready_server(struct haproxy *h, unsigned slot, const struct server *want,
                        const struct seen_server *has, struct err *err)
{
    if (!has)
        return admin_run(h->admin, "New server registered.", err, "add server s%u/%s %s:%u", slot,
                         want->name, want->address, want->port) ||
                       admin_run(h->admin, "", err, "enable server s%u/%s", slot, want->name)
                   ? -1
                   : 0;
    if (strcmp(has->address, want->address) != 0 || has->port != want->port) {
        auto_free char *answer = NULL;
        auto_free char *command = xasprintf("set server s%u/%s addr %s port %u", slot, want->name,
                                            want->address, want->port);
        if (admin_ask(h->admin, command, &answer, err))
            return -1;
        if (!strstr(answer, "changed from")) /* "IP changed from…", "port changed from…" */
            return err_set(err, ERR_UNAVAILABLE, "HAProxy answers \"%.80s\" to \"%s\"", answer,
                           command);
    }
    return has->is_ready
               ? 0
               : admin_run(h->admin, "", err, "set server s%u/%s state ready", slot, want->name);
}

static int ready_slot(struct haproxy *h, unsigned number, const struct seen_servers *seen,
                      struct err *err)
{
    const struct slot *slot = h->state.slots[number];

    for (size_t i = 0; slot && i < slot->server_count; i++) {
        const struct server *want = &slot->servers[i];
        if (!want->is_draining &&
            ready_server(h, number, want, find_seen(seen, number, want->name), err))
            return -1;
    }
    return 0;
}

/* `del server` is refused as long as there are connections, which is no error: `leftover`. */
static int remove_server(struct haproxy *h, const struct seen_server *has, bool *leftover,
                         struct err *err)
{
    auto_free char *command = xasprintf("del server s%u/%s", has->slot, has->name);
    auto_free char *answer = NULL;

    if (admin_run(h->admin, "", err, "set server s%u/%s state maint", has->slot, has->name) ||
        admin_ask(h->admin, command, &answer, err))
        return -1;
    *leftover |= !text_starts(answer, "Server deleted.");
    return 0;
}

static int retire_slot(struct haproxy *h, unsigned number, const struct seen_servers *seen,
                       struct err *err)
{
    const struct slot *slot = h->state.slots[number];
    bool leftover = false;

    for (size_t i = 0; i < seen->count; i++) {
        const struct seen_server *has = &seen->items[i];
        const struct server *want = find_wanted(slot, has->name);
        if (has->slot != number || !name_is_plain(has->name))
            continue;
        if (!want && remove_server(h, has, &leftover, err))
            return -1;
        if (want && want->is_draining && !has->is_draining &&
            admin_run(h->admin, "", err, "set server s%u/%s state drain", number, has->name))
            return -1;
    }
    h->state.is_leftover[number] = leftover;
    return 0;
}

/* Brings the slots of one change to the state. */
struct change {
    const unsigned *slots;
    size_t slot_count;
    struct pair *has, *wants;
};

static int run_change(struct haproxy *h, const struct change *change, struct err *err)
{
    struct seen_servers *seen = xcalloc(change->slot_count, sizeof *seen);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < change->slot_count; i++)
        rc = admin_servers(h->admin, change->slots[i], &seen[i], err) ||
                     ready_slot(h, change->slots[i], &seen[i], err)
                 ? -1
                 : 0;
    if (rc == 0)
        rc = change_map(h, change->has, change->wants, err);
    for (size_t i = 0; rc == 0 && i < change->slot_count; i++)
        rc = retire_slot(h, change->slots[i], &seen[i], err);
    for (size_t i = 0; i < change->slot_count; i++)
        seen_servers_done(&seen[i]);
    free(seen);
    return rc;
}

/* ---- the running HAProxy, whole ---------------------------------------------------------------
 */

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
    if (ensure_layout(h, err) || admin_servers(h->admin, 0, &seen, err) || read_map(h, &has, err))
        return -1;
    for (struct routed_app *app = h->state.apps; app; app = app->hh.next)
        add_app_pairs(&wants, app);
    add_pair(&wants, mark_key, h->mark);
    struct change change = { slots, list_slots(h, &seen, slots), has, wants };
    if (run_change(h, &change, err))
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

/* ---- one app -----------------------------------------------------------------------------------
 */

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

    add_app_pairs(&has, old);
    add_app_pairs(&wants, now);
    struct change change = { slots, add_slots(slots, add_slots(slots, 0, now), old), has, wants };
    if (run_change(h, &change, err)) {
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
    struct change change = { .slots = slots };

    if (ensure_synced(h, err))
        return -1;
    for (unsigned number = 1; number <= h->state.slot_max; number++)
        if (h->state.is_leftover[number])
            slots[change.slot_count++] = number;
    if (run_change(h, &change, err)) {
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

int haproxy_write_files(const struct haproxy_config *config, struct err *err)
{
    struct state state;

    if (open_state(config, &state, err))
        return -1;
    state_done(&state);
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
