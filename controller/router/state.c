#include "controller/router/state.h"

#include <jansson.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/router/names.h"

enum { STATE_SIZE_MAX = 256 * 1024 * 1024, SLOT_LIMIT = 1 << 17 };

static void lay_out(struct state *state, unsigned slot_max)
{
    if (slot_max <= state->slot_max)
        return;
    state->slots = xreallocarray(state->slots, slot_max + 1, sizeof(struct slot *));
    state->is_leftover =
        xreallocarray(state->is_leftover, slot_max + 1, sizeof *state->is_leftover);
    for (unsigned i = state->slot_max ? state->slot_max + 1 : 0; i <= slot_max; i++) {
        state->slots[i] = NULL;
        state->is_leftover[i] = false;
    }
    state->slot_max = slot_max;
}

void state_init(struct state *state, unsigned slot_max)
{
    *state = (struct state){ 0 };
    lay_out(state, slot_max ? slot_max : 1);
}

void routed_app_free(struct routed_app *app)
{
    if (!app)
        return;
    for (size_t i = 0; i < app->slot_count; i++) {
        struct slot *slot = &app->slots[i];
        for (size_t j = 0; j < slot->server_count; j++) {
            free(slot->servers[j].name);
            free(slot->servers[j].address);
        }
        free(slot->servers);
        free(slot->process);
    }
    for (size_t i = 0; i < app->entry_count; i++) {
        free(app->entries[i].key);
        free(app->entries[i].process);
        free(app->entries[i].site);
    }
    free(app->slots);
    free(app->entries);
    free(app->id);
    free(app);
}

void state_done(struct state *state)
{
    struct routed_app *app, *next;

    HASH_CLEAR(hh, state->entries);
    HASH_ITER(hh, state->apps, app, next) {
        HASH_DEL(state->apps, app);
        routed_app_free(app);
    }
    free(state->slots);
    free(state->is_leftover);
    *state = (struct state){ 0 };
}

struct routed_app *state_find(const struct state *state, const char *app_id)
{
    struct routed_app *app;
    HASH_FIND_STR(state->apps, app_id, app);
    return app;
}

static struct slot *find_slot(const struct routed_app *app, const char *process)
{
    for (size_t i = 0; app && i < app->slot_count; i++)
        if (strcmp(app->slots[i].process, process) == 0)
            return &app->slots[i];
    return NULL;
}

char *entry_target(const struct entry *entry)
{
    if (entry->site)
        return xstrdup(entry->site);
    return xasprintf("s%u", find_slot(entry->app, entry->process)->number);
}

struct routed_app *state_replace(struct state *state, const char *app_id, struct routed_app *next)
{
    struct routed_app *old = state_find(state, app_id);

    if (old) {
        for (size_t i = 0; i < old->entry_count; i++)
            HASH_DEL(state->entries, &old->entries[i]);
        for (size_t i = 0; i < old->slot_count; i++) {
            state->slots[old->slots[i].number] = NULL;
            state->is_leftover[old->slots[i].number] = true; /* until it was seen empty */
        }
        HASH_DEL(state->apps, old);
    }
    if (next) {
        HASH_ADD_KEYPTR(hh, state->apps, next->id, strlen(next->id), next);
        for (size_t i = 0; i < next->slot_count; i++)
            state->slots[next->slots[i].number] = &next->slots[i];
        for (size_t i = 0; i < next->entry_count; i++) {
            struct entry *entry = &next->entries[i];
            HASH_ADD_KEYPTR(hh, state->entries, entry->key, strlen(entry->key), entry);
        }
    }
    return old;
}

void state_assign_slots(struct state *state, struct routed_app *app)
{
    unsigned number = 1;

    for (size_t i = 0; i < app->slot_count; i++) {
        if (app->slots[i].number)
            continue;
        while (number <= state->slot_max && (state->slots[number] || state->is_leftover[number]))
            number++;
        if (number > state->slot_max)
            lay_out(state, state->slot_max * 2);
        app->slots[i].number = number++;
    }
}

/* ---- from what is wanted ---- */

static struct slot *add_slot(struct routed_app *app, const struct routed_app *before,
                             const char *process)
{
    struct slot *slot = find_slot(app, process), *had = find_slot(before, process);

    if (slot)
        return slot;
    app->slots = xreallocarray(app->slots, app->slot_count + 1, sizeof *app->slots);
    slot = &app->slots[app->slot_count++];
    *slot = (struct slot){ .process = xstrdup(process), .number = had ? had->number : 0 };
    return slot;
}

