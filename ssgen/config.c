#include "ssgen/config.h"

#include <stddef.h>

#include "base/mem.h"

/* clang-format off */
#define AT(member) offsetof(struct ssgen_config, member)
const struct conf_key ssgen_conf_keys[] = {
    { "controller.address",    CONF_TEXT,     AT(controller_address),    "unix:/run/evenkeel/controller.sock", NULL, NULL, "the controller: unix:/path or tls://host:port" },
    { "controller.ca_file",    CONF_TEXT,     AT(controller_ca_file),    "",      NULL,   NULL,    "PEM of who may sign the controller's certificate (tls)" },
    { "controller.token_file", CONF_TEXT,     AT(controller_token_file), "",      NULL,   NULL,    "file with this agent's token (tls)" },
    { "interval",              CONF_DURATION, AT(interval_ms),           "3m",    "1s",   "1h",    "how often the wanted sites are looked at without being told" },
    { "log_level",             CONF_TEXT,     AT(log_level),             "info",  NULL,   NULL,    "debug, info, warn or error" },
    { "name",                  CONF_TEXT,     AT(name),                  "ssgen", NULL,   NULL,    "this agent's name" },
    { "nginx.conf",            CONF_TEXT,     AT(nginx_conf),            "/var/lib/evenkeel/nginx/nginx.conf", NULL, NULL, "where the configuration of nginx is written" },
    { "nginx.listen",          CONF_TEXT,     AT(nginx_listen),          "/var/lib/evenkeel/nginx/sites.sock", NULL, NULL, "socket path or 127.0.0.1:port of nginx" },
    { "nginx.user",            CONF_TEXT,     AT(nginx_user),            "",      NULL,   NULL,    "user of nginx's workers when it is started by root" },
    { "parallel",              CONF_INT,      AT(parallel),              "4",     "1",    "64",    "archives fetched and unpacked at once" },
    { "retry.first",           CONF_DURATION, AT(retry_ms),              "5s",    "100ms", "1h",   "after the first failure of a site; doubles" },
    { "retry.max",             CONF_DURATION, AT(retry_max_ms),          "5m",    "1s",   "1d",    "and ends here" },
    { "root",                  CONF_TEXT,     AT(root),                  "/var/lib/evenkeel/sites", NULL, NULL, "folder of the unpacked sites" },
    { "site.archive_max",      CONF_SIZE,     AT(archive_max),           "1Gi",   "1Ki",  "64Gi",  "largest archive" },
    { "site.bytes_max",        CONF_SIZE,     AT(bytes_max),             "4Gi",   "1Ki",  "256Gi", "largest unpacked site" },
    { "site.depth_max",        CONF_INT,      AT(depth_max),             "32",    "1",    "1000",  "folders above a file" },
    { "site.entries_max",      CONF_INT,      AT(entries_max),           "200000", "1",   "10000000", "files, folders and links of a site" },
    { "site.path_max",         CONF_INT,      AT(path_max),              "1024",  "16",   "4096",  "bytes of a path" },
};
/* clang-format on */
const size_t ssgen_conf_count = countof(ssgen_conf_keys);
