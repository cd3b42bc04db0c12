/* The whole gateway between an HTTP client and a controller made of lib/rpc and a few methods. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/work.h"
#include "gateway/gateway.h"
#include "http/client.h"

struct rig {
    char *dir, *address;
    struct pool *pool, *bulk;
    struct loop *loop;
    struct thread *thread;
    struct rpc_server *controller;
    struct gateway *gateway;
    struct gateway_config config;
    uint16_t port;
    atomic_int calls, gone;
};

/* ---- the controller ---- */

static int give_params(struct rpc_call *call, const json_t *params, json_t **result,
                       struct err *err)
{
    struct rig *rig = rpc_call_arg(call);

    (void)err;
    rig->calls++;
    *result = json_deep_copy(params);
    json_object_set_new(*result, "etag", json_string("7"));
    return 0;
}

static int fail_by_name(struct rpc_call *call, const json_t *params, json_t **result,
                        struct err *err)
{
    const char *app = json_string_value(json_object_get(params, "app"));

    (void)call;
    (void)result;
    err_set(err, err_class_of(app), "what happened");
    snprintf(err->field, sizeof err->field, "app");
    return err_hint(err, "what to do");
}

static void on_gone(void *arg)
{
    struct rpc_call *call = arg;

    ((struct rig *)rpc_call_arg(call))->gone++;
    rpc_call_unref(call);
}

static int never(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    (void)params;
    (void)result;
    (void)err;
    ((struct rig *)rpc_call_arg(call))->calls++;
    rpc_call_on_gone(rpc_call_ref(call), on_gone, call);
    return RPC_LATER;
}

/* Three events after `after`, and then nothing. */
static int follow_events(struct rpc_call *call, const json_t *params, json_t **result,
                         struct err *err)
{
    int after = (int)json_integer_value(json_object_get(params, "after"));

    for (int i = 1; i <= 3; i++)
        if (rpc_call_send(call, json_pack("{s:i, s:s}", "seq", after + i, "kind", "Test"), err))
            return -1;
    return never(call, params, result, err);
}

static int give_log(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    int offset = (int)json_integer_value(json_object_get(params, "offset"));

    if (rpc_call_send(call, json_pack("{s:i, s:s}", "offset", offset + 3, "text", "abc"), err))
        return -1;
    *result = json_pack("{s:s}", "state", "succeeded");
    return 0;
}

/* Until nobody wants it any more. */
static int pour_lines(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_free char *line = xcalloc(10001, 1);

    (void)params;
    (void)result;
    memset(line, 'x', 10000);
    for (int i = 1;; i++)
        if (rpc_call_send(call, json_pack("{s:i, s:s}", "seq", i, "line", line), err)) {
            ((struct rig *)rpc_call_arg(call))->gone++;
            return -1;
        }
}

static const struct rpc_method methods[] = {
    { "apps.create", RPC_GATEWAY, RPC_ON_POOL, give_params },
    { "apps.delete", RPC_GATEWAY, RPC_ON_POOL, give_params },
    { "apps.explain", RPC_GATEWAY, RPC_ON_POOL, never },
    { "apps.follow", RPC_GATEWAY, RPC_ON_BULK, pour_lines },
    { "apps.get", RPC_GATEWAY, RPC_ON_POOL, give_params },
    { "apps.logs", RPC_GATEWAY, RPC_ON_POOL, fail_by_name },
    { "apps.update", RPC_GATEWAY, RPC_ON_POOL, fail_by_name },
    { "builds.log", RPC_GATEWAY, RPC_ON_POOL, give_log },
    { "events.follow", RPC_GATEWAY, RPC_ON_POOL, follow_events },
    { "hooks.receive", RPC_GATEWAY, RPC_ON_POOL, give_params },
    { "system.info", RPC_GATEWAY, RPC_ON_POOL, give_params },
    { "tokens.delete", RPC_GATEWAY, RPC_ON_POOL, give_params },
};

static void start_controller(struct rig *rig)
{
    struct err err = { .class = ERR_NONE };
    const struct rpc_server_config config = {
        .unix_path = rig->address + strlen("unix:"),
        .methods = methods,
        .method_count = countof(methods),
        .arg = rig,
        .pool = rig->pool,
        .bulk = rig->bulk,
    };

    if (rpc_server_start(rig->loop, &config, &rig->controller, &err))
        fail_msg("%s", err.text);
}

static void stop_controller(struct rig *rig)
{
    rpc_server_stop(take(&rig->controller));
}

