/* The client against the server of this folder, and against a Unix socket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/work.h"
#include "fixture.h"
#include "http/client.h"

#define auto_fixture __attribute__((__cleanup__(fixture_stop))) struct fixture

static char *url(const struct fixture *f, const char *path)
{
    return xasprintf("http://127.0.0.1:%u%s", f->port, path);
}

/* Runs a call with a client of its own; returns the class of the error. */
static enum err_class run(struct http_call *call, const struct fixture *f, const char *path,
                          struct http_answer *answer, struct err *err)
{
    auto_http_client *client = http_client_new(NULL);
    auto_free char *full = url(f, path);

    *err = (struct err){ .class = ERR_NONE };
    call->url = full;
    if (!call->method)
        call->method = "GET";
    return http_client_run(client, call, answer, err) ? err->class : ERR_NONE;
}

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_system());
}

/* ---- whole answers ---- */

static void test_methods(void **state)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
    auto_fixture f = { .port = 0 };
    struct err err;
    (void)state;

    fixture_start(&f);
    for (size_t i = 0; i < countof(methods); i++) {
        auto_http_answer a = { .status = 0 };
        struct http_call call = { .method = methods[i],
                                  .body = i ? "hello" : NULL,
                                  .body_len = i ? 5 : 0,
                                  .timeout_ms = 5000 };
        assert_int_equal(run(&call, &f, "/echo", &a, &err), ERR_NONE);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, i ? "hello" : "");
        assert_string_equal(a.content_type, "text/plain");
        auto_free char *method = http_answer_header(&a, "x-METHOD");
        assert_string_equal(method, methods[i]);
        assert_null(http_answer_header(&a, "X-Absent"));
    }
}

static void test_head(void **state)
{
    auto_fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 };
    struct http_call call = { .method = "HEAD", .timeout_ms = 5000 };
    struct err err;
    (void)state;

    fixture_start(&f);
    assert_int_equal(run(&call, &f, "/big?n=100", &a, &err), ERR_NONE);
    auto_free char *length = http_answer_header(&a, "Content-Length");
    assert_string_equal(length, "100");
    assert_int_equal(a.len, 0);
}

static void test_empty_post_and_type(void **state)
{
    static const char *const headers[] = { "Content-Type: application/json", NULL };
    auto_fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 }, b = { .status = 0 };
    struct http_call plain = { .method = "POST", .timeout_ms = 5000 };
    struct http_call typed = {
        .method = "POST", .headers = headers, .body = "{}", .body_len = 2, .timeout_ms = 5000
    };
    struct err err;
    (void)state;

    fixture_start(&f);
    assert_int_equal(run(&plain, &f, "/look", &a, &err), ERR_NONE);
    assert_string_equal(a.body, "/look||-|-|-"); /* no content type of curl's */
    assert_int_equal(run(&typed, &f, "/look", &b, &err), ERR_NONE);
    assert_string_equal(b.body, "/look||-|-|application/json");
}

static void test_connection_is_kept(void **state)
{
    auto_fixture f = { .config.conns_max = 1 }; /* a second connection would wait for ever */
    auto_http_client *client = http_client_new(NULL);
    struct err err = { .class = ERR_NONE };
    (void)state;

    fixture_start(&f);
    auto_free char *full = url(&f, "/echo");
    for (int i = 0; i < 3; i++) {
        auto_http_answer a = { .status = 0 };
        struct http_call call = {
            .method = "POST", .url = full, .body = "x", .body_len = 1, .timeout_ms = 2000
        };
        assert_int_equal(http_client_run(client, &call, &a, &err), 0);
    }
}

static void test_line_break_in_header(void **state)
{
    static const char *const headers[] = { "X-A: b\r\nX-Forged: 1", NULL };
    auto_fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 };
    struct http_call call = { .headers = headers, .timeout_ms = 5000 };
    struct err err;
    (void)state;

    fixture_start(&f);
    assert_int_equal(run(&call, &f, "/look", &a, &err), ERR_INVALID);
}

static void test_answer_max(void **state)
{
    auto_fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 }, b = { .status = 0 };
    struct http_call call = { .timeout_ms = 5000, .answer_max = 1000 };
    struct err err;
    (void)state;

    fixture_start(&f);
    assert_int_equal(run(&call, &f, "/big?n=1000", &a, &err), ERR_NONE);
    assert_int_equal(a.len, 1000);
    assert_int_equal(run(&call, &f, "/big?n=1001", &b, &err), ERR_EXHAUSTED);
    assert_null(b.body);
}

/* ---- streams ---- */

struct sink {
    size_t len, max;
};

static int on_write(void *arg, const void *data, size_t len, struct err *err)
{
    struct sink *sink = arg;

    (void)data;
    sink->len += len;
    return sink->max && sink->len > sink->max ? err_set(err, ERR_CONFLICT, "enough") : 0;
}

