/* BuildKit's progress, as the Docker daemon reports it on POST /build?version=2, made into log
 * lines.
 *
 * Each message of the stream is a JSON object. {"id":"moby.buildkit.trace","aux":BASE64} carries a
 * protobuf StatusResponse (github.com/moby/buildkit, api/services/control/control.proto):
 *
 *     1 vertex {1 digest, 3 name, 4 cached, 5 started, 6 completed, 7 error}
 *     3 log    {1 vertex, 4 msg}
 *     Timestamp {1 seconds, 2 nanos}
 *
 * A vertex is repeated whenever it changes. Lines: `#2 RUN npm ci`, `#2 added 12 packages`,
 * `#2 CACHED`, `#2 DONE 1.4s`, `#2 ERROR: …`. The engine's own steps ("[internal] …") are only
 * shown when they fail.
 *
 * What comes in is made by tenants' builds as well: everything is bounded, what cannot be decoded
 * is left out. Pure; one owner, one thread. */
#ifndef BUILDER_PROGRESS_H
#define BUILDER_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "builder/log_lines.h"

struct progress;

struct progress *progress_new(line_fn line, void *arg);
void progress_free(struct progress *progress);

/* One decoded StatusResponse; false: malformed (what came before the damage was taken). */
bool progress_add(struct progress *progress, const void *data, size_t len);

/* Ends lines that have begun. */
void progress_flush(struct progress *progress);

/* The step that failed first of itself (not because others did), or NULL; borrowed. */
const char *progress_failed_step(const struct progress *progress);
const char *progress_failed_error(const struct progress *progress);

/* The image that a failed step wanted to load ("docker.io/library/node:20"), or NULL; borrowed. */
const char *progress_missing_image(const struct progress *progress);

static inline void progress_freep(struct progress **progress)
{
    progress_free(*progress);
}
#define auto_progress __attribute__((__cleanup__(progress_freep))) struct progress

#endif
