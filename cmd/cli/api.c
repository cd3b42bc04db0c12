#include "cmd/cli/api.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/server.h"
#include "cmd/cli/sse.h"
#include "cmd/cli/target.h"
#include "http/client.h"

enum {
    CALL_MS = 60000,
    STREAM_IDLE_MS = 60000, /* the gateway sends a comment now and then */
    AWAY_MS = 60000,        /* a stream's server may be away so long */
    RETRY_MIN_MS = 200,
    RETRY_MAX_MS = 5000,
    PAGE = 200,
};

/* ---- one call ---- */

static const struct {
    long status;
    enum err_class class;
} classes[] = {
    { 400, ERR_INVALID },     { 401, ERR_UNAUTHENTICATED }, { 403, ERR_DENIED },
    { 404, ERR_NOT_FOUND },   { 409, ERR_CONFLICT },        { 412, ERR_CONFLICT },
    { 413, ERR_EXHAUSTED },   { 422, ERR_INVALID },         { 429, ERR_EXHAUSTED },
    { 502, ERR_UNAVAILABLE }, { 503, ERR_UNAVAILABLE },     { 504, ERR_TIMEOUT },
};

static enum err_class class_of(long status)
{
    for (size_t i = 0; i < countof(classes); i++)
        if (classes[i].status == status)
            return classes[i].class;
    return ERR_INTERNAL;
}

/* What to do next when the server does not say. */
static void add_hint(const struct cli *cli, struct err *err)
{
    if (*err->hint)
        return;
    if (err->class == ERR_UNAUTHENTICATED)
        err_hint(err, "`evenkeel login %s` with a valid token", cli->server->url);
    else if (err->class == ERR_UNAVAILABLE)
        err_hint(err, "is %s the right server, and is it up?", cli->server->url);
}

/* RFC 9457, or whatever answered instead. */
static int fail_by_problem(const struct cli *cli, const struct http_answer *answer, struct err *err)
{
    json_auto_t *problem = json_loadb(answer->body ? answer->body : "", answer->len, 0, NULL);
    const char *code = json_text_at(problem, "code"), *detail = json_text_at(problem, "detail");
    const char *field = json_text_at(problem, "field"), *hint = json_text_at(problem, "hint");

    if (!*detail)
        detail = json_text_at(problem, "title");
    if (*detail)
        err_field(err, field, *hint ? hint : NULL, "%s", detail);
    else
        err_set(err, ERR_INTERNAL, "the server answered with status %ld", answer->status);
    err->class = *code ? err_class_of(code) : class_of(answer->status);
    add_hint(cli, err);
    return -1;
}

static int fill_headers(struct cli *cli, char **authorization, char **url, const char *path,
                        struct err *err)
{
    const struct server *server;

    if (server_get(cli, &server, err))
        return -1;
    if (!cli->http)
        cli->http = http_client_new(NULL);
    *authorization = xasprintf("Authorization: Bearer %s", server->token);
    *url = xasprintf("%s/api/v1%s", server->url, path);
    return 0;
}

int api_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **result,
             struct err *err)
{
    json_auto_t *owned = body;
    auto_wipe char *authorization = NULL;
    auto_free char *url = NULL, *text = NULL;
    auto_http_answer answer = { 0 };

    if (fill_headers(cli, &authorization, &url, path, err))
        return -1;
    if (owned && !(text = json_dumps(owned, JSON_COMPACT)))
        return err_set(err, ERR_INVALID, "an argument is not valid UTF-8");
    const char *headers[] = { authorization, "Accept: application/json",
                              text ? "Content-Type: application/json" : NULL, NULL };
    struct http_call call = { .method = method,
                              .url = url,
                              .headers = headers,
                              .body = text,
                              .body_len = text ? strlen(text) : 0,
                              .timeout_ms = CALL_MS };
    if (http_client_run(cli->http, &call, &answer, err)) {
        add_hint(cli, err);
        return -1;
    }
    if (answer.status < 200 || answer.status > 299)
        return fail_by_problem(cli, &answer, err);
    if (!result)
        return 0;
    json_t *value =
        answer.len ? json_loadb(answer.body, answer.len, JSON_DECODE_ANY, NULL) : json_object();
    if (!value)
        return err_set(err, ERR_INTERNAL, "%s did not answer with JSON: is it an Evenkeel server?",
                       cli->server->url);
    *result = value;
    return 0;
}

int api_list(struct cli *cli, const char *path, size_t max, json_t **items, struct err *err)
{
    json_auto_t *all = json_array();
    auto_free char *cursor = xstrdup("");

    do {
        json_auto_t *page = NULL;
        auto_free char *full =
            xasprintf("%s%climit=%d%s%s", path, strchr(path, '?') ? '&' : '?',
                      max < PAGE ? (int)max : PAGE, *cursor ? "&cursor=" : "", cursor);
        if (api_call(cli, "GET", full, NULL, &page, err))
            return -1;
        json_array_extend(all, json_object_get(page, "items"));
        free(cursor);
        cursor = text_url_escape(json_text_at(page, "next_cursor"));
        if (!json_array_size(json_object_get(page, "items")))
            break;
    } while (*cursor && json_array_size(all) < max);
    while (json_array_size(all) > max)
        json_array_remove(all, json_array_size(all) - 1);
    *items = json_incref(all);
    return 0;
}

