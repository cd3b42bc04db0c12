/* The Docker Engine API (https://docs.docker.com/engine/api/v1.41/) over its unix socket.
 *
 * A `struct engine` may be shared by any number of threads: each call takes an idle connection, or
 * opens one, and blocks until the answer is there. Requests and answers are JSON values. The
 * version is asked for at the first call: the lowest one, from 1.41 on, that the daemon still
 * speaks, so that a newer daemon does not change the answers under us. */
#ifndef OCI_ENGINE_H
#define OCI_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct engine;

/* Connects at the first call, not here. */
struct engine *engine_new(const char *socket_path);
void engine_free(struct engine *engine); /* no call may be under way; NULL is fine */

/* One call. `path` is what comes after the version: "/containers/%s/json"; values in it that are
 * not known to be plain need text_url_escape. `out` is NULL when the answer does not matter; it is
 * set to NULL when the answer has no body.
 *
 * ERR_NOT_FOUND (404), ERR_CONFLICT (409), ERR_INVALID (400), ERR_DENIED (401, 403), ERR_INTERNAL
 * (500), with the daemon's words; ERR_UNAVAILABLE: the daemon is away, nothing is known; 304 is
 * success. The longest that these wait is ENGINE_CALL_MS. */
enum { ENGINE_CALL_MS = 60 * 1000 };
int engine_get(struct engine *engine, json_t **out, struct err *err, const char *path, ...)
    __attribute__((format(printf, 4, 5)));
int engine_post(struct engine *engine, const json_t *body, json_t **out, struct err *err,
                const char *path, ...) __attribute__((format(printf, 5, 6)));
int engine_delete(struct engine *engine, struct err *err, const char *path, ...)
    __attribute__((format(printf, 3, 4)));

/* Does the daemon take new connections? One that is shutting down (20.10) does not any more, but
 * goes on to answer on those that it has, and containers that it then starts leave their mounts
 * behind. ERR_UNAVAILABLE. */
int engine_probe(const struct engine *engine, struct err *err);

/* A call whose answer comes as it happens: /events, /build, /images/create, logs. Exactly one of
 * `line` and `data` is set.
 *
 * `line` gets each JSON value of the answer. One with the member "error" also makes the call fail
 * when the answer has ended, because the daemon reports what goes wrong after the first byte that
 * way, under status 200: ERR_NOT_FOUND when it says that there is no such image, else
 * ERR_INVALID. A callback that returns non-zero ends the call with its error. A line above
 * ENGINE_LINE_MAX, or one that is no JSON, is ERR_UNAVAILABLE. */
enum { ENGINE_LINE_MAX = 16 * 1024 * 1024 };
struct engine_stream {
    const char *method, *path;
    const char *const *headers; /* "Name: value", NULL-ended; may be NULL */
    /* The request's body as it goes, as in http/client.h; NULL: none. */
    int64_t (*read)(void *arg, void *buffer, size_t size, struct err *err);
    int64_t read_len; /* 0: not known */
    int (*line)(void *arg, const json_t *line, struct err *err);
    int (*data)(void *arg, const void *data, size_t len, struct err *err);
    void *arg;
    int64_t timeout_ms; /* of the whole call; 0: none */
    int64_t idle_ms;    /* without any byte either way; 0: none */
    const bool
        *cancelled; /* set by another thread atomically; ends with ERR_STOPPED. May be NULL */
};
int engine_stream(struct engine *engine, const struct engine_stream *stream, struct err *err);

/* ---- images ---- */

struct engine_auth {
    const char *user, *password;
    const char *server; /* "registry.example.org:5000" */
};

/* The value of the header X-Registry-Auth; secret. */
char *engine_auth_header(const struct engine_auth *auth);

/* Pulls a reference (oci/image.h). `auth` may be NULL. ERR_NOT_FOUND: there is no such image, or no
 * right to see it; also for an image id, which no registry knows. */
int engine_pull(struct engine *engine, const char *reference, const struct engine_auth *auth,
                int64_t timeout_ms, const bool *cancelled, struct err *err);

/* GET /images/REFERENCE/json. ERR_NOT_FOUND. */
int engine_inspect_image(struct engine *engine, const char *reference, json_t **out,
                         struct err *err);

/* ---- helpers ---- */

/* {"label": ["a=b"]} as the value of `filters=`, escaped. `filters` is released. */
char *engine_filters(json_t *filters);

/* "2026-01-31T08:00:00.123456789Z" → Unix milliseconds; 0 for the daemon's zero time (year 1) and
 * for anything that is no time. */
int64_t engine_time_ms(const char *text);

static inline void engine_freep(struct engine **engine)
{
    engine_free(*engine);
}
#define auto_engine __attribute__((__cleanup__(engine_freep))) struct engine

#endif
