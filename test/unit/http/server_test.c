#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fixture.h"

#define auto_raw_answer __attribute__((__cleanup__(raw_answer_done))) struct raw_answer
#define auto_fixture __attribute__((__cleanup__(fixture_stop))) struct fixture

#define HEAD "Host: x\r\n"

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_system());
}

/* ---- whole requests ---- */

static void test_echo(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    auto_raw_answer a =
        raw_ask(&f, "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 5\r\n\r\nhello");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "hello");
    assert_non_null(strstr(a.head, "X-Method: POST\r\n"));
    assert_non_null(strstr(a.head, "X-Peer: 127.0.0.1\r\n"));
    assert_null(strstr(a.head, "Forged"));
}

static void test_path_and_query_are_as_sent(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    auto_raw_answer a =
        raw_ask(&f, "GET /look%2Fx/..?a=1%202+3&b HTTP/1.1\r\n" HEAD "Authorization: B t\r\n\r\n");
    assert_string_equal(a.body, "/look%2Fx/..|a=1%202+3&b|1 2 3|B t|-");
}

static void test_pipelining(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "GET /later HTTP/1.1\r\n" HEAD "\r\n"
                 "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 3\r\n\r\nabc"
                 "POST /echo HTTP/1.1\r\n" HEAD
                 "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
                 "GET /later HTTP/1.1\r\n" HEAD "\r\n");
    static const char *const want[] = { "later", "abc", "def", "later" };
    for (size_t i = 0; i < countof(want); i++) {
        auto_raw_answer a = raw_read(fd, false);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, want[i]);
    }
}

static void test_head(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "HEAD /big?n=1234 HTTP/1.1\r\n" HEAD "\r\nGET /big?n=2 HTTP/1.1\r\n" HEAD "\r\n");
    auto_raw_answer a = raw_read(fd, true);
    auto_raw_answer b = raw_read(fd, false);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.head, "Content-Length: 1234\r\n"));
    assert_string_equal(b.body, "xx");
}

static void test_head_of_a_stream_ends(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "HEAD /silent HTTP/1.1\r\n" HEAD "\r\n");
    auto_raw_answer a = raw_read(fd, true);
    assert_int_equal(a.status, 200);
    assert_int_equal(wait_for(&f.closed, 1), 1);
}

static void test_request_in_single_bytes(void **state)
{
    auto_fixture f = { .port = 0 };
    static const char request[] =
        "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    for (size_t i = 0; i + 1 < sizeof request; i++) {
        assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
        usleep(500);
    }
    auto_raw_answer a = raw_read(fd, false);
    assert_string_equal(a.body, "abc");
}

static void test_status_without_body(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    auto_raw_answer a = raw_ask(&f, "GET /status?code=204 HTTP/1.1\r\n" HEAD "\r\n");
    assert_int_equal(a.status, 204);
}

static void test_many_connections(void **state)
{
    enum { COUNT = 400 };
    auto_fixture f = { .port = 0 };
    int fds[COUNT];
    (void)state;

    fixture_start(&f);
    for (size_t i = 0; i < COUNT; i++) {
        fds[i] = raw_connect(&f);
        raw_send(fds[i], "GET /later?ms=300 HTTP/1.1\r\n" HEAD "\r\n");
    }
    for (size_t i = 0; i < COUNT; i++) {
        auto_raw_answer a = raw_read(fds[i], false);
        assert_string_equal(a.body, "later");
        close(fds[i]);
    }
}

static void test_connections_above_the_limit_wait(void **state)
{
    auto_fixture f = { .config.conns_max = 2 };
    (void)state;

    fixture_start(&f);
    int a = raw_connect(&f), b = raw_connect(&f);
    raw_send(a, "GET /later?ms=1 HTTP/1.1\r\n" HEAD "\r\n");
    raw_send(b, "GET /later?ms=1 HTTP/1.1\r\n" HEAD "\r\n");
    auto_raw_answer first = raw_read(a, false), second = raw_read(b, false);
    assert_int_equal(first.status + second.status, 400);
    auto_fd int c = raw_connect(&f);
    raw_send(c, "GET /look HTTP/1.1\r\n" HEAD "\r\n");
    usleep(100000);
    assert_int_equal(f.requests, 2);
    close(a);
    close(b);
    auto_raw_answer third = raw_read(c, false);
    assert_int_equal(third.status, 200);
}

/* ---- hostile requests ---- */

