/* The world around the loops: its clock, its store, what a person or a remote does to it, and how
 * it is told. */
#include "world.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "controller/builders.h"
#include "controller/files.h"
#include "controller/loops.h"
#include "outside.h"
#include "store/builds.h"
#include "store/projects.h"
#include "store/repositories.h"
#include "store/work.h"

enum { STEPS_MAX = 20000, START_MS = 300 };

void world_must(int rc, const struct err *err, const char *doing)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s: %s\n", doing, err_code(err->class), err->text);
    abort();
}

/* ---- made and ended ---- */

static int64_t tell_time(void *self)
{
    return ((struct world *)self)->now_ms;
}

static void open_store(struct world *w)
{
    auto_free char *path = files_database(&w->config);
    auto_project project = { 0 };
    auto_tx *tx = NULL;
    struct err err = { 0 };

    world_must(files_make(&w->config, &err) || store_open(path, &w->clock, &w->c.store, &err) ||
                   store_migrate(w->c.store, &err) || tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                   store_set_setting(tx, "installation", "world", &err) ||
                   store_add_project(tx, "default", 16, &project, &err) || tx_commit(&tx, &err),
               &err, "making the store");
}

struct world *world_new(void)
{
    struct world *w = xcalloc(1, sizeof *w);

    log_set_level("error");
    /* in memory where there is such a place: a world writes as if to disk, thousands of times */
    w->dir = xstrdup(fs_exists("/dev/shm") ? "/dev/shm/world.XXXXXX" : "/tmp/world.XXXXXX");
    if (!mkdtemp(w->dir))
        abort();
    w->now_ms = 1700000000000;
    w->start_ms = START_MS;
    w->clock = (struct clock){ tell_time, tell_time, w };
    w->config =
        (struct controller_config){ .data = w->dir,
                                    .git_root = w->dir,
                                    .domain = (char *)(uintptr_t) "localhost",
                                    .api_url = (char *)(uintptr_t) "http://localhost",
                                    .docker_prefix = (char *)(uintptr_t) "",
                                    .docker_network_range = (char *)(uintptr_t) "10.224.0.0/12",
                                    .fetch_ms = 180000,
                                    .register_ms = 180000,
                                    .dispatch_ms = 180000,
                                    .crash_ms = 60000,
                                    .synchronize_ms = 180000,
                                    .clean_ms = 3600000,
                                    .lease_grace_ms = 1000,
                                    .log_max = 1 << 20,
                                    .builds_keep = 3,
                                    .releases_keep = 100,
                                    .events_keep = 1000 };
    outside_init(w);
    w->c = (struct controller){ .config = &w->config,
                                .clock = &w->clock,
                                .backend = &w->backend,
                                .router = &w->router,
                                .source = &w->source,
                                .builders = builders_new(&w->clock) };
    w->has_builder = true;
    open_store(w);
    return w;
}

void world_free(struct world *w)
{
    struct err err = { 0 };

    if (*w->wrong) {
        fprintf(stderr, "went wrong: %s\n", w->wrong);
        abort();
    }
    builders_free(w->c.builders);
    store_close(w->c.store);
    world_must(fs_remove_tree(w->dir, &err), &err, "removing the world");
    free(w->dir);
    free(w);
}

/* ---- running ---- */

/* From its first answer on a host is served, whatever happens. */
static void watch_service(struct world *w)
{
    size_t count = w->must_serve ? world_serving(w, w->must_serve) : 0;

    if (w->has_served && count == 0 && w->must_serve && !*w->wrong)
        snprintf(w->wrong, sizeof w->wrong, "%s is not served any more", w->must_serve);
    w->has_served = w->must_serve && (w->has_served || count);
}

static int step(struct controller *c, size_t loop, const char *subject, int64_t *again_ms,
                struct err *err)
{
    struct world *w = container_of(c, struct world, c);

    if (++w->steps[loop] > STEPS_MAX) {
        fprintf(stderr, "%s does not come to rest\n", loop_table[loop].name);
        abort();
    }
    int rc = loop_table[loop].step(c, subject, again_ms, err);
    watch_service(w);
    return rc;
}

#define COUNTED(n)                                                                    \
    static int step_##n(struct controller *c, const char *subject, int64_t *again_ms, \
                        struct err *err)                                              \
    {                                                                                 \
        return step(c, n, subject, again_ms, err);                                    \
    }
COUNTED(0)
COUNTED(1)
COUNTED(2)
COUNTED(3)
COUNTED(4)
COUNTED(5)

static const step_function counted[WORLD_LOOPS] = {
    step_0, step_1, step_2, step_3, step_4, step_5
};

void world_turn(struct world *w)
{
    struct err err = { 0 };

    for (size_t i = 0; i < loop_count; i++) {
        struct loop_entry entry = loop_table[i];
        entry.step = counted[i];
        world_must(loop_turn(&w->c, &entry, &err), &err, entry.name);
    }
}

