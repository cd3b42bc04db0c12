/* CGI: the head, and real programs behind the real server; git itself is the client where it
 * matters. */
#include "../git/fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/text.h"
#include "base/work.h"
#include "gateway/cgi.h"
#include "http/client.h"
#include "http/server.h"

/* ---- the head ---- */

static long parse(const char *text, struct cgi_head *head)
{
    size_t len = strlen(text);
    auto_free char *copy =
        xmemdup(text, len ? len : 1); /* of that size: the sanitizer sees reads past the end */
    struct err err = { 0 };

    return cgi_parse_head(copy, len, head, &err);
}

static void a_head_is_read(void **state)
{
    static const char text[] =
        "Status: 404 Not Found\r\nContent-Type: text/plain\r\nExpires:  never\r\nConnection: "
        "close\r\n"
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nbody\r\n\r\n";
    struct cgi_head head;

    (void)state;
    assert_int_equal(parse(text, &head), strlen(text) - strlen("body\r\n\r\n"));
    assert_int_equal(head.status, 404);
    assert_string_equal(head.type, "text/plain");
    assert_int_equal(head.count, 1); /* what frames the answer is left out */
    assert_string_equal(head.headers[0].name, "Expires");
    assert_string_equal(head.headers[0].value, "never");
    assert_null(head.headers[1].name);
    cgi_head_done(&head);
    assert_int_equal(parse("Content-Type: a\n\n", &head), 17);
    assert_int_equal(head.status, 200);
    cgi_head_done(&head);
}

static void half_a_head_waits(void **state)
{
    static const char *const halves[] = {
        "", "S", "\n", "Status: 200 OK", "Status: 200 OK\r\n", "A: b\r\n\r"
    };
    struct cgi_head head;

    (void)state;
    for (size_t i = 0; i < countof(halves); i++)
        assert_int_equal(parse(halves[i], &head), 0);
}

static void nonsense_is_no_head(void **state)
{
    static const char *const wrong[] = {
        "Status: 20\n\n", "Status: \n\n", "Status: 99999999999999999999\n\n",
        "fatal\n\n",      ": x\n\n",      "<html>\n\n"
    };
    auto_free char *endless = xcalloc(CGI_HEAD_MAX + 2, 1);
    struct cgi_head head;

    (void)state;
    for (size_t i = 0; i < countof(wrong); i++)
        assert_int_equal(parse(wrong[i], &head), -1);
    memset(endless, 'a', CGI_HEAD_MAX + 1);
    assert_int_equal(parse(endless, &head), -1);
}

/* ---- programs ---- */

struct world {
    struct fixture *f;
    struct loop *loop;
    struct http_server *server;
    struct thread *thread;
    atomic_uint running;
};
static struct world world;

static void on_ended(void *arg)
{
    (void)arg;
    world.running--;
}

/* The tests may use a shell to make programs that behave oddly. */
static const struct {
    const char *path;
    const char *argv[4];
} programs[] = {
    { "/git/", { "git", "http-backend" } },
    { "/false", { "false" } },
    { "/nonsense", { "echo", "nonsense" } },
    { "/absent", { "/nonexistent/program" } },
    { "/flood", { "sh", "-c", "printf 'Content-Type: a/b\\n\\n'; exec cat /dev/zero" } },
    { "/stubborn",
      { "sh", "-c", "trap '' TERM; printf 'Content-Type: a/b\\n\\n'; while :; do sleep 1; done" } },
    { "/deaf", { "sh", "-c", "exec <&-; printf 'Status: 403\\n\\nno'" } },
};