/* ---- the rig ---- */

static void ignore(void *arg)
{
    (void)arg;
}

static void run_loop(void *arg)
{
    loop_run(((struct rig *)arg)->loop);
}

static void start_all(struct rig *rig)
{
    struct err err = { .class = ERR_NONE };
    auto_free char *name = secret_new("/tmp/gateway-test-");

    rig->dir = take(&name);
    assert_int_equal(fs_make_dirs(rig->dir, 0700, &err), 0);
    rig->address = xasprintf("unix:%s/link", rig->dir);
    rig->pool = pool_start(4, 100);
    rig->bulk = pool_start(2, 100);
    rig->loop = loop_new(ignore, NULL);
    assert_int_equal(conf_read(NULL, gateway_conf_keys, gateway_conf_count, &rig->config, &err), 0);
    free(rig->config.controller_address);
    rig->config.controller_address = xstrdup(rig->address);
    rig->config.listen_port = 0;
    start_controller(rig);
    if (gateway_start(rig->loop, &rig->config, &rig->gateway, &err))
        fail_msg("%s", err.text);
    rig->port = http_server_port(rig->gateway->http);
    rig->thread = thread_start(run_loop, rig);
}

static void stop_on_loop(void *arg)
{
    struct rig *rig = arg;

    gateway_stop(rig->gateway);
    if (rig->controller)
        stop_controller(rig);
    loop_stop(rig->loop);
}

static void stop_all(struct rig *rig)
{
    struct err err = { .class = ERR_NONE };

    loop_post(rig->loop, stop_on_loop, rig);
    thread_join(rig->thread);
    pool_stop(rig->pool);
    pool_stop(rig->bulk);
    gateway_free(rig->gateway);
    loop_free(rig->loop);
    conf_done(gateway_conf_keys, gateway_conf_count, &rig->config);
    fs_remove_tree(rig->dir, &err);
    free(rig->dir);
    free(rig->address);
}
#define auto_rig __attribute__((__cleanup__(stop_all))) struct rig

struct errand {
    void (*fn)(struct rig *rig);
    struct rig *rig;
    atomic_int done;
};

static int wait_for(atomic_int *counter, int n)
{
    for (int i = 0; i < 1000 && *counter < n; i++)
        usleep(10000);
    return *counter;
}

static void run_errand(void *arg)
{
    struct errand *e = arg;

    e->fn(e->rig);
    e->done = 1;
}

static void on_loop(struct rig *rig, void (*fn)(struct rig *rig))
{
    struct errand e = { .fn = fn, .rig = rig };

    loop_post(rig->loop, run_errand, &e);
    assert_int_equal(wait_for(&e.done, 1), 1);
}

/* ---- asking ---- */

struct asked {
    struct http_answer answer;
    json_t *json;
};

static void asked_done(struct asked *a)
{
    http_answer_done(&a->answer);
    json_decref(a->json);
}
#define auto_asked __attribute__((__cleanup__(asked_done))) struct asked

/* `extra` is one more header or NULL. */
static struct asked ask(struct rig *rig, const char *method, const char *path, const char *body,
                        const char *extra)
{
    auto_http_client *client = http_client_new(NULL);
    auto_free char *url = xasprintf("http://127.0.0.1:%u%s", rig->port, path);
    const char *const headers[] = { "Authorization: Bearer t", extra, NULL };
    struct err err = { .class = ERR_NONE };
    struct asked a = { .json = NULL };
    const struct http_call call = { .method = method,
                                    .url = url,
                                    .headers = headers,
                                    .body = body,
                                    .body_len = body ? strlen(body) : 0,
                                    .timeout_ms = 30000 };

    if (http_client_run(client, &call, &a.answer, &err))
        fail_msg("%s", err.text);
    a.json = json_loadb(a.answer.body, a.answer.len, 0, NULL);
    return a;
}

static const char *text_of(const struct asked *a, const char *name)
{
    const char *text = json_string_value(json_object_get(a->json, name));

    return text ? text : "";
}

/* ---- calls ---- */

