/* Calls of the Docker Engine API. Connections are kept in a small stack: a call takes the one used
 * last, so that the others grow old and few stay open. The negotiated version is part of the
 * engine and is forgotten when the daemon goes away, because it may come back as another one. */
#include "oci/engine.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/client.h"
#include "oci/internal.h"

enum { IDLE_MAX = 8, OLDEST_MINOR = 41, VERSION_MAX = 16 };
static const size_t answer_max = (size_t)64 << 20; /* a list of 30,000 containers */

struct engine {
    char *socket_path;
    pthread_mutex_t lock; /* guards: */
    struct http_client *idle[IDLE_MAX];
    size_t idle_count;
    char version[VERSION_MAX]; /* "v1.41", or "": not asked yet */
};

struct engine *engine_new(const char *socket_path)
{
    struct engine *engine = xcalloc(1, sizeof *engine);

    engine->socket_path = xstrdup(socket_path);
    pthread_mutex_init(&engine->lock, NULL);
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    while (engine->idle_count)
        http_client_free(engine->idle[--engine->idle_count]);
    pthread_mutex_destroy(&engine->lock);
    free(engine->socket_path);
    free(engine);
}

/* ---- connections ---- */

static struct http_client *take_client(struct engine *engine)
{
    struct http_client *client = NULL;

    pthread_mutex_lock(&engine->lock);
    if (engine->idle_count)
        client = engine->idle[--engine->idle_count];
    pthread_mutex_unlock(&engine->lock);
    return client ? client : http_client_new(engine->socket_path);
}

static void give_client(struct engine *engine, struct http_client *client)
{
    pthread_mutex_lock(&engine->lock);
    if (engine->idle_count < IDLE_MAX)
        engine->idle[engine->idle_count++] = take(&client);
    pthread_mutex_unlock(&engine->lock);
    http_client_free(client);
}

static void set_version(struct engine *engine, const char *version)
{
    pthread_mutex_lock(&engine->lock);
    snprintf(engine->version, sizeof engine->version, "%s", version);
    pthread_mutex_unlock(&engine->lock);
}

/* The client of a call that failed on the way is not kept: its connection may be half read. */
static int run(struct engine *engine, const struct http_call *call, struct http_answer *answer,
               struct err *err)
{
    struct http_client *client = take_client(engine);

    if (http_client_run(client, call, answer, err)) {
        http_client_free(client);
        if (err->class == ERR_UNAVAILABLE)
            set_version(engine, "");
        return err_prefix(err, "the Docker daemon at %s", engine->socket_path);
    }
    give_client(engine, client);
    return 0;
}

