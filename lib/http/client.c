/* One call is one easy handle, driven by hand through a multi handle that outlives it and keeps the
 * connections. By hand, because curl_easy_perform looks at its progress callback only once a
 * second: here every wait is at most POLL_MS long, and after it the stop flag, the caller's flag
 * and the idle limit are looked at.
 *
 * A callback of the caller that fails leaves its error in the transfer, whose own error ("write
 * failed") is then not used. */
#include "http/client.h"

#include <curl/curl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/work.h"

enum {
    POLL_MS = 150,
    CONNECT_MS = 10000,
    REDIRECTS_MAX = 5,
    HEAD_MAX = 64 * 1024,
    BUFFER_SIZE = 64 * 1024,
};
static const size_t answer_max_default = (size_t)16 << 20;

struct http_client {
    CURLM *multi;
    char *unix_path;
};

struct growing {
    char *data;
    size_t len, size;
};

struct transfer {
    const struct http_call *call;
    CURL *easy;
    struct curl_slist *headers;
    struct growing body, head;
    char reason[CURL_ERROR_SIZE];
    struct err err; /* of a callback or a limit of ours; class ERR_NONE: none */
    int64_t idle_since_ms;
    curl_off_t moved; /* bytes both ways when last looked at */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        abort();
}

struct http_client *http_client_new(const char *unix_path)
{
    struct http_client *client = xcalloc(1, sizeof *client);

    pthread_once(&curl_once, init_curl);
    client->multi = curl_multi_init();
    if (!client->multi)
        abort();
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, 4L);
    client->unix_path = unix_path ? xstrdup(unix_path) : NULL;
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    curl_multi_cleanup(client->multi);
    free(client->unix_path);
    free(client);
}

static void growing_add(struct growing *g, const void *data, size_t len)
{
    if (g->len + len + 1 > g->size) {
        g->size = (g->len + len + 1) * 2;
        g->data = xreallocarray(g->data, g->size, 1);
    }
    memcpy(g->data + g->len, data, len);
    g->len += len;
    g->data[g->len] = '\0';
}

/* ---- what curl calls ---- */

static size_t on_head(char *line, size_t one, size_t len, void *arg)
{
    struct transfer *t = arg;

    (void)one;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new answer: after a redirect or a 100 */
        t->head.len = 0;
        growing_add(&t->head, "", 0);
        return len;
    }
    if (t->head.len + len > HEAD_MAX) {
        err_set(&t->err, ERR_EXHAUSTED, "the answer's headers are above %d bytes", HEAD_MAX);
        return 0;
    }
    growing_add(&t->head, line, len);
    return len;
}

static bool is_success(const struct transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
    struct transfer *t = arg;
    size_t max = t->call->answer_max ? t->call->answer_max : answer_max_default;

    (void)one;
    if (t->call->write && is_success(t)) {
        if (!t->call->write(t->call->arg, data, len, &t->err))
            return len;
        if (!t->err.class)
            err_set(&t->err, ERR_STOPPED, "given up by the reader");
        return 0;
    }
    if (len > max - t->body.len) {
        err_set(&t->err, ERR_EXHAUSTED, "the answer is above %zu bytes", max);
        return 0;
    }
    growing_add(&t->body, data, len);
    return len;
}

static size_t on_read(char *buffer, size_t one, size_t size, void *arg)
{
    struct transfer *t = arg;
    int64_t n = t->call->read(t->call->arg, buffer, one * size, &t->err);

    if (n >= 0)
        return (size_t)n;
    if (!t->err.class)
        err_set(&t->err, ERR_STOPPED, "given up by the writer");
    return CURL_READFUNC_ABORT;
}

/* ---- setting one call up ---- */

static void add_header(struct transfer *t, const char *line)
{
    struct curl_slist *list = curl_slist_append(t->headers, line);

    if (!list)
        abort();
    t->headers = list;
}