/* ---- streams ---- */

struct follow {
    const struct api_stream *stream;
    struct sse *sse;
    json_t *result; /* set with is_over */
    bool is_over;
    bool has_heard; /* anything since it was connected */
    int rc;         /* of the command's callback */
};

/* One SSE event. -1 ends the transfer. */
static int on_event(void *arg, const char *event, const char *data, struct err *err)
{
    struct follow *f = arg;
    json_auto_t *value = json_loads(data, JSON_DECODE_ANY, NULL);

    f->has_heard = true;
    if (strcmp(event, "end") == 0) {
        f->is_over = true;
        f->result = json_incref(value);
        return 0;
    }
    if (strcmp(event, "error") == 0) {
        f->rc = -1;
        const char *detail = json_text_at(value, "detail");
        err_set(err, err_class_of(json_text_at(value, "code")), "%s",
                *detail ? detail : json_text_at(value, "message"));
        return -1;
    }
    if (!value)
        return 0;
    f->rc = f->stream->event(f->stream->arg, value, err);
    return f->rc ? -1 : 0;
}

static int on_bytes(void *arg, const void *data, size_t len, struct err *err)
{
    struct follow *f = arg;

    return sse_feed(f->sse, data, len, on_event, f, err);
}

/* One connection: 0 when it ended for whatever reason that is worth another try, -1 when none is.
 */
static int follow_once(struct cli *cli, struct follow *f, int64_t left_ms, struct err *err)
{
    auto_wipe char *authorization = NULL;
    auto_free char *url = NULL, *last = NULL;
    auto_http_answer answer = { 0 };
    const char *id = sse_last_id(f->sse);

    if (fill_headers(cli, &authorization, &url, f->stream->path, err))
        return -1;
    if (*id)
        last = xasprintf("Last-Event-ID: %s", id);
    const char *headers[] = { authorization, "Accept: text/event-stream", last, NULL };
    struct http_call call = { .method = "GET",
                              .url = url,
                              .headers = headers,
                              .write = on_bytes,
                              .arg = f,
                              .timeout_ms = left_ms,
                              .idle_ms = STREAM_IDLE_MS };
    f->has_heard = false;
    sse_reset(f->sse);
    int rc = http_client_run(cli->http, &call, &answer, err);
    if (f->rc || f->is_over)
        return 0;
    if (rc == 0 && (answer.status < 200 || answer.status > 299)) {
        fail_by_problem(cli, &answer, err);
        rc = -1;
    }
    if (rc == 0) /* it just stopped: a gateway that restarts */
        return 0;
    return err->class == ERR_UNAVAILABLE || err->class == ERR_TIMEOUT ? 0 : -1;
}

static int follow(struct cli *cli, struct follow *f, struct err *err)
{
    const struct clock *clock = clock_system();
    int64_t limit_ms = f->stream->timeout_ms, wait_ms = RETRY_MIN_MS;
    int64_t start_ms = clock_mono_ms(clock), heard_ms = start_ms;

    for (;;) {
        int64_t left_ms = limit_ms ? start_ms + limit_ms - clock_mono_ms(clock) : 0;
        if (limit_ms && left_ms <= 0)
            return err_set(err, ERR_TIMEOUT, "not done after %lld s", (long long)limit_ms / 1000);
        *err = (struct err){ 0 };
        if (follow_once(cli, f, left_ms, err))
            return -1;
        if (f->rc || f->is_over)
            return f->rc;
        if (f->has_heard) {
            heard_ms = clock_mono_ms(clock);
            wait_ms = RETRY_MIN_MS;
        }
        if (clock_mono_ms(clock) - heard_ms > AWAY_MS && err->class != ERR_NONE &&
            err->class != ERR_TIMEOUT) {
            add_hint(cli, err);
            return -1;
        }
        struct timespec pause = { wait_ms / 1000, wait_ms % 1000 * 1000000 };
        nanosleep(&pause, NULL);
        wait_ms = wait_ms * 2 < RETRY_MAX_MS ? wait_ms * 2 : RETRY_MAX_MS;
    }
}

int api_follow(struct cli *cli, const struct api_stream *stream, json_t **result, struct err *err)
{
    struct follow f = { .stream = stream, .sse = sse_new() };
    int rc = follow(cli, &f, err);

    sse_free(f.sse);
    if (rc == 0 && f.is_over) {
        *err = (struct err){ 0 };
        *result = f.result;
    } else {
        json_decref(f.result);
    }
    return rc;
}

/* ---- paths ---- */

char *api_below(const char *path, const char *name)
{
    auto_free char *escaped = text_url_escape(name);

    return xasprintf("%s/%s", path, escaped);
}

int api_project_path(struct cli *cli, char **path, struct err *err)
{
    const char *project;

    if (target_project(cli, &project, err))
        return -1;
    *path = api_below("/projects", project);
    return 0;
}

int api_app_path(struct cli *cli, char **path, struct err *err)
{
    auto_free char *app = NULL, *project = NULL;

    if (target_app(cli, &app, err) || api_project_path(cli, &project, err))
        return -1;
    auto_free char *apps = xasprintf("%s/apps", project);
    *path = api_below(apps, app);
    return 0;
}
