/* Server-sent events out of the bytes of an answer
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html), bounded. One thread. */
#ifndef CMD_CLI_SSE_H
#define CMD_CLI_SSE_H

#include <stddef.h>

#include "base/err.h"

enum { SSE_EVENT_MAX = 4 << 20 }; /* bytes of one event */

struct sse;

struct sse *sse_new(void);
void sse_free(struct sse *sse); /* NULL is fine */

/* Calls `event` for each that is complete; its non-zero return is passed on, the rest of the bytes
 * is dropped. ERR_EXHAUSTED for an event that is too big. */
int sse_feed(struct sse *sse, const void *data, size_t len,
             int (*event)(void *arg, const char *event, const char *data, struct err *err),
             void *arg, struct err *err);

/* Drops the begun event, for a new connection; the last id stays. */
void sse_reset(struct sse *sse);
const char *sse_last_id(const struct sse *sse); /* "" when there was none */

#endif