static bool has_header(const struct transfer *t, const char *name)
{
    size_t len = strlen(name);

    for (const struct curl_slist *h = t->headers; h; h = h->next)
        if (strncasecmp(h->data, name, len) == 0 && h->data[len] == ':')
            return true;
    return false;
}

static int set_headers(struct transfer *t, struct err *err)
{
    for (const char *const *h = t->call->headers; h && *h; h++) {
        if (strpbrk(*h, "\r\n"))
            return err_set(err, ERR_INVALID, "a header with a line break");
        add_header(t, *h);
    }
    add_header(t, "Expect:"); /* no waiting for 100 Continue */
    if (!has_header(t, "Content-Type"))
        add_header(t, "Content-Type:"); /* not the form type that curl would send */
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    return 0;
}

static void set_method(struct transfer *t)
{
    const struct http_call *call = t->call;
    bool is_get = strcmp(call->method, "GET") == 0, is_head = strcmp(call->method, "HEAD") == 0;

    if (call->read) {
        curl_off_t len = call->read_len > 0 ? call->read_len : -1;
        curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, len);
        curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
    } else if (is_head) {
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    } else if (call->body_len > 0 || !is_get) {
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    }
    if (!is_head)
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, call->method);
    if (call->follow_redirects && (is_get || is_head) && !call->read && call->body_len == 0) {
        curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(t->easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
        curl_easy_setopt(t->easy, CURLOPT_REDIR_PROTOCOLS_STR,
                         strncasecmp(call->url, "https:", 6) == 0 ? "https" : "http,https");
    }
}

static void set_callbacks(struct transfer *t)
{
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->reason);
}

static int set_up(struct transfer *t, const struct http_client *client, struct err *err)
{
    const struct http_call *call = t->call;
    int64_t timeout = call->timeout_ms < LONG_MAX ? call->timeout_ms : LONG_MAX;

    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L); /* a cancelled call leaves its resolver */
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "evenkeel/" EVENKEEL_VERSION);
    curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE);
    curl_easy_setopt(t->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)timeout);
    if (client->unix_path)
        curl_easy_setopt(t->easy, CURLOPT_UNIX_SOCKET_PATH, client->unix_path);
    if (call->user || call->password) {
        curl_easy_setopt(t->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(t->easy, CURLOPT_USERNAME, call->user ? call->user : "");
        curl_easy_setopt(t->easy, CURLOPT_PASSWORD, call->password ? call->password : "");
    }
    if (curl_easy_setopt(t->easy, CURLOPT_URL, call->url))
        return err_set(err, ERR_INVALID, "the URL is too long");
    set_method(t);
    set_callbacks(t);
    return set_headers(t, err);
}

/* ---- running it ---- */

static curl_off_t bytes_moved(const struct transfer *t)
{
    curl_off_t down = 0, up = 0;
    long heads = 0, requests = 0;

    curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(t->easy, CURLINFO_HEADER_SIZE, &heads);
    curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &requests);
    return down + up + heads + requests;
}

/* The limits that curl does not watch. */
static int check_limits(struct transfer *t)
{
    int64_t now = clock_mono_ms(clock_system());
    curl_off_t moved = bytes_moved(t);

    if (atomic_load_explicit(&work_stopping, memory_order_relaxed))
        return err_set(&t->err, ERR_STOPPED, "this program is stopping");
    if (t->call->cancelled && __atomic_load_n(t->call->cancelled, __ATOMIC_RELAXED))
        return err_set(&t->err, ERR_STOPPED, "cancelled");
    if (moved != t->moved) {
        t->moved = moved;
        t->idle_since_ms = now;
    }
    if (t->call->idle_ms > 0 && now - t->idle_since_ms > t->call->idle_ms)
        return err_set(&t->err, ERR_TIMEOUT, "nothing came for %lld ms",
                       (long long)t->call->idle_ms);
    return 0;
}

/* How long until something but a byte must be looked at. */
static int wait_ms(const struct transfer *t)
{
    int64_t idle = t->call->idle_ms;

    return idle > 0 && idle < POLL_MS ? (int)idle : POLL_MS;
}

