/* Sparse → full, in this order: nulls go, the whole is checked once more (a stored document may be
 * of an older program), what was written is checked against the method, then defaults from the
 * table are filled in, then what depends on the rest: processes, routes. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "model/member.h"
#include "model/spec.h"

enum { WEB_PORT = 8080 };

/* Where most steps below work. */
struct completion {
    json_t *full;
    json_t *build;
    bool is_auto, is_site;
    const char *host; /* or NULL */
};

static const char *text_of(const json_t *object, const char *key, const char *fallback)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : fallback;
}

json_t *spec_merge(const json_t *under, const json_t *over)
{
    const char *key;
    json_t *item;

    if (!over)
        return json_is_object(under) ? json_deep_copy(under) : json_object();
    if (!json_is_object(over))
        return json_deep_copy(over);
    json_t *merged = json_is_object(under) ? json_deep_copy(under) : json_object();
    json_object_foreach((json_t *)(uintptr_t)over, key, item) {
        if (json_is_null(item))
            json_object_del(merged, key);
        else
            json_object_set_new(merged, key, spec_merge(json_object_get(merged, key), item));
    }
    return merged;
}

/* ---- what was written fits the method ---- */

enum { AUTO = 1, COMMAND = 2, DOCKERFILE = 4, IMAGE = 8, STATIC = 16 };

static const struct {
    const char *method;
    unsigned bit;
} method_bits[] = {
    { "auto", AUTO },   { "command", COMMAND }, { "dockerfile", DOCKERFILE },
    { "image", IMAGE }, { "static", STATIC },
};

static const struct {
    const char *member;
    unsigned methods; /* that use it; auto may become any of those that need nothing written */
    const char *usable;
} uses[] = {
    { "base", COMMAND | IMAGE, "method command or image" },
    { "run", COMMAND, "method command" },
    { "dockerfile", AUTO | DOCKERFILE, "method dockerfile" },
    { "args", AUTO | COMMAND | DOCKERFILE, "method command or dockerfile" },
    { "context", AUTO | COMMAND | DOCKERFILE | STATIC, "methods that build from the repository" },
};

static const struct {
    const char *member;
    unsigned methods; /* that need it */
    bool site_only;   /* only with output site */
    const char *hint;
} needs[] = {
    { "base", COMMAND, false, "name the image to build on, like base: debian:12-slim" },
    { "base", IMAGE, false, "name the image to run, like base: registry.example.org/shop:1.4" },
    { "run", COMMAND, true, "write the script that makes the site" },
    { "site", COMMAND | DOCKERFILE, true, "name the folder of the built site, like site: dist" },
};

static unsigned method_bit(const char *method)
{
    for (size_t i = 0; i < countof(method_bits); i++)
        if (strcmp(method_bits[i].method, method) == 0)
            return method_bits[i].bit;
    return 0;
}

static int check_uses(const json_t *build, const char *method, struct err *err)
{
    for (size_t i = 0; i < countof(uses); i++) {
        auto_free char *field = xasprintf("build.%s", uses[i].member);
        if (json_object_get(build, uses[i].member) && !(uses[i].methods & method_bit(method))) {
            err_field(err, field, NULL, "`%s` is for %s, and build.method is %s", field,
                      uses[i].usable, method);
            return err_hint(err, "%s",
                            method_bit(method) == AUTO ? "write build.method as well"
                                                       : "remove it, or change the method");
        }
    }
    return 0;
}

static int check_needs(const json_t *build, const char *method, bool is_site, struct err *err)
{
    for (size_t i = 0; i < countof(needs); i++) {
        auto_free char *field = xasprintf("build.%s", needs[i].member);
        if ((needs[i].methods & method_bit(method)) && (is_site || !needs[i].site_only) &&
            !json_object_get(build, needs[i].member))
            return err_field(err, field, needs[i].hint, "`%s` is needed by method %s%s", field,
                             method, needs[i].site_only ? " with output site" : "");
    }
    return 0;
}

static int check_site_members(const json_t *build, struct err *err)
{
    if (json_object_get(build, "site"))
        return err_field(err, "build.site", "write build.output: site",
                         "`build.site` is for output site, and the output is image");
    if (json_is_true(json_object_get(build, "spa")))
        return err_field(err, "build.spa", "write build.output: site",
                         "`build.spa` is for output site, and the output is image");
    return 0;
}

static int check_build(struct completion *to, struct err *err)
{
    const char *method = text_of(to->build, "method", "auto");
    bool is_static = strcmp(method, "static") == 0;
    const char *output = text_of(to->build, "output", is_static ? "site" : "image");

    to->is_auto = method_bit(method) == AUTO;
    to->is_site = strcmp(output, "site") == 0;
    if (is_static && !to->is_site)
        return err_field(err, "build.output", "remove build.output",
                         "`build.output` is always site with method static");
    if (method_bit(method) == IMAGE && to->is_site)
        return err_field(err, "build.output", "remove build.output",
                         "`build.output` is always image with method image");
    if (check_uses(to->build, method, err) || check_needs(to->build, method, to->is_site, err))
        return -1;
    /* auto may still become a site */
    return to->is_site || to->is_auto ? 0 : check_site_members(to->build, err);
}

