/* Hosted git as a whole: the real git pushes and clones, through the real server, git http-backend
 * and the hooks; the controller is a real rpc server with the two methods that matter here. */
#include "../git/fixture.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/text.h"
#include "base/work.h"
#include "gateway/git.h"
#include "http/client.h"
#include "rpc/rpc.h"

struct world {
    struct fixture *f;
    char *hosted, *hooks, *socket, *address;
    struct loop *loop;
    struct http_server *server;
    struct pool *pool, *bulk;
    struct rpc_server *controller;
    struct rpc_client *client;
    struct git_http *git,
        *cut_off; /* the hooks of the second look for the controller where none is */
    atomic_bool is_cut_off;
    struct thread *thread;
    atomic_uint received; /* calls of git.received */
    atomic_uint gone;     /* of them, left by the hook */
    atomic_uint flaky;    /* calls that still lose their answer */
};
static struct world world;
static const char *hook_program;

/* ---- the controller
 * ------------------------------------------------------------------------------------------- */

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

/* ---- the gateway
 * ---------------------------------------------------------------------------------------------- */

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

static char *url_of(const char *user, const char *path)
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
        assert_int_equal(symlink(hook_program, link), 0);
    }
    assert_int_equal(git_init_hosted(world.hosted, world.hooks, &err), 0);
}

static int start(void **state)
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

static int stop(void **state)
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

/* ---- the tests
 * ------------------------------------------------------------------------------------------------
 */

static const char shop[] = "/git/default/shop.git";

/* The push's exit code. */
static int push(const char *token, const char *refspec, char **said)
{
    auto_free char *url = url_of(token, shop);

    return fixture_try(world.f->work, said, "push", url, refspec, NULL);
}

static void hosted_ref_is(const char *ref, const char *expected)
{
    char sha[GIT_SHA_LEN + 1] = "";
    struct err err = { 0 };

    git_local_ref(world.hosted, ref, sha, &err);
    assert_string_equal(sha, expected);
}

static void says(const char *said, const char *expected)
{
    if (!strstr(said, expected))
        fail_msg("\"%s\" is not in: %s", expected, said);
}

static char *commit_file(const char *path, const char *text)
{
    fixture_write(world.f, path, text);
    free(fixture_git(world.f->work, "add", "--all", NULL));
    free(fixture_git(world.f->work, "commit", "--quiet", "-m", path, NULL));
    return fixture_git(world.f->work, "rev-parse", "HEAD", NULL);
}

static void a_push_is_shown_and_published(void **state)
{
    auto_free char *said = NULL, *sha = commit_file("a", "1"), *url = url_of("x:reader", shop),
                   *copy = fs_join(world.f->dir, "copy");

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/main", &said), 0);
    says(said, "remote: building  [31m3/7"); /* without the escape */
    says(said, "remote: live at http://shop.localhost");
    says(said, "[new branch]");
    assert_null(strstr(said, "link up")); /* its log is not the pusher's */
    hosted_ref_is("refs/heads/main", sha);
    free(fixture_git(world.f->dir, "clone", "--quiet", url, copy, NULL));
    auto_free char *got = fixture_git(copy, "rev-parse", "HEAD", NULL);
    assert_string_equal(got, sha);
}

static void a_second_and_a_forced_push(void **state)
{
    auto_free char *before = fixture_git(world.f->work, "rev-parse", "HEAD", NULL),
                   *sha = commit_file("a", "2"), *said = NULL, *forced = NULL;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/main", &said), 0);
    hosted_ref_is("refs/heads/main", sha);
    free(fixture_git(world.f->work, "reset", "--quiet", "--hard", before, NULL));
    assert_int_equal(push("x:good", "+HEAD:refs/heads/main", &forced), 0);
    says(forced, "forced update");
    hosted_ref_is("refs/heads/main", before);
}

static void a_rejected_push_says_why_and_moves_nothing(void **state)
{
    auto_free char *bad = NULL, *denied = NULL;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/bad", &bad), 1);
    says(bad, "[remote rejected] HEAD -> bad (build failed: exit code 1 see the log)");
    hosted_ref_is("refs/heads/bad", "");
    assert_int_equal(push("x:good", "HEAD:refs/heads/denied", &denied), 1);
    says(denied, "(this token may not deploy)");
}

static void branches_of_one_push_are_answered_each(void **state)
{
    auto_free char *url = url_of("x:good", shop), *said = NULL, *atomic = NULL,
                   *sha = fixture_git(world.f->work, "rev-parse", "HEAD", NULL);

    (void)state;
    assert_int_equal(fixture_try(world.f->work, &said, "push", url, "HEAD:refs/heads/bad",
                                 "HEAD:refs/heads/fine", NULL),
                     1);
    says(said, "HEAD -> bad (build failed");
    hosted_ref_is("refs/heads/fine", sha);
    assert_int_equal(fixture_try(world.f->work, &atomic, "push", "--atomic", url,
                                 "HEAD:refs/heads/one", "HEAD:refs/heads/two", NULL),
                     1);
    hosted_ref_is("refs/heads/one", "");
    hosted_ref_is("refs/heads/two", "");
}

