/* Backend, router and source as tables. Every function is one call to the outside: it begins with
 * call_begins and ends with call_ends, where the faults come in. */
#include "outside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/spec.h"

#define COPY(to, from) copy(to, sizeof(to), from)

static void copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

static int fail_call(struct world *w, const char *what, struct err *err)
{
    return err_set(err, w->fail.class ? w->fail.class : ERR_UNAVAILABLE, "%s: call %zu goes wrong",
                   what, w->calls);
}

static int call_begins(struct world *w, const char *what, bool is_away, struct err *err)
{
    w->calls++;
    if (w->meanwhile)
        w->meanwhile(w, what);
    if (w->calls == w->fail.at && !w->fail.is_after)
        return fail_call(w, what, err);
    return is_away ? err_set(err, ERR_UNAVAILABLE, "%s: nobody answers", what) : 0;
}

static int call_ends(struct world *w, const char *what, struct err *err)
{
    return w->calls == w->fail.at && w->fail.is_after ? fail_call(w, what, err) : 0;
}

static void wrong(struct world *w, const char *what, const char *name)
{
    if (!*w->wrong)
        snprintf(w->wrong, sizeof w->wrong, "%s: %s", what, name);
}

/* ---- backend ---- */

static const struct world_image *behaviour(struct world *w, const char *ref)
{
    static const struct world_image good = { 0 };

    for (size_t i = 0; i < w->image_count; i++)
        if (strcmp(w->images[i].ref, ref) == 0)
            return &w->images[i];
    return &good;
}

static const char *address(const struct world *w, const struct world_container *one, char text[16])
{
    snprintf(text, 16, "10.224.0.%d", (int)(one - w->containers) + 2);
    return text;
}

static void start(struct world *w, struct world_container *one, const char *image)
{
    bool starts = !behaviour(w, image)->cannot_start;

    w->starts++;
    one->started_ms = starts ? w->now_ms : 0;
    one->state = starts ? INSTANCE_RUNNING : INSTANCE_CREATED;
}

static struct world_container *make_container(struct world *w, const struct app_want *app,
                                              const struct release_want *release,
                                              const struct process_spec *process, int64_t index)
{
    char name[96];

    snprintf(name, sizeof name, "%s-%s-%s-v%lld-%lld", app->project, app->app, process->name,
             (long long)release->number, (long long)index);
    struct world_container *one = world_container(w, name);
    if (one)
        return one;
    if (w->container_count == WORLD_MAX)
        abort();
    one = &w->containers[w->container_count++];
    *one = (struct world_container){ .index = index };
    start(w, one, release->image);
    COPY(one->name, name);
    COPY(one->app_id, app->app_id);
    COPY(one->release_id, release->id);
    COPY(one->process, process->name);
    COPY(one->image, release->image);
    return one;
}

static void live_on(struct world *w, struct world_container *one)
{
    const struct world_image *image = behaviour(w, one->image);

    if (one->state == INSTANCE_CREATED)
        return;
    if (one->state != INSTANCE_EXITED && image->exits &&
        w->now_ms - one->started_ms >= w->start_ms) {
        one->state = INSTANCE_EXITED;
    } else if (one->state == INSTANCE_RUNNING && !image->is_never_ready &&
               w->now_ms - one->started_ms >= w->start_ms) {
        one->state = INSTANCE_READY;
    }
}

static void see(struct world *w, const struct world_container *one, int64_t port,
                struct release_seen *seen)
{
    char text[16];

    seen->instances =
        xreallocarray(seen->instances, seen->instance_count + 1, sizeof *seen->instances);
    seen->instances[seen->instance_count++] = (struct instance_seen){
        .name = xstrdup(one->name),
        .process = xstrdup(one->process),
        .index = one->index,
        .state = one->state,
        .address = xstrdup(address(w, one, text)),
        .port = port,
        .started_ms = one->started_ms,
        .start_failed = one->state == INSTANCE_CREATED,
        .exit_code = one->state == INSTANCE_EXITED,
        .probe = one->state == INSTANCE_RUNNING ? xstrdup("GET /: refused") : NULL,
        .log = one->state == INSTANCE_EXITED ? xstrdup("the last line") : NULL,
    };
    if (one->state == INSTANCE_EXITED || one->state == INSTANCE_CREATED) {
        seen->stage = RELEASE_BROKEN;
        COPY(seen->reason, one->state == INSTANCE_EXITED ? "Exited" : "StartFailed");
    } else if (one->state != INSTANCE_READY && seen->stage == RELEASE_READY) {
        seen->stage = RELEASE_STARTING;
        COPY(seen->reason, "ProbeFailing");
    }
}

