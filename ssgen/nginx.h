/* nginx as the static server: one constant configuration, started by somebody else as `nginx -c
 * CONF -g 'daemon off;'`. The router names the site in a header; publishing is a rename; nothing is
 * ever reloaded. */
#ifndef SSGEN_NGINX_H
#define SSGEN_NGINX_H

#include "base/err.h"

struct nginx_config {
    const char *conf_path; /* nginx.conf; its folder takes the pid file and temporary files */
    const char *root;      /* of the sites */
    const char *listen;    /* socket path, or "127.0.0.1:port" */
    const char *user; /* workers become this user, when started by root; "" or NULL: not said */
};

/* Writes it when it differs from what is there. ERR_INVALID names a value that cannot stand in it.
 */
int nginx_write_conf(const struct nginx_config *config, struct err *err);

#endif
