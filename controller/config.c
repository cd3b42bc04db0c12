#include "controller/config.h"

#include <stddef.h>

#include "base/mem.h"
#include "conf/conf.h"

#define AT(member) offsetof(struct controller_config, member)

static const struct conf_key keys[] = {
    { "api_url", CONF_TEXT, AT(api_url), "http://localhost:8081", NULL, NULL,
      "where the gateway answers, as people see it" },
    { "build.log_max", CONF_SIZE, AT(log_max), "16Mi", "4Ki", "1Gi", "bytes of one build's log" },
    { "build.keep", CONF_INT, AT(builds_keep), "50", "1", "10000", "ended builds kept per app" },
    { "data", CONF_TEXT, AT(data), NULL, NULL, NULL,
      "folder of the database, logs, sites and mirrors" },
    { "docker.firewall", CONF_BOOL, AT(docker_firewall), "true", NULL, NULL,
      "drop new connections from project networks to this host" },
    { "docker.network_range", CONF_TEXT, AT(docker_network_range), "10.224.0.0/12", NULL, NULL,
      "each project takes a /24 of it" },
    { "docker.prefix", CONF_TEXT, AT(docker_prefix), "", NULL, NULL,
      "put before the name of every container and network" },
    { "docker.socket", CONF_TEXT, AT(docker_socket), "/var/run/docker.sock", NULL, NULL,
      "the Docker daemon's socket" },
    { "domain", CONF_TEXT, AT(domain), "localhost", NULL, NULL, "apps answer at NAME.domain" },
    { "events.keep", CONF_INT, AT(events_keep), "100000", "1000", "100000000",
      "lines of the journal kept" },
    { "git.allow_file", CONF_BOOL, AT(git_allow_file), "false", NULL, NULL,
      "allow file:// remotes" },
    { "git.hooks", CONF_TEXT, AT(git_hooks), NULL, NULL, NULL,
      "folder with pre-receive and proc-receive" },
    { "git.root", CONF_TEXT, AT(git_root), NULL, NULL, NULL, "folder of the hosted repositories" },
    { "git.timeout", CONF_DURATION, AT(fetch_timeout_ms), "2m", "1s", "1h",
      "of one fetch from a remote" },
    { "http_port", CONF_INT, AT(http_port), "8080", "1", "65535", "the router's public port" },
    { "interval.clean", CONF_DURATION, AT(clean_ms), "1h", "1s", "7d", "full pass of the janitor" },
    { "interval.crash", CONF_DURATION, AT(crash_ms), "1m", "1s", "1h",
      "full pass of the crash detector" },
    { "interval.dispatch", CONF_DURATION, AT(dispatch_ms), "3m", "1s", "1h",
      "full pass of the dispatcher" },
    { "interval.fetch", CONF_DURATION, AT(fetch_ms), "3m", "1s", "1d",
      "between two looks at a remote" },
    { "interval.register", CONF_DURATION, AT(register_ms), "3m", "1s", "1h",
      "full pass of the registrar" },
    { "interval.synchronize", CONF_DURATION, AT(synchronize_ms), "3m", "1s", "1h",
      "full pass of the synchronizer" },
    { "lease_grace", CONF_DURATION, AT(lease_grace_ms), "1s", "0ms", "1h",
      "how long a builder's link may be down before its builds are lost" },
    { "listen.cert", CONF_TEXT, AT(cert_file), "", NULL, NULL,
      "certificate for agents on other machines (PEM)" },
    { "listen.key", CONF_TEXT, AT(key_file), "", NULL, NULL, "its key (PEM)" },
    { "listen.tcp_host", CONF_TEXT, AT(tcp_host), "", NULL, NULL,
      "address for agents on other machines; empty: none" },
    { "listen.tcp_port", CONF_INT, AT(tcp_port), "8082", "1", "65535", "its port" },
    { "listen.unix", CONF_TEXT, AT(unix_path), NULL, NULL, NULL,
      "socket for agents on this machine" },
    { "log_level", CONF_TEXT, AT(log_level), "info", NULL, NULL, "debug, info, warn or error" },
    { "router.dir", CONF_TEXT, AT(router_dir), NULL, NULL, NULL,
      "folder of HAProxy's configuration and sockets" },
    { "router.http_host", CONF_TEXT, AT(router_host), "0.0.0.0", NULL, NULL,
      "address the router listens on" },
    { "router.http_port", CONF_INT, AT(router_port), "8080", "1", "65535",
      "port the router listens on" },
    { "router.slots", CONF_INT, AT(router_slots), "256", "16", "100000",
      "backends laid out ahead; doubled when used up" },
    { "releases.keep", CONF_INT, AT(releases_keep), "100", "100", "100000",
      "releases that were live, others, rollouts and settings kept, of each so many per app" },
    { "sites.server", CONF_TEXT, AT(sites_server), NULL, NULL, NULL,
      "where the static server listens: a socket, or host:port" },
};

int controller_config_read(const char *path, struct controller_config *config, struct err *err)
{
    return conf_read(path, keys, countof(keys), config, err);
}

void controller_config_done(struct controller_config *config)
{
    conf_done(keys, countof(keys), config);
}

void controller_config_print(FILE *out)
{
    conf_print(out, keys, countof(keys));
}