static void run_release(struct world *w, const struct app_want *app,
                        const struct release_want *release, struct release_seen *seen)
{
    *seen = (struct release_seen){ .stage = RELEASE_READY };
    if (behaviour(w, release->image)->is_missing) {
        seen->stage = RELEASE_NO_IMAGE;
        COPY(seen->reason, "ImageMissing");
        seen->message = xasprintf("there is no image %s", release->image);
        return;
    }
    for (size_t p = 0; p < spec_process_count(release->spec); p++) {
        struct process_spec process;
        spec_process(release->spec, p, &process);
        for (int64_t i = 1; i <= process.replicas; i++) {
            struct world_container *one = make_container(w, app, release, &process, i);
            live_on(w, one);
            see(w, one, process.port, seen);
            if ((one->state == INSTANCE_EXITED || one->state == INSTANCE_CREATED) &&
                release->replace_broken)
                start(w, one, release->image);
        }
    }
}

/* Nothing that takes new requests may ever end. */
static void drop_container(struct world *w, struct world_container *one)
{
    for (size_t e = 0; e < w->entry_count; e++)
        for (size_t i = 0; i < w->entries[e].upstream_count; i++)
            if (strcmp(w->entries[e].upstreams[i].instance, one->name) == 0 &&
                !w->entries[e].upstreams[i].draining && w->entries[e].route_count)
                wrong(w, "ended while it takes requests", one->name);
    *one = w->containers[--w->container_count];
}

static int converge(void *self, const struct app_want *want, struct app_seen *seen, struct err *err)
{
    struct world *w = self;
    auto_app_seen found = { 0 };

    if (call_begins(w, "backend.converge", w->backend_away, err))
        return -1;
    found.releases = xcalloc(want->release_count, sizeof *found.releases);
    found.release_count = want->release_count;
    for (size_t i = 0; i < want->gone_count; i++)
        if (world_container(w, want->gone[i]))
            drop_container(w, world_container(w, want->gone[i]));
    for (size_t i = 0; i < want->release_count; i++)
        run_release(w, want, &want->releases[i], &found.releases[i]);
    if (call_ends(w, "backend.converge", err))
        return -1;
    *seen = found;
    found = (struct app_seen){ 0 };
    return 0;
}

static int list_owned(void *self, struct owned_list *list, struct err *err)
{
    struct world *w = self;

    if (call_begins(w, "backend.list_owned", w->backend_away, err) ||
        call_ends(w, "backend.list_owned", err))
        return -1;
    *list = (struct owned_list){ .items = xcalloc(w->container_count, sizeof *list->items),
                                 .count = w->container_count };
    for (size_t i = 0; i < w->container_count; i++)
        list->items[i] =
            (struct owned){ xstrdup(w->containers[i].name), xstrdup(w->containers[i].app_id),
                            xstrdup(w->containers[i].release_id),
                            w->containers[i].state != INSTANCE_EXITED };
    return 0;
}

static int remove_one(void *self, const char *name, int64_t stop_ms, struct err *err)
{
    struct world *w = self;
    (void)stop_ms;

    if (call_begins(w, "backend.remove", w->backend_away, err))
        return -1;
    if (w->unremovable && strcmp(w->unremovable, name) == 0)
        return err_set(err, ERR_INTERNAL, "%s does not go away", name);
    if (world_container(w, name))
        drop_container(w, world_container(w, name));
    return call_ends(w, "backend.remove", err);
}

static int remove_network(void *self, const char *project, struct err *err)
{
    (void)project;
    return call_begins(self, "backend.remove_network", ((struct world *)self)->backend_away, err);
}

static int remove_image(void *self, const char *image, struct err *err)
{
    struct world *w = self;

    if (call_begins(w, "backend.remove_image", w->backend_away, err))
        return -1;
    if (w->image_in_use)
        return err_set(err, ERR_CONFLICT, "image %s is in use", image);
    world_image(w, image)->is_missing = true;
    return call_ends(w, "backend.remove_image", err);
}

/* On a reader's thread, which may not look at the tables: one line, and the instance has ended. */
static int logs(void *self, const char *instance, int64_t tail, int64_t since_ms, bool follow,
                const bool *cancelled, int (*write)(void *arg, const char *line, size_t len),
                void *arg, struct err *err)
{
    auto_free char *line =
        xasprintf("%s, tail %lld, since %lld", instance, (long long)tail, (long long)since_ms);
    (void)self, (void)follow, (void)cancelled, (void)err;
    write(arg, line, strlen(line));
    return 0;
}

static int watch(void *self, void (*changed)(void *arg, const char *app_id), void *arg,
                 struct err *err)
{
    (void)self, (void)changed, (void)arg, (void)err;
    return 0;
}

static void close_nothing(void *self)
{
    (void)self;
}

/* ---- router ---- */

static struct world_entry *want_entry(struct world *w, const char *app_id)
{
    struct world_entry *one = world_entry(w, app_id);

