/* The controller's side of the site agents' methods for test_sites_agent.py, on the real link.
 *
 *     sites-driver DIR
 *
 * Listens on DIR/link.sock. DIR/wanted.json is the list of sites, oldest revision first;
 * DIR/archives/HEX are the archives. Each call but sites.watch is told on standard output as a line
 * {"method", "params"}. A line on standard input is sent to the open sites.watch calls as their
 * data. Ends with standard input. */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/work.h"
#include "rpc/rpc.h"

enum { WATCHERS_MAX = 16, ARCHIVE_MAX = 64 << 20 };

struct driver {
    const char *dir;
    struct loop *loop;
    struct rpc_server *server;
    struct thread *reader;
    pthread_mutex_t lock; /* guards: */
    struct rpc_call *watchers[WATCHERS_MAX];
    size_t watcher_count;
};

static void tell(const char *method, const json_t *params)
{
    json_auto_t *line = json_pack("{s:s, s:O}", "method", method, "params", params);
    auto_free char *text = json_dumps(line, JSON_COMPACT);

    printf("%s\n", text);
    fflush(stdout);
}

static int sites_wanted(struct rpc_call *call, const json_t *params, json_t **result,
                        struct err *err)
{
    const struct driver *driver = rpc_call_arg(call);
    auto_free char *path = fs_join(driver->dir, "wanted.json");
    json_int_t after = json_integer_value(json_object_get(params, "after")), revision = 0;
    json_int_t limit = json_integer_value(json_object_get(params, "limit"));
    json_auto_t *all = json_load_file(path, 0, NULL), *page = json_array();
    bool more = false;
    json_t *site;
    size_t i;

    (void)err;
    tell("sites.wanted", params);
    json_array_foreach(all, i, site) {
        json_int_t at = json_integer_value(json_object_get(site, "revision"));
        if (at > after && !(more |= (json_int_t)json_array_size(page) == limit))
            json_array_append(page, site);
        if (!more && at > revision)
            revision = at;
    }
    *result = json_pack("{s:O, s:I, s:b}", "sites", page, "revision", revision, "more", more);
    return 0;
}

static int sites_watch(struct rpc_call *call, const json_t *params, json_t **result,
                       struct err *err)
{
    struct driver *driver = rpc_call_arg(call);

    (void)params, (void)result, (void)err;
    pthread_mutex_lock(&driver->lock);
    if (driver->watcher_count < WATCHERS_MAX)
        driver->watchers[driver->watcher_count++] = rpc_call_ref(call);
    pthread_mutex_unlock(&driver->lock);
    return RPC_LATER;
}

static int site_fetch(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const struct driver *driver = rpc_call_arg(call);
    const char *digest = json_string_value(json_object_get(params, "digest"));
    auto_free char *path = xasprintf("%s/archives/%s", driver->dir, digest + strlen("sha256:"));
    auto_free char *data = NULL;
    size_t len;

    (void)result;
    tell("site.fetch", params);
    return fs_read(path, ARCHIVE_MAX, &data, &len, err) || rpc_call_write(call, data, len, err) ? -1
                                                                                                : 0;
}

static int sites_serving(struct rpc_call *call, const json_t *params, json_t **result,
                         struct err *err)
{
    (void)call, (void)result, (void)err;
    tell("sites.serving", params);
    return 0;
}

static const struct rpc_method methods[] = {
    { "site.fetch", RPC_SSGEN, RPC_ON_BULK, site_fetch },
    { "sites.serving", RPC_SSGEN, RPC_ON_POOL, sites_serving },
    { "sites.wanted", RPC_SSGEN, RPC_ON_POOL, sites_wanted },
    { "sites.watch", RPC_SSGEN, RPC_ON_POOL, sites_watch },
};

static void stop(void *arg)
{
    struct driver *driver = arg;

    work_stop();
    rpc_server_stop(driver->server);
    loop_stop(driver->loop);
}

static void read_input(void *arg)
{
    struct driver *driver = arg;
    auto_free char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, stdin) > 0) {
        pthread_mutex_lock(&driver->lock);
        for (size_t i = 0; i < driver->watcher_count; i++)
            rpc_call_try_send(driver->watchers[i], json_loads(line, 0, NULL));
        pthread_mutex_unlock(&driver->lock);
    }
    loop_post(driver->loop, stop, driver);
}

int main(int argc, char **argv)
{
    struct driver driver = { .dir = argv[1], .lock = PTHREAD_MUTEX_INITIALIZER };
    auto_free char *path = fs_join(argc == 2 ? argv[1] : ".", "link.sock");
    struct pool *pool = pool_start(4, 100), *bulk = pool_start(4, 100);
    const struct rpc_server_config config = { .unix_path = path,
                                              .methods = methods,
                                              .method_count = countof(methods),
                                              .arg = &driver,
                                              .pool = pool,
                                              .bulk = bulk };
    struct err err = { 0 };

    driver.loop = loop_new(stop, &driver);
    if (rpc_server_start(driver.loop, &config, &driver.server, &err))
        return fprintf(stderr, "%s\n", err.text), 1;
    driver.reader = thread_start(read_input, &driver);
    loop_run(driver.loop);
    for (size_t i = 0; i < driver.watcher_count; i++)
        rpc_call_unref(driver.watchers[i]);
    thread_join(driver.reader);
    pool_stop(pool);
    pool_stop(bulk);
    loop_free(driver.loop);
    return 0;
}