static void test_call(void **state)
{
    auto_rig rig = { .port = 0 };
    (void)state;

    start_all(&rig);
    auto_asked a =
        ask(&rig, "GET", "/api/v1/projects/p/apps/a%20b?limit=3&x=y", NULL, "If-Match: \"4\"");
    assert_int_equal(a.answer.status, 200);
    assert_string_equal(a.answer.content_type, "application/json");
    auto_free char *got = json_dumps(a.json, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        got,
        "{\"app\":\"a b\",\"as\":{\"token\":\"t\"},\"etag\":\"7\",\"if_generation\":4,\"limit\":3,"
        "\"peer\":\"127.0.0.1\",\"project\":\"p\",\"x\":\"y\"}");
    auto_free char *etag = http_answer_header(&a.answer, "ETag");
    auto_free char *sniff = http_answer_header(&a.answer, "X-Content-Type-Options");
    auto_free char *cache = http_answer_header(&a.answer, "Cache-Control");
    assert_string_equal(etag, "\"7\"");
    assert_string_equal(sniff, "nosniff");
    assert_string_equal(cache, "no-store");
}

static void test_statuses(void **state)
{
    static const struct {
        const char *method, *path, *body;
        int status;
    } cases[] = {
        { "POST", "/api/v1/projects/p/apps", "{\"app\":\"x\"}", 201 },
        { "DELETE", "/api/v1/projects/p/apps/x", NULL, 202 },
        { "DELETE", "/api/v1/tokens/x", NULL, 204 },
        { "HEAD", "/api/v1/projects/p/apps/x", NULL, 200 },
        { "GET", "/api/v1/nothing", NULL, 404 },
        { "PUT", "/api/v1/projects/p/apps/x", "{}", 405 },
        { "POST", "/api/v1/projects/p/apps", "{", 400 },
        { "POST", "/api/v1/projects/p/apps", "[]", 400 },
        { "GET", "/api/v1/projects/p/apps/x?limit=many", NULL, 400 },
        { "GET", "/api/v1/tokens", NULL, 501 }, /* this controller has no such method */
        { "PATCH", "/api/v1/projects/p/apps/not_found", "{}", 404 },
        { "PATCH", "/api/v1/projects/p/apps/already_exists", "{}", 409 },
        { "PATCH", "/api/v1/projects/p/apps/failed_precondition", "{}", 409 },
        { "PATCH", "/api/v1/projects/p/apps/unauthenticated", "{}", 401 },
        { "PATCH", "/api/v1/projects/p/apps/permission_denied", "{}", 403 },
        { "PATCH", "/api/v1/projects/p/apps/resource_exhausted", "{}", 429 },
        { "PATCH", "/api/v1/projects/p/apps/unavailable", "{}", 503 },
        { "PATCH", "/api/v1/projects/p/apps/internal", "{}", 500 },
    };
    auto_rig rig = { .port = 0 };
    (void)state;

    start_all(&rig);
    for (size_t i = 0; i < countof(cases); i++) {
        auto_asked a = ask(&rig, cases[i].method, cases[i].path, cases[i].body, NULL);
        if (a.answer.status != cases[i].status)
            fail_msg("%s %s: %ld %s", cases[i].method, cases[i].path, a.answer.status,
                     a.answer.body);
        if (cases[i].status >= 400) {
            assert_string_equal(a.answer.content_type, "application/problem+json");
            assert_int_equal(json_integer_value(json_object_get(a.json, "status")),
                             cases[i].status);
            assert_int_equal(strlen(text_of(&a, "id")), 26);
        }
    }
}

static void test_problems(void **state)
{
    auto_rig rig = { .port = 0 };
    (void)state;

    start_all(&rig);
    auto_asked a = ask(&rig, "PATCH", "/api/v1/projects/p/apps/not_found", NULL, NULL);
    assert_string_equal(text_of(&a, "code"), "not_found");
    assert_string_equal(text_of(&a, "detail"), "what happened");
    assert_string_equal(text_of(&a, "field"), "app");
    assert_string_equal(text_of(&a, "hint"), "what to do");
    auto_asked b =
        ask(&rig, "PATCH", "/api/v1/projects/p/apps/failed_precondition", NULL, "If-Match: \"1\"");
    assert_int_equal(b.answer.status, 412);
    auto_asked c = ask(&rig, "PUT", "/api/v1/projects", NULL, NULL);
    auto_free char *allow = http_answer_header(&c.answer, "Allow");
    assert_string_equal(allow, "GET, POST");
    auto_asked d = ask(&rig, "PATCH", "/api/v1/projects/p/apps/internal", NULL, NULL);
    assert_null(strstr(d.answer.body, "what happened"));
    auto_asked e = ask(&rig, "GET", "/api/v1/projects/p/apps/x", NULL, "Authorization: Digest x");
    assert_int_equal(e.answer.status, 200); /* the first header counts */
}