    if (one)
        return one;
    if (w->entry_count == WORLD_MAX)
        abort();
    one = &w->entries[w->entry_count++];
    *one = (struct world_entry){ 0 };
    COPY(one->app_id, app_id);
    return one;
}

/* Without those that are refused. */
static bool copy_routes(const struct world *w, struct world_entry *one,
                        const struct app_routes *want)
{
    one->route_count = 0;
    for (size_t i = 0; i < want->route_count; i++) {
        struct world_route *route = &one->routes[one->route_count];
        if (w->refused_host && strcmp(w->refused_host, want->routes[i].host) == 0)
            continue;
        one->route_count++;
        COPY(route->host, want->routes[i].host);
        COPY(route->path, want->routes[i].path);
        COPY(route->process, want->routes[i].process);
        COPY(route->site, want->routes[i].site);
    }
    one->upstream_count = want->upstream_count;
    for (size_t i = 0; i < want->upstream_count; i++) {
        COPY(one->upstreams[i].instance, want->upstreams[i].instance);
        one->upstreams[i].draining = want->upstreams[i].draining;
    }
    return one->route_count == want->route_count;
}

static int apply(void *self, const struct app_routes *want, struct err *err)
{
    struct world *w = self;

    if (call_begins(w, "router.apply", w->router_away, err))
        return -1;
    if (w->router_refuses)
        return err_set(err, ERR_INVALID, "the route is refused");
    if (want->route_count > countof(w->entries[0].routes) ||
        want->upstream_count > countof(w->entries[0].upstreams))
        abort();
    struct world_entry *one = want_entry(w, want->app_id);
    if (want->generation < one->generation)
        wrong(w, "an older generation was applied", want->app_id);
    bool is_whole = copy_routes(w, one, want);
    one->generation = want->generation;
    if (!is_whole)
        return err_set(err, ERR_INVALID, "%s is refused", w->refused_host);
    return call_ends(w, "router.apply", err);
}

static int64_t acknowledged(void *self, const char *app_id)
{
    const struct world_entry *one = world_entry(self, app_id);
    return one ? one->generation : 0;
}

static int in_flight(void *self, const char *app_id, const char *instance, int64_t *count,
                     struct err *err)
{
    struct world *w = self;
    (void)app_id, (void)instance;

    if (call_begins(w, "router.in_flight", w->router_away, err) ||
        call_ends(w, "router.in_flight", err))
        return -1;
    *count = w->in_flight;
    return 0;
}

static int check(void *self, struct err *err)
{
    return call_begins(self, "router.check", ((struct world *)self)->router_away, err);
}

/* ---- source ---- */

static struct world_commit *find_commit(struct world *w, const char *sha, bool is_here,
                                        struct err *err)
{
    for (size_t i = 0; i < w->commit_count; i++)
        if (strcmp(w->commits[i].sha, sha) == 0 && (w->commits[i].is_here || !is_here))
            return &w->commits[i];
    err_set(err, ERR_NOT_FOUND, "no such commit: %s", sha);
    return NULL;
}

static const struct world_ref *find_ref(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->ref_count; i++)
        if (strcmp(w->refs[i].name, name) == 0)
            return &w->refs[i];
    return NULL;
}

static int refs(void *self, const struct repository_row *repository, const char *const *names,
                size_t count, struct git_refs *found, struct err *err)
{
    struct world *w = self;
    (void)repository;

    if (call_begins(w, "source.refs", w->remote_away, err) || call_ends(w, "source.refs", err))
        return -1;
    *found = (struct git_refs){ .items = xcalloc(count, sizeof *found->items), .count = count };
    for (size_t i = 0; i < count; i++) {
        const struct world_ref *ref = find_ref(w, names[i]);
        found->items[i].name = xstrdup(names[i]);
        COPY(found->items[i].sha, ref ? ref->sha : "");
    }
    return 0;
}

static int fetch(void *self, const struct repository_row *repository, const char *ref,
                 const char *sha, struct err *err)
{
    struct world *w = self;
    const struct world_ref *one = find_ref(w, ref);

    if (call_begins(w, "source.fetch", w->remote_away && repository->url, err))
        return -1;
    if (one && one->cannot_be_fetched)
        return err_set(err, ERR_UNAVAILABLE, "the remote hangs up");
    struct world_commit *commit = find_commit(w, sha, false, err);
    if (!commit)
        return -1;
    commit->is_here = true;
    return call_ends(w, "source.fetch", err);
}

static int read_commit(void *self, const struct repository_row *repository, const char *sha,
                       struct git_commit_info *commit, struct err *err)
{
    struct world *w = self;
    (void)repository;

    if (call_begins(w, "source.read_commit", false, err) || !find_commit(w, sha, true, err) ||
        call_ends(w, "source.read_commit", err))
        return -1;
    *commit = (struct git_commit_info){ xstrdup("Ada"), xstrdup("a change"), 1000 };
    return 0;
}