static int build_server(struct routed_app *app, const struct routed_app *before,
                        const struct upstream *want, struct err *err)
{
    if (!name_is_plain(want->instance) || !name_is_plain(want->process))
        return err_set(err, ERR_INVALID, "the router does not take the instance name \"%.80s\"",
                       want->instance ? want->instance : "");
    if (!name_is_ipv4(want->address) || want->port == 0)
        return err_set(err, ERR_INVALID, "the router does not take %s:%u as the address of %s",
                       want->address ? want->address : "", want->port, want->instance);
    struct slot *slot = add_slot(app, before, want->process);
    for (size_t i = 0; i < slot->server_count; i++)
        if (strcmp(slot->servers[i].name, want->instance) == 0)
            return err_set(err, ERR_INVALID, "the instance %s is named twice", want->instance);
    slot->servers = xreallocarray(slot->servers, slot->server_count + 1, sizeof *slot->servers);
    slot->servers[slot->server_count++] = (struct server){ .name = xstrdup(want->instance),
                                                           .address = xstrdup(want->address),
                                                           .port = want->port,
                                                           .is_draining = want->draining };
    return 0;
}

static int check_owner(const struct state *state, const struct routed_app *app, const char *key,
                       struct err *err)
{
    struct entry *taken;

    HASH_FIND_STR(state->entries, key, taken);
    if (taken && strcmp(taken->app->id, app->id) != 0)
        return err_set(err, ERR_CONFLICT, "%s is still routed to the app %s", key, taken->app->id);
    for (size_t i = 0; i < app->entry_count; i++)
        if (strcmp(app->entries[i].key, key) == 0)
            return err_set(err, ERR_INVALID, "%s is routed twice", key);
    return 0;
}

/* Artifacts are "sha256:HEX"; the map and the folders of sites have the HEX alone. */
static const char *bare_digest(const char *site)
{
    return site && text_starts(site, "sha256:") ? site + 7 : site;
}

static int build_entry(const struct state *state, struct routed_app *app,
                       const struct routed_app *before, const struct app_route *want,
                       struct err *err)
{
    auto_free char *key = NULL;

    if (route_key(want->host, want->path, &key, err) || check_owner(state, app, key, err))
        return -1;
    if (want->process ? !name_is_plain(want->process) : !name_is_digest(bare_digest(want->site)))
        return err_set(err, ERR_INVALID, "the router does not take the target of %s", key);
    if (want->process)
        add_slot(app, before, want->process);
    app->entries = xreallocarray(app->entries, app->entry_count + 1, sizeof *app->entries);
    app->entries[app->entry_count++] = (struct entry){
        .key = take(&key),
        .process = want->process ? xstrdup(want->process) : NULL,
        .site = want->process
                    ? NULL
                    : xasprintf("sites.%s%s", bare_digest(want->site), want->spa ? ".spa" : ""),
        .app = app,
    };
    return 0;
}

struct routed_app *state_build(const struct state *state, const struct app_routes *want,
                               struct err *refused)
{
    const struct routed_app *before = state_find(state, want->app_id);
    struct routed_app *app = xcalloc(1, sizeof *app);
    struct err ignored = { 0 };

    app->id = xstrdup(want->app_id);
    app->generation = want->generation;
    app->acknowledged = before ? before->acknowledged : 0;
    for (size_t i = 0; i < want->upstream_count; i++)
        build_server(app, before, &want->upstreams[i], refused->class ? &ignored : refused);
    for (size_t i = 0; i < want->route_count; i++)
        build_entry(state, app, before, &want->routes[i], refused->class ? &ignored : refused);
    if (app->slot_count || app->entry_count)
        return app;
    routed_app_free(app);
    return NULL;
}

/* ---- as JSON ---- */

static json_t *slot_json(const struct slot *slot)
{
    json_t *servers = json_array();

    for (size_t i = 0; i < slot->server_count; i++)
        json_array_append_new(
            servers, json_pack("{s:s, s:s, s:i, s:b}", "name", slot->servers[i].name, "address",
                               slot->servers[i].address, "port", (int)slot->servers[i].port,
                               "draining", (int)slot->servers[i].is_draining));
    return json_pack("{s:s, s:i, s:o}", "process", slot->process, "number", (int)slot->number,
                     "servers", servers);
}

static json_t *app_json(const struct routed_app *app)
{
    json_t *slots = json_array(), *entries = json_array();

    for (size_t i = 0; i < app->slot_count; i++)
        json_array_append_new(slots, slot_json(&app->slots[i]));
    for (size_t i = 0; i < app->entry_count; i++)
        json_array_append_new(entries,
                              json_pack("{s:s, s:s*, s:s*}", "key", app->entries[i].key, "process",
                                        app->entries[i].process, "site", app->entries[i].site));
    return json_pack("{s:s, s:I, s:o, s:o}", "id", app->id, "generation",
                     (json_int_t)app->generation, "slots", slots, "entries", entries);
}

bool routed_app_equals(const struct routed_app *a, const struct routed_app *b)
{
    if (!a || !b)
        return a == b;
    json_auto_t *x = app_json(a), *y = app_json(b);
    return json_equal(x, y);
}

