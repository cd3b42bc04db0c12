/* From what a request says to the params of a call. Pure functions. */
#ifndef GATEWAY_PARAMS_H
#define GATEWAY_PARAMS_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/* Texts may be NULL when the request has no such thing. */
struct params_input {
    const json_t *members; /* of the path */
    const char *query;     /* as sent */
    const char *body;
    size_t body_len;
    const char *token, *peer;
    const char *if_match, *idempotency_key, *last_event_id;
    const char *resume; /* the param that Last-Event-ID becomes */
};

/* Later sources win: body, query, headers, path, and last what the client must not choose (`as`,
 * `peer`). */
int params_make(const struct params_input *input, json_t **params, struct err *err);

/* The token of an Authorization header: of Bearer, or the password of Basic. The caller's to wipe;
 * NULL when there is none. */
char *params_token(const char *authorization);

#endif