static void start_program(struct http_request *request, const char *const *argv)
{
    const char *type = http_request_header(request, "Content-Type"),
               *encoding = http_request_header(request, "Content-Encoding");
    const char *protocol = http_request_header(request, "Git-Protocol"),
               *length = http_request_header(request, "Content-Length");
    auto_free char *root = xasprintf("GIT_PROJECT_ROOT=%s", world.f->dir),
                   *info = xasprintf("PATH_INFO=%s", http_request_path(request) + 4);
    auto_free char *method = xasprintf("REQUEST_METHOD=%s", http_request_method(request));
    auto_free char *query = xasprintf("QUERY_STRING=%s", http_request_query_string(request));
    auto_free char *content = xasprintf("CONTENT_TYPE=%s", type ? type : ""),
                   *gzip = xasprintf("HTTP_CONTENT_ENCODING=%s", encoding ? encoding : "");
    auto_free char *version = xasprintf("GIT_PROTOCOL=%s", protocol ? protocol : ""),
                   *size = xasprintf("CONTENT_LENGTH=%s", length ? length : "");
    const char *const env[] = { "PATH=/usr/bin:/bin",
                                "GIT_HTTP_EXPORT_ALL=1",
                                "REMOTE_USER=ann",
                                root,
                                info,
                                method,
                                query,
                                content,
                                gzip,
                                version,
                                size,
                                NULL };
    const struct cgi_options options = { .argv = argv, .env = env, .ended = on_ended };
    struct cgi *cgi = NULL;
    struct err err = { 0 };

    if (cgi_start(world.loop, request, &options, &cgi, &err))
        http_reply(request, 502, "text/plain", NULL, err.text, strlen(err.text));
    else
        world.running++;
}

static bool on_head(struct http_request *request, void *arg)
{
    (void)request;
    (void)arg;
    return true;
}

static void on_request(struct http_request *request, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < countof(programs); i++) {
        if (text_starts(http_request_path(request), programs[i].path)) {
            start_program(request, programs[i].argv);
            return;
        }
    }
    http_reply(request, 404, NULL, NULL, NULL, 0);
}

static char *url_of(const char *path)
{
    return xasprintf("http://127.0.0.1:%u%s", http_server_port(world.server), path);
}

static long get(const char *path)
{
    auto_http_client *client = http_client_new(NULL);
    auto_http_answer answer = { 0 };
    auto_free char *url = url_of(path);
    const struct http_call call = { .method = "GET", .url = url, .timeout_ms = 20000 };
    struct err err = { 0 };

    if (http_client_run(client, &call, &answer, &err))
        fail_msg("%s", err.text);
    return answer.status;
}

static void all_end_within(int64_t ms)
{
    int64_t begun_ms = clock_mono_ms(clock_system());

    while (world.running) {
        if (clock_mono_ms(clock_system()) - begun_ms > ms)
            fail_msg("%u programs still run after %lld ms", world.running, (long long)ms);
        work_sleep(20);
    }
}

static void programs_that_fail_are_answered_for(void **state)
{
    (void)state;
    assert_int_equal(get("/false"), 500);
    assert_int_equal(get("/nonsense"), 500);
    assert_int_equal(get("/absent"), 502);
    assert_int_equal(get("/deaf"), 403);
    all_end_within(5000);
}

/* A client that sends a request, takes `take` bytes, waits, and goes away. */
static void ask_and_leave(const char *path, size_t bytes)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(http_server_port(world.server)),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    auto_free char *request = xasprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char data[4096];

    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    while (bytes > 0) {
        ssize_t n = read(fd, data, bytes < sizeof data ? bytes : sizeof data);
        assert_true(n > 0);
        bytes -= (size_t)n;
    }
    work_sleep(500);
}

