#include "builder/config.h"

#include <stddef.h>

#include "base/mem.h"

#define AT(member) offsetof(struct builder_config, member)

const struct conf_key builder_conf_keys[] = {
    { "build.cgroup", CONF_TEXT, AT(cgroup), "docker/buildkit", NULL, NULL,
      "the cgroup of the engine's build steps, below the memory controller's mount" },
    { "build.memory_max", CONF_SIZE, AT(memory_max), "2Gi", "64Mi", NULL,
      "memory of all build steps together; the engine knows no limit of a single build" },
    { "controller.address", CONF_TEXT, AT(controller), "unix:/run/evenkeel/controller.sock", NULL,
      NULL, "unix:/PATH or tls://HOST:PORT" },
    { "controller.ca_file", CONF_TEXT, AT(ca_file), "", NULL, NULL,
      "PEM file of who may sign the controller's certificate (tls only)" },
    { "docker.socket", CONF_TEXT, AT(docker_socket), "/var/run/docker.sock", NULL, NULL,
      "unix socket of the Docker Engine" },
    { "log_level", CONF_TEXT, AT(log_level), "info", NULL, NULL, "debug, info, warn or error" },
    { "name", CONF_TEXT, AT(name), "builder", NULL, NULL,
      "this builder's name, unique among the controller's builders" },
    { "site.entries_max", CONF_INT, AT(site_entries_max), "50000", "1", "1000000",
      "files and folders of one site" },
    { "site.size_max", CONF_SIZE, AT(site_max), "512Mi", "1Ki", NULL,
      "bytes of one site, unpacked" },
    { "slots", CONF_INT, AT(slots), "1", "1", "64", "builds at the same time" },
    { "source.entries_max", CONF_INT, AT(entries_max), "200000", "1", "10000000",
      "files and folders of one build context" },
    { "source.size_max", CONF_SIZE, AT(source_max), "1Gi", "1Ki", NULL,
      "bytes of one build context" },
    { "controller.token_file", CONF_TEXT, AT(token_file), "", NULL, NULL,
      "file that holds the agent's token; not needed over a unix socket" },
    { "data", CONF_TEXT, AT(work_dir), "/var/lib/evenkeel/builder", NULL, NULL,
      "folder of its own; what is in it is removed at every start" },
};
const size_t builder_conf_count = countof(builder_conf_keys);