/* A builder without a link: takes what is next and says at once how it went. The artifact's digest
 * is the build key, so that it is known. */
static bool build_one(struct world *w)
{
    auto_build build = { 0 };
    auto_attempt attempt = { 0 };
    auto_tx *tx = NULL;
    struct err err = { 0 };

    if (tx_begin(w->c.store, TX_WRITE, &tx, &err) || store_next_build(tx, &build, &err))
        return false;
    bool is_site = strcmp(json_string_value(json_object_get(build.spec, "output")), "site") == 0;
    int rc = store_add_attempt(tx, &build, "b1", "hash", &attempt, &err);
    bool differs = w->rebuilds_differ && attempt.number > 1;
    auto_free char *digest = xasprintf("sha256:%s%s", build.key, differs ? "-again" : "");
    if (rc == 0 && w->build_fails)
        rc = store_end_attempt(tx, attempt.id, "failed", w->build_fails, "it broke", 0, &err) ||
             store_end_build(tx, build.id, "failed", w->build_fails, "it broke", NULL, &err);
    else if (rc == 0)
        rc = store_add_artifact(tx, digest, is_site ? "site" : "image", digest, 1, &err) ||
             store_end_attempt(tx, attempt.id, "succeeded", NULL, NULL, 0, &err) ||
             store_end_build(tx, build.id, "succeeded", "Built", NULL, digest, &err);
    world_must(rc || tx_commit(&tx, &err), &err, "building");
    if (!w->build_fails)
        world_image(w, digest)->is_missing = false;
    return true;
}

static int64_t next_due(struct world *w)
{
    int64_t due_ms = INT64_MAX;
    auto_tx *tx = NULL;
    struct err err = { 0 };

    world_must(tx_begin(w->c.store, TX_READ, &tx, &err), &err, "reading");
    for (size_t i = 0; i < loop_count; i++) {
        auto_work_list list = { 0 };
        world_must(store_next_work(tx, loop_table[i].name, 1, &list, &err), &err, "reading");
        if (list.count && list.items[0].due_ms < due_ms)
            due_ms = list.items[0].due_ms;
    }
    return due_ms;
}

void world_run(struct world *w, int64_t ms)
{
    int64_t until = w->now_ms + ms;

    for (;;) {
        world_turn(w);
        if (w->has_builder && build_one(w))
            continue;
        int64_t due_ms = next_due(w);
        if (due_ms > until - w->now_ms)
            break;
        w->now_ms += due_ms > 0 ? due_ms : 0;
    }
    w->now_ms = until;
}

size_t world_steps(const struct world *w, const char *loop)
{
    for (size_t i = 0; i < loop_count; i++)
        if (strcmp(loop_table[i].name, loop) == 0)
            return w->steps[i];
    abort();
}

/* ---- what happens to it ---- */

char *world_app(struct world *w, const char *name, const char *overlay)
{
    auto_free char *url = xasprintf("https://example/%s", name);
    auto_project project = { 0 };
    auto_repository repository = { 0 };
    auto_tx *tx = NULL;
    struct err err = { 0 };
    json_auto_t *over = json_loads(overlay ? overlay : "{}", 0, NULL);
    char *id = NULL;

    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) ||
                   store_find_project(tx, "default", &project, &err),
               &err, "finding the project");
    const struct repository_row wanted = { .project_id = project.id,
                                           .name = (char *)(uintptr_t)name,
                                           .url = url };
    world_must(
        store_add_repository(tx, &wanted, &repository, &err) ||
            store_add_app(tx, project.id, name, repository.id, "main", over, "test", &id, &err) ||
            store_add_work(tx, "fetcher", repository.id, 0, &err) || tx_commit(&tx, &err),
        &err, "adding an app");
    return id;
}

struct world_commit *world_commit(struct world *w, char sha, char tree, const char *yaml)
{
    struct world_commit *one = &w->commits[w->commit_count++];

    if (w->commit_count > WORLD_MAX)
        abort();
    memset(one->sha, sha, GIT_SHA_LEN);
    memset(one->tree, tree, GIT_SHA_LEN);
    one->yaml = yaml;
    return one;
}

void world_set_ref(struct world *w, const char *name, char sha)
{
    size_t i = 0;

    while (i < w->ref_count && strcmp(w->refs[i].name, name) != 0)
        i++;
    w->ref_count += i == w->ref_count;
    snprintf(w->refs[i].name, sizeof w->refs[i].name, "%s", name);
    memset(w->refs[i].sha, sha, sha ? GIT_SHA_LEN : GIT_SHA_LEN + 1);
}

void world_kick(struct world *w, const char *loop, const char *subject)
{
    auto_tx *tx = NULL;
    struct err err = { 0 };

    world_must(tx_begin(w->c.store, TX_OBSERVE, &tx, &err) ||
                   store_add_work(tx, loop, subject, 0, &err) || tx_commit(&tx, &err),
               &err, "kicking");
}

