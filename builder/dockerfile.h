/* Dockerfiles as text: the `# syntax=` line taken out of one, and one written for the method
 * `command`. Pure. */
#ifndef BUILDER_DOCKERFILE_H
#define BUILDER_DOCKERFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "model/spec.h"

/* A copy in which a `# syntax=IMAGE` directive is a comment; line numbers stay. BuildKit would
 * pull IMAGE (Docker Hub, as a rule) and run it as the frontend. `*image` is what it named, or
 * NULL. Both are the caller's to free. */
char *dockerfile_strip_syntax(const char *text, size_t len, char **image);

/* The Dockerfile of a `command` build whose source lies in the folder app/ of the context:
 * FROM base, the source in /app, the script run by sh -ec there. Nothing in the spec can add an
 * instruction: ERR_INVALID for a base or an argument that is not a plain name. */
int dockerfile_for_command(const struct build_spec *build, char **text, struct err *err);

/* A reference to an image: letters, digits and . _ / : @ - only, none of them leading but letters
 * and digits. */
bool dockerfile_is_image(const char *text);

#endif