/* ---- defaults ---- */

static void fill_defaults(json_t *object, const struct member *members);

static void fill_value(json_t *value, const struct member *member)
{
    const char *key;
    json_t *item;
    size_t i;

    if (member->type == MEMBER_OBJECT)
        fill_defaults(value, member->members);
    if (member->type == MEMBER_MAP)
        json_object_foreach(value, key, item)
            fill_value(item, member->item);
    if (member->type == MEMBER_LIST)
        json_array_foreach(value, i, item)
            fill_value(item, member->item);
}

static void fill_defaults(json_t *object, const struct member *members)
{
    for (; members->name; members++) {
        json_t *value = json_object_get(object, members->name);
        bool is_map = members->type == MEMBER_OBJECT || members->type == MEMBER_MAP;
        json_t *fallback = value ? NULL : is_map ? json_object() : member_fallback(members);
        if (fallback)
            json_object_set_new(object, members->name, fallback);
        if (value || fallback)
            fill_value(value ? value : fallback, members);
    }
}

static void complete_build(struct completion *to)
{
    const char *method = text_of(to->build, "method", "auto");

    if (!to->is_auto && !json_object_get(to->build, "output"))
        json_object_set_new(to->build, "output", json_string(to->is_site ? "site" : "image"));
    if (method_bit(method) == STATIC && !json_object_get(to->build, "site"))
        json_object_set_new(to->build, "site", json_string("."));
    if (!json_object_get(to->build, "watch"))
        json_object_set_new(to->build, "watch", json_array());
}

/* A member that the method does not use has no default either, so that a full document is a valid
 * sparse one. */
static void remove_unused(const struct completion *to)
{
    unsigned method = method_bit(text_of(to->build, "method", "auto"));

    for (size_t i = 0; i < countof(uses); i++)
        if (!(uses[i].methods & method))
            json_object_del(to->build, uses[i].member);
}

/* ---- processes ---- */

static int complete_processes(const struct completion *to, struct err *err)
{
    json_t *processes = json_object_get(to->full, "processes");

    if (to->is_site) {
        if (json_object_size(processes) == 0)
            return 0;
        return err_field(err, "processes", "remove processes, or write build.output: image",
                         "`processes` are for output image, and this app is a site");
    }
    if (!processes) {
        processes = json_object();
        json_object_set_new(to->full, "processes", processes);
    }
    if (json_object_size(processes) == 0)
        json_object_set_new(processes, "web", json_object());
    json_t *web = json_object_get(processes, "web");
    if (web && !json_object_get(web, "port"))
        json_object_set_new(web, "port", json_integer(WEB_PORT));
    return 0;
}

static int check_processes(const struct completion *to, struct err *err)
{
    const char *name;
    json_t *process;

    json_object_foreach(json_object_get(to->full, "processes"), name, process) {
        auto_free char *field = xasprintf("processes.%s.check.path", name);
        if (json_object_get(json_object_get(process, "check"), "path") &&
            !json_object_get(process, "port"))
            return err_field(err, field, "give the process a port, or remove the path",
                             "`%s` needs a port to ask", field);
    }
    return 0;
}

/* ---- routes ---- */

static void add_default_route(const struct completion *to, json_t *routes)
{
    json_t *web = json_object_get(json_object_get(to->full, "processes"), "web");

    if (to->host && (to->is_site || web))
        json_array_append_new(routes, json_object());
}

static int complete_route(const struct completion *to, json_t *route, size_t i, struct err *err)
{
    auto_free char *host = xasprintf("routes[%zu].host", i);

    if (!json_object_get(route, "host")) {
        if (!to->host)
            return err_field(err, host, "write the host",
                             "`%s` is missing, and the app has no host of its own", host);
        json_object_set_new(route, "host", json_string(to->host));
    }
    if (!to->is_site && !json_object_get(route, "process"))
        json_object_set_new(route, "process", json_string("web"));
    return 0;
}

static int check_route_process(const struct completion *to, const json_t *route, size_t i,
                               struct err *err)
{
    auto_free char *field = xasprintf("routes[%zu].process", i);
    const char *name = text_of(route, "process", NULL);
    const json_t *processes = json_object_get(to->full, "processes");
    const json_t *process = name ? json_object_get(processes, name) : NULL;

    if (to->is_site)
        return name ? err_field(err, field, "remove it",
                                "`%s` is %s, but this app is a site and has no processes", field,
                                name)
                    : 0;
    if (!process)
        return err_field(err, field, "name one of processes",
                         "`%s` is %s, and there is no such process", field, name);
    if (!json_object_get(process, "port"))
        return err_field(err, field, "give the process a port",
                         "`%s` is %s, and that process has no port", field, name);
    return 0;
}