static void test_ambiguous_framing_is_dropped(void **state)
{
    static const char *const requests[] = {
        "POST /echo HTTP/1.1\r\n" HEAD
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HEAD
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: identity\r\n\r\nabc",
        "POST /echo HTTP/1.0\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HEAD "Content-Length : 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: -3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 3x\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 99999999999999999999999\r\n\r\nabc",
        "GET /echo HTTP/1.1\r\n" HEAD "Host: y\r\n\r\n",
        "GET /echo HTTP/1.1\r\n\r\n",
        "GET /echo\r\n\r\n",
        "GET /a b HTTP/1.1\r\n" HEAD "\r\n",
        "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "\x16\x03\x01\x02",
    };
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    for (size_t i = 0; i < countof(requests); i++) {
        auto_fd int fd = raw_connect(&f);
        bool is_closed;
        size_t len;
        raw_send(fd, requests[i]);
        raw_send(fd,
                 "GET /echo HTTP/1.1\r\n" HEAD "\r\n"); /* must not be seen as a request either */
        auto_free char *all = raw_read_all(fd, &len, &is_closed);
        if (strstr(all, "HTTP/1.1 200") || !is_closed)
            fail_msg("request %zu was accepted: %s -> %s", i, requests[i], all);
    }
    assert_int_equal(f.requests, 0);
}

static char *repeat(const char *head, char c, size_t count, const char *tail)
{
    char *text = NULL;
    size_t len;
    FILE *out = xmemstream(&text, &len);

    fputs(head, out);
    for (size_t i = 0; i < count; i++)
        fputc(c, out);
    fputs(tail, out);
    fclose(out);
    return text;
}

static void test_too_large_body(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    auto_free char *fits =
        repeat("POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 65536\r\n\r\n", 'a', 65536, "");
    auto_raw_answer a = raw_ask(&f, fits);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.len, 65536);
    auto_free char *long_one =
        repeat("POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 200000\r\n\r\n", 'a', 200000, "");
    auto_raw_answer b = raw_ask(&f, long_one);
    assert_int_equal(b.status, 413);
    auto_free char *chunked =
        repeat("POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n10001\r\n", 'a',
               65537, "\r\n0\r\n\r\n");
    auto_raw_answer c = raw_ask(&f, chunked);
    assert_int_equal(c.status, 413);
    auto_raw_answer d = raw_ask(&f, "POST /echo HTTP/1.1\r\n" HEAD
                                    "Expect: 100-continue\r\nContent-Length: 200000\r\n\r\n");
    assert_int_equal(d.status, 413);
    assert_int_equal(f.requests, 1);
}

static void test_expect_continue(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd,
             "POST /echo HTTP/1.1\r\n" HEAD "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    auto_raw_answer go_on = raw_read(fd, false);
    assert_int_equal(go_on.status, 100);
    raw_send(fd, "abc");
    auto_raw_answer a = raw_read(fd, false);
    assert_string_equal(a.body, "abc");
}

static void test_endless_body_is_cut(void **state)
{
    auto_fixture f = { .port = 0 };
    auto_free char *block = repeat("", 'a', 1 << 20, "");
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 99999999999\r\n\r\n");
    int blocks = 0;
    while (blocks < 200 && send(fd, block, 1 << 20, MSG_NOSIGNAL) > 0)
        blocks++;
    assert_in_range(blocks, 7, 60); /* 8 MiB, and what the sockets hold */
}

static void test_too_large_head(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    auto_free char *request = repeat("GET /look HTTP/1.1\r\n" HEAD "X-A: ", 'a', 60000, "\r\n\r\n");
    auto_raw_answer a = raw_ask(&f, request);
    assert_true(a.status == 431 || a.status == 0);
    auto_free char *uri = repeat("GET /", 'a', 60000, " HTTP/1.1\r\n" HEAD "\r\n");
    auto_raw_answer b = raw_ask(&f, uri);
    assert_true(b.status == 414 || b.status == 0);
    assert_int_equal(f.requests, 0);
}

/* Sends a byte every 100 ms; returns after how long the server has closed, or 6000. */
static int64_t drip(int fd, const char *text)
{
    int64_t begin = now_ms();

    while (now_ms() - begin < 6000) {
        char c = 'a';
        if (*text)
            c = *text++;
        send(fd, &c, 1, MSG_NOSIGNAL);
        usleep(100000);
        ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return now_ms() - begin;
    }
    return 6000;
}

