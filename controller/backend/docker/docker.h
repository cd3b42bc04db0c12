/* The backend that runs apps as containers of the local Docker daemon (API 1.41 and later). */
#ifndef CONTROLLER_BACKEND_DOCKER_DOCKER_H
#define CONTROLLER_BACKEND_DOCKER_DOCKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "controller/backend/backend.h"

struct docker_config {  /* borrowed during the call only */
    const char *socket; /* "/var/run/docker.sock" */
    const char *prefix; /* in front of every name in Docker; "" except in tests. Names of instances
                           carry it, too */
    const char *installation;  /* id of this installation: letters, digits and dashes, 1 to 40 */
    const char *network_range; /* where project networks lie: "10.224.0.0/12" */
    bool host_firewall;        /* keep containers from reaching services of this machine */
    const int64_t *host_ports; /* TCP ports of this machine that they may reach all the same: */
    size_t host_port_count;    /* those of the router, so that apps reach each other's hosts */
    /* Credentials for images of one registry host ("registry.example.org:5000"); NULL: none. */
    const char *registry, *registry_user, *registry_password;
    const struct clock *clock; /* NULL: the system's */
};

/* Does not need the daemon to be there. The backend is ended, and freed, by its `close`. */
struct backend *docker_backend_new(const struct docker_config *config, struct err *err);

/* Takes the firewall rules away; for uninstalling. They outlive the controller on purpose: apps go
 * on running without it. Absent rules are fine. */
int docker_backend_firewall_remove(const struct docker_config *config, struct err *err);

#endif
