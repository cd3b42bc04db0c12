/* The REST API of the server, as commands call it. Everything here blocks; one thread. */
#ifndef CMD_CLI_API_H
#define CMD_CLI_API_H

#include <jansson.h>

#include "base/err.h"
#include "cmd/cli/cli.h"

/* One call; `path` is below /api/v1. `body` is taken and may be NULL; `result` may be NULL. A
 * problem becomes an error with its detail, field and hint. */
int api_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **result,
             struct err *err);

/* All pages of a list, at most `max` items: an array. */
int api_list(struct cli *cli, const char *path, size_t max, json_t **items, struct err *err);

/* Events of a stream until its end: `event` for each (data borrowed); non-zero from it ends the
 * stream and is returned
 * (-1 with err). Connects again after a loss and goes on where it was (Last-Event-ID). `result` is
 * what the end said, NULL when it said nothing. `timeout_ms` 0: no limit; else ERR_TIMEOUT. */
struct api_stream {
    const char *path;
    int (*event)(void *arg, const json_t *data, struct err *err);
    void *arg;
    int64_t timeout_ms;
};
int api_follow(struct cli *cli, const struct api_stream *stream, json_t **result, struct err *err);

/* "/projects/P" and "/projects/P/apps/A" with names escaped; the caller's to free. The app is found
 * by target_app. */
int api_project_path(struct cli *cli, char **path, struct err *err);
int api_app_path(struct cli *cli, char **path, struct err *err);

/* `path`, "/", and `name` escaped. */
char *api_below(const char *path, const char *name);

#endif