static void test_token_is_needed(void **state)
{
    auto_rig rig = { .port = 0 };
    auto_http_client *client = http_client_new(NULL);
    struct err err = { .class = ERR_NONE };
    auto_http_answer a = { .status = 0 }, b = { .status = 0 }, c = { .status = 0 };
    (void)state;

    start_all(&rig);
    auto_free char *app = xasprintf("http://127.0.0.1:%u/api/v1/projects/p/apps/a", rig.port);
    auto_free char *info = xasprintf("http://127.0.0.1:%u/api/v1/system", rig.port);
    struct http_call call = { .method = "GET", .url = app, .timeout_ms = 5000 };
    assert_int_equal(http_client_run(client, &call, &a, &err), 0);
    assert_int_equal(a.status, 401);
    auto_free char *login = http_answer_header(&a, "WWW-Authenticate");
    assert_string_equal(login, "Bearer realm=\"evenkeel\"");
    assert_int_equal(rig.calls, 0);
    call.url = info;
    assert_int_equal(http_client_run(client, &call, &b, &err), 0);
    assert_int_equal(b.status, 200);
    assert_non_null(strstr(b.body, "\"token\":null"));
    call = (struct http_call){
        .method = "GET", .url = app, .user = "u", .password = "secret", .timeout_ms = 5000
    };
    assert_int_equal(http_client_run(client, &call, &c, &err), 0);
    assert_non_null(strstr(c.body, "\"token\":\"secret\""));
}

static void test_request_above_a_frame(void **state)
{
    auto_rig rig = { .port = 0 };
    auto_free char *body = xcalloc(1 << 20, 1);
    (void)state;

    start_all(&rig);
    memset(body, '"', (1 << 20) - 1); /* escaped, that is twice as much */
    auto_asked a = ask(&rig, "POST", "/api/v1/hooks/r", body, "X-Hub-Signature-256: sha256=00");
    assert_int_equal(a.answer.status, 413);
    assert_string_equal(text_of(&a, "code"), "resource_exhausted");
}

static void test_body_too_large(void **state)
{
    auto_rig rig = { .port = 0 };
    auto_free char *body = xcalloc((2 << 20) + 1, 1);
    (void)state;

    start_all(&rig);
    memset(body, 'a', 2 << 20);
    auto_asked a = ask(&rig, "POST", "/api/v1/hooks/r", body, "X-Hub-Signature-256: sha256=00");
    assert_int_equal(a.answer.status, 413);
    assert_string_equal(text_of(&a, "code"), "resource_exhausted");
}

static void test_hook(void **state)
{
    auto_rig rig = { .port = 0 };
    (void)state;

    start_all(&rig);
    auto_asked a = ask(&rig, "POST", "/api/v1/hooks/R1?body=forged", "{ \"ref\":  1 }\n",
                       "X-Hub-Signature-256: sha256=ab");
    assert_int_equal(a.answer.status, 202);
    assert_string_equal(text_of(&a, "repository"), "R1");
    assert_string_equal(text_of(&a, "body"), "{ \"ref\":  1 }\n"); /* as sent, to the byte */
    assert_string_equal(text_of(&a, "signature"), "sha256=ab");
    assert_string_equal(text_of(&a, "event"), "push");
    assert_true(json_is_null(json_object_get(json_object_get(a.json, "as"), "token")));
    auto_asked b = ask(&rig, "POST", "/api/v1/hooks/R1", "{}", NULL);
    assert_int_equal(b.answer.status, 401);
    auto_asked c = ask(&rig, "POST", "/api/v1/hooks/R1", "\xff", "X-Evenkeel-Signature: sha256=ab");
    assert_int_equal(c.answer.status, 400);
}

/* ---- events ---- */

/* A client that reads until it has seen `until`, and then goes away. */
struct watcher {
    struct rig *rig;
    const char *path, *until;
    const char *headers[4];
    char *text;
    size_t len;
    atomic_int seen;
    int status;
};

static int on_bytes(void *arg, const void *data, size_t len, struct err *err)
{
    struct watcher *w = arg;

    w->text = xreallocarray(w->text, w->len + len + 1, 1);
    memcpy(w->text + w->len, data, len);
    w->len += len;
    w->text[w->len] = '\0';
    if (!w->until || !strstr(w->text, w->until))
        return 0;
    return err_set(err, ERR_STOPPED, "seen");
}