void world_push(struct world *w, char sha, char tree, const char *yaml)
{
    auto_free char *ids = NULL;
    char *at, *id;
    bool is_known = false;

    for (size_t i = 0; i < w->commit_count; i++)
        is_known = is_known || w->commits[i].sha[0] == sha;
    if (!is_known)
        world_commit(w, sha, tree, yaml);
    world_set_ref(w, "main", sha);
    at = ids = world_ask(w, "SELECT group_concat(id, ' ') FROM repositories WHERE url IS NOT NULL");
    while ((id = strsep(&at, " ")))
        world_kick(w, "fetcher", id);
}

struct world_image *world_image(struct world *w, const char *ref)
{
    size_t i = 0;

    while (i < w->image_count && strcmp(w->images[i].ref, ref) != 0)
        i++;
    if (i == WORLD_MAX)
        abort();
    if (i == w->image_count) {
        w->images[w->image_count++] = (struct world_image){ 0 };
        snprintf(w->images[i].ref, sizeof w->images[i].ref, "%s", ref);
    }
    return &w->images[i];
}

struct world_container *world_container(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->container_count; i++)
        if (strcmp(w->containers[i].name, name) == 0)
            return &w->containers[i];
    return NULL;
}

struct world_entry *world_entry(struct world *w, const char *app_id)
{
    for (size_t i = 0; i < w->entry_count; i++)
        if (strcmp(w->entries[i].app_id, app_id) == 0)
            return &w->entries[i];
    return NULL;
}

/* ---- how it stands ---- */

static size_t count_ready(struct world *w, const struct world_entry *entry, const char *process)
{
    size_t count = 0;

    for (size_t i = 0; i < entry->upstream_count; i++) {
        const struct world_container *one = world_container(w, entry->upstreams[i].instance);
        count += one && !entry->upstreams[i].draining && one->state == INSTANCE_READY &&
                 strcmp(one->process, process) == 0;
    }
    return count;
}

size_t world_serving(struct world *w, const char *host)
{
    size_t count = 0;

    for (size_t e = 0; e < w->entry_count; e++)
        for (size_t i = 0; i < w->entries[e].route_count; i++) {
            const struct world_route *route = &w->entries[e].routes[i];
            if (strcmp(route->host, host) == 0)
                count += *route->site ? 1 : count_ready(w, &w->entries[e], route->process);
        }
    return count;
}

char *world_ask(struct world *w, const char *sql)
{
    auto_free char *path = files_database(&w->config);
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        abort();
    }
    const char *text =
        sqlite3_step(stmt) == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    char *answer = xstrdup(text ? text : "");
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return answer;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

char *world_show(struct world *w)
{
    static const char *const tables[] = {
        "SELECT group_concat(a.name || ' live v' || ifnull(l.number, 0) || ' wants v' || "
        "ifnull(g.number, 0) || ' ' || ifnull(g.state, '-') || ' at ' || ifnull(wanted_sha, '-'), "
        "char(10)) FROM apps a LEFT JOIN releases l ON l.id = a.live_release_id LEFT JOIN releases "
        "g ON g.id = a.wanted_release_id",
        "SELECT group_concat('v' || number || ' ' || state, char(10)) FROM releases",
        "SELECT group_concat(key || ' ' || state, char(10)) FROM (SELECT * FROM builds ORDER BY "
        "key)",
        "SELECT group_concat(name || ' ' || state, char(10)) FROM (SELECT * FROM instances ORDER "
        "BY name)",
        "SELECT group_concat(host || path, char(10)) FROM routes",
        "SELECT group_concat(type || ' ' || status || ' ' || reason, char(10)) FROM conditions",
    };
    char lines[WORLD_MAX][128];
    char *text = NULL;
    size_t len;
    FILE *f = xmemstream(&text, &len);

    for (size_t i = 0; i < countof(tables); i++) {
        auto_free char *part = world_ask(w, tables[i]);
        fprintf(f, "%s\n", part);
    }
    for (size_t i = 0; i < w->container_count; i++)
        snprintf(lines[i], sizeof lines[i], "%s %d", w->containers[i].name, w->containers[i].state);
    qsort(lines, w->container_count, sizeof *lines, by_text);
    for (size_t i = 0; i < w->container_count; i++)
        fprintf(f, "%s\n", lines[i]);
    for (size_t e = 0; e < w->entry_count; e++) {
        for (size_t i = 0; i < w->entries[e].route_count; i++)
            fprintf(f, "%s%s %s%s\n", w->entries[e].routes[i].host, w->entries[e].routes[i].path,
                    w->entries[e].routes[i].process, w->entries[e].routes[i].site);
        for (size_t i = 0; i < w->entries[e].upstream_count; i++)
            fprintf(f, "-> %s %d\n", w->entries[e].upstreams[i].instance,
                    w->entries[e].upstreams[i].draining);
    }
    fclose(f);
    return text;
}