static void a_wrong_spec_is_refused_before_anything(void **state)
{
    auto_free char *sha = commit_file("evenkeel.yaml",
                                      "app: shop\nprocesses:\n  web:\n    replcas: 2\n"),
                   *said = NULL;
    unsigned calls = world.received;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/wrong", &said), 1);
    says(said, "remote: evenkeel.yaml:4:");
    says(said, "replicas"); /* the nearest */
    says(said, "pre-receive hook declined");
    assert_int_equal(world.received, calls);
    hosted_ref_is("refs/heads/wrong", "");
    free(sha);
    sha = commit_file("evenkeel.yaml", "app: shop\n");
}

static void a_spec_that_is_a_link_is_refused(void **state)
{
    auto_free char *file = fs_join(world.f->work, "Procfile"), *said = NULL;

    (void)state;
    assert_int_equal(symlink("/etc/passwd", file), 0);
    free(fixture_git(world.f->work, "add", "--all", NULL));
    free(fixture_git(world.f->work, "commit", "--quiet", "-m", "link", NULL));
    assert_int_equal(push("x:good", "HEAD:refs/heads/wrong", &said), 1);
    says(said, "Procfile is a link");
    free(fixture_git(world.f->work, "reset", "--quiet", "--hard", "HEAD~1", NULL));
}

static void a_branch_is_deleted_by_the_controller(void **state)
{
    auto_free char *first = NULL, *second = NULL;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/old", &first), 0);
    assert_int_equal(push("x:good", ":refs/heads/old", &second), 0);
    says(second, "[deleted]");
    hosted_ref_is("refs/heads/old", "");
}

static void tags_go_the_ordinary_way(void **state)
{
    auto_free char *sha = fixture_git(world.f->work, "rev-parse", "HEAD", NULL), *said = NULL,
                   *hidden = NULL;
    unsigned calls = world.received;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/tags/v1", &said), 0);
    hosted_ref_is("refs/tags/v1", sha);
    assert_int_equal(world.received, calls);
    assert_int_equal(push("x:good", "HEAD:refs/evenkeel/x", &hidden), 1);
    hosted_ref_is("refs/evenkeel/x", "");
}

static void an_interrupted_call_is_asked_again(void **state)
{
    auto_free char *sha = commit_file("a", "3"), *said = NULL;
    unsigned calls = world.received;

    (void)state;
    world.flaky = 2;
    assert_int_equal(push("x:good", "HEAD:refs/heads/main", &said), 0);
    assert_int_equal(world.received, calls + 3);
    hosted_ref_is("refs/heads/main", sha);
}

static void a_controller_that_is_away(void **state)
{
    auto_free char *said = NULL;

    (void)state;
    world.is_cut_off = true;
    int rc = push("x:good", "HEAD:refs/heads/away", &said);
    world.is_cut_off = false;
    assert_int_equal(rc, 1);
    says(said, "(the controller is away, nothing was changed; push again)");
    hosted_ref_is("refs/heads/away", "");
}

static void a_push_past_the_gateway_is_refused(void **state)
{
    auto_free char *said = NULL;

    (void)state;
    assert_int_equal(
        fixture_try(world.f->work, &said, "push", world.hosted, "HEAD:refs/heads/past", NULL), 1);
    says(said, "pushed over HTTP");
    hosted_ref_is("refs/heads/past", "");
}

static pid_t start_push(const char *refspec)
{
    auto_free char *url = url_of("x:good", shop);
    char *argv[] = { (char *)(uintptr_t) "git",
                     (char *)(uintptr_t) "-C",
                     world.f->work,
                     (char *)(uintptr_t) "push",
                     (char *)(uintptr_t) "--quiet",
                     url,
                     (char *)(uintptr_t)refspec,
                     NULL };
    posix_spawnattr_t attr;
    pid_t pid;

    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attr, 0);
    assert_int_equal(posix_spawnp(&pid, "git", NULL, &attr, argv, environ), 0);
    posix_spawnattr_destroy(&attr);
    return pid;
}

static void wait_until(const atomic_uint *count, unsigned value)
{
    int64_t begun_ms = clock_mono_ms(clock_system());

    while (*count < value) {
        if (clock_mono_ms(clock_system()) - begun_ms > 20000)
            fail_msg("nothing happened for 20 s");
        work_sleep(20);
    }
}