static void test_slow_clients_are_swept(void **state)
{
    auto_fixture f = { .config = { .request_timeout_s = 1, .idle_timeout_s = 1 } };
    (void)state;

    fixture_start(&f);
    auto_fd int head = raw_connect(&f), body = raw_connect(&f), silent = raw_connect(&f),
                kept = raw_connect(&f);
    raw_send(kept, "GET /look HTTP/1.1\r\n" HEAD "\r\n");
    auto_raw_answer a = raw_read(kept, false);
    assert_int_equal(a.status, 200);
    assert_in_range(drip(head, "GET /look HTTP/1.1\r\nX: "), 900, 3500);
    raw_send(body, "POST /echo HTTP/1.1\r\n" HEAD
                   "Content-Length: 1000\r\n\r\n"); /* may be closed already */
    assert_in_range(drip(body, ""), 0, 3500);
    char c;
    assert_int_equal(recv(silent, &c, 1, 0), 0);
    assert_int_equal(recv(kept, &c, 1, 0), 0);
}

static void test_slow_body_is_swept(void **state)
{
    auto_fixture f = { .config = { .request_timeout_s = 1, .idle_timeout_s = 5 } };
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 1000\r\n\r\n");
    assert_in_range(drip(fd, ""), 900, 3500);
    assert_int_equal(f.requests, 0);
}

/* The answer may take longer than the request's deadline. */
static void test_slow_handler_is_not_swept(void **state)
{
    auto_fixture f = { .config = { .request_timeout_s = 1, .idle_timeout_s = 1 } };
    (void)state;

    fixture_start(&f);
    auto_raw_answer a = raw_ask(&f, "GET /later?ms=3500 HTTP/1.1\r\n" HEAD "\r\n");
    assert_string_equal(a.body, "later");
}

static void test_client_that_takes_no_answer_is_swept(void **state)
{
    auto_fixture f = { .config = { .idle_timeout_s = 1 } };
    int small = 4096;
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    raw_send(fd, "GET /firehose HTTP/1.1\r\n" HEAD "\r\n");
    assert_int_equal(wait_for(&f.closed, 1), 1);
}

static void test_client_that_goes_away(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    int fd = raw_connect(&f);
    raw_send(fd, "GET /never HTTP/1.1\r\n" HEAD "\r\n");
    assert_int_equal(wait_for(&f.requests, 1), 1);
    int64_t begin = now_ms();
    close(fd);
    assert_int_equal(wait_for(&f.gone, 1), 1);
    assert_in_range(now_ms() - begin, 0, 500);
}

/* ---- streams ---- */

static void say_hello(struct fixture *f)
{
    assert_true(http_stream_write(f->stream, "hello", 5));
}

static void end_stream(struct fixture *f)
{
    http_stream_end(f->stream);
}

static void test_stream(void **state)
{
    auto_fixture f = { .port = 0 };
    char buffer[64];
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "GET /silent HTTP/1.1\r\n" HEAD "\r\n");
    wait_for(&f.requests, 1);
    fixture_run(&f, say_hello);
    usleep(50000);
    fixture_run(&f, say_hello);
    fixture_run(&f, end_stream);
    auto_raw_answer a = raw_read(fd, false);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "hellohello");
    assert_int_equal(wait_for(&f.closed, 1), 1);
    raw_send(fd, "GET /big?n=2 HTTP/1.1\r\n" HEAD "\r\n"); /* the connection is still good */
    auto_raw_answer b = raw_read(fd, false);
    assert_string_equal(b.body, "xx");
    assert_true(recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) < 0);
}

static void test_stream_arrives_at_once(void **state)
{
    auto_fixture f = { .port = 0 };
    char buffer[512];
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "GET /silent HTTP/1.1\r\n" HEAD "\r\n");
    wait_for(&f.requests, 1);
    ssize_t n = recv(fd, buffer, sizeof buffer, 0); /* the head, before anything is written */
    assert_true(n > 12 && memcmp(buffer, "HTTP/1.1 200", 12) == 0);
    for (int i = 0; i < 3; i++) {
        fixture_run(&f, say_hello);
        int64_t begin = now_ms();
        n = recv(fd, buffer, sizeof buffer, 0);
        assert_int_equal(n, 10); /* "5\r\nhello\r\n" */
        assert_in_range(now_ms() - begin, 0, 500);
    }
}

static void test_idle_stream_outlives_the_deadlines(void **state)
{
    auto_fixture f = { .config = { .request_timeout_s = 1, .idle_timeout_s = 1 } };
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "GET /silent HTTP/1.1\r\n" HEAD "\r\n");
    wait_for(&f.requests, 1);
    usleep(3500000);
    assert_int_equal(f.closed, 0);
    fixture_run(&f, say_hello);
    fixture_run(&f, end_stream);
    auto_raw_answer a = raw_read(fd, false);
    assert_string_equal(a.body, "hello");
}