static long resident_kib(void)
{
    auto_free char *text = NULL;
    struct err err = { 0 };

    assert_int_equal(fs_read("/proc/self/statm", 4096, &text, NULL, &err), 0);
    return strtol(strchr(text, ' '), NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

static void a_client_that_goes_away_ends_the_program(void **state)
{
    (void)state;
    long before = resident_kib();
    ask_and_leave("/flood", 100000);
    assert_true(resident_kib() - before < 16 * 1024); /* /dev/zero waited for the client */
    all_end_within(4000);
}

static void a_program_that_will_not_end_is_killed(void **state)
{
    (void)state;
    ask_and_leave("/stubborn", 10);
    assert_int_equal(world.running, 1);
    all_end_within(9000);
}

/* ---- git ---- */

static void write_noise(const char *path, size_t len)
{
    auto_free char *data = xcalloc(len, 1);
    unsigned x = 12345;
    struct err err = { 0 };

    for (size_t i = 0; i < len; i++)
        data[i] = (char)((x = x * 1103515245 + 12345) >> 16);
    assert_int_equal(fs_write(path, data, len, 0644, &err), 0);
}

/* Large enough to be sent in chunks and to fill every buffer on the way, both ways. */
static void a_large_push_and_a_clone(void **state)
{
    const struct fixture *f = world.f;
    auto_free char *file = fs_join(f->work, "noise"), *url = url_of("/git/shop.git"),
                   *copy = fs_join(f->dir, "copy");

    (void)state;
    write_noise(file, 24 << 20);
    free(fixture_git(f->work, "add", "--all", NULL));
    free(fixture_git(f->work, "commit", "--quiet", "-m", "noise", NULL));
    free(fixture_git(f->work, "push", "--quiet", url, "main", NULL));
    free(fixture_git(f->dir, "clone", "--quiet", url, copy, NULL));
    auto_free char *sent = fixture_git(f->work, "rev-parse", "main:noise", NULL),
                   *got = fixture_git(copy, "hash-object", "noise", NULL);
    assert_string_equal(sent, got);
    all_end_within(5000);
}

/* A request that names many commits is one that git compresses. */
static void a_compressed_request(void **state)
{
    const struct fixture *f = world.f;
    auto_free char *url = url_of("/git/shop.git"), *copy = fs_join(f->dir, "many");

    (void)state;
    for (int i = 0; i < 60; i++) {
        auto_free char *branch = xasprintf("branch-%d", i);
        free(fixture_git(f->work, "checkout", "--quiet", "-b", branch, NULL));
        free(fixture_git(f->work, "commit", "--quiet", "--allow-empty", "-m", branch, NULL));
    }
    free(fixture_git(f->work, "push", "--quiet", "--all", url, NULL));
    free(fixture_git(f->dir, "clone", "--quiet", "--no-checkout", url, copy, NULL));
    auto_free char *sent = fixture_git(f->work, "rev-parse", "branch-59", NULL),
                   *got = fixture_git(copy, "rev-parse", "origin/branch-59", NULL);
    assert_string_equal(sent, got);
    all_end_within(5000);
}

/* ---- the server ---- */

static void run_loop(void *arg)
{
    loop_run(arg);
}

static void stop_server(void *arg)
{
    http_server_stop(world.server);
    loop_stop(arg);
}

static void on_stop(void *arg)
{
    (void)arg;
}

static int start(void **state)
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
    struct err err = { 0 };

    fixture_start(state);
    world.f = *state;
    world.loop = loop_new(on_stop, NULL);
    for (config.port = 21250; config.port < 21300; config.port++)
        if (http_server_start(world.loop, &config, &world.server, &err) == 0)
            break;
    assert_non_null(world.server);
    world.thread = thread_start(run_loop, world.loop);
    return 0;
}

static int stop(void **state)
{
    loop_post(world.loop, stop_server, world.loop);
    thread_join(world.thread);
    loop_free(world.loop);
    return fixture_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_read),
        cmocka_unit_test(half_a_head_waits),
        cmocka_unit_test(nonsense_is_no_head),
        cmocka_unit_test(programs_that_fail_are_answered_for),
        cmocka_unit_test(a_client_that_goes_away_ends_the_program),
        cmocka_unit_test(a_program_that_will_not_end_is_killed),
        cmocka_unit_test(a_large_push_and_a_clone),
        cmocka_unit_test(a_compressed_request),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
