/* The controller's configuration, read once. */
#ifndef CONTROLLER_CONFIG_H
#define CONTROLLER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

struct controller_config {
    char *log_level;
    char *data;                 /* folder: evenkeel.db, logs/, sites/, mirrors/ */
    char *unix_path, *tcp_host; /* tcp_host "": none */
    int64_t tcp_port;
    char *cert_file, *key_file;
    char *domain;               /* apps answer at NAME.domain */
    int64_t http_port;          /* the router's public port, for addresses shown to people */
    char *api_url;              /* of the gateway, for addresses shown to people */
    char *git_root, *git_hooks; /* hosted repositories; the folder with their hooks */
    bool git_allow_file;        /* file:// remotes, for tests */
    char *docker_socket, *docker_prefix, *docker_network_range;
    bool docker_firewall;
    char *router_dir, *router_host, *sites_server;
    int64_t router_port, router_slots;
    int64_t fetch_ms, register_ms, dispatch_ms, crash_ms, synchronize_ms, clean_ms;
    int64_t fetch_timeout_ms;
    int64_t lease_grace_ms; /* how long a builder may be away before its attempts are lost */
    int64_t log_max;        /* bytes of one build's log */
    int64_t builds_keep, releases_keep, events_keep;
};

extern const struct conf_key controller_conf_keys[];
extern const size_t controller_conf_count;

#endif