static void test_stream_reader_that_goes_away(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    int fd = raw_connect(&f);
    raw_send(fd, "GET /silent HTTP/1.1\r\n" HEAD "\r\n");
    wait_for(&f.requests, 1);
    int64_t begin = now_ms();
    close(fd);
    assert_int_equal(wait_for(&f.closed, 1), 1);
    assert_in_range(now_ms() - begin, 0, 500);
}

static void test_stream_backlog_is_bounded(void **state)
{
    auto_fixture f = { .port = 0 };
    int small = 32768;
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    raw_send(fd, "GET /firehose HTTP/1.1\r\n" HEAD "\r\n");
    wait_for(&f.requests, 1);
    usleep(300000);
    size_t stuck = f.taken;
    assert_in_range(stuck, 65536, 1 << 20); /* the backlog, and what the sockets hold */
    usleep(200000);
    assert_int_equal(f.taken, stuck); /* nothing more is taken */
    char buffer[65536];
    for (size_t have = 0; have < stuck + (1 << 20);) { /* reading makes room again */
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        assert_true(n > 0);
        have += (size_t)n;
    }
    assert_true(f.taken > stuck);
    assert_int_equal(f.closed, 0);
}

static void test_stream_dropped(void **state)
{
    auto_fixture f = { .port = 0 };
    bool is_closed;
    size_t len;
    (void)state;

    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "GET /firehose?drop HTTP/1.1\r\n" HEAD "\r\n");
    auto_free char *all = raw_read_all(fd, &len, &is_closed);
    assert_true(is_closed);
    assert_true(len < 5 ||
                memcmp(all + len - 5, "0\r\n\r\n", 5) != 0); /* not as if it were complete */
    assert_int_equal(wait_for(&f.closed, 1), 1);
}

/* ---- streamed bodies ---- */

static void test_upload(void **state)
{
    enum { BLOCK = 1 << 20, BLOCKS = 32 };
    auto_fixture f = { .config.idle_timeout_s = 30 };
    auto_free char *block = repeat("", 'a', BLOCK, "");
    (void)state;

    f.may_take = true;
    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    auto_free char *head =
        xasprintf("POST /upload HTTP/1.1\r\n" HEAD "Content-Length: %d\r\n\r\n", BLOCK * BLOCKS);
    raw_send(fd, head);
    for (int i = 0; i < BLOCKS; i++)
        raw_send(fd, block);
    raw_send(fd, "GET /big?n=2 HTTP/1.1\r\n" HEAD "\r\n");
    auto_raw_answer a = raw_read(fd, false), b = raw_read(fd, false);
    assert_string_equal(a.body, "33554432");
    assert_string_equal(b.body, "xx");
    assert_in_range(f.piece_max, 1, 16384); /* bounded by head_max */
}

static void test_upload_chunked_and_empty(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    f.may_take = true;
    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "POST /upload HTTP/1.1\r\n" HEAD
                 "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
                 "POST /upload HTTP/1.1\r\n" HEAD "Content-Length: 0\r\n\r\n");
    auto_raw_answer a = raw_read(fd, false), b = raw_read(fd, false);
    assert_string_equal(a.body, "7");
    assert_string_equal(b.body, "0");
}

