#include "controller/api/app_view.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/conditions.h"
#include "model/spec.h"
#include "store/instances.h"

json_t *app_urls(const struct controller_config *config, const json_t *spec)
{
    json_t *urls = json_array();

    for (size_t i = 0; spec && i < spec_route_count(spec); i++) {
        struct route_spec route;
        spec_route(spec, i, &route);
        auto_free char *port = config->http_port == 80
                                   ? xstrdup("")
                                   : xasprintf(":%lld", (long long)config->http_port);
        json_array_append_new(urls, json_sprintf("http://%s%s%s", route.host, port, route.path));
    }
    return urls;
}

static const char *status_of(const json_t *conditions, const char *type, const char **reason)
{
    size_t i;
    json_t *one;

    json_array_foreach(conditions, i, one)
        if (strcmp(json_string_value(json_object_get(one, "type")), type) == 0) {
            *reason = json_string_value(json_object_get(one, "reason"));
            return json_string_value(json_object_get(one, "status"));
        }
    return NULL;
}

/* One word: the first of these that fits. */
static const char *phase_of(const json_t *row, const json_t *conditions)
{
    const char *reason = "", *source = status_of(conditions, SOURCE_READY, &reason);

    if (json_is_true(json_object_get(row, "is_deleting")))
        return "destroying";
    if (!json_is_true(json_object_get(row, "running")))
        return "stopped";
    const char *build = status_of(conditions, BUILD_READY, &reason);
    if (build && strcmp(build, "false") == 0 &&
        (strcmp(reason, "BuildQueued") == 0 || strcmp(reason, "NoBuilder") == 0))
        return "queued";
    if (build && strcmp(build, "false") == 0)
        return strcmp(reason, "Building") == 0 ? "building" : "failed";
    const char *spec = status_of(conditions, SPEC_VALID, &reason);
    if (spec && strcmp(spec, "false") == 0)
        return "invalid";
    const char *converged = status_of(conditions, CONVERGED, &reason);
    if (converged && strcmp(reason, "RollingOut") == 0)
        return "rolling out";
    if (converged && strcmp(reason, "Rejected") == 0)
        return "rejected";
    const char *instances = status_of(conditions, INSTANCES_READY, &reason);
    if (instances && strcmp(instances, "unknown") == 0)
        return "unknown";
    if (json_is_null(json_object_get(row, "live_release")))
        return source && strcmp(source, "true") == 0 ? "waiting" : "empty";
    return instances && strcmp(instances, "false") == 0 ? "degraded" : "live";
}

static int count_ready(struct tx *tx, const char *app_id, const char *process, int64_t *ready,
                       struct err *err)
{
    auto_instance_list list = { 0 };

    *ready = 0;
    if (store_app_instances(tx, app_id, &list, err))
        return -1;
    for (size_t i = 0; i < list.count; i++)
        *ready += !list.items[i].drain_at && strcmp(list.items[i].process, process) == 0 &&
                  strcmp(list.items[i].state, "ready") == 0;
    return 0;
}

static int add_processes(struct tx *tx, json_t *row, const json_t *spec, struct err *err)
{
    const char *id = json_string_value(json_object_get(row, "id"));
    json_t *list = json_array();

    json_object_set_new(row, "processes", list);
    for (size_t i = 0; spec && i < spec_process_count(spec); i++) {
        struct process_spec process;
        int64_t ready;
        spec_process(spec, i, &process);
        if (count_ready(tx, id, process.name, &ready, err))
            return -1;
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "name", process.name, "wanted",
                                              process.replicas, "ready", ready));
    }
    return 0;
}

/* {release, commit, …} out of the flat columns, or null. */
static void fold(json_t *row, const char *name, const char *const *columns,
                 const char *const *members)
{
    json_t *object = json_object();

    for (size_t i = 0; columns[i]; i++) {
        json_object_set(object, members[i], json_object_get(row, columns[i]));
        json_object_del(row, columns[i]);
    }
    bool is_none = json_is_null(json_object_get(object, "release"));
    json_object_set_new(row, name, is_none ? json_null() : object);
    if (is_none)
        json_decref(object);
}

int app_view_finish(struct controller *c, struct tx *tx, json_t *row, struct err *err)
{
    static const char *const live_columns[] = { "live_release", "live_commit", "live_artifact",
                                                "live_at", NULL };
    static const char *const live_members[] = { "release", "commit", "artifact", "at", NULL };
    static const char *const wanted_columns[] = { "wanted_release", "wanted_commit", "wanted_state",
                                                  NULL };
    static const char *const wanted_members[] = { "release", "commit", "state", NULL };
    const json_t *spec = json_object_get(row, "spec");
    json_t *conditions, *hold = json_object_get(row, "hold");

    if (json_is_object(hold)) {
        auto_free char *at = text_time(json_integer_value(json_object_get(hold, "at")));
        json_object_set_new(hold, "at", json_string(at));
    }

    if (store_list_conditions(tx, json_string_value(json_object_get(row, "id")), &conditions, err))
        return -1;
    json_object_set_new(row, "conditions", conditions);
    json_object_set_new(row, "phase", json_string(phase_of(row, conditions)));
    json_object_set_new(row, "urls", app_urls(c->config, json_is_object(spec) ? spec : NULL));
    bool is_hosted = json_is_string(json_object_get(row, "repository")) &&
                     json_is_null(json_object_get(row, "url"));
    if (is_hosted)
        json_object_set_new(row, "url",
                            json_sprintf("%s/git/%s/%s.git", c->config->api_url,
                                         json_string_value(json_object_get(row, "project")),
                                         json_string_value(json_object_get(row, "repository"))));
    json_object_set_new(
        row, "etag",
        json_sprintf("%lld", (long long)json_integer_value(json_object_get(row, "generation"))));
    if (add_processes(tx, row, json_is_object(spec) ? spec : NULL, err))
        return -1;
    json_object_set(row, "commit", json_object_get(row, "wanted_commit"));
    fold(row, "live", live_columns, live_members);
    fold(row, "wanted", wanted_columns, wanted_members);
    return 0;
}

int app_view(struct controller *c, struct tx *tx, const char *app_id, json_t **view,
             struct err *err)
{
    json_auto_t *row = NULL;

    if (store_show_app(tx, app_id, &row, err) || app_view_finish(c, tx, row, err))
        return -1;
    *view = json_incref(row);
    return 0;
}
