/* Watching: a call whose data values become server-sent events. Loop thread. */
#ifndef GATEWAY_SSE_H
#define GATEWAY_SSE_H

#include <jansson.h>

#include "gateway/gateway.h"
#include "gateway/routes.h"

/* Answers now or later. */
void sse_serve(struct gateway *gateway, struct http_request *request, const struct route *route,
               const json_t *members);

/* One event as it goes over the wire; the caller's to free. `name` NULL: data. `id` is the value's
 * member of the route's event id, when that is a number. Pure. */
char *sse_event(const char *name, const char *id_member, const json_t *value);

#endif