static void test_write(void **state)
{
    auto_fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 }, b = { .status = 0 }, c = { .status = 0 };
    struct sink sink = { .len = 0 };
    struct http_call call = {
        .timeout_ms = 20000, .answer_max = 10, .write = on_write, .arg = &sink
    };
    struct err err;
    (void)state;

    fixture_start(&f);
    assert_int_equal(run(&call, &f, "/big?n=20000000", &a, &err), ERR_NONE);
    assert_int_equal(sink.len, 20000000);
    assert_string_equal(a.body, "");
    sink = (struct sink){ .max = 1000 };
    assert_int_equal(run(&call, &f, "/big?n=20000000", &b, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "enough"));
    sink = (struct sink){ .len = 0 };
    assert_int_equal(run(&call, &f, "/status?code=404", &c, &err),
                     ERR_NONE); /* an error's body is not data */
    assert_int_equal(sink.len, 0);
    assert_string_equal(c.body, "why");
}

struct source {
    int64_t left;
    atomic_int *begun; /* fails once the server has begun three requests: it may ignore one whose
                          client is gone before; NULL: does not fail */
};

static int64_t on_read(void *arg, void *buffer, size_t size, struct err *err)
{
    struct source *source = arg;
    int64_t n = source->left < (int64_t)size ? source->left : (int64_t)size;

    if (source->begun) {
        wait_for(source->begun, 3);
        return err_set(err, ERR_CONFLICT, "no more");
    }
    memset(buffer, 'a', (size_t)n);
    source->left -= n;
    return n;
}

static void test_read(void **state)
{
    auto_fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 }, b = { .status = 0 }, c = { .status = 0 };
    struct source source = { .left = 3000000 };
    struct http_call call = {
        .method = "POST", .timeout_ms = 20000, .read = on_read, .arg = &source
    };
    struct err err;
    (void)state;

    f.may_take = true;
    fixture_start(&f);
    assert_int_equal(run(&call, &f, "/upload", &a, &err), ERR_NONE);
    assert_string_equal(a.body, "3000000");
    source.left = call.read_len = 2000000;
    assert_int_equal(run(&call, &f, "/upload", &b, &err), ERR_NONE);
    assert_string_equal(b.body, "2000000");
    source = (struct source){ .begun = &f.requests };
    assert_int_equal(run(&call, &f, "/upload", &c, &err), ERR_CONFLICT);
    assert_int_equal(wait_for(&f.gone, 1), 1);
}

/* ---- redirects and credentials ---- */

static void test_redirects(void **state)
{
    static const char *const headers[] = { "Authorization: Bearer secret", NULL };
    auto_fixture f = { .port = 0 }, other = { .port = 0 };
    auto_http_answer a = { .status = 0 }, b = { .status = 0 }, c = { .status = 0 },
                     d = { .status = 0 }, e = { .status = 0 };
    struct err err;
    (void)state;

    fixture_start(&f);
    fixture_start(&other);
    auto_free char *far =
        xasprintf("/status?code=302&to=http%%3A%%2F%%2F127.0.0.1%%3A%u%%2Flook", other.port);
    struct http_call call = { .headers = headers, .timeout_ms = 5000 };
    assert_int_equal(run(&call, &f, "/status?code=302&to=/look", &a, &err), ERR_NONE);
    assert_int_equal(a.status, 302); /* not asked to follow */
    call.follow_redirects = true;
    assert_int_equal(run(&call, &f, "/status?code=302&to=/look", &b, &err), ERR_NONE);
    assert_string_equal(b.body, "/look||-|Bearer secret|-"); /* the same host */
    assert_non_null(strstr(b.url, "/look"));
    assert_int_equal(run(&call, &f, far, &c, &err), ERR_NONE);
    assert_string_equal(c.body, "/look||-|-|-"); /* another */
    struct http_call basic = {
        .user = "u", .password = "p", .timeout_ms = 5000, .follow_redirects = true
    };
    assert_int_equal(run(&basic, &f, far, &d, &err), ERR_NONE);
    assert_string_equal(d.body, "/look||-|-|-");
    assert_int_equal(run(&basic, &f, "/look", &e, &err), ERR_NONE);
    assert_string_equal(e.body, "/look||-|Basic dTpw|-");
}

static void test_redirects_end(void **state)
{
    auto_fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 }, b = { .status = 0 }, c = { .status = 0 };
    struct http_call call = { .timeout_ms = 5000, .follow_redirects = true };
    struct http_call post = {
        .method = "POST", .body = "x", .body_len = 1, .timeout_ms = 5000, .follow_redirects = true
    };
    struct err err;
    (void)state;

    fixture_start(&f);
    assert_int_equal(run(&call, &f, "/status?code=302&to=file:///etc/passwd", &a, &err),
                     ERR_INVALID);
    assert_int_equal(run(&call, &f, "/loop", &b, &err), ERR_UNAVAILABLE);
    assert_int_equal(f.requests, 7); /* one of before, and one and five redirects */
    assert_int_equal(run(&post, &f, "/status?code=307&to=/echo", &c, &err), ERR_NONE);
    assert_int_equal(c.status, 307);
}