static int tree_id(void *self, const struct repository_row *repository, const char *sha,
                   const char *folder, char tree[GIT_SHA_LEN + 1], struct err *err)
{
    struct world *w = self;
    (void)repository;

    if (call_begins(w, "source.tree_id", false, err))
        return -1;
    const struct world_commit *commit = find_commit(w, sha, true, err);
    if (!commit || call_ends(w, "source.tree_id", err))
        return -1;
    if (strcmp(folder, ".") != 0)
        return err_set(err, ERR_NOT_FOUND, "no folder %s", folder);
    memcpy(tree, commit->tree, sizeof commit->tree);
    return 0;
}

static int read_file(void *self, const struct repository_row *repository, const char *sha,
                     const char *path, size_t size_max, char **data, size_t *len, struct err *err)
{
    struct world *w = self;
    (void)repository, (void)size_max;

    if (call_begins(w, "source.read_file", false, err))
        return -1;
    const struct world_commit *commit = find_commit(w, sha, true, err);
    if (!commit || call_ends(w, "source.read_file", err))
        return -1;
    const char *text = strcmp(path, "evenkeel.yaml") == 0 ? commit->yaml
                       : strcmp(path, "Dockerfile") == 0  ? "FROM scratch\n"
                                                          : NULL;
    if (!text)
        return err_set(err, ERR_NOT_FOUND, "no file %s", path);
    *data = xstrdup(text);
    if (len)
        *len = strlen(text);
    return 0;
}

static int archive(void *self, const struct repository_row *repository, const char *sha,
                   const char *folder,
                   int (*write)(void *arg, const void *data, size_t len, struct err *err),
                   void *arg, struct err *err)
{
    (void)repository, (void)sha, (void)folder;
    return call_begins(self, "source.archive", false, err) || write(arg, "tar", 3, err) ? -1 : 0;
}

static int host(void *self, const struct repository_row *repository, const char *project,
                struct err *err)
{
    (void)repository, (void)project;
    return call_begins(self, "source.host", false, err);
}

static int publish(void *self, const struct repository_row *repository, const char *branch,
                   const char *sha, struct err *err)
{
    struct world *w = self;
    size_t i = 0;
    (void)repository;

    if (call_begins(w, "source.publish", false, err))
        return -1;
    const struct world_ref *ref = find_ref(w, branch);
    if (ref && ref->cannot_be_fetched)
        return err_set(err, ERR_INTERNAL, "the branch %s is locked", branch);
    while (i < w->published_count && strcmp(w->published[i].name, branch) != 0)
        i++;
    w->published_count += i == w->published_count;
    COPY(w->published[i].name, branch);
    COPY(w->published[i].sha, sha);
    return call_ends(w, "source.publish", err);
}

static int unkeep(void *self, const struct repository_row *repository, const char *sha,
                  struct err *err)
{
    struct world *w = self;
    (void)repository;

    if (call_begins(w, "source.unkeep", false, err))
        return -1;
    struct world_commit *commit = find_commit(w, sha, true, err);
    if (commit)
        commit->is_here = false; /* as if it was pruned at once */
    return call_ends(w, "source.unkeep", err);
}

static int tidy(void *self, const struct repository_row *repository, struct err *err)
{
    struct world *w = self;
    (void)repository;

    if (call_begins(w, "source.tidy", false, err))
        return -1;
    w->tidied++;
    return call_ends(w, "source.tidy", err);
}

static int forget(void *self, const struct repository_row *repository, struct err *err)
{
    (void)repository;
    return call_begins(self, "source.forget", false, err);
}

static char *path(void *self, const struct repository_row *repository)
{
    return xasprintf("%s/%s.git", ((struct world *)self)->dir, repository->id);
}

void outside_init(struct world *w)
{
    w->backend = (struct backend){ .converge = converge,
                                   .list_owned = list_owned,
                                   .remove = remove_one,
                                   .remove_network = remove_network,
                                   .remove_image = remove_image,
                                   .logs = logs,
                                   .watch = watch,
                                   .close = close_nothing,
                                   .self = w };
    w->router = (struct router){ .apply = apply,
                                 .acknowledged = acknowledged,
                                 .in_flight = in_flight,
                                 .check = check,
                                 .close = close_nothing,
                                 .self = w };
    w->source = (struct source){ .refs = refs,
                                 .fetch = fetch,
                                 .read_commit = read_commit,
                                 .tree_id = tree_id,
                                 .read_file = read_file,
                                 .archive = archive,
                                 .host = host,
                                 .publish = publish,
                                 .unkeep = unkeep,
                                 .tidy = tidy,
                                 .forget = forget,
                                 .path = path,
                                 .self = w };
}
