/* Every probe is a connection of its own, as a new client's would be. */
#include "controller/backend/docker/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/work.h"
#include "http/client.h"

enum { ANSWER_MAX = 64 * 1024, POLL_MS = 100, TIMEOUT_MS = 2000 /* when the check names none */ };

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_system());
}

/* ---- HTTP ---- */

/* The status is what matters, not the body: a first byte of a 2xx answer is enough, so that a path
 * that streams without end is ready, too. */
static int on_body(void *arg, const void *data, size_t len, struct err *err)
{
    bool *has_body = arg;

    (void)data;
    (void)len;
    *has_body = true;
    return err_set(err, ERR_STOPPED, "seen enough");
}

static bool probe_http(const char *address, int64_t port, const struct check_spec *check,
                       char *words, size_t size)
{
    static const char *const headers[] = { "Connection: close", NULL };
    auto_http_client *client = http_client_new(NULL);
    auto_free char *url = xasprintf("http://%s:%lld%s", address, (long long)port, check->path);
    auto_http_answer answer = { .status = 0 };
    struct err err = { .class = ERR_NONE };
    bool has_body = false;
    struct http_call call = { .method = "GET",
                              .url = url,
                              .headers = headers,
                              .write = on_body,
                              .arg = &has_body,
                              .timeout_ms = check->timeout_ms,
                              .answer_max = ANSWER_MAX };
    int64_t began = now_ms();
    int rc = http_client_run(client, &call, &answer, &err);
    long long spent = now_ms() - began;

    if (has_body) {
        snprintf(words, size, "GET %s: 2xx in %lld ms", check->path, spent);
        return true;
    }
    if (rc) {
        snprintf(words, size, "%s", err.text);
        return false;
    }
    snprintf(words, size, "GET %s: %ld in %lld ms", check->path, answer.status, spent);
    return answer.status >= 200 && answer.status < 400;
}

/* ---- TCP ---- */

/* Waits for a connect under way; 0, or why not as errno. */
static int finish_connect(int fd, int64_t timeout_ms)
{
    int64_t until = now_ms() + timeout_ms, left;
    struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
    int error = 0;
    socklen_t len = sizeof error;

    while ((left = until - now_ms()) > 0 && !work_stopping) {
        if (poll(&poll_fd, 1, left < POLL_MS ? (int)left : POLL_MS) <= 0)
            continue;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) ? errno : error;
    }
    return ETIMEDOUT;
}

static int connect_once(const char *address, int64_t port, int64_t timeout_ms)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return errno;
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        return EINVAL;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return 0;
    return errno == EINPROGRESS ? finish_connect(fd, timeout_ms) : errno;
}

static bool probe_tcp(const char *address, int64_t port, const struct check_spec *check,
                      char *words, size_t size)
{
    char reason[64];
    int64_t began = now_ms();
    int error = connect_once(address, port, check->timeout_ms);

    snprintf(words, size, "connect to port %lld: %s in %lld ms", (long long)port,
             error ? strerror_r(error, reason, sizeof reason) : "ok",
             (long long)(now_ms() - began));
    return error == 0;
}

bool probe_instance(const char *address, int64_t port, const struct check_spec *check, char *words,
                    size_t words_size)
{
    struct check_spec bounded = *check;

    if (bounded.timeout_ms <= 0)
        bounded.timeout_ms = TIMEOUT_MS;
    return check->path ? probe_http(address, port, &bounded, words, words_size)
                       : probe_tcp(address, port, &bounded, words, words_size);
}
