/* A controller put together: store, backend, router, source, the loops, and the links on which
 * gateway, builders and site agents call. */
#include "controller/controller.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/work.h"
#include "controller/api/api.h"
#include "controller/api/resources.h"
#include "controller/backend/docker/docker.h"
#include "controller/builders.h"
#include "controller/feeds.h"
#include "controller/files.h"
#include "controller/loops.h"
#include "controller/network.h"
#include "controller/router/haproxy.h"
#include "controller/source_git.h"
#include "store/projects.h"
#include "store/work.h"

enum { POOL_THREADS = 6, BULK_THREADS = 6, QUEUE_MAX = 4096, STOP_MS = 5000 };

struct controller_program {
    struct controller c;
    struct loop *loop;
    struct pool *pool, *bulk;
    struct rpc_server *server;
    struct backend *backend;
    struct router router;
    struct source source;
    char *installation;
    bool has_router;
};

/* ---- callbacks ---- */

static void on_commit(void *arg, bool events, const char *const *loops)
{
    struct controller *c = arg;

    for (; *loops; loops++)
        loops_kick(c->loops, *loops);
    if (events)
        feeds_kick(c->feeds, NULL);
}

static bool authenticate(void *arg, enum rpc_kind kind, const char *name, const char *token)
{
    struct controller *c = arg;
    auto_free char *hash = sha256_hex(token, strlen(token)), *expected = NULL;
    const char *kind_name = kind == RPC_BUILDER   ? "builder"
                            : kind == RPC_SSGEN   ? "ssgen"
                            : kind == RPC_GATEWAY ? "gateway"
                                                  : "";
    auto_tx *tx = NULL;
    struct err err = { 0 };

    if (tx_begin(c->store, TX_READ, &tx, &err) ||
        store_agent_hash(tx, kind_name, name, &expected, &err))
        return false;
    return secret_equal(hash, expected);
}

/* A builder's link closed: the crash detector shall look. On the pool, because the loop thread does
 * not touch the store. */
static void wake_detector(void *arg)
{
    struct controller *c = arg;
    auto_tx *tx = NULL;
    struct err err = { 0 };

    if (tx_begin(c->store, TX_OBSERVE, &tx, &err) ||
        store_add_work(tx, "crash_detector", "leases", 0, &err) ||
        store_add_work(tx, "dispatcher", "queue", 0, &err) || tx_commit(&tx, &err))
        log_warn("waking the crash detector", E(&err)); /* its full pass comes */
}

static void on_closed(void *arg, struct rpc_session *session)
{
    struct controller_program *p = arg;

    if (builders_remove(p->c.builders, session) && !work_stopping)
        pool_run(p->pool, wake_detector, &p->c);
}

/* Apps whose last step failed need not wait for their delay: what they failed at came back. */
static void hurry_synchronizer(struct controller *c)
{
    auto_tx *tx = NULL;
    struct err err = { 0 };

    if (tx_begin(c->store, TX_OBSERVE, &tx, &err) || store_hurry_work(tx, "synchronizer", &err) ||
        tx_commit(&tx, &err))
        log_warn("looking again at what failed", E(&err));
}

/* An instance changed; app NULL: the daemon came back or went away, and anything may have. Reader
 * thread of the backend. */
static void on_instance(void *arg, const char *app_id)
{
    struct controller *c = arg;
    auto_tx *tx = NULL;
    struct err err = { 0 };

    if (!app_id) {
        if (synchronizer_pass(c, &err))
            log_warn("looking at all instances", E(&err));
        else
            hurry_synchronizer(c);
        return;
    }
    if (tx_begin(c->store, TX_OBSERVE, &tx, &err) ||
        store_add_work(tx, "synchronizer", app_id, 0, &err) || tx_commit(&tx, &err))
        log_warn("noting that an instance changed", S("app", app_id), E(&err));
}

/* ---- start ---- */

/* What a fresh database needs: an id of this installation, and the first project. */
static int prepare(struct store *store, const struct controller_config *config, char **installation,
                   struct err *err)
{
    auto_project project = { 0 };
    auto_tx *tx = NULL;
    int64_t networks;

