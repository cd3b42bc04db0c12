#include "world.h"

#include <unistd.h>

#include "base/loop.h"
#include "base/work.h"

struct world world;

/* ---- the controller ---- */

static int authorize(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const char *token = NULL, *project = NULL, *repository = NULL, *service = NULL, *peer = NULL;

    (void)call;
    assert_int_equal(json_unpack((json_t *)(uintptr_t)params, "{s:s, s:s, s:s, s:{s:s, s:s}}",
                                 "project", &project, "repository", &repository, "service",
                                 &service, "as", "token", &token, "peer", &peer),
                     0);
    assert_string_equal(peer, "127.0.0.1");
    if (strcmp(token, "good") != 0 && strcmp(token, "reader") != 0)
        return err_set(err, ERR_UNAUTHENTICATED, "no such token");
    if (strcmp(project, "default") != 0 || strcmp(repository, "shop") != 0)
        return err_set(err, ERR_NOT_FOUND, "there is no app %s in project %s", repository, project);
    if (strcmp(token, "reader") == 0 && strcmp(service, "receive-pack") == 0)
        return err_set(err, ERR_DENIED, "this token may only read");
    *result = json_pack("{s:s, s:s, s:s}", "repository", "01REPOSITORY", "path", world.hosted,
                        "name", "shop");
    return 0;
}

static void on_gone(void *arg)
{
    (void)arg;
    world.gone++;
}

/* The pusher of refs/heads/slow goes away before the end. */
static int wait_for_ever(struct rpc_call *call, struct err *err)
{
    rpc_call_on_gone(call, on_gone, NULL);
    while (!rpc_call_is_gone(call) && work_sleep(20))
        ;
    return err_set(err, ERR_STOPPED, "the pusher went away");
}

static int received(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const char *repository = NULL, *ref = NULL, *old = NULL, *new = NULL, *token = NULL;

    world.received++;
    assert_int_equal(json_unpack((json_t *)(uintptr_t)params, "{s:s, s:s, s:s, s:s, s:{s:s}}",
                                 "repository", &repository, "ref", &ref, "old", &old, "new", &new,
                                 "as", "token", &token),
                     0);
    assert_string_equal(repository, "01REPOSITORY");
    assert_string_equal(token, "good");
    if (rpc_call_send(call, json_pack("{s:s, s:i}", "line", "building \x1b[31m3/7", "seq", 1), err))
        return -1;
    if (strcmp(ref, "refs/heads/slow") == 0)
        return wait_for_ever(call, err);
    if (strcmp(ref, "refs/heads/denied") == 0)
        return err_set(err, ERR_DENIED, "this token may not deploy");
    if (world.flaky && world.flaky--)
        return err_set(err, ERR_UNAVAILABLE,
                       "the link is lost"); /* what the caller sees of a restart */
    if (strcmp(ref, "refs/heads/bad") == 0) {
        *result =
            json_pack("{s:b, s:s}", "ok", 0, "message", "build failed: exit code 1\nsee the log");
        return 0;
    }
    if (git_set_ref(world.hosted, ref, strspn(new, "0") == GIT_SHA_LEN ? "" : new, err))
        return -1;
    *result = json_pack("{s:b, s:s}", "ok", 1, "message", "live at http://shop.localhost");
    return 0;
}

static const struct rpc_method methods[] = {
    { "git.authorize", RPC_GATEWAY, RPC_ON_POOL, authorize },
    { "git.received", RPC_GATEWAY, RPC_ON_BULK, received },
};

static bool authenticate(void *arg, enum rpc_kind kind, const char *name, const char *token)
{
    (void)arg;
    (void)kind;
    (void)name;
    (void)token;
    return false; /* over the unix socket nobody asks */
}

/* ---- the gateway ---- */

static bool on_head(struct http_request *request, void *arg)
{
    (void)arg;
    return git_http_is_for(request);
}

static void on_request(struct http_request *request, void *arg)
{
    (void)arg;
    git_http_handle(world.is_cut_off ? world.cut_off : world.git, request);
}

char *world_url(const char *user, const char *path)
{
    return xasprintf("http://%s%s127.0.0.1:%u%s", user, user[0] ? "@" : "",
                     http_server_port(world.server), path);
}

static void run_loop(void *arg)
{
    loop_run(arg);
}

static void stop_all(void *arg)
{
    git_http_stop(world.git);
    git_http_stop(world.cut_off);
    http_server_stop(world.server);
    rpc_client_stop(world.client);
    rpc_server_stop(world.controller);
    loop_stop(arg);
}

static void on_stop(void *arg)
{
    (void)arg;
}

static void start_controller(void)
{
    const struct rpc_server_config config = { .unix_path = world.socket,
                                              .methods = methods,
                                              .method_count = countof(methods),
                                              .pool = world.pool,
                                              .bulk = world.bulk,
                                              .authenticate = authenticate };
    struct err err = { 0 };

    if (rpc_server_start(world.loop, &config, &world.controller, &err))
        fail_msg("%s", err.text);
}

static void start_gateway(void)
{
    struct http_server_config config = { .host = "127.0.0.1",
                                         .head_max = 16384,
                                         .body_max = 1 << 20,
                                         .stream_backlog_max = 1 << 20,
                                         .conns_max = 100,
                                         .request_timeout_s = 30,
                                         .idle_timeout_s = 30,
                                         .head = on_head,
                                         .handler = on_request };
    const struct rpc_client_config link = { .address = world.address,
                                            .kind = RPC_GATEWAY,
                                            .name = "gateway" };
    struct err err = { 0 };

    assert_int_equal(rpc_client_start(world.loop, &link, &world.client, &err), 0);
    struct git_http_config git = { .loop = world.loop,
                                   .controller = world.client,
                                   .controller_address = world.address };
    world.git = git_http_new(&git);
    git.controller_address = "unix:/nonexistent/controller.sock";
    world.cut_off = git_http_new(&git);
    for (config.port = 21260; config.port < 21300; config.port++)
        if (http_server_start(world.loop, &config, &world.server, &err) == 0)
            break;
    assert_non_null(world.server);
}

static void make_hosted(void)
{
    static const char *const names[] = { "pre-receive", "proc-receive" };
    struct err err = { 0 };

    world.hosted = fs_join(world.f->dir, "hosted.git");
    world.hooks = fs_join(world.f->dir, "hooks");
    assert_int_equal(fs_make_dirs(world.hooks, 0755, &err), 0);
    for (size_t i = 0; i < countof(names); i++) {
        auto_free char *link = fs_join(world.hooks, names[i]);
        assert_int_equal(symlink(world.hook_program, link), 0);
    }
    assert_int_equal(git_init_hosted(world.hosted, world.hooks, &err), 0);
}

int world_start(void **state)
{
    fixture_start(state);
    world.f = *state;
    world.socket = fs_join(world.f->dir, "controller.sock");
    world.address = xasprintf("unix:%s", world.socket);
    make_hosted();
    world.loop = loop_new(on_stop, NULL);
    world.pool = pool_start(4, 100);
    world.bulk = pool_start(4, 100);
    start_controller();
    start_gateway();
    world.thread = thread_start(run_loop, world.loop);
    return 0;
}

int world_stop(void **state)
{
    loop_post(world.loop, stop_all, world.loop);
    thread_join(world.thread);
    pool_stop(world.pool);
    pool_stop(world.bulk);
    loop_free(world.loop);
    free(world.hosted);
    free(world.hooks);
    free(world.socket);
    free(world.address);
    return fixture_stop(state);
}
