#include "gateway/routes.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define P "/projects/{project}"
#define A P "/apps/{app}"

/* Sorted by pattern, then method. */
static const struct route routes[] = {
    { "GET", "/agents", "agents.list", 200, 0, NULL },
    { "POST", "/agents", "agents.create", 201, 0, NULL },
    { "DELETE", "/agents/{kind}/{name}", "agents.delete", 204, 0, NULL },
    { "GET", "/builds/{build}", "builds.get", 200, 0, NULL },
    { "POST", "/builds/{build}/cancel", "builds.cancel", 202, 0, NULL },
    { "GET", "/builds/{build}/log", "builds.log", 200, ROUTE_EVENTS, "offset" },
    { "POST", "/hooks/{repository}", "hooks.receive", 202, ROUTE_OPEN | ROUTE_HOOK, NULL },
    { "GET", "/projects", "projects.list", 200, 0, NULL },
    { "POST", "/projects", "projects.create", 201, 0, NULL },
    { "DELETE", P, "projects.delete", 204, 0, NULL },
    { "GET", P, "projects.get", 200, 0, NULL },
    { "GET", P "/apps", "apps.list", 200, 0, NULL },
    { "POST", P "/apps", "apps.create", 201, 0, NULL },
    { "DELETE", A, "apps.delete", 202, 0, NULL },
    { "GET", A, "apps.get", 200, 0, NULL },
    { "PATCH", A, "apps.update", 200, 0, NULL },
    { "GET", A "/builds", "builds.list", 200, 0, NULL },
    { "POST", A "/deploy", "apps.deploy", 202, 0, NULL },
    { "GET", A "/env", "env.list", 200, 0, NULL },
    { "PATCH", A "/env", "env.set", 200, 0, NULL },
    { "GET", A "/events", "events.follow", 200, ROUTE_EVENTS | ROUTE_IF_ASKED, "seq" },
    { "GET", A "/events", "events.list", 200, 0, NULL },
    { "GET", A "/explain", "apps.explain", 200, 0, NULL },
    { "GET", A "/follow", "apps.follow", 200, ROUTE_EVENTS, "seq" },
    { "DELETE", A "/hold", "apps.resume", 200, 0, NULL },
    { "PUT", A "/hold", "apps.hold", 200, 0, NULL },
    { "GET", A "/instances", "instances.list", 200, 0, NULL },
    { "GET", A "/logs", "apps.logs", 200, ROUTE_EVENTS, NULL },
    { "GET", A "/releases", "releases.list", 200, 0, NULL },
    { "GET", A "/releases/{release}", "releases.get", 200, 0, NULL },
    { "POST", A "/restart", "apps.restart", 202, 0, NULL },
    { "POST", A "/rollback", "apps.rollback", 202, 0, NULL },
    { "GET", A "/rollouts", "rollouts.list", 200, 0, NULL },
    { "GET", P "/builds", "builds.list", 200, 0, NULL },
    { "GET", P "/events", "events.follow", 200, ROUTE_EVENTS | ROUTE_IF_ASKED, "seq" },
    { "GET", P "/events", "events.list", 200, 0, NULL },
    { "GET", P "/repositories", "repositories.list", 200, 0, NULL },
    { "POST", P "/repositories", "repositories.create", 201, 0, NULL },
    { "DELETE", P "/repositories/{repository}", "repositories.delete", 204, 0, NULL },
    { "GET", P "/repositories/{repository}", "repositories.get", 200, 0, NULL },
    { "POST", P "/repositories/{repository}/refresh", "repositories.refresh", 202, 0, NULL },
    { "GET", "/system", "system.info", 200, ROUTE_OPEN, NULL },
    { "GET", "/system/status", "system.status", 200, 0, NULL },
    { "GET", "/tokens", "tokens.list", 200, 0, NULL },
    { "POST", "/tokens", "tokens.create", 201, 0, NULL },
    { "DELETE", "/tokens/{id}", "tokens.delete", 204, 0, NULL },
};

#undef A
#undef P

/* One piece of the path into the member {name}; false when it can be none. */
static bool add_member(json_t *members, const char *name, size_t name_len, const char *piece,
                       size_t piece_len)
{
    auto_free char *key = xstrndup(name, name_len);
    auto_free char *value = text_url_unescape(piece, piece_len);

    return value && *value && !json_object_set_new(members, key, json_string(value));
}

static bool match(const char *pattern, const char *path, json_t *members)
{
    while (*pattern == '/' && *path == '/') {
        size_t want = strcspn(++pattern, "/"), have = strcspn(++path, "/");
        if (*pattern == '{') {
            if (!add_member(members, pattern + 1, want - 2, path, have))
                return false;
        } else if (want != have || memcmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return !*pattern && !*path;
}

static bool allows(const struct route *route, const char *method)
{
    bool is_events = route->flags & ROUTE_EVENTS;

    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0 && !is_events);
}

static void add_allowed(char **allow, const struct route *route)
{
    auto_free char *before = take(allow);

    if (route->flags & ROUTE_IF_ASKED) /* its twin is listed */
        *allow = take(&before);
    else
        *allow = before ? xasprintf("%s, %s", before, route->method) : xstrdup(route->method);
}

enum route_found route_find(const char *method, const char *path, bool wants_events,
                            const struct route **route, json_t **members, char **allow)
{
    auto_free char *allowed = NULL;

    *allow = NULL;
    *members = NULL;
    if (!text_starts(path, "/api/v1/"))
        return ROUTE_NO_PATH;
    path += strlen("/api/v1");
    for (size_t i = 0; i < countof(routes); i++) {
        json_auto_t *found = json_object();
        if (!match(routes[i].pattern, path, found))
            continue;
        add_allowed(&allowed, &routes[i]);
        if (!allows(&routes[i], method) || ((routes[i].flags & ROUTE_IF_ASKED) && !wants_events))
            continue;
        *route = &routes[i];
        *members = json_incref(found);
        return ROUTE_FOUND;
    }
    if (!allowed)
        return ROUTE_NO_PATH;
    *allow = take(&allowed);
    return ROUTE_NO_METHOD;
}
