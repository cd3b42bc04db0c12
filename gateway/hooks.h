/* Webhooks of git hosts: the raw body and its signature go to the controller, which alone knows the
 * secret. */
#ifndef GATEWAY_HOOKS_H
#define GATEWAY_HOOKS_H

#include <jansson.h>

#include "http/server.h"

int hook_params(struct http_request *request, const json_t *members, json_t **params,
                struct err *err);

#endif