int engine_probe(const struct engine *engine, struct err *err)
{
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    snprintf(address.sun_path, sizeof address.sun_path, "%s", engine->socket_path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    return err_set(err, ERR_UNAVAILABLE, "the Docker daemon at %s takes no new connections",
                   engine->socket_path);
}

/* ---- version ---- */

/* The minor number of "1.43"; -1 for anything else. */
static int64_t minor_of(const json_t *version)
{
    const char *text = json_string_value(version);
    int64_t minor;

    if (!text || !text_starts(text, "1.") || !text_int(text + 2, &minor) || minor < 0 ||
        minor > 999)
        return -1;
    return minor;
}

int engine_choose_version(const json_t *answer, int64_t *minor, struct err *err)
{
    int64_t newest = minor_of(json_object_get(answer, "ApiVersion"));
    int64_t oldest = minor_of(json_object_get(answer, "MinAPIVersion"));

    if (newest < 0)
        return err_set(err, ERR_UNAVAILABLE, "the answer to /version names no API version");
    if (newest < OLDEST_MINOR)
        return err_set(err, ERR_UNIMPLEMENTED,
                       "the Docker daemon speaks API 1.%lld; 1.%d (Docker 20.10) is needed",
                       (long long)newest, OLDEST_MINOR);
    *minor = oldest > OLDEST_MINOR ? oldest : OLDEST_MINOR;
    return 0;
}

static int ask_version(struct engine *engine, struct err *err)
{
    struct http_call call = { .method = "GET",
                              .url = "http://docker/version",
                              .timeout_ms = ENGINE_CALL_MS };
    auto_http_answer answer = { .status = 0 };
    int64_t minor;

    if (run(engine, &call, &answer, err))
        return -1;
    json_auto_t *json = json_loadb(answer.body, answer.len, 0, NULL);
    if (engine_choose_version(json, &minor, err))
        return -1;
    auto_free char *version = xasprintf("v1.%lld", (long long)minor);
    set_version(engine, version);
    return 0;
}

static bool has_version(struct engine *engine, char version[static VERSION_MAX])
{
    pthread_mutex_lock(&engine->lock);
    memcpy(version, engine->version, VERSION_MAX);
    pthread_mutex_unlock(&engine->lock);
    return version[0] != '\0';
}

static int url_of(struct engine *engine, const char *path, char **url, struct err *err)
{
    char version[VERSION_MAX];

    while (!has_version(engine, version)) /* again when another thread just lost the daemon */
        if (ask_version(engine, err))
            return -1;
    *url = xasprintf("http://docker/%s%s", version, path);
    return 0;
}

/* ---- answers ---- */

static enum err_class class_of(long status)
{
    static const struct {
        long status;
        enum err_class class;
    } classes[] = {
        { 400, ERR_INVALID },     { 401, ERR_DENIED },   { 403, ERR_DENIED },
        { 404, ERR_NOT_FOUND },   { 409, ERR_CONFLICT }, { 501, ERR_UNIMPLEMENTED },
        { 503, ERR_UNAVAILABLE },
    };

    for (size_t i = 0; i < countof(classes); i++)
        if (classes[i].status == status)
            return classes[i].class;
    return ERR_INTERNAL;
}

int engine_check(const struct http_answer *answer, struct err *err)
{
    if ((answer->status >= 200 && answer->status < 300) || answer->status == 304)
        return 0;
    json_auto_t *json = answer->body ? json_loadb(answer->body, answer->len, 0, NULL) : NULL;
    const char *message = json_string_value(json_object_get(json, "message"));
    return err_set(err, class_of(answer->status), "%s (HTTP %ld)",
                   message ? message : "the Docker daemon refuses", answer->status);
}

static int parse(const struct http_answer *answer, json_t **out, struct err *err)
{
    json_t *json = NULL;

    if (answer->len > 0 && answer->status != 304 &&
        !(json = json_loadb(answer->body, answer->len, JSON_DECODE_ANY, NULL)))
        return err_set(err, ERR_UNAVAILABLE, "the Docker daemon's answer is no JSON");
    *out = json;
    return 0;
}

static int call_json(struct engine *engine, const char *method, const json_t *body, json_t **out,
                     const char *path, struct err *err)
{
    static const char *const headers[] = { "Content-Type: application/json", NULL };
    auto_wipe char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    auto_http_answer answer = { .status = 0 };
    auto_free char *url = NULL;

    if (url_of(engine, path, &url, err))
        return -1;
    struct http_call call = { .method = method,
                              .url = url,
                              .headers = body ? headers : NULL,
                              .body = text,
                              .body_len = text ? strlen(text) : 0,
                              .timeout_ms = ENGINE_CALL_MS,
                              .answer_max = answer_max };
    if (run(engine, &call, &answer, err) || engine_check(&answer, err))
        return -1;
    return out ? parse(&answer, out, err) : 0;
}

__attribute__((format(printf, 1, 0))) static char *vpath(const char *fmt, va_list ap)
{
    char *path = NULL;

    if (vasprintf(&path, fmt, ap) < 0)
        abort();
    return path;
}

#define PATH_FROM_ARGUMENTS(path, fmt)       \
    va_list ap;                              \
    va_start(ap, fmt);                       \
    auto_free char *(path) = vpath(fmt, ap); \
    va_end(ap)

int engine_get(struct engine *engine, json_t **out, struct err *err, const char *fmt, ...)
{
    PATH_FROM_ARGUMENTS(path, fmt);
    return call_json(engine, "GET", NULL, out, path, err);
}

int engine_post(struct engine *engine, const json_t *body, json_t **out, struct err *err,
                const char *fmt, ...)
{
    PATH_FROM_ARGUMENTS(path, fmt);
    return call_json(engine, "POST", body, out, path, err);
}

int engine_delete(struct engine *engine, struct err *err, const char *fmt, ...)
{
    PATH_FROM_ARGUMENTS(path, fmt);
    return call_json(engine, "DELETE", NULL, NULL, path, err);
}

int engine_run(struct engine *engine, struct http_call *call, const char *path,
               struct http_answer *answer, struct err *err)
{
    auto_free char *url = NULL;

    if (url_of(engine, path, &url, err))
        return -1;
    call->url = url;
    return run(engine, call, answer, err);
}

/* ---- helpers ---- */

char *engine_filters(json_t *filters)
{
    auto_free char *text = json_dumps(filters, JSON_COMPACT);

    json_decref(filters);
    return text_url_escape(text);
}
