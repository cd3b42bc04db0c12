/* HAProxy's files, written so that a HAProxy started from them alone is where the state is. */
#ifndef CONTROLLER_ROUTER_FILES_H
#define CONTROLLER_ROUTER_FILES_H

#include "base/err.h"
#include "controller/router/haproxy.h"
#include "controller/router/state.h"

/* state.json, haproxy.cfg, routes.map, in this order; those that differ from what is on disk. */
int files_write(const struct haproxy_config *config, const struct state *state, struct err *err);

/* Stands for all of haproxy.cfg that only a reload can change; it is the running configuration's
 * description. */
char *files_layout(const struct haproxy_config *config, const struct state *state);

/* Every value that goes into haproxy.cfg. */
int files_check_config(const struct haproxy_config *config, struct err *err);

#endif
