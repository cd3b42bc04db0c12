#include "controller/backend/docker/container.h"

#include <string.h>

#include "base/mem.h"
#include "controller/backend/docker/body.h"
#include "oci/engine.h"

static const json_t *member(const json_t *json, const char *a, const char *b)
{
    return json_object_get(json_object_get(json, a), b);
}

static const char *text_or_null(const json_t *json)
{
    const char *text = json_string_value(json);

    return text && *text ? text : NULL;
}

static enum container_status status_of(const json_t *json)
{
    static const struct {
        const char *word;
        enum container_status status;
    } words[] = {
        { "created", CONTAINER_CREATED },  { "dead", CONTAINER_DEAD },
        { "exited", CONTAINER_EXITED },    { "paused", CONTAINER_PAUSED },
        { "removing", CONTAINER_LEAVING }, { "restarting", CONTAINER_EXITED },
        { "running", CONTAINER_RUNNING },
    };
    const char *word = json_string_value(member(json, "State", "Status"));

    for (size_t i = 0; word && i < countof(words); i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].status;
    return CONTAINER_ABSENT;
}

static const json_t *endpoint(const json_t *json, const char *network)
{
    return json_object_get(member(json, "NetworkSettings", "Networks"), network);
}

int container_read(json_t *json, const char *network, struct container *container, struct err *err)
{
    json_auto_t *owned = json;
    const char *id = json_string_value(json_object_get(json, "Id"));
    enum container_status status = status_of(json);

    if (!id || !*id || status == CONTAINER_ABSENT)
        return err_set(err, ERR_UNAVAILABLE,
                       "the Docker daemon describes a container without id or status");
    *container = (struct container){
        .status = status,
        .id = id,
        .address =
            network ? text_or_null(json_object_get(endpoint(json, network), "IPAddress")) : NULL,
        .stop_signal = text_or_null(member(json, "Config", "StopSignal")),
        .failure =
            status == CONTAINER_CREATED ? text_or_null(member(json, "State", "Error")) : NULL,
        .exit_code = json_integer_value(member(json, "State", "ExitCode")),
        .started_ms = engine_time_ms(json_string_value(member(json, "State", "StartedAt"))),
        .is_oom_killed = json_is_true(member(json, "State", "OOMKilled")),
    };
    container->json = take(&owned);
    return 0;
}

void container_done(struct container *container)
{
    json_decref(container->json);
    *container = (struct container){ .json = NULL };
}

const char *container_label(const struct container *container, const char *name)
{
    const json_t *labels = member(container->json, "Config", "Labels");
    const char *value = json_string_value(json_object_get(labels, name));

    return value ? value : "";
}

/* Members of HostConfig that `docker update` changes. One that we set shows as 0, -1 or null where
 * the kernel cannot do it; that is no drift. */
static bool has_other_limits(const json_t *actual, const json_t *wanted)
{
    static const char *const names[] = { "Memory",   "MemorySwap", "NanoCpus", "PidsLimit",
                                         "CpuQuota", "CpuShares",  "CpuPeriod" };

    for (size_t i = 0; i < countof(names); i++) {
        json_int_t have = json_integer_value(json_object_get(actual, names[i]));
        json_int_t want = json_integer_value(json_object_get(wanted, names[i]));
        if (have != want && have > 0)
            return true;
    }
    return text_or_null(json_object_get(actual, "CpusetCpus")) != NULL;
}

static bool has_other_restart_policy(const json_t *actual)
{
    const char *name = text_or_null(member(actual, "RestartPolicy", "Name"));

    return name && strcmp(name, "no") != 0;
}

bool container_is_drifted(const struct container *container, const json_t *body)
{
    const char *hash = json_string_value(member(body, "Labels", LABEL_SPEC));
    const json_t *wanted = json_object_get(body, "HostConfig");
    const json_t *actual = json_object_get(container->json, "HostConfig");
    const char *network = json_string_value(json_object_get(wanted, "NetworkMode"));

    return strcmp(container_label(container, LABEL_SPEC), hash) != 0 ||
           has_other_limits(actual, wanted) || has_other_restart_policy(actual) ||
           !endpoint(container->json, network);
}
