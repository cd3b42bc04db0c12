/* Images of an attempt: built by BuildKit inside the Docker daemon, kept or pushed as an artifact,
 * or opened for the site that is in them. The slot's thread. On -1 the reason is noted
 * (attempt_fail).
 *
 * POST /build?version=2 with the context as its body: no session, so no secret mounts and no
 * registry credentials for FROM. The image's id comes in the stream, errors come in it under
 * status 200. To cancel, the connection is closed and the build's id posted to /build/cancel. */
#ifndef BUILDER_IMAGE_H
#define BUILDER_IMAGE_H

#include "builder/attempt.h"
#include "builder/context.h"

struct image_request {
    struct context_options context;
    const char *dockerfile; /* its name in the context */
};

/* Builds for the attempt's output and fills the outcome: output image is tagged or pushed; output
 * site is copied out of an image that is removed again. */
int image_build(struct attempt *attempt, const struct image_request *request);

/* Makes an image of the daemon the attempt's artifact: pushed to the job's registry, if there is
 * one, as `tag`. */
int image_keep(struct attempt *attempt, const char *id, const char *tag);

/* Why a build failed, from what the engine said. Pure but for the attempt's outcome. */
struct progress;
int image_explain(struct attempt *attempt, const struct progress *progress, int64_t kills,
                  const struct err *err);

#endif
