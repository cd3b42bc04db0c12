/* The first token, got over a real link from a server that has only tokens.create. */
#include "cmd/cli/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cmd/cli/server.h"
#include "rpc/rpc.h"

enum { LOOK_MS = 20, LOOKS_MAX = 1000 };

struct fixture {
    char dir[32];
    struct installation in;
    struct loop *loop;
    struct pool *pool;
    struct rpc_server *server;
    struct admin *admin;
    uv_timer_t look;
    int looks;
    int calls;    /* pool thread; read when the pool has stopped */
    int failures; /* so many first calls fail */
    char *taken;  /* a name that is refused */
};

static int create(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct fixture *f = rpc_call_arg(call);
    const char *name = json_string_value(json_object_get(params, "name"));

    if (f->calls++ < f->failures)
        return err_set(err, ERR_UNAVAILABLE, "just starting");
    if (!json_is_null(json_object_get(params, "as")) || !name)
        return err_set(err, ERR_INVALID, "as must be null");
    if (f->taken && strcmp(name, f->taken) == 0)
        return err_set(err, ERR_EXISTS, "there is a token admin");
    *result = json_pack("{s:s, s:s, s:s}", "id", "1", "name", name, "token", "ek_secret");
    return 0;
}

static const struct rpc_method methods[] = { { "tokens.create", RPC_CLI, RPC_ON_POOL, create } };

static void stop(void *arg)
{
    (void)arg;
}

/* Ends the loop when the login is there. */
static void on_look(uv_timer_t *timer)
{
    struct fixture *f = container_of(timer, struct fixture, look);
    auto_free char *path = server_path();

    if (!fs_exists(path) && ++f->looks < LOOKS_MAX)
        return;
    admin_stop(f->admin);
    rpc_server_stop(f->server);
    uv_close((uv_handle_t *)timer, NULL);
    loop_stop(f->loop);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);

    memcpy(f->dir, "/tmp/admin-XXXXXX", 18);
    assert_non_null(mkdtemp(f->dir));
    setenv("XDG_CONFIG_HOME", f->dir, 1);
    f->in.api_url = xstrdup("http://127.0.0.1:1");
    f->in.token_path = xasprintf("%s/token", f->dir);
    f->in.controller_socket = xasprintf("%s/sock", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    fs_remove_tree(f->dir, &err);
    free(f->in.api_url);
    free(f->in.token_path);
    free(f->in.controller_socket);
    free(f);
    return 0;
}

static void run(struct fixture *f)
{
    struct err err = { 0 };

    f->loop = loop_new(stop, NULL);
    f->pool = pool_start(1, 10);
    struct rpc_server_config config = { .unix_path = f->in.controller_socket,
                                        .methods = methods,
                                        .method_count = 1,
                                        .arg = f,
                                        .pool = f->pool,
                                        .bulk = f->pool };
    assert_int_equal(rpc_server_start(f->loop, &config, &f->server, &err), 0);
    f->admin = admin_start(f->loop, &f->in);
    uv_timer_init(loop_uv(f->loop), &f->look);
    uv_timer_start(&f->look, on_look, LOOK_MS, LOOK_MS);
    loop_run(f->loop);
    pool_stop(f->pool);
    loop_free(f->loop);
}

static void assert_logged_in(struct fixture *f)
{
    auto_server *server = NULL;
    auto_free char *token = NULL;
    struct err err = { 0 };
    struct stat info;

    assert_int_equal(fs_read(f->in.token_path, 100, &token, NULL, &err), 0);
    assert_string_equal(token, "ek_secret\n");
    assert_int_equal(stat(f->in.token_path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(server_read(&server, &err), 0);
    assert_string_equal(server->url, "http://127.0.0.1:1");
    assert_string_equal(server->token, "ek_secret");
}

static void test_gets_the_first_token(void **state)
{
    struct fixture *f = *state;

    run(f);
    assert_int_equal(f->calls, 1);
    assert_logged_in(f);
}

static void test_asks_again_after_a_failure(void **state)
{
    struct fixture *f = *state;

    f->failures = 1;
    run(f);
    assert_int_equal(f->calls, 2);
    assert_logged_in(f);
}

static void test_takes_another_name_when_the_first_is_taken(void **state)
{
    struct fixture *f = *state;

    f->taken = (char[]){ "admin" };
    run(f);
    assert_int_equal(f->calls, 2);
    assert_logged_in(f);
}

static void test_asks_for_nothing_when_there_is_one(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    assert_int_equal(fs_write(f->in.token_path, "ek_secret\n", 10, 0600, &err), 0);
    run(f);
    assert_int_equal(f->calls, 0);
    assert_logged_in(f);
}

static void test_leaves_the_login_for_another_server(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    auto_server *other = server_new("https://elsewhere.example", "theirs", "default"),
                *after = NULL;

    assert_int_equal(server_write(other, &err), 0);
    admin_log_in(&f->in, "ek_secret");
    assert_int_equal(server_read(&after, &err), 0);
    assert_string_equal(after->token, "theirs");
    auto_free char *path = server_path();
    assert_int_equal(chmod(path, 0644), 0);
    auto_server *open = NULL;
    assert_int_equal(server_read(&open, &err), -1); /* others could read the token */
    assert_int_equal(err.class, ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gets_the_first_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asks_again_after_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takes_another_name_when_the_first_is_taken, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_asks_for_nothing_when_there_is_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leaves_the_login_for_another_server, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
