/* Reading a full document. Members that are missing read as NULL, 0 or false. */
#include <string.h>

#include "model/member.h"
#include "model/spec.h"

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int64_t number_at(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static int64_t cpus_at(const json_t *object)
{
    const char *text = text_at(object, "cpus");
    int64_t milli = text ? member_cpus_milli(text) : 0;

    return milli > 0 ? milli : 0;
}

void spec_build(const json_t *full, struct build_spec *build)
{
    const json_t *from = json_object_get(full, "build");
    const char *output = text_at(from, "output");

    *build = (struct build_spec){
        .method = text_at(from, "method"),
        .output = output ? output : "image",
        .context = text_at(from, "context"),
        .dockerfile = text_at(from, "dockerfile"),
        .base = text_at(from, "base"),
        .run = text_at(from, "run"),
        .site = text_at(from, "site"),
        .spa = json_is_true(json_object_get(from, "spa")),
        .args = json_object_get(from, "args"),
        .timeout_ms = number_at(from, "timeout"),
        .memory = number_at(from, "memory"),
        .cpus_milli = cpus_at(from),
    };
}

size_t spec_process_count(const json_t *full)
{
    return json_object_size(json_object_get(full, "processes"));
}

void spec_process(const json_t *full, size_t i, struct process_spec *process)
{
    json_t *processes = json_object_get(full, "processes");
    void *at = json_object_iter(processes);

    while (at && i--)
        at = json_object_iter_next(processes, at);
    const json_t *from = at ? json_object_iter_value(at) : NULL;
    const json_t *check = json_object_get(from, "check");
    *process = (struct process_spec){
        .name = at ? json_object_iter_key(at) : NULL,
        .command = text_at(from, "command"),
        .replicas = number_at(from, "replicas"),
        .port = number_at(from, "port"),
        .protocol = text_at(from, "protocol"),
        .memory = number_at(from, "memory"),
        .cpus_milli = cpus_at(from),
        .pids = number_at(from, "pids"),
        .check = { .path = text_at(check, "path"),
                   .interval_ms = number_at(check, "interval"),
                   .timeout_ms = number_at(check, "timeout"),
                   .grace_ms = number_at(check, "grace") },
    };
}

size_t spec_route_count(const json_t *full)
{
    return json_array_size(json_object_get(full, "routes"));
}

void spec_route(const json_t *full, size_t i, struct route_spec *route)
{
    const json_t *from = json_array_get(json_object_get(full, "routes"), i);

    *route = (struct route_spec){ .host = text_at(from, "host"),
                                  .path = text_at(from, "path"),
                                  .process = text_at(from, "process") };
}

void spec_deploy(const json_t *full, struct deploy_spec *deploy)
{
    const json_t *from = json_object_get(full, "deploy");

    *deploy = (struct deploy_spec){ .timeout_ms = number_at(from, "timeout"),
                                    .drain_ms = number_at(from, "drain"),
                                    .stop_ms = number_at(from, "stop"),
                                    .keep = number_at(from, "keep") };
}

const json_t *spec_env(const json_t *full)
{
    return json_object_get(full, "env");
}

bool spec_is_site(const json_t *full)
{
    const char *output = text_at(json_object_get(full, "build"), "output");

    return output && strcmp(output, "site") == 0;
}
