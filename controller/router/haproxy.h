/* HAProxy as the router, by its runtime socket. The process itself is run by somebody else:
 *
 *     haproxy -W -S DIR/master.sock,mode,600 -f DIR/haproxy.cfg
 *
 * Any thread; changes happen one after the other. What apply says beyond router.h: a route or
 * instance that is refused (ERR_INVALID: HAProxy cannot take it; ERR_CONFLICT: another app still
 * has that host and path) is left out, the rest is applied *and acknowledged*, and apply returns -1
 * with the refusal each time until it is gone. */
#ifndef CONTROLLER_ROUTER_HAPROXY_H
#define CONTROLLER_ROUTER_HAPROXY_H

#include <stdint.h>

#include "base/err.h"
#include "controller/router/router.h"

struct haproxy_config { /* texts are borrowed until close */
    const char *dir; /* state.json, haproxy.cfg, routes.map, admin.sock, master.sock live there */
    const char *http_host; /* IPv4 address or "*" */
    uint16_t http_port;
    unsigned slots;          /* backends laid out ahead, 0: 256; twice as many when used up */
    const char *site_server; /* of nginx: socket path or "127.0.0.1:port"; NULL: no sites */
    unsigned maxconn;        /* 0: 4000; HAProxy needs twice as many descriptors */
    const char
        *user; /* HAProxy's workers become this user and group; NULL: they stay who they are */
};

/* Writes the files if they are missing or differ, and makes the running HAProxy agree when there is
 * one. */
int haproxy_router_new(const struct haproxy_config *config, struct router *router, struct err *err);

#endif