static void test_upload_back_pressure(void **state)
{
    auto_fixture f = { .config.idle_timeout_s = 1 };
    auto_free char *block = repeat("", 'a', 1 << 20, "");
    size_t sent = 0;
    (void)state;

    f.may_take = false;
    fixture_start(&f);
    auto_fd int fd = raw_connect(&f);
    raw_send(fd, "POST /upload HTTP/1.1\r\n" HEAD "Content-Length: 67108864\r\n\r\n");
    for (int64_t begin = now_ms();
         now_ms() - begin < 2500;) { /* longer than the deadline: it is our side that is slow */
        ssize_t n = send(fd, block, 1 << 20, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            sent += (size_t)n;
        else
            usleep(10000);
    }
    assert_in_range(sent, 1, 32 << 20); /* what the sockets hold */
    assert_int_equal(f.taken, 0);
    assert_int_equal(f.gone, 0);
    f.may_take = true;
    while (sent < 67108864) {
        ssize_t n =
            send(fd, block, 67108864 - sent < 1 << 20 ? 67108864 - sent : 1 << 20, MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    auto_raw_answer a = raw_read(fd, false);
    assert_string_equal(a.body, "67108864");
}

static void test_upload_broken_off(void **state)
{
    auto_fixture f = { .port = 0 };
    (void)state;

    f.may_take = true;
    fixture_start(&f);
    int fd = raw_connect(&f);
    raw_send(fd, "POST /upload HTTP/1.1\r\n" HEAD "Content-Length: 1000\r\n\r\nabc");
    wait_for(&f.requests, 1);
    close(fd);
    assert_int_equal(wait_for(&f.gone, 1), 1);
}

static void test_upload_refused(void **state)
{
    static const struct {
        const char *path;
        int status;
    } cases[] = { { "/upload-refused", 401 },
                  { "/upload-refused-later", 200 },
                  { "/upload-half", 403 } };
    auto_fixture f = { .port = 0 };
    (void)state;

    fixture_start(&f);
    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *request =
            xasprintf("POST %s HTTP/1.1\r\n" HEAD "Content-Length: 6\r\n\r\nabcdef", cases[i].path);
        auto_raw_answer a = raw_ask(&f, request);
        assert_int_equal(a.status, cases[i].status);
    }
}

/* ---- stopping ---- */

static void test_stop_with_everything_open(void **state)
{
    struct fixture f = { .port = 0 };
    int fds[5];
    static const char *const requests[] = {
        "GET /never HTTP/1.1\r\n" HEAD "\r\n",
        "GET /silent HTTP/1.1\r\n" HEAD "\r\n",
        "GET /firehose HTTP/1.1\r\n" HEAD "\r\n",
        "POST /upload HTTP/1.1\r\n" HEAD "Content-Length: 100\r\n\r\nabc",
        "GET /half HTTP/1.1\r\n",
    };
    (void)state;

    fixture_start(&f);
    for (size_t i = 0; i < countof(requests); i++) {
        fds[i] = raw_connect(&f);
        raw_send(fds[i], requests[i]);
    }
    assert_int_equal(wait_for(&f.requests, 4), 4);
    fixture_stop(&f);
    assert_int_equal(f.gone, 2);
    assert_int_equal(f.closed, 2);
    for (size_t i = 0; i < countof(requests); i++) {
        bool is_closed;
        size_t len;
        auto_free char *rest = raw_read_all(fds[i], &len, &is_closed);
        assert_non_null(rest);
        assert_true(is_closed);
        close(fds[i]);
    }
}

static void test_port_in_use(void **state)
{
    auto_fixture f = { .port = 0 };
    struct http_server *second;
    struct err err = { .class = ERR_NONE };
    struct http_server_config config;
    (void)state;

    fixture_start(&f);
    config = f.config;
    config.port = f.port;
    assert_int_equal(http_server_start(f.loop, &config, &second, &err), -1);
    assert_non_null(strstr(err.text, "listening on 127.0.0.1 port"));
    config.host = "localhost.example";
    assert_int_equal(http_server_start(f.loop, &config, &second, &err), -1);
    assert_int_equal(err.class, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_path_and_query_are_as_sent),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_of_a_stream_ends),
        cmocka_unit_test(test_request_in_single_bytes),
        cmocka_unit_test(test_status_without_body),
        cmocka_unit_test(test_many_connections),
        cmocka_unit_test(test_connections_above_the_limit_wait),
        cmocka_unit_test(test_ambiguous_framing_is_dropped),
        cmocka_unit_test(test_too_large_body),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_endless_body_is_cut),
        cmocka_unit_test(test_too_large_head),
        cmocka_unit_test(test_slow_clients_are_swept),
        cmocka_unit_test(test_slow_body_is_swept),
        cmocka_unit_test(test_slow_handler_is_not_swept),
        cmocka_unit_test(test_client_that_takes_no_answer_is_swept),
        cmocka_unit_test(test_client_that_goes_away),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_stream_arrives_at_once),
        cmocka_unit_test(test_idle_stream_outlives_the_deadlines),
        cmocka_unit_test(test_stream_reader_that_goes_away),
        cmocka_unit_test(test_stream_backlog_is_bounded),
        cmocka_unit_test(test_stream_dropped),
        cmocka_unit_test(test_upload),
        cmocka_unit_test(test_upload_chunked_and_empty),
        cmocka_unit_test(test_upload_back_pressure),
        cmocka_unit_test(test_upload_broken_off),
        cmocka_unit_test(test_upload_refused),
        cmocka_unit_test(test_stop_with_everything_open),
        cmocka_unit_test(test_port_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