char *state_json(const struct state *state)
{
    json_t *apps = json_array();
    json_auto_t *whole =
        json_pack("{s:i, s:i, s:o}", "version", 1, "slots", (int)state->slot_max, "apps", apps);

    for (const struct routed_app *app = state->apps; app; app = app->hh.next)
        json_array_append_new(apps, app_json(app));
    char *text = json_dumps(whole, JSON_COMPACT);
    if (!text)
        abort(); /* every text in it is plain */
    return text;
}

static int load_server(struct slot *slot, json_t *value)
{
    const char *name, *address;
    int port, draining;

    if (json_unpack(value, "{s:s, s:s, s:i, s:b}", "name", &name, "address", &address, "port",
                    &port, "draining", &draining) ||
        !name_is_plain(name) || !name_is_ipv4(address) || port < 1 || port > UINT16_MAX)
        return -1;
    slot->servers[slot->server_count++] = (struct server){ .name = xstrdup(name),
                                                           .address = xstrdup(address),
                                                           .port = (uint16_t)port,
                                                           .is_draining = draining };
    return 0;
}

static int load_slot(const struct state *state, struct routed_app *app, json_t *value)
{
    const char *process;
    json_t *servers, *item;
    int number;
    size_t i;

    if (json_unpack(value, "{s:s, s:i, s:o}", "process", &process, "number", &number, "servers",
                    &servers) ||
        !name_is_plain(process) || number < 1 || (unsigned)number > state->slot_max ||
        state->slots[number])
        return -1;
    struct slot *slot = &app->slots[app->slot_count++];
    *slot = (struct slot){ .process = xstrdup(process), .number = (unsigned)number };
    slot->servers = xcalloc(json_array_size(servers), sizeof *slot->servers);
    json_array_foreach(servers, i, item)
        if (load_server(slot, item))
            return -1;
    return 0;
}

/* "host/path/" as route_key made it. */
static bool is_key(const char *key)
{
    const char *slash = strchr(key, '/');
    auto_free char *host = slash ? xstrndup(key, (size_t)(slash - key)) : NULL;
    auto_free char *again = NULL;
    struct err ignored = { 0 };

    return slash && route_key(host, slash, &again, &ignored) == 0 && strcmp(again, key) == 0;
}

static bool is_site_target(const char *site)
{
    auto_free char *digest = text_starts(site, "sites.") ? xstrndup(site + 6, 64) : NULL;
    return name_is_digest(digest) && (site[70] == '\0' || strcmp(site + 70, ".spa") == 0);
}

static int load_entry(const struct state *state, struct routed_app *app, json_t *value)
{
    const char *key, *process = NULL, *site = NULL;
    struct entry *taken;

    if (json_unpack(value, "{s:s, s?s, s?s}", "key", &key, "process", &process, "site", &site) ||
        !is_key(key) || (process ? !find_slot(app, process) : !site || !is_site_target(site)))
        return -1;
    HASH_FIND_STR(state->entries, key, taken);
    if (taken)
        return -1;
    app->entries[app->entry_count++] = (struct entry){ .key = xstrdup(key),
                                                       .process = process ? xstrdup(process) : NULL,
                                                       .site = process ? NULL : xstrdup(site),
                                                       .app = app };
    return 0;
}

static int load_app(struct state *state, json_t *value)
{
    json_t *slots, *entries, *item;
    json_int_t generation;
    const char *id;
    size_t i;

    if (json_unpack(value, "{s:s, s:I, s:o, s:o}", "id", &id, "generation", &generation, "slots",
                    &slots, "entries", &entries) ||
        state_find(state, id))
        return -1;
    struct routed_app *app = xcalloc(1, sizeof *app);
    app->id = xstrdup(id);
    app->generation = generation;
    app->slots = xcalloc(json_array_size(slots), sizeof *app->slots);
    app->entries = xcalloc(json_array_size(entries), sizeof *app->entries);
    int rc = 0;
    json_array_foreach(slots, i, item)
        rc = rc ? rc : load_slot(state, app, item);
    json_array_foreach(entries, i, item)
        rc = rc ? rc : load_entry(state, app, item);
    if (rc)
        routed_app_free(app);
    else
        state_replace(state, id, app);
    return rc;
}

int state_load(struct state *state, const char *path, struct err *err)
{
    auto_free char *text = NULL;
    struct err why = { 0 };
    json_t *apps, *item;
    int version, slots;
    size_t len, i;

    if (!fs_exists(path))
        return 0;
    if (fs_read(path, STATE_SIZE_MAX, &text, &len, &why)) {
        *err = why;
        return -1;
    }
    json_auto_t *whole = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_unpack(whole, "{s:i, s:i, s:o}", "version", &version, "slots", &slots, "apps",
                    &apps) ||
        version != 1 || slots < 1 || slots > SLOT_LIMIT)
        return err_set(err, ERR_INTERNAL, "%s is not a router state of version 1", path);
    lay_out(state, (unsigned)slots);
    json_array_foreach(apps, i, item)
        if (load_app(state, item))
            return err_set(err, ERR_INTERNAL, "%s: its app number %zu cannot be understood", path,
                           i);
    return 0;
}