static bool has_ended(CURLM *multi, CURLcode *rc)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(multi, &left)))
        if (msg->msg == CURLMSG_DONE) {
            *rc = msg->data.result;
            return true;
        }
    return false;
}

/* CURLE_OK, or why not; t->err says more when the reason is ours. */
static CURLcode drive(struct http_client *client, struct transfer *t)
{
    CURLcode rc = CURLE_ABORTED_BY_CALLBACK;
    int running;

    t->idle_since_ms = clock_mono_ms(clock_system());
    if (curl_multi_add_handle(client->multi, t->easy))
        return CURLE_FAILED_INIT;
    while (!check_limits(t)) {
        if (curl_multi_perform(client->multi, &running) || has_ended(client->multi, &rc))
            break;
        curl_multi_poll(client->multi, NULL, 0, wait_ms(t), NULL);
    }
    curl_multi_remove_handle(client->multi, t->easy);
    return rc;
}

static enum err_class class_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ERR_INVALID;
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return ERR_INTERNAL;
    default: /* refused, reset, not resolved, not trusted, not HTTP */
        return ERR_UNAVAILABLE;
    }
}

/* The URL for an error's text: without user, password and query, which may be secret. */
static char *shown_url(const char *url)
{
    CURLU *u = curl_url();
    char *shown = NULL;

    if (!u)
        abort();
    if (!curl_url_set(u, CURLUPART_URL, url, 0)) {
        curl_url_set(u, CURLUPART_USER, NULL, 0);
        curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
        curl_url_set(u, CURLUPART_QUERY, NULL, 0);
        curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
        curl_url_get(u, CURLUPART_URL, &shown, 0);
    }
    char *copy = xstrdup(shown ? shown : "a malformed URL");
    curl_free(shown);
    curl_url_cleanup(u);
    return copy;
}

static int explain(const struct transfer *t, CURLcode rc, struct err *err)
{
    auto_free char *url = shown_url(t->call->url);

    if (t->err.class)
        *err = t->err;
    else
        err_set(err, class_of(rc), "%s", *t->reason ? t->reason : curl_easy_strerror(rc));
    return err_prefix(err, "%s %s", t->call->method, url);
}

static void give_answer(struct transfer *t, struct http_answer *answer)
{
    const char *type = NULL, *url = NULL;

    growing_add(&t->body, "", 0);
    growing_add(&t->head, "", 0);
    *answer = (struct http_answer){ .len = t->body.len,
                                    .body = take(&t->body.data),
                                    .head = take(&t->head.data) };
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
    answer->content_type = type ? xstrdup(type) : NULL;
    answer->url = xstrdup(url ? url : t->call->url);
}

static void transfer_done(struct transfer *t)
{
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    free(t->body.data);
    free(t->head.data);
}

int http_client_run(struct http_client *client, const struct http_call *call,
                    struct http_answer *answer, struct err *err)
{
    __attribute__((__cleanup__(transfer_done))) struct transfer t = {
        .call = call,
        .easy = curl_easy_init(),
    };

    if (!t.easy)
        abort();
    if (set_up(&t, client, err))
        return -1;
    CURLcode rc = drive(client, &t);
    if (rc)
        return explain(&t, rc, err);
    give_answer(&t, answer);
    return 0;
}

void http_answer_done(struct http_answer *answer)
{
    free(answer->body);
    free(answer->content_type);
    free(answer->url);
    free(answer->head);
    *answer = (struct http_answer){ .status = 0 };
}

char *http_answer_header(const struct http_answer *answer, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = answer->head; line && *line;) {
        size_t line_len = strcspn(line, "\r\n");
        if (line_len > len && line[len] == ':' && strncasecmp(line, name, len) == 0) {
            const char *value = line + len + 1, *end = line + line_len;
            while (value < end && (*value == ' ' || *value == '\t'))
                value++;
            while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
            return xstrndup(value, (size_t)(end - value));
        }
        line += line_len;
        line += strspn(line, "\r\n");
    }
    return NULL;
}
