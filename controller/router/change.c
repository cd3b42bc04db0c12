#include "controller/router/change.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/router/admin.h"
#include "controller/router/names.h"

void pairs_free(struct pair **pairs)
{
    struct pair *pair, *next;

    HASH_ITER(hh, *pairs, pair, next) {
        HASH_DEL(*pairs, pair);
        free(pair->key);
        free(pair->target);
        free(pair);
    }
}

void pairs_add(struct pair **pairs, const char *key, const char *target)
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

void pairs_add_app(struct pair **pairs, const struct routed_app *app)
{
    for (size_t i = 0; app && i < app->entry_count; i++) {
        auto_free char *target = entry_target(&app->entries[i]);
        pairs_add(pairs, app->entries[i].key, target);
    }
}

/* Lines "0x55… KEY TARGET". */
int pairs_read(const char *admin, const char *map, struct pair **pairs, struct err *err)
{
    auto_free char *command = xasprintf("show map %s", map);
    auto_free char *answer = NULL;

    if (admin_ask(admin, command, &answer, err))
        return -1;
    for (char *rest = answer, *line; (line = strsep(&rest, "\n"));) {
        const char *ref = strsep(&line, " "), *key = strsep(&line, " "), *target = line;
        if (!target && *ref)
            return err_set(err, ERR_UNAVAILABLE, "HAProxy answers \"%.80s\" to \"%s\"", ref,
                           command);
        if (target && !strpbrk(key, ";\\<\"'")) /* not ours, and not to be said in a command */
            pairs_add(pairs, key, target);
    }
    return 0;
}

static int change_entry(const struct change *c, const struct pair *has, const struct pair *wants,
                        struct err *err)
{
    if (!has)
        return admin_run(c->admin, "", err, "add map %s %s %s", c->map, wants->key, wants->target);
    if (!wants)
        return admin_run(c->admin, "", err, "del map %s %s", c->map, has->key);
    if (strcmp(has->target, wants->target) == 0)
        return 0;
    if (*has->target)
        return admin_run(c->admin, "", err, "set map %s %s %s", c->map, wants->key, wants->target);
    return admin_run(c->admin, "", err, "del map %s %s", c->map, has->key) ||
                   admin_run(c->admin, "", err, "add map %s %s %s", c->map, wants->key,
                             wants->target)
               ? -1
               : 0;
}

static int change_map(const struct change *c, struct pair *has, struct pair *wants, struct err *err)
{
    struct pair *found;

    for (struct pair *want = wants; want; want = want->hh.next) {
        HASH_FIND_STR(has, want->key, found);
        if (change_entry(c, found, want, err))
            return -1;
    }
    for (struct pair *old = has; old; old = old->hh.next) {
        HASH_FIND_STR(wants, old->key, found);
        if (!found && change_entry(c, old, NULL, err))
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
static int ready_server(const struct change *c, unsigned slot, const struct server *want,
                        const struct seen_server *has, struct err *err)
{
    if (!has)
        return admin_run(c->admin, "New server registered.", err, "add server s%u/%s %s:%u", slot,
                         want->name, want->address, want->port) ||
                       admin_run(c->admin, "", err, "enable server s%u/%s", slot, want->name)
                   ? -1
                   : 0;
    if (strcmp(has->address, want->address) != 0 || has->port != want->port) {
        auto_free char *answer = NULL;
        auto_free char *command = xasprintf("set server s%u/%s addr %s port %u", slot, want->name,
                                            want->address, want->port);
        if (admin_ask(c->admin, command, &answer, err))
            return -1;
        if (!strstr(answer, "changed from")) /* "IP changed from…", "port changed from…" */
            return err_set(err, ERR_UNAVAILABLE, "HAProxy answers \"%.80s\" to \"%s\"", answer,
                           command);
    }
    return has->is_ready
               ? 0
               : admin_run(c->admin, "", err, "set server s%u/%s state ready", slot, want->name);
}

static int ready_slot(const struct change *c, unsigned number, const struct seen_servers *seen,
                      struct err *err)
{
    const struct slot *slot = c->state->slots[number];

    for (size_t i = 0; slot && i < slot->server_count; i++) {
        const struct server *want = &slot->servers[i];
        if (!want->is_draining &&
            ready_server(c, number, want, find_seen(seen, number, want->name), err))
            return -1;
    }
    return 0;
}

/* `del server` is refused as long as there are connections, which is no error: `leftover`. */
static int remove_server(const struct change *c, const struct seen_server *has, bool *leftover,
                         struct err *err)
{
    auto_free char *command = xasprintf("del server s%u/%s", has->slot, has->name);
    auto_free char *answer = NULL;

    if (admin_run(c->admin, "", err, "set server s%u/%s state maint", has->slot, has->name) ||
        admin_ask(c->admin, command, &answer, err))
        return -1;
    *leftover |= !text_starts(answer, "Server deleted.");
    return 0;
}

static int retire_slot(const struct change *c, unsigned number, const struct seen_servers *seen,
                       struct err *err)
{
    const struct slot *slot = c->state->slots[number];
    bool leftover = false;

    for (size_t i = 0; i < seen->count; i++) {
        const struct seen_server *has = &seen->items[i];
        const struct server *want = find_wanted(slot, has->name);
        if (has->slot != number || !name_is_plain(has->name))
            continue;
        if (!want && remove_server(c, has, &leftover, err))
            return -1;
        if (want && want->is_draining && !has->is_draining &&
            admin_run(c->admin, "", err, "set server s%u/%s state drain", number, has->name))
            return -1;
    }
    c->state->is_leftover[number] = leftover;
    return 0;
}

int change_run(const struct change *c, struct err *err)
{
    struct seen_servers *seen = xcalloc(c->slot_count, sizeof *seen);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->slot_count; i++)
        rc = admin_servers(c->admin, c->slots[i], &seen[i], err) ||
                     ready_slot(c, c->slots[i], &seen[i], err)
                 ? -1
                 : 0;
    if (rc == 0)
        rc = change_map(c, c->has, c->wants, err);
    for (size_t i = 0; rc == 0 && i < c->slot_count; i++)
        rc = retire_slot(c, c->slots[i], &seen[i], err);
    for (size_t i = 0; i < c->slot_count; i++)
        seen_servers_done(&seen[i]);
    free(seen);
    return rc;
}