static void watch(void *arg)
{
    struct watcher *w = arg;
    auto_http_client *client = http_client_new(NULL);
    auto_free char *url = xasprintf("http://127.0.0.1:%u%s", w->rig->port, w->path);
    auto_http_answer answer = { .status = 0 };
    struct err err = { .class = ERR_NONE };
    const struct http_call call = { .method = "GET",
                                    .url = url,
                                    .headers = w->headers,
                                    .timeout_ms = 30000,
                                    .write = on_bytes,
                                    .arg = w };

    http_client_run(client, &call, &answer, &err);
    w->status = (int)answer.status;
    w->seen = 1;
}

#define WATCHER(r, p, u)                                    \
    {                                                       \
        .rig = (r), .path = (p), .until = (u), .headers = { \
            "Authorization: Bearer t",                      \
            "Accept: text/event-stream"                     \
        }                                                   \
    }

static void test_events(void **state)
{
    auto_rig rig = { .port = 0 };
    struct watcher w = WATCHER(&rig, "/api/v1/projects/p/apps/a/events?after=4", "\"seq\":7");
    (void)state;

    start_all(&rig);
    watch(&w);
    assert_non_null(strstr(w.text, "id: 5\ndata: {\"seq\":5,\"kind\":\"Test\"}\n\nid: 6\n"));
    free(w.text);
    assert_int_equal(wait_for(&rig.gone, 1), 1); /* the client went away: the call is cancelled */
}

static void test_events_are_resumed(void **state)
{
    auto_rig rig = { .port = 0 };
    struct watcher w = WATCHER(&rig, "/api/v1/projects/p/events?after=4", "\"seq\":103");
    (void)state;

    w.headers[2] = "Last-Event-ID: 100";
    start_all(&rig);
    watch(&w);
    assert_non_null(strstr(w.text, "id: 101\n"));
    assert_null(strstr(w.text, "id: 5\n"));
    free(w.text);
}

static void test_events_end(void **state)
{
    auto_rig rig = { .port = 0 };
    struct watcher w = WATCHER(&rig, "/api/v1/builds/b/log?offset=2", NULL);
    (void)state;

    start_all(&rig);
    watch(&w);
    assert_int_equal(w.status, 200);
    assert_string_equal(w.text, "id: 5\ndata: {\"offset\":5,\"text\":\"abc\"}\n\nevent: end\ndata: "
                                "{\"state\":\"succeeded\"}\n\n");
    free(w.text);
}

static void test_events_that_fail_at_once(void **state)
{
    auto_rig rig = { .port = 0 };
    (void)state;

    start_all(&rig);
    auto_asked a = ask(&rig, "GET", "/api/v1/projects/p/apps/not_found/logs", NULL, NULL);
    assert_int_equal(a.answer.status, 404);
    assert_string_equal(text_of(&a, "code"), "not_found");
}

static void test_heartbeat(void **state)
{
    auto_rig rig = { .port = 0 };
    struct watcher w = WATCHER(&rig, "/api/v1/projects/p/apps/a/events", ": still here\n\n");
    (void)state;

    start_all(&rig);
    int64_t begin = clock_mono_ms(clock_system());
    watch(&w);
    assert_non_null(strstr(w.text, "\"seq\":3,\"kind\":\"Test\"}\n\n: still here"));
    free(w.text);
    assert_in_range(clock_mono_ms(clock_system()) - begin, 14000, 18000);
}

static void test_client_of_a_call_goes_away(void **state)
{
    auto_rig rig = { .port = 0 };
    auto_http_client *client = http_client_new(NULL);
    static const char *const headers[] = { "Authorization: Bearer t", NULL };
    auto_http_answer answer = { .status = 0 };
    struct err err = { .class = ERR_NONE };
    (void)state;

    start_all(&rig);
    auto_free char *url =
        xasprintf("http://127.0.0.1:%u/api/v1/projects/p/apps/a/explain", rig.port);
    const struct http_call call = {
        .method = "GET", .url = url, .headers = headers, .timeout_ms = 500
    };
    assert_int_equal(http_client_run(client, &call, &answer, &err), -1);
    assert_int_equal(rig.calls, 1);
    assert_int_equal(wait_for(&rig.gone, 1), 1);
}