/* ---- limits ---- */

static void test_timeouts(void **state)
{
    auto_fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 };
    struct http_call whole = { .timeout_ms = 300 }, idle = { .idle_ms = 300 };
    struct err err;
    (void)state;

    fixture_start(&f);
    int64_t begin = now_ms();
    assert_int_equal(run(&whole, &f, "/never", &a, &err), ERR_TIMEOUT);
    assert_in_range(now_ms() - begin, 250, 2000);
    begin = now_ms();
    assert_int_equal(run(&idle, &f, "/silent", &a, &err), ERR_TIMEOUT);
    assert_in_range(now_ms() - begin, 250, 2000);
    assert_non_null(strstr(err.text, "nothing came for 300 ms"));
}

static void set_later(void *arg)
{
    usleep(300000);
    __atomic_store_n((bool *)arg, true, __ATOMIC_RELAXED);
}

static void stop_later(void *arg)
{
    usleep(300000);
    atomic_store((atomic_bool *)arg, true);
}

static void test_cancel_and_stop(void **state)
{
    auto_fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 };
    bool cancelled = false;
    struct http_call call = { .cancelled = &cancelled };
    struct err err;
    (void)state;

    fixture_start(&f);
    int64_t begin = now_ms();
    struct thread *thread = thread_start(set_later, &cancelled);
    assert_int_equal(run(&call, &f, "/never", &a, &err), ERR_STOPPED);
    assert_in_range(now_ms() - begin, 200, 1300);
    thread_join(thread);
    begin = now_ms();
    call.cancelled = NULL;
    thread = thread_start(stop_later, &work_stopping);
    assert_int_equal(run(&call, &f, "/never", &a, &err), ERR_STOPPED);
    assert_in_range(now_ms() - begin, 200, 1300);
    thread_join(thread);
    work_stopping = false;
    assert_int_equal(wait_for(&f.gone, 2), 2);
}

static void test_errors(void **state)
{
    struct fixture f = { .port = 0 };
    auto_http_answer a = { .status = 0 };
    struct http_call call = { .timeout_ms = 2000 };
    struct err err;
    (void)state;

    fixture_start(&f);
    fixture_stop(&f);
    assert_int_equal(run(&call, &f, "/look?token=secret", &a, &err), ERR_UNAVAILABLE);
    assert_null(strstr(err.text, "secret"));
    auto_http_client *client = http_client_new(NULL);
    static const struct {
        const char *url;
        enum err_class class;
    } cases[] = {
        { "ftp://127.0.0.1/", ERR_INVALID },
        { "file:///etc/passwd", ERR_INVALID },
        { "", ERR_INVALID },
        { "http://user:secret@127.0.0.1:1/", ERR_UNAVAILABLE },
    };
    for (size_t i = 0; i < countof(cases); i++) {
        call.url = cases[i].url;
        assert_int_equal(http_client_run(client, &call, &a, &err), -1);
        assert_int_equal(err.class, cases[i].class);
        assert_null(strstr(err.text, "secret"));
    }
}

/* ---- a Unix socket ---- */

struct unix_server {
    int fd;
    atomic_int served;
};

/* One answer for each of two requests on one connection. */
static void serve_unix(void *arg)
{
    struct unix_server *s = arg;
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
    auto_fd int fd = accept(s->fd, NULL, NULL);
    char buffer[4096];

    for (int i = 0; i < 2 && recv(fd, buffer, sizeof buffer, 0) > 0; i++) {
        send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
        s->served++;
    }
}

static void test_unix_socket(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct unix_server s = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    struct err err = { .class = ERR_NONE };
    (void)state;

    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/http-client-test-%d.sock", getpid());
    assert_return_code(bind(s.fd, (struct sockaddr *)&address, sizeof address), errno);
    assert_return_code(listen(s.fd, 5), errno);
    struct thread *thread = thread_start(serve_unix, &s);
    auto_http_client *client = http_client_new(address.sun_path);
    for (int i = 0; i < 2; i++) {
        auto_http_answer a = { .status = 0 };
        struct http_call call = { .method = "GET",
                                  .url = "http://engine/_ping",
                                  .timeout_ms = 5000 };
        assert_int_equal(http_client_run(client, &call, &a, &err), 0);
        assert_string_equal(a.body, "OK");
    }
    thread_join(thread);
    assert_int_equal(s.served, 2);
    close(s.fd);
    unlink(address.sun_path);
    auto_http_answer a = { .status = 0 };
    struct http_call call = { .method = "GET", .url = "http://engine/_ping", .timeout_ms = 5000 };
    assert_int_equal(http_client_run(client, &call, &a, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_empty_post_and_type),
        cmocka_unit_test(test_connection_is_kept),
        cmocka_unit_test(test_line_break_in_header),
        cmocka_unit_test(test_answer_max),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_redirects_end),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_cancel_and_stop),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_unix_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
