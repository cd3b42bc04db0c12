/* One bridge network per project, with the subnet that the database gave it: Docker's own address
 * pools end at about 30 networks. The subnet also makes creation safe against races: of two
 * networks with one subnet the daemon refuses the second. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/backend/docker/body.h"
#include "controller/backend/docker/internal.h"

/* *network is NULL when there is none of that very name (the daemon also looks ids up). */
static int inspect(struct docker *docker, const char *name, json_t **network, struct err *err)
{
    auto_free char *escaped = text_url_escape(name);
    struct err failed = { .class = ERR_NONE };
    json_auto_t *json = NULL;

    *network = NULL;
    if (engine_get(docker->engine, &json, &failed, "/networks/%s", escaped))
        return docker_except(&failed, ERR_NOT_FOUND, err);
    const char *found = json_string_value(json_object_get(json, "Name"));
    if (found && strcmp(found, name) == 0)
        *network = take(&json);
    return 0;
}

static const char *label(const json_t *network, const char *name)
{
    const char *value =
        json_string_value(json_object_get(json_object_get(network, "Labels"), name));

    return value ? value : "";
}

static const char *subnet(const json_t *network)
{
    const json_t *config = json_object_get(json_object_get(network, "IPAM"), "Config");
    const char *value = json_string_value(json_object_get(json_array_get(config, 0), "Subnet"));

    return value ? value : "";
}

static int check(const struct docker *docker, const json_t *network, const char *name,
                 const char *wanted, struct err *err)
{
    if (strcmp(label(network, LABEL_INSTALLATION), docker->installation) != 0)
        return err_set(err, ERR_CONFLICT, "the network %s belongs to somebody else", name);
    if (strcmp(subnet(network), wanted) != 0)
        return err_set(err, ERR_CONFLICT, "the network %s has the subnet %s instead of %s", name,
                       subnet(network), wanted);
    return 0;
}

static int create(struct docker *docker, const struct app_want *want, const char *name,
                  struct err *err)
{
    json_auto_t *body = body_network(docker->prefix, docker->installation, want);
    json_auto_t *network = NULL;
    struct err failed = { .class = ERR_NONE };

    if (engine_post(docker->engine, body, NULL, &failed, "/networks/create") == 0)
        return 0;
    if (docker_is_away(&failed))
        return docker_except(&failed, ERR_NONE, err);
    if (inspect(docker, name, &network, err))
        return -1;
    if (network) /* another thread was faster */
        return check(docker, network, name, want->subnet, err);
    return err_set(err, ERR_CONFLICT, "creating the network %s with the subnet %s: %s", name,
                   want->subnet, failed.text);
}

int docker_ensure_network(struct docker *docker, const struct app_want *want, struct err *err)
{
    auto_free char *name = body_network_name(docker->prefix, want->project);
    json_auto_t *network = NULL;

    if (inspect(docker, name, &network, err))
        return -1;
    return network ? check(docker, network, name, want->subnet, err)
                   : create(docker, want, name, err);
}

int docker_remove_network(void *self, const char *project, struct err *err)
{
    struct docker *docker = self;
    auto_free char *name = body_network_name(docker->prefix, project);
    struct err failed = { .class = ERR_NONE };
    json_auto_t *network = NULL;

    if (inspect(docker, name, &network, err))
        return -1;
    if (!network)
        return 0;
    if (strcmp(label(network, LABEL_INSTALLATION), docker->installation) != 0)
        return err_set(err, ERR_DENIED, "the network %s belongs to somebody else", name);
    if (engine_delete(docker->engine, &failed, "/networks/%s",
                      json_string_value(json_object_get(network, "Id"))) == 0)
        return 0;
    if (failed.class == ERR_DENIED) /* what the daemon says while containers are attached */
        failed.class = ERR_CONFLICT;
    return docker_except(&failed, ERR_NOT_FOUND, err)
               ? err_prefix(err, "removing the network %s", name)
               : 0;
}