static void a_pusher_that_goes_away_ends_the_hook(void **state)
{
    unsigned calls = world.received;
    pid_t pid = start_push("HEAD:refs/heads/slow");

    (void)state;
    wait_until(&world.received, calls + 1);
    assert_int_equal(kill(-pid, SIGKILL), 0);
    waitpid(pid, NULL, 0);
    wait_until(&world.gone, 1);
}

static void who_may_what(void **state)
{
    static const struct {
        const char *user, *path, *refspec, *says;
    } cases[] = {
        { "", "/git/default/shop.git", "HEAD:refs/heads/main", "could not read Username" },
        { "x:wrong", "/git/default/shop.git", "HEAD:refs/heads/main", "Authentication failed" },
        { "x:reader", "/git/default/shop.git", "HEAD:refs/heads/main", "403" },
        { "x:good", "/git/default/other.git", "HEAD:refs/heads/main", "not found" },
        { "x:good", "/git/other/shop.git", "HEAD:refs/heads/main", "not found" },
        { "x:good", "/git/default/SHOP.git", "HEAD:refs/heads/main", "not found" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *url = url_of(cases[i].user, cases[i].path), *said = NULL;
        assert_int_not_equal(fixture_try(world.f->work, &said, "push", url, cases[i].refspec, NULL),
                             0);
        says(said, cases[i].says);
    }
}

static long status_of(const char *method, const char *path, const char *header)
{
    const char *const headers[] = { header, NULL };
    auto_http_client *client = http_client_new(NULL);
    auto_http_answer answer = { 0 };
    auto_free char *url = url_of("", path);
    const struct http_call call = {
        .method = method, .url = url, .headers = headers, .timeout_ms = 20000
    };
    struct err err = { 0 };

    if (http_client_run(client, &call, &answer, &err))
        fail_msg("%s %s: %s", method, path, err.text);
    return answer.status;
}

static void only_the_smart_protocol_is_served(void **state)
{
    static const struct {
        const char *method, *path;
        long status;
    } cases[] = {
        { "GET", "/git/default/shop.git/info/refs?service=git-upload-pack", 200 },
        { "GET", "/git/default/shop.git/info/refs?service=git-receive-pack", 200 },
        { "GET", "/git/default/shop.git/info/refs", 403 },
        { "GET", "/git/default/shop.git/info/refs?service=git-upload-archive", 403 },
        { "GET", "/git/default/shop.git/HEAD", 403 },
        { "GET", "/git/default/shop.git/objects/info/packs", 403 },
        { "GET", "/git/default/shop.git/config", 403 },
        { "GET", "/git/default/shop.git/objects/..%2f..%2fconfig", 403 },
        { "GET", "/git/default/shop.git", 404 },
        { "GET", "/git/default/%73hop.git/info/refs?service=git-upload-pack", 404 },
        { "GET", "/git/../shop.git/info/refs?service=git-upload-pack", 404 },
        { "GET", "/git//shop.git/info/refs?service=git-upload-pack", 404 },
        { "GET", "/git/", 404 },
        { "POST", "/git/default/shop.git/git-upload-pack", 403 }, /* without its type */
        { "DELETE", "/git/default/shop.git/git-upload-pack", 403 },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        long status = status_of(cases[i].method, cases[i].path, "Authorization: Bearer good");
        if (status != cases[i].status)
            fail_msg("%s %s: %ld", cases[i].method, cases[i].path, status);
    }
    assert_int_equal(status_of("GET", cases[0].path, "X: y"), 401);
    assert_int_equal(status_of("GET", cases[0].path, "Authorization: Basic !!!"), 401);
    assert_int_equal(status_of("GET", cases[0].path, "Authorization: Bearer \xff"), 401);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_push_is_shown_and_published),
        cmocka_unit_test(a_second_and_a_forced_push),
        cmocka_unit_test(a_rejected_push_says_why_and_moves_nothing),
        cmocka_unit_test(branches_of_one_push_are_answered_each),
        cmocka_unit_test(a_wrong_spec_is_refused_before_anything),
        cmocka_unit_test(a_spec_that_is_a_link_is_refused),
        cmocka_unit_test(a_branch_is_deleted_by_the_controller),
        cmocka_unit_test(tags_go_the_ordinary_way),
        cmocka_unit_test(an_interrupted_call_is_asked_again),
        cmocka_unit_test(a_controller_that_is_away),
        cmocka_unit_test(a_push_past_the_gateway_is_refused),
        cmocka_unit_test(a_pusher_that_goes_away_ends_the_hook),
        cmocka_unit_test(who_may_what),
        cmocka_unit_test(only_the_smart_protocol_is_served),
    };

    if (argc != 2)
        return 2;
    hook_program = argv[1];
    return cmocka_run_group_tests(tests, start, stop);
}