/* It reads nothing: the backlog fills, the client is dropped, the call cancelled. */
static void test_slow_watcher_is_dropped(void **state)
{
    auto_rig rig = { .port = 0 };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    static const char request[] = "GET /api/v1/projects/p/apps/a/follow HTTP/1.1\r\nHost: "
                                  "x\r\nAuthorization: Bearer t\r\n\r\n";
    int small = 8192;
    (void)state;

    start_all(&rig);
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    to.sin_port = htons(rig.port);
    assert_return_code(connect(fd, (struct sockaddr *)&to, sizeof to), errno);
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    assert_int_equal(wait_for(&rig.gone, 1), 1);
    auto_asked a =
        ask(&rig, "GET", "/api/v1/projects/p/apps/x", NULL, NULL); /* nobody else minds */
    assert_int_equal(a.answer.status, 200);
}

/* ---- a controller that restarts ---- */

static void start_again(void *arg)
{
    usleep(700000);
    on_loop(arg, start_controller);
}

static void test_call_waits_for_the_controller(void **state)
{
    auto_rig rig = { .port = 0 };
    (void)state;

    start_all(&rig);
    on_loop(&rig, stop_controller);
    struct thread *thread = thread_start(start_again, &rig);
    auto_asked a = ask(&rig, "POST", "/api/v1/projects/p/apps", "{}", NULL);
    assert_int_equal(a.answer.status, 201);
    thread_join(thread);
}

struct asker {
    struct rig *rig;
    int status;
    atomic_int done;
};

static void ask_explain(void *arg)
{
    struct asker *asker = arg;
    auto_http_client *client = http_client_new(NULL);
    auto_free char *url =
        xasprintf("http://127.0.0.1:%u/api/v1/projects/p/apps/a/explain", asker->rig->port);
    static const char *const headers[] = { "Authorization: Bearer t", NULL };
    auto_http_answer answer = { .status = 0 };
    struct err err = { .class = ERR_NONE };
    const struct http_call call = {
        .method = "GET", .url = url, .headers = headers, .timeout_ms = 4000
    };

    http_client_run(client, &call, &answer, &err);
    asker->status = (int)answer.status;
}

/* A reading call that is under way when the controller goes is made again. */
static void test_read_is_repeated(void **state)
{
    auto_rig rig = { .port = 0 };
    struct asker asker = { .rig = &rig };
    (void)state;

    start_all(&rig);
    struct thread *thread = thread_start(ask_explain, &asker);
    assert_int_equal(wait_for(&rig.calls, 1), 1);
    on_loop(&rig, stop_controller);
    on_loop(&rig, start_controller);
    assert_int_equal(wait_for(&rig.calls, 2), 2);
    thread_join(thread);
    assert_int_equal(asker.status, 0); /* the client's patience ended first, not the gateway's */
}

static void test_events_outlive_the_controller(void **state)
{
    auto_rig rig = { .port = 0 };
    struct watcher w = WATCHER(&rig, "/api/v1/projects/p/apps/a/events", "\"seq\":6");
    (void)state;

    start_all(&rig);
    struct thread *thread = thread_start(watch, &w);
    assert_int_equal(wait_for(&rig.calls, 1), 1);
    usleep(100000);
    on_loop(&rig, stop_controller);
    start_again(&rig);
    assert_int_equal(wait_for(&w.seen, 1), 1);
    thread_join(thread);
    assert_non_null(strstr(w.text, "id: 3\ndata: {\"seq\":3,\"kind\":\"Test\"}\n\nid: 4\n"));
    free(w.text);
}

static void test_controller_that_stays_away(void **state)
{
    auto_rig rig = { .port = 0 };
    (void)state;

    start_all(&rig);
    on_loop(&rig, stop_controller);
    int64_t begin = clock_mono_ms(clock_system());
    auto_asked a = ask(&rig, "POST", "/api/v1/projects/p/apps", "{}", NULL);
    assert_int_equal(a.answer.status, 503);
    auto_free char *later = http_answer_header(&a.answer, "Retry-After");
    assert_string_equal(later, "5");
    assert_in_range(clock_mono_ms(clock_system()) - begin, 9000, 12000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_token_is_needed),
        cmocka_unit_test(test_request_above_a_frame),
        cmocka_unit_test(test_body_too_large),
        cmocka_unit_test(test_hook),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_events_are_resumed),
        cmocka_unit_test(test_events_end),
        cmocka_unit_test(test_events_that_fail_at_once),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_client_of_a_call_goes_away),
        cmocka_unit_test(test_slow_watcher_is_dropped),
        cmocka_unit_test(test_call_waits_for_the_controller),
        cmocka_unit_test(test_read_is_repeated),
        cmocka_unit_test(test_events_outlive_the_controller),
        cmocka_unit_test(test_controller_that_stays_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