    if (network_count(config->docker_network_range, &networks, err) ||
        tx_begin(store, TX_WRITE, &tx, err))
        return -1;
    if (store_get_setting(tx, "installation", installation, err)) {
        if (err->class != ERR_NOT_FOUND)
            return -1;
        *installation = id_new(clock_system());
        if (store_set_setting(tx, "installation", *installation, err))
            return -1;
    }
    if (store_find_project(tx, "default", &project, err) &&
        (err->class != ERR_NOT_FOUND || store_add_project(tx, "default", networks, &project, err)))
        return -1;
    return tx_commit(&tx, err);
}

static int open_store(const struct controller_config *config, struct store **store,
                      char **installation, struct err *err)
{
    auto_free char *path = files_database(config);

    if (fs_make_dirs(config->data, 0700, err) || files_make(config, err) ||
        store_open(path, clock_system(), store, err))
        return -1;
    if (store_check(*store, err) || store_migrate(*store, err) ||
        prepare(*store, config, installation, err)) {
        store_close(*store);
        *store = NULL;
        return -1;
    }
    return 0;
}

static struct docker_config docker_config_of(const struct controller_config *config,
                                             const char *installation)
{
    return (struct docker_config){ .socket = config->docker_socket,
                                   .prefix = config->docker_prefix,
                                   .installation = installation,
                                   .network_range = config->docker_network_range,
                                   .host_firewall = config->docker_firewall,
                                   .host_ports = &config->router_port,
                                   .host_port_count = 1 };
}

static int open_backend(struct controller_program *p, struct err *err)
{
    const struct controller_config *config = p->c.config;
    const struct docker_config docker = docker_config_of(config, p->installation);

    p->backend = docker_backend_new(&docker, err);
    p->c.backend = p->backend;
    return p->backend ? 0 : -1;
}

static int open_router(struct controller_program *p, struct err *err)
{
    const struct controller_config *config = p->c.config;
    const struct haproxy_config haproxy = { .dir = config->router_dir,
                                            .http_host = config->router_host,
                                            .http_port = (uint16_t)config->router_port,
                                            .slots = (unsigned)config->router_slots,
                                            .site_server = config->sites_server };

    if (haproxy_router_new(&haproxy, &p->router, err))
        return -1;
    p->has_router = true;
    p->c.router = &p->router;
    return 0;
}

static int listen_for_agents(struct controller_program *p, struct err *err)
{
    const struct controller_config *config = p->c.config;
    bool has_tcp = *config->tcp_host != '\0';
    const struct rpc_server_config server = { .unix_path = config->unix_path,
                                              .tcp_host = has_tcp ? config->tcp_host : NULL,
                                              .tcp_port = (uint16_t)config->tcp_port,
                                              .cert_file = has_tcp ? config->cert_file : NULL,
                                              .key_file = has_tcp ? config->key_file : NULL,
                                              .methods = api_methods,
                                              .method_count = api_method_count,
                                              .arg = p,
                                              .pool = p->pool,
                                              .bulk = p->bulk,
                                              .authenticate = authenticate,
                                              .closed = on_closed };
    return rpc_server_start(p->loop, &server, &p->server, err);
}

int controller_start(struct loop *loop, const struct controller_config *config,
                     struct controller_program **program, struct err *err)
{
    struct controller_program *p = xcalloc(1, sizeof *p);

    *program = p;
    git_setup();
    git_allow_file = config->git_allow_file;
    p->loop = loop;
    p->c.config = config;
    p->c.clock = clock_system();
    p->c.loop = loop;
    source_git_init(&p->source, config);
    p->c.source = &p->source;
    p->c.builders = builders_new(p->c.clock);
    p->pool = pool_start(POOL_THREADS, QUEUE_MAX);
    p->bulk = pool_start(BULK_THREADS, QUEUE_MAX);
    p->c.feeds = feeds_new(p->pool, loop);
    p->c.loops = loops_new(&p->c);
    if (open_store(config, &p->c.store, &p->installation, err) || open_backend(p, err) ||
        open_router(p, err))
        return -1;
    store_on_commit(p->c.store, on_commit, &p->c);
    if (listen_for_agents(p, err) || p->backend->watch(p->backend->self, on_instance, &p->c, err))
        return -1;
    loops_start(p->c.loops);
    return 0;
}

