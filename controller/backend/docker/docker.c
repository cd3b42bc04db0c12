/* The Docker backend put together; the mechanism is in converge.c. */
#include "controller/backend/docker/docker.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "controller/backend/docker/body.h"
#include "controller/backend/docker/internal.h"

enum { NOTES_MAX = 20000, STOP_SLACK_MS = 30000 };

/* ---- list, remove ---- */

static char *label(const json_t *container, const char *name)
{
    const char *value =
        json_string_value(json_object_get(json_object_get(container, "Labels"), name));

    return xstrdup(value ? value : "");
}

/* "/NAME" → "NAME". */
static char *instance_name(const json_t *container)
{
    const json_t *names = json_object_get(container, "Names");
    const char *name = json_string_value(json_array_get(names, 0));

    return xstrdup(!name ? "" : *name == '/' ? name + 1 : name);
}

static void read_owned(const json_t *container, struct owned *owned)
{
    const char *state = json_string_value(json_object_get(container, "State"));
    const json_t *settings = json_object_get(container, "NetworkSettings");
    const json_t *networks = json_object_get(settings, "Networks");

    *owned = (struct owned){ .name = instance_name(container),
                             .app_id = label(container, LABEL_APP),
                             .release_id = label(container, LABEL_RELEASE),
                             .is_running = state && strcmp(state, "running") == 0 &&
                                           json_object_size(networks) > 0 };
}

static int list_owned(void *self, struct owned_list *list, struct err *err)
{
    struct docker *docker = self;
    auto_free char *wanted = xasprintf(LABEL_INSTALLATION "=%s", docker->installation);
    auto_free char *filters = engine_filters(json_pack("{s:[s]}", "label", wanted));
    json_auto_t *all = NULL;

    if (engine_get(docker->engine, &all, err, "/containers/json?all=1&filters=%s", filters))
        return err_prefix(err, "listing instances");
    if (!json_is_array(all))
        return err_set(err, ERR_UNAVAILABLE, "the Docker daemon's list of containers is no list");
    list->count = json_array_size(all);
    list->items = xcalloc(list->count ? list->count : 1, sizeof *list->items);
    for (size_t i = 0; i < list->count; i++)
        read_owned(json_array_get(all, i), &list->items[i]);
    return 0;
}

/* The one call here that waits: a look every STEP_MS until the end that docker_end has set. */
static int remove_instance(void *self, const char *name, int64_t stop_ms, struct err *err)
{
    enum { STEP_MS = 50 };
    struct docker *docker = self;
    int64_t until = clock_mono_ms(docker->clock) + stop_ms + STOP_SLACK_MS;

    while (clock_mono_ms(docker->clock) < until) {
        auto_container container = { .json = NULL };
        bool is_gone = false;
        if (docker_inspect(docker, name, NULL, &container, err))
            return -1;
        if (container.status != CONTAINER_ABSENT && !docker_is_ours(docker, &container))
            return err_set(err, ERR_DENIED, "the container %s belongs to somebody else", name);
        if (docker_end(docker, &container, stop_ms, &is_gone, err))
            return -1;
        if (is_gone)
            return 0;
        if (!work_sleep(STEP_MS))
            return err_set(err, ERR_STOPPED, "removing %s: this program is stopping", name);
    }
    return err_set(err, ERR_TIMEOUT, "removing %s", name);
}

/* ---- open, close ---- */

static void docker_close(void *self)
{
    struct docker *docker = self;

    __atomic_store_n(&docker->closing, true, __ATOMIC_RELAXED);
    thread_join(docker->watcher);
    engine_free(docker->engine);
    notes_free(docker->notes);
    firewall_free(docker->firewall);
    sem_destroy(&docker->creating);
    free(docker->prefix);
    free(docker->registry);
    free(docker->registry_user);
    wipe_free(docker->registry_password);
    free(docker->installation);
    free(docker);
}

/* What becomes part of names, labels and firewall rules is checked once, here. */
static int check_config(const struct docker_config *config, struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    size_t len = strlen(config->installation);

    if (len == 0 || len > 40 || strspn(config->installation, letters) != len)
        return err_set(err, ERR_INVALID,
                       "the installation \"%s\" is not 1 to 40 letters, digits and dashes",
                       config->installation);
    if (strspn(config->prefix, letters) != strlen(config->prefix))
        return err_set(err, ERR_INVALID, "the prefix \"%s\" is not letters, digits and dashes",
                       config->prefix);
    if (strspn(config->network_range, "0123456789./") != strlen(config->network_range))
        return err_set(err, ERR_INVALID, "the network range \"%s\" is no IPv4 range",
                       config->network_range);
    return 0;
}

static void set_registry(struct docker *docker, const struct docker_config *config)
{
    if (!config->registry || !config->registry_user || !config->registry_password)
        return;
    docker->registry = xstrdup(config->registry);
    docker->registry_user = xstrdup(config->registry_user);
    docker->registry_password = xstrdup(config->registry_password);
}

struct backend *docker_backend_new(const struct docker_config *config, struct err *err)
{
    struct err failed = { .class = ERR_NONE };

    if (check_config(config, err))
        return NULL;
    struct docker *docker = xcalloc(1, sizeof *docker);
    docker->engine = engine_new(config->socket);
    docker->notes = notes_new(NOTES_MAX);
    docker->clock = config->clock ? config->clock : clock_system();
    docker->prefix = xstrdup(config->prefix);
    docker->installation = xstrdup(config->installation);
    set_registry(docker, config);
    sem_init(&docker->creating, 0, IN_FLIGHT_MAX);
    if (config->host_firewall) {
        docker->firewall = firewall_new(config);
        if (firewall_apply(docker->firewall, &failed))
            log_warn("containers can reach services of this machine", E(&failed));
    }
    docker->backend = (struct backend){ .converge = docker_converge,
                                        .list_owned = list_owned,
                                        .remove = remove_instance,
                                        .remove_network = docker_remove_network,
                                        .remove_image = docker_remove_image,
                                        .logs = docker_logs,
                                        .watch = docker_watch,
                                        .close = docker_close,
                                        .self = docker };
    return &docker->backend;
}

int docker_backend_firewall_remove(const struct docker_config *config, struct err *err)
{
    if (check_config(config, err))
        return -1;
    struct firewall *firewall = firewall_new(config);
    int rc = firewall_remove(firewall, err);
    firewall_free(firewall);
    return rc;
}
