/* A request of the API as one call of the controller. Loop thread. */
#ifndef GATEWAY_REST_H
#define GATEWAY_REST_H

#include <jansson.h>

#include "gateway/gateway.h"
#include "gateway/routes.h"

/* Answers now or later. */
void rest_serve(struct gateway *gateway, struct http_request *request, const struct route *route,
                const json_t *members);

/* The params of the call that a request becomes. The problem's status is in *status when the class
 * does not say it. */
int rest_params(struct http_request *request, const struct route *route, const json_t *members,
                json_t **params, unsigned *status, struct err *err);

/* The ETag header of a result with a member `etag`, quoted; the caller's to free. NULL when it has
 * none. Pure. */
char *rest_etag(const json_t *result);

#endif