/* The links first: calls under way are gone, so no worker waits for a peer any more. */
void controller_stop(struct controller_program *p)
{
    if (!p)
        return;
    work_stop();
    if (p->server)
        rpc_server_stop(p->server);
    loops_stop(p->c.loops);
}

void controller_free(struct controller_program *p)
{
    if (!p)
        return;
    pool_stop(p->pool);
    pool_stop(p->bulk);
    api_logs_end(&p->c);
    if (p->backend)
        p->backend->close(p->backend->self);
    if (p->has_router)
        p->router.close(p->router.self);
    feeds_free(p->c.feeds);
    builders_free(p->c.builders);
    loops_free(p->c.loops);
    store_close(p->c.store);
    free(p->installation);
    free(p);
}

/* ---- one-shot commands ---- */

int controller_migrate(const struct controller_config *config, struct err *err)
{
    auto_free char *installation = NULL;
    struct store *store = NULL;

    if (open_store(config, &store, &installation, err))
        return -1;
    store_close(store);
    return 0;
}

static int remove_networks(struct store *store, struct backend *backend, struct err *err)
{
    json_auto_t *projects = NULL;
    auto_tx *tx = NULL;
    size_t i;
    json_t *one;

    if (tx_begin(store, TX_READ, &tx, err) ||
        store_list_projects(tx, NULL, NULL, 1 << 20, &projects, err))
        return -1;
    tx_rollback(&tx);
    json_array_foreach(projects, i, one) {
        struct err failure = { 0 };
        if (backend->remove_network(backend->self, json_string_value(json_object_get(one, "name")),
                                    &failure) == 0)
            continue;
        if (failure.class != ERR_DENIED) /* another installation's is not ours to remove */
            return *err = failure, -1;
    }
    return 0;
}

/* One that does not go does not keep the others. */
static int remove_instances(struct backend *backend, size_t *left, struct err *err)
{
    struct owned_list owned = { 0 };
    int rc = backend->list_owned(backend->self, &owned, err);

    *left = owned.count;
    for (size_t i = 0; i < owned.count; i++) {
        struct err failure = { 0 };
        if (backend->remove(backend->self, owned.items[i].name, STOP_MS, &failure) && rc == 0) {
            *err = failure;
            rc = -1;
        }
    }
    owned_list_done(&owned);
    return rc;
}

/* Until none is listed: after a restart of the daemon a removal may fail at first ("device or
 * resource busy"), and one that is under way counts as done. */
static int remove_all(const struct clock *clock, struct backend *backend, struct err *err)
{
    enum { AGAIN_MS = 500, PATIENCE_MS = 20000 };
    int64_t end_ms = clock_mono_ms(clock) + PATIENCE_MS;
    struct err failure = { 0 };
    size_t left;
    int rc;

    while ((rc = remove_instances(backend, &left, &failure)) || left) {
        bool is_late = clock_mono_ms(clock) >= end_ms;
        if (rc == 0 && is_late)
            return err_set(err, ERR_TIMEOUT, "%zu containers are still being removed", left);
        if (rc && (is_late || !left)) { /* nothing is listed: the daemon is away */
            *err = failure;
            return -1;
        }
        failure = (struct err){ 0 };
        usleep(AGAIN_MS * 1000);
    }
    return 0;
}

int controller_stop_all(const struct controller_config *config, struct err *err)
{
    struct controller_program p = { .c.config = config };

    if (open_store(config, &p.c.store, &p.installation, err))
        return -1;
    int rc = open_backend(&p, err) || remove_all(clock_system(), p.backend, err);
    const struct docker_config docker = docker_config_of(config, p.installation);
    rc = rc || remove_networks(p.c.store, p.backend, err) ||
         docker_backend_firewall_remove(&docker, err);
    if (p.backend)
        p.backend->close(p.backend->self);
    store_close(p.c.store);
    free(p.installation);
    return rc ? -1 : 0;
}
