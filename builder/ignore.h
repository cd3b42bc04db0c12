/* .dockerignore: which files of the context the build does not see.
 *
 * The docker command applies this file before it uploads a context; the daemon does not apply it to
 * a context that was uploaded (seen with 20.10), so it is done here. Its rules are those of
 * docs.docker.com/build/concepts/context/#dockerignore-files: a pattern per line, `!` takes back,
 * the last line that matches decides, a folder that matches covers what is in it; `*` and `?` stop
 * at `/`, `**` does not; `[a-z]` and `\` as in Go's filepath.Match.
 *
 * Matching simulates all ways through a pattern at once, so its time is bounded by the product of
 * the lengths: no pattern of a tenant can make it explode. Pure. */
#ifndef BUILDER_IGNORE_H
#define BUILDER_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct ignore;

/* ERR_EXHAUSTED for more than a thousand patterns, or one longer than 1 KiB. */
int ignore_parse(const char *text, size_t len, struct ignore **ignore, struct err *err);
void ignore_free(struct ignore *ignore);

/* `path` is relative, without leading "./" or trailing "/". `ignore` NULL: nothing is. */
bool ignore_matches(const struct ignore *ignore, const char *path);

static inline void ignore_freep(struct ignore **ignore)
{
    ignore_free(*ignore);
}
#define auto_ignore __attribute__((__cleanup__(ignore_freep))) struct ignore

#endif