static bool is_same_route(const json_t *a, const json_t *b)
{
    return json_equal(json_object_get(a, "host"), json_object_get(b, "host")) &&
           json_equal(json_object_get(a, "path"), json_object_get(b, "path"));
}

static int check_route_twin(const json_t *routes, const json_t *route, size_t i, struct err *err)
{
    auto_free char *field = xasprintf("routes[%zu]", i);

    for (size_t j = 0; j < i; j++)
        if (is_same_route(json_array_get(routes, j), route))
            return err_field(err, field, "remove one of them",
                             "`%s` is the same as routes[%zu]: %s%s", field, j,
                             text_of(route, "host", ""), text_of(route, "path", ""));
    return 0;
}

static int complete_routes(const struct completion *to, struct err *err)
{
    json_t *routes = json_object_get(to->full, "routes"), *route;
    size_t i;

    if (!routes) {
        routes = json_array();
        json_object_set_new(to->full, "routes", routes);
        add_default_route(to, routes);
    }
    json_array_foreach(routes, i, route) {
        if (complete_route(to, route, i, err))
            return -1;
    }
    return 0;
}

static int check_routes(const struct completion *to, struct err *err)
{
    const json_t *routes = json_object_get(to->full, "routes");
    json_t *route;
    size_t i;

    json_array_foreach(routes, i, route) {
        if (check_route_process(to, route, i, err) || check_route_twin(routes, route, i, err))
            return -1;
    }
    return 0;
}

static int complete(struct completion *to, struct err *err)
{
    if (check_build(to, err))
        return -1;
    complete_build(to);
    if (complete_processes(to, err) || complete_routes(to, err))
        return -1;
    fill_defaults(to->full, spec_root.members);
    remove_unused(to);
    return check_processes(to, err) || check_routes(to, err) ? -1 : 0;
}

int spec_complete(const json_t *sparse, const char *name, const char *host, json_t **full,
                  struct err *err)
{
    json_auto_t *written = spec_merge(NULL, sparse), *document = NULL;

    if (spec_check(written, &document, err))
        return -1;
    struct completion to = { .full = document, .host = host && *host ? host : NULL };
    json_object_set_new(document, "app", json_string(name));
    to.build = json_object_get(document, "build");
    if (!to.build) {
        to.build = json_object();
        json_object_set_new(document, "build", to.build);
    }
    if (complete(&to, err))
        return -1;
    *full = take(&document);
    return 0;
}

/* ---- auto ---- */

/* A full document was completed as if it became an image: the web process and its route that nobody
 * wrote go again. */
static void become_site(json_t *document)
{
    json_t *web = json_pack("{s{s{si}}}", "processes", "web", "port", WEB_PORT), *route;
    size_t i;

    fill_defaults(web, spec_root.members);
    if (json_equal(json_object_get(document, "processes"), json_object_get(web, "processes"))) {
        json_object_set_new(document, "processes", json_object());
        json_array_foreach(json_object_get(document, "routes"), i, route)
            json_object_del(route, "process");
    }
    json_decref(web);
}

static void decide(json_t *document, const char *method, const char *output)
{
    json_t *build = json_object_get(document, "build");

    if (!json_is_object(build)) {
        build = json_object();
        json_object_set_new(document, "build", build);
    }
    json_object_set_new(build, "method", json_string(method));
    if (!json_object_get(build, "output"))
        json_object_set_new(build, "output", json_string(output));
    if (strcmp(method, "static") == 0) {
        if (!json_object_get(build, "site"))
            json_object_set_new(build, "site", json_string("."));
        become_site(document);
    }
}

int spec_resolve_auto(json_t *document, bool (*has_file)(void *arg, const char *path), void *arg,
                      char **why, struct err *err)
{
    const json_t *build = json_object_get(document, "build");
    const char *dockerfile = text_of(build, "dockerfile", "Dockerfile");
    const char *context = text_of(build, "context", ".");
    bool wants_image = strcmp(text_of(build, "output", ""), "image") == 0;

    *why = NULL;
    if (strcmp(text_of(build, "method", "auto"), "auto") != 0)
        return 0;
    if (has_file(arg, dockerfile)) {
        decide(document, "dockerfile", "image");
        *why = xasprintf("there is a %s", dockerfile);
        return 0;
    }
    if (has_file(arg, "index.html") && !wants_image) {
        decide(document, "static", "site");
        *why = xasprintf("there is an index.html and no %s", dockerfile);
        return 0;
    }
    return err_field(err, "build.method",
                     "add a Dockerfile, or write build.method: command with base and run",
                     "how to build this is not clear: in the folder %s of the repository there is "
                     "no %s%s",
                     context, dockerfile,
                     wants_image ? ", and output image is asked for" : " and no index.html");
}
